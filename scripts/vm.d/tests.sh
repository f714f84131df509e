# shellcheck shell=bash
# Sourced by scripts/vm: builds the tests and the program here, and runs the tests in the guest.

# KERNEL NEED REASON: what a guest cannot have. A test that needs it is skipped there and listed; every other skip is a failure.
EXCUSED=(
    "any|chromium|a page looks the same on every kernel: the browser is on the host"
    "any|node|tools that ask a server are the same on every kernel: they are on the host"
    "any|npm|as node"
    "any|go|as node"
    "any|pip|as node"
    "any|cargo|as node"
    "any|psql|as node"
    "any|ssh|as node"
    "any|dropbear|as node"
    "any|speed|what is only seen where much happens at once (a hundred kills, tens of thousands of processes within seconds) is for the host: an emulated machine is too slow"
    "6.1|landlock>=4|Linux 6.1 has Landlock 2: rules for TCP came with 6.7"
    "6.1|landlock>=7|as landlock>=6"
    "6.12|landlock>=7|Linux 6.12 has Landlock 6: what it refuses is told to the audit since 6.15"
    "6.1|landlock>=6|Linux 6.1 has Landlock 2: scopes came with 6.12"
    "6.1|memfd_noexec|the setting came with Linux 6.3"
)

# The kernel on which everything is run.
WHOLE_KERNEL=6.12

# PART PLACE REASON: tests with that in their names, or those of tests/jail alone (jail/PART), are run in one place: an emulated machine takes half an hour for all. The place
# is the kernel on which everything is run, or this host, where `scripts/test` has run them all. Tests that are named on the
# command line are run on every kernel, and so is all with --whole.
ONCE=(
    "score::|host|a score is computed, not asked of a kernel"
    "policy::|host|what a policy compiles to is computed; the battery asks the kernel"
    "terminal::|host|a terminal's bytes are the same on every kernel"
    "egress::api::|host|what the gate does with what is said to it, over sockets as on every kernel"
    "egress::hostile::|host|as egress::api"
    "egress::first_bytes::|host|as egress::api"
    "egress::flow::|host|as egress::api"
    "egress::addresses::|host|as egress::api"
    "egress::bounds::|host|as egress::api"
    "egress::proxy::|host|as egress::api"
    "egress::change::|host|as egress::api"
    "jail/top::|host|a terminal's bytes are the same on every kernel"
    "jail/people::|host|who sees what, in which size, is for the supervisor and tmux to say"
    "jail/attach_ends::|host|a terminal's bytes are the same on every kernel"
    "jail/exec_running::|host|which descriptors go where is for the supervisor to say"
    "jail/supervisor_bounds::|host|who may call the supervisor, and how much it does for them, is its own to say"
    "jail/supervisor::|6.12|what becomes of agents is for the supervisor to say"
    "jail/supervisor_proofs::|6.12|what a supervisor comes back to is in its files"
    "jail/supervisor_trouble::|6.12|what a supervisor does about trouble is its own to say"
    "jail/verify::|host|how verify asks and tells; the battery asks the kernel"
    "restarted::|6.12|what becomes of agents is in files; the machine is restarted once"
    "battery::what_nothing_else_stops_|6.12|what a wall stops alone; that each wall stops is in the whole battery, on every kernel"
    "battery::a_session_led_from_|host|how the battery looks at sessions"
    "battery::without_any_jail_|host|the controls are in the whole battery, too"
    "jail/alerts::|host|who is told of what, and how, is for files and sockets to say"
    "jail/alerts_bad::|host|as alerts"
    "jail/jobs::|6.12|what an agent may ask for is for the supervisor to say"
    "jail/watch_rules::|6.12|what is done about what was seen; that it is seen is tried on every kernel"
    "jail/watch_races::|6.12|as watch_rules"
)
# The programs that are run on the others.
ON_EVERY_KERNEL=(src/lib.rs tests/jail/main.rs)

# Kernels on which /var/tmp, where the tests put what must be on a disk, is xfs. On the others it is ext4.
WITH_XFS=(7.3)

# excuses KERNEL: lines of NEED|REASON.
excuses() {
    local entry
    for entry in "${EXCUSED[@]}"; do
        case "$entry" in
            any\|* | "$1"\|*) printf '%s\n' "${entry#*|}" ;;
        esac
    done
}

