# SPDX-License-Identifier: Apache-2.0
"""habanalabs 5.2: clocks, HIGH while somebody computes, LOW when nobody does."""

from __future__ import annotations

from accelspec.spec.language import (
    DONE,
    EINVAL,
    ENODEV,
    EPERM,
    OK,
    Result,
    event,
    fails,
    operation,
    read,
    require,
    when,
)

from .objects import Device
from .submissions import Submissions

GOYA = "linux 5.2 drivers/misc/habanalabs/goya/goya_hwmgr.c"


class Frequency(Submissions):
    document = "linux 5.2 drivers/misc/habanalabs"

    def idle(self, d: Device) -> bool:
        """Does nobody need the clocks?"""
        return not d.opened

    @event
    def frequency_tick(self, d: Device) -> Result:
        """set_freq_to_low_job, every 5 s."""
        require(not d.gone)
        if not self.idle(d) or d.manual or not d.high:
            return DONE("nothing", read("set_freq_to_low_job"))
        d.high = False
        return DONE("ok", read("set_freq_to_low_job"))

    @operation
    def pm_write(self, d: Device, manual: bool) -> Result:
        """The attribute pm_mng_profile: "auto" or "manual"."""
        require(not d.gone)
        if not self.operational(d):
            return ENODEV("in_reset", read("pm_mng_profile_store", document=GOYA))
        with d.open_lock:
            if not self.idle(d):
                return EPERM("in_use", read("pm_mng_profile_store", document=GOYA))
            if fails("neither auto nor manual"):
                return EINVAL("bad_text", read("pm_mng_profile_store", document=GOYA))
            if when(manual != d.manual):
                d.high = False
            d.manual = manual
            return OK("ok", read("pm_mng_profile_store", document=GOYA))
