# SPDX-License-Identifier: Apache-2.0
"""habanalabs, intended: proved for any number of objects, reachable, and no less useful than what it repairs."""

from __future__ import annotations

import pytest

from accelspec.model.explore import explore
from accelspec.model.inclusion import included
from accelspec.model.smt.induction import prove_inductive
from accelspec.model.verdict import Status
from accelspec.spec.habanalabs import B9, Intended
from accelspec.spec.language import compile_machine
from accelspec.spec.language.specification import Form

BASE, OURS = compile_machine(B9), compile_machine(Intended)

# Where the two are meant to differ: docs/machines/habanalabs-expectations.md, the column "visible".
VISIBLE = {
    "T5": {"open.in_debug"},
    "T9": {r for r in BASE.rows() if r.startswith("wait.")},
    "T10": {r for r in BASE.rows() if r.endswith(".creation_fails")},
}


def test_every_safety_law_is_proved_for_any_number_of_objects() -> None:
    verdicts = {v.property: v for v in prove_inductive(OURS)}
    assert all(v.status is Status.PROVED and v.scope is None for v in verdicts.values())
    safety = {p.id for p in OURS.properties if p.form not in (Form.SOMETIMES, Form.EVENTUALLY)}
    assert safety - verdicts.keys() <= OURS.not_applicable.keys()


def test_every_row_is_taken_in_some_scope() -> None:
    found = [explore(OURS, scope) for scope in OURS.scopes.values()]
    assert not any(e.violated for e in found)
    assert all(e.complete for e in found)
    taken = {row for e in found for row, times in e.rows.items() if times}
    assert OURS.rows().keys() - taken == {"exit.unmapping"}  # nothing is mapped here


@pytest.mark.parametrize("scope", ["work and resets", "two contexts"])
def test_what_the_posted_scheme_allows_and_breaks_no_law_is_allowed(scope: str) -> None:
    apart = set().union(*VISIBLE.values())
    found = included(BASE, OURS, OURS.scopes[scope], within=4, lawful=True, apart=apart)
    assert (found.only_here, found.depth) == (None, 4)


@pytest.mark.parametrize("deviation", VISIBLE)
def test_each_visible_deviation_is_one(deviation: str) -> None:
    apart = set().union(*(rows for t, rows in VISIBLE.items() if t != deviation))
    found = included(BASE, OURS, OURS.scopes["two contexts"], within=3, lawful=True, apart=apart)
    assert found.only_here is not None
    assert {m.case.id for m in found.only_here.trace.moves} & VISIBLE[deviation]
