# SPDX-License-Identifier: Apache-2.0
"""habanalabs revision `c0`: Linux 5.4, what replaced the posted series.  A second node, for INFO only."""

from __future__ import annotations

from accelspec.spec.kernel import Fd, File, Process
from accelspec.spec.language import (
    EBUSY,
    ENOMEM,
    ENOTTY,
    ENXIO,
    EPERM,
    OK,
    Result,
    choose,
    fails,
    inserts,
    operation,
    read,
    require,
    when,
)

from .known import KNOWN_C0, LISTED_LAST
from .listed import Listed
from .objects import Asid, Context, Device, FilePrivate
from .reset_order import RollbackFirst
from .revision_a import PLAIN, QUIET, A

TWO = {"Fd": 2, "File": 2, "FilePrivate": 2, "Context": 2, "Asid": 2, "exit()": 0}


class C0(RollbackFirst, Listed, A):
    """One owner of the compute node, whose context is made at once; any number of control files, that may only ask."""

    revision = "c0"
    document = "v3 of the series, 31 July 2019, merged for 5.4"
    scopes = {
        "work and resets": {**PLAIN, "Submission": 1, "CommandBuffer": 1},
        "two files": {**PLAIN, **TWO, "Submission": 1, "soft_reset()": 0, "remove()": 0},
        "two owners of memory": {**PLAIN, **TWO, "Memory": 1, "soft_reset()": 0, "remove()": 0},
        "sharing": {**PLAIN, **QUIET, "Process": 2, "Mm": 2, "Message": 1},
    }
    known = KNOWN_C0
    not_applicable = LISTED_LAST
    unchanged = read("v3 of the series, 31 July 2019", "no hunk changes it")

    @operation
    def open(self, p: Process, n: Fd, d: Device) -> Result:
        require(self.unused(p, n))
        if d.gone:
            return ENXIO("no_minor", read("hl_device_open"))
        if fails("allocation"):
            return ENOMEM("no_memory", read("hl_device_open", "before the lock"))
        with d.open_lock:
            if not self.operational(d):
                return EPERM("in_reset", read("hl_device_open"))
            if d.in_debug:
                return EPERM("in_debug", read("hl_device_open"))
            if d.slot is not None:
                assert any(not h.control and h.device is d for h in FilePrivate), "habanalabs.I20"
                return EBUSY("taken", read("hl_device_open", "compute_ctx"))
            a = choose(a for a in Asid if a.device is d and not a.taken)
            if a is None:
                return ENOMEM("no_asid", read("hl_ctx_init"))
            if fails("hl_ctx_create"):
                return ENOMEM("creation_fails", read("hl_device_open", "the errno of hl_ctx_create"))
            a.taken = True
            f = File()
            h = FilePrivate(device=d, opener=p, file=f, listed=True, contexts=1)
            x = Context(hpriv=h, asid=a, granted=True)
            d.slot = x
            p.fd[n] = f
            self.raise_clocks(d)
            return OK("ok", read("hl_device_open"))

    @operation
    def open_control(self, p: Process, n: Fd, d: Device) -> Result:
        """/dev/hl_controlDN."""
        require(self.unused(p, n))
        if d.gone:
            return ENXIO("no_minor", read("hl_device_open_ctrl"))
        if fails("allocation"):
            return ENOMEM("no_memory", read("hl_device_open_ctrl"))
        with d.open_lock:
            if not self.operational(d):
                return EPERM("in_reset", read("hl_device_open_ctrl"))
            f = File()
            FilePrivate(device=d, opener=p, file=f, listed=True, control=True)
            p.fd[n] = f
            return OK("ok", read("hl_device_open_ctrl"))

    @inserts(before="entered.device_gone")
    def control_only_asks(self, h: FilePrivate, act: bool) -> None:
        if h.control and act:
            raise ENOTTY("control", read("hl_ioctl_control"))

    def idle(self, d: Device) -> bool:
        return d.slot is None

    # ------------------------------------------------------------------ the end of a file

    def end_slot(self, h: FilePrivate, x: Context | None) -> None:
        """compute_ctx is cleared by whoever leaves the compute node."""
        if when(not h.control):
            h.device.slot = None

    def ends_debug(self, h: FilePrivate, x: Context | None) -> bool:
        return h.device.slot is x

    # ------------------------------------------------------------------ resets

    def victim_is_known(self, d: Device) -> bool:
        """Everybody on the list is killed, monitors too."""
        return True

    def own_usage(self, h: FilePrivate) -> bool:
        """DRAM_USAGE adds up the caller's own context, and of a control file nothing."""
        return True
