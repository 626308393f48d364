# SPDX-License-Identifier: Apache-2.0
"""Tests: lint."""

from __future__ import annotations

from dataclasses import replace

import pytest

from accelspec.model import decisions
from accelspec.model.decisions import gaps
from accelspec.model.explore import Explored, explore
from accelspec.model.lint import Finding, Severity, lint
from accelspec.model.tests import machines
from accelspec.model.tests.test_fairness import Pages, Starving
from accelspec.spec.language import compile_machine
from accelspec.spec.language.answers import Errno
from accelspec.spec.language.specification import Form, Specification
from accelspec.spec.language.terms import FALSE, TRUE, All, And, Any_, Eq, Field, Implies, Not, Read, Var

D = Var("d", machines.DEVICE)
LEVEL = Read(machines.LEVEL, (D,))


def changed(spec: Specification, row: str, **more: object) -> Specification:
    return replace(spec, cases=[replace(c, **more) if c.id == row else c for c in spec.cases])  # type: ignore[arg-type]


def without(spec: Specification, *rows: str) -> Specification:
    return replace(spec, cases=[c for c in spec.cases if c.id not in rows])


def errors(spec: Specification, explored: Explored | None = None) -> list[Finding]:
    return [f for f in lint(spec, explored or ()) if f.severity is Severity.ERROR]


def sound() -> Specification:
    """All rows but the crash, whose guard is a condition on the whole world."""
    return without(machines.devices(), "crash.all_at_the_top")


def test_tables_that_are_total() -> None:
    assert list(gaps(sound())) == []
    assert errors(sound()) == []
    partly = errors(machines.files())  # dup onto a descriptor that is taken, exit of a process without files
    assert {f.what.split()[3] for f in partly} == {"dup", "exit"}


def test_missing_row() -> None:
    (f,) = errors(without(sound(), "climb.top"))
    assert f.what == "no row of climb is taken where d.power is ON and 4 <= d.level"
    assert (f.file, f.line) == ("test.py", 1)
    assert str(f).startswith("test.py:1: error: no row of climb")


def test_row_missing_in_a_situation_that_never_comes() -> None:
    """A device that is off is at level 2: that `climb.off` asks for it leaves no situation without a row."""
    guard = And(
        Not(Eq(Read(machines.POWER, (D,)), machines.enum(machines.Power.ON))), Not(Eq(LEVEL, machines.number(4)))
    )
    spec = changed(sound(), "climb.off", guard=guard)
    assert list(gaps(spec))
    assert errors(spec) == []


def test_overlapping_rows() -> None:
    on = Eq(Read(machines.POWER, (D,)), machines.enum(machines.Power.ON))
    found = errors(changed(sound(), "climb.top", guard=And(on, machines.at_most(machines.number(3), LEVEL))))
    assert found
    for f in found:
        assert f.what.startswith("several rows are taken where")
        assert "climb.top" in f.what


def test_rows_that_overlap_only_on_paper() -> None:
    """Two conditions that no state meets together."""
    low, high = Eq(LEVEL, machines.number(2)), machines.at_most(machines.number(3), LEVEL)
    spec = sound()
    spec.cases += [
        machines.case("look", "low", low, Errno.OK, params=(machines.given(D),)),
        machines.case("look", "high", high, Errno.EIO, params=(machines.given(D),)),
    ]
    assert {len(g.cases) for g in gaps(spec)} == {0, 2}
    assert errors(spec) == []


def test_a_choice_of_none_is_a_situation() -> None:
    (f,) = errors(without(machines.files(), "attach.no_buffer", "dup.no_file", "dup.ok", "exit.ok"))
    assert "attach" in f.what
    assert "b is None" in f.what


def test_a_failure_is_a_situation() -> None:
    assert any("motor fails" in f.what for f in errors(without(sound(), "climb.breaks")))


def test_calls_that_are_not_offered_and_waits_need_no_row() -> None:
    assert errors(compile_machine(Starving)) == []
    assert errors(compile_machine(Pages)) == []


