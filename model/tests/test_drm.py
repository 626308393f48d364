# SPDX-License-Identifier: Apache-2.0
"""The machines `drm_master` and `prime`: what is expected of them, the readings agree, and the numbers of states."""

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
from accelspec.spec.drm_master import DrmMaster
from accelspec.spec.language import Machine, compile_machine
from accelspec.spec.language.specification import Case
from accelspec.spec.ownership import DrmAuth
from accelspec.spec.prime import Prime

MACHINES = [pytest.param(m, id=m.machine) for m in (DrmMaster, Prime)]
PAGES = Path(__file__).parents[2] / "docs" / "machines"


def expected(machine: str) -> dict[str, str]:
    """Law -> H, x or R, as its page has it."""
    lines = (PAGES / f"{machine}-expectations.md").read_text().splitlines()
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    return {f"{machine}.{c[0]}": c[-1] for c in cells if re.fullmatch(r"[ILR]\d\d", c[0])}


@pytest.mark.parametrize("machine", MACHINES)
def test_the_page_has_every_law_and_every_violation_that_is_known(machine: type[Machine]) -> None:
    spec = compile_machine(machine)
    page = expected(machine.machine)
    assert set(page) == {p.id for p in spec.properties if re.fullmatch(r"\w+\.[ILR]\d\d", p.id)}
    assert {law for law, mark in page.items() if mark == "x"} == set(spec.known)


@pytest.mark.slow
@pytest.mark.parametrize("machine", MACHINES)
def test_verdicts_are_as_expected(machine: type[Machine]) -> None:
    spec = compile_machine(machine)
    found: dict[str, set[Status]] = {}
    ends: dict[str, set[str]] = {}
    for scope in spec.scopes.values():
        e = explore(spec, scope)
        assert e.complete
        for v in (*e.verdicts, *progress(spec, scope)):
            found.setdefault(v.property, set()).add(v.status)
            if v.status is Status.VIOLATED and v.trace is not None:
                ends.setdefault(v.property, set()).add(v.trace.moves[-1].case.id)
    marks = {}
    for law in expected(machine.machine):
        reached = "R" if Status.PROVED in found[law] and ".R" in law else "H"
        marks[law] = "x" if Status.VIOLATED in found[law] else reached
    assert marks == expected(machine.machine)
    assert all(known.row in ends[law] for law, known in spec.known.items())


@pytest.mark.parametrize("machine", MACHINES)
def test_both_readings_agree(machine: type[Machine]) -> None:
    spec = compile_machine(machine)
    for scope in spec.scopes.values():
        a = agree(machine, spec, scope, seed=5, steps=30, most=1)
        assert not a.disagreements, "\n".join(map(str, a.disagreements))
        assert a.transitions > 100


# What is not named is there once: the states, arcs and calls that can be reached.
NUMBERS: dict[str, tuple[dict[str, int], Count]] = {
    "drm_master": (
        {"Vma": 0, "Waiter": 0, "Message": 0, "Fd": 2, "File": 2, "Lease": 0, "exec()": 0},
        Count(384, 1608, 15112),
    ),
    "prime": ({"Vma": 0, "Waiter": 0, "Fd": 2, "File": 2}, Count(502, 2149, 8740)),
}


@pytest.mark.parametrize("machine", MACHINES)
def test_explorer_interpreter_and_native_run_count_the_same(machine: type[Machine]) -> None:
    spec = compile_machine(machine)
    scope, count = NUMBERS[machine.machine]
    interpreter = Interpreter(spec, scope)
    assert counted(interpreter.initial(), NativeMoves(machine, spec, scope).calls_from) == count
    for engine in ("numpy", "plain"):
        assert explore(spec, scope, engine=engine).states == count.states


def rows_of(machine: type[Machine], operation: str) -> dict[str, str]:
    """Row without its operation -> errno, in the order of the table."""
    cases: dict[str, list[Case]] = compile_machine(machine).rows()
    found = {r: c[0].outcome.name for r, c in cases.items() if c[0].outcome}
    return {r.partition(".")[2]: errno for r, errno in found.items() if r.startswith(f"{operation}.")}


@pytest.mark.parametrize(
    ("here", "there"),
    [("set_master", "acquire"), ("drop_master", "drop"), ("attach_mode", "mode_set"), ("finish", "flink")],
)
def test_the_two_machines_of_masters_give_the_same_answers_in_the_same_order(here: str, there: str) -> None:
    """`ownership@drm_auth` has a node without masters besides, and another word for a master."""
    other = {r.replace("owner", "master"): e for r, e in rows_of(DrmAuth, there).items() if r != "no_master"}
    assert rows_of(DrmMaster, here) == other
