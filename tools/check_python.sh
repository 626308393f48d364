#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Says in one line what keeps an interpreter from running this project, and how to mend it.
# usage: check_python.sh PYTHON

python=$1

fail() {
    printf 'accelspec: %s\n' "$1" >&2
    exit 1
}

command -v "$python" >/dev/null 2>&1 ||
    fail "there is no '$python' here: apt-get install python3 python3-venv, or make PYTHON=/path/to/python"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
    fail "$("$python" --version 2>&1 | head -n 1) ('$python') is too old, 3.11 or newer is needed: make PYTHON=/path/to/python"
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
    fail "'$python' cannot make virtual environments: apt-get install $("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
