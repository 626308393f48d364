# SPDX-License-Identifier: Apache-2.0
"""Where a scope is too small: a call in flight would create an object and finds none left.

In the world it would go on, in the scope nothing can be said about what comes then.  `with_limits` makes that visible:
to every step that creates something it adds a case that ends the run, taken where only the object is missing.  (A call
that cannot even begin is left alone: how much is begun at once is what a scope is there to bound.)
"""

from __future__ import annotations

from dataclasses import replace

from accelspec.spec.language.answers import Errno
from accelspec.spec.language.specification import Case, Param, Role, Specification
from accelspec.spec.language.terms import All, And, Kind, Not, Term, Var, substitute

from .expressions import free_variables
from .program import conjuncts

LIMIT = "(no more "


def with_limits(spec: Specification) -> Specification:
    """The specification with a case `OPERATION.(no more KIND)` for every object that a step creates."""
    return replace(spec, cases=[*spec.cases, *(x for c in spec.cases for x in _limits(c))])


def is_limit(case: Case) -> bool:
    """Was this case added because the scope has an end?"""
    return case.row.startswith(LIMIT)


def _limits(c: Case) -> list[Case]:
    out = []
    for i, p in enumerate(c.params):
        if c.step and p.role is Role.NEW and isinstance(p.var.type, Kind):
            before = c.params[:i]
            known = {q.var for q in before}
            guard = [t for t in conjuncts(c.guard) if free_variables(t) <= known]
            limit = And(*guard, _none_left(p))
            out.append(
                replace(
                    c,
                    row=f"{LIMIT}{p.var.type.name})",
                    guard=limit,
                    outcome=Errno.HANG,
                    effects=(),
                    checks=(),
                    params=before,
                )
            )
    return out


def _none_left(p: Param) -> Term:
    x = Var(f"{p.var.name}#none_left", p.var.type)
    return All(x, Not(substitute(p.where, {p.var: x})))
