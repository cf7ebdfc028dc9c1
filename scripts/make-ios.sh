#!/usr/bin/env bash
# Usage: scripts/make-ios.sh
#
# For a Mac with Xcode: builds the Rust library for devices and simulators as dynamic frameworks (so that another Rust
# library in the same app does not clash with ours), puts them into ios/Frameworks/PairlightBridgeFFI.xcframework with the privacy
# manifest inside, and prints the checksum that Package.swift of a release needs. Says all that is missing before it begins.
set -euo pipefail
cd "$(dirname "$0")/.."

targets=(aarch64-apple-ios aarch64-apple-ios-sim x86_64-apple-ios)
missing=()
[ "$(uname -s)" = Darwin ] || missing+=("a Mac: Apple's linker and SDKs run nowhere else")
command -v xcodebuild > /dev/null || missing+=("Xcode 16 or newer, for Swift 6")
command -v lipo > /dev/null || missing+=("lipo, of Xcode")
for target in "${targets[@]}"; do
    rustup target list --installed 2> /dev/null | grep -qx "$target" || missing+=("the Rust target: rustup target add $target")
done
if [ "${#missing[@]}" -gt 0 ]; then
    echo "make ios needs what is missing here:" >&2
    printf '    %s\n' "${missing[@]}" >&2
    exit 1
fi

target=${CARGO_TARGET_DIR:-target}
case $target in /*) ;; *) target=$PWD/$target ;; esac
out=$target/ios
name=PairlightBridge
# Where ios/Package.swift looks: a package may use nothing outside of its folder.
frameworks=$PWD/ios/Frameworks
rm -rf "$out" "$frameworks"
mkdir -p "$out/generated" "$frameworks"
export IPHONEOS_DEPLOYMENT_TARGET=15.0
. scripts/phone-flags.sh
for each in "${targets[@]}"; do
    "${phone[@]}" cargo rustc --locked --profile phone -p pairlight-bindings --lib --crate-type cdylib --target "$each" -- \
        -C "link-arg=-Wl,-install_name,@rpath/${name}FFI.framework/${name}FFI"
done
cargo run --locked -p pairlight-bindings --example uniffi-bindgen -- generate --config bindings/uniffi.toml --no-format --language swift \
    --out-dir "$out/generated" "$target/aarch64-apple-ios/phone/libpairlight_bindings.dylib"
scripts/carry-cancellation.sh "$out/generated/$name.swift"
cp "$out/generated/$name.swift" ios/Sources/PairlightBridge/

# framework FOLDER LIBRARY...
framework() {
    local folder=$1/${name}FFI.framework
    shift
    mkdir -p "$folder/Headers" "$folder/Modules"
    lipo -create "$@" -output "$folder/${name}FFI"
    cp "$out/generated/${name}FFI.h" "$folder/Headers/"
    sed 's/^module/framework module/' "$out/generated/${name}FFI.modulemap" > "$folder/Modules/module.modulemap"
    cp ios/Sources/Pairlight/PrivacyInfo.xcprivacy "$folder/"
    cat > "$folder/Info.plist" << PLIST
<?xml version="1.0" encoding="UTF-8"?>
<plist version="1.0"><dict>
<key>CFBundleExecutable</key><string>${name}FFI</string>
<key>CFBundleIdentifier</key><string>org.pairlight.bridge</string>
<key>CFBundleName</key><string>${name}FFI</string>
<key>CFBundlePackageType</key><string>FMWK</string>
<key>CFBundleShortVersionString</key><string>0.1.0</string>
<key>MinimumOSVersion</key><string>15.0</string>
</dict></plist>
PLIST
}
framework "$out/device" "$target/aarch64-apple-ios/phone/libpairlight_bindings.dylib"
framework "$out/simulator" "$target/aarch64-apple-ios-sim/phone/libpairlight_bindings.dylib" \
    "$target/x86_64-apple-ios/phone/libpairlight_bindings.dylib"
xcodebuild -create-xcframework -framework "$out/device/${name}FFI.framework" \
    -framework "$out/simulator/${name}FFI.framework" -output "$frameworks/${name}FFI.xcframework"

# What another Rust library could also export would clash: all our symbols carry the name of the bridge.
if nm -gU "$out/device/${name}FFI.framework/${name}FFI" | awk '{ print $NF }' | grep -v -E '^_(uniffi|ffi|UNIFFI_META)_?.*pairlight'; then
    echo "the symbols above have no name of ours in them" >&2
    exit 1
fi
(cd "$frameworks" && zip -qry "$out/${name}FFI.xcframework.zip" "${name}FFI.xcframework")
echo "checksum: $(swift package compute-checksum "$out/${name}FFI.xcframework.zip")"
