# SPDX-License-Identifier: Apache-2.0
"""Counterexamples to induction: a state as small as will do, told object by object.

Such a state need not be reachable, so it is never a violation by itself.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import z3

from accelspec.spec.language.specification import Case, Role
from accelspec.spec.language.terms import Field, Kind, Range, Type, blank, members

from .encode import Z3, Encoding

MOST = 4  # objects of a kind; beyond, a picture helps nobody


def smallest(encoding: Encoding, solver: Z3) -> Z3 | None:
    """A model of what the solver holds, with as few objects of every kind as will do; None if none is that small."""
    for n in range(1, MOST + 1):
        solver.push()
        for k, sort in encoding.sorts.items():
            x = z3.Const("x", sort)
            some = [z3.Const(f"{k.name} {i}", sort) for i in range(n)]
            solver.add(z3.ForAll([x], z3.Or([x == y for y in (encoding.nones[k], *some)])))
        model = solver.model() if solver.check() == z3.sat else None
        solver.pop()
        if model is not None:
            return model
    return None


class Picture:
    """A model, read as a state: its objects, and the values of cells and parameters."""

    def __init__(self, encoding: Encoding, model: Z3) -> None:
        self.encoding, self.model = encoding, model
        self.objects: dict[Kind, list[Z3]] = {}
        self._number: dict[tuple[Kind, str], int] = {}
        for k, sort in encoding.sorts.items():
            nothing = str(self._value(encoding.nones[k]))
            universe = [u for u in model.get_universe(sort) or [] if str(u) != nothing]
            self.objects[k] = universe
            self._number |= {(k, str(u)): i for i, u in enumerate(universe)}

    def _value(self, t: Z3) -> Z3:
        return self.model.eval(t, model_completion=True)

    def code(self, t: Type, x: Z3) -> int:
        """A value as states hold it: see layout."""
        value = self._value(x)
        if isinstance(t, Kind):
            return self._number.get((t, str(value)), len(self.objects[t]))
        if isinstance(t, Range):
            return int(value.as_long()) - t.lo
        if t is bool:
            return int(z3.is_true(value))
        return next(i for i, m in enumerate(members(t)) if str(value).endswith(f".{m.name}"))

    def keys(self, f: Field) -> Iterator[tuple[int, ...]]:
        """The keys of a field at which all objects exist in the model."""
        return itertools.product(*(range(len(self.objects[d])) for d in f.domain))

    def cell(self, f: Field, key: tuple[int, ...]) -> int:
        """The value of a cell, as states hold it."""
        at = [self.objects[d][i] for d, i in zip(f.domain, key, strict=True)]
        return self.code(f.type, self.encoding.functions[f](*at))

    def name(self, t: Type, code: int) -> str:
        """A value as people know it."""
        if isinstance(t, Kind):
            label = t.name.removesuffix("()")
            return "none" if code >= len(self.objects[t]) else f"{label[0].lower()}{label[1:]}{code}"
        x = members(t)[code]
        return str(getattr(x, "name", x))


def told(encoding: Encoding, model: Z3, case: Case | None) -> tuple[str, ...]:
    """The case and its parameters, then every object that exists with those of its fields that are not blank."""
    p = Picture(encoding, model)
    lines = []
    if case is not None:
        values = [(q, p.name(q.var.type, p.code(q.var.type, encoding.term(q.var)))) for q in case.params]
        bad = [q.var.name for q, v in values if q.role is Role.FAILS and v == "True"]
        args = [f"{q.var.name.split('#')[0]}={v}" for q, v in values if q.role is not Role.FAILS]
        lines.append(f"{case.id}({', '.join([*args, *bad])}) from a state with")
    for k, objects in p.objects.items():
        fields = [f for f in encoding.spec.fields if f.kind == k]
        live = next((f for f in fields if f.is_live), None)
        for i in range(len(objects)):
            if live is None or p.cell(live, (i,)):
                cells = [c for f in fields if not f.is_live for c in _cells(p, f, i)]
                lines.append(f"  {p.name(k, i)}: {', '.join(cells) or 'all blank'}")
    return tuple(lines)


def _cells(p: Picture, f: Field, of: int) -> Iterator[str]:
    nothing = "none" if isinstance(f.type, Kind) else p.name(f.type, members(f.type).index(blank(f).value))
    for key in p.keys(f):
        if key[0] == of and (value := p.name(f.type, p.cell(f, key))) != nothing:
            index = ", ".join(p.name(d, i) for d, i in zip(f.domain[1:], key[1:], strict=True))
            yield f"{f.short}{f'[{index}]' if index else ''}={value}"
