# SPDX-License-Identifier: Apache-2.0
"""Kernel, modules and initial file system of a guest, made from the distribution's packages into the user's cache.

cache/RELEASE/         bzImage, modules/, source/, build/ (headers and build tools): made once
cache/RELEASE/parts-X/ modules, initrd, snapshot: made again when a part changes; X is a hash of the parts
"""

from __future__ import annotations

import fcntl
import hashlib
import lzma
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from .archive import archive
from .packages import Missing, Release, check_disk, check_tools, fetch, newest_release, unpack, unpack_source, versions

HERE = Path(__file__).parent
UACCE = "drivers/misc/uacce/uacce.c"
SOURCES = (UACCE, "drivers/dma-buf/sw_sync.c", "drivers/dma-buf/sync_debug.h")
# The kernel's modules and ours, each list in the order in which they are loaded; udmabuf and the heaps are built in.
DRM = "kernel/drivers/gpu/drm"
PACKAGED = (f"{DRM}/drm", f"{DRM}/drm_kms_helper", f"{DRM}/drm_shmem_helper", f"{DRM}/vgem/vgem")
OWN_MODULES = ("accelspec_shim", "uacce", "accelspec_provider", "accelspec_sync")
KBUILD = """\
obj-m := {objects}
accelspec_shim-y := shim.o
accelspec_provider-y := provider.o
accelspec_sync-y := sw_sync.o sync.o
ccflags-y := -DCONFIG_UACCE=1 -I$(src)
CFLAGS_uacce.o := -include $(src)/shim.h -DACCELSPEC_REDIRECT
CFLAGS_sw_sync.o := -DCONFIG_SW_SYNC=1 -include linux/module.h
"""
WORK = "work"  # where the modules are built
FOLDERS = ("dev", "proc", "sys", "modules")
LAYOUT = "2"  # of what is kept of a release; another one makes it again
KEPT = 4  # sets of parts of a release; a snapshot takes about 130 MB


@dataclass(frozen=True)
class Parts:
    """What the user puts in place of ours; empty: ours.

    `uacce_source` and `provider` are C files. `modules` are loaded after ours; one called like one of ours takes its
    place. `kernel_image` has to fit the distribution's modules, or to come with `modules` of its own.
    """

    uacce_source: str = ""
    provider: str = ""
    kernel_image: str = ""
    modules: tuple[str, ...] = ()

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
    shimmed: bool  # is uacce built with our shim: can its allocations fail, are its objects counted?
    qemu: str


