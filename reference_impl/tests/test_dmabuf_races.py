# SPDX-License-Identifier: Apache-2.0
"""Sharing where calls meet: the deadlocks of the fact sheet (3.4), every order of two calls, threads, tickets."""

from collections.abc import Callable, Sequence

import pytest

from accelspec.reference_impl import Call, Errno, Outcome, run_threads, schedules
from accelspec.reference_impl.dmabuf import DESIGNS, Kind, System, Usage, checks
from accelspec.reference_impl.dmabuf.resv import Resv, Ticket
from accelspec.reference_impl.kernel import PAGE, Step, Task

SIZE = 2 * PAGE


def shared(design: str, faults: Sequence[str] = ()) -> System:
    """Process 0 has device 0 open as 3, and a buffer as 4."""
    system = System(design, faults=faults)
    system.open(0, 0, 3)
    address = system.devices[0].user_base
    if system.devices[0].mmu:
        handle = system.mem_alloc(0, 3, SIZE)
        address = handle if system.design.addressing == "handle" else system.mem_map(0, 3, handle)
    assert system.export(0, 3, address, SIZE, fd=4) == 4
    return system


def rules(system: System) -> set[str]:
    return {finding.rule for finding in system.findings}


def by_hand(system: System, name: str, steps: Callable[[Task], Step[int]]) -> Call:
    """A call of kernel code that no system call makes."""
    task = Task(name)
    return Call(task, steps(task), system.kernel.findings.report)


# ---------------------------------------------------------------------- the inversion of 3.4


def inversion(faults: Sequence[str]) -> tuple[set[int], set[str], int]:
    """What deregister and revoke answer in every order, what is noticed, and the shortest way into a deadlock."""
    answers: set[int] = set()
    found: set[str] = set()
    shortest = 99
    systems: list[System] = []

    def start() -> Sequence[Call]:
        system = shared("D3b", faults)
        key = system.register(0, 4, 0, PAGE, revocable=True)
        systems.append(system)
        return [system.call("deregister", 0, key), system.call("revoke", 0)]

    for run in schedules(start):
        answers |= {call.result for call in run.calls}
        found |= rules(systems[-1])
        if any(call.result == Outcome.DEADLOCK for call in run.calls):
            shortest = min(shortest, len(run.trail))
    return answers, found, shortest


def test_the_lock_inversion_of_the_original_is_found() -> None:
    answers, found, shortest = inversion(["B12"])
    assert Outcome.DEADLOCK in answers
    assert "lock order" in found
    assert shortest < 20


def test_in_the_fixed_order_there_is_none() -> None:
    answers, found, _ = inversion([])
    assert answers == {0}
    assert found == set()


# ---------------------------------------------------------------------- S1 to S9


def test_s1_a_last_put_under_the_reservation() -> None:
    system = shared("D2c")
    buffer = system.buffer_of(0, 4)
    assert buffer is not None

    def put(task: Task) -> Step[int]:
        yield from buffer.resv.lock(task)
        system.core.put(task, buffer.file.get().private_data)
        yield from system.core.unlist(task, buffer)  # what a release would do at once
        buffer.resv.unlock(task)
        return 0

    system.debug_listing()
    by_hand(system, "put", put).run()
    texts = [str(finding) for finding in system.findings if finding.rule == "lock order"]
    assert any("is put while RESV is held" in text for text in texts)
    assert any("RESV -> DBG" in text and "closes a cycle" in text for text in texts)


def test_s2_draining_under_the_reservation() -> None:
    """The drain needs an unmap, which needs the reservation: D3b drops it first, so both end."""
    system = shared("D3b")
    t = system.attach(0, 4, Kind.DYNAMIC_P2P)
    system.map(t)
    buffer = system.buffer_of(0, 4)
    assert buffer is not None

    def wrong(task: Task) -> Step[int]:
        yield from buffer.resv.lock(task)
        buffer.drain.put()
        yield from buffer.drain.wait()
        buffer.resv.unlock(task)
        return 0

    stuck = by_hand(system, "wrong revoke", wrong)
    assert stuck.run() == Outcome.WOULD_BLOCK
    unmap = system.call("unmap", t)
    assert unmap.run() == Outcome.WOULD_BLOCK
    assert (stuck.blocked_on, unmap.blocked_on) == ("drain", "RESV")


