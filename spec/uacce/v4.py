# SPDX-License-Identifier: Apache-2.0
"""uacce v4, as it was posted on 9 October 2019: what the mail's code does, not what it says.

One global mutex; open, poll, the driver's ioctl and the attributes take none.  Unregister does not look at open queues.
What begins with mmap is in v4_regions.py.
"""

from __future__ import annotations

from accelspec.spec.kernel import WAITING, Fd, File, Process, Waiter
from accelspec.spec.language import (
    CALLBACK,
    DONE,
    EBUSY,
    EINVAL,
    ENODEV,
    ENOMEM,
    ENXIO,
    EPERM,
    OK,
    OOPS,
    READY,
    WOULD_BLOCK,
    Result,
    any_of,
    choose,
    deduced,
    event,
    fails,
    free,
    kernel,
    operation,
    read,
    require,
    when,
)

from .objects import (
    ABSENT,
    CORRUPT,
    FREED,
    INIT,
    REGISTERED,
    REMOVED,
    STARTED,
    ZOMBIE,
    Device,
    Domain,
    HwQueue,
    Minor,
    Queue,
)
from .revisions import Uacce
from .v4_known import KNOWN
from .v4_laws import SharedRegionLaws, V4Laws
from .v4_objects import CdevRef
from .v4_regions import V4 as DOCUMENT
from .v4_regions import Regions

SMALL = {"Qm": 0, "SharedRegion": 0, "Waiter": 0, "Message": 0, "exec()": 0, "exit()": 0}
TWO = {"Device": 2, "Fd": 2, "File": 2, "CdevRef": 2, "Queue": 2, "HwQueue": 2}


