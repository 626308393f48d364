# SPDX-License-Identifier: Apache-2.0
"""A kernel that looks at itself: KASAN, lockdep, kmemleak, debug objects and fault injection, compiled from the
distribution's source with the few options that a guest needs (debug.config).  For nightly runs: it is several times
slower.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from .packages import Missing, check_found

CONFIG = Path(__file__).parent / "debug.config"
DISK = 6_000_000_000  # bytes that compiling needs for a while; it keeps a tenth of them
TOOLS = {"flex": "flex", "bison": "bison", "bc": "bc"}
HEADERS = {"gelf.h": "libelf-dev"}
KEPT = ("arch", "include", "scripts", "tools")  # what modules are built with, of the folders
OBJECTS = (".o", ".a", ".c", ".S")  # of no use for that in arch


def key() -> str:
    """A fingerprint of the configuration."""
    return hashlib.sha256(CONFIG.read_bytes()).hexdigest()[:16]


def check_compiler() -> None:
    """Is there what a whole kernel needs beyond a module?  Raises Missing."""
    check_found(TOOLS, HEADERS, ("usr/include",), "the debug kernel")


def compile_kernel(tree: Path) -> None:
    """Configure and compile the source in this folder.  Raises Missing where that fails."""
    _make(tree, "tinyconfig")
    _run(tree, "scripts/kconfig/merge_config.sh", "-m", ".config", str(CONFIG))
    _make(tree, "olddefconfig")
    config = set((tree / ".config").read_text().splitlines())
    refused = [line for line in CONFIG.read_text().splitlines() if line.startswith("CONFIG_") and line not in config]
    if refused:
        raise Missing(
            f"this kernel does not know {', '.join(refused)}\nIts options have changed: {CONFIG} is to follow."
        )
    _make(tree, f"-j{os.cpu_count() or 1}", "bzImage", "modules")


def leave_headers(tree: Path) -> None:
    """Remove all that modules are not built with."""
    others = [path for path in tree.iterdir() if path.is_dir() and path.name not in KEPT]
    for path in [*others, *(path for path in (tree / "arch").iterdir() if path.is_dir() and path.name != "x86")]:
        shutil.rmtree(path)
    for path in [*tree.glob("vmlinux*"), *(path for path in (tree / "arch").rglob("*") if path.suffix in OBJECTS)]:
        path.unlink()


def _make(tree: Path, *targets: str) -> None:
    _run(tree, "make", "-s", *targets)


def _run(tree: Path, *command: str) -> None:
    done = subprocess.run(
        command, cwd=tree, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"}
    )
    if done.returncode:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if "rror" in line] or ["no message"]
        raise Missing(f"the debug kernel does not compile: {command[-1]}: {lines[0].strip()}\n" + "\n".join(lines[1:5]))
