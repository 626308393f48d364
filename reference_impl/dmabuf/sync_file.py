# SPDX-License-Identifier: Apache-2.0
"""Sync files: snapshots of fences behind a descriptor, which a process can wait for, ask and merge."""

from functools import partial

from ..kernel import Errno, Poll, Step, Task, point
from ..kernel.files import FileOperations, Inode, OpenFile
from ..kernel.poll import PollTable, WaitQueue
from ..kernel.process import Process
from .fence import Callback, Fence, Fences


class SyncFile:
    """A snapshot of fences. Of none it stands for what is over; of several it is an array, which is a fence itself.

    An array is signaled when all its fences are. It listens to them only once somebody asked to be told (`asked`), and
    hears of an error only so; found signaled before that (`done`) it has succeeded. Closed, it stays until it has heard
    from all.
    """

    def __init__(self, fences: list[Fence]) -> None:
        self.fences = fences
        self.wait = WaitQueue()
        self.asked = False
        self.done = False
        self.closed = False
        self._callbacks: list[tuple[Fence, Callback]] = []
        self._unheard = 0  # callbacks that are still to come; of a fence that is there twice, two
        self._error = 0  # of an array: the first that it heard of

    @property
    def several(self) -> bool:
        """Tell whether it is an array."""
        return len(self.fences) > 1

    @property
    def signaled(self) -> bool:
        """Tell whether all fences are signaled; a snapshot of none is."""
        return all(fence.signaled for fence in self.fences)

    def status(self) -> int:
        """Return 0 while pending, 1 when done, or the error."""
        if not self.signaled:
            return 0
        if not self.several:
            return next((fence.status() for fence in self.fences), 1)
        self.done = self.done or not self.asked
        return self._error or 1

    def listen(self, task: Task) -> None:
        """Have every fence tell when it is signaled."""
        if self.asked or self.done:
            return
        self.asked = True
        for fence in self.fences:
            callback = Callback(partial(self._heard, fence))
            if fence.add_callback(task, callback) == 0:
                self._callbacks.append((fence, callback))
                self._unheard += 1
            else:
                self._error = self._error or fence.error

    def _heard(self, fence: Fence, task: Task) -> None:
        self._error = self._error or fence.error
        self._unheard -= 1
        if self._unheard == 0:
            self.wait.wake()
            if self.closed:
                fence.timeline.fences.defer(self.put_fences)  # not here, under the lock of one of them

    def close(self, task: Task) -> None:
        """Let go of the fences: at once, or when an array that listens has heard from all."""
        self.closed = True
        if not self.several:
            for fence, callback in self._callbacks:
                fence.remove_callback(task, callback)
        elif self._unheard:
            return
        self.put_fences(task)

    def put_fences(self, task: Task) -> None:
        """Drop the references to all fences."""
        for fence in self.fences:
            fence.put(task)


def merged(one: SyncFile, other: SyncFile) -> list[Fence]:
    """Return what whoever waits for both still waits for: of each timeline the latest fence that is pending."""
    latest: dict[int, Fence] = {}
    for fence in (*one.fences, *other.fences):
        context = fence.timeline.context
        if not fence.signaled and (context not in latest or fence.is_later(latest[context])):
            latest[context] = fence
    return list(latest.values())


class SyncFops(FileOperations):
    """What a user can do with a sync file."""

    def __init__(self, fences: Fences) -> None:
        self.fences = fences

    def make(self, task: Task, process: Process, fences: list[Fence], n: int | None) -> int:
        """Publish a snapshot of `fences` as descriptor `n`: the number, -EMFILE, -ENOMEM."""
        number = process.files.reserve(n)
        if number < 0:
            return number
        file = self.fences.kernel.new_file(Inode("sync_file", 0))
        if file is None:
            process.files.unreserve(number)
            return Errno.ENOMEM
        file.fops = self
        for fence in fences:
            fence.published = True
        file.private_data = SyncFile([fence.get() for fence in fences])
        process.publish(task, number, file)
        return number

    def poll(self, task: Task, file: OpenFile, table: PollTable) -> Step[int]:
        """IN once everything is signaled."""
        sync: SyncFile = file.private_data
        sync.wait.wait(table)
        yield point("sync file: polled")
        sync.listen(task)
        return int(Poll.IN) if sync.signaled else 0

    def release(self, task: Task, file: OpenFile) -> Step[None]:
        """Let go of the fences."""
        sync: SyncFile = file.private_data
        sync.close(task)
        yield from ()
