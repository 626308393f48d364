# SPDX-License-Identifier: Apache-2.0
"""What command packets do, against plain numpy; what the driver refuses; and how queues take turns."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from accelspec.reference_impl import Errno, UsageError
from accelspec.reference_impl.accel.address_space import AddressSpace, Fault
from accelspec.reference_impl.accel.execute import execute
from accelspec.reference_impl.accel.memory import DeviceMemory
from accelspec.reference_impl.accel.packets import (
    DTYPES,
    LARGEST,
    SYNC_OBJECTS,
    WORDS,
    Op,
    Packet,
    dtype_code,
    encode,
    parse,
    scalar_bits,
)
from accelspec.reference_impl.accel.queues import HardwareQueues

PAGE = 64  # small, so that small arrays are scattered
SLOT = 32 * PAGE
CODES = st.sampled_from(range(len(DTYPES)))
FLOATS = st.sampled_from([dtype_code(np.dtype(name)) for name in ("<f4", "<f8", "<f2")])


class Bench:
    """Three operands of SLOT bytes each, in contiguous or scattered device memory."""

    def __init__(self, contiguous: bool) -> None:
        self.memory = DeviceMemory(1 << 16, PAGE)
        self.space = AddressSpace(self.memory, 1)
        self.slots = [self.space.map_device(self.memory.alloc(SLOT, 1, contiguous)) for _ in range(3)]
        assert (len(self.space.view(self.slots[0], SLOT)) == 1) == contiguous

    def run(self, op: Op, a: Any, b: Any = None, **fields: int) -> Any:
        """The result of one packet on `a` and `b`, after it was encoded and parsed."""
        self.space.store(self.slots[0], a)
        if b is not None:
            self.space.store(self.slots[1], b)
        fields = {"n": a.size, "dtype": dtype_code(a.dtype), **fields}
        packet = Packet(op, src0=self.slots[0], src1=self.slots[1], dst=self.slots[2], **fields)
        parsed = parse(packet.encode())
        assert not isinstance(parsed, Errno)
        execute(parsed[0], self.space)
        count, dtype = packet.operands()[2], packet.result
        return self.space.load(self.slots[2], count * dtype.itemsize).view(dtype).copy()


BENCHES = [Bench(True), Bench(False)]
ON_BOTH = pytest.mark.parametrize("bench", BENCHES, ids=["contiguous", "scattered"])


def arrays(code: int, most: int = 200) -> st.SearchStrategy[Any]:
    return hnp.arrays(DTYPES[code], st.integers(1, most))


def pairs(code: int) -> st.SearchStrategy[tuple[Any, Any]]:
    return st.integers(1, 200).flatmap(lambda n: st.tuples(*(hnp.arrays(DTYPES[code], n) for _ in range(2))))


def same(a: Any, b: Any) -> None:
    assert a.dtype == b.dtype
    np.testing.assert_array_equal(a, b)


ELEMENTWISE = {
    Op.ADD: np.add, Op.SUBTRACT: np.subtract, Op.MULTIPLY: np.multiply, Op.MAXIMUM: np.maximum, Op.MINIMUM: np.minimum,
}  # fmt: skip


@ON_BOTH
@pytest.mark.parametrize("op", list(ELEMENTWISE))
@given(operands=CODES.flatmap(pairs))
def test_elementwise(bench: Bench, op: Op, operands: tuple[Any, Any]) -> None:
    with np.errstate(all="ignore"):
        expected = ELEMENTWISE[op](*operands)
    same(bench.run(op, *operands), expected)


@ON_BOTH
@given(a=CODES.flatmap(arrays))
def test_one_operand(bench: Bench, a: Any) -> None:
    same(bench.run(Op.COPY, a), a)
    same(bench.run(Op.RELU, a), np.where(a < 0, a.dtype.type(0), a))
    same(bench.run(Op.MAX, a), a.max(keepdims=True))


@ON_BOTH
@given(a=CODES.flatmap(arrays), value=st.integers(-9, 9))
def test_fill(bench: Bench, a: Any, value: int) -> None:
    expected = np.full(a.shape, np.asarray(value).astype(a.dtype))
    same(bench.run(Op.FILL, a, scalar=scalar_bits(value, a.dtype)), expected)


@ON_BOTH
@given(a=CODES.flatmap(arrays))
def test_sum(bench: Bench, a: Any) -> None:
    a = np.nan_to_num(a, nan=1, posinf=2, neginf=-2)
    result = bench.run(Op.SUM, a)
    with np.errstate(all="ignore"):
        if a.dtype.kind != "f":
            same(result, np.sum(a, dtype=a.dtype, keepdims=True))
            return
        terms = np.abs(a.astype(np.float64)).sum()
        if terms < np.finfo(a.dtype).max / 2:
            assert abs(float(result[0]) - float(np.sum(a.astype(np.float64)))) <= a.size * np.finfo(a.dtype).eps * terms


@ON_BOTH
@given(shape=st.tuples(*(st.integers(1, 14) for _ in range(3))), seed=st.integers(0, 99), code=CODES)
def test_matrix_product(bench: Bench, shape: tuple[int, int, int], seed: int, code: int) -> None:
    m, k, n = shape
    dtype = DTYPES[code]
    rng = np.random.default_rng(seed)
    a, b = (rng.normal(0, 30, size).astype(dtype) for size in ((m, k), (k, n)))
    result = bench.run(Op.MATMUL, a, b, m=m, n=n, k=k).reshape(m, n)
    if dtype.kind == "f":
        wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
        bound = k * np.finfo(dtype).eps * (np.abs(wide_a) @ np.abs(wide_b))
        assert (np.abs(result - wide_a @ wide_b) <= bound).all()
    else:
        same(result, np.matmul(a, b))


@ON_BOTH
@given(a=CODES.flatmap(arrays), code=CODES)
def test_conversion(bench: Bench, a: Any, code: int) -> None:
    to = DTYPES[code]
    a = a[: SLOT // to.itemsize]
    result = bench.run(Op.CONVERT, a, to=code)
    with np.errstate(all="ignore"):
        if a.dtype.kind != "f" or to.kind == "f":
            same(result, a.astype(to))
            return
    info = np.iinfo(to)
    for given_number, got in zip(a.tolist(), result.tolist(), strict=True):
        if given_number != given_number:
            assert got == 0
        elif abs(given_number) == float("inf"):
            assert got == (info.max if given_number > 0 else info.min)
        else:
            assert got == min(max(int(given_number), info.min), info.max)


@pytest.mark.parametrize("to", ["<i4", "<i8", "i1", "u1"])
@pytest.mark.parametrize("dtype", ["<f4", "<f8"])
def test_numbers_at_the_edge_of_a_type(dtype: str, to: str) -> None:
    least, most = float(np.iinfo(to).min), float(np.iinfo(to).max)
    a = np.array([np.nan, np.inf, -np.inf, most, most * 2, least, least * 2 - 1, -0.9, 1.9], dtype)
    info = np.iinfo(to)
    expected = [0, info.max, info.min, info.max, info.max, info.min, info.min, 0, 1]
    for bench in BENCHES:
        assert bench.run(Op.CONVERT, a, to=dtype_code(np.dtype(to))).tolist() == expected


def test_read_only_memory_is_not_written() -> None:
    bench = BENCHES[0]
    result = np.zeros(4, np.float32)
    result.flags.writeable = False
    dst = bench.space.map_host(result)
    with pytest.raises(Fault, match="write"):
        execute(Packet(Op.COPY_OUT, n=4, src0=bench.slots[0], dst=dst), bench.space)
    bench.space.unmap(dst)


@given(a=arrays(0), contiguous=st.booleans())
def test_host_memory_goes_in_and_out(a: Any, contiguous: bool) -> None:
    bench = BENCHES[not contiguous]
    result = np.zeros_like(a)
    src, dst = bench.space.map_host(a), bench.space.map_host(result)
    for packet in (
        Packet(Op.COPY_IN, n=a.size, src0=src, dst=bench.slots[0]),
        Packet(Op.COPY_OUT, n=a.size, src0=bench.slots[0], dst=dst),
    ):
        assert packet.check() == 0
        execute(packet, bench.space)
    same(result, a)
    for va in (src, dst):
        bench.space.unmap(va)


@given(
    op=st.sampled_from([Op.COPY, Op.ADD, Op.RELU]),
    offsets=st.tuples(*(st.integers(0, 40) for _ in range(3))),
    contiguous=st.booleans(),
)
def test_operands_may_overlap(op: Op, offsets: tuple[int, int, int], contiguous: bool) -> None:
    bench = BENCHES[not contiguous]
    before = np.arange(-100, 100, dtype=np.float32)
    bench.space.store(bench.slots[0], before)
    src0, src1, dst = (bench.slots[0] + 4 * offset for offset in offsets)
    execute(Packet(op, n=100, src0=src0, src1=src1, dst=dst), bench.space)
    a, b = (before[offset:][:100] for offset in offsets[:2])
    expected = before.copy()
    expected[offsets[2] :][:100] = {Op.COPY: a, Op.ADD: a + b, Op.RELU: np.maximum(a, 0)}[op]
    same(bench.space.load(bench.slots[0], before.nbytes).view(np.float32), expected)


@ON_BOTH
def test_a_product_may_replace_its_operand(bench: Bench) -> None:
    a = np.arange(16, dtype=np.float64)
    bench.space.store(bench.slots[0], a)
    where = {"src0": bench.slots[0], "src1": bench.slots[0], "dst": bench.slots[0]}
    execute(Packet(Op.MATMUL, dtype_code(a.dtype), m=4, n=4, k=4, **where), bench.space)
    result = bench.space.load(bench.slots[0], a.nbytes).view(a.dtype)
    same(result.reshape(4, 4), a.reshape(4, 4) @ a.reshape(4, 4))


@ON_BOTH
@pytest.mark.parametrize("missing", ["src0", "src1", "dst"])
def test_an_unmapped_operand_faults_and_nothing_is_written(bench: Bench, missing: str) -> None:
    bench.space.store(bench.slots[2], np.full(SLOT, 7, np.uint8))
    where: dict[str, int] = dict(zip(("src0", "src1", "dst"), bench.slots, strict=True))
    where[missing] = bench.slots[2] + SLOT - 4 * (PAGE - 1)  # the last element is out of it
    with pytest.raises(Fault):
        execute(Packet(Op.ADD, n=PAGE, **where), bench.space)
    assert (bench.space.load(bench.slots[2], SLOT) == 7).all()


# What the driver refuses.


PACKETS = [
    Packet(Op.NOP),
    Packet(Op.FILL, 3, n=5, dst=32, scalar=9),
    Packet(Op.MATMUL, m=1, n=2, k=3, src0=4, src1=8, dst=12),
    Packet(Op.SIGNAL, sync=3, value=1),
    Packet(Op.WAIT, sync=3, value=1),
    Packet(Op.CONVERT, 1, 2, n=1, src0=8, dst=2),
]


@given(st.lists(st.sampled_from(PACKETS)))
def test_what_is_encoded_is_parsed(packets: list[Packet]) -> None:
    assert parse(encode(*packets)) == tuple(packets)


def test_every_operation_has_words_and_zeros_are_no_operation() -> None:
    assert set(WORDS) == set(Op)
    assert parse(bytes(24)) == (Packet(Op.NOP),) * 3
    assert parse(np.zeros(8, np.uint8)) == (Packet(Op.NOP),)


ADD = Packet(Op.ADD, n=1, src0=4, src1=4, dst=4)
HOST = 1 << 44
REFUSED = {
    "the driver's own": (Packet(Op.STOP), Errno.EPERM),
    "no such operand type": (replace(ADD, dtype=len(DTYPES)), Errno.EINVAL),
    "no such result type": (replace(ADD, to=len(DTYPES)), Errno.EINVAL),
    "no such sync object": (Packet(Op.SIGNAL, sync=SYNC_OBJECTS, value=1), Errno.EINVAL),
    "waits for nothing": (Packet(Op.WAIT), Errno.EINVAL),
    "no elements": (replace(ADD, n=0), Errno.EINVAL),
    "no columns": (Packet(Op.MATMUL, m=1, n=0, k=1), Errno.EINVAL),
    "no terms": (Packet(Op.MATMUL, m=1, n=1, k=0), Errno.EINVAL),
    "too large": (replace(ADD, n=LARGEST // 4 + 1), Errno.EINVAL),
    "too large a product": (Packet(Op.MATMUL, m=1 << 20, n=1 << 20, k=1), Errno.EINVAL),
    "first operand not aligned": (replace(ADD, src0=6), Errno.EINVAL),
    "second operand not aligned": (replace(ADD, src1=6), Errno.EINVAL),
    "result not aligned": (replace(ADD, dst=6), Errno.EINVAL),
    "result not aligned to its type": (Packet(Op.CONVERT, 0, 1, n=1, src0=4, dst=4), Errno.EINVAL),
    "in from the device": (Packet(Op.COPY_IN, n=1, src0=4, dst=4), Errno.EINVAL),
    "in to the host": (Packet(Op.COPY_IN, n=1, src0=HOST, dst=HOST), Errno.EINVAL),
    "out of the host": (Packet(Op.COPY_OUT, n=1, src0=HOST, dst=HOST), Errno.EINVAL),
    "from the host on the device": (Packet(Op.COPY, n=1, src0=HOST, dst=4), Errno.EINVAL),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_packet_is_refused(case: str) -> None:
    packet, errno = REFUSED[case]
    assert parse(encode(ADD, packet)) == errno
    assert parse(encode(ADD)) == (ADD,)


def test_bytes_that_are_no_packets() -> None:
    for raw in (b"\x00", bytes(7), encode(ADD)[:-1], encode(ADD)[:8], b"\xff\xff" + bytes(6), bytes(6) + b"\x01\x00"):
        assert parse(raw) == Errno.EINVAL
    with pytest.raises(UsageError, match="complex"):
        dtype_code(np.dtype(complex))


@given(st.binary(max_size=100))
def test_whatever_is_parsed_can_be_encoded(raw: bytes) -> None:
    packets = parse(raw)
    assert isinstance(packets, Errno) or encode(*packets) == raw


# Queues.


class Queues:
    """Queues whose jobs note their end by name."""

    def __init__(self, count: int = 3, depth: int = 8) -> None:
        self.faults: list[tuple[int, int]] = []
        self.hardware = HardwareQueues(count, depth, lambda queue, fault: self.faults.append((queue, fault.va)))
        self.space = AddressSpace(DeviceMemory(PAGE, PAGE), 1)
        self.ended: list[tuple[str, int]] = []

    def push(self, queue: int, name: str, *packets: Packet, space: AddressSpace | None = None) -> int:
        return self.hardware.push(
            queue, packets, lambda result: self.ended.append((name, result)), space or self.space
        )  # fmt: skip


NOP = Packet(Op.NOP)


def test_push_errors() -> None:
    q = Queues(depth=1)
    assert q.push(3, "none", NOP) == q.push(-1, "none", NOP) == q.push(0, "empty") == Errno.EINVAL
    assert (q.hardware.room(0), q.push(0, "a", NOP), q.hardware.room(0)) == (1, 0, 0)
    assert q.push(0, "b", NOP) == Errno.EAGAIN
    with pytest.raises(UsageError, match="0 queues"):
        HardwareQueues(0)


def test_one_packet_a_step_in_order_and_in_turn() -> None:
    q = Queues()
    for queue, name in ((0, "a"), (0, "b"), (2, "c")):
        q.push(queue, name, NOP, NOP)
    assert [q.hardware.step() for _ in range(7)] == [0, 2, 0, 2, 0, 0, None]
    assert q.ended == [("a", 0), ("c", 0), ("b", 0)]
    assert q.hardware.idle
    assert q.hardware.executed == [4, 0, 2]


def test_the_caller_chooses() -> None:
    q = Queues()
    q.push(0, "a", NOP)
    q.push(1, "b", NOP)
    assert (q.hardware.step(1), q.hardware.step(1), q.hardware.step(2)) == (1, None, None)
    assert q.ended == [("b", 0)]


def test_who_waits_is_passed_over_until_it_is_signalled() -> None:
    q = Queues()
    q.push(0, "waits", Packet(Op.WAIT, sync=5, value=2), NOP)
    q.push(1, "signals", *[Packet(Op.SIGNAL, sync=5, value=1)] * 3)
    assert (q.hardware.can_step(0), q.hardware.step(0)) == (False, None)
    assert [q.hardware.step() for _ in range(6)] == [1, 1, 0, 1, 0, None]
    assert q.hardware.signals[5] == 1


def test_queues_that_wait_for_each_other_stand_still() -> None:
    q = Queues()
    q.push(0, "a", Packet(Op.WAIT, sync=0, value=1), Packet(Op.SIGNAL, sync=1, value=1))
    q.push(1, "b", Packet(Op.WAIT, sync=1, value=1), Packet(Op.SIGNAL, sync=0, value=1))
    assert q.hardware.run() == 0
    assert not q.hardware.idle
    assert q.hardware.abort() == 2
    assert q.ended == [("a", Errno.EIO), ("b", Errno.EIO)]


@given(st.lists(st.integers(0, 2), max_size=40))
def test_any_order_ends_in_the_same_memory(choices: list[int]) -> None:
    """Three queues hand a number on; each adds one, whoever runs when."""
    q = Queues()
    va = q.space.map_device(q.space.memory.alloc(PAGE, 1))
    q.space.store(va + 8, np.ones(1, np.int64))
    add = Packet(Op.ADD, dtype_code(np.dtype("<i8")), n=1, src0=va, src1=va + 8, dst=va)
    for queue in (2, 1, 0):
        q.push(queue, str(queue), *([Packet(Op.WAIT, sync=queue, value=1)] if queue else []),
               add, Packet(Op.SIGNAL, sync=queue + 1, value=1))  # fmt: skip
    for queue in choices:
        q.hardware.step(queue)
    q.hardware.run()
    assert q.ended == [("0", 0), ("1", 0), ("2", 0)]
    assert q.space.load(va, 8).view(np.int64).tolist() == [3]


def test_a_fault_ends_the_job_and_not_the_queue() -> None:
    q = Queues()
    bad = replace(ADD, src0=1 << 40, src1=1 << 40, dst=1 << 40)
    q.push(0, "bad", bad, Packet(Op.SIGNAL, value=1))
    q.push(0, "worse", bad)
    q.push(0, "good", NOP)
    assert q.hardware.run() == 3
    assert q.ended == [("bad", Errno.EIO), ("worse", Errno.EIO), ("good", 0)]
    assert q.faults == [(0, 1 << 40)] * 2
    assert q.hardware.signals[0] == 0


def test_halt_and_abort() -> None:
    q = Queues()
    other = AddressSpace(q.space.memory, 2)
    q.push(0, "a", Packet(Op.SIGNAL, value=1), NOP)
    q.push(0, "b", NOP, space=other)
    q.push(1, "c", NOP)
    q.hardware.step()
    q.hardware.halt()
    assert (q.hardware.step(), q.hardware.step(1), q.hardware.run()) == (None, None, 0)
    assert q.hardware.abort(space=q.space) == 2
    assert q.ended == [("a", Errno.EIO), ("c", Errno.EIO)]
    assert (q.hardware.signals[0], [job.space for job in q.hardware.jobs(0)]) == (1, [other])
    assert q.hardware.abort(Errno.EBUSY) == 1
    assert (q.hardware.signals[0], q.ended[-1]) == (0, ("b", Errno.EBUSY))
    q.hardware.resume()
    q.push(2, "d", NOP)
    assert q.hardware.run(limit=5) == 1


def test_a_job_may_be_pushed_as_another_ends() -> None:
    q = Queues(count=1, depth=1)

    def push_next(_: int) -> None:
        assert q.push(0, "next", NOP) == 0

    q.hardware.push(0, [NOP], push_next, q.space)
    assert q.hardware.run() == 2
    assert q.ended == [("next", 0)]
