#!/usr/bin/env bash
# Usage: scripts/test-ios.sh
#
# The Swift package. On Linux with a Swift toolchain: builds it against the library that cargo made for this machine, and runs its
# tests. Elsewhere: parses every file with a Swift grammar (scripts/parse-swift.py says what that shows and what not).
# Exit code 3: neither is possible, and the line "skipped: why" says what is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}
case $target in /*) ;; *) target=$PWD/$target ;; esac
# On a Mac the package stands on the framework that `make ios` builds.
if [ "$(uname -s)" = Linux ] && command -v swift > /dev/null; then
    cargo test --locked --workspace --quiet --test generate > "$target/generate.log" || { cat "$target/generate.log"; exit 1; }
    generated=$target/tmp/bindings/swift
    cp "$generated/PairlightBridge.swift" ios/Sources/PairlightBridge/
    cp "$generated/PairlightBridgeFFI.h" ios/Sources/PairlightBridgeFFI/
    sed 's/^}/    link "pairlight_bindings"\n}/' "$generated/PairlightBridgeFFI.modulemap" \
        > ios/Sources/PairlightBridgeFFI/module.modulemap
    LD_LIBRARY_PATH=$target/debug/deps exec swift test --package-path ios -Xlinker "-L$target/debug/deps"
fi

python=$target/swift-grammar/bin/python
if [ ! -x "$python" ]; then
    command -v python3 > /dev/null || { echo 'skipped: the Swift package: there is neither swift nor python3'; exit 3; }
    python3 -m venv "$target/swift-grammar" > /dev/null ||
        { echo 'skipped: the Swift package: there is no swift, and no venv for its grammar'; exit 3; }
fi
"$python" -c 'import tree_sitter_swift' 2> /dev/null ||
    "$python" -m pip install --quiet --disable-pip-version-check tree-sitter==0.26.1 tree-sitter-swift==0.7.4 ||
    { echo 'skipped: the Swift package: there is no swift, and its grammar could not be fetched'; exit 3; }
# What `cargo test --workspace` generated, if it ran.
generated=()
for file in "$target"/tmp/bindings/swift/*.swift; do
    [ ! -e "$file" ] || generated+=("$file")
done
exec "$python" scripts/parse-swift.py ${generated[@]+"${generated[@]}"}
