# SPDX-License-Identifier: Apache-2.0
"""Sleeping locks that remember in which order they were taken, and report an order that can deadlock."""

from collections.abc import Callable
from functools import cache
from itertools import pairwise

from .errno import Oops
from .steps import Pause, Step, Task, point


class LockGraph:
    """Which class of lock was wanted while which was held. A cycle in it is reported once, as a possible deadlock.

    Like the kernel's lockdep, it needs no unlucky run: each order seen once is enough.
    """

    def __init__(self, report: Callable[[str, str], None]) -> None:
        self.edges: dict[str, dict[str, str]] = {}  # held -> wanted -> the task that did it first
        self._report = report

    def wants(self, task: Task, wanted: str) -> None:
        """Note that `task` wants a lock of class `wanted` with what it holds."""
        for held in task.held:
            after = self.edges.setdefault(held.lock_class, {})
            if wanted not in after:
                after[wanted] = task.name
                if path := self.path(wanted, held.lock_class):
                    steps = [f"{a} -> {b} ({self.edges[a][b]})" for a, b in pairwise(path)]
                    self._report(
                        "lock order",
                        f"{held.lock_class} -> {wanted} ({task.name}) closes a cycle with {', '.join(steps)}",
                    )

    def spins(self, task: Task, lock: "Mutex") -> None:
        """Note that `task` wants a spinlock that it, or a task that it interrupts, holds."""
        self._report("lock order", f"{lock.lock_class} -> {lock.lock_class} ({task.name}): taken twice")

    def teach(self, *lock_classes: str) -> None:
        """Take it as known that each class may be wanted while the one before it is held, as a kernel does at boot."""
        for held, wanted in pairwise(lock_classes):
            self.edges.setdefault(held, {}).setdefault(wanted, "boot")

    def path(self, start: str, end: str) -> list[str]:
        """Return the lock classes on a way from `start` to `end`, or nothing."""
        ways = [[start]]
        seen = {start}
        while ways:
            way = ways.pop()
            if way[-1] == end and (len(way) > 1 or start == end):
                return way
            for wanted in self.edges.get(way[-1], ()):
                if wanted not in seen:
                    seen.add(wanted)
                    ways.append([*way, wanted])
        return []


@cache
def _before(lock_class: str) -> Pause:
    return point(f"before {lock_class}")


class Mutex:
    """A lock that its owner holds across pauses; a second taker sleeps until it is free.

    >>> yield from mutex.acquire(task)
    >>> mutex.release(task)
    """

    __slots__ = ("_graph", "_point", "lock_class", "owner")

    def __init__(self, lock_class: str, graph: LockGraph) -> None:
        self.lock_class = lock_class
        self.owner: Task | None = None
        self._graph = graph
        self._point = _before(lock_class)

    def acquire(self, task: Task) -> Step[None]:
        """Take the lock, waiting for its owner. Taking it twice is an oops: the task would wait for itself."""
        if task.held:
            self._graph.wants(task, self.lock_class)
        yield self._point
        while self.owner is not None:
            if self.owner is task:
                raise Oops(f"{task.name} takes {self.lock_class} twice")
            yield Pause(self.lock_class, "lock", lambda: self.owner is None)
        self.owner = task
        task.held.append(self)

    def release(self, task: Task) -> None:
        """Give the lock back. Giving back a lock of somebody else is an oops."""
        if self.owner is not task:
            raise Oops(f"{task.name} releases {self.lock_class}, which it does not hold")
        self.owner = None
        task.held.remove(self)


class SpinLock(Mutex):
    """A lock that is never held across a pause: nobody waits for it, and its owner must not take it again."""

    __slots__ = ()

    def take(self, task: Task) -> None:
        """Take the lock. If it is held already the CPU would spin for ever: an oops."""
        if task.held:
            self._graph.wants(task, self.lock_class)
        if self.owner is not None:
            self._graph.spins(task, self)
            raise Oops(f"{task.name} spins on {self.lock_class} for ever: {self.owner.name} holds it")
        self.owner = task
        task.held.append(self)


class Section(Mutex):
    """Something that orders like a lock without excluding anybody: reclaiming memory, signalling a fence.

    To `enter` it is to hold it; who may have to wait for what happens inside `touches` it.
    """

    __slots__ = ()

    def enter(self, task: Task) -> None:
        """Hold the section."""
        self.touch(task)
        task.held.append(self)

    def leave(self, task: Task) -> None:
        """Leave the section."""
        task.held.remove(self)

    def touch(self, task: Task) -> None:
        """Note that `task` may have to wait for the section, with what it holds."""
        if task.held:
            self._graph.wants(task, self.lock_class)
