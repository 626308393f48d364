# SPDX-License-Identifier: Apache-2.0
"""The interpreter against the native run: they agree, and a wrong compiled form is noticed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from accelspec.model.agree import Agreement, Replayer, agree
from accelspec.model.evaluate import Interpreter
from accelspec.model.tests.corners_steps import CORNERS, NEVER
from accelspec.model.trace import Move, Trace
from accelspec.model.verdict import Budget
from accelspec.spec.catalogue import MACHINES
from accelspec.spec.language import EACCES, Machine, Specification, compile_machine, deduced
from accelspec.spec.language.specification import Case, Role
from accelspec.spec.language.terms import FALSE, TRUE, Not, none
from accelspec.spec.tests.constructs import Tickets, Tickets2, Tickets3

REVISIONS = [Tickets, Tickets2, Tickets3]


def told(a: Agreement) -> str:
    return "\n".join(map(str, a.disagreements))


@pytest.mark.parametrize("machine", REVISIONS)
def test_both_readings_agree(machine: type[Machine]) -> None:
    spec = compile_machine(machine)
    a = agree(machine, spec, seed=1, steps=250)
    assert not a.disagreements, told(a)
    assert a.transitions > 4_000
    assert len(a.rows) > 0.85 * len(spec.rows())


@pytest.mark.parametrize("machine", CORNERS)
def test_both_readings_agree_in_corners(machine: type[Machine]) -> None:
    spec = compile_machine(machine)
    a = agree(machine, spec, seed=1, steps=200)
    assert not a.disagreements, told(a)
    assert len(set(spec.rows()) - set(a.rows) - NEVER) <= 3
    assert not set(a.rows) & NEVER


@pytest.mark.slow
@pytest.mark.parametrize("machine", REVISIONS)
def test_both_readings_agree_on_every_row(machine: type[Machine]) -> None:
    spec = compile_machine(machine)
    a = agree(machine, spec, seed=2, steps=6_000)
    assert not a.disagreements, told(a)
    assert set(a.rows) == set(spec.rows())


@pytest.mark.slow
@pytest.mark.parametrize("machine", CORNERS)
def test_both_readings_agree_on_every_row_of_a_corner(machine: type[Machine]) -> None:
    spec = compile_machine(machine)
    a = agree(machine, spec, seed=2, steps=4_000)
    assert not a.disagreements, told(a)
    assert set(a.rows) == set(spec.rows()) - NEVER


@pytest.mark.slow
@pytest.mark.parametrize("revision", list(MACHINES["uacce"]))
def test_both_readings_agree_on_uacce(revision: str) -> None:
    machine = MACHINES["uacce"][revision]
    spec = compile_machine(machine)
    for scope in spec.scopes.values():
        a = agree(machine, spec, scope, seed=3, steps=300, most=1)
        assert not a.disagreements, told(a)
        assert a.transitions > 1_000


def test_the_seed_decides() -> None:
    spec = compile_machine(Tickets)
    a, b, c = (agree(Tickets, spec, seed=s, steps=40) for s in (1, 1, 2))
    assert (a.rows, a.transitions) == (b.rows, b.transitions)
    assert a.rows != c.rows


def test_the_budget_ends_it() -> None:
    asked = iter([False] * 5 + [True] * 1000)
    a = agree(Tickets, compile_machine(Tickets), seed=1, steps=10_000, budget=Budget(stop=lambda: next(asked)))
    assert 0 < a.states < 200


# ---------------------------------------------------------------- faults in the compiled form


def changed(spec: Specification, row: str, change: Callable[[Case], Case | None]) -> Specification:
    """The specification with the cases of one row changed, or left out."""
    cases = [(change(c) if c.id == row else c) for c in spec.cases]
    assert cases != spec.cases
    return replace(spec, cases=[c for c in cases if c is not None])


def without_effect(field: str) -> Callable[[Case], Case]:
    return lambda c: replace(c, effects=tuple(a for a in c.effects if a.field.name != field))


def without_check(property: str) -> Callable[[Case], Case]:
    return lambda c: replace(c, checks=tuple(k for k in c.checks if k.property != property))


def unconditional(c: Case) -> Case:
    return replace(c, guard=TRUE)


def turned_round(c: Case) -> Case:
    return replace(c, checks=tuple(replace(k, term=Not(k.term)) for k in c.checks))


def under_another_condition(c: Case) -> Case:
    effects = (replace(a, when=Not(a.when)) if a.field.name == "Person.patience" else a for a in c.effects)
    return replace(c, effects=tuple(effects))


def anything_chosen(c: Case) -> Case:
    return replace(c, params=tuple(replace(p, where=TRUE) if p.role is Role.CHOSEN else p for p in c.params))


def something_else_remembered(c: Case) -> Case:
    effects = (replace(a, value=none(a.field.type)) if a.field.name == "visit().t" else a for a in c.effects)
    return replace(c, effects=tuple(effects))


FAULTS: dict[str, tuple[str, Callable[[Case], Case | None]]] = {
    "an effect is missing": ("draw.ok", without_effect("Person.at")),
    "an effect of a helper is missing": ("tear_up.ok", without_effect("Person.tickets")),
    "an effect has another condition": ("draw.ok", under_another_condition),
    "an object is not created": ("draw.ok", without_effect("Ticket.live")),
    "an object is not freed": ("tear_up.ok", without_effect("Note.live")),
    "a lock is not given back": ("visit.lost", without_effect("Desk.mutex")),
    "a guard is turned round": ("swap.same", lambda c: replace(c, guard=Not(c.guard))),
    "a guard is dropped": ("draw.slot_taken", unconditional),
    "a guard is too strong": ("remind.void", lambda c: replace(c, guard=FALSE)),
    "a row is missing": ("draw.closed", lambda c: None),
    "another outcome": ("draw.closed", lambda c: replace(c, outcome=EACCES)),
    "another row": ("draw.closed", lambda c: replace(c, row="shut")),
    "another source": ("draw.closed", lambda c: replace(c, source=deduced("nobody said so"))),
    "an assert is not checked": ("remind.ok", without_check("tickets.I01")),
    "an assert is turned round": ("remind.ok", turned_round),
    "a required condition is dropped": ("tidy.tidied", unconditional),
    "anything may be chosen": ("close.reading", anything_chosen),
    "a call in flight does not end": ("visit.ok", without_effect("visit().live")),
    "a call does not remember": ("visit.walked", without_effect("visit().t")),
    "a call remembers something else": ("visit.walked", something_else_remembered),
    "a call stops elsewhere": ("visit.greeted", without_effect("visit().at")),
    "a call does not wait": ("visit.left", unconditional),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_the_compiled_form_is_noticed(fault: str) -> None:
    row, change = FAULTS[fault]
    a = agree(Tickets, changed(compile_machine(Tickets), row, change), seed=1, steps=1_500, most=1)
    assert a.disagreements
    assert any(d.file == "spec/tests/constructs.py" and d.line > 100 for d in a.disagreements)


@pytest.mark.parametrize(
    ("fault", "what"),
    [
        ("a call does not remember", "t is remembered as none, run as ticket"),
        ("a call remembers something else", "t is remembered as none, run as ticket"),
        ("a call does not wait", "interpreted, the call goes on; run, it waits"),
        ("a lock is not given back", ".mutex is True, run it is False"),
        ("a guard is too strong", "run, it takes void (ENXIO); interpreted, no row"),
        ("a required condition is dropped", "the methods do not offer it: the required condition is false"),
    ],
)
def test_a_fault_is_told(fault: str, what: str) -> None:
    row, change = FAULTS[fault]
    a = agree(Tickets, changed(compile_machine(Tickets), row, change), seed=1, steps=1_500, most=5)
    assert any(what in d.what for d in a.disagreements), told(a)


@pytest.mark.parametrize(
    "id", ["tickets.I03", "tickets.I04", "tickets.I05", "tickets.S01", "tickets.L01", "tickets.C01"]
)
def test_a_wrong_property_is_noticed(id: str) -> None:
    spec = compile_machine(Tickets)
    wrong = [replace(p, term=Not(p.term)) if p.id == id else p for p in spec.properties]
    a = agree(Tickets, replace(spec, properties=wrong), seed=1, steps=300, most=3)
    assert a.disagreements
    assert all(id in d.what for d in a.disagreements)


def test_a_disagreement_names_place_calls_and_seed() -> None:
    row, change = FAULTS["another outcome"]
    d = agree(Tickets, changed(compile_machine(Tickets), row, change), seed=3, steps=1_500, most=1).disagreements[0]
    first, *rest = str(d).splitlines()
    assert first.startswith(f"spec/tests/constructs.py:{d.line}: tickets@1: draw(person")
    assert "interpreted, it takes closed (EACCES); run, closed (ENODEV)" in first
    assert "(seed 3)" in first
    assert len(rest) == 1 + len(d.trace)


# ---------------------------------------------------------------- replaying


def some_run(spec: Specification, *wanted: str) -> Trace:
    """A run that takes these rows, one after the other."""
    interpreter = Interpreter(spec)
    initial = state = next(interpreter.initial())
    moves: list[Move] = []
    for row in wanted:
        moves.append(next(m for m in interpreter.moves(state) if m.case.id == row))
        state = moves[-1].after
    return Trace(spec, interpreter.scope, initial, tuple(moves))


ROWS = ("draw.ok", "visit.walked", "visit.greeted", "visit.left", "draw.ok", "visit.ok", "tear_up.ok")


def test_a_trace_is_replayed_natively() -> None:
    assert Replayer(Tickets)(some_run(compile_machine(Tickets), *ROWS))


def test_a_trace_of_another_revision_is_not() -> None:
    trace = some_run(compile_machine(Tickets), "swap.no_ticket")
    assert Replayer(Tickets)(trace)
    d = Replayer(Tickets2).difference(trace)
    assert d is not None
    assert "run, no_ticket (ENXIO)" in d.what


def test_a_trace_with_a_wrong_state_is_not() -> None:
    trace = some_run(compile_machine(Tickets), *ROWS)
    last = trace.moves[-1]
    wrong = replace(trace, moves=(*trace.moves[:-1], replace(last, after=trace.moves[-2].after)))
    assert not Replayer(Tickets)(wrong)
