#!/bin/sh
# Make the virtual environment $1: exactly what requirements.lock pins, and this checkout.
# Debian's python3 may come without the venv module; root gets its package installed, anyone else is told its name.
set -eu
venv=$1
python=${PYTHON:-python3}

fail() {
    echo "setup: $*" >&2
    exit 1
}

command -v "$python" >/dev/null ||
    fail "no $python here: install Python 3.11 or newer, or name one as in: make PYTHON=/path/to/python3.12"
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$python is Python $version, chaosapi needs 3.11 or newer: name one as in: make PYTHON=/path/to/python3.12"

if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    package=python$version-venv
    command -v apt-get >/dev/null || fail "$python has no ensurepip module: install what your system calls $package"
    [ "$(id -u)" = 0 ] || fail "$python has no ensurepip module: run 'sudo apt-get install $package', then this again"
    echo "setup: installing $package"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -qq -y --no-install-recommends "$package" >/dev/null
fi

echo "setup: $venv with Python $version"
export PIP_DISABLE_PIP_VERSION_CHECK=1
"$python" -m venv "$venv"
"$venv/bin/python" -m pip install -q --require-hashes --only-binary :all: --no-deps -r requirements.lock
# The build backend is pinned too, so nothing is fetched to build the checkout itself.
"$venv/bin/python" -m pip install -q --no-deps --no-build-isolation --editable .
"$venv/bin/python" -m pip check
