# SPDX-License-Identifier: Apache-2.0
"""Proofs for any number of objects: the obligations of a specification, asked of z3 with quantifiers.

What makes such questions hard is not the proof but the many laws that it does not need.  So an obligation is first
asked with those laws alone that are enough in a small scope, and without looking for models; only if that fails with
all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import z3

from accelspec.spec.language.specification import Property, Specification

from ..verdict import Budget
from .encode import Encoding
from .obligations import Obligation, Place, Reliance, fields_of, obligations, standing, taken
from .resistance import Resistance

QUICK, EFFORT = 2_000_000, 6_000_000  # z3's resource units for one question: the same answer on every machine

Key = tuple[int, Place]  # the number of a case, and the place of an obligation in it


class Prover:
    """One specification with unbounded kinds, and what was shown so far from which laws."""

    def __init__(self, spec: Specification, budget: Budget | None = None, effort: int = EFFORT) -> None:
        self.spec, self.budget, self.effort = spec, budget or Budget(), effort
        self.encoding = Encoding(spec)
        self.axioms = list(self.encoding.axioms())
        self.queries = 0
        self._shown: dict[Key, frozenset[str]] = {}

    def initially(self, candidates: Sequence[Property]) -> dict[str, Resistance]:
        """Which of the properties are not shown to hold in every initial state?"""
        solver = self._solver()
        solver.add(*self.encoding.initial())
        broken: dict[str, Resistance] = {}
        for p in candidates:
            o = Obligation(p.id, standing(p.term))
            if not self.budget.spent:
                self._note(broken, o, self._ask(solver, self.encoding.term(o.goal), models=True))
            else:
                broken.setdefault(p.id, Resistance()).unasked = True
        return broken

    def round(
        self,
        held: Sequence[Property],
        properties: Sequence[Property],
        asked: set[str],
        enough: Mapping[Key, Reliance],
    ) -> dict[str, Resistance]:
        """Which of the asked properties and checks are not shown, at some case, to follow from `held`?

        `enough` says which laws and checks are enough in a small scope.
        """
        laws = {p.id: p for p in held}
        solver = self._solver()
        broken: dict[str, Resistance] = {}
        for n, (case, found) in enumerate(obligations(self.spec, [p for p in properties if p.id in asked])):
            left = asked - broken.keys()  # one failure is enough
            open_ = [o for o in found if o.id in left and not self._shown.get((n, o.place), {""}) <= laws.keys()]
            if open_:
                solver.push()
                solver.add(self.encoding.term(taken(case)))
                for o in open_:
                    if self.budget.spent:
                        broken.setdefault(o.id, Resistance()).unasked = True
                    else:
                        self._prove(solver, (n, o.place), o, found, laws, enough, broken)
                solver.pop()
        return broken

    def _prove(
        self,
        solver: Any,
        key: Key,
        o: Obligation,
        found: Sequence[Obligation],
        laws: Mapping[str, Property],
        enough: Mapping[Key, Reliance],
        broken: dict[str, Resistance],
    ) -> None:
        """Ask with few laws, with more, with all, and then also for models."""
        before = [c for c in found if c.check is not None and (o.check is None or c.check < o.check)]
        few = enough.get(key, Reliance(frozenset()))
        first = (few.laws | {o.id}) & laws.keys()
        about = fields_of(o.goal)
        more = first | {id for id, p in laws.items() if fields_of(p.term) <= about}
        answer = z3.unknown
        for ids, models in ((first, False), (more, False), (first, True), (laws.keys(), False), (laws.keys(), True)):
            passed = before if ids is not first else [c for c in before if c.check in few.checks]
            solver.push()
            solver.add(
                *(self.encoding.term(laws[id].term) for id in ids), *(self.encoding.term(c.goal) for c in passed)
            )
            answer = self._ask(solver, self.encoding.term(o.goal), models)
            solver.pop()
            if answer == z3.unsat:
                self._shown[key] = frozenset(ids)
                return
            if self.budget.spent:
                break
        self._note(broken, o, answer)

    def _note(self, broken: dict[str, Resistance], o: Obligation, answer: Any) -> None:
        """Only `unsat` is proof; `sat` is a state that breaks it, of whatever size."""
        if answer != z3.unsat:
            r = broken.setdefault(o.id, Resistance())
            (r.rows if answer == z3.sat else r.gave_up).append(o.row())

    def _ask(self, solver: Any, goal: Any, models: bool) -> Any:
        self.queries += 1
        solver.push()
        solver.add(z3.Not(goal))
        solver.set("mbqi", models)
        solver.set("rlimit", self.effort if models else QUICK)
        answer = solver.check()
        solver.pop()
        return answer

    def _solver(self) -> Any:
        solver = z3.SimpleSolver(ctx=self.encoding.context)
        solver.add(*self.axioms)
        return solver
