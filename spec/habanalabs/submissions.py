# SPDX-License-Identifier: Apache-2.0
"""habanalabs 5.2: submissions, as far as contexts depend on them.  The ring of a context has one slot here."""

from __future__ import annotations

from accelspec.spec.kernel import Fd, Process
from accelspec.spec.language import (
    DONE,
    EAGAIN,
    EINVAL,
    EIO,
    ENOMEM,
    EPERM,
    OK,
    Result,
    any_of,
    choose,
    event,
    fails,
    free,
    operation,
    read,
    require,
    when,
)

from .ioctls import Ioctls
from .objects import ABORTED, DONE_WELL, PENDING, PLACED, REJECTED, CommandBuffer, Context, Submission


class Submissions(Ioctls):
    document = "linux 5.2 drivers/misc/habanalabs"

    @operation
    def submit(self, p: Process, n: Fd) -> Result:
        """The CS ioctl."""
        h = self.entered(p, n, True)
        copied = choose(x for x in Context if x.hpriv is h)
        self.working(h)
        self.validate(h, copied, True)
        x = self.worked_with(h, copied)
        if fails("arguments"):
            return EINVAL("bad_arguments", read("hl_cs_ioctl"))
        if fails("allocation"):
            return ENOMEM("no_memory", read("allocate_cs", "before it looks at the ring"))
        last = choose(c for c in Submission if c.ctx is x)
        if last is not None and last.fence in (PLACED, PENDING):
            return EAGAIN("ring_full", read("allocate_cs"))
        b = choose(b for b in CommandBuffer if b.hpriv is x.hpriv and b.handle)
        if b is None and fails("hl_cb_get"):
            return EINVAL("unknown_cb", read("validate_queue_index"))
        for o in Submission:
            if o.ctx is x:
                o.fence = PLACED
                o.cb = b
        if when(last is None):
            Submission(ctx=x, cb=b, fence=PLACED)
        h.inside += 1
        yield "placed"
        h.inside -= 1
        self.may_work(x)
        c = any_of(c for c in Submission if c.ctx is x)
        if not self.operational(h.device):
            self.signal(c, REJECTED)
            return EPERM("lost_to_reset", read("hl_hw_queue_schedule_cs", "not -EBUSY"))
        c.fence = PENDING
        return OK("ok", read("hl_hw_queue_schedule_cs"))

    @event
    def complete(self, c: Submission) -> Result:
        """The hardware has finished it."""
        require(c.fence is PENDING and not c.ctx.hpriv.device.gone)
        h = c.ctx.hpriv
        self.signal(c, DONE_WELL)
        if h.file is not None or self.pending(h) or not self.closable(h.device):
            return DONE("ok", read("cs_do_release"))
        x = choose(x for x in Context if x.hpriv is h)
        self.end_context(h, x)
        self.end_slot(h, x)
        free(h)
        return DONE("last", read("cs_do_release", "the last that held a context whose file is closed"))

    @operation
    def wait(self, p: Process, n: Fd) -> Result:
        """WAIT_CS for the newest sequence, without patience."""
        h = self.entered(p, n, True)
        seen = choose(x for x in Context if x.hpriv is h)
        self.validate(h, seen, True)
        x = self.current(h)
        c = choose(c for c in Submission if c.ctx is x)
        if c is None:
            return EINVAL("not_submitted", read("hl_cs_wait_ioctl", "sequences begin with 1"))
        if c.fence in (PLACED, PENDING):
            return OK("busy", read("hl_cs_wait_ioctl"))
        if c.fence is ABORTED:
            return EIO("aborted", read("hl_cs_wait_ioctl"))
        return OK("ok", read("hl_cs_wait_ioctl"))
