# SPDX-License-Identifier: Apache-2.0
"""Kernel, modules and initial file system of a guest, made from the distribution's packages into the user's cache.

cache/RELEASE/         what does not depend on parts (base.py): made once; cache/RELEASE-debug/ of the debug kernel
cache/RELEASE/parts-X/ modules, initrd, snapshot: made again when a part changes; X is a hash of the parts
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .archive import archive
from .base import PACKAGED, SOURCES, VKMS, Tell, base, cache, name_of
from .packages import Missing, Release, check_tools, versions

HERE = Path(__file__).parent
# In the order in which they are loaded, behind the kernel's own.
OWN_MODULES = ("accelspec_shim", "uacce", "accelspec_provider", "accelspec_sync", "vkms")
PARAMETERS = {"drm_kms_helper": "fbdev_emulation=0"}  # no console of the kernel's on a display: nobody but us opens it
KBUILD = """\
obj-m := {objects}
accelspec_shim-y := shim.o
accelspec_provider-y := provider.o
accelspec_sync-y := sw_sync.o sync.o
vkms-y := {vkms}
ccflags-y := -DCONFIG_UACCE=1 -I$(src)
CFLAGS_uacce.o := -include $(src)/shim.h -DACCELSPEC_REDIRECT
CFLAGS_sw_sync.o := -DCONFIG_SW_SYNC=1 -include linux/module.h
"""
MEMORY, DEBUG_MEMORY = 128, 512  # MiB
WORK = "work"  # where the modules are built
FOLDERS = ("dev", "proc", "sys", "modules")
KEPT = 4  # sets of parts of a release; a snapshot takes about 130 MB


@dataclass(frozen=True)
class Parts:
    """What the user puts in place of ours; empty: ours.

    `uacce_source` and `provider` are C files. `modules` are loaded after ours; one called like one of ours takes its
    place. `kernel_image` has to fit the distribution's modules, or to come with `modules` of its own. With `debug` the
    kernel is one that looks at itself (debug.py).
    """

    uacce_source: str = ""
    provider: str = ""
    kernel_image: str = ""
    modules: tuple[str, ...] = ()
    debug: bool = False

    def paths(self) -> list[Path]:
        """All of them.  Raises Missing for one that cannot be read."""
        found = [Path(name) for name in (self.uacce_source, self.provider, self.kernel_image, *self.modules) if name]
        for path in found:
            if not (path.is_file() and os.access(path, os.R_OK)):
                raise Missing(f"there is no file {path}\nIt was named as a part of the target kernel.")
        return found


@dataclass(frozen=True)
class Image:
    """A guest that can be booted."""

    release: Release
    folder: Path
    kernel: Path
    initrd: Path
    modules: tuple[str, ...]  # to load, in this order
    memory: int  # MiB
    shimmed: bool  # is uacce built with our shim: can its allocations fail, are its objects counted?
    fails: bool  # can any allocation of a system call be made to fail?
    qemu: str


def build(parts: Parts = Parts(), tell: Tell = lambda _: None) -> Image:
    """The image of these parts, from the cache as far as it is there.

    Raises Missing where a tool, a package, room on the disk or a part lacks, or where a part does not compile.
    """
    tools = check_tools()
    given = parts.paths()
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / ("lock-debug" if parts.debug else "lock")).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one build of a kernel at a time; the second finds it done
        try:
            return _build(parts, given, tools["qemu-system-x86_64"], tell)
        except subprocess.CalledProcessError as error:
            raise Missing(f"{' '.join(map(str, error.cmd))} failed with status {error.returncode}") from error


def _build(parts: Parts, given: list[Path], qemu: str, tell: Tell) -> Image:
    release, kernel = base(parts.debug, tell)
    ours = [HERE / "guest", HERE / "provider"]
    sources = sorted(path for folder in ours for path in folder.glob("*.[ch]"))
    made_by = "\n".join([KBUILD, repr(parts.modules), *versions(["qemu-system-x86_64", "gcc"])])
    key = _hash([*sources, *given], made_by, (bool(parts.uacce_source), bool(parts.provider), bool(parts.kernel_image)))
    folder = kernel / f"parts-{key}"
    own = {Path(name).stem.replace("-", "_") for name in parts.modules}
    if not (folder / "initrd").exists():
        tell("building the modules and the agent")
        with tempfile.TemporaryDirectory(prefix="parts-", dir=kernel) as made:
            _make(parts, kernel, Path(made), own)
            _forget_old(kernel)
            if not folder.exists():
                Path(made).rename(folder)
                Path(made).mkdir()  # for its own end
    else:
        os.utime(folder)
    packaged = [name for name in map(name_of, PACKAGED) if (kernel / "modules" / f"{name}.ko").exists()]
    return Image(
        release,
        folder,
        Path(parts.kernel_image).resolve() if parts.kernel_image else kernel / "bzImage",
        folder / "initrd",
        tuple(dict.fromkeys((*packaged, *OWN_MODULES, *map(name_of, parts.modules)))),
        DEBUG_MEMORY if parts.debug else MEMORY,
        "uacce" not in own,
        parts.debug and not parts.kernel_image,
        qemu,
    )


def _make(parts: Parts, kernel: Path, folder: Path, own: set[str]) -> None:
    """Modules, agent and initial file system, in an empty folder."""
    work = folder / WORK
    work.mkdir()
    for path in (*(HERE / "provider").glob("*.[ch]"), HERE / "guest" / "abi.h"):
        shutil.copy(path, work)
    for source in SOURCES:
        shutil.copy(kernel / "source" / source, work)
    if parts.uacce_source:
        shutil.copy(parts.uacce_source, work / "uacce.c")
    if parts.provider:
        shutil.copy(parts.provider, work / "provider.c")
    # All of ours are built, also one that is replaced: the others are linked against its symbols.
    (work / "Kbuild").write_text(
        KBUILD.format(objects=objects(OWN_MODULES), vkms=objects(f"vkms_{name}" for name in VKMS))
    )
    headers = (kernel / "headers").resolve()
    command = ["make", "-s", "-C", str(headers), f"M={work}", "CONFIG_DEBUG_INFO_BTF_MODULES=", "modules"]
    _run(command, "the modules do not compile")
    agent = sorted(map(str, (HERE / "guest").glob("*.c")))
    _run(["gcc", "-static", "-O2", "-o", str(folder / "init"), *agent], "the agent does not compile")
    files = {"init": (folder / "init").read_bytes()}
    files |= {f"modules/{path.name}": path.read_bytes() for path in (kernel / "modules").iterdir()}
    for name in (name for name in OWN_MODULES if name not in own):
        subprocess.run(["strip", "-g", str(work / f"{name}.ko")], check=True)
        files[f"modules/{name}.ko"] = (work / f"{name}.ko").read_bytes()
    for name in parts.modules:
        files[f"modules/{Path(name).stem}.ko"] = Path(name).read_bytes()
    (folder / "initrd").write_bytes(archive(FOLDERS, files))
    shutil.rmtree(work)


def objects(names: Iterable[str]) -> str:
    """The object files of these names, as Kbuild lists them."""
    return " ".join(f"{name}.o" for name in names)


def _run(command: list[str], failing: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})
    if done.returncode:
        lines = (done.stderr + done.stdout).splitlines()
        errors = [re.sub(rf"\S*/{WORK}/", "", line) for line in lines if "error" in line.lower()]
        raise Missing(
            f"{failing}: {errors[0].strip() if errors else (lines or ['no message'])[-1]}\n" + "\n".join(errors[1:5])
        )


def _hash(paths: Iterable[Path], *more: object) -> str:
    digest = hashlib.sha256(repr(more).encode())
    for path in paths:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _forget_old(base: Path) -> None:
    """The parts that were not used for the longest time go."""
    folders = sorted(base.glob("parts-????????????????"), key=lambda path: path.stat().st_mtime, reverse=True)
    for folder in folders[KEPT:]:
        shutil.rmtree(folder, ignore_errors=True)
