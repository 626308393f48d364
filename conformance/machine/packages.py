# SPDX-License-Identifier: Apache-2.0
"""What the distribution gives: the tools that are needed, and packages fetched and taken apart without installing them.

Everything comes through apt, from wherever the machine's owner has configured it to.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..targets.interface import TargetError

SERIES = "6.12"
PATIENCE = 900  # seconds for the packages to arrive
DISK = 2_000_000_000  # bytes that a build from nothing needs for a while; it keeps a third of them

# The tools, each with the package that has it.
TOOLS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "gcc": "gcc",
    "make": "make",
    "ld": "binutils",
    "xz": "xz-utils",
    "tar": "tar",
    "setpriv": "util-linux",
    "dpkg-deb": "dpkg",
    "apt-get": "apt",
}
LIBRARIES = {"libelf.so.1": "libelf1", "libc.a": "libc6-dev"}  # the kernel's own build tools; the agent is static
FOLDERS = ("usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "usr/lib64", "usr/lib")


class Missing(TargetError):
    """Something that the machine lacks: what in the first line, the command that brings it in the second."""


def check_tools(root: Path = Path("/")) -> dict[str, str]:
    """Where the tools are.  Raises Missing, which names all that lack and the command that installs them."""
    if os.uname().machine != "x86_64":
        raise Missing(f"the target kernel is built for x86_64; this machine is {os.uname().machine}")
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise Missing("the target kernel is built from Debian's packages, and there is no apt here")
    return check_found(TOOLS, LIBRARIES, FOLDERS, "the target kernel", root)


def check_found(
    tools: Mapping[str, str], files: Mapping[str, str], folders: Sequence[str], who: str, root: Path = Path("/")
) -> dict[str, str]:
    """Where these tools are, each with its package, and are these files in one of the folders?  Raises Missing."""
    found = {tool: shutil.which(tool) for tool in tools}
    lacking = {tools[tool]: tool for tool, path in found.items() if path is None}
    for file, package in files.items():
        if not any((root / folder / file).exists() for folder in folders):
            lacking[package] = file
    if lacking:
        raise Missing(
            f"{who} needs {', '.join(sorted(lacking.values()))}, which this machine does not have\n"
            f"{'' if os.geteuid() == 0 else 'sudo '}apt-get install --no-install-recommends {' '.join(sorted(lacking))}"
        )
    return {tool: path for tool, path in found.items() if path}


def check_disk(folder: Path, needed: int = DISK) -> None:
    """Is there room for a build?  Raises Missing."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise Missing(
            f"building the kernel target takes {needed / 1e9:.0f} GB for a while, "
            f"and {folder} has {free / 1e9:.1f} GB\n"
            "Make room there, or set XDG_CACHE_HOME to a folder on a larger disk."
        )


@dataclass(frozen=True)
class Release:
    """A kernel of the distribution."""

    name: str  # 6.12.117+deb12-amd64
    version: str  # of its packages

    @property
    def flavourless(self) -> str:
        """Without the flavour: what the packages that all flavours share are called after."""
        return self.name.removesuffix("-amd64")

    @property
    def source(self) -> str:
        """The package with its source."""
        return f"linux-source-{'.'.join(self.upstream.split('.')[:2])}"

    @property
    def upstream(self) -> str:
        """6.12.117."""
        return self.name.partition("+")[0]


def newest_release(series: str = SERIES) -> Release:
    """The newest kernel of a series that apt knows.  Raises Missing."""
    pattern = re.compile(rf"linux-image-({re.escape(series)}\.(\d+)\+deb\w+-amd64)")
    names = _said("apt-cache", "pkgnames", f"linux-image-{series}.").split()
    found = sorted((int(m[2]), m[1]) for name in names if (m := pattern.fullmatch(name)))
    for _, name in reversed(found):
        shown = _said("apt-cache", "policy", f"linux-image-{name}")
        if (candidate := re.search(r"Candidate: (\S+)", shown)) and candidate[1] != "(none)":
            return Release(name, candidate[1])
    raise Missing(
        f"apt knows no package linux-image-{series}.*-amd64\n"
        "Run apt-get update; Debian 12 has the kernel among its security updates."
    )


def fetch(names: Sequence[str], folder: Path) -> list[Path]:
    """Packages as files in a folder, in this order.  Raises Missing."""
    command = ["apt-get", "download", "-q", *names]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        raise Missing(f"{' '.join(command)} did not end within {PATIENCE} s") from None
    found = [next(folder.glob(name.partition("=")[0] + "_*.deb"), None) for name in names]
    if done.returncode or None in found:
        errors = [line for line in done.stderr.splitlines() if line.startswith("E:")]
        raise Missing(
            f"apt-get download {' '.join(names)} failed: {' '.join(errors) or done.stderr.strip()[-300:]}\n"
            "Run apt-get update, and make sure that the distribution's packages can be reached."
        )
    return [path for path in found if path]


def unpack(package: Path, to: Path, *only: str) -> None:
    """The files of a package, or some of them."""
    to.mkdir(parents=True, exist_ok=True)
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE) as reader:
        subprocess.run(["tar", "-x", "-C", str(to), *(only or (".",))], stdin=reader.stdout, check=True)


def unpack_source(package: Path, to: Path, only: Sequence[str] = ()) -> None:
    """The tree in a package linux-source-*, or some files of it: they lie in an archive in the package."""
    to.mkdir(parents=True, exist_ok=True)
    patterns = ["--wildcards", *(f"*/{name}" for name in only)] if only else []
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE) as reader:
        outer = subprocess.Popen(
            ["tar", "-xO", "--wildcards", "./usr/src/linux-source-*.tar.xz"],
            stdin=reader.stdout,
            stdout=subprocess.PIPE,
        )
        with outer:
            command = ["tar", "-xJ", "-C", str(to), "--strip-components=1", *patterns]
            subprocess.run(command, stdin=outer.stdout, check=True)


def versions(tools: Sequence[str]) -> Iterator[str]:
    """The first line of what each tool says about its version."""
    for tool in tools:
        yield _said(tool, "--version").partition("\n")[0]


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout
