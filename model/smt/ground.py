# SPDX-License-Identifier: Apache-2.0
"""Terms for z3 in a finite scope: every cell of a state is one scalar, every quantifier is written out.

Reading a field of a known object costs nothing; reading one of an unknown object is a choice among its cells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import z3

from accelspec.spec.language.specification import Case, Param, Role, Specification
from accelspec.spec.language.terms import (
    App,
    Assign,
    Field,
    Kind,
    Lit,
    Quant,
    Read,
    Term,
    Type,
    Var,
    blank,
)

from ..expressions import free_variables
from ..layout import Layout
from .obligations import checks
from .scalars import Scalars, Value, substitution

Cells = Sequence[Value]  # a state: one value per cell of the layout


@dataclass(frozen=True)
class Step:
    """One case from the state `now`: when it is taken, what it checks in order, and the cells that it writes."""

    case: Case
    taken: Value
    checks: tuple[tuple[str, Value], ...]
    writes: Mapping[int, Value]


class Ground:
    """One specification in one scope, with unknowns for a state, the state before it, and the arguments of a case."""

    def __init__(self, spec: Specification, scope: Mapping[str, int] | None = None) -> None:
        self.spec = spec
        self.layout = Layout(spec, scope)
        self.scalars = Scalars(self.layout)
        self.now = tuple(self.scalars.constant(f"now {i}", f.type) for i, (f, _) in enumerate(self.layout.cells))
        self.old = tuple(self.scalars.constant(f"old {i}", f.type) for i, (f, _) in enumerate(self.layout.cells))
        self._known: dict[tuple[Any, ...], Value] = {}
        self._arguments: dict[tuple[Type, int], Value] = {}

    # ------------------------------------------------------------------ terms

    def value(self, t: Term, env: Mapping[Var, Value], now: Cells, old: Cells) -> Value:
        """A term in the state `now` (and the one before it), with values for its free variables."""
        key = (t, tuple(_id(env[v]) for v in free_variables(t)), id(now), id(old))
        if key not in self._known:
            self._known[key] = self._value(t, env, now, old)
        return self._known[key]

    def _value(self, t: Term, env: Mapping[Var, Value], now: Cells, old: Cells) -> Value:
        match t:
            case Lit():
                return bool(t.value) if t.type is bool else self.layout.code(t)
            case Var():
                return env[t]
            case Read(field, args):
                return self._read(field, [self.value(x, env, now, old) for x in args], old if t.old else now)
            case Quant(op, var, body):
                parts = (self.value(body, {**env, var: i}, now, old) for i in range(self.layout.size(var.type)))
                return self.scalars.conj(parts) if op == "all" else self.scalars.disj(parts)
        assert isinstance(t, App)
        if t.op == "and":
            return self.scalars.conj(self.value(x, env, now, old) for x in t.args)
        a = [self.value(x, env, now, old) for x in t.args]
        match t.op:
            case "not":
                return self.scalars.negation(a[0])
            case "eq":
                return self.scalars.equal(*a)
            case "ite":
                return self.scalars.choice(a[0], a[1], a[2], t.type)
            case "add":
                return a[0] + a[1]
            case "le":
                return a[0] <= a[1] if not isinstance(a[0], int) or isinstance(a[1], int) else a[1] >= a[0]
        raise ValueError(f"no meaning for {t.op!r}")

    def _read(self, f: Field, args: list[Value], cells: Cells) -> Value:
        """The cell that the arguments name; blank where one of them is `none`."""
        nothing = self.blank(f)

        def at(offset: int, rest: list[Value], steps: tuple[int, ...], sizes: list[int]) -> Value:
            if not rest:
                return cells[offset]
            x, n = rest[0], sizes[0]
            if isinstance(x, int):
                return at(offset + x * steps[0], rest[1:], steps[1:], sizes[1:]) if x < n else nothing
            out = nothing
            for i in range(n):
                out = self.scalars.choice(
                    x == i, at(offset + i * steps[0], rest[1:], steps[1:], sizes[1:]), out, f.type
                )
            return out

        return at(self.layout.offset[f.name], args, self.layout.strides(f), [self.layout.size(d) for d in f.domain])

    def blank(self, f: Field) -> Value:
        """What a cell of the field holds in an object that does not exist."""
        b = blank(f)
        return bool(b.value) if f.type is bool else self.layout.code(b)

    # ------------------------------------------------------------------ states

    def states(self, cells: Cells) -> list[Value]:
        """What holds in every state, reachable or not: every cell has a value of its type."""
        return [
            x
            for x in (self.scalars.inside(c, f.type) for c, (f, _) in zip(cells, self.layout.cells, strict=True))
            if x is not True
        ]

    def initial(self) -> list[Value]:
        """What holds of `now` in the initial states."""
        out = []
        for c, (f, _) in zip(self.now, self.layout.cells, strict=True):
            if not (f.open_initially and f.kind.permanent):
                out.append(self.scalars.equal(c, self.blank(f)))
            elif isinstance(f.type, Kind):
                out.append(self.scalars.an_object(c, f.type))
            else:
                out.append(self.scalars.inside(c, f.type))
        return [self.scalars.expression(x) for x in out if x is not True]

    # ------------------------------------------------------------------ cases

    def arguments(self, case: Case) -> dict[Var, Value]:
        """The constants for a case's parameters; cases share them, so a step has as many as its longest case needs."""
        count: dict[Type, int] = {}
        out: dict[Var, Value] = {}
        for p in case.params:
            t = p.var.type
            n = count[t] = count.get(t, 0) + 1
            if (t, n) not in self._arguments:
                name = getattr(t, "name", getattr(t, "__name__", str(t)))
                self._arguments[t, n] = self.scalars.constant(f"argument {name} {n}", t)
            out[p.var] = self._arguments[t, n]
        return out

    def all_arguments(self) -> list[Value]:
        """The constants for the parameters of all cases seen so far."""
        return list(self._arguments.values())

    def step(self, case: Case) -> Step:
        """The case, from the state `now`."""
        env = self.arguments(case)
        taken = self.scalars.conj([*(self._parameter(p, env) for p in case.params), self.at_now(case.guard, env)])
        done = tuple((o.id, self.at_now(o.goal, env)) for o in checks(case))
        writes: dict[int, Value] = {}
        for a in () if case.crashes else case.effects:
            self._write(a, list(a.binders), env, writes)
        return Step(case, taken, done, writes)

    def move(self, step: Step, both: bool = False) -> Callable[[Value], Value]:
        """A formula over `now` as one over the state before the step; with `both`, one over `old` and `now`."""
        pairs = [
            (self.now[i], self.scalars.expression(x, self.layout.cells[i][0].type)) for i, x in step.writes.items()
        ]
        if both:
            pairs += zip(self.old, self.now, strict=True)
        return substitution(pairs)

    def at_now(self, t: Term, env: Mapping[Var, Value]) -> Value:
        """A term in the state `now`."""
        return self.value(t, env, self.now, self.old)

    def _parameter(self, p: Param, env: dict[Var, Value]) -> Value:
        """Which values the interpreter gives to a parameter."""
        x, t, k = env[p.var], p.var.type, self.scalars
        parts = [k.inside(x, t), self.at_now(p.where, env)]
        others = range(self.layout.count(t) - isinstance(t, Kind)) if p.role in (Role.NEW, Role.CHOSEN) else ()
        fits = [self.at_now(p.where, {**env, p.var: i}) for i in others]
        if p.role is Role.NEW:  # the lowest that fits
            parts += [k.disj([z3.ULE(x, i), k.negation(fit)]) for i, fit in enumerate(fits)]
        elif isinstance(t, Kind):
            chosen = p.role is Role.CHOSEN  # none only where nothing else fits
            parts.append(k.disj([k.an_object(x, t), chosen and k.negation(k.disj(fits))]))
        return k.conj(parts)

    def _write(self, a: Assign, binders: list[Var], env: Mapping[Var, Value], writes: dict[int, Value]) -> None:
        if binders:
            for i in range(self.layout.size(binders[0].type)):
                self._write(a, binders[1:], {**env, binders[0]: i}, writes)
            return
        when = self.at_now(a.when, env)
        if when is False:
            return
        args = [self.at_now(x, env) for x in a.args]
        value = self.at_now(a.value, env)
        for key in self.layout.keys(a.field):
            hit = self.scalars.conj([when, *(self.scalars.equal(x, i) for x, i in zip(args, key, strict=True))])
            if hit is not False:
                cell = self.layout.at(a.field, key)
                writes[cell] = self.scalars.choice(hit, value, writes.get(cell, self.now[cell]), a.field.type)


def _id(x: Value) -> Any:
    return x if isinstance(x, int) else x.get_id()
