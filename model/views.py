# SPDX-License-Identifier: Apache-2.0
"""The decision table of an operation, as data and as text; made from the rows alone, nothing is explored."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, replace

from accelspec.spec.language.specification import Case, Specification
from accelspec.spec.language.terms import Kind, Range, Var


@dataclass(frozen=True)
class Row:
    """One row of a decision table: the first whose guard holds answers the call."""

    id: str  # "open.busy"
    step: str  # of a stepped operation: where the call stands; empty at its start
    guards: tuple[str, ...]  # as written; one for each way to take the row
    outcome: str  # errno name; "..." if the call goes on
    effects: tuple[str, ...]  # as written
    source: str
    inherited: str  # on what ground the row is taken over from another revision; empty if the revision states it
    file: str
    line: int

    @property
    def name(self) -> str:
        """The row's name within its operation."""
        return self.id.partition(".")[2]


@dataclass(frozen=True)
class Table:
    """The decision table of one operation or event."""

    machine: str
    revision: str
    operation: str
    event: bool
    params: tuple[str, ...]  # "p: Process"
    requires: tuple[str, ...]  # the call is not offered otherwise
    rows: tuple[Row, ...]

    @property
    def signature(self) -> str:
        """`open(p: Process, n: Fd)`."""
        return f"{self.operation}({', '.join(self.params)})"


def decision_table(spec: Specification, operation: str) -> Table:
    """The decision table of an operation.

    Raises:
        KeyError: the specification has no operation of that name.
    """
    cases = [c for c in spec.cases if c.operation == operation]
    if not cases:
        raise KeyError(operation)
    given: dict[str, None] = {}
    for c in cases:
        for p in c.given():
            given[f"{_name(p.var)}: {_type(p.var)}"] = None
    rows: dict[tuple[str, str], list[Case]] = {}
    for c in cases:
        rows.setdefault((c.step, c.row), []).append(c)
    return Table(
        spec.machine,
        spec.revision,
        operation,
        cases[0].event,
        tuple(given),
        tuple(dict.fromkeys(a.text for a in spec.assumptions if a.operation == operation)),
        tuple(_row(cs) for cs in rows.values()),
    )


def rows_by_id(spec: Specification) -> dict[str, Row]:
    """Row id -> row, over all operations."""
    return {row.id: row for op in spec.operations() for row in decision_table(spec, op).rows}


def _row(cases: list[Case]) -> Row:
    first = cases[0]
    return Row(
        first.id,
        first.step,
        tuple(dict.fromkeys(c.shown for c in cases if c.shown)),
        first.outcome.name if first.outcome else "...",
        tuple(dict.fromkeys(t for c in cases for t in c.told)),
        str(replace(first.source, inherited="")),
        first.source.inherited,
        first.file,
        first.line,
    )


def _name(v: Var) -> str:
    return v.name.split("#")[0]


def _type(v: Var) -> str:
    match v.type:
        case Kind(name=name):
            return name
        case Range(lo=lo, hi=hi):
            return f"{lo}..{hi}"
        case python:
            return python.__name__


def table_text(table: Table, width: int = 100) -> str:
    """A decision table as plain text of at most `width` columns, where words allow it."""
    lines = [f"{table.signature}   {'event' if table.event else 'operation'} of {table.machine}@{table.revision}"]
    lines += [f"    requires {r}" for r in table.requires]
    answer = max((len(r.outcome) for r in table.rows), default=0)
    name = max((len(r.name) for r in table.rows), default=0)
    step = None
    for n, row in enumerate(table.rows, start=1):
        if row.step != step and (row.step or step):
            lines += ["", f"  at {row.step}" if row.step else "  at the call"]
        step = row.step
        lines.append("")
        lines.append(f"{n:3}  {row.outcome:{answer}}  {row.name:{name}}".rstrip())
        for guard in row.guards or ("otherwise",):
            lines += _wrapped(guard if guard == "otherwise" else f"if {guard}", 7, width)
        for effect in row.effects:
            lines += _wrapped(effect, 11, width)
        lines += _wrapped(row.source + (" (taken over)" if row.inherited else ""), 7, width)
    if grounds := dict.fromkeys(r.inherited for r in table.rows if r.inherited):
        lines += ["", *(line for g in grounds for line in _wrapped(f"taken over: {g}", 2, width))]
    return "\n".join(lines) + "\n"


def _wrapped(text: str, indent: int, width: int) -> list[str]:
    return textwrap.wrap(
        text, width, initial_indent=" " * indent, subsequent_indent=" " * (indent + 4), break_long_words=False
    )
