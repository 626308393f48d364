# SPDX-License-Identifier: Apache-2.0
"""Reservation objects: the fences of a buffer, each with the class of who has to wait for it, under one lock.

Many reservations can be locked together under one ticket: who is younger backs off and waits, so somebody always gets
on. Without a ticket a task holds one reservation at most.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import count

from ..kernel import Errno, Kernel, Oops, Pause, Step, Task, point
from ..kernel.locks import Mutex, Section
from .design import Design
from .fence import Fence

_TICKETS = count(1)


class Usage(IntEnum):
    """Why a fence is there. A query at a class finds every fence of that class and of those before it."""

    KERNEL = 0  # the memory manager moves or clears: everybody waits
    WRITE = 1
    READ = 2
    BOOKKEEP = 3  # only moving, freeing and revoking wait


def implicit(write: bool) -> Usage:
    """Return the class at which a new reader, or a new writer, waits."""
    return Usage.READ if write else Usage.WRITE


@dataclass(slots=True, eq=False)
class Entry:
    """A place in the list: the fence that is there now, and its class."""

    fence: Fence
    usage: Usage


class Ticket:
    """The right to lock several reservations. The older one wins: `stamp` stays the same when it starts again."""

    __slots__ = ("_section", "_task", "held", "stamp")

    def __init__(self, task: Task, kernel: Kernel) -> None:
        self.stamp = next(_TICKETS)
        self.held: list[Resv] = []
        self._task = task
        self._section = Section("WWACQ", kernel.locks)
        self._section.enter(task)

    def lock_all(self, resvs: "Sequence[Resv]") -> Step[None]:
        """Lock all of `resvs`, backing off from an older ticket as often as it takes."""
        contended: Resv | None = None
        while True:
            if contended is not None:
                yield from contended.lock_slowly(self._task, self)
            for resv in resvs:
                if resv not in self.held and (yield from resv.lock_with(self._task, self)):
                    contended = resv
                    break
            else:
                return
            self._back_off()

    def _back_off(self) -> None:
        for resv in self.held:
            resv.unlock(self._task)
        self.held.clear()

    def done(self) -> None:
        """Unlock everything and give the ticket back."""
        self._back_off()
        self._section.leave(self._task)


class ResvLock(Mutex):
    """The lock of a reservation: with a ticket, several of the class may be held, and a younger task dies."""

    __slots__ = ("ticket",)

    def __init__(self, kernel: Kernel) -> None:
        super().__init__("RESV", kernel.locks)
        self.ticket: Ticket | None = None


class Resv:
    """The fences of one buffer. Everything but `fences` needs the lock."""

    def __init__(self, kernel: Kernel, design: Design) -> None:
        self.kernel = kernel
        self.design = design
        self.mutex = ResvLock(kernel)
        self.entries: list[Entry] = []
        self.least = 4  # fences that a list has room for, once it has any
        self._size = 0  # of the memory behind `entries`, in fences
        self._room = 0

    @property
    def owner(self) -> Task | None:
        """Who holds the lock."""
        return self.mutex.owner

    def lock(self, task: Task) -> Step[None]:
        """Take the lock, with no other reservation held."""
        return self.mutex.acquire(task)

    def lock_with(self, task: Task, ticket: Ticket) -> Step[int]:
        """Take the lock; 0, or -EDEADLK where `ticket` has to back off for an older one."""
        yield point("before RESV")
        while self.mutex.owner is not None:
            other = self.mutex.ticket
            if other is not None and other.stamp < ticket.stamp:
                return Errno.EDEADLK
            yield self._free()
        self._take(task, ticket)
        return 0

    def lock_slowly(self, task: Task, ticket: Ticket) -> Step[None]:
        """Wait for the lock that `ticket` backed off from; it holds nothing else now."""
        while self.mutex.owner is not None:
            yield self._free()
        self._take(task, ticket)

    def _free(self) -> Pause:
        return Pause("RESV", "lock", lambda: self.mutex.owner is None)

    def _take(self, task: Task, ticket: Ticket) -> None:
        if not ticket.held and task.held:
            self.kernel.locks.wants(task, "RESV")
        self.mutex.owner = task
        self.mutex.ticket = ticket
        task.held.append(self.mutex)
        ticket.held.append(self)

    def unlock(self, task: Task) -> None:
        """Give the lock back."""
        self.mutex.ticket = None
        self.mutex.release(task)

    def assert_held(self, task: Task, what: str) -> None:
        """Report `what` if it is done without the lock."""
        if self.mutex.owner is not task:
            self.kernel.findings.report("dmabuf.I31", f"{what} without the reservation lock ({task.name})")

    def reserve(self, task: Task, slots: int) -> int:
        """Make room for `slots` fences: 0, -EINVAL (none wanted), -ENOMEM.

        A list that must grow leaves behind what is signaled.
        """
        if slots <= 0:
            return Errno.EINVAL
        if task.held:
            self.kernel.locks.wants(task, "RECLAIM")
        if len(self.entries) + slots > self._size:
            if self.kernel.injector.take("resv_reserve") is not None:
                return Errno.ENOMEM
            self._size = max(self.least, len(self.entries) + slots, 2 * self._size)
            self._prune(task)
        self._room = max(self._room, slots)
        return 0

    def _prune(self, task: Task) -> None:
        over = [entry for entry in self.entries if entry.fence.signaled]
        self.entries = [entry for entry in self.entries if not entry.fence.signaled]
        for entry in over:
            entry.fence.put(task)

    def fill(self) -> None:
        """Have no room left, so that the next `reserve` needs memory (dma_resv_reset_max_fences, for debugging)."""
        self._size = len(self.entries)

    def add(self, task: Task, fence: Fence, usage: Usage) -> None:
        """Add a fence, in the place of one that it makes superfluous if there is one. Without room it is an oops."""
        self.assert_held(task, "a fence is added")
        if not self._room:
            raise Oops("a fence is added to a reservation without a reserved slot")
        self._room -= 1
        fence.get()
        fence.published = True
        for entry in self.entries:
            old = entry.fence
            same = old.timeline is fence.timeline and entry.usage >= usage
            later = old is fence or fence.is_later(old) if same else False
            if old.signaled or (same and (later or not self.design.replaces_only_older)):
                if not old.signaled and not later:
                    self.kernel.findings.report("dmabuf.F04", f"{old} is pending, and {fence} took its place")
                entry.fence, entry.usage = fence, usage
                old.put(task)
                return
        self.entries.append(Entry(fence, usage))

    def fences(self, usage: Usage) -> Iterator[Fence]:
        """Yield every fence of class `usage` or before."""
        return (entry.fence for entry in self.entries if entry.usage <= usage)

    def idle(self, usage: Usage) -> bool:
        """Tell whether all fences up to `usage` are signaled."""
        answers = [fence.signaled for fence in self.fences(usage)]
        idle = all(answers) if self.design.tests_all else answers[-1:] != [False]
        if idle and not all(answers):
            self.kernel.findings.report("dmabuf.F04", "a reservation counts as idle while a fence is pending")
        return idle

    def wait(self, task: Task, usage: Usage, timeout: int | None = None, *, interruptible: bool = True) -> Step[int]:
        """Wait for all fences up to `usage`: what is left of `timeout`, at least 1; 0 when it is over; a signal.

        With no time it is a test that never sleeps.
        """
        if timeout != 0:
            return (yield from self._wait(task, usage, timeout, interruptible))
        test, report = self._test(task, usage), self.kernel.findings.report
        try:
            while True:
                pause = next(test)
                report("dmabuf.F05", "a wait without time sleeps")
                yield pause
        except StopIteration as end:
            signaled = all(fence.signaled for fence in self.fences(usage))
            if end.value != int(signaled):
                report("dmabuf.F05", f"a wait without time answers {end.value}, and signaled is {signaled}")
            return int(end.value)

    def _test(self, task: Task, usage: Usage) -> Step[int]:
        if self.design.zero_wait_is_a_test:
            if self.idle(usage):
                return 1
            for fence in list(self.fences(usage)):
                fence.enable_signaling(task)  # it asks to be told, and may hear that it is done
                if not fence.signaled:
                    return 0
            return 1
        end = self.kernel.now + 1  # one tick, as if it were a short wait
        while not self.idle(usage) and self.kernel.now < end:
            yield Pause("a tick", "sleep", lambda: self.kernel.now >= end)
        return 0

    def _wait(self, task: Task, usage: Usage, timeout: int | None, interruptible: bool) -> Step[int]:
        left = 1 if timeout is None else timeout
        for fence in list(self.fences(usage)):
            if not fence.signaled:
                left = yield from fence.wait(task, timeout if timeout is None else left, interruptible=interruptible)
                if left <= 0:
                    return left
        return left

    def fini(self, task: Task) -> None:
        """Let go of every fence: the buffer is gone."""
        entries, self.entries = self.entries, []
        for entry in entries:
            entry.fence.put(task)
