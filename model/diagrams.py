# SPDX-License-Identifier: Apache-2.0
"""The state diagram of an enum field: how the rows of a specification change it.  Nothing is explored.

As data, as Mermaid, DOT and text, and as a machine of the library `transitions` that can be driven.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from transitions import EventData, Machine

from accelspec.spec.language.specification import Case, Role, Specification
from accelspec.spec.language.terms import (
    FALSE,
    And,
    App,
    Assign,
    Eq,
    Field,
    Lit,
    Read,
    Term,
    Var,
    blank,
    none,
    rebuild,
    substitute,
)

ABSENT = "absent"  # the object does not exist


@dataclass(frozen=True)
class Edge:
    """What a row may do to the field of one object; its ends are names of states, or ABSENT."""

    source: str
    target: str
    row: str


@dataclass(frozen=True)
class Diagram:
    """How the rows of a specification change one enum (or Boolean) field of one kind of object."""

    machine: str
    revision: str
    field: str  # "Queue.state"
    states: tuple[str, ...]
    edges: tuple[Edge, ...]

    def changes(self) -> dict[tuple[str, str], list[str]]:
        """The edges that change something, by their ends, with the rows that take them."""
        out: dict[tuple[str, str], list[str]] = {}
        for e in self.edges:
            if e.source != e.target and e.row not in (rows := out.setdefault((e.source, e.target), [])):
                rows.append(e.row)
        return out


def enum_fields(spec: Specification) -> list[Field]:
    """The fields that a state diagram can be drawn of: those of one object whose type is an enum."""
    return [
        f
        for f in spec.fields
        if isinstance(f.type, type) and issubclass(f.type, Enum) and len(f.domain) == 1 and not f.kind.is_call
    ]


def state_diagram(spec: Specification, name: str) -> Diagram:
    """The state diagram of the field `name` ("Queue.state").

    A row is taken to change the field from every state that its guard, as it is written, does not rule out.

    Raises:
        KeyError: there is no enum field of that name.
    """
    f = next((f for f in enum_fields(spec) if f.name == name), None)
    if f is None:
        raise KeyError(name)
    assert isinstance(f.type, type)
    assert issubclass(f.type, Enum)
    edges: dict[Edge, None] = {}
    for case in spec.cases:
        edges.update(dict.fromkeys(_edges(spec, case, f, list(f.type))))
    return Diagram(spec.machine, spec.revision, f.name, tuple(m.name for m in f.type), tuple(edges))


def _edges(spec: Specification, case: Case, f: Field, states: list[Enum]) -> Iterator[Edge]:
    if case.crashes:  # nothing is written
        return
    live = next((g for g in spec.fields if g.is_live and g.kind == f.kind), None)
    assumed = And(case.guard, *(p.where for p in case.params))
    created = {p.var for p in case.params if p.role is Role.NEW and p.var.type == f.kind}
    for new in created:
        first = _written(case.effects, f, new)
        for target in states if first is None else [first]:
            yield Edge(ABSENT, target.name, case.id)
    freed = [a for a in case.effects if live is not None and a.field == live and a.value == FALSE]
    gone = [_whose(a) for a in freed]  # what is freed in the same step changes no state before, nor by being blanked
    for a in freed:
        for s in _possible(And(assumed, a.when), Read(f, a.args), states):
            yield Edge(s.name, ABSENT, case.id)
    for a in case.effects:
        if a.field != f or a.args[0] in created or _whose(a) in gone:
            continue
        cell = Read(f, a.args)
        for s in _possible(And(assumed, a.when), cell, states):
            for t in _values(_where(a.value, cell, s), states):
                yield Edge(s.name, t.name, case.id)


def _whose(a: Assign) -> tuple[tuple[Term, ...], Term]:
    """Which objects are written, and when; loops over the same objects are alike."""
    alike: dict[Var, Term] = {v: Var(f"each {i}", v.type) for i, v in enumerate(a.binders)}
    return tuple(substitute(x, alike) for x in a.args), substitute(a.when, alike)


def _written(effects: Iterable[Assign], f: Field, new: Var) -> Enum | None:
    """What a new object's field holds at first; None: it may be any value."""
    value: Term = blank(f)
    if f.open_initially:
        value = Var("any", f.type)
    for a in effects:
        if a.field == f and a.args == (new,):
            value = a.value
    return value.value if isinstance(value, Lit) else None


def _possible(condition: Term, cell: Read, states: list[Enum]) -> list[Enum]:
    """The values of the cell that the condition does not rule out by its form alone."""
    return [s for s in states if _where(condition, cell, s) != FALSE]


