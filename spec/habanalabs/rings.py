# SPDX-License-Identifier: Apache-2.0
"""habanalabs 6.x: submissions.  Rings, sequences, fences, staged groups, waits, timeouts.

A context numbers its submissions from 1.  Their fences stay in a ring (here of two) until the slot is needed again;
the slot of a fence that is not signalled is not given.  What has left the ring is gone: a wait says that it completed.
"""

from __future__ import annotations

from accelspec.spec.kernel import Fd, File, Process
from accelspec.spec.language import (
    DONE,
    EAGAIN,
    EBUSY,
    EFAULT,
    EINTR,
    EINVAL,
    EIO,
    ENOEXEC,
    ENOMEM,
    EPERM,
    ETIMEDOUT,
    OK,
    Result,
    any_of,
    choose,
    event,
    fails,
    free,
    kernel,
    operation,
    read,
    require,
    when,
)

from .mainline_ioctls import Ioctls
from .mainline_owners import MISC
from .objects import (
    ABORTED,
    DONE_WELL,
    FIRST,
    FUTURE,
    GONE,
    GOYA,
    LAST,
    MIDDLE,
    NEEDED,
    NEWEST,
    OLDER,
    PENDING,
    REJECTED,
    RUNNING,
    SWITCHED,
    TIMED_OUT,
    WHOLE,
    Chip,
    CommandBuffer,
    Device,
    Fence,
    FilePrivate,
    Place,
    Stage,
    Submission,
)


