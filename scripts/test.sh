#!/usr/bin/env bash
# Everything that must hold before a change is merged, as `make test` runs it. Every step runs even when one before it
# failed. The last line counts tests: "N passed, N failed, N skipped"; a step that fails as a whole counts as one failure.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

export CARGO_TERM_COLOR=never
# Nothing is built twice on a machine that is thrown away.
[ -z "${CI:-}" ] || export CARGO_INCREMENTAL=0

log=$(mktemp)
trap 'rm -f "$log"' EXIT
passed=0 failed=0 skipped=0
times=() reasons=() last=

# Shows of cargo's output what a reader needs: no dependency, no passing test, nothing that passing tests print
# except why they skipped.
readable() {
    local line hidden=''
    while IFS= read -r line; do
        case $line in
            successes:) hidden=yes ;;
            failures: | 'test result: '*) hidden='' ;;
        esac
        case $line in
            'skipped: '*) ;;
            *' Compiling pairlight-'* | *' Checking pairlight-'*) ;;
            '' | 'running '*' test'* | 'test '*' ... ok') continue ;;
            *' Compiling '* | *' Checking '* | *' Downloading '* | *' Downloaded '* | *' Blocking '*) continue ;;
            *) [ -z "$hidden" ] || continue ;;
        esac
        printf '%s\n' "$line"
    done
}

# step NAME COMMAND...
# A command that ends with 3 lacks something here and has said "skipped: why".
step() {
    local name=$1 began=$SECONDS outcome=ok counted=0
    shift
    printf '\n== %s: %s\n' "$name" "$*"
    "$@" 2>&1 | tee "$log" | readable
    case ${PIPESTATUS[0]} in
        0) ;;
        3) outcome=skipped ;;
        *) outcome=FAILED ;;
    esac
    last=$outcome
    if [ "$outcome" = skipped ]; then
        echo 'test result: ok. 1 passed; 0 failed; 0 ignored;' >> "$log"
    fi
    count_tests
    if [ "$outcome" = FAILED ] && [ "$counted" -eq 0 ]; then
        failed=$((failed + 1))
    fi
    times+=("$(printf '%-10s %7s  %4d s' "$name" "$outcome" $((SECONDS - began)))")
}

# Adds up the result lines of all test programs in the log. A test that says "skipped: why" passed for cargo; here it
# counts as skipped.
count_tests() {
    local p f s line
    read -r p f s < <(awk '
        /^test result: /        { p += $4; f += $6; s += $8; split("", seen) }
        /^---- .* stdout ----$/ { test = $2 }
        /^skipped: /            { if (!seen[test]++) { p--; s++ } }
        END                     { print p + 0, f + 0, s + 0 }' "$log")
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s)) counted=$f
    while IFS= read -r line; do
        reasons+=("$line")
    done < <(grep -E '^skipped: |^test .* \.\.\. ignored' "$log" | sort -u)
}

skip() {
    echo
    echo "skipped: $1"
    reasons+=("skipped: $1")
    skipped=$((skipped + 1))
}

floors() {
    local name=$1
    shift
    step "$name" cargo clippy --locked -p pairlight-core --no-default-features "$@" -- -D warnings
}

# The second implementation of the protocol: type-checked and compiled here, run by tests/tests/interop.rs.
interop() {
    if ! command -v npm > /dev/null; then
        echo 'npm is not installed: tests/tests/interop.rs will say what it skips'
    elif ! npm ci --prefix tests/interop --no-progress --silent; then
        echo 'its packages could not be fetched: tests/tests/interop.rs will say what it skips'
    else
        step interop tests/interop/node_modules/.bin/tsc -p tests/interop
    fi
}

# The page for browsers: built here, so that the relay carries it, and tested at the end.
page() {
    step page scripts/make-web.sh
    # Not one that an earlier run built.
    [ "$last" != ok ] || export PAIRLIGHT_WEB_BUILT=yes
}

step format cargo fmt --all --check
step lint cargo clippy --locked --workspace --all-targets -- -D warnings
interop
page
# Tests that run the program from outside use the one that this step has built anyway.
target=${CARGO_TARGET_DIR:-target}
case $target in /*) ;; *) target=$PWD/$target ;; esac
export PAIRLIGHT_BIN=$target/debug/pairlight
step tests cargo test --locked --workspace --no-fail-fast -- --show-output
# Features gate whole floors of the core: each must build without the others.
floors core-bare
floors core-scan --features scan
floors core-store --features store
# The libraries for phones, as far as they run here: each script says what it shows and what not.
step kotlin scripts/test-android.sh
step swift scripts/test-ios.sh
step browser scripts/test-web.sh
step targets scripts/check-targets.sh
# Built anew with all optimisation, some minutes: where it matters that a growth is seen, not at each try.
if [ -n "${CI:-}" ]; then
    step size scripts/size-report.sh
else
    skip 'the size of the library for apps beside the committed one is compared in CI (CI=1), and by scripts/size-report.sh'
fi
# Licences, sources and versions are tested above as well (tests/tests/dependencies.rs); cargo-deny adds other systems.
if command -v cargo-deny > /dev/null; then
    step deny cargo deny --locked check licenses bans sources
else
    skip 'cargo-deny is not installed (cargo install cargo-deny); its rules for this system ran as tests'
fi

printf '\n== summary\n'
printf '%s\n' "${times[@]}"
[ "${#reasons[@]}" -eq 0 ] || printf '%s\n' "${reasons[@]}"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
