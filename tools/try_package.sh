#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds the wheel and the source archive into dist/ and tries them as a user has them: outside the repository, in an
# environment of their own, the wheel that is made from the source archive included.
# usage: try_package.sh PYTHON   (one that has hatchling)
set -eu

python=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

rm -rf dist
"$python" -m hatchling build -d dist >/dev/null
version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' .pkg/accelspec/__init__.py)
wheel=$PWD/dist/accelspec-$version-py3-none-any.whl
archive=$PWD/dist/accelspec-$version.tar.gz

# The two ways to a wheel must give the same files.
mkdir "$place/unpacked"
tar -xzf "$archive" -C "$place/unpacked" --strip-components=1
(cd "$place/unpacked" && "$python" -m hatchling build -t wheel -d "$place/again" >/dev/null)
list() { "$python" -m zipfile -l "$1" | awk 'NR > 1 { print $1 }' | grep -v '/RECORD$' | sort; }
list "$wheel" >"$place/direct"
list "$place"/again/*.whl >"$place/by-archive"
diff "$place/direct" "$place/by-archive" >&2 ||
    { echo "accelspec: the wheel from the source archive has other files than the wheel from the repository" >&2; exit 1; }
for file in spec model reference_impl conformance; do
    grep -qx "accelspec/$file/__init__.py" "$place/direct" || { echo "accelspec: the wheel has no $file" >&2; exit 1; }
done

"$python" -m venv "$place/venv"
"$place/venv/bin/python" -m pip --disable-pip-version-check -qq install "$place"/again/*.whl
cd "$place"
"$place/venv/bin/python" -c '
import importlib, importlib.metadata, pkgutil, accelspec
for module in pkgutil.walk_packages(accelspec.__path__, "accelspec."):
    if ".tests" not in module.name:
        importlib.import_module(module.name)
print("accelspec", importlib.metadata.version("accelspec"), "imports whole from", accelspec.__path__[0])'
"$place/venv/bin/accelspec" --version
ls -l "$wheel" "$archive"
