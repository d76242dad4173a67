#!/bin/sh
# Make the virtual environment $1, or complete it: exactly what the lock file $2 pins, and this checkout.
# Debian's python3 may come without the venv module; root gets its package installed, anyone else gets its name in the error.
set -eu
venv=$1
lock=$2
python=${PYTHON:-python3}

fail() {
    echo "setup: $*" >&2
    exit 1
}

# Run pip, and show how many packages it has found; what it says itself is shown where it fails.
install_locked() {
    total=$(grep -c '^[[:alnum:]].*==' "$lock")
    echo "setup: installing the packages of $lock into $venv"
    found=0
    {
        status=0
        "$venv/bin/python" -u -m pip install --progress-bar off --require-hashes --only-binary :all: --no-deps --no-compile \
            -r "$lock" || status=$?
        echo "exit $status"
    } | while read -r word rest; do
        case $word in
        Collecting | Ignoring | Requirement) found=$((found + 1)) ;;
        Installing) echo "setup: unpacking them" ;;
        exit) exit "$rest" ;;
        esac
        if [ "$word" != Installing ] && [ "$found" -gt 0 ] && [ $((found % 20)) = 0 ] && [ "$found" != "${shown:-}" ]; then
            echo "setup: $found of $total packages"
            shown=$found
        fi
    done
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
    export DEBIAN_FRONTEND=noninteractive DEBCONF_NOWARNINGS=yes
    apt-get update -qq
    apt-get install -qq -y --no-install-recommends "$package" >/dev/null
fi

export PIP_DISABLE_PIP_VERSION_CHECK=1
echo "setup: making $venv with Python $version"
"$python" -m venv "$venv"
install_locked
echo "setup: installing this checkout"
# The build backend is pinned too, so nothing is fetched to build the checkout itself.
"$venv/bin/python" -m pip install -q --no-deps --no-build-isolation --editable .
"$venv/bin/python" -m pip check >/dev/null || "$venv/bin/python" -m pip check
