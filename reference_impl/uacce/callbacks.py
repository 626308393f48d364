# SPDX-License-Identifier: Apache-2.0
"""Calls from the core into the hardware driver: injected answers, absent callbacks, and what must hold at each.

An injected negative answer keeps the callback from running; an injected positive one replaces its success.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

from ..kernel import Errno, Kernel, Oops, Step, Task, Vma, point
from ..lifecycle import DeviceState
from .region import RegionType

if TYPE_CHECKING:
    from .device import UacceDevice, UacceOps
    from .queue import UacceQueue

F = TypeVar("F")

CALLBACKS: Final = (
    "get_queue",
    "put_queue",
    "start_queue",
    "stop_queue",
    "is_q_updated",
    "mmap",
    "ioctl",
    "get_available_instances",
    "get_isolate_state",
    "isolate_err_threshold_write",
    "isolate_err_threshold_read",
)


class Callbacks:
    """The driver of one device as the core calls it."""

    def __init__(self, device: "UacceDevice", kernel: Kernel) -> None:
        self._device = device
        self._kernel = kernel

    def ops(self) -> "UacceOps":
        """Return the driver's table; an oops once the device is removed."""
        ops = self._device.ops
        if ops is None:
            raise Oops(f"callback of {self._device.name} after its removal: NULL dereference")
        return ops

    def _check(self, name: str, q: "UacceQueue") -> None:
        report = self._kernel.findings.report
        if name != "get_queue" and not q.owns_hardware:
            report("uacce.I03", f"{name} on queue {q.serial}, which owns no hardware")
        if self._device.state not in (DeviceState.ALLOCATED, DeviceState.REGISTERED):
            report("uacce.I04", f"{name} on queue {q.serial} of {self._device.name}, which is removed")

    def _answer(self, name: str, real: Callable[[], int]) -> int:
        injected = self._kernel.injector.take(name)
        if injected is not None and injected < 0:
            return injected
        result = real()
        return injected if injected is not None and result >= 0 else result

    def get_queue(self, q: "UacceQueue") -> int:
        """Ask for a hardware queue; a negative errno, or success."""
        callback = self.ops().get_queue
        self._check("get_queue", q)
        result = 0 if callback is None else self._answer("get_queue", lambda: callback(self._device, q.pasid, q))
        if result >= 0:
            q.counts["get"] += 1
        return result

    def put_queue(self, q: "UacceQueue") -> None:
        """Give the hardware queue back."""
        callback = self.ops().put_queue
        self._check("put_queue", q)
        q.counts["put"] += 1
        if q.counts["put"] > q.counts["get"]:
            self._kernel.findings.report("uacce.I01", f"queue {q.serial} is put more often than it was got")
        if q.counts["start"] != q.counts["stop"]:
            self._kernel.findings.report("uacce.I02", f"queue {q.serial} is put while it runs")
        if q.mapped():
            self._kernel.findings.report("uacce.I19", f"queue {q.serial} is put while a user has its pages")
        if callback is not None:
            callback(q)

    def start_queue(self, q: "UacceQueue") -> int:
        """Start the hardware queue; a negative errno, or success."""
        callback = self.ops().start_queue
        self._check("start_queue", q)
        result = 0 if callback is None else self._answer("start_queue", lambda: callback(q))
        if result >= 0:
            q.counts["start"] += 1
        return result

    def stop_queue(self, q: "UacceQueue") -> None:
        """Stop the hardware queue and let it finish."""
        callback = self.ops().stop_queue
        self._check("stop_queue", q)
        q.counts["stop"] += 1
        if callback is not None:
            callback(q)

    def is_q_updated(self, q: "UacceQueue") -> bool:
        """Ask whether something completed; the driver may forget it by telling."""
        callback = self.ops().is_q_updated
        self._check("is_q_updated", q)
        return callback is not None and self._answer("is_q_updated", lambda: callback(q)) != 0

    def mmap(self, q: "UacceQueue", vma: Vma, region: RegionType) -> int:
        """Let the driver fill a map; its answer, which is an error unless it is 0; -EINVAL without the callback."""
        callback = self.ops().mmap
        self._check("mmap", q)
        return Errno.EINVAL if callback is None else self._answer("mmap", lambda: callback(q, vma, region))

    def ioctl(self, task: Task, q: "UacceQueue", cmd: int, arg: int) -> Step[int]:
        """Let the driver answer a command of its own; -EINVAL without the callback."""
        callback = self.ops().ioctl
        self._check("ioctl", q)
        if callback is None:
            return Errno.EINVAL
        injected = self._kernel.injector.take("ioctl")
        if injected is not None and injected < 0:
            return injected
        yield point("driver ioctl")
        if not q.owns_hardware:
            self._kernel.findings.report("uacce.I03", f"queue {q.serial} lost its hardware during the driver's ioctl")
        result = yield from callback(task, q, cmd, arg)
        return injected if injected is not None and result >= 0 else result

    def number(self, name: str, callback: Callable[..., int], *args: object) -> int:
        """Ask for a number that a sysfs attribute shows or sets; an injected answer replaces it."""
        injected = self._kernel.injector.take(name)
        return int(callback(self._device, *args)) if injected is None else injected
