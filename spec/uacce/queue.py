# SPDX-License-Identifier: Apache-2.0
"""uacce 6.12.117: the life of a hardware queue handed to user space.

Read a method as the driver's code with everything but its decisions removed.  The order of the returns is the order of
the checks; each is one row: its errno, its name, and who says so.
"""

from __future__ import annotations

from accelspec.spec.kernel import AWAKE, DEAF, WAITING, Fd, File, Process, Vma, Waiter
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
    OK,
    READY,
    SIGBUS,
    WOULD_BLOCK,
    Result,
    choose,
    deduced,
    event,
    fails,
    free,
    implies,
    kernel,
    operation,
    read,
    require,
    wait_until,
    when,
)

from .isolation import DRIVER, Isolation
from .objects import (
    ABSENT,
    ALLOCATED,
    DUS,
    EMPTY,
    FREED,
    INIT,
    MMIO,
    REGISTERED,
    REMOVED,
    SET,
    STARTED,
    ZOMBIE,
    Device,
    HwQueue,
    Queue,
    Region,
    Slot,
)


class Queues(Isolation):
    document = "linux 6.12.117 drivers/misc/uacce/uacce.c"

    def queue_of(self, p: Process, n: Fd) -> Queue:
        """What every call on a descriptor begins with."""
        require(p.running)
        f = self.file_of(p, n)
        return self.behind(f)

    def behind(self, f: File) -> Queue:
        q = choose(q for q in Queue if q.file is f)
        assert q is not None, "uacce.I05"
        assert q.device.life is not FREED, "uacce.I22"  # its mutex and callbacks are looked at
        return q

    def dead(self, q: Queue) -> bool:
        return q.state is ZOMBIE

    # ------------------------------------------------------------------ open and release

    @operation
    def open(self, p: Process, n: Fd, d: Device, kept: bool) -> Result:
        """By a path; or, `kept`, through an inode that somebody still has open (/proc/self/fd, a node of one's own)."""
        require(self.unused(p, n) and d.life is not ABSENT)
        if d.life is not REGISTERED and not (kept and any(q.pins is d for q in Queue)):
            return ENXIO("no_node", kernel("chrdev_open", "no character device has this number any more"))
        with p.busy:
            yield "looked_up"  # the VFS holds the character device
            found = choose(x for x in Device if x.minor is d.minor and self.in_table(x))
            if found is None:
                return ENODEV("no_id", read("uacce_fops_open", "xa_load"))
            if fails("allocation"):
                return ENOMEM("no_memory", read("uacce_fops_open"))
            yield "allocated"
            with found.mutex:
                if not self.in_table(found):
                    return EINVAL(
                        "device_removed", read("uacce_fops_open", "the parent pointer is gone: lost against remove")
                    )
                if found.sva and fails("iommu_sva_bind_device"):
                    return CALLBACK("bind_fails", read("uacce_bind_queue"))
                if found.sva and fails("iommu_sva_get_pasid"):
                    return ENODEV("no_pasid", read("uacce_bind_queue", "unbound again"))
                if self.unit_stopped(found):
                    return EPERM(
                        "unit_stopped", read("hisi_qm_uacce_get_queue", "unbound and freed again", document=DRIVER)
                    )
                h = choose(h for h in HwQueue if h.device is found and not any(q.hw is h for q in Queue))
                if h is None:
                    assert any(q.device is found for q in Queue) or not any(x.device is found for x in HwQueue), (
                        "uacce.L02"
                    )
                    return EBUSY(
                        "all_in_use", read("hisi_qm_uacce_get_queue", "unbound and freed again", document=DRIVER)
                    )
                if fails("get_queue"):
                    return CALLBACK("get_queue_fails", read("uacce_fops_open", "unbound and freed again"))
                assert self.in_table(found), "uacce.I04"
                q = Queue(device=found, pins=d, mm=p.mm, hw=h, had=h, gets=1, bonded=found.sva)
                yield "got_queue"  # the driver knows the queue; an interrupt takes no mutex
                q.built = True
                q.state = INIT
                q.listed = True
                f = File()
                q.file = f
                wait_until(p.fd[n] is None)  # the number was reserved: nobody has taken it
                p.fd[n] = f
                return OK("ok", read("uacce_fops_open"))

    def in_table(self, d: Device) -> bool:
        """Does its minor lead to it?  From alloc until remove."""
        return d.life in (ALLOCATED, REGISTERED)

    def release(self, f: File) -> None:
        """uacce_fops_release: under the device's mutex."""
        wait_until(not any(q.file is f and q.device.mutex for q in Queue))
        assert not any(q.file is f and q.device.life is FREED for q in Queue), "uacce.I22"  # mutex and list are its
        for q in Queue:
            if q.file is f:
                self.give_up(q)
                self.unbind(q)
        for h in HwQueue:
            if any(q.file is f and q.hw is h for q in Queue):
                h.lost = True
        for q in Queue:
            if q.file is f:
                free(q)
        for d in Device:
            if d.life is REMOVED and not any(q.pins is d for q in Queue):
                d.life = FREED
        free(f)

    # ------------------------------------------------------------------ ioctl

    @operation
    def start(self, p: Process, n: Fd) -> Result:
        """UACCE_CMD_START_Q."""
        q = self.queue_of(p, n)
        with q.device.mutex:
            if self.dead(q):
                return ENXIO("dead_queue", read("uacce_fops_unl_ioctl"))
            if q.state is not INIT:
                return EINVAL("not_init", read("uacce_start_queue"))
            if self.unit_stopped(q.device):
                return EPERM("unit_stopped", read("hisi_qm_uacce_start_queue", "stays INIT", document=DRIVER))
            if fails("start_queue"):
                return CALLBACK("start_fails", read("uacce_start_queue", "stays INIT"))
            self.start_queue(q)
            q.state = STARTED
            return OK("ok", read("uacce_start_queue", "a positive result of the callback counts as success"))

    @operation
    def put_q(self, p: Process, n: Fd) -> Result:
        """UACCE_CMD_PUT_Q: since February 2026 it only stops; the hardware queue is kept until the last close."""
        q = self.queue_of(p, n)
        with q.device.mutex:
            if self.dead(q):
                return ENXIO("dead_queue", read("uacce_fops_unl_ioctl"))
            if q.state is INIT:
                return OK("idle", read("uacce_stop_queue", "success, and did nothing"))
            self.stop_queue(q)
            q.state = INIT
            return OK("ok", read("uacce_stop_queue"))

    @operation
    def driver_ioctl(self, p: Process, n: Fd) -> Result:
        """Every other command goes to the driver."""
        q = self.queue_of(p, n)
        with q.device.mutex, p.mm.mmap_lock:  # the driver copies from and to user space
            if self.dead(q):
                return ENXIO("dead_queue", read("uacce_fops_unl_ioctl", "unknown commands too"))
            if fails("ioctl is absent"):
                return EINVAL("no_callback", read("uacce_fops_unl_ioctl", "never ENOTTY"))
            self.callback(q)
            if fails("ioctl"):
                return CALLBACK("driver_refuses", read("hisi_qm_uacce_ioctl", document=DRIVER))
            return OK("ok", read("hisi_qm_uacce_ioctl", document=DRIVER))

    # ------------------------------------------------------------------ mappings

    def slot(self, q: Queue, r: Region) -> Slot:
        return q.mmio if r is MMIO else q.dus

    def set_slot(self, q: Queue, r: Region, to: Slot) -> None:
        if when(r is MMIO):
            q.mmio = to
        if when(r is DUS):
            q.dus = to

    @operation
    def mmap(self, p: Process, n: Fd, r: Region, private: bool) -> Result:
        """Two pages of a region.  A private mapping of MMIO gets the page frame number as its offset."""
        require(p.running)
        f = self.file_of(p, n)
        require(not f.in_call)
        q = self.behind(f)
        if r not in (MMIO, DUS):
            return EINVAL("bad_region", read("uacce_fops_mmap", "the page offset is the region's type"))
        if fails("allocation"):
            return ENOMEM("no_memory", read("uacce_fops_mmap"))
        with p.busy:
            with p.mm.mmap_lock, q.mutex:
                if self.dead(q):
                    return ENXIO("dead_queue", read("uacce_fops_mmap"))
                if self.slot(q, r) is not EMPTY:
                    return EEXIST("occupied", read("uacce_fops_mmap"))
                f.in_call = True
                yield "checked"  # PUT_Q takes another mutex
                if fails("mmap is absent"):
                    self.fdput(f)
                    return EINVAL("no_callback", read("uacce_fops_mmap"))
                if fails("mmap"):
                    self.fdput(f)
                    return CALLBACK(
                        "driver_refuses", read("hisi_qm_uacce_mmap", "a wrong size, for instance", document=DRIVER)
                    )
                self.callback(q)
                self.set_slot(q, r, SET)
            yield "not_linked"  # the entries are there, the mapping is not yet found through the file
            base = 0 if r is MMIO else 1
            Vma(file=f, mm=p.mm, base=base, pgoff=2 if private and r is MMIO else base)
            self.fdput(f)
            return OK("ok", read("uacce_fops_mmap"))

    def marked(self, v: Vma) -> bool:
        """Is there a marker in the slot that the close of this piece looks at?  Only the offset counts."""
        return any(q.file is v.file and self.slot_at(q, v) is SET for q in Queue)

    def slot_at(self, q: Queue, v: Vma) -> Slot:
        return q.mmio if v.pgoff == 0 else q.dus if v.pgoff == 1 else EMPTY

    def close_slot(self, v: Vma, loaded: bool) -> None:
        """The second half of uacce_vma_close, under the queue's mutex: clear the slot, free what was loaded."""
        for q in Queue:
            if q.file is v.file:
                assert implies(loaded, self.slot_at(q, v) is SET), "uacce.I15"
                if v.pgoff == 0:
                    q.mmio = EMPTY
                if v.pgoff == 1:
                    q.dus = EMPTY

    def vma_close(self, v: Vma) -> None:
        self.close_slot(v, self.marked(v))

    @operation
    def munmap(self, v: Vma) -> Result:
        require(self.alive(v.mm))
        with v.mm.mmap_lock:
            loaded = self.marked(v)
            yield "slot_loaded"  # the slot is read before the queue's mutex is taken
            self.close_slot(v, loaded)
            f = v.file
            free(v)
        self.fput(f)
        return OK("ok", read("uacce_vma_close"))

    @operation
    def munmap_tail(self, v: Vma) -> Result:
        """The second of two pages: the close looks at the next offset, and so at the other region's slot."""
        require(v.whole and self.alive(v.mm))
        with v.mm.mmap_lock:
            first = v.pgoff
            v.pgoff = self.next_page(v)
            loaded = self.marked(v)
            yield "slot_loaded"
            self.close_slot(v, loaded)
            v.pgoff = first
            v.whole = False
            return OK("ok", read("uacce_vma_close"))

    @operation
    def mremap_move(self, v: Vma) -> Result:
        """To another address: the copy is made before the driver refuses, and closing the copy runs uacce_vma_close."""
        require(self.alive(v.mm))
        with v.mm.mmap_lock:
            before = self.marked(v)
            self.vma_close(v)
            assert self.marked(v) == before, "uacce.I07"
            return EPERM(
                "refused",
                deduced(
                    "move_vma closes the copy that uacce_vma_mremap refused: the slot is cleared under a live mapping"
                ),
            )

    @operation
    def touch(self, v: Vma) -> Result:
        require(self.alive(v.mm))
        if not v.ptes:
            return SIGBUS("no_entries", kernel("do_fault", "the mapping has no fault operation"))
        return OK("ok", kernel("the page table entries lead to the device"))

    # ------------------------------------------------------------------ poll

    @operation
    def poll(self, p: Process, n: Fd, block: bool) -> Result:
        require(p.running)
        f = self.file_of(p, n)
        q = self.behind(f)
        with q.mutex:
            if self.dead(q) and block:
                Waiter(file=f, sleep=DEAF)
                return WOULD_BLOCK(
                    "dead_deaf",
                    read("uacce_fops_poll", "returns before it joins the wait queue: only a signal ends it"),
                )
            if self.dead(q):
                return OK("dead_queue", read("uacce_fops_poll", "no event, neither ERR nor HUP"))
            self.callback(q)
            if q.ready:
                q.ready = False
                return READY("ready", read("uacce_fops_poll", "is_q_updated takes the completion"))
            if block:
                Waiter(file=f, sleep=WAITING)
                return WOULD_BLOCK("asleep", read("uacce_fops_poll"))
            return OK("nothing", read("uacce_fops_poll"))

    def wake(self, q: Queue) -> None:
        """wake_up_interruptible of the queue's wait queue."""
        for w in Waiter:
            if w.file is q.file and w.sleep is WAITING:
                w.sleep = AWAKE

    def looks_again(self, f: File) -> None:
        """is_q_updated is asked once more, and takes the completion that is there."""
        for q in Queue:
            if q.file is f and not self.dead(q):
                q.ready = False

    @event
    def complete(self, q: Queue) -> Result:
        """The hardware has finished something."""
        require(q.hw is not None)
        assert q.built, "uacce.I23"
        q.ready = True
        self.wake(q)
        return DONE("ok", read("qm_work_process", document=DRIVER))
