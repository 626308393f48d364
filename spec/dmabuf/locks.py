# SPDX-License-Identifier: Apache-2.0
"""Lock order around a reservation object: who takes what while holding what, alike in every design (facts, section 3).

`Locks` is the order that kernels of 2026 keep.  lock_scenarios.py has the orders that they must not keep.
"""

from __future__ import annotations

from accelspec.spec.language import (
    DONE,
    EDEADLK,
    IDLE,
    LOCK_GRAPH,
    OK,
    STATE,
    STEP,
    UNLOCKED,
    Busy,
    Lock,
    Machine,
    Object,
    Result,
    Rigid,
    always,
    check,
    deduced,
    event,
    eventually,
    operation,
    read,
    require,
    sometimes,
    stated,
    when,
)

from .laws import SHEET


class Host(Object, always=True):
    """The locks of which one of a class is enough (facts 3.2); the names in capitals are those of the facts."""

    mmap: Lock = UNLOCKED  # MMAP
    prime: Lock = UNLOCKED  # PRIME, then OBJN
    names: Lock = UNLOCKED  # OBJN
    memory: Lock = UNLOCKED  # VMEM, for write
    debug: Lock = UNLOCKED  # DBG
    driver: Lock = UNLOCKED  # MRDRV: the importer's own
    pages: Lock = UNLOCKED  # IOPAGES
    fence: Lock = UNLOCKED  # FLOCK
    queue: Lock = UNLOCKED  # POLLQ
    name: Lock = UNLOCKED  # NAME
    processor: Lock = UNLOCKED  # S6: what an interrupt keeps, and a timer needs
    timer: bool = False  # S6: an expiry timer runs


class Resv(Object, always=True):
    """A reservation object (RESV), and of its buffer what others wait for."""

    host: Rigid[Host]
    lock: Lock = UNLOCKED
    ticketed: Busy = IDLE  # the same, with a ticket: many of a class in any order, no part of the lock order
    mapped: bool = False  # an importer has it mapped
    pending: bool = False  # a fence (BOOKKEEP) is not signalled
    revoked: bool = False


class Ticket(Object, always=True):
    """Whoever wants the locks of two buffers (WWACQ)."""

    calling: Busy = IDLE  # one call at a time
    active: bool = False
    junior: bool = False  # began while another was active
    lost: bool = False  # has backed off, and not won since


