# SPDX-License-Identifier: Apache-2.0
"""What a law speaks about: the conditions under which it says anything at all.

A law such as `all(q.hw is None for q in Queue if q.state is ZOMBIE)` is true, and says nothing, as long as no queue is
a ZOMBIE.  Its domain is: some queue is one.  A law of several parts has several domains, each to be met somewhere.
"""

from __future__ import annotations

from accelspec.spec.language.specification import Form, Property
from accelspec.spec.language.terms import FALSE, TRUE, And, Any_, App, Lit, Quant, Read, Term, Var, rebuild, walk


def domains(p: Property) -> list[Term]:
    """The domains of an `always` that an author has stated, as terms over one state; none if it always says something.

    Of a law over steps only what it asks of the state before is looked at.
    """
    if p.form is not Form.ALWAYS or p.implied or p.lemma:
        return []
    parts = p.term.args if isinstance(p.term, App) and p.term.op == "and" else (p.term,)
    found = dict.fromkeys(_before(_domain(t)) if p.over_step else _domain(t) for t in parts)
    return [t for t in found if t not in (TRUE, FALSE)]


def _domain(t: Term) -> Term:
    """Where a term is not true just for want of cases: `all(not (c and d and not body))` -> `any(c and d)`."""
    if not (isinstance(t, Quant) and t.op == "all"):
        return TRUE
    return Any_(t.var, _condition(t.body))


def _condition(body: Term) -> Term:
    if isinstance(body, Quant) and body.op == "all":
        return _domain(body)
    if isinstance(body, App) and body.op == "not" and isinstance(body.args[0], App) and body.args[0].op == "and":
        *conditions, last = body.args[0].args
        inner = last.args[0] if isinstance(last, App) and last.op == "not" else TRUE
        return And(*conditions, _domain(inner))
    return TRUE


def _before(t: Term) -> Term:
    """What a condition says about the state before the step; the rest is taken to be true."""
    if isinstance(t, Quant):
        return Any_(t.var, _before(t.body))
    if isinstance(t, App) and t.op == "and":
        return And(*map(_before, t.args))
    reads = [u for u in walk(t) if isinstance(u, Read)]
    if not reads or not all(u.old for u in reads):
        return TRUE
    return _now(t)


def _now(t: Term) -> Term:
    if isinstance(t, Read):
        return Read(t.field, tuple(map(_now, t.args)))
    return t if isinstance(t, (Lit, Var)) else rebuild(t, _now)