run_tests() {
    [ "$GUEST_USER" = root ] || die "the tests run as root" "leave --user out"
    [ -z "$RESULTS" ] || die "the tests have no results but their output" "leave --results out"
    [ ${#CHOSEN[@]} -gt 0 ] || CHOSEN=("${KERNELS[@]}")
    local kernel
    build_all "${CHOSEN[@]}"
    build_claude
    build_tests
    new_folder
    stage
    local all_well=yes at_once
    at_once=$(machines_at_once)
    # Each worker is a process group, so that its end takes the reader of its machine along.
    set -m
    for kernel in "${CHOSEN[@]}"; do
        while [ "$(jobs -pr | wc -l)" -ge "$at_once" ]; do wait -n || true; done
        test_on "$kernel" &
    done
    wait
    set +m
    for kernel in "${CHOSEN[@]}"; do
        [ -e "$SCRATCH/well-$kernel" ] || all_well=''
        cat "$SCRATCH/summary-$kernel" 2>/dev/null || printf 'Linux %s: failed: its worker ended without a word\n' "$kernel"
    done
    [ -n "$all_well" ] || progress "the whole output of the tests is in $LOGS"
    [ -n "$all_well" ]
}

# As many as keep all processors busy to the end, and as there is memory for; one at least. A machine fills one processor: with
# a half more of them than processors, none is idle while the last one runs alone.
machines_at_once() {
    local by_memory processors
    by_memory=$(awk -v each=$((MEMORY + 1024)) '/^MemAvailable:/ { print int($2 / 1024 / each) }' /proc/meminfo)
    processors=$(($(nproc) * 3 / 2))
    [ "$by_memory" -ge "$processors" ] || processors=$by_memory
    echo $((processors > 1 ? processors : 1))
}

# The tests use the C library of the guest: it must not be older than the one here. The program is static.
# Sets BINARY, TESTS (lines of source file and program) and SOURCE, the folder whose path is compiled in.
build_tests() {
    build_release >&2 || die "cannot build cellblock" "the compiler's messages above say why"
    [ -n "$BUILD_TARGET" ] || die "cannot build the static binary: it is what is tested" "install rustup: it brings the target $MUSL_TARGET"
    progress "building the tests (minutes the first time)"
    local messages
    messages=$(cargo test --locked --no-run "${QUIET[@]}" --message-format json) ||
        die "cannot build the tests" "cargo test --no-run says why"
    TESTS=$(sed -nE 's/.*"src_path":"([^"]+)".*"profile":\{[^}]*"test":true\}.*"executable":"([^"]+)".*/\1\t\2/p' <<<"$messages" | sort -u)
    SOURCE=$(sed -nE 's/.*"manifest_path":"([^"]+)\/Cargo.toml".*"profile":\{[^}]*"test":true\}.*/\1/p' <<<"$messages" | head -n 1)
    [ -n "$TESTS" ] || die "cargo built no tests" "cargo test --no-run --message-format json should name their programs"
}

# The payload: the sources and the tests' programs, each to stand where it stands here.
stage() {
    local payload=$SCRATCH/payload source program deps=''
    progress "packing the tests"
    mkdir -p "$payload"/{source,programs}
    git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' source; do
        [ ! -e "$source" ] || printf '%s\0' "$source"
    done | tar -cf - --null --files-from=- | tar -C "$payload/source" -xf - --no-same-owner
    while IFS=$'\t' read -r source program; do
        strip --strip-debug -o "$payload/programs/${program##*/}" "$program"
        deps=${program%/*}
        printf '%s\t%s\n' "${source#"$SOURCE"/}" "$program" >>"$payload/list"
    done <<<"$TESTS"
    # Where cargo builds inside the sources, which the guest cannot write: the place must be there.
    [[ "$deps" != "$SOURCE"/* ]] || mkdir -p "$payload/source/${deps#"$SOURCE"/}"
    printf 'source\t%s\nprograms\t%s\n' "$SOURCE" "$deps" >"$payload/places"
    chmod -R a+rX "$payload"
    truncate -s $(($(du -sm "$payload" | cut -f 1) * 5 / 4 + 32))M "$SCRATCH/payload.img"
    mke2fs -q -t ext4 -O ^has_journal -E root_owner=0:0 -d "$payload" "$SCRATCH/payload.img"
}

# chosen: whether somebody has said which tests are run.
chosen() {
    [ -n "$WHOLE" ] || [ "${#WORDS[@]}" -gt 0 ]
}

# once KERNEL: the lines of ONCE that are not run on it.
once() {
    local entry place
    ! chosen || return 0
    for entry in "${ONCE[@]}"; do
        place=${entry#*|}
        place=${place%%|*}
        case "$place" in
            host) [ "$1" = "$WHOLE_KERNEL" ] && [ -z "$BESIDE_HOST" ] || printf '%s\n' "$entry" ;;
            "$1") ;;
            *) printf '%s\n' "$entry" ;;
        esac
    done
}

# What is not run on KERNEL, a line each: where it is, what, and why not here.
left_out() {
    local part place reason source
    while IFS='|' read -r part place reason; do
        [ "$place" != host ] || [ -n "$BESIDE_HOST" ] || place=$WHOLE_KERNEL
        printf 'on %s alone: *%s* (%s)\n' "${place/host/the host}" "$part" "$reason"
    done < <(once "$1")
    ! chosen && [ "$1" != "$WHOLE_KERNEL" ] || return 0
    while IFS=$'\t' read -r source _; do
        [[ " ${ON_EVERY_KERNEL[*]} " == *" $source "* ]] ||
            printf 'on %s alone: %s (of the program as a user calls it, not of a kernel)\n' "$WHOLE_KERNEL" "$source"
    done <"$SCRATCH/payload/list"
}

# restarts KERNEL FILTER...: whether the tests that a restart of the machine lies between are run.
restarts() {
    chosen || [ "$1" = "$WHOLE_KERNEL" ] || return 1
    shift
    [ $# -eq 0 ] || [[ " $*" == *" restarted::"* ]]
}

# restart_script WHEN: what it does `before` a restart of the machine, when all others are done, and `after` it.
# shellcheck disable=SC2016 # the guest's shell
restart_script() {
    printf '[ "$status" -eq 0 ] || exit "$status"\nexport CELLBLOCK_RESTART=%q\n' "$1"
    printf 'PROGRAM=%q\n' "$(sed -n 's/^tests\/jail\/main.rs\t//p' "$SCRATCH/payload/list")"
    printf 'echo "     Running tests/jail/main.rs %s a restart"\n' "$1"
    printf '"$PROGRAM" --show-output %q </dev/null >/run/restarted || status=$?\ncat /run/restarted\n' "restarted::$1"
    # A name that fits none is no success.
    printf 'grep -q "^test result: ok. 1 passed" /run/restarted || status=101\n'
}

# guest_environment KERNEL: what the tests are told there.
guest_environment() {
    local needs
    needs=$(excuses "$1" | cut -d '|' -f 1 | paste -sd ,)
    printf 'export CELLBLOCK_BINARY=/usr/local/bin/cellblock CELLBLOCK_REQUIRE=all CELLBLOCK_TEST_PATIENCE=15 CELLBLOCK_DISPOSABLE=1\n'
    printf 'export CELLBLOCK_REQUIRE_EXCEPT=%q PROPTEST_DISABLE_FAILURE_PERSISTENCE=1\n' "$needs"
    [ -z "${CELLBLOCK_CLAUDE:-}" ] || printf 'export CELLBLOCK_CLAUDE=/srv/claude-code/claude\n'
    printf 'cd %q || exit\nstatus=0\n' "$SOURCE"
}

# guest_script KERNEL FILTER...: what the guest's shell does.
guest_script() {
    local kernel=$1 part skips=() in_jail=() programs=()
    shift
    while IFS='|' read -r part _; do
        case "$part" in
            jail/*) in_jail+=(--skip "${part#jail/}") ;;
            *) skips+=(--skip "$part") ;;
        esac
    done < <(once "$kernel")
    chosen || [ "$kernel" = "$WHOLE_KERNEL" ] || programs=("${ON_EVERY_KERNEL[@]}")
    skips+=(--skip restarted::)
    guest_environment "$kernel"
    printf 'PROGRAMS=%q\nIN_JAIL=(' " ${programs[*]} "
    [ ${#in_jail[@]} -eq 0 ] || printf ' %q' "${in_jail[@]}"
    printf ')\nset --'
    [ $# -eq 0 ] || printf ' %q' "$@"
    [ ${#skips[@]} -eq 0 ] || printf ' %q' "${skips[@]}"
    [[ " ${WITH_XFS[*]} " != *" $kernel "* ]] ||
        printf '\ntruncate -s 1G /srv/xfs && mkfs.xfs -q /srv/xfs && mount -o loop,pquota /srv/xfs /var/tmp && chmod 1777 /var/tmp || exit'
    cat <<'END'

# Debian turns it off, and would hide whether a jail refuses it, too.
[ ! -e /proc/sys/dev/tty/legacy_tiocsti ] || echo 1 >/proc/sys/dev/tty/legacy_tiocsti
while IFS=$'\t' read -r source program; do
    [[ "$PROGRAMS" = *[a-z]* && "$PROGRAMS" != *" $source "* ]] && continue
    echo "     Running $source"
    more=()
    [ "$source" != tests/jail/main.rs ] || more=("${IN_JAIL[@]}")
    "$program" --show-output "$@" "${more[@]}" </dev/null || { ended=$?; status=1; echo "PROGRAM $source ended with status $ended"; }
done </run/vm/payload/list
END
}

# end_with_script GROUP: ends a worker whose script is killed.
end_with_script() {
    exec >/dev/null 2>&1
    tail --pid $$ -f /dev/null
    kill -KILL -- "-$1"
}

# A worker, beside those of the other kernels. Leaves its lines of the summary in $SCRATCH/summary-$kernel, and the file
# $SCRATCH/well-$kernel where all is well.
test_on() {
    # Behind `&` it would be the watcher's.
    local kernel=$1 status=0 begun=$SECONDS worker=$BASHPID
    end_with_script "$worker" &
    # shellcheck disable=SC2064 # this watcher
    trap "kill $!; end_machine" EXIT
    progress "testing on Linux $kernel"
    new_machine "$kernel"
    cp "$BINARY" "$MACHINE/job/cellblock"
    local jobs=("$(guest_script "$kernel" "${WORDS[@]}")")
    if restarts "$kernel" "${WORDS[@]}"; then
        jobs[0]+=$'\n'$(restart_script before)
        jobs+=("$(guest_environment "$kernel")"$'\n'"$(restart_script after)")
    fi
    # shellcheck disable=SC2016 # the guest's shell
    job "${jobs[@]/%/$'\nexit $status'}"
    add_disk payload "$SCRATCH/payload.img" readonly=on
    [ -z "${CELLBLOCK_CLAUDE:-}" ] || add_disk claude "$(claude_image)" readonly=on
    # shellcheck disable=SC2034 # machine.sh reads it
    READ_WITH=(digest "linux-$kernel" "$kernel: ")
    boot "${TIMEOUT:-4500}" || status=$?
    rm -rf "$MACHINE"
    count "$kernel" "$status" $((SECONDS - begun)) >"$SCRATCH/summary-$kernel" || return
    : >"$SCRATCH/well-$kernel"
}

# count KERNEL STATUS SECONDS: prints what was skipped, what failed and the kernel's own line. Fails unless all is well.
count() {
    local kernel=$1 log=linux-$1 passed line failures skips
    passed=$(proved_in "$log")
    mapfile -t skips < <(skips_in "$log")
    mapfile -t failures < <(failures_in "$log")
    if [ "$2" -eq 125 ]; then
        failures+=("the machine did not report")
    elif [ "$2" -ne 0 ] && [ "${#failures[@]}" -eq 0 ]; then
        mapfile -t failures < <(sed -n 's/^PROGRAM //p' "$LOGS/$log")
    fi
    [ $((passed + ${#failures[@]} + ${#skips[@]})) -gt 0 ] || failures+=("no test ran")
    for line in "${skips[@]}"; do printf 'Linux %s: skipped: %s\n' "$kernel" "$line$(reason_of "$kernel" "$line")"; done
    while IFS= read -r line; do printf 'Linux %s: %s\n' "$kernel" "$line"; done < <(left_out "$kernel")
    for line in "${failures[@]}"; do printf 'Linux %s: failed: %s\n' "$kernel" "$line"; done
    printf 'Linux %s: %s passed, %s failed, %s skipped (in %s s)\n' "$kernel" "$passed" "${#failures[@]}" "${#skips[@]}" "$3"
    [ "$2" -eq 0 ] && [ ${#failures[@]} -eq 0 ] && [ "$passed" -gt 0 ]
}

# Why a guest cannot have what the line of a skip says that it lacks.
reason_of() {
    local need reason
    while IFS='|' read -r need reason; do
        [[ "$2" != *" needs $need: "* ]] || printf ' (%s)' "$reason"
    done < <(excuses "$1")
}

claude_image() {
    echo "$VM_CACHE/claude-$(stat -L -c '%s %Y' "$CELLBLOCK_CLAUDE" | sha256sum | cut -c 1-12).img"
}

# A disk with the Claude Code that CELLBLOCK_CLAUDE names.
build_claude() {
    if [ -z "${CELLBLOCK_CLAUDE:-}" ]; then
        EXCUSED+=("any|claude|CELLBLOCK_CLAUDE is not set here")
        return 0
    fi
    [ -x "$CELLBLOCK_CLAUDE" ] || die "cannot run $CELLBLOCK_CLAUDE: CELLBLOCK_CLAUDE names it" "unset CELLBLOCK_CLAUDE, or name the program"
    [ ! -e "$(claude_image)" ] || return 0
    lock_cache
    rm -f "$VM_CACHE"/claude-*
    made "$(claude_image)" "the disk with Claude Code" pack_claude
    unlock_cache
}

pack_claude() {
    mkdir "$1/claude"
    chmod 755 "$1/claude"
    install -m 755 "$CELLBLOCK_CLAUDE" "$1/claude/claude"
    truncate -s $(($(du -sm "$1/claude" | cut -f 1) * 6 / 5 + 32))M "$1/image"
    mke2fs -q -t ext4 -O ^has_journal -E root_owner=0:0 -d "$1/claude" "$1/image"
}
