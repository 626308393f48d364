# SPDX-License-Identifier: Apache-2.0
"""uacce 6.12.117: device errors, reset, isolation, and the attributes that user space reads and writes.

Isolation is advisory: the core never asks about it; a stopped unit refuses new queues.  Counts stand for themselves up
to 2.
"""

from __future__ import annotations

from accelspec.spec.language import (
    DONE,
    EINVAL,
    ENODEV,
    ENOENT,
    EPERM,
    OK,
    Result,
    event,
    fails,
    operation,
    read,
    require,
)

from .device import Devices
from .objects import REGISTERED, Device, Few, Qm

DRIVER = "linux 6.12.117 drivers/crypto/hisilicon/qm.c"


class Isolation(Devices):
    def unit_stopped(self, d: Device) -> bool:
        return any(m.device is d and m.stopped for m in Qm)

    @event
    def hw_error(self, m: Qm) -> Result:
        """The hardware reports an error: threshold n isolates at error n + 1, for only earlier errors are counted."""
        require(m.device.life is REGISTERED)
        if m.isolated:
            return DONE("isolated_already", read("qm_hw_err_isolate", document=DRIVER))
        if m.threshold == 0 or not m.device.sva:
            return DONE("not_counted", read("qm_hw_err_isolate", "no threshold, or no SVA", document=DRIVER))
        m.isolated = m.errors >= m.threshold
        m.errors = 2 if m.errors == 2 else m.errors + 1
        return DONE("counted", read("qm_hw_err_isolate", document=DRIVER))

    @event
    def forget_errors(self, m: Qm) -> Result:
        """An hour without errors."""
        require(not m.isolated)
        m.errors = 0
        return DONE("ok", read("qm_hw_err_isolate", "errors older than an hour are dropped", document=DRIVER))

    @event
    def reset(self, m: Qm, recovers: bool) -> Result:
        """User queues are stopped in hardware and stay so; the core's state word does not learn of it."""
        require(m.device.life is REGISTERED)
        if recovers:
            m.stopped = False
            return DONE("ok", read("qm_controller_reset", document=DRIVER))
        m.stopped = True
        m.isolated = True
        return DONE("failed", read("qm_reset_fail_cb", "isolates whatever the threshold, even 0", document=DRIVER))

    @operation
    def read_isolate(self, m: Qm) -> Result:
        """The attribute `isolate`; hidden where the driver has no such callback."""
        require(m.device.life is REGISTERED)
        return OK("ok", read("isolate_show", "0 or 1"))

    @operation
    def read_threshold(self, m: Qm) -> Result:
        """The attribute `isolate_strategy`: shown if the driver can read it or write it."""
        require(m.device.life is REGISTERED)
        absent = fails("isolate_err_threshold_read is absent")
        if absent:
            return ENOENT("no_callback", read("isolate_strategy_show"))
        assert not absent, "uacce.I29"
        return OK("ok", read("isolate_strategy_show"))

    @operation
    def write_threshold(self, m: Qm, to: Few) -> Result:
        require(m.device.life is REGISTERED)
        absent = fails("isolate_err_threshold_write is absent")
        if absent:
            return ENOENT("no_callback", read("isolate_strategy_store"))
        if fails("not a number"):
            return EINVAL("not_a_number", read("isolate_strategy_store", "kstrtoul"))
        if fails("above 65535"):
            return EINVAL("too_large", read("isolate_strategy_store", "HISI_MAX_ERR_THRESHOLD of the core"))
        assert not absent, "uacce.I29"
        if m.isolated:
            return EPERM("frozen", read("hisi_qm_isolate_threshold_write", document=DRIVER))
        m.threshold = to
        m.errors = 0
        return OK("ok", read("hisi_qm_isolate_threshold_write", document=DRIVER))

    @operation
    def read_available(self, d: Device) -> Result:
        """The attribute `available_instances`."""
        require(d.life is REGISTERED)
        if fails("get_available_instances is absent"):
            return ENODEV("no_callback", read("available_instances_show"))
        return OK("ok", read("available_instances_show"))
