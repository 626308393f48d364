# SPDX-License-Identifier: Apache-2.0
"""habanalabs 5.2: contexts and what the driver keeps for a file, from creation to the last reference.

A context lives as long as its file is open or one of its submissions is pending; then all that belongs to it goes.
"""

from __future__ import annotations

from accelspec.spec.kernel import Fd, File, Process, Processes
from accelspec.spec.language import OK, Result, choose, free, operation, read, require, wait_until, when

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

    def computes(self, x: Context) -> bool:
        """Is it the context that may compute?  By comparing pointers."""
        return x.hpriv.device.slot is x

    # ------------------------------------------------------------------ the end

    def finish(self, c: Submission, fence: Fence) -> None:
        """cs_do_release: the fence is signalled; the buffers and the context are let go of."""
        wait_until(c.ctx.hpriv.file is not None or self.closable(c.ctx.hpriv.device))
        b = c.cb
        c.fence = fence
        c.cb = None
        for y in CommandBuffer:
            if y is b and not y.handle:
                free(y)
        for h in FilePrivate:
            if c.ctx.hpriv is h and h.file is None and not h.leaving and not self.pending(h):
                h.ending = True
        self.end()

    def release(self, f: File) -> None:
        """hl_device_release, at the last reference to the file."""
        wait_until(not any(h.file is f and (h.inside >= 1 or not self.closable(h.device)) for h in FilePrivate))
        self.mark(f)
        self.let_go(f)
        self.end()

    def closable(self, d: Device) -> bool:
        """Are the locks free that the end of a file takes?"""
        return True

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

    def end(self) -> None:
        """Whatever nobody holds any more goes: contexts first, then what the driver kept for their files."""
        self.end_slot()
        self.end_contexts()
        self.end_files()

    def mark(self, f: File) -> None:
        """The file goes; if the hardware has no work of it, so does what is behind it."""
        for h in FilePrivate:
            if h.file is f and not self.pending(h):
                h.ending = True

    def end_slot(self) -> None:
        """What the end of its context does to the slot, before it is freed."""

    def end_contexts(self) -> None:
        """hl_ctx_do_release: fences, mappings, device memory and the ASID go, then the context itself."""
        self.end_debug()
        for d in Device:
            if any(x.hpriv.ending and x.hpriv.device is d and x.wrote for x in Context):
                d.soiled = True
        for m in Memory:
            if m.mapped is not None and m.mapped.hpriv.ending:
                m.mapped = None
        for m in Memory:
            if any(x.hpriv.ending and x.asid is m.asid for x in Context):
                free(m)
        for a in Asid:
            if any(x.hpriv.ending and x.asid is a for x in Context):
                a.taken = False
        for c in Submission:
            if c.ctx.hpriv.ending:
                free(c)
        for x in Context:
            if x.hpriv.ending:
                free(x)

    def end_debug(self) -> None:
        """Debug mode goes with the context."""
        for d in Device:
            if any(x.hpriv.ending and x.hpriv.device is d for x in Context):
                d.in_debug = False

    def end_files(self) -> None:
        """hpriv_release, in one piece: close() shows what it does in two."""
        for d in Device:
            if any(h.ending and h.device is d for h in FilePrivate):
                d.opened = False
                d.slot = None
        for h in FilePrivate:
            if h.ending:
                free(h)

    @operation
    def close(self, p: Process, n: Fd) -> Result:
        require(p.running)
        f = self.file_of(p, n)
        h = self.behind(f)
        d = h.device
        p.fd[n] = None
        last = not self.referenced(f)
        require(not last or h.inside == 0)  # else the release comes when the calls inside are over, as if closed then
        over = last and not self.pending(h)
        if when(last):
            self.mark(f)
            self.let_go(f)
            self.end_contexts()
        if when(over):
            d.opened = False
            free(h)
        yield "count_given_back"  # the next open may succeed from here on
        if when(over):
            d.slot = None
        return OK("ok", read("hpriv_release", "first fd_open_cnt, then user_ctx, under no lock"))
