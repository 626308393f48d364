# SPDX-License-Identifier: Apache-2.0
"""Fences, reservations and jobs by themselves (fact sheet, 4.1 and 4.2)."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelspec.reference_impl import Call, Errno, Outcome
from accelspec.reference_impl.compute import Op, Request
from accelspec.reference_impl.dmabuf import System, Usage, checks
from accelspec.reference_impl.dmabuf.fence import Callback, Fence, Timeline
from accelspec.reference_impl.dmabuf.jobs import DEPTH
from accelspec.reference_impl.dmabuf.resv import Resv
from accelspec.reference_impl.kernel import PAGE, Oops, Step, Task

E = Errno


class Bench:
    """A core, a task, and a timeline."""

    def __init__(self) -> None:
        self.system = System("D3b")
        self.task = Task("test")
        self.line: Timeline = self.system.core.fences.timeline("test")
        self.resv = Resv(self.system.kernel, self.system.design)

    def fence(self, line: Timeline | None = None) -> Fence:
        fence = (line or self.line).fence()
        assert fence is not None
        return fence

    def run(self, steps: Step[int]) -> Call:
        call = Call(self.task, steps, self.system.kernel.findings.report)
        call.run()
        return call

    def lock(self) -> None:
        def steps() -> Step[int]:
            yield from self.resv.lock(self.task)
            return 0

        assert self.run(steps()).result == 0

    def add(self, fence: Fence, usage: Usage) -> None:
        self.lock()
        assert self.resv.reserve(self.task, 1) == 0
        self.resv.add(self.task, fence, usage)
        self.resv.unlock(self.task)

    @property
    def rules(self) -> set[str]:
        return {finding.rule for finding in self.system.findings}


def test_a_fence_is_signaled_once() -> None:
    bench = Bench()
    fence = bench.fence()
    assert fence.status() == 0
    assert fence.signal(bench.task) == 0
    bench.system.advance(3)
    assert fence.signal(bench.task) == E.EINVAL
    assert (fence.status(), fence.timestamp) == (1, 0)
    assert bench.rules == set()


def test_an_error_is_set_before() -> None:
    bench = Bench()
    fence = bench.fence()
    fence.set_error(E.EIO)
    assert fence.status() == 0
    fence.signal(bench.task)
    assert fence.status() == E.EIO
    fence.set_error(E.ENOENT)
    assert bench.rules == {"dmabuf.F03"}
    other = Bench()
    other.fence().set_error(-5000)
    assert other.rules == {"dmabuf.F03"}


def test_callbacks_run_once_or_not_at_all() -> None:
    bench = Bench()
    fence = bench.fence()
    ran: list[str] = []
    kept, removed = Callback(lambda _: ran.append("kept")), Callback(lambda _: ran.append("removed"))
    assert [fence.add_callback(bench.task, kept), fence.add_callback(bench.task, removed)] == [0, 0]
    assert fence.remove_callback(bench.task, removed) is True
    assert fence.remove_callback(bench.task, removed) is False
    fence.signal(bench.task)
    assert ran == ["kept"]
    assert fence.remove_callback(bench.task, kept) is False
    assert fence.add_callback(bench.task, kept) == E.ENOENT


def test_a_driver_that_is_done_says_so_when_asked() -> None:
    bench = Bench()
    fence = bench.line.fence(enable=lambda: False)
    assert fence is not None
    assert fence.add_callback(bench.task, Callback(lambda _: None)) == E.ENOENT
    assert fence.signaled


def test_order_within_a_context() -> None:
    bench = Bench()
    first, second = bench.fence(), bench.fence()
    assert (second.is_later(first), first.is_later(second), first.is_later(first)) == (True, False, False)
    first.seqno, second.seqno = 0xFFFFFFFF, 2
    assert second.is_later(first)  # numbers wrap
    assert first.is_later(bench.fence(bench.system.core.fences.timeline("other"))) is False
    assert bench.rules == {"fence order"}


def test_signaling_out_of_order_is_seen() -> None:
    bench = Bench()
    first, second = bench.fence(), bench.fence()
    first.published = second.published = True
    second.signal(bench.task)
    assert bench.rules == {"dmabuf.F08"}


def test_a_fence_that_is_dropped_pending_wakes_who_waits() -> None:
    bench = Bench()
    fence = bench.fence()
    errors: list[int] = []
    fence.add_callback(bench.task, Callback(lambda _: errors.append(fence.error)))
    fence.put(bench.task)
    assert errors == [E.EDEADLK]
    assert bench.rules == {"dmabuf.F01"}
    assert bench.system.core.fences.live == {}
    fence.put(bench.task)
    assert "use after free" in bench.rules


def test_waiting() -> None:
    bench = Bench()
    fence = bench.fence()
    assert bench.run(fence.wait(bench.task, -1)).result == E.EINVAL
    assert bench.run(fence.wait(bench.task, 0)).result == 0
    waiting = bench.run(fence.wait(bench.task, 5))
    assert waiting.result == Outcome.WOULD_BLOCK
    fence.signal(bench.task)
    assert waiting.run() == 5
    assert bench.run(fence.wait(bench.task, 0)).result == 1


@pytest.mark.parametrize(("usage", "query"), list(product(Usage, Usage)))
def test_a_query_finds_its_class_and_those_before(usage: Usage, query: Usage) -> None:
    bench = Bench()
    bench.add(bench.fence(), usage)
    assert bench.resv.idle(query) is (usage > query)


def test_a_slot_has_to_be_reserved() -> None:
    bench = Bench()
    bench.lock()
    with pytest.raises(Oops):
        bench.resv.add(bench.task, bench.fence(), Usage.READ)
    assert bench.resv.reserve(bench.task, 0) == E.EINVAL
    bench.system.inject("resv_reserve")
    assert bench.resv.reserve(bench.task, 1) == E.ENOMEM
    bench.resv.unlock(bench.task)
    bench.resv.reserve(bench.task, 1)
    bench.resv.add(bench.task, bench.fence(), Usage.READ)
    assert bench.rules == {"dmabuf.I31"}


Added = st.tuples(st.integers(0, 1), st.sampled_from(Usage))


@settings(max_examples=80)
@given(st.lists(Added, max_size=8), st.lists(st.integers(0, 7), max_size=8))
def test_no_pending_fence_is_ever_forgotten(added: list[tuple[int, Usage]], signals: list[int]) -> None:
    """Whatever is added and signaled in order: a class is idle exactly if every fence ever added at it is signaled."""
    bench = Bench()
    lines = [bench.line, bench.system.core.fences.timeline("other")]
    ever: list[tuple[Fence, Usage]] = []
    for line, usage in added:
        fence = bench.fence(lines[line])
        bench.add(fence, usage)
        ever.append((fence, usage))
        if signals and signals.pop() < 4:
            first = next((f for f, _ in ever if not f.signaled and f.timeline is lines[line]), None)
            if first is not None:
                first.signal(bench.task)
        for query in Usage:
            wanted = all(f.signaled for f, of in ever if of <= query)
            assert bench.resv.idle(query) is wanted
    assert bench.rules == set()


# ---------------------------------------------------------------------- jobs


def two_devices() -> tuple[System, int, int]:
    """A buffer of device 0, imported by device 1; device addresses of both."""
    system = System("intended")
    assert [system.open(0, 0, 3), system.open(1, 1, 3)] == [3, 3]
    own = system.mem_map(0, 3, system.mem_alloc(0, 3, 2 * PAGE))
    n = system.receive(1, system.send(0, system.export(0, 3, own, 2 * PAGE)))
    return system, own, system.import_buffer(1, 3, n)


@settings(max_examples=25)
@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 5), st.integers(0, 1000))
def test_a_second_device_computes_what_numpy_does(m: int, k: int, n: int, seed: int) -> None:
    system, own, shared = two_devices()
    numbers = np.random.default_rng(seed)
    a, b = numbers.integers(-9, 9, (m, k)).astype("<f8"), numbers.integers(-9, 9, (k, n)).astype("<f8")
    system.store(0, 3, own, a.tobytes() + b.tobytes())
    request = Request(
        Op.MATMUL, 1, m=m, n=n, k=k, src0=shared, src1=shared + a.nbytes, dst=shared + PAGE, room=m * n * 8
    )
    assert system.submit(1, 3, request) == 0
    assert system.run(1) == ["OK"]
    found = system.load(0, 3, own + PAGE, m * n * 8)
    assert isinstance(found, bytes)
    assert np.array_equal(np.frombuffer(found, "<f8").reshape(m, n), a @ b)
    assert checks.check(system) == []


def test_a_job_leaves_its_fences_where_others_look() -> None:
    system, _, shared = two_devices()
    system.submit(1, 3, Request(Op.COPY, 4, n=8, src0=shared, dst=shared + 8, room=8))
    n = next(n for n, behind in system.observe()["processes"][1]["fds"].items() if behind.startswith("buffer"))
    assert system.poll(1, n) == 0
    assert system.run(1) == ["OK"]
    assert system.poll(1, n) == 5
    assert system.release_import(1, 3, shared) == 0
    assert system.release_import(1, 3, shared) == E.EINVAL
    assert system.load(1, 3, shared, 4) == E.EFAULT


def test_jobs_have_room_and_end_with_their_owner() -> None:
    system, _, shared = two_devices()
    request = Request(Op.SUM, n=1, src0=shared, dst=shared + 8, room=4)
    assert [system.submit(1, 3, request) for _ in range(DEPTH + 1)] == [0] * DEPTH + [E.EAGAIN]
    assert system.release_import(1, 3, shared) == Outcome.WOULD_BLOCK
    system.exit(1)
    assert system.observe()["devices"][1]["jobs"] == 0
    assert checks.check(system) == []
    assert checks.end(system) == []


def test_a_job_on_an_address_that_is_gone_faults() -> None:
    system, own, shared = two_devices()
    request = Request(Op.SUM, n=1, src0=shared, dst=shared + 8, room=4)
    system.submit(1, 3, request)
    assert system.revoke(0) == Outcome.WOULD_BLOCK  # the job is under way
    assert system.run(1) == ["OK"]
    assert system.submit(1, 3, request) == E.ENODEV
    system.submit(0, 3, Request(Op.SUM, n=1, src0=own, dst=own + (1 << 20), room=4))
    assert system.run(0) == ["FAULT"]


def test_a_submission_that_fails_leaves_nothing() -> None:
    system, _, shared = two_devices()
    request = Request(Op.SUM, n=1, src0=shared, dst=shared + 8, room=4)
    before = system.observe()
    for name in ("alloc:fence", "alloc:mapping", "resv_reserve"):
        system.inject(name)
        assert system.submit(1, 3, request) == E.ENOMEM
        assert checks.residue(before, system.observe()) == []
