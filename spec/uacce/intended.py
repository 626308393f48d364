# SPDX-License-Identifier: Apache-2.0
"""uacce as we would have it: 6.12.117, corrected so that every safety law holds, and no less useful.

Each deviation is argued in docs/machines/uacce-expectations.md under the T-number given here.  Unchanged on purpose:
PUT_Q only stops, START works again after it, dead queues answer ENXIO, opens are not limited, isolation is advisory,
mremap is refused.
"""

from __future__ import annotations

from accelspec.spec.kernel import AWAKE, DEAF, Fd, File, Process, Vma, Waiter
from accelspec.spec.language import (
    CALLBACK,
    DONE,
    EBUSY,
    EEXIST,
    EINVAL,
    ENODEV,
    ENOMEM,
    ENXIO,
    EPERM,
    HANGUP,
    OK,
    SIGBUS,
    STATE,
    Answer,
    Result,
    any_of,
    check,
    choose,
    deduced,
    event,
    fails,
    inserts,
    kernel,
    lemma,
    operation,
    replaces,
    require,
    wait_until,
)

from .objects import (
    ABSENT,
    ALLOCATED,
    DUS,
    EMPTY,
    INIT,
    MMIO,
    REGISTERED,
    REMOVED,
    SET,
    STARTED,
    ZOMBIE,
    Cdev,
    Device,
    HwQueue,
    Queue,
    Region,
)
from .revisions import SINCE_THE_MERGE, Uacce
from .v4_objects import CdevRef


