#!/usr/bin/env bash
# Usage: scripts/make-android.sh [GRADLE-TASKS...]
#
# For a machine with the Android SDK: builds the Rust library for all ABIs, checks their pages, generates the Kotlin, says
# how large it is, and builds the AAR and the sample. Says all that is missing before it does anything.
set -euo pipefail
cd "$(dirname "$0")/.."

abis=(arm64-v8a armeabi-v7a x86_64)
targets=(aarch64-linux-android armv7-linux-androideabi x86_64-linux-android)

missing=()
command -v cargo-ndk > /dev/null || missing+=("cargo-ndk:          cargo install cargo-ndk")
[ -n "${ANDROID_HOME:-${ANDROID_SDK_ROOT:-}}" ] || missing+=("ANDROID_HOME:       the folder of the Android SDK")
[ -n "${ANDROID_NDK_HOME:-}" ] || [ -d "${ANDROID_HOME:-/nowhere}/ndk" ] ||
    missing+=("the NDK, 28 or newer: sdkmanager 'ndk;28.2.13676358' (it aligns to pages of 16 KB by itself)")
command -v java > /dev/null || missing+=("java 17 or newer")
command -v gradle > /dev/null || [ -x android/gradlew ] ||
    missing+=("gradle 9.5.0 or newer: then \`gradle wrapper\` in android/ makes gradlew")
command -v readelf > /dev/null || command -v llvm-readelf > /dev/null || missing+=("readelf:            binutils or llvm")
for target in "${targets[@]}"; do
    rustup target list --installed 2> /dev/null | grep -qx "$target" ||
        missing+=("the Rust target:    rustup target add $target")
done
if [ "${#missing[@]}" -gt 0 ]; then
    echo "make android needs what is missing here:" >&2
    printf '    %s\n' "${missing[@]}" >&2
    exit 1
fi

# Where android/pairlight/build.gradle.kts looks, whatever CARGO_TARGET_DIR says.
out=$PWD/target/android
rm -rf "$out/jniLibs"
. scripts/phone-flags.sh
# That one kind of library alone: beside an rlib the program is not optimised as one, and is a quarter larger.
"${phone[@]}" cargo ndk --platform 26 "${abis[@]/#/--target=}" --output-dir "$out/jniLibs" \
    rustc --locked --profile phone -p pairlight-bindings --lib --crate-type cdylib
scripts/check-elf.sh "$out"/jniLibs/*/*.so

rm -rf "$out/kotlin"
mkdir -p "$out/kotlin"
cargo run --locked -p pairlight-bindings --example uniffi-bindgen -- generate --config bindings/uniffi.toml --no-format --language kotlin \
    --out-dir "$out/kotlin" "$out/jniLibs/arm64-v8a/libpairlight_bindings.so"
scripts/carry-cancellation.sh "$out/kotlin/org/pairlight/bridge/pairlight_bindings.kt"

cd android
gradle=gradle
[ ! -x gradlew ] || gradle=./gradlew
if [ "$#" -eq 0 ]; then
    set -- :pairlight:assembleRelease :sample:assembleRelease
fi
exec "$gradle" "$@"
