#!/usr/bin/env bash
# Usage: scripts/install-packages.sh demo|test|web|bench|bench-web|bench-scan
#
# The one place that names system packages. Installs those that the given make target needs and that are missing, and
# says which and why; when nothing is missing it does nothing and says nothing. On Debian and Ubuntu by apt-get (with
# sudo unless root); on macOS Apple's command line tools are enough. Elsewhere it says what the build will look for.
set -euo pipefail

target=${1:?"usage: $0 demo|test|web|bench|bench-web|bench-scan"}

# What a make target needs, by the names that Debian and Ubuntu give. A package that only one of
# them needs belongs in that one's line alone.
needs() {
    case $target in
        demo) echo gcc libc6-dev libclang-dev linux-libc-dev ;;
        test) echo gcc libc6-dev libclang-dev linux-libc-dev nodejs npm default-jdk-headless maven python3-venv ;;
        web | bench-web) echo gcc libc6-dev libclang-dev linux-libc-dev nodejs npm ;;
        bench) echo gcc libc6-dev libclang-dev linux-libc-dev ;;
        bench-scan) echo gcc g++ cmake make libc6-dev ;;
        *) echo "$0: no such target: $target" >&2 && exit 2 ;;
    esac
}

# What a make target uses where the system has it, and says it skips elsewhere.
likes() {
    case $target in
        test) echo rustc-web cargo-web rust-web-src chromium ;;
        web | bench-web)
            rustup target list --installed 2> /dev/null | grep -qx wasm32-unknown-unknown || echo rustc-web cargo-web rust-web-src
            [ "$target" = web ] || echo chromium
            ;;
    esac
}

why() {
    case $1 in
        gcc) echo "the linker, and the compiler for SQLite and ring" ;;
        g++ | cmake | make) echo "builds zxing-cpp, the C++ reader that ours is measured against" ;;
        libc6-dev) echo "the C library's headers, for the same" ;;
        libclang-dev) echo "reads the kernel's camera header while the webcam support is built" ;;
        nodejs) echo "runs the second implementation of the protocol, in tests/interop, and builds the page; 20.19 or newer" ;;
        npm) echo "fetches its packages" ;;
        linux-libc-dev) echo "that header, linux/videodev2.h" ;;
        default-jdk-headless) echo "runs the tests of the Kotlin library, with the JVM in place of a phone; 17 or newer" ;;
        maven) echo "fetches what they need, and builds them" ;;
        python3-venv) echo "parses the Swift sources, where there is no Swift" ;;
        rustc-web | cargo-web | rust-web-src) echo "checks for phones and builds for browsers, where rustup lacks their targets" ;;
        chromium) echo "opens the page of the linked device in its tests" ;;
    esac
}

# Asks for the thing itself where that is simple, so that another way of having it (clang as cc, a versioned libclang)
# counts as well.
present() {
    case $1 in
        gcc) command -v cc ;;
        g++) command -v c++ ;;
        cmake | make) command -v "$1" ;;
        nodejs) command -v node ;;
        npm) command -v npm ;;
        chromium) command -v chromium || command -v chromium-browser || command -v google-chrome ;;
        default-jdk-headless) command -v javac ;;
        maven) command -v mvn ;;
        python3-venv) python3 -c 'import ensurepip' ;;
        rustc-web) test -x /usr/bin/rustc ;;
        cargo-web) test -x /usr/bin/cargo ;;
        rust-web-src) test -e /usr/lib/rustlib/src/rust/library ;;
        libc6-dev) test -e /usr/include/stdio.h ;;
        linux-libc-dev) test -e /usr/include/linux/videodev2.h ;;
        libclang-dev)
            if command -v dpkg-query; then
                # The bare library is not enough: it comes without the headers of the compiler.
                { dpkg-query --show --showformat '${db:Status-Status}\n' libclang-dev 'libclang-[0-9]*-dev' || true; } |
                    grep -x installed
            else
                test -n "${LIBCLANG_PATH:-}" || ldconfig -p | grep 'libclang\.so'
            fi
            ;;
    esac > /dev/null 2>&1
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        env DEBIAN_FRONTEND=noninteractive "$@"
    else
        sudo env DEBIAN_FRONTEND=noninteractive "$@"
    fi
}

check_rust() {
    if ! command -v cargo > /dev/null; then
        echo "Rust is missing: cargo is not on the PATH. Install rustup from https://rustup.rs and try again;" >&2
        echo "it then fetches the version that rust-toolchain.toml names by itself." >&2
        exit 1
    fi
    if ! command -v rustup > /dev/null; then
        echo "note: there is no rustup, so rust-toolchain.toml has no effect; building with $(cargo --version)" >&2
    fi
}

install_on_macos() {
    if ! xcode-select -p > /dev/null 2>&1; then
        echo "Apple's command line tools are missing (the linker and the C compiler). Install them with" >&2
        echo "    xcode-select --install" >&2
        echo "and try again. Nothing is needed from Homebrew." >&2
        exit 1
    fi
}

# Names what is missing, and why, and installs it.
install_missing() {
    local package
    echo "make $target $1 system packages that are missing here:"
    shift
    for package; do
        printf '    %-22s %s\n' "$package" "$(why "$package")"
    done
    if ! command -v apt-get > /dev/null; then
        echo "They are named as on Debian; install what your system calls them. Going on without." >&2
        return 0
    fi
    if [ "$(id -u)" -ne 0 ] && ! command -v sudo > /dev/null; then
        echo "There is no sudo here. As root: apt-get install --no-install-recommends $*" >&2
        exit 1
    fi
    echo "Installing them with apt-get$([ "$(id -u)" -eq 0 ] || echo ' (through sudo)')."
    as_root apt-get update -qq
    as_root apt-get install -qq -y --no-install-recommends "$@"
}

install_on_linux() {
    local package missing=()
    for package in $(needs); do
        present "$package" || missing+=("$package")
    done
    [ "${#missing[@]}" -eq 0 ] || install_missing needs "${missing[@]}"

    missing=()
    for package in $(likes); do
        # Only what this system's archive has.
        present "$package" || [ -z "$(apt-cache madison "$package" 2> /dev/null)" ] || missing+=("$package")
    done
    [ "${#missing[@]}" -eq 0 ] || install_missing uses "${missing[@]}"
}

check_rust
case $(uname -s) in
    Linux) install_on_linux ;;
    Darwin) install_on_macos ;;
    *) echo "note: $(uname -s) is not known here; the build needs a C compiler and linker" >&2 ;;
esac