def test_s3_signalling_must_not_need_the_reservation() -> None:
    system = shared("D3b")
    buffer = system.buffer_of(0, 4)
    assert buffer is not None

    def producer(task: Task) -> Step[int]:
        system.core.fences.signalling.enter(task)
        yield from buffer.resv.lock(task)
        buffer.resv.unlock(task)
        system.core.fences.signalling.leave(task)
        return 0

    by_hand(system, "producer", producer).run()
    assert any("FSIG -> RESV" in str(finding) for finding in system.findings)


def test_s4_a_drain_under_the_device_lock_waits_for_who_needs_that() -> None:
    """What holds the only mapping waits for the device's lock: nobody gets on, and no lock graph shows it."""
    system = shared("D3b")
    t = system.attach(0, 4, Kind.DYNAMIC_P2P)
    system.map(t)
    assert system.revoke(0) == Outcome.WOULD_BLOCK
    fault = system.call("restore", 0)  # as a page fault would, it takes the device's lock
    assert fault.run() == Outcome.WOULD_BLOCK
    assert fault.blocked_on == "VMEM"
    assert rules(system) == set()
    system.unmap(t)
    assert fault.run() == 0


def test_s5_a_release_inside_its_own_callback() -> None:
    system = shared("D2c", ["B33"])
    f = system.fence(0, 4, Usage.WRITE)
    system.close(0, 4)
    assert system.signal(0, f) == Outcome.OOPS
    assert {"lock order", "oops"} <= rules(system)


def test_s7_a_drain_that_nobody_will_end() -> None:
    system = shared("D3b", ["B08"])
    system.revoke(0)
    assert system.close(0, 3) == Outcome.WOULD_BLOCK
    assert "dmabuf.I22" in rules(system)
    system.exit(0)
    assert system.sleeping_at_all()


def test_s8_a_reset_that_nobody_lets_happen_is_given_up() -> None:
    system = System("D2c", reset_tries=4)
    system.open(0, 0, 3)
    address = system.mem_map(0, 3, system.mem_alloc(0, 3, SIZE))
    message = system.send(0, system.export(0, 3, address, SIZE))
    system.receive(1, message, 3)
    system.register(1, 3, 0, PAGE, revocable=False)
    assert [system.reset(0) for _ in range(4)] == [Errno.EBUSY] * 3 + [Errno.ETIME]
    assert rules(system) == set()


def test_s9_user_memory_under_the_reservation() -> None:
    system = shared("D2c")
    buffer = system.buffer_of(0, 4)
    assert buffer is not None
    mm = system.kernel.processes[0].mm

    def copy(task: Task) -> Step[int]:
        yield from buffer.resv.lock(task)
        yield from mm.lock.acquire(task)
        mm.lock.release(task)
        buffer.resv.unlock(task)
        return 0

    by_hand(system, "copy", copy).run()
    assert any("RESV -> mmap_lock" in str(finding) for finding in system.findings)


# ---------------------------------------------------------------------- every order of two calls


def opening(system: System) -> Sequence[Call]:
    return [system.call("close", 0, 3), system.call("open", 1, 0, 3)]


def revoking(system: System) -> Sequence[Call]:
    t = system.attach(0, 4, Kind.DYNAMIC_P2P)
    return [system.call("map", t), system.call("revoke", 0), system.call("unmap", t)]


def attaching(system: System) -> Sequence[Call]:
    return [system.call("attach", 0, 4, Kind.PINNED_REVOCABLE), system.call("close", 0, 3)]


def registering(system: System) -> Sequence[Call]:
    register = system.call("register", 0, 4, 0, PAGE, revocable=True)
    return [register, system.call("close", 0, 4), system.call("close", 0, 3)]


def exporting(system: System) -> Sequence[Call]:
    return [system.call("export", 0, 3, 1, SIZE), system.call("close", 0, 3)]


def freeing(system: System) -> Sequence[Call]:
    t = system.attach(0, 4, Kind.DYNAMIC_P2P)
    return [system.call("map", t), system.call("mem_free", 0, 3, 1), system.call("unmap", t)]


