# SPDX-License-Identifier: Apache-2.0
"""What one revision changes in another: rows by their names, from the decision tables alone.  Nothing is explored.

A row that only moved (to another line or step of its call) has not changed, nor has one that cites another source.
Behaviour is what `compare` looks at: two revisions with the same rows answer alike, the reverse need not hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from accelspec.spec.language.specification import Specification

from .views import Row, decision_table


@dataclass(frozen=True)
class Written:
    """A row as it is written, whatever the steps at which its call can stand."""

    id: str  # "open.busy"
    outcome: str  # errno name; "..." if the call goes on
    guards: tuple[str, ...]  # one for each way to take the row
    effects: tuple[str, ...]
    source: str  # of the revision that states the row


@dataclass(frozen=True)
class Changed:
    """A row that both revisions have and say differently."""

    old: Written
    new: Written
    what: tuple[str, ...]  # of "result", "guard", "effect"


@dataclass(frozen=True)
class Changes:
    """What `new` changes in `old`: rows of operations that both have, and whole operations."""

    old: str  # "uacce@6.12.117"
    new: str
    added_operations: tuple[str, ...]
    dropped_operations: tuple[str, ...]
    added: tuple[Written, ...]
    dropped: tuple[Written, ...]
    changed: tuple[Changed, ...]

    @property
    def size(self) -> int:
        """How many rows and operations there are to read."""
        mine = (self.added_operations, self.dropped_operations, self.added, self.dropped, self.changed)
        return sum(map(len, mine))


def changes(old: Specification, new: Specification) -> Changes:
    """What `new` changes in `old`, in the order of `new`'s decision tables; what it drops in the order of `old`'s."""
    before, after = written(old), written(new)
    kept = [op for op in new.operations() if op in old.operations()]
    both = [r for r in after.values() if _operation(r) in kept]
    pairs = [(before[r.id], r) for r in both if r.id in before]
    return Changes(
        old.name,
        new.name,
        tuple(op for op in new.operations() if op not in kept),
        tuple(op for op in old.operations() if op not in kept),
        tuple(r for r in both if r.id not in before),
        tuple(r for r in before.values() if _operation(r) in kept and r.id not in after),
        tuple(Changed(a, b, what) for a, b in pairs if (what := _difference(a, b))),
    )


def nearest(spec: Specification, others: Sequence[Specification]) -> Changes:
    """The changes against its base, if it names one of `others`, or that of them that leaves the fewest to read.

    Raises:
        ValueError: there are no others.
    """
    named = [o for o in others if o.revision == spec.base]
    return min((changes(o, spec) for o in named or others), key=lambda c: c.size)


def written(spec: Specification) -> dict[str, Written]:
    """Row id -> the row, over all operations and events, in their order."""
    rows: dict[str, list[Row]] = {}
    for op in spec.operations():
        for row in decision_table(spec, op).rows:
            rows.setdefault(row.id, []).append(row)
    return {id: _merged(same) for id, same in rows.items()}


def _merged(rows: Sequence[Row]) -> Written:
    guards = dict.fromkeys(g for r in rows for g in r.guards)
    effects = dict.fromkeys(e for r in rows for e in r.effects)
    return Written(rows[0].id, rows[0].outcome, tuple(guards), tuple(effects), rows[0].source)


def _difference(a: Written, b: Written) -> tuple[str, ...]:
    same = {
        "result": a.outcome == b.outcome,
        "guard": set(a.guards) == set(b.guards),
        "effect": set(a.effects) == set(b.effects),
    }
    return tuple(k for k, v in same.items() if not v)


def _operation(row: Written) -> str:
    return row.id.partition(".")[0]
