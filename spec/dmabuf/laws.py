# SPDX-License-Identifier: Apache-2.0
"""dma-buf: what must hold, in every design.  The ids are those of docs/facts/dmabuf.md, section 6.

F01 to F08 and I18 are laws of the core's fences (fences.py), I31 and P09 of its locks (locks.py).
"""

from __future__ import annotations

from accelspec.spec.kernel import Fd, File, Message, Process
from accelspec.spec.language import (
    COUNT,
    EAGAIN,
    EBUSY,
    ENODEV,
    LOCK_GRAPH,
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
    stated,
)

from .buffers import Buffers
from .objects import (
    LEAVING,
    PINNED,
    RESETTING,
    REVOKED,
    SUSPENDED,
    VALID,
    Buffer,
    Device,
    Import,
    Memory,
    Session,
)

SHEET = stated("section 6", document="docs/facts/dmabuf.md")


class Laws(Buffers):
    document = "docs/facts/dmabuf.md"

    # ------------------------------------------------------------------ export, and who keeps what alive

    @always("dmabuf.I01", STATE, SHEET)
    def published_means_finished(self) -> bool:
        """No step of an export touches a buffer after its descriptor was given out."""
        return not any(b.making and b.file is not None for b in Buffer)

    @always("dmabuf.I02", STATE, SHEET)
    def used_means_held(self) -> bool:
        """What is used is kept alive: a buffer has its file, from the first step to the last."""
        return all(any(f is b.file for f in File) for b in Buffer)

    @check("dmabuf.I03", STEP, SHEET)
    def failed_exports_leave_nothing(self) -> None:
        """An export that fails releases what it has made exactly once."""

    @always("dmabuf.I05", STATE, SHEET)
    def users_hold_the_buffer(self) -> bool:
        """Whoever uses a buffer's reservation lock or its mapping holds a reference to the buffer."""
        return all(t.buffer.file is t.file for t in Import)

    @check("dmabuf.I07", STEP, SHEET)
    def exports_lie_inside(self) -> None:
        """An exported range lies inside an allocation of its exporter, computed without wrapping."""

    @always("dmabuf.I08", STATE, SHEET)
    def mappings_cover_what_was_exported(self) -> bool:
        """A mapping covers exactly the bytes of its buffer."""
        return all(t.part == t.buffer.part for t in Import if t.maps >= 1)

    @check("dmabuf.I35", STEP, SHEET)
    def nobody_exports_what_is_anothers(self) -> None:
        """The memory of another session cannot be exported."""

    @after("free_memory", "dmabuf.I25", STEP, SHEET)
    def only_its_session_frees(self, p: Process, n: Fd, m: Memory, result: Errno) -> bool:
        """Memory is freed by the session that allocated it: never through a descriptor of an earlier one."""
        return implies(result is OK, any(s.file is p.fd[n] and old(m).session is s for s in Session))

    # ------------------------------------------------------------------ attachments and mappings

    @check("dmabuf.I09", STATE, SHEET)
    def no_attachment_survives_its_buffer(self) -> None:
        """A buffer that is released has no attachment."""

    @always("dmabuf.I10", COUNT, SHEET)
    def one_mapping_per_attachment(self) -> bool:
        """An attachment has at most one mapping."""
        return all(t.maps <= 1 for t in Import)

    @always("dmabuf.I11", COUNT, SHEET)
    def pins_balance(self) -> bool:
        """A pinning importer has one pin exactly while it maps; pins never go below zero."""
        return all(t.pins == (1 if t.maps >= 1 and self.pins(t) else 0) for t in Import)

    @always("dmabuf.I12", STATE, SHEET)
    def importers_can_be_revoked(self) -> bool:
        """Where buffers may be revoked, nobody is attached who cannot stop."""
        return not any(t.kind is PINNED for t in Import)

    @check("dmabuf.I13", STEP, SHEET)
    def addresses_go_to_peers(self) -> None:
        """Addresses without pages go only to importers that take them, and to which there is a path."""

    @check("dmabuf.I14", STEP, SHEET)
    def nothing_new_while_revoked(self) -> None:
        """While a buffer is revoked no mapping of it is made."""

    @always("dmabuf.I15", STATE, SHEET)
    def mapped_means_decoding(self) -> bool:
        """While a mapping lives, the device behind it is powered and answers."""
        return all(t.buffer.memory.device.decoding for t in Import if t.maps >= 1)

    @always("dmabuf.I16", STATE, SHEET)
    def revoked_means_unreachable(self) -> bool:
        """When a revoke has returned, no mapping from before it remains, and no access is under way."""
        return all(
            t.maps == 0 and not t.working for t in Import if t.buffer.status is not VALID and not t.buffer.revoking
        )

    @always("dmabuf.I17", STATE, SHEET)
    def a_stopped_importer_has_stopped(self) -> bool:
        """An importer that was stopped for good touches nothing: no mapping, no pin, no access."""
        return all(t.maps == 0 and t.pins == 0 and not t.working for t in Import if t.revoked)

    @always("dmabuf.I22", COUNT, SHEET)
    def outstanding_mappings_are_counted(self) -> bool:
        """The count that a revoke waits for: one for each mapping, and one while the buffer is not revoked."""
        mappings = all(t.counted == (t.maps >= 1) for t in Import)
        return mappings and all(b.first == (1 if b.status is VALID else 0) for b in Buffer if not b.revoking)

    @always("dmabuf.I34", STATE, SHEET)
    def mappings_lead_to_the_present_place(self) -> bool:
        """A mapping of a device that answers leads to where the memory is now."""
        return all(
            t.place == t.buffer.memory.device.place for t in Import if t.maps >= 1 and t.buffer.memory.device.decoding
        )

    # ------------------------------------------------------------------ owners

    @always("dmabuf.I20", STATE, SHEET)
    def one_owner(self) -> bool:
        """A device has one owner at a time, and none while a buffer of an earlier one can still be reached."""
        one = all(s is x for s in Session for x in Session if s.device is x.device)
        left = any(
            b.session is None and b.memory.device is s.device and b.status is VALID for b in Buffer for s in Session
        )
        mapped = any(
            t.maps >= 1 and t.buffer.session is None and t.buffer.memory.device is s.device
            for t in Import
            for s in Session
        )
        return one and not left and not mapped

    @always("dmabuf.I26", STATE, SHEET)
    def exported_memory_is_not_given_on(self) -> bool:
        """Memory behind a live mapping is not an allocation of another session."""
        return all(
            t.buffer.memory.session is None or t.buffer.memory.session is t.buffer.session
            for t in Import
            if t.maps >= 1
        )

    @after("open", "dmabuf.I27", STEP, SHEET)
    def scrubbed_between_owners(self, d: Device, result: Errno) -> bool:
        """Whoever gets the device finds nothing in its memory of the one before."""
        return implies(result is OK, not any(m.dirty for m in Memory if m.device is d))

    @always("dmabuf.I28", STATE, SHEET)
    def exported_memory_is_kept(self) -> bool:
        """Memory that can be reached through a buffer is not in the pool, nor with anybody but its exporter."""
        return all(
            b.session is not None and b.memory.session is b.session
            for b in Buffer
            if b.status is VALID and not b.memory.leaving
        )

    # ------------------------------------------------------------------ the course of a revoke

    @always("dmabuf.I29", STEP, SHEET)
    def revoked_for_good_is_final(self) -> bool:
        """A buffer that is revoked for good stays so."""
        return all(b.status is REVOKED for b in Buffer if old(b).status is REVOKED)

    @always("dmabuf.I30", STEP, SHEET)
    def a_stopped_importer_stays_stopped(self) -> bool:
        """A pinned importer that was stopped stays so, even if the buffer is restored."""
        return all(t.revoked for t in Import if old(t).revoked)

    @always("dmabuf.I32", STATE, SHEET)
    def nobody_drains_under_the_reservation_lock(self) -> bool:
        """Whoever waits until nothing is mapped has dropped the reservation lock."""
        return not any(b.revoking and b.first == 0 and b.resv for b in Buffer)

    @check("dmabuf.I33", LOCK_GRAPH, SHEET)
    def lock_order_is_acyclic(self) -> None:
        """No two locks are ever wanted in both orders."""

    # ------------------------------------------------------------------ progress

    @eventually("dmabuf.P01", SHEET, fair=("finish", "unmap"))
    def revokes_end(self) -> bool:
        """A revoke ends, if importers finish their work and unmap what they were told to."""
        return not any(b.revoking for b in Buffer)

    @eventually("dmabuf.P02", SHEET, fair=("finish",))
    def the_wait_for_fences_ends(self) -> bool:
        """Nobody waits for ever under the reservation lock, if fences signal."""
        return not any(b.resv for b in Buffer)

    @eventually("dmabuf.P03", SHEET)
    def what_nobody_holds_goes(self) -> bool:
        """What nobody holds can always be released: buffers, and sessions that nothing keeps."""
        buffers = all(b.making or any(self.referenced(f) for f in File if b.file is f) for b in Buffer)
        return buffers and not any(self.closing(s) and not self.kept(s) for s in Session)

    @after("open", "dmabuf.P04", STEP, SHEET)
    def an_idle_device_can_be_opened(self, d: Device, result: Errno) -> bool:
        """Open is EBUSY or EAGAIN only while a session, a buffer, a reset or a removal has the device."""
        idle = d.health not in (RESETTING, LEAVING) and not any(s.device is d for s in Session)
        return implies(result in (EBUSY, EAGAIN), not idle)

    @eventually("dmabuf.P05", SHEET, fair=("reset",))
    def resets_end(self) -> bool:
        """A reset ends: done, or given up."""
        return not any(d.health is RESETTING for d in Device)

    @eventually("dmabuf.P06", SHEET, fair=("kill", "discard", "end_session"))
    def killing_everybody_frees_the_device(self) -> bool:
        """When every process was killed and every message dropped, nobody owns the device."""
        over = not any(p.running for p in Process) and not any(True for m in Message)
        return implies(over, not any(True for s in Session))

    @after("open", "dmabuf.P07", STEP, SHEET)
    def nobody_waits_for_a_stranger(self, d: Device, result: Errno) -> bool:
        """Open is never refused because another process has kept a buffer (a policy)."""
        refused = result in (EBUSY, EAGAIN) and d.health not in (RESETTING, LEAVING)
        return implies(refused, not any(s.device is d and self.left_to_others(s) for s in Session))

    @after("map", "dmabuf.P08", STEP, SHEET)
    def restored_buffers_can_be_mapped_again(self, t: Import, result: Errno) -> bool:
        """Map is ENODEV only while the buffer is revoked: a dynamic importer maps again once it is restored."""
        return implies(result is ENODEV, t.buffer.status is not VALID)

    # ------------------------------------------------------------------ what must be reachable

    @sometimes("dmabuf.R01", deduced("or the laws on mappings say nothing"))
    def a_mapping_is_used(self) -> bool:
        """Another device reads and writes through a mapping."""
        return any(t.working for t in Import)

    @sometimes("dmabuf.R02", deduced("or the laws on owners say nothing"))
    def a_buffer_outlives_its_owner(self) -> bool:
        """A buffer is still there when nobody has a descriptor of its exporter's device any more."""
        return any(
            b.session is None
            or not any(p.fd[n] is f and b.session.file is f for p in Process for n in Fd for f in File)
            for b in Buffer
        )

    @sometimes("dmabuf.R03", deduced("or sharing says nothing"))
    def another_process_imports(self) -> bool:
        """A process imports whose session has nothing to do with the buffer."""
        return any(t.maps >= 1 and not any(s.file is t.process.fd[n] for s in Session for n in Fd) for t in Import)


