# SPDX-License-Identifier: Apache-2.0
"""Counterexamples to induction in a small scope: fast, small, and where there is none, a proof for that scope.

Without quantifiers the solver finds states quickly that it would look for in vain among any number of objects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import z3

from accelspec.spec.language.specification import Case, Form, Property, Specification
from accelspec.spec.language.terms import substitute

from ..verdict import Budget
from .ground import Ground, Step
from .obligations import Place, Reliance, arguments, fields_of, standing
from .resistance import Counterexample, Resistance
from .scalars import Value, check_assuming

EFFORT = 10_000_000  # z3's resource units for one question


@dataclass(frozen=True)
class Goal:
    """What must hold where a case is taken: `holds` over the state before it and its arguments."""

    id: str  # of the property
    holds: Value
    place: Place

    @property
    def is_check(self) -> bool:
        """Is it an assert, or a write that must stay in its range?"""
        return isinstance(self.place, int)


class Refuter:
    """One specification in one scope, asked for states that break properties.

    With `explain` it shows one, with `thorough` it names every row that breaks a property, not only the first.
    """

    def __init__(
        self,
        spec: Specification,
        scope: Mapping[str, int],
        budget: Budget | None = None,
        effort: int = EFFORT,
        explain: bool = True,
        thorough: bool = True,
    ) -> None:
        self.spec, self.budget, self.effort = spec, budget or Budget(), effort
        self.explain, self.thorough = explain, thorough
        self.ground = Ground(spec, scope)
        self.steps = [self.ground.step(c) for c in spec.cases]
        self._blank = [z3.Bool(f"blank {i}", self.ground.scalars.context) for i in range(len(self.ground.layout))]
        self._over_step = {p.id for p in spec.properties if p.over_step}
        self._goals: dict[tuple[int, str], Value] = {}
        self._moves: dict[tuple[int, bool], Callable[[Value], Value]] = {}

    # ------------------------------------------------------------------ questions

    def initially(self, candidates: Sequence[Property]) -> dict[str, Resistance]:
        """Which of the properties are false in some initial state?"""
        solver = self._solver()
        solver.add(*self.ground.initial())
        g = self.ground
        goals = [Goal(p.id, g.value(standing(p.term), {}, g.now, g.old), p.id) for p in candidates]
        broken: dict[str, Resistance] = {}
        self._ask(solver, goals, None, broken)
        return broken

    def round(self, held: Sequence[Property], properties: Sequence[Property], asked: set[str]) -> dict[str, Resistance]:
        """Which of the asked properties and checks can some case break, if all of `held` hold before it?"""
        k, solver = self.ground.scalars, self._solver()
        solver.add(*(k.expression(self.law(p)) for p in held))
        broken: dict[str, Resistance] = {}
        for n, step in enumerate(self.steps):
            passed: list[Value] = []
            goals = []
            left = asked if self.thorough else asked - broken.keys()
            for g in self.goals(n, [p for p in properties if p.id in left]):
                if g.id in left:
                    goals.append(replace(g, holds=k.disj([k.negation(k.conj(passed)), g.holds])))
                if g.is_check:
                    passed.append(g.holds)
            if any(g.holds is not True for g in goals):
                solver.push()
                solver.add(k.expression(step.taken))
                self._ask(solver, goals, step.case, broken)
                solver.pop()
        return broken

    def reliances(
        self, held: Sequence[Property], properties: Sequence[Property], asked: set[str]
    ) -> dict[tuple[int, Place], Reliance]:
        """What is enough, in this scope, to show each obligation of the asked properties; what cannot be is left out.

        The keys are the numbers of the cases and the places of the obligations in them.
        """
        k, solver, out = self.ground.scalars, self._solver(), dict[tuple[int, Place], Reliance]()
        laws = {f"law {n}": p.id for n, p in enumerate(held)}
        assumed = [z3.Bool(name, k.context) for name in laws]
        for x, p in zip(assumed, held, strict=True):
            solver.add(z3.Implies(x, k.expression(self.law(p))))
        for n, step in enumerate(self.steps):
            goals = self.goals(n, [p for p in properties if p.id in asked])
            solver.push()
            solver.add(k.expression(step.taken))
            checks = [g for g in goals if g.is_check]
            passed = [z3.Bool(f"check {g.place}", k.context) for g in checks]
            for x, g in zip(passed, checks, strict=True):
                solver.add(z3.Implies(x, k.expression(g.holds)))
            for g in goals:
                if g.id in asked and not self.budget.spent:
                    solver.push()
                    solver.add(z3.Not(k.expression(g.holds)))
                    before = passed[: g.place] if isinstance(g.place, int) else passed
                    if check_assuming(solver, [*assumed, *before]) == z3.unsat:
                        core = {x.decl().name() for x in solver.unsat_core()}
                        used = frozenset(i for i in range(len(before)) if f"check {i}" in core)
                        out[n, g.place] = Reliance(frozenset(laws[x] for x in core & laws.keys()), used)
                    solver.pop()
            solver.pop()
        return out

    def _ask(self, solver: Value, goals: Sequence[Goal], case: Case | None, broken: dict[str, Resistance]) -> None:
        """All at once, as long as some goal can be false; each answer says which."""
        left = [g for g in goals if g.holds is not True]
        while left:
            if self.budget.spent:
                for g in left:
                    broken.setdefault(g.id, Resistance()).unasked = True
                return
            solver.push()
            solver.add(z3.Or([z3.Not(self.ground.scalars.expression(g.holds)) for g in left]))
            answer = solver.check()
            model = solver.model() if answer == z3.sat else None
            solver.pop()
            if answer == z3.unsat:
                return
            place = case.id if case else "the initial state"
            if model is None:
                if len(left) == 1:
                    broken.setdefault(left[0].id, Resistance()).gave_up.append(place)
                    return
                for g in left:
                    self._ask(solver, [g], case, broken)
                return
            false = [g for g in left if not self._true(model, g.holds)]
            for g in false:
                r = broken.setdefault(g.id, Resistance())
                r.rows.append(place)
                if self.explain and r.example is None:
                    r.example = self._small(solver, g, case)
            left = [g for g in left if g not in false]

    # ------------------------------------------------------------------ formulas

    def law(self, p: Property) -> Value:
        """The law, of the state `now` and the one before it."""
        return self.ground.value(p.term, {}, self.ground.now, self.ground.old)

    def goals(self, n: int, properties: Sequence[Property]) -> list[Goal]:
        """What must hold where case number n is taken: its checks in order, then what is true behind it."""
        step = self.steps[n]
        out = [Goal(id, ok, i) for i, (id, ok) in enumerate(step.checks)]
        written = {self.ground.layout.cells[i][0].name for i in step.writes}
        for p in () if step.case.crashes else properties:
            if p.form is Form.AFTER:
                if step.case.operation == p.operation and step.case.outcome is not None:
                    out.append(Goal(p.id, self._behind(n, step, p), p.id))
            elif p.form is Form.ALWAYS and (p.id in self._over_step or written & fields_of(p.term)):
                out.append(Goal(p.id, self._behind(n, step, p), p.id))
        return out

    def _behind(self, n: int, step: Step, p: Property) -> Value:
        """The property of the state behind a case (and the one before it), as a formula over the state before it."""
        if (n, p.id) not in self._goals:
            g = self.ground
            term = substitute(p.term, arguments(p, step.case, self.spec)) if p.form is Form.AFTER else p.term
            there = g.value(term, g.arguments(step.case), g.now, g.old)
            both = p.form is Form.AFTER or p.id in self._over_step
            if (n, both) not in self._moves:
                self._moves[n, both] = g.move(step, both)
            self._goals[n, p.id] = there if isinstance(there, bool) else self._moves[n, both](there)
        return self._goals[n, p.id]

    def _solver(self) -> Value:
        solver = z3.SolverFor("QF_FD", ctx=self.ground.scalars.context)
        solver.set("rlimit", self.effort)
        solver.add(*self.ground.states(self.ground.now), *self.ground.states(self.ground.old))
        if self.explain:
            cells = zip(self._blank, self.ground.now, self.ground.layout.cells, strict=True)
            for b, c, (f, _) in cells:
                solver.add(
                    z3.Implies(b, self.ground.scalars.expression(self.ground.scalars.equal(c, self.ground.blank(f))))
                )
        return solver

    # ------------------------------------------------------------------ examples

    def _true(self, model: Value, t: Value) -> bool:
        return t if isinstance(t, bool) else z3.is_true(model.eval(t, model_completion=True))

    def _small(self, solver: Value, goal: Goal, case: Case | None) -> Counterexample | None:
        """A state that breaks the goal, with as many blank cells as can be had by giving in one after the other.

        All cells are asked to be blank; while that cannot be, one of those that stand in the way is let go; at the end
        each of these is asked again.
        """
        g, layout = self.ground, self.ground.layout
        solver.push()
        solver.add(z3.Not(g.scalars.expression(goal.holds)))
        price = {
            b.get_id(): (f.is_live, key, i)
            for i, (b, (f, key)) in enumerate(zip(self._blank, layout.cells, strict=True))
        }
        blank = {b.get_id(): b for b in self._blank}
        gone = []
        while (answer := check_assuming(solver, [*blank.values()])) == z3.unsat:
            gone.append(blank.pop(min((b.get_id() for b in solver.unsat_core()), key=lambda b: price[b])))
        model = solver.model() if answer == z3.sat else None
        for b in sorted(gone, key=lambda b: price[b.get_id()], reverse=True) if model is not None else ():
            if check_assuming(solver, [b, *blank.values()]) == z3.sat:
                model, blank[b.get_id()] = solver.model(), b
        solver.pop()
        if model is None:
            return None
        state = tuple(g.scalars.stored(model, c, f.type) for c, (f, _) in zip(g.now, layout.cells, strict=True))
        values = tuple(g.scalars.stored(model, x, v.type) for v, x in g.arguments(case).items()) if case else ()
        return Counterexample(layout, state, case, values)
