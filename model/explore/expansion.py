# SPDX-License-Identifier: Apache-2.0
"""The successors of a chunk of states, all at once.

Conditions are evaluated once for a chunk and remembered; the tree of rules is walked with masks, and with lists of
positions where few states are left.  Rules that change nothing are counted, their checks looked at, and no state is
made.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .packing import Slot, Words
from .tables import Condition, Rule, Tables, Tree

Mask = NDArray[np.bool_]
Positions = NDArray[np.intp]

DENSE = 0.12  # below this share of the chunk a list of positions is faster than a mask


@dataclass
class Successors:
    """The states that rules lead to: `words[i]` came from `rules[i]`, taken by the states at `sources[i]`."""

    words: list[Words] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)
    sources: list[Positions] = field(default_factory=list)

    def joined(self) -> Words | None:
        """All of them in one array a word."""
        if not self.words:
            return None
        return tuple(np.concatenate([w[i] for w in self.words]) for i in range(len(self.words[0])))


class Watcher:
    """What happens on the way: how often a case is taken, what is violated, where runs end.  This one does not care."""

    minds_ends = False  # does it want to know where runs end?

    def taken(self, rule: Rule, count: int) -> None:
        """So many states take a rule."""

    def cares(self, id: str) -> bool:
        """Is it still of interest whether this property is violated by a step?"""
        return False

    def violated(self, id: str, words: Words, at: int, rule: Rule, check: bool) -> None:
        """The state at this place breaks a property with this rule; with `check`, the run ends there."""

    def ended(self, rule: Rule, at: Positions) -> None:
        """In the states at these places a run can end with this rule: a check fails, or a crash."""


class Chunk:
    """Some states, and what is known about all of them.  Use it once; it holds much memory."""

    def __init__(self, tables: Tables, words: Words, watcher: Watcher) -> None:
        self.tables, self.words, self.watcher = tables, words, watcher
        self.slots: list[Slot] = tables.clusters.slots
        self.count = words[0].size
        self._codes: dict[int, NDArray[np.int64]] = {}
        self._masks: dict[Condition, Mask] = {}
        self.out = Successors()

    def code(self, o: int) -> NDArray[np.int64]:
        """The code of an object in every state."""
        known = self._codes.get(o)
        if known is None:
            known = self._codes[o] = self.slots[o].read(self.words)
        return known

    def mask(self, c: Condition | bool) -> Mask:
        """Where a condition is true."""
        if isinstance(c, bool):
            return np.full(self.count, c)
        known = self._masks.get(c)
        if known is None:
            if c.table is not None:
                known = c.table.take(self.code(c.object))
            elif len(c.parts) == 1:
                known = ~self.mask(c.parts[0])
            else:
                known = self.mask(c.parts[0]) & self.mask(c.parts[1])
                for p in c.parts[2:]:
                    known &= self.mask(p)
            self._masks[c] = known
        return known

    def successors(self) -> Successors:
        """Take every rule."""
        self._walk(self.tables.tree, None, None)
        return self.out

    def _walk(self, tree: Tree, mask: Mask | None, at: Positions | None) -> None:
        """Take the rules of a tree, in the states of a mask (None: all) or at positions."""
        for r in tree.rules:
            self._take(r, mask, at)
        for c, below in tree.below.items():
            here = self.mask(c)
            if at is not None:
                left = at[here.take(at)]
                if left.size:
                    self._walk(below, None, left)
                continue
            both = here if mask is None else mask & here
            if below.size > 2:
                n = np.count_nonzero(both)
                if n < DENSE * self.count:
                    if n:
                        self._walk(below, None, both.nonzero()[0])
                    continue
            self._walk(below, both, None)

    def _take(self, r: Rule, mask: Mask | None, at: Positions | None) -> None:
        silent = not r.deltas and not r.checks and not (r.crashes and self.watcher.minds_ends)
        if at is None and silent and not any(self.watcher.cares(id) for id, _ in r.laws):
            n = self.count if mask is None else int(np.count_nonzero(mask))
            if n:
                self.watcher.taken(r, n)
            return
        if at is None:
            at = np.arange(self.count) if mask is None else mask.nonzero()[0]
        if not at.size:
            return
        self.watcher.taken(r, at.size)
        for id, c in r.checks:
            ok = self.mask(c).take(at)
            if not ok.all():
                if self.watcher.cares(id):
                    self.watcher.violated(id, self.words, int(at[ok.argmin()]), r, True)
                self.watcher.ended(r, at[~ok])
                at = at[ok]
                if not at.size:
                    return
        if r.crashes:
            self.watcher.ended(r, at)
        for id, c in r.laws:
            if self.watcher.cares(id):
                ok = self.mask(c).take(at)
                if not ok.all():
                    self.watcher.violated(id, self.words, int(at[ok.argmin()]), r, False)
        if r.deltas:
            self.out.words.append(self.after(r, at))
            self.out.rules.append(r)
            self.out.sources.append(at)

    def after(self, r: Rule, at: Positions) -> Words:
        """The states that a rule leads to from the states at these places."""
        words = [w.take(at) for w in self.words]
        constants = [0] * len(words)
        for d in r.deltas:
            if d.constant is not None:
                constants[d.word] += d.constant
                continue
            code = self.code(d.object).take(at)
            for atom in d.atoms:
                code = code << 1
                if isinstance(atom, bool):
                    code |= int(atom)
                else:
                    code |= self.mask(atom).take(at)
            words[d.word] += d.table.take(code)
        for w, k in zip(words, constants, strict=True):
            if k % (1 << 64):
                w += np.uint64(k % (1 << 64))
        return tuple(words)


def first_false(mask: Mask) -> int | None:
    """Where a mask is false for the first time."""
    i = int(mask.argmin())
    return None if mask[i] else i
