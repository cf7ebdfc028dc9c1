#!/usr/bin/env bash
# Usage: scripts/test-android.sh [MAVEN-ARGUMENTS...]
#
# Builds the Rust library for this machine, generates its Kotlin, compiles the Android library against the framework's real
# classes and runs its tests on the JVM. Needs no Android SDK; needs a JDK (17 or newer), Maven, and once a network for
# Maven Central. Exit code 3: something is missing, and the line "skipped: why" says what.
set -euo pipefail
cd "$(dirname "$0")/.."

skip() {
    echo "skipped: the Kotlin library on the JVM: $1"
    exit 3
}
command -v java > /dev/null || skip 'there is no java'
command -v mvn > /dev/null || skip 'there is no mvn'

target=${CARGO_TARGET_DIR:-target}
case $target in /*) ;; *) target=$PWD/$target ;; esac
out=$target/android
# With the program that photographs codes.
scripts/make-bindings.sh program

# Beside the folder that Gradle reads (scripts/make-android.sh), not in it.
generated=$out/jvm-kotlin
mkdir -p "$out/fresh" "$generated"
cp "$target/tmp/bindings/kotlin/org/pairlight/bridge/pairlight_bindings.kt" "$out/fresh/"
scripts/carry-cancellation.sh "$out/fresh/pairlight_bindings.kt"
# In place of the class that aapt makes of the sample's texts.
{
    echo 'package org.pairlight.sample'
    echo 'object R { object string {'
    sed -nE 's/.*<string name="([a-z_]+)".*/    const val \1 = 0/p' android/sample/src/main/res/values/strings.xml
    echo '} }'
} > "$out/fresh/R.kt"
scripts/cut-guide.sh docs/guides/embed-android.md kotlin kt "$out/fresh"
# A file that did not change keeps its age: Kotlin compiles what changed.
for file in $(cd "$out/fresh" && ls); do
    cmp -s "$out/fresh/$file" "$generated/$file" || cp "$out/fresh/$file" "$generated/$file"
done

rm -rf "$out/jvm/surefire-reports"
: > "$out/planted"
export PAIRLIGHT_PANIC_IN=$out/planted
run=(mvn --batch-mode --quiet --file android/pom.xml
    "-Dpairlight.out=$out/jvm" "-Dpairlight.generated=$generated"
    "-Dpairlight.programs=$target/debug" "-Dpairlight.root=$PWD" "-Djna.library.path=$target/debug/deps")
# What cannot be fetched is no fault of the code.
if [ ! "$out/fetched" -nt android/pom.xml ]; then
    if ! "${run[@]}" dependency:go-offline > "$out/fetch.log" 2>&1; then
        tail -5 "$out/fetch.log"
        skip 'its packages could not be fetched from Maven Central'
    fi
    : > "$out/fetched"
fi
status=0
RUST_BACKTRACE=0 "${run[@]}" verify "$@" || status=$?
# The counts, as cargo says them.
cat "$out"/jvm/surefire-reports/TEST-*.xml | awk '
    /<testsuite / {
        for (i = 1; i <= NF; i++) {
            split($i, pair, "=")
            gsub(/[^0-9]/, "", pair[2])
            if (pair[1] == "tests" || pair[1] == "errors" || pair[1] == "failures" || pair[1] == "skipped")
                sum[pair[1]] += pair[2]
        }
    }
    END {
        failed = sum["errors"] + sum["failures"]
        printf "test result: %s. %d passed; %d failed; %d ignored;\n", failed ? "FAILED" : "ok",
            sum["tests"] - failed - sum["skipped"], failed, sum["skipped"]
    }'

# What Android 8 lacks may only be called behind a check of the version: the compiler sees the newest framework alone.
oldest=android-all-8.0.0_r4-robolectric-r1
if ! command -v python3 > /dev/null; then
    echo 'skipped: the calls of the oldest Android: there is no python3'
elif ! [ -e "$out/oldest/$oldest.jar" ] && ! mvn --batch-mode --quiet dependency:copy \
    "-Dartifact=org.robolectric:android-all:${oldest#android-all-}" "-DoutputDirectory=$out/oldest"; then
    echo 'skipped: the calls of the oldest Android: its framework could not be fetched from Maven Central'
elif ! scripts/check-min-sdk.py "$out/oldest/$oldest.jar" "$out/jvm/classes"; then
    status=1
fi
if [ "$status" -eq 0 ]; then
    echo 'test result: ok. 1 passed; 0 failed; 0 ignored;'
fi
exit "$status"
