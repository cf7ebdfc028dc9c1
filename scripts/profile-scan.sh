#!/usr/bin/env bash
# Usage: scripts/profile-scan.sh MANIFEST [ARGUMENTS-OF-BENCH-SCAN...]
#
# Counts the instructions of each stage of the scanner with valgrind (callgrind) over the pictures of a manifest, or of one
# set of it (--set NAME, --limit N). A stage is a file of core/src/scan: its functions with all that is inlined into them.
# Copies and fills by the C library are not counted. Instructions are the same on every run; time is not.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v valgrind > /dev/null || { echo "profile-scan: install valgrind first" >&2; exit 2; }
[ $# -ge 1 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }

cargo build --locked --release --manifest-path bench-scan/Cargo.toml --no-default-features --target-dir bench-scan/target/alone
out=$(mktemp)
trap 'rm -f "$out"' EXIT
valgrind --tool=callgrind --callgrind-out-file="$out" bench-scan/target/alone/release/bench-scan photos "$@" --peers ours > /dev/null 2>&1
awk '
    # fn= begins a function, cfn= a call of one; "(7) name" names it, "(7)" repeats it. The line after calls= is the cost of
    # the callee.
    /^c?fn=/ {
        is_call = /^c/
        id = $0; sub(/^c?fn=/, "", id); text = id
        sub(/ .*/, "", id)
        if (text ~ / /) { sub(/^\([0-9]+\) /, "", text); name[id] = text }
        if (is_call) next
        stage = ""
        if (match(name[id], /pairlight_core::scan::[a-z_]+/)) stage = substr(name[id], RSTART + 22, RLENGTH - 22)
        else if (name[id] ~ /rqrr::/) stage = "decode (rqrr)"
        next
    }
    /^calls=/ { skip = 1; next }
    /^[+*0-9-]/ {
        if (skip) { skip = 0; next }
        if (stage != "") { sum[stage] += $2; all += $2 }
    }
    END {
        for (stage in sum) printf "%14.0f %6.1f %%  %s\n", sum[stage], 100 * sum[stage] / all, stage
        printf "%14.0f  100.0 %%  all\n", all
    }' "$out" | sort -rn
