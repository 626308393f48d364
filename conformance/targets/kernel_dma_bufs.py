# SPDX-License-Identifier: Apache-2.0
"""The calls of user space on a dma-buf in the guest, whoever exports it: what the adapters of its machines share."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from ..machine.system_calls import (
    FIRST_FD,
    PAGE,
    Buffer,
    Direction,
    Number,
    SystemCall,
    ioctl_number,
    mapping_at,
)
from ..machine.wire import Op, Step
from .interface import Call, System, TargetError
from .kernel_adapter import Adapter
from .kernel_book import Book, index

PAGES = 2  # of a buffer, and of the area of an address space
PROT_READ, PROT_WRITE = 1, 2
MAP_SHARED, MAP_PRIVATE, MAP_FIXED_NOREPLACE = 0x01, 0x02, 0x100000
MAY_MOVE, FIXED, DONT_UNMAP = 1, 2, 4  # MREMAP_...
DONT_NEED = 4  # MADV_DONTNEED
POLLIN, POLLOUT, POLLNVAL = 1, 4, 32
O_RDWR = 2
SYNC = ioctl_number(Direction.WRITE, "b", 0, 8)
SET_NAME = ioctl_number(Direction.WRITE, "b", 1, 8)
UNKNOWN = ioctl_number(Direction.NONE, "b", 0x77)
SYNC_FLAGS = {"START": 3, "END": 3 | 4, "NO_DIRECTION": 4, "UNKNOWN": 3 | 8}
NAMES = {"GOOD": b"n" * 31 + b"\0", "TOO_LONG": b"n" * 32 + b"\0"}
SEEKS = {"END": (0, 2), "SET": (0, 0), "CURRENT": (0, 1), "FURTHER": (5, 0)}
NOWHERE = 0  # a pointer that leads to nothing
STORED = 0x5A
LOADED = {"OK": 0, "WRITTEN": STORED}


def descriptor(fd: str) -> int:
    """The number that it has in the guest."""
    return FIRST_FD + index(fd)


def address(page: str) -> int:
    """Where it lies in the guest."""
    return mapping_at(0, index(page))


class SystemCallBook(Book):
    """What machines need whose calls are system calls."""

    def call(
        self,
        process: str,
        number: Number,
        *arguments: int | Buffer,
        answer_at: int | None = None,
        slot: int | None = None,
    ) -> Step:
        """A system call as a step."""
        return Step.system_call(index(process), SystemCall(number, arguments, answer_at, slot))

    def open(self, process: str, path: str, fd: str) -> Step:
        """Open a path for reading and writing."""
        return self.call(process, Number.OPEN, Buffer(path.encode() + b"\0"), O_RDWR, slot=index(fd))


@dataclass
class DmaBufBook(SystemCallBook):
    """The calls of `spec.kernel.dma_bufs`."""

    def number(self, call: Call, result: str) -> int:
        """As in `Book`; a load, a poll and a seek tell what they saw."""
        match call.operation, result:
            case "load", "OK" | "WRITTEN":
                return LOADED[result]
            case "poll", "READY":
                return POLLOUT if call.args[2] == "True" else POLLIN
            case "poll", "EBADF":
                return POLLNVAL
            case "seek", "OK":
                return PAGES * PAGE if call.args[2] == "END" else 0
        return super().number(call, result)

    def outcome(self, call: Call, result: int) -> str:
        """As in `Book`."""
        told = {"load": ("OK", "WRITTEN"), "poll": ("OK", "READY", "EBADF"), "seek": ("OK",)}.get(call.operation, ())
        if result >= 0 and told:
            return next((name for name in told if self.number(call, name) == result), f"answered {result}")
        return super().outcome(call, result)

    def do_reopen(self, process: str, fd: str, other: str) -> Step:
        return self.open(process, f"/proc/self/fd/{descriptor(fd)}", other)

    def do_sync(self, process: str, fd: str, flags: str) -> Step:
        argument = Buffer(struct.pack("<Q", SYNC_FLAGS[flags])) if flags in SYNC_FLAGS else NOWHERE
        return self.call(process, Number.IOCTL, descriptor(fd), SYNC, argument)

    def do_set_name(self, process: str, fd: str, name: str) -> Step:
        argument = Buffer(NAMES[name]) if name in NAMES else NOWHERE
        return self.call(process, Number.IOCTL, descriptor(fd), SET_NAME, argument)

    def do_other_ioctl(self, process: str, fd: str) -> Step:
        return self.call(process, Number.IOCTL, descriptor(fd), UNKNOWN)

    def do_seek(self, process: str, fd: str, to: str) -> Step:
        return self.call(process, Number.LSEEK, descriptor(fd), *SEEKS[to])

    def do_read_bytes(self, process: str, fd: str) -> Step:
        return self.call(process, Number.READ, descriptor(fd), Buffer(bytes(8)), 8)

    def do_poll(self, process: str, fd: str, write: str) -> Step:
        asked = Buffer(struct.pack("<ihhI", descriptor(fd), POLLOUT if write == "True" else POLLIN, 0, 0))
        return self.call(process, Number.POLL, asked, 1, 0, answer_at=6)

    # ------------------------------------------------------------------ mappings

    def map(self, process: str, fd: str, at: int, pages: int, offset: int, write: str, private: str) -> Step:
        """Map pages where nothing is mapped."""
        prot = PROT_READ | (PROT_WRITE if write == "True" else 0)
        flags = MAP_FIXED_NOREPLACE | (MAP_PRIVATE if private == "True" else MAP_SHARED)
        return self.call(process, Number.MMAP, at, pages * PAGE, prot, flags, descriptor(fd), offset * PAGE)

    def do_mmap(self, process: str, fd: str, a: str, page: str, write: str, private: str) -> Step:
        return self.map(process, fd, address(a), 1, index(page), write, private)

    def do_mmap_whole(self, process: str, fd: str, write: str, private: str) -> Step:
        return self.map(process, fd, mapping_at(0), PAGES, 0, write, private)

    def do_mmap_beyond(self, process: str, fd: str, longer: str) -> Step:
        pages, offset = (PAGES + 1, 0) if longer == "True" else (PAGES, 1)
        return self.map(process, fd, mapping_at(0), pages, offset, "False", "False")

    def do_munmap(self, process: str, a: str) -> Step:
        return self.call(process, Number.MUNMAP, address(a), PAGE)

    def do_mprotect(self, process: str, a: str, write: str) -> Step:
        return self.call(process, Number.MPROTECT, address(a), PAGE, PROT_READ | (PROT_WRITE if write == "True" else 0))

    def do_mremap_grow(self, process: str, a: str) -> Step:
        return self.call(process, Number.MREMAP, address(a), PAGE, 2 * PAGE, 0)

    def do_mremap_move(self, process: str, a: str, b: str) -> Step:
        return self.call(process, Number.MREMAP, address(a), PAGE, PAGE, MAY_MOVE | FIXED, address(b))

    def do_mremap_dont_unmap(self, process: str, a: str, b: str) -> Step:
        flags = MAY_MOVE | FIXED | DONT_UNMAP
        return self.call(process, Number.MREMAP, address(a), PAGE, PAGE, flags, address(b))

    def do_madvise_dont_need(self, process: str, a: str) -> Step:
        return self.call(process, Number.MADVISE, address(a), PAGE, DONT_NEED)

    def do_load(self, process: str, a: str) -> Step:
        return Step(Op.PEEK, index(process), index(a))

    def do_store(self, process: str, a: str) -> Step:
        return Step(Op.POKE, index(process), index(a), d=STORED)


class DmaBufs(Adapter):
    """A machine of dma-bufs: every buffer has `PAGES` pages."""

    def prepare(self, system: System) -> dict[str, str]:
        """As in `Adapter`; the n-th address of an area shows the n-th page of a buffer."""
        if (system.scope["Page"], system.scope["Address"]) != (PAGES, PAGES):
            raise TargetError(f"the target kernel has buffers of {PAGES} pages: Page={PAGES}, Address={PAGES}")
        return {**super().prepare(system), **{f"address{i}.number": f"page{i}" for i in range(PAGES)}}
