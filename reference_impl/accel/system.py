# SPDX-License-Identifier: Apache-2.0
"""Accelerators behind explicit calls: processes, descriptors, devices, sequences, handles and addresses by number.

Every call answers with 0, a value, a negative `Errno`, or an `Outcome`. A call runs to its end before the next one,
unless it sleeps; `call` starts one that the caller steps, to meet another half way.
"""

from ..kernel import Errno, Step, Task, UsageError, answer
from .debug import write_clock, write_profile
from .removal import expire, heartbeat, remove, resume, suspend, watchdog
from .reset import Reset, request_reset, reset_for_failure
from .user_calls import AccelUserCalls


class AccelSystem(AccelUserCalls):
    """One machine with accelerators. `behaviour` is a, b, c0, c1, c2, intended or a `Behaviour`; `faults` names bugs.

    >>> system = AccelSystem("c2")
    >>> system.open(0, 0), system.submit(0, 0), system.complete(), system.wait(0, 0, 1)
    (0, 1, 1, 0)
    """

    # What the hardware does.

    def complete(self, d: int = 0) -> int:
        """Let the hardware do packets, each queue in turn, until a submission is over: 1, or 0 if none can end."""
        device = self.device(d)
        before = len(device.deferred)
        while not device.hung and len(device.deferred) == before and device.queues.step() is not None:
            pass
        ended = len(device.deferred) - before
        self.settle()
        return ended

    def step(self, queue: int | None = None, d: int = 0) -> int:
        """Let one queue, or the next in turn, do one packet: the queue, or -EAGAIN where none can."""
        device = self.device(d)
        did = None if device.hung else device.queues.step(queue)
        self.settle()
        return Errno.EAGAIN if did is None else did

    def run(self, d: int = 0) -> int:
        """Let the hardware do all that it can; how many packets it did."""
        device = self.device(d)
        done = 0 if device.hung else device.queues.run()
        self.settle()
        return done

    def hang(self, d: int = 0) -> int:
        """Let the engines stop where they are, until a reset. 0."""
        self.device(d).hung = True
        return 0

    def keep_busy(self, d: int = 0) -> int:
        """Let an engine run on after its submission is over, until a reset. 0."""
        self.device(d).busy = True
        return 0

    def interrupt(self, number: int, d: int = 0) -> int:
        """Let user interrupt `number` come. 0."""
        self.device(d).interrupts[number] += 1
        self.settle()
        return 0

    def timeout(self, d: int = 0) -> int:
        """Let the time of the first submission that is on its way run out. 0."""
        return self._run("timeout", d)

    def _timeout(self, task: Task, d: int = 0) -> Step[int]:
        return (yield from expire(task, self.device(d)))

    def watchdog(self, d: int = 0) -> int:
        """Let the time run out that an owner has to leave after a failure (6.12). 0."""
        return self._run("watchdog", d)

    def _watchdog(self, task: Task, d: int = 0) -> Step[int]:
        return (yield from watchdog(task, self.device(d)))

    def heartbeat(self, alive: bool = True, d: int = 0) -> int:
        """Let the driver ask the firmware whether it lives. 0."""
        return self._run("heartbeat", alive, d)

    def _heartbeat(self, task: Task, alive: bool = True, d: int = 0) -> Step[int]:
        return (yield from heartbeat(task, self.device(d), alive))

    def heartbeat_fails(self, d: int = 0) -> int:
        """Let the driver ask the firmware, which does not answer. 0."""
        return self.heartbeat(False, d)

    def firmware_fails(self, d: int = 0) -> int:
        """Let the firmware report a fatal error. 0."""
        task = Task("firmware error")
        return self._finish(self._enter(task, reset_for_failure(task, self.device(d), Reset.HARD | Reset.FIRMWARE)), d)

    def tick(self, seconds: int = 1) -> int:
        """Let time pass: sleepers, timers of submissions, watchdogs and the frequency job. 0."""
        for _ in range(seconds):
            self.advance(1)
            now = self.kernel.now
            for d, device in self.devices.items():
                first = next(iter(device.mirror), None)
                if first is not None and first.deadline is not None and now >= first.deadline:
                    self.timeout(d)
                if device.watchdog_deadline is not None and now >= device.watchdog_deadline:
                    self.watchdog(d)
                if now % device.hardware.frequency == 0:
                    device.lower_frequency()
        return 0

    # Resets, power, removal.

    def compute_reset(self, d: int = 0) -> int:
        """Write to the attribute that asks for a compute reset: 0, whatever becomes of it."""
        return self._run("compute_reset", d)

    soft_reset = compute_reset

    def _compute_reset(self, task: Task, d: int = 0) -> Step[int]:
        hardware = self.device(d).hardware
        if hardware.compute_reset and hardware.reset_on_demand:
            yield from request_reset(task, self.device(d), Reset.SOFT)
        return 0

    def hard_reset(self, d: int = 0) -> int:
        """Write to the attribute that asks for a hard reset: 0. It goes on with `reset_step` or `finish_reset`."""
        return self._run("hard_reset", d)

    def _hard_reset(self, task: Task, d: int = 0) -> Step[int]:
        yield from request_reset(task, self.device(d), Reset.HARD)
        return 0

    def suspend(self, d: int = 0) -> int:
        """Power the device down: 0, or -EIO during a reset."""
        return self._run("suspend", d)

    def _suspend(self, task: Task, d: int = 0) -> Step[int]:
        return (yield from suspend(task, self.device(d)))

    def resume(self, d: int = 0) -> int:
        """Power the device up, with a hard reset that then goes on as any. 0."""
        return self._run("resume", d)

    def _resume(self, task: Task, d: int = 0) -> Step[int]:
        return (yield from resume(task, self.device(d)))

    def remove(self, d: int = 0) -> int:
        """Remove device `d`, which waits for resets and users: 0 or WOULD_BLOCK; see `finish_removal`."""
        return self._run("remove", d)

    def _remove(self, task: Task, d: int = 0) -> Step[int]:
        result = yield from remove(task, self.device(d))
        if self.device(d).removed:
            self._withdraw(d)
        return result

    def finish_removal(self, d: int = 0) -> int:
        """Remove device `d`, resets going to their end, whoever must die dying, time passing. 0."""
        if not self.device(d).removal_pending and not self.device(d).removed:
            self.remove(d)
        for _ in range(5_000):  # seconds; a kill gives up after 60 x 12
            if self.device(d).removed:
                return 0
            if self.device(d).working or self.device(d).queued_work is not None:
                self.reset_step(d)
            if self.reap() == 0:
                self.advance(1)
        raise UsageError(f"the removal of device {d} does not end")

    # Frequency.

    def pm_write(self, text: str, d: int = 0) -> int:
        """Write auto or manual to the profile attribute: 0, -ENODEV, -EPERM (somebody computes), -EINVAL."""
        return self._run("pm_write", text, d)

    def _pm_write(self, task: Task, text: str, d: int = 0) -> Step[int]:
        return (yield from write_profile(task, self.device(d), text))

    def clock_write(self, high: bool, d: int = 0) -> int:
        """Set the frequency by hand: 0, -ENODEV, -EPERM (the driver decides)."""
        return answer(write_clock(self.device(d), high))

    def frequency_tick(self, d: int = 0) -> int:
        """Let the periodic job look whether the frequency can go down. 0."""
        self.device(d).lower_frequency()
        return 0
