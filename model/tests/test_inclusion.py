# SPDX-License-Identifier: Apache-2.0
"""Traces that only one revision allows: a direction of its own each, whatever fails on the other side."""

from __future__ import annotations

import pytest

from accelspec.model.evaluate import Interpreter
from accelspec.model.inclusion import Inclusion, included
from accelspec.model.tests.test_compare import Gate, Hotel, Process, Room, Slow, Stepped, Sturdy, Swapped, Tidy
from accelspec.spec.language import (
    DONE,
    EAGAIN,
    EBUSY,
    OK,
    OOPS,
    STATE,
    STEP,
    Errno,
    Machine,
    Object,
    Result,
    after,
    always,
    compile_machine,
    deduced,
    event,
    fails,
    operation,
    read,
)

TWO = {"Process": 2, "Room": 2}


def asked(
    left: type[Machine], right: type[Machine], scope: dict[str, int] | None = None, most: int = 5000
) -> Inclusion:
    return included(compile_machine(left), compile_machine(right), scope, most)


def calls(found: Inclusion) -> list[str]:
    """The rows of the trace, which is a run of the left-hand side."""
    assert found.only_here is not None
    trace = found.only_here.trace
    machine = Interpreter(found.left, trace.scope)
    assert trace.initial in set(machine.initial())
    for before, move in zip(trace.states(), trace.moves, strict=False):
        assert move in set(machine.moves(before))
    return [m.case.id for m in trace.moves]


def test_a_refusal_is_found_in_both_directions() -> None:
    here = asked(Tidy, Hotel, TWO)
    assert calls(here) == ["enter.ok", "use.ok", "leave.untidy"]
    assert here.only_here is not None
    assert (here.only_here.answer, {a: c.id for a, c in here.only_here.instead.items()}) == (
        "EBUSY",
        {"OK": "leave.ok"},
    )
    there = asked(Hotel, Tidy, TWO)
    assert calls(there) == ["enter.ok", "use.ok", "leave.ok"]
    assert here.depth == there.depth == 2


def test_who_answers_less_allows_nothing_of_its_own() -> None:
    assert calls(asked(Hotel, Sturdy, TWO)) == ["enter.stuck"]
    less = asked(Sturdy, Hotel, TWO)
    assert less.complete
    assert less.only_here is None


@pytest.mark.parametrize("other", [Gate, Swapped])
def test_what_made_a_call_fail_does_not_matter(other: type[Machine]) -> None:
    for one, two in ((Hotel, other), (other, Hotel)):
        found = asked(one, two, TWO)
        assert found.complete
        assert found.only_here is None


def test_steps_do_not_matter_and_a_call_that_waits_is_not_followed() -> None:
    assert asked(Stepped, Hotel, TWO).only_here is None
    assert asked(Slow, Hotel, TWO).only_here is None


class Coin(Object, always=True):
    heads: bool = False
    tossed: bool = False
    rusty: bool = False


class Token(Object):
    pass


class Tossed(Machine):
    """What falls is seen later."""

    machine = "coin"
    revision = "tossed"
    document = "coin.c"

    @operation
    def toss(self, c: Coin) -> Result:
        c.heads = not fails("luck")
        c.tossed = True
        return OK("ok", read("toss"))

    @operation
    def look(self, c: Coin) -> Result:
        if not c.tossed:
            return EAGAIN("no_toss", read("look"))
        if c.heads:
            return OK("heads", read("look"))
        return EBUSY("tails", read("look"))


class Loaded(Tossed):
    """It always falls on the same side."""

    revision = "loaded"
    unchanged = read("coin.c")

    @operation
    def toss(self, c: Coin) -> Result:
        c.heads = True
        c.tossed = True
        return OK("ok", read("toss"))


class Fickle(Tossed):
    """Each look is a toss."""

    revision = "fickle"
    unchanged = read("coin.c")

    @operation
    def look(self, c: Coin) -> Result:
        if not c.tossed:
            return EAGAIN("no_toss", read("look"))
        if fails("luck"):
            return EBUSY("tails", read("look"))
        return OK("heads", read("look"))


def test_all_states_behind_the_same_trace_are_asked() -> None:
    assert asked(Loaded, Tossed).only_here is None
    assert calls(asked(Tossed, Loaded)) == ["toss.ok", "look.tails"]
    assert asked(Tossed, Fickle).only_here is None
    assert set(calls(asked(Fickle, Tossed))[1:]) == {"look.heads", "look.tails"}  # in either order


