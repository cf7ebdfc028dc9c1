#!/usr/bin/env bash
# Usage: scripts/bench-web.sh [MESSAGES]
#
# Measures the page in Chromium, headless: bytes beside another library's, time to a code, a long history (web/bench/bench.mjs), and
# the scanner beside jsqr and zxing-wasm (web/bench/scan.mjs): over films, and over the pictures of MANIFEST if it is set.
# The relay and the phone are built for speed, as users have them.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/make-web.sh
if [ ! web/bench/node_modules/.package-lock.json -nt web/bench/package-lock.json ]; then
    npm ci --prefix web/bench --no-audit --no-fund --no-progress --silent
    touch web/bench/node_modules/.package-lock.json
fi
target=${CARGO_TARGET_DIR:-target}
case $target in /*) ;; *) target=$PWD/$target ;; esac
cargo build --locked --release --workspace --bin pairlight --bin pairlight-lens --example web_phone
PAIRLIGHT_BIN=$target/release/pairlight exec node web/bench/bench.mjs "$@"
