# SPDX-License-Identifier: Apache-2.0
"""Designs with a revoke: D3b, which waits for importers; D3a, which does not; D3t, which defers what is freed."""

from __future__ import annotations

from accelspec.spec.kernel import File
from accelspec.spec.language import (
    DONE,
    EINVAL,
    EMFILE,
    ENODEV,
    ENOMEM,
    EOPNOTSUPP,
    OK,
    Answer,
    Result,
    any_of,
    deduced,
    event,
    fails,
    free,
    inserts,
    operation,
    read,
    replaces,
    require,
    stated,
    wait_until,
)

from . import costs as prices
from . import known as violations
from .buffers import CORE, Buffers
from .held import SCOPES
from .laws import RevokeLaws
from .objects import (
    DISABLED,
    DYNAMIC,
    GOOD,
    PEER,
    PINNED,
    REMOVED,
    RESETTING,
    REVOCABLE,
    REVOKED,
    SUSPENDED,
    VALID,
    Buffer,
    Device,
    Import,
    Importer,
    Memory,
    Session,
)

VFIO = "linux 7.1 drivers/vfio/pci/vfio_pci_dmabuf.c, as posted (facts, sections 2.3 and 2.4)"


class Revocation(Buffers):
    """A revoke for every buffer: flag, tell importers, wait for fences, wait until nothing is mapped.

    vfio does it for all buffers of a device in one loop, under the lock of its memory; here each buffer's revoke is an
    event of its own, under the same lock, and what asked for it (a reset, a close, a removal) waits until all are done.
    """

    document = VFIO

    def wanted_for_good(self, b: Buffer) -> bool:
        """Has the owner gone, or freed the memory, or the device gone?"""
        owner_gone = b.session is None or self.closing(b.session)
        return owner_gone or b.memory.leaving or b.memory.device.health is REMOVED

    def to_be_revoked(self, b: Buffer) -> bool:
        for_now = b.memory.device.health is RESETTING and b.status is VALID
        return not b.revoking and (for_now or (self.wanted_for_good(b) and b.status is not REVOKED))

    def quiet(self, b: Buffer) -> bool:
        """Is the revoke of the buffer done?"""
        return b.status is not VALID and not b.revoking

    def over(self, b: Buffer) -> bool:
        """Is it revoked for good?"""
        return b.status is REVOKED and not b.revoking

    def lasting(self, b: Buffer) -> bool:
        return not self.to_be_revoked(b) and not b.revoking and b.status is not REVOKED

    def release(self, f: File) -> None:
        """A buffer leaves the list of its device, under the lock that a revoke holds until it is done."""
        wait_until(not any(b.file is f and b.memory.device.memory_lock for b in Buffer))
        super().release(f)

    def notify(self, b: Buffer) -> None:
        """dma_buf_invalidate_mappings: every importer with a callback, under the reservation lock."""
        for t in Import:
            if t.buffer is b and t.kind in (DYNAMIC, PEER):
                t.told = True  # gives its mapping back when its work is done
            if t.buffer is b and t.kind is REVOCABLE and not t.revoked:
                t.maps = 0
                t.pins = 0
                t.counted = False
                t.revoked = True

    def under_way(self, b: Buffer) -> bool:
        """What a revoke relies on while it waits."""
        return any(x is b and x.revoking for x in Buffer)

    def not_begun(self, b: Buffer) -> bool:
        return b.status is VALID and b.first == 1

    @event
    def revoke(self, b: Buffer) -> Result:
        require(self.to_be_revoked(b))
        d = b.memory.device
        with d.memory_lock:
            if b.status is SUSPENDED:
                b.status = REVOKED
                return DONE("upgraded", stated("the fix of April 2026", "what was drained is not drained again"))
            b.revoking = True  # a reference to the file, if there is one to be had
            with b.resv:
                assert self.under_way(b) and self.not_begun(b) and b.memory.device is d, "dmabuf.A01"
                b.status = REVOKED if self.wanted_for_good(b) else SUSPENDED
                self.notify(b)
                while any(t.buffer is b and t.working for t in Import):
                    yield "fences"
                    assert self.under_way(b) and b.status is not VALID and b.memory.device is d, "dmabuf.A01"
            b.first -= 1
            while any(t.buffer is b and t.counted for t in Import):
                yield "draining"
                assert self.under_way(b) and b.first <= 0 and not b.resv and b.memory.device is d, "dmabuf.A01"
            f = any_of(f for f in File if b.file is f)
            b.revoking = False
        self.fput(f)
        return DONE(
            "ok", stated("dmabuf-revoke v7", "the reservation lock is dropped before the wait; the put comes last")
        )

    # ------------------------------------------------------------------ who is let in

    def maps_at_attach(self, kind: Importer) -> bool:
        """Whoever pins."""
        return kind in (PINNED, REVOCABLE)

    @replaces("attach.no_path")
    def attach_no_path(self, kind: Importer) -> None:
        if not self.peer_to_peer(kind):
            raise EOPNOTSUPP("no_path", read("vfio_pci_dma_buf_attach", "peer-to-peer or nothing"))

    @inserts(after="attach.no_path")
    def attach_revoked(self, b: Buffer) -> None:
        if b.status is not VALID:
            raise ENODEV("revoked", read("vfio_pci_dma_buf_attach"))

    @inserts(before="attach.no_memory")
    def attach_not_revocable(self, kind: Importer) -> None:
        if kind is PINNED:
            raise EOPNOTSUPP("not_revocable", stated("61ceaf236115", "an importer must be able to stop"))

    @operation
    def map(self, t: Import) -> Result:
        """The importer maps, for the first time or again; nothing is kept by the core.

        One that was told to let go gives back what it has first (facts 2.4).
        """
        require(t.process.running and not (t.maps >= 1 and t.told))
        b = t.buffer
        with b.resv:
            if t.revoked:
                return EINVAL("stopped", read("ib_umem_dmabuf_map_pages", "stopped for ever", document=CORE))
            if t.maps >= 1:
                return OK("mapped", read("dma_buf_map_attachment", "the importer has its mapping", document=CORE))
            if b.status is not VALID:
                return ENODEV("revoked", read("vfio_pci_dma_buf_map"))
            if fails("allocation"):
                return ENOMEM("no_memory", read("vfio_pci_dma_buf_map"))
            self.make_mapping(t)
            return OK("ok", read("vfio_pci_dma_buf_map", "one more outstanding mapping"))

    @operation
    def unmap(self, t: Import) -> Result:
        require(t.process.running and t.maps >= 1 and not t.working and not self.pins(t))
        b = t.buffer
        with b.resv:
            self.drop_mapping(t)
            return OK("ok", read("vfio_pci_dma_buf_unmap", "one less; the last wakes whoever drains"))

    @inserts(before="export.ok")
    def export_listed(self, s: Session) -> None:
        """No row: the buffer is put on the list of its device."""
        wait_until(not s.device.memory_lock)

    @inserts(before="export.no_descriptor")
    def export_unknown(self, m: Memory, s: Session) -> None:
        if not self.mine(m, s):
            raise EINVAL(
                "unknown", deduced("vfio names a region of its device; here it is an allocation of the caller")
            )

    # ------------------------------------------------------------------ who waits for it

    def kept(self, s: Session) -> bool:
        """The session ends when its buffers are revoked."""
        return any(b.session is s and not self.over(b) for b in Buffer) or super().kept(s)

    @replaces("free_memory.ok")
    def free_memory_ok(self, m: Memory) -> Answer:
        m.leaving = True
        return OK("ok", deduced("vfio has no such call; what is exported is revoked, then the memory goes back"))

    def in_use(self, m: Memory) -> bool:
        return any(b.memory is m and not self.over(b) for b in Buffer)

    @event
    def reclaim(self, m: Memory) -> Result:
        """Freed memory goes back to the pool."""
        require(m.leaving and not self.in_use(m))
        m.leaving = False
        m.session = None
        return DONE("ok", deduced("behind the revoke"))

    def restore(self, d: Device) -> None:
        """Buffers that were revoked for the time of the reset work again, with the addresses of now."""
        for b in Buffer:
            if b.memory.device is d and b.status is SUSPENDED:
                b.status = VALID
                b.first = 1
                b.place = d.place

    @event
    def reset(self, d: Device) -> Result:
        require(d.health is GOOD)
        with d.device_lock:
            d.health = RESETTING
            while any(b.memory.device is d and not self.quiet(b) for b in Buffer):
                yield "revoking"
                assert d.health is RESETTING and d.decoding, "dmabuf.A02"
            d.decoding = False
            yield "in_reset"
            assert d.health is RESETTING and not d.decoding, "dmabuf.A02"
            d.decoding = True
            d.place = not d.place
            self.restore(d)
            d.health = GOOD
            return DONE("ok", stated("dmabuf-revoke v7", "revoked before the function is reset, restored behind it"))

    @event
    def remove(self, d: Device) -> Result:
        require(d.health in (GOOD, DISABLED))
        with d.device_lock:
            d.health = REMOVED
            while any(b.memory.device is d and not self.over(b) for b in Buffer):
                yield "revoking"
                assert d.health is REMOVED and d.decoding, "dmabuf.A02"
            d.decoding = False
            return DONE("ok", read("vfio_pci_dma_buf_cleanup"))


