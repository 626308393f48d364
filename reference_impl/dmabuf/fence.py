# SPDX-License-Identifier: Apache-2.0
"""Fences: promises of work that will end. A timeline makes them in order and signals them in order.

A fence goes from unsignaled to signaled once, and its error, time and callbacks follow from that: a callback runs at
most once, under the timeline's lock, with nothing that a signalling path could have to wait for.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from ..kernel import Errno, Kernel, Pause, Step, Task
from ..kernel.locks import Section, SpinLock
from ..kernel.memory import Allocation

if TYPE_CHECKING:
    from .design import Design

LARGEST_ERROR = 4095


@dataclass(slots=True, eq=False)
class Callback:
    """Something to do when a fence is signaled; it runs at most once, and never after it was removed."""

    run: Callable[[Task], None]
    runs: int = 0


class Fences:
    """All fences of one system: their timelines, which of them live, and what signalling orders with."""

    def __init__(self, kernel: Kernel, design: "Design") -> None:
        self.kernel = kernel
        self.design = design
        self.live: dict[int, Fence] = {}
        self.signalling = Section("FSIG", kernel.locks)
        self._contexts = count(1)
        self.serials = count(1)
        self._deferred: list[Callable[[Task], None]] = []

    def defer(self, work: Callable[[Task], None]) -> None:
        """Have `work` done when the fence that is being signaled has called everybody, and its lock is free again."""
        self._deferred.append(work)

    def run_deferred(self, task: Task) -> None:
        """Do what was deferred."""
        while self._deferred:
            self._deferred.pop(0)(task)

    def timeline(self, name: str, release: "Callable[[Fence], None] | None" = None) -> "Timeline":
        """Return a new context whose fences are numbered from 1."""
        return Timeline(self, next(self._contexts), name, release)


class Timeline:
    """A fence context: its fences are later or earlier than one another, and are signaled in that order."""

    def __init__(
        self, fences: Fences, context: int, name: str, release: "Callable[[Fence], None] | None" = None
    ) -> None:
        self.fences = fences
        self.context = context
        self.name = name
        self.lock = SpinLock("FLOCK", fences.kernel.locks)
        self.pending: dict[int, Fence] = {}  # by number, not counted: a fence leaves with its release
        self._release = release
        self._numbers = count(1)

    def fence(self, enable: "Callable[[], bool] | None" = None) -> "Fence | None":
        """Return the next fence with one reference, or None without memory.

        `enable` is asked once, when somebody wants to be told; False means that the work is done already.
        """
        memory = self.fences.kernel.allocator.allocate("fence")
        if memory is None:
            return None
        fence = Fence(self, next(self._numbers), memory, enable)
        self.fences.live[fence.serial] = fence
        self.pending[fence.seqno] = fence
        return fence

    def unlink(self, task: Task, fence: "Fence") -> None:
        """Forget a fence that nobody refers to."""
        self.lock.take(task)
        self.pending.pop(fence.seqno, None)
        self.lock.release(task)
        if self._release is not None:
            self._release(fence)


class Fence:
    """One promise. `refs` counts who keeps it; `error` is 0 or what went wrong, and is only read once signaled."""

    __slots__ = (
        "_enable", "callbacks", "enabled", "error", "memory", "published", "refs", "seqno", "serial", "signaled",
        "timeline", "timestamp",
    )  # fmt: skip

    def __init__(
        self, timeline: Timeline, seqno: int, memory: Allocation, enable: "Callable[[], bool] | None" = None
    ) -> None:
        self.timeline = timeline
        self.seqno = seqno
        self.serial = next(timeline.fences.serials)
        self.memory = memory
        self.refs = 1
        self.signaled = False
        self.timestamp: int | None = None
        self.enabled = False
        self.error = 0
        self.published = False  # somebody else can wait for it
        self.callbacks: list[Callback] = []
        self._enable = enable

    def __repr__(self) -> str:
        return f"<fence {self.timeline.context}:{self.seqno}>"

    def get(self) -> "Fence":
        """Take a reference."""
        self.refs += 1
        return self

    def put(self, task: Task) -> None:
        """Drop a reference. The last one of an unsignaled fence signals it with an error, so that nobody hangs."""
        if self.refs <= 0:
            self._report("use after free", f"a reference to {self} is dropped after its release")
            return
        self.refs -= 1
        if self.refs:
            return
        if not self.signaled and (self.callbacks or self.published):
            self._report("dmabuf.F01", f"{self} is released before it was signaled")
            self.error = Errno.EDEADLK
            self.refs = 1  # whoever is called back may look at it
            self.signal(task)
            self.refs = 0
        self.timeline.unlink(task, self)
        self.timeline.fences.kernel.allocator.free(self.memory)
        del self.timeline.fences.live[self.serial]

    def set_error(self, error: int) -> None:
        """Say what went wrong, before the fence is signaled; anything else is reported, and stored all the same."""
        if self.signaled or not -LARGEST_ERROR <= error < 0:
            self._report("dmabuf.F03", f"{self} gets error {error}{' after it was signaled' if self.signaled else ''}")
        self.error = error

    def signal(self, task: Task) -> int:
        """Keep the promise: everybody who asked is called, once. 0, or -EINVAL without effect the second time."""
        fences = self.timeline.fences
        hold = fences.design.signal_holds_fence
        if hold:
            self.refs += 1
        fences.signalling.enter(task)
        self.timeline.lock.take(task)
        result = self._signal(task)
        self.timeline.lock.release(task)
        fences.signalling.leave(task)
        if hold:
            self.put(task)
        fences.run_deferred(task)
        return result

    def _signal(self, task: Task) -> int:
        if self.signaled:
            return Errno.EINVAL
        for earlier in self.timeline.pending.values():
            if earlier.seqno < self.seqno and earlier.published and not earlier.signaled:
                self._report("dmabuf.F08", f"{self} is signaled before {earlier}")
        self.signaled = True
        self.timestamp = self.timeline.fences.kernel.now
        callbacks, self.callbacks = self.callbacks, []
        for callback in callbacks:
            self._call(task, callback)
        return 0

    def _call(self, task: Task, callback: Callback) -> None:
        callback.runs += 1
        if callback.runs > 1:
            self._report("dmabuf.F07", f"a callback of {self} runs {callback.runs} times")
        callback.run(task)

    def add_callback(self, task: Task, callback: Callback) -> int:
        """Have `callback` run when the fence is signaled: 0, or -ENOENT if it is already (and nothing is queued)."""
        self.enable_signaling(task)
        if self.signaled:
            return Errno.ENOENT
        self.timeline.lock.take(task)
        self.callbacks.append(callback)
        self.timeline.lock.release(task)
        return 0

    def on_signal(self, task: Task, run: Callable[[Task], None]) -> int:
        """Have `run` called when the fence is signaled: 0, or -ENOENT as `add_callback`."""
        return self.add_callback(task, Callback(run))

    def remove_callback(self, task: Task, callback: Callback) -> bool:
        """Take a callback back; True if it was still queued, and then it never runs."""
        self.timeline.lock.take(task)
        queued = callback in self.callbacks
        if queued:
            self.callbacks.remove(callback)
        self.timeline.lock.release(task)
        return queued

    def enable_signaling(self, task: Task) -> None:
        """Ask the driver, once, to tell when it is done; one that is done already is signaled now."""
        if self.enabled or self.signaled:
            return
        self.enabled = True
        if self._enable is not None and not self._enable():
            self.signal(task)

    def status(self) -> int:
        """Return 0 while pending, 1 when done, or the error it was signaled with."""
        if not self.signaled:
            return 0
        return self.error or 1

    def is_later(self, other: "Fence") -> bool:
        """Tell whether this fence comes after `other` of the same context (32-bit numbers wrap)."""
        if self.timeline is not other.timeline:
            self._report("fence order", f"{self} and {other} are of different contexts")
            return False
        return 0 < (self.seqno - other.seqno) & 0xFFFFFFFF < 1 << 31

    def wait(self, task: Task, timeout: int | None = None, *, interruptible: bool = True) -> Step[int]:
        """Sleep until signaled, `timeout` seconds at most (None: as long as it takes).

        The seconds that were left, at least 1; 0 when time is up; -EINVAL (negative timeout); the signal that came.
        With no time it never sleeps, and answers 1 or 0.
        """
        if timeout is not None and timeout < 0:
            return Errno.EINVAL
        fences = self.timeline.fences
        if timeout == 0:
            self.enable_signaling(task)
            return int(self.signaled)
        fences.signalling.touch(task)
        self.get()
        self.enable_signaling(task)
        kernel = fences.kernel
        end = None if timeout is None else kernel.now + timeout

        def ready() -> bool:
            over = end is not None and kernel.now >= end
            return self.signaled or over or (interruptible and task.signal is not None)

        try:
            while not ready():
                yield Pause(f"{self}", "sleep", ready)
            if self.signaled:
                return 1 if end is None else max(1, end - kernel.now)
            if task.signal is not None and interruptible:
                return task.signal
            return 0
        finally:
            self.put(task)

    def _report(self, rule: str, text: str) -> None:
        self.timeline.fences.kernel.findings.report(rule, text)