class Intended(Uacce):
    """6.12.117 corrected: every safety law holds, for any number of processes, files and devices."""

    revision = "intended"
    document = "our own design: docs/machines/uacce-expectations.md"
    unchanged = deduced("6.12.117, kept on purpose")
    known = []
    not_applicable = {
        **SINCE_THE_MERGE,
        "uacce.I08": "a policy: the option `intended-strict` has it",
        "uacce.I20": "a policy: the option `intended-strict` has it",
    }

    # ------------------------------------------------------------------ T7: a failed register leaves nothing

    @replaces("register.cdev_add_fails")
    def register_cdev_add_fails(self, d: Device) -> None:
        if fails("cdev_add"):
            assert d.cdev is not Cdev.STALE and not d.lost_cdev, "uacce.I07"
            raise CALLBACK(
                "cdev_add_fails", deduced("T7: the character device is dropped, register may be tried again")
            )

    # ------------------------------------------------------------------ T5, T6: the inode's own device, a whole queue

    @operation
    def open(self, p: Process, n: Fd, d: Device, kept: bool) -> Result:
        require(self.unused(p, n) and d.life is not ABSENT)
        if d.life is not REGISTERED and not (kept and any(q.pins is d for q in Queue)):
            return ENXIO("no_node", kernel("chrdev_open"))
        with p.busy:
            yield "looked_up"
            if d.life is not REGISTERED:
                return ENODEV("no_id", deduced("T5: the inode leads to its own device, and that is gone"))
            if fails("allocation"):
                return ENOMEM("no_memory", deduced("as 6.12.117"))
            yield "allocated"
            with d.mutex:
                if d.life is not REGISTERED:
                    return ENODEV("device_removed", deduced("T5: lost against remove, always ENODEV"))
                if d.sva and fails("iommu_sva_bind_device"):
                    return CALLBACK("bind_fails", deduced("as 6.12.117"))
                if d.sva and fails("iommu_sva_get_pasid"):
                    return ENODEV("no_pasid", deduced("as 6.12.117"))
                if self.unit_stopped(d):
                    return EPERM("unit_stopped", deduced("as 6.12.117"))
                h = choose(h for h in HwQueue if h.device is d and not any(q.hw is h for q in Queue))
                if h is None:
                    assert any(q.device is d for q in Queue) or not any(x.device is d for x in HwQueue), "uacce.L02"
                    return EBUSY("all_in_use", deduced("as 6.12.117"))
                if fails("get_queue"):
                    return CALLBACK("get_queue_fails", deduced("as 6.12.117"))
                q = Queue(device=d, pins=d, mm=p.mm, hw=h, had=h, gets=1, bonded=d.sva, built=True)
                d.making = q
                yield "got_queue"
                assert self.exists(q) and q.file is None and q.device is d and d.making is q, "uacce.A01"
                d.making = None
                q.state = INIT
                q.listed = True
                f = File()
                q.file = f
                wait_until(p.fd[n] is None)
                p.fd[n] = f
                return OK("ok", deduced("T6: the provider may complete at once, the queue is whole"))

    # ------------------------------------------------------------------ T3, T4: one section per queue, which wakes

    @event
    def remove(self, d: Device) -> Result:
        require(d.life in (ALLOCATED, REGISTERED))
        with d.mutex:
            while any(q.device is d and q.listed and q.state is not ZOMBIE for q in Queue):
                q = any_of(q for q in Queue if q.device is d and q.listed and q.state is not ZOMBIE)
                with q.mutex:
                    assert self.exists(q) and q.device is d and q.listed and d.making is None, "uacce.A02"
                    self.unmap_all(q)
                    self.give_up(q)
                    self.wake(q)
                self.unbind(q)
                yield "put"
                assert d.making is None, "uacce.A02"
            d.life = REMOVED
        self.put_device(d)
        return DONE("ok", deduced("T3: unmapped before the hardware goes, all under the queue's mutex"))

    @replaces("put_q.ok")
    def put_q_ok(self, q: Queue) -> Answer:
        self.stop_queue(q)
        q.state = INIT
        self.wake(q)
        return OK("ok", deduced("T4: a blocked caller learns that nothing will come"))

    @replaces("poll.dead_deaf")
    def poll_dead_deaf(self, q: Queue) -> None:
        if self.dead(q):
            raise HANGUP("dead_queue", deduced("T4: ERR and HUP"))

    drops = ["poll.dead_queue"]

    # ------------------------------------------------------------------ T1, T2: regions, pieces, touches

    @operation
    def mmap(self, p: Process, n: Fd, r: Region, private: bool) -> Result:
        require(p.running)
        f = self.file_of(p, n)
        q = self.behind(f)
        if r not in (MMIO, DUS):
            return EINVAL("bad_region", deduced("as 6.12.117"))
        if fails("allocation"):
            return ENOMEM("no_memory", deduced("as 6.12.117"))
        with p.mm.mmap_lock, q.mutex:
            if self.dead(q):
                return ENXIO("dead_queue", deduced("as 6.12.117"))
            if self.slot(q, r) is not EMPTY:
                return EEXIST("occupied", deduced("as 6.12.117"))
            if fails("mmap is absent"):
                return EINVAL("no_callback", deduced("as 6.12.117"))
            if fails("mmap"):
                return CALLBACK("driver_refuses", deduced("as 6.12.117"))
            self.callback(q)
            self.set_slot(q, r, SET)
            base = 0 if r is MMIO else 1
            Vma(file=f, mm=p.mm, base=base, pgoff=2 if private else base, ptes=False)
            return OK("ok", deduced("T2: the mapping is reserved; entries come with the first touch"))

    @operation
    def touch(self, v: Vma) -> Result:
        require(self.alive(v.mm))
        if v.ptes:
            return OK("ok", kernel("the page table entries lead to the device"))
        q = self.behind(v.file)
        with q.mutex:
            if self.dead(q):
                return SIGBUS("no_entries", deduced("T2: the fault operation looks at the queue"))
            self.callback(q)
            v.ptes = True
            return OK("faulted_in", deduced("T2: under the mutex that remove holds"))

    def last_piece(self, v: Vma) -> bool:
        """Is no other piece of the same mapping left?"""
        return all(w is v for w in Vma if w.file is v.file and w.base == v.base)

    def vma_close(self, v: Vma) -> None:
        """T1: the last piece of a mapping clears the slot and frees the region."""
        for q in Queue:
            if q.file is v.file and self.last_piece(v):
                assert (q.mmio if v.base == 0 else q.dus) is SET, "uacce.I15"
                if v.base == 0:
                    q.mmio = EMPTY
                if v.base == 1:
                    q.dus = EMPTY

    @operation
    def munmap(self, v: Vma) -> Result:
        require(self.alive(v.mm))
        with v.mm.mmap_lock:
            self.unmap_piece(v)
            return OK("ok", deduced("T1: pieces are counted under the queue's mutex, nothing is loaded outside it"))

    @operation
    def munmap_head(self, v: Vma) -> Result:
        require(v.whole and self.alive(v.mm))
        with v.mm.mmap_lock:
            v.pgoff = self.next_page(v)
            v.whole = False
            return OK("ok", deduced("T1: the other piece is still there"))

    @operation
    def munmap_tail(self, v: Vma) -> Result:
        require(v.whole and self.alive(v.mm))
        with v.mm.mmap_lock:
            v.whole = False
            return OK("ok", deduced("T1: the other piece is still there"))

    @operation
    def mremap_move(self, v: Vma) -> Result:
        require(self.alive(v.mm))
        return EPERM("refused", deduced("T1: the copy is opened and closed, which changes nothing"))

    # ------------------------------------------------------------------ what the proof needs besides

    def exists(self, q: Queue) -> bool:
        return any(x is q for x in Queue)

    @check("uacce.A01", STATE, deduced("nobody finds a queue without a description"))
    def an_open_has_its_queue_to_itself(self) -> None:
        """A queue that an open is making stays as it was made."""

    @check("uacce.A02", STATE, deduced("release waits for the device's mutex"))
    def remove_keeps_its_queue(self) -> None:
        """The queue that remove waits for stays on the device's list."""

    @lemma(deduced("the three lives of a queue: in the making, with a description, dead"))
    def a_queue_with_a_description_is_whole(self) -> bool:
        return all(
            q.listed and (q.hw is not None) == (q.state in (INIT, STARTED)) and not (q.bonded and q.state is ZOMBIE)
            for q in Queue
            if q.file is not None
        )

    @lemma(deduced("an open makes it under the device's mutex, and nobody else finds it"))
    def a_queue_without_a_description_is_in_the_making(self) -> bool:
        quiet = all(
            not q.listed
            and q.state is ZOMBIE
            and q.hw is not None
            and q.mmio is EMPTY
            and q.dus is EMPTY
            and q.device.making is q
            for q in Queue
            if q.file is None
        )
        return quiet and all(
            d.mutex and d.life is REGISTERED and d.making.device is d and d.making.file is None
            for d in Device
            if d.making is not None
        )

    @lemma(deduced("T6"))
    def queues_are_built(self) -> bool:
        return all(q.built for q in Queue)

    @lemma(deduced("the offset of the last piece does not matter: the mapping's own data does"))
    def a_slot_is_set_while_pieces_exist(self) -> bool:
        return all(any(q.file is v.file and (q.mmio if v.base == 0 else q.dus) is SET for q in Queue) for v in Vma)

    @lemma(deduced("no word of the queue is overwritten"))
    def the_state_is_one_of_three(self) -> bool:
        return all(q.state in (INIT, STARTED, ZOMBIE) for q in Queue)

    @lemma(deduced("T4"))
    def nobody_sleeps_on_a_dead_queue(self) -> bool:
        return all(
            w.sleep is AWAKE for w in Waiter for q in Queue if q.file is w.file and q.state is ZOMBIE
        ) and not any(w.sleep is DEAF for w in Waiter)

    @lemma(deduced("T7"))
    def nothing_was_left(self) -> bool:
        return all(d.cdev is not Cdev.STALE and not d.lost_cdev and not d.stray_bond for d in Device)

    @lemma(deduced("section 8's hint: the counts are functions of the state"))
    def counts_follow_the_state(self) -> bool:
        return all(
            q.gets == 1
            and 0 <= q.puts <= 1
            and (q.puts == 0) == (q.hw is not None)
            and (q.running == 1) == (q.state is STARTED)
            and 0 <= q.running <= 1
            for q in Queue
        )

    @lemma(deduced("an open makes the queue and its description together"))
    def a_description_has_its_queue(self) -> bool:
        return all(any(q.file is f for q in Queue) for f in File)

    @lemma(deduced("T5"))
    def a_queue_belongs_to_the_device_it_pins(self) -> bool:
        return all(q.device is q.pins and q.device.life is not ABSENT and q.device.life is not ALLOCATED for q in Queue)

    @lemma(deduced("the driver gives out its own hardware queues"))
    def hardware_is_of_the_device(self) -> bool:
        return all((q.hw is None or (q.hw is q.had and q.hw.device is q.device)) for q in Queue)

    @lemma(deduced("T2, T3"))
    def entries_only_on_living_queues(self) -> bool:
        return all(any(q.file is v.file and q.state is not ZOMBIE for q in Queue) for v in Vma if v.ptes)

    @lemma(deduced("the count that v4 goes by went with it"))
    def nobody_counts_references(self) -> bool:
        return not any(True for r in CdevRef)

    @lemma(deduced("the two regions"))
    def a_mapping_has_a_base(self) -> bool:
        return all(v.base in (0, 1) for v in Vma)


