#!/usr/bin/env bash
# Usage: scripts/check-targets.sh [TARGET...]
#
# Type-checks the core and its bindings for phones and for browsers (which have bindings of their own, web/wasm and
# web/scanner) on a machine that has none of their toolchains. Without targets: aarch64-linux-android,
# x86_64-linux-android, aarch64-apple-ios, and wasm32-unknown-unknown unless PAIRLIGHT_WEB_BUILT says that the page was built
# just now, which is more than a check. Takes targets that rustup has installed; otherwise Debian's rustc-web, cargo-web and
# rust-web-src, with the standard library checked from its sources. C code of dependencies (SQLite, ring, zstd) is not
# compiled: a stand-in for the C compiler makes empty objects, which is enough because nothing is linked. So this proves that
# the Rust code fits the platform, and no more.
# Exit code 3: no toolchain, and the line "skipped: why".
set -euo pipefail
cd "$(dirname "$0")/.."

targets=("$@")
[ "${#targets[@]}" -gt 0 ] ||
    targets=(aarch64-linux-android x86_64-linux-android aarch64-apple-ios)
if [ "$#" -eq 0 ] && [ "${PAIRLIGHT_WEB_BUILT:-}" != yes ]; then
    targets+=(wasm32-unknown-unknown)
fi

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

debian() {
    [ -x /usr/bin/cargo ] && [ -x /usr/bin/rustc ] && [ -d "$(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/library" ]
}

has_target() {
    rustup target list --installed 2> /dev/null | grep -qx "$1"
}

# check PACKAGES TARGET...: in one run of cargo, so that no processor waits.
check() {
    local packages=$1 target name by_rustup=() from_sources=()
    shift
    [ "$#" -gt 0 ] || return 0
    echo "checking for $*"
    export CARGO_TARGET_DIR=$folder
    for target; do
        name=${target//-/_}
        export "CC_$name=$folder/no-c/cc" "AR_$name=$folder/no-c/ar"
        if has_target "$target"; then by_rustup+=(--target "$target"); else from_sources+=(--target "$target"); fi
        # Nobody is asked where Apple's headers are: nothing reads them.
        case $target in *-apple-*) export SDKROOT=$folder/no-c ;; esac
    done
    # shellcheck disable=SC2086
    [ "${#by_rustup[@]}" -eq 0 ] || cargo check --locked --lib $packages "${by_rustup[@]}"
    # shellcheck disable=SC2086
    [ "${#from_sources[@]}" -eq 0 ] || env PATH=/usr/bin:/bin RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 \
        /usr/bin/cargo check --locked --lib -Z build-std=std,panic_abort $packages "${from_sources[@]}"
}

for target in "${targets[@]}"; do
    if ! has_target "$target" && ! debian; then
        echo "skipped: type checks for $target: neither rustup's target nor Debian's rustc-web, cargo-web and rust-web-src is installed"
        exit 3
    fi
done
phones=() browsers=()
for target in "${targets[@]}"; do
    case $target in wasm32-*) browsers+=("$target") ;; *) phones+=("$target") ;; esac
done
# Phones have threads and sockets; browsers have their own, and bindings of their own.
check '-p pairlight-core -p pairlight-bindings' ${phones[@]+"${phones[@]}"}
check '-p pairlight-core -p pairlight-web -p pairlight-web-scanner' ${browsers[@]+"${browsers[@]}"}
# As cargo says it: one test for each.
echo "test result: ok. ${#targets[@]} passed; 0 failed; 0 ignored;"
