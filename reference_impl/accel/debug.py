# SPDX-License-Identifier: Apache-2.0
"""The DEBUG ioctl: one bit for the whole device, and engines that may be configured while it is set."""

from typing import TYPE_CHECKING

from ..kernel import Errno, Step, Task
from .arguments import DebugArgs, DebugOp

if TYPE_CHECKING:
    from .device import AccelDevice


def debug(task: Task, device: "AccelDevice", args: DebugArgs) -> Step[int]:
    """Set the mode or configure an engine: 0, -EFAULT (already so, or not in debug mode), -EPERM, or unknown."""
    if args.op == DebugOp.SET_MODE:
        return (yield from _set_mode(task, device, enable=args.enable))
    if args.op not in DebugOp._value2member_map_:
        return device.behaviour.unknown_operation
    if not device.in_debug:
        return Errno.EFAULT
    device.tracing = True
    return 0


def _set_mode(task: Task, device: "AccelDevice", *, enable: bool) -> Step[int]:
    yield from device.debug_lock.acquire(task)
    result = 0
    if device.in_debug is enable:
        result = int(Errno.EFAULT)
    elif enable:
        if device.behaviour.debug_needs_single:
            yield from device.files_lock.acquire(task)
            if len(device.files) > 1:
                result = int(Errno.EPERM)
            device.files_lock.release(task)
    else:
        device.tracing = device.tracing and device.hard_reset_pending
    if result == 0:
        device.in_debug = enable
    device.debug_lock.release(task)
    return result


def write_profile(task: Task, device: "AccelDevice", text: str) -> Step[int]:
    """Choose who sets the frequency: 0, -ENODEV (not operational), -EPERM (somebody computes), -EINVAL."""
    if not device.operational:
        return Errno.ENODEV
    behaviour = device.behaviour
    lock = device.lazy_lock if behaviour.slot == "context" else device.files_lock
    yield from lock.acquire(task)
    result = 0
    if device.taken:
        result = int(Errno.EPERM)
    elif text.startswith("auto"):
        if device.profile == "manual":
            device.profile = "auto"
            device.frequency = "LOW"
    elif text.startswith("manual"):
        device.lower_frequency()  # the periodic job is flushed
        device.profile = "manual"
    else:
        result = int(Errno.EINVAL)
    lock.release(task)
    return result


def write_clock(device: "AccelDevice", high: bool) -> int:
    """Set the frequency by hand: 0, -ENODEV (not operational), -EPERM (the driver decides)."""
    if not device.operational:
        return Errno.ENODEV
    if device.profile == "auto":
        return Errno.EPERM
    device.frequency = "HIGH" if high else "LOW"
    return 0
