# SPDX-License-Identifier: Apache-2.0
"""Tests: lock order."""

from __future__ import annotations

from accelspec.model.lock_order import cycle_text, lock_cycles, lock_graph, takers
from accelspec.model.progress import progress
from accelspec.model.verdict import Status, Verdict
from accelspec.spec.language import (
    LOCK_GRAPH,
    OK,
    UNLOCKED,
    Lock,
    Machine,
    Object,
    Result,
    check,
    compile_machine,
    deduced,
    operation,
    read,
    require,
)


class Device(Object, always=True):
    mutex: Lock = UNLOCKED


class Space(Object, always=True):
    mmap_lock: Lock = UNLOCKED


class Driver(Machine):
    """A driver whose close takes the space's lock under its own."""

    machine = "driver"
    revision = "1"
    document = "driver.c"

    @operation
    def close(self, d: Device, s: Space) -> Result:
        with d.mutex:  # noqa: SIM117 - one `with` would take both at once; like this the call waits in between
            with s.mmap_lock:
                yield "unmapping"
        return OK("ok", read("close"))

    @check("driver.I01", LOCK_GRAPH, deduced("the test"))
    def order(self) -> None:
        """No two locks are wanted in both orders."""


class Mapped(Driver):
    revision = "2"

    @operation
    def mmap(self, d: Device, s: Space) -> Result:
        with s.mmap_lock:  # noqa: SIM117
            with d.mutex:
                yield "mapping"
        return OK("ok", read("mmap"))


class AtOnce(Driver):
    """Both locks are taken in one step, in the other order."""

    revision = "4"

    @operation
    def mmap(self, d: Device, s: Space) -> Result:
        with s.mmap_lock, d.mutex:
            yield "mapping"
        return OK("ok", read("mmap"))


class Never(Driver):
    revision = "3"

    @operation
    def mmap(self, d: Device, s: Space) -> Result:
        require(False)
        with s.mmap_lock, d.mutex:
            yield "mapping"
        return OK("ok", read("mmap"))


def verdicts(machine: type[Machine]) -> dict[str, Verdict]:
    return {v.property: v for v in progress(compile_machine(machine))}


def test_one_order_is_proved_for_any_number() -> None:
    spec = compile_machine(Driver)
    assert set(lock_graph(spec).edges) == {("Device.mutex", "Space.mmap_lock")}
    assert lock_cycles(spec) == []
    v = verdicts(Driver)
    assert (v["driver.I01"].status, v["driver.I01"].scope) == (Status.PROVED, None)
    assert v["deadlock"].status is Status.EXHAUSTED


def test_both_orders_are_violated_by_a_run_that_takes_both() -> None:
    spec = compile_machine(Mapped)
    (cycle,) = lock_cycles(spec)
    assert cycle_text(cycle) == ("Device.mutex -> Space.mmap_lock (close), Space.mmap_lock -> Device.mutex (mmap)")
    for place in cycle:
        for e in place:
            assert {spec.cases[n].operation for n in takers(spec, e)} == {e.operation}
    v = verdicts(Mapped)
    trace = v["driver.I01"].trace
    assert v["driver.I01"].status is Status.VIOLATED
    assert trace is not None
    assert {m.case.operation for m in trace.moves} == {"close", "mmap"}
    assert v["deadlock"].status is Status.VIOLATED
    assert v["deadlock"].reason.count("holding") == 2


def test_locks_that_are_taken_in_one_step_have_an_order_too() -> None:
    trace = verdicts(AtOnce)["driver.I01"].trace
    assert trace is not None
    assert {m.case.operation for m in trace.moves} == {"close", "mmap"}


def test_a_cycle_that_no_run_takes_is_not_violated_and_not_proved() -> None:
    v = verdicts(Never)["driver.I01"]
    assert v.status is Status.UNKNOWN
    assert "mmap" in v.reason
