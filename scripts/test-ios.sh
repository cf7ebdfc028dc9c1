#!/usr/bin/env bash
# Usage: scripts/test-ios.sh
#
# The Swift package. Where a Swift toolchain is: builds it against the library that cargo made for this machine, and runs its
# tests. Elsewhere: parses every file with a Swift grammar (scripts/parse-swift.py says what that shows and what not).
# Exit code 3: neither is possible, and the line "skipped: why" says what is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
if command -v swift > /dev/null; then
    cargo test --locked --workspace --quiet --test generate > /dev/null
    generated=$target/tmp/bindings/swift
    cp "$generated/PairlightBridge.swift" ios/Sources/PairlightBridge/
    if [ "$(uname -s)" = Linux ]; then
        cp "$generated/PairlightBridgeFFI.h" ios/Sources/PairlightBridgeFFI/
        sed 's/^}/    link "pairlight_bindings"\n}/' "$generated/PairlightBridgeFFI.modulemap" \
            > ios/Sources/PairlightBridgeFFI/module.modulemap
    fi
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
exec "$python" scripts/parse-swift.py "${generated[@]}"
