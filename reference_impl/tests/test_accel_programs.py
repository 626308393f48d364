# SPDX-License-Identifier: Apache-2.0
"""Whole programs on the accelerator: they compute, they fail as they should, and they meet each other half way."""

from typing import Any

import numpy as np
import pytest
from transitions import MachineError

from accelspec.reference_impl.accel import checks
from accelspec.reference_impl.accel.arguments import Chunk
from accelspec.reference_impl.accel.info import Info
from accelspec.reference_impl.accel.lifecycles import LIFECYCLES
from accelspec.reference_impl.accel.packets import Op, Packet
from accelspec.reference_impl.accel.system import AccelSystem
from accelspec.reference_impl.accel.userland import Accelerator, AccelError
from accelspec.reference_impl.kernel import Call, Errno, Outcome, schedules
from accelspec.reference_impl.lifecycle import Lifecycle

REVISIONS = ("a", "b", "c0", "c1", "c2", "intended")


@pytest.mark.parametrize("contiguous", [True, False])
@pytest.mark.parametrize("revision", REVISIONS)
def test_a_matrix_product(revision: str, contiguous: bool) -> None:
    random = np.random.default_rng(7)
    x, y = random.standard_normal((33, 70), np.float32), random.standard_normal((70, 20), np.float32)
    system = AccelSystem(revision)
    with Accelerator(system, 0, contiguous=contiguous) as accel:
        product = accel.get(accel.matmul(accel.put(x), accel.put(y)))
    assert np.allclose(product, x @ y, rtol=1e-4, atol=1e-4)
    assert checks.end(system) == []


def test_a_program_in_ten_lines() -> None:
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    with Accelerator(AccelSystem("c2"), 0) as accel:
        a = accel.put(x)
        total = accel.elementwise(Op.ADD, a, a)
        assert np.array_equal(accel.get(total), 2 * x)
        accel.free(a)


def test_one_packet_at_a_time() -> None:
    system = AccelSystem("c2")
    system.open(0, 0)
    both = [Packet(Op.NOP).encode() * 2 for _ in range(2)]
    for queue, data in enumerate(both):
        system.submit(0, 0, Chunk(queue, data=data))
    assert [system.step() for _ in range(4)] == [0, 1, 0, 1]  # the default is fair
    assert system.step() == Errno.EAGAIN
    system.submit(0, 0, Chunk(0, data=both[0]))
    system.submit(0, 0, Chunk(1, data=both[1]))
    assert [system.step(1), system.step(1), system.wait(0, 0, 4), system.wait(0, 0, 3)] == [1, 1, 0, 1]


def test_an_address_that_is_not_mapped_fails_the_submission() -> None:
    system = AccelSystem("c2")
    with Accelerator(system, 0) as accel:
        kept = accel.put(np.ones(4, np.float32))
        lost = accel.put(np.ones(4, np.float32))
        accel.free(lost)
        with pytest.raises(AccelError, match="EIO") as failed:
            accel.run(Packet(Op.COPY, n=4, src0=lost.va, dst=kept.va))
        assert failed.value.result == Errno.EIO
        assert np.array_equal(accel.get(kept), np.ones(4, np.float32))  # nothing stale
        assert "fault" in system.ask(0, accel.fd, Info.PAGE_FAULT_EVENT)["captured"][0]


def test_the_next_owner_reads_nothing_of_the_last() -> None:
    system = AccelSystem("c2")
    with Accelerator(system, 0) as accel:
        accel.put(np.full(1024, 7, np.int32))
    with Accelerator(system, 1) as accel:
        assert not accel.get(accel.empty((4096,), np.int32)).any()
    assert system.findings == []


def test_a_program_that_finds_the_device_taken() -> None:
    system = AccelSystem("c2")
    with Accelerator(system, 0), pytest.raises(AccelError, match="EBUSY"):
        Accelerator(system, 1)
    system = AccelSystem("intended")
    with Accelerator(system, 0) as accel, Accelerator(system, 1) as other:
        accel.put(np.ones(1, np.float32))
        with pytest.raises(AccelError, match="EACCES"):
            other.put(np.ones(1, np.float32))


