# SPDX-License-Identifier: Apache-2.0
"""Contexts that come with the first need of one, and the slot that comes with the first work (b, intended).

The check looks twice: without a lock at what can only become more valid, and again under the mutex that orders
creations, upgrades and the end of an owner.
"""

from typing import TYPE_CHECKING

from ..kernel import Errno, Step, Task
from .context import Context, create

if TYPE_CHECKING:
    from .device import AccelDevice
    from .fd import AccelFd


def valid(task: Task, fd: "AccelFd", *, compute: bool) -> Step[int]:
    """Let `fd` have a context, and with `compute` the slot; 0, or why it cannot: -EACCES.

    A revision that tells contention from failure answers -EACCES for the first and the failure's errno for the other.
    """
    device = fd.device
    assert device is not None
    if _has(device, fd, compute):
        return 0
    yield from device.lazy_lock.acquire(task)
    result = yield from _make(task, device, fd, compute)
    device.lazy_lock.release(task)
    return Errno.EACCES if result and device.behaviour.invalid_is_eacces else result


def _has(device: "AccelDevice", fd: "AccelFd", compute: bool) -> bool:
    context = fd.context
    if context is None:
        return False
    if not compute or not device.behaviour.compute_needs_slot:
        return True
    return device.holds_slot(context)


def _make(task: Task, device: "AccelDevice", fd: "AccelFd", compute: bool) -> Step[int]:
    if _has(device, fd, compute):
        return 0
    if compute and device.slot is not None:
        return Errno.EACCES
    context = fd.context
    if context is None:
        made = yield from create(task, fd)
        if isinstance(made, int):
            return made
        context = made
    if compute and device.behaviour.compute_needs_slot:
        if not context.usable:
            return Errno.EACCES
        _check_owner(device, context)
        context.take_slot()
        device.raise_frequency()
    return 0


def _check_owner(device: "AccelDevice", context: Context) -> None:
    for other in device.contexts.values():
        if other.computes and other is not context and other.refs > 0:
            device.kernel.findings.report("habanalabs.I01", f"{context} takes the slot while {other} computes")
