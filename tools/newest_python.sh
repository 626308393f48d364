#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Puts the newest released Python that Debian has into a cache folder and prints the path of its interpreter.
# usage: newest_python.sh
#
# Nothing is installed and no right is needed: apt resolves the packages against an empty system of its own, they are
# unpacked side by side with the libc they were built for, and a three-line wrapper starts them with it.
#
# ACCELSPEC_SUITE    the Debian suite, sid unless given
# ACCELSPEC_MIRROR   the archive; unless given, the one that this machine's apt uses
# XDG_CACHE_HOME     the cache lies in its folder accelspec, ~/.cache unless given
set -eu

suite=${ACCELSPEC_SUITE:-sid}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/accelspec/python-$suite
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

fail() {
    printf 'accelspec: %s\n' "$1" >&2
    exit 1
}

say() {
    printf '%s\n' "$1" >&2
}

for tool in apt-get apt-cache dpkg dpkg-deb; do
    command -v $tool >/dev/null 2>&1 ||
        fail "no '$tool' here, so no packages of Debian: install the newest Python and say make test PYTHON=/path/to/it"
done
[ -r "$keyring" ] || fail "no keys for Debian's archive: apt-get install debian-archive-keyring"
mirror=${ACCELSPEC_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 2>/dev/null | grep -m 1 '/debian/*$' || true)}
[ -n "$mirror" ] || fail "apt knows no archive of Debian: give one with ACCELSPEC_MIRROR=..."

# An apt of its own: no status, no sources, no preferences of this machine; how it reaches the network stays.
mkdir -p "$cache/state/lists/partial" "$cache/cache/archives/partial"
: >"$cache/status"
printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "$mirror" "$suite" >"$cache/sources.list"
cat >"$cache/apt.conf" <<CONF
Dir::Etc::SourceList "$cache/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Dir::State "$cache/state";
Dir::State::Status "$cache/status";
Dir::Cache "$cache/cache";
Debug::NoLocking "1";
APT::Install-Recommends "0";
APT::Sandbox::User "";
Acquire::Languages "none";
Binary::apt-get::DPkg::Post-Invoke "";
CONF
export APT_CONFIG="$cache/apt.conf"
apt-get -qq update >&2 || fail "the archive $mirror has no suite $suite, or is not reachable"

# Newest first; one that is still an alpha, a beta or a candidate is not a released Python.
name= version=
for candidate in $(apt-cache search --names-only '^python3\.[0-9]+$' | cut -d ' ' -f 1 | sort -t . -k 2 -n -r); do
    version=$(apt-cache show --no-all-versions "$candidate" | sed -n 's/^Version: //p')
    case $version in
    *~a[0-9]* | *~b[0-9]* | *~rc[0-9]*) say "passing over $candidate $version, not released yet" ;;
    *)
        name=$candidate
        break
        ;;
    esac
done
[ -n "$name" ] || fail "the suite $suite has no package python3.N"

root=$cache/$version
python=$root/usr/bin/$name
if ! [ -e "$root/complete" ]; then
    say "fetching $name $version from $suite"
    rm -rf "$root" "$cache/cache/archives"
    mkdir -p "$cache/cache/archives/partial" "$root/usr/bin" "$root/usr/sbin" "$root/usr/lib" "$root/usr/lib64"
    apt-get -qq -y --download-only install "$name-venv" >&2 || fail "$name-venv cannot be fetched from $suite"
    for folder in bin sbin lib lib64; do ln -s usr/$folder "$root/$folder"; done
    for package in "$cache"/cache/archives/*.deb; do dpkg-deb -x "$package" "$root"; done

    set -- "$root"/usr/lib/*/libc.so.6
    libraries=${1%/*}
    set -- "$root"/usr/lib*/ld-linux*.so.*
    [ -e "$1" ] && [ -e "$libraries/libc.so.6" ] || fail "the packages of $suite have no libc where one is expected"
    mv "$python" "$python.elf"
    cat >"$python" <<WRAPPER
#!/bin/sh
# Starts this Python with the libc that it was built for; children get the machine's own.
exec '$1' --argv0 "\$0" --library-path '$libraries' '$python.elf' "\$@"
WRAPPER
    chmod +x "$python"
    # Debian's ensurepip looks for its wheels at a fixed place.
    sed -i "s#/usr/share/python-wheels#$root/usr/share/python-wheels#" "$root/usr/lib/$name"/_sysconfig*.*
    "$python" -c 'import ctypes, ensurepip, sqlite3, ssl, venv, zlib' >&2 || fail "$name $version was unpacked but does not run"
    rm -rf "$cache/cache/archives"
    : >"$root/complete"
fi
printf '%s\n' "$python"
