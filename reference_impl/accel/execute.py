# SPDX-License-Identifier: Apache-2.0
"""What a packet does to memory: plain numpy on views of it, in place where an operand lies in one run of pages.

Against numpy on whole arrays: the same bits for copies, fills, element-wise operations, RELU, MAX, conversions and
everything on integers (which wrap). A SUM or MATMUL of floating point numbers may differ in the order of additions:
each element by at most ``n * eps * sum(|terms|)``, with `n` terms and the `eps` of the type, where nothing overflows
or underflows on the way.

A conversion of floating point numbers to integers drops the fraction, takes what is out of range for the nearest
number in it, and NaN for 0; numpy leaves both open.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .address_space import AddressSpace, scatter
from .packets import Op, Packet

Array = NDArray[Any]


def _relu(a: Array, out: Array) -> None:
    np.maximum(a, a.dtype.type(0), out=out)


def _sum(a: Array, out: Array) -> None:
    out[0] = np.sum(a, dtype=a.dtype)


def _max(a: Array, out: Array) -> None:
    out[0] = np.max(a)


def _convert(a: Array, out: Array) -> None:
    if a.dtype.kind == "f" and out.dtype.kind in "iu":
        least, most = np.iinfo(out.dtype).min, np.iinfo(out.dtype).max
        above, below = a >= float(most), a <= float(least)
        a = np.where(above | below | np.isnan(a), a.dtype.type(0), a)
        np.copyto(out, a, casting="unsafe")
        out[above], out[below] = most, least
    else:
        np.copyto(out, a, casting="unsafe")


_UNARY: Final[dict[Op, Callable[[Array, Array], None]]] = {
    Op.COPY_IN: lambda a, out: np.copyto(out, a),
    Op.COPY_OUT: lambda a, out: np.copyto(out, a),
    Op.COPY: lambda a, out: np.copyto(out, a),
    Op.RELU: _relu,
    Op.SUM: _sum,
    Op.MAX: _max,
    Op.CONVERT: _convert,
}
_BINARY: Final[dict[Op, np.ufunc]] = {
    Op.ADD: np.add,
    Op.SUBTRACT: np.subtract,
    Op.MULTIPLY: np.multiply,
    Op.MAXIMUM: np.maximum,
    Op.MINIMUM: np.minimum,
}


def execute(packet: Packet, space: AddressSpace) -> None:
    """Do one packet in the memory that `space` shows, as if every operand were read before the result is written.

    Raises Fault for an address that is not mapped; nothing is written then. The packet has passed its check, and has
    a result: NOP, SIGNAL and WAIT are the queues' own.
    """
    op = packet.op
    of_src0, of_src1, of_dst = packet.operands()
    element, result = packet.element, packet.result
    a = space.load(packet.src0, of_src0 * element.itemsize).view(element) if of_src0 else None
    b = space.load(packet.src1, of_src1 * element.itemsize).view(element) if of_src1 else None
    views = space.view(packet.dst, of_dst * result.itemsize, write=True)
    out = views[0].view(result) if len(views) == 1 else np.empty(of_dst, result)
    with np.errstate(all="ignore"):
        if op is Op.FILL:
            out[:] = np.frombuffer(packet.scalar.to_bytes(8, "little"), result, 1)
        elif op is Op.MATMUL and a is not None and b is not None:
            m, n, k = packet.m, packet.n, packet.k
            np.matmul(a.reshape(m, k), b.reshape(k, n), out=out.reshape(m, n))
        elif b is not None:
            _BINARY[op](a, b, out=out)
        elif a is not None:
            _UNARY[op](a, out)
    if len(views) > 1:
        scatter(out.view(np.uint8), views)
