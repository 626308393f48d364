# SPDX-License-Identifier: Apache-2.0
"""Proofs for any number of objects: the obligations of a specification, asked of z3 with quantifiers.

An obligation is first tried by instantiating quantifiers at the terms at hand alone: where there is a proof that
finds it fast, and where there is none it gives up fast.  Only then does the solver also look for models.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import z3

from accelspec.spec.language.specification import Case, Property, Specification

from ..verdict import Budget
from .encode import Encoding
from .obligations import Obligation, obligations, standing, taken
from .resistance import Resistance

QUICK, EFFORT = 3_000_000, 10_000_000  # z3's resource units for one question: the same answer on every machine


class Prover:
    """One specification with unbounded kinds."""

    def __init__(self, spec: Specification, budget: Budget | None = None, effort: int = EFFORT) -> None:
        self.spec, self.budget, self.effort = spec, budget or Budget(), effort
        self.encoding = Encoding(spec)
        self.axioms = list(self.encoding.axioms())
        self.queries = 0

    def initially(self, candidates: Sequence[Property]) -> dict[str, Resistance]:
        """Which of the properties are not shown to hold in every initial state?"""
        solver = self._solver()
        solver.add(*self.encoding.initial())
        broken: dict[str, Resistance] = {}
        self._decide(
            solver, [Obligation(p.id, standing(p.term)) for p in candidates], {p.id for p in candidates}, broken
        )
        return broken

    def round(self, held: Sequence[Property], properties: Sequence[Property], asked: set[str]) -> dict[str, Resistance]:
        """Which of the asked properties and checks are not shown, at some case, to follow from `held`?"""
        solver = self._solver()
        solver.add(*(self.encoding.term(p.term) for p in held))
        broken: dict[str, Resistance] = {}
        for case, found in self._obligations([p for p in properties if p.id in asked]):
            if any(o.property in asked for o in found):
                solver.push()
                solver.add(self.encoding.term(taken(case)))
                self._decide(solver, found, asked, broken)
                solver.pop()
        return broken

    def _obligations(self, properties: list[Property]) -> list[tuple[Case, list[Obligation]]]:
        return obligations(self.spec, properties)

    def _decide(self, solver: Any, found: Sequence[Obligation], asked: set[str], broken: dict[str, Resistance]) -> None:
        """Ask for all at once; if that fails one by one.  What stands behind a check may assume it."""
        passed: list[Any] = []
        goals: list[tuple[Obligation, Any]] = []
        for o in found:
            goal = self.encoding.term(o.goal)
            if o.property in asked:
                goals.append((o, z3.Implies(z3.And(passed), goal) if passed else goal))
            if o.is_check:
                passed.append(goal)
        if len(goals) > 1 and self._shown(solver, z3.And([g for _, g in goals]), quick=True) == z3.unsat:
            return
        for o, goal in goals:
            if self.budget.spent:
                broken.setdefault(o.property, Resistance()).unasked = True
            elif (answer := self._shown(solver, goal)) != z3.unsat:
                r = broken.setdefault(o.property, Resistance())
                (r.rows if answer == z3.sat else r.gave_up).append(o.row())

    def _shown(self, solver: Any, goal: Any, quick: bool = False) -> Any:
        """Only `unsat` is proof; `sat` is a state that breaks it, of whatever size."""
        solver.push()
        solver.add(z3.Not(goal))
        answer = z3.unknown
        for models in (False,) if quick else (False, True):
            if answer == z3.unknown and not self.budget.spent:
                self.queries += 1
                solver.set("mbqi", models)
                solver.set("rlimit", self.effort if models else QUICK)
                answer = solver.check()
        solver.pop()
        return answer

    def _solver(self) -> Any:
        solver = z3.SimpleSolver(ctx=self.encoding.context)
        solver.add(*self.axioms)
        return solver
