# SPDX-License-Identifier: Apache-2.0
"""What tells two revisions apart: a shortest trace, real on both sides, and none where there is none."""

from __future__ import annotations

import itertools

import pytest

from accelspec.model.compare import BLOCKS, compare
from accelspec.model.evaluate import Interpreter
from accelspec.model.trace import State
from accelspec.model.verdict import Budget
from accelspec.spec.language import (
    DONE,
    EAGAIN,
    EBUSY,
    ENOMEM,
    OK,
    UNLOCKED,
    Lock,
    Machine,
    Object,
    Result,
    Specification,
    compile_machine,
    event,
    fails,
    free,
    operation,
    read,
    replaces,
    require,
)


class Process(Object, always=True):
    room: Room | None = None


class Room(Object):
    used: bool = False


class House(Object, always=True):
    key: Lock = UNLOCKED
    lit: bool = False
    open: bool = False


class Hotel(Machine):
    machine = "hotel"
    revision = "base"
    document = "hotel.c"
    scopes = {"two": {"Process": 2, "Room": 2}}

    @operation
    def enter(self, p: Process) -> Result:
        if p.room is not None:
            return EBUSY("inside", read("enter"))
        if fails("door"):
            return ENOMEM("stuck", read("enter"))
        r = Room()
        p.room = r
        return OK("ok", read("enter"))

    @operation
    def use(self, p: Process) -> Result:
        if p.room is None:
            return EAGAIN("outside", read("use"))
        if p.room.used:
            return EAGAIN("used", read("use"))
        p.room.used = True
        return OK("ok", read("use"))

    @operation
    def leave(self, p: Process) -> Result:
        r = p.room
        if r is None:
            return EAGAIN("outside", read("leave"))
        p.room = None
        free(r)
        return OK("ok", read("leave"))

    @operation
    def light(self, h: House) -> Result:
        h.lit = True
        return OK("ok", read("light"))


class Tidy(Hotel):
    """Leaving is refused once the room was used."""

    revision = "tidy"
    unchanged = read("hotel.c")

    @operation
    def leave(self, p: Process) -> Result:
        r = p.room
        if r is None:
            return EAGAIN("outside", read("leave"))
        if r.used:
            return EBUSY("untidy", read("leave"))
        p.room = None
        free(r)
        return OK("ok", read("leave"))


class Renamed(Hotel):
    """The same answers by other rows."""

    revision = "renamed"
    unchanged = read("hotel.c")

    @replaces("use.outside")
    def nowhere(self, p: Process) -> None:
        if p.room is None:
            raise EAGAIN("nowhere", read("use"))


class Sturdy(Hotel):
    """The door does not fail: under that failure entering succeeds."""

    revision = "sturdy"
    unchanged = read("hotel.c")
    drops = ("enter.stuck",)


class Gate(Hotel):
    """What can fail has another name: neither side asks for what the other one lets fail."""

    revision = "gate"
    unchanged = read("hotel.c")

    @replaces("enter.stuck")
    def gate(self) -> None:
        if fails("gate"):
            raise ENOMEM("stuck", read("enter"))


class Swapped(Hotel):
    """Entering succeeds exactly if the door fails."""

    revision = "swapped"
    unchanged = read("hotel.c")

    @operation
    def enter(self, p: Process) -> Result:
        if p.room is not None:
            return EBUSY("inside", read("enter"))
        if not fails("door"):
            return ENOMEM("stuck", read("enter"))
        r = Room()
        p.room = r
        return OK("ok", read("enter"))


class Stepped(Hotel):
    """Using takes its time, and somebody may hold the key."""

    revision = "stepped"
    unchanged = read("hotel.c")

    @operation
    def light(self, h: House) -> Result:
        with h.key:
            yield "switching"
            h.lit = True
            yield "lit"
        return OK("ok", read("light"))


class Slow(Hotel):
    """The light never comes back."""

    revision = "slow"
    unchanged = read("hotel.c")

    @operation
    def light(self, h: House) -> Result:
        while not h.lit:
            yield "dark"
        return OK("ok", read("light"))


class Spinning(Hotel):
    """The light never comes back, and is not idle meanwhile."""

    revision = "spinning"
    unchanged = read("hotel.c")

    @operation
    def light(self, h: House) -> Result:
        while not h.lit:
            yield "tick"
            yield "tock"
        return OK("ok", read("light"))


class Opened(Tidy):
    """Nobody can enter before somebody has unlocked the house."""

    revision = "opened"
    unchanged = read("hotel.c")

    @event
    def unlock(self, h: House) -> Result:
        require(not h.open)
        h.open = True
        return DONE("ok", read("unlock"))

    @operation
    def enter(self, p: Process) -> Result:
        require(any(h.open for h in House))
        if p.room is not None:
            return EBUSY("inside", read("enter"))
        if fails("door"):
            return ENOMEM("stuck", read("enter"))
        r = Room()
        p.room = r
        return OK("ok", read("enter"))


