# SPDX-License-Identifier: Apache-2.0
"""The plainest breadth first search over the interpreter: what is really violated in a scope, and how soon."""

from __future__ import annotations

from collections.abc import Mapping

from accelspec.model.evaluate import Interpreter
from accelspec.model.trace import State
from accelspec.spec.language.specification import Form, Specification


def violated(spec: Specification, scope: Mapping[str, int] | None = None, most: int = 50_000) -> dict[str, int]:
    """Property -> moves of a shortest run that breaks it (of form SOMETIMES: that reaches it)."""
    machine = Interpreter(spec, scope)
    found: dict[str, int] = {}
    laws = [p for p in spec.properties if p.form in (Form.ALWAYS, Form.AFTER, Form.SOMETIMES)]
    single = [p for p in laws if p.form is not Form.AFTER and not p.over_step]
    step = [p for p in laws if p.form is Form.AFTER or p.over_step]
    level: list[State] = list(machine.initial())
    seen, depth = set(level), 0
    while level:
        for s in level:
            for p in single:
                if machine.holds(p, s, s) == (p.form is Form.SOMETIMES):
                    found.setdefault(p.id, depth)
        depth += 1
        behind: dict[State, None] = {}
        for s in level:
            for m in machine.moves(s):
                for id in m.failed:
                    found.setdefault(id, depth)
                if not m.failed and not m.case.crashes:
                    for p in step:
                        if not machine.holds(p, s, m.after, m):
                            found.setdefault(p.id, depth)
                    behind[m.after] = None
        level = [s for s in behind if s not in seen]
        seen |= set(level)
        assert len(seen) <= most, "the scope is too large for the plain search"
    return found