class Rings(Ioctls):
    document = MISC

    def referenced(self, f: File) -> bool:
        """A call that is under way holds the description."""
        under_way = any(c.ctx.hpriv.file is f and (c.awaited or (c.alive and not c.queued)) for c in Submission)
        return super().referenced(f) or under_way

    @event
    def task_work(self, f: File) -> Result:
        """A call was under way when the last descriptor was closed: its thread releases on its way back."""
        require(not self.referenced(f))
        self.release(f)
        return DONE("ok", kernel("____fput"))

    def finish(self, c: Submission, fence: Fence) -> None:
        super().finish(c, fence)
        self.let_go(c)

    def let_go(self, c: Submission) -> None:
        """hl_fence_put: neither the ring has it any more, nor its submission, nor a waiter."""
        if when(c.place is GONE and not c.alive and not c.awaited):
            free(c)

    # ------------------------------------------------------------------ submit

    @operation
    def submit(self, p: Process, n: Fd, stage: Stage, patient: bool) -> Result:
        """The CS ioctl; `patient` with HL_CS_FLAGS_SKIP_RESET_ON_TIMEOUT."""
        h = self.compute(p, n)
        d = h.device
        if not self.operational(d):
            return EBUSY("not_operational", read("hl_cs_sanity_checks"))
        x = self.context_of(h)
        if stage is not WHOLE and any(k.device is d for k in Chip):
            return EPERM("no_stages", read("hl_cs_sanity_checks", "Gaudi alone can"))
        if fails("flags"):
            return EINVAL("bad_flags", read("hl_cs_sanity_checks", "two types, a type the chip lacks, no chunks"))
        if self.is_a(d, GOYA) and x.switch is RUNNING:
            return ETIMEDOUT("not_switched", read("hl_cs_ctx_switch", "who should have switched has failed"))
        if self.is_a(d, GOYA) and x.switch is NEEDED and fails("context_switch"):
            x.switch = RUNNING
            self.ask(d, True)
            return ETIMEDOUT("switch_fails", read("hl_cs_ctx_switch", "or -EBUSY; asks for a compute reset"))
        if self.is_a(d, GOYA) and x.switch is NEEDED and fails("restore"):
            x.switch = RUNNING
            return ENOEXEC("restore_fails", read("hl_cs_ctx_switch", "the token is not given back"))
        if when(self.is_a(d, GOYA)):
            x.switch = SWITCHED
        if fails("more than 512 chunks"):
            return EINVAL("too_many_chunks", read("hl_cs_copy_chunk_array"))
        if fails("copy_from_user"):
            return EFAULT("copy", read("hl_cs_copy_chunk_array"))
        if fails("allocation"):
            return ENOMEM("no_memory", read("allocate_cs"))
        if any(o.ctx is x and o.place is OLDER and o.fence is PENDING for o in Submission):
            return EAGAIN("ring_full", read("allocate_cs", "before the sequence is taken; the argument is not touched"))
        for o in Submission:
            if o.ctx is x:
                o.place = OLDER if o.place is NEWEST else GONE
        for o in Submission:
            if o.ctx is x:
                self.let_go(o)
        c = Submission(ctx=x, alive=True, stage=stage, patient=patient)
        yield "got_sequence"
        if fails("a chunk"):
            self.reject(c)
            return EINVAL("bad_chunk", read("cs_ioctl_default", "queue, size, parser; the sequence is used up"))
        b = choose(b for b in CommandBuffer if b.hpriv is h)
        if b is None and fails("hl_cb_get"):
            self.reject(c)
            return EINVAL("unknown_cb", read("get_cb_from_cs_chunk", "the sequence is used up"))
        if not self.operational(d):
            self.reject(c)
            return EPERM("lost_to_reset", read("hl_hw_queue_schedule_cs", "not -EBUSY"))
        if fails("a free entry in the hardware queue"):
            self.reject(c)
            return EAGAIN("queue_full", read("hl_hw_queue_schedule_cs", "the sequence is used up"))
        first = choose(o for o in Submission if stage in (MIDDLE, LAST) and o.ctx is x and self.opens_group(o))
        if stage in (MIDDLE, LAST) and first is None:
            self.reject(c)
            return EINVAL("no_group", read("hl_hw_queue_schedule_cs", "no such first, or its last is there"))
        c.queued = True
        if when(stage is MIDDLE):
            c.group = first
        for o in Submission:
            if stage is LAST and (o is first or (o.queued and o.group is first)):
                o.group = c
        c.cb = b
        for y in CommandBuffer:
            if y is b:
                y.refs += 1
        return OK("ok", read("hl_hw_queue_schedule_cs"))

    def reject(self, c: Submission) -> None:
        """cs_rollback: it never reached the hardware.  Its fence says -EBUSY, which no wait will show."""
        c.fence = REJECTED
        c.alive = False
        self.let_go(c)

    def opens_group(self, o: Submission) -> bool:
        """Is it the first of a group on the list that no last has closed?  Who joins names the first (H111)."""
        return o.queued and o.stage is FIRST and o.group is None

    # ------------------------------------------------------------------ how it ends

    def outcome(self, c: Submission) -> Fence:
        """What cs_do_release writes into the fence of a submission that the hardware has finished."""
        return TIMED_OUT if c.fired and not c.patient else DONE_WELL

    @event
    def complete(self, c: Submission) -> Result:
        """The hardware has finished it; the last of a group finishes the whole group."""
        require(c.queued and c.stage in (WHOLE, LAST) and not c.ctx.hpriv.device.resetting)
        while any(self.mates(c, o) for o in Submission):
            o = any_of(o for o in Submission if self.mates(c, o))
            self.finish(o, self.outcome(o))
            yield "releasing_group"
        if when(c.queued):
            self.finish(c, self.outcome(c))
        return DONE("ok", read("cs_do_release"))

    def mates(self, c: Submission, o: Submission) -> bool:
        """Another one of its group that is not released yet."""
        return c.stage is LAST and o.queued and o.group is c

    def has_timer(self, c: Submission) -> bool:
        """cs_needs_timeout, and it is the first on the list that does: no other timer runs."""
        return c.stage in (WHOLE, FIRST) and not any(
            o.ctx is c.ctx and o.queued and o.stage in (WHOLE, FIRST) and self.before(o, c) for o in Submission
        )

    def before(self, o: Submission, c: Submission) -> bool:
        return (o.place is OLDER and c.place is NEWEST) or (o.place is GONE and c.place is not GONE)

    @event
    def timeout(self, c: Submission) -> Result:
        """cs_timedout."""
        require(c.queued and not c.fired and self.has_timer(c))
        d = c.ctx.hpriv.device
        c.fired = True
        if c.patient:
            return DONE("only_told", read("cs_timedout", "the log says so; no reset, and no timer any more"))
        if fails("reset_on_lockup is set"):
            d.needs_reset = True
            return DONE("needs_reset", read("cs_timedout", "opens are -EPERM, ioctls -EBUSY from now on"))
        self.timeout_reset(d)
        return DONE("ok", read("cs_timedout"))

    def timeout_reset(self, d: Device) -> None:
        self.ask(d, self.is_a(d, GOYA))

    # ------------------------------------------------------------------ wait

    def waits(self, h: FilePrivate) -> None:
        if not self.operational(h.device):
            raise EBUSY("not_operational", read("hl_wait_ioctl"))

    @operation
    def wait(self, p: Process, n: Fd, seq: Place, block: bool) -> Result:
        """WAIT_CS for one sequence; without `block`, or when time is up, it says what there is."""
        h = self.compute(p, n)
        self.waits(h)
        x = self.context_of(h)
        c = choose(c for c in Submission if c.ctx is x and c.place is seq)
        if seq is FUTURE or (seq is NEWEST and c is None):
            return EINVAL("not_issued", read("hl_ctx_get_fence_locked"))
        if seq is GONE or c is None:
            return OK("gone", read("hl_wait_for_fence", "COMPLETED and GONE, even if it had failed"))
        if c.fence is PENDING and not block:
            return OK("busy", read("hl_wait_for_fence"))
        require(not c.awaited)  # one waiter of a fence is followed
        while c.fence is PENDING and not c.awaited:
            c.awaited = True
            yield "waiting"
        fence = c.fence
        c.awaited = False
        self.let_go(c)
        if fence is PENDING and fails("a signal"):
            self.interrupted()
            return OK("interrupted", read("hl_wait_for_fence", "0 and BUSY, as if the time were up (B17)"))
        if fence is PENDING:
            return OK("time_is_up", read("hl_wait_for_fence", "BUSY"))
        if fence is TIMED_OUT:
            return ETIMEDOUT("timed_out", read("hl_cs_wait_ioctl"))
        if fence is ABORTED:
            return EIO("aborted", read("hl_cs_wait_ioctl"))
        return OK("completed", read("hl_cs_wait_ioctl", "rejected ones too"))

    def interrupted(self) -> None:
        assert not fails("a signal"), "habanalabs.I41"

    @operation
    def wait_multi(self, p: Process, n: Fd, seq: Place, block: bool) -> Result:
        """WAIT_CS for several, here for one beside the newest."""
        h = self.compute(p, n)
        self.waits(h)
        x = self.context_of(h)
        if any(k.device is h.device for k in Chip):
            return EPERM("unsupported", read("hl_multi_cs_wait_ioctl", "Gaudi alone can"))
        if fails("32 sequences at most"):
            return EINVAL("too_many", read("hl_multi_cs_wait_ioctl"))
        if fails("copy_from_user"):
            return EFAULT("copy", read("hl_multi_cs_wait_ioctl"))
        if fails("a free completion"):
            return ENOMEM("two_wait_already", read("hl_wait_multi_cs_completion_init"))
        c = choose(c for c in Submission if c.ctx is x and c.place is seq)
        last = choose(c for c in Submission if c.ctx is x and c.place is NEWEST)
        if seq is FUTURE or last is None:
            return EINVAL("not_issued", read("hl_ctx_get_fences"))
        self.polled(self.polls(c), last.fence)
        if seq is GONE or c is None:
            return OK("gone", read("hl_cs_poll_fences", "counted as completed"))
        if not self.pending(c, last):
            return OK("completed", read("hl_cs_poll_fences", "a bit for each that is; a rejected one too"))
        if not block:
            return OK("busy", read("hl_multi_cs_wait_ioctl"))
        require(not c.awaited and not last.awaited)  # one waiter of a fence is followed
        c.awaited = True
        last.awaited = True
        yield "sleeping"
        signal = self.pending(c, last) and fails("a signal")
        while signal and self.deaf() and self.pending(c, last):
            yield "spinning"
        first = self.polls(c)
        second = self.polls(last)
        c.awaited = False
        last.awaited = False
        self.let_go(c)
        self.let_go(last)
        self.polled(first, second)
        if signal:
            return EINTR("interrupted", read("hl_multi_cs_wait_ioctl"))
        return OK("awake", read("hl_multi_cs_wait_ioctl", "a bit for each that is completed by now; BUSY without one"))

    def pending(self, c: Submission, last: Submission) -> bool:
        return c.fence is PENDING and last.fence is PENDING

    def polls(self, c: Submission | None) -> Fence:
        """What a look at a fence finds; what is gone counts as completed."""
        return DONE_WELL if c is None or c.place is GONE else c.fence

    def polled(self, first: Fence, second: Fence) -> None:
        """hl_cs_poll_fences: the first error is the answer."""
        if first is TIMED_OUT or (first is not ABORTED and second is TIMED_OUT):
            raise ETIMEDOUT("timed_out", read("hl_cs_poll_fences"))
        if first is ABORTED or second is ABORTED:
            raise EIO("aborted", read("hl_cs_poll_fences"))

    def deaf(self) -> bool:
        """Does a multi-wait sleep on, as far as it can, when a signal comes?"""
        return False
