# SPDX-License-Identifier: Apache-2.0
"""habanalabs 5.2: the node /dev/hlN, one open at a time."""

from __future__ import annotations

from accelspec.spec.kernel import Fd, File, Process
from accelspec.spec.language import (
    EBUSY,
    ENOMEM,
    ENXIO,
    EPERM,
    OK,
    Result,
    choose,
    fails,
    free,
    operation,
    read,
    require,
    wait_until,
    when,
)

from .device import Devices
from .objects import Asid, Context, Device, FilePrivate


class Nodes(Devices):
    document = "linux 5.2 drivers/misc/habanalabs"

    def raise_clocks(self, d: Device) -> None:
        """hl_device_set_frequency: HIGH, unless they are set by hand."""
        if when(not d.manual):
            d.high = True

    @operation
    def open(self, p: Process, n: Fd, d: Device) -> Result:
        require(self.unused(p, n))
        if d.gone:
            return ENXIO("no_minor", read("hl_device_open"))
        with p.busy:
            with d.open_lock:
                if not self.operational(d):
                    return EPERM("in_reset", read("hl_device_open"))
                if d.in_debug:
                    return EPERM("in_debug", read("hl_device_open", "since 5.3"))
                if self.in_the_way(d):
                    return EBUSY("taken", read("hl_device_open", "fd_open_cnt"))
                d.opened = True
            yield "counted"  # whoever counted himself in makes record and context under no lock
            if fails("allocation"):
                d.opened = False
                return ENOMEM("no_memory", read("hl_device_open", "the count is given back"))
            a = choose(a for a in Asid if a.device is d and not a.taken)
            if a is None:
                d.opened = False
                return ENOMEM("no_asid", read("hl_ctx_init"))
            if fails("idr_alloc"):
                lost = FilePrivate(device=d, opener=p)
                freed = Context(hpriv=lost, asid=a)
                d.slot = freed
                d.opened = False
                free(freed)
                free(lost)
                return ENOMEM("no_handle", read("hl_ctx_create", "the device was given the pointer before (B21)"))
            wait_until(p.fd[n] is None)
            a.taken = True
            f = File()
            h = FilePrivate(device=d, opener=p, file=f, contexts=1)
            x = Context(hpriv=h, asid=a, granted=True)
            d.slot = x
            p.fd[n] = f
            self.raise_clocks(d)
            return OK("ok", read("hl_device_open"))
