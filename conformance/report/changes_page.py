# SPDX-License-Identifier: Apache-2.0
"""What a user sees of the changes between neighbouring revisions: shortest traces that only one of the two allows.

Found by `accelspec.model.inclusion` in the scopes of the newer one; `tools/compare_page.py` writes the page.
"""

from __future__ import annotations

from collections.abc import Sequence

from accelspec.model.changes import nearest
from accelspec.model.inclusion import Inclusion, included
from accelspec.spec.language.specification import Case, Specification

from ..results import steps_of
from .traces import lines
from .words import plural

MOST = 1_000  # nodes that are looked at in one scope


def neighbours(specs: Sequence[Specification]) -> list[tuple[Specification, Specification]]:
    """Each revision but the first, and the earlier one that it is compared with: see `nearest`."""
    by_name = {s.name: s for s in specs}
    return [(s, by_name[nearest(s, specs[:n]).old]) for n, s in enumerate(specs) if n > 0]


def shortest(left: Specification, right: Specification, scopes: dict[str, dict[str, int]]) -> tuple[str, Inclusion]:
    """The shortest trace of `left` that is none of `right`, over several scopes; of several the first.

    Where there is none in any of them: what was looked at in the scope in which the search came furthest.
    """
    kinds = {k.name for s in (left, right) for k in s.kinds}
    best: tuple[str, Inclusion] | None = None
    none: tuple[str, Inclusion] | None = None
    for name, scope in scopes.items():
        sizes = {k: n for k, n in scope.items() if k in kinds}
        found = included(left, right, sizes, MOST, best[1].depth if best else None)
        if found.only_here is not None:
            best = name, found
        elif none is None or found.depth > none[1].depth:
            none = name, found
    chosen = best or none
    assert chosen is not None, f"{left.name} has no scope"
    return chosen


def changes_page(specs: Sequence[Specification], head: str = "") -> str:
    """The page of a machine: `specs` are its revisions, the base first."""
    machine = specs[0].machine
    parts = [f"# {machine}: what users see of the changes", head]
    for new, old in neighbours(specs):
        parts += pair(new, old)
    return "\n\n".join(p for p in parts if p) + "\n"


def pair(new: Specification, old: Specification) -> list[str]:
    """Two neighbouring revisions: the section of the page, in both directions."""
    out = [f"## `{new.revision}` and `{old.revision}`"]
    for s, other in ((new, old), (old, new)):
        only = [op for op in s.operations() if op not in other.operations()]
        if only:
            out.append(f"Only `{s.revision}` has {', '.join(f'`{op}`' for op in only)}.")
    scopes = new.scopes or {"first": new.scope}
    out += _direction(new, old, *shortest(new, old, scopes))
    out += _direction(old, new, *shortest(old, new, scopes))
    return out


def _direction(left: Specification, right: Specification, scope: str, found: Inclusion) -> list[str]:
    one, other = f"`{left.revision}`", f"`{right.revision}`"
    d = found.only_here
    if d is None:
        extent = "" if found.complete else f" within {plural(found.depth, 'call')}"
        return [f"Every trace of {one} in the scope *{scope}* is one of {other}{extent}."]
    calls = lines(steps_of(d.trace) or [])
    rows = [f"| {n} | `{c.call}` | {c.last.result} | `{c.last.row}` |" for n, c in enumerate(calls, start=1)]
    instead = [f"**{answer}** (`{case.id}`: {_source(case)})" for answer, case in d.instead.items()]
    return [
        f"Allowed by {one} and not by {other}, scope *{scope}*:",
        "\n".join(["| | call | answer | row |", "| --- | --- | --- | --- |", *rows]),
        f"{one} answers **{d.answer}** ({_source(d.trace.moves[-1].case)}). {other} can answer {', '.join(instead)}.",
    ]


def _source(case: Case) -> str:
    return str(case.source).replace("|", "\\|")
