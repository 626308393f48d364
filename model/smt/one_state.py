# SPDX-License-Identifier: Apache-2.0
"""z3's moves from one state: the formulas of bounded model checking, asked the way the interpreter is asked.

No proof needs them; they are there so that the engine can be held against the others, step by step.
"""

from __future__ import annotations

from collections.abc import Mapping

import z3

from accelspec.spec.language.specification import Specification

from ..program import Found
from ..trace import State
from .unrolling import Unrolling


class SolverMoves:
    """The formulas of one specification in one scope.

    >>> SolverMoves(spec, scope).found(state) == set(Interpreter(spec, scope).found(state))      # doctest: +SKIP
    True
    """

    def __init__(self, spec: Specification, scope: Mapping[str, int] | None = None) -> None:
        self.spec = spec
        self.unrolling = u = Unrolling(spec, scope)
        self._solver = z3.SolverFor("QF_FD", ctx=u.scalars.context)
        self._solver.add(*(u.at(0, x) for x in u.a_step), *(u.at(1, x) for x in u.leads_on))
        self._now = u.instant(0)
        self._checks = [[(id, u.at(0, x)) for id, x in s.checks] for s in u.steps]
        constants = {a.get_id(): b for a, b in zip(u.here.arguments, self._now.arguments, strict=True)}
        self._arguments = [[constants[x.get_id()] for x in u.ground.arguments(c).values()] for c in spec.cases]

    def found(self, state: State) -> set[Found]:
        """Every model of a step from the state, as `Interpreter.found` has moves; of failed checks the first."""
        self._solver.push()
        try:
            self._solver.add(*self._is(state))
            return set(self._models(state))
        finally:
            self._solver.pop()

    def _is(self, state: State) -> list[z3.BoolRef]:
        layout, k = self.unrolling.ground.layout, self.unrolling.scalars
        return [
            cell == k.expression(bool(x) if f.type is bool else x + layout.base(f.type), f.type)
            for cell, x, (f, _) in zip(self._now.cells, state, layout.cells, strict=True)
        ]

    def _models(self, state: State) -> list[Found]:
        out: list[Found] = []
        while (answer := self._solver.check()) == z3.sat:
            model = self._solver.model()
            n, values = self.unrolling.choice(model, 0)
            failed = next((id for id, x in self._checks[n] if not z3.is_true(model.eval(x, True))), None)
            after = state if failed or self.spec.cases[n].crashes else self.unrolling.state(model, 1)
            out.append((n, values, after, (failed,) if failed else ()))
            same = (a == model.eval(a, True) for a in self._arguments[n])
            self._solver.add(z3.Not(z3.And([self._now.selector == n, *same])))
        if answer != z3.unsat:
            raise RuntimeError("the solver gave up on a state that is known")
        return out
