# shellcheck shell=bash
# Sourced by the scripts that need something on this machine. Every need_* function is quick and silent where nothing is
# missing; otherwise it says what it installs and why, or ends with the cure.

MUSL_TARGET="$(uname -m)-unknown-linux-musl"
CACHE="${XDG_CACHE_HOME:-${HOME:?HOME must be set}/.cache}/cellblock"

# For cargo: its bar of progress is for a terminal, and a line for each crate is no progress elsewhere.
QUIET=()
[ -t 2 ] || QUIET=(--quiet)

say() {
    printf '==> %s\n' "$*"
}

die() {
    printf '%s: %s\n' "${0##*/}" "$1" >&2
    [ $# -lt 2 ] || printf 'hint: %s\n' "$2" >&2
    exit 1
}

have() {
    command -v "$1" >/dev/null 2>&1
}

# need_program PROGRAM PACKAGE WHY: installs the Debian package that brings PROGRAM.
need_program() {
    local program=$1 package=$2 why=$3
    ! have "$program" || return 0
    have apt-get || die "cannot find $program: needed $why" "install it with this system's package manager, then run this again"
    [ "$(id -u)" -eq 0 ] || die "cannot install $package: needed $why, and this is not root" "sudo apt-get install $package"
    say "installing $package: needed $why"
    apt_get install -y --no-install-recommends "$package" ||
        { apt_get update && apt_get install -y --no-install-recommends "$package"; } ||
        die "cannot install $package" "see the messages of apt-get above"
}

apt_get() {
    DEBIAN_FRONTEND=noninteractive apt-get -q "$@" >&2
}

# What a build needs. Sets BUILD_TARGET: the musl target, or empty where it cannot be had.
need_rust() {
    [ -d "$HOME/.cargo/bin" ] && PATH="$HOME/.cargo/bin:$PATH"
    have cargo || die "cannot find cargo: Rust builds cellblock" "install Rust 1.90 or newer: package rustup, then 'rustup default stable'"
    need_program cc gcc "to link the program"
    need_musl
}

need_musl() {
    BUILD_TARGET=$MUSL_TARGET
    if [ -d "$(rustc --print sysroot)/lib/rustlib/$MUSL_TARGET/lib" ]; then
        need_program musl-gcc musl-tools "to build the cryptography of TLS for a static binary"
        return 0
    fi
    if ! have rustup; then
        say "no rustup, so no $MUSL_TARGET target: building for the host's own target instead (starts slower, not static)"
        BUILD_TARGET=''
        return 0
    fi
    say "adding the Rust target $MUSL_TARGET: the shipped binary is static"
    rustup target add "$MUSL_TARGET" >&2 || die "cannot add the Rust target $MUSL_TARGET" "check the network, then run this again"
    need_program musl-gcc musl-tools "to build the cryptography of TLS for a static binary"
}

# Builds the release binary and sets BINARY to its path.
build_release() {
    need_rust
    say "building the release binary${BUILD_TARGET:+ for $BUILD_TARGET} (minutes the first time)"
    cargo build --release --locked "${QUIET[@]}" ${BUILD_TARGET:+--target "$BUILD_TARGET"} || return 1
    # shellcheck disable=SC2034 # read by the scripts that source this
    BINARY="${CARGO_TARGET_DIR:-target}/${BUILD_TARGET:+$BUILD_TARGET/}release/cellblock"
}

need_cargo_deny() {
    ! have cargo-deny || return 0
    say "installing cargo-deny into ~/.cargo/bin: checks licences and advisories of the dependencies (some minutes, once)"
    cargo install --locked --quiet cargo-deny || die "cannot install cargo-deny" "check the network, then: cargo install --locked cargo-deny"
}

# A browser, for the test that looks at a report as a person would; it is skipped, aloud, where there is none.
offer_chromium() {
    local name
    for name in chromium chromium-browser google-chrome; do
        ! have "$name" || return 0
    done
    (need_program chromium chromium "to look at the page of an escape report, by a test (large)") ||
        say "there is no chromium: the tests that need it are skipped"
}

# The real Claude Code, for the tests that start it in a jail. Exports CELLBLOCK_CLAUDE, its path; leaves it unset
# (and the tests then skip, aloud) where npm cannot bring it.
offer_claude() {
    local folder="$CACHE/claude-code" log
    if [ ! -e "$folder/node_modules/.bin/claude" ]; then
        have npm || need_program npm npm "to fetch Claude Code, which the tests jail"
        say "fetching the npm package @anthropic-ai/claude-code into $folder: the tests start it in a jail (large, once)"
        mkdir -p "$folder"
        log="$folder/npm.log"
        if ! npm install --prefix "$folder" --no-audit --no-fund --loglevel=error @anthropic-ai/claude-code >"$log" 2>&1; then
            say "cannot fetch it ($log says why): the tests that need it are skipped"
            return 0
        fi
    fi
    # The package's own program is a stand-in until its install script has run, which npm may not let it.
    local program
    for program in "$folder"/node_modules/@anthropic-ai/claude-code-linux-*/claude; do
        case "$program" in
            *-musl/claude) ;;
            *) [ ! -x "$program" ] || export CELLBLOCK_CLAUDE="$program" ;;
        esac
    done
    [ -n "${CELLBLOCK_CLAUDE:-}" ] || say "the package has no program for this machine: the tests that need it are skipped"
}
