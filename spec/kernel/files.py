# SPDX-License-Identifier: Apache-2.0
"""Descriptors: one release at the last reference, whoever drops it."""

from __future__ import annotations

from accelspec.spec.language import DONE, EBADF, OK, Machine, Result, event, free, kernel, operation, require, when

from .objects import Fd, File, Message, Process, Vma, Waiter


class Files(Machine):
    """dup, close and passing.  A driver's machine gives `release`: what its own release does."""

    document = "Linux: fs/file.c, fs/file_table.c"

    def release(self, f: File) -> None:
        """The driver's release callback."""

    def looks_again(self, f: File) -> None:
        """What a driver's poll does when a sleeper has been woken."""

    def referenced(self, f: File) -> bool:
        by_fd = any(p.fd[n] is f for p in Process for n in Fd)
        by_mapping = any(v.file is f for v in Vma)
        by_message = any(m.file is f for m in Message)
        return by_fd or by_mapping or by_message or f.in_call or any(w.file is f for w in Waiter)

    def fput(self, f: File) -> None:
        """A reference is gone.  At the last one release runs: as task work, so never under the caller's mmap_lock."""
        if when(not self.referenced(f)):
            self.release(f)

    def fdput(self, f: File) -> None:
        """A call that took several steps lets go of the description."""
        f.in_call = False
        self.fput(f)

    def file_of(self, p: Process, n: Fd) -> File:
        f = p.fd[n]
        if f is None:
            raise EBADF("bad_fd", kernel("fdget"))
        return f

    def unused(self, p: Process, n: Fd) -> bool:
        """May the process be given this number?  While an open of it runs, no other is given: it has reserved one."""
        return p.running and p.fd[n] is None and not p.busy

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
        Message(file=f)
        return OK("ok", kernel("scm_fp_copy", "the message holds the description"))

    @operation
    def receive(self, p: Process, n: Fd, m: Message) -> Result:
        require(self.unused(p, n))
        p.fd[n] = m.file
        free(m)
        return OK("ok", kernel("receive_fd", "a new number for the same description"))

    @event
    def discard(self, m: Message) -> Result:
        """The message is dropped unread."""
        f = m.file
        free(m)
        self.fput(f)
        return DONE("ok", kernel("unix_destruct_scm"))

    @event
    def wake_up(self, w: Waiter) -> Result:
        """A sleeper leaves poll: woken, or by a signal."""
        f = w.file
        self.looks_again(f)
        free(w)
        self.fput(f)
        return DONE("ok", kernel("do_poll", "asks the driver once more before it looks for a signal"))
