# SPDX-License-Identifier: Apache-2.0
"""A trace: a run of a specification in a finite scope, from an initial state, as data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from accelspec.spec.language.specification import Case, Role, Specification
from accelspec.spec.language.terms import Kind, Type, members

State = tuple[int, ...]  # every value is a small integer: see evaluate.Interpreter


@dataclass(frozen=True)
class Move:
    """One step: a case, the values of its parameters (in the order of `case.params`), the state after, failed checks.

    Where a check failed the run ends: `after` is then the state before.
    """

    case: Case
    values: tuple[int, ...]
    after: State
    failed: tuple[str, ...] = ()


def value_name(t: Type, value: int, scope: Mapping[str, int]) -> str:
    """A value as a reader knows it: `queue0`, `none`, `STARTED`, `True`, `3`."""
    if isinstance(t, Kind):
        name = t.name.removesuffix("()")
        return "none" if value >= scope[t.name] else f"{name[0].lower()}{name[1:]}{value}"
    x = members(t)[value]
    return x.name if hasattr(x, "name") else str(x)


@dataclass(frozen=True)
class Step:
    """One line of a trace, for people and files."""

    actor: str  # "process0", "device0", or "environment"
    operation: str
    args: tuple[str, ...]
    fails: tuple[str, ...]  # what was made to fail
    chosen: tuple[str, ...]  # what the environment chose
    outcome: str  # errno name, or "..." for a step of a call that goes on
    row: str  # "open.busy"
    source: str
    file: str
    line: int

    def __str__(self) -> str:
        bad = f" while {', '.join(self.fails)} fails" if self.fails else ""
        return f"{self.operation}({', '.join(self.args)}){bad} -> {self.outcome}"


@dataclass(frozen=True)
class Trace:
    """A run: moves[i] leads from states()[i] to states()[i + 1].

    With `loop` it is endless: the moves from that one on repeat for ever, or, if there are none, nothing more happens.
    """

    spec: Specification
    scope: Mapping[str, int]
    initial: State
    moves: tuple[Move, ...]
    loop: int | None = None

    def __len__(self) -> int:
        return len(self.moves)

    def states(self) -> Iterator[State]:
        """The states of the run, the initial one first."""
        yield self.initial
        for m in self.moves:
            yield m.after

    def steps(self) -> tuple[Step, ...]:
        """The run as people read it, a line a move."""
        return tuple(self._step(m) for m in self.moves)

    def _step(self, m: Move) -> Step:
        named = [(p, value_name(p.var.type, v, self.scope)) for p, v in zip(m.case.params, m.values, strict=True)]
        args = tuple(n for p, n in named if p.role is Role.GIVEN)
        call = [n for p, n in named if p.role is Role.CALL]
        who = next((n for p, n in named if p.role is Role.GIVEN and p.var.type == self.actor_kind), None)
        return Step(
            actor=who or (call[0] if call else "environment"),
            operation=m.case.operation + (f" at {m.case.step}" if m.case.step else ""),
            args=args or tuple(call),
            fails=tuple(p.var.name.removesuffix(" fails") for p, n in named if p.role is Role.FAILS and n == "True"),
            chosen=tuple(f"{p.var.name.split('#')[0]}={n}" for p, n in named if p.role is Role.CHOSEN),
            outcome=m.case.outcome.name if m.case.outcome else "...",
            row=m.case.id,
            source=str(m.case.source),
            file=m.case.file,
            line=m.case.line,
        )

    @property
    def actor_kind(self) -> Kind | None:
        """Who acts: the kind `Process` of a machine that has one."""
        return next((k for k in self.spec.kinds if k.name == "Process"), None)
