# SPDX-License-Identifier: Apache-2.0
"""habanalabs: what must hold of submissions, fences and waits, and of 6.x besides laws.py."""

from __future__ import annotations

from accelspec.spec.language import (
    COUNT,
    OK,
    STATE,
    STEP,
    Errno,
    after,
    always,
    check,
    deduced,
    eventually,
    implies,
    old,
    sometimes,
)

from .laws import SHEET, Laws
from .objects import (
    ABORTED,
    FIRST,
    GONE,
    GOYA,
    LAST,
    OLDER,
    PENDING,
    REJECTED,
    RUNNING,
    TIMED_OUT,
    Chip,
    CommandBuffer,
    Context,
    Coresight,
    Device,
    Dmabuf,
    FilePrivate,
    Submission,
)

DRAINING = ("complete", "timeout", "wait", "wait_multi", "submit", "carry_out", "reset_work", "last_put", "resume")
EVERY_RESET = ("carry_out", "reset_work", "last_put", "resume")


class SubmissionLaws(Laws):
    """What rings, fences and waits must keep, and what the shared laws say where 6.x has other fields for it."""

    document = "docs/facts/habanalabs.md"

    # ------------------------------------------------------------------ sequences and fences

    @always("habanalabs.I17", STEP, SHEET)
    def a_fence_is_written_once(self) -> bool:
        """A fence that is signalled keeps what it says."""
        return all(
            c.fence is old(c).fence for c in Submission if old(c).fence is not PENDING and (c.queued or not c.alive)
        )

    @check("habanalabs.I41", STEP, deduced("the second half of I17: what WAIT says"))
    def a_signal_is_told(self) -> None:
        """A wait that a signal ends says so, and does not look like one whose time is up."""

    @always("habanalabs.I22", STATE, SHEET)
    def a_ring_holds_what_is_pending(self) -> bool:
        """A context has one newest sequence, one before it, and nothing pending that has left the ring."""
        apart = all(
            a is b
            for a in Submission
            for b in Submission
            if a.ctx is b.ctx and a.place is b.place and a.place is not GONE
        )
        return apart and all(c.place is not GONE for c in Submission if c.fence is PENDING)

    @after("submit", "habanalabs.I23", STEP, SHEET)
    def failed_calls_change_nothing(self, result: Errno) -> bool:
        """A submission that fails leaves the slot, the others' fences and the right to switch the chip as they were."""
        slot = all(d.active == old(d).active for d in Device)
        fences = all(c.fence is old(c).fence or c.fence is REJECTED for c in Submission)
        switch = all(x.switch is not RUNNING or old(x).switch is RUNNING or x.hpriv.device.in_reset for x in Context)
        return implies(result is not OK, slot and fences and switch)

    # ------------------------------------------------------------------ shared laws, in the fields of 6.x

    @always("habanalabs.I01", STATE, SHEET)
    def one_compute_owner(self) -> bool:
        """A device has at most one context of a user, and is taken while it has one."""
        taken = all(x.hpriv.device.active or x.hpriv.device.gone for x in Context)
        return taken and all(x is y for x in Context for y in Context if x.hpriv.device is y.hpriv.device)

    @always("habanalabs.I03", STEP, SHEET)
    def the_slot_moves_by_rule(self) -> bool:
        """A device is given back when its context has ended, not before."""
        return all(
            implies(old(d).active and not d.active, d.gone or not any(x.hpriv.device is d for x in Context))
            for d in Device
        )

    @always("habanalabs.I16", STATE, SHEET)
    def debug_belongs_to_the_owner(self) -> bool:
        """Debug mode is on only while there is a context."""
        return all(implies(t.on, any(x.hpriv.device is t.device for x in Context)) for t in Coresight)

    @always("habanalabs.I08", COUNT, SHEET)
    def buffers_outlive_their_users(self) -> bool:
        """A buffer that a submission uses lives, and is counted for it."""
        live = all(c.cb is None or any(b is c.cb for b in CommandBuffer) for c in Submission)
        counted = all(
            b.refs >= 1 and implies(b.handle and any(c.cb is b for c in Submission), b.refs >= 2) for b in CommandBuffer
        )
        return live and counted

    @always("habanalabs.I09", STATE, SHEET)
    def the_slot_is_busy_while_it_drains(self) -> bool:
        """While the hardware has work, the device is taken."""
        return all(implies(c.queued, c.ctx.hpriv.device.active) for c in Submission)

    @check("habanalabs.I10", STATE, SHEET)
    def a_departure_resets_nobody_else(self) -> None:
        """A reset that somebody's departure asks for meets no later owner."""

    @always("habanalabs.I14", STATE, SHEET)
    def the_status_tells_the_kind_of_reset(self) -> bool:
        """`in_compute_reset` is set only while a compute reset runs."""
        return all(implies(d.compute_reset, d.in_reset and not d.queued) for d in Device)

    @always("habanalabs.I24", STEP, SHEET)
    def a_full_ring_takes_no_sequence(self) -> bool:
        """What is pending keeps its slot of the ring."""
        return all(c.place is OLDER for c in Submission if old(c).place is OLDER and old(c).fence is PENDING)

    @always("habanalabs.I25", STATE, SHEET)
    def clocks_are_high_for_the_owner(self) -> bool:
        """In the automatic profile the clocks are LOW only while nobody has the slot."""
        return all(implies(k.asic is GOYA and k.device.active, k.manual or k.high) for k in Chip)

    # ------------------------------------------------------------------ progress

    @eventually("habanalabs.P01", SHEET, fair=("complete", "timeout", *EVERY_RESET))
    def submissions_end(self) -> bool:
        """Every submission that the hardware has is finished, times out, or is aborted."""
        return not any(c.queued for c in Submission)

    @eventually("habanalabs.P02", SHEET, fair=("wait", "wait_multi"))
    def waits_end(self) -> bool:
        """Every wait returns."""
        return not any(c.awaited for c in Submission)

    @eventually("habanalabs.P03", SHEET, fair=DRAINING)
    def the_slot_becomes_empty(self) -> bool:
        """When the owner has left and its work is done, the slot becomes empty, unless an importer keeps it."""
        return all(not d.active or self.has_owner(d) or any(e.ctx.hpriv.device is d for e in Dmabuf) for d in Device)

    def has_owner(self, d: Device) -> bool:
        return any(h.device is d and not h.control and h.file is not None for h in FilePrivate)

    @eventually("habanalabs.P04", SHEET, fair=("open", "last_put"))
    def locks_are_given_back(self) -> bool:
        """No lock of a device is held for ever."""
        return all(not d.open_lock and not d.resetting for d in Device)

    @eventually("habanalabs.P05", SHEET, fair=EVERY_RESET)
    def resets_end(self) -> bool:
        """A reset that has begun ends, in a device that works or in one that is broken."""
        return all(not d.in_reset or d.gone for d in Device)

    @eventually("habanalabs.P06", SHEET, fair=("reset_work", "carry_out"))
    def the_kill_stage_ends(self) -> bool:
        """A hard reset does not wait for ever for a process that does not die."""
        return all(not d.queued for d in Device)

    @eventually("habanalabs.P07", SHEET, fair=EVERY_RESET)
    def removal_ends(self) -> bool:
        """Removal ends."""
        return all(not d.fini or d.gone for d in Device)

    @eventually("habanalabs.P08", SHEET, fair=(*DRAINING, "importer_releases"))
    def an_exported_buffer_only_delays(self) -> bool:
        """When importers have let go, too, the slot becomes empty."""
        return all(not d.active or self.has_owner(d) for d in Device)

    # ------------------------------------------------------------------ what must be possible

    @sometimes("habanalabs.S11", deduced("or nothing is said of groups"))
    def a_group_is_closed(self) -> bool:
        """The last of a group is with the hardware, and the first too."""
        return any(
            a.queued and b.queued and a.stage is FIRST and b.stage is LAST and a.ctx is b.ctx
            for a in Submission
            for b in Submission
        )

    @sometimes("habanalabs.S12", deduced("or I17 and P02 say nothing"))
    def a_fence_can_be_lost(self) -> bool:
        """A fence says that its submission timed out, or was aborted."""
        return any(c.fence in (TIMED_OUT, ABORTED) and not c.alive for c in Submission)
