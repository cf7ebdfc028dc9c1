#!/usr/bin/env bash
# Usage: scripts/size-report.sh
#
# How large the library of the bindings is, stripped, as it is and packed: the scanner alone, and the whole kit; and whether its
# segments are aligned to pages of 16 KB. Built for this machine as apps get it (scripts/phone-flags.sh): `make android` prints a
# phone's figures where it runs. Takes some minutes the first time.
set -euo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}
case $target in /*) ;; *) target=$PWD/$target ;; esac
out=$target/size
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
