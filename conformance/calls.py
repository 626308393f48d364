# SPDX-License-Identifier: Apache-2.0
"""What a call may do: from a state of the specification, every way in which it may go from its start to its end.

A target answers a call when it is over, so the steps of a stepped operation are taken silently, one after another, with
no other call between them.  A target that suspends calls may also leave it standing between two of its steps; told to
go on, it goes from there to its end, or to where it stands next.  A call that some way would lead into a crash or a
failing assert is not `safe`: it is never made; nor is one that may have to wait for another, unless the target suspends
calls.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from accelspec.model.evaluate import Interpreter
from accelspec.model.trace import Move, State
from accelspec.spec.language.answers import Errno
from accelspec.spec.language.specification import Case, Param, Role, Specification
from accelspec.spec.language.terms import Kind

from .targets import WAITS

Objects = tuple[tuple[Kind, int], ...]
Ways = dict[tuple[int, ...], tuple["Way", ...]]  # by the arguments of the call

MEMORY = 20_000  # states and operations kept in mind; each holds all moves of the operation there


@dataclass(frozen=True)
class Way:
    """One way in which a call may go: its steps in order, of which the last one answers."""

    moves: tuple[Move, ...]
    ended: bool = True  # False: it stands behind the last step, which does not answer
    waits: bool = False  # it stands there until another call lets it go on
    created: tuple[tuple[Kind, int], ...] = ()  # the objects that exist after it and did not before: kind and index
    freed: frozenset[tuple[Kind, int]] = frozenset()  # the objects that ceased to exist on the way

    @property
    def case(self) -> Case:
        """The case that answered."""
        return self.moves[-1].case

    @property
    def after(self) -> State:
        """The state when the call is over."""
        return self.moves[-1].after

    @property
    def outcome(self) -> Errno:
        """What the call answers."""
        assert self.case.outcome is not None
        return self.case.outcome

    @cached_property
    def rows(self) -> tuple[str, ...]:
        """The rows of its steps; the last one is the row that answered."""
        return tuple(move.case.id for move in self.moves)

    @cached_property
    def row_set(self) -> frozenset[str]:
        """The same, each once."""
        return frozenset(self.rows)

    @property
    def broken(self) -> tuple[str, ...]:
        """The properties whose asserts fail on the way."""
        return tuple(property for move in self.moves for property in move.failed)

    @property
    def unsafe(self) -> str:
        """Why a call that may go this way must not be made; empty: it may."""
        if self.case.crashes:
            return f"{self.case.id} ends in {self.outcome.name}"
        if self.broken:
            return f"{self.case.id} breaks {', '.join(self.broken)}"
        return ""

    @property
    def result(self) -> str:
        """What is seen of it: what it answers, or that it stands."""
        return self.outcome.name if self.ended else WAITS

    @cached_property
    def fails(self) -> Mapping[str, bool]:
        """Which failures it met, and which of them were injected."""
        return {failure(p): bool(v) for p, v in self.params(Role.FAILS)}

    @cached_property
    def last_failure(self) -> str | None:
        """The failure whose errno a row with the outcome CALLBACK hands on; None: a failure that nobody injected."""
        return next((failure(p) for p, v in reversed(tuple(self.params(Role.FAILS))) if v), None)

    def params(self, role: Role) -> Iterator[tuple[Param, int]]:
        """The parameters of that role on the way, each with its value."""
        for move in self.moves:
            for p, v in zip(move.case.params, move.values, strict=True):
                if p.role is role:
                    yield p, v


def failure(p: Param) -> str:
    """The name of an injected failure: that of the function that fails."""
    return p.var.name.removesuffix(" fails")


@dataclass(frozen=True)
class Request:
    """A call in the numbers of one state: its arguments, and what is made to fail."""

    operation: str
    given: tuple[int, ...]
    fails: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Offer:
    """A call that a state offers: its arguments, what is made to fail, and all ways in which it may then go.

    Of a call that goes on, `given` is its number among those of its operation that stand.
    """

    operation: str
    given: tuple[int, ...]
    fails: frozenset[str]
    ways: tuple[Way, ...]  # to its end, or to where it waits
    stops: tuple[Way, ...] = ()  # to wherever it may be left standing
    unsafe: str = ""  # why it must not be made; empty: it may
    resumed: bool = False  # a call that was left standing goes on

    @property
    def rows(self) -> tuple[str, ...]:
        """The rows that may answer it."""
        return tuple(dict.fromkeys(way.case.id for way in self.ways))

    @property
    def succeeds(self) -> bool:
        """Does it succeed, whichever way it goes? What waits has not failed yet."""
        return all(way.waits or way.outcome.succeeded for way in self.ways)


@dataclass
class Calls:
    """The calls that states of one specification in one scope offer, kept in mind.

    `suspending`: to a target that can leave a call standing.
    """

    interpreter: Interpreter
    suspending: bool = False
    _ways: dict[tuple[State, str, bool], Ways] = field(default_factory=dict)
    _offers: dict[tuple[State, str], tuple[Offer, ...]] = field(default_factory=dict)

    @property
    def spec(self) -> Specification:
        """Whose states they are."""
        return self.interpreter.spec

    def offers(self, state: State, operation: str) -> tuple[Offer, ...]:
        """Every call of an operation that the state offers, also one that goes on, and unsafe ones too;

        failures are injected only where they make a difference.
        """
        key = state, operation
        if key not in self._offers:
            if len(self._offers) > MEMORY:
                self._offers.clear()
            self._offers[key] = tuple(self._make_offers(state, operation))
        return self._offers[key]

    def offer(
        self, state: State, operation: str, given: tuple[int, ...], fails: frozenset[str], resumed: bool = False
    ) -> Offer | None:
        """The call with these arguments and injected failures; None if the state does not offer it (a `require` forbids
        it, it goes on waiting, or the scope has no room for what it would create)."""
        ways = self._by_arguments(state, operation, resumed).get(given)
        return None if ways is None else self._offer(operation, given, fails, ways, resumed)

    def _make_offers(self, state: State, operation: str) -> Iterator[Offer]:
        for resumed in (False, True) if self.suspending else (False,):
            for given, ways in self._by_arguments(state, operation, resumed).items():
                injected = {frozenset(name for name, is_injected in way.fails.items() if is_injected) for way in ways}
                for fails in sorted(injected | {frozenset()}, key=sorted):
                    offer = self._offer(operation, given, fails, ways, resumed)
                    if offer is not None:
                        yield offer

    def _offer(
        self, operation: str, given: tuple[int, ...], fails: frozenset[str], ways: tuple[Way, ...], resumed: bool
    ) -> Offer | None:
        possible = [w for w in ways if all((name in fails) == met for name, met in w.fails.items())]
        going = tuple(w for w in possible if w.ended or w.waits)
        if not going:
            return None
        unsafe = next((w.unsafe for w in going if w.unsafe), "")
        waits = next((f"after {w.case.id} it waits for another call" for w in going if w.waits), "")
        stops = tuple(w for w in possible if not w.ended)
        return Offer(operation, given, fails, going, stops, unsafe or ("" if self.suspending else waits), resumed)

    def _by_arguments(self, state: State, operation: str, resumed: bool) -> Ways:
        """All ways of an operation by the arguments of the call, or of those that go on by their numbers."""
        key = state, operation, resumed
        if key not in self._ways:
            if len(self._ways) > MEMORY:
                self._ways.clear()
            found: dict[tuple[int, ...], dict[object, Way]] = {}
            moves = self._resumptions(state, operation) if resumed else self.interpreter.moves_of(state, operation)
            for move in moves:
                role = Role.CALL if resumed else Role.GIVEN
                given = tuple(v for p, v in zip(move.case.params, move.values, strict=True) if p.role is role)
                ways = found.setdefault(given, {})
                for way in self._ends(operation, state, (move,), {state}):
                    # ways that differ only in what nobody can tell apart are one
                    same = (
                        (way.rows, way.after, tuple(way.fails.items()), tuple(way.params(Role.CHOSEN))) if way else None
                    )
                    ways.setdefault(same, way)
            self._ways[key] = {given: tuple(ways.values()) for given, ways in found.items()}
        return self._ways[key]

    def _ends(self, operation: str, start: State, moves: tuple[Move, ...], seen: set[State]) -> Iterator[Way]:
        """Every way to go on with a call that has taken these steps, to its end or to where it waits;

        of a target that suspends calls, also to where it may stand on the way.
        """
        last = moves[-1]
        if last.case.outcome is not None or last.failed:
            yield self._way(start, moves)
            return
        seen = seen | {last.after}
        onward = [m for m in self._goes_on(last.after, operation, in_flight(last)) if further(m, seen)]
        if self.suspending or not onward:
            yield replace(self._way(start, moves), ended=False, waits=not onward)
        for move in onward:
            yield from self._ends(operation, start, (*moves, move), seen)

    def _goes_on(self, state: State, operation: str, call: int) -> list[Move]:
        """The next steps of a call that stands."""
        at = self.interpreter.value(state, f"{operation}().at", call)
        return self.interpreter.moves_of(state, operation, (call,), self._label(operation, at))

    def _resumptions(self, state: State, operation: str) -> Iterator[Move]:
        """The next steps of every call of an operation that stands, but for a look in vain at what it waits for."""
        if operation in self.spec.steps:
            live = self.interpreter.layout.fields[f"{operation}().live"]
            for call in range(self.interpreter.layout.size(live.kind)):
                if self.interpreter.value(state, live, call):
                    yield from (m for m in self._goes_on(state, operation, call) if further(m, {state}))

    def steps(self, state: State, request: Request, taken: tuple[Move, ...]) -> list[Move]:
        """The next steps of a call that has taken these, while others may have moved on; none: it waits."""
        if taken:
            moves = self._goes_on(state, request.operation, in_flight(taken[-1]))
        else:
            moves = self.interpreter.moves_of(state, request.operation, request.given)
        return [move for move in moves if all((failure(p) in request.fails) == bool(v) for p, v in failures(move))]

    def _label(self, operation: str, at: int) -> str:
        """The label at which a call stands; the specification lists it with the locks that are held there."""
        return self.spec.steps[operation][at - 1].partition(", holding ")[0]

    def _way(self, start: State, moves: tuple[Move, ...]) -> Way:
        """A call from its start to its end, with what it created and freed."""
        created: dict[tuple[Kind, int], None] = {}
        freed = set[tuple[Kind, int]]()
        before = start
        for move in moves:
            born, died = self.births(before, move.after)
            freed.update(x for x in died if x not in created)
            created = {x: None for x in (*created, *born) if x not in died}
            before = move.after
        return Way(moves, created=tuple(created), freed=frozenset(freed))

    def births(self, before: State, after: State) -> tuple[Objects, Objects]:
        """The objects that a step creates, and those that it frees."""
        born: list[tuple[Kind, int]] = []
        died: list[tuple[Kind, int]] = []
        if before is not after:
            for kind, cells in self._live.items():
                if before[cells] != after[cells]:
                    for i, (was, is_now) in enumerate(zip(before[cells], after[cells], strict=True)):
                        if was != is_now:
                            (born if is_now else died).append((kind, i))
        return tuple(born), tuple(died)

    @cached_property
    def _live(self) -> dict[Kind, slice]:
        """Which cells say what objects exist, by kind."""
        layout = self.interpreter.layout
        kinds = [k for k in self.spec.kinds if not k.permanent and not k.is_call]
        return {
            k: slice(layout.offset[f.name], layout.offset[f.name] + layout.size(k))
            for k in kinds
            if (f := layout.live(k))
        }


def in_flight(move: Move) -> int:
    """Which call of its operation a step belongs to: the one that it begins, or that it goes on with."""
    return next(
        v
        for p, v in zip(move.case.params, move.values, strict=True)
        if p.role is Role.CALL or (p.role is Role.NEW and isinstance(p.var.type, Kind) and p.var.type.is_call)
    )


def further(move: Move, seen: Collection[State]) -> bool:
    """Does a step lead somewhere, or is it a look in vain at what the call waits for?"""
    return move.case.outcome is not None or bool(move.failed) or move.after not in seen


def failures(move: Move) -> Iterator[tuple[Param, int]]:
    """The failures that a step meets, each with whether it is injected."""
    return ((p, v) for p, v in zip(move.case.params, move.values, strict=True) if p.role is Role.FAILS)
