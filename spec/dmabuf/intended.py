# SPDX-License-Identifier: Apache-2.0
"""dma-buf as we would have it: D3b's revoke, and D1's token for importers that cannot be revoked.

Each deviation is argued in docs/machines/dmabuf-expectations.md under the T-number given here.
"""

from __future__ import annotations

from accelspec.spec.language import EBUSY, ENODEV, EOPNOTSUPP, Result, deduced, event, implies, inserts, lemma, require

from . import costs as prices
from .objects import (
    DISABLED,
    GOOD,
    PEER,
    PINNED,
    REMOVED,
    RESETTING,
    VALID,
    Buffer,
    Device,
    Import,
    Importer,
    Memory,
    Session,
)
from .revoked import D3b


class Intended(D3b):
    """Whoever can be revoked is revoked; whoever cannot keeps the device from its next owner, and from a reset."""

    revision = "intended"
    document = "our own design: docs/machines/dmabuf-expectations.md"
    unchanged = deduced("D3b, kept on purpose")
    not_applicable = {
        "dmabuf.I12": "importers that cannot be revoked are let in on purpose, and hold the token",
        "dmabuf.P07": "a policy: whoever lets a pinned importer in waits for it; the option `intended-strict` does not",
    }
    costs = prices.INTENDED
    drops = ["attach.not_revocable"]

    def fixed(self, b: Buffer) -> bool:
        """Does an importer have it that cannot be revoked?"""
        return any(t.buffer is b and t.kind is PINNED for t in Import)

    def to_be_revoked(self, b: Buffer) -> bool:
        """T3: not before the last fixed importer is gone."""
        return super().to_be_revoked(b) and not self.fixed(b)

    @inserts(before="attach.no_memory")
    def attach_too_late(self, b: Buffer) -> None:
        if self.wanted_for_good(b) or b.memory.device.health is not GOOD:
            raise ENODEV("too_late", deduced("T2: it is about to be revoked"))

    @inserts(before="open.releasing")
    def open_owner_token(self, d: Device) -> None:
        if any(b.session is s and s.device is d and self.closing(s) and self.fixed(b) for b in Buffer for s in Session):
            raise EBUSY("owner_token", deduced("T3: an importer that cannot be revoked has memory of the owner before"))

    @event
    def reset(self, d: Device) -> Result:
        require(d.health is GOOD)
        if any(b.memory.device is d and self.fixed(b) for b in Buffer):
            return EBUSY("fixed", deduced("T4: the mapping would meet a device that does not answer"))
        return super().reset(d)

    # ------------------------------------------------------------------ what the proof needs besides

    @lemma(deduced("a session is of the device whose memory it has"))
    def devices_agree(self) -> bool:
        memory = all(m.session is None or m.session.device is m.device for m in Memory)
        return memory and all(b.session is None or b.session.device is b.memory.device for b in Buffer)

    @lemma(deduced("a revoke begins under the memory lock, and ends before it is given back"))
    def one_revoke_at_a_time(self) -> bool:
        locked = all(b.memory.device.memory_lock for b in Buffer if b.revoking)
        return locked and all(
            a is b for a in Buffer for b in Buffer if a.revoking and b.revoking and a.memory.device is b.memory.device
        )

    @lemma(deduced("others take the reservation lock for a single step"))
    def the_reservation_lock_is_held_for_fences(self) -> bool:
        return all(b.revoking and b.first == 1 and b.status is not VALID for b in Buffer if b.resv)

    @lemma(deduced("the reservation lock is dropped with the first reference"))
    def the_first_reference_follows_the_status(self) -> bool:
        return all(
            0 <= b.first <= 1
            and implies(b.status is VALID, b.first == 1)
            and (b.first == 0 or b.status is VALID or b.resv)
            for b in Buffer
        )

    @lemma(deduced("the notification, and T2"))
    def revoked_mappings_are_on_their_way_out(self) -> bool:
        return all(
            t.kind is PEER and t.told and (t.buffer.resv or not t.working)
            for t in Import
            if t.buffer.status is not VALID and (t.maps >= 1 or t.working)
        )

    @lemma(deduced("T2, T3"))
    def nobody_fixed_is_revoked(self) -> bool:
        return not any(t.kind is PINNED and (t.buffer.revoking or t.buffer.status is not VALID) for t in Import)

    @lemma(deduced("an access needs a mapping, and a fence; the importer finishes it before it unmaps"))
    def work_needs_a_mapping(self) -> bool:
        return all(t.maps >= 1 and t.kind is PEER for t in Import if t.working)

    @lemma(deduced("others are refused when they attach"))
    def importers_take_addresses_of_peers(self) -> bool:
        return all(self.peer_to_peer(t.kind) for t in Import)

    @lemma(deduced("what asked for the revoke waits for it"))
    def a_revoke_is_wanted(self) -> bool:
        return all(self.wanted_for_good(b) or b.memory.device.health is RESETTING for b in Buffer if b.revoking)

    @lemma(deduced("a reset and a removal wait until all is quiet, and nobody exports meanwhile"))
    def nothing_can_be_reached_while_it_does_not_answer(self) -> bool:
        good = all(d.decoding for d in Device if d.health is GOOD) and not any(d.health is DISABLED for d in Device)
        gone = all(self.over(b) for b in Buffer if not b.memory.device.decoding and b.memory.device.health is REMOVED)
        return good and gone and all(self.quiet(b) for b in Buffer if not b.memory.device.decoding)

    @lemma(deduced("a restored buffer gets the addresses of now"))
    def buffers_lead_to_the_present_place(self) -> bool:
        return all(b.place == b.memory.device.place for b in Buffer if b.status is VALID or b.revoking)

    @lemma(deduced("memory goes back to the pool behind the revoke"))
    def exporters_keep_what_can_be_reached(self) -> bool:
        return all(b.session is not None and b.memory.session is b.session for b in Buffer if not self.over(b))

    @lemma(deduced("the session ends with a scrub, and what could write is revoked by then"))
    def dirty_memory_has_an_owner(self) -> bool:
        return all(any(s.device is m.device for s in Session) for m in Memory if m.dirty)


class IntendedStrict(Intended):
    """The same for whoever never wants to wait for a stranger: pinned importers are refused, as in D3b."""

    revision = "intended-strict"
    option = True
    unchanged = deduced("intended, kept")
    not_applicable = {}
    costs = prices.D3B
    drops = ["open.owner_token", "reset.fixed"]

    @inserts(before="attach.too_late")
    def attach_not_revocable(self, kind: Importer) -> None:
        if kind is PINNED:
            raise EOPNOTSUPP("not_revocable", deduced("T1 is not wanted"))