class Polite(Hotel):
    """Who leaves says so; who does not is asked again."""

    revision = "polite"
    unchanged = read("hotel.c")

    @operation
    def leave(self, p: Process, said: bool) -> Result:  # type: ignore[override]
        r = p.room
        if r is None:
            return EAGAIN("outside", read("leave"))
        if not said:
            return EAGAIN("silent", read("leave"))
        p.room = None
        free(r)
        return OK("ok", read("leave"))


def spec(machine: type[Machine]) -> Specification:
    return compile_machine(machine)


def test_the_trace_is_shortest_and_ends_with_the_call() -> None:
    found = compare(spec(Hotel), spec(Tidy))
    assert found.difference is not None
    d = found.difference
    assert (d.left, d.right) == ("OK", "EBUSY")
    assert [m.case.id for m in d.left_trace.moves] == ["enter.ok", "use.ok", "leave.ok"]
    assert [m.case.id for m in d.right_trace.moves] == ["enter.ok", "use.ok", "leave.untidy"]
    assert d.call == "leave(process0)"
    assert found.depth == 2
    assert not found.complete


def test_both_traces_are_runs_with_the_same_calls() -> None:
    d = compare(spec(Hotel), spec(Tidy)).difference
    assert d is not None
    for trace in (d.left_trace, d.right_trace):
        assert Interpreter(trace.spec, trace.scope).replays(trace)
    for left, right in zip(d.left_trace.steps(), d.right_trace.steps(), strict=True):
        assert (left.operation, left.args) == (right.operation, right.args)


def test_no_shorter_sequence_of_calls_tells_them_apart() -> None:
    """By hand: all answers to all sequences of two calls are the same."""

    def answers(machine: type[Machine]) -> set[tuple[tuple[str, str], ...]]:
        interpreter = Interpreter(spec(machine))
        out: set[tuple[tuple[str, str], ...]] = set()

        def go(state: State, said: tuple[tuple[str, str], ...]) -> None:
            out.add(said)
            if len(said) < 2:
                for m in interpreter.moves(state):
                    call = f"{m.case.operation}{[v for p, v in zip(m.case.params, m.values, strict=True)]}"
                    go(m.after, (*said, (call, m.case.outcome.name if m.case.outcome else "")))

        for state in interpreter.initial():
            go(state, ())
        return out

    assert answers(Hotel) == answers(Tidy)


def test_revisions_that_answer_alike_are_not_told_apart() -> None:
    for other in (Hotel, Renamed, Gate, Stepped):
        found = compare(spec(Hotel), spec(other))
        assert found.difference is None
        assert found.complete
        assert found.pairs > 10


def test_a_failure_that_only_one_side_looks_at_is_answered_differently() -> None:
    d = compare(spec(Hotel), spec(Sturdy)).difference
    assert d is not None
    assert {d.left, d.right} == {"ENOMEM", "OK"}
    assert len(d.left_trace) == 1


def test_the_same_failure_must_have_the_same_answer() -> None:
    d = compare(spec(Hotel), spec(Swapped)).difference
    assert d is not None
    assert {d.left, d.right} == {"ENOMEM", "OK"}


@pytest.mark.parametrize("other", [Slow, Spinning])
def test_a_call_that_does_not_end_is_an_answer_too(other: type[Machine]) -> None:
    d = compare(spec(Hotel), spec(other)).difference
    assert d is not None
    assert (d.left, d.right) == ("OK", BLOCKS)


def test_operations_of_one_side_are_named_and_not_called() -> None:
    class Less(Hotel):
        revision = "less"
        unchanged = read("hotel.c")

    left, right = spec(Hotel), spec(Less)
    right.cases = [c for c in right.cases if c.operation != "light"]
    found = compare(left, right)
    assert found.only_left == ("light",)
    assert found.only_right == ()
    assert found.difference is None


def test_an_event_of_one_side_happens_there_alone() -> None:
    found = compare(spec(Hotel), spec(Opened))
    assert found.only_right == ("unlock",)
    assert found.difference is not None
    assert [m.case.id for m in found.difference.right_trace.moves] == [
        "unlock.ok",
        "enter.ok",
        "use.ok",
        "leave.untidy",
    ]
    assert [m.case.id for m in found.difference.left_trace.moves] == ["enter.ok", "use.ok", "leave.ok"]


def test_an_argument_of_one_side_may_be_anything() -> None:
    d = compare(spec(Hotel), spec(Polite)).difference
    assert d is not None
    assert d.call == "leave(process0)"
    assert (d.left, d.right) == ("OK", "EAGAIN")


def test_a_budget_ends_it_and_says_so() -> None:
    ticks = itertools.count()
    found = compare(spec(Hotel), spec(Hotel), None, Budget(5, lambda: float(next(ticks))))
    assert not found.complete
    assert found.difference is None


def test_an_unknown_kind_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="Roof"):
        compare(spec(Hotel), spec(Tidy), {"Roof": 1})
