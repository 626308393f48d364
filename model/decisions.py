# SPDX-License-Identifier: Apache-2.0
"""Decision tables as decisions: does every situation take exactly one row?

The guards of an operation are decided one condition after the other, as if conditions knew nothing of each other.
Where exactly one row is left at every end, the table is total and its rows exclude each other, for any number of
objects.  What is found otherwise may still be impossible: that is for a search to say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from accelspec.spec.language.specification import Case, Specification
from accelspec.spec.language.terms import And, App, Not, Term

from .program import conjuncts

MOST = 20_000  # decisions for one table

Rest = tuple[Case, tuple[Term, ...]]  # a case, and the conditions that are left of its guard


@dataclass(frozen=True)
class Gap:
    """Conditions under which no row is taken, or several (`cases`); `last` is the one that decided it."""

    operation: str
    step: str
    conditions: tuple[Term, ...]
    last: Term | None
    cases: tuple[Case, ...]


class TooMany(Exception):
    """A table with too many conditions to be decided like this."""


def gaps(spec: Specification) -> Iterator[Gap]:
    """What is not decided, or decided twice, in the tables of a specification.  Raises TooMany."""
    tables: dict[tuple[str, str], list[Case]] = {}
    for c in spec.cases:
        tables.setdefault((c.operation, c.step), []).append(c)
    for (operation, step), cases in tables.items():
        yield from _Table(operation, step).decide([(c, conjuncts(c.guard)) for c in cases], {}, None)


class _Table:
    def __init__(self, operation: str, step: str) -> None:
        self.operation, self.step = operation, step
        self.decisions = 0

    def decide(self, cases: Sequence[Rest], known: dict[Term, bool], last: Term | None) -> Iterator[Gap]:
        """Decide the first condition that is open; `known` are those decided before."""
        self.decisions += 1
        if self.decisions > MOST:
            raise TooMany(self.operation)
        open_ = next((ts[0] for _, ts in cases if ts), None)
        if open_ is None or not cases:
            taken = tuple(c for c, _ in cases)
            if len(taken) != 1:
                yield Gap(self.operation, self.step, tuple(t if v else Not(t) for t, v in known.items()), last, taken)
            return
        condition = _atom(open_)
        for value in (True, False):
            now = {**known, condition: value}
            left = [(c, ts) for c, rest in cases if (ts := _left(rest, now)) is not None]
            yield from self.decide(left, now, condition if value else Not(condition))


def _atom(t: Term) -> Term:
    """The first condition inside a conjunct that can be decided on its own."""
    while isinstance(t, App) and t.op in ("not", "and"):
        t = t.args[0]
    return t


def _left(ts: Sequence[Term], known: dict[Term, bool]) -> tuple[Term, ...] | None:
    """What is left of a conjunction; None if it is false."""
    out: list[Term] = []
    for t in ts:
        x = _decided(t, known)
        if x is False:
            return None
        if x is not True:
            out += conjuncts(x)
    return tuple(out)


def _decided(t: Term, known: dict[Term, bool]) -> Term | bool:
    if t in known:
        return known[t]
    if isinstance(t, App) and t.op == "not":
        x = _decided(t.args[0], known)
        return not x if isinstance(x, bool) else Not(x)
    if isinstance(t, App) and t.op == "and":
        parts = [_decided(a, known) for a in t.args]
        if any(p is False for p in parts):
            return False
        rest = [p for p in parts if not isinstance(p, bool)]
        return And(*rest) if rest else True
    return t
