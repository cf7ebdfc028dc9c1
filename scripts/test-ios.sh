#!/usr/bin/env bash
# Usage: scripts/test-ios.sh
#
# The Swift package. Parses every file with a Swift grammar and compares the public surface (scripts/parse-swift.py says what that
# shows and what not). On Linux with a Swift toolchain (scripts/swift.sh finds or fetches one) it then builds the package and the
# programs of the guide against the library that cargo made for this machine, and runs the tests.
# Exit code 3: neither is possible, and the line "skipped: why" says what is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}
case $target in /*) ;; *) target=$PWD/$target ;; esac
generated=$target/tmp/bindings/swift
status=0

parse() {
    local python=$target/swift-grammar/bin/python files=() file
    if [ ! -x "$python" ]; then
        command -v python3 > /dev/null || { echo 'skipped: the Swift grammar: there is no python3'; return 3; }
        python3 -m venv "$target/swift-grammar" > /dev/null ||
            { echo 'skipped: the Swift grammar: there is no venv for it'; return 3; }
    fi
    "$python" -c 'import tree_sitter_swift' 2> /dev/null ||
        "$python" -m pip install --quiet --disable-pip-version-check tree-sitter==0.26.1 tree-sitter-swift==0.7.4 ||
        { echo 'skipped: the Swift grammar: it could not be fetched'; return 3; }
    for file in "$generated"/*.swift; do
        [ ! -e "$file" ] || files+=("$file")
    done
    "$python" scripts/parse-swift.py ${files[@]+"${files[@]}"}
}

build_and_test() {
    local log=$target/swift-test.log package=$target/swift/package outcome=0 passed guide
    # The library, its Swift and the relay, as `cargo test --workspace` makes them.
    cargo test --locked --workspace --no-run --quiet --test generate --test cli
    cargo test --locked --workspace --quiet --test generate > "$target/generate.log" || { cat "$target/generate.log"; return 1; }
    # A copy, so that nothing generated lies among the sources.
    rm -rf "$package"
    mkdir -p "$package"
    cp -a ios/Package.swift ios/Sources ios/Tests "$package"
    cp "$generated/PairlightBridge.swift" "$package/Sources/PairlightBridge/"
    scripts/carry-cancellation.sh "$package/Sources/PairlightBridge/PairlightBridge.swift"
    cp "$generated/PairlightBridgeFFI.h" "$package/Sources/PairlightBridgeFFI/"
    sed 's/^}/    link "pairlight_bindings"\n}/' "$generated/PairlightBridgeFFI.modulemap" \
        > "$package/Sources/PairlightBridgeFFI/module.modulemap"
    # The programs of the guide, as a new user would copy them.
    guide=$package/Tests/PairlightTests/FromGuide
    mkdir -p "$guide"
    awk -v folder="$guide" '/^```swift$/ { file = folder "/Guide" ++n ".swift"; printf "" > file; next }
        /^```$/ { file = "" } file { print > file }' docs/guides/embed-ios.md
    # Not target/debug/deps, which changes with every build of anything.
    mkdir -p "$target/swift/library"
    cmp -s "$target/debug/deps/libpairlight_bindings.so" "$target/swift/library/libpairlight_bindings.so" ||
        cp "$target/debug/deps/libpairlight_bindings.so" "$target/swift/library/"
    PAIRLIGHT_PROGRAMS=$target/debug LD_LIBRARY_PATH=$target/swift/library scripts/swift.sh test --package-path "$package" \
        --scratch-path "$target/swift/build" -Xlinker "-L$target/swift/library" -Xswiftc -DGUIDE -Xswiftc -warnings-as-errors \
        > "$log" 2>&1 || outcome=$?
    if [ "$outcome" -ne 0 ]; then
        grep -E 'error:|warning:|✘|↳' "$log" || tail -20 "$log"
        echo 'test result: FAILED. 0 passed; 1 failed; 0 ignored;'
        return 1
    fi
    grep -E '^(cancelled|and to|measured)' "$log" || true
    passed=$(sed -nE 's/^.*Test run with ([0-9]+) tests? passed.*/\1/p' "$log")
    # No test, no success.
    [ "${passed:-0}" -gt 0 ] || { tail -20 "$log"; return 1; }
    echo "the Swift package and the guide, compiled by $(scripts/swift.sh --version 2>&1 | grep -o 'Swift version [0-9.]*')"
    echo "test result: ok. $passed passed; 0 failed; 0 ignored;"
}

parse || status=$?
if [ "$(uname -s)" != Linux ]; then
    # On a Mac the package stands on the framework that `make ios` builds: there Xcode runs the tests.
    exit "$status"
fi
if why=$(scripts/swift.sh --version 2>&1); then
    build_and_test || status=1
else
    echo "skipped: compiling the Swift package: $(tail -1 <<< "$why")"
    echo 'test result: ok. 1 passed; 0 failed; 0 ignored;'
fi
exit "$status"
