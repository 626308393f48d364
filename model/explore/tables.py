# SPDX-License-Identifier: Apache-2.0
"""Tables: what the numpy engine runs, as data.

A condition on one object is a table of booleans over its codes; other conditions are `and` and `not` of those.  An
update is a table of differences over the codes of one object (and the conditions on other objects that it depends
on).  The actions hang in a tree of conditions, those that most actions share at the top.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from accelspec.spec.language.specification import Form

from .clusters import NOWHERE, Clusters
from .explored import domains_of
from .ground import Action, Update
from .local import Local
from .nodes import Node


class Condition:
    """A condition on a state: a table over an object's codes, or `not`, `and` of others.  Equal ones are identical."""

    __slots__ = ("object", "parts", "serial", "table")

    def __init__(
        self, serial: int, object: int, table: NDArray[np.bool_] | None, parts: tuple[Condition, ...] = ()
    ) -> None:
        self.serial, self.object, self.table, self.parts = serial, object, table, parts


@dataclass(frozen=True)
class Delta:
    """What an update adds to a word: a constant, or the entry of a table at the object's code and one bit per atom."""

    word: int
    object: int
    constant: int | None
    table: NDArray[np.uint64]
    atoms: tuple[Condition | bool, ...]


@dataclass(frozen=True, eq=False)
class Rule:
    """An action, ready to be taken by many states at once."""

    action: Action
    conditions: tuple[Condition, ...]
    deltas: tuple[Delta, ...]  # empty: it changes nothing
    checks: tuple[tuple[str, Condition | bool], ...]
    laws: tuple[tuple[str, Condition | bool], ...]
    crashes: bool


@dataclass
class Tree:
    """Rules, by their conditions: those whose conditions are all true here, and those with one more."""

    rules: list[Rule] = field(default_factory=list)
    below: dict[Condition, Tree] = field(default_factory=dict)
    size: int = 0


class Tables:
    """Everything that an exploration needs of a specification."""

    def __init__(self, clusters: Clusters) -> None:
        self.clusters = clusters
        self._conditions: dict[object, Condition] = {}
        self._memo: dict[Node, Condition | bool] = {}
        self._deltas: dict[tuple[Update, Local], Delta | None] = {}
        self.rules = [r for a, local, rest in clusters.actions if (r := self._rule(a, local, rest)) is not None]
        self.always = self._states(Form.ALWAYS)
        self.sometimes = self._states(Form.SOMETIMES)
        ground = clusters.ground
        self.domains = [(d, self.condition(ground.term(d[1], {}, {}))) for d in domains_of(ground.spec)]
        self.tree = self._tree()
        self.initial = clusters.packed(clusters.initial)

    # ------------------------------------------------------------------ conditions

    def _intern(
        self, key: object, object: int, table: NDArray[np.bool_] | None, parts: tuple[Condition, ...] = ()
    ) -> Condition:
        known = self._conditions.get(key)
        if known is None:
            known = self._conditions[key] = Condition(len(self._conditions), object, table, parts)
        return known

    def _local(self, o: int, guard: Local) -> Condition | bool:
        """A condition on one object as a table over its codes."""
        table = self.clusters.columns[o].all_of(guard)
        if table.all() or not table.any():
            return bool(table[0])
        return self._intern((o, table.tobytes()), o, table)

    def condition(self, x: Node) -> Condition | bool:
        """A node as a condition, or as a constant where no code makes a difference."""
        known = self._memo.get(x)
        if known is None:
            known = self._memo[x] = self._condition(x)
        return known

    def _condition(self, x: Node) -> Condition | bool:
        if x.op == "const":
            return bool(x.value)
        objects = self.clusters.algebra.objects_of(x)
        if len(objects) == 1:
            return self._local(objects.pop(), (x,))
        if x.op == "not":
            inner = self.condition(x.args[0])
            return not inner if isinstance(inner, bool) else self._intern(("not", inner), -1, None, (inner,))
        assert x.op == "and", x
        local, rest = self.clusters.by_object(x.args)
        parts = [self._local(o, xs) for o, xs in local.items()] + [self.condition(y) for y in rest]
        if any(p is False for p in parts):
            return False
        left = tuple(sorted({p for p in parts if isinstance(p, Condition)}, key=lambda p: p.serial))
        return True if not left else left[0] if len(left) == 1 else self._intern(("and", left), -1, None, left)

    def _conjuncts(self, x: Condition | bool) -> Iterable[Condition | bool]:
        return x.parts if isinstance(x, Condition) and x.table is None and len(x.parts) > 1 else (x,)

    # ------------------------------------------------------------------ rules

    def _rule(self, a: Action, local: dict[int, Local], rest: tuple[Node, ...]) -> Rule | None:
        self.clusters.ground.check()
        parts = [self._local(o, xs) for o, xs in local.items()]
        parts += [y for x in rest for y in self._conjuncts(self.condition(x))]
        if any(p is False for p in parts):
            return None
        conditions = tuple(dict.fromkeys(p for p in parts if isinstance(p, Condition)))
        deltas = [self._delta(u, local.get(u.object, ())) for u in a.updates]
        checks = tuple((id, c) for id, x in a.checks if (c := self.condition(x)) is not True)
        laws = tuple((id, c) for id, x in a.laws if (c := self.condition(x)) is not True)
        crashes = self.clusters.ground.spec.cases[a.case].crashes
        return Rule(a, conditions, tuple(d for d in deltas if d is not None), checks, laws, crashes)

    def _delta(self, u: Update, guard: Local) -> Delta | None:
        """The differences that an update makes; None if it makes none."""
        key = (u, guard)
        if key not in self._deltas:
            self._deltas[key] = self._new_delta(u, guard)
        return self._deltas[key]

    def _new_delta(self, u: Update, guard: Local) -> Delta | None:
        clusters, o = self.clusters, u.object
        slot, steps = clusters.slots[o], clusters.steps[u, guard]
        table = np.zeros((len(clusters.values[o]), 1 << len(u.atoms)), np.uint64)
        if not steps:
            return None
        codes = np.array([code for code, _ in steps])
        after = np.array([a for _, a in steps])
        moved = np.where(
            after == NOWHERE, 0, after - codes[:, None]
        )  # a number out of its range: a check failed before
        table[codes] = moved.astype(np.uint64) * np.uint64(slot.weight)
        different = np.unique(moved)
        if different.size == 1 and different[0] == 0:
            return None
        constant = int(different[0]) * slot.weight % (1 << 64) if different.size == 1 else None
        return Delta(slot.word, o, constant, table.ravel(), tuple(map(self.condition, u.atoms)))

    def _states(self, form: Form) -> list[tuple[str, Condition | bool]]:
        out = [(id, self.condition(x)) for id, x in self.clusters.ground.states(form)]
        return [(id, c) for id, c in out if form is Form.SOMETIMES or c is not True]

    def _tree(self) -> Tree:
        shared: dict[Condition, int] = {}
        for r in self.rules:
            for c in r.conditions:
                shared[c] = shared.get(c, 0) + 1
        root = Tree()
        for r in self.rules:
            at = root
            at.size += 1
            for c in sorted(r.conditions, key=lambda c: (-shared[c], c.serial)):
                at = at.below.setdefault(c, Tree())
                at.size += 1
            at.rules.append(r)
        return root