def ending(system: System) -> Sequence[Call]:
    system.receive(1, system.send(0, 4), 4)
    t = system.attach(1, 4, Kind.DYNAMIC_P2P)
    system.map(t)
    return [system.call("exit", 1), system.call("close", 0, 3)]


MEETINGS = [opening, revoking, attaching, registering, exporting, freeing, ending]


@pytest.mark.race
@pytest.mark.parametrize("meeting", MEETINGS, ids=lambda meeting: meeting.__name__)
@pytest.mark.parametrize("design", ["D0", "D1", "D2c", "D3b", "D3t", "intended"])
def test_every_order_keeps_the_laws(design: str, meeting: Callable[[System], Sequence[Call]]) -> None:
    systems: list[System] = []
    known = checks.KNOWN[design]

    def start() -> Sequence[Call]:
        systems.append(shared(design))
        return meeting(systems[-1])

    orders = 0
    for run in schedules(start, preemptions=1):
        system = systems.pop()
        orders += 1
        assert all(call.result not in (Outcome.OOPS, Outcome.DEADLOCK) for call in run.calls)
        assert [finding for finding in system.findings if finding.rule not in known] == []
        if all(call.done for call in run.calls):
            assert checks.unexpected(system) == []
    assert orders > 2


@pytest.mark.race
def test_threads_keep_the_laws() -> None:
    for _ in range(5):
        system = shared("intended")
        system.receive(1, system.send(0, 4), 4)
        t = system.attach(1, 4, Kind.DYNAMIC_P2P)
        calls = [
            system.call("map", t),
            system.call("revoke", 0),
            system.call("unmap", t),
            system.call("close", 0, 4),
            system.call("register", 1, 4, 0, PAGE, revocable=True),
            system.call("set_name", 1, 4, "shared"),
        ]
        run_threads(calls, patience=1.0)
        if calls[1].done:
            assert checks.check(system) == []
        assert rules(system) == set()


# ---------------------------------------------------------------------- tickets


def lock_both(system: System, name: str, resvs: Sequence[Resv], order: list[str]) -> Call:
    def steps(task: Task) -> Step[int]:
        ticket = Ticket(task, system.kernel)
        yield from ticket.lock_all(resvs)
        order.append(name)
        assert all(resv.owner is task for resv in resvs)
        ticket.done()
        return 0

    return by_hand(system, name, steps)


@pytest.mark.race
def test_two_tickets_in_opposite_order_both_get_on() -> None:
    systems: list[System] = []
    orders: list[list[str]] = []

    def start() -> Sequence[Call]:
        system = System("D2c")
        systems.append(system)
        orders.append([])
        one, other = Resv(system.kernel, system.design), Resv(system.kernel, system.design)
        return [
            lock_both(system, "a", [one, other], orders[-1]),
            lock_both(system, "b", [other, one], orders[-1]),
        ]

    for run in schedules(start, preemptions=3):
        assert [call.result for call in run.calls] == [0, 0]
        assert rules(systems[-1]) == set()
    assert {tuple(order) for order in orders} == {("a", "b"), ("b", "a")}


def test_without_a_ticket_two_reservations_are_an_inversion() -> None:
    system = System("D2c")
    one, other = Resv(system.kernel, system.design), Resv(system.kernel, system.design)

    def steps(task: Task) -> Step[int]:
        yield from one.lock(task)
        yield from other.lock(task)
        return 0

    by_hand(system, "two", steps).run()
    assert rules(system) == {"lock order"}


def test_the_lock_graph_has_no_cycle_in_any_design() -> None:
    """Everything that takes a lock, once in each design: the edges that were seen have no cycle."""
    for design in DESIGNS:
        system = shared(design)
        system.set_name(0, 4, "named")
        f = system.fence(0, 4, Usage.WRITE)
        system.poll(0, 4)
        system.debug_listing()
        system.signal(0, f)
        key = system.register(0, 4, 0, PAGE, revocable=True)
        if key > 0:
            system.deregister(0, key)
        system.revoke(0)
        system.restore(0)
        system.exit(0)
        assert rules(system) == set()
        edges = system.kernel.locks.edges
        assert "NAME" in edges["DBG"]
        assert "FLOCK" in edges["RESV"]
