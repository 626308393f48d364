# SPDX-License-Identifier: Apache-2.0
"""The machine dma_heap in the guest: the node of the system heap, and what it gives out."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from ..machine.system_calls import PAGE, Buffer, Direction, Number, ioctl_number
from ..machine.wire import Step
from .kernel_book import index
from .kernel_dma_bufs import NOWHERE, PAGES, DmaBufBook, DmaBufs, descriptor

NODE = "/dev/dma_heap/system"
ALLOC = ioctl_number(Direction.BOTH, "H", 0, 24)
FD_AT = 8  # in struct dma_heap_allocation_data
O_CLOEXEC, O_NONBLOCK = 0o2000000, 0o4000
ACCESS = {"RDONLY": 0, "WRONLY": 1, "RDWR": 2}
LARGEST = (1 << 64) - 1
# What differs from a good request: length, descriptor, flags of the descriptor, flags of the heap.
BAD = {"FD_GIVEN": {"fd": 1}, "FD_FLAGS": {"more": O_NONBLOCK}, "HEAP_FLAGS": {"heap": 1}, "EMPTY": {"length": 0}}
BAD["WRAPS"] = {"length": LARGEST}


def request(access: str, length: int = PAGES * PAGE - 1, fd: int = 0, more: int = O_CLOEXEC, heap: int = 0) -> bytes:
    """A struct dma_heap_allocation_data."""
    return struct.pack("<QIIQ", length, fd, ACCESS[access] | more, heap)


@dataclass
class DmaHeapBook(DmaBufBook):
    """The calls of the dma_heap machine."""

    def do_open(self, process: str, fd: str) -> Step:
        return self.open(process, NODE, fd)

    def do_alloc(self, process: str, fd: str, new: str, access: str) -> Step:
        return self.ask(process, fd, Buffer(request(access)), index(new))

    def do_alloc_refused(self, process: str, fd: str, asked: str) -> Step:
        data = request("RDWR", **BAD.get(asked, {}))
        return self.ask(
            process, fd, NOWHERE if asked == "BAD_POINTER" else Buffer(data, read_only=asked == "READ_ONLY")
        )

    def ask(self, process: str, fd: str, argument: Buffer | int, slot: int | None = None) -> Step:
        """DMA_HEAP_IOCTL_ALLOC."""
        return self.call(process, Number.IOCTL, descriptor(fd), ALLOC, argument, answer_at=FD_AT, slot=slot)


class DmaHeap(DmaBufs):
    """dma_heap; the system heap is built into the kernel."""

    book_of = DmaHeapBook
