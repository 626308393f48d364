# SPDX-License-Identifier: Apache-2.0
"""Operations that meet half way: every order with few preemptions, the same again, and on real threads."""

import random
from collections.abc import Callable, Sequence

import pytest

from accelspec.reference_impl import BEHAVIOURS, Call, Errno, Outcome, Scheduler, System, checks, run_threads, schedules

BOTH = pytest.mark.parametrize("behaviour", list(BEHAVIOURS))
MMIO, DUS = 0, 1

PAIRS: dict[str, tuple[tuple[object, ...], tuple[object, ...]]] = {
    "open and remove": (("open", 1, 0, 3), ("remove", 0)),
    "mmap and put_q": (("mmap", 0, 3, MMIO, 1), ("put_q", 0, 3)),
    "mmap and remove": (("mmap", 0, 3, MMIO, 1), ("remove", 0)),
    "close and remove": (("close", 0, 3), ("remove", 0)),
    "exit and remove": (("exit", 0), ("remove", 0)),
    "start and remove": (("start", 0, 3), ("remove", 0)),
    "driver ioctl and put_q": (("driver_ioctl", 0, 3), ("put_q", 0, 3)),
    "start and start": (("start", 0, 3), ("start", 0, 3)),
    "mmap and mmap": (("mmap", 0, 3, DUS, 2), ("mmap", 0, 3, DUS, 2)),
    "open and open": (("open", 1, 0, 3), ("open", 2, 0, 3)),
    "poll and remove": (("poll", 0, 3), ("remove", 0)),
    "fork and close": (("fork", 0, 5), ("close", 0, 3)),
}


def prepared(behaviour: str, *, faults: Sequence[str] = (), capacity: int = 2) -> System:
    system = System(behaviour, faults=faults, hardware={"capacity": capacity})
    system.alloc(0)
    system.register(0)
    system.open(0, 0, 3)
    return system


def orders(make: Callable[[], System], *calls: tuple[object, ...]) -> list[tuple[System, Scheduler]]:
    systems: list[System] = []

    def start() -> list[Call]:
        systems.append(make())
        return [systems[-1].call(str(name), *args) for name, *args in calls]

    return [(systems[-1], done) for done in schedules(start)]


@BOTH
@pytest.mark.race
@pytest.mark.parametrize("pair", list(PAIRS))
def test_no_order_breaks_anything(behaviour: str, pair: str) -> None:
    runs = orders(lambda: prepared(behaviour), *PAIRS[pair])
    assert len(runs) > 5
    for system, scheduler in runs:
        assert all(call.done for call in scheduler.calls), scheduler.trail
        assert checks.unexpected(system) == [], scheduler.trail
        assert [finding for finding in checks.end(system) if finding.rule not in checks.KNOWN[behaviour]] == []


@BOTH
def test_open_that_meets_a_removal_fails_cleanly(behaviour: str) -> None:
    lost = {Errno.ENODEV} if behaviour == "intended" else {Errno.EINVAL, Errno.ENODEV}  # the raced one is told apart
    answers = {done.calls[0].result for _, done in orders(lambda: prepared(behaviour), *PAIRS["open and remove"])}
    assert answers == {3, *lost}
    answers = {done.calls[0].result for _, done in orders(lambda: unopened(behaviour), *PAIRS["open and remove"])}
    assert answers == {3, *lost, Errno.ENXIO}


def unopened(behaviour: str) -> System:
    system = prepared(behaviour)
    system.close(0, 3)
    return system


@BOTH
def test_last_hardware_queue_goes_to_one(behaviour: str) -> None:
    for _, done in orders(lambda: prepared(behaviour, capacity=2), *PAIRS["open and open"]):
        assert sorted(call.result for call in done.calls) == [Errno.EBUSY, 3]


@BOTH
def test_two_starts_one_wins(behaviour: str) -> None:
    for _, done in orders(lambda: prepared(behaviour), *PAIRS["start and start"]):
        assert sorted(call.result for call in done.calls) == [Errno.EINVAL, 0]


