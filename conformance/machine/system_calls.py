# SPDX-License-Identifier: Apache-2.0
"""Any system call as a step of the guest: its number, its arguments, and the buffers that they point to.

guest/agent.h has the same layout (`struct call`).  All processes of the guest have the data of a batch at one address,
so a pointer is a number that is known before the batch is sent; and a descriptor that a call makes moves to a number
of the host's choice, so that later calls can name it before it is there.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import IntEnum

FIRST_FD = 100  # slot n is the descriptor FIRST_FD + n
DESCRIPTORS = 32
DATA_AT, DATA = 0x1_0000_0000, 1 << 16  # where the data of a batch lies in every process, and how much there may be
READ_ONLY_AT = 0x1_8000_0000  # and once more, where no process can write it
MAPPINGS_AT, PAGE, MAPPING_PAGES = 0x2_0000_0000, 4096, 16  # where the n-th mapping lies
AS_IT_IS, NO_SLOT, ARGUMENTS = 0xFFFF_FFFF, 255, 6
CALL = struct.Struct("<6QIIIIBBH4x")


class Number(IntEnum):
    """System calls of x86-64."""

    READ = 0
    WRITE = 1
    OPEN = 2
    CLOSE = 3
    POLL = 7
    LSEEK = 8
    MMAP = 9
    MPROTECT = 10
    MUNMAP = 11
    IOCTL = 16
    PREAD = 17
    PWRITE = 18
    MREMAP = 25
    MADVISE = 28
    FCNTL = 72
    FTRUNCATE = 77
    SETRESUID = 117
    CAPSET = 126
    MKNOD = 133
    MEMFD_CREATE = 319


class Direction(IntEnum):
    """What an ioctl does with its argument, as user space sees it."""

    NONE = 0
    WRITE = 1
    READ = 2
    BOTH = 3


def ioctl_number(direction: Direction, kind: str, number: int, size: int = 0) -> int:
    """As `_IO`, `_IOW`, `_IOR` and `_IOWR` make it.

    >>> hex(ioctl_number(Direction.BOTH, "H", 0, 24))  # DMA_HEAP_IOCTL_ALLOC
    '0xc0184800'
    """
    return direction << 30 | size << 16 | ord(kind) << 8 | number


def mapping_at(mapping: int, page: int = 0) -> int:
    """The address of a page of the n-th mapping."""
    return MAPPINGS_AT + (mapping * MAPPING_PAGES + page) * PAGE


@dataclass(frozen=True)
class Buffer:
    """Bytes of the host that a call gets a pointer to; `links` says where in them the address of another one stands.

    Of one that is `read_only` the pointer leads to where nobody can write, so the kernel cannot answer in it.
    """

    data: bytes
    links: tuple[tuple[int, Buffer], ...] = ()
    read_only: bool = False


@dataclass(frozen=True)
class SystemCall:
    """One system call.  A negative argument stands for its two's complement.

    - `answer_at`: the call's answer is what it leaves at this offset of its first buffer (32 bits); None: what it
      returns.  A failure is always what it returns, and an answer that does not fit in 31 bits (an address) is 0.
    - `slot`: the answer is a descriptor; it moves to this slot, and the result is 0.
    - `out`: the first buffer comes back, as it is after the call.
    - `nth`: the n-th thing that can fail in it does: an allocation, or a copy from or to user space. 0: nothing fails.
      Only the debug kernel can do it; elsewhere the call is made as it is.
    - `next`: where the call then answers EFAULT, it is made again and the next one fails.
    - `first`: the first thing that can fail and matters: before an ioctl without data a copy of no bytes fails, too.
    """

    number: int
    arguments: tuple[int | Buffer, ...] = ()
    answer_at: int | None = None
    slot: int | None = None
    out: bool = False
    nth: int = 0
    next: bool = False
    first: int = 1

    def failing(self, nth: int) -> SystemCall:
        """The same call, in which the n-th thing that can fail is made to."""
        return replace(self, nth=nth)

    def without_memory(self) -> SystemCall:
        """The same call, in which the first allocation is made to fail."""
        return replace(self, nth=self.first, next=True)

    def pack(self, at: int) -> bytes:
        """The bytes of the call and of its buffers, for this offset in the data of a batch (a multiple of 8)."""
        place = at + CALL.size
        arguments: list[int] = []
        pieces: list[bytes] = []
        first: tuple[int, int] | None = None
        for given in self.arguments:
            if isinstance(given, int):
                arguments.append(given % (1 << 64))
                continue
            arguments.append((READ_ONLY_AT if given.read_only else DATA_AT) + place)
            first = first or (place, len(given.data))
            for piece in laid_out(given, place):
                pieces.append(piece)
                place += len(piece)
        arguments += [0] * (ARGUMENTS - len(arguments))
        start, size = first or (0, 0)
        found = AS_IT_IS if self.answer_at is None else start + self.answer_at
        slot = NO_SLOT if self.slot is None else self.slot
        head = CALL.pack(*arguments, self.number, found, start, size if self.out else 0, slot, self.next, self.nth)
        return head + b"".join(pieces)


def laid_out(buffer: Buffer, at: int) -> Iterator[bytes]:
    """A buffer that begins there, and behind it those that it points to, each padded to a multiple of 8."""
    data = bytearray(buffer.data + bytes(-len(buffer.data) % 8))
    place = at + len(data)
    behind: list[bytes] = []
    for offset, other in buffer.links:
        data[offset : offset + 8] = (DATA_AT + place).to_bytes(8, "little")
        for piece in laid_out(other, place):
            behind.append(piece)
            place += len(piece)
    yield bytes(data)
    yield from behind
