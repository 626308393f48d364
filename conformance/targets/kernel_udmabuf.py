# SPDX-License-Identifier: Apache-2.0
"""The machine udmabuf in the guest: memory files, their seals, and the node that makes buffers of them."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from ..machine.system_calls import DESCRIPTORS, FIRST_FD, PAGE, Buffer, Direction, Number, ioctl_number
from ..machine.wire import Op, Step
from .interface import Call
from .kernel_book import index
from .kernel_dma_bufs import LOADED, NOWHERE, PAGES, STORED, DmaBufBook, DmaBufs, descriptor

NODE = "/dev/udmabuf"
CREATE = ioctl_number(Direction.WRITE, "u", 0x42, 24)
CREATE_LIST = ioctl_number(Direction.WRITE, "u", 0x43, 8)
FLAGS = 0x81  # UDMABUF_FLAGS_CLOEXEC, and a bit that means nothing
MEMORY = DESCRIPTORS - 1  # the slot of a process's memory file
ALLOW_SEALING = 2
ADD_SEALS = 1033
SEALS = {"SHRINK": 2, "WRITE": 8, "FUTURE_WRITE": 16}
MEGABYTES, ITEMS = 64, 1024  # size_limit_mb, list_limit
WHOLE = PAGES * PAGE
# What an item has that is refused: offset and size.
BAD = {"OFFSET": (512, PAGE), "SIZE": (0, PAGE + 512), "EMPTY": (0, 0), "TOO_LARGE": (0, (MEGABYTES << 20) + PAGE)}


def one(memory: int, offset: int = 0, size: int = WHOLE) -> Buffer:
    """A struct udmabuf_create."""
    return Buffer(struct.pack("<IIQQ", memory, FLAGS, offset, size))


def several(memory: int, count: int, items: int = PAGES) -> Buffer:
    """A struct udmabuf_create_list that says that it has so many items, each a page."""
    listed = (struct.pack("<IIQQ", memory, 0, n * PAGE, PAGE) for n in range(items))
    return Buffer(struct.pack("<II", FLAGS, count) + b"".join(listed))


@dataclass
class UdmabufBook(DmaBufBook):
    """The calls of the udmabuf machine."""

    def number(self, call: Call, result: str) -> int:
        """As in `Book`; what was written to memory, and how much, is told."""
        if call.operation == "read_memory" and result in LOADED:
            return LOADED[result]
        if call.operation == "write_memory" and result == "OK":
            return 1
        return super().number(call, result)

    def outcome(self, call: Call, result: int) -> str:
        """As in `Book`."""
        if call.operation == "read_memory" and result >= 0:
            return next((name for name, byte in LOADED.items() if byte == result), f"answered {result}")
        return super().outcome(call, result)

    def do_open(self, process: str, fd: str) -> Step:
        return self.open(process, NODE, fd)

    def do_memfd_create(self, process: str, sealable: str) -> list[Step]:
        flags = ALLOW_SEALING if sealable == "True" else 0
        made = self.call(process, Number.MEMFD_CREATE, Buffer(b"memory\0"), flags, slot=MEMORY)
        return [made, self.call(process, Number.FTRUNCATE, FIRST_FD + MEMORY, WHOLE)]

    def do_memfd_close(self, process: str) -> Step:
        return Step(Op.CLOSE, index(process), MEMORY)

    def do_seal(self, process: str, what: str) -> Step:
        return self.call(process, Number.FCNTL, FIRST_FD + MEMORY, ADD_SEALS, SEALS[what])

    def do_truncate(self, process: str, away: str) -> Step:
        return self.call(process, Number.FTRUNCATE, FIRST_FD + MEMORY, 0 if away == "True" else WHOLE)

    def do_write_memory(self, process: str, page: str) -> Step:
        byte = Buffer(bytes([STORED]))
        return self.call(process, Number.PWRITE, FIRST_FD + MEMORY, byte, 1, index(page) * PAGE)

    def do_read_memory(self, process: str, page: str) -> Step:
        return self.call(process, Number.PREAD, FIRST_FD + MEMORY, Buffer(bytes(4)), 1, index(page) * PAGE, answer_at=0)

    def do_create(self, process: str, fd: str, new: str, as_list: str) -> Step:
        return self.ask(process, fd, FIRST_FD + MEMORY, as_list, index(new))

    def do_create_of(self, process: str, fd: str, other: str, as_list: str) -> Step:
        return self.ask(process, fd, descriptor(other), as_list)

    def do_create_refused(self, process: str, fd: str, what: str) -> Step:
        match what:
            case "BAD_POINTER":
                return self.call(process, Number.IOCTL, descriptor(fd), CREATE, NOWHERE)
            case "TOO_MANY":
                return self.call(process, Number.IOCTL, descriptor(fd), CREATE_LIST, several(0, ITEMS + 1))
            case "NO_ITEM":
                return self.call(process, Number.IOCTL, descriptor(fd), CREATE_LIST, several(0, 0, 0))
        return self.call(process, Number.IOCTL, descriptor(fd), CREATE, one(0, *BAD[what]))

    def ask(self, process: str, fd: str, memory: int, as_list: str, slot: int | None = None) -> Step:
        """UDMABUF_CREATE, or UDMABUF_CREATE_LIST with an item for each page."""
        command, data = (CREATE_LIST, several(memory, PAGES)) if as_list == "True" else (CREATE, one(memory))
        return self.call(process, Number.IOCTL, descriptor(fd), command, data, slot=slot)


class Udmabuf(DmaBufs):
    """udmabuf; it is built into the kernel."""

    book_of = UdmabufBook
