# SPDX-License-Identifier: Apache-2.0
"""Resets: one at a time, the light kind by whoever asks, the hard kind by a worker that first gets rid of the users.

A request goes: accepted, dropped (a reset runs already) or remembered (a hard one during a compute reset). All of them
answer 0. A compute reset that fails becomes a hard one; a hard one that fails leaves a broken device.
"""

from collections.abc import Callable
from enum import IntFlag
from typing import TYPE_CHECKING, Final

from ..kernel import Errno, Oops, Pause, Step, Task, point
from ..kernel.locks import Mutex
from .lifecycles import ResetState
from .submission import pending_of, roll_back

if TYPE_CHECKING:
    from .device import AccelDevice
    from .fd import AccelFd


class Reset(IntFlag):
    """What kind of reset is asked for, and by whom."""

    SOFT = 0
    HARD = 1
    DEVICE_RELEASE = 2
    TIMEOUT = 4
    HEARTBEAT = 8
    FIRMWARE = 16  # it resets by itself; nothing can be postponed
    WATCHDOG = 32


STAGE: Final = "reset stage: "
HALTED: Final = "compute reset: engines halted"
DEVICE_RESET_EVENT: Final = 1 << 2


def request_reset(task: Task, device: "AccelDevice", flags: Reset) -> Step[int]:
    """Ask for a reset: 0 whatever becomes of it, or -EINVAL where a release and a hard reset exclude each other.

    A compute reset is over when this returns, a hard one has begun.
    """
    behaviour, hardware = device.behaviour, device.hardware
    if not device.init_done:
        return 0
    hard = bool(flags & Reset.HARD)
    if not hard and behaviour.broken_refuses_soft and device.status.name == "MALFUNCTION":
        return 0
    hard = hard or not hardware.compute_reset
    if flags & Reset.DEVICE_RELEASE and hardware.reset_on_release:
        if hard:
            return Errno.EINVAL
    else:
        hard = hard or not hardware.reset_on_demand
    if device.in_reset:
        if hard and device.in_compute_reset and behaviour.remembers_hard_reset:
            device.remembered = flags | Reset.HARD
        return 0
    device.in_compute_reset = not hard
    device.in_reset = True
    if device.watchdog_active and (hard or flags & Reset.DEVICE_RELEASE):
        device.watchdog_active = False
        device.watchdog_deadline = None
        hard = hard or device.watchdog_hard  # what the watchdog waited to do
        device.in_compute_reset = not hard
    device.become("reset")
    device.reset_becomes("hard reset" if hard else "compute reset")
    return (yield from _begin(task, device, flags | Reset.HARD if hard else flags))


def _begin(task: Task, device: "AccelDevice", flags: Reset) -> Step[int]:
    while True:
        _note_trigger(device, flags)
        device.disabled = True
        if flags & Reset.HARD and device.behaviour.pending_shows == "at once":
            device.hard_reset_pending = True
        yield from device.barrier(task, messages=device.behaviour.reset_waits_for_messages)
        if flags & Reset.HARD:
            device.hard_reset_pending = True
            device.kill_trials = 0
            device.queued_work = lambda worker: hard_reset(worker, device)
            return 0
        device.queues.halt()
        yield point(HALTED)
        yield from roll_back(task, device)
        yield point("compute reset: stopped and rolled back")
        failed = yield from _restart(task, device, hard=False)
        if not failed:
            failed = _scrub(device)
            if failed and not device.behaviour.failed_scrub_fails_reset:
                return failed
        if not failed:
            device.counters["compute_reset"] += 1
        if not failed and device.remembered is None:
            device.in_compute_reset = device.in_reset = False
            device.needs_reset = False
            device.reset_becomes("finish")
            device.become("recover")
            return 0
        if failed:
            device.disabled = True
        if not failed or device.behaviour.escalation_changes_kind:
            device.in_compute_reset = False
        device.needs_reset = device.needs_reset and bool(failed)
        if not failed:  # else it stays remembered, until a later compute reset succeeds (H115)
            device.remembered = None
        device.reset_becomes("escalate")
        flags = (flags | Reset.HARD) & ~Reset.DEVICE_RELEASE


