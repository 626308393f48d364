# SPDX-License-Identifier: Apache-2.0
"""A 1024 x 1024 float32 matrix product through the whole driver, against numpy alone.

Measured is everything that a program with an open device does for one product: allocate three operands, map them and
the program's own arrays, write the commands, submit, let the hardware work, wait, and give everything back.
"""

from functools import partial

import numpy as np

from ..accel.arguments import Chunk, MemoryFlag
from ..accel.hardware import Hardware
from ..accel.packets import Op, Packet, encode
from ..accel.system import AccelSystem
from .timing import HEAD, compare

SIZE = 1024
GOAL = 1.25
ROUNDS = 15


class Product:
    """A program that multiplies `a` and `b` on the device, into `result`."""

    def __init__(self, contiguous: bool) -> None:
        rng = np.random.default_rng(0)
        self.flags = MemoryFlag.CONTIGUOUS if contiguous else 0
        self.a, self.b = (rng.random((SIZE, SIZE), np.float32) for _ in range(2))
        self.result = np.zeros((SIZE, SIZE), np.float32)
        self.system = AccelSystem("c2", hardware=Hardware(memory=64 << 20, page_size=64 << 10))
        self.fd = self.system.open(0)

    def run(self) -> None:
        """One product."""
        system, fd, n = self.system, self.fd, SIZE * SIZE
        handles = [system.alloc(0, fd, self.a.nbytes, flags=self.flags) for _ in range(3)]
        on_device = [system.map(0, fd, handle) for handle in handles]
        a, b, c = on_device
        in_program = [system.map_host(0, fd, array) for array in (self.a, self.b, self.result)]
        commands = encode(
            Packet(Op.COPY_IN, n=n, src0=in_program[0], dst=a),
            Packet(Op.COPY_IN, n=n, src0=in_program[1], dst=b),
            Packet(Op.MATMUL, m=SIZE, n=SIZE, k=SIZE, src0=a, src1=b, dst=c),
            Packet(Op.COPY_OUT, n=n, src0=c, dst=in_program[2]),
        )
        seq = system.submit(0, fd, Chunk(data=commands))
        system.run()
        assert system.wait(0, fd, seq) == 0
        for va in on_device + in_program:
            assert system.unmap(0, fd, va) == 0
        for handle in handles:
            assert system.free(0, fd, handle) == 0


def main() -> None:
    """Measure, and print two lines."""
    print(HEAD)
    for contiguous in (True, False):
        product = Product(contiguous)
        expected = np.zeros_like(product.result)
        ratio = compare(product.run, partial(np.matmul, product.a, product.b, out=expected), ROUNDS)
        assert np.allclose(product.result, expected, rtol=1e-5)
        name = "contiguous pages" if contiguous else "scattered pages"
        print(ratio.line(name, GOAL if contiguous else None))
