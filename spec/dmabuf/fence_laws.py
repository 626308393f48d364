# SPDX-License-Identifier: Apache-2.0
"""The machine `fences`: what must hold of fences, reservation objects, and what user space waits with."""

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
    lemma,
    old,
    sometimes,
)

from .fence_files import Files
from .fence_objects import Callback, Fence, Poller, PollSlot, Reservation, Slot, SyncFile, Usage
from .laws import SHEET


class Fences(Files):
    """The core's fences, reservation objects, sync files and poll slots."""

    machine = "fences"
    revision = "6.12"
    scopes = {
        "replacing": {"Fence": 2, "Slot": 2, "Callback": 0, "PollSlot": 0, "Poller": 0, "SyncFile": 0},
        "callbacks": {"Fence": 2, "Callback": 2, "PollSlot": 0, "Poller": 0, "SyncFile": 0, "add_fence()": 0},
        "poll": {"Fence": 2, "Slot": 2, "Callback": 0, "Poller": 2, "SyncFile": 0},
        "importing": {"Fence": 2, "Slot": 2, "Callback": 0, "PollSlot": 0, "Poller": 0},
        "merging": {"Fence": 2, "Callback": 0, "PollSlot": 0, "Poller": 0, "SyncFile": 3, "import_sync_file()": 0},
    }

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
        return (result is OK) == (not any(self.waited_for(r, f, usage) for f in Fence))

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

    @always("dmabuf.A04", STATE, deduced("a callback wakes every sleeper of its direction before another one is armed"))
    def no_wake_up_is_lost(self) -> bool:
        """Whoever sleeps in poll is woken, or will be by the callback of its direction: which F01 calls."""
        return all(w.woken or w.slot.active for w in Poller)

    @check("dmabuf.A05", STATE, deduced("whoever waits for both must wait for each"))
    def merging_loses_no_dependency(self) -> None:
        """A merged file waits for what each of the two waits for, or for a later fence of its timeline."""

    @sometimes("dmabuf.R09", deduced("or A04 says nothing"))
    def somebody_sleeps(self) -> bool:
        """Somebody sleeps in poll behind the callback of somebody else."""
        return any(w is not v and w.slot is v.slot and not w.woken and not v.woken for w in Poller for v in Poller)

    @sometimes("dmabuf.R10", deduced("or merging says nothing"))
    def a_file_waits_for_two(self) -> bool:
        """A sync file stands for two fences that are pending."""
        return any(
            f is not g and f.files[x] and g.files[x] and not f.signaled and not g.signaled
            for x in SyncFile
            for f in Fence
            for g in Fence
        )

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

    @lemma(deduced("add_callback publishes"))
    def who_is_called_finds_it_published(self) -> bool:
        return all(c.fence is None or c.fence.published for c in Callback)

    @lemma(deduced("the first signal takes the list off"))
    def callbacks_wait_for_pending_fences(self) -> bool:
        return all(c.fence is None or not c.fence.signaled for c in Callback)

    @check("dmabuf.A03", STATE, deduced("the reservation lock"))
    def an_addition_has_its_place_to_itself(self) -> None:
        """A place that is written and not yet counted stays as it is."""
