#!/usr/bin/env bash
# Usage: scripts/swift.sh ARGUMENTS...
#
# Runs `swift` with these arguments: the one on the PATH, or of Debian's package swiftlang (13 and newer), from version 6 on. Debian 12
# has none in its archive: there `PAIRLIGHT_SWIFT=fetch`, or CI, unpacks that of Debian 13 into target/swift (550 MB of packages, 2 GB
# on disk) and runs it there, with this repository bound in. Nothing is installed. Exit code 3: there is no Swift, and a line says why.
set -euo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}
case $target in /*) ;; *) target=$PWD/$target ;; esac
older=

none() {
    echo "there is no swift here: $older$1"
    exit 3
}

# What was compiled knows the folder where that was: one that was moved is not gone on with.
settle() {
    if [ "$(cat "$target/swift/where" 2> /dev/null)" != "$target" ]; then
        rm -rf "$target/swift/.cache" "$target/swift/build" "$target/swift/apple-build"
        mkdir -p "$target/swift"
        printf '%s\n' "$target" > "$target/swift/where"
    fi
}

# Another program has that name too.
for swift in swift /usr/libexec/swift/bin/swift; do
    command -v "$swift" > /dev/null || continue
    version=$("$swift" --version 2>&1 | sed -nE 's/.*Swift version ([0-9]+)(\.[0-9.]+)?.*/\1\2/p' | head -1) || continue
    if [ "${version%%.*}" -ge 6 ] 2> /dev/null; then
        settle
        exec "$swift" "$@"
    fi
    [ -z "$version" ] || older="$swift is $version, and Swift 6 is needed; "
done

root=$target/swift/root
if [ ! -e "$target/swift/complete" ]; then
    grep -qs '^VERSION_CODENAME=bookworm' /etc/os-release || none 'swift.org has it, and Debian 13 as swiftlang'
    [ -n "${CI:-}" ] || [ "${PAIRLIGHT_SWIFT:-}" = fetch ] ||
        none "PAIRLIGHT_SWIFT=fetch takes that of Debian 13 into target/swift (some 550 MB of packages)"
fi
# A root of its own, seen by this process and its children alone.
own=(unshare --mount)
[ "$(id -u)" -eq 0 ] || own+=(--map-root-user)
"${own[@]}" mount --rbind /tmp /tmp 2> /dev/null || none 'this system lets nobody mount for themselves'

if [ ! -e "$target/swift/complete" ]; then
    echo 'Fetching the Swift of Debian 13 into target/swift, to compile and test the Swift package. Nothing is installed.' >&2
    rm -rf "$target/swift"
    mkdir -p "$target/swift/lists/partial" "$target/swift/archives/partial" "$root"/usr/{bin,lib,lib64,sbin} "$root/tmp"
    # The archive that this system uses itself, one release on: nobody else's, and neither updates nor security, which are others.
    shopt -s nullglob
    stanzas=(/etc/apt/sources.list.d/*.sources) lines=(/etc/apt/sources.list /etc/apt/sources.list.d/*.list)
    shopt -u nullglob
    sources=$target/swift/trixie.sources
    awk 'BEGIN { RS = ""; ORS = "\n\n" }
        /(^|\n)URIs:[^\n]*:\/\/[^\/ \n]+\/debian\/?( |\n|$)/ && /(^|\n)Suites:([^\n]* )?bookworm( |\n|$)/ && !/(^|\n)Enabled: *no/ {
            gsub(/(^|\n)Suites:[^\n]*/, "\nSuites: trixie")
            sub(/^\n/, "")
            print
        }' "${stanzas[@]}" /dev/null > "$sources"
    if [ ! -s "$sources" ]; then
        sources=$target/swift/trixie.list
        sed -nE 's%^(deb +(\[[^]]*\] +)?[a-z+]+://[^/ ]+/debian/? +)bookworm +%\1trixie %p' "${lines[@]}" 2> /dev/null > "$sources" || true
    fi
    [ -s "$sources" ] || none "apt has no source with Debian's archive"
    : > "$target/swift/status"
    apt=(apt-get -qq -o "Dir::State::lists=$target/swift/lists" -o "Dir::Cache::archives=$target/swift/archives"
        -o "Dir::Etc::sourcelist=$sources" -o Dir::Etc::sourceparts=- -o "Dir::State::status=$target/swift/status"
        -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Install-Recommends=false -o Debug::NoLocking=1
        -o APT::Sandbox::User=root)
    "${apt[@]}" update > "$target/swift/fetch.log" 2>&1 &&
        "${apt[@]}" -y --download-only install swiftlang libc6-dev libstdc++-14-dev bash coreutils >> "$target/swift/fetch.log" 2>&1 ||
        none "that of Debian 13 could not be fetched: $(tail -1 "$target/swift/fetch.log")"
    for folder in bin lib lib64 sbin; do ln -sfn "usr/$folder" "$root/$folder"; done
    for package in "$target"/swift/archives/*.deb; do
        # Without the debugger, the editor's server and what only static linking needs.
        dpkg-deb --fsys-tarfile "$package" | tar -x --keep-directory-symlink -C "$root" --no-same-owner \
            --exclude='*lldb*' --exclude='*clangd*' --exclude='*sourcekit-lsp*' --exclude='*swift_static*' --exclude='./usr/share/*'
    done
    rm -rf "$target/swift/archives" "$target/swift/lists"
    : > "$target/swift/complete"
fi
settle

export PAIRLIGHT_SWIFT_ROOT=$root PAIRLIGHT_SWIFT_TARGET=$target
exec "${own[@]}" bash -c '
    set -e
    for folder in /proc /dev /tmp "$PWD" "$PAIRLIGHT_SWIFT_TARGET"; do
        mkdir -p "$PAIRLIGHT_SWIFT_ROOT$folder"
        mount --rbind "$folder" "$PAIRLIGHT_SWIFT_ROOT$folder"
    done
    libraries=/usr/libexec/swift/lib/swift/linux:/usr/libexec/swift/lib/swift/host:${LD_LIBRARY_PATH:-}
    exec chroot "$PAIRLIGHT_SWIFT_ROOT" /usr/bin/env -C "$PWD" PATH=/usr/libexec/swift/bin:/usr/bin LANG=C.UTF-8 \
        HOME="$PAIRLIGHT_SWIFT_TARGET/swift" LD_LIBRARY_PATH="$libraries" swift "$@"
' swift.sh "$@"
