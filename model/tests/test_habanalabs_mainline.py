# SPDX-License-Identifier: Apache-2.0
"""habanalabs 6.1 and 6.12: verdicts as expected before any engine ran, readings that agree, numbers of states."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from accelspec.model.agree import agree
from accelspec.model.evaluate import Interpreter
from accelspec.model.explore import explore
from accelspec.model.progress import progress
from accelspec.model.tests.counting import Count, counted
from accelspec.model.tests.native_moves import NativeMoves
from accelspec.model.verdict import Status
from accelspec.spec.habanalabs import MAINLINE, Linux6_1, Linux6_12
from accelspec.spec.language import Machine, compile_machine
from accelspec.spec.language.specification import Specification

REVISIONS = [pytest.param(c, id=c.revision) for c in MAINLINE]
PAGE = Path(__file__).parents[2] / "docs" / "machines" / "habanalabs-expectations-6x.md"
FOUND_ELSEWHERE = {"I29", "I42"}  # H79 and H80 of docs/disagreements.md: another row is reached sooner


def expected(revision: str) -> dict[str, str]:
    """The column of a revision on the page: law -> H, x or -."""
    lines = [[c.strip() for c in x.strip("|").split("|")] for x in PAGE.read_text().splitlines() if x.startswith("| ")]
    (head,) = [x for x in lines if x[:3] == ["id", "name", "class"]]
    column = head.index(revision)
    return {x[0]: x[column] for x in lines if re.fullmatch(r"[IP]\d\d", x[0]) and len(x) == len(head)}


def judged(spec: Specification) -> dict[str, dict[Status, set[str]]]:
    """Property -> what was said of it in some scope, and the rows at which its traces end."""
    out: dict[str, dict[Status, set[str]]] = {}
    for scope in spec.scopes.values():
        e = explore(spec, scope)
        assert e.complete
        small = e.transitions < 700_000
        for v in (*e.verdicts, *(progress(spec, scope) if small else ())):
            ends = out.setdefault(v.property, {}).setdefault(v.status, set())
            if v.trace is not None and v.trace.moves:
                ends.add(v.trace.moves[-1].case.id)
    return out


@pytest.mark.parametrize("machine", REVISIONS)
def test_verdicts_are_as_expected_and_known_violations_are_found(machine: type[Machine]) -> None:
    spec = compile_machine(machine)
    said = judged(spec)
    marks = {}
    for law in expected(machine.revision):
        id = f"habanalabs.{law}"
        found = said.get(id, {})
        if id in spec.not_applicable or all(p.id != id for p in spec.properties):
            marks[law] = "-"
        elif Status.VIOLATED in found:
            marks[law] = "x"
            if law[0] == "I" and law not in FOUND_ELSEWHERE:
                assert spec.known[id].row in found[Status.VIOLATED]
        else:
            assert Status.EXHAUSTED in found
            marks[law] = "H"
    assert marks == expected(machine.revision)
    assert {f"habanalabs.{law}" for law, mark in marks.items() if mark == "x"} == set(spec.known)


@pytest.mark.parametrize("scope", ["exports", "memory", "waits"])
@pytest.mark.parametrize("machine", REVISIONS)
def test_both_readings_agree(machine: type[Machine], scope: str) -> None:
    spec = compile_machine(machine)
    a = agree(machine, spec, spec.scopes[scope], seed=5, steps=30, most=1)
    assert not a.disagreements, "\n".join(map(str, a.disagreements))
    assert a.transitions > 100


NUMBERS = [
    pytest.param(Linux6_1, Count(416, 1252, 10135), id="c1"),
    pytest.param(Linux6_12, Count(333, 1016, 8320), id="c2"),
]


@pytest.mark.parametrize(("machine", "count"), NUMBERS)
def test_explorer_interpreter_and_native_run_count_the_same(machine: type[Machine], count: Count) -> None:
    spec = compile_machine(machine)
    scope = spec.scopes["exports"]
    interpreter = Interpreter(spec, scope)
    native = NativeMoves(machine, spec, scope)
    assert counted(interpreter.initial(), native.calls_from) == count
    for engine in ("numpy", "plain"):
        assert explore(spec, scope, engine=engine).states == count.states
