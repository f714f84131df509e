# shellcheck shell=bash
# Sourced by scripts/vm: what the virtual machine is made of. Any change here or in guest/ makes all images anew.

KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
# perl, git, ps and tmux are needs of the tests; tcc makes small programs there; quota reads project quotas.
GUEST_PACKAGES=systemd,systemd-sysv,dbus,libpam-systemd,tmux,perl,git,procps,util-linux,e2fsprogs,quota,iproute2,tcc,libc6-dev
GUEST_PACKAGES+=,kmod,python3,xfsprogs,curl,openssl,ca-certificates
# What would run beside the command: timers of the package manager, and consoles that nobody sees.
MASKED=(apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer
    systemd-tmpfiles-clean.timer quota.service quotarpc.service quotaon.service systemd-quotacheck.service
    getty.target systemd-networkd.service systemd-resolved.service systemd-timesyncd.service)
# What the root file system and the output are reached with. quota_v2 must be there before the root is mounted.
INITRD_MODULES=(virtio_pci virtio_blk virtio_console quota_v2)

# Where a kernel comes from, and the Debian release around it.
kernel_suite() {
    case "$1" in
        6.1) echo bookworm ;;
        6.12) echo bookworm-backports ;;
        7.3) echo trixie-backports ;;
        *) die "unknown kernel: $1" "the kernels are ${KERNELS[*]}" ;;
    esac
}

guest_release() {
    local suite
    suite=$(kernel_suite "$1")
    echo "${suite%-backports}"
}

# Lines for a sources.list: the suites of a release that are asked for.
sources() {
    local suite
    for suite in "$@"; do
        printf 'deb [signed-by=%s] %s %s main\n' "$KEYRING" "$MIRROR" "$suite"
    done
}

# own_apt FOLDER PROGRAM ARGUMENTS...: apt with lists and a state of its own; this host's stay as they are.
own_apt() {
    local folder=$1 program=$2
    shift 2
    "$program" -q -o "Dir::Etc::sourcelist=$folder/sources" -o Dir::Etc::sourceparts=- -o "Dir::State::Lists=$folder/lists" \
        -o "Dir::Cache=$folder/cache" -o "Dir::State::status=$folder/status" -o APT::Sandbox::User=root "$@"
}

# QEMU with all libraries and its own loader, so that it fits any host; busybox for the first file system.
build_tools() {
    local new=$1 include=busybox-static
    [ -n "$(host_qemu)" ] || include+=,qemu-system-x86
    sources bookworm bookworm-backports >"$new/sources"
    mmdebstrap --mode=root --variant=extract --aptopt='APT::Default-Release "bookworm-backports"' --include="$include" \
        bookworm "$new/image" "$new/sources"
    chmod 755 "$new/image"
}

