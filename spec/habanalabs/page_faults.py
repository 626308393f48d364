# SPDX-License-Identifier: Apache-2.0
"""habanalabs 6.12: what is remembered of a page fault, and who is told.

Whether the owner has host memory mapped is the environment's choice: the machine does not follow it.
"""

from __future__ import annotations

from accelspec.spec.kernel import Fd, Process
from accelspec.spec.language import (
    DONE,
    EFAULT,
    EINVAL,
    ENOMEM,
    OK,
    STATE,
    Result,
    always,
    any_of,
    choose,
    event,
    fails,
    free,
    operation,
    read,
    require,
    stated,
)

from .mainline import Mainline
from .objects import FACTS, GOYA, Context, Device, PageFault, Snapshot

ACCEL = "linux 6.12.117 drivers/accel/habanalabs"


class PageFaults(Mainline):
    document = ACCEL

    @event
    def page_fault(self, r: PageFault) -> Result:
        """An engine meets an address that is not mapped, and the chip says so; not a Goya."""
        d = r.device
        require(not d.gone and (not d.disabled or d.compute_reset) and not self.is_a(d, GOYA))
        if r.seen:
            return DONE("not_the_first", read("hl_capture_page_fault"))
        r.seen = True
        if not any(x.hpriv.device is d and not self.owner_left(x.hpriv) for x in Context):
            return DONE("of_nobody", read("hl_capture_user_mappings", "hl_get_compute_ctx finds none"))
        if fails("host memory is mapped"):
            return DONE("nothing_mapped", read("hl_capture_user_mappings", "memory for the snapshot may fail, too"))
        Snapshot(fault=r)
        return DONE("captured", read("hl_capture_user_mappings"))

    def forget_errors(self, d: Device) -> None:
        for s in Snapshot:
            if s.fault.device is d:
                free(s)
        for r in PageFault:
            if r.device is d:
                r.seen = False

    @operation
    def user_mappings(self, p: Process, n: Fd) -> Result:
        """INFO USER_MAPPINGS: answered to everybody, also in a reset."""
        h = self.entered(p, n)
        r = any_of(r for r in PageFault if r.device is h.device)
        if fails("pad is 0"):
            return EINVAL("padding", read("_hl_info_ioctl"))
        if fails("return_pointer"):
            return EINVAL("no_pointer", read("user_mappings_info"))
        s = choose(s for s in Snapshot if s.fault is r)
        if s is None:
            return OK("nothing", read("user_mappings_info", "no fault, or nothing was mapped"))
        if fails("return_size"):
            return ENOMEM("no_room", read("user_mappings_info", "array_size says how many there are"))
        if fails("copy_to_user"):
            return EFAULT("copy", read("user_mappings_info"))
        return OK("ok", read("user_mappings_info"))

    @always("habanalabs.I43", STATE, stated("5.1 B33", document=FACTS))
    def snapshots_go_with_their_fault(self) -> bool:
        """A snapshot is there only as long as the page fault is remembered: until the next open."""
        return all(s.fault.seen for s in Snapshot)
