# SPDX-License-Identifier: Apache-2.0
"""habanalabs as we would have it: 9/9 of the posted series, corrected so that every safety law holds.

Each deviation is argued in docs/machines/habanalabs-expectations.md under the T-number given here.
"""

from __future__ import annotations

from accelspec.spec.kernel import Fd, File, Process
from accelspec.spec.language import (
    EACCES,
    EAGAIN,
    EBUSY,
    EFAULT,
    EINVAL,
    EIO,
    ENODEV,
    ENOMEM,
    ENOTTY,
    ENXIO,
    EPERM,
    OK,
    STATE,
    Result,
    any_of,
    check,
    choose,
    deduced,
    fails,
    free,
    operation,
    replaces,
    require,
    wait_until,
    when,
)

from .intended_laws import IntendedLaws
from .intended_resets import OWN, IntendedResets
from .known import NO_CONTROL_NODE
from .many_files import B9, TWO
from .objects import ABORTED, PENDING, Asid, CommandBuffer, Context, Device, FilePrivate, Query, Submission
from .revision_a import PLAIN, QUIET, WHOLE

SCOPES = {
    "work and resets": {**PLAIN, "Submission": 1, "CommandBuffer": 1},
    "memory and resets": {**PLAIN, **WHOLE, "Memory": 1, "exit()": 0},
    "two contexts": {**PLAIN, **QUIET, **TWO, "Context": 2, "Asid": 2, "cb_create()": 0},
    "two files and a reset": {**PLAIN, **TWO, "Submission": 1, "info()": 0, "soft_reset()": 0, "remove()": 0},
    "first calls": {**PLAIN, **QUIET, "Process": 2, "Mm": 2, "exit()": 0},
    "sharing": {**PLAIN, **QUIET, **WHOLE, "Process": 2, "Mm": 2, "Fd": 2, "Message": 1},
}


