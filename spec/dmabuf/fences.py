# SPDX-License-Identifier: Apache-2.0
"""Fences and reservation objects: the rules of the core, alike in every design (facts, section 4).

A fence stands for work that is under way.  A reservation object lists the fences that whoever wants a buffer has to
wait for, each with a class: who waits at a class waits for every fence of that class or a stronger one.
"""

from __future__ import annotations

from typing import Annotated

from accelspec.spec.language import (
    COUNT,
    DONE,
    EINVAL,
    ENOENT,
    ENOMEM,
    OK,
    READY,
    STATE,
    STEP,
    UNLOCKED,
    WOULD_BLOCK,
    Errno,
    Ghost,
    Lock,
    Machine,
    Object,
    Range,
    Result,
    Rigid,
    after,
    always,
    check,
    choose,
    deduced,
    event,
    eventually,
    free,
    implies,
    kernel,
    lemma,
    old,
    operation,
    read,
    require,
    sometimes,
    when,
)

from .laws import SHEET

Number = Annotated[int, Range(0, 2)]
Usage = Annotated[int, Range(0, 3)]  # 0 KERNEL, 1 WRITE, 2 READ, 3 BOOKKEEP: a query waits for its class and all below
Times = Annotated[int, Range(0, 2)]


class Timeline(Object, always=True):
    """A fence context: its fences signal in the order of their numbers."""


class Fence(Object):
    """A struct dma_fence.  Its flags only ever rise."""

    timeline: Rigid[Timeline]
    number: Rigid[Number]
    held: bool = True  # the driver has its reference
    enabled: bool = False  # somebody wants to be called
    signaled: bool = False
    stamped: bool = False
    error: bool = False
    published: Ghost[bool] = False  # was put where others can wait for it


class Reservation(Object, always=True):
    """A struct dma_resv."""

    lock: Lock = UNLOCKED


class Slot(Object, always=True):
    """A place in the list of a reservation object; readers, who take no lock, look at those below the count."""

    reservation: Rigid[Reservation]
    fence: Fence | None = None
    usage: Usage = 0
    visible: bool = False  # below the count


class SyncFile(Object):
    """A snapshot of what there was to wait for, as a file: one of the fences stands for all of a container."""

    fence: Rigid[Fence | None]  # None: there was nothing to wait for


class Callback(Object):
    """Somebody who wants to be called when a fence signals."""

    fence: Fence | None  # on whose list it is
    ran: Times = 0
    removed: bool = False  # was taken off the list


class PollSlot(Object, always=True):
    """The callback that poll arms: one for each direction and buffer, whoever polls."""

    reservation: Rigid[Reservation]
    out: Rigid[bool]  # polled for writing; else for reading
    active: bool = False
    fence: Fence | None = None  # on whose list its callback is


