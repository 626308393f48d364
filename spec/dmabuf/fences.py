# SPDX-License-Identifier: Apache-2.0
"""Fences and reservation objects: the rules of the core, alike in every design (facts, section 4).

A fence stands for work that is under way.  A reservation object lists the fences that whoever wants a buffer has to
wait for, each with a class: who waits at a class waits for every fence of that class or a stronger one.

What user space waits with stands in fence_files.py, what must hold in fence_laws.py.
"""

from __future__ import annotations

from accelspec.spec.language import (
    DONE,
    EINVAL,
    ENOENT,
    ENOMEM,
    OK,
    WOULD_BLOCK,
    Machine,
    Result,
    any_of,
    choose,
    deduced,
    event,
    fails,
    free,
    operation,
    read,
    require,
)

from .fence_objects import Callback, Fence, Number, Reservation, Slot, Timeline, Usage


class Core(Machine):
    document = "linux 6.12.117 drivers/dma-buf (facts, section 4)"

    # ------------------------------------------------------------------ fences

    @event
    def create(self, t: Timeline, n: Number) -> Result:
        require(all(f.number < n for f in Fence if f.timeline is t))
        Fence(timeline=t, number=n)
        return DONE("ok", read("dma_fence_init", "one reference, no error; numbers of a context rise"))

    def listed(self, f: Fence) -> bool:
        """Does anybody but the driver hold a reference?"""
        return any(s.fence is f for s in Slot) or any(f.adding[r] for r in Reservation)

    def run_callbacks(self, f: Fence) -> None:
        """The list is taken off the fence as a whole; everybody on it is called once."""
        for c in Callback:
            if c.fence is f:
                c.ran += 1
                c.fence = None

    def complete(self, f: Fence) -> None:
        """The first signal."""
        f.signaled = True
        f.stamped = True
        self.run_callbacks(f)

    @event
    def signal(self, f: Fence) -> Result:
        """The driver says that the work is done.  It is a contract that it does, in order, and in bounded time."""
        require(f.held and all(e.signaled for e in Fence if e.timeline is f.timeline and e.number < f.number))
        if f.signaled:
            return EINVAL("again", read("dma_fence_signal_timestamp_locked", "no effect"))
        self.complete(f)
        return DONE("ok", read("dma_fence_signal_timestamp_locked", "under the lock of the fence"))

    @event
    def set_error(self, f: Fence) -> Result:
        """The driver gives up on the work: the error first, then the signal."""
        require(f.held and not f.signaled and not f.error)
        assert not f.signaled, "dmabuf.F03"
        f.error = True
        return DONE("ok", read("dma_fence_set_error"))

    @event
    def put(self, f: Fence) -> Result:
        """The driver drops its reference: what it has published it has signalled before, by contract."""
        require(f.held and (f.signaled or not f.published))
        f.held = False
        if self.listed(f):
            return DONE("others_hold_it", read("dma_fence_put"))
        free(f)
        return DONE("ok", read("dma_fence_release", "nobody is on its list: a contract, of which the kernel warns"))

    @event
    def retire(self, f: Fence) -> Result:
        """The last of the others is gone."""
        require(not f.held and not self.listed(f))
        free(f)
        return DONE("ok", read("dma_fence_release"))

    # ------------------------------------------------------------------ callbacks

    @operation
    def add_callback(self, f: Fence) -> Result:
        if f.signaled:
            return ENOENT("signaled", read("dma_fence_add_callback", "not queued"))
        f.enabled = True
        f.published = True
        Callback(fence=f)
        return OK("ok", read("dma_fence_add_callback", "signalling is enabled, then it is queued"))

    @operation
    def remove_callback(self, c: Callback) -> Result:
        if c.fence is None:
            return ENOENT("not_queued", read("dma_fence_remove_callback", "false: it ran, or was removed"))
        c.fence = None
        c.removed = True
        return OK("ok", read("dma_fence_remove_callback", "true: it will not run"))

    @event
    def forget(self, c: Callback) -> Result:
        """A struct dma_fence_cb is its owner's memory."""
        require(c.fence is None)
        free(c)
        return DONE("ok", deduced("the core frees none: dma_fence_add_callback is given it"))

    # ------------------------------------------------------------------ reservation objects

    def may_replace(self, s: Slot, f: Fence, usage: Usage) -> bool:
        """Does nobody wait for less, if this fence takes the place?"""
        g = s.fence
        later = g is not None and g.timeline is f.timeline and g.number <= f.number and s.usage >= usage
        return later or (g is not None and g.signaled)

    @event
    def fill(self, r: Reservation) -> Result:
        """Nothing is left of the room that was reserved: a debugging kernel sees to it at every unlock."""
        with r.lock:
            r.full = True
            return DONE("ok", read("dma_resv_reset_max_fences"))

    def reserve(self, r: Reservation) -> None:
        """Under the lock: a list that must grow leaves behind what is signalled."""
        if r.full and fails("allocation"):
            raise ENOMEM("no_memory", read("dma_resv_reserve_fences"))
        for s in Slot:
            if r.full and s.reservation is r and s.visible and s.fence is not None and s.fence.signaled:
                s.fence = None
                s.usage = 0
                s.visible = False
        r.full = False

    @operation
    def add_fence(self, r: Reservation, f: Fence, usage: Usage) -> Result:
        require(f.held and not f.signaled)
        with r.lock:
            self.reserve(r)
            s = choose(s for s in Slot if s.reservation is r and s.visible and self.may_replace(s, f, usage))
            if s is not None:
                s.fence = f
                s.usage = usage
                f.published = True
                return OK("replaced", read("dma_resv_add_fence"))
            n = any_of(n for n in Slot if n.reservation is r and not n.visible)
            n.fence = f
            n.usage = usage
            f.published = True
            yield "written"  # readers take no lock: the place must be whole before it is counted
            assert n.reservation is r and not n.visible and n.fence is not None, "dmabuf.A03"
            n.visible = True
            return OK("ok", read("dma_resv_add_fence", "first the place, then the count"))

    def waited_for(self, r: Reservation, f: Fence, usage: Usage) -> bool:
        """Does whoever waits at this class wait for this fence?"""
        counts = any(s.reservation is r and s.visible and s.usage <= usage and s.fence is f for s in Slot)
        return counts and not f.signaled

    @operation
    def test(self, r: Reservation, usage: Usage) -> Result:
        """dma_resv_wait_timeout with no time at all."""
        f = choose(f for f in Fence if self.waited_for(r, f, usage))
        if f is None:
            return OK("idle", read("dma_resv_wait_timeout", "1: all are signalled"))
        f.enabled = True
        return WOULD_BLOCK("pending", read("dma_fence_wait_timeout", "0, at once; but it asks to be told"))
