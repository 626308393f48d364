# SPDX-License-Identifier: Apache-2.0
"""uacce in the kernels that shipped it: 6.12.117, what 6.12 was before February 2026, and 6.1.192."""

from __future__ import annotations

from accelspec.spec.kernel import Vma
from accelspec.spec.language import (
    CALLBACK,
    DONE,
    HANG,
    OK,
    OOPS,
    Answer,
    Result,
    any_of,
    deduced,
    event,
    fails,
    inserts,
    operation,
    read,
    replaces,
    require,
    stated,
    violates,
)

from .laws import Laws
from .objects import ALLOCATED, REGISTERED, REMOVED, SET, STALE, ZOMBIE, Cdev, Device, Queue
from .queue import Queues
from .v4_laws import SharedRegionLaws

NO_SHARED_REGIONS = (
    "regions shared between queues, IOMMU domains and addresses of the device's own went before the merge"
)

SINCE_THE_MERGE = {
    "uacce.I13": "regions shared between queues went before the merge",
    "uacce.I14": "IOMMU domains went before the merge",
    "uacce.I17": "no pointer to an address space is followed",
    "uacce.I18": "regions have no device address of their own",
    "uacce.I24": "a description holds no reference to the parent's module",
    "uacce.I28": "IOMMU domains went before the merge",
}


class Uacce(Queues, Laws, SharedRegionLaws):
    """The life of a hardware queue as Linux 6.12.117 has it."""

    machine = "uacce"
    revision = "6.12.117"
    document = "linux 6.12.117 drivers/misc/uacce/uacce.c"
    scopes = {
        "one of each": {"Mm": 2, "Qm": 0, "munmap_tail()": 0},
        "pieces": {"Qm": 0, "Vma": 2, "Waiter": 0, "Message": 0},
        "two queues": {
            "Fd": 2,
            "File": 2,
            "Queue": 2,
            "HwQueue": 2,
            "Qm": 0,
            "Waiter": 0,
            "Message": 0,
            "exec()": 0,
            "exit()": 0,
            "munmap()": 0,
            "munmap_tail()": 0,
        },
        "two processes": {"Process": 2, "Mm": 2, "Qm": 0, "Vma": 0, "mmap()": 0},
        "two address spaces": {
            "Process": 2,
            "Mm": 2,
            "Vma": 2,
            "Qm": 0,
            "Waiter": 0,
            "Message": 0,
            "exec()": 0,
            "exit()": 0,
            "remove()": 0,
            "munmap()": 0,
        },
        "two devices": {
            "Device": 2,
            "Fd": 2,
            "File": 2,
            "Queue": 2,
            "HwQueue": 2,
            "Qm": 0,
            "Vma": 0,
            "mmap()": 0,
            "Waiter": 0,
            "Message": 0,
            "exec()": 0,
            "exit()": 0,
        },
        "isolation": {"Vma": 0, "Waiter": 0, "Message": 0, "exec()": 0, "exit()": 0},
    }
    not_applicable = SINCE_THE_MERGE
    known = [
        violates(
            "uacce.I07",
            "register.cdev_add_fails",
            "a refused mremap clears the slot (U01); a failing cdev_add loses the character device (U12)",
            read("move_vma, cdev_device_add"),
        ),
        violates("uacce.I08", "open.ok", "no limit in the core", read("uacce_fops_open")),
        violates(
            "uacce.I09",
            "munmap_head.ok",
            "closing the first piece clears the slot while the second is mapped",
            read("uacce_vma_close"),
        ),
        violates(
            "uacce.I15",
            "munmap_tail.ok",
            "two closes load the slot before either clears it, in two address spaces (U02)",
            deduced("uacce_vma_close reads the slot outside the queue's mutex"),
        ),
        violates(
            "uacce.I19",
            "remove.put_but_mapped",
            "the hardware is given back before the mappings go",
            read("uacce_remove"),
        ),
        violates("uacce.I20", "start.ok", "no file operation looks at the caller", read("uacce_fops_unl_ioctl")),
        violates(
            "uacce.I21",
            "mmap.ok",
            "the entries exist before the mapping is linked: remove cannot see it (U03)",
            deduced("__mmap_region calls the driver before vma_link_file"),
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
            "uacce.L03",
            "put_q.ok",
            "only a completion wakes; a poll on a dead queue does not even join",
            read("uacce_fops_poll"),
        ),
        violates("uacce.L06", "touch.ok", "as I21 (U03)", deduced("the entries survive remove")),
    ]


