# SPDX-License-Identifier: Apache-2.0
"""The machine sync_file in the guest: timelines of sw_sync, and the files of their fences."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from ..machine.system_calls import Buffer, Direction, Number, ioctl_number
from ..machine.wire import Step
from .interface import Call
from .kernel_adapter import Adapter
from .kernel_book import index
from .kernel_dma_bufs import NOWHERE, POLLIN, POLLNVAL, SystemCallBook, descriptor

NODE = "/sys/kernel/debug/sync/sw_sync"
CREATE_FENCE = ioctl_number(Direction.BOTH, "W", 0, 40)
INC = ioctl_number(Direction.WRITE, "W", 1, 4)
GET_DEADLINE = ioctl_number(Direction.BOTH, "W", 2, 16)
MERGE = ioctl_number(Direction.BOTH, ">", 3, 48)
FILE_INFO = ioctl_number(Direction.BOTH, ">", 4, 56)
SET_DEADLINE = ioctl_number(Direction.WRITE, ">", 5, 16)
UNKNOWN = ioctl_number(Direction.NONE, ">", 0x77)
FENCE_AT, STATUS_AT = 36, 32  # in sw_sync_create_fence_data and in sync_merge_data; in sync_file_info
ONE_FENCE = Buffer(bytes(80))  # a struct sync_fence_info
STATUSES = {"OK": 0, "READY": 1}  # pending, over; an error is its errno
SOON = 1_000_000_000  # a deadline, in ns


def merge_data(other: int, reserved: bool = False) -> bytes:
    """A struct sync_merge_data."""
    return struct.pack("<32siiII", b"merged", other, 0, 0, int(reserved))


def info_data(fences: int = 0, reserved: bool = False) -> bytes:
    """A struct sync_file_info with room for so many fences."""
    return struct.pack("<32siIIIQ", b"", 0, 0, fences, int(reserved), 0)


@dataclass
class SyncFileBook(SystemCallBook):
    """The calls of the sync_file machine."""

    def number(self, call: Call, result: str) -> int:
        """As in `Book`; a status and a poll tell what they saw."""
        if call.operation in ("info", "info_of_one") and result in STATUSES:
            return STATUSES[result]
        if call.operation == "poll" and result in ("READY", "EBADF"):
            return POLLIN if result == "READY" else POLLNVAL
        return super().number(call, result)

    def outcome(self, call: Call, result: int) -> str:
        """As in `Book`."""
        if call.operation in ("info", "info_of_one", "poll") and result >= 0:
            told = ("OK", "READY", "EBADF")
            return next((name for name in told if self.number(call, name) == result), f"answered {result}")
        return super().outcome(call, result)

    def ioctl(self, process: str, fd: str, command: int, argument: Buffer | int) -> Step:
        """A command that answers nothing but whether it succeeded."""
        return self.call(process, Number.IOCTL, descriptor(fd), command, argument)

    def refused(self, process: str, fd: str, command: int, what: str, good: bytes, bad: bytes) -> Step:
        """A command whose argument is wrong in this way."""
        if what == "BAD_POINTER":
            return self.ioctl(process, fd, command, NOWHERE)
        return self.ioctl(process, fd, command, Buffer(bad) if what == "RESERVED" else Buffer(good, read_only=True))

    def do_open(self, process: str, fd: str) -> Step:
        return self.open(process, NODE, fd)

    def do_create_fence(self, process: str, fd: str, new: str, number: str) -> Step:
        data = Buffer(struct.pack("<I32si", int(number), b"fence", 0))
        command = (Number.IOCTL, descriptor(fd), CREATE_FENCE, data)
        return self.call(process, *command, answer_at=FENCE_AT, slot=index(new))

    def do_create_refused(self, process: str, fd: str, argument: str) -> Step:
        data = struct.pack("<I32si", 2, b"fence", 0)
        return self.refused(process, fd, CREATE_FENCE, argument, data, data)

    def do_advance(self, process: str, fd: str) -> Step:
        return self.ioctl(process, fd, INC, Buffer(struct.pack("<I", 1)))

    def do_merge(self, process: str, fd: str, other: str, new: str) -> Step:
        data = Buffer(merge_data(descriptor(other)))
        return self.call(process, Number.IOCTL, descriptor(fd), MERGE, data, answer_at=FENCE_AT, slot=index(new))

    def do_merge_refused(self, process: str, fd: str, other: str, what: str) -> Step:
        number = descriptor(other)
        return self.refused(process, fd, MERGE, what, merge_data(number), merge_data(number, reserved=True))

    def do_info(self, process: str, fd: str) -> Step:
        return self.call(process, Number.IOCTL, descriptor(fd), FILE_INFO, Buffer(info_data()), answer_at=STATUS_AT)

    def do_info_of_one(self, process: str, fd: str) -> Step:
        data = Buffer(info_data(1), ((48, ONE_FENCE),))
        return self.call(process, Number.IOCTL, descriptor(fd), FILE_INFO, data, answer_at=STATUS_AT)

    def do_info_refused(self, process: str, fd: str, what: str) -> Step:
        return self.refused(process, fd, FILE_INFO, what, info_data(), info_data(reserved=True))

    def do_poll(self, process: str, fd: str) -> Step:
        asked = Buffer(struct.pack("<ihhI", descriptor(fd), POLLIN, 0, 0))
        return self.call(process, Number.POLL, asked, 1, 0, answer_at=6)

    def do_set_deadline(self, process: str, fd: str) -> Step:
        return self.ioctl(process, fd, SET_DEADLINE, Buffer(struct.pack("<QQ", SOON, 0)))

    def do_set_deadline_refused(self, process: str, fd: str, reserved: str) -> Step:
        argument = Buffer(struct.pack("<QQ", SOON, 1)) if reserved == "True" else NOWHERE
        return self.ioctl(process, fd, SET_DEADLINE, argument)

    def do_get_deadline(self, process: str, fd: str, other: str) -> Step:
        return self.ioctl(process, fd, GET_DEADLINE, Buffer(struct.pack("<QIi", 0, 0, descriptor(other))))

    def do_other_ioctl(self, process: str, fd: str) -> Step:
        return self.ioctl(process, fd, UNKNOWN, NOWHERE)


class SyncFile(Adapter):
    """sync_file; sw_sync is built as a module."""

    book_of = SyncFileBook
    maps = False
