# SPDX-License-Identifier: Apache-2.0
"""Calls on their way in one kernel: run to the end, asleep until woken, or stuck on a lock for ever."""

from .kernel import Call, Kernel, Outcome, Step, Task, UsageError, answer
from .kernel.process import Process


class Running:
    """A kernel and the calls that are on their way in it. A system of drivers and devices is a subclass."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self._asleep: list[tuple[int, int, Call]] = []
        self._woken: list[tuple[int, int, int]] = []
        self._stuck: list[Call] = []  # they wait for a lock for ever, and hold what they hold

    def _enter(self, task: Task, body: Step[int]) -> Call:
        """Return the system call that `body` is, made by `task`; nothing runs yet."""
        return Call(task, self.kernel.syscall(task, body), self.kernel.findings.report)

    def _finish(self, call: Call, who: int, what: int = 0) -> int:
        """Run `call` to its end, or until it sleeps, and then whoever it woke; return its answer."""
        result = call.run()
        if not call.done:
            if call.at is not None and call.at.kind == "lock" and not self._held_asleep(call.at.label):
                self._stuck.append(call)
                return Outcome.DEADLOCK
            self._asleep.append((who, what, call))
        if self._asleep:
            self.settle()
        return answer(result)

    def _held_asleep(self, lock_class: str) -> bool:
        """Tell whether somebody who will be woken holds a lock of that class: then waiting for it is no deadlock."""
        return any(lock.lock_class == lock_class for _, _, call in self._asleep for lock in call.task.held)

    def settle(self) -> None:
        """Let every sleeping call that was woken go on; what they returned is in `woken()`."""
        while ready := [entry for entry in self._asleep if entry[2].ready]:
            for entry in ready:
                who, what, call = entry
                call.run()
                if call.done:
                    self._asleep.remove(entry)
                    if call.task.process is not None:
                        self._woken.append((who, what, answer(call.result)))

    def sleeping(self) -> list[tuple[int, int]]:
        """Return (process, descriptor) of every call of a process that sleeps."""
        return [(who, what) for who, what, call in self._asleep if call.task.process is not None]

    def woken(self) -> list[tuple[int, int, int]]:
        """Return (process, descriptor, result) of every sleeping call that ended since the last time."""
        woken, self._woken = self._woken, []
        return woken

    def _process(self, p: int) -> Process:
        process = self.kernel.processes.get(p)
        if process is None:
            return self.kernel.spawn(p)
        if not process.alive:
            raise UsageError(f"process {p} has exited; spawn({p}) starts another one")
        return process

    def sleeping_at_all(self) -> bool:
        """Tell whether any call, of a process or not, is on its way."""
        return bool(self._asleep or self._stuck)
