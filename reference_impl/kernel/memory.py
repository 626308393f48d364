# SPDX-License-Identifier: Apache-2.0
"""Kernel memory as bookkeeping: what is allocated, what was freed, and failures on demand."""

from collections import deque
from collections.abc import Callable, Iterable
from difflib import get_close_matches

from .errno import UsageError


class Allocation:
    """A piece of kernel memory: one object of one kind."""

    __slots__ = ("freed", "kind", "serial")

    def __init__(self, kind: str, serial: int) -> None:
        self.kind = kind
        self.serial = serial
        self.freed = False

    def __repr__(self) -> str:
        return f"<{self.kind} {self.serial}{' freed' if self.freed else ''}>"


class Injector:
    """Results to be had instead of the real ones, once each, by name.

    A negative result makes the named step fail with it. A positive one lets it happen and changes only its answer.

    >>> injector.add("get_queue", Errno.EIO)
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.names = frozenset(names)
        self._waiting: dict[str, deque[int]] = {}

    def add(self, name: str, result: int) -> None:
        """Let the next `name` answer `result`. Raises UsageError where no step has this name."""
        if name not in self.names:
            near = get_close_matches(name, self.names, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"one of: {', '.join(sorted(self.names))}"
            raise UsageError(f"nothing called {name!r} can be made to fail; {hint}")
        self._waiting.setdefault(name, deque()).append(result)

    def take(self, name: str) -> int | None:
        """Return the result waiting for `name` and forget it; None if there is none."""
        waiting = self._waiting.get(name)
        return waiting.popleft() if waiting else None

    def clear(self) -> None:
        """Forget every result that was not used."""
        self._waiting.clear()

    def pending(self) -> dict[str, list[int]]:
        """Return what is still waiting."""
        return {name: list(waiting) for name, waiting in self._waiting.items() if waiting}


class Allocator:
    """Hands out kernel memory, fails when told to, and knows at the end what nobody freed.

    The k-th allocation from now fails after `fail_at(k)`; one kind fails once after an injected ``alloc:KIND``.
    """

    def __init__(self, injector: Injector, report: Callable[[str, str], None]) -> None:
        self.live: dict[int, Allocation] = {}
        self._injector = injector
        self._report = report
        self._serial = 0
        self._countdown: int | None = None

    def fail_at(self, k: int) -> None:
        """Let the k-th allocation from now fail (1 is the next). Raises UsageError if k is not positive."""
        if k < 1:
            raise UsageError(f"allocation number {k} cannot fail: count from 1")
        self._countdown = k

    def allocate(self, kind: str) -> Allocation | None:
        """Return memory for one object, or None when this allocation was told to fail."""
        if self._countdown is not None:
            self._countdown -= 1
            if self._countdown == 0:
                self._countdown = None
                return None
        if self._injector.take(f"alloc:{kind}") is not None:
            return None
        self._serial += 1
        allocation = Allocation(kind, self._serial)
        self.live[self._serial] = allocation
        return allocation

    def free(self, allocation: Allocation) -> None:
        """Give memory back. A second time is reported as a double free."""
        if allocation.freed:
            self._report("double free", f"{allocation.kind} {allocation.serial} is freed twice")
            return
        allocation.freed = True
        del self.live[allocation.serial]

    def count(self, kind: str) -> int:
        """Return how many objects of `kind` are alive."""
        return sum(allocation.kind == kind for allocation in self.live.values())