def test_linux_has_a_doorbell_window_and_intended_has_none() -> None:
    """Between giving the hardware back and unmapping, its next user is reached through the old user's pages."""

    def window(behaviour: str) -> bool:
        system = prepared(behaviour)
        m = system.mmap(0, 3, MMIO, 1)
        removal = system.call("remove", 0)
        seen = False
        while not removal.done:
            removal.step()
            q = system.framework.queues[1]
            seen |= system.touch(m, write=True) == 0 and not q.owns_hardware
        return seen

    assert window("6.12.117")
    assert not window("intended")


def test_intended_blocks_a_new_map_before_the_hardware_goes() -> None:
    results = set()
    for system, done in orders(lambda: prepared("intended"), *PAIRS["mmap and remove"]):
        results.add(min(done.calls[0].result, 0))
        assert "uacce.I19" not in {finding.rule for finding in checks.check(system)}
    assert results == {0, Errno.ENXIO}


def test_early_interrupt_finds_a_half_built_queue_only_in_linux() -> None:
    for behaviour, found in (("6.12.117", True), ("intended", False)):
        system = prepared(behaviour)
        opening = system.call("open", 1, 0, 3)
        while opening.at is None or opening.at.label != "open: hardware queue published":
            opening.step()
        system.interrupt(0, 1)
        opening.run()
        assert ("uacce.I23" in {finding.rule for finding in system.findings}) == found


def test_crossed_locks_deadlock() -> None:
    runs = orders(
        lambda: with_second_queue(["S-12"]), ("close", 0, 4), ("mmap", 0, 3, MMIO, 1)
    )  # closing takes the device's lock, then the address space's; mapping the other way round
    assert any(call.result == Outcome.DEADLOCK for _, done in runs for call in done.calls)
    assert all("lock order" in {finding.rule for finding in system.findings} for system, _ in runs)
    runs = orders(lambda: with_second_queue([]), ("close", 0, 4), ("mmap", 0, 3, MMIO, 1))
    assert all(call.done for _, done in runs for call in done.calls)


def with_second_queue(faults: list[str]) -> System:
    system = prepared("6.12.117", faults=faults)
    system.open(0, 0, 4)
    return system


def test_same_choices_same_run() -> None:
    def run(seed: int) -> tuple[list[tuple[str, str]], dict[str, object]]:
        system = prepared("6.12.117")
        rng = random.Random(seed)
        scheduler = Scheduler([system.call(str(name), *args) for name, *args in PAIRS["close and remove"]])
        scheduler.run(lambda ready: ready[rng.randrange(len(ready))])
        return scheduler.trail, system.observe()

    assert run(7) == run(7)
    assert run(7)[0] != run(8)[0]


def test_schedules_are_distinct_and_complete() -> None:
    trails = [tuple(done.trail) for _, done in orders(lambda: prepared("intended"), *PAIRS["start and remove"])]
    assert len(set(trails)) == len(trails)
    by_name = {tuple(sorted({name for name, _ in trail})) for trail in trails}
    assert by_name == {("remove(0)", "start@0")}


def test_preemptions_bound_the_orders() -> None:
    def start() -> list[Call]:
        system = prepared("intended")
        return [system.call("start", 0, 3), system.call("dup", 0, 3, 4)]

    few, some, many = (len(list(schedules(start, preemptions))) for preemptions in range(3))
    assert few == 2
    assert few < some < many


@BOTH
@pytest.mark.race
def test_real_threads(behaviour: str) -> None:
    for _ in range(10):
        system = prepared(behaviour, capacity=4)
        calls = [
            system.call("open", 1, 0, 3),
            system.call("mmap", 0, 3, MMIO, 1),
            system.call("start", 0, 3),
            system.call("poll", 0, 3, True),
            system.call("remove", 0),
            system.call("open", 2, 0, 3),
        ]
        results = run_threads(calls, patience=0.05)
        assert results[4] == 0
        assert Outcome.OOPS not in results
        system.kernel.processes[0].interrupt()
        calls[3].run()
        assert calls[3].done
        left = [finding for finding in checks.end(system) if finding.rule not in checks.KNOWN[behaviour]]
        assert left == []
