# Sourced by the scripts under Tools/: everything a bare Debian 12 machine with the Swift toolchain still needs.
# Safe to run again and again: what is there is left alone.

# The repository's root, whatever the working directory.
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# Where builds go; the Python environments of the tests live here too.
SCRATCH=${TOLLGATE_SCRATCH:-$ROOT/.build}

say() { printf '\n== %s\n' "$*"; }
fail() {
    printf '\n%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# Earlier builds of libnghttp2 lack security fixes.
NGHTTP2_MINIMUM=1.52.0-1+deb12u3
BUILD_PACKAGES=(
    # What the Swift toolchain itself loads.
    libcurl4 libedit2 libncurses6 libsqlite3-0 libxml2 zlib1g
    ca-certificates git pkg-config libc6-dev libstdc++-12-dev binutils tzdata
    libnghttp2-dev libprotobuf-c-dev libprotobuf-dev protobuf-c-compiler protobuf-compiler
    protobuf-compiler-grpc
    libcurl4-openssl-dev libsqlite3-dev zlib1g-dev
)
# strace makes system calls fail, gcc builds the library that moves the clock, curl is what the documents print, openssl
# makes certificates, graphviz draws docs/diagrams; the operator's page is tested in chromium and pictured in Inter.
TEST_PACKAGES=(
    python3 python3-venv strace gcc curl openssl graphviz mount util-linux chromium chromium-driver fonts-inter
)
# What Tools/package makes packages and images with, and what looks at them.
PACKAGING_PACKAGES=(debhelper dpkg-dev lintian mmdebstrap python3 systemd umoci)
# What tests and proofs run, of these packages and of the system itself: a machine without apt-get is told what it lacks.
TEST_PROGRAMS=(
    awk bash cc chromedriver chromium cmp curl dot find git grep mount nm objdump openssl python3 seq setpriv strace
    taskset timeout umount
)

# As root if we are not: for apt-get only.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        fail "this needs root once, to install packages: run it as root, or install sudo"
    fi
}

is_installed() {
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Is libnghttp2 there and recent enough?
nghttp2_is_safe() {
    local version
    version=$(dpkg-query -W -f='${Version}' libnghttp2-14 2>/dev/null) || return 1
    dpkg --compare-versions "$version" ge "$NGHTTP2_MINIMUM"
}

# install_packages NAME...: installs the missing ones, and says so.
install_packages() {
    command -v apt-get >/dev/null ||
        fail "there is no apt-get here: on another system than Debian 12 install $* yourself"
    local missing=() package
    for package in "$@"; do
        is_installed "$package" || missing+=("$package")
    done
    nghttp2_is_safe || missing+=(libnghttp2-14 libnghttp2-dev)
    [ ${#missing[@]} -gt 0 ] || return 0
    say "Installing Debian packages: ${missing[*]}"
    as_root apt-get update -q ||
        fail "apt-get update failed: check the network and /etc/apt/sources.list"
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -q -y --no-install-recommends "${missing[@]}" ||
        fail "apt-get could not install ${missing[*]}: see its message above"
    nghttp2_is_safe ||
        fail "libnghttp2 is older than $NGHTTP2_MINIMUM, which lacks security fixes: add Debian's \
bookworm-security to /etc/apt/sources.list and run this again"
}

# need_programs NAME...
need_programs() {
    local missing=() program
    for program in "$@"; do
        command -v "$program" >/dev/null || missing+=("$program")
    done
    [ ${#missing[@]} -eq 0 ] || fail "these programs are not on PATH: ${missing[*]}"
}

# Tests, webhooks and browsers say `localhost`.
need_localhost() {
    getent ahostsv4 localhost | grep -q '^127\.' ||
        fail "the name localhost does not lead to 127.0.0.1: add the line \"127.0.0.1 localhost\" to /etc/hosts"
}

need_swift() {
    command -v swift >/dev/null ||
        fail "there is no Swift toolchain on PATH: install Swift 6.2 or later (https://www.swift.org/install)"
    local version
    version=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9]*\.[0-9]*\).*/\1/p' | head -1) || true
    [ -n "$version" ] || fail "swift --version does not answer: is the toolchain complete?"
    dpkg --compare-versions "$version" ge 6.2 ||
        fail "Swift $version is too old: 6.2 or later is needed"
}

# Everything that a build needs.
setup_build() {
    install_packages "${BUILD_PACKAGES[@]}"
    need_swift
}

# A Python environment with the foreign client; sets PYTHON.
setup_python() {
    install_packages "${BUILD_PACKAGES[@]}" "${TEST_PACKAGES[@]}"
    # Some stand where only root's PATH leads.
    PATH=$PATH:/usr/sbin:/sbin
    need_programs "${TEST_PROGRAMS[@]}"
    need_localhost
    python_environment "$SCRATCH/python" "$ROOT/Tools/tests/requirements.txt"
    PYTHON=$SCRATCH/python/bin/python
    unpack_prometheus
}

# Prometheus and promtool, beside the build: Debian's package would start a service where it is installed.
unpack_prometheus() {
    command -v prometheus >/dev/null && command -v promtool >/dev/null && return
    "$PYTHON" -B "$ROOT/Tools/lib/verify/debian.py" "$SCRATCH" prometheus prometheus ||
        fail "Prometheus could not be fetched: see the message above, or install prometheus and promtool"
}

# python_environment DIRECTORY REQUIREMENTS: a Python environment with just these packages.
python_environment() {
    local environment=$1 requirements=$2
    if ! cmp -s "$requirements" "$environment/requirements.txt"; then
        say "Installing Python packages into $environment: $(grep -o '^[A-Za-z][^ ]*' "$requirements" | tr '\n' ' ')"
        mkdir -p "$SCRATCH"
        rm -rf "$environment"
        python3 -m venv "$environment" ||
            fail "python3 -m venv failed: install python3-venv"
        "$environment/bin/python" -m pip install -q --disable-pip-version-check -r "$requirements" ||
            fail "pip could not install the packages of $requirements: check the network"
        cp "$requirements" "$environment/requirements.txt"
    fi
}

# What a release build is: what is measured and tried is what Tools/package ships, with the Swift runtime inside.
RELEASE=(--static-swift-stdlib --disable-local-rpath -Xlinker --no-export-dynamic)

# build CONFIGURATION [ARGUMENT...]: sets BINARIES to the directory of the products.
build() {
    local configuration=$1
    shift
    if [ "$configuration" = release ]; then set -- "${RELEASE[@]}" "$@"; fi
    (cd "$ROOT" && swift build -c "$configuration" --scratch-path "$SCRATCH" "$@") ||
        fail "the build failed: see the compiler's messages above"
    BINARIES=$(cd "$ROOT" && swift build -c "$configuration" --scratch-path "$SCRATCH" --show-bin-path)
}
