#!/usr/bin/env bash
# Usage: scripts/size-report.sh [--update]
#
# How large the library of the bindings is, stripped, as it is and packed: the scanner alone, and the whole kit; and whether its
# segments are aligned to pages of 16 KB. Built for this machine as apps get it (scripts/phone-flags.sh): `make android` prints a
# phone's figures where it runs. On x86_64 Linux it is compared with bindings/size.txt: exit code 1 when one has grown by more than
# 5 percent. --update writes that file anew: a growth that is meant is seen in its commit. Takes some minutes the first time.
set -euo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}
case $target in /*) ;; *) target=$PWD/$target ;; esac
out=$target/size
committed=bindings/size.txt
mkdir -p "$out"
. scripts/phone-flags.sh
# report NAME CARGO-FLAGS...
report() {
    local name=$1
    shift
    # Pages of 4 KB are the default of linkers for desktops; Android's NDK aligns to 16 KB by itself.
    "${phone[@]}" cargo rustc --locked --quiet --profile phone -p pairlight-bindings --lib --crate-type cdylib "$@" -- \
        -C link-arg=-Wl,-z,max-page-size=16384
    strip -o "$out/$name.so" "$target/phone/libpairlight_bindings.so"
}
report scanner-only --no-default-features
report whole-kit
scripts/check-elf.sh "$out/scanner-only.so" "$out/whole-kit.so"

if [ "$(uname -sm)" != 'Linux x86_64' ]; then
    echo "not compared: $committed has the figures of x86_64 Linux"
    exit 0
fi
if [ "${1:-}" = --update ]; then
    {
        echo '# Bytes of the library for apps, stripped, built for x86_64 Linux; scripts/size-report.sh --update writes them.'
        for name in scanner-only whole-kit; do
            echo "$name $(wc -c < "$out/$name.so")"
        done
    } > "$committed"
    exit 0
fi
status=0
for name in scanner-only whole-kit; do
    now=$(wc -c < "$out/$name.so")
    before=$(awk -v name="$name" '$1 == name { print $2 }' "$committed")
    [ -n "$before" ] || { echo "$committed does not name $name" >&2; exit 1; }
    awk -v name="$name" -v now="$now" -v before="$before" 'BEGIN {
        printf "%s: %d bytes, %+.1f %% of the %d that are committed\n", name, now, (now - before) * 100 / before, before
        exit now > before * 1.05
    }' || { echo "$name has grown by more than 5 %: scripts/size-report.sh --update, if that is meant"; status=1; }
done
exit "$status"