class Legacy(Uacce):
    """6.12 before the fixes of February 2026: PUT_Q gives the hardware queue back, mremap moves."""

    revision = "legacy"
    unchanged = read("uacce.c of 6.12.117 without the hunks of February 2026", "all other functions are the same")
    document = "linux 6.12.y before February 2026, drivers/misc/uacce/uacce.c"
    not_applicable = SINCE_THE_MERGE
    known = [
        violates(
            "uacce.I03",
            "mmap.not_linked",
            "PUT_Q between mmap's check and the callback: two different mutexes (B-09 a)",
            stated("CVE-2026-23063"),
        ),
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
            "closing the first piece clears the slot while the second is mapped",
            read("uacce_vma_close"),
        ),
        violates(
            "uacce.I15",
            "munmap_tail.ok",
            "two closes load the slot before either clears it (U02)",
            deduced("uacce_vma_close reads the slot outside the queue's mutex"),
        ),
        violates(
            "uacce.I19",
            "put_q.ok",
            "the hardware queue goes back while it is mapped (S-06, B-09 b)",
            stated("CVE-2026-23063"),
        ),
        violates("uacce.I20", "start.ok", "no file operation looks at the caller", read("uacce_fops_unl_ioctl")),
        violates(
            "uacce.I21",
            "mmap.ok",
            "the entries exist before the mapping is linked (U03)",
            deduced("__mmap_region calls the driver before vma_link_file"),
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
            "uacce.I29",
            "read_threshold.no_callback",
            "isolate_strategy is shown if either callback exists, and calls the other (U05)",
            read("isolate_strategy_show"),
        ),
        violates(
            "uacce.I33",
            "open.got_queue",
            "the next opener gets a hardware queue that is still mapped (S-06)",
            stated("CVE-2026-23063"),
        ),
        violates("uacce.L03", "put_q.ok", "only a completion wakes", read("uacce_fops_poll")),
        violates(
            "uacce.L05",
            "remove.stale_cdev",
            "remove deletes a character device that is gone, and hangs (B-11)",
            stated("CVE-2026-23096"),
        ),
        violates("uacce.L06", "touch.ok", "as I21 (U03)", deduced("the entries survive remove")),
    ]
    drops = ["put_q.idle"]

    @replaces("put_q.ok")
    def put_q_ok(self, q: Queue) -> Answer:
        self.give_up(q)
        return OK("ok", read("uacce_put_queue", "from INIT and STARTED; mappings, bond and slots stay"))

    @replaces("register.cdev_add_fails")
    def register_cdev_add_fails(self, d: Device) -> None:
        if fails("cdev_add"):
            d.cdev = Cdev.STALE
            assert d.cdev is not Cdev.STALE, "uacce.I07"
            raise CALLBACK("cdev_add_fails", read("uacce_register", "the pointer stays"))

    @replaces("register.device_add_fails")
    def register_device_add_fails(self, d: Device) -> None:
        if fails("device_add"):
            d.cdev = Cdev.STALE
            raise CALLBACK(
                "device_add_fails", read("uacce_register", "cdev_device_add dropped it, the pointer dangles")
            )

    def stale(self, d: Device) -> bool:
        return d.cdev is Cdev.STALE

    @inserts(before="remove.ok")
    def remove_stale_cdev(self, d: Device) -> None:
        if self.stale(d):
            assert not self.stale(d), "uacce.L05"
            raise HANG("stale_cdev", stated("CVE-2026-23096", "cdev_device_del of a device that was never added"))

    @replaces("read_threshold.no_callback")
    def read_threshold_no_callback(self, absent: bool) -> None:
        if absent:
            assert not absent, "uacce.I29"
            raise OOPS("no_callback", read("isolate_strategy_show", "the pointer is called"))

    @replaces("write_threshold.no_callback")
    def write_threshold_no_callback(self, absent: bool) -> None:
        if absent:
            assert not absent, "uacce.I29"
            raise OOPS("no_callback", read("isolate_strategy_store", "the pointer is called"))

    @operation
    def mremap_move(self, v: Vma) -> Result:
        """The copy is made, and the old piece is closed: the slot is cleared although the region is still mapped."""
        require(self.alive(v.mm))
        with v.mm.mmap_lock:
            self.vma_close(v)
            v.moved = True
            return OK("ok", read("move_vma", "no mremap operation refuses", document="linux mm/mremap.c"))


