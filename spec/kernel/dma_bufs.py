# SPDX-License-Identifier: Apache-2.0
"""A dma-buf in the hands of user space: its descriptor, its mappings, and the calls that every exporter's has."""

from __future__ import annotations

from enum import Enum

from accelspec.spec.language import (
    EACCES,
    EBADF,
    EEXIST,
    EFAULT,
    EINVAL,
    ENODEV,
    ENOENT,
    ENOTTY,
    ENXIO,
    ESPIPE,
    OK,
    READY,
    SIGSEGV,
    WRITTEN,
    Map,
    Object,
    Result,
    Rigid,
    free,
    kernel,
    operation,
    read,
    require,
)

from .objects import Fd, File, Mm, Process
from .pages import Address, Page, Pages

DMA_BUF = "linux 6.12.117 drivers/dma-buf/dma-buf.c"
UTIL = "linux 6.12.117 mm/util.c"
FILES = "linux 6.12.117 fs/read_write.c"
INODE = "linux 6.12.117 fs/inode.c"
MMAP = "linux 6.12.117 mm/mmap.c"


class Access(Enum):
    """How a descriptor was opened."""

    RDONLY = 0
    WRONLY = 1
    RDWR = 2


class Sync(Enum):
    """The flags of DMA_BUF_IOCTL_SYNC.  The directions make no difference to the result."""

    START = "START, and a direction"
    END = "END, and a direction"
    NO_DIRECTION = "neither READ nor WRITE"
    UNKNOWN = "a bit that means nothing"
    BAD_POINTER = "the argument cannot be read"


class Name(Enum):
    """The argument of DMA_BUF_SET_NAME."""

    GOOD = "31 bytes"
    TOO_LONG = "32 bytes"
    BAD_POINTER = "the argument cannot be read"


class Seek(Enum):
    """The arguments of lseek."""

    END = "SEEK_END, 0: the size"
    SET = "SEEK_SET, 0"
    CURRENT = "SEEK_CUR, 0"
    FURTHER = "SEEK_SET, 5"


RDONLY, WRONLY, RDWR = Access


class DmaBuf(Object):
    """A struct dma_buf, behind its open file description."""

    file: Rigid[File]
    access: Rigid[Access]
    written: Map[Page, bool] = Map()  # no longer the zero of fresh memory