class RevokeLaws(Laws):
    """What else is to be said where there is a revoke."""

    document = "docs/facts/dmabuf.md"

    @eventually("dmabuf.P05", SHEET, fair=("reset", "revoke", "finish", "unmap"))
    def resets_end(self) -> bool:
        """A reset ends, if revokes do."""
        return super().resets_end()

    # ------------------------------------------------------------------ what a call in several steps relies on

    @check("dmabuf.A01", STATE, deduced("the revoke holds a reference and the memory lock"))
    def a_revoke_has_its_buffer_to_itself(self) -> None:
        """A buffer that is being revoked stays there, and nobody else revokes or restores it."""

    @check("dmabuf.A02", STATE, deduced("the device lock"))
    def a_reset_has_the_device_to_itself(self) -> None:
        """A device that is being reset or removed stays so until that has ended."""

    # ------------------------------------------------------------------ what must be reachable

    @sometimes("dmabuf.R04", deduced("or the laws on revokes say nothing"))
    def a_revoke_completes(self) -> bool:
        """A buffer is revoked for good while an importer is still attached."""
        return any(t.buffer.status is REVOKED and not t.buffer.revoking for t in Import)

    @sometimes("dmabuf.R05", deduced("or the laws on restoring say nothing"))
    def a_reset_waits_behind_a_revoke(self) -> bool:
        """A buffer is revoked for the time of a reset."""
        return any(b.status is SUSPENDED and not b.memory.device.decoding for b in Buffer)
