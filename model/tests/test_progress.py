# SPDX-License-Identifier: Apache-2.0
"""Tests: progress."""

from __future__ import annotations

from dataclasses import replace

import pytest

from accelspec.model.evaluate import Interpreter
from accelspec.model.progress import progress
from accelspec.model.tests import machines
from accelspec.model.verdict import Budget, Status, Verdict
from accelspec.spec.language.specification import Form, Specification
from accelspec.spec.language.terms import TRUE, All, And, Any_, Eq, Not, Read, Term, Var

D = Var("d#9", machines.DEVICE)
OFF = All(D, Eq(Read(machines.POWER, (D,)), machines.enum(machines.Power.OFF)))
TOP = Any_(D, Eq(Read(machines.LEVEL, (D,)), machines.number(4)))
BROKEN = Any_(D, Eq(Read(machines.POWER, (D,)), machines.enum(machines.Power.BROKEN)))
ENGINES = pytest.mark.parametrize("engine", ["numpy", "plain"])


def devices(goal: Term, *fair: str, drop: tuple[str, ...] = ()) -> Specification:
    spec = machines.devices()
    law = machines.law("devices.L01", Form.EVENTUALLY, goal, fair=fair)
    return replace(spec, properties=[law], cases=[c for c in spec.cases if c.id not in drop])


def ask(spec: Specification, scope: dict[str, int], engine: str) -> Verdict:
    (v,) = progress(spec, scope, engine=engine)
    return v


@ENGINES
def test_goal_that_can_always_be_reached(engine: str) -> None:
    v = ask(devices(OFF, drop=("climb.breaks",)), {"Device": 2}, engine)
    assert v.status is Status.EXHAUSTED


@ENGINES
def test_goal_that_becomes_unreachable(engine: str) -> None:
    v = ask(devices(OFF), {"Device": 2}, engine)
    assert v.status is Status.VIOLATED
    assert v.trace is not None
    assert [m.case.id for m in v.trace.moves] == ["switch.ok", "climb.breaks"]
    assert v.trace.loop is None


@ENGINES
def test_a_crash_may_lead_anywhere(engine: str) -> None:
    """A device that is never switched on stays off; unless a crash is possible, nobody knows what comes after it."""
    spec = devices(BROKEN, drop=("switch.ok",))
    v = ask(spec, {"Device": 1}, engine)
    assert v.status is Status.VIOLATED
    assert v.trace is not None
    assert len(v.trace) == 0
    anywhere = [replace(c, guard=TRUE) if c.operation == "crash" else c for c in spec.cases]
    assert ask(replace(spec, cases=anywhere), {"Device": 1}, engine).status is Status.EXHAUSTED


@ENGINES
def test_fair_cycle(engine: str) -> None:
    """Climbing is fair, but somebody may switch the device off and on for ever: in between it cannot climb."""
    v = ask(devices(TOP, "climb", drop=("climb.breaks",)), {"Device": 1}, engine)
    assert v.status is Status.VIOLATED
    trace = v.trace
    assert trace is not None
    assert trace.loop is not None
    states = list(trace.states())
    assert states[trace.loop] == states[-1]
    assert {m.case.operation for m in trace.moves[trace.loop :]} <= {"switch", "climb"}
    machine = Interpreter(trace.spec, trace.scope)
    assert any("climb" not in machine.enabled(s) for s in states[trace.loop :])


@ENGINES
def test_fairness_leads_to_the_goal(engine: str) -> None:
    """Without a way to switch off, a device that is on climbs; those that are off need `switch` to be fair, too."""
    once = devices(TOP, "climb", "switch", drop=("climb.breaks",))
    is_off = Eq(Read(machines.POWER, (Var("d", machines.DEVICE),)), machines.enum(machines.Power.OFF))
    only_on = [replace(c, guard=And(c.guard, is_off)) if c.id == "switch.ok" else c for c in once.cases]
    assert ask(replace(once, cases=only_on), {"Device": 1}, engine).status is Status.EXHAUSTED
    lazy = replace(once, cases=only_on, properties=[replace(once.properties[0], fair=("climb",))])
    v = ask(lazy, {"Device": 1}, engine)
    assert v.status is Status.VIOLATED
    assert v.trace is not None
    assert v.trace.loop == len(v.trace) == 0  # nobody switches it on, and nothing happens
    assert "nothing more happens" in v.reason


@ENGINES
def test_deadlock_of_two_calls(engine: str) -> None:
    verdicts = {v.property: v for v in progress(machines.locks(), engine=engine)}
    v = verdicts["deadlock"]
    assert v.status is Status.VIOLATED
    assert v.trace is not None
    assert sorted(m.case.row for m in v.trace.moves) == ["... first", "... first", "... second", "... second"]
    assert v.reason.count("waits for b, holding a") == 2
    assert verdicts["locks.L01"].status is Status.VIOLATED


@ENGINES
def test_no_deadlock_of_one_call(engine: str) -> None:
    verdicts = {v.property: v for v in progress(machines.locks(alone=True), engine=engine)}
    assert {v.status for v in verdicts.values()} == {Status.EXHAUSTED}


@ENGINES
def test_a_budget_that_is_spent_is_unknown(engine: str) -> None:
    verdicts = progress(machines.locks(), budget=Budget(stop=lambda: True), engine=engine)
    assert {v.status for v in verdicts} == {Status.UNKNOWN}
    assert {v.status for v in progress(machines.locks(), engine=engine, memory=1000)} == {Status.UNKNOWN}


@ENGINES
def test_a_budget_that_is_spent_while_the_graph_is_searched_is_unknown(engine: str) -> None:
    asked, most = 0, 1_000_000

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > most

    progress(machines.locks(), budget=Budget(stop=stop), engine=engine)
    asked, most = 0, asked - 2
    *first, last = progress(machines.locks(), budget=Budget(stop=stop), engine=engine)
    assert last.status is Status.UNKNOWN
    assert last.reason == "out of budget"
    assert {v.status for v in first} == {Status.VIOLATED}


def test_nothing_to_do() -> None:
    assert progress(machines.files()) == []


def test_a_second_replay_has_a_veto() -> None:
    v = {v.property: v for v in progress(machines.locks(), replay=lambda t: False)}
    assert v["deadlock"].status is Status.UNKNOWN


def test_not_applicable() -> None:
    spec = devices(OFF)
    spec.not_applicable["devices.L01"] = "no"
    assert ask(spec, {"Device": 1}, "numpy").status is Status.NOT_APPLICABLE


def test_a_broken_device_is_never_off_again() -> None:
    v = ask(devices(Not(BROKEN)), {"Device": 1}, "numpy")
    assert v.status is Status.VIOLATED
