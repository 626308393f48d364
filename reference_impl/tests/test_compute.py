# SPDX-License-Identifier: Apache-2.0
"""What the hardware computes, against numpy and zlib; and what it must not reach."""

import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from accelspec.reference_impl import System, UsageError
from accelspec.reference_impl.compute import DTYPES, ComputeProvider, Op, Request, Status
from accelspec.reference_impl.kernel import UserFault
from accelspec.reference_impl.userland import Queue, Response, WarpDrive

ELEMENTWISE = {Op.ADD: np.add, Op.SUBTRACT: np.subtract, Op.MULTIPLY: np.multiply, Op.MAXIMUM: np.maximum}
ROOM = 4 * 4096


class Bench:
    """A device, a process with a started queue, and memory for three operands of ROOM bytes."""

    def __init__(self, *, sva: bool = True, behaviour: str = "6.12.117", depth: int = 8) -> None:
        self.system = System(behaviour, provider=ComputeProvider, hardware={"depth": depth, "dus_pages": 16})
        self.system.alloc(0, sva=sva)
        self.system.register(0)
        self.wd = WarpDrive(self.system, 0)
        q = self.wd.request_queue("zlib")
        assert isinstance(q, Queue)
        self.q = q
        self.sva = sva
        self.memory = self.system.allocate(0, 3 * ROOM // 4096) if sva else q.dus
        self.base = self.system.address(self.memory) if sva else q.layout.data
        self.skip = 0 if sva else q.layout.data

    def put(self, slot: int, data: bytes) -> int:
        self.system.store(self.memory, self.skip + slot * ROOM, data)
        return self.base + slot * ROOM

    def get(self, slot: int, size: int) -> bytes:
        return self.system.load(self.memory, self.skip + slot * ROOM, size)

    def run(self, op: Op, **fields: Any) -> Response:
        request = Request(op, dst=self.base + 2 * ROOM, **{"room": ROOM, **fields})
        assert self.wd.send(self.q, request) == 0
        assert self.system.complete(0, self.q.fd) == 1
        responses: list[Response] = []
        assert self.wd.recv(self.q, responses) == 1
        return responses[0]


BENCHES = {(sva, behaviour): Bench(sva=sva, behaviour=behaviour) for sva in (True, False)
           for behaviour in ("6.12.117", "intended")}  # fmt: skip
ON_ALL = pytest.mark.parametrize("bench", list(BENCHES.values()), ids=[f"sva={sva}-{name}" for sva, name in BENCHES])


def vectors(dtype: np.dtype[Any]) -> st.SearchStrategy[tuple[Any, Any]]:
    return st.integers(1, 40).flatmap(lambda n: st.tuples(*(hnp.arrays(dtype, n) for _ in range(2))))


@ON_ALL
@pytest.mark.parametrize("op", list(ELEMENTWISE))
@given(data=st.data(), type_code=st.integers(0, len(DTYPES) - 1))
def test_elementwise(bench: Bench, op: Op, data: st.DataObject, type_code: int) -> None:
    a, b = data.draw(vectors(DTYPES[type_code]))
    done = bench.run(op, dtype=type_code, n=len(a), src0=bench.put(0, a.tobytes()), src1=bench.put(1, b.tobytes()))
    with np.errstate(all="ignore"):
        expected = ELEMENTWISE[op](a, b)
    assert (done.status, done.produced) == (Status.OK, expected.nbytes)
    np.testing.assert_array_equal(np.frombuffer(bench.get(2, expected.nbytes), DTYPES[type_code]), expected)


@ON_ALL
@given(data=st.data(), type_code=st.integers(0, len(DTYPES) - 1))
def test_sum(bench: Bench, data: st.DataObject, type_code: int) -> None:
    dtype = DTYPES[type_code]
    a, _ = data.draw(vectors(dtype))
    done = bench.run(Op.SUM, dtype=type_code, n=len(a), src0=bench.put(0, a.tobytes()))
    with np.errstate(all="ignore"):
        expected = np.sum(a, dtype=dtype)
    assert done.produced == dtype.itemsize
    np.testing.assert_array_equal(np.frombuffer(bench.get(2, dtype.itemsize), dtype)[0], expected)


@ON_ALL
@given(shape=st.tuples(*(st.integers(1, 12) for _ in range(3))), seed=st.integers(0, 99), type_code=st.integers(0, 3))
def test_matrix_product(bench: Bench, shape: tuple[int, int, int], seed: int, type_code: int) -> None:
    m, k, n = shape
    rng = np.random.default_rng(seed)
    a = rng.integers(-9, 9, (m, k)).astype(DTYPES[type_code])
    b = rng.integers(-9, 9, (k, n)).astype(DTYPES[type_code])
    done = bench.run(Op.MATMUL, dtype=type_code, m=m, n=n, k=k,
                     src0=bench.put(0, a.tobytes()), src1=bench.put(1, b.tobytes()))  # fmt: skip
    assert done.status is Status.OK
    result = np.frombuffer(bench.get(2, done.produced), DTYPES[type_code]).reshape(m, n)
    np.testing.assert_array_equal(result, np.matmul(a, b))  # small integers: exact in every type


@ON_ALL
@given(st.binary(max_size=2000))
def test_deflate_and_back(bench: Bench, text: bytes) -> None:
    packed = bench.run(Op.DEFLATE, n=len(text), src0=bench.put(0, text))
    stream = bench.get(2, packed.produced)
    assert zlib.decompress(stream) == text
    done = bench.run(Op.INFLATE, n=len(stream), src0=bench.put(1, stream))
    assert (done.status, bench.get(2, done.produced)) == (Status.OK, text)


@ON_ALL
def test_results_that_do_not_fit(bench: Bench) -> None:
    src = bench.put(0, zlib.compress(bytes(1000)))
    assert bench.run(Op.INFLATE, n=100, src0=src, room=999).status is Status.OVERFLOW
    assert bench.run(Op.INFLATE, n=5, src0=src).status is Status.CORRUPT
    assert bench.run(Op.INFLATE, n=8, src0=bench.put(0, b"nonsense")).status is Status.CORRUPT
    assert bench.run(Op.COPY, dtype=4, n=10, src0=src, room=9).status is Status.OVERFLOW


@ON_ALL
def test_requests_that_make_no_sense(bench: Bench) -> None:
    assert bench.run(Op.ADD, dtype=9).status is Status.INVALID
    assert bench.run(Op.ADD, n=1 << 30).status is Status.INVALID
    assert bench.run(Op.MATMUL, m=1 << 16, n=1 << 16, k=1).status is Status.INVALID
    assert bench.run(Op.NOP).status is Status.OK


def test_sva_reaches_only_its_own_process() -> None:
    bench = Bench()
    other = bench.system.allocate(1, 1)
    bench.system.store(other, 0, b"secret")
    done = bench.run(Op.COPY, dtype=4, n=6, src0=bench.system.address(other))
    assert done.status is Status.FAULT
    assert bench.get(2, 6) == bytes(6)


def test_unmapped_memory_faults() -> None:
    bench = Bench()
    src = bench.put(0, b"here")
    assert bench.run(Op.COPY, dtype=4, n=4, src0=src).status is Status.OK
    bench.system.munmap(bench.memory, 0, 1)
    assert bench.run(Op.COPY, dtype=4, n=4, src0=src).status is Status.FAULT
    bench.system.munmap(bench.memory)
    assert bench.run(Op.COPY, dtype=4, n=4, src0=src).status is Status.FAULT


def test_work_of_a_dead_process_is_aborted() -> None:
    bench = Bench()
    src = bench.put(0, b"here")
    bench.wd.send(bench.q, Request(Op.COPY, dtype=4, n=4, src0=src, dst=src, room=4))
    bench.system.pass_fd(0, bench.q.fd, 1, 3)
    bench.system.exit(0)
    assert bench.system.complete(1, 3) == 1
    m = bench.system.mmap(1, 3, 1, 16)
    entry = bench.system.load(m, bench.q.layout.completions, 16)
    assert entry[4] == Status.FAULT


def test_buffer_device_reaches_only_its_data() -> None:
    bench = Bench(sva=False)
    for address, n in ((0, 4), (bench.q.layout.data - 1, 4), (bench.q.layout.end - 3, 4), (1 << 40, 1)):
        assert bench.run(Op.COPY, dtype=4, n=n, src0=address).status is Status.FAULT


@pytest.mark.parametrize("behaviour", ["6.12.117", "intended"])
def test_revoked_memory_faults_and_is_scrubbed_for_the_next(behaviour: str) -> None:
    bench = Bench(sva=False, behaviour=behaviour)
    bench.put(0, b"secret")
    bench.system.remove(0)
    with pytest.raises(UserFault):
        bench.system.load(bench.q.dus, 0, 1)
    bench = Bench(sva=False, behaviour=behaviour)
    bench.put(0, b"secret")
    hardware = bench.system.observe()["queues"][1]["hardware"]
    bench.wd.release_queue(bench.q)
    for p in (1, 2):
        bench.system.open(p, 0, 3)
        m = bench.system.mmap(p, 3, 1, 16)
        assert not any(bench.system.load(m, 0, 16 * 4096))
    assert hardware in [queue["hardware"] for queue in bench.system.observe()["queues"].values()]


def test_depth_must_fit() -> None:
    with pytest.raises(UsageError, match="rings of depth 4096 do not fit into 2 pages"):
        System(provider=ComputeProvider, hardware={"depth": 4096}).alloc(0)
