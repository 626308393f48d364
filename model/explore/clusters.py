# SPDX-License-Identifier: Apache-2.0
"""Clusters: the cells of one object are one number, its code.

Which codes an object can have is a cartesian fixpoint: every action that some combination of codes allows is taken.
That is more than what is reachable, but far less than all values of its cells; and it costs nothing to keep what is
constant or depends on another cell.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from accelspec.spec.language.terms import Range

from ..trace import State
from .ground import Action, Grounder, TooLarge, Update
from .local import Columns, Functions, Local, Values
from .nodes import Node
from .packing import Words, pack

Possible = tuple[Action, dict[int, Local], tuple[Node, ...]]  # an action, and its guard by objects
Steps = list[tuple[int, tuple[int, ...]]]  # of an update: code, and codes after it for each valuation of its atoms

NOWHERE = -1  # instead of a code: a number would leave its range
MOST_CODES = 1 << 20


class Clusters:
    """The codes of every object, and the actions that the fixpoint found possible."""

    def __init__(self, ground: Grounder, actions: Iterable[Action]) -> None:
        self.ground, self.algebra = ground, ground.algebra
        self.objects = ground.objects
        self.functions = Functions(ground)
        self._allowed: dict[tuple[int, Local], tuple[int, bool]] = {}
        self.steps: dict[tuple[Update, Local], Steps] = {}
        self.codes: list[dict[Values, int]] = [{} for _ in self.objects]
        self.values: list[list[Values]] = [[] for _ in self.objects]  # by code
        self.initial = [self._raised(s) for s in ground.layout.initial()]
        for s in self.initial:
            for o, cells in enumerate(self.objects):
                self._code(o, tuple(s[c] for c in cells))
        self.actions = self._fixpoint([(a, *self.by_object(a.guard)) for a in actions])
        self.columns = [Columns(self.functions.place, vs) for vs in self.values]
        self.slots = pack([len(c) for c in self.codes])
        self.words = 1 + max((s.word for s in self.slots), default=0)

    def _raised(self, s: State) -> list[int]:
        """A state with its numbers as terms count them."""
        return [x + b for x, b in zip(s, self.ground.base, strict=True)]

    def _code(self, o: int, values: Values) -> int:
        """The code of these values; a new one if they have none."""
        codes = self.codes[o]
        code = codes.get(values)
        if code is None:
            code = codes[values] = len(codes)
            self.values[o].append(values)
            if code > MOST_CODES:
                raise TooLarge(f"an object has more than {MOST_CODES} codes")
        return code

    # ------------------------------------------------------------------ fixpoint

    def by_object(self, guard: Iterable[Node]) -> tuple[dict[int, Local], tuple[Node, ...]]:
        """The conjuncts of a guard, object by object, and those that speak about several."""
        local: dict[int, list[Node]] = {}
        rest = []
        for x in guard:
            objects = self.algebra.objects_of(x)
            if len(objects) == 1:
                local.setdefault(objects.pop(), []).append(x)
            else:
                rest.append(x)
        return {o: tuple(xs) for o, xs in local.items()}, tuple(rest)

    def _fixpoint(self, todo: list[Possible]) -> list[Possible]:
        possible: list[Possible] = []
        updates: dict[tuple[Update, Local], int] = {}  # how many codes each has been tried on
        changed = True
        while changed:
            self.ground.check()
            waiting: list[Possible] = []
            for item in todo:
                action, local, _ = item
                if not all(self._allows(o, xs) for o, xs in local.items()):
                    waiting.append(item)
                    continue
                possible.append(item)
                for u in action.updates:
                    updates.setdefault((u, local.get(u.object, ())), 0)
            changed, todo = False, waiting
            for (u, guard), first in updates.items():
                last = len(self.values[u.object])
                if first < last:
                    updates[u, guard] = last
                    self._try(u, guard, first, last)
                    changed = True
        return possible

    def _try(self, u: Update, guard: Local, first: int, last: int) -> None:
        """Take an update from the codes of a range."""
        self.ground.check()
        o, step, known = u.object, self.functions.step(u, guard), self.steps.setdefault((u, guard), [])
        cells = self.objects[o]
        fields = self.ground.layout.cells
        numbers = [
            (cells.index(c), self.algebra.domains[c]) for c, _ in u.values if isinstance(fields[c][0].type, Range)
        ]
        for code in range(first, last):
            results = step(self.values[o][code])
            if results:
                inside = [all(r[i] in d for i, d in numbers) for r in results]
                after = (self._code(o, r) if ok else NOWHERE for r, ok in zip(results, inside, strict=True))
                known.append((code, tuple(after)))

    def _allows(self, o: int, guard: Local) -> bool:
        """Is there a code of the object, so far, that satisfies this part of a guard?"""
        first, found = self._allowed.get((o, guard), (0, False))
        values = self.values[o]
        found = found or any(map(self.functions.guard(guard), values[first:]))
        self._allowed[o, guard] = len(values), found
        return found

    # ------------------------------------------------------------------ packed states

    def encode(self, state: Sequence[int]) -> tuple[int, ...]:
        """A state (numbers as terms count them) as words; raises KeyError for a state that no fixpoint reaches."""
        words = [0] * self.words
        for o, cells in enumerate(self.objects):
            slot = self.slots[o]
            words[slot.word] += self.codes[o][tuple(state[c] for c in cells)] * slot.weight
        return tuple(words)

    def decode(self, words: Sequence[int]) -> State:
        """A packed state as the interpreter knows it."""
        out = [0] * len(self.ground.layout)
        for o, cells in enumerate(self.objects):
            slot = self.slots[o]
            for c, v in zip(cells, self.values[o][words[slot.word] // slot.weight % slot.size], strict=True):
                out[c] = v - self.ground.base[c]
        return tuple(out)

    def packed(self, states: Iterable[Sequence[int]]) -> Words:
        """Several states as words."""
        rows = [self.encode(s) for s in states]
        return tuple(np.array([r[w] for r in rows], np.uint64) for w in range(self.words))
