# SPDX-License-Identifier: Apache-2.0
"""The WAIT_CS ioctl: for one submission, for several, or for an interrupt.

What it answers is a function of the fence, of the timeout and of signals, and of nothing else.
"""

from typing import TYPE_CHECKING

from ..kernel import Errno, Oops, Outcome, Pause, Step, Task
from .arguments import GONE, WaitArgs, WaitStatus
from .fence import Fence

if TYPE_CHECKING:
    from .context import Context
    from .device import AccelDevice


class Patience:
    """How long a wait goes on. `expire` ends it as if its time were over."""

    def __init__(self, device: "AccelDevice", seconds: int) -> None:
        self._device = device
        self._deadline = device.kernel.now + seconds

    def expire(self) -> None:
        """Let the time be over."""
        self._deadline = self._device.kernel.now

    @property
    def over(self) -> bool:
        """Tell whether the time is over."""
        return self._device.kernel.now >= self._deadline


class WaitPause(Pause):
    """The sleep of a WAIT; `patience` can be made to end."""

    __slots__ = ("patience",)

    def __init__(self, task: Task, patience: Patience, fences: list[Fence]) -> None:
        super().__init__(
            "wait", "sleep", lambda: patience.over or task.signal is not None or any(f.signalled for f in fences)
        )
        self.patience = patience


class Polling(Pause):
    """A multi-wait that polls in a loop, and sees nothing before one of its fences is signalled."""

    __slots__ = ()

    def __init__(self, fences: list[Fence]) -> None:
        super().__init__("multi-wait polls", "sleep", lambda: any(fence.signalled for fence in fences))


def wait(task: Task, context: "Context", args: WaitArgs) -> Step[int]:
    """Wait as `args` says; it holds the context meanwhile. 0 with a status, or a negative errno."""
    device = context.device
    checks = device.behaviour.wait_checks
    if checks != "nothing" and not device.operational:
        return Errno.EBUSY
    if checks == "operational and watchdog" and device.watchdog_active:
        return Errno.EBUSY
    context.get()
    if args.interrupt is not None:
        result = yield from _interrupt(task, device, args)
    elif args.several is not None:
        result = yield from _several(task, context, args)
    else:
        result = yield from _one(task, context, args)
    yield from context.put(task)
    return result


def _one(task: Task, context: "Context", args: WaitArgs) -> Step[int]:
    """-EINVAL (never submitted), -ETIMEDOUT, -EIO, -EINTR; 0 and COMPLETED (maybe GONE) or BUSY."""
    device = context.device
    fence = context.fence_of(args.seq)
    if isinstance(fence, int):
        return fence
    if fence is None:
        outcome = context.outcomes.pop(args.seq, None)
        if outcome is None:
            args.status, args.flags = WaitStatus.COMPLETED, GONE
            return 0
        return _told(args, outcome)
    fence.get()
    patience = Patience(device, args.timeout)
    while not fence.signalled and not patience.over:
        if task.signal is not None:
            break
        yield WaitPause(task, patience, [fence])
    if fence.signalled:
        result = _told(args, fence.error)
    elif task.signal is not None:
        result = _interrupted(device, args, task.signal)
    else:
        args.status = WaitStatus.BUSY
        result = 0
    fence.put()
    return result


def _told(args: WaitArgs, error: int) -> int:
    if error == Errno.ETIMEDOUT:
        args.status = WaitStatus.TIMEDOUT
        return Errno.ETIMEDOUT
    if error == Errno.EIO:
        args.status = WaitStatus.ABORTED
        return Errno.EIO
    args.status = WaitStatus.COMPLETED
    return 0


def _interrupted(device: "AccelDevice", args: WaitArgs, signal: Errno | Outcome) -> int:
    if signal is Outcome.SIGKILL:
        return signal
    if device.behaviour.interrupted_wait == "BUSY":
        args.status = WaitStatus.BUSY
        device.kernel.findings.report("habanalabs.I17", "a wait that a signal ended says BUSY")
        return 0
    if not device.behaviour.typed_submissions:
        args.status = WaitStatus.INTERRUPTED
    return Errno.EINTR


# Several submissions.