def _values(value: Term, states: list[Enum]) -> list[Enum]:
    """The values that a term can have."""
    if isinstance(value, Lit):
        return [value.value]
    if isinstance(value, App) and value.op == "ite":
        found = [*_values(value.args[1], states), *_values(value.args[2], states)]
        return [s for s in states if s in found]
    return states


def _where(t: Term, cell: Read, value: Enum) -> Term:
    """The term where the cell has that value, simplified; what has the cell is not `none`."""
    if t == cell:
        return Lit(value, cell.type)
    if t == Eq(cell.args[0], none(cell.args[0].type)):
        return FALSE
    return rebuild(t, lambda u: _where(u, cell, value))


def mermaid(d: Diagram, most: int = 4) -> str:
    """The diagram as Mermaid text (`stateDiagram-v2`); of an edge's rows at most `most` are named."""
    end = {ABSENT: "[*]"}
    lines = ["stateDiagram-v2"]
    lines += [
        f"    {end.get(a, a)} --> {end.get(b, b)}: {_label(rows, most, ', ')}" for (a, b), rows in d.changes().items()
    ]
    return "\n".join(lines) + "\n"


def dot(d: Diagram, most: int = 4) -> str:
    """The diagram as text for Graphviz."""
    lines = [f'digraph "{d.machine}@{d.revision} {d.field}" {{', "    rankdir=LR; node [shape=box, style=rounded];"]
    lines += [f'    "{ABSENT}" [shape=point];', *(f'    "{s}";' for s in d.states)]
    for (a, b), rows in d.changes().items():
        label = _label(rows, most, "\\n")
        lines.append(f'    "{a}" -> "{b}" [label="{label}"];')
    return "\n".join([*lines, "}"]) + "\n"


def diagram_text(d: Diagram) -> str:
    """The diagram as plain text: one block for each state, with where its objects can go and by which rows."""
    lines = [f"{d.field}   of {d.machine}@{d.revision}"]
    changes = d.changes()
    for state in (ABSENT, *d.states):
        if out := [(b, rows) for (a, b), rows in changes.items() if a == state]:
            lines += ["", f"  {state}"]
            lines += [f"    -> {b:{max(map(len, (ABSENT, *d.states)))}}  {', '.join(rows)}" for b, rows in out]
    if silent := [s for s in d.states if all(s != a for a, _ in changes)]:
        lines += ["", f"  never left: {', '.join(silent)}"]
    if never := [s for s in d.states if all(s != b for _, b in changes)]:
        lines += ["", f"  never entered: {', '.join(never)}"]
    return "\n".join(lines) + "\n"


def _label(rows: list[str], most: int, between: str) -> str:
    rest = len(rows) - most
    return between.join(rows[:most] + ([f"and {rest} more"] if rest > 0 else []))


class Life:
    """One object's field, driven by rows: the model of a `transitions` machine."""

    machine: Machine
    state: str
    trigger: Callable[..., bool]  # trigger(row, to=STATE): take a row that leaves the field in that state

    def put(self, state: str) -> None:
        """Go to a state, whatever led there."""
        self.machine.set_state(state)


def lifecycle(spec: Specification, field: str) -> Life:
    """A `transitions` machine for one enum field of one object, built from the rows.

    Its triggers are row ids; its states those of the field, and ABSENT.  `life.trigger("start.ok", to="STARTED")` is
    true if the row can take the object from where it is to that state; to the objects that it does not speak about a
    row does nothing.

    >>> life = lifecycle(spec, "Queue.state")                # doctest: +SKIP
    >>> life.trigger("open.ok", to="INIT"), life.state       # doctest: +SKIP
    (True, 'INIT')
    """
    d = state_diagram(spec, field)
    life = Life()
    machine = Machine(model=life, states=[ABSENT, *d.states], initial=ABSENT, auto_transitions=False, send_event=True)
    life.machine = machine
    for e in d.edges:
        machine.add_transition(e.row, e.source, e.target, conditions=_Goes(e.target))
    for row in spec.rows():
        for s in (ABSENT, *d.states):
            machine.add_transition(row, s, None, conditions=_Goes(s))
    return life


@dataclass(frozen=True)
class _Goes:
    """Is this where the object is known to be afterwards?  Without that knowledge any edge will do."""

    target: str

    def __call__(self, event: EventData) -> bool:
        return bool(event.kwargs.get("to", self.target) == self.target)
