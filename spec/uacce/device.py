# SPDX-License-Identifier: Apache-2.0
"""uacce 6.12.117: the driver's callbacks, and the life of a device."""

from __future__ import annotations

from accelspec.spec.kernel import Processes, Vma
from accelspec.spec.language import (
    CALLBACK,
    DONE,
    ENOMEM,
    OK,
    Result,
    any_of,
    choose,
    deduced,
    event,
    fails,
    read,
    require,
    when,
)

from .objects import ABSENT, ALLOCATED, FREED, REGISTERED, REMOVED, STARTED, ZOMBIE, Cdev, Device, Minor, Queue


class Devices(Processes):
    document = "linux 6.12.117 drivers/misc/uacce/uacce.c"

    # ------------------------------------------------------------------ callbacks of the driver

    def callback(self, q: Queue) -> None:
        assert q.hw is not None, "uacce.I03"
        assert q.device.life in (ALLOCATED, REGISTERED), "uacce.I04"

    def start_queue(self, q: Queue) -> None:
        self.callback(q)
        q.running += 1

    def stop_queue(self, q: Queue) -> None:
        self.callback(q)
        q.running -= 1

    def put_queue(self, q: Queue) -> None:
        self.callback(q)
        assert q.running == 0, "uacce.I02"
        assert q.puts == 0, "uacce.I01"
        q.hw = None
        q.puts += 1

    def give_up(self, q: Queue) -> None:
        """uacce_put_queue: the queue loses its hardware."""
        if when(q.state is STARTED):
            self.stop_queue(q)
        if when(q.state is not ZOMBIE):
            self.put_queue(q)
        q.state = ZOMBIE

    def unbind(self, q: Queue) -> None:
        q.bonded = False

    # ------------------------------------------------------------------ the life of a device

    @event
    def alloc(self, d: Device) -> Result:
        """The driver probes: uacce_alloc, before users can see anything."""
        require(d.life is ABSENT)
        if fails("allocation"):
            return ENOMEM("no_memory", read("uacce_alloc"))
        m = choose(m for m in Minor if not any(x.minor is m and x.life in (ALLOCATED, REGISTERED) for x in Device))
        if m is None:
            return CALLBACK("no_id", read("uacce_alloc", "xa_alloc finds no free minor"))
        d.sva = not fails("iommu_dev_enable_feature")  # not an error: the device goes on without SVA
        d.minor = m
        d.cdev = Cdev.NONE
        d.filled = True
        d.life = ALLOCATED
        return OK("ok", read("uacce_alloc", "the driver fills in the rest before it registers"))

    @event
    def register(self, d: Device) -> Result:
        require(d.life is ALLOCATED)
        if fails("cdev_alloc"):
            return ENOMEM("no_cdev", read("uacce_register"))
        if fails("cdev_add"):
            d.lost_cdev = True
            assert not d.lost_cdev, "uacce.I07"
            return CALLBACK(
                "cdev_add_fails", deduced("cdev_device_add drops nothing here, and uacce_register clears the pointer")
            )
        if fails("device_add"):
            return CALLBACK(
                "device_add_fails", read("uacce_register", "the pointer is cleared, so that remove does not use it")
            )
        d.cdev = Cdev.ADDED
        d.life = REGISTERED
        return OK("ok", read("uacce_register"))

    @event
    def remove(self, d: Device) -> Result:
        """The parent device goes away, or its driver is unbound."""
        require(d.life in (ALLOCATED, REGISTERED))
        with d.mutex:
            while any(q.device is d and q.listed and self.not_done(q) for q in Queue):
                q = any_of(q for q in Queue if q.device is d and q.listed and self.not_done(q))
                with q.mutex:
                    self.give_up(q)
                yield "put_but_mapped"
                self.unbind(q)
                self.unmap_all(q)
            d.life = REMOVED
        self.put_device(d)
        return DONE("ok", read("uacce_remove", "ops and parent are cleared; nobody is woken"))

    def not_done(self, q: Queue) -> bool:
        """Has remove still to come to this queue of its list?"""
        return q.state is not ZOMBIE or q.bonded or any(v.ptes and v.file is q.file for v in Vma)

    def unmap_all(self, q: Queue) -> None:
        """unmap_mapping_range: the entries go, the mappings stay."""
        for v in Vma:
            if v.file is q.file:
                v.ptes = False

    def put_device(self, d: Device) -> None:
        if when(d.life is REMOVED and not any(q.pins is d for q in Queue)):
            d.life = FREED
