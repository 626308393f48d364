# SPDX-License-Identifier: Apache-2.0
"""The posted series, 9/9 (`b9`, which is `b`): any number of files, and a context that asks is upgraded to compute."""

from __future__ import annotations

from accelspec.spec.kernel import Fd, File, Process
from accelspec.spec.language import (
    ENOMEM,
    ENXIO,
    EPERM,
    OK,
    Result,
    fails,
    operation,
    read,
    require,
    wait_until,
    when,
)

from .known import KNOWN_B9, MANY_FILES
from .letter_laws import LetterLaws
from .objects import Context, Device, FilePrivate
from .posted import B8, UNTOUCHED
from .revision_a import PLAIN, QUIET, WHOLE

TWO = {"Fd": 2, "File": 2, "FilePrivate": 2, "exit()": 0}
SCOPES_B = {
    "work and resets": {**PLAIN, "Submission": 1, "CommandBuffer": 1},
    "memory and duplicates": {**PLAIN, **QUIET, **WHOLE, "Memory": 1, "Fd": 2},
    "the address of a context": {**PLAIN, **QUIET, **TWO, "cb_create()": 0},
    "two contexts": {**PLAIN, **QUIET, **TWO, "Context": 2, "Asid": 2, "cb_create()": 0, "close()": 0},
    "two files and a reset": {**PLAIN, **WHOLE, **TWO, "Submission": 1, "soft_reset()": 0, "remove()": 0},
    "two processes": {**PLAIN, **QUIET, "Process": 2, "Mm": 2, "info()": 0},
}


class B9(LetterLaws, B8):
    """9/9: open is never busy; the compute slot is taken by the first ioctl that needs it, and left at the end."""

    revision = "b9"
    document = "v1 9/9 of the posted series"
    scopes = SCOPES_B
    known = KNOWN_B9
    not_applicable = MANY_FILES
    unchanged = UNTOUCHED

    @operation
    def open(self, p: Process, n: Fd, d: Device) -> Result:
        require(self.unused(p, n))
        if d.gone:
            return ENXIO("no_minor", read("hl_device_open"))
        if fails("allocation"):
            return ENOMEM("no_memory", read("hl_device_open", "before anything else is looked at"))
        with p.busy:
            with d.open_lock:
                if not self.operational(d):
                    return EPERM("in_reset", read("hl_device_open"))
                if d.in_debug:
                    return EPERM("in_debug", read("hl_device_open"))
                h = FilePrivate(device=d, opener=p, listed=True, built=False, leaving=True)
            yield "half_built"  # on the list, and its fields are still to be set
            f = File()
            h.file = f
            h.built = True
            h.leaving = False
            wait_until(p.fd[n] is None)
            p.fd[n] = f
            return OK("ok", read("hl_device_open", "no context, and the slot is not looked at"))

    # ------------------------------------------------------------------ upgrade

    def refused(self, h: FilePrivate, own: Context | None) -> bool:
        return h.device.slot is not None and h.device.slot is not own

    def make_valid(self, h: FilePrivate, own: Context | None, compute: bool, fast: bool) -> None:
        super().make_valid(h, own, compute, fast)
        up = compute and not fast and own is not None and h.device.slot is None
        if when(up):
            h.device.slot = own
            self.raise_clocks(h.device)
        for y in Context:
            if up and y is own:
                y.granted = True

    def publish(self, x: Context, compute: bool) -> None:
        """A new context takes the slot if it is to compute, as an upgraded one does."""
        if when(compute):
            x.hpriv.device.slot = x
            x.granted = True
            self.raise_clocks(x.hpriv.device)

    # ------------------------------------------------------------------ the end

    def end_slot(self, h: FilePrivate, x: Context | None) -> None:
        if when(h.device.slot is x):
            h.device.slot = None

    def ends_debug(self, h: FilePrivate, x: Context | None) -> bool:
        return h.device.slot is x

    # ------------------------------------------------------------------ resets, and what is told

    def victim_is_known(self, d: Device) -> bool:
        """Everybody on the list is killed, contexts or not."""
        return True

    def kill(self, d: Device) -> None:
        super().kill(d)
        assert all(h.built for h in FilePrivate if h.device is d), "habanalabs.I33"

    def own_usage(self, h: FilePrivate) -> bool:
        """DRAM_USAGE adds up the caller's own context."""
        return True
