#!/usr/bin/env bash
# Usage: scripts/make-web.sh
#
# Builds the page and the package @pairlight/web into web/dist: the core as WebAssembly, the JavaScript that wasm-bindgen writes
# for it, the TypeScript around it. Takes rustup's wasm32-unknown-unknown when it is installed (rustup target add
# wasm32-unknown-unknown); otherwise Debian's rustc-web, cargo-web and rust-web-src, which build the standard library too.
# Does nothing but bundle when no Rust source changed. Exit code 3: something is missing, and the line "skipped: why".
set -euo pipefail
cd "$(dirname "$0")/.."

skip() {
    echo "skipped: the page for browsers: $1"
    exit 3
}
command -v npm > /dev/null || skip 'there is no npm'

target=${CARGO_TARGET_DIR:-target}
case $target in /*) ;; *) target=$PWD/$target ;; esac
if rustup target list --installed 2> /dev/null | grep -qx wasm32-unknown-unknown; then
    run=(env CARGO_TARGET_DIR="$target/targets" cargo)
    more=()
elif [ -x /usr/bin/cargo ] && [ -x /usr/bin/rustc ] && [ -d "$(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/library" ]; then
    # Any LLD that is near in age links it: rustup's own, or Debian's.
    linker=$(rustc --print sysroot 2> /dev/null)/lib/rustlib/$(rustc -vV | sed -n 's/^host: //p')/bin/rust-lld
    [ -x "$linker" ] || linker=$(compgen -c wasm-ld | sort -V | tail -1)
    [ -n "$linker" ] || skip 'there is no LLD (rust-lld of rustup, or wasm-ld of the package lld)'
    run=(env PATH="/usr/bin:/bin" RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR="$target/targets"
        CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER="$linker" /usr/bin/cargo)
    more=(-Z build-std=std,panic_abort)
else
    skip "neither rustup's target wasm32-unknown-unknown nor Debian's rustc-web, cargo-web and rust-web-src is installed"
fi

# program NAME OPTION...
program() {
    "${run[@]}" build --locked --profile web --target wasm32-unknown-unknown -p "$@" ${more[@]+"${more[@]}"}
}
# Small first, it is fetched before anything is seen.
program pairlight-web
# Frames come thirty times a second: what looks at them is built for speed. All else is built once for both.
fast=()
for package in pairlight-core pairlight-web-scanner rqrr; do
    fast+=(--config "profile.web.package.$package.opt-level=3")
done
program pairlight-web-scanner "${fast[@]}"

# The tool speaks one version of wasm-bindgen: that of the product's lock.
locked=$(awk '$1 == "name" { name = $3 } $1 == "version" && name == "\"wasm-bindgen\"" { gsub(/"/, "", $3); print $3; exit }' Cargo.lock)
grep -q "wasm-bindgen-cli-support = \"=$locked\"" web/bindgen/Cargo.toml ||
    { echo "web/bindgen/Cargo.toml must name wasm-bindgen-cli-support =$locked, the version in Cargo.lock" >&2; exit 1; }
CARGO_TARGET_DIR=$target/bindgen cargo build --locked --manifest-path web/bindgen/Cargo.toml
mkdir -p web/dist/wasm
for program in pairlight_web pairlight_web_scanner; do
    "$target/bindgen/debug/pairlight-bindgen" "$target/targets/wasm32-unknown-unknown/web/$program.wasm" web/dist/wasm
done

if [ ! web/node_modules/.package-lock.json -nt web/package-lock.json ]; then
    npm ci --prefix web --no-audit --no-fund --no-progress --silent || skip 'its packages could not be fetched from npm'
    touch web/node_modules/.package-lock.json
fi
(cd web && node_modules/.bin/tsc -p . && node_modules/.bin/tsc -p page && node build.mjs)
