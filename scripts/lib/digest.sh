# shellcheck shell=bash
# Sourced by the scripts that run tests: what a person must see of their output, and all of it in a file.

LOGS="${CARGO_TARGET_DIR:-target}/test-logs"

# digest NAME [MARK]: reads the output of test programs, writes it to $LOGS/NAME and prints it without the tests that passed
# and what they said, and without programs that ran none; how many passed is told as they pass. MARK stands before each line,
# where several are read at once.
digest() {
    local line passed=0 hidden='' program='' terminal='' mark=${2:-}
    [ -n "$mark" ] || [ ! -t 1 ] || terminal=yes
    mkdir -p "$LOGS"
    while IFS= read -r line || [ -n "$line" ]; do
        printf '%s\n' "$line" >&3
        case "$line" in
            'test '*' ... ok') passed=$((passed + 1)) && tell_passed; continue ;;
            *' Running '* | *' Doc-tests '*) program=$line hidden='' && continue ;;
            'running 0 tests') hidden=program && continue ;;
            'running '*) printf '%s%s: %s\n' "$mark" "$program" "${line#running }" && continue ;;
            successes:) hidden=${hidden:-successes} ;;
            failures: | 'test result: '*) [ "$hidden" = program ] || hidden='' ;;
        esac
        [ -n "$hidden" ] || [ -z "$line" ] || printf '%s%s\n' "${terminal:+$'\r\e[K'}" "$mark$line"
    done 3>"$LOGS/$1"
}

tell_passed() {
    if [ -n "$terminal" ]; then
        printf '\r%s tests passed' "$passed"
    elif [ $((passed % 50)) -eq 0 ]; then
        printf '%s%s tests passed\n' "$mark" "$passed"
    fi
}

# passed_in NAME: over all test programs whose output is in $LOGS/NAME.
passed_in() {
    sed -nE 's/^test result: .* ([0-9]+) passed;.*/\1/p' "$LOGS/$1" | awk '{ sum += $1 } END { print sum + 0 }'
}

# skips_in NAME: a line for each test that did not run, with its reason.
skips_in() {
    sed -nE 's/^SKIP ([^ ].*)/\1/p; s/^test (.*) \.\.\. ignored(, )?(.*)/\1: ignored \3/p' "$LOGS/$1" | sort -u
}

# proved_in NAME: how many tests passed and did not skip. A test that printed SKIP ended well for itself, but proved
# nothing; an attempt is one of many in a test that ran.
proved_in() {
    local skipped
    skipped=$(skips_in "$1" | sed -nE '/: ignored /!s/^([^:]+):.*/\1/p' | sort -u | grep -vc '^attempt_' || true)
    echo $(($(passed_in "$1") - skipped))
}

# failures_in NAME
failures_in() {
    sed -nE 's/^test (.*) \.\.\. FAILED$/\1/p' "$LOGS/$1" | sort
}
