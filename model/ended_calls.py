# SPDX-License-Identifier: Apache-2.0
"""What a law about ended calls (form AFTER) says of one row: `result` is known there, and so are the arguments."""

from __future__ import annotations

from accelspec.spec.language.answers import Errno
from accelspec.spec.language.specification import Case, Form, Property, Role, Specification
from accelspec.spec.language.terms import TRUE, Lit, Read, Term, Var, substitute


def ends(case: Case, operation: str) -> bool:
    """Does a call of the operation end with this case, and not in a crash?"""
    return case.operation == operation and case.outcome is not None and not case.crashes


def said_of(spec: Specification, p: Property, case: Case) -> Term:
    """The law as a term over the case's own parameters; TRUE where it says nothing of it.

    What it calls `old` is the state before the last step.  An operation in steps has kept the arguments that it still
    needed; raises KeyError with the name of one that it has not.
    """
    if p.form is not Form.AFTER or not ends(case, p.operation):
        return TRUE
    own = {q.var.name: q.var for q in case.params}
    call = next((q.var for q in case.params if q.role is Role.CALL), None)
    values: dict[Var, Term] = {}
    for v in p.params:
        if v.type is Errno:
            values[v] = Lit(case.outcome, Errno)
        elif v.name in own:
            values[v] = own[v.name]
        else:
            kept = next((f for f in spec.fields if f.name == f"{p.operation}().{v.name}"), None)
            if kept is None or call is None:
                raise KeyError(v.name)
            values[v] = Read(kept, (call,), old=True)
    return substitute(p.term, values)
