# SPDX-License-Identifier: Apache-2.0
"""What tells two revisions apart, as text and as data."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from accelspec.model.compare import Comparison

from ..results import steps_of
from .text import columns, wrapped
from .traces import Line, lines
from .words import plural, scope_text


def comparison_data(c: Comparison) -> dict[str, object]:
    """For JSON: the call, both answers, both traces."""
    d = c.difference
    return {
        "schema": "accelspec.comparison/1",
        "left": c.left.name,
        "right": c.right.name,
        "scope": dict(c.scope),
        "difference": None
        if d is None
        else {
            "call": d.call,
            "left": d.left,
            "right": d.right,
            "left_trace": msgspec.to_builtins(steps_of(d.left_trace)),
            "right_trace": msgspec.to_builtins(steps_of(d.right_trace)),
        },
        "pairs": c.pairs,
        "depth": c.depth,
        "complete": c.complete,
        "only_left": list(c.only_left),
        "only_right": list(c.only_right),
    }


def comparison_text(c: Comparison) -> str:
    """The shortest trace, both answers to its last call with row and source, and what only one of the two has."""
    left, right = c.left.name, c.right.name
    out = []
    if c.difference is None:
        extent = (
            "in any sequence of calls" if c.complete else f"within {plural(c.depth, 'call')}, then the budget ended"
        )
        out.append(f"{left} and {right} answer every call alike {extent} ({scope_text(c.scope)}).")
    else:
        d = c.difference
        ours, theirs = lines(steps_of(d.left_trace) or []), lines(steps_of(d.right_trace) or [])
        out += [f"{left} and {right} answer this differently:", ""]
        rows = [["", left, right]]
        for n, (one, other) in enumerate(_beside(c, ours, theirs), start=1):
            call = one.call if one else other.call if other else ""
            rows.append([f"{n:2}. {call}", _answer(one), _answer(other)])
        rows[-1][1:] = [f"{d.left} {ours[-1].last.row}", f"{d.right} {theirs[-1].last.row}"]
        out += [f"  {line}" for line in columns(rows)]
        for name, trace in ((left, ours), (right, theirs)):
            out += ["", f"  {name}: {trace[-1].last.row}", *wrapped(trace[-1].last.source, 4)]
    for name, only in ((left, c.only_left), (right, c.only_right)):
        if only:
            out.append(f"Only {name} has {', '.join(only)}.")
    return "\n".join(out) + "\n"


def _answer(line: Line | None) -> str:
    return f"{line.last.result} {line.last.row}" if line else ""


def _beside(c: Comparison, ours: list[Line], theirs: list[Line]) -> Iterator[tuple[Line | None, Line | None]]:
    """The calls of both sides; what only one side has stands alone."""
    left, right = list(ours), list(theirs)
    while left or right:
        if left and left[0].operation in c.only_left:
            yield left.pop(0), None
        elif right and right[0].operation in c.only_right:
            yield None, right.pop(0)
        else:
            yield (left.pop(0) if left else None), (right.pop(0) if right else None)
