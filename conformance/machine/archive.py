# SPDX-License-Identifier: Apache-2.0
"""The initial file system of a guest: a cpio archive in the format that the kernel unpacks (newc)."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping

TRAILER = "TRAILER!!!"
CONSOLE = 5 << 8 | 1  # the device number of /dev/console: major 5, minor 1


def archive(folders: tuple[str, ...], files: Mapping[str, bytes]) -> bytes:
    """Folders and executable files, by their path in the guest; a folder is named before what lies in it.

    >>> archive(("dev",), {"init": b"x"})[:6]
    b'070701'
    """
    entries = [(name, stat.S_IFDIR | 0o755, b"", 0) for name in folders]
    entries += [("dev/console", stat.S_IFCHR | 0o600, b"", CONSOLE)] if "dev" in folders else []
    entries += [(name, stat.S_IFREG | 0o755, data, 0) for name, data in sorted(files.items())]
    entries.append((TRAILER, 0, b"", 0))
    return b"".join(piece for number, entry in enumerate(entries) for piece in _entry(number, *entry))


def _entry(number: int, name: str, mode: int, data: bytes, device: int) -> Iterator[bytes]:
    path = name.encode() + b"\0"
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, device >> 8, device & 0xFF, len(path), 0)
    header = b"070701" + b"".join(b"%08X" % f for f in fields) + path
    yield header + bytes(-len(header) % 4)
    yield data + bytes(-len(data) % 4)
