# SPDX-License-Identifier: Apache-2.0
"""What user code and hardware tell each other through the shared buffer: requests, completions, and where they lie.

The shared buffer (DUS) begins with the ring of requests, then the ring of completions; both have `depth` entries. The
rest up to the stop word is free for data. A completion is new when its phase is the one of the present round, which
begins with 1 and turns with every round. All numbers are little-endian.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np

from ..uacce import STOP_WORD


class Op(IntEnum):
    """What a request asks for. Shapes: `n` elements; a matrix product is (m, k) by (k, n)."""

    NOP = 0
    COPY = 1
    ADD = 2
    SUBTRACT = 3
    MULTIPLY = 4
    MAXIMUM = 5
    SUM = 6
    MATMUL = 7
    DEFLATE = 8
    INFLATE = 9


class Status(IntEnum):
    """How a request ended."""

    OK = 0
    FAULT = 1  # an address that the process, or the buffer, does not have
    INVALID = 2  # an operation, type or size that the hardware does not know
    OVERFLOW = 3  # the result is larger than the room for it
    CORRUPT = 4  # not a compressed stream


DTYPES: Final = (np.dtype("<f4"), np.dtype("<f8"), np.dtype("<i4"), np.dtype("<i8"), np.dtype("u1"))

REQUEST: Final = np.dtype(
    [
        ("op", "<u2"), ("dtype", "<u2"), ("tag", "<u4"), ("m", "<u4"), ("n", "<u4"), ("k", "<u4"), ("reserved", "<u4"),
        ("src0", "<u8"), ("src1", "<u8"), ("dst", "<u8"), ("room", "<u8"), ("unused", "<u8"),
    ]
)  # fmt: skip

COMPLETION: Final = np.dtype([("tag", "<u4"), ("status", "<u2"), ("phase", "<u2"), ("produced", "<u8")])

TAIL: Final = 0  # doorbell register: how many requests were ever submitted, modulo 2**32


@dataclass(frozen=True, slots=True)
class Request:
    """One request. Addresses are the process's own on an SVA device, else offsets into the shared buffer.

    `room` is the size of the destination in bytes; `tag` comes back with the completion.
    """

    op: Op
    dtype: int = 0
    m: int = 0
    n: int = 0
    k: int = 0
    src0: int = 0
    src1: int = 0
    dst: int = 0
    room: int = 0
    tag: int = 0

    def pack(self) -> bytes:
        """Return the 64 bytes that the hardware reads."""
        entry = np.zeros(1, REQUEST)
        for name in ("op", "dtype", "tag", "m", "n", "k", "src0", "src1", "dst", "room"):
            entry[name] = getattr(self, name)
        return entry.tobytes()


@dataclass(frozen=True, slots=True)
class Completion:
    """The end of one request: its tag, how it ended, and how many bytes were written."""

    tag: int
    status: Status
    produced: int


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things lie in a shared buffer of `size` bytes with rings of `depth`."""

    depth: int
    size: int

    @property
    def completions(self) -> int:
        """Where the completions begin."""
        return self.depth * REQUEST.itemsize

    @property
    def data(self) -> int:
        """Where the room for data begins."""
        return self.completions + self.depth * COMPLETION.itemsize

    @property
    def end(self) -> int:
        """Where the room for data ends, and the stop word begins."""
        return self.size - STOP_WORD

    def request(self, index: int) -> int:
        """Return the place of the request number `index`, counted since the queue was started."""
        return index % self.depth * REQUEST.itemsize

    def completion(self, index: int) -> int:
        """Return the place of completion number `index`."""
        return self.completions + index % self.depth * COMPLETION.itemsize

    def phase(self, index: int) -> int:
        """Return the phase that completion number `index` has."""
        return 1 - index // self.depth % 2
