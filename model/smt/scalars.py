# SPDX-License-Identifier: Apache-2.0
"""Values in a finite scope: what is known while a formula is built stays a Python number, all else is a z3 expression.

A reference, and a value of an Enum, is a bit-vector with the number that states hold (see layout); a number of a
Range is a signed bit-vector with its real value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import z3

from accelspec.spec.language.terms import Kind, Range, Type

from ..layout import Layout

Value = Any  # bool, int, or a z3 expression


class Scalars:
    """The values of one scope, in a z3 context of their own."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.context = z3.Context()
        numbers = [abs(n) for f, _ in layout.cells if isinstance(f.type, Range) for n in (f.type.lo, f.type.hi)]
        self.number_width = max(numbers, default=0).bit_length() + 3  # room for sums with small constants
        self.true, self.false = z3.BoolVal(True, self.context), z3.BoolVal(False, self.context)

    def width(self, t: Type) -> int:
        """The bits of a value."""
        return self.number_width if isinstance(t, Range) else max(1, (self.layout.count(t) - 1).bit_length())

    def constant(self, name: str, t: Type) -> Value:
        """A new unknown."""
        return z3.Bool(name, self.context) if t is bool else z3.BitVec(name, self.width(t), self.context)

    def expression(self, x: Value, t: Type = bool) -> Value:
        """The value as a z3 expression."""
        if isinstance(x, bool | int):
            return (self.true if x else self.false) if t is bool else z3.BitVecVal(x, self.width(t), self.context)
        return x

    def stored(self, model: Any, x: Value, t: Type) -> int:
        """The value of an unknown in a model, as states and moves hold it."""
        found = model.eval(x, model_completion=True)
        if t is bool:
            return int(z3.is_true(found))
        return int(found.as_signed_long() - t.lo if isinstance(t, Range) else found.as_long())

    def inside(self, x: Value, t: Type) -> Value:
        """The unknown stands for a value of the type (of a reference: `none` too)."""
        if t is bool or isinstance(x, int):
            return True
        if isinstance(t, Range):
            return z3.And(x >= t.lo, x <= t.hi)
        n = self.layout.count(t)
        return True if n == 1 << self.width(t) else z3.ULT(x, n)

    def an_object(self, x: Value, t: Kind) -> Value:
        """The reference is not `none`."""
        n = self.layout.size(t)
        return x < n if isinstance(x, int) else z3.ULT(x, n) if n else False

    # ------------------------------------------------------------------ connectives

    @staticmethod
    def conj(parts: Iterable[Value]) -> Value:
        """All of them."""
        out = []
        for x in parts:
            if x is False:
                return False
            if x is not True:
                out.append(x)
        return True if not out else out[0] if len(out) == 1 else z3.And(out)

    @staticmethod
    def disj(parts: Iterable[Value]) -> Value:
        """Any of them."""
        out = []
        for x in parts:
            if x is True:
                return True
            if x is not False:
                out.append(x)
        return False if not out else out[0] if len(out) == 1 else z3.Or(out)

    @staticmethod
    def negation(x: Value) -> Value:
        """Not."""
        return not x if isinstance(x, bool) else z3.Not(x)

    @staticmethod
    def equal(a: Value, b: Value) -> Value:
        """Both are the same value of one type."""
        if isinstance(a, int) and isinstance(b, int):
            return a == b
        if isinstance(a, bool) or isinstance(b, bool):
            known, other = (a, b) if isinstance(a, bool) else (b, a)
            return other if known else z3.Not(other)
        return b == a if isinstance(a, int) else a == b

    def choice(self, c: Value, a: Value, b: Value, t: Type) -> Value:
        """`a` if `c`, else `b`."""
        if isinstance(c, bool):
            return a if c else b
        if a is b or (isinstance(a, int) and isinstance(b, int) and a == b):
            return a
        if t is bool and isinstance(a, bool) and isinstance(b, bool):
            return c if a else z3.Not(c)
        return z3.If(c, self.expression(a, t), self.expression(b, t))


def substitution(pairs: Sequence[tuple[Value, Value]]) -> Callable[[Value], Value]:
    """What z3.substitute does, without looking at the pairs again each time."""
    if not pairs:
        return lambda t: t
    context, n, kept = pairs[0][0].ctx, len(pairs), list(pairs)  # kept: z3 counts references to what the arrays name
    source, target = (z3.Ast * n)(*(a.as_ast() for a, _ in kept)), (z3.Ast * n)(*(b.as_ast() for _, b in kept))

    def apply(t: Value) -> Value:
        return z3.BoolRef(z3.Z3_substitute(context.ref(), t.as_ast(), len(kept), source, target), context)

    return apply


def check_assuming(solver: Any, literals: Sequence[Value]) -> Any:
    """What solver.check(*literals) does, without looking at the sort of each literal again."""
    n = len(literals)
    found = z3.Z3_solver_check_assumptions(
        solver.ctx.ref(), solver.solver, n, (z3.Ast * n)(*(x.as_ast() for x in literals))
    )
    return z3.CheckSatResult(found)