class Fences(Machine):
    """The core's fences, reservation objects, sync files and poll slots."""

    machine = "fences"
    revision = "6.12"
    document = "linux 6.12.117 drivers/dma-buf (facts, section 4)"
    scopes = {
        "replacing": {"Fence": 2, "Slot": 2, "Callback": 0, "PollSlot": 0, "SyncFile": 0},
        "callbacks": {"Fence": 2, "Slot": 1, "Callback": 2, "PollSlot": 0, "SyncFile": 0, "add_fence()": 0},
        "poll and sync files": {"Fence": 1, "Slot": 1, "Callback": 0, "PollSlot": 1, "SyncFile": 1},
    }

    # ------------------------------------------------------------------ fences

    @event
    def create(self, t: Timeline, n: Number) -> Result:
        require(all(f.number < n for f in Fence if f.timeline is t))
        Fence(timeline=t, number=n)
        return DONE("ok", read("dma_fence_init", "one reference, no error; numbers of a context rise"))

    def listed(self, f: Fence) -> bool:
        """Does anybody but the driver hold a reference?"""
        by_slot = any(s.fence is f for s in Slot)
        by_file = any(x.fence is f for x in SyncFile)
        return by_slot or by_file or any(p.fence is f for p in PollSlot)

    def run_callbacks(self, f: Fence) -> None:
        """The list is taken off the fence as a whole; everybody on it is called once."""
        for c in Callback:
            if c.fence is f:
                c.ran += 1
                c.fence = None
        for p in PollSlot:
            if p.fence is f:
                p.active = False
                p.fence = None

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
        if when(not f.signaled):
            self.run_callbacks(f)  # with -EDEADLK, and a warning: so that nobody hangs
        for c in Callback:
            if c.fence is f:
                c.fence = None
        free(f)
        return DONE("ok", read("dma_fence_release"))

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
        require(c.fence is None)
        free(c)
        return DONE("ok", kernel("whoever has queued it frees it"))

    # ------------------------------------------------------------------ reservation objects

    def may_replace(self, s: Slot, f: Fence, usage: Usage) -> bool:
        """Does nobody wait for less, if this fence takes the place?"""
        g = s.fence
        later = g is not None and g.timeline is f.timeline and g.number <= f.number and s.usage >= usage
        return later or (g is not None and g.signaled)

    @operation
    def add_fence(self, r: Reservation, f: Fence, usage: Usage) -> Result:
        require(f.held and not f.signaled)
        with r.lock:
            s = choose(s for s in Slot if s.reservation is r and s.visible and self.may_replace(s, f, usage))
            if s is not None:
                s.fence = f
                s.usage = usage
                f.published = True
                return OK("replaced", read("dma_resv_add_fence"))
            n = choose(n for n in Slot if n.reservation is r and not n.visible)
            if n is None:
                return ENOMEM("full", read("dma_resv_reserve_fences", "there is no place, and none can be made"))
            n.fence = f
            n.usage = usage
            f.published = True
            yield "written"  # readers take no lock: the place must be whole before it is counted
            assert n.reservation is r and not n.visible and n.fence is not None, "dmabuf.A03"
            n.visible = True
            return OK("ok", read("dma_resv_add_fence", "first the place, then the count"))

    @event
    def prune(self, s: Slot) -> Result:
        """A signalled fence leaves the list."""
        r = s.reservation
        with r.lock:
            if s.fence is None or not s.visible or not s.fence.signaled:
                return DONE("nothing", read("dma_resv_reserve_fences"))
            s.fence = None
            s.usage = 0
            s.visible = False
            return DONE("ok", read("dma_resv_reserve_fences", "signalled entries are not copied"))

    def pending(self, r: Reservation, usage: Usage) -> bool:
        """Is there a fence to wait for, at this class?"""
        return any(
            s.reservation is r and s.visible and s.usage <= usage and s.fence is not None and not s.fence.signaled
            for s in Slot
        )

    @operation
    def test(self, r: Reservation, usage: Usage) -> Result:
        """dma_resv_wait_timeout with no time at all."""
        if self.pending(r, usage):
            return WOULD_BLOCK("pending", read("dma_resv_wait_timeout", "0, at once"))
        return OK("idle", read("dma_resv_wait_timeout", "1: all are signalled"))

    # ------------------------------------------------------------------ poll and sync files

    def polled(self, p: PollSlot) -> Usage:
        """A reader waits for writers, a writer for readers too; nobody who polls waits for BOOKKEEP."""
        return 2 if p.out else 1

    @operation
    def poll(self, p: PollSlot) -> Result:
        r = p.reservation
        if p.active:
            return WOULD_BLOCK("armed", read("dma_buf_poll", "the event is masked while the callback is queued"))
        f = choose(
            f
            for f in Fence
            if not f.signaled
            and any(s.reservation is r and s.visible and s.usage <= self.polled(p) and s.fence is f for s in Slot)
        )
        if f is None:
            return READY("ready", read("dma_buf_poll"))
        p.active = True
        p.fence = f
        f.enabled = True
        return WOULD_BLOCK("ok", read("dma_buf_poll_add_cb", "armed: it holds the buffer's file and the fence"))

    @operation
    def export_sync_file(self, r: Reservation, write: bool) -> Result:
        """A snapshot: for reading of the writers, for writing of all that implicit users wait for."""
        f = choose(
            f
            for f in Fence
            if not f.signaled
            and any(s.reservation is r and s.visible and s.usage <= (2 if write else 1) and s.fence is f for s in Slot)
        )
        SyncFile(fence=f)
        return OK("ok", read("dma_buf_export_sync_file", "without a fence a signalled one"))

    @operation
    def poll_sync_file(self, x: SyncFile) -> Result:
        if x.fence is not None and not x.fence.signaled:
            return WOULD_BLOCK("pending", read("sync_file_poll"))
        return READY("ready", read("sync_file_poll"))

    @operation
    def close_sync_file(self, x: SyncFile) -> Result:
        free(x)
        return OK("ok", read("sync_file_release"))

    # ------------------------------------------------------------------ what must hold

    @eventually("dmabuf.F01", SHEET, fair=("signal",))
    def published_fences_signal(self) -> bool:
        """Whatever others may wait for is signalled, if drivers keep to the contract."""
        return not any(f.published and not f.signaled for f in Fence)

    @always("dmabuf.F02", STEP, SHEET)
    def flags_only_rise(self) -> bool:
        """What is signalled, stamped or enabled stays so; a signalled fence has its time."""
        return all(
            implies(old(f).signaled, f.signaled) and implies(old(f).enabled, f.enabled) and f.stamped == f.signaled
            for f in Fence
        )

    @check("dmabuf.F03", STEP, SHEET)
    def errors_come_before_the_signal(self) -> None:
        """An error is set only on a fence that is not signalled."""

    @always("dmabuf.F04", STEP, SHEET)
    def replacing_loses_no_dependency(self) -> bool:
        """Whoever had to wait for a fence still waits for it, or for a later one of its timeline."""
        return all(
            any(
                t.reservation is s.reservation
                and t.visible
                and t.usage <= old(s).usage
                and t.fence is not None
                and t.fence.timeline is f.timeline
                and t.fence.number >= f.number
                for t in Slot
            )
            for s in Slot
            for f in Fence
            if old(s).visible and old(s).fence is f and not f.signaled
        )

    @after("test", "dmabuf.F05", STEP, SHEET)
    def a_test_does_not_sleep(self, r: Reservation, usage: Usage, result: Errno) -> bool:
        """A wait without time answers 1 exactly if every fence that counts is signalled."""
        return (result is OK) == (not self.pending(r, usage))

    @always("dmabuf.F06", STATE, SHEET)
    def readers_see_whole_slots(self) -> bool:
        """What is below the count has its fence."""
        return all(s.fence is not None for s in Slot if s.visible)

    @always("dmabuf.F07", COUNT, SHEET)
    def callbacks_run_once(self) -> bool:
        """A callback runs at most once, never after it was removed, and is on no list once it ran."""
        return all(
            c.ran <= 1 and implies(c.removed or c.fence is not None, c.ran == 0) and implies(c.removed, c.fence is None)
            for c in Callback
        )

    @always("dmabuf.F08", STATE, SHEET)
    def fences_signal_in_order(self) -> bool:
        """Within a timeline fences signal in the order of their numbers."""
        return all(
            f.signaled for f in Fence for g in Fence if f.timeline is g.timeline and f.number < g.number and g.signaled
        )

    @always("dmabuf.I18", STATE, SHEET)
    def poll_slots_mirror_callbacks(self) -> bool:
        """A poll slot is active exactly while its callback is queued, on a fence that has not signalled."""
        return all(p.active == (p.fence is not None) and (p.fence is None or not p.fence.signaled) for p in PollSlot)

    @sometimes("dmabuf.R06", deduced("or replacing says nothing"))
    def two_dependencies(self) -> bool:
        """A reservation object has two fences that are waited for."""
        return any(
            s is not t and s.visible and t.visible and s.reservation is t.reservation for s in Slot for t in Slot
        )

    @sometimes("dmabuf.R07", deduced("or the laws on callbacks say nothing"))
    def somebody_was_called(self) -> bool:
        """A callback ran."""
        return any(c.ran == 1 for c in Callback)

    @lemma(deduced("a driver puts behind the signal what it has published"))
    def what_is_waited_for_is_held(self) -> bool:
        return all(f.signaled for f in Fence if not f.held)

    @lemma(deduced("add_fence publishes, and the others take what they find in a place"))
    def what_is_listed_is_published(self) -> bool:
        return all(f.published for f in Fence if self.listed(f))

    @lemma(deduced("the first signal takes the list off"))
    def callbacks_wait_for_pending_fences(self) -> bool:
        return all(c.fence is None or not c.fence.signaled for c in Callback)

    @check("dmabuf.A03", STATE, deduced("the reservation lock"))
    def an_addition_has_its_place_to_itself(self) -> None:
        """A place that is written and not yet counted stays as it is."""
