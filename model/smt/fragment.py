# SPDX-License-Identifier: Apache-2.0
"""Is a specification's proof decidable?  It is if no functions between kinds form a cycle.

That is the effectively propositional fragment.  A field that refers to another kind is a function; so is "for every x
there is a y".  Where these lead from a kind back to itself, the solver may still succeed, but nothing guarantees that
it ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

from accelspec.spec.language.specification import Form, Specification
from accelspec.spec.language.terms import App, Kind, Lit, Quant, Term, Var, children

Edge = tuple[Kind, Kind, str]  # from, to, and the function between them, for people


def cycles(spec: Specification) -> list[str]:
    """A shortest-to-tell cycle of functions between kinds, one function a line; empty if proofs are decidable.

    >>> cycles(spec)                                                               # doctest: +SKIP
    ['File.queue: File -> Queue', 'for every Queue a File (uacce.I12): Queue -> File']
    """
    edges = list(dict.fromkeys(_edges(spec)))
    graph: dict[Kind, list[Kind]] = {}
    for a, b, _ in edges:
        graph.setdefault(b, []).append(a)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as e:
        loop: list[Kind] = e.args[1][1:]
        first = loop.index(min(loop, key=spec.kinds.index))
        loop = [*loop[first:], *loop[: first + 1]]
        why = {(a, b): text for a, b, text in reversed(edges)}
        return [f"{why[a, b]}: {a.name} -> {b.name}" for a, b in pairwise(loop)]
    return []


def _edges(spec: Specification) -> Iterator[Edge]:
    for f in spec.fields:
        if isinstance(f.type, Kind):
            for d in f.domain:
                yield d, f.type, f.name
    for p in spec.properties:
        if p.form is Form.ALWAYS:
            yield from _alternations(p.term, True, (), p.id)
        yield from _alternations(p.term, False, (), p.id)
    for c in spec.cases:
        for t in (c.guard, *(p.where for p in c.params), *(k.term for k in c.checks)):
            yield from _alternations(t, True, (), c.id)
        for k in c.checks:
            yield from _alternations(k.term, False, (), k.property)


def _alternations(t: Term, positive: bool, above: tuple[Kind, ...], where: str) -> Iterator[Edge]:
    """The functions that a formula hides when it is assumed (or, not positive, denied): for every x above, a y here."""
    match t:
        case Lit() | Var():
            return
        case Quant(op, var, body):
            assert isinstance(var.type, Kind)
            if (op == "all") == positive:
                yield from _alternations(body, positive, (*above, var.type), where)
            else:
                for k in above:
                    yield k, var.type, f"for every {k.name} a {var.type.name} ({where})"
                yield from _alternations(body, positive, above, where)
        case App("and"):
            for u in t.args:
                yield from _alternations(u, positive, above, where)
        case App("not"):
            yield from _alternations(t.args[0], not positive, above, where)
        case _:
            for u in children(t):  # either way round
                yield from _alternations(u, True, above, where)
                yield from _alternations(u, False, above, where)
