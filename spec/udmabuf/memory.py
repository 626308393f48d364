# SPDX-License-Identifier: Apache-2.0
"""Memory files (memfd) and their seals, as far as they concern who shares the memory.

A process has one of them at most; its descriptor is not among those that are sent and duplicated, but fork and exec
take it along as any other.
"""

from __future__ import annotations

from enum import Enum

from accelspec.spec.kernel import Mm, Page, Process
from accelspec.spec.kernel.dma_bufs import DmaBuf, DmaBufs
from accelspec.spec.language import (
    EBUSY,
    EPERM,
    OK,
    WRITTEN,
    Map,
    Object,
    Result,
    Rigid,
    any_of,
    free,
    kernel,
    operation,
    read,
    require,
)

MEMFD = "linux 6.12.117 mm/memfd.c"
SHMEM = "linux 6.12.117 mm/shmem.c"


class Seal(Enum):
    """What F_ADD_SEALS adds."""

    SHRINK = "the file gets no shorter"
    WRITE = "nobody writes to it"
    FUTURE_WRITE = "nobody who cannot do so now writes to it"


class Memory(Object):
    """The inode of a memfd: there as long as a process has it open, or a udmabuf has its pages pinned."""

    held: Map[Process, bool] = Map()
    sealable: Rigid[bool]  # MFD_ALLOW_SEALING
    shrink: bool = False
    write: bool = False
    future: bool = False
    empty: bool = False  # cut to nothing; else it is as long as a buffer
    written: Map[Page, bool] = Map()


class Udmabuf(Object):
    """A struct udmabuf: a dma-buf whose n-th page is the n-th page of the memory."""

    buffer: Rigid[DmaBuf]
    memory: Rigid[Memory]
    begun: bool = False  # it has a table of its pages: made at the first START, or when a device maps it


class Memories(DmaBufs):
    document = MEMFD

    def memory_of(self, p: Process) -> Memory:
        x = any_of(x for x in Memory if x.held[p])
        return x  # noqa: RET504 (any_of stands in a statement of its own)

    def pinned(self, x: Memory) -> bool:
        return any(u.memory is x for u in Udmabuf)

    def forget(self) -> None:
        for u in Udmabuf:
            if not self.referenced(u.buffer.file):
                free(u)
        super().forget()
        self.forget_memory()

    def forget_memory(self) -> None:
        for x in Memory:
            if not self.pinned(x) and not any(x.held[p] for p in Process):
                free(x)

    @operation
    def memfd_create(self, p: Process, sealable: bool) -> Result:
        """A new one, as long as a buffer."""
        require(p.running and not any(x.held[p] for x in Memory))
        x = Memory(sealable=sealable)
        x.held[p] = True
        return OK("ok", read("SYSCALL_DEFINE2(memfd_create)"))

    @operation
    def memfd_close(self, p: Process) -> Result:
        require(p.running)
        x = self.memory_of(p)
        x.held[p] = False
        self.forget_memory()
        return OK("ok", kernel("close", "pinned pages stay"))

    @operation
    def seal(self, p: Process, what: Seal) -> Result:
        """F_ADD_SEALS."""
        require(p.running)
        x = self.memory_of(p)
        if not x.sealable:
            return EPERM("not_sealable", read("memfd_add_seals", "F_SEAL_SEAL is there from the start"))
        if what is Seal.WRITE and not x.write and self.pinned(x):
            return EBUSY("pinned", read("memfd_wait_for_pins", "after some looks at the counts of the pages"))
        x.shrink = x.shrink or what is Seal.SHRINK
        x.write = x.write or what is Seal.WRITE
        x.future = x.future or what is Seal.FUTURE_WRITE
        return OK("ok", read("memfd_add_seals", "F_SEAL_FUTURE_WRITE does not ask who has the pages"))

    @operation
    def truncate(self, p: Process, away: bool) -> Result:
        """To nothing, or to the length of a buffer."""
        require(p.running)
        x = self.memory_of(p)
        if away and x.shrink and not x.empty:
            return EPERM("sealed", read("shmem_setattr", document=SHMEM))
        for b in Page:
            x.written[b] = x.written[b] and not away
        x.empty = away
        return OK("ok", read("shmem_setattr", "what comes back is zero", document=SHMEM))

    @operation
    def write_memory(self, p: Process, b: Page) -> Result:
        """pwrite."""
        require(p.running)
        x = self.memory_of(p)
        require(not x.empty)
        if x.write or x.future:
            return EPERM("sealed", read("shmem_write_begin", document=SHMEM))
        x.written[b] = True
        return OK("ok", read("shmem_write_begin", document=SHMEM))

    @operation
    def read_memory(self, p: Process, b: Page) -> Result:
        """pread."""
        require(p.running)
        x = self.memory_of(p)
        require(not x.empty)
        if x.written[b]:
            return WRITTEN("written", kernel("what was stored last, through whatever"))
        return OK("zero", kernel("fresh memory is zero"))

    # ------------------------------------------------------------------ processes

    @operation
    def fork(self, p: Process, c: Process, m: Mm) -> Result:
        """The memory file is inherited, too."""
        for x in Memory:
            x.held[c] = x.held[p]
        return super().fork(p, c, m)

    @operation
    def exec(self, p: Process, m: Mm, cloexec: bool) -> Result:
        for x in Memory:
            x.held[p] = x.held[p] and not cloexec
        return super().exec(p, m, cloexec)

    @operation
    def exit(self, p: Process) -> Result:
        for x in Memory:
            x.held[p] = False
        return super().exit(p)
