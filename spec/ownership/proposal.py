# SPDX-License-Identifier: Apache-2.0
"""Ownership as proposed on 2021-09-14: the masters of DRM, renamed owners; exports pin what cannot be taken back.

The mail is four sentences.  What it leaves open is settled as DRM settles it, and marked as deduced.
"""

from __future__ import annotations

from accelspec.spec.kernel import Fd, File, Process, Vma, Waiter
from accelspec.spec.language import (
    EACCES,
    EBUSY,
    ENOMEM,
    OK,
    STATE,
    Answer,
    Result,
    check,
    deduced,
    fails,
    free,
    kernel,
    lemma,
    operation,
    replaces,
    require,
    stated,
    violates,
    when,
)

from .core import SCOPES
from .drm_auth import DrmAuth
from .objects import PRIMARY, Client, Device, Export, Job, Node, Token


class Proposal(DrmAuth):
    """An exclusive owner; what cannot be revoked keeps the next owner out."""

    revision = "proposal"
    document = "the mail of 2021-09-14"
    unchanged = deduced("the proposal builds on drm_master and says nothing else")
    scopes = SCOPES
    not_applicable = {"ownership.I14": "there are no groups"}
    known = [
        violates(
            "ownership.I02",
            "submit.ok",
            "permission is asked before the call runs, and a drop comes in between",
            deduced("drm_ioctl_permit holds no lock while the call runs"),
        ),
        violates(
            "ownership.I03",
            "submit.ok",
            "as I02: the drop has revoked before the command was there",
            deduced("drm_ioctl_permit holds no lock while the call runs"),
        ),
        violates(
            "ownership.I05",
            "open.ok",
            "as I16: nothing was exported yet when the drop looked, so the device was free",
            deduced("drm_ioctl_permit holds no lock while the call runs"),
        ),
        violates(
            "ownership.I16",
            "export.ok",
            "permission is asked before the call runs, and a drop comes in between",
            deduced("drm_ioctl_permit holds no lock while the call runs"),
        ),
    ]
    drops = [
        "create_lease",  # of a display
        "get_magic",  # there is no second class of clients
        "auth_magic",
        "flink",
        "mode_set",
        "acquire.render",
        "acquire.no_master",
        "acquire.lessee",
        "drop.render",
        "drop.lessee",
    ]

    def owns(self, c: Client) -> bool:
        """Who has dropped, or was closed, works no more, also while exports hold its token."""
        return super().owns(c) and c.token is not None and not c.token.dropped

    def revoke(self, c: Client) -> None:
        """As much as possible: what is in flight, and every mapping."""
        for j in Job:
            if j.client is c:
                free(j)
        for v in Vma:
            if when(v.file is c.file):
                v.ptes = False

    def end(self, d: Device) -> None:
        """Its owner has gone: the device is free, or pinned."""
        for t in Token:
            if when(t is d.owner):
                t.dropped = True
        self.settle()

    def settle(self) -> None:
        """A device that no client owns and no export pins is free."""
        for d in Device:
            if when(d.owner is not None and d.owner.dropped and not any(e.pins is d.owner for e in Export)):
                d.owner = None

    @operation
    def open(self, p: Process, n: Fd, d: Device, node: Node, excl: bool) -> Result:
        require(self.unused(p, n) and node is PRIMARY)  # there is one kind of node, and it has owners
        if excl:
            return EBUSY("exclusive", deduced("drm_open_helper is kept"))
        if fails("allocation"):
            return ENOMEM("no_memory", deduced("drm_file_alloc is kept"))
        if d.owner is not None and d.owner.dropped:
            return EBUSY("pinned", stated("the second option", "what cannot be revoked prevents the next open"))
        f = File()
        p.fd[n] = f
        if d.owner is not None:
            Client(device=d, file=f, token=d.owner)
            return OK("joined", deduced("as drm_master_open: a guest, whose calls all fail"))
        t = Token()
        d.owner = t
        Client(device=d, file=f, token=t, founder=True, was_owner=True, opener=p)
        return OK("ok", deduced("as drm_master_open"))

    def release(self, f: File) -> None:
        """As a drop, for its owner."""
        self.end_commands(f)
        for t in Token:
            if when(any(c.file is f and c.founder and c.token is t and c.device.owner is t for c in Client)):
                t.dropped = True
        for c in Client:
            if c.file is f:
                free(c)
        free(f)
        self.settle()
        self.forget()

    def give_back(self, e: Export) -> None:
        """The last export of an owner who has gone frees the device."""
        free(e)
        self.settle()
        self.forget()

    @replaces("acquire.ok")
    def acquire_ok(self, p: Process, c: Client) -> Answer:
        for t in Token:
            if t is c.token:
                t.dropped = False
        c.device.owner = c.token
        return OK("ok", deduced("as drm_setmaster_ioctl, where nothing pins the device"))

    @replaces("drop.ok")
    def drop_ok(self, c: Client) -> Answer:
        self.revoke(c)
        self.end(c.device)
        return OK("ok", stated("the second option", "commands, mappings and all that can be revoked; exports pin"))

    # ------------------------------------------------------------------ every call is flagged DRM_MASTER

    @operation
    def submit(self, p: Process, n: Fd) -> Result:
        require(p.running)
        f = self.file_of(p, n)
        c = self.behind(f)
        if not self.owns(c):
            return EACCES("not_owner", stated("the second option", "every ioctl fails if the caller is not the owner"))
        d = c.device
        with p.busy:
            d.call[p] = f
            yield "permitted"  # drm_ioctl_permit holds nothing while the call runs
            assert any(x is c for x in Client) and c.file is f and c.device is d and d.call[p] is f, "ownership.A01"
            if fails("allocation"):
                self.let_go(p, d, f)
                return ENOMEM("no_memory", deduced("the driver's own"))
            Job(client=c)
            self.let_go(p, d, f)
            return OK("ok", deduced("the call goes on, whoever owns the device by now"))

    @operation
    def mmap(self, p: Process, n: Fd) -> Result:
        require(p.running)
        f = self.file_of(p, n)
        c = self.behind(f)
        if not self.owns(c):
            return EACCES("not_owner", stated("the second option", "only the current owner may use the driver"))
        if fails("allocation"):
            return ENOMEM("no_memory", deduced("the driver's own"))
        Vma(file=f, mm=p.mm)
        return OK("ok", deduced("an mmap is no ioctl: it looks for itself, where it takes effect"))

    @operation
    def export(self, p: Process, n: Fd) -> Result:
        require(p.running)
        f = self.file_of(p, n)
        c = self.behind(f)
        if not self.owns(c):
            return EACCES("not_owner", stated("the second option", "every ioctl fails if the caller is not the owner"))
        d = c.device
        with p.busy:
            d.call[p] = f
            yield "permitted"
            assert any(x is c for x in Client) and c.file is f and c.device is d and d.call[p] is f, "ownership.A01"
            if fails("allocation"):
                self.let_go(p, d, f)
                return ENOMEM("no_memory", deduced("dma_buf_export"))
            Export(device=d, pins=c.token, file=None, made=c.token)
            self.let_go(p, d, f)
            return OK("ok", stated("the second option", "a reference to the master is kept for what cannot be revoked"))

    # ------------------------------------------------------------------ what the proofs need besides

    @check("ownership.A01", STATE, kernel("fdget"))
    def a_call_keeps_its_client(self) -> None:
        """The description that a call was made on stays until it ends."""

    @lemma(deduced("an open makes them together, and there are no leases"))
    def a_client_has_a_description_and_a_token(self) -> bool:
        return all(c.file is not None and c.token is not None and c.lessor is None for c in Client)

    @lemma(kernel("release comes with the last reference"))
    def a_description_is_in_use(self) -> bool:
        return all(self.in_use(f) and not f.in_call for f in File) and not any(True for w in Waiter)

    @lemma(deduced("a process makes one call of several steps at a time"))
    def who_is_in_a_call_is_busy(self) -> bool:
        once = all(
            a is b for p in Process for a in Device for b in Device if a.call[p] is not None and b.call[p] is not None
        )
        return once and all(p.busy for p in Process for d in Device if d.call[p] is not None)

    @lemma(deduced("a guest that becomes owner gets a token of its own"))
    def a_token_has_one_founder(self) -> bool:
        return all(a is b for a in Client for b in Client if a.founder and b.founder and a.token is b.token)

    @lemma(deduced("a token is made for a device"))
    def a_token_is_of_one_device(self) -> bool:
        clients = all(a.device is b.device for a in Client for b in Client if a.token is b.token)
        exports = all(e.device is c.device for e in Export for c in Client if e.pins is c.token)
        owned = all(c.device is d for c in Client for d in Device if c.token is d.owner)
        pinned = all(e.device is d for e in Export for d in Device if e.pins is d.owner)
        twice = all(e.device is x.device for e in Export for x in Export if e.pins is x.pins)
        alone = all(a is b for a in Device for b in Device if a.owner is b.owner and a.owner is not None)
        return clients and exports and owned and pinned and twice and alone

    @lemma(deduced("settle"))
    def an_owner_works_or_is_pinned(self) -> bool:
        return all(
            any(e.pins is d.owner for e in Export)
            if d.owner.dropped
            else any(c.founder and c.token is d.owner for c in Client)
            for d in Device
            if d.owner is not None
        )

    @lemma(deduced("a reference is taken where the export is made"))
    def an_export_pins(self) -> bool:
        return all(e.pins is not None and e.file is None for e in Export)
