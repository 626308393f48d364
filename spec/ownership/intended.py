# SPDX-License-Identifier: Apache-2.0
"""Ownership as we would have it: the proposal, corrected so that every safety law holds, and no less useful.

Each deviation is argued in docs/machines/ownership-expectations.md under the T-number given here.
"""

from __future__ import annotations

from accelspec.spec.kernel import Fd, Process, Vma
from accelspec.spec.language import (
    EACCES,
    ENOMEM,
    OK,
    STEP,
    Errno,
    Result,
    after,
    deduced,
    fails,
    free,
    implies,
    lemma,
    operation,
    require,
    when,
)

from .objects import Client, Device, Export, Job
from .proposal import Proposal


class Intended(Proposal):
    """The proposal corrected: permission holds until the effect, and an administrator need not kill."""

    revision = "intended"
    document = "our own design: docs/machines/ownership-expectations.md"
    unchanged = deduced("the proposal, kept on purpose")
    not_applicable = {"ownership.I14": "there are no groups", "ownership.A01": "no call takes a second step"}
    known = []
    drops = ["acquire.not_permitted", "open.pinned"]

    # ------------------------------------------------------------------ T1: permission holds until the effect

    @operation
    def submit(self, p: Process, n: Fd) -> Result:
        c = self.client_of(p, n)
        if not self.owns(c):
            return EACCES("not_owner", deduced("as the proposal"))
        if fails("allocation"):
            return ENOMEM("no_memory", deduced("the driver's own"))
        Job(client=c)
        return OK("ok", deduced("T1: the owner cannot change while one of its calls runs"))

    @operation
    def export(self, p: Process, n: Fd) -> Result:
        c = self.client_of(p, n)
        if not self.owns(c):
            return EACCES("not_owner", deduced("as the proposal"))
        if fails("allocation"):
            return ENOMEM("no_memory", deduced("dma_buf_export"))
        Export(device=c.device, pins=c.token, file=None, made=c.token)
        return OK("ok", deduced("T1"))

    # ------------------------------------------------------------------ T4, T5: what an administrator needs

    @operation
    def evict(self, p: Process, d: Device) -> Result:
        """Take the device from its owner, as if it had dropped it."""
        require(p.running)
        if not d.admin[p]:
            return EACCES("not_permitted", deduced("T4"))
        if d.owner is None or d.owner.dropped:
            return OK("nobody", deduced("T4"))
        for j in Job:
            if j.client.device is d:
                free(j)
        for v in Vma:
            if when(any(c.file is v.file and c.device is d for c in Client)):
                v.ptes = False
        self.end(d)
        return OK("ok", deduced("T4: free, or pinned by exports alone"))

    @operation
    def status(self, p: Process, d: Device) -> Result:
        """An attribute that tells whom to look for."""
        require(p.running)
        if d.owner is None:
            return OK("free", deduced("T5"))
        if d.owner.dropped:
            return OK("pinned", deduced("T5: by exports; their holders are found through the dma-buf list"))
        return OK("owned", deduced("T5: by a client"))

    # ------------------------------------------------------------------ an administrator

    @after("evict", "ownership.I13", STEP, deduced("T4"))
    def an_eviction_ends_ownership(self, d: Device, result: Errno) -> bool:
        """Whatever the owner does: after an eviction no client owns the device, and only exports reach it."""
        nobody = not any(c.device is d and self.owns(c) for c in Client)
        return implies(result is OK, nobody and (d.owner is None or any(e.pins is d.owner for e in Export)))

    @lemma(deduced("T1: an export is made while its owner owns"))
    def an_exported_device_has_that_owner(self) -> bool:
        return all(e.device.owner is e.pins for e in Export)

    @lemma(deduced("no call takes a second step"))
    def nothing_is_in_a_call(self) -> bool:
        return all(d.call[p] is None for d in Device for p in Process)