class DanglingSlots(Queues):
    """5.7 to 6.1.192: the close of a mapping frees what the slot points to, and leaves the pointer."""

    document = "linux 6.1.192 drivers/misc/uacce/uacce.c"

    def close_slot(self, v: Vma, loaded: bool) -> None:
        """uacce_vma_close, under no lock."""
        for q in Queue:
            if q.file is v.file:
                assert self.slot_at(q, v) is not STALE, "uacce.I15"
                if v.pgoff == 0 and q.mmio is SET:
                    q.mmio = STALE
                if v.pgoff == 1 and q.dus is SET:
                    q.dus = STALE


class Linux6_1(DanglingSlots, Uacce):
    """6.1.192: with the fixes of February 2026, but a close leaves the slot dangling, and remove unmaps first."""

    revision = "6.1.192"
    unchanged = read("uacce.c of 6.1.192", "compared with 6.12.117 function by function")
    document = "linux 6.1.192 drivers/misc/uacce/uacce.c"
    not_applicable = {
        **SINCE_THE_MERGE,
        "uacce.I30": "isolation came with 6.3",
        "uacce.I29": "no attribute has an optional callback",
    }
    drops = ["hw_error", "forget_errors", "read_isolate", "read_threshold", "write_threshold"]
    known = [
        violates(
            "uacce.I07",
            "register.cdev_add_fails",
            "a refused mremap frees the region of a live mapping (U01)",
            deduced("move_vma closes the copy"),
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
            "munmap.ok",
            "the close of a second piece with the same offset frees again (U41)",
            deduced("uacce_vma_close does not clear the slot"),
        ),
        violates(
            "uacce.I19",
            "mmap.checked",
            "remove unmaps before it takes a lock: a mapping made in between loses its hardware",
            read("uacce_remove"),
        ),
        violates("uacce.I20", "start.ok", "no file operation looks at the caller", read("uacce_fops_unl_ioctl")),
        violates("uacce.I21", "mmap.ok", "as I19: it stays mapped after remove", read("uacce_remove")),
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
        violates("uacce.L03", "put_q.ok", "only a completion wakes", read("uacce_fops_poll")),
        violates("uacce.L06", "touch.ok", "as I21", read("uacce_remove")),
    ]

    @event
    def remove(self, d: Device) -> Result:
        """The mappings of the inode that was opened last go first, under no lock."""
        require(d.life in (ALLOCATED, REGISTERED))
        for v in Vma:
            if any(q.device is d and q.file is v.file for q in Queue):
                v.ptes = False
        yield "unmapped"
        with d.mutex:
            while any(q.device is d and q.listed and q.state is not ZOMBIE for q in Queue):
                q = any_of(q for q in Queue if q.device is d and q.listed and q.state is not ZOMBIE)
                with q.mutex:
                    self.give_up(q)
                self.unbind(q)
                yield "put"
            d.life = REMOVED
        self.put_device(d)
        return DONE("ok", read("uacce_remove"))