def _several(task: Task, context: "Context", args: WaitArgs) -> Step[int]:
    """Wait until one of several is over; `args.done` has a bit for each that is.

    -EPERM (unsupported), -EINVAL (too many, or one that was never submitted), -EFAULT, -ENOMEM (too many waiters),
    -ETIMEDOUT, -EIO, -EINTR. 0 and BUSY, where none is over in time, or COMPLETED.
    """
    device = context.device
    kernel = device.kernel
    sequences = args.several or ()
    if not device.behaviour.typed_submissions or device.hardware.multi_wait_entries == 0:
        return Errno.EPERM
    if not 0 < len(sequences) <= device.hardware.multi_wait_entries:
        return Errno.EINVAL
    if kernel.injector.take("copy_from_user") is not None:
        return Errno.EFAULT
    if device.waiters >= device.hardware.multi_waits:
        return Errno.ENOMEM
    patience = Patience(device, args.timeout)
    deaf = device.behaviour.interrupted_wait == "BUSY"  # a signal is taken for time that is left (B17)
    interrupted = False
    device.waiters += 1
    while True:
        result, fences = _poll(context, args)
        if result or args.done:
            break
        if interrupted and deaf:
            kernel.findings.report("habanalabs.P02", "a multi-wait that a signal woke polls in a loop")
            yield Polling(fences)
        elif interrupted or patience.over:
            break
        else:
            yield WaitPause(task, patience, fences)
            interrupted = task.signal is not None and not any(fence.signalled for fence in fences)
        _put(fences)
    device.waiters -= 1
    if not interrupted or device.behaviour.multi_wait_puts_fences:
        _put(fences)
    if not result and interrupted:
        return task.signal if task.signal is Outcome.SIGKILL else Errno.EINTR
    args.status = WaitStatus.COMPLETED if args.done else WaitStatus.BUSY
    return result


def _poll(context: "Context", args: WaitArgs) -> tuple[int, list[Fence]]:
    """Look at all fences and note in `args.done` which are over: 0, or what the first of them failed with.

    -EINVAL for one that was never submitted. Each fence is returned with a reference, none with -EINVAL.
    """
    device = context.device
    fences: list[Fence] = []
    errors: list[int] = []
    args.done = 0
    for bit, seq in enumerate(args.several or ()):
        fence = context.fence_of(seq)
        if isinstance(fence, int):
            _put(fences)
            return fence, []
        if fence is None and not device.behaviour.multi_wait_checks_fences:
            _put(fences)
            device.kernel.findings.report("habanalabs.I17", f"the answer about sequence {seq} depends on its age")
            raise Oops(f"a multi-wait reads the fence of sequence {seq}, which is gone")
        if fence is None:
            errors.append(context.outcomes.pop(seq, 0))
        else:
            fences.append(fence.get())
            errors.append(fence.error)
        if fence is None or fence.signalled:
            args.done |= 1 << bit
    failed = next((error for error in errors if error in (Errno.ETIMEDOUT, Errno.EIO)), 0)
    return failed, fences


def _put(fences: list[Fence]) -> None:
    for fence in fences:
        fence.put()


# Interrupts.


def _interrupt(task: Task, device: "AccelDevice", args: WaitArgs) -> Step[int]:
    """Wait for a user interrupt: -EPERM (the device has none), -EINVAL (no such), 0 and COMPLETED or BUSY, -EINTR."""
    number = args.interrupt or 0
    if not device.behaviour.typed_submissions or not device.interrupts:
        return Errno.EPERM
    if not 0 <= number < len(device.interrupts):
        return Errno.EINVAL
    seen = device.interrupts[number]
    patience = Patience(device, args.timeout)
    while device.interrupts[number] == seen and task.signal is None and not patience.over:
        yield Pause(
            "wait for an interrupt",
            "sleep",
            lambda: patience.over or task.signal is not None or device.interrupts[number] != seen,
        )
    if device.interrupts[number] != seen:
        args.status = WaitStatus.COMPLETED
        return 0
    if task.signal is not None:
        return _interrupted(device, args, task.signal)
    args.status = WaitStatus.BUSY
    return 0
