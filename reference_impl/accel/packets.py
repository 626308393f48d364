# SPDX-License-Identifier: Apache-2.0
"""Command packets: what user code writes into a command buffer and the hardware queues read from it.

A packet is a header of 8 bytes and the words that its operation has, 8 bytes each, all little-endian. The header is:
operation (2 bytes), element type (1), element type of the result (1), sync object (2), reserved (2). Zeroed memory is
a row of NOPs. Counts are in elements, addresses are the context's and aligned to the element.

================  ======================  ==========================================================
operation         words                   does
================  ======================  ==========================================================
NOP                                       nothing
COPY_IN           n src0 dst              host memory to device memory
COPY_OUT          n src0 dst              device memory to host memory
COPY              n src0 dst              device memory to device memory
FILL              n dst scalar            every element becomes `scalar` (the low bytes of the word)
ADD ... MINIMUM   n src0 src1 dst         element by element
RELU              n src0 dst              what is below 0 becomes 0
SUM, MAX          n src0 dst              one element
CONVERT           n src0 dst              to the type of the result; see `execute`
MATMUL            m n k src0 src1 dst     (m, k) by (k, n), rows first
SIGNAL            value                   the sync object grows by `value`
WAIT              value                   sleeps until the sync object has `value`, and takes it away
STOP                                      the driver's own: a user may not submit it
================  ======================  ==========================================================
"""

from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..kernel import Errno, UsageError
from .address_space import is_host


class Op(IntEnum):
    """What a packet asks for."""

    NOP = 0
    COPY_IN = 1
    COPY_OUT = 2
    COPY = 3
    FILL = 4
    ADD = 5
    SUBTRACT = 6
    MULTIPLY = 7
    MAXIMUM = 8
    MINIMUM = 9
    RELU = 10
    SUM = 11
    MAX = 12
    CONVERT = 13
    MATMUL = 14
    SIGNAL = 15
    WAIT = 16
    STOP = 17


DTYPES: Final = tuple(np.dtype(name) for name in ("<f4", "<f8", "<f2", "<i4", "<i8", "i1", "u1"))
SYNC_OBJECTS: Final = 64
LARGEST: Final = 1 << 30  # bytes that one operand may have

