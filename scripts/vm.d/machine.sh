# shellcheck shell=bash
# Sourced by scripts/vm: one start of a machine. SCRATCH is the script's folder, MACHINE that of this start. What is left of
# them is a console log where something went wrong.

SCRATCH=''
MACHINE=''
READ_WITH=(cat)
QEMU_PID=''
READER=''
TERMINAL=''
DISKS=()

new_folder() {
    [ -z "$SCRATCH" ] || return 0
    trap 'clean_up' EXIT
    trap 'interrupted INT 130' INT
    trap 'interrupted TERM 143' TERM
    trap 'interrupted HUP 129' HUP
    remove_dead_machines
    SCRATCH=$(mktemp -d "$VM_CACHE/run.$$.XXXXXX") ||
        die "cannot write to $VM_CACHE" "CELLBLOCK_VM_CACHE names another folder"
}

new_machine() {
    KERNEL=$1
    DISKS=()
    STARTS=1
    new_folder
    MACHINE=$SCRATCH/machine-$KERNEL
    rm -rf "$MACHINE"
    mkdir -p "$MACHINE/job"
}

# Process ids of the scripts whose machines are up.
running_machines() {
    local folder pid
    for folder in "$VM_CACHE"/run.*; do
        pid=${folder##*/run.}
        pid=${pid%%.*}
        [ ! -e "$folder" ] || [ ! -e "/proc/$pid" ] || echo "$pid"
    done
}

# Folders of scripts that were killed.
remove_dead_machines() {
    local folder pid
    for folder in "$VM_CACHE"/run.*; do
        pid=${folder##*/run.}
        [ ! -e "$folder" ] || [ -e "/proc/${pid%%.*}" ] || rm -rf "$folder"
    done
}

clean_up() {
    end_groups
    end_machine
    # QEMU that is killed leaves the terminal raw.
    [ -z "$TERMINAL" ] || stty "$TERMINAL" 2>/dev/null || true
    [ -z "$SCRATCH" ] || rm -rf "$SCRATCH"
}

# Nothing in the machine is worth an orderly end. QEMU_PID may be that of timeout, with which QEMU is killed.
end_machine() {
    [ -z "$QEMU_PID" ] || { kill -KILL "$QEMU_PID" && wait "$QEMU_PID"; } 2>/dev/null || true
    [ -z "$READER" ] || { kill -TERM "$READER" && wait "$READER"; } 2>/dev/null || true
    QEMU_PID='' READER=''
}

# The process groups beside this script: workers, whose machines end with them, or the one machine of `run`.
end_groups() {
    local leader
    for leader in $(jobs -pr); do
        # One that leads no group is ended by end_machine.
        { kill -KILL -- "-$leader" && wait "$leader"; } 2>/dev/null || true
    done
}

interrupted() {
    trap '' INT TERM HUP
    progress "interrupted by SIG$1: the machine is ended"
    exit "$2"
}

# Sets BINARY to the newest release build, and puts it into the job; without one the guest has none.
find_binary() {
    local target=${CARGO_TARGET_DIR:-target} candidate
    BINARY=''
    for candidate in "$target/$MUSL_TARGET/release/cellblock" "$target/release/cellblock"; do
        [ -x "$candidate" ] || continue
        [ -n "$BINARY" ] && [ "$BINARY" -nt "$candidate" ] || BINARY=$candidate
    done
    if [ -n "$BINARY" ]; then
        cp "$BINARY" "$MACHINE/job/cellblock"
        chmod 755 "$MACHINE/job/cellblock"
    else
        progress "cellblock is not in the guest: there is no release build (cargo build --release --target $MUSL_TARGET)"
    fi
}

# job COMMAND...: what the guest is to do. Between two commands it is restarted, with its disks as they are.
job() {
    local command
    STARTS=0
    for command; do
        STARTS=$((STARTS + 1))
        printf '%s' "$command" >"$MACHINE/job/command.$STARTS"
    done
    echo "$STARTS" >"$MACHINE/job/starts"
    printf '%s\n' "$GUEST_USER" >"$MACHINE/job/user"
    echo run >"$MACHINE/job/mode"
}

# add_disk NAME IMAGE [OPTIONS]: a further disk, told in the guest by NAME.
add_disk() {
    DISKS+=(-drive "if=none,id=$1,format=raw,file=${2//,/,,},cache=unsafe${3:+,$3}" -device "virtio-blk-pci,drive=$1,serial=$1")
}

# Sets QEMU, the words up to the options.
find_qemu() {
    local tools own
    own=$(host_qemu)
    if [ -n "$own" ]; then
        QEMU=("$own")
        return 0
    fi
    tools=$(tools_image)
    QEMU=("$tools/lib64/ld-linux-x86-64.so.2" --library-path "$tools/lib/x86_64-linux-gnu:$tools/usr/lib/x86_64-linux-gnu"
        "$tools/usr/bin/qemu-system-x86_64" -L "$tools/usr/share/qemu" -L "$tools/usr/share/seabios")
    export QEMU_MODULE_DIR="$tools/usr/lib/x86_64-linux-gnu/qemu"
}

# Fills QEMU with everything that all machines have. There is no network device.
prepare() {
    local kernel options=$1
    NONCE=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    printf '%s\n' "$NONCE" >"$MACHINE/job/nonce"
    cp scripts/vm.d/agent "$MACHINE/job/agent"
    tar -C "$MACHINE/job" --owner=0 --group=0 -cf "$MACHINE/job.tar" .
    # A disk has whole sectors.
    truncate -s %4096 "$MACHINE/job.tar"
    kernel=$(kernel_image "$KERNEL")
    find_qemu
    # One thread for both processors: with one for each, a processor may translate kernel code in the moment in which another
    # one patches it, and keep the breakpoint that stands there meanwhile. The guest's kernel then ends in an "int3" oops.
    # shellcheck disable=SC2054 # QEMU's commas
    QEMU+=(-M q35 -accel tcg,thread=single -cpu max -smp 2 -m "$MEMORY" -display none -nodefaults -no-user-config
        -kernel "$kernel/vmlinuz" -initrd "$kernel/initrd" -append "console=ttyS0 panic=-1 $options")
    # A machine whose kernel panics restarts: one that is to be restarted tells by itself that it was not asked to.
    [ "$STARTS" -gt 1 ] || QEMU+=(-no-reboot)
    local others=("${DISKS[@]}")
    DISKS=()
    # What is written to the root goes into a file without a name in TMPDIR, which ends with QEMU.
    export TMPDIR="$MACHINE"
    add_disk root "$(root_image "$KERNEL")" snapshot=on
    add_disk job "$MACHINE/job.tar" readonly=on
    QEMU+=("${DISKS[@]}" "${others[@]}")
}

# boot SECONDS: starts the machine and waits for its end. Returns the command's status, or 125.
boot() {
    local seconds=$1 ended=0
    prepare "systemd.show_status=1"
    truncate -s 4G "$MACHINE/results"
    DISKS=()
    add_disk results "$MACHINE/results"
    mkfifo "$MACHINE/output"
    "${READ_WITH[@]}" <"$MACHINE/output" &
    READER=$!
    # Each is killed when its parent ends, however that ends.
    setpriv --pdeathsig KILL timeout --kill-after=5 "$seconds" setpriv --pdeathsig KILL "${QEMU[@]}" "${DISKS[@]}" \
        -serial "file:$MACHINE/console" -device virtio-serial-pci -chardev "file,id=output,path=$MACHINE/output" \
        -device virtserialport,chardev=output,name=output -monitor none </dev/null >"$MACHINE/qemu" 2>&1 &
    QEMU_PID=$!
    wait "$QEMU_PID" || ended=$?
    QEMU_PID=''
    # Where QEMU never opened it, the reader still waits for somebody who does.
    : 1<>"$MACHINE/output"
    wait "$READER" || true
    READER=''
    judge "$ended" "$seconds"
}

# judge STATUS-OF-QEMU SECONDS: the status that the guest reported with this start's nonce, or 125 with the reason.
judge() {
    local nonce='' status='' reason
    if [ "$1" -eq 0 ] && tar -C "$MACHINE" --no-same-owner -xf "$MACHINE/results" report 2>/dev/null; then
        read -r nonce status <"$MACHINE/report/status" || true
    fi
    if [ "$nonce" = "$NONCE" ] && [[ "$status" =~ ^[0-9]+$ ]]; then
        return "$status"
    fi
    # One that restarts for that may go on until its time is over.
    if grep -aq 'Kernel panic' "$MACHINE/console" 2>/dev/null; then
        reason="its kernel panicked"
    elif [ "$1" -eq 124 ] || [ "$1" -eq 137 ]; then
        reason="it did not end within $2 s"
    elif [ "$1" -ne 0 ]; then
        reason="QEMU ended with status $1: $(tail -n 1 "$MACHINE/qemu")"
    else
        reason="it switched off without a report"
    fi
    keep_console
    {
        tail -n 20 "$LOG" | tr -d '\r' | sed 's/^/  | /'
        printf 'vm: the machine with Linux %s failed: %s\n' "$KERNEL" "$reason"
        printf 'hint: its whole console is in %s' "$LOG"
        [ "$1" -ne 124 ] || printf '; --timeout gives it more time'
        printf '\n'
    } >&2
    return 125
}

# Keeps the console, and the last ten of them.
keep_console() {
    mkdir -p "$VM_CACHE/logs"
    LOG="$VM_CACHE/logs/$(date +%Y%m%d-%H%M%S)-$$-$KERNEL"
    cp "$MACHINE/console" "$LOG" 2>/dev/null || : >"$LOG"
    find "$VM_CACHE/logs" -type f | sort -r | tail -n +11 | xargs -r rm -f
}

bring_results() {
    mkdir -p "$1"
    tar -C "$1" --no-same-owner --strip-components=1 -xf "$MACHINE/results" results 2>/dev/null ||
        progress "no results: the machine did not bring them, or not all of them"
}

# The guest's console is this terminal.
boot_shell() {
    local status=0
    echo shell >"$MACHINE/job/mode"
    stty size | sed -E 's/(.*) (.*)/rows \1 columns \2/' >"$MACHINE/job/size"
    printf '%s\n' "${TERM:-linux}" >"$MACHINE/job/term"
    prepare "quiet systemd.show_status=0"
    progress "starting Linux $KERNEL (about 15 s); 'exit' or 'poweroff' ends it, Ctrl-a x at once"
    TERMINAL=$(stty -g)
    # Beside this shell, which would else answer no signal before QEMU's end; the terminal is QEMU's all the same.
    setpriv --pdeathsig KILL "${QEMU[@]}" -serial mon:stdio <&0 &
    QEMU_PID=$!
    wait "$QEMU_PID" || status=$?
    QEMU_PID=''
    [ "$status" -eq 0 ] || die "the machine ended badly: QEMU ended with status $status"
}
