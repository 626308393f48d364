# SPDX-License-Identifier: Apache-2.0
"""Clusters: the cells of one object are one number, its code; the codes of all objects, packed, are a state.

Which codes an object can have is a cartesian fixpoint: every action that some combination of codes allows is taken.
That is more than what is reachable, but far less than all values of its cells; and it costs nothing to keep what is
constant or depends on another cell.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..trace import State
from .ground import Action, Grounder, TooLarge, Update
from .nodes import Node

Values = tuple[int, ...]  # of an object's cells, as terms count them
Words = tuple[NDArray[np.uint64], ...]  # packed states, word by word
Local = tuple[Node, ...]  # the part of a guard that speaks about one object
Possible = tuple[Action, dict[int, Local], tuple[Node, ...]]  # an action, and its guard by objects

WORD = 63  # bits of a word that are used: the hash table needs one value that no state has
MOST_CODES = 1 << 20


@dataclass(frozen=True)
class Slot:
    """Where an object's code lies: `word // weight % size`; both are powers of two if the states fit so."""

    word: int
    weight: int
    size: int

    def read(self, words: Words) -> NDArray[np.int64]:
        """The object's code in every state."""
        w = words[self.word]
        if self.weight & (self.weight - 1) == 0 and self.size & (self.size - 1) == 0:
            shift = np.uint64(self.weight.bit_length() - 1)
            return ((w >> shift) & np.uint64(self.size - 1)).view(np.int64)
        return ((w // np.uint64(self.weight)) % np.uint64(self.size)).view(np.int64)


def pack(sizes: Sequence[int]) -> list[Slot]:
    """Slots for codes of these sizes: in bits if one word holds them, else in mixed radix, else in several words."""
    bits = [(n - 1).bit_length() for n in sizes]
    if sum(bits) <= WORD:
        return [Slot(0, 1 << sum(bits[:o]), 1 << b) for o, b in enumerate(bits)]
    if math.prod(sizes) <= 1 << WORD:
        return [Slot(0, math.prod(sizes[:o]), n) for o, n in enumerate(sizes)]
    room: list[int] = []  # first fit, the largest first
    slots: dict[int, Slot] = {}
    for o in sorted(range(len(sizes)), key=lambda o: -bits[o]):
        word = next((w for w, used in enumerate(room) if used + bits[o] <= WORD), len(room))
        if word == len(room):
            room.append(0)
        slots[o] = Slot(word, 1 << room[word], 1 << bits[o])
        room[word] += bits[o]
    return [slots[o] for o in range(len(sizes))]


class Clusters:
    """The codes of every object, and the actions that the fixpoint found possible."""

    def __init__(self, ground: Grounder, actions: Iterable[Action]) -> None:
        self.ground, self.algebra = ground, ground.algebra
        self.objects = ground.objects
        self.place = {c: cells.index(c) for cells in self.objects for c in cells}
        self._functions: dict[tuple[Node, int, tuple[Node, ...]], Callable[..., int]] = {}
        self._allowed: dict[tuple[int, Local], tuple[int, bool]] = {}
        self.codes: list[dict[Values, int]] = [{} for _ in self.objects]
        self.initial = [self._raised(s) for s in ground.layout.initial()]
        for s in self.initial:
            for o, cells in enumerate(self.objects):
                self._code(o, tuple(s[c] for c in cells))
        self.actions = self._fixpoint([(a, *self.by_object(a.guard)) for a in actions])
        self.slots = pack([len(c) for c in self.codes])
        self.words = 1 + max((s.word for s in self.slots), default=0)
        self.values = [list(c) for c in self.codes]

    def _raised(self, s: State) -> list[int]:
        """A state with its numbers as terms count them."""
        return [x + b for x, b in zip(s, self.ground.base, strict=True)]

    def _code(self, o: int, values: Values) -> bool:
        """Give these values a code; was it a new one?"""
        codes = self.codes[o]
        if values in codes:
            return False
        codes[values] = len(codes)
        if len(codes) > MOST_CODES:
            raise TooLarge(f"an object has more than {MOST_CODES} codes")
        return True

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
        done: dict[tuple[Update, Local], int] = {}
        changed = True
        while changed:
            self.ground.check()
            waiting: list[Possible] = []
            for item in todo:
                (possible if all(self.allows(o, xs) for o, xs in item[1].items()) else waiting).append(item)
            changed, todo = False, waiting
            for action, local, _ in possible:
                for u in action.updates:
                    guard = local.get(u.object, ())
                    first = done.get((u, guard), 0)
                    values = list(self.codes[u.object])
                    done[u, guard] = len(values)
                    for v in values[first:]:
                        if self.satisfies(u.object, v, guard):
                            for after in self.results(u, v):
                                changed |= after is not None and self._code(u.object, after)
        return possible

    def allows(self, o: int, guard: Local) -> bool:
        """Is there a code of the object, so far, that satisfies this part of a guard?"""
        first, found = self._allowed.get((o, guard), (0, False))
        values = list(self.codes[o])
        found = found or any(self.satisfies(o, v, guard) for v in values[first:])
        self._allowed[o, guard] = len(values), found
        return found

    def satisfies(self, o: int, values: Values, guard: Local) -> bool:
        """Do these values of the object's cells satisfy this part of a guard?"""
        return all(self.function(x, o)(values, ()) for x in guard)

    def results(self, u: Update, values: Values) -> list[Values | None]:
        """The object's values after an update, for each valuation of its atoms; None: a number leaves its range."""
        out: list[Values | None] = []
        for atoms in itertools.product((0, 1), repeat=len(u.atoms)):
            after = list(values)
            for cell, x in u.values:
                after[self.place[cell]] = self.function(x, u.object, u.atoms)(values, atoms)
            inside = all(after[self.place[c]] in self.algebra.domains[c] for c, _ in u.values)
            out.append(tuple(after) if inside else None)
        return out

    # ------------------------------------------------------------------ nodes as functions

    def function(self, x: Node, o: int, atoms: tuple[Node, ...] = ()) -> Callable[..., int]:
        """A node as a function of the values of the object's cells, and of the atoms."""
        known = self._functions.get((x, o, atoms))
        if known is None:
            known = self._functions[x, o, atoms] = eval(f"lambda r, a: int({self._source(x, o, atoms)})")
        return known

    def _source(self, x: Node, o: int, atoms: tuple[Node, ...]) -> str:
        if x in atoms:
            return f"a[{atoms.index(x)}]"
        if x.op == "and" and atoms:
            far = [y for y in x.args if all(self.ground.object_of[c] != o for c in y.cells)]
            if len(far) > 1:
                near = [self._source(y, o, atoms) for y in x.args if y not in far]
                return f"({' and '.join([*near, self._source(self.algebra.all_of(far), o, atoms)])})"
        args = [self._source(y, o, atoms) for y in x.args]
        match x.op:
            case "const":
                return str(x.value)
            case "cell":
                return f"r[{self.place[x.value]}]"
            case "and":
                return f"({' and '.join(args)})"
            case "not":
                return f"(not {args[0]})"
            case "ite":
                return f"({args[1]} if {args[0]} else {args[2]})"
            case "pick":
                return f"({', '.join(args[1:])},)[{args[0]}]"
        return f"({args[0]} {dict(eq='==', le='<=', add='+')[x.op]} {args[1]})"

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