_HEADER: Final = Struct("<HBBHH")
_WORD: Final = 8
_COPY: Final = ("n", "src0", "dst")
_BINARY: Final = ("n", "src0", "src1", "dst")
WORDS: Final[dict[Op, tuple[str, ...]]] = {
    Op.NOP: (),
    Op.COPY_IN: _COPY,
    Op.COPY_OUT: _COPY,
    Op.COPY: _COPY,
    Op.FILL: ("n", "dst", "scalar"),
    Op.ADD: _BINARY,
    Op.SUBTRACT: _BINARY,
    Op.MULTIPLY: _BINARY,
    Op.MAXIMUM: _BINARY,
    Op.MINIMUM: _BINARY,
    Op.RELU: _COPY,
    Op.SUM: _COPY,
    Op.MAX: _COPY,
    Op.CONVERT: _COPY,
    Op.MATMUL: ("m", "n", "k", "src0", "src1", "dst"),
    Op.SIGNAL: ("value",),
    Op.WAIT: ("value",),
    Op.STOP: (),
}
_STRUCTS: Final = {op: Struct(f"<{len(words)}Q") for op, words in WORDS.items()}
_OPS: Final = {op.value: op for op in Op}


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet. `dtype` and `to` are numbers in `DTYPES`; what an operation has no word for does not count."""

    op: Op
    dtype: int = 0
    to: int = 0
    sync: int = 0
    n: int = 0
    m: int = 0
    k: int = 0
    src0: int = 0
    src1: int = 0
    dst: int = 0
    scalar: int = 0
    value: int = 0

    @property
    def element(self) -> np.dtype[Any]:
        """The type of an operand's elements."""
        return DTYPES[self.dtype]

    @property
    def result(self) -> np.dtype[Any]:
        """The type of the result's elements."""
        return DTYPES[self.to if self.op is Op.CONVERT else self.dtype]

    def operands(self) -> tuple[int, ...]:
        """How many elements are at src0, src1 and dst; 0 where there are none."""
        match self.op:
            case Op.NOP | Op.SIGNAL | Op.WAIT | Op.STOP:
                return 0, 0, 0
            case Op.FILL:
                return 0, 0, self.n
            case Op.SUM | Op.MAX:
                return self.n, 0, 1
            case Op.MATMUL:
                return self.m * self.k, self.k * self.n, self.m * self.n
        return self.n, (self.n if "src1" in WORDS[self.op] else 0), self.n

    def encode(self) -> bytes:
        """Return the bytes that go into a command buffer."""
        words = (getattr(self, name) for name in WORDS[self.op])
        return _HEADER.pack(self.op, self.dtype, self.to, self.sync, 0) + _STRUCTS[self.op].pack(*words)

    def check(self) -> int:
        """Return 0, EPERM (STOP), or EINVAL: a type, sync object, size, alignment or side that makes no sense."""
        if self.op is Op.STOP:
            return Errno.EPERM
        if self.dtype >= len(DTYPES) or self.to >= len(DTYPES) or self.sync >= SYNC_OBJECTS:
            return Errno.EINVAL
        if self.op in (Op.NOP, Op.SIGNAL, Op.WAIT):
            return 0 if self.op is Op.NOP or self.value > 0 else Errno.EINVAL
        sides = {Op.COPY_IN: (True, False), Op.COPY_OUT: (False, True), Op.COPY: (False, False)}.get(self.op)
        if sides is not None and sides != (is_host(self.src0), is_host(self.dst)):
            return Errno.EINVAL
        of_src0, of_src1, of_dst = self.operands()
        element, result = self.element.itemsize, self.result.itemsize
        for address, count, size in (
            (self.src0, of_src0, element),
            (self.src1, of_src1, element),
            (self.dst, of_dst, result),
        ):
            if count * size > LARGEST or (count and address % size):
                return Errno.EINVAL
        return 0 if of_dst and (of_src0 or self.op is Op.FILL) else Errno.EINVAL


_NOP: Final = Packet(Op.NOP)
_ZEROS: Final = _NOP.encode()


def dtype_code(dtype: np.dtype[Any]) -> int:
    """Return the number of an element type. Raises UsageError for one that the device does not have."""
    if dtype not in DTYPES:
        raise UsageError(f"no packet has elements of type {dtype}; there are {', '.join(map(str, DTYPES))}")
    return DTYPES.index(dtype)


def scalar_bits(value: ArrayLike, dtype: np.dtype[Any]) -> int:
    """Return a number of that type as the word `scalar` of a FILL."""
    return int.from_bytes(np.asarray(value).astype(dtype).tobytes(), "little")


def encode(*packets: Packet) -> bytes:
    """Return packets one after the other, as they lie in a command buffer."""
    return b"".join(packet.encode() for packet in packets)


def parse(data: bytes | NDArray[np.uint8]) -> tuple[Packet, ...] | Errno:
    """Return the packets in `data`, which they fill, or why the driver refuses it: EINVAL, or EPERM for STOP.

    >>> parse(bytes(16)) == (Packet(Op.NOP), Packet(Op.NOP))
    True
    """
    raw = data if isinstance(data, bytes) else data.tobytes()
    packets: list[Packet] = []
    at = 0
    while at < len(raw):
        if raw.startswith(_ZEROS, at):
            packets.append(_NOP)
            at += _HEADER.size
            continue
        if len(raw) - at < _HEADER.size:
            return Errno.EINVAL
        code, dtype, to, sync, reserved = _HEADER.unpack_from(raw, at)
        at += _HEADER.size
        op = _OPS.get(code)
        if op is None or reserved or len(raw) - at < _STRUCTS[op].size:
            return Errno.EINVAL
        words = dict(zip(WORDS[op], _STRUCTS[op].unpack_from(raw, at), strict=True))
        at += _STRUCTS[op].size
        packet = Packet(op, dtype, to, sync, **words)
        if refused := packet.check():
            return Errno(refused)
        packets.append(packet)
    return tuple(packets)