def test_queues_signal_each_other() -> None:
    system = AccelSystem("c2")
    with Accelerator(system, 0) as accel:
        a = accel.put(np.ones(8, np.float32))
        b = accel.empty((8,))
        waits = accel.submit(
            Packet(Op.WAIT, sync=3, value=1), Packet(Op.ADD, n=8, src0=a.va, src1=b.va, dst=a.va), queue=1
        )
        system.run()
        assert system.wait(0, accel.fd, waits) == 1
        accel.run(Packet(Op.COPY, n=8, src0=a.va, dst=b.va), Packet(Op.SIGNAL, sync=3, value=1))
        accel.wait(waits)
        assert np.array_equal(accel.get(a), np.full(8, 2, np.float32))


@pytest.mark.race
@pytest.mark.parametrize("revision", ["b", "intended"])
def test_first_ioctls_of_two_threads_make_one_context(revision: str) -> None:
    for schedule in schedules(lambda: _two_questions(revision)):
        assert all(call.result > 0 for call in schedule.calls)
    system = SYSTEMS[-1]
    assert len(system.device().contexts) == 1
    assert all(finding.rule != "habanalabs.I28" for finding in system.findings)


SYSTEMS: list[AccelSystem] = []


def _two_questions(revision: str) -> list[Call]:
    system = AccelSystem(revision)
    SYSTEMS.append(system)
    system.open(0, 0)
    return [system.call("cb_create", 0, 0), system.call("cb_create", 0, 0)]


@pytest.mark.race
@pytest.mark.parametrize("revision", ["c1", "c2", "intended"])
def test_close_meets_open_in_every_order(revision: str) -> None:
    seen: set[int] = set()

    def start() -> list[Call]:
        system = AccelSystem(revision)
        SYSTEMS.append(system)
        system.open(0, 0)
        system.cb_create(0, 0)
        return [system.call("close", 0, 0), system.call("open", 1, 0)]

    for schedule in schedules(start):
        seen.add(schedule.calls[1].result)
        assert SYSTEMS[-1].findings == []
    if revision == "intended":
        assert seen == {0}
    else:
        assert seen == {0, Errno.EAGAIN, Errno.EBUSY}


@pytest.mark.race
@pytest.mark.parametrize("revision", REVISIONS)
def test_submit_meets_a_reset_in_every_order(revision: str) -> None:
    def start() -> list[Call]:
        system = AccelSystem(revision)
        SYSTEMS.append(system)
        system.open(0, 0)
        system.cb_create(0, 0)
        return [system.call("submit", 0, 0), system.call("compute_reset", 0)]

    for schedule in schedules(start):
        submitted = schedule.calls[0].result
        system = SYSTEMS[-1]
        system.settle()
        assert submitted in (1, Errno.EBUSY, Errno.EPERM)
        assert not system.device().in_reset
        if submitted == 1 and system.device().mirror:
            assert system.complete() == 1


def test_a_waiter_wakes_at_a_rollback() -> None:
    system = AccelSystem("c2")
    system.open(0, 0)
    system.submit(0, 0)
    assert system.wait(0, 0, 1, 5) == Outcome.WOULD_BLOCK
    system.compute_reset()
    assert system.woken() == [(0, 0, Errno.EIO)]


@pytest.mark.parametrize("life", LIFECYCLES, ids=lambda life: life.kind)
def test_lifecycles_agree_with_their_machines(life: Lifecycle[Any]) -> None:
    states = type(life.initial).__members__
    events = {transition.event for transition in life.transitions}
    reached = {life.initial.name}
    for name, state in states.items():
        for event in events:
            machine = life.machine()
            machine.set_state(name)
            if life.allows(state, event):
                assert machine.trigger(event)
                reached.add(life.after(state, event).name)
            else:
                with pytest.raises(MachineError):
                    machine.trigger(event)
    assert reached == set(states)
