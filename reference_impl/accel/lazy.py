# SPDX-License-Identifier: Apache-2.0
"""Contexts that come with the first need of one, and the slot that comes with the first work (b, intended).

The check looks twice: without a lock at what can only become more valid, and again under the mutex that orders
creations, upgrades and the end of an owner.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..kernel import Errno, Step, Task
from .context import Context, create

if TYPE_CHECKING:
    from .device import AccelDevice
    from .fd import AccelFd


def valid(task: Task, fd: "AccelFd", *, compute: bool) -> Step[int]:
    """Let `fd` have a context, and with `compute` the slot; 0, or why it cannot: -EACCES.

    A revision that tells contention from failure answers -EACCES for the first and the failure's errno for the other;
    one that looks again also -EIO (older than the last hard reset), and -ENODEV or -EBUSY for what happened meanwhile.
    """
    device = fd.device
    assert device is not None
    if _has(device, fd, compute):
        return 0
    yield from device.lazy_lock.acquire(task)
    result = 0 if _has(device, fd, compute) else (yield from _make(task, device, fd, compute))
    device.lazy_lock.release(task)
    return Errno.EACCES if result and device.behaviour.invalid_is_eacces else result


def prepared(task: Task, fd: "AccelFd") -> Step[int]:
    """Let `fd` have a context to submit with, where nobody else has the slot, which is claimed later: as `valid`."""
    device = fd.device
    assert device is not None
    yield from device.lazy_lock.acquire(task)
    result = _refused(device, fd)
    if result == 0 and fd.context is None:
        made = yield from create(task, fd)
        if isinstance(made, int):
            result = made
        else:
            made.provisional = True
    device.lazy_lock.release(task)
    return result


def claim(task: Task, context: Context) -> Step[int]:
    """Give the slot to a context whose submission nothing else refuses: 0, or -EACCES, where another was faster."""
    device = context.device
    yield from device.lazy_lock.acquire(task)
    result = 0
    if device.behaviour.compute_needs_slot and not device.holds_slot(context):
        result = int(Errno.EACCES) if device.slot is not None else 0
        if result == 0:
            _take(device, context)
    device.lazy_lock.release(task)
    return result


def asked(task: Task, fd: "AccelFd", answer: Callable[[], int]) -> Step[int]:
    """Answer a question, and then let `fd` have a context if it has none and nobody's work needs the ASID."""
    device = fd.device
    assert device is not None
    yield from device.lazy_lock.acquire(task)
    result = lost_meanwhile(device) or answer()
    needed = int(device.slot is None)  # for whoever works next
    if result == 0 and fd.context is None and (device.asids.room is None or device.asids.room > needed):
        yield from create(task, fd)  # without it, where that fails
    device.lazy_lock.release(task)
    return result


def _has(device: "AccelDevice", fd: "AccelFd", compute: bool) -> bool:
    context = fd.context
    if context is None:
        return False
    if not compute or not device.behaviour.compute_needs_slot:
        return True
    return device.holds_slot(context)


def lost_meanwhile(device: "AccelDevice") -> int:
    """Return what has become of the device since the call began, where the revision asks: 0 if it works."""
    if not device.behaviour.looks_again:
        return 0
    if device.removed or device.hard_reset_pending:
        return Errno.ENODEV
    return 0 if device.operational else Errno.EBUSY


def _refused(device: "AccelDevice", fd: "AccelFd") -> int:
    """Return why the context of `fd`, or a new one, may not compute; 0 if it may."""
    lost = lost_meanwhile(device)
    if lost:
        return lost
    context = fd.context
    if context is not None and not context.usable:
        return Errno.EIO
    return Errno.EACCES if device.slot is not None and not _has(device, fd, True) else 0


def _make(task: Task, device: "AccelDevice", fd: "AccelFd", compute: bool) -> Step[int]:
    refused = _refused(device, fd) if compute else lost_meanwhile(device)
    if refused:
        return refused
    context = fd.context
    if context is None:
        made = yield from create(task, fd)
        if isinstance(made, int):
            return made
        context = made
    if compute and device.behaviour.compute_needs_slot:
        _take(device, context)
    return 0


def _take(device: "AccelDevice", context: Context) -> None:
    _check_owner(device, context)
    context.take_slot()
    device.raise_frequency()


def _check_owner(device: "AccelDevice", context: Context) -> None:
    for other in device.contexts.values():
        if other.computes and other is not context and other.refs > 0:
            device.kernel.findings.report("habanalabs.I01", f"{context} takes the slot while {other} computes")
