# SPDX-License-Identifier: Apache-2.0
"""Tests: smt induction."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import z3

from accelspec.model.evaluate import Interpreter
from accelspec.model.program import conjuncts
from accelspec.model.smt import cycles, prove_inductive
from accelspec.model.smt.encode import Encoding
from accelspec.model.smt.induction import Induction, run, verdicts
from accelspec.model.smt.obligations import obligations
from accelspec.model.smt.resistance import Resistance
from accelspec.model.tests import machines
from accelspec.model.tests.leases import Forgetful, Hasty, Leases, LeaseState
from accelspec.model.tests.plain_search import violated
from accelspec.model.verdict import Budget, Status, Verdict
from accelspec.spec.language import compile_machine
from accelspec.spec.language.answers import Errno
from accelspec.spec.language.specification import Form, Property, Specification
from accelspec.spec.language.terms import (
    FALSE,
    TRUE,
    All,
    And,
    Any_,
    Assign,
    Eq,
    Field,
    Lit,
    Not,
    Or,
    Read,
    Term,
    Var,
    none,
)

SCOPE = {"Client": 2, "Engine": 2, "Lease": 2}


def by_id(verdicts: list[Verdict]) -> dict[str, Verdict]:
    assert len({v.property for v in verdicts}) == len(verdicts)
    return {v.property: v for v in verdicts}


def proved(spec: Specification) -> set[str]:
    return {v.property for v in prove_inductive(spec) if v.status is Status.PROVED}


def test_everything_is_proved() -> None:
    found = by_id(prove_inductive(compile_machine(Leases)))
    assert {v.status for v in found.values()} == {Status.PROVED}
    assert all(v.scope is None for v in found.values())
    laws = {"leases.I01", "leases.I03", "leases.I04", "leases.I05", "leases.I06", "leases.lost_means_gone"}
    implied = {"live:Lease.engine", "live:Client.lease", "unique:Client.lease", "blank:Lease", "range:Lease.running"}
    assert set(found) == laws | implied


def test_the_row_that_breaks_a_property_is_named_and_its_state_shown() -> None:
    found = by_id(prove_inductive(compile_machine(Hasty)))
    broken = {id: v for id, v in found.items() if v.status is not Status.PROVED}
    assert set(broken) == {"leases.I03"}
    assert broken["leases.I03"].status is Status.UNKNOWN
    reason = broken["leases.I03"].reason.splitlines()
    assert reason[0] == "not inductive: broken by start.ok"
    assert "lease0: engine=engine0, state=LOST" in broken["leases.I03"].reason


def test_nothing_is_proved_by_relying_on_what_is_not() -> None:
    spec = compile_machine(Forgetful)
    found = by_id(prove_inductive(spec))
    assert found["live:Client.lease"].reason.startswith("not inductive: broken by release.ok")
    # what survives every row as long as dead leases are blank is not proved: they are not, by the dangling reference
    assert "blank:Lease" in violated(spec, SCOPE)
    assert found["leases.lost_means_gone"].status is Status.UNKNOWN
    assert "holds there if unique:Client.lease, blank:Lease do" in found["leases.lost_means_gone"].reason


def mutants(spec: Specification) -> Iterator[tuple[str, Specification]]:
    """Every effect dropped, and every conjunct of every guard denied, one at a time."""
    for n, c in enumerate(spec.cases):
        for a in c.effects:
            less = tuple(b for b in c.effects if b is not a)
            yield f"{c.id} without {a.field.name}", _with(spec, n, effects=less)
        for g in conjuncts(c.guard):
            yield f"{c.id} denies {g}", _with(spec, n, guard=_denied(c.guard, g))


def _denied(guard: Term, part: Term) -> Term:
    return And(*(Not(g) if g == part else g for g in conjuncts(guard)))


def _with(spec: Specification, n: int, **changes: object) -> Specification:
    changed = replace(spec.cases[n], **changes)  # type: ignore[arg-type]
    return replace(spec, cases=[*spec.cases[:n], changed, *spec.cases[n + 1 :]])


def test_faults_turn_verdicts_and_no_proof_contradicts_the_search() -> None:
    spec = compile_machine(Leases)
    everything = proved(spec)
    real, noticed = 0, 0
    for name, mutant in mutants(spec):
        broken, shown = set(violated(mutant, SCOPE)) - {"leases.R01"}, proved(mutant)
        assert not broken & shown, f"{name}: proved, but violated"
        real += bool(broken)
        noticed += shown != everything
    assert real >= 15
    assert noticed >= real


@pytest.mark.parametrize("spec", [machines.devices(), machines.devices(2), machines.files(), machines.files(leak=True)])
def test_no_proof_contradicts_the_search(spec: Specification) -> None:
    broken = violated(spec, {"Device": 2} if spec.machine == "devices" else {"Fd": 2, "File": 2, "Buffer": 1})
    shown = proved(spec)
    assert not broken.keys() & shown
    assert shown


def test_a_write_outside_a_range_is_an_obligation() -> None:
    assert "range:Device.level" in proved(machines.devices(1))
    found = by_id(prove_inductive(machines.devices(2)))
    assert found["range:Device.level"].reason.startswith("not inductive: broken by climb.ok")


@pytest.mark.parametrize(
    "spec", [compile_machine(Hasty), compile_machine(Forgetful), machines.devices(), machines.files()]
)
def test_counterexamples_are_those_of_the_interpreter_too(spec: Specification) -> None:
    """From the shown state, the interpreter goes by the same row to a state (or an assert) that breaks the property."""
    engine = Induction(spec)
    run(engine)
    assert engine.resisting
    for p in spec.properties:
        if (r := engine.resisting.get(p.id)) is not None:
            example = r.example
            assert example is not None, p.id
            machine = Interpreter(spec, example.layout.scope)
            if example.case is None:
                assert example.state in set(machine.initial())
                assert not machine.holds(p, example.state, example.state)
                continue
            moves = [m for m in machine.moves(example.state) if m.case == example.case and m.values == example.values]
            assert len(moves) == 1, (p.id, str(r))
            assert not machine.holds(p, example.state, moves[0].after, moves[0])
            for q in (q for q in engine.invariants if not q.over_step):
                assert machine.holds(q, example.state, example.state), "what is proved is true there"


def test_a_write_to_a_field_of_none_does_nothing() -> None:
    """One effect writes through a reference that is none; reading it back gives blank, before and after."""
    spec = compile_machine(Leases)
    c, lease, state = Var("c", spec.kind("Client")), spec.field("Client.lease"), spec.field("Lease.state")
    nobodys = All(c, Not(Eq(Read(state, (Read(lease, (c,)),)), Lit(LeaseState.LOST, LeaseState))))
    write = machines.case(
        "lose",
        "ok",
        Eq(Read(lease, (c,)), none(spec.kind("Lease"))),
        Errno.OK,
        effects=(Assign(state, (Read(lease, (c,)),), Lit(LeaseState.LOST, LeaseState)),),
        params=(machines.given(c),),
    )
    spec = replace(spec, cases=[write], properties=[machines.law("leases.I99", Form.ALWAYS, nobodys)])
    assert "leases.I99" in proved(spec)
    assert not violated(spec, SCOPE)


def test_a_stale_known_violation_is_proved_all_the_same() -> None:
    spec = compile_machine(Leases)
    spec.known["leases.I01"] = compile_machine(Hasty).known["leases.I03"]
    assert "leases.I01" in proved(spec)


def test_a_spent_budget_proves_nothing() -> None:
    found = prove_inductive(compile_machine(Leases), Budget(stop=lambda: True))
    assert {v.status for v in found} == {Status.UNKNOWN}
    assert {v.reason for v in found} == {"the budget was spent before it was decided"}


def test_properties_that_do_not_apply_are_left_out() -> None:
    spec = compile_machine(Leases)
    spec.not_applicable["leases.I01"] = "shared engines"
    assert "leases.I01" not in by_id(prove_inductive(spec))


def test_vacuous_laws() -> None:
    spec = compile_machine(Leases)
    spec.cases = [c for c in spec.cases if c.operation != "start"]
    found = by_id(prove_inductive(spec))
    assert found["leases.I03"].status is Status.VACUOUS
    assert found["leases.I05"].status is Status.VACUOUS


def test_cycles_between_kinds_are_found() -> None:
    spec = compile_machine(Leases)
    assert cycles(spec) == []
    c, x = Var("c", spec.kind("Client")), Var("x", spec.kind("Lease"))
    held = All(x, Any_(c, Eq(Read(spec.field("Client.lease"), (c,)), x)))
    spec.properties.append(machines.law("leases.I98", Form.ALWAYS, held))
    assert cycles(spec) == [
        "Client.lease: Client -> Lease",
        "for every Lease a Client (leases.I98): Lease -> Client",
    ]


def test_bound_variables_are_not_captured() -> None:
    """The row and the law use the same name for bound variables; that must not matter."""
    p, n, m, f = Var("p", machines.PROCESS), Var("n", machines.FD), Var("m", machines.FD), Var("f", machines.FILE)

    def law(q: Var) -> Property:
        held = Read(machines.SLOT, (q, m))
        return machines.law("files.I99", Form.ALWAYS, All(m, All(q, Read(machines.FILE_LIVE, (held,)))))

    unheld = Not(Any_(p, Eq(Read(machines.SLOT, (p, n)), f)))
    close = Assign(machines.FILE_LIVE, (f,), FALSE, unheld, (f,))
    row = machines.case("close", "all", TRUE, Errno.OK, effects=(close,), params=(machines.given(n),))
    spec = replace(machines.files(), cases=[row])
    goals = [o.goal for q in (p, Var("q", machines.PROCESS)) for _, found in obligations(spec, [law(q)]) for o in found]
    encoding = Encoding(spec)
    solver = z3.SimpleSolver(ctx=encoding.context)
    solver.set("rlimit", 2_000_000)
    solver.add(*encoding.axioms(), encoding.term(goals[0]) != encoding.term(goals[1]))
    assert solver.check() == z3.unsat


def test_initial_states_count() -> None:
    spec = compile_machine(Leases)
    e = Var("e", spec.kind("Engine"))
    gone = machines.law("leases.I97", Form.ALWAYS, All(e, Not(Read(spec.field("Engine.present"), (e,)))))
    (found,) = prove_inductive(replace(spec, cases=[], properties=[gone]))
    assert found.status is Status.UNKNOWN
    assert found.reason.startswith("not inductive: broken by the initial state")


@pytest.mark.parametrize(
    "term",
    [
        Any_(Var("x", machines.DEVICE), Not(Read(machines.FAST, (Var("x", machines.DEVICE),)))),
        Not(All(Var("x", machines.DEVICE), Read(machines.FAST, (Var("x", machines.DEVICE),)))),
    ],
)
def test_none_is_not_among_the_objects(term: Term) -> None:
    """`none` is not fast; but there need be no device that is not."""
    spec = replace(machines.devices(), properties=[machines.law("devices.I99", Form.ALWAYS, term)])
    assert "devices.I99" not in proved(spec)


def test_a_law_over_steps_can_be_relied_on() -> None:
    """What it says of the state behind a step holds in every state; alone, the second law is not inductive."""
    d, x, y = (Var("d", machines.DEVICE), *(Field(f"Device.{n}", (machines.DEVICE,), bool, False) for n in "xy"))
    copy = Assign(y, (d,), Read(x, (d,)))
    row = machines.case("copy", "ok", TRUE, Errno.OK, effects=(copy,), params=(machines.given(d),))
    step = And(Not(Read(x, (d,))), Eq(Read(x, (d,), True), Read(x, (d,))))
    over_step = machines.law("copy.I01", Form.ALWAYS, All(d, step))
    never = machines.law("copy.I02", Form.ALWAYS, All(d, Not(Read(y, (d,)))))
    spec = replace(machines.devices(), fields=[x, y], cases=[row], properties=[never])
    assert proved(spec) == set()
    assert proved(replace(spec, properties=[over_step, never])) == {"copy.I01", "copy.I02"}


def test_a_law_over_steps_that_the_initial_states_break() -> None:
    """It is true of every step; but what it says of the state behind a step is not true of an initial one."""
    d, x, y = (Var("d", machines.DEVICE), *(Field(f"Device.{n}", (machines.DEVICE,), bool, n == "x") for n in "xy"))
    clear, copy = Assign(x, (d,), FALSE), Assign(y, (d,), Read(x, (d,)))
    row = machines.case("copy", "ok", TRUE, Errno.OK, effects=(clear, copy), params=(machines.given(d),))
    before = Read(x, (d,), True)
    over_step = machines.law("copy.I01", Form.ALWAYS, All(d, And(Not(Read(x, (d,))), Or(before, Not(before)))))
    never = machines.law("copy.I02", Form.ALWAYS, All(d, Not(Read(y, (d,)))))
    spec = replace(machines.devices(), fields=[x, y], cases=[row], properties=[over_step, never])
    assert "copy.I02" in violated(spec, {"Device": 1})
    assert "copy.I02" not in proved(spec)


def test_a_proof_outside_the_decidable_fragment_says_so_where_the_solver_gave_up() -> None:
    spec = compile_machine(Leases)
    c, x = Var("c", spec.kind("Client")), Var("x", spec.kind("Lease"))
    held = All(x, Any_(c, Eq(Read(spec.field("Client.lease"), (c,)), x)))
    spec.properties.append(machines.law("leases.I98", Form.ALWAYS, held))
    engine = Induction(spec)
    engine.resisting["leases.I98"] = Resistance(gave_up=["release.ok"])
    (found,) = [v for v in verdicts(engine) if v.property == "leases.I98"]
    assert found.status is Status.UNKNOWN
    assert found.reason.startswith("the solver gave up at release.ok")
    assert "Client.lease: Client -> Lease; for every Lease a Client (leases.I98): Lease -> Client" in found.reason