class V4(Regions, V4Laws, Uacce, SharedRegionLaws):  # pyright: ignore[reportIncompatibleMethodOverride]
    """The life of a hardware queue in the posted patch of October 2019, that was never merged."""

    machine = "uacce"
    revision = "v4"
    document = DOCUMENT
    unchanged = kernel("fs/, mm/, fork and exit of 5.4", "and what every provider does on a completion")
    drops = (
        "alloc",
        "hw_error",
        "forget_errors",
        "reset",
        "read_isolate",
        "read_threshold",
        "write_threshold",
    )
    not_applicable = {
        "uacce.I27": "there is no list of queues",
        "uacce.I30": "there is no isolation",
    }
    scopes = {
        "one of each": {"Qm": 0, "SharedRegion": 0, "Waiter": 0, "Message": 0},
        "sleepers": {"Qm": 0, "SharedRegion": 0, "Offset": 0, "Vma": 0, "mmap()": 0, "Fd": 2},
        "pieces": {**SMALL, "Vma": 2},
        "a dead address space": {"Qm": 0, "SharedRegion": 0, "Waiter": 0, "Message": 0, "Mm": 2},
        "two openers": {**SMALL, "Offset": 0, "Vma": 0, "mmap()": 0, "Process": 2, "Mm": 2, "CdevRef": 2, "open()": 2},
        "hardware given twice": {**SMALL, "Fd": 2, "File": 2, "CdevRef": 2, "Queue": 2, "task_work()": 0},
        "close beside mmap": {
            **SMALL,
            "Offset": 0,
            "Fd": 2,
            "File": 2,
            "CdevRef": 2,
            "Queue": 2,
            "HwQueue": 2,
            "Vma": 0,
        },
        "two devices": {
            **SMALL,
            "Offset": 0,
            "Vma": 0,
            "mmap()": 0,
            "Device": 2,
            "Fd": 2,
            "File": 2,
            "CdevRef": 2,
            "task_work()": 0,
        },
        "a minor given twice": {
            **SMALL,
            **TWO,
            "Offset": 0,
            "Vma": 0,
            "mmap()": 0,
            "Fd": 1,
            "File": 3,
            "CdevRef": 3,
            "task_work()": 0,
        },
        "sharing": {**SMALL, **TWO, "Offset": 0, "SharedRegion": 1, "task_work()": 0},
    }
    known = KNOWN

    # ------------------------------------------------------------------ the life of a device

    @event
    def register(self, d: Device) -> Result:
        """All of it is one call: a device appears, and the driver fills it in afterwards."""
        require(d.life is ABSENT and d.domain is Domain.NONE)  # else its parent has a domain that was freed
        if fails("allocation"):
            return ENOMEM("no_memory", read("uacce_register"))
        sva = not fails("iommu_dev_enable_feature")  # not an error: the device goes on without SVA
        if not sva:
            if fails("iommu_domain_alloc"):
                return ENODEV("no_domain", read("uacce_set_iommu_domain"))
            if fails("iommu_attach_device"):
                return CALLBACK("attach_fails", read("uacce_set_iommu_domain"))
            if fails("iommu_group_get"):
                d.domain = Domain.FREED
                return EINVAL("no_group", read("uacce_set_iommu_domain", "freed while it is attached"))
            if fails("irq_domain_check_msi_remap"):
                d.domain = Domain.FREED
                return EPERM("no_irq_remapping", read("uacce_set_iommu_domain", "freed while it is attached"))
            if fails("iommu_get_msi_cookie"):
                d.domain = Domain.FREED
                return CALLBACK("no_msi_cookie", read("uacce_set_iommu_domain", "freed while it is attached"))
        m = self.module()
        with m.uacce_mutex:
            minor = choose(x for x in Minor if not any(y.minor is x and y.life is REGISTERED for y in Device))
            if minor is None:
                return CALLBACK("no_id", read("uacce_register", "domain and feature are undone"))
            if fails("cdev_alloc"):
                return OOPS("no_cdev", read("uacce_register", "the result is not looked at"))
            if fails("cdev_device_add"):
                return CALLBACK("add_fails", read("uacce_register", "domain and feature are undone"))
            d.sva = sva
            d.domain = Domain.NONE if sva else Domain.ATTACHED
            d.minor = minor
            d.life = REGISTERED
            return OK("ok", read("uacce_register"))

    @event
    def fill(self, d: Device) -> Result:
        """The driver sets api, algorithms, the beginnings of regions and priv of what uacce_register returned."""
        require(d.life is REGISTERED and not d.filled)
        d.filled = True
        return DONE("ok", read("struct uacce_device", document="the same mail, include/linux/uacce.h"))

    @event
    def remove(self, d: Device) -> Result:
        """uacce_unregister."""
        require(d.life is REGISTERED)
        m = self.module()
        with m.uacce_mutex:
            d.domain = Domain.NONE
            d.life = REMOVED
            self.put_device(d)
            return DONE("ok", read("uacce_unregister", "queues, bonds, mappings, ops: all stay, and nobody is woken"))

    @event
    def unbind_done(self, d: Device) -> Result:
        """The driver core has let go of the driver: parent->driver is NULL."""
        require(d.life is REMOVED and not d.unbound)
        d.unbound = True
        return DONE("ok", kernel("__device_release_driver", "after the driver's remove has returned"))

    def put_device(self, d: Device) -> None:
        if when(d.life is REMOVED and not any(r.device is d for r in CdevRef)):
            d.life = FREED

    def cdev_put(self, r: CdevRef) -> None:
        d = r.device
        free(r)
        self.put_device(d)

    # ------------------------------------------------------------------ open

    def in_use(self, d: Device) -> bool:
        """kref_read(&cdev->kobj.kref) > 2: the device's own, that of this open, and any other."""
        two = any(a is not b and a.device is d and b.device is d for a in CdevRef for b in CdevRef)
        return d.life is REGISTERED and two

    def keep_bond(self, d: Device) -> None:
        """No error path unbinds."""
        if when(d.sva):
            d.stray_bond = True

    @operation
    def open(self, p: Process, n: Fd, d: Device, kept: bool) -> Result:
        """Under no lock at all."""
        require(self.unused(p, n) and d.life is not ABSENT)
        if d.life is not REGISTERED and not (kept and any(r.device is d for r in CdevRef)):
            return ENXIO("no_node", kernel("chrdev_open", "no character device has this number any more"))
        found = choose(x for x in Device if x.minor is d.minor and x.life is REGISTERED)
        if found is None:
            return ENODEV("no_id", read("uacce_fops_open", "idr_find"))
        r = CdevRef(device=d)  # the VFS holds the character device
        with p.busy:
            yield "found"
            if found.life is FREED:
                return OOPS("device_freed", deduced("found without a lock, and kept alive by nobody"))
            if found.unbound:
                return OOPS("driver_gone", read("uacce_fops_open", "pdev->driver is NULL"))
            if fails("try_module_get"):
                self.cdev_put(r)
                return ENODEV("module_going", read("uacce_fops_open"))
            if not found.sva and self.in_use(found):
                assert any(q.device is found for q in Queue), "uacce.L02"
                self.cdev_put(r)
                return EBUSY("exclusive", read("uacce_dev_open_check", "counts references, not queues"))
            if found.sva and fails("iommu_sva_bind_device"):
                f = File()
                r.file = f
                p.fd[n] = f
                return OK("bind_fails", read("uacce_fops_open", "ret is 0: no queue, and no module either"))
            if fails("allocation"):
                self.keep_bond(found)
                self.cdev_put(r)
                return ENOMEM("no_memory", read("uacce_fops_open", "the bond stays"))
            assert found.life is REGISTERED, "uacce.I04"
            h = choose(h for h in HwQueue if h.device is found and not h.lost and not any(q.hw is h for q in Queue))
            if h is None:
                assert any(q.device is found for q in Queue) or not any(x.device is found for x in HwQueue), "uacce.L02"
                self.keep_bond(found)
                self.cdev_put(r)
                return EBUSY("all_in_use", read("uacce_fops_open", "get_queue says so; the bond stays"))
            if fails("get_queue"):
                self.keep_bond(found)
                self.cdev_put(r)
                return CALLBACK("get_queue_fails", read("uacce_fops_open", "the bond stays"))
            q = Queue(device=found, pins=d, mm=p.mm, state=INIT, hw=h, had=h, gets=1, bonded=found.sva)
            yield "got_queue"  # the driver knows the queue; its fields and its wait queue are set behind this
            q.built = True
            f = File()
            q.file = f
            r.file = f
            r.module = True
            require(p.fd[n] is None)  # the number was reserved
            p.fd[n] = f
            return OK("ok", read("uacce_fops_open"))

    # ------------------------------------------------------------------ release

    def release(self, f: File) -> None:
        """Nothing yet: fput leaves it to task work."""

    @event
    def task_work(self, f: File, p: Process) -> Result:
        """The last reference is gone, and p runs uacce_fops_release on its way back to user space, or out of life."""
        require(not self.referenced(f))
        r = any_of(r for r in CdevRef if r.file is f)
        q = self.behind(f)
        d = q.device
        m = self.module()
        with m.uacce_mutex:
            if when(q.state is STARTED):
                self.stop_queue(q)
            self.free_regions(q)
            if p.running and p.mm is q.mm:
                with q.mm.mmap_lock:
                    pass  # data_vm -= the pages that were freed
            self.unbind(q)
            if when(q.state in (INIT, STARTED)):
                self.put_queue(q)
            for h in HwQueue:
                if q.hw is h:
                    h.lost = True
            free(q)
        if d.unbound:
            return OOPS("driver_gone", read("uacce_fops_release", "module_put(pdev->driver->owner), at the very end"))
        free(f)
        self.cdev_put(r)
        return DONE("ok", read("uacce_fops_release"))

    # ------------------------------------------------------------------ ioctl

    @operation
    def start(self, p: Process, n: Fd) -> Result:
        """UACCE_CMD_START, number 1."""
        q = self.queue_of(p, n)
        m = self.module()
        with m.uacce_mutex:
            if q.state is not INIT:
                return EINVAL("not_init", read("uacce_start_queue", "a dead queue, too"))
            if q.dko and fails("vmap"):
                return ENOMEM("no_kernel_mapping", read("uacce_start_queue", "what was mapped is unmapped again"))
            if fails("start_queue"):
                return CALLBACK("start_fails", read("uacce_start_queue", "stays INIT; reads slot 16 on its way back"))
            self.start_queue(q)
            q.state = STARTED
            return OK("ok", read("uacce_start_queue"))

    @operation
    def put_q(self, p: Process, n: Fd) -> Result:
        """UACCE_CMD_PUT_Q, number 2: the hardware queue goes back, and everything else stays."""
        q = self.queue_of(p, n)
        m = self.module()
        with m.uacce_mutex:
            if q.state is ZOMBIE:
                return OK("already_put", read("uacce_put_queue", "success, and did nothing"))
            if q.state is CORRUPT:
                q.state = ZOMBIE
                return OK("not_put", read("uacce_put_queue", "neither INIT nor STARTED: the hardware queue is kept"))
            self.give_up(q)
            return OK("ok", read("uacce_put_queue"))

    @operation
    def driver_ioctl(self, p: Process, n: Fd) -> Result:
        """Every other command goes to the driver, in any state and under no lock."""
        q = self.queue_of(p, n)
        if fails("ioctl is absent"):
            return EINVAL("no_callback", read("uacce_fops_unl_ioctl", "never ENOTTY"))
        self.callback(q)
        if fails("ioctl"):
            return CALLBACK("driver_refuses", read("uacce_fops_unl_ioctl"))
        return OK("ok", read("uacce_fops_unl_ioctl"))

    # ------------------------------------------------------------------ poll and attributes

    @operation
    def poll(self, p: Process, n: Fd, block: bool) -> Result:
        """On the wait queue whatever the state; under no lock."""
        q = self.queue_of(p, n)
        f = self.file_of(p, n)
        self.callback(q)
        if q.ready:
            q.ready = False
            return READY("ready", read("uacce_fops_poll", "is_q_updated takes the completion"))
        if block:
            Waiter(file=f, sleep=WAITING)
            return WOULD_BLOCK("asleep", read("uacce_fops_poll"))
        return OK("nothing", read("uacce_fops_poll", "neither ERR nor HUP, ever"))

    @operation
    def read_available(self, d: Device) -> Result:
        """The attribute `available_instances`."""
        require(d.life is REGISTERED)
        absent = fails("get_available_instances is absent")
        if absent:
            return OK("no_callback", read("available_instances_show", "0"))
        assert not absent, "uacce.I29"
        return OK("ok", read("available_instances_show"))
