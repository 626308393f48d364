# SPDX-License-Identifier: Apache-2.0
"""habanalabs: what must hold of contexts, the slot and resets.

The ids are those of docs/facts/habanalabs.md, section 6; those of submissions (I17, I22, P01, P02) have a file of their
own.
"""

from __future__ import annotations

from accelspec.spec.kernel import Fd, Process
from accelspec.spec.language import (
    COUNT,
    OK,
    STATE,
    STEP,
    Errno,
    Machine,
    after,
    always,
    check,
    deduced,
    eventually,
    implies,
    old,
    sometimes,
    stated,
)

from .objects import PENDING, PLACED, REJECTED, Asid, CommandBuffer, Context, Device, FilePrivate, Memory, Submission

SHEET = stated("section 6", document="docs/facts/habanalabs.md")


class Laws(Machine):
    document = "docs/facts/habanalabs.md"

    # ------------------------------------------------------------------ the slot

    @always("habanalabs.I01", STATE, SHEET)
    def one_compute_owner(self) -> bool:
        """At most one context of a device was granted the compute slot, and it is the one in the slot."""
        return all(x.granted == (x.hpriv.device.slot is x) for x in Context)

    @check("habanalabs.I02", STATE, SHEET)
    def only_the_owner_works(self) -> None:
        """CB, CS, WAIT, MEMORY and DEBUG are carried out for the context that was granted the slot."""

    @always("habanalabs.I03", STEP, SHEET)
    def the_slot_moves_by_rule(self) -> bool:
        """The slot is left only when its context ends, or to a hard reset; nobody takes it from another."""
        return all(
            d.slot is old(d).slot
            or old(d).slot is None
            or (d.slot is None and (not any(x is old(d).slot for x in Context) or (old(d).disabled)))
            for d in Device
        )

    @check("habanalabs.I04", STATE, SHEET)
    def no_body_without_a_context(self) -> None:
        """Nothing that needs a context runs without one."""

    @always("habanalabs.I05", STATE, SHEET)
    def the_slot_leads_to_a_context(self) -> bool:
        """The slot never leads to a context that was freed."""
        return all(d.slot is None or any(d.slot is x for x in Context) for d in Device)

    @always("habanalabs.I09", STATE, SHEET)
    def the_slot_is_busy_while_it_drains(self) -> bool:
        """Work that the hardware has is that of the context in the slot, whoever has closed."""
        return all(implies(c.fence is PENDING and c.ctx.granted, c.ctx.hpriv.device.slot is c.ctx) for c in Submission)

    # ------------------------------------------------------------------ lives

    @always("habanalabs.I06", STATE, SHEET)
    def nothing_is_left_when_all_have_gone(self) -> bool:
        """Without files there are no contexts, no ASIDs, no device memory, no buffers, no fences."""
        return all(
            any(h.device is d for h in FilePrivate)
            or not (
                any(a.device is d and a.taken for a in Asid)
                or any(m.asid.device is d for m in Memory)
                or any(b.hpriv is not None and b.hpriv.device is d for b in CommandBuffer)
            )
            for d in Device
        )

    @always("habanalabs.I07", STATE, SHEET)
    def work_holds_its_context(self) -> bool:
        """A submission that the hardware has belongs to a context that lives, of a file record that lives."""
        return all(
            implies(c.fence is PENDING, any(x is c.ctx and any(h is x.hpriv for h in FilePrivate) for x in Context))
            for c in Submission
        )

    @always("habanalabs.I08", STATE, SHEET)
    def buffers_outlive_their_users(self) -> bool:
        """A buffer that a submission uses lives, and one that nobody uses has a handle."""
        return all(
            c.cb is None or (c.fence in (PLACED, PENDING) and any(b is c.cb for b in CommandBuffer)) for c in Submission
        ) and all(b.handle or any(c.cb is b for c in Submission) for b in CommandBuffer)

    @always("habanalabs.I28", COUNT, SHEET)
    def one_context_in_a_life(self) -> bool:
        """A file gets at most one context as long as it lives."""
        return all(h.contexts <= 1 for h in FilePrivate)

    @always("habanalabs.I30", STATE, SHEET)
    def first_calls_make_one_context(self) -> bool:
        """However many first calls run at once, a context that is there is the only one that its file ever got."""
        return all(x.hpriv.contexts == 1 for x in Context)

    @always("habanalabs.I27", STATE, SHEET)
    def asids_are_of_one_context(self) -> bool:
        """Contexts have ASIDs of their own, and no memory is mapped under one that is free."""
        apart = all(x.asid.taken and (x is y or x.asid is not y.asid) for x in Context for y in Context)
        return apart and all(implies(m.mapped is not None, m.asid.taken) for m in Memory if not m.shared)

    # ------------------------------------------------------------------ resets and removal

    @check("habanalabs.I11", STATE, SHEET)
    def rollback_before_kill(self) -> None:
        """When the kill stage kills, nothing that a victim has submitted is pending."""

    @always("habanalabs.I12", COUNT, SHEET)
    def one_reset_at_a_time(self) -> bool:
        """At most one reset, suspend or removal runs, and `in_reset` says so."""
        return all(d.resets <= 1 and (d.resets == 1) == d.in_reset for d in Device if not d.gone)

    @check("habanalabs.I13", STATE, SHEET)
    def survivors_do_not_work(self) -> None:
        """After a hard reset no context from before it works."""

    @after("open", "habanalabs.I15", STEP, SHEET)
    def a_broken_device_is_not_opened(self, d: Device, result: Errno) -> bool:
        """An open that succeeds found a device that was not in reset, not disabled, and there."""
        return implies(result is OK, not old(d).gone and not old(d).in_reset and not old(d).disabled)

    @always("habanalabs.I32", STATE, deduced("patch 7/9, and B7: the wait must not keep those away whom it waits for"))
    def files_can_be_closed_while_a_reset_waits(self) -> bool:
        """While the kill stage waits for users to leave, they can leave."""
        return all(implies(d.killing, self.closable(d)) for d in Device)

    def closable(self, d: Device) -> bool:
        """Does nobody hold a lock that the last close of a file of the device needs?"""
        return True

    @check("habanalabs.I33", STATE, stated("B3", document="docs/facts/habanalabs.md"))
    def the_listed_are_whole(self) -> None:
        """Whoever is on the list when a reset goes through it is completely built."""

    @check("habanalabs.I29", STATE, SHEET)
    def nobody_meets_a_removed_device(self) -> None:
        """After removal no call reaches the structure of the device."""

    # ------------------------------------------------------------------ debug mode, clocks

    @always("habanalabs.I16", STATE, SHEET)
    def debug_belongs_to_the_owner(self) -> bool:
        """Debug mode is on only while somebody has the slot."""
        return all(implies(d.in_debug, any(d.slot is x for x in Context)) for d in Device if not d.in_reset)

    @always("habanalabs.I25", STATE, SHEET)
    def clocks_are_high_for_the_owner(self) -> bool:
        """In the automatic profile the clocks are LOW only while nobody has the slot."""
        return all(implies(not d.manual and not d.high, d.slot is None) for d in Device)

    # ------------------------------------------------------------------ memory

    @check("habanalabs.I18", STATE, SHEET)
    def nothing_flows_between_owners(self) -> None:
        """Memory is given with no trace of an earlier owner, and INFO tells nobody about the context of another."""

    @always("habanalabs.I26", STATE, SHEET)
    def memory_is_mapped_by_its_owner(self) -> bool:
        """Memory is mapped by a context that lives, and by another than its creator's only if it is shared."""
        return all(
            m.mapped is None or (any(m.mapped is x for x in Context) and (m.shared or m.mapped.asid is m.asid))
            for m in Memory
        )

    @check("habanalabs.I31", STATE, deduced("the handle is the whole device's: section 2.4, FREE"))
    def memory_is_freed_by_its_owner(self) -> None:
        """Device memory that is not shared is freed by the context that has it."""

    # ------------------------------------------------------------------ calls

    @check("habanalabs.A01", STATE, deduced("open makes both, release ends both"))
    def every_file_has_its_record(self) -> None:
        """Behind an open file is what the driver keeps for it."""

    @check("habanalabs.I19", STATE, SHEET)
    def a_control_file_only_asks(self) -> None:
        """Nothing but INFO is carried out for a control node."""

    @check("habanalabs.I20", STATE, SHEET)
    def monitors_are_in_nobodys_way(self) -> None:
        """No compute request that is legitimate fails for what another has opened or asked."""

    @after("dup", "habanalabs.I21", STEP, SHEET)
    def duplicates_are_invisible(self, p: Process, n: Fd, result: Errno) -> bool:
        """A duplicate changes nothing that the driver has."""
        same = all(h.file is old(h).file and h.listed == old(h).listed for h in FilePrivate)
        return same and all(d.slot is old(d).slot and d.opened == old(d).opened for d in Device)

    @after("submit", "habanalabs.I23", STEP, SHEET)
    def failed_calls_change_nothing(self, result: Errno) -> bool:
        """A submission that fails leaves the slot, the clocks and the others' fences as they were."""
        return implies(
            result is not OK,
            all(d.slot is old(d).slot and d.high == old(d).high for d in Device)
            and all(c.fence is old(c).fence or c.fence is REJECTED for c in Submission),
        )

    # ------------------------------------------------------------------ progress

    @eventually("habanalabs.P03", SHEET, fair=("close", "drain", "complete"))
    def the_slot_becomes_empty(self) -> bool:
        """When the owner has closed and its work is done, the slot becomes empty."""
        return all(d.slot is None or any(d.slot is x and x.hpriv.file is not None for x in Context) for d in Device)

    @eventually("habanalabs.P04", SHEET, fair=("open", "close", "pm_write", "reset_work", "remove"))
    def locks_are_given_back(self) -> bool:
        """No lock of a device is held for ever."""
        return all(not d.open_lock and not d.lazy_lock and not d.debug_lock for d in Device)

    @eventually("habanalabs.P05", SHEET, fair=("soft_reset", "reset_work", "remove", "resume"))
    def resets_end(self) -> bool:
        """A reset that runs ends, in a device that works or in one that is broken for good."""
        return all(not d.in_reset or d.gone or d.queued for d in Device)

    @eventually("habanalabs.P07", SHEET, fair=("reset_work", "remove"))
    def removal_ends(self) -> bool:
        """A removal, or the worker of a hard reset, comes to its end, whoever refuses to leave."""
        return all(not d.hard_pending or d.gone or d.queued for d in Device)

    # ------------------------------------------------------------------ what must be possible

    @sometimes("habanalabs.S01", deduced("section 1.2: a submission holds its context"))
    def owners_drain(self) -> bool:
        """A file is closed while its work runs."""
        return any(c.fence is PENDING and c.ctx.hpriv.file is None for c in Submission)

    @sometimes("habanalabs.S02", deduced("section 2.1: after the wait the reset goes on"))
    def somebody_survives(self) -> bool:
        """A context outlives a hard reset."""
        return any(x.survivor for x in Context)
