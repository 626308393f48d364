# SPDX-License-Identifier: Apache-2.0
"""Ground terms: terms over single cells, after every parameter and every reference has got a value.

Nodes are made by an `Algebra` only, which simplifies them and makes equal ones identical.  A comparison never spans
two objects: it is written out over the values of one of them, so that every condition is `and` and `not` of
conditions on the cells of one object.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence


class Node:
    """`const` `cell` `and` `not` `eq` `le` `add` `ite`, or `pick`: what stands in the place of a cell's value."""

    __slots__ = ("args", "cells", "is_bool", "op", "serial", "value")

    def __init__(self, op: str, args: tuple[Node, ...], value: int, is_bool: bool, serial: int) -> None:
        self.op, self.args, self.value, self.is_bool, self.serial = op, args, value, is_bool, serial
        own = frozenset((value,)) if op == "cell" else frozenset()
        self.cells: frozenset[int] = own.union(*(a.cells for a in args))

    def __repr__(self) -> str:
        match self.op:
            case "const":
                return str(self.value)
            case "cell":
                return f"c{self.value}"
        return f"{self.op}({', '.join(map(repr, self.args))})"

    def conjuncts(self) -> tuple[Node, ...]:
        """What it is the conjunction of."""
        if self.op == "const":
            return () if self.value else (self,)
        return self.args if self.op == "and" else (self,)