class IntendedStrict(Intended):
    """Two policies that no merged revision promises, as an option: exclusive without SVA, and only the opener acts."""

    revision = "intended-strict"
    option = True
    unchanged = deduced("intended, kept")
    not_applicable = SINCE_THE_MERGE

    @inserts(before="open.bind_fails")
    def open_exclusive(self, d: Device) -> None:
        if not d.sva and any(q.device is d and q.listed for q in Queue):
            raise EBUSY("exclusive", deduced("T9: queues are counted under the device's mutex, not references"))

    @inserts(before="start.dead_queue")
    def start_by_opener(self, p: Process, q: Queue) -> None:
        if p.mm is not q.mm:
            raise EPERM("not_the_opener", deduced("T10: by address space, as requests run there"))

    @inserts(before="put_q.dead_queue")
    def put_q_by_opener(self, p: Process, q: Queue) -> None:
        if p.mm is not q.mm:
            raise EPERM("not_the_opener", deduced("T10"))

    @inserts(before="driver_ioctl.dead_queue")
    def driver_ioctl_by_opener(self, p: Process, q: Queue) -> None:
        if p.mm is not q.mm:
            raise EPERM("not_the_opener", deduced("T10"))

    @inserts(before="mmap.dead_queue")
    def mmap_by_opener(self, p: Process, q: Queue) -> None:
        if p.mm is not q.mm:
            raise EPERM("not_the_opener", deduced("T10"))
