# SPDX-License-Identifier: Apache-2.0
"""The engines on the real machine: its smallest scope in every revision, and one that needs several words a state."""

from __future__ import annotations

import pytest

from accelspec.model.evaluate import Interpreter
from accelspec.model.explore import explore, packing
from accelspec.model.explore.graph import state_graph
from accelspec.model.lint import Severity, lint
from accelspec.model.progress import progress
from accelspec.model.tests.test_explore_numpy import found
from accelspec.model.verdict import Budget
from accelspec.spec.catalogue import MACHINES
from accelspec.spec.language import Specification, compile_machine

REVISIONS = [pytest.param(c, id=r) for r, c in MACHINES["uacce"].items()]


def smallest(spec: Specification) -> dict[str, int]:
    return spec.scopes.get("isolation", spec.scope)


@pytest.mark.parametrize("machine", REVISIONS)
def test_numpy_agrees_with_the_plain_search(machine: type) -> None:
    spec = compile_machine(machine)
    fast, plain = explore(spec, smallest(spec)), explore(spec, smallest(spec), engine="plain")
    assert fast.engine == "explore:numpy"
    assert fast.complete
    assert fast.states > 500
    assert found(fast) == found(plain)
    assert fast.unmet == plain.unmet


@pytest.mark.slow
@pytest.mark.parametrize("machine", REVISIONS)
def test_numpy_agrees_with_the_plain_search_in_the_first_scope(machine: type) -> None:
    spec = compile_machine(machine)
    assert found(explore(spec)) == found(explore(spec, engine="plain", memory=8 << 30))


def test_many_words(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = compile_machine(MACHINES["uacce"]["6.1.192"])
    whole = found(explore(spec, smallest(spec)))
    monkeypatch.setattr(packing, "WORD", 12)
    assert found(explore(spec, smallest(spec))) == whole


@pytest.mark.parametrize("revision", ["6.1.192", "5.7"])
def test_both_engines_find_the_same_graph_and_the_same_progress(revision: str) -> None:
    spec = compile_machine(MACHINES["uacce"][revision])
    scope = smallest(spec)
    one, two = (state_graph(Interpreter(spec, scope), Budget(), 1 << 30, e) for e in ("numpy", "plain"))
    assert (one.count, one.initial, one.source.size) == (two.count, two.initial, two.source.size)
    edges = [
        sorted(
            (g.state(int(s)), g.state(int(t)) if t >= 0 else (), int(c), int(call))
            for s, t, c, call in zip(g.source, g.target, g.case, g.call, strict=True)
        )
        for g in (one, two)
    ]
    assert edges[0] == edges[1]
    said = [
        [(v.property, v.status, v.reason, len(v.trace) if v.trace else None) for v in progress(spec, scope, engine=e)]
        for e in ("numpy", "plain")
    ]
    assert said[0] == said[1]


@pytest.mark.parametrize("machine", REVISIONS)
def test_the_tables_are_total(machine: type) -> None:
    assert [f for f in lint(compile_machine(machine)) if f.severity is Severity.ERROR] == []