class D3b(Revocation, RevokeLaws):
    """vfio in 7.1: a revoke that waits, for importers that can be revoked only."""

    machine = "dmabuf"
    revision = "D3b"
    document = VFIO
    costs = prices.D3B
    scopes = SCOPES


class D3bV7(D3b):
    """The same as merged from the mail of January 2026: closing a device that is in reset drains again (B08)."""

    revision = "D3b-v7"
    option = True
    document = "the series dmabuf-revoke v7, January 2026"
    unchanged = stated("the fix of April 2026", "changes nothing else")
    known = violations.D3B_V7
    costs = prices.D3B

    @replaces("revoke.upgraded")
    def revoke_upgraded(self, b: Buffer) -> None:
        """No row: what was drained is drained again."""

    def not_begun(self, b: Buffer) -> bool:
        return True


class D3a(D3b):
    """vfio in 6.19: the revoke tells importers and waits for nobody; a pinned importer is let in."""

    revision = "D3a"
    document = "linux 6.19 drivers/vfio/pci/vfio_pci_dmabuf.c (commit 5d74781ebc86)"
    unchanged = stated("the facts, section 2.4", "the columns D3a and D3b")
    not_applicable = {
        "dmabuf.I22": "outstanding mappings are not counted",
        "dmabuf.I32": "nobody waits for outstanding mappings",
        "dmabuf.A01": "a revoke takes one step",
        "dmabuf.P01": "nobody waits for outstanding mappings",
        "dmabuf.P02": "nobody waits for fences",
    }
    known = violations.D3A
    costs = prices.D3A
    drops = ["attach.not_revocable"]

    @event
    def revoke(self, b: Buffer) -> Result:
        require(self.to_be_revoked(b))
        d = b.memory.device
        with d.memory_lock, b.resv:
            b.status = REVOKED if self.wanted_for_good(b) else SUSPENDED
            self.notify(b)
            return DONE("ok", stated("commit 5d74781ebc86", "flag and notification, under the reservation lock"))

    @replaces("export.no_descriptor")
    def export_no_descriptor(self, m: Memory, s: Session, part: bool) -> None:
        if fails("descriptor"):
            b = Buffer(memory=m, session=s, part=part)
            free(b)
            self.undo(b)
            raise EMFILE("no_descriptor", stated("CVE-2026-31468", "the put has freed it, the error path does again"))


class D3t(D3b):
    """tt-kmd: what is freed while it is exported goes back to the pool with its last buffer; a reset revokes."""

    revision = "D3t"
    document = "tt-kmd, issues 174, 251, 261 and 264 (facts, section 0)"
    unchanged = deduced("the facts say of its revoke only that there is one")
    not_applicable = {
        "dmabuf.I20": "several sessions have the device at once",
        "dmabuf.I27": "several sessions have the device at once, and the facts do not say who scrubs",
    }
    costs = prices.D3T
    drops = ["open.releasing", "open.busy", "revoke.upgraded"]
    scopes = {**SCOPES, "two sessions": {**SCOPES["two buffers"], "Session": 2, "Buffer": 1}}

    def wanted_for_good(self, b: Buffer) -> bool:
        return b.memory.device.health is REMOVED

    def kept(self, s: Session) -> bool:
        return False

    def in_use(self, m: Memory) -> bool:
        return any(b.memory is m for b in Buffer)
