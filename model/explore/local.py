# SPDX-License-Identifier: Apache-2.0
"""Nodes that speak about one object: as Python functions of its values, and as arrays over all its codes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .ground import Grounder, Update
from .nodes import Node

Values = tuple[int, ...]  # of an object's cells, as terms count them
Local = tuple[Node, ...]  # the part of a guard that speaks about one object
Column = NDArray[np.int64]

NAMES = {"eq": "==", "le": "<=", "add": "+"}


class Functions:
    """Guards and updates as Python functions, made once each."""

    def __init__(self, ground: Grounder) -> None:
        self.ground = ground
        self.place = {c: i for cells in ground.objects for i, c in enumerate(cells)}
        self._guards: dict[Local, Callable[[Values], bool]] = {}
        self._steps: dict[tuple[Update, Local], Callable[[Values], Sequence[Values]]] = {}

    def guard(self, guard: Local) -> Callable[[Values], bool]:
        """Do the values of an object satisfy this part of a guard?"""
        known = self._guards.get(guard)
        if known is None:
            known = self._guards[guard] = eval(f"lambda r: {self._all(guard)}")
        return known

    def step(self, u: Update, guard: Local) -> Callable[[Values], Sequence[Values]]:
        """The values after an update, for each valuation of its atoms in turn; nothing if the guard is not met."""
        known = self._steps.get((u, guard))
        if known is None:
            after = [f"r[{i}]" for i in range(len(self.ground.objects[u.object]))]
            for cell, x in u.values:
                after[self.place[cell]] = self._source(x, u.object, u.atoms)
            atoms = tuple(itertools.product((0, 1), repeat=len(u.atoms)))
            text = f"lambda r: [({', '.join(after)},) for a in atoms] if {self._all(guard)} else ()"
            known = self._steps[u, guard] = eval(text, {"atoms": atoms})
        return known

    def _all(self, guard: Local) -> str:
        return " and ".join(self._source(x, -1, ()) for x in guard) or "True"

    def _source(self, x: Node, o: int, atoms: tuple[Node, ...]) -> str:
        if x in atoms:
            return f"a[{atoms.index(x)}]"
        if x.op == "and" and atoms:
            far = [y for y in x.args if all(self.ground.object_of[c] != o for c in y.cells)]
            if len(far) > 1:  # they are one atom together
                near = [self._source(y, o, atoms) for y in x.args if y not in far]
                return f"({' and '.join([*near, self._source(self.ground.algebra.all_of(far), o, atoms)])})"
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
        return f"({args[0]} {NAMES[x.op]} {args[1]})"


class Columns:
    """Nodes as arrays over the codes of an object."""

    def __init__(self, place: dict[int, int], values: Sequence[Values]) -> None:
        self._place, self._count = place, len(values)
        self._cells: Column = np.array(values, np.int64).reshape(len(values), -1).T
        self._known: dict[Node, Column] = {}

    def all_of(self, guard: Local) -> NDArray[np.bool_]:
        """The codes that satisfy a part of a guard."""
        out = np.ones(self._count, np.bool_)
        for x in guard:
            out &= self.column(x) != 0
        return out

    def column(self, x: Node) -> Column:
        """The value of a node for every code."""
        known = self._known.get(x)
        if known is None:
            known = self._known[x] = np.asarray(self._column(x), np.int64)
        return known

    def _column(self, x: Node) -> Any:
        args = [self.column(y) for y in x.args]
        match x.op:
            case "const":
                return np.full(self._count, x.value)
            case "cell":
                return self._cells[self._place[x.value]]
            case "and":
                return np.logical_and.reduce(args)
            case "not":
                return args[0] == 0
            case "eq":
                return args[0] == args[1]
            case "le":
                return args[0] <= args[1]
            case "add":
                return args[0] + args[1]
            case "ite":
                return np.where(args[0] != 0, args[1], args[2])
        return np.stack(args[1:])[args[0], np.arange(self._count)]