def _note_trigger(device: "AccelDevice", flags: Reset) -> None:
    """Remember what a reset is for: two for the same fatal reason, with no owner between, break the device."""
    if device.taken:
        return
    trigger = "heartbeat" if flags & Reset.HEARTBEAT else "firmware" if flags & Reset.FIRMWARE else "other"
    device.repeated = device.last_failure == trigger
    device.last_failure = trigger


# The worker.


def hard_reset(task: Task, device: "AccelDevice") -> Step[int]:
    """Do the hard reset that was asked for, stage by stage; 0, or why the device is broken now."""
    behaviour = device.behaviour
    yield point(f"{STAGE}begun")
    if behaviour.kill == "before rollback":
        device.reset_becomes("kill")
        yield from kill_users(task, device)
        yield point(f"{STAGE}users signalled")
    device.queues.halt()
    yield from roll_back(task, device)
    yield point(f"{STAGE}rolled back")
    if behaviour.kill == "after rollback":
        device.reset_becomes("kill")
        failed = yield from _kill_in_trials(task, device)
        if failed:
            device.reset_becomes("give up")
            return _broken(device, failed)
        yield point(f"{STAGE}users gone")
    device.reset_becomes("restart")
    failed = yield from _restart(task, device, hard=True)
    if not failed:
        failed = _scrub(device)
        if failed and not behaviour.failed_scrub_fails_reset:
            return failed
    device.reset_becomes("finish")
    if failed:
        return _broken(device, failed)
    device.in_compute_reset = device.in_reset = False
    device.needs_reset = False
    device.counters["hard_reset"] += 1
    device.become("recover")
    return 0


def _broken(device: "AccelDevice", why: int) -> int:
    device.disabled = True
    device.in_compute_reset = device.in_reset = False
    device.counters["hard_reset"] += 1
    device.become("fail")
    return why


def _kill_in_trials(task: Task, device: "AccelDevice") -> Step[int]:
    while True:
        failed = yield from kill_users(task, device)
        if failed != Errno.EBUSY or device.removal_pending:
            return failed
        yield from sleep(device, "reset tries again later", device.hardware.kill_wait, lambda: device.removal_pending)


def sleep(device: "AccelDevice", label: str, seconds: int, over: Callable[[], bool]) -> Step[None]:
    """Sleep until something is over, at most so many seconds."""
    deadline = device.kernel.now + seconds
    if not over():
        yield Pause(label, "sleep", lambda: over() or device.kernel.now >= deadline)


def kill_users(task: Task, device: "AccelDevice", *, control: bool = False, seconds: int | None = None) -> Step[int]:
    """Signal the openers of all fds on a list and wait until it is empty: 0, -EBUSY (not yet), -ETIME (never).

    Some revisions go on regardless: 0. A later trial signals nobody again.
    """
    behaviour, hardware = device.behaviour, device.hardware
    files = device.control_files if control else device.files
    lock = device.control_lock if control else device.files_lock

    def empty() -> bool:
        return not files

    throughout = behaviour.kill_lock == "throughout"
    if throughout:
        yield from lock.acquire(task)
    if behaviour.kill == "before rollback" and behaviour.slot == "open count":
        yield from sleep(device, "reset waits for a voluntary close", hardware.kill_wait, empty)
    elif behaviour.control_node and files:
        yield from sleep(device, "reset gives a moment", hardware.kill_grace, empty)
    wait = hardware.kill_wait if seconds is None else seconds
    if device.kill_trials:
        wait = 1
    elif not (yield from _signal(task, device, files, lock, held=throughout)):
        return Errno.EBUSY
    yield from sleep(device, "reset waits for its victims", wait, empty)
    if throughout:
        if any(fd.released for fd in files):
            report = device.kernel.findings.report
            report("habanalabs.P03", "whoever closes waits for a reset that waits for it")
        lock.release(task)
    if empty() or behaviour.kill_gives_up == "goes on":
        return 0
    if device.kill_trials == hardware.kill_trials:
        return Errno.ETIME
    device.kill_trials += 1
    return Errno.EBUSY


