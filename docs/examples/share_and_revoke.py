# SPDX-License-Identifier: Apache-2.0
"""Two accelerators share a matrix product, and the first one revokes it while the second one works on it.

It prints:

    the first multiplies: OK
    the second adds up what it imported: 0 OK [44.]
    one job more, and a revoke under it: 0 WOULD_BLOCK
    the job ends, and with it the revoke: OK set()
    another job: ENODEV
"""

import numpy as np

from accelspec.reference_impl import name_of
from accelspec.reference_impl.compute import Op, Request
from accelspec.reference_impl.dmabuf import System

system = System("intended")
owner, peer = system.open(0, 0), system.open(0, 1)
a, c = (system.mem_map(0, owner, system.mem_alloc(0, owner, 4096)) for _ in range(2))
system.store(0, owner, a, np.array([0, 1, 2, 3, 4, 5, 1, 1, 1, 1, 2, 2], "<f4").tobytes())
system.submit(0, owner, Request(Op.MATMUL, m=2, k=3, n=2, src0=a, src1=a + 24, dst=c, room=16))
print("the first multiplies:", *system.run(0))
shared = system.import_buffer(0, peer, system.export(0, owner, c, 4096))
total = Request(Op.SUM, n=4, src0=shared, dst=shared + 16, room=4)
print("the second adds up what it imported:", system.submit(0, peer, total), *system.run(1), end=" ")
print(np.frombuffer(system.load(0, owner, c + 16, 4), "<f4"))
print("one job more, and a revoke under it:", system.submit(0, peer, total), name_of(system.revoke(0)))
print("the job ends, and with it the revoke:", *system.run(1), system.devices[0].reached())
print("another job:", name_of(system.submit(0, peer, total)))
