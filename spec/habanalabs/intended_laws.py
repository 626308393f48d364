# SPDX-License-Identifier: Apache-2.0
"""habanalabs: the laws of the slot where that is a mark on a context, and no pointer of the device."""

from __future__ import annotations

from accelspec.spec.kernel import Fd, File, Process
from accelspec.spec.language import (
    EACCES,
    OK,
    STATE,
    STEP,
    Errno,
    after,
    always,
    deduced,
    eventually,
    implies,
    lemma,
    old,
)

from .laws import SHEET, Laws
from .letter_laws import LetterLaws
from .objects import PENDING, PLACED, Asid, CommandBuffer, Context, Device, FilePrivate, Memory, Submission


class IntendedLaws(LetterLaws, Laws):
    document = "docs/facts/habanalabs.md"

    def taken(self, d: Device) -> bool:
        """Has somebody the slot?"""
        return any(x.in_slot and x.hpriv.device is d for x in Context)

    @always("habanalabs.I01", STATE, SHEET)
    def one_compute_owner(self) -> bool:
        """At most one context of a device has the slot, and it was granted to it."""
        return all(
            x.granted == x.in_slot and (x is y or not (x.in_slot and y.in_slot) or x.hpriv.device is not y.hpriv.device)
            for x in Context
            for y in Context
        )

    @always("habanalabs.I03", STEP, SHEET)
    def the_slot_moves_by_rule(self) -> bool:
        """The slot is left only when its context ends, or to a hard reset; nobody takes it from another."""
        left = all(implies(old(x).in_slot and not x.in_slot, old(x.hpriv.device).disabled) for x in Context)
        return left and not any(
            x.in_slot and not old(x).in_slot and old(y).in_slot and y.hpriv.device is x.hpriv.device
            for x in Context
            for y in Context
        )

    @always("habanalabs.I05", STATE, SHEET)
    def the_slot_leads_to_a_context(self) -> bool:
        """Whoever has the slot is a context of a record that is there."""
        return all(implies(x.in_slot, any(h is x.hpriv for h in FilePrivate)) for x in Context)

    @always("habanalabs.I09", STATE, SHEET)
    def the_slot_is_busy_while_it_drains(self) -> bool:
        """Work that the hardware has is that of the context in the slot, whoever has closed."""
        return all(implies(c.fence is PENDING, c.ctx.in_slot) for c in Submission)

    @always("habanalabs.I16", STATE, SHEET)
    def debug_belongs_to_the_owner(self) -> bool:
        """Debug mode is on only while somebody has the slot."""
        return all(implies(d.in_debug, self.taken(d)) for d in Device)

    @always("habanalabs.I25", STATE, SHEET)
    def clocks_are_high_for_the_owner(self) -> bool:
        """In the automatic profile the clocks are LOW only while nobody has the slot."""
        return all(implies(not d.manual and not d.high, not self.taken(d)) for d in Device)

    @after("submit", "habanalabs.I23", STEP, SHEET)
    def failed_calls_change_nothing(self, result: Errno) -> bool:
        """A submission that fails leaves contexts, the slot, the clocks and every fence as they were."""
        return implies(
            result is not OK,
            all(x.in_slot == old(x).in_slot and x.hpriv is old(x).hpriv for x in Context)
            and all(d.high == old(d).high for d in Device)
            and all(c.fence is old(c).fence for c in Submission),
        )

    @after("submit", "habanalabs.L09", STEP, deduced("T10: whoever is told that another computes can rely on it"))
    def upgraded_if_the_slot_is_empty(self, p: Process, n: Fd, result: Errno) -> bool:
        """Nobody is refused what needs the slot while that is empty."""
        return implies(result is EACCES, any(x.in_slot and x.hpriv.file is not p.fd[n] for x in Context))

    @eventually("habanalabs.P03", SHEET, fair=("close", "drain", "complete"))
    def the_slot_becomes_empty(self) -> bool:
        """When the owner has closed and its work is done, the slot becomes empty."""
        return all(implies(x.in_slot, x.hpriv.file is not None) for x in Context)

    # ------------------------------------------------------------------ what the proof needs besides

    @lemma(deduced("open makes both, in one piece"))
    def a_file_has_its_record(self) -> bool:
        return all(any(h.file is f for h in FilePrivate) for f in File)

    @lemma(deduced("T1: the pointer is not used"))
    def no_pointer_leads_to_a_context(self) -> bool:
        return all(d.slot is None for d in Device)

    @lemma(deduced("T3"))
    def the_dead_have_nothing(self) -> bool:
        return all(x.dead == x.survivor and not (x.dead and (x.in_slot or x.wrote)) for x in Context)

    @lemma(deduced("T4: who submits has the slot"))
    def work_was_the_owners(self) -> bool:
        return all(c.ctx.in_slot or c.ctx.dead for c in Submission)

    @lemma(deduced("T11: a submission is one piece"))
    def no_submission_is_half_made(self) -> bool:
        return all(c.fence is not PLACED for c in Submission)

    @lemma(deduced("T6"))
    def records_are_built(self) -> bool:
        return all(h.built for h in FilePrivate)

    @lemma(deduced("a context is made for a record that has none"))
    def a_record_has_one_context(self) -> bool:
        single = all(x is y or x.hpriv is not y.hpriv for x in Context for y in Context)
        return single and all((h.contexts == 0) != any(x.hpriv is h for x in Context) for h in FilePrivate)

    @lemma(deduced("first fit among those of the device; given back with the context"))
    def an_asid_has_its_context(self) -> bool:
        used = all(any(x.asid is a for x in Context) for a in Asid if a.taken)
        return used and all(x.asid.device is x.hpriv.device for x in Context)

    @lemma(deduced("T3: what others had has gone"))
    def memory_is_the_owners(self) -> bool:
        return all(any(x.asid is m.asid and x.in_slot for x in Context) for m in Memory) and all(
            m.mapped is None or (m.mapped.asid is m.asid and m.mapped.wrote) for m in Memory
        )

    @lemma(deduced("a submission uses buffers of its own file"))
    def buffers_are_of_a_file(self) -> bool:
        used = all(c.cb is None or c.cb.hpriv is c.ctx.hpriv for c in Submission)
        return used and all(
            any(h is b.hpriv and (h.file is not None or not b.handle) for h in FilePrivate) for b in CommandBuffer
        )

    @lemma(deduced("the ring has one place here, and is looked at when a submission is made"))
    def a_context_has_one_submission(self) -> bool:
        return all(c is e or c.ctx is not e.ctx for c in Submission for e in Submission)

    @lemma(deduced("T5: INFO leaves one; an owner who goes gives his back"))
    def an_asid_is_left_for_work(self) -> bool:
        return all(
            x.dead or self.taken(x.hpriv.device) or any(a.device is x.hpriv.device and not a.taken for a in Asid)
            for x in Context
        )