def _signal(task: Task, device: "AccelDevice", files: "dict[AccelFd, None]", lock: Mutex, *, held: bool) -> Step[bool]:
    """Send SIGKILL to every opener; False where it stops halfway with the lock (B5)."""
    report = device.kernel.findings.report
    if not held:
        yield from lock.acquire(task)
    if device.behaviour.slot == "open count" and not _owner_known(device):
        report("habanalabs.I04", "the kill stage has users, and no context that leads to them")
        raise Oops("the kill stage follows the context of the user, which is not there: NULL dereference")
    for fd in files:
        if fd.opener is None:
            report("habanalabs.I15", f"{fd} is on the list and not complete")
            raise Oops(f"the kill stage reads the opener of {fd}, which is not there yet")
        if fd.control and device.reset_state is not ResetState.NONE:
            report("habanalabs.I19", f"a hard reset kills {fd.opener} for {fd}")
        if pending_of(device, fd.context):
            report("habanalabs.I11", f"{fd.opener} is killed before its submissions are rolled back")
        if fd.opener.alive:
            device.kill(fd.opener)
        elif not device.behaviour.kill_unlocks_for_dead:
            return False
    if not held:
        lock.release(task)
    return True


def _owner_known(device: "AccelDevice") -> bool:
    """Tell whether the pointer to the user's context leads to one, where somebody has the device open."""
    known = device.slot is not None and any(device.holds_slot(context) for context in device.contexts.values())
    return known or device.open_count == 0


# What both kinds do after the users are out of the way.


def _restart(task: Task, device: "AccelDevice", *, hard: bool) -> Step[int]:
    behaviour, kernel = device.behaviour, device.kernel
    if hard:
        device.stop_kernel_context()
    yield from _reset_contexts(task, device)
    if hard:
        device.hard_reset_pending = False
        if device.repeated and device.last_failure in behaviour.consecutive_failures:
            return Errno.EIO
        if not device.start_kernel_context():
            return Errno.ENOMEM
        device.empty_slot()
        device.epoch += 1
        device.end_survivors()
    device.disabled = False
    device.busy = device.hung = False
    device.queues.resume()
    yield point(f"{STAGE}hardware on" if hard else "compute reset: hardware on")
    for name in ("hw_init", "idle_after_reset", "test_queues", "late_init"):
        failed = kernel.injector.take(name)
        if failed is not None and failed < 0:
            return Errno.EIO if name == "idle_after_reset" else failed
    return 0


def _scrub(device: "AccelDevice") -> int:
    """Scrub the memory, the last step of a reset: 0, or why not.

    Where a failure does not fail the reset it stays as it is for ever: nobody clears `in_reset` (B25).
    """
    return device.memory.scrub() if device.behaviour.scrubs else 0


def _reset_contexts(task: Task, device: "AccelDevice") -> Step[None]:
    """Let the context switch run again."""
    context = yield from device.compute_context(task)
    if context is None:
        return
    context.must_switch, context.switched = True, False
    if device.behaviour.reset_restarts_sequence:
        context.sequence = 1
    yield from context.put(task)


# Resets that may be postponed.


def reset_for_failure(task: Task, device: "AccelDevice", flags: Reset) -> Step[int]:
    """Reset because of a failure: at once, or (6.12) after an owner that listens has left or a time has passed. 0."""
    if device.behaviour.timeout_resets == "soft":
        return (yield from request_reset(task, device, flags))
    if flags & Reset.FIRMWARE:
        return (yield from request_reset(task, device, flags | Reset.HARD))
    context = yield from device.compute_context(task)
    if context is None:
        return (yield from request_reset(task, device, flags | Reset.HARD))
    listens = context.fd.eventfd
    if (not listens and not device.watchdog_active) or device.in_reset:
        yield from context.put(task)
        return (yield from request_reset(task, device, flags | Reset.HARD))
    if not device.watchdog_active:
        device.watchdog_active = True
        device.watchdog_hard = False
        device.watchdog_deadline = device.kernel.now + device.hardware.watchdog
    device.watchdog_hard = device.watchdog_hard or bool(flags & Reset.HARD)
    for fd in device.files:
        fd.events |= DEVICE_RESET_EVENT
    yield from context.put(task)
    for submission in device.mirror:
        submission.fence.signal(Errno.EIO)
    return 0
