# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a specification although it compiles.

- Decision tables are total: in every situation exactly one row is taken (a `require` and a wait may leave none).
- Every row is taken somewhere; every law speaks about something that comes about; every `sometimes` is reached.
- References between kinds that form a cycle are announced: proofs for any number of objects may not come to an end
  there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import networkx as nx

from accelspec.spec.language.sources import deduced
from accelspec.spec.language.specification import Class, Form, Param, Property, Role, Specification
from accelspec.spec.language.terms import And, Kind, Lit, Not, Read, Term, forall, members, none, show, substitute

from .decisions import Gap, TooMany, gaps
from .explore import explore
from .explore.explored import Explored
from .expressions import free_variables
from .lock_order import from_the_first
from .verdict import Budget, Status


class Severity(StrEnum):
    """How bad it is."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Finding:
    """One thing to be said about a specification: where (line 0: the whole file), what, and what to do."""

    file: str
    line: int
    what: str
    remedy: str
    severity: Severity = Severity.WARNING

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.severity}: {self.what}\n    {self.remedy}"


def lint(
    spec: Specification, explored: Explored | Sequence[Explored] = (), budget: Budget | None = None
) -> list[Finding]:
    """Findings, the errors first.

    With explorations (of several scopes, if one does not show everything) also what nothing in them ever comes to; an
    exploration that is not complete says nothing of the kind.
    """
    runs = [explored] if isinstance(explored, Explored) else list(explored)
    found = [*tables(spec, runs[0].scope if runs else None, budget or Budget()), *cycles(spec)]
    if runs and all(e.complete for e in runs):
        found += [*dead_rows(spec, runs), *vacuous(spec, runs)]
    return sorted(found, key=lambda f: f.severity is not Severity.ERROR)


# ---------------------------------------------------------------------- decision tables


def tables(spec: Specification, scope: Mapping[str, int] | None, budget: Budget) -> Iterator[Finding]:
    """Rows that do not exclude each other, and situations without a row, if a reachable state of the scope has them."""
    try:
        suspects = [g for g in gaps(spec) if g.cases or not _may_wait(spec, g)]
    except TooMany as e:
        c = next(c for c in spec.cases if c.operation == str(e))
        yield Finding(c.file, c.line, f"the table of {e} has too many conditions to be checked", "Give it fewer rows.")
        return
    if not suspects:
        return
    laws = [_impossible(spec, g, f"lint.{i}") for i, g in enumerate(suspects)]
    searched = explore(replace(spec, properties=laws, not_applicable={}), scope, budget)
    told: set[tuple[str, str, frozenset[str]]] = set()
    for g, law in zip(suspects, laws, strict=True):
        key = (g.operation, g.step, frozenset(c.id for c in g.cases))
        if searched.verdict(law.id).status is not Status.EXHAUSTED and key not in told:
            told.add(key)
            yield _told(spec, g)


def _told(spec: Specification, g: Gap) -> Finding:
    first = g.cases[0] if g.cases else next(c for c in spec.cases if (c.operation, c.step) == (g.operation, g.step))
    where = " and ".join(show(t) for t in g.conditions) or "ever"
    if g.cases:
        rows = ", ".join(dict.fromkeys(c.id for c in g.cases))
        what, remedy = f"several rows are taken where {where}: {rows}", "Make their guards exclude each other."
    else:
        what, remedy = f"no row of {g.operation} is taken where {where}", "Add a row, or say `require(...)`."
    return Finding(first.file, first.line, what, remedy, Severity.ERROR)


def _may_wait(spec: Specification, g: Gap) -> bool:
    """May there be no row: is the call not offered, or does it wait (for a lock, or in a step)?"""
    required = any(a.operation == g.operation for a in (*spec.assumptions, *spec.waits))
    waits = isinstance(g.last, Read) and g.last.type is bool  # what must be false is true: a lock is taken
    return bool(required or g.step or waits)


def _impossible(spec: Specification, g: Gap, id: str) -> Property:
    """The law that a situation does not come about, whatever the parameters are."""
    cases = [c for c in spec.cases if (c.operation, c.step) == (g.operation, g.step)]
    params = {p.var: p for c in cases for p in c.params}
    new = {p.var for p in params.values() if p.role is Role.NEW}
    told = [p for p in params.values() if p.var not in new]
    situation = And(*(p.where for p in told), *(t for t in g.conditions if not free_variables(t) & new))
    term, where = _never(told, situation), cases[0]
    return Property(id, id, Form.ALWAYS, Class.STATE, term, "", deduced("lint"), where.file, where.line)


def _never(params: Sequence[Param], t: Term) -> Term:
    """The term is false for all values of the parameters."""
    if not params:
        return Not(t)
    p, rest = params[0], params[1:]
    if not isinstance(p.var.type, Kind):
        values = (Lit(m, p.var.type) for m in members(p.var.type))
        return And(*(_never(rest, substitute(t, {p.var: x})) for x in values))
    objects = forall([p.var], _never(rest, t))
    if p.role is not Role.CHOSEN:
        return objects
    return And(objects, _never(rest, substitute(t, {p.var: none(p.var.type)})))


# ---------------------------------------------------------------------- what never comes about


def dead_rows(spec: Specification, runs: Sequence[Explored]) -> Iterator[Finding]:
    """Rows that no run takes."""
    for row, cases in spec.rows().items():
        if not any(e.rows.get(row, 0) for e in runs):
            yield Finding(
                cases[0].file,
                cases[0].line,
                f"the row {row} is never taken in {_scopes(runs)}",
                "Drop it, or explore a scope in which it can be taken.",
            )


def vacuous(spec: Specification, runs: Sequence[Explored]) -> Iterator[Finding]:
    """Laws that speak about nothing, and goals that are never reached."""
    remedy = "Say it of something that comes about, or explore a scope in which it does."
    for p in spec.properties:
        if p.id in spec.not_applicable:
            continue
        if p.form is Form.SOMETIMES and not any(e.verdict(p.id).status is Status.PROVED for e in runs):
            yield Finding(p.file, p.line, f"{p.id} {p.name}: it is never reached in {_scopes(runs)}", remedy)
        unmet = set.intersection(*({t for id, t in e.unmet if id == p.id} for e in runs))
        for t in sorted(unmet):
            yield Finding(p.file, p.line, f"{p.id} {p.name} speaks about nothing in {_scopes(runs)}: never {t}", remedy)


def _scopes(runs: Sequence[Explored]) -> str:
    if len(runs) > 1:
        return f"any of {len(runs)} scopes"
    return "the scope " + (",".join(f"{k}={n}" for k, n in runs[0].scope.items() if n != 1) or "of one object each")


# ---------------------------------------------------------------------- cycles


def cycles(spec: Specification) -> Iterator[Finding]:
    """A shortest cycle of references through each group of kinds that refer to one another."""
    graph = nx.DiGraph()
    for f in spec.fields:
        if isinstance(f.type, Kind):
            for d in f.domain:
                if not graph.has_edge(d.name, f.type.name):
                    graph.add_edge(d.name, f.type.name, field=f.name)
    for group in sorted(map(sorted, nx.strongly_connected_components(graph))):
        inside = graph.subgraph(group)
        rounds = [nx.shortest_path(inside, b, a) for a, b in sorted(inside.edges)]  # from b to a, and back by the edge
        if not rounds:
            continue
        cycle = from_the_first(min(rounds, key=len))
        fields = [graph[a][b]["field"] for a, b in zip(cycle, [*cycle[1:], cycle[0]], strict=True)]
        yield Finding(
            *spec.places.get(fields[0], (spec.file, spec.line)),
            f"references form a cycle: {' -> '.join([*cycle, cycle[0]])} (by {', '.join(fields)})",
            "Proofs for any number of objects may not end where a law follows it round.",
        )
