# SPDX-License-Identifier: Apache-2.0
"""Tests: fairness."""

from __future__ import annotations

import pytest

from accelspec.model.progress import progress
from accelspec.model.scope_limits import is_limit, with_limits
from accelspec.model.verdict import Status, Verdict
from accelspec.spec.language import (
    DONE,
    OK,
    UNLOCKED,
    Lock,
    Machine,
    Object,
    Result,
    compile_machine,
    deduced,
    event,
    eventually,
    free,
    operation,
    read,
    require,
)

ENGINES = pytest.mark.parametrize("engine", ["numpy", "plain"])


class Device(Object, always=True):
    mutex: Lock = UNLOCKED
    asked: bool = False
    served: bool = False


class Starving(Machine):
    """One call waits for a mutex that others take again and again."""

    machine = "starving"
    revision = "1"
    document = "starving.c"
    scopes = {"one": {"busy()": 1, "ask()": 1}}

    @operation
    def busy(self, d: Device) -> Result:
        with d.mutex:
            yield "working"
        return OK("ok", read("busy"))

    @operation
    def ask(self, d: Device) -> Result:
        require(not d.asked)
        d.asked = True
        yield "asked"
        with d.mutex:
            d.asked = False
        return OK("ok", read("ask"))

    @eventually("starving.L01", deduced("the test"), fair=("busy",))
    def every_question_is_answered(self) -> bool:
        """A call in flight goes on, and a lock is handed over."""
        return not any(d.asked for d in Device)


class Event(Starving):
    """Now it is an event that answers, and only while the mutex is free."""

    revision = "2"

    @operation
    def ask(self, d: Device) -> Result:
        d.asked = True
        return OK("ok", read("ask"))

    @event
    def answer(self, d: Device) -> Result:
        require(d.asked and not d.mutex)
        d.asked = False
        return DONE("answered", read("answer"))

    @eventually("starving.L01", deduced("the test"), fair=("answer",))
    def every_question_is_answered(self) -> bool:
        """An event is fair in the weak sense only."""
        return not any(d.asked for d in Device)


class Ticking(Machine):
    """A fair event that goes on for ever, and a call that need not be made."""

    machine = "ticking"
    revision = "1"
    document = "ticking.c"

    @event
    def tick(self, d: Device) -> Result:
        d.asked = not d.asked
        return DONE("ticked", read("tick"))

    @operation
    def serve(self, d: Device) -> Result:
        d.served = True
        return OK("ok", read("serve"))

    @eventually("ticking.L01", deduced("the test"), fair=("tick",))
    def served_one_day(self) -> bool:
        """Nobody has to serve, however often it ticks."""
        return all(d.served for d in Device)


class Page(Object):
    device: Device


class Pages(Machine):
    """A call in flight makes a page and needs room for it."""

    machine = "pages"
    revision = "1"
    document = "pages.c"
    scopes = {"one": {"Page": 1, "fill()": 1}}

    @operation
    def fill(self, d: Device) -> Result:
        yield "filling"
        Page(device=d)
        return OK("ok", read("fill"))

    @eventually("pages.L01", deduced("the test"), fair=("fill",))
    def never(self) -> bool:
        """Some page is there."""
        return any(p.device.mutex or not p.device.mutex for p in Page)


class Dropped(Pages):
    revision = "2"

    @event
    def drop(self, p: Page) -> Result:
        free(p)
        return DONE("dropped", read("drop"))


def verdicts(machine: type[Machine], engine: str) -> dict[str, Verdict]:
    return {v.property: v for v in progress(compile_machine(machine), engine=engine)}


@ENGINES
def test_a_waiting_call_gets_its_lock(engine: str) -> None:
    v = verdicts(Starving, engine)
    assert v["starving.L01"].status is Status.EXHAUSTED
    assert v["deadlock"].status is Status.EXHAUSTED


@ENGINES
def test_an_event_may_always_come_too_late(engine: str) -> None:
    v = verdicts(Event, engine)["starving.L01"]
    assert v.status is Status.VIOLATED
    trace = v.trace
    assert trace is not None
    assert trace.loop is not None
    around = {m.case.operation for m in trace.moves[trace.loop :]}
    assert around == {"busy"}
    states = list(trace.states())
    assert states[trace.loop] == states[-1]


@ENGINES
def test_what_is_fair_is_taken_on_the_way_round(engine: str) -> None:
    v = verdicts(Ticking, engine)["ticking.L01"]
    assert v.status is Status.VIOLATED
    trace = v.trace
    assert trace is not None
    assert trace.loop == 0
    assert [m.case.operation for m in trace.moves] == ["tick", "tick"]


@ENGINES
def test_the_end_of_a_scope_is_no_deadlock(engine: str) -> None:
    v = verdicts(Pages, engine)
    assert v["deadlock"].status is Status.EXHAUSTED


def test_limits_are_cases_of_steps_that_create() -> None:
    spec = compile_machine(Pages)
    added = [c for c in with_limits(spec).cases if is_limit(c)]
    assert [c.id for c in added] == ["fill.(no more Page)"]
    assert with_limits(spec).cases[: len(spec.cases)] == spec.cases


@ENGINES
def test_a_goal_may_be_left_and_reached_again(engine: str) -> None:
    """Once dropped, a page comes back only if somebody fills again: `fill` is fair, and can always be begun."""
    assert verdicts(Dropped, engine)["pages.L01"].status is Status.EXHAUSTED
