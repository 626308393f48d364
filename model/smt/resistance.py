# SPDX-License-Identifier: Apache-2.0
"""Why a property is not proved: the rows that break it, and a small state from which the first of them does.

Such a state need not be reachable, so it is never a violation by itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from accelspec.spec.language.specification import Case, Role
from accelspec.spec.language.terms import Kind

from ..layout import Layout
from ..trace import State, value_name


@dataclass(frozen=True)
class Counterexample:
    """A state in which all that is assumed is true, and a case that breaks the property; no case: an initial state."""

    layout: Layout = field(repr=False)
    state: State
    case: Case | None = None
    values: tuple[int, ...] = ()

    def lines(self) -> list[str]:
        """The case, then what matters of the state: every object with those of its fields that are not blank.

        Permanent objects are left out if nothing is said of them but what has to be, and nothing names them.
        """
        scope, layout = self.layout.scope, self.layout
        head, named = [], set[str]()
        if self.case is not None:
            values = [(p, value_name(p.var.type, v, scope)) for p, v in zip(self.case.params, self.values, strict=True)]
            args = [f"{p.var.name.split('#')[0]}={v}" for p, v in values if p.role is not Role.FAILS]
            args += [p.var.name for p, v in values if p.role is Role.FAILS and v == "True"]
            named |= {v for _, v in values}
            head.append(f"{self.case.id}({', '.join(args)}) from a state with")
        objects: dict[str, list[str]] = {}
        for (f, key), x, nothing in zip(layout.cells, self.state, layout.blanks, strict=True):
            who, _, cell = layout.cell_name(f, key).partition(".")
            if f.is_live and x:
                named.add(who)
            if x != nothing and not f.is_live:
                value = value_name(f.type, x, scope)
                objects.setdefault(who, []).append(f"{cell}={value}")
                if not (f.open_initially and isinstance(f.type, Kind)):
                    named |= {who, value}
        return [*head, *(f"  {who}: {', '.join(cells)}" for who, cells in objects.items() if who in named)]


@dataclass
class Resistance:
    """What stood against a proof of one property."""

    rows: list[str] = field(default_factory=list)  # they break it
    gave_up: list[str] = field(default_factory=list)  # the solver did not decide them
    unasked: bool = False  # the budget was spent
    relied_on: tuple[str, ...] = ()  # were assumed while it still held, and are not proved themselves
    example: Counterexample | None = None

    def __str__(self) -> str:
        parts = ["the budget was spent before it was decided"] if self.unasked else []
        if self.rows:
            parts.append(f"not inductive: broken by {listed(self.rows)}")
        if self.gave_up:
            parts.append(f"the solver gave up at {listed(self.gave_up)}")
        if self.relied_on:
            parts.append(f"holds there if {listed(self.relied_on)} do, which are not proved")
        return "\n    ".join(["; ".join(parts), *(self.example.lines() if self.example else [])])

    def add(self, other: Resistance) -> None:
        """Join what a second question found."""
        self.rows += other.rows
        self.gave_up += other.gave_up
        self.unasked |= other.unasked
        self.example = self.example or other.example


def listed(names: Iterable[str], most: int = 6) -> str:
    """Some of the names, and how many more there are."""
    unique = list(dict.fromkeys(names))
    more = f" and {len(unique) - most} more" if len(unique) > most else ""
    return ", ".join(unique[:most]) + more
