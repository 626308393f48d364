# SPDX-License-Identifier: Apache-2.0
"""What tells two revisions apart, as text and as data."""

from __future__ import annotations

from itertools import zip_longest

import msgspec

from accelspec.model.compare import Comparison

from ..results import steps_of
from .text import columns
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
    lines = []
    if c.difference is None:
        extent = (
            "in any sequence of calls" if c.complete else f"within {plural(c.depth, 'call')}, then the budget ended"
        )
        lines.append(f"{left} and {right} answer every call alike {extent} ({scope_text(c.scope)}).")
    else:
        d = c.difference
        ours, theirs = steps_of(d.left_trace) or [], steps_of(d.right_trace) or []
        lines += [f"{left} and {right} answer differently after {plural(len(ours) - 1, 'step')}:", ""]
        rows = [["", left, right]]
        for n, (one, other) in enumerate(zip_longest(ours, theirs), start=1):
            one_text = f"{one.result} {one.row}" if one else ""
            other_text = f"{other.result} {other.row}" if other else ""
            said = one or other
            call = str(said).rpartition(" -> ")[0] if said else ""
            rows.append([f"{n:2}. {call}", one_text, other_text])
        rows[-1][1:] = [f"{d.left} {ours[-1].row}", f"{d.right} {theirs[-1].row}"]
        lines += [f"  {line}" for line in columns(rows)]
        for name, steps in ((left, ours), (right, theirs)):
            lines += ["", f"  {name}: {steps[-1].row}", f"    {steps[-1].source}"]
    for name, only in ((left, c.only_left), (right, c.only_right)):
        if only:
            lines.append(f"Only {name} has {', '.join(only)}.")
    return "\n".join(lines) + "\n"