def test_too_many_conditions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decisions, "MOST", 2)
    assert any("too many conditions" in f.what for f in lint(sound()))


def test_dead_rows() -> None:
    spec = changed(machines.devices(), "climb.breaks", guard=FALSE)
    dead = [f.what for f in lint(spec, explore(spec)) if "never taken" in f.what]
    assert len(dead) == 2
    assert dead[0].startswith("the row switch.broken is never taken in the scope Device=2")
    assert dead[1].startswith("the row climb.breaks")


def test_what_one_scope_shows_is_not_dead() -> None:
    spec = machines.files()
    one, two = explore(spec, {"File": 0}), explore(spec, {"Buffer": 2})
    assert any("open.ok" in f.what for f in lint(spec, one))
    assert not any("open.ok" in f.what for f in lint(spec, [one, two]))


def test_vacuous_laws() -> None:
    spec = machines.devices()
    x = Var("x#7", machines.DEVICE)
    high = Eq(Read(machines.LEVEL, (x,)), machines.number(7))
    there = Eq(Read(machines.LEVEL, (x,)), machines.number(3))
    old = Eq(Read(machines.LEVEL, (x,), True), machines.number(7))
    below = Eq(Read(machines.LEVEL, (x,), True), machines.number(2))  # no device is at 2 and at 3, but one was
    spec.properties += [
        machines.law("devices.I11", Form.ALWAYS, All(x, Implies(high, Read(machines.FAST, (x,))))),
        machines.law("devices.I12", Form.ALWAYS, And(All(x, Implies(there, TRUE)), All(x, Implies(there, Not(high))))),
        machines.law("devices.I13", Form.ALWAYS, All(x, Implies(And(old, there), Read(machines.FAST, (x,))))),
        machines.law("devices.I14", Form.ALWAYS, All(x, Implies(And(below, there), Read(machines.FAST, (x,))))),
        machines.law("devices.R11", Form.SOMETIMES, Any_(x, high)),
    ]
    told = [f.what for f in lint(spec, explore(spec)) if "I1" in f.what or "R1" in f.what]
    assert len(told) == 3
    assert [t.split()[0] for t in told] == ["devices.I11", "devices.I13", "devices.R11"]
    assert "never any(x.level is 7 for x in Device)" in told[0]


@pytest.mark.parametrize("engine", ["numpy", "plain"])
def test_engines_agree_on_what_is_met(engine: str) -> None:
    spec = machines.devices()
    x = Var("x#7", machines.DEVICE)
    high = Eq(Read(machines.LEVEL, (x,)), machines.number(7))
    spec.properties.append(machines.law("devices.I11", Form.ALWAYS, All(x, Implies(high, Read(machines.FAST, (x,))))))
    assert [id for id, _ in explore(spec, engine=engine).unmet] == ["devices.I11"]


def test_an_exploration_that_is_not_complete_says_nothing_is_dead() -> None:
    spec = machines.files()
    some = explore(spec, engine="plain", memory=5_000)
    assert not some.complete
    assert not any("never taken" in f.what for f in lint(spec, some))


def test_cycles_are_announced() -> None:
    spec = machines.files()
    assert not any("cycle" in f.what for f in lint(spec))
    back = Field("Buffer.file", (machines.BUFFER,), machines.FILE, None, optional=True)
    more = replace(spec, fields=[*spec.fields, back])
    (f,) = [f for f in lint(more) if "cycle" in f.what]
    assert f.what == "references form a cycle: Buffer -> File -> Buffer (by Buffer.file, File.buffer)"
    assert (f.file, f.line) == (spec.file, spec.line)
    (f,) = [f for f in lint(replace(more, places={"Buffer.file": ("files.py", 7)})) if "cycle" in f.what]
    assert (f.file, f.line) == ("files.py", 7)
    itself = Field("Buffer.next", (machines.BUFFER,), machines.BUFFER, None, optional=True)
    (f,) = [f for f in lint(replace(spec, fields=[*spec.fields, itself])) if "cycle" in f.what]
    assert "Buffer -> Buffer (by Buffer.next)" in f.what
