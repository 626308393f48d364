# SPDX-License-Identifier: Apache-2.0
"""The file operations of a buffer: release, poll, mmap."""

from typing import TYPE_CHECKING, Final

from ..kernel import Errno, Oops, Poll, Step, Task, Vma, point
from ..kernel.files import FileOperations, OpenFile
from ..kernel.memory_maps import PAGE
from ..kernel.poll import PollTable
from .buffer import DmaBuf, PollSlot
from .fence import Callback
from .resv import Usage, implicit

if TYPE_CHECKING:
    from .core import Core

READ: Final = 1  # access flags of CPU access and of sync files
WRITE: Final = 2

IN, OUT = int(Poll.IN), int(Poll.OUT)


class DmabufFops(FileOperations):
    """What a user can do with the descriptor of a buffer."""

    def __init__(self, core: "Core") -> None:
        self.core = core

    @staticmethod
    def _buffer(file: OpenFile) -> DmaBuf:
        buffer = file.private_data
        if not isinstance(buffer, DmaBuf):
            raise Oops("the release of a file without a buffer: NULL dereference")
        return buffer

    def release(self, task: Task, file: OpenFile) -> Step[None]:
        """Unlist the buffer, then let go of what it stands for: two steps, between which nobody can find it."""
        buffer = self._buffer(file)
        if self.core.design.unlisted_before_gone:
            yield from self.core.unlist(task, buffer)
            buffer.file_gone = True
            yield point("release: unlisted")
        else:
            buffer.file_gone = True
            yield point("release: file gone")
            yield from self.core.unlist(task, buffer)
        yield from self.core.finish(task, buffer)

    def mmap(self, task: Task, file: OpenFile, vma: Vma) -> Step[int]:
        """Map the buffer: -EINVAL (the exporter has no such operation, beyond the end), or what it answers.

        A writable shared map of a description that may not be written is -EACCES.
        """
        buffer = self._buffer(file)
        if not buffer.ops.can_mmap:
            return Errno.EINVAL
        if vma.pgoff < 0 or (vma.pgoff + vma.pages) * PAGE > buffer.size:
            return Errno.EINVAL
        return (yield from buffer.ops.mmap(task, buffer, vma))

    def poll(self, task: Task, file: OpenFile, table: PollTable) -> Step[int]:
        """Tell whether a reader (IN) and a writer (OUT) would have to wait for no fence.

        A direction that is armed already is not offered: the one callback wakes everybody.
        """
        buffer = self._buffer(file)
        buffer.wait.wait(table)
        events = table.events & (IN | OUT)
        yield from buffer.resv.lock(task)
        for slot, event in zip(buffer.slots, (IN, OUT), strict=True):
            if events & event and (slot.armed or self._arm(task, buffer, slot, event)):
                events &= ~event
        buffer.resv.unlock(task)
        return events

    def _arm(self, task: Task, buffer: DmaBuf, slot: PollSlot, event: int) -> bool:
        """Arm `slot` on the first fence that is not signaled; False if there is none."""
        for fence in buffer.resv.fences(implicit(event == OUT)):
            callback = Callback(lambda task: self._fired(task, buffer, slot))
            fence.get()
            if fence.add_callback(task, callback) == 0:
                buffer.file.get()
                slot.fence, slot.callback = fence, callback
                return True
            fence.put(task)
        return False

    def _fired(self, task: Task, buffer: DmaBuf, slot: PollSlot) -> None:
        buffer.wait_lock.take(task)
        fence, slot.fence, slot.callback = slot.fence, None, None
        buffer.wait.wake()
        buffer.wait_lock.release(task)
        if fence is not None:
            fence.put(task)
        buffer.file.put(task)


def access(flags: int) -> Usage | None:
    """Return the class that READ and/or WRITE wait at; None for anything else."""
    return None if flags & ~(READ | WRITE) or not flags else implicit(bool(flags & WRITE))
