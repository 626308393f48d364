#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Resolves requirements-dev.lock again: one file for every Python from 3.11 on, with the hashes of all files, and without
# the name of the registry that was asked.
# usage: lock.sh PYTHON
set -eu

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
"$1" -m venv "$place/venv"
"$place/venv/bin/python" -m pip --disable-pip-version-check -qq install uv
cat >"$place/lock" <<'HEAD'
# SPDX-License-Identifier: Apache-2.0
# The development environment, for every Python from 3.11 on. Made by `make lock` from pyproject.toml; do not edit.
# `make` installs exactly these files (pip checks the hashes). Users of the package are bound by pyproject.toml alone.
HEAD
"$place/venv/bin/uv" pip compile --quiet --universal --python-version 3.11 --extra dev \
    --generate-hashes --no-emit-index-url --no-header pyproject.toml >>"$place/lock"
mv "$place/lock" requirements-dev.lock
