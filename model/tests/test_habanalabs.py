# SPDX-License-Identifier: Apache-2.0
"""habanalabs 5.x: every revision violates what it is known for, and nothing else; the states are counted."""

from __future__ import annotations

import pytest

from accelspec.model.explore import explore
from accelspec.model.verdict import Status
from accelspec.spec.habanalabs import B6, B9, C0, REVISIONS, A
from accelspec.spec.language import Machine, compile_machine


@pytest.mark.slow
@pytest.mark.parametrize("machine", REVISIONS, ids=lambda r: r.revision)
def test_each_revision_violates_what_it_is_known_for(machine: type[Machine]) -> None:
    spec = compile_machine(machine)
    found = {id for scope in spec.scopes.values() for id in explore(spec, scope).violated}
    progress = {id for id in spec.known if id.startswith("habanalabs.P")}
    assert found == spec.known.keys() - progress


@pytest.mark.parametrize(
    ("machine", "scope", "length"),
    [
        (A, "work and resets", {"I05": 2, "I01": 6, "I04": 3, "I11": 5}),
        (B6, "work and resets", {"I04": 2, "I32": 3}),
        (B9, "the address of a context", {"I02": 9, "I04": 3}),
        (C0, "work and resets", {"I05": 2}),
    ],
    ids=["a", "b6", "b9", "c0"],
)
def test_what_is_wrong_is_found_in_few_steps(machine: type[Machine], scope: str, length: dict[str, int]) -> None:
    spec = compile_machine(machine)
    found = explore(spec, spec.scopes[scope]).violated
    assert {k: len(found[f"habanalabs.{k}"].moves) for k in length}.keys() == length.keys()
    assert all(len(found[f"habanalabs.{k}"].moves) <= n for k, n in length.items())


def test_both_searches_find_the_same() -> None:
    spec = compile_machine(A)
    scope = spec.scopes["memory and duplicates"]
    fast, plain = explore(spec, scope), explore(spec, scope, engine="plain")
    assert (fast.states, fast.transitions, fast.depth) == (plain.states, plain.transitions, plain.depth)
    assert fast.violated.keys() == plain.violated.keys()
    assert {v.property: v.status for v in fast.verdicts} == {v.property: v.status for v in plain.verdicts}
    assert any(v.status is Status.VIOLATED for v in fast.verdicts)
