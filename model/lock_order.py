# SPDX-License-Identifier: Apache-2.0
"""The lock graph: which lock is wanted while which is held, for every operation, by class of lock as lockdep does it.

A cycle is a possible deadlock, whoever the objects are; without one no number of objects can deadlock on these locks.
"""

from __future__ import annotations

from collections.abc import Iterator

import networkx as nx

from accelspec.spec.language.specification import Case, LockEdge, Role, Specification
from accelspec.spec.language.terms import App, Field, Lit, Read, Term, walk

from .program import conjuncts

Cycle = tuple[tuple[LockEdge, ...], ...]  # one place after the other; at each, all rows that want this lock under that


def lock_graph(spec: Specification) -> nx.DiGraph:
    """Locks (`Device.mutex`) as nodes; an edge from the lock that is held to the one that is wanted, with `edges`."""
    graph = nx.DiGraph()
    for e in spec.lock_order:
        if not graph.has_edge(e.held, e.wanted):
            graph.add_edge(e.held, e.wanted, edges=[])
        graph[e.held][e.wanted]["edges"].append(e)
    return graph


def lock_cycles(spec: Specification) -> list[Cycle]:
    """Every simple cycle of the lock graph, the shortest first."""
    graph = lock_graph(spec)
    cycles: list[list[str]] = [from_the_first(c) for c in nx.simple_cycles(graph)]
    return [
        tuple(tuple(graph[a][b]["edges"]) for a, b in zip(c, [*c[1:], c[0]], strict=True))
        for c in sorted(cycles, key=lambda c: (len(c), c))
    ]


def from_the_first(cycle: list[str]) -> list[str]:
    """The cycle, begun at the first name: which one comes first is otherwise a matter of chance."""
    i = cycle.index(min(cycle))
    return cycle[i:] + cycle[:i]


def cycle_text(cycle: Cycle) -> str:
    """`Device.mutex -> Queue.mutex (close), Queue.mutex -> Device.mutex (mmap)`"""
    places = ((es[0].held, es[0].wanted, dict.fromkeys(e.operation for e in es)) for es in cycle)
    return ", ".join(f"{held} -> {wanted} ({', '.join(ops)})" for held, wanted, ops in places)


def takers(spec: Specification, e: LockEdge) -> list[int]:
    """The numbers of the cases that take the wanted lock while they hold the other one, or together with it."""
    out = []
    for n, c in enumerate(spec.cases):
        if c.operation == e.operation:
            wanted = {t.field.name for t in _wanted(c)}
            if e.wanted in wanted and (e.held in wanted or e.held in {f.name for f in held(spec, c)}):
                out.append(n)
    return out


def held(spec: Specification, case: Case) -> set[Field]:
    """The locks that a call holds where it stands before the case: the compiler has promised that they are held."""
    point = next((_point(p.where) for p in case.params if p.role is Role.CALL), None)
    out: set[Field] = set()
    for p in spec.properties:
        if p.id.startswith(f"held:{case.operation}().{point}:"):
            out |= {t.field for t in walk(p.term) if isinstance(t, Read) and _is_lock(t.field, case)}
    return out


def _is_lock(f: Field, case: Case) -> bool:
    return f.type is bool and not f.is_live and f.kind.name != f"{case.operation}()"


def _wanted(case: Case) -> Iterator[Read]:
    """The locks that must be free for the case to be taken (and whatever else must be false)."""
    for t in conjuncts(case.guard):
        if isinstance(t, App) and t.op == "not":
            yield from (u for u in walk(t.args[0]) if isinstance(u, Read) and u.type is bool)


def _point(t: Term) -> int | None:
    """The number of the step at which a call stands."""
    for u in walk(t):
        if isinstance(u, App) and u.op == "eq" and isinstance(u.args[0], Read) and u.args[0].field.short == "at":
            value = u.args[1]
            return int(value.value) if isinstance(value, Lit) else None
    return None