class Rusting(Tossed):
    """A coin may rust unseen, and then it breaks."""

    revision = "rusting"
    unchanged = read("coin.c")

    @event
    def rust(self, c: Coin) -> Result:
        c.rusty = True
        return DONE("ok", read("rust"))

    @operation
    def look(self, c: Coin) -> Result:
        if not c.tossed:
            return EAGAIN("no_toss", read("look"))
        if c.rusty:
            return OOPS("broken", read("look"))
        if c.heads:
            return OK("heads", read("look"))
        return EBUSY("tails", read("look"))


class Broken(Tossed):
    """It breaks at any look."""

    revision = "broken"
    unchanged = read("coin.c")

    @operation
    def look(self, c: Coin) -> Result:
        if not c.tossed:
            return EAGAIN("no_toss", read("look"))
        if fails("metal"):
            return OOPS("broken", read("look"))
        if c.heads:
            return OK("heads", read("look"))
        return EBUSY("tails", read("look"))


def test_an_event_of_one_side_happens_there_alone() -> None:
    assert asked(Broken, Rusting).only_here is None
    assert asked(Rusting, Broken).only_here is None
    assert calls(asked(Rusting, Tossed)) == ["toss.ok", "rust.ok", "look.broken"]


class Paid(Tossed):
    """A toss leaves a token, where there is room."""

    revision = "paid"
    unchanged = read("coin.c")

    @operation
    def toss(self, c: Coin) -> Result:
        if c.tossed or fails("till"):
            return EBUSY("no_token", read("toss"))
        Token()
        c.heads = True
        c.tossed = True
        return OK("ok", read("toss"))


def test_an_answer_is_not_missing_for_want_of_room() -> None:
    assert calls(asked(Loaded, Paid, {"Token": 0})) == ["toss.ok", "toss.ok"]  # not the first one


def test_the_search_ends_where_it_is_told() -> None:
    spec, other = compile_machine(Tidy), compile_machine(Hotel)
    assert included(spec, other, TWO, within=2).only_here is None
    assert included(spec, other, TWO, within=3).only_here is not None
    few = included(spec, other, TWO, most=3)
    assert not few.complete
    assert few.only_here is None


def test_rows_that_are_meant_to_differ_are_kept_away_from() -> None:
    spec, other = compile_machine(Tidy), compile_machine(Hotel)
    assert included(spec, other, TWO, apart=["leave.untidy"]).only_here is None
    assert included(spec, other, TWO, apart=["use.used"]).only_here is not None


class Promises(Hotel):
    """Hotel, and what it would like to hold."""

    revision = "promises"
    unchanged = read("hotel.c")

    @always("hotel.I01", STATE, deduced("a wish"))
    def rooms_stay_clean(self) -> bool:
        """No room is used."""
        return not any(r.used for r in Room)

    @after("use", "hotel.I02", STEP, deduced("a wish"))
    def nobody_is_turned_away(self, result: Errno) -> bool:
        """Whoever wants to use a room may."""
        return result is OK


class Kept(Promises):
    """Its repair: a room is never used; the second promise is none here."""

    revision = "kept"
    unchanged = read("hotel.c")
    not_applicable = {"hotel.I02": "nobody may"}

    @operation
    def use(self, p: Process) -> Result:
        return EAGAIN("outside", read("use"))


def test_only_traces_that_break_no_law_are_kept_by_a_repair() -> None:
    posted, repaired = compile_machine(Promises), compile_machine(Kept)
    assert included(posted, repaired, TWO).only_here is not None
    lawful = included(posted, repaired, TWO, lawful=True)
    assert lawful.complete
    assert lawful.only_here is None


class Silent(Kept):
    """Whoever is outside is not told: an answer that a trace may have, whatever I02 says of it."""

    revision = "silent"
    unchanged = read("hotel.c")
    not_applicable = {"hotel.I02": "nobody may"}

    @operation
    def use(self, p: Process) -> Result:
        return EBUSY("never", read("use"))


def test_a_law_that_the_repair_does_not_have_is_no_excuse() -> None:
    lawful = included(compile_machine(Promises), compile_machine(Silent), TWO, lawful=True)
    assert calls(lawful) == ["use.outside"]