class Locks(Machine):
    """The adopted lock order of imports, revokes, faults, fences and listings."""

    machine = "locks"
    revision = "adopted"
    document = "linux 6.12.117 and the series of 2026 (facts, section 3)"
    scopes = {
        "two threads": {"Ticket": 0},
        "two buffers": {
            "Resv": 2,
            "Ticket": 2,
            "lock_two()": 2,
            **dict.fromkeys(
                ("deregister()", "revoke()", "debug_listing()", "import_buffer()", "fault()", "poll()", "signal()"), 0
            ),
        },
    }

    # ------------------------------------------------------------------ importers

    @operation
    def map(self, r: Resv) -> Result:
        require(not r.revoked and not r.mapped)
        with r.lock:
            r.mapped = True
            return OK("ok", read("dma_buf_map_attachment"))

    @operation
    def unmap(self, r: Resv) -> Result:
        """A dynamic importer gives its mapping back."""
        require(r.mapped)
        with r.lock:
            r.mapped = False
            return OK("ok", read("dma_buf_unmap_attachment"))

    @operation
    def deregister(self, r: Resv) -> Result:
        """The owner of a region lets go (B12): the reservation lock first, then the driver's own."""
        h = r.host
        with r.lock:
            yield "stopping"
            with h.driver:
                assert r.lock, "dmabuf.I31"
                r.mapped = False
            return OK("ok", stated("RDMA/mlx5: Fix a race for DMABUF MR", "cc668a11e6ac"))

    @operation
    def import_buffer(self, r: Resv) -> Result:
        h = r.host
        with h.prime, h.names, r.lock:
            return OK("ok", read("drm_gem_prime_fd_to_handle", "attach and map"))

    # ------------------------------------------------------------------ the exporter

    @event
    def revoke(self, r: Resv) -> Result:
        """Flag, tell importers, wait for fences; drop the reservation lock; wait until nothing is mapped."""
        h = r.host
        require(not r.revoked)
        with h.memory:
            with r.lock:
                r.revoked = True
                yield "telling"
                with h.driver:
                    assert r.lock, "dmabuf.I31"
                with h.pages:
                    assert r.lock, "dmabuf.I31"
                while r.pending:
                    yield "fences"
            while r.mapped:
                yield "draining"
            return DONE("ok", stated("dmabuf-revoke v7"))

    @event
    def restore(self, r: Resv) -> Result:
        require(r.revoked and not r.host.memory)
        r.revoked = False
        return DONE("ok", stated("dmabuf-revoke v7"))

    @operation
    def fault(self, r: Resv) -> Result:
        """A page fault on a CPU mapping looks at the buffer, lets go, and only then asks for the device's memory."""
        h = r.host
        with h.mmap:
            yield "faulted"
            with r.lock:
                pass
            with h.memory:
                return OK("ok", stated("the series of April to June 2026", "facts 3.3"))

    # ------------------------------------------------------------------ files and listings

    @event
    def put_last(self, r: Resv) -> Result:
        """The last reference to a buffer is gone: it leaves the list of all buffers."""
        with r.host.debug:
            return DONE("ok", read("dma_buf_file_release", "never under the reservation lock"))

    @operation
    def debug_listing(self, r: Resv) -> Result:
        h = r.host
        with h.debug:
            yield "listing"
            with r.lock, h.name:
                return OK("ok", read("dma_buf_debug_show"))

    @operation
    def copy_from_user(self, r: Resv) -> Result:
        """Arguments are copied before any lock is taken: the copy may fault."""
        with r.host.mmap:
            pass
        with r.lock:
            return OK("ok", read("__might_fault", "a copy may fault", document="linux 6.12.117 mm/memory.c"))

    # ------------------------------------------------------------------ fences

    @event
    def submit(self, r: Resv) -> Result:
        require(not r.pending and not r.revoked)
        with r.lock:
            r.pending = True
            return DONE("ok", read("dma_resv_add_fence"))

    @event
    def signal(self, r: Resv) -> Result:
        """The driver signals; callbacks run under the lock of the fence."""
        h = r.host
        require(r.pending)
        with h.fence, h.queue:
            r.pending = False
            return DONE("ok", read("dma_fence_signal", "the path to it takes neither RESV nor MMAP"))

    @operation
    def poll(self, r: Resv) -> Result:
        h = r.host
        with r.lock, h.fence, h.queue:
            return OK("ok", read("dma_buf_poll", "arms its callback"))

    # ------------------------------------------------------------------ two buffers at once

    @operation
    def lock_two(self, t: Ticket, a: Resv, b: Resv) -> Result:
        """With a ticket: whoever is junior backs off where the other lock is taken, and tries again."""
        require(a is not b)
        with t.calling:
            if when(not t.active):
                t.junior = any(u.active for u in Ticket)
            t.active = True
            with a.ticketed:
                yield "has_one"
                if b.ticketed and t.junior:
                    t.lost = True
                    return EDEADLK("backs_off", read("ww_mutex_lock", "and waits for the other before it tries again"))
                with b.ticketed:
                    t.active = False
                    t.lost = False
                    for u in Ticket:
                        u.junior = False  # of two, the other is senior now
                    return OK("ok", read("ww_mutex_lock", "whoever is senior waits"))

    # ------------------------------------------------------------------ what must hold

    @check("dmabuf.I31", STEP, SHEET)
    def under_the_reservation_lock(self) -> None:
        """Importers are told, and map and unmap, under the reservation lock."""

    @check("dmabuf.I33", LOCK_GRAPH, SHEET)
    def lock_order_is_acyclic(self) -> None:
        """No two locks are ever wanted in both orders."""

    @eventually("dmabuf.P09", SHEET)
    def whoever_backed_off_can_win(self) -> bool:
        """Whoever has backed off can get both locks; which of them is next is a matter of tickets, not of the model."""
        return not any(t.lost for t in Ticket)

    @always("dmabuf.L10", STATE, deduced("a mapping is made under the lock, and only while there is no revoke"))
    def no_mapping_behind_a_revoke(self) -> bool:
        """When a revoke has returned, nothing is mapped."""
        return not any(r.revoked and r.mapped and not r.host.memory for r in Resv)

    @sometimes("dmabuf.R08", deduced("or the waits say nothing"))
    def a_revoke_waits(self) -> bool:
        """A revoke waits for a fence under the reservation lock."""
        return any(r.revoked and r.pending and r.lock for r in Resv)
