# SPDX-License-Identifier: Apache-2.0
"""All moves of a state, found by calling the methods of a machine and nothing else.

Every operation is called with every argument that exists, every call in flight is resumed; what the methods ask of the
environment (does this fail? which one?) is answered in every way, one run for each.  The compiled form is asked only
for its list of fields and labels, so that states can be written down as tuples.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from accelspec.model.layout import Layout
from accelspec.model.trace import State
from accelspec.spec.language import Machine, Specification
from accelspec.spec.language.native import Choice, NativeMove, NativeRun
from accelspec.spec.language.objects import is_kind
from accelspec.spec.language.terms import Kind, members
from accelspec.spec.language.world import NotEnabled, World

Answers = tuple[tuple[str, bool], ...]  # what was asked whether it fails, by name
Picks = tuple[int | None, ...]  # what was chosen, in order


@dataclass(frozen=True)
class Stepped:
    """One move: the call that was made, or (`index`) resumed, what the environment did, and what came of it."""

    operation: str
    given: tuple[int, ...]
    index: int | None
    asked: Answers
    picks: Picks
    row: str  # of a step, its label
    outcome: str  # "" while the call goes on, and where an assert failed
    failed: str
    after: State  # where the run ended: the state before


@dataclass(frozen=True)
class Place:
    """A state that can be gone to: a state without calls in flight, and the steps from there."""

    state: State
    quiet: State
    path: tuple[Stepped, ...] = ()

    def then(self, s: Stepped, in_flight: bool) -> Place:
        """The place behind a move."""
        return Place(s.after, self.quiet, (*self.path, s)) if in_flight else Place(s.after, s.after)


class _Environment(set[str]):
    """Answers as it was told, beyond that with no, or with the first candidate; it remembers what it was asked."""

    def __init__(self, told: Sequence[int] = ()) -> None:
        super().__init__()
        self.told = list(told)
        self.given: list[tuple[int, int]] = []  # number of the answer, how many there are
        self.asked: dict[str, bool] = {}
        self.picks: list[int | None] = []

    def _answer(self, ways: int) -> int:
        n = self.told[len(self.given)] if len(self.given) < len(self.told) else 0
        self.given.append((n, ways))
        return n

    def __contains__(self, what: object) -> bool:
        name = str(what)
        if name not in self.asked:
            self.asked[name] = bool(self._answer(2))
        return self.asked[name]

    def choice(self, kind: str, candidates: Sequence[int]) -> int | None:
        """Choose one."""
        self.picks.append(candidates[self._answer(len(candidates))] if candidates else None)
        return self.picks[-1]

    def next(self) -> list[int] | None:
        """What to tell the next environment, so that in the end all answers were given."""
        given = list(self.given)
        while given:
            n, ways = given.pop()
            if n + 1 < ways:
                return [x for x, _ in given] + [n + 1]
        return None


class NativeMoves(NativeRun):
    """A native run that goes through all moves."""

    def __init__(self, machine: type[Machine], spec: Specification, scope: Mapping[str, int]) -> None:
        super().__init__(machine, spec, scope)
        self.environment = _Environment()
        self.places: dict[State, Place] = {}
        self.operations = [o for o in spec.operations() if self.assembly.method(o) is not None]
        self._labels = {f"{o}()": [x.split(",")[0] for x in labels] for o, labels in spec.steps.items()}
        layout = Layout(spec, scope)
        self._blanks = layout.blanks
        self._remembered = {
            at: (f, key[0]) for at, (f, key) in enumerate(layout.cells) if f.kind.is_call and not f.is_live
        }

    def _step(self, failing: Collection[str], choice: Choice | None) -> World:
        """Nobody reads `old` here, so the state before need not be remembered."""
        self.world.failing, self.world.choice = self.environment, self.environment.choice
        return self.world

    # ------------------------------------------------------------------ states

    def state(self) -> State:
        """The state with all that calls in flight remember."""
        out = list(self.save())
        for at, (f, index) in self._remembered.items():
            operation = f.kind.name.removesuffix("()")
            call = self.calls.get((operation, index))
            out[at] = self._blanks[at]
            if call is None or call.pause is None:
                continue
            if f.short == "at":
                out[at] = self._labels[f.kind.name].index(call.pause.label) + 1
                continue
            found = call.names()
            first, *path = f.short.split(".")
            if first in found:
                value = found[first]
                for name in path:
                    value = getattr(value, name)
                if not isinstance(f.type, Kind):
                    out[at] = self.encoded(f.type, value)
                elif value is not None:
                    out[at] = self.encoded(type(value), value)
        return tuple(out)

    def go(self, to: Place) -> None:
        """Load a place: the state without calls, then every step from there."""
        self.load(to.quiet)
        for s in to.path:
            self.environment = _Environment()
            self.environment.asked = dict(s.asked)
            picks = iter(s.picks)
            self.environment.choice = lambda kind, candidates, picks=picks: next(picks)  # type: ignore[method-assign,misc]
            self.begin(s.operation, s.given) if s.index is None else self.resume(s.operation, s.index)

    # ------------------------------------------------------------------ moves

    def calls_from(self, state: State) -> Iterator[tuple[tuple[object, ...], str, State]]:
        """Every call from a state that was reached before, the row (or the law that is broken), the state after it."""
        for s, to in self.moves(self.places.setdefault(state, Place(state, state))):
            self.places.setdefault(to.state, to)
            yield (s.operation, s.given, s.index), s.failed or s.row, s.after

    def moves(self, at: Place) -> Iterator[tuple[Stepped, Place]]:
        """Every move from a place, and the place behind it."""
        self.go(at)
        calls: list[tuple[str, tuple[int, ...], int | None]] = [
            (operation, given, None)
            for operation in self.operations
            for given in itertools.product(*map(self._values, self.parameters(operation).values()))
        ]
        for call in calls + [(operation, (), index) for operation, index in self.calls]:
            yield from self._ways(at, *call)

    def _values(self, t: Any) -> Sequence[int]:
        if is_kind(t):
            return [i for i, o in enumerate(self.world.pool[t]) if o.__dict__["live"]]
        return range(len(members(t)))

    def _ways(
        self, at: Place, operation: str, given: tuple[int, ...], index: int | None
    ) -> Iterator[tuple[Stepped, Place]]:
        told: list[int] | None = []
        while told is not None:
            self.go(at)
            e = self.environment = _Environment(told)
            try:
                got = self.begin(operation, given) if index is None else self.resume(operation, index)
            except NotEnabled:
                got = None
            if got is not None:
                yield self._made(at, given, index, e, got)
            told = e.next()

    def _made(
        self, at: Place, given: tuple[int, ...], index: int | None, e: _Environment, got: NativeMove
    ) -> tuple[Stepped, Place]:
        ended = got.failed or (got.outcome is not None and got.outcome.is_crash)
        s = Stepped(
            got.operation,
            given,
            index,
            tuple(sorted(e.asked.items())),
            tuple(e.picks),
            got.row,
            got.outcome.name if got.outcome else "",
            got.failed,
            at.state if ended else self.state(),
        )
        return s, at if ended else at.then(s, bool(self.calls))