def cache() -> Path:
    """Where the user's caches lie (XDG)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "accelspec" / "kernel"


def build(parts: Parts = Parts(), tell: Callable[[str], None] = lambda _: None) -> Image:
    """The image of these parts, from the cache as far as it is there.

    Raises Missing where a tool, a package, room on the disk or a part lacks, or where a part does not compile.
    """
    tools = check_tools()
    given = parts.paths()
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one build at a time; the second finds it done
        try:
            return _build(parts, given, tools["qemu-system-x86_64"], tell)
        except subprocess.CalledProcessError as error:
            raise Missing(f"{' '.join(map(str, error.cmd))} failed with status {error.returncode}") from error


def _build(parts: Parts, given: list[Path], qemu: str, tell: Callable[[str], None]) -> Image:
    release, base = _base(tell)
    ours = [HERE / "guest", HERE / "provider"]
    sources = sorted(path for folder in ours for path in folder.glob("*.[ch]"))
    made_by = "\n".join([KBUILD, repr(parts.modules), *versions(["qemu-system-x86_64", "gcc"])])
    key = _hash([*sources, *given], made_by, (bool(parts.uacce_source), bool(parts.provider), bool(parts.kernel_image)))
    folder = base / f"parts-{key}"
    own = {Path(name).stem.replace("-", "_") for name in parts.modules}
    if not (folder / "initrd").exists():
        tell("building the modules and the agent")
        with tempfile.TemporaryDirectory(prefix="parts-", dir=base) as made:
            _make(parts, base, Path(made), own)
            _forget_old(base)
            if not folder.exists():
                Path(made).rename(folder)
                Path(made).mkdir()  # for its own end
    else:
        os.utime(folder)
    return Image(
        release,
        folder,
        Path(parts.kernel_image).resolve() if parts.kernel_image else base / "bzImage",
        folder / "initrd",
        tuple(dict.fromkeys((*map(_name, PACKAGED), *OWN_MODULES, *map(_name, parts.modules)))),
        "uacce" not in own,
        qemu,
    )


def _base(tell: Callable[[str], None]) -> tuple[Release, Path]:
    """The release, and the folder with everything of it that does not depend on parts."""
    release = newest_release()
    base = cache() / release.name
    complete, text = base / "complete", f"{release.version} {LAYOUT}\n"
    if not complete.exists() or complete.read_text() != text:
        for older in cache().glob("*-amd64"):
            shutil.rmtree(older, ignore_errors=True)
        check_disk(cache())
        base.mkdir()
        _take_apart(release, base, tell)
        complete.write_text(text)
    return release, base


def _take_apart(release: Release, base: Path, tell: Callable[[str], None]) -> None:
    name, common = release.name, release.flavourless
    wanted = [
        *(f"linux-image-{name}", f"linux-headers-{name}", f"linux-headers-{common}-common", f"linux-kbuild-{common}"),
        f"linux-source-{'.'.join(release.upstream.split('.')[:2])}",
    ]
    with tempfile.TemporaryDirectory(prefix="packages-", dir=base) as downloads:
        tell(f"fetching Linux {name} (about 280 MB of packages)")
        image, *tree, source = fetch([f"{p}={release.version}" for p in wanted], Path(downloads))
        tell("unpacking them")
        modules = f"./lib/modules/{name}"
        unpack(image, Path(downloads), f"./boot/vmlinuz-{name}", *(f"{modules}/{path}.ko.xz" for path in PACKAGED))
        shutil.move(Path(downloads) / "boot" / f"vmlinuz-{name}", base / "bzImage")
        (base / "modules").mkdir()
        for path in PACKAGED:
            data = lzma.decompress((Path(downloads) / modules / f"{path}.ko.xz").read_bytes())
            (base / "modules" / f"{_name(path)}.ko").write_bytes(data)
        for package in tree:
            unpack(package, base / "build")
        unpack_source(source, base / "source", SOURCES)
    # the only absolute path of the headers: the file that includes the common Makefile
    makefile = base / "build/usr/src" / f"linux-headers-{name}" / "Makefile"
    makefile.write_text(makefile.read_text().replace("include /usr/src/", f"include {base}/build/usr/src/"))


def _make(parts: Parts, base: Path, folder: Path, own: set[str]) -> None:
    """Modules, agent and initial file system, in an empty folder."""
    work = folder / WORK
    work.mkdir()
    for path in (*(HERE / "provider").glob("*.[ch]"), HERE / "guest" / "abi.h"):
        shutil.copy(path, work)
    for source in SOURCES:
        shutil.copy(base / "source" / source, work)
    if parts.uacce_source:
        shutil.copy(parts.uacce_source, work / "uacce.c")
    if parts.provider:
        shutil.copy(parts.provider, work / "provider.c")
    # All of ours are built, also one that is replaced: the others are linked against its symbols.
    (work / "Kbuild").write_text(KBUILD.format(objects=" ".join(f"{name}.o" for name in OWN_MODULES)))
    headers = next((base / "build/usr/src").glob("linux-headers-*-amd64"))
    command = ["make", "-s", "-C", str(headers), f"M={work}", "CONFIG_DEBUG_INFO_BTF_MODULES=", "modules"]
    _run(command, "the modules do not compile")
    agent = sorted(map(str, (HERE / "guest").glob("*.c")))
    _run(["gcc", "-static", "-O2", "-o", str(folder / "init"), *agent], "the agent does not compile")
    files = {"init": (folder / "init").read_bytes()}
    files |= {f"modules/{path.name}": path.read_bytes() for path in (base / "modules").iterdir()}
    for name in (name for name in OWN_MODULES if name not in own):
        subprocess.run(["strip", "-g", str(work / f"{name}.ko")], check=True)
        files[f"modules/{name}.ko"] = (work / f"{name}.ko").read_bytes()
    for name in parts.modules:
        files[f"modules/{Path(name).stem}.ko"] = Path(name).read_bytes()
    (folder / "initrd").write_bytes(archive(FOLDERS, files))
    shutil.rmtree(work)


def _name(path: str) -> str:
    """What a module is called, by its path."""
    return Path(path).stem


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
