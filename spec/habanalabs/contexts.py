# SPDX-License-Identifier: Apache-2.0
"""habanalabs 5.2: contexts and what the driver keeps for a file, from creation to the last reference.

A context lives as long as its file is open or one of its submissions is pending; then all that belongs to it goes.
"""

from __future__ import annotations

from accelspec.spec.kernel import Fd, File, Process, Processes
from accelspec.spec.language import (
    DONE,
    OK,
    Result,
    choose,
    event,
    free,
    kernel,
    operation,
    read,
    require,
    wait_until,
    when,
)

from .objects import PENDING, Asid, CommandBuffer, Context, Device, Fence, FilePrivate, Memory, Submission


class Contexts(Processes):
    document = "linux 5.2 drivers/misc/habanalabs"

    # ------------------------------------------------------------------ who has what

    def behind(self, f: File) -> FilePrivate:
        h = choose(h for h in FilePrivate if h.file is f)
        assert h is not None, "habanalabs.A01"
        return h

    def operational(self, d: Device) -> bool:
        return not (d.disabled or d.in_reset)

    def has_context(self, h: FilePrivate) -> bool:
        return any(x.hpriv is h for x in Context)

    def pending(self, h: FilePrivate) -> bool:
        """Has the hardware still work of it?"""
        return any(c.ctx.hpriv is h and c.fence is PENDING for c in Submission)

    # ------------------------------------------------------------------ the end

    def signal(self, c: Submission, fence: Fence) -> None:
        """cs_do_release: the fence is signalled, and the buffers are let go of."""
        b = c.cb
        c.fence = fence
        c.cb = None
        for y in CommandBuffer:
            if y is b and not y.handle:
                free(y)

    def let_go(self, f: File) -> None:
        """The file's own references go: to its context, and to the buffers that it has handles for."""
        for b in CommandBuffer:
            if b.hpriv is not None and b.hpriv.file is f:
                b.handle = False
        for b in CommandBuffer:
            if not b.handle and not any(c.cb is b for c in Submission):
                free(b)
        for h in FilePrivate:
            if h.file is f:
                h.file = None
        free(f)

    def release(self, f: File) -> None:
        """hl_device_release, at the last reference to the file; `drain` does the rest of it."""
        wait_until(not any(h.file is f and h.inside >= 1 for h in FilePrivate))
        self.let_go(f)

    @event
    def drain(self, h: FilePrivate) -> Result:
        """Nobody holds the context any more: what a process that exits, or a reset, has left behind goes."""
        require(h.file is None and not h.leaving and not self.pending(h) and self.closable(h.device))
        x = choose(x for x in Context if x.hpriv is h)
        self.end_context(h, x)
        self.end_slot(h, x)
        free(h)
        return DONE("ok", read("hl_ctx_do_release, hpriv_release"))

    def closable(self, d: Device) -> bool:
        """Are the locks free that the end of a file takes?"""
        return True

    def end_slot(self, h: FilePrivate, x: Context | None) -> None:
        """What the end of a file does to the slot, in one piece; close() shows it in two."""
        h.device.opened = False
        h.device.slot = None

    def end_context(self, h: FilePrivate, x: Context | None) -> None:
        """hl_ctx_do_release: debug mode, fences, mappings, device memory and the ASID go, then the context itself."""
        d = h.device
        if when(x is not None and self.ends_debug(h, x)):
            d.in_debug = False
        if when(x is not None and x.wrote):
            self.leave_memory(d)
        for m in Memory:
            if m.mapped is x:
                m.mapped = None
        for m in Memory:
            if x is not None and m.asid is x.asid:
                free(m)
        for a in Asid:
            if x is not None and x.asid is a:
                a.taken = False
        for c in Submission:
            if c.ctx is x:
                free(c)
        for y in Context:
            if y is x:
                free(y)

    def leave_memory(self, d: Device) -> None:
        """What becomes of device memory that an owner has written: nothing."""
        d.soiled = True

    def ends_debug(self, h: FilePrivate, x: Context | None) -> bool:
        """Does debug mode go with this context?"""
        return True

    @operation
    def close(self, p: Process, n: Fd) -> Result:
        require(p.running)
        f = self.file_of(p, n)
        h = self.behind(f)
        x = choose(x for x in Context if x.hpriv is h)
        p.fd[n] = None
        if self.referenced(f):
            return OK("shared", kernel("fput", "nothing that the driver can see"))
        require(h.inside == 0)  # else the release comes when the calls inside are over, as if closed then
        self.let_go(f)
        if self.pending(h):
            return OK("drains", read("hl_ctx_put", "submissions hold the context"))
        self.end_context(h, x)
        d = h.device
        d.opened = False
        free(h)
        yield "count_given_back"  # the next open may succeed from here on
        d.slot = None
        return OK("ok", read("hpriv_release", "first fd_open_cnt, then user_ctx, under no lock"))
