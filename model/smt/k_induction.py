# SPDX-License-Identifier: Apache-2.0
"""k-induction in a scope: what holds for k moves, and what any k moves that keep it carry on, holds forever.

All properties are assumed together; those that fail are dropped until the rest carries itself, so nothing relies on
what is not proved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import z3

from accelspec.spec.language.specification import Form, Property, Specification

from ..verdict import Budget
from .bounded import applies
from .obligations import checks, is_range
from .scalars import Value
from .unrolling import Unrolling

EFFORT = 50_000_000  # z3's resource units for one question


class KInduction:
    """The properties of one specification in one scope.

    `invariants` are state properties that are proved already: they hold at every point.
    """

    def __init__(
        self,
        unrolling: Unrolling,
        candidates: Sequence[Property],
        invariants: Sequence[Property] = (),
        budget: Budget | None = None,
        effort: int = EFFORT,
    ) -> None:
        self.unrolling, self.budget = unrolling, budget or Budget()
        u = unrolling
        met = {o.id for c in u.spec.cases for o in checks(c)}
        wanted = [p for p in candidates if applies(p) and p.form is not Form.SOMETIMES]
        self._at_steps = {p.id: u.fails(p.id) for p in wanted if p.form is Form.CHECK and p.id in met}
        self._behind = {p.id: u.broken(p) for p in wanted if p.form is not Form.CHECK and not is_range(p.id)}
        self._one_state = {p.id for p in wanted if p.form is Form.ALWAYS and not p.over_step}
        self._known = [u.scalars.negation(u.broken(p)) for p in invariants]
        self._solver = z3.SolverFor("QF_FD", ctx=u.scalars.context)
        self._solver.set("rlimit", effort)
        self._assumed = {id: z3.Bool(f"assume {id}", u.scalars.context) for id in [*self._behind, *self._at_steps]}

    def proved(self, depth: int) -> Mapping[str, int]:
        """Property -> the k at which it is proved, for k up to `depth`.

        Sound only if no run of at most `depth` moves breaks any of the candidates: that is bounded model checking's
        word.
        """
        u, out = self.unrolling, dict[str, int]()
        self._solver.add(*(u.at(0, x) for x in u.ground.states(u.ground.now)))
        for t in range(depth):
            # points 0 to t are as assumed; asked is about the step from t, and about the point behind it
            self._know(t)
            self._solver.add(*(u.at(t, x) for x in u.a_step))
            on = z3.And([*(u.at(t, x) for x in u.goes_on), *(u.at(t + 1, x) for x in u.leads_on), u.scalars.true])
            asked = {id: u.at(t, b) for id, b in self._at_steps.items() if id not in out}
            asked |= {id: z3.And(on, u.at(t + 1, b)) for id, b in self._behind.items() if id not in out}
            carried = self._carried(asked)
            out |= dict.fromkeys(carried, t + 1)
            self._solver.add(*(self._assumed[id] for id in carried), on)
            if self.budget.spent or len(out) == len(self._assumed):
                break
        return out

    def _know(self, t: int) -> None:
        """What is proved of point t, and what may be assumed of it."""
        u = self.unrolling
        self._solver.add(*(u.at(t, x) for x in self._known))
        for id, b in self._behind.items():
            if t > 0 or id in self._one_state:
                self._solver.add(z3.Implies(self._assumed[id], z3.Not(u.at(t, b))))

    def _carried(self, asked: Mapping[str, Value]) -> list[str]:
        """The largest part of the properties of which each is carried on if all of the part are assumed."""
        held = dict(asked)
        while held and not self.budget.spent:
            self._solver.push()
            self._solver.add(z3.Or(list(held.values())), *(self._assumed[id] for id in held))
            answer = self._solver.check()
            model = self._solver.model() if answer == z3.sat else None
            self._solver.pop()
            if answer == z3.unsat:
                return list(held)
            if model is None:
                return []
            held = {id: b for id, b in held.items() if not z3.is_true(model.eval(b, model_completion=True))}
        return []


def k_inductive(
    spec: Specification,
    scope: Mapping[str, int],
    candidates: Sequence[Property],
    invariants: Sequence[Property] = (),
    depth: int = 3,
    budget: Budget | None = None,
) -> Mapping[str, int]:
    """Property -> k, for the candidates that k-induction proves in the scope; see KInduction.proved for its need."""
    return KInduction(Unrolling(spec, scope), candidates, invariants, budget).proved(depth)
