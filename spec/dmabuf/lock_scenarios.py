# SPDX-License-Identifier: Apache-2.0
"""The deadlock scenarios of facts 3.4: `Locks` with one call in another order, each an option, to be found wanting.

S7 (a buffer that is drained twice) is the design D3b-v7, and S8 (a reset that waits for a stranger) is P05 and P07 in
D2a to D2c: neither is a cycle of locks.
"""

from __future__ import annotations

from accelspec.spec.language import (
    DONE,
    OK,
    Machine,
    Result,
    deduced,
    event,
    operation,
    read,
    require,
    stated,
    violates,
)

from .locks import Host, Locks, Resv

FACTS = "docs/facts/dmabuf.md"
INVERTED = "two locks are wanted in both orders"


class Inversion(Locks):
    """3.4: deregistering takes the driver's lock first, a revoke the reservation lock first."""

    revision = "inversion"
    option = True
    document = "the facts, section 3.4"
    unchanged = deduced("one call differs")
    known = [
        violates("dmabuf.I33", "deregister.ok", INVERTED, stated("section 3.4", document=FACTS)),
        violates("deadlock", "deregister.ok", INVERTED, stated("section 3.4", document=FACTS)),
    ]

    @operation
    def deregister(self, r: Resv) -> Result:
        h = r.host
        with h.driver:
            yield "stopping"
            with r.lock:
                r.mapped = False
            return OK("ok", stated("source 001", "taking out an MR while holding the reservation lock: an inversion"))


class S1(Locks):
    """S1: the last reference is put under the reservation lock, beside the listing of all buffers."""

    revision = "S1"
    option = True
    document = "the facts, section 3.4"
    unchanged = deduced("one call differs")
    known = [
        violates("dmabuf.I33", "put_last.ok", INVERTED, read("section 3.3", document=FACTS)),
        violates("deadlock", "put_last.ok", INVERTED, read("section 3.3", document=FACTS)),
    ]

    @event
    def put_last(self, r: Resv) -> Result:
        h = r.host
        with r.lock:
            yield "putting"
            with h.debug:
                return DONE("ok", deduced("a put in the wrong place"))


class S2(Locks):
    """S2: a revoke waits until nothing is mapped while it holds the reservation lock."""

    revision = "S2"
    option = True
    document = "the facts, section 3.4"
    unchanged = deduced("one call differs")
    known = [violates("deadlock", "revoke.draining", "unmapping needs the lock", deduced("section 3.4, S2"))]

    @event
    def revoke(self, r: Resv) -> Result:
        h = r.host
        require(not r.revoked)
        with h.memory, r.lock:
            r.revoked = True
            yield "telling"
            with h.driver:
                assert r.lock, "dmabuf.I31"
            while r.pending:
                yield "fences"
            while r.mapped:
                yield "draining"
            return DONE("ok", deduced("S2"))


class S3(Locks):
    """S3: whoever signals needs the reservation lock, under which a revoke waits for the signal."""

    revision = "S3"
    option = True
    document = "the facts, section 3.4"
    unchanged = deduced("one call differs")
    known = [violates("deadlock", "revoke.fences", "the producer waits for the lock", deduced("section 3.4, S3"))]

    @event
    def signal(self, r: Resv) -> Result:
        require(r.pending)
        with r.lock:
            r.pending = False
            return DONE("ok", deduced("against the rule FSIG excludes RESV"))


class S4(Locks):
    """S4: the holder of the mapping is in a page fault that needs the lock under which a revoke drains."""

    revision = "S4"
    option = True
    document = "the facts, section 3.4"
    unchanged = deduced("one call differs")
    drops = ["deregister"]
    known = [violates("deadlock", "revoke.draining", "the fault waits for the memory lock", deduced("section 3.4, S4"))]

    @operation
    def unmap(self, r: Resv) -> Result:
        require(r.mapped)
        h = r.host
        with h.memory:
            pass
        with r.lock:
            r.mapped = False
            return OK("ok", deduced("what it does before it unmaps touches the device's memory"))


class S5(Locks):
    """S5: a callback of a fence drops the last reference of its timeline, whose release takes the same lock (B33)."""

    revision = "S5"
    option = True
    document = "the facts, section 3.4"
    unchanged = deduced("one call differs")
    known = [
        violates("dmabuf.I33", "signal.ok", "a lock under itself", read("sw_sync: Avoid recursive lock")),
        violates("deadlock", "signal.ok", "a lock under itself", read("sw_sync: Avoid recursive lock")),
    ]

    @event
    def signal(self, r: Resv) -> Result:
        h = r.host
        require(r.pending)
        with h.fence:
            r.pending = False
            yield "callback"
            with h.fence:
                return DONE("ok", read("timeline_fence_release", document="drivers/dma-buf/sw_sync.c"))


class S6(Locks):
    """S6: an interrupt that drops the last reference waits for a timer of its own processor (B34)."""

    revision = "S6"
    option = True
    document = "the facts, section 3.4"
    unchanged = deduced("one call differs; that an interrupt keeps its processor is said with a lock")
    known = [violates("deadlock", "release_in_interrupt.waits", "the timer never ends", stated("CVE-2025-68757"))]

    @event
    def timer_starts(self, h: Host) -> Result:
        require(not h.timer)
        h.timer = True
        return DONE("ok", read("vgem_fence_timeout"))

    @event
    def timer_ends(self, h: Host) -> Result:
        require(h.timer)
        with h.processor:
            h.timer = False
            return DONE("ok", read("vgem_fence_timeout"))

    @event
    def release_in_interrupt(self, h: Host) -> Result:
        with h.processor:
            while h.timer:
                yield "waits"
            return DONE("ok", read("vgem_fence_release", "waits for the timer's handler"))


class S9(Locks):
    """S9: arguments are copied under the reservation lock, and the copy may fault."""

    revision = "S9"
    option = True
    document = "the facts, section 3.4"
    unchanged = deduced("one call differs")
    known = [
        violates("dmabuf.I33", "copy_from_user.ok", INVERTED, deduced("section 3.4, S9")),
        violates("deadlock", "copy_from_user.ok", INVERTED, deduced("section 3.4, S9")),
    ]

    @operation
    def copy_from_user(self, r: Resv) -> Result:
        h = r.host
        with r.lock:
            yield "copying"
            with h.mmap:
                return OK("ok", deduced("S9"))


SCENARIOS: tuple[type[Machine], ...] = (Inversion, S1, S2, S3, S4, S5, S6, S9)
