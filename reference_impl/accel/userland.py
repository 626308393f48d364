# SPDX-License-Identifier: Apache-2.0
"""A small library for programs that compute on an accelerator: arrays on the device, and operations on them.

Nothing here knows the driver's inside: all of it goes through the calls of `AccelSystem`, as any process's would.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..kernel import name_of
from .arguments import Chunk, MemoryFlag
from .packets import Op, Packet, dtype_code, encode
from .system import AccelSystem


class AccelError(OSError):
    """A call failed; `result` is what it answered, a negative errno."""

    def __init__(self, what: str, result: int) -> None:
        super().__init__(-result, f"{what}: {name_of(result)}")
        self.result = result


@dataclass(frozen=True, slots=True)
class DeviceArray:
    """An array in device memory: the handle of its memory, its address, and what it looks like."""

    handle: int
    va: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def size(self) -> int:
        """How many elements it has."""
        return int(np.prod(self.shape))


class Accelerator:
    """The compute node of device `d`, open in process `p`. `drive()` lets the hardware work while the program waits.

    >>> with Accelerator(system, 0) as accel:
    ...     a, b = accel.put(x), accel.put(y)
    ...     product = accel.get(accel.matmul(a, b))
    """

    def __init__(
        self,
        system: AccelSystem,
        p: int,
        d: int = 0,
        *,
        contiguous: bool = True,
        drive: Callable[[], object] | None = None,
    ) -> None:
        self.system = system
        self.process = p
        self.fd = self._done("open", system.open(p, d))
        self.contiguous = contiguous
        self._drive = drive if drive is not None else lambda: system.run(d)
        if system.behaviour.context_copied == "before the check":
            self._done("ask", system.info(p, self.fd, 0))  # or the first submission of all meets no context

    def __enter__(self) -> "Accelerator":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the node: everything that was allocated goes with it."""
        self.system.close(self.process, self.fd)

    @staticmethod
    def _done(what: str, result: int) -> int:
        if result < 0:
            raise AccelError(what, result)
        return result

    # Arrays.

    def empty(self, shape: Sequence[int], dtype: DTypeLike = np.float32) -> DeviceArray:
        """Return an array whose content is anybody's guess. Raises AccelError without memory."""
        element = np.dtype(dtype)
        size = int(np.prod(shape)) * element.itemsize
        flags = MemoryFlag.CONTIGUOUS if self.contiguous else 0
        handle = self._done("allocate", self.system.alloc(self.process, self.fd, size, flags=flags))
        va = self._done("map", self.system.map(self.process, self.fd, handle))
        return DeviceArray(handle, va, tuple(shape), element)

    def put(self, array: NDArray[Any]) -> DeviceArray:
        """Return a copy of an array on the device."""
        there = self.empty(array.shape, array.dtype)
        self._copy(np.ascontiguousarray(array), there, Op.COPY_IN)
        return there

    def get(self, array: DeviceArray) -> NDArray[Any]:
        """Return a copy of an array from the device."""
        here = np.empty(array.shape, array.dtype)
        self._copy(here, array, Op.COPY_OUT)
        return here

    def free(self, array: DeviceArray) -> None:
        """Give the memory of an array back."""
        self._done("unmap", self.system.unmap(self.process, self.fd, array.va))
        self._done("free", self.system.free(self.process, self.fd, array.handle))

    def _copy(self, host: NDArray[Any], array: DeviceArray, op: Op) -> None:
        va = self._done("pin", self.system.map_host(self.process, self.fd, host))
        src, dst = (va, array.va) if op is Op.COPY_IN else (array.va, va)
        try:
            self.run(Packet(op, dtype_code(array.dtype), n=array.size, src0=src, dst=dst))
        finally:
            self.system.unmap(self.process, self.fd, va)

    # Operations.

    def matmul(self, a: DeviceArray, b: DeviceArray) -> DeviceArray:
        """Return the product of two matrices."""
        (m, k), (_, n) = a.shape, b.shape
        product = self.empty((m, n), a.dtype)
        code = dtype_code(a.dtype)
        self.run(Packet(Op.MATMUL, code, m=m, n=n, k=k, src0=a.va, src1=b.va, dst=product.va))
        return product

    def elementwise(self, op: Op, a: DeviceArray, b: DeviceArray) -> DeviceArray:
        """Return ADD, SUBTRACT, MULTIPLY, MAXIMUM or MINIMUM of two arrays."""
        result = self.empty(a.shape, a.dtype)
        self.run(Packet(op, dtype_code(a.dtype), n=a.size, src0=a.va, src1=b.va, dst=result.va))
        return result

    # Submissions.

    def run(self, *packets: Packet, queue: int = 0) -> int:
        """Submit packets to a queue and wait for them; their sequence. Raises AccelError as they fail."""
        seq = self.submit(*packets, queue=queue)
        self.wait(seq)
        return seq

    def submit(self, *packets: Packet, queue: int = 0) -> int:
        """Submit packets to a queue: their sequence."""
        return self._done("submit", self.system.submit(self.process, self.fd, Chunk(queue, data=encode(*packets))))

    def wait(self, seq: int) -> None:
        """Let the hardware work until a submission is over. Raises AccelError as it fails."""
        while self._done("wait", self.system.wait(self.process, self.fd, seq)) == 1:
            self._drive()
