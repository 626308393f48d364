# SPDX-License-Identifier: Apache-2.0
"""uacce: what must hold, in every revision.  The ids are those of docs/facts/uacce.md, section 6."""

from __future__ import annotations

from accelspec.spec.kernel import AWAKE, Fd, File, Process, Vma, Waiter
from accelspec.spec.language import (
    COUNT,
    LOCK_GRAPH,
    OK,
    PROGRESS,
    SIGBUS,
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
    lemma,
    old,
    sometimes,
    stated,
)

from .objects import (
    ALLOCATED,
    EMPTY,
    FREED,
    INIT,
    REGISTERED,
    REMOVED,
    SET,
    STARTED,
    ZOMBIE,
    Device,
    HwQueue,
    Qm,
    Queue,
)

SHEET = stated("section 6", document="docs/facts/uacce.md")


class Laws(Machine):
    document = "docs/facts/uacce.md"

    # ------------------------------------------------------------------ callbacks and their counts

    @check("uacce.I01", COUNT, SHEET)
    def put_at_most_once(self) -> None:
        """A hardware queue is put at most once, and only if it was got."""

    @check("uacce.I02", COUNT, SHEET)
    def never_put_while_running(self) -> None:
        """A hardware queue is never put while it runs."""

    @check("uacce.I03", STATE, SHEET)
    def no_callback_without_hardware(self) -> None:
        """No callback but get_queue is called on a queue that owns no hardware queue."""

    @check("uacce.I04", STATE, SHEET)
    def no_callback_after_removal(self) -> None:
        """No callback is called after the device was removed."""

    @after("start", "uacce.I31", STEP, SHEET)
    def start_only_from_init(self, p: Process, n: Fd, result: Errno) -> bool:
        """START succeeds only from INIT, leads to STARTED, and makes exactly one start call."""
        mine = any(
            q.state is STARTED and old(q).state is INIT and q.running == old(q).running + 1
            for q in Queue
            if q.file is p.fd[n]
        )
        return implies(result is OK, mine)

    @after("start", "uacce.I26", STEP, SHEET)
    def failed_calls_keep_the_state(self, result: Errno) -> bool:
        """A START that fails leaves the state of every queue as it was."""
        return implies(result is not OK, all(q.state is old(q).state for q in Queue))

    @after("start", "uacce.I20", STEP, SHEET)
    def only_the_opener_acts(self, p: Process, n: Fd, result: Errno) -> bool:
        """What succeeds is asked for from the opener's address space (a policy: promised by no merged revision)."""
        return implies(result is OK, all(p.mm is q.mm for q in Queue if q.file is p.fd[n]))

    @always("uacce.I32", COUNT, SHEET)
    def started_means_running(self) -> bool:
        """Starts exceed stops by one exactly in STARTED, and never by more, whenever the queue's mutex is free."""
        return all((q.running == 1) == (q.state is STARTED) and 0 <= q.running <= 1 for q in Queue)

    # ------------------------------------------------------------------ the state word

    @always("uacce.I12", STEP, SHEET)
    def only_legal_transitions(self) -> bool:
        """A queue with a description changes only from INIT to STARTED and back, and from either to ZOMBIE."""
        return all(
            q.state is old(q).state
            or (old(q).state is INIT and q.state is STARTED)
            or (old(q).state is STARTED and q.state is INIT)
            or q.state is ZOMBIE
            for q in Queue
            if old(q).file is not None
        )

    @always("uacce.I36", STEP, SHEET)
    def zombie_is_absorbing(self) -> bool:
        """A queue that a description has and that is ZOMBIE stays ZOMBIE."""
        return all(q.state is ZOMBIE for q in Queue if old(q).file is not None and old(q).state is ZOMBIE)

    # ------------------------------------------------------------------ descriptions, bonds, devices

    @check("uacce.I05", STATE, SHEET)
    def every_description_has_a_queue(self) -> None:
        """An open description has a queue."""

    @always("uacce.I06", STATE, SHEET)
    def bonds_mirror_queues(self) -> bool:
        """Every bond is held by a queue of that device and address space."""
        return not any(d.stray_bond for d in Device) and all(q.device.sva for q in Queue if q.bonded)

    @check("uacce.I07", STEP, SHEET)
    def failed_calls_leave_nothing(self) -> None:
        """An operation that fails leaves no residue."""

    @always("uacce.I08", STATE, SHEET)
    def exclusive_without_sva(self) -> bool:
        """At most one description of a device without SVA (a policy: promised by no merged revision)."""
        return all(
            a is b
            for a in Queue
            for b in Queue
            if a.device is b.device and not a.device.sva and a.file is not None and b.file is not None
        )

    @always("uacce.I22", STATE, SHEET)
    def objects_outlive_their_users(self) -> bool:
        """The device of every queue is alive, and a minor leads to one device."""
        one = all(
            a is b
            for a in Device
            for b in Device
            if a.minor is b.minor
            and a.minor is not None
            and a.life in (ALLOCATED, REGISTERED)
            and b.life in (ALLOCATED, REGISTERED)
        )
        return one and all(q.device.life is not FREED for q in Queue)

    @check("uacce.I23", STATE, SHEET)
    def published_means_complete(self) -> None:
        """What is visible is complete: no completion meets a queue whose wait queue is not initialised."""

    @always("uacce.I27", STATE, SHEET)
    def device_list_mirrors_queues(self) -> bool:
        """While nobody holds the device's mutex, the queues on its list are those of descriptions."""
        return all(q.listed == (q.file is not None) for q in Queue if not q.device.mutex)

    @always("uacce.L08", STATE, SHEET)
    def queue_dies_with_its_description(self) -> bool:
        """A queue that has a description keeps it, and is freed with it."""
        return all(any(f is q.file for f in File) for q in Queue if old(q).file is not None)

    @always("uacce.L04", STATE, SHEET)
    def bond_dies_with_its_users(self) -> bool:
        """Where no description of a device is left, no bond is."""
        return all(any(q.device is d for q in Queue) for d in Device if d.stray_bond)

    # ------------------------------------------------------------------ mappings

    @always("uacce.I09", STATE, SHEET)
    def slot_iff_mapped_once(self) -> bool:
        """A slot is set exactly while a piece of a mapping of that region exists (calls that are running apart)."""
        mapped = all(
            any(q.file is v.file and (q.mmio if v.base == 0 else q.dus) is SET for q in Queue)
            for v in Vma
            if not v.mm.mmap_lock
        )
        mmio = all(
            any(v.file is q.file and v.base == 0 for v in Vma) for q in Queue if q.mmio is not EMPTY and self.at_rest(q)
        )
        dus = all(
            any(v.file is q.file and v.base == 1 for v in Vma) for q in Queue if q.dus is not EMPTY and self.at_rest(q)
        )
        return mapped and mmio and dus

    def at_rest(self, q: Queue) -> bool:
        return not any(f.in_call for f in File if q.file is f)

    @check("uacce.I15", STATE, SHEET)
    def nothing_freed_twice(self) -> None:
        """No region is freed twice, or while it is in use."""

    @always("uacce.I19", STATE, SHEET)
    def who_maps_owns(self) -> bool:
        """Whoever has device memory mapped owns the hardware."""
        return all(any(q.file is v.file and q.hw is not None for q in Queue) for v in Vma if v.ptes)

    @always("uacce.I33", STATE, SHEET)
    def hardware_reached_by_its_owner_only(self) -> bool:
        """No mapping reaches a hardware queue that another queue owns; no two queues own one hardware queue."""
        alone = all(a is b for a in Queue for b in Queue if a.hw is not None and a.hw is b.hw)
        return alone and all(
            q is o
            for v in Vma
            for q in Queue
            for o in Queue
            if v.ptes and q.file is v.file and o.hw is not None and o.hw is q.had
        )

    @always("uacce.I21", STATE, SHEET)
    def nothing_left_after_remove(self) -> bool:
        """After remove nothing of the device can be reached: queues are ZOMBIE, without hardware, bond and entries."""
        queues = all(
            q.state is ZOMBIE and q.hw is None and not q.bonded for q in Queue if q.device.life in (REMOVED, FREED)
        )
        return queues and not any(
            v.ptes and q.file is v.file and q.device.life in (REMOVED, FREED) for v in Vma for q in Queue
        )

    @after("touch", "uacce.L06", STEP, SHEET)
    def touch_after_remove_is_sigbus(self, v: Vma, result: Errno) -> bool:
        """Touching a mapping after removal yields SIGBUS: it neither reaches the device nor stalls."""
        return implies(any(q.file is v.file and q.device.life in (REMOVED, FREED) for q in Queue), result is SIGBUS)

    # ------------------------------------------------------------------ locks, isolation, attributes

    @check("uacce.I25", LOCK_GRAPH, SHEET)
    def lock_order_is_acyclic(self) -> None:
        """No two locks are ever wanted in both orders."""

    @always("uacce.I30", STEP, SHEET)
    def isolation_is_final(self) -> bool:
        """A unit that is isolated stays so, and its threshold can no longer be written."""
        return all(m.isolated and m.threshold == old(m).threshold for m in Qm if old(m).isolated)

    # ------------------------------------------------------------------ progress

    @check("uacce.I29", STEP, SHEET)
    def no_absent_callback_called(self) -> None:
        """An attribute never calls a callback that the driver does not have."""

    @check("uacce.L05", PROGRESS, SHEET)
    def calls_terminate(self) -> None:
        """Every ioctl, open, close and remove returns, if the driver's callbacks do."""

    @eventually("uacce.L07", SHEET, fair=("open", "remove"))
    def remove_does_not_wait_for_users(self) -> bool:
        """Whoever holds a device's mutex gives it back, though descriptors stay open."""
        return not any(d.mutex for d in Device)

    @always("uacce.L01", STATE, SHEET)
    def hardware_comes_back(self) -> bool:
        """A queue that is gone, or whose device was removed, has no hardware queue."""
        return not any(h.lost for h in HwQueue) and all(
            q.hw is None for q in Queue if q.device.life in (REMOVED, FREED)
        )

    @check("uacce.L02", STEP, SHEET)
    def idle_device_can_be_opened(self) -> None:
        """Open is not EBUSY while nobody has a hardware queue of the device."""

    @always("uacce.L03", STEP, SHEET)
    def pollers_are_woken(self) -> bool:
        """Nobody sleeps in poll on a queue that is dead, or that was just stopped."""
        return not any(
            w.file is q.file
            and w.sleep is not AWAKE
            and (q.state is ZOMBIE or (q.state is INIT and old(q).state is STARTED))
            for w in Waiter
            for q in Queue
        )

    # ------------------------------------------------------------------ what must be reachable

    @sometimes("uacce.R01", deduced("or the laws on removal say nothing"))
    def a_mapping_outlives_its_device(self) -> bool:
        """A mapping is still there when its device is gone."""
        return any(q.file is v.file and q.device.life is REMOVED for v in Vma for q in Queue)

    @sometimes("uacce.R02", deduced("or START, PUT_Q and poll say nothing"))
    def a_queue_runs(self) -> bool:
        """A queue is started."""
        return any(q.state is STARTED for q in Queue)

    @sometimes("uacce.R03", deduced("or sharing says nothing"))
    def a_description_is_shared(self) -> bool:
        """Two descriptors name one description."""
        return any(f is p.fd[n] and f is p.fd[m] and n is not m for f in File for p in Process for n in Fd for m in Fd)

    # ------------------------------------------------------------------ what the proofs need besides

    @lemma(deduced("section 8's hint for induction"))
    def owners_are_alive(self) -> bool:
        return all((q.hw is not None) == (q.state in (INIT, STARTED)) for q in Queue if q.file is not None)
