# SPDX-License-Identifier: Apache-2.0
"""habanalabs 5.x: every revision violates what it is known for, and nothing else; the states are counted."""

from __future__ import annotations

import pytest

from accelspec.model.explore import explore
from accelspec.model.verdict import Status
from accelspec.spec.habanalabs import B1, B3, B4, B5, B6, B9, C0, REVISIONS, A, BLetter
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
        (A, "work and resets", {"I05": 2, "I01": 6, "I04": 3, "I11": 6}),
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


def test_of_several_shortest_runs_the_listed_one_is_shown() -> None:
    """The crash of a first CS ioctl, and not one of the many calls that crash with an injected failure besides."""
    spec = compile_machine(B9)
    trace = explore(spec, spec.scopes["work and resets"]).violated["habanalabs.I04"]
    assert [m.case.id for m in trace.moves] == ["open.half_built", "open.ok", "submit.placed"]


# States, transitions and depth.  From B5 on there are fewer: who is on the list keeps the next one out to the end.
COUNTS = [
    (A, "memory and duplicates", (2304, 83778, 15)),
    (B1, "memory and duplicates", (2232, 80784, 15)),
    (B3, "memory and duplicates", (2304, 87264, 13)),
    (B4, "memory and duplicates", (2682, 102610, 13)),
    (B5, "memory and duplicates", (864, 32050, 13)),
    (B9, "memory and duplicates", (900, 34182, 15)),
    (BLetter, "memory and duplicates", (840, 32228, 13)),
    (C0, "sharing", (8616, 329824, 11)),
]


@pytest.mark.parametrize(("machine", "scope", "count"), COUNTS, ids=[m.revision for m, *_ in COUNTS])
def test_the_states_of_a_small_scope(machine: type[Machine], scope: str, count: tuple[int, int, int]) -> None:
    spec = compile_machine(machine)
    found = explore(spec, spec.scopes[scope])
    assert (found.states, found.transitions, found.depth) == count


def test_the_plain_search_counts_the_same() -> None:
    spec = compile_machine(B9)
    found = explore(spec, spec.scopes["memory and duplicates"], engine="plain")
    assert (found.states, found.transitions, found.depth) == {m: c for m, _, c in COUNTS}[B9]
