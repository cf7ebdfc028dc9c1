#!/usr/bin/env bash
# Usage: scripts/check-targets.sh [TARGET...]
#
# Type-checks the core and the bindings for phones, and the core for browsers when wasm32-unknown-unknown is named, on a
# machine that has none of their toolchains. Without targets: aarch64-linux-android and aarch64-apple-ios. Takes
# targets that rustup has installed; otherwise Debian's rustc-web, cargo-web and rust-web-src, with the standard library
# checked from its sources. C code of dependencies (SQLite, ring, zstd) is not compiled: a stand-in for the C compiler makes
# empty objects, which is enough because nothing is linked. So this proves that the Rust code fits the platform, and no more.
# Exit code 3: no toolchain, and the line "skipped: why".
set -euo pipefail
cd "$(dirname "$0")/.."

targets=("$@")
[ "${#targets[@]}" -gt 0 ] ||
    targets=(aarch64-linux-android aarch64-apple-ios)

folder=${CARGO_TARGET_DIR:-target}
case $folder in /*) ;; *) folder=$PWD/$folder ;; esac
folder=$folder/targets
mkdir -p "$folder/no-c"
# Answers as a C compiler and as an archiver that did their work.
cat > "$folder/no-c/cc" << 'STANDIN'
#!/bin/sh
out=
while [ $# -gt 0 ]; do
    case $1 in
        -o) out=$2; shift ;;
        -E) exec cc "$@" -x c ;;
    esac
    shift
done
[ -z "$out" ] || : > "$out"
STANDIN
cat > "$folder/no-c/ar" << 'STANDIN'
#!/bin/sh
for word; do case $word in *.a) : > "$word" ;; esac; done
STANDIN
chmod +x "$folder/no-c/cc" "$folder/no-c/ar"

# Which packages and features: the bindings where there are threads and sockets, the core alone in a browser.
what() {
    case $1 in
        wasm32-*) echo "-p pairlight-core" ;;
        *) echo "-p pairlight-core -p pairlight-bindings" ;;
    esac
}

debian() {
    [ -x /usr/bin/cargo ] && [ -x /usr/bin/rustc ] && [ -d "$(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/library" ]
}

has_target() {
    rustup target list --installed 2> /dev/null | grep -qx "$1"
}

check() {
    local target=$1 name
    name=${target//-/_}
    export "CC_$name=$folder/no-c/cc" "AR_$name=$folder/no-c/ar" CARGO_TARGET_DIR=$folder
    # Nobody is asked where Apple's headers are: nothing reads them.
    case $target in *-apple-*) export SDKROOT=$folder/no-c ;; *) unset SDKROOT ;; esac
    # shellcheck disable=SC2046
    if has_target "$target"; then
        cargo check --locked --lib --target "$target" $(what "$target")
    else
        env PATH=/usr/bin:/bin RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 /usr/bin/cargo check --locked --lib \
            -Z build-std=std,panic_abort --target "$target" $(what "$target")
    fi
}

for target in "${targets[@]}"; do
    if ! has_target "$target" && ! debian; then
        echo "skipped: type checks for $target: neither rustup's target nor Debian's rustc-web, cargo-web and rust-web-src is installed"
        exit 3
    fi
done
for target in "${targets[@]}"; do
    echo "checking for $target"
    check "$target"
done
