# SPDX-License-Identifier: Apache-2.0
"""Nothing saturates: what must hold of a row's effects so that every number stays inside the range of its field."""

from __future__ import annotations

from accelspec.spec.language.specification import Case
from accelspec.spec.language.terms import And, App, Assign, Eq, Implies, Kind, Lit, Not, Range, Term, forall, none


def bounds(t: Term) -> tuple[int, int]:
    """The least and the greatest value that a number can have, as far as its form tells."""
    if isinstance(t, Lit):
        return int(t.value), int(t.value)
    if isinstance(t, App) and t.op == "add":
        (a, b), (c, d) = map(bounds, t.args)
        return a + c, b + d
    if isinstance(t, App) and t.op == "ite":
        (a, b), (c, d) = map(bounds, t.args[1:])
        return min(a, c), max(b, d)
    assert isinstance(t.type, Range), t
    return t.type.lo, t.type.hi


def range_checks(case: Case) -> dict[str, Term]:
    """`range:FIELD` -> what must hold before the case is taken; only for writes that could leave the range.

    The compiler states these checks itself, in their place among the asserts; then there is nothing to add.
    """
    out: dict[str, Term] = {}
    stated = {k.property for k in case.checks}
    for a in case.effects:
        name = f"range:{a.field.name}"
        if isinstance(a.field.type, Range) and name not in stated:
            lo, hi = bounds(a.value)
            if lo < a.field.type.lo or hi > a.field.type.hi:
                out[name] = And(out[name], _inside(a, a.field.type)) if name in out else _inside(a, a.field.type)
    return out


def _inside(a: Assign, r: Range) -> Term:
    written = And(
        a.when, *(Not(Eq(x, none(x.type))) for x in a.args if isinstance(x.type, Kind) and x not in a.binders)
    )
    low, high = App("le", (Lit(r.lo, r), a.value)), App("le", (a.value, Lit(r.hi, r)))
    return forall(a.binders, Implies(written, And(low, high)))