# vmlinuz, initrd, the modules, and the file `version`.
build_kernel() {
    local new=$1 kernel=$2 package packages version
    mkdir -p "$new"/{lists/partial,cache/archives/partial,debs,tree} "$new/image"
    : >"$new/status"
    sources "$(kernel_suite "$kernel")" >"$new/sources"
    own_apt "$new" apt-get update
    package=$(own_apt "$new" apt-cache depends linux-image-cloud-amd64 | sed -nE 's/^ *Depends: (linux-image-[0-9].*)/\1/p')
    [ -n "$package" ]
    version=${package#linux-image-}
    # Newer ones are in two parts, and the package of the image is empty.
    packages=$(own_apt "$new" apt-cache depends "$package" | sed -nE 's/^ *Depends: (linux-(base|binary|modules)-[0-9].*)/\1/p')
    (cd "$new/debs" && own_apt "$new" apt-get download "$package" ${packages:+$packages})
    for package in "$new"/debs/*.deb; do
        dpkg -x "$package" "$new/tree"
    done
    # One place for all of them, as on a host.
    if [ ! -e "$new/tree/lib" ]; then ln -s usr/lib "$new/tree/lib"; fi
    depmod -b "$new/tree" "$version"
    mkdir -p "$new/image/modules"
    cp -r "$new/tree/lib/modules/$version" "$new/image/modules/"
    cp "$new/tree/boot/vmlinuz-$version" "$new/image/vmlinuz" 2>/dev/null || mv "$new/image/modules/$version/vmlinuz" "$new/image/vmlinuz"
    printf '%s\n' "$version" >"$new/image/version"
    build_initrd "$new" "$version" "$new/image/initrd"
}

# busybox, the modules that the root file system needs, and guest/init.
build_initrd() {
    local new=$1 version=$2 to=$3 module path count=10
    mkdir -p "$new"/initrd/{bin,dev,proc,sys,root,modules}
    cp "$(tools_image)/bin/busybox" "$new/initrd/bin/"
    cp scripts/vm.d/guest/init "$new/initrd/init"
    chmod 755 "$new/initrd/init"
    for module in "${INITRD_MODULES[@]}"; do
        modprobe -d "$new/tree" -S "$version" --show-depends "$module" | sed -nE 's/^insmod ([^ ]+).*/\1/p' >"$new/needed"
        while read -r path; do
            # The names sort in the order in which they are loaded.
            case "$path" in
                *.xz) xz -dc "$path" ;;
                *.zst) zstd -dc "$path" ;;
                *) cat "$path" ;;
            esac >"$new/initrd/modules/$count-$(basename "${path%%.ko*}").ko"
            count=$((count + 1))
        done <"$new/needed"
    done
    (cd "$new/initrd" && find . | cpio --quiet -o -H newc | gzip -1) >"$to"
}

# The packages of the guest, without a kernel.
build_release_tar() {
    local new=$1 release=$2
    sources "$release" >"$new/sources"
    # shellcheck disable=SC2016 # mmdebstrap fills it in
    mmdebstrap --mode=root --variant=minbase --include="$GUEST_PACKAGES" --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
        --customize-hook='chroot "$1" useradd --uid 1000 --user-group --create-home --shell /bin/bash person' \
        --format=tar "$release" "$new/image" "$new/sources"
}

# A root file system with the modules of one kernel, and with project quotas.
build_root() {
    local new=$1 kernel=$2 root=$1/root
    mkdir "$root"
    tar -C "$root" --numeric-owner -xf "$(release_image "$(guest_release "$kernel")")"
    mkdir -p "$root/lib/modules"
    cp -r "$(kernel_image "$kernel")"/modules/* "$root/lib/modules/"
    settle_root "$root"
    chmod 755 "$root"
    truncate -s 6G "$new/image"
    mke2fs -q -t ext4 -O project,quota -E quotatype=prjquota,lazy_itable_init=1,lazy_journal_init=1 -L root -d "$root" "$new/image"
}

# What makes a Debian of the packages: names, file systems, and the service that runs the command.
settle_root() {
    local root=$1 unit
    printf 'guest\n' >"$root/etc/hostname"
    printf '127.0.0.1 localhost guest\n' >"$root/etc/hosts"
    # With a machine of its own it is no first boot, on which systemd would enable what is masked here.
    od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >"$root/etc/machine-id"
    printf '\n' >>"$root/etc/machine-id"
    printf '/dev/vda / ext4 rw,prjquota,noatime 0 0\n' >"$root/etc/fstab"
    printf 'LANG=C.UTF-8\n' >"$root/etc/default/locale"
    : >"$root/etc/resolv.conf"
    install -d -m 1777 "$root/results"
    install -m 755 scripts/vm.d/guest/start "$root/usr/local/sbin/cellblock-vm-start"
    install -m 644 scripts/vm.d/guest/cellblock-vm.service "$root/etc/systemd/system/"
    mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
    ln -s ../cellblock-vm.service "$root/etc/systemd/system/multi-user.target.wants/"
    # systemd has nothing to bring up to date.
    touch "$root/etc/.updated" "$root/var/.updated"
    ln -sf /lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"
    for unit in "${MASKED[@]}"; do
        ln -sf /dev/null "$root/etc/systemd/system/$unit"
    done
}
