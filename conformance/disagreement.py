# SPDX-License-Identifier: Apache-2.0
"""A disagreement: a call whose answer no state that explains the calls before it allows.

It is reported as the longest explained prefix, the call that diverges, and for every state that was still possible
which answers the specification would have allowed there and, of the rows that would have given the answer that was
seen, the part of the guard that is false; each with row and source.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from .recording import Performed
from .targets import Call, Observation


class Nature(Enum):
    """What is wrong."""

    ANSWER = "answer"  # the call's result, or something else that was seen with it, is not explained
    ALARM = "alarm"  # the target itself reported that something is wrong
    LEFTOVER = "leftover"  # everything was given back, and something is still there


@dataclass(frozen=True)
class Allowed:
    """An answer that the specification allows."""

    outcome: str  # "EBUSY"; "EIO" where the row hands on the injected errno
    row: str
    shown: str  # the guard as its author wrote it
    source: str
    file: str
    line: int
    why: str  # why it is not what was seen


@dataclass(frozen=True)
class Refused:
    """A row that would have given the answer that was seen."""

    outcome: str
    row: str
    false: str  # the part of its guard that is false
    source: str
    file: str
    line: int


@dataclass(frozen=True)
class Doubt:
    """One state that explains everything before the call."""

    state: Mapping[str, str]  # its cells that are not blank
    allowed: tuple[Allowed, ...]
    refused: tuple[Refused, ...]


@dataclass(frozen=True)
class Disagreement:
    """Target and specification contradict each other.

    `signature` is the same for the same contradiction, whatever led to it.
    """

    specification: str  # "uacce@6.12.117"
    nature: Nature
    signature: str  # "mmap.dead -> EINVAL"
    summary: str  # one sentence
    prefix: tuple[Performed, ...]
    last: Performed | None = None  # the call that diverges; None: it was found after the last call
    doubts: tuple[Doubt, ...] = field(default=())

    @property
    def rows(self) -> tuple[str, ...]:
        """The rows that might have answered the call instead."""
        return tuple(dict.fromkeys(a.row for doubt in self.doubts for a in doubt.allowed))

    @property
    def call(self) -> Call | None:
        """The call that diverges, of two that met the first."""
        return self.last.call if self.last else None

    @property
    def observation(self) -> Observation | None:
        """What was seen of it."""
        return self.last.observation if self.last else None

    @property
    def essence(self) -> str:
        """What stays the same while a run that shows it is shrunk: the alarm, the wrong cell, or call and answer."""
        if self.nature is Nature.ALARM:
            return self.signature.partition(" !! ")[2]
        if self.last is None:
            return self.signature
        if detail := re.search(r" \((.+)\)$", self.signature):
            return detail[1].partition(" is then ")[0]
        return f"{' with '.join(c.operation for c in self.last.calls)} -> {[one.result for one in self.last.seen]}"

    @property
    def operation(self) -> str:
        """Of the call that diverges; empty if there is none."""
        return self.last.call.operation if self.last else ""

    def text(self) -> str:
        """For people: the trace, what was seen, and what the specification says instead, with sources."""
        lines = [f"{self.specification}: {self.summary}", ""]
        width = max((len(str(p)) for p in self.prefix), default=0)
        for n, p in enumerate(self.prefix, start=1):
            lines.append(f"{n:4}  {p!s:{width}}  {p.row}  {p.source}".rstrip())
        if self.last:
            lines.append(f"{len(self.prefix) + 1:4}  {self.last}    <- not explained")
            lines += [f"      the target reports: {alarm}" for seen in self.last.seen for alarm in seen.alarms]
        for n, doubt in enumerate(self.doubts, start=1):
            lines.append("")
            if len(self.doubts) > 1:
                lines.append(f"  If the state is number {n} of {len(self.doubts)} that explain what came before:")
            lines += [f"  {line}" for line in shown(doubt)]
        return "\n".join(lines) + "\n"


def shown(doubt: Doubt) -> list[str]:
    """One possible state in words."""
    lines = ["where " + ", ".join(f"{cell} is {value}" for cell, value in doubt.state.items())] if doubt.state else []
    if doubt.allowed:
        lines.append("the specification allows")
    for a in doubt.allowed:
        why = f"    ({a.why})" if a.why else ""
        lines.append(f"    {a.outcome}  by {a.row}, if {a.shown}: {a.source}  {a.file}:{a.line}{why}")
    for r in doubt.refused:
        lines.append(f"    not {r.outcome}  by {r.row}, as this is false: {r.false}: {r.source}  {r.file}:{r.line}")
    return lines
