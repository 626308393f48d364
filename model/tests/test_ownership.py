# SPDX-License-Identifier: Apache-2.0
"""The ownership machine: verdicts as expected before any engine ran, the readings agree, and the numbers of states."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from accelspec.model.agree import agree
from accelspec.model.evaluate import Interpreter
from accelspec.model.explore import explore
from accelspec.model.progress import progress
from accelspec.model.prove import prove
from accelspec.model.tests.counting import Count, counted
from accelspec.model.tests.native_moves import NativeMoves
from accelspec.model.verdict import Status
from accelspec.spec.catalogue import MACHINES
from accelspec.spec.language import Machine, compile_machine
from accelspec.spec.language.specification import Case, Form, Specification
from accelspec.spec.ownership import REVISIONS, DrmAuth, Intended, Proposal

OWNERSHIP = [pytest.param(c, id=c.revision) for c in REVISIONS]
PAGE = Path(__file__).parents[2] / "docs" / "machines" / "ownership-expectations.md"
SINCE = {("I17", "habanalabs"): "-"}  # O11 of docs/disagreements.md


def expected(revision: str) -> dict[str, str]:
    """The column of a revision on the page: law -> H, x, - or R."""
    lines = [[c.strip() for c in x.strip("|").split("|")] for x in PAGE.read_text().splitlines() if x.startswith("| ")]
    (head,) = [x for x in lines if x[:3] == ["id", "name", "class"]]
    column = head.index(revision)
    cells = {x[0]: x[column] for x in lines if re.fullmatch(r"[ILR]\d\d", x[0]) and len(x) == len(head)}
    return {law: SINCE.get((law, revision), cell) for law, cell in cells.items()}


def judged(spec: Specification) -> dict[str, dict[Status, set[str]]]:
    """Property -> what was said of it in some scope, and the rows at which its traces end."""
    out: dict[str, dict[Status, set[str]]] = {}
    for scope in spec.scopes.values():
        e = explore(spec, scope)
        assert e.complete
        for v in (*e.verdicts, *progress(spec, scope)):
            ends = out.setdefault(v.property, {}).setdefault(v.status, set())
            if v.trace is not None and v.trace.moves:
                ends.add(v.trace.moves[-1].case.id)
    return out


@pytest.mark.parametrize("machine", OWNERSHIP)
def test_verdicts_are_as_expected_and_known_violations_end_where_they_are_listed(machine: type[Machine]) -> None:
    spec = compile_machine(machine)
    said = judged(spec)
    marks = {}
    for law in expected(machine.revision):
        found = said.get(f"ownership.{law}", {Status.NOT_APPLICABLE: set()})
        if Status.NOT_APPLICABLE in found:
            marks[law] = "-"
        elif Status.VIOLATED in found:
            marks[law] = "x"
            assert spec.known[f"ownership.{law}"].row in found[Status.VIOLATED]
        else:
            marks[law] = "R" if law.startswith("R") and Status.PROVED in found else "H"
    assert marks == expected(machine.revision)
    assert {f"ownership.{law}" for law, mark in marks.items() if mark == "x"} == set(spec.known)


@pytest.mark.slow
@pytest.mark.parametrize("machine", [m for m in OWNERSHIP if m.values[0] is not DrmAuth])
def test_what_holds_is_proved_for_any_number_of_objects(machine: type[Machine]) -> None:
    spec = compile_machine(machine)
    holds = {f"ownership.{law}" for law, mark in expected(machine.revision).items() if mark == "H"}
    progressing = {p.id for p in spec.properties if p.form is Form.EVENTUALLY}
    found = {v.property: v for v in prove(spec) if v.property in holds - progressing}
    assert {id: (v.status, v.scope) for id, v in found.items()} == dict.fromkeys(
        holds - progressing, (Status.PROVED, None)
    )


@pytest.mark.parametrize("machine", OWNERSHIP)
def test_both_readings_agree(machine: type[Machine]) -> None:
    spec = compile_machine(machine)
    for scope in spec.scopes.values():
        a = agree(machine, spec, scope, seed=5, steps=40, most=1)
        assert not a.disagreements, "\n".join(map(str, a.disagreements))
        assert a.transitions > 100


# Everything once, but for what is named: the states, arcs and calls that can be reached.
NUMBERS: dict[str, tuple[dict[str, int], Count]] = {
    "drm_auth": ({"Waiter": 0, "Message": 0, "create_lease()": 0}, Count(396, 1685, 4712)),
    "proposal": ({"Waiter": 0, "Message": 0}, Count(240, 920, 1974)),
    "habanalabs": ({"Waiter": 0, "Fd": 2}, Count(224, 1060, 2592)),
    "intended": ({"Waiter": 0, "Fd": 2}, Count(404, 2170, 6570)),
}


@pytest.mark.parametrize("revision", NUMBERS)
def test_explorer_interpreter_and_native_run_count_the_same(revision: str) -> None:
    machine = MACHINES["ownership"][revision]
    spec = compile_machine(machine)
    scope, count = NUMBERS[revision]
    interpreter = Interpreter(spec, scope)
    native = NativeMoves(machine, spec, scope)
    assert counted(interpreter.initial(), native.calls_from) == count
    for engine in ("numpy", "plain"):
        assert explore(spec, scope, engine=engine).states == count.states


# ---------------------------------------------------------------------- single rows


def rows_of(machine: type[Machine], operation: str) -> dict[str, str]:
    """Row -> errno, in the order of the table."""
    cases: dict[str, list[Case]] = compile_machine(machine).rows()
    return {r: c[0].outcome.name for r, c in cases.items() if r.startswith(f"{operation}.") and c[0].outcome}


def test_the_order_of_the_tests_of_set_and_drop() -> None:
    assert rows_of(DrmAuth, "acquire") == {
        "acquire.bad_fd": "EBADF",
        "acquire.render": "EACCES",
        "acquire.not_permitted": "EACCES",
        "acquire.already": "OK",
        "acquire.busy": "EBUSY",
        "acquire.no_master": "EINVAL",
        "acquire.no_memory": "ENOMEM",
        "acquire.new": "OK",
        "acquire.lessee": "EINVAL",
        "acquire.ok": "OK",
    }
    assert rows_of(DrmAuth, "drop") == {
        "drop.bad_fd": "EBADF",
        "drop.render": "EACCES",
        "drop.not_permitted": "EACCES",
        "drop.not_owner": "EINVAL",
        "drop.lessee": "EINVAL",
        "drop.ok": "OK",
    }
    assert list(rows_of(Proposal, "open")) == [
        f"open.{r}" for r in ["exclusive", "no_memory", "pinned", "joined", "ok"]
    ]
    assert list(rows_of(Intended, "open")) == ["open.exclusive", "open.no_memory", "open.joined", "open.ok"]
