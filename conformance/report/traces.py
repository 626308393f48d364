# SPDX-License-Identifier: Apache-2.0
"""A trace as a reader follows it: call by call, where it was recorded step by step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..results import Step


@dataclass(frozen=True)
class Line:
    """A call, or a part of one that nothing interrupts; `steps` are all its steps, the last one gave its answer."""

    steps: tuple[Step, ...]

    @property
    def last(self) -> Step:
        """The step that ends it: its row and result are those of the line."""
        return self.steps[-1]

    @property
    def actor(self) -> str:
        """Who called; the call itself where it goes on later."""
        return self.steps[0].actor

    @property
    def operation(self) -> str:
        """Its name alone."""
        return self.steps[0].op.partition(" at ")[0]

    @property
    def args(self) -> list[str]:
        """The arguments of the call."""
        return self.steps[0].args

    @property
    def goes_on(self) -> bool:
        """Does it continue a call that began in an earlier line?"""
        return " at " in self.steps[0].op

    @property
    def fails(self) -> list[str]:
        """What was made to fail in any of its steps."""
        return [f for s in self.steps for f in s.fails]

    @property
    def chosen(self) -> list[str]:
        """What the environment chose in any of its steps."""
        return list(dict.fromkeys(c for s in self.steps for c in s.chosen))

    @property
    def together(self) -> str:
        """`meanwhile `, if it was made at the same time as the call before it."""
        return "meanwhile " if self.steps[0].meanwhile else ""

    @property
    def call(self) -> str:
        """`open(process0, fd0)`, `open0 goes on`, with what fails."""
        bad = f" while {', '.join(self.fails)} fails" if self.fails else ""
        if self.goes_on:
            op, _, where = self.steps[0].op.partition(" at ")
            return f"{self.steps[0].call or op} goes on, {where}{bad}"
        return f"{self.together}{self.steps[0].op}({', '.join(self.args)}){bad}"

    def __str__(self) -> str:
        return f"{self.call} -> {self.last.result}"


def lines(steps: Sequence[Step]) -> list[Line]:
    """The trace with the steps of a call in one line, as long as no other call comes in between."""
    out: list[list[Step]] = []
    for s in steps:
        if out and s.call and out[-1][-1].call == s.call and out[-1][-1].result == "..." and " at " in s.op:
            out[-1].append(s)
        else:
            out.append([s])
    return [Line(tuple(line)) for line in out]


def calls(steps: Sequence[Step] | None) -> int:
    """How many calls and events a trace has, whatever their number of steps."""
    return sum(" at " not in s.op for s in steps or ())