class DmaBufs(Pages):
    """What can be done with the descriptor of a dma-buf.  Files without one behind them are an exporter's node."""

    def is_node(self, f: File) -> bool:
        """Is it not a dma-buf's?"""
        return not any(d.file is f for d in DmaBuf)

    def reads(self, f: File) -> bool:
        return not any(d.file is f and d.access is WRONLY for d in DmaBuf)

    def writes(self, f: File) -> bool:
        return not any(d.file is f and d.access is RDONLY for d in DmaBuf)

    def forget(self) -> None:
        """dma_buf_release: when the last descriptor, mapping and message are gone."""
        for d in DmaBuf:
            if not self.referenced(d.file):
                free(d)
        super().forget()

    # ------------------------------------------------------------------ mappings

    def exporter_refuses(self, private: bool, whole: bool) -> None:
        """What the exporter's own mmap answers."""

    def may_map(self, f: File, write: bool, private: bool) -> None:
        if write and not private and not self.writes(f):
            raise EACCES("not_opened_for_writing", read("do_mmap", document=MMAP))
        if not self.reads(f):
            raise EACCES("not_opened_for_reading", read("do_mmap", "asked of every mapping", document=MMAP))
        if self.is_node(f):
            raise ENODEV("no_operation", read("do_mmap", document=MMAP))

    @operation
    def mmap(self, p: Process, n: Fd, a: Address, b: Page, write: bool, private: bool) -> Result:
        """One page of the buffer (b) is mapped at a place (a) at which nothing is (MAP_FIXED_NOREPLACE)."""
        require(p.running)
        f = self.file_of(p, n)
        if a.file[p.mm] is not None:
            return EEXIST("occupied", read("do_mmap", document=MMAP))
        self.may_map(f, write, private)
        self.exporter_refuses(private, False)
        a.file[p.mm] = f
        a.shows[p.mm] = b
        a.writable[p.mm] = write
        a.private[p.mm] = private
        return OK("ok", read("dma_buf_mmap_internal", document=DMA_BUF))

    @operation
    def mmap_whole(self, p: Process, n: Fd, write: bool, private: bool) -> Result:
        """All pages, in their order."""
        require(p.running)
        f = self.file_of(p, n)
        m = p.mm
        if any(a.file[m] is not None for a in Address):
            return EEXIST("occupied", read("do_mmap", document=MMAP))
        self.may_map(f, write, private)
        self.exporter_refuses(private, True)
        for a in Address:
            a.file[m] = f
            a.shows[m] = a.number
            a.writable[m] = write
            a.private[m] = private
        return OK("ok", read("dma_buf_mmap_internal", document=DMA_BUF))

    @operation
    def mmap_beyond(self, p: Process, n: Fd, longer: bool) -> Result:
        """All pages and one more, or as many from the second one on."""
        require(p.running)
        f = self.file_of(p, n)
        m = p.mm
        if any(a.file[m] is not None for a in Address):
            return EEXIST("occupied", read("do_mmap", document=MMAP))
        self.may_map(f, False, False)
        return EINVAL("too_far", read("dma_buf_mmap_internal", document=DMA_BUF))

    def holds(self, d: DmaBuf, b: Page) -> bool:
        """Is there something else in this page of the buffer than the zero of fresh memory?"""
        return d.written[b]

    def stored(self, a: Address, m: Mm) -> bool:
        """The same of what is mapped here."""
        return any(d.file is a.file[m] and a.shows[m] is b and self.holds(d, b) for d in DmaBuf for b in Page)

    def write(self, a: Address, m: Mm) -> None:
        """What is mapped here is written to."""
        for d in DmaBuf:
            for b in Page:
                if d.file is a.file[m] and a.shows[m] is b:
                    d.written[b] = True

    @operation
    def load(self, p: Process, a: Address) -> Result:
        """The processor reads a byte."""
        require(p.running)
        m = p.mm
        if a.file[m] is None:
            return SIGSEGV("unmapped", kernel("bad_area"))
        if a.copied[m] or any(
            d.file is a.file[m] and a.shows[m] is b and self.holds(d, b) for d in DmaBuf for b in Page
        ):
            return WRITTEN("stored", kernel("what was stored last"))
        return OK("zero", kernel("fresh memory is zero"))

    @operation
    def store(self, p: Process, a: Address) -> Result:
        """The processor writes a byte."""
        require(p.running)
        m = p.mm
        if a.file[m] is None:
            return SIGSEGV("unmapped", kernel("bad_area"))
        if not a.writable[m]:
            return SIGSEGV("read_only", kernel("bad_area_access_error"))
        if a.private[m]:
            a.copied[m] = True
            return OK("copy", kernel("wp_page_copy: a private mapping leaves the buffer as it is"))
        self.write(a, m)
        return OK("ok", kernel("the page of the buffer"))

    # ------------------------------------------------------------------ calls on the descriptor

    @operation
    def sync(self, p: Process, n: Fd, flags: Sync) -> Result:
        """DMA_BUF_IOCTL_SYNC."""
        require(p.running)
        f = self.file_of(p, n)
        self.sync_of_node(f)
        if flags is Sync.BAD_POINTER:
            return EFAULT("bad_pointer", read("dma_buf_ioctl", document=DMA_BUF))
        if flags is Sync.UNKNOWN:
            return EINVAL("unknown_flag", read("dma_buf_ioctl", document=DMA_BUF))
        if flags is Sync.NO_DIRECTION:
            return EINVAL("no_direction", read("dma_buf_ioctl", document=DMA_BUF))
        self.cpu_access(f, flags is Sync.START)
        return OK(
            "ok", read("dma_buf_begin_cpu_access", "nobody looks whether each START has its END", document=DMA_BUF)
        )

    def sync_of_node(self, f: File) -> None:
        """What the exporter's node answers to this command."""

    def cpu_access(self, f: File, begins: bool) -> None:
        """What the exporter's begin_cpu_access and end_cpu_access answer."""

    @operation
    def set_name(self, p: Process, n: Fd, name: Name) -> Result:
        """DMA_BUF_SET_NAME."""
        require(p.running)
        f = self.file_of(p, n)
        self.no_such_call(f)
        if name is Name.BAD_POINTER:
            return EFAULT("bad_pointer", read("strndup_user", document=UTIL))
        if name is Name.TOO_LONG:
            return EINVAL("too_long", read("strndup_user", document=UTIL))
        return OK("ok", read("dma_buf_set_name", "also when it has one", document=DMA_BUF))

    @operation
    def other_ioctl(self, p: Process, n: Fd) -> Result:
        """A command that nobody knows."""
        require(p.running)
        f = self.file_of(p, n)
        self.no_such_call(f)
        return ENOTTY("unknown", read("dma_buf_ioctl", document=DMA_BUF))

    def no_such_call(self, f: File) -> None:
        """What the exporter's node answers to a call of a dma-buf."""

    @operation
    def seek(self, p: Process, n: Fd, to: Seek) -> Result:
        require(p.running)
        f = self.file_of(p, n)
        if self.is_node(f):
            return ESPIPE("node", kernel("nonseekable_open, or no llseek"))
        if to is Seek.CURRENT:
            return EINVAL("no_position", read("dma_buf_llseek", document=DMA_BUF))
        if to is Seek.FURTHER:
            return EINVAL("no_offset", read("dma_buf_llseek", document=DMA_BUF))
        return OK("ok", read("dma_buf_llseek", "the size, or 0", document=DMA_BUF))

    @operation
    def read_bytes(self, p: Process, n: Fd) -> Result:
        """read(2)."""
        require(p.running)
        f = self.file_of(p, n)
        if not self.reads(f):
            return EBADF("not_opened_for_reading", read("vfs_read", document=FILES))
        return EINVAL("no_operation", read("vfs_read", document=FILES))

    @operation
    def poll(self, p: Process, n: Fd, write: bool) -> Result:
        """Without waiting: may it be read (the writers are done), may it be written (all are)?"""
        require(p.running)
        f = self.file_of(p, n)
        if self.is_node(f):
            return READY("no_operation", kernel("vfs_poll: DEFAULT_POLLMASK"))
        return READY("no_fence", read("dma_buf_poll", "nothing to wait for", document=DMA_BUF))

    @operation
    def reopen(self, p: Process, n: Fd, k: Fd) -> Result:
        """By /proc/self/fd: a dma-buf cannot be opened by a path, so nobody gets more than he was given."""
        require(self.unused(p, k))
        f = p.fd[n]
        if f is None:
            return ENOENT("bad_fd", kernel("proc_fd_link"))
        if self.is_node(f):
            g = File()
            p.fd[k] = g
            return OK("node", kernel("the node is opened again"))
        return ENXIO("no_open", read("no_open", "the i_fop of an anonymous inode", document=INODE))
