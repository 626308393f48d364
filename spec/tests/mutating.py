# SPDX-License-Identifier: Apache-2.0
"""Machine files changed at random: statements dropped, doubled, moved and wrapped, expressions exchanged."""

from __future__ import annotations

import ast
import copy
import random
from collections.abc import Iterator
from typing import Any

Place = tuple[Any, Any]  # a list and an index, or a node and a field


def mutated(text: str, seed: int, after: str) -> str:
    """The text with one change, somewhere behind the line that begins with `after`; the same seed makes the same one.

    Raises IndexError or ValueError where the change cannot be written as Python.
    """
    tree = ast.parse(text)
    first = next(i for i, line in enumerate(text.splitlines(), 1) if line.startswith(after))
    _Mutator(tree, first, random.Random(seed)).change()
    return ast.unparse(ast.fix_missing_locations(tree))


class _Mutator:
    def __init__(self, tree: ast.Module, first: int, dice: random.Random) -> None:
        self.dice = dice
        self.statements: list[tuple[list[ast.stmt], int]] = []
        self.expressions: list[tuple[Place, ast.expr]] = []
        self.nodes = [n for n in ast.walk(tree) if getattr(n, "lineno", 0) >= first]
        for place, node in _places(self.nodes):
            if isinstance(node, ast.expr):
                self.expressions.append((place, node))
            elif isinstance(node, ast.stmt) and not isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                self.statements.append(place)
        tests = (ast.Compare, ast.BoolOp)
        self.conditions = [x for _, x in self.expressions if isinstance(x, tests)]

    def change(self) -> None:
        self.dice.choice(
            [self.drop, self.double, self.exchange, self.move, self.wrap, self.operator, *[self.replace] * 4]
        )()

    def drop(self) -> None:
        block, i = self.dice.choice(self.statements)
        block[i] = ast.Pass()

    def double(self) -> None:
        block, i = self.dice.choice(self.statements)
        block.insert(i, copy.deepcopy(block[i]))

    def exchange(self) -> None:
        block, i = self.dice.choice([s for s in self.statements if s[1] + 1 < len(s[0])])
        block[i], block[i + 1] = block[i + 1], block[i]

    def move(self) -> None:
        (block, i), (to, j) = self.dice.choice(self.statements), self.dice.choice(self.statements)
        to.insert(j, copy.deepcopy(block[i]))

    def wrap(self) -> None:
        block, i = self.dice.choice(self.statements)
        c, s = copy.deepcopy(self.dice.choice(self.conditions)), block[i]
        name = ast.Name(self.dice.choice([n.id for n in self.nodes if isinstance(n, ast.Name)]), ast.Load())
        block[i] = self.dice.choice(
            [
                ast.If(c, [s], []),
                ast.If(ast.Call(ast.Name("when", ast.Load()), [c], []), [s], []),
                ast.While(c, [s], []),
                ast.For(ast.Name("each", ast.Store()), name, [s], []),
                ast.With([ast.withitem(ast.Attribute(name, "mutex", ast.Load()))], [s]),
            ]
        )

    def replace(self) -> None:
        ((at, key), old), (_, found) = self.dice.choice(self.expressions), self.dice.choice(self.expressions)
        new: Any = copy.deepcopy(found)
        if hasattr(new, "ctx"):
            new.ctx = getattr(old, "ctx", ast.Load())
        if isinstance(at, list):
            at[key] = new
        else:
            setattr(at, key, new)

    def operator(self) -> None:
        n = self.dice.choice([n for n in self.nodes if isinstance(n, (ast.Compare, ast.BoolOp, ast.Constant))])
        match n:
            case ast.Compare():
                n.ops = [self.dice.choice([ast.Is(), ast.IsNot(), ast.LtE(), ast.Lt(), ast.In()])]
                n.comparators = n.comparators[:1]
            case ast.BoolOp():
                n.op = self.dice.choice([ast.And(), ast.Or()])
            case ast.Constant():
                n.value = self.dice.choice([None, True, False, 0, 1, 3, "x", ""])


def _places(nodes: list[ast.AST]) -> Iterator[tuple[Any, ast.AST]]:
    """Where every node hangs, if it can be exchanged there."""
    for node in nodes:
        for name, value in ast.iter_fields(node):
            if isinstance(value, list):
                yield from (((value, i), x) for i, x in enumerate(value) if isinstance(x, ast.AST))
            elif isinstance(value, ast.AST):
                yield (node, name), value
