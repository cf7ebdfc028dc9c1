#!/usr/bin/env bash
# Usage: scripts/test-ios.sh
#
# The Swift package. Parses every file with a Swift grammar and compares the public surface (scripts/parse-swift.py says what that
# shows and what not). On Linux with a Swift toolchain (scripts/swift.sh finds or fetches one) it then builds the package and the
# programs of the guide against the library that cargo made for this machine, and runs the tests; and it compiles what is behind
# `os(iOS)`, the sample too, against declarations of Apple's that stand in ios/Apple. Each part that is not possible has a line
# "skipped: why". Exit code 3: none is.
set -euo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}
case $target in /*) ;; *) target=$PWD/$target ;; esac
generated=$target/tmp/bindings/swift
python=$target/swift-grammar/bin/python
# The one that scripts/swift.sh fetches: known to compile without a warning, which a newer one may have.
known=6.0.3
status=0 ran=0 reasons=()

# Runs a function in a shell of its own, which the first command that fails ends. Not in a condition: there none would.
part() {
    local outcome
    set +e
    (set -e; "$@")
    outcome=$?
    set -e
    ran=$((ran + 1))
    [ "$outcome" -eq 0 ] || status=1
}

# Makes the grammar ready, or says why it cannot be had.
prepare_grammar() {
    if [ ! -x "$python" ]; then
        command -v python3 > /dev/null || { echo 'there is no python3'; return; }
        python3 -m venv "$target/swift-grammar" > /dev/null || { echo 'there is no venv for it'; return; }
    fi
    "$python" -c 'import tree_sitter_swift' 2> /dev/null ||
        "$python" -m pip install --quiet --disable-pip-version-check tree-sitter==0.26.1 tree-sitter-swift==0.7.4 >&2 ||
        echo 'it could not be fetched'
}

parse() {
    local files=() file
    for file in "$generated"/*.swift; do
        [ ! -e "$file" ] || files+=("$file")
    done
    "$python" scripts/parse-swift.py ${files[@]+"${files[@]}"}
}

build_and_test() {
    local version=$1 log=$target/swift-test.log package=$target/swift/package strict=() outcome=0 passed
    scripts/make-bindings.sh
    # A copy, so that nothing generated lies among the sources.
    rm -rf "$package"
    mkdir -p "$package"
    cp -a ios/Package.swift ios/Sources ios/Tests "$package"
    cp "$generated/PairlightBridge.swift" "$package/Sources/PairlightBridge/"
    scripts/carry-cancellation.sh "$package/Sources/PairlightBridge/PairlightBridge.swift"
    cp "$generated/PairlightBridgeFFI.h" "$package/Sources/PairlightBridgeFFI/"
    sed 's/^}/    link "pairlight_bindings"\n}/' "$generated/PairlightBridgeFFI.modulemap" \
        > "$package/Sources/PairlightBridgeFFI/module.modulemap"
    mkdir -p "$package/Tests/PairlightTests/FromGuide"
    scripts/cut-guide.sh docs/guides/embed-ios.md swift swift "$package/Tests/PairlightTests/FromGuide"
    # Not target/debug/deps, which changes with every build of anything.
    mkdir -p "$target/swift/library"
    cmp -s "$target/debug/deps/libpairlight_bindings.so" "$target/swift/library/libpairlight_bindings.so" ||
        cp "$target/debug/deps/libpairlight_bindings.so" "$target/swift/library/"
    [ "$version" != "$known" ] || strict=(-Xswiftc -warnings-as-errors)
    # One test after the other: they count the tasks of the whole process.
    PAIRLIGHT_PROGRAMS=$target/debug LD_LIBRARY_PATH=$target/swift/library scripts/swift.sh test --no-parallel --package-path "$package" \
        --scratch-path "$target/swift/build" -Xlinker "-L$target/swift/library" -Xswiftc -DGUIDE ${strict[@]+"${strict[@]}"} \
        > "$log" 2>&1 || outcome=$?
    grep -E '^(cancelled|and to|measured)' "$log" || true
    passed=$(sed -nE 's/^.*Test run with ([0-9]+) tests?( in [0-9]+ suites?)? passed.*/\1/p' "$log")
    # No test, no success.
    if [ "$outcome" -ne 0 ] || [ "${passed:-0}" -eq 0 ]; then
        grep -E 'error:|warning:|✘|↳' "$log" || tail -20 "$log"
        echo 'test result: FAILED. 0 passed; 1 failed; 0 ignored;'
        exit 1
    fi
    echo "the Swift package and the guide, compiled by Swift $version"
    echo "test result: ok. $passed passed; 0 failed; 0 ignored;"
}

# What only Apple's platforms have, with the sample and the guide, against declarations that were written by hand (ios/Apple):
# finds a wrong use of our own, and of Apple's as far as these are right. Nothing of it can be run.
compile_apple_parts() {
    local version=$1 log=$target/swift-apple.log package=$target/swift/apple strict=() file
    rm -rf "$package"
    mkdir -p "$package/Guide"
    cp -a ios/Apple "$package/Apple"
    mv "$package/Apple/Package.swift" "$package/"
    cp -a "$target/swift/package/Sources" ios/Sample "$package"
    scripts/cut-guide.sh docs/guides/embed-ios.md swift swift "$package/Guide"
    sed -i '/^#if /s/os(iOS)/true/' "$package"/Sources/Pairlight/*.swift "$package"/Sample/*.swift
    for file in "$package"/Sources/Pairlight/CameraFeed.swift "$package"/Sample/*.swift; do
        grep -q '^#if .*&& true$' "$file" || { echo "$file: what it is behind is not known here"; exit 1; }
    done
    [ "$version" != "$known" ] || strict=(-Xswiftc -warnings-as-errors)
    if ! scripts/swift.sh build --package-path "$package" --scratch-path "$target/swift/apple-build" ${strict[@]+"${strict[@]}"} \
        > "$log" 2>&1; then
        grep -E 'error:|warning:' "$log" | sort -u || tail -20 "$log"
        echo 'test result: FAILED. 0 passed; 1 failed; 0 ignored;'
        exit 1
    fi
    echo "what only Apple's platforms have, compiled against the declarations of ios/Apple"
    echo 'test result: ok. 1 passed; 0 failed; 0 ignored;'
}

why=$(prepare_grammar)
if [ -z "$why" ]; then
    part parse
else
    reasons+=("the Swift grammar: $why")
fi
# On a Mac the package stands on the framework that `make ios` builds: there Xcode runs the tests.
if [ "$(uname -s)" = Linux ]; then
    code=0
    said=$(scripts/swift.sh --version) || code=$?
    version=$(sed -nE 's/.*Swift version ([0-9.]+).*/\1/p' <<< "$said")
    if [ "$code" -eq 0 ]; then
        part build_and_test "$version"
        part compile_apple_parts "$version"
    elif [ "$code" -eq 3 ]; then
        reasons+=("compiling the Swift package: $said")
    else
        echo "scripts/swift.sh ended with $code: $said"
        status=1
    fi
fi
# As scripts/test.sh counts: what is skipped is one that passed, with a line before it that says otherwise. Where nothing ran, the
# exit code is the last of them.
for at in "${!reasons[@]}"; do
    echo "skipped: ${reasons[$at]}"
    if [ "$ran" -gt 0 ] || [ "$status" -ne 0 ] || [ "$at" -lt $((${#reasons[@]} - 1)) ]; then
        echo 'test result: ok. 1 passed; 0 failed; 0 ignored;'
    fi
done
[ "$ran" -gt 0 ] || [ "$status" -ne 0 ] || status=3
exit "$status"
