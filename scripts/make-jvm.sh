#!/usr/bin/env bash
# Usage: scripts/make-jvm.sh
#
# The Android library for programs on the JVM of this machine: to try it, and to test an app's code, without an Android SDK. Builds
# the Rust library (development build), compiles the Kotlin against the framework's real classes, and installs
# org.pairlight:pairlight-jvm into the local Maven repository, with the Rust library in it. Needs a JDK (17 or newer) and Maven.
set -euo pipefail
cd "$(dirname "$0")/.."

for program in javac mvn; do
    command -v "$program" > /dev/null || { echo "make jvm needs $program" >&2; exit 1; }
done
target=${CARGO_TARGET_DIR:-target}
case $target in /*) ;; *) target=$PWD/$target ;; esac
out=$target/android
# Also the program `pairlight`, which can be the relay and the other device.
scripts/make-bindings.sh

# Where JNA looks in a jar: system and processor by its names.
case $(uname -s) in Darwin) system=darwin library=libpairlight_bindings.dylib ;; *) system=linux library=libpairlight_bindings.so ;; esac
case $(uname -m) in x86_64) processor=x86-64 ;; aarch64 | arm64) processor=aarch64 ;; *) processor=$(uname -m) ;; esac
natives=$out/natives/$system-$processor
mkdir -p "$natives" "$out/jvm-library" "$out/none"
cp "$target/debug/deps/$library" "$natives/"
[ "$system" = darwin ] || strip --strip-unneeded "$natives/$library"
cp "$target/tmp/bindings/kotlin/org/pairlight/bridge/pairlight_bindings.kt" "$out/jvm-library/"
scripts/carry-cancellation.sh "$out/jvm-library/pairlight_bindings.kt"
mvn --batch-mode --quiet --file android/pom.xml "-Dpairlight.out=$out/jvm-install" "-Dpairlight.generated=$out/jvm-library" \
    "-Dpairlight.sample=$out/none" "-Dpairlight.natives=$out/natives" -Dmaven.test.skip=true install
echo "installed org.pairlight:pairlight-jvm:0.1.0 in the local Maven repository"
echo "the other device and the relay: $target/debug/pairlight"
