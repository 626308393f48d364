# SPDX-License-Identifier: Apache-2.0
"""A trace as a sequence diagram: inline SVG made here, without a library, that takes its colours from the page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from ..results import Step
from .traces import Line, lines

CHAR = 7.3  # width of a character of the labels; the style sheet sets their font so that this suffices
ROW, TOP, SIDE = 34, 46, 70  # height of a step, of the heads, and half the width of a head
DRIVER = "driver"


def sequence_diagram(steps: Sequence[Step], title: str) -> str:
    """Who calls the driver with what, and what it answers; the last line is the one that violates.

    >>> step = Step("process0", "open", ["process0"], "OK", "open.ok", "")
    >>> sequence_diagram([step], "one call").startswith("<svg")
    True
    """
    trace = lines(steps)
    # A call that goes on belongs to whoever began it.
    began = {s.steps[0].call: s.actor for s in reversed(trace) if not s.goes_on and s.steps[0].call}
    who = [began.get(s.steps[0].call, s.actor) if s.goes_on else s.actor for s in trace]
    actors = list(dict.fromkeys(who))
    half = max(SIDE, *(len(a) * CHAR / 2 + 14 for a in [*actors, DRIVER])) if actors else SIDE
    at = {a: half + i * max(2 * half + 10, 120) for i, a in enumerate(actors)}
    # The driver stands where the longest label of each actor still fits between the two.
    driver = max((at[a] + len(_label(s)) * CHAR + 28 for a, s in zip(who, trace, strict=True)), default=half)
    driver = max(driver, max(at.values(), default=0) + 2 * half + 10)
    width = driver + max((len(_answer(s)) * CHAR for s in trace), default=0) + 36
    height = TOP + ROW * len(trace) + 14
    parts = [
        f'<svg class="seq" role="img" width="{width:.0f}" height="{height}" viewBox="0 0 {width:.0f} {height}">',
        f"<title>{escape(title)}</title>",
    ]
    for name, x in [*at.items(), (DRIVER, driver)]:
        kind = "driver" if name == DRIVER else "actor"
        head = 2 * (half - 6)
        parts += [
            f'<line class="life" x1="{x:.0f}" y1="30" x2="{x:.0f}" y2="{height - 4}"/>',
            f'<rect class="{kind}" x="{x - head / 2:.0f}" y="4" width="{head:.0f}" height="26" rx="4"/>',
            f'<text class="name" x="{x:.0f}" y="21" text-anchor="middle">{escape(name)}</text>',
        ]
    for n, (actor, s) in enumerate(zip(who, trace, strict=True)):
        parts += _step(s, at[actor], driver, TOP + ROW * n + 18, last=n == len(trace) - 1)
    return "".join([*parts, "</svg>"])


def _step(s: Line, x: float, driver: float, y: float, *, last: bool) -> list[str]:
    mark = " last" if last else ""
    tip = f"{driver - 7:.0f},{y - 4:.0f} {driver:.0f},{y:.0f} {driver - 7:.0f},{y + 4:.0f}"
    return [
        f'<g class="step{mark}">',
        f'<line x1="{x:.0f}" y1="{y:.0f}" x2="{driver - 6:.0f}" y2="{y:.0f}"/><polygon points="{tip}"/>',
        f'<text x="{x + 10:.0f}" y="{y - 6:.0f}">{escape(_label(s))}</text>',
        f'<text class="answer" x="{driver + 12:.0f}" y="{y + 4:.0f}">{escape(_answer(s))}</text>',
        "</g>",
    ]


def _label(s: Line) -> str:
    """The call, without the actor among its arguments: the arrow says who calls."""
    if s.goes_on:
        return s.call
    args = ", ".join(s.args[1:] if s.args[:1] == [s.actor] else s.args)
    bad = f"  {', '.join(s.fails)} fails" if s.fails else ""
    return f"{s.together}{s.steps[0].op}({args}){bad}"


def _answer(s: Line) -> str:
    return f"{s.last.result}  {s.last.row}" if s.last.row else s.last.result
