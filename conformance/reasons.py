# SPDX-License-Identifier: Apache-2.0
"""Why a row was not taken: the part of its guard that is false in a state, in the author's terms.

The terms are evaluated here once more, one by one and slowly: the interpreter runs whole decision tables and keeps no
parts.
"""

from __future__ import annotations

from collections.abc import Mapping

from accelspec.model.layout import Layout
from accelspec.model.trace import State
from accelspec.spec.language.specification import Case
from accelspec.spec.language.terms import TRUE, App, Kind, Lit, Quant, Read, Term, Var, blank, children, show


def conjuncts(guard: Term) -> tuple[Term, ...]:
    """The conditions that must all hold."""
    if guard == TRUE:
        return ()
    return guard.args if isinstance(guard, App) and guard.op == "and" else (guard,)


def unknown(t: Term, values: Mapping[Var, int], bound: frozenset[Var] = frozenset()) -> bool:
    """Does the term speak about a parameter that has no value?"""
    if isinstance(t, Var):
        return t not in values and t not in bound
    if isinstance(t, Quant):
        bound |= {t.var}
    return any(unknown(u, values, bound) for u in children(t))


def evaluate(t: Term, layout: Layout, state: State, values: Mapping[Var, int]) -> int:
    """The value of a term: of a Range the number itself, of everything else as it lies in a state."""
    if isinstance(t, Lit):
        return layout.code(t)
    if isinstance(t, Var):
        return values[t] + layout.base(t.type)
    if isinstance(t, Read):
        key = tuple(evaluate(a, layout, state, values) for a in t.args)
        if any(i >= layout.size(d) for i, d in zip(key, t.field.domain, strict=True)):
            return layout.code(blank(t.field))
        return state[layout.at(t.field, key)] + layout.base(t.field.type)
    if isinstance(t, Quant):
        found = (evaluate(t.body, layout, state, {**values, t.var: i}) for i in range(layout.size(t.var.type)))
        return int(all(found) if t.op == "all" else any(found))
    assert isinstance(t, App)
    a = t.args
    match t.op:
        case "and":
            return int(all(evaluate(x, layout, state, values) for x in a))
        case "not":
            return int(not evaluate(a[0], layout, state, values))
        case "ite":
            return evaluate(a[1 if evaluate(a[0], layout, state, values) else 2], layout, state, values)
    x, y = (evaluate(t, layout, state, values) for t in a)
    return int(x == y) if t.op == "eq" else int(x <= y) if t.op == "le" else x + y


def false_guard(case: Case, layout: Layout, state: State, values: Mapping[Var, int]) -> str:
    """The first condition of a row that is false here, as text;

    empty if none of those whose parameters have a value is.
    """
    for t in conjuncts(case.guard):
        if not unknown(t, values) and not evaluate(t, layout, state, values):
            return show(t)
    for p in case.params:
        known = p.var in values and not unknown(p.where, values)
        if known and not evaluate(p.where, layout, state, values):
            return show(p.where)
    return ""


def no_room(case: Case, layout: Layout, state: State) -> Kind | None:
    """The kind of object that the row creates and of which the scope has no more."""
    for p in case.params:
        kind = p.var.type
        if p.role.value == "new" and isinstance(kind, Kind) and not kind.is_call:
            live = layout.live(kind)
            start = layout.offset[live.name] if live else 0
            if live and all(state[start : start + layout.size(kind)]):
                return kind
    return None
