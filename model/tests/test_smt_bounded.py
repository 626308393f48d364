# SPDX-License-Identifier: Apache-2.0
"""Tests: smt bounded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
import z3

from accelspec.model.evaluate import Interpreter
from accelspec.model.smt.bounded import Bounded, Irreproducible, prove_bounded
from accelspec.model.smt.k_induction import k_inductive
from accelspec.model.smt.unrolling import Unrolling
from accelspec.model.tests import machines
from accelspec.model.tests.leases import Forgetful, Hasty, Leases
from accelspec.model.tests.plain_search import violated
from accelspec.model.trace import State
from accelspec.model.verdict import Budget, Status
from accelspec.spec.language import compile_machine
from accelspec.spec.language.answers import Errno
from accelspec.spec.language.specification import Form, Param, Role, Specification
from accelspec.spec.language.terms import FALSE, TRUE, Any_, Assign, Field, Not, Range, Read, Var, forall

DEPTH = 6


def whatever_is_there(spec: Specification) -> Specification:
    """The environment chooses among all objects; `none` only in a scope that has no object."""

    def free(p: Param) -> Param:
        return replace(p, where=TRUE) if p.role is Role.CHOSEN else p

    return replace(spec, cases=[replace(c, params=tuple(map(free, c.params))) for c in spec.cases])


CASES: list[tuple[Specification, Mapping[str, int]]] = [
    (compile_machine(Leases), {"Client": 2, "Engine": 2, "Lease": 2}),
    (compile_machine(Leases), {"Client": 2, "Engine": 1, "Lease": 1}),
    (compile_machine(Hasty), {"Client": 1, "Engine": 2, "Lease": 2}),
    (compile_machine(Forgetful), {"Client": 2, "Engine": 2, "Lease": 2}),
    (machines.devices(), {"Device": 2}),
    (machines.devices(2), {"Device": 1}),
    (machines.files(), {"Process": 2, "Fd": 1, "File": 2, "Buffer": 1}),
    (machines.files(leak=True), {"Fd": 2, "File": 1, "Buffer": 2}),
    (whatever_is_there(machines.files()), {"Fd": 1, "File": 1, "Buffer": 2}),
    (whatever_is_there(machines.files()), {"Fd": 1, "File": 1, "Buffer": 0}),
    (machines.locks(), {"Lock": 2, "work()": 2}),
]


@pytest.mark.parametrize(("spec", "scope"), CASES, ids=lambda x: getattr(x, "name", str(x)))
def test_the_same_violations_as_the_plain_search_and_as_short(spec: Specification, scope: Mapping[str, int]) -> None:
    expected = {id: n for id, n in violated(spec, scope).items() if n <= DEPTH}
    asked = {p.id for p in spec.properties if p.form is not Form.EVENTUALLY}
    found = {v.property: v for v in prove_bounded(spec, scope, DEPTH)}
    decided = {id: len(v.trace) for id, v in found.items() if v.trace is not None}
    assert decided == {id: n for id, n in expected.items() if id in asked}
    reached = {p.id for p in spec.properties if p.form is Form.SOMETIMES}
    for id, v in found.items():
        if id in decided:
            assert v.status is (Status.PROVED if id in reached else Status.VIOLATED)
        else:
            assert v.status is (Status.UNKNOWN if id in reached else Status.HOLDS_TO)
            assert id in reached or v.depth == DEPTH


@pytest.mark.parametrize(("spec", "scope"), CASES, ids=lambda x: getattr(x, "name", str(x)))
def test_the_same_moves_as_the_interpreter(spec: Specification, scope: Mapping[str, int]) -> None:
    """Near the initial states: each solution of the formula for a step is a move of the interpreter, and back."""
    machine, unrolling = Interpreter(spec, scope), Unrolling(spec, scope)
    states = list(machine.initial())[:2]
    for s in states:
        if len(states) < 12:
            new = (m.after for m in machine.moves(s) if not m.failed)
            states += [t for t in dict.fromkeys(new) if t not in states][::3]
    for s in states[:12]:
        assert solutions(unrolling, s) == {(m.case.id, m.values, m.after, m.failed[:1]) for m in machine.moves(s)}


def solutions(unrolling: Unrolling, state: State) -> set[tuple[str, tuple[int, ...], State, tuple[str, ...]]]:
    u, found = unrolling, set()
    solver = z3.Solver(ctx=u.scalars.context)
    cells = zip(u.instant(0).cells, u.ground.layout.cells, strict=True)
    solver.add(*(z3.Not(x) if not v else x for (x, (f, _)), v in zip(cells, state, strict=True) if f.type is bool))
    cells = zip(u.instant(0).cells, u.ground.layout.cells, strict=True)
    lows = (f.type.lo if isinstance(f.type, Range) else 0 for f, _ in u.ground.layout.cells)
    solver.add(*(x == v + lo for (x, (f, _)), v, lo in zip(cells, state, lows, strict=True) if f.type is not bool))
    solver.add(*(u.at(0, x) for x in u.a_step))
    on = [*(u.at(0, x) for x in u.goes_on), *(u.at(1, x) for x in u.leads_on)]
    ids = dict.fromkeys(id for s in u.steps for id, _ in s.checks)
    while solver.check() == z3.sat:
        n, values = u.choice(solver.model(), 0)
        given = u.ground.arguments(u.spec.cases[n]).values()
        same = [u.here.selector == n, *(a == solver.model().eval(_at_0(u, a), True) for a in given)]
        taken = z3.And([u.at(0, x) for x in same])
        solver.push()
        solver.add(taken)
        failed = tuple(id for id in ids if (b := u.at(0, u.fails(id))) is not False and solver.check(b) == z3.sat)
        solver.add(*on)
        ends = solver.check() == z3.unsat
        assert ends == (bool(failed) or u.spec.cases[n].crashes)
        found.add((u.spec.cases[n].id, values, state if ends else u.state(solver.model(), 1), failed))
        solver.pop()
        solver.add(z3.Not(taken))
    return found


def _at_0(u: Unrolling, argument: z3.ExprRef) -> z3.ExprRef:
    return next(b for a, b in zip(u.here.arguments, u.instant(0).arguments, strict=True) if a.eq(argument))


def test_only_the_first_assert_that_fails_is_met() -> None:
    spec = compile_machine(Hasty)
    twice = [
        replace(c, checks=(c.checks[0], replace(c.checks[0], property="leases.I99"))) if c.id == "start.ok" else c
        for c in spec.cases
    ]
    law = next(p for p in spec.properties if p.id == "leases.I03")
    spec = replace(spec, cases=twice, properties=[law, replace(law, id="leases.I99")])
    found = {v.property: v.status for v in prove_bounded(spec, depth=4)}
    assert found == {"leases.I03": Status.VIOLATED, "leases.I99": Status.HOLDS_TO}


def test_traces_are_runs_of_the_interpreter() -> None:
    spec = compile_machine(Hasty)
    (found,) = [v for v in prove_bounded(spec, depth=4) if v.status is Status.VIOLATED]
    assert found.property == "leases.I03"
    assert found.trace is not None
    assert [s.row for s in found.trace.steps()] == ["acquire.ok", "unplug.ok", "start.ok"]
    assert Interpreter(spec, found.scope).replays(found.trace)


def test_an_invariant_that_the_initial_states_break() -> None:
    spec = machines.devices()
    d = Var("d", machines.DEVICE)
    fast = machines.law("devices.I99", Form.ALWAYS, forall([d], Not(Read(machines.FAST, (d,)))))
    (found,) = prove_bounded(spec, depth=0, properties=[fast])
    assert found.status is Status.VIOLATED
    assert found.trace is not None
    assert len(found.trace) == 0


def test_a_run_that_the_interpreter_does_not_have_is_an_error() -> None:
    spec = compile_machine(Hasty)
    engine = Bounded(spec, None, spec.properties)
    wrong = [replace(c, guard=FALSE) if c.id == "start.ok" else c for c in spec.cases]
    engine.interpreter = Interpreter(replace(spec, cases=wrong), engine.scope)
    with pytest.raises(Irreproducible, match=r"only the solver takes start.ok|none of the interpreter's"):
        list(engine.run(4))


def test_a_violation_that_the_interpreter_does_not_see_is_an_error() -> None:
    spec = compile_machine(Leases)
    d = Var("e", spec.kind("Engine"))
    gone = machines.law("leases.I99", Form.ALWAYS, Not(Any_(d, Read(spec.field("Engine.present"), (d,)))))
    engine = Bounded(spec, None, [gone])
    engine.open["leases.I99"] = replace(gone, term=TRUE)
    with pytest.raises(Irreproducible, match=r"the interpreter finds nothing about leases\.I99"):
        list(engine.run(1))


def test_a_spent_budget_is_told() -> None:
    spec = compile_machine(Leases)
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > 6

    found = prove_bounded(spec, depth=50, budget=Budget(stop=stop))
    holding = [v for v in found if v.status is Status.HOLDS_TO]
    assert holding
    assert {v.reason for v in holding} == {"the budget was spent"}
    assert all(v.depth is not None and v.depth < 50 for v in holding)


# ---------------------------------------------------------------------- k-induction


def test_k_induction_proves_what_one_step_does_not() -> None:
    """Each move copies x to y.  That y stays false needs two moves of memory: after one, x is known to be false."""
    d, x, y = (Var("d", machines.DEVICE), *(Field(f"Device.{n}", (machines.DEVICE,), bool, False) for n in "xy"))
    copy = machines.case(
        "copy", "ok", TRUE, Errno.OK, effects=(Assign(y, (d,), Read(x, (d,))),), params=(machines.given(d),)
    )
    never = machines.law("copy.I01", Form.ALWAYS, forall([d], Not(Read(y, (d,)))))
    spec = replace(machines.devices(), fields=[x, y], cases=[copy], properties=[never])
    assert k_inductive(spec, {"Device": 1}, [never], depth=1) == {}
    assert k_inductive(spec, {"Device": 1}, [never], depth=3) == {"copy.I01": 2}
    assert k_inductive(spec, {"Device": 2}, [never], depth=3) == {}, "the other device may move in between"
    known = machines.law("copy.I02", Form.ALWAYS, forall([d], Not(Read(x, (d,)))))
    assert k_inductive(spec, {"Device": 2}, [never], [known], depth=1) == {"copy.I01": 1}
    assert k_inductive(spec, {"Device": 2}, [never, known], depth=1) == {"copy.I01": 1, "copy.I02": 1}


@pytest.mark.parametrize(("spec", "scope"), CASES, ids=lambda x: getattr(x, "name", str(x)))
def test_k_induction_proves_nothing_that_is_violated(spec: Specification, scope: Mapping[str, int]) -> None:
    broken = violated(spec, scope)
    candidates = [p for p in spec.properties if broken.get(p.id, DEPTH + 1) > DEPTH]
    shown = k_inductive(spec, scope, candidates, depth=4)
    assert not shown.keys() & broken.keys()
