#!/usr/bin/env bash
# Usage: scripts/fuzz-coverage.sh
#
# Which lines of the decoders, the pairing machines and the floors below them the corpora of fuzz/ reach: replays them once (the test
# `fuzz_corpus`) in a build that counts, and prints functions and lines by file. Needs the llvm tools of rustc's own LLVM:
# `rustup component add llvm-tools`, or Debian's package llvm-N with the N that `rustc -vV` names.
set -euo pipefail
cd "$(dirname "$0")/.."
llvm=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
tools=""
for folder in "$(rustc --print target-libdir)/../bin" "/usr/lib/llvm-$llvm/bin"; do
    [ -x "$folder/llvm-cov" ] && [ -x "$folder/llvm-profdata" ] && { tools=$folder; break; }
done
[ -n "$tools" ] || { echo "fuzz-coverage: install llvm-$llvm, or run: rustup component add llvm-tools" >&2; exit 2; }

target=target/coverage
profiles=$PWD/$target/profiles
rm -rf "$profiles"
# Counting is switched on for the build scripts too; what they leave is not wanted.
RUSTFLAGS="-C instrument-coverage" LLVM_PROFILE_FILE=/dev/null \
    cargo test --locked --target-dir "$target" -p pairlight-tests --test fuzz_corpus --no-run
binary=$(ls -t "$target"/debug/deps/fuzz_corpus-* | grep -v '\.d$' | sed -n 1p)
(cd tests && LLVM_PROFILE_FILE="$profiles/%p-%m.profraw" "../$binary" -q)
"$tools/llvm-profdata" merge -sparse "$profiles"/*.profraw -o "$profiles/all.profdata"
"$tools/llvm-cov" report "$binary" -instr-profile="$profiles/all.profdata" \
    wire/src core/src/pairing core/src/devices core/src/store core/src/sync core/src/session core/src/scan core/src/payload core/src/trust \
    -ignore-filename-regex='/tests(/|\.rs)' -show-region-summary=false -show-branch-summary=false |
    sed "s#$PWD/##"
