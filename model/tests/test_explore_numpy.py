# SPDX-License-Identifier: Apache-2.0
"""The numpy engine against the plain search: the same states, transitions, rows, verdicts and shortest traces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from accelspec.model.evaluate import Interpreter
from accelspec.model.explore import Explored, explore, frontier, ground, packing
from accelspec.model.tests import machines
from accelspec.model.verdict import Budget, Status
from accelspec.spec.language.specification import Form, Specification
from accelspec.spec.language.terms import All, And, Eq, Not, Read, Var

FILES = {"Process": 2, "Fd": 2, "File": 2, "Buffer": 2}
CASES: dict[str, tuple[Callable[[], Specification], dict[str, int]]] = {
    "devices": (machines.devices, {"Device": 3}),
    "devices out of range": (lambda: machines.devices(step=3), {"Device": 2}),
    "devices after": (lambda: machines.devices(step=2), {"Device": 2}),
    "files": (machines.files, FILES),
    "files leak": (lambda: machines.files(leak=True), FILES),
    "files without buffers": (machines.files, {**FILES, "Buffer": 0}),
    "locks": (machines.locks, {"Lock": 3, "work()": 3}),
    "one call": (lambda: machines.locks(alone=True), {"Lock": 3, "work()": 2}),
}


def found(e: Explored) -> dict[str, Any]:
    """Everything that two engines must agree on; of a trace its length, there may be several of the shortest."""
    return {
        "counts": (e.states, e.transitions, e.depth, e.complete),
        "rows": e.rows,
        "verdicts": [(v.property, v.status, v.depth, v.reason, len(v.trace) if v.trace else None) for v in e.verdicts],
    }


@pytest.mark.parametrize("name", CASES)
def test_agrees_with_the_plain_search(name: str) -> None:
    make, scope = CASES[name]
    spec = make()
    fast, plain = explore(spec, scope), explore(spec, scope, engine="plain")
    assert fast.engine == "explore:numpy"
    assert found(fast) == found(plain)


@pytest.mark.parametrize("engine", ["numpy", "plain"])
def test_the_shortest_way_to_break_a_law_that_also_stands_at_an_assert(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two states that are one move away the first fails an assert with its next move, the second breaks the law."""
    monkeypatch.setattr(frontier, "CHUNK", 1)
    spec = machines.devices()
    d, x = Var("d", machines.DEVICE), Var("x#9", machines.DEVICE)
    on = Eq(Read(machines.POWER, (x,)), machines.enum(machines.Power.ON))
    spec.properties = [machines.law("devices.I06", Form.ALWAYS, All(x, Not(And(on, Read(machines.FAST, (x,))))))]
    stands = (machines.check("devices.I06", Read(machines.FAST, (d,))),)
    spec.cases = [replace(c, checks=stands) if c.id == "climb.ok" else c for c in spec.cases]
    assert len(explore(spec, {"Device": 1}, engine=engine).violated["devices.I06"]) == 1


@pytest.mark.parametrize(("name", "states", "transitions"), [("files", 1525, 27839), ("locks", 1777, 6018)])
def test_counts_stay(name: str, states: int, transitions: int) -> None:
    make, scope = CASES[name]
    e = explore(make(), scope)
    assert (e.states, e.transitions) == (states, transitions)


@pytest.mark.parametrize("bits", [20, 13, 7])
def test_states_of_several_words(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Words of few bits stand in for machines whose states need more than 64."""
    make, scope = CASES["files leak"]
    whole = found(explore(make(), scope))
    monkeypatch.setattr(packing, "WORD", bits)
    assert found(explore(make(), scope)) == whole


def test_packing() -> None:
    in_bits = packing.pack([4, 3, 2])
    assert [(s.word, s.weight, s.size) for s in in_bits] == [(0, 1, 4), (0, 4, 4), (0, 16, 2)]
    radix = packing.pack([3] * 39)  # 78 bits, but 3**39 < 2**62
    assert {s.word for s in radix} == {0}
    assert radix[2].weight == 9
    many = packing.pack([1 << 20, 1 << 40, 1 << 30])
    assert [s.word for s in many] == [0, 0, 1]


def test_small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    make, scope = CASES["files"]
    whole = found(explore(make(), scope))
    monkeypatch.setattr(frontier, "CHUNK", 7)
    assert found(explore(make(), scope)) == whole


def test_every_trace_replays() -> None:
    e = explore(machines.files(leak=True), FILES)
    machine = Interpreter(e.spec, e.scope)
    assert {"files.I01", "files.I03"} == set(e.violated)
    for trace in e.violated.values():
        assert machine.replays(trace)


def test_budget_is_asked_in_preparation_and_in_every_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > limit

    limit = 3
    nothing = explore(machines.files(), FILES, Budget(stop=stop))
    assert (nothing.states, nothing.depth) == (0, -1)
    assert {v.status for v in nothing.verdicts} == {Status.UNKNOWN}
    monkeypatch.setattr(frontier, "CHUNK", 7)
    asked, limit = 0, 1_000_000
    explore(machines.files(), FILES, Budget(stop=stop))
    asked, limit = 0, asked - 20
    some = explore(machines.files(), FILES, Budget(stop=stop))
    assert some.stopped == "out of budget"
    assert 0 < some.depth < 16
    assert some.verdict("live:Process.fd").depth == some.depth


def test_memory_ends_early() -> None:
    e = explore(machines.files(), FILES, memory=250_000)
    assert "memory" in e.stopped
    assert e.verdict("live:Process.fd").status is Status.HOLDS_TO


def test_too_large_to_ground_is_searched_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(ground, "MOST_ACTIONS", 10)
    e = explore(machines.files(), FILES, Budget(tell=told.append))
    assert e.engine == "explore:plain"
    assert any("10 ground actions" in t for t in told)
    assert e.states == 1525
