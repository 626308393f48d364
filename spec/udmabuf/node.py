# SPDX-License-Identifier: Apache-2.0
"""The node of udmabuf in 6.12.117: making buffers of memory, and what they add to the calls of a dma-buf."""

from __future__ import annotations

from enum import Enum

from accelspec.spec.kernel import Address, Fd, File, Mm, Page, Process
from accelspec.spec.kernel.dma_bufs import RDWR, DmaBuf
from accelspec.spec.language import (
    EBADFD,
    EFAULT,
    EINVAL,
    ENOMEM,
    ENOTTY,
    OK,
    Result,
    fails,
    operation,
    read,
    require,
    violates,
)

from .laws import Laws
from .memory import Memory, Udmabuf

GUP = "linux 6.12.117 mm/gup.c"


class Item(Enum):
    """An argument of UDMABUF_CREATE or UDMABUF_CREATE_LIST that is refused before any memory is looked at."""

    OFFSET = "an offset within a page"
    SIZE = "a size that is no number of pages"
    EMPTY = "a size of 0"
    NO_ITEM = "a list of nothing"
    TOO_LARGE = "more than size_limit_mb, 64"
    TOO_MANY = "a list of more than list_limit, 1024"
    BAD_POINTER = "the argument cannot be read"


class Udmabufs(Laws):
    """udmabuf, as Linux 6.12.117 has it."""

    machine = "udmabuf"
    revision = "6.12.117"
    document = "linux 6.12.117 drivers/dma-buf/udmabuf.c"
    scopes = {
        "two addresses": {"Fd": 2, "File": 2, "Address": 2, "Message": 0},
        "two buffers": {"Fd": 3, "File": 3, "DmaBuf": 2, "Udmabuf": 2, "Address": 0, "Message": 0},
        "two processes": {"Process": 2, "Mm": 2, "DmaBuf": 0, "Udmabuf": 0, "Address": 0, "Page": 2},
    }
    drops = [  # every buffer is opened for reading and writing, and no mapping is private
        "may_map.not_opened_for_writing",
        "may_map.not_opened_for_reading",
        "mprotect.no_more_than_opened",
        "read_bytes.not_opened_for_reading",
        "store.copy",
    ]
    known = [
        violates(
            "udmabuf.I05",
            "mmap.ok",
            "F_SEAL_FUTURE_WRITE is asked for when a buffer is made, and not when it is mapped",
            read("mmap_udmabuf"),
        ),
    ]

    @operation
    def open(self, p: Process, n: Fd) -> Result:
        require(self.unused(p, n))
        f = File()
        p.fd[n] = f
        return OK("ok", read("udmabuf_fops"))

    def node_of(self, p: Process, n: Fd) -> None:
        f = self.file_of(p, n)
        if not self.is_node(f):
            raise ENOTTY("not_the_node", read("dma_buf_ioctl", document="linux 6.12.117 drivers/dma-buf/dma-buf.c"))

    @operation
    def create(self, p: Process, n: Fd, k: Fd, as_list: bool) -> Result:
        """Of all pages of the process's memory, in one item or in one for each page; the new descriptor is k."""
        require(self.unused(p, k) and n is not k)
        self.node_of(p, n)
        x = self.memory_of(p)
        if not x.shrink:
            return EINVAL("may_shrink", read("check_memfd_seals"))
        if x.write or x.future:
            return EINVAL("sealed", read("check_memfd_seals"))
        if x.empty:
            return EINVAL("too_short", read("memfd_pin_folios", document=GUP))
        if fails("allocation"):
            return ENOMEM("no_memory", read("udmabuf_create"))
        f = File()
        d = DmaBuf(file=f, access=RDWR)
        Udmabuf(buffer=d, memory=x)
        p.fd[k] = f
        return OK("ok", read("udmabuf_create", "flags that mean nothing are ignored"))

    @operation
    def create_of(self, p: Process, n: Fd, o: Fd, as_list: bool) -> Result:
        """The same of something that is no memory file, or not open."""
        require(p.running)
        self.node_of(p, n)
        if p.fd[o] is None:
            return EBADFD("closed", read("udmabuf_create", "not EBADF"))
        return EBADFD("no_memory_file", read("check_memfd_seals"))

    @operation
    def create_refused(self, p: Process, n: Fd, what: Item) -> Result:
        require(p.running)
        self.node_of(p, n)
        if what is Item.BAD_POINTER:
            return EFAULT("bad_pointer", read("udmabuf_ioctl_create"))
        if what is Item.TOO_MANY:
            return EINVAL("too_many", read("udmabuf_ioctl_create_list"))
        if what is Item.OFFSET or what is Item.SIZE:
            return EINVAL("alignment", read("udmabuf_create"))
        if what is Item.TOO_LARGE:
            return EINVAL("too_large", read("udmabuf_create"))
        return EINVAL("empty", read("udmabuf_create", "no page is left to be given"))

    # ------------------------------------------------------------------ what it adds to a dma-buf

    def holds(self, d: DmaBuf, b: Page) -> bool:
        return any(u.buffer is d and u.memory.written[b] for u in Udmabuf)

    def write(self, a: Address, m: Mm) -> None:
        for x in Memory:
            for b in Page:
                if a.shows[m] is b and any(u.memory is x and u.buffer.file is a.file[m] for u in Udmabuf):
                    x.written[b] = True

    def no_such_call(self, f: File) -> None:
        if self.is_node(f):
            raise ENOTTY("unknown_command", read("udmabuf_ioctl"))

    def sync_of_node(self, f: File) -> None:
        if self.is_node(f):
            raise ENOTTY("unknown_command", read("udmabuf_ioctl"))

    def cpu_access(self, f: File, begins: bool) -> None:
        if not begins and not any(u.buffer.file is f and u.begun for u in Udmabuf):
            raise EINVAL("not_begun", read("end_cpu_udmabuf", "once begun, END may come as often as it likes"))
        for u in Udmabuf:
            if u.buffer.file is f:
                u.begun = True

    def exporter_refuses(self, private: bool, whole: bool) -> None:
        if private:
            raise EINVAL("private", read("mmap_udmabuf"))