class Algebra:
    """The nodes over a list of cells: for each its object, its values in order, and whether it is a bool."""

    def __init__(self, objects: Sequence[int], domains: Sequence[Sequence[int]], bools: Sequence[bool]) -> None:
        self.objects, self.domains, self.bools = objects, domains, bools
        self._known: dict[tuple[str, tuple[Node, ...], int, bool], Node] = {}
        self._assumed: dict[tuple[Node, int, int], Node] = {}
        self.false, self.true = self._node("const", (), 0, True), self._node("const", (), 1, True)

    def _node(self, op: str, args: tuple[Node, ...] = (), value: int = 0, is_bool: bool = False) -> Node:
        key = (op, args, value, is_bool)
        node = self._known.get(key)
        if node is None:
            node = self._known[key] = Node(op, args, value, is_bool, len(self._known))
        return node

    def const(self, value: int) -> Node:
        """A number, or the index of an enum member or an object; `true` and `false` are constants of their own."""
        return self._node("const", (), value)

    def constant(self, cell: int, value: int) -> Node:
        """A value of a cell."""
        return (self.true if value else self.false) if self.bools[cell] else self.const(value)

    def cell(self, i: int) -> Node:
        """The value of a cell."""
        return self._node("cell", (), i, self.bools[i])

    def objects_of(self, x: Node) -> set[int]:
        """The objects whose cells it reads."""
        return {self.objects[c] for c in x.cells}

    # ------------------------------------------------------------------ conditions

    def negate(self, x: Node) -> Node:
        """Not x."""
        if x.op == "const":
            return self.false if x.value else self.true
        return x.args[0] if x.op == "not" else self._node("not", (x,), 0, True)

    def all_of(self, xs: Iterable[Node]) -> Node:
        """The conjunction; false where two conjuncts contradict each other on their face."""
        out: dict[Node, None] = {}
        fixed: dict[int, int] = {}
        for x in xs:
            for y in x.conjuncts():
                if y is self.false or self.negate(y) in out:
                    return self.false
                if y.op == "eq" and y.args[0].op == "cell" and y.args[1].op == "const":
                    cell, value = (z.value for z in y.args)
                    if fixed.setdefault(cell, value) != value:
                        return self.false
                out[y] = None
        if len(out) <= 1:
            return next(iter(out), self.true)
        return self._node("and", tuple(sorted(out, key=lambda n: n.serial)), 0, True)

    def any_of(self, xs: Iterable[Node]) -> Node:
        """The disjunction."""
        return self.negate(self.all_of(map(self.negate, xs)))

    def compare(self, op: str, a: Node, b: Node) -> Node:
        """`eq` or `le`, split up until it speaks about one object."""
        if op == "eq" and a.is_bool:
            return self._iff(a, b)
        for x, y, swapped in ((a, b, False), (b, a, True)):
            if x.op == "ite":
                yes, no = (self.compare(op, *((y, z) if swapped else (z, y))) for z in x.args[1:])
                return self.ite(x.args[0], yes, no)
            if x.op == "pick":
                return self.any_of(
                    self.all_of((self.equals(x.args[0], v), self.compare(op, *((y, z) if swapped else (z, y)))))
                    for v, z in zip(self.domains[x.args[0].value], x.args[1:], strict=True)
                )
        (low, high), (lowest, highest) = self._bounds(a), self._bounds(b)
        if a is b or (op == "le" and high <= lowest) or low == high == lowest == highest:
            return self.true
        if low > highest or (op == "eq" and high < lowest):
            return self.false
        if op == "eq" and (a.op == "const" or (b.op != "const" and a.serial > b.serial)):
            a, b = b, a
        together = self._node(op, (a, b), 0, True)
        if len(self.objects_of(together)) > 1:
            first = min(together.cells)
            values = self.domains[first]
            return self.any_of(
                self.all_of((self.equals(self.cell(first), v), self.assume(together, first, v))) for v in values
            )
        return together

    def _bounds(self, x: Node) -> tuple[int, int]:
        """The least and the greatest value of a constant, a cell or a sum."""
        if x.op == "const":
            return x.value, x.value
        if x.op == "cell":
            return min(self.domains[x.value]), max(self.domains[x.value])
        (a, b), (c, d) = map(self._bounds, x.args)
        return a + c, b + d

    def _iff(self, a: Node, b: Node) -> Node:
        for x, y in ((a, b), (b, a)):
            if y.op == "const":
                return x if y.value else self.negate(x)
        if a is b:
            return self.true
        return self.any_of((self.all_of((a, b)), self.all_of((self.negate(a), self.negate(b)))))

    def equals(self, x: Node, value: int) -> Node:
        """Has it this value?"""
        if x.is_bool:
            return x if value else self.negate(x)
        return self.compare("eq", x, self.const(value))

    # ------------------------------------------------------------------ values

    def ite(self, c: Node, a: Node, b: Node) -> Node:
        """a if c else b."""
        if c.op == "const":
            return a if c.value else b
        if a is b:
            return a
        if a.is_bool:
            return self.any_of((self.all_of((c, a)), self.all_of((self.negate(c), b))))
        return self._node("ite", (c, a, b))

    def add(self, a: Node, b: Node) -> Node:
        """The sum."""
        if a.op == "const" and b.op == "const":
            return self.const(a.value + b.value)
        for x, y in ((a, b), (b, a)):
            if x.op == "ite":
                return self.ite(x.args[0], self.add(x.args[1], y), self.add(x.args[2], y))
            if x.op == "pick":
                return self.pick(x.args[0], [self.add(z, y) for z in x.args[1:]])
        return self._node("add", (a, b))

    def pick(self, at: Node, values: Sequence[Node]) -> Node:
        """The value in the place that `at`, a reference, says: of each object in turn, then of `none`."""
        if at.op == "const":
            return values[at.value]
        if all(v is values[0] for v in values):
            return values[0]
        if at.op == "ite":
            return self.ite(at.args[0], self.pick(at.args[1], values), self.pick(at.args[2], values))
        if at.op == "pick":
            return self.pick(at.args[0], [self.pick(x, values) for x in at.args[1:]])
        if values[0].is_bool:
            return self.any_of(self.all_of((self.equals(at, i), v)) for i, v in enumerate(values))
        return self._node("pick", (at, *values))

    # ------------------------------------------------------------------ knowledge

    def assume(self, x: Node, cell: int, value: int) -> Node:
        """The node where the cell is known to have this value."""
        if cell not in x.cells:
            return x
        key = (x, cell, value)
        out = self._assumed.get(key)
        if out is None:
            out = self._assumed[key] = self._assume(x, cell, value)
        return out

    def _assume(self, x: Node, cell: int, value: int) -> Node:
        if x.op == "cell":
            return self.constant(cell, value)
        args = [self.assume(y, cell, value) for y in x.args]
        match x.op:
            case "and":
                return self.all_of(args)
            case "not":
                return self.negate(args[0])
            case "eq" | "le":
                return self.compare(x.op, args[0], args[1])
            case "ite":
                return self.ite(args[0], args[1], args[2])
            case "add":
                return self.add(args[0], args[1])
        return self.pick(args[0], args[1:])
