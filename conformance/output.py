# SPDX-License-Identifier: Apache-2.0
"""Where results go: standard output, or a file that is either the old one or the whole new one, never half of it."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .loading import BadInput

ENDINGS = {
    ".json": "json",
    ".html": "html",
    ".htm": "html",
    ".xml": "junit",
    ".md": "markdown",
    ".txt": "text",
    ".mmd": "mermaid",
    ".dot": "dot",
}


@dataclass
class OutputFile:
    """A file to be written at the end.  Opening it makes sure, before any work, that it can be."""

    path: Path
    form: str
    _temporary: Path | None = None  # in the same folder; None: not a regular file, written directly

    @classmethod
    def open(cls, path: str, form: str) -> OutputFile:
        """Make sure that the file can be written.

        Raises:
            BadInput: it cannot.
        """
        target = Path(path)
        try:
            mode = target.stat().st_mode if target.exists() else None
            if mode is not None and stat.S_ISDIR(mode):
                raise BadInput(f"{path} is a folder", "Give the name of a file to -o.")
            if mode is not None and not os.access(target, os.W_OK):
                raise BadInput(f"{path} cannot be written: permission denied")
            if mode is not None and not stat.S_ISREG(mode):
                return cls(target, form)
            if target.is_symlink():
                target = target.resolve()
            handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent or ".")
            os.fchmod(handle, stat.S_IMODE(mode) if mode is not None else 0o666 & ~_umask())
            os.close(handle)
        except OSError as e:
            remedy = "" if target.parent.is_dir() else f"There is no folder {target.parent}."
            raise BadInput(f"{path} cannot be written: {(e.strerror or str(e)).lower()}", remedy) from e
        return cls(target, form, Path(name))

    def write(self, text: str) -> None:
        """Write all of it, or leave what was there.

        Raises:
            BadInput: it cannot be written any more (a full disk).
        """
        try:
            if self._temporary is None:
                self.path.write_text(text, encoding="utf-8")
                return
            with self._temporary.open("w", encoding="utf-8") as f:
                f.write(text)
                f.flush()
                os.fsync(f.fileno())
            self._temporary.replace(self.path)
            self._temporary = None
        except OSError as e:
            raise BadInput(f"{self.path} cannot be written: {(e.strerror or str(e)).lower()}") from e

    def discard(self) -> None:
        """Forget it; what was there stays."""
        if self._temporary is not None:
            with contextlib.suppress(OSError):
                self._temporary.unlink()
            self._temporary = None


def form_of(path: str, default: str) -> str:
    """The format that a file's ending stands for."""
    return ENDINGS.get(Path(path).suffix.lower(), default)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def say(text: str) -> None:
    """Write to standard output.  If nobody reads it any more the program goes on: files are still to be written."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
