#!/usr/bin/env bash
# Usage: [PROFILE=phone] scripts/bench-scan.sh ARGUMENTS-OF-BENCH-SCAN...
#
# Builds bench-scan with all peers and runs it. Where the peers cannot be built (zxing-cpp needs cmake and a C++
# compiler) ours is measured alone, and the report says so. So it is under another profile than release: under `phone`, as apps
# get the scanner, the peers would be built for size as well.
set -euo pipefail
cd "$(dirname "$0")/.."

profile=${PROFILE:-release}
build() {
    cargo build --locked --profile "$profile" --manifest-path bench-scan/Cargo.toml "$@"
}
if [ "$profile" != release ]; then
    build --no-default-features
elif ! build; then
    echo "the peers could not be built (see above): measuring ours alone" >&2
    build --no-default-features
fi
exec "bench-scan/target/$profile/bench-scan" "$@"
