# SPDX-License-Identifier: Apache-2.0
"""Runs of a specification in a scope, as formulas: a chain of states, each step with a number that selects its case.

The next value of a cell is one chain of choices by that number; the arguments of a step are shared by all cases.  The
formulas are built once and copied for every step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import z3

from accelspec.spec.language.specification import Form, Property, Specification
from accelspec.spec.language.terms import substitute

from ..trace import State
from .ground import Ground
from .obligations import arguments
from .scalars import Value, substitution


@dataclass(frozen=True)
class Instant:
    """The unknowns of one point of a run: the state, and the step that is taken from it."""

    cells: tuple[Value, ...]
    selector: Value
    arguments: tuple[Value, ...]

    def copied(self, mark: str) -> Instant:
        """The same with other names."""
        cells, given = ([_copied(x, mark) for x in xs] for xs in (self.cells, self.arguments))
        return Instant(tuple(cells), _copied(self.selector, mark), tuple(given))


class Unrolling:
    """One specification in one scope."""

    def __init__(self, spec: Specification, scope: Mapping[str, int] | None = None) -> None:
        self.spec = spec
        self.ground = Ground(spec, scope)
        self.scalars = self.ground.scalars
        self.steps = [self.ground.step(c) for c in spec.cases]
        width = max(1, len(self.steps).bit_length())
        self.selector = z3.BitVec("step", width, self.scalars.context)
        self.here = Instant(self.ground.now, self.selector, tuple(self.ground.all_arguments()))
        self.before = replace(self.here.copied(" before"), cells=self.ground.old)
        self._instants: list[Instant] = []
        self._moves: dict[int, Callable[[Value], Value]] = {}

    def selects(self, n: int) -> Value:
        """Case number n is the one that is taken."""
        return self.selector == n

    # ------------------------------------------------------------------ formulas about one point, or one step

    @cached_property
    def a_step(self) -> list[Value]:
        """Some case is taken from this state; its checks are not asked."""
        k = self.scalars
        taken = [k.disj([k.negation(self.selects(n)), s.taken]) for n, s in enumerate(self.steps)]
        return [z3.ULT(self.selector, len(self.steps)), *(x for x in taken if x is not True)]

    @cached_property
    def goes_on(self) -> list[Value]:
        """The run does not end with the step: no check fails, and nothing crashes."""
        k, out = self.scalars, []
        for n, s in enumerate(self.steps):
            ok = False if s.case.crashes else k.conj(x for _, x in s.checks)
            if ok is not True:
                out.append(k.disj([k.negation(self.selects(n)), ok]))
        return out

    @cached_property
    def leads_on(self) -> list[Value]:
        """This state follows from the one before it by the step that was taken there."""
        back = self._backwards
        out = []
        for i, (cell, (f, _)) in enumerate(zip(self.ground.now, self.ground.layout.cells, strict=True)):
            value = cell
            for n, s in enumerate(self.steps):
                if i in s.writes and not s.case.crashes:
                    value = self.scalars.choice(self.selects(n), s.writes[i], value, f.type)
            out.append(cell == back(value))
        return out

    @cached_property
    def _backwards(self) -> Callable[[Value], Value]:
        """What is said of this point, said of the one before it."""
        return substitution(_pairs(self.here, self.before))

    def broken(self, p: Property) -> Value:
        """The property is false here: of this state, of the step that led to it, or of the call that step completed."""
        k, g = self.scalars, self.ground
        if p.form is not Form.AFTER:
            return k.negation(g.value(p.term, {}, g.now, g.old))
        parts = []
        for n, s in enumerate(self.steps):
            if s.case.operation == p.operation and s.case.outcome is not None and not s.case.crashes:
                env = {v: self._earlier(x) for v, x in g.arguments(s.case).items()}
                term = substitute(p.term, arguments(p, s.case, self.spec))
                holds = g.value(term, env, g.now, g.old)
                parts.append(k.conj([self.before.selector == n, k.negation(holds)]))
        return k.disj(parts)

    def _earlier(self, argument: Value) -> Value:
        return self.before.arguments[next(i for i, a in enumerate(self.here.arguments) if a.eq(argument))]

    def fails(self, check: str) -> Value:
        """The step that is taken here meets an assert of this property, passes those before it, and fails it."""
        k, parts = self.scalars, []
        for n, s in enumerate(self.steps):
            passed: list[Value] = []
            for id, ok in s.checks:
                if id == check:
                    parts.append(k.conj([self.selects(n), *passed, k.negation(ok)]))
                passed.append(ok)
        return k.disj(parts)

    # ------------------------------------------------------------------ runs

    def instant(self, t: int) -> Instant:
        """The unknowns of point t of the run."""
        while len(self._instants) <= t:
            self._instants.append(self.here.copied(f"@{len(self._instants)}"))
        return self._instants[t]

    def at(self, t: int, formula: Value) -> Value:
        """A formula about this point and the one before it, said of points t and t - 1 of the run."""
        if isinstance(formula, bool):
            return self.scalars.expression(formula)
        if t not in self._moves:
            pairs = _pairs(self.here, self.instant(t))
            self._moves[t] = substitution(pairs + (_pairs(self.before, self.instant(t - 1)) if t else []))
        return self._moves[t](formula)

    def state(self, model: Value, t: int) -> State:
        """The state at point t in a model, as the interpreter holds it."""
        layout = self.ground.layout
        cells = zip(self.instant(t).cells, layout.cells, strict=True)
        return tuple(self.scalars.stored(model, c, f.type) for c, (f, _) in cells)

    def choice(self, model: Value, t: int) -> tuple[int, tuple[int, ...]]:
        """The number of the case that is taken at point t in a model, and its arguments."""
        now = self.instant(t)
        n = int(model.eval(now.selector, model_completion=True).as_long())
        given = {a.get_id(): b for a, b in zip(self.here.arguments, now.arguments, strict=True)}
        values = self.ground.arguments(self.spec.cases[n])
        return n, tuple(self.scalars.stored(model, given[x.get_id()], v.type) for v, x in values.items())


def _copied(x: Value, mark: str) -> Value:
    return z3.Const(f"{x}{mark}", x.sort())


def _pairs(a: Instant, b: Instant) -> list[tuple[Value, Value]]:
    return [*zip(a.cells, b.cells, strict=True), (a.selector, b.selector), *zip(a.arguments, b.arguments, strict=True)]
