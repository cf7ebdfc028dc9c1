#!/usr/bin/env bash
# Usage: scripts/test-web.sh [WORDS-OF-A-TEST...]
#
# Drives the page in Chromium, headless, against the relay and the primary device of this workspace (web/tests). Builds what
# is not built. PAIRLIGHT_SHOTS names a folder for its pictures. Exit code 3: something is missing, and the line "skipped: why".
set -euo pipefail
cd "$(dirname "$0")/.."

if [ ! -e web/dist/page/index.html ] || [ -z "${PAIRLIGHT_WEB_BUILT:-}" ]; then
    scripts/make-web.sh
fi
target=${CARGO_TARGET_DIR:-target}
case $target in /*) ;; *) target=$PWD/$target ;; esac
if [ -z "${PAIRLIGHT_BIN:-}" ] || [ ! -x "$PAIRLIGHT_BIN" ]; then
    cargo build --locked --workspace --bin pairlight --bin pairlight-lens --example web_phone
    export PAIRLIGHT_BIN=$target/debug/pairlight
fi
if [ ! web/tests/vite/node_modules/.package-lock.json -nt web/tests/vite/package-lock.json ]; then
    npm ci --prefix web/tests/vite --no-audit --no-fund --no-progress --silent ||
        { echo 'skipped: the page in a browser: Vite could not be fetched from npm'; exit 3; }
    touch web/tests/vite/node_modules/.package-lock.json
fi
exec node web/tests/run.mjs "$@"
