# shellcheck shell=bash
# Sourced by scripts/vm: the images and their cache. An image in the cache is complete: it is built beside its place and
# renamed. Its name holds a hash of the recipe, so that another recipe is another image.

VM_CACHE=${CELLBLOCK_VM_CACHE:-$CACHE/vm}
# Older ones corrupt the memory of emulated guests: the guest's kernel panics in its allocator.
OLDEST_QEMU=8.2

recipe_hash() {
    cat scripts/vm.d/recipe.sh scripts/vm.d/guest/* | sha256sum | cut -c 1-12
}

# The package mirror of this host, or the one that CELLBLOCK_VM_MIRROR names.
find_mirror() {
    [ -z "${MIRROR:-}" ] || return 0
    MIRROR=${CELLBLOCK_VM_MIRROR:-}
    if [ -z "$MIRROR" ] && have apt-get; then
        # shellcheck disable=SC2016 # apt's own variables
        MIRROR=$(apt-get indextargets --format '$(ORIGIN)|$(SUITE)|$(LABEL)|$(REPO_URI)' 2>/dev/null |
            awk -F'|' '$1 == "Debian" && $3 == "Debian" { print $4; exit }')
    fi
    [ -n "$MIRROR" ] || die "cannot find a Debian package mirror: the apt configuration of this host names none" \
        "CELLBLOCK_VM_MIRROR=URL scripts/vm build, with the URL of a mirror's folder debian/ (or run apt-get update first)"
}

need_builders() {
    [ "$(id -u)" -eq 0 ] || die "cannot build the images: this is not root, and the files in them belong to root" "sudo -E scripts/vm build"
    [ "$(uname -m)" = x86_64 ] || die "cannot build the images: the recipe is for x86_64, this is $(uname -m)"
    {
        need_program mmdebstrap mmdebstrap "to make the guest's root file system"
        need_program mke2fs e2fsprogs "to make the guest's disks"
        need_program cpio cpio "to make the guest's first file system"
        need_program depmod kmod "to find what the guest's modules need"
        need_program xz xz-utils "to unpack the guest's modules"
        need_program flock util-linux "to have one build at a time"
        [ -e "$KEYRING" ] || need_program "$KEYRING" debian-archive-keyring "to check the packages"
    } >&2
    find_mirror
}

# The QEMU of this host, where it is new enough; prints nothing otherwise.
host_qemu() {
    local program version
    [ -z "${CELLBLOCK_VM_OWN_QEMU:-}" ] || return 0
    program=$(command -v qemu-system-x86_64) || return 0
    version=$("$program" --version | sed -nE 's/^QEMU emulator version ([0-9]+\.[0-9]+).*/\1/p')
    [ "$(printf '%s\n' "$OLDEST_QEMU" "$version" | sort -V | head -n 1)" != "$OLDEST_QEMU" ] || printf '%s' "$program"
}

tools_image() {
    if [ -n "$(host_qemu)" ]; then echo "$VM_CACHE/tools-busybox-$(recipe_hash)"; else echo "$VM_CACHE/tools-$(recipe_hash)"; fi
}
kernel_image() { echo "$VM_CACHE/kernel-$1-$(recipe_hash)"; }
release_image() { echo "$VM_CACHE/release-$1-$(recipe_hash).tar"; }
root_image() { echo "$VM_CACHE/root-$1-$(recipe_hash).img"; }

# build_all KERNELS...: builds what is missing. One builder at a time; another one waits and finds the images there.
build_all() {
    local kernel
    remove_old
    if all_there "$@"; then
        use "$@"
        return 0
    fi
    need_builders
    lock_cache
    made "$(tools_image)" "QEMU and busybox" build_tools
    for kernel in "$@"; do
        made "$(kernel_image "$kernel")" "Linux $kernel" build_kernel "$kernel"
        made "$(release_image "$(guest_release "$kernel")")" "Debian $(guest_release "$kernel")" build_release_tar "$(guest_release "$kernel")"
        made "$(root_image "$kernel")" "the root file system for Linux $kernel" build_root "$kernel"
    done
    use "$@"
    unlock_cache
}

# Their time is that of their last use.
use() {
    local kernel
    touch -c "$(tools_image)"
    for kernel in "$@"; do
        touch -c "$(kernel_image "$kernel")" "$(release_image "$(guest_release "$kernel")")" "$(root_image "$kernel")"
    done
}

# What a build starts holds the lock, too: a killed script's last program ends before the next one builds.
lock_cache() {
    mkdir -p "$VM_CACHE" || die "cannot make the cache $VM_CACHE" "CELLBLOCK_VM_CACHE names another folder"
    exec {LOCK}>"$VM_CACHE/lock"
    flock --nonblock "$LOCK" || {
        progress "another build is on its way: waiting for it"
        flock "$LOCK"
    }
    # What an interrupted build left: nobody else builds now.
    rm -rf "$VM_CACHE"/new.*
}

unlock_cache() {
    exec {LOCK}>&-
}

all_there() {
    local kernel
    [ -e "$(tools_image)" ] || return 1
    for kernel in "$@"; do
        [ -e "$(kernel_image "$kernel")" ] && [ -e "$(root_image "$kernel")" ] || return 1
    done
}

# made IMAGE WORDS BUILDER ARGUMENTS...: builds IMAGE unless it is there.
made() {
    local image=$1 words=$2 builder=$3 new status begun=$SECONDS
    shift 3
    [ ! -e "$image" ] || return 0
    progress "building $words"
    new=$(mktemp -d "$VM_CACHE/new.XXXXXX")
    # A subshell in a condition would go on after a failure.
    set +e
    (set -e; "$builder" "$new" "$@") >"$new/log" 2>&1
    status=$?
    set -e
    if [ "$status" -ne 0 ]; then
        tail -n 20 "$new/log" >&2
        cp "$new/log" "$VM_CACHE/build.log"
        die "cannot build $words" "the messages above are the end of $VM_CACHE/build.log; is the package mirror reachable?"
    fi
    # The disk must hold it before its name says so.
    sync -f "$new"
    mv -T "$new/image" "$image"
    rm -rf "$new"
    progress "built $words in $((SECONDS - begun)) s"
}

# Images of other recipes that nobody used for an hour: another checkout of this project may have another recipe.
remove_old() {
    [ ! -d "$VM_CACHE" ] || find "$VM_CACHE" -mindepth 1 -maxdepth 1 -mmin +60 -regextype egrep \
        -regex '.*/(tools|kernel|release|root)-[^/]*' ! -name "*-$(recipe_hash)*" -exec rm -rf {} +
}
