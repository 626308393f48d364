# SPDX-License-Identifier: Apache-2.0
"""The machine prime in the guest: handles and dma-bufs of vkms and vgem."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import msgspec

from ..machine import wire
from ..machine.system_calls import FIRST_FD, PAGE, Direction, Number, SystemCall, ioctl_number, mapping_at
from ..machine.wire import Step
from .interface import Call, Observation
from .kernel_book import Book, index
from .kernel_descriptors import lowest
from .kernel_drm import UNKNOWN_NUMBER, Drm, DrmBook, drm, ioctl

GEM_CLOSE, HANDLE_TO_FD, FD_TO_HANDLE, CREATE_DUMB, MAP_DUMB, DESTROY_DUMB = (
    drm(direction, number, size)
    for direction, number, size in (
        (Direction.WRITE, 0x09, 8),
        (Direction.BOTH, 0x2D, 12),
        (Direction.BOTH, 0x2E, 12),
        (Direction.BOTH, 0xB2, 32),
        (Direction.BOTH, 0xB3, 16),
        (Direction.BOTH, 0xB4, 4),
    )
)
DMA_BUF_SYNC = ioctl_number(Direction.WRITE, "b", 0, 8)
DUMB = struct.Struct("<IIIIIIQ")  # height, width, bits for a pixel, flags; handle, pitch, size
DUMB_HANDLE = 16
PRIME = struct.Struct("<IIi")  # handle, flags, descriptor
FLAGS = {"READ": 0, "WRITE": 0o2, "BAD": 0o1}  # DRM_RDWR is O_RDWR; only that and O_CLOEXEC are allowed
READ_WRITE = 3  # of DMA_BUF_SYNC, whose third bit says that it is the end
PROT_READ, PROT_WRITE, MAP_SHARED = 1, 2, 1
CHANGING = {"create", "destroy", "gem_close", "handle_to_fd", "fd_to_handle"}  # a client's table
NOBODY = -1  # the description behind a descriptor that is closed
PROBE = 200  # the mapping at whose address a mapping is refused


@dataclass(frozen=True)
class Handle:
    """A number of a client for a buffer, and the dma-buf that the client's tables have for it; 0: none."""

    client: int
    number: int
    dma_buf: int = 0


@dataclass
class PrimeBook(DrmBook):
    """The calls of the machine prime."""

    handles: dict[str, Handle] = field(default_factory=dict)

    def number_of(self, handle: str, known: str) -> int:
        """What the kernel calls it; or a number that nobody has."""
        return self.handles[handle].number if known == "True" else UNKNOWN_NUMBER

    def new_handle(self, client: int, dma_buf: int = 0) -> str:
        """A handle that the client has now."""
        self.handles[name := self.give("handle")] = Handle(client, self.next_number(client), dma_buf)
        return name

    def next_number(self, client: int) -> int:
        """The number of the next handle of a client."""
        return lowest(h.number for h in self.handles.values() if h.client == client)

    def shared(self, client: int, dma_buf: int) -> Handle | None:
        """The handle that a client has for a dma-buf."""
        return next((h for h in self.handles.values() if (h.client, h.dma_buf) == (client, dma_buf)), None)

    def number(self, call: Call, result: str) -> int:
        """As in `Book`; what makes a handle, or finds one, answers its number."""
        if result != "OK" or call.operation not in ("create", "fd_to_handle"):
            return super().number(call, result)
        process, fd, *more = call.args
        client, other = (self.leads.get((process, name), NOBODY) for name in (fd, more[0]))
        found = self.shared(client, other) if call.operation == "fd_to_handle" else None
        return found.number if found else self.next_number(client)

    def may_meet(self, calls: Sequence[Call]) -> bool:
        """As in `Book`: no two calls change the table of one client."""
        clients = [self.leads.get((call.args[0], call.args[1])) for call in calls if call.operation in CHANGING]
        return len(set(clients)) == len(clients)

    # ------------------------------------------------------------------ buffers and handles

    def do_create(self, process: str, fd: str, empty: str) -> Step:
        size = 0 if empty == "True" else 16
        return ioctl(process, fd, CREATE_DUMB, DUMB.pack(size, size, 32, 0, 0, 0, 0), answer_at=DUMB_HANDLE)

    def did_create(self, process: str, fd: str, empty: str) -> str:
        return self.new_handle(self.leads[process, fd])

    def do_gem_close(self, process: str, fd: str, handle: str, known: str) -> Step:
        return ioctl(process, fd, GEM_CLOSE, struct.pack("<II", self.number_of(handle, known), 0))

    def did_gem_close(self, process: str, fd: str, handle: str, known: str) -> None:
        del self.handles[handle]

    def do_destroy(self, process: str, fd: str, handle: str, known: str) -> Step:
        return ioctl(process, fd, DESTROY_DUMB, struct.pack("<I", self.number_of(handle, known)))

    def did_destroy(self, process: str, fd: str, handle: str, known: str) -> None:
        del self.handles[handle]

    def do_map_dumb(self, process: str, fd: str, handle: str, known: str) -> Step:
        return ioctl(process, fd, MAP_DUMB, struct.pack("<IIQ", self.number_of(handle, known), 0, 0))

    # ------------------------------------------------------------------ sharing

    def do_handle_to_fd(self, process: str, fd: str, other: str, handle: str, flags: str, known: str) -> Step:
        data = PRIME.pack(self.number_of(handle, known), FLAGS[flags], -1)
        return ioctl(process, fd, HANDLE_TO_FD, data, answer_at=8, slot=index(other))

    def did_handle_to_fd(self, process: str, fd: str, other: str, handle: str, flags: str, known: str) -> None:
        shared = self.handles[handle].dma_buf
        if shared:
            self.leads[process, other] = shared
        else:
            self.handles[handle] = replace(self.handles[handle], dma_buf=self.opened(process, other))

    def do_fd_to_handle(self, process: str, fd: str, other: str) -> Step:
        return ioctl(process, fd, FD_TO_HANDLE, PRIME.pack(0, 0, FIRST_FD + index(other)), answer_at=0)

    def did_fd_to_handle(self, process: str, fd: str, other: str) -> str | None:
        client, dma_buf = self.leads[process, fd], self.leads[process, other]
        return None if self.shared(client, dma_buf) else self.new_handle(client, dma_buf)

    # ------------------------------------------------------------------ the descriptor of a dma-buf

    def do_sync(self, process: str, fd: str) -> Step:
        return ioctl(process, fd, DMA_BUF_SYNC, struct.pack("<Q", READ_WRITE))

    def do_map_too_long(self, process: str, fd: str, write: str) -> Step:
        rights = PROT_READ | (PROT_WRITE if write == "True" else 0)
        arguments = (mapping_at(PROBE), 2 * PAGE, rights, MAP_SHARED, FIRST_FD + index(fd), 0)
        return Step.system_call(index(process), SystemCall(Number.MMAP, arguments))


class Prime(Drm):
    """Buffers of vkms and vgem."""

    book_of: ClassVar[type[Book]] = PrimeBook

    def observed(self, call: Call, answers: Sequence[wire.Answer]) -> Observation:
        """As in `Adapter`; a handle with another number than the one that it has to have is a finding."""
        number = answers[-1].result
        due = self.book.number(call, "OK") if number >= 0 else number
        seen = super().observed(call, answers)
        if number == due:
            return seen
        return msgspec.structs.replace(seen, alarms=(*seen.alarms, f"handle {number}, where {due} is the lowest free"))
