#!/usr/bin/env bash
# Usage: scripts/bench-scan.sh ARGUMENTS-OF-BENCH-SCAN...
#
# Builds bench-scan with all peers and runs it. Where the peers cannot be built (zxing-cpp needs cmake and a C++
# compiler) ours is measured alone, and the report says so.
set -euo pipefail
cd "$(dirname "$0")/.."

build() {
    cargo build --locked --release --manifest-path bench-scan/Cargo.toml "$@"
}
build || {
    echo "the peers could not be built (see above): measuring ours alone" >&2
    build --no-default-features
}
exec bench-scan/target/release/bench-scan "$@"
