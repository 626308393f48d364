# SPDX-License-Identifier: Apache-2.0
"""Descriptors: one release at the last reference, whoever drops it."""

from __future__ import annotations

from accelspec.spec.language import EBADF, OK, Machine, Result, kernel, operation, require, when

from .objects import Fd, File, Process, Sleeper, Vma


class Files(Machine):
    """dup, close and passing.  A driver's machine gives `release`: what its own release does."""

    document = "Linux: fs/file.c, fs/file_table.c"

    def release(self, f: File) -> None:
        """The driver's release callback."""

    def referenced(self, f: File) -> bool:
        by_fd = any(p.fd[n] is f for p in Process for n in Fd)
        by_mapping = any(v.file is f for v in Vma)
        return by_fd or by_mapping or f.in_flight or f.in_call or f.sleeper is not Sleeper.NOBODY

    def fput(self, f: File) -> None:
        """A reference is gone.  At the last one release runs: as task work, so never under the caller's mmap_lock."""
        if when(not self.referenced(f)):
            self.release(f)

    def file_of(self, p: Process, n: Fd) -> File:
        f = p.fd[n]
        if f is None:
            raise EBADF("bad_fd", kernel("fdget"))
        return f

    def unused(self, p: Process, n: Fd) -> bool:
        return p.running and p.fd[n] is None

    @operation
    def close(self, p: Process, n: Fd) -> Result:
        require(p.running)
        f = self.file_of(p, n)
        p.fd[n] = None
        self.fput(f)
        return OK("ok", kernel("close", "the driver's own result of release is ignored"))

    @operation
    def dup(self, p: Process, n: Fd, m: Fd) -> Result:
        require(self.unused(p, m) and n is not m)
        f = self.file_of(p, n)
        p.fd[m] = f
        return OK("ok", kernel("dup2", "the same description"))

    @operation
    def send(self, p: Process, n: Fd) -> Result:
        """A descriptor is put into a message (SCM_RIGHTS)."""
        require(p.running)
        f = self.file_of(p, n)
        require(not f.in_flight)
        f.in_flight = True
        return OK("ok", kernel("scm_fp_copy", "the message holds the description"))

    @operation
    def receive(self, p: Process, n: Fd, f: File) -> Result:
        require(self.unused(p, n) and f.in_flight)
        f.in_flight = False
        p.fd[n] = f
        return OK("ok", kernel("receive_fd", "a new number for the same description"))

    @operation
    def discard(self, f: File) -> Result:
        """The message is dropped unread."""
        require(f.in_flight)
        f.in_flight = False
        self.fput(f)
        return OK("ok", kernel("unix_destruct_scm"))
