# SPDX-License-Identifier: Apache-2.0
"""A heap: shared buffers of ordinary memory, which every kind of importer can use and a process can map."""

from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..kernel import PAGE, Errno, Outcome, Step, Task, UserFault, Vma, VmOps
from ..kernel.memory import Allocation
from ..kernel.memory_maps import Page, RamPage
from ..kernel.process import Process
from .addresses import Window, address_list
from .buffer import Attachment, Direction, DmaBuf, Mapping
from .core import Core
from .importer import Kind

FIRST_HOST = 1 << 52  # bus addresses of ordinary memory begin here


class HeapMemory:
    """The pages behind one buffer of the heap."""

    home: Any = None  # no device has them
    extent: Any = None
    generation = 0

    def __init__(self, memory: NDArray[np.uint8], start: int, allocation: Allocation) -> None:
        self.memory = memory
        self.window = Window(start, memory, lambda: True, "memory")
        self.allocation = allocation


class Heap:
    """The exporter operations of the heap."""

    name = "heap"
    dynamic = False
    can_mmap = True

    def __init__(self, core: Core) -> None:
        self.core = core
        self._addresses = count(FIRST_HOST, 1 << 36)
        self._vm_ops = VmOps(fault=self._fault)

    def allocate(self, task: Task, process: Process, size: int, n: int | None, flags: int, cloexec: bool) -> Step[int]:
        """Make a buffer of whole pages: a descriptor, -EINVAL (no size), -EMFILE, -ENOMEM, -EFAULT (copying out)."""
        if size <= 0:
            return Errno.EINVAL
        number = process.files.reserve(n)
        if number < 0:
            return number
        allocation = self.core.kernel.allocator.allocate("heap memory")
        if allocation is None:
            process.files.unreserve(number)
            return Errno.ENOMEM
        size = -(-size // PAGE) * PAGE
        what = HeapMemory(np.zeros(size, np.uint8), next(self._addresses), allocation)
        self.core.bus.add(what.window)
        buffer = yield from self.core.export(task, self, what, size, flags)
        if isinstance(buffer, int):
            self._free(what)
            process.files.unreserve(number)
            return buffer
        if self.core.kernel.injector.take("copy_to_user") is not None:
            self.core.put(task, buffer)
            process.files.unreserve(number)
            return Errno.EFAULT
        process.publish(task, number, buffer.file, cloexec)
        return number

    def _free(self, what: HeapMemory) -> None:
        self.core.bus.remove(what.window)
        self.core.kernel.allocator.free(what.allocation)

    def attach(self, task: Task, attachment: Attachment) -> Step[int]:
        """Accept everybody."""
        yield from ()
        return 0

    def detach(self, task: Task, attachment: Attachment) -> Step[None]:
        """Nothing to undo."""
        yield from ()

    def pin(self, attachment: Attachment) -> int:
        """The memory never moves."""
        return 0

    def unpin(self, attachment: Attachment) -> None:
        """Undo `pin`."""

    def map(self, task: Task, attachment: Attachment, direction: Direction) -> Mapping | int:
        """Return the address list: -EOPNOTSUPP (physical ranges are not given), -EINVAL (segments), -ENOMEM."""
        if attachment.importer.kind is Kind.PHYSICAL:
            return Errno.EOPNOTSUPP
        what: HeapMemory = attachment.buffer.priv
        pages = range(what.window.start, what.window.end, PAGE)
        longest = attachment.importer.device.max_segment
        segments = address_list(pages, PAGE, 0, attachment.buffer.size, 0, longest)
        if isinstance(segments, int):
            return segments
        memory = self.core.kernel.allocator.allocate("mapping")
        if memory is None:
            return Errno.ENOMEM
        return Mapping(attachment, segments, direction, memory, cover=pages)

    def unmap(self, task: Task, mapping: Mapping) -> None:
        """Take an address list back."""
        mapping.end()
        self.core.kernel.allocator.free(mapping.memory)

    def cpu_access(self, task: Task, buffer: DmaBuf, flags: int, begin: bool) -> int:
        """Nothing to do: the memory is coherent."""
        return 0

    def mmap(self, task: Task, buffer: DmaBuf, vma: Vma) -> Step[int]:
        """Let a process map the buffer: -EINVAL (private)."""
        yield from ()
        if vma.private:
            return Errno.EINVAL
        vma.ops = self._vm_ops
        vma.private_data = buffer
        vma.dont_expand = True
        return 0

    def _fault(self, vma: Vma, index: int) -> Page:
        buffer: DmaBuf = vma.private_data
        page = vma.pgoff + index
        if page * PAGE >= buffer.size:
            raise UserFault(Outcome.SIGBUS, (vma.start + index) * PAGE)
        what: HeapMemory = buffer.priv
        vma.ptes[index] = frame = RamPage(what.memory, page, buffer)
        return frame

    def release(self, task: Task, buffer: DmaBuf) -> Step[None]:
        """Give the memory back."""
        yield from ()
        self._free(buffer.priv)
