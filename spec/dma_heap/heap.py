# SPDX-License-Identifier: Apache-2.0
"""The system heap of 6.12.117: opening it, allocating from it, and what its buffers add to the calls of a dma-buf."""

from __future__ import annotations

from enum import Enum

from accelspec.spec.kernel import Address, Fd, File, Process
from accelspec.spec.kernel.dma_bufs import Access, DmaBuf
from accelspec.spec.language import (
    EFAULT,
    EINVAL,
    ENOMEM,
    ENOTTY,
    OK,
    Result,
    fails,
    inserts,
    operation,
    read,
    require,
)

from .laws import Laws

SYSTEM = "linux 6.12.117 drivers/dma-buf/heaps/system_heap.c"
DMA_BUF = "linux 6.12.117 drivers/dma-buf/dma-buf.c"
PAT = "linux 6.12.117 arch/x86/mm/pat/memtype.c"
MEMORY = "linux 6.12.117 mm/memory.c"


class Request(Enum):
    """The argument of DMA_HEAP_IOCTL_ALLOC, with one thing wrong.  Lengths are rounded up to pages."""

    FD_GIVEN = "fd is not 0"
    FD_FLAGS = "fd_flags beyond O_CLOEXEC and the access"
    HEAP_FLAGS = "heap_flags is not 0"
    EMPTY = "len is 0"
    WRAPS = "len is the largest number: rounded up it is 0"
    BAD_POINTER = "the argument cannot be read"
    READ_ONLY = "the argument cannot be written: the new descriptor cannot be told"


class DmaHeap(Laws):
    """dma-heap with the system heap, as Linux 6.12.117 has it."""

    machine = "dma_heap"
    revision = "6.12.117"
    document = "linux 6.12.117 drivers/dma-buf/dma-heap.c"
    scopes = {
        "one buffer": {"Fd": 2, "Page": 2, "File": 2},
        "two addresses": {"Fd": 2, "Address": 2, "File": 2, "Message": 0},
        "two processes": {"Process": 2, "Mm": 2, "Fd": 3, "DmaBuf": 0, "Message": 0},
    }

    @operation
    def open(self, p: Process, n: Fd) -> Result:
        require(self.unused(p, n))
        f = File()
        p.fd[n] = f
        return OK("ok", read("dma_heap_open"))

    def heap_of(self, p: Process, n: Fd) -> None:
        f = self.file_of(p, n)
        if not self.is_node(f):
            raise ENOTTY("not_a_heap", read("dma_buf_ioctl", document=DMA_BUF))

    @operation
    def alloc(self, p: Process, n: Fd, k: Fd, access: Access) -> Result:
        """DMA_HEAP_IOCTL_ALLOC of all pages of a buffer, less a byte; the new descriptor is k."""
        require(self.unused(p, k) and n is not k)
        self.heap_of(p, n)
        if fails("allocation"):
            return ENOMEM("no_memory", read("system_heap_allocate", document=SYSTEM))
        f = File()
        DmaBuf(file=f, access=access)
        p.fd[k] = f
        return OK("ok", read("system_heap_allocate", document=SYSTEM))

    @operation
    def alloc_refused(self, p: Process, n: Fd, asked: Request) -> Result:
        """The same with one thing wrong."""
        require(p.running)
        self.heap_of(p, n)
        if asked is Request.BAD_POINTER:
            return EFAULT("bad_pointer", read("dma_heap_ioctl"))
        if asked is Request.FD_GIVEN:
            return EINVAL("fd_given", read("dma_heap_ioctl_allocate"))
        if asked is Request.FD_FLAGS:
            return EINVAL("fd_flags", read("dma_heap_ioctl_allocate"))
        if asked is Request.HEAP_FLAGS:
            return EINVAL("heap_flags", read("dma_heap_ioctl_allocate"))
        if asked is Request.READ_ONLY:
            return EFAULT("cannot_tell", read("dma_heap_ioctl", "the buffer and the number are given back"))
        return EINVAL("empty", read("dma_heap_ioctl_allocate", "after rounding up"))

    @inserts(before="fork.ok")
    def fork_copied(self, p: Process) -> None:
        if any(a.copied[p.mm] for a in Address):
            raise ENOMEM("copied", read("get_pat_info", "which page a private mapping had is not found", document=PAT))

    def no_such_call(self, f: File) -> None:
        if self.is_node(f):
            raise EINVAL("unknown_number", read("dma_heap_ioctl", "not ENOTTY"))

    def sync_of_node(self, f: File) -> None:
        """On a heap's descriptor the command allocates: never made."""
        require(not self.is_node(f))

    def exporter_refuses(self, private: bool, whole: bool) -> None:
        if private and whole and any(a is not b for a in Address for b in Address):
            raise EINVAL(
                "page_by_page",
                read("remap_pfn_range_internal", "of a private mapping it wants the whole", document=MEMORY),
            )
