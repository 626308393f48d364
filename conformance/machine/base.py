# SPDX-License-Identifier: Apache-2.0
"""What a guest has of the kernel itself, whatever its parts: made once of a release, in a folder of the cache.

bzImage     the kernel
modules/    those of its modules that are loaded
source/     the files that are built as modules of ours
headers     a link to the tree that modules are built against
"""

from __future__ import annotations

import lzma
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from . import debug
from .packages import DISK, Release, check_disk, fetch, newest_release, unpack, unpack_source

UACCE = "drivers/misc/uacce/uacce.c"
VKMS = ("drv", "plane", "output", "formats", "crtc", "composer", "writeback")
SOURCES = (
    *(UACCE, "drivers/dma-buf/sw_sync.c", "drivers/dma-buf/sync_debug.h"),
    *(f"drivers/gpu/drm/vkms/vkms_{name}.c" for name in VKMS),
    *(f"drivers/gpu/drm/vkms/vkms_{name}.h" for name in ("drv", "formats")),
)
# In the order in which they are loaded; udmabuf and the heaps are built in.
DRM = "drivers/gpu/drm"
PACKAGED = (f"{DRM}/drm", f"{DRM}/drm_kms_helper", f"{DRM}/drm_shmem_helper", f"{DRM}/vgem/vgem")
LAYOUT = "4"  # of the folder; another one makes it again

Tell = Callable[[str], None]


def cache() -> Path:
    """Where the user's caches lie (XDG)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "accelspec" / "kernel"


def base(is_debug: bool, tell: Tell) -> tuple[Release, Path]:
    """The release, and the folder; of the distribution's kernel as it is, or of one that looks at itself.

    Raises Missing, and CalledProcessError where an archive cannot be taken apart.
    """
    release = newest_release()
    folder = cache() / f"{release.name}{'-debug' if is_debug else ''}"
    complete, text = folder / "complete", f"{release.version} {LAYOUT} {debug.key() if is_debug else ''}\n"
    if not complete.exists() or complete.read_text() != text:
        for older in cache().glob("*-amd64*"):
            if older == folder or not older.name.startswith(release.name):
                shutil.rmtree(older, ignore_errors=True)
        check_disk(cache(), debug.DISK if is_debug else DISK)
        folder.mkdir()
        (_compile if is_debug else _take_apart)(release, folder, tell)
        complete.write_text(text)
    return release, folder


def name_of(path: str) -> str:
    """What a module is called, by its path."""
    return Path(path).stem


def _take_apart(release: Release, folder: Path, tell: Tell) -> None:
    name, common = release.name, release.flavourless
    wanted = [
        f"linux-image-{name}",
        f"linux-headers-{name}",
        f"linux-headers-{common}-common",
        f"linux-kbuild-{common}",
        release.source,
    ]
    with tempfile.TemporaryDirectory(prefix="packages-", dir=folder) as downloads:
        tell(f"fetching Linux {name} (about 280 MB of packages)")
        image, *tree, source = fetch([f"{p}={release.version}" for p in wanted], Path(downloads))
        tell("unpacking them")
        modules = f"lib/modules/{name}/kernel"
        unpack(image, Path(downloads), f"./boot/vmlinuz-{name}", *(f"./{modules}/{path}.ko.xz" for path in PACKAGED))
        shutil.move(Path(downloads) / "boot" / f"vmlinuz-{name}", folder / "bzImage")
        (folder / "modules").mkdir()
        for path in PACKAGED:
            data = lzma.decompress((Path(downloads) / modules / f"{path}.ko.xz").read_bytes())
            (folder / "modules" / f"{name_of(path)}.ko").write_bytes(data)
        for package in tree:
            unpack(package, folder / "build")
        unpack_source(source, folder / "source", SOURCES)
    # the only absolute path of the headers: the file that includes the common Makefile
    headers = folder / "build/usr/src" / f"linux-headers-{name}"
    makefile = headers / "Makefile"
    makefile.write_text(makefile.read_text().replace("include /usr/src/", f"include {folder}/build/usr/src/"))
    (folder / "headers").symlink_to(headers.relative_to(folder))


def _compile(release: Release, folder: Path, tell: Tell) -> None:
    debug.check_compiler()
    tree = folder / "build"
    with tempfile.TemporaryDirectory(prefix="packages-", dir=folder) as downloads:
        tell(f"fetching the source of Linux {release.name} (about 140 MB)")
        (source,) = fetch([f"{release.source}={release.version}"], Path(downloads))
        tell("unpacking it")
        unpack_source(source, tree)
    tell("compiling it: about ten minutes on two processors")
    debug.compile_kernel(tree)
    shutil.copy(tree / "arch/x86/boot/bzImage", folder / "bzImage")
    (folder / "modules").mkdir()
    for module in (tree / f"{path}.ko" for path in PACKAGED):
        if module.exists():  # the others are built in
            shutil.copy(module, folder / "modules")
    for source_file in SOURCES:
        (folder / "source" / source_file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tree / source_file, folder / "source" / source_file)
    debug.leave_headers(tree)
    (folder / "headers").symlink_to(tree.relative_to(folder))