class Intended(IntendedLaws, IntendedResets, B9):
    """Lazy creation and upgrade as posted, repaired: every safety law holds, for any number of files and contexts."""

    revision = "intended"
    document = OWN
    base = "b9"
    scopes = SCOPES
    known = []
    unchanged = deduced("9/9, kept on purpose")
    not_applicable = {
        **NO_CONTROL_NODE,
        "habanalabs.L02": "whoever was given a descriptor works with it, on purpose",
        "habanalabs.L05": "a context for each open file, as in 9/9",
    }
    drops = ["debug_on.not_alone", "map.not_shared"]

    # ------------------------------------------------------------------ T6: listed when it is complete

    @operation
    def open(self, p: Process, n: Fd, d: Device) -> Result:
        require(self.unused(p, n))
        if d.gone:
            return ENXIO("no_minor", deduced("as 9/9"))
        if fails("allocation"):
            return ENOMEM("no_memory", deduced("as 9/9"))
        with d.open_lock:
            if not self.operational(d):
                return EPERM("in_reset", deduced("as 9/9"))
            f = File()
            FilePrivate(device=d, opener=p, file=f, listed=True)
            p.fd[n] = f
            return OK("ok", deduced("T6: one piece, under the lock under which the state was looked at; T5"))

    # ------------------------------------------------------------------ the way in

    @replaces("entered.device_gone")
    def entered_device_gone(self, d: Device) -> None:
        if d.gone:
            raise ENODEV("device_gone", deduced("T7"))

    def kept(self, h: FilePrivate, p: Process) -> bool:
        """Has a call kept its record while it waited?"""
        return any(y is h for y in FilePrivate) and h.callers[p] and h.file is not None

    @check("habanalabs.A03", STATE, deduced("a call inside holds the description"))
    def a_call_keeps_its_record(self) -> None:
        """As long as a call waits, its file is not released."""

    def still_working(self, d: Device) -> None:
        """T11: the state again, after a wait."""
        if d.gone or d.hard_pending:
            raise ENODEV("lost", deduced("T11"))
        if not self.operational(d):
            raise EBUSY("reset_meanwhile", deduced("T11"))

    # ------------------------------------------------------------------ contexts and the slot

    def idle(self, d: Device) -> bool:
        return not self.taken(d)

    def refused(self, h: FilePrivate, own: Context | None) -> bool:
        """Has another file the slot?"""
        return any(x.in_slot and x.hpriv is not h and x.hpriv.device is h.device for x in Context)

    def permit(self, h: FilePrivate, own: Context | None) -> None:
        """May it compute?  Nothing is changed yet."""
        if own is not None and own.dead:
            raise EIO("dead", deduced("T3: it is from before a hard reset"))
        if self.refused(h, own):
            raise EACCES("not_compute", deduced("as 9/9: another context computes"))
        if own is None and not any(a.device is h.device and not a.taken for a in Asid):
            assert all(x.dead for x in Context if x.hpriv.device is h.device), "habanalabs.I20"
            raise ENOMEM("no_asid", deduced("T10; by T5 only survivors have them all"))
        if own is None and fails("hl_ctx_create"):
            raise ENOMEM("creation_fails", deduced("T10"))

    def provide(self, h: FilePrivate, own: Context | None) -> None:
        """T1: the context, if there is none, and its mark, under the lock under which permit() has looked."""
        a = any_of(a for a in Asid if self.fits(a, h, own))
        new = own is None
        if when(own is None or not own.in_slot):
            self.raise_clocks(h.device)
        if when(new):
            Context(hpriv=h, asid=a, in_slot=True, granted=True)
            a.taken = True
            h.contexts += 1
        for x in Context:
            if x is own:
                x.in_slot = True
                x.granted = True

    def validate(self, h: FilePrivate, own: Context | None, compute: bool) -> None:
        self.permit(h, own)
        self.provide(h, own)

    def worked_with(self, h: FilePrivate, copied: Context | None) -> Context:
        """T2: the context is taken behind the check."""
        return self.current(h)

    # ------------------------------------------------------------------ INFO

    def to_spare(self, a: Asid, d: Device) -> bool:
        """T5: may a context have it that does not compute?"""
        free_for_work = self.taken(d) or any(b is not a and b.device is d and not b.taken for b in Asid)
        return a.device is d and not a.taken and free_for_work

    @operation
    def info(self, p: Process, n: Fd, query: Query) -> Result:
        h = self.entered(p, n, False)
        if query is Query.STATUS:
            return OK("status", deduced("as 9/9: even in a reset"))
        self.working(h)
        with p.busy:
            h.callers[p] = True
            yield "looked"
            assert self.kept(h, p), "habanalabs.A03"
            h.callers[p] = False
            self.still_working(h.device)
            if query is Query.UNKNOWN:
                return ENOTTY("unknown", deduced("as 9/9"))
            if fails("return_size or return_pointer"):
                return EINVAL("no_room", deduced("as 9/9"))
            if fails("copy_to_user"):
                return EFAULT("copy", deduced("as 9/9"))
            assert query is not Query.USAGE or self.own_usage(h), "habanalabs.I18"
            a = choose(a for a in Asid if not self.has_context(h) and self.to_spare(a, h.device))
            if a is None or fails("hl_ctx_create"):
                return OK("without", deduced("T5: it has one, or does without"))
            Context(hpriv=h, asid=a)
            a.taken = True
            h.contexts += 1
            return OK("ok", deduced("T4: a context comes last"))

    # ------------------------------------------------------------------ CB

    @operation
    def cb_create(self, p: Process, n: Fd, large: bool) -> Result:
        h = self.entered(p, n, True)
        self.working(h)
        with p.busy:
            h.callers[p] = True
            yield "looked"
            assert self.kept(h, p), "habanalabs.A03"
            h.callers[p] = False
            self.still_working(h.device)
            own = choose(x for x in Context if x.hpriv is h)
            self.permit(h, own)
            self.provide(h, own)
            self.current(h)
            if large:
                return EINVAL("too_large", deduced("as 9/9"))
            if fails("allocation"):
                return ENOMEM("no_memory", deduced("as 9/9"))
            CommandBuffer(hpriv=h)
            return OK("ok", deduced("as 9/9"))

    # ------------------------------------------------------------------ submissions

    @operation
    def submit(self, p: Process, n: Fd) -> Result:
        h = self.entered(p, n, True)
        self.working(h)
        own = choose(x for x in Context if x.hpriv is h)
        self.permit(h, own)
        if fails("arguments"):
            return EINVAL("bad_arguments", deduced("as 9/9"))
        if fails("allocation"):
            return ENOMEM("no_memory", deduced("as 9/9"))
        last = choose(c for c in Submission if c.ctx is own)
        if last is not None and last.fence is PENDING:
            return EAGAIN("ring_full", deduced("as 9/9"))
        b = choose(b for b in CommandBuffer if b.hpriv is h and b.handle)
        if b is None and fails("hl_cb_get"):
            return EINVAL("unknown_cb", deduced("as 9/9"))
        self.provide(h, own)
        x = self.current(h)
        if last is not None:
            last.fence = PENDING
            last.cb = b
            return OK("next", deduced("T4: the slot comes last"))
        Submission(ctx=x, cb=b)
        return OK("ok", deduced("T4: the slot comes last"))

    @operation
    def wait(self, p: Process, n: Fd) -> Result:
        h = self.entered(p, n, True)
        x = choose(x for x in Context if x.hpriv is h)
        if x is not None and x.dead:
            return EIO("dead", deduced("T3"))
        c = choose(c for c in Submission if c.ctx is x)
        if x is None or c is None:
            return EINVAL("not_submitted", deduced("T9: and nothing is taken"))
        self.may_work(x)
        if c.fence is PENDING:
            return OK("busy", deduced("as 9/9"))
        if c.fence is ABORTED:
            return EIO("aborted", deduced("as 9/9"))
        return OK("ok", deduced("as 9/9"))

    # ------------------------------------------------------------------ the end

    @operation
    def close(self, p: Process, n: Fd) -> Result:
        require(p.running)
        f = self.file_of(p, n)
        h = self.behind(f)
        x = choose(x for x in Context if x.hpriv is h)
        p.fd[n] = None
        if self.referenced(f):
            return OK("shared", deduced("as 9/9"))
        require(not any(h.callers[q] for q in Process))
        self.let_go(f)
        if self.pending(h):
            return OK("drains", deduced("as 9/9"))
        self.end_context(h, x)
        free(h)
        return OK("ok", deduced("T1: the context, its mark and its record in one piece"))

    def release(self, f: File) -> None:
        wait_until(not any(h.file is f and h.callers[q] for h in FilePrivate for q in Process))
        self.let_go(f)

    def end_slot(self, h: FilePrivate, x: Context | None) -> None:
        """The mark has gone with the context."""

    def ends_debug(self, h: FilePrivate, x: Context | None) -> bool:
        return x is not None and x.in_slot
