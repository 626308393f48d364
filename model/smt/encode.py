# SPDX-License-Identifier: Apache-2.0
"""Terms for z3, with any number of objects: a kind is an uninterpreted sort, a field a function.

`none` is a constant of every sort and reads as blank (an axiom for every field); bound variables never take it.  An
Enum is a sort with that many values, a small number an integer within its range.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Any

import z3

from accelspec.spec.language.specification import Specification
from accelspec.spec.language.terms import App, Field, Kind, Lit, Quant, Range, Read, Term, Type, Var, blank, members

Z3 = Any  # z3 has no types of its own


class Encoding:
    """One specification in one z3 context of its own, so that its Enums are declared once."""

    def __init__(self, spec: Specification) -> None:
        self.spec = spec
        self.context = z3.Context()
        self.sorts = {k: z3.DeclareSort(k.name, self.context) for k in spec.kinds}
        self.nones = {k: z3.Const(f"none of {k.name}", s) for k, s in self.sorts.items()}
        self._enums: dict[type, tuple[Z3, list[Z3]]] = {}
        self.functions = {f: self._function(f, f.name) for f in spec.fields}
        self.before = {f: self._function(f, f"old {f.name}") for f in spec.fields}
        self._known: dict[Term, Z3] = {}

    def _function(self, f: Field, name: str) -> Z3:
        return z3.Function(name, *(self.sorts[d] for d in f.domain), self.sort(f.type))

    # ------------------------------------------------------------------ types and values

    def sort(self, t: Type) -> Z3:
        """The sort of a type."""
        if isinstance(t, Kind):
            return self.sorts[t]
        if isinstance(t, Range):
            return z3.IntSort(self.context)
        return z3.BoolSort(self.context) if t is bool else self._enum(t)[0]

    def _enum(self, t: type) -> tuple[Z3, list[Z3]]:
        if t not in self._enums:
            name = f"{t.__name__}{len(self._enums)}"
            self._enums[t] = z3.EnumSort(name, [f"{name}.{m.name}" for m in members(t)], self.context)
        return self._enums[t]

    def value(self, t: Lit) -> Z3:
        """A constant."""
        if isinstance(t.type, Kind):
            return self.nones[t.type]
        if isinstance(t.value, enum.Enum):
            return self._enum(type(t.value))[1][members(type(t.value)).index(t.value)]
        return z3.BoolVal(t.value, self.context) if t.type is bool else z3.IntVal(int(t.value), self.context)

    # ------------------------------------------------------------------ terms

    def term(self, t: Term) -> Z3:
        """A term about a state and the one before it."""
        found = self._known.get(t)
        if found is None:
            found = self._known[t] = self._term(t)
        return found

    def _term(self, t: Term) -> Z3:
        match t:
            case Lit():
                return self.value(t)
            case Var(name, type):
                return z3.Const(name, self.sort(type))
            case Read(field, args):
                return (self.before if t.old else self.functions)[field](*map(self.term, args))
            case Quant(op, var, body):
                x, inner = self.term(var), self.term(body)
                there = x != self.nones[var.type]  # type: ignore[index]
                return z3.ForAll([x], z3.Implies(there, inner)) if op == "all" else z3.Exists([x], z3.And(there, inner))
        assert isinstance(t, App)
        a = [self.term(x) for x in t.args]
        match t.op:
            case "and":
                return z3.And(a)
            case "not":
                return z3.Not(a[0])
            case "eq":
                return a[0] == a[1]
            case "ite":
                return z3.If(a[0], a[1], a[2])
            case "add":
                return a[0] + a[1]
            case "le":
                return a[0] <= a[1]
        raise ValueError(f"no meaning for {t.op!r}")

    # ------------------------------------------------------------------ states

    def _keys(self, f: Field) -> list[Z3]:
        return [z3.Const(f"key {i}", self.sorts[d]) for i, d in enumerate(f.domain)]

    def axioms(self) -> Iterable[Z3]:
        """What holds in every state by the meaning of terms: `none` reads as blank, small numbers are small."""
        for f, g in [*self.functions.items(), *self.before.items()]:
            xs = self._keys(f)
            nowhere = z3.Or([x == self.nones[d] for x, d in zip(xs, f.domain, strict=True)])
            yield z3.ForAll(xs, z3.Implies(nowhere, g(*xs) == self.value(blank(f))))
            if isinstance(f.type, Range):
                cell: Z3 = g(*xs)
                yield z3.ForAll(xs, z3.And(cell >= f.type.lo, cell <= f.type.hi))

    def initial(self) -> Iterable[Z3]:
        """All is blank, but a permanent object's open field has any value of its type (never none)."""
        for f, g in self.functions.items():
            xs = self._keys(f)
            if not (f.open_initially and f.kind.permanent):
                yield z3.ForAll(xs, g(*xs) == self.value(blank(f)))
            elif isinstance(f.type, Kind):
                somewhere = z3.And([x != self.nones[d] for x, d in zip(xs, f.domain, strict=True)])
                yield z3.ForAll(xs, z3.Implies(somewhere, g(*xs) != self.nones[f.type]))
