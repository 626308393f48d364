# SPDX-License-Identifier: Apache-2.0
"""Interleaving made explicit: kernel code is generators that pause where another CPU could interfere.

A `Step` is a piece of kernel code. What lies between two of its pauses is atomic. Nothing decides by itself who goes
on: a `Scheduler` asks its caller, `run_to_end` runs one call alone, `run_threads` lets the operating system decide.
"""

import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from .errno import Errno, Oops, Outcome, answer

if TYPE_CHECKING:
    from .files import OpenFile
    from .locks import Mutex
    from .process import Process

T = TypeVar("T")


def _always() -> bool:
    return True


class Pause:
    """A place where a task can be interrupted. It can go on once `ready()` is true.

    `kind` is "point" (always ready), "lock" or "sleep".
    """

    __slots__ = ("kind", "label", "ready")

    def __init__(self, label: str, kind: str = "point", ready: Callable[[], bool] = _always) -> None:
        self.label = label
        self.kind = kind
        self.ready = ready

    def __repr__(self) -> str:
        return f"<{self.kind} {self.label}>"


Step: TypeAlias = Generator[Pause, None, T]

_points: dict[str, Pause] = {}


def point(label: str) -> Pause:
    """Return the pause called `label` at which nothing is waited for."""
    pause = _points.get(label)
    if pause is None:
        pause = _points.setdefault(label, Pause(label))
    return pause


class Task:
    """A thread of execution inside the kernel: who runs, which locks it holds, what it does on its way out."""

    __slots__ = ("held", "name", "process", "signal", "work")

    def __init__(self, name: str, process: "Process | None" = None) -> None:
        self.name = name
        self.process = process
        self.held: list[Mutex] = []
        self.work: list[OpenFile] = []  # descriptions to release on the way back to user mode (task work)
        self.signal: Errno | Outcome | None = None

    def __repr__(self) -> str:
        return f"<task {self.name}>"


class Call:
    """One operation on its way: `step()` until `done`, then `result`.

    A call that breaks the kernel ends with `Outcome.OOPS` and the sentence in `oops`.
    """

    def __init__(self, task: Task, steps: Step[int], report: Callable[[str, str], None]) -> None:
        self.task = task
        self.name = task.name
        self.at: Pause | None = None
        self.done = False
        self.result: int = Outcome.WOULD_BLOCK
        self.oops: str | None = None
        self._steps = steps
        self._report = report

    @property
    def ready(self) -> bool:
        """Tell whether `step()` would get further."""
        return not self.done and (self.at is None or self.at.ready())

    @property
    def blocked_on(self) -> str | None:
        """Name what this call waits for, or None."""
        return None if self.done or self.at is None or self.at.ready() else self.at.label

    def step(self) -> None:
        """Run up to the next pause, or to the end. A call that is not `ready` stays where it is."""
        if self.ready:
            self._go(once=True)

    def run(self) -> int:
        """Run until the call ends or waits; a waiting call answers `Outcome.WOULD_BLOCK`."""
        if self.ready:
            self._go(once=False)
        return self.result

    def _go(self, once: bool) -> None:
        steps = self._steps
        try:
            at = next(steps)
            while not once and (at.kind == "point" or at.ready()):
                at = next(steps)
            self.at = at
        except StopIteration as end:
            self._finish(answer(end.value))
        except Oops as oops:
            self.oops = str(oops)
            self._report("oops", f"{self.name}: {oops}")
            self._finish(Outcome.OOPS)

    def _finish(self, result: int) -> None:
        self.at = None
        self.done = True
        self.result = result
        process = self.task.process
        if process is not None:
            process.tasks.discard(self.task)


class Scheduler:
    """Several calls, one step at a time, in an order that the caller chooses: the same choices, the same run.

    >>> Scheduler([a, b]).run(lambda ready: ready[0])   # a as far as it gets, then b
    """

    def __init__(self, calls: Sequence[Call]) -> None:
        self.calls = list(calls)
        self.trail: list[tuple[str, str]] = []  # (call, pause it came to), in order

    def ready(self) -> list[Call]:
        """Return the calls that can go on, in the order given."""
        return [call for call in self.calls if call.ready]

    def stuck(self) -> list[Call]:
        """Return the calls that wait while nobody can go on; those that wait for a lock are a deadlock."""
        return [] if self.ready() else [call for call in self.calls if not call.done]

    def step(self, call: Call) -> None:
        """Let `call` do one step."""
        call.step()
        self.trail.append((call.name, "done" if call.done else call.at.label if call.at else "start"))

    def run(self, choose: Callable[[Sequence[Call]], Call]) -> list[int]:
        """Run until nobody can go on, `choose(ready)` deciding each step; return the results in order.

        Calls that wait for locks nobody will release end with `Outcome.DEADLOCK`.
        """
        while ready := self.ready():
            self.step(choose(ready))
        return self.finish()

    def finish(self) -> list[int]:
        """Settle what became of calls that wait for ever, and return the results in order."""
        for call in self.stuck():
            if call.at is not None and call.at.kind == "lock":
                call.result = Outcome.DEADLOCK
        return [call.result for call in self.calls]


def schedules(start: Callable[[], Sequence[Call]], preemptions: int = 2) -> Iterator[Scheduler]:
    """Run the calls of `start()` in every order with at most `preemptions` switches away from one that could go on.

    `start` makes a fresh system and its calls each time. Yields each finished Scheduler: results are in its calls,
    the order in its `trail`. Most races need one or two preemptions.
    """
    prefixes: list[list[int]] = [[]]
    while prefixes:
        prefix = prefixes.pop()
        scheduler = Scheduler(start())
        chosen: list[int] = []
        spent = 0
        while ready := [i for i, call in enumerate(scheduler.calls) if call.ready]:
            last = chosen[-1] if chosen else -1
            options = [last, *(i for i in ready if i != last)] if last in ready else ready
            if last in ready and spent == preemptions:
                options = [last]
            if len(chosen) < len(prefix):
                pick = prefix[len(chosen)]
            else:
                pick = options[0]
                prefixes.extend([*chosen, other] for other in options[1:])
            spent += last in ready and pick != last
            chosen.append(pick)
            scheduler.step(scheduler.calls[pick])
        scheduler.finish()
        yield scheduler


def run_threads(calls: Sequence[Call], patience: float = 10.0) -> list[int]:
    """Run each call on a thread of its own, the operating system choosing the order; return the results in order.

    A step is still atomic, as it is between two CPUs that hold what the step needs; where threads meet is left to
    chance. `patience` (seconds) bounds the wait for something that never happens; such a call keeps
    `Outcome.WOULD_BLOCK`, or `Outcome.DEADLOCK` where it waits for a lock.
    """
    turn = threading.Condition()
    running = len(calls)

    def may_leave(call: Call) -> bool:
        return call.ready or running == 0

    def drive(call: Call) -> None:
        nonlocal running
        with turn:
            while not call.done:
                if call.ready:
                    call.step()
                    turn.notify_all()
                else:
                    running -= 1
                    turn.notify_all()
                    turn.wait_for(partial(may_leave, call), patience)
                    running += 1
                    if not call.ready:
                        break
                turn.wait(0)  # gives the turn to whoever wants it
            running -= 1
            if not call.done and call.at is not None and call.at.kind == "lock":
                call.result = Outcome.DEADLOCK
            turn.notify_all()

    threads = [threading.Thread(target=drive, args=(call,), name=call.name) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [call.result for call in calls]
