# SPDX-License-Identifier: Apache-2.0
"""uacce as first merged, in Linux 5.7: one mutex for all queues, and file operations that look at nothing."""

from __future__ import annotations

from accelspec.spec.kernel import WAITING, Fd, File, Mm, Process, Waiter
from accelspec.spec.language import (
    CALLBACK,
    DONE,
    EBUSY,
    EINVAL,
    ENODEV,
    ENOMEM,
    ENXIO,
    EPERM,
    HANG,
    OK,
    READY,
    WOULD_BLOCK,
    Result,
    choose,
    deduced,
    event,
    fails,
    free,
    kernel,
    operation,
    read,
    replaces,
    require,
    stated,
    violates,
    wait_until,
)

from .isolation import DRIVER
from .objects import ABSENT, ALLOCATED, INIT, REGISTERED, REMOVED, STARTED, ZOMBIE, Device, HwQueue, Queue
from .revisions import SINCE_THE_MERGE, DanglingSlots, Legacy


class Linux5_7(DanglingSlots, Legacy):
    """The first merge, commit 015d239ac014."""

    revision = "5.7"
    document = "linux 5.7 drivers/misc/uacce/uacce.c"
    unchanged = read("uacce.c of 5.7", "the row is the same there")
    not_applicable = {
        **SINCE_THE_MERGE,
        "uacce.I29": "the only attribute with a callback tests for it",
        "uacce.I30": "isolation came with 6.3",
    }
    drops = ["forget_errors", "read_isolate", "read_threshold", "write_threshold", "hw_error"]
    known = [
        violates(
            "uacce.I03",
            "driver_ioctl.ok",
            "the driver's ioctl and poll look at no state",
            read("uacce_fops_unl_ioctl"),
        ),
        violates("uacce.I04", "poll.nothing", "the callbacks stay after remove", read("uacce_remove")),
        violates(
            "uacce.I07",
            "register.cdev_add_fails",
            "a failed register leaves a pointer to a character device that is gone (B-11)",
            stated("CVE-2026-23096"),
        ),
        violates("uacce.I08", "open.ok", "no limit in the core", read("uacce_fops_open")),
        violates(
            "uacce.I09",
            "munmap_head.ok",
            "the close of any piece frees the region, the slot keeps the pointer (B-07)",
            read("uacce_vma_close"),
        ),
        violates(
            "uacce.I15",
            "mremap_move.ok",
            "a mapping that was moved is closed again, as it moves or goes (B-10)",
            stated("CVE-2026-23056"),
        ),
        violates(
            "uacce.I19", "put_q.ok", "the hardware queue goes back while it is mapped (S-06)", read("uacce_put_queue")
        ),
        violates("uacce.I20", "start.ok", "no file operation looks at the caller", read("uacce_fops_unl_ioctl")),
        violates(
            "uacce.I21",
            "remove.ok",
            "remove does not unmap (B-01); an open in the middle gets hardware afterwards (U07)",
            read("uacce_remove"),
        ),
        violates(
            "uacce.I22",
            "open.got_queue",
            "an open that names a removed device by a minor that was given again gets the new one (U11)",
            deduced("xa_load goes by the number, the description pins the old device"),
        ),
        violates(
            "uacce.I23",
            "complete.ok",
            "the wait queue is initialised after get_queue (S-39)",
            deduced("an interrupt takes no mutex"),
        ),
        violates(
            "uacce.I27",
            "open.listed",
            "a queue is listed before it has a description, and the lock is dropped",
            deduced("uacce_mm_get drops mm_lock"),
        ),
        violates(
            "uacce.I33",
            "open.got_queue",
            "the next opener gets a hardware queue that is still mapped (S-06)",
            read("uacce_put_queue"),
        ),
        violates(
            "uacce.L01",
            "open.got_queue",
            "get_queue runs after remove (U07)",
            deduced("uacce_fops_open looks for no removal after the bind"),
        ),
        violates("uacce.L03", "remove.ok", "only a completion wakes", read("uacce_fops_poll")),
        violates(
            "uacce.L05",
            "remove.stale_cdev",
            "remove deletes a character device that is gone, and hangs (B-11)",
            stated("CVE-2026-23096"),
        ),
        violates("uacce.L06", "touch.ok", "remove does not unmap (B-01)", read("uacce_remove")),
    ]

    @operation
    def open(self, p: Process, n: Fd, d: Device, kept: bool) -> Result:
        require(self.unused(p, n) and d.life is not ABSENT)
        if d.life is not REGISTERED and not (kept and any(q.pins is d for q in Queue)):
            return ENXIO("no_node", kernel("chrdev_open"))
        with p.busy:
            yield "looked_up"
            found = choose(x for x in Device if x.minor is d.minor and self.in_table(x))
            if found is None:
                return ENODEV("no_id", read("uacce_fops_open", "xa_load"))
            if fails("allocation"):
                return ENOMEM("no_memory", read("uacce_fops_open"))
            if found.sva and fails("iommu_sva_bind_device"):
                return ENOMEM("bind_fails", read("uacce_mm_get", "whatever the errno was"))
            q = Queue(device=found, pins=d, mm=p.mm, bonded=found.sva, listed=True)
            yield "listed"  # mm_lock is free again
            if self.unit_stopped(found):
                free(q)
                return EPERM("unit_stopped", read("hisi_qm_uacce_get_queue", document=DRIVER))
            h = choose(h for h in HwQueue if h.device is found and not any(x.hw is h for x in Queue))
            if h is None:
                assert any(x.device is found and x.hw is not None for x in Queue) or not any(
                    x.device is found for x in HwQueue
                ), "uacce.L02"
                free(q)
                return EBUSY("all_in_use", read("hisi_qm_uacce_get_queue", document=DRIVER))
            if fails("get_queue"):
                free(q)
                return CALLBACK("get_queue_fails", read("uacce_fops_open"))
            q.hw = h
            q.had = h
            q.gets = 1
            yield "got_queue"
            q.built = True
            q.state = INIT
            f = File()
            q.file = f
            wait_until(p.fd[n] is None)
            p.fd[n] = f
            return OK("ok", read("uacce_fops_open"))

    @event
    def remove(self, d: Device) -> Result:
        """All listed queues are put; no mapping goes, and the callbacks stay."""
        require(d.life in (ALLOCATED, REGISTERED))
        with d.mutex:
            for q in Queue:
                if q.device is d and q.listed:
                    self.give_up(q)
                    self.unbind(q)
        if self.stale(d):
            assert not self.stale(d), "uacce.L05"
            return HANG("stale_cdev", stated("CVE-2026-23096"))
        d.life = REMOVED
        self.put_device(d)
        return DONE("ok", read("uacce_remove"))

    def mm_exit(self, m: Mm) -> None:
        """uacce_mm_exit: the queues of a dying address space are put; its bond stays until the last is released."""
        for q in Queue:
            if q.mm is m and q.bonded:
                self.give_up(q)

    # ------------------------------------------------------------------ one mutex for START, PUT_Q and mmap

    @operation
    def start(self, p: Process, n: Fd) -> Result:
        q = self.queue_of(p, n)
        with q.mutex:
            if q.state is not INIT:
                return EINVAL("not_init", read("uacce_start_queue", "on a dead queue too"))
            if fails("start_queue"):
                return CALLBACK("start_fails", read("uacce_start_queue"))
            self.start_queue(q)
            q.state = STARTED
            return OK("ok", read("uacce_start_queue", "a positive result of the callback reaches user space"))

    @operation
    def put_q(self, p: Process, n: Fd) -> Result:
        q = self.queue_of(p, n)
        with q.mutex:
            if q.state is ZOMBIE:
                return OK("already_put", read("uacce_put_queue", "success, and did nothing"))
            self.give_up(q)
            return OK("ok", read("uacce_put_queue"))

    @replaces("mmap.dead_queue")
    def mmap_dead_queue(self, q: Queue) -> None:
        if q.state is ZOMBIE:
            raise EINVAL("dead_queue", read("uacce_fops_mmap"))

    # ------------------------------------------------------------------ no lock, no look

    @operation
    def driver_ioctl(self, p: Process, n: Fd) -> Result:
        q = self.queue_of(p, n)
        if fails("ioctl is absent"):
            return EINVAL("no_callback", read("uacce_fops_unl_ioctl"))
        self.callback(q)
        if fails("ioctl"):
            return CALLBACK("driver_refuses", read("hisi_qm_uacce_ioctl", document=DRIVER))
        return OK("ok", read("uacce_fops_unl_ioctl"))

    @operation
    def poll(self, p: Process, n: Fd, block: bool) -> Result:
        require(p.running)
        f = self.file_of(p, n)
        q = self.behind(f)
        self.callback(q)
        if q.ready:
            q.ready = False
            return READY("ready", read("uacce_fops_poll"))
        if block:
            Waiter(file=f, sleep=WAITING)
            return WOULD_BLOCK("asleep", read("uacce_fops_poll"))
        return OK("nothing", read("uacce_fops_poll"))
