# SPDX-License-Identifier: Apache-2.0
"""Historical bugs of habanalabs as changes of the machine: each puts one back into a revision that does not have it.

The ids are those of docs/machines/habanalabs-mutations.md, which says what each violates, and in how many steps.
"""

from __future__ import annotations

from accelspec.spec.habanalabs import B9, C0, BLetter, Linux6_1, Linux6_12
from accelspec.spec.habanalabs.objects import (
    ABORTED,
    GONE,
    NEWEST,
    OLDER,
    PENDING,
    Asid,
    CommandBuffer,
    Context,
    Coresight,
    Device,
    Fence,
    FilePrivate,
    PageFault,
    Submission,
)
from accelspec.spec.kernel import File
from accelspec.spec.language import (
    DONE,
    EACCES,
    EAGAIN,
    ENOMEM,
    OK,
    Machine,
    any_of,
    deduced,
    fails,
    free,
    replaces,
)

BUG = deduced("a historical bug, put back")


# ---------------------------------------------------------------------- owners and the slot


class B1(Linux6_12):
    """The device is given back before what its owner leaves is looked after."""

    revision, document = "c2-B1", "a mutation"

    def end_context(self, h: FilePrivate) -> None:
        super().end_context(h)
        h.device.active = False
        h.device.releasing = False


class B2(BLetter):
    """The device keeps its pointer to a context that has ended."""

    revision, document = "b-letter-B2", "a mutation"

    def end_slot(self, h: FilePrivate, x: Context | None) -> None:
        pass


class B21(BLetter):
    """A context is published before its creation can fail."""

    revision, document = "b-letter-B21", "a mutation"

    @replaces("make_valid.creation_fails")
    def published(self, h: FilePrivate, own: Context | None, new: bool) -> None:
        if new and fails("hl_ctx_create"):
            a = any_of(a for a in Asid if self.fits(a, h, own))
            freed = Context(hpriv=h, asid=a)
            h.device.slot = freed
            free(freed)
            raise EACCES("creation_fails", BUG)


class V3(BLetter):
    """CS and MEMORY work with a copy of the pointer that is older than the context."""

    revision, document = "b-letter-V3", "a mutation"

    def worked_with(self, h: FilePrivate, copied: Context | None) -> Context:
        assert copied is not None, "habanalabs.I04"
        self.may_work(copied)
        return copied


class V4(C0):
    """The kill stage finds its victim by way of the slot."""

    revision, document = "c0-V4", "a mutation"

    def victim_is_known(self, d: Device) -> bool:
        return any(d.slot is x for x in Context)


class M1(Linux6_12):
    """Open does not look whether somebody has the device."""

    revision, document = "c2-M1", "a mutation"

    @replaces("open.active")
    def unseen(self) -> None:
        """Nobody looks."""


class M3(C0):
    """A context that cannot be made keeps its ASID."""

    revision, document = "c0-M3", "a mutation"

    @replaces("open.creation_fails")
    def leaks(self, a: Asid) -> None:
        if fails("hl_ctx_create"):
            a.taken = True
            raise ENOMEM("creation_fails", BUG)


class M4(BLetter):
    """Whoever has a context may compute."""

    revision, document = "b-letter-M4", "a mutation"

    def fast(self, h: FilePrivate, x: Context | None, compute: bool) -> bool:
        return x is not None

    def refused(self, h: FilePrivate, own: Context | None) -> bool:
        return False


class M5(Linux6_12):
    """The first close is taken for the last."""

    revision, document = "c2-M5", "a mutation"

    def fput(self, f: File) -> None:
        self.release(f)


class M6(B9):
    """DRAM_USAGE is of whoever has the slot."""

    revision, document = "b9-M6", "a mutation"

    def own_usage(self, h: FilePrivate) -> bool:
        return not any(h.device.slot is x and x.hpriv is not h for x in Context)


class M9(BLetter):
    """Whoever closes empties the slot."""

    revision, document = "b-letter-M9", "a mutation"

    def end_slot(self, h: FilePrivate, x: Context | None) -> None:
        h.device.slot = None


class M14(C0):
    """The job that sets the clocks LOW does not look whether somebody computes."""

    revision, document = "c0-M14", "a mutation"

    def idle(self, d: Device) -> bool:
        return True


class M15(Linux6_12):
    """The ASID is given back at the close, and the context ends later."""

    revision, document = "c2-M15", "a mutation"

    def release(self, f: File) -> None:
        for a in Asid:
            if any(x.asid is a and x.hpriv.file is f for x in Context):
                a.taken = False
        super().release(f)


# ---------------------------------------------------------------------- resets


