# SPDX-License-Identifier: Apache-2.0
"""What the hardware computes: one request on one memory, with numpy and zlib."""

import zlib
from collections.abc import Callable
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from ..kernel import UserFault
from .packets import DTYPES, Op, Status

LARGEST: Final = 1 << 24  # bytes that one operand may have

Array = NDArray[Any]


class Memory(Protocol):
    """What the hardware reaches by address. Raises UserFault for an address that is not there."""

    def load(self, address: int, size: int) -> bytes:
        """Return `size` bytes from `address`."""
        ...

    def store(self, address: int, data: bytes) -> None:
        """Write `data` to `address`."""
        ...


_ELEMENTWISE: Final[dict[Op, Callable[[Array, Array], Array]]] = {
    Op.ADD: np.add,
    Op.SUBTRACT: np.subtract,
    Op.MULTIPLY: np.multiply,
    Op.MAXIMUM: np.maximum,
}


class _Refused(Exception):
    def __init__(self, status: Status) -> None:
        super().__init__(status.name)
        self.status = status


def execute(request: np.void, memory: Memory) -> tuple[Status, int]:
    """Do `request` (an element of `REQUEST` type); return how it ended and how many bytes it wrote.

    Nothing is written unless all of the result fits; a fault while writing may leave a part.
    """
    try:
        result = _compute(request, memory)
        if len(result) > int(request["room"]):
            raise _Refused(Status.OVERFLOW)
        memory.store(int(request["dst"]), result)
    except _Refused as refused:
        return refused.status, 0
    except UserFault:
        return Status.FAULT, 0
    return Status.OK, len(result)


def _compute(request: np.void, memory: Memory) -> bytes:
    code, type_code = int(request["op"]), int(request["dtype"])
    if code not in Op._value2member_map_ or type_code >= len(DTYPES):
        raise _Refused(Status.INVALID)
    op, dtype = Op(code), DTYPES[type_code]
    m, n, k = int(request["m"]), int(request["n"]), int(request["k"])
    src0, src1 = int(request["src0"]), int(request["src1"])

    def operand(address: int, count: int, element: np.dtype[Any] = dtype) -> Array:
        if count * element.itemsize > LARGEST:
            raise _Refused(Status.INVALID)
        return np.frombuffer(memory.load(address, count * element.itemsize), element)

    with np.errstate(all="ignore"):
        if op is Op.NOP:
            return b""
        if op is Op.COPY:
            return operand(src0, n).tobytes()
        if op in _ELEMENTWISE:
            return _ELEMENTWISE[op](operand(src0, n), operand(src1, n)).astype(dtype).tobytes()
        if op is Op.SUM:
            return np.sum(operand(src0, n), dtype=dtype).tobytes()
        if op is Op.MATMUL:
            if m * n * dtype.itemsize > LARGEST:
                raise _Refused(Status.INVALID)
            product = operand(src0, m * k).reshape(m, k) @ operand(src1, k * n).reshape(k, n)
            return product.astype(dtype).tobytes()
    stream = operand(src0, n, np.dtype("u1")).tobytes()
    return zlib.compress(stream) if op is Op.DEFLATE else _inflate(stream, int(request["room"]))


def _inflate(stream: bytes, room: int) -> bytes:
    inflater = zlib.decompressobj()
    try:
        result = inflater.decompress(stream, min(room, LARGEST) + 1)
    except zlib.error:
        raise _Refused(Status.CORRUPT) from None
    if len(result) > room:
        raise _Refused(Status.OVERFLOW)
    if not inflater.eof:
        raise _Refused(Status.CORRUPT)
    return result
