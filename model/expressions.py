# SPDX-License-Identifier: Apache-2.0
"""Terms as Python source: what the interpreter runs.

`s` is the state, `o` the state before the step, and every value is an integer as in `Layout`; a constant stays an `int`
here, so that `q.state is INIT` of a known object becomes `s[7] == 0`.  Quantifiers over few objects are written out.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping
from functools import cache

from accelspec.spec.language.terms import App, Field, Kind, Lit, Quant, Read, Term, Type, Var, blank, children, walk

from .layout import Layout

Code = int | str  # a constant, or Python source
UNROLLED = 400  # terms: a quantifier that would become longer stays a loop


@cache
def free_variables(t: Term) -> frozenset[Var]:
    """The parameters that a term speaks about."""
    if isinstance(t, Var):
        return frozenset((t,))
    inside: frozenset[Var] = frozenset().union(*(free_variables(u) for u in children(t)))
    return inside - {t.var} if isinstance(t, Quant) else inside


@cache
def variables(t: Term) -> tuple[Var, ...]:
    """The free variables of a term, in a fixed order."""
    return tuple(sorted(free_variables(t), key=lambda v: v.name))


@cache
def follows_references(t: Term) -> bool:
    """Does it, outside quantifiers, find a cell by the value of another one?"""
    if isinstance(t, Quant):
        return False
    if isinstance(t, Read) and not all(isinstance(x, (Var, Lit)) for x in t.args):
        return True
    return any(map(follows_references, children(t)))


@cache
def read_now(t: Term) -> frozenset[Field]:
    """The fields that a term reads in the state after the step."""
    return frozenset(u.field for u in walk(t) if isinstance(u, Read) and not u.old)


def worth_a_name(terms: Iterable[Term]) -> set[Term]:
    """The reads and quantifiers that occur more than once: computed once, in a local name."""
    seen: set[Term] = set()
    twice: set[Term] = set()
    for t in terms:
        for u in walk(t):
            if isinstance(u, (Read, Quant)):
                (twice if u in seen else seen).add(u)
    return twice


class Scope:
    """What is known at one place of the program being written: variables, and local names of shared terms."""

    def __init__(self, variables: Mapping[Var, Code], maybe_none: Collection[str], names: Mapping[Term, str]) -> None:
        self.variables = dict(variables)
        self.maybe_none = set(maybe_none)
        self.names = dict(names)

    def inner(self) -> Scope:
        """The scope of an indented block: it adds to what is known, and what it adds is forgotten at its end."""
        return Scope(self.variables, self.maybe_none, self.names)

    def with_value(self, v: Var, value: Code) -> Scope:
        """The same block with one more variable known; what gets a local name has it here, too."""
        out = self.inner()
        out.variables[v], out.names = value, self.names
        return out


class Writer:
    """Writes Python source, line by line."""

    def __init__(self, layout: Layout, shared: Collection[Term] = ()) -> None:
        self.layout, self.shared = layout, shared
        self.lines: list[str] = []
        self._serial = itertools.count()
        self._sizes: dict[Term, int] = {}

    def name(self, hint: str) -> str:
        """A local name that is not in use."""
        return f"{hint}{next(self._serial)}"

    def line(self, pad: int, text: str) -> None:
        """Write one line."""
        self.lines.append(" " * pad + text)

    def bind(self, v: Var, scope: Scope, maybe_none: bool) -> str:
        """A new local name for a parameter; its value is as in a cell, not as terms count."""
        name = self.name("p")
        base = self.layout.base(v.type)
        scope.variables[v] = f"({name} + {base})" if base else name
        if maybe_none:
            scope.maybe_none.add(name)
        return name

    # ------------------------------------------------------------------ terms

    def value(self, t: Term, scope: Scope, pad: int | None = None) -> Code:
        """A term as Python source; where `pad` is given, shared parts get local names in the lines before."""
        if isinstance(t, Lit):
            return self.layout.code(t)
        if isinstance(t, Var):
            return scope.variables[t]
        if (
            t in self.shared
            and pad is not None
            and not any(isinstance(scope.variables[v], int) for v in free_variables(t))
        ):
            if t not in scope.names:
                source = self._composed(t, scope, pad)
                if isinstance(source, int):
                    return source
                scope.names[t] = self.name("x")
                self.line(pad, f"{scope.names[t]} = {source}")
            return scope.names[t]
        return self._composed(t, scope, pad)

    def _composed(self, t: Term, scope: Scope, pad: int | None) -> Code:
        if isinstance(t, Read):
            return self._read(t, scope, pad)
        if isinstance(t, Quant):
            return self._quantified(t, scope, pad)
        assert isinstance(t, App)
        if t.op == "and":
            return self._join("and", t.args, scope, pad)
        if t.op == "not":
            return self._negated(t.args[0], scope, pad)
        a = [self.value(x, scope, pad) for x in t.args]
        match t.op:
            case "eq":
                return 0 if self._never_none(t.args, scope) else _equal(a[0], a[1])
            case "ite":
                return (a[1] if a[0] else a[2]) if isinstance(a[0], int) else f"({a[1]} if {a[0]} else {a[2]})"
            case "add":
                return a[0] + a[1] if isinstance(a[0], int) and isinstance(a[1], int) else f"({a[0]} + {a[1]})"
            case "le":
                return int(a[0] <= a[1]) if isinstance(a[0], int) and isinstance(a[1], int) else f"({a[0]} <= {a[1]})"
        raise ValueError(f"no such operation on terms: {t.op}")

    @staticmethod
    def _never_none(sides: tuple[Term, ...], scope: Scope) -> bool:
        """Is this a comparison of `none` with a variable that stands for an object?"""
        for x, y in (sides, sides[::-1]):
            if isinstance(x, Var) and isinstance(y, Lit) and isinstance(x.type, Kind) and y.value is None:
                value = scope.variables[x]
                return isinstance(value, str) and value not in scope.maybe_none
        return False

    def _negated(self, t: Term, scope: Scope, pad: int | None) -> Code:
        if isinstance(t, App) and t.op == "and":
            parts = [self._negated(x, scope, pad) for x in t.args]
            return _joined("or", parts)
        if isinstance(t, App) and t.op == "not":
            return self.value(t.args[0], scope, pad)
        if isinstance(t, App) and t.op == "eq" and not self._never_none(t.args, scope):
            return _equal(self.value(t.args[0], scope, pad), self.value(t.args[1], scope, pad), "!=")
        x = self.value(t, scope, pad)
        return int(not x) if isinstance(x, int) else f"(not {x})"

    def _join(self, op: str, ts: Iterable[Term], scope: Scope, pad: int | None) -> Code:
        return _joined(op, [self.value(t, scope, pad) for t in ts])

    def _read(self, t: Read, scope: Scope, pad: int | None) -> Code:
        f, layout = t.field, self.layout
        args, guards = [], []
        for x, d in zip(t.args, f.domain, strict=True):
            a = self.value(x, scope, pad)
            if isinstance(a, int):
                if a >= layout.size(d):
                    return layout.code(blank(f))
            elif not (isinstance(x, Var) and a not in scope.maybe_none):
                if not a.isidentifier():
                    local = self.name("w")
                    a, test = local, f"({local} := {a})"
                else:
                    test = a
                guards.append(f"{test} < {layout.size(d)}")
            args.append(a)
        base = layout.base(f.type)
        cell = f"{'o' if t.old else 's'}[{self.index(f, args)}]" + (f" + {base}" if base else "")
        if guards:
            return f"({cell} if {' and '.join(guards)} else {layout.code(blank(f))})"
        return f"({cell})" if base else cell

    def index(self, f: Field, args: Iterable[Code]) -> str:
        """The cell of a field; every argument is an object."""
        at, parts = self.layout.offset[f.name], []
        for a, stride in zip(args, self.layout.strides(f), strict=True):
            if isinstance(a, int):
                at += a * stride
            else:
                parts.append(a if stride == 1 else f"{a} * {stride}")
        return " + ".join([*parts, str(at)] if at or not parts else parts)

    def _quantified(self, t: Quant, scope: Scope, pad: int | None) -> Code:
        n = self.layout.size(t.var.type)
        if self._length(t) <= UNROLLED:
            op = "and" if t.op == "all" else "or"
            return _joined(op, [self.value(t.body, scope.with_value(t.var, i), pad) for i in range(n)])
        x = self.name("v")
        return f"{t.op}({self.value(t.body, scope.with_value(t.var, x))} for {x} in range({n}))"

    def _length(self, t: Term) -> int:
        known = self._sizes.get(t)
        if known is None:
            inside = sum(self._length(u) for u in children(t))
            known = self._sizes[t] = self.layout.size(t.var.type) * inside if isinstance(t, Quant) else 1 + inside
        return known

    def stored(self, t: Term, into: Type, scope: Scope, pad: int | None) -> Code:
        """A term's value as it lies in a cell of type `into`."""
        x, base = self.value(t, scope, pad), self.layout.base(into)
        if isinstance(x, int):
            return x - base
        if t.type is bool and not isinstance(t, (Read, Var)):
            return f"(1 if {x} else 0)"
        return f"{x} - {base}" if base else x

    def not_none(self, t: Term, kind: Kind, scope: Scope, pad: int | None) -> Code:
        """Is the reference an object?"""
        x, n = self.value(t, scope, pad), self.layout.size(kind)
        if isinstance(x, int):
            return int(x < n)
        return 1 if isinstance(t, Var) and x not in scope.maybe_none else f"{x} < {n}"


def _equal(a: Code, b: Code, sign: str = "==") -> Code:
    if isinstance(a, int) and isinstance(b, int):
        return int((a == b) == (sign == "=="))
    return f"({a} {sign} {b})"


def _joined(op: str, parts: Iterable[Code]) -> Code:
    """`and` / `or` of conditions, constants left out."""
    ends = 0 if op == "and" else 1
    out: dict[str, None] = {}
    for x in parts:
        if isinstance(x, int):
            if bool(x) == bool(ends):
                return ends
        else:
            out[x] = None
    return 1 - ends if not out else next(iter(out)) if len(out) == 1 else "(" + f" {op} ".join(out) + ")"