class B6(C0):
    """Nothing is rolled back before the kill."""

    revision, document = "c0-B6", "a mutation"

    def unfinished(self, d: Device) -> bool:
        return not d.queued and not d.in_reset


class B7(C0):
    """The kill stage sleeps with the lock that a close needs."""

    revision, document = "c0-B7", "a mutation"

    def closable(self, d: Device) -> bool:
        return not d.hard_pending or d.queued


class B22(Linux6_12):
    """The last close during a reset asks for another, which begins beside it."""

    revision, document = "c2-B22", "a mutation"

    def resets_on_release(self, d: Device, idle: bool) -> bool:
        return not idle

    def reset_for_release(self, d: Device) -> None:
        d.in_reset = True
        d.disabled = True
        d.resets += 1
        self.queue(d)


class B23(Linux6_12):
    """A compute reset that goes on as a hard one is still told as a compute reset."""

    revision, document = "c2-B23", "a mutation"

    @replaces("carry_out.escalates")
    def escalates(self, d: Device) -> None:
        if fails("re-initialisation"):
            self.queue(d)
            raise DONE("escalates", BUG)


class B25(Linux6_12):
    """A scrub that fails when an owner leaves is nobody's concern."""

    revision, document = "c2-B25", "a mutation"

    def scrub_failed(self, d: Device) -> None:
        pass


class M17(Linux6_12):
    """A hard reset that fails keeps `in_reset`."""

    revision, document = "c2-M17", "a mutation"

    def broken(self, d: Device) -> None:
        d.disabled = True
        d.compute_reset = False


class B30(Linux6_12):
    """Debug mode outlives its owner."""

    revision, document = "c2-B30", "a mutation"

    def end_context(self, h: FilePrivate) -> None:
        on = any(t.on and t.device is h.device for t in Coresight)
        super().end_context(h)
        for t in Coresight:
            if t.device is h.device and on:
                t.on = True


# ---------------------------------------------------------------------- calls


class Counted(Linux6_12):
    """6.12 whose close puts only buffers that have a handle: I08 holds."""

    revision, document = "c2-counted", "a repair"

    def put_at_close(self, b: CommandBuffer, f: File) -> bool:
        return b.handle and super().put_at_close(b, f)


class B15(Counted):
    """A handle can be destroyed twice."""

    revision, document = "c2-B15", "a mutation"

    @replaces("cb_destroy_destroyed.destroyed")
    def destroyed_twice(self) -> None:
        """Nobody looks whether it is destroyed already."""


class B17(Linux6_12):
    """A wait that a signal ends looks like one whose time is up."""

    revision, document = "c2-B17", "a mutation"

    @replaces("wait.interrupted")
    def looks_busy(self, fence: Fence) -> None:
        if fence is PENDING and fails("a signal"):
            self.interrupted()
            raise OK("interrupted", BUG)


class B26(Linux6_12):
    """The control node registers for events."""

    revision, document = "c2-B26", "a mutation"

    @replaces("info_refused.control_node")
    def allowed(self) -> None:
        """Nothing is refused."""


class B33(Linux6_12):
    """Who opens forgets what was captured of a page fault, and keeps its memory."""

    revision, document = "c2-B33", "a mutation"

    def forget_errors(self, d: Device) -> None:
        for r in PageFault:
            if r.device is d:
                r.seen = False


class M11(Linux6_1):
    """A fence is signalled when the timer of its submission fires, and again when that is released."""

    revision, document = "c1-M11", "a mutation"

    @replaces("timeout.ok")
    def signalled_at_once(self, c: Submission, d: Device) -> None:
        c.fence = ABORTED
        self.timeout_reset(d)
        raise DONE("ok", BUG)


class M16(Counted):
    """A submission does not hold its buffers."""

    revision, document = "c2-M16", "a mutation"

    @replaces("submit.ok")
    def uncounted(self, c: Submission, b: CommandBuffer | None) -> None:
        c.queued = True
        c.cb = b
        raise OK("ok", BUG)


class M18(Linux6_12):
    """A full ring takes a sequence all the same."""

    revision, document = "c2-M18", "a mutation"

    @replaces("submit.ring_full")
    def takes_a_sequence(self, x: Context) -> None:
        if any(o.ctx is x and o.place is OLDER and o.fence is PENDING for o in Submission):
            for o in Submission:
                if o.ctx is x:
                    o.place = OLDER if o.place is NEWEST else GONE
            raise EAGAIN("ring_full", BUG)


BUGS: tuple[type[Machine], ...] = (
    *(B1, B2, B6, B7, B15, B17, B21, B22, B23, B25, B26, B30, B33),
    *(V3, V4, M1, M3, M4, M5, M6, M9, M11, M14, M15, M16, M17, M18),
)
