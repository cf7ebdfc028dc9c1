#!/usr/bin/env bash
# Usage: scripts/make-bindings.sh [TEST...]
#
# The Rust library for this machine (development build), its Kotlin and Swift in target/tmp/bindings, and the program `pairlight`, as
# `cargo test --workspace` makes them: after it this is a matter of seconds. Without it only these are built, by way of the tests
# that use them. Each TEST is one more, for the programs that it needs.
set -euo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}
case $target in /*) ;; *) target=$PWD/$target ;; esac
tests=(--test generate --test cli)
for test in "$@"; do
    tests+=(--test "$test")
done
cargo test --locked --workspace --no-run --quiet "${tests[@]}"
cargo test --locked --workspace --quiet --test generate > "$target/generate.log" || { cat "$target/generate.log"; exit 1; }
