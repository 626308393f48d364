# SPDX-License-Identifier: Apache-2.0
"""Coming and going of a device: probe, removal, suspend and resume, and its heartbeat."""

from typing import TYPE_CHECKING

from ..kernel import Errno, Step, Task, point
from .reset import Reset, kill_users, request_reset, reset_for_failure, sleep
from .submission import roll_back

if TYPE_CHECKING:
    from .device import AccelDevice
    from .fd import AccelFd


def probe(device: "AccelDevice") -> int:
    """Start the hardware: 0 also where that fails (``hw_init``), and then the device is there, but broken; -ENOMEM."""
    if not device.start_kernel_context():
        return Errno.ENOMEM
    failed = device.kernel.injector.take("hw_init")
    device.disabled = failed is not None and failed < 0
    device.init_done = not device.disabled
    device.become("fail" if device.disabled else "probe")
    return 0


def remove(task: Task, device: "AccelDevice") -> Step[int]:
    """Take the device away from everybody; 0. It gives up, and leaves all as it is, if a reset does not end in time."""
    behaviour, hardware = device.behaviour, device.hardware
    device.removal_pending = behaviour.survivors != "keep their device"
    wait = hardware.reset_wait if device.removal_pending else 4 * hardware.kill_wait
    yield from sleep(device, "removal waits for a reset", wait, lambda: not (device.in_reset or device.working))
    if device.in_reset or device.working:
        return 0
    device.in_reset = True
    device.become("remove")
    device.watchdog_active = False
    device.watchdog_deadline = None
    device.disabled = True
    if behaviour.pending_shows == "at once":
        device.hard_reset_pending = True
    yield from device.barrier(task)
    device.hard_reset_pending = True
    yield point("removal: barrier passed")
    device.kill_trials = 0
    if behaviour.kill == "before rollback":
        yield from kill_users(task, device)
    device.queues.halt()
    yield from roll_back(task, device)
    if behaviour.kill == "after rollback":
        failed = yield from kill_users(task, device, seconds=behaviour.removal_wait)
        if failed:
            _give_up(device, device.files)
        device.kill_trials = 0
        if behaviour.lists == "one each":
            failed = yield from kill_users(task, device, control=True)
            if failed:
                _give_up(device, device.control_files)
    device.end_survivors()
    device.stop_kernel_context()
    device.forget_captured()
    device.gone = bool(device.files or device.control_files) and behaviour.survivors == "keep their device"
    device.become("finish")
    return 0


def _give_up(device: "AccelDevice", files: "dict[AccelFd, None]") -> None:
    """Take the device from fds whose processes do not die: what they hold is lost, and the log asks for a reboot."""
    if device.behaviour.survivors == "close in peace":
        return
    for fd in files:
        fd.device = None
        device.lost.append(fd)
    files.clear()


def suspend(task: Task, device: "AccelDevice") -> Step[int]:
    """Power the device down: 0, or -EIO during a reset. Submissions stay where they are, and nobody is killed."""
    if device.in_reset:
        return Errno.EIO
    device.in_reset = True
    device.disabled = True
    device.become("suspend")
    yield from device.barrier(task)
    device.queues.halt()
    return 0


def resume(task: Task, device: "AccelDevice") -> Step[int]:
    """Power the device up with a hard reset: whoever had it open before is killed. 0, or ``resume``."""
    failed = device.kernel.injector.take("resume")
    if failed is not None and failed < 0:
        return failed
    if device.behaviour.status == "5.1":
        device.disabled = False
    device.in_reset = False
    device.become("resume")
    return (yield from request_reset(task, device, Reset.HARD))


def heartbeat(task: Task, device: "AccelDevice", alive: bool) -> Step[int]:
    """Ask the firmware whether it lives, unless the device is in a reset; a failure asks for a hard reset. 0."""
    if not device.operational or not device.init_done:
        return 0
    before = device.counters["compute_reset"]
    yield from device.message_lock.acquire(task)
    yield point("heartbeat: sent")
    disturbed = device.queues.halted or device.counters["compute_reset"] != before
    device.message_lock.release(task)
    if alive and not disturbed:
        device.last_failure = None
        return 0
    if disturbed:
        device.kernel.findings.report("habanalabs.I12", "a heartbeat fails by a compute reset, and asks for more")
    return (yield from reset_for_failure(task, device, Reset.HARD | Reset.HEARTBEAT))


def expire(task: Task, device: "AccelDevice") -> Step[int]:
    """Let the time of the first submission run out: it is marked, and the device reset or in need of it. 0."""
    first = next(iter(device.mirror), None)
    if first is None or first.deadline is None:
        return 0
    first.deadline = None
    if first.skips_reset:
        return 0
    first.timed_out = True
    if not device.hardware.reset_on_lockup:
        device.needs_reset = device.behaviour.status != "5.1"
        return 0
    return (yield from reset_for_failure(task, device, Reset.TIMEOUT))


def watchdog(task: Task, device: "AccelDevice") -> Step[int]:
    """Let the time of the release watchdog run out: the owner had long enough. 0."""
    if not device.watchdog_active:
        return 0
    return (yield from request_reset(task, device, Reset.HARD | Reset.WATCHDOG))
