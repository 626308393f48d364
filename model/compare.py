# SPDX-License-Identifier: Apache-2.0
"""The shortest trace that tells two revisions apart: the same calls, and the last one is answered differently.

Both revisions are run side by side from the same initial state (product search, breadth first).  A call runs alone to
its end, or as far as it gets: what several calls at the same time can see is not compared.  Two calls are the same if
operation and arguments are, and nothing that both of them let fail or choose is different.  Objects are the same if
they have the same number, and a new one has the lowest that is free.  An argument that only one side has may be
anything; an event that only one side has happens there alone, an operation is not called.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from accelspec.spec.language.specification import Role, Specification
from accelspec.spec.language.terms import Kind

from .evaluate import Interpreter
from .layout import full_scope
from .trace import Move, State, Trace, value_name
from .verdict import Budget

BLOCKS = "..."  # the call waits
Pair = tuple[State, State]
Step = tuple[Pair, "Way | None", "Way | None"]  # where from, and the call on each side that has it


@dataclass(frozen=True)
class Difference:
    """A call, after the same calls on both sides, that the two revisions answer differently.

    Each trace ends with that call; `left` and `right` are its answers: errno names, `...` if it waits, or `fails` and
    the property whose assert failed.
    """

    call: str
    left: str
    right: str
    left_trace: Trace
    right_trace: Trace


@dataclass(frozen=True)
class Comparison:
    """What a product search found."""

    left: Specification
    right: Specification
    scope: Mapping[str, int]
    difference: Difference | None
    pairs: int  # of states, looked at
    depth: int  # calls after which no difference was found
    complete: bool  # was every pair looked at?
    only_left: tuple[str, ...]  # operations that the other one does not have
    only_right: tuple[str, ...]


@dataclass(frozen=True)
class Way:
    """One way in which a call can go: all its moves, what failed and was chosen on the way, up to its answer."""

    moves: tuple[Move, ...]
    conditions: Mapping[str, str]  # what failed and what was chosen on the way
    answer: str

    @property
    def after(self) -> State:
        """Where the call has led, or where it waits."""
        return self.moves[-1].after

    def alike(self, other: Way) -> bool:
        """Is nothing different that both let fail or choose?"""
        return all(other.conditions.get(name, value) == value for name, value in self.conditions.items())

    def goes_with(self, other: Way) -> bool:
        """Can the two be one run, seen from outside?"""
        return self.answer == other.answer and self.alike(other)


def _unlike(way: Way, others: Sequence[Way]) -> Way | None:
    """One of those under the same conditions, if all of them are answered differently."""
    alike = [o for o in others if way.alike(o)]
    return alike[0] if alike and all(o.answer != way.answer for o in alike) else None


def _named(machine: Interpreter, move: Move) -> list[tuple[Role, str]]:
    return [
        (p.role, value_name(p.var.type, v, machine.scope)) for p, v in zip(move.case.params, move.values, strict=True)
    ]


def _cells(machine: Interpreter, state: State, fields: set[str]) -> dict[str, str]:
    """The cells of some fields by name."""
    layout = machine.layout
    return {
        layout.cell_name(f, key): value_name(f.type, x, machine.scope)
        for (f, key), x in zip(layout.cells, state, strict=True)
        if f.name in fields
    }


def _call(move: Move) -> int | None:
    """The call in flight that a move belongs to, or that it begins."""
    for p, v in zip(move.case.params, move.values, strict=True):
        if p.role is Role.CALL or (p.role is Role.NEW and isinstance(p.var.type, Kind) and p.var.type.is_call):
            return v
    return None


def _continues(move: Move, last: Move) -> bool:
    return bool(move.case.step) and move.case.operation == last.case.operation and _call(move) == _call(last)


def _answer(last: Move) -> str:
    if last.failed:
        return f"fails {last.failed[0]}"
    return last.case.outcome.name if last.case.outcome is not None else BLOCKS


def compare(
    left: Specification, right: Specification, scope: Mapping[str, int] | None = None, budget: Budget | None = None
) -> Comparison:
    """Search for the shortest sequence of calls whose last one is answered differently.

    The scope is that of `left` by default; kinds that one side does not have are left out there.  Raises ValueError if
    neither has a kind of the scope.
    """
    return Search(left, right, scope, budget or Budget()).run()


class Search:
    """Both revisions side by side: what each can do from its own state, and how calls of both are named."""

    def __init__(
        self, left: Specification, right: Specification, scope: Mapping[str, int] | None, budget: Budget
    ) -> None:
        wished = dict(left.scope if scope is None else scope)
        self.specs = left, right
        self.scope = wished
        self.budget = budget
        kinds = [{k.name for k in s.kinds} for s in self.specs]
        for kind in wished:
            if all(kind not in names for names in kinds):
                raise ValueError(f"neither {left.name} nor {right.name} has a kind {kind!r}")
        own = [{k: n for k, n in wished.items() if k in names} for names in kinds]
        self.sides = [Interpreter(s, full_scope(s, o)) for s, o in zip(self.specs, own, strict=True)]
        self.parents: dict[Pair, Step | None] = {}
        operations = [dict.fromkeys(s.operations()) for s in self.specs]
        self.only = [tuple(op for op in operations[i] if op not in operations[1 - i]) for i in (0, 1)]
        given = [{(c.operation, p.var.name) for c in s.cases for p in c.given()} for s in self.specs]
        self.given = given[0] & given[1]  # arguments that both sides have

    def run(self) -> Comparison:
        """Breadth first over pairs of states, until a call is answered differently."""
        level = list(self._initial())
        self.parents = dict.fromkeys(level)
        depth, difference = 0, None
        while level and difference is None and not self.budget.spent:
            new: list[Pair] = []
            difference = self._look_at_all(level, new)
            if difference is None and not self.budget.spent:
                level, depth = new, depth + 1
                self.budget.tell(f"{depth} calls: {len(self.parents):,} pairs of states")
        left, right = self.specs
        only_left, only_right = self.only
        return Comparison(
            left, right, self.scope, difference, len(self.parents), depth, not level, only_left, only_right
        )

    def _look_at_all(self, level: Sequence[Pair], new: list[Pair]) -> Difference | None:
        for n, pair in enumerate(level):
            if n % 16 == 0 and self.budget.spent:
                return None
            if (found := self._look(pair, new)) is not None:
                return found
        return None

    def _initial(self) -> Iterator[Pair]:
        """Pairs of initial states that agree on every cell that both have and may choose."""
        a, b = self.sides
        free = [{f.name for f in s.fields if f.open_initially} for s in self.specs]
        rights = [(s, _cells(b, s, free[0] & free[1])) for s in b.initial()]
        for s in a.initial():
            cells = _cells(a, s, free[0] & free[1])
            yield from ((s, t) for t, others in rights if all(others.get(n, v) == v for n, v in cells.items()))

    def _look(self, pair: Pair, new: list[Pair]) -> Difference | None:
        """All calls from a pair: a difference, or the pairs behind them."""
        ours, theirs = (self._ways(side, state) for side, state in enumerate(pair))
        for call in [c for c in ours if c in theirs]:
            lefts, rights = ours[call], theirs[call]
            for left in lefts:
                if (right := _unlike(left, rights)) is not None:
                    return self._difference(pair, call, left, right)
            for right in rights:
                if (left_ := _unlike(right, lefts)) is not None:
                    return self._difference(pair, call, left_, right)
            for left, right in product(lefts, rights):
                if left.goes_with(right):
                    self._behind(pair, left, right, new)
        for alone in (w for c, ways in ours.items() if c not in theirs for w in ways if self._alone(w, 0)):
            self._behind(pair, alone, None, new)
        for alone in (w for c, ways in theirs.items() if c not in ours for w in ways if self._alone(w, 1)):
            self._behind(pair, None, alone, new)
        return None

    def _alone(self, way: Way, side: int) -> bool:
        """An event that the other revision does not know happens here alone: it asks nobody for an answer."""
        case = way.moves[0].case
        return case.event and case.operation in self.only[side]

    def _behind(self, pair: Pair, left: Way | None, right: Way | None, new: list[Pair]) -> None:
        after = left.after if left else pair[0], right.after if right else pair[1]
        if after not in self.parents:
            self.parents[after] = pair, left, right
            new.append(after)

    def _ways(self, side: int, state: State) -> dict[str, list[Way]]:
        """Every call that can be made, or go on, in a state: "open(process0, fd1)" -> each way in which it can go."""
        out: dict[str, list[Way]] = {}
        machine = self.sides[side]
        for move in machine.moves(state):
            call = self._call(machine, move)
            out.setdefault(call, []).extend(self._follow(machine, (move,)))
        return out

    def _call(self, machine: Interpreter, move: Move) -> str:
        """What both sides call a call: by the arguments that both have."""
        case = move.case
        if case.step:
            return f"{case.operation} {_call(move)} goes on"
        named = zip(case.params, _named(machine, move), strict=True)
        args = [n for p, (role, n) in named if role is Role.GIVEN and (case.operation, p.var.name) in self.given]
        return f"{case.operation}({', '.join(args)})"

    def _follow(self, machine: Interpreter, moves: tuple[Move, ...]) -> Iterator[Way]:
        """A call up to its end, or to where it waits."""
        last = moves[-1]
        further = []
        if last.case.outcome is None and not last.failed:
            seen = {m.after for m in moves}
            further = [m for m in machine.moves(last.after) if _continues(m, last) and m.after not in seen]
        for m in further:
            yield from self._follow(machine, (*moves, m))
        if not further:
            yield Way(moves, self._conditions(machine, moves), _answer(last))

    def _conditions(self, machine: Interpreter, moves: Sequence[Move]) -> dict[str, str]:
        """What failed, what the environment chose, and the arguments that only this side has.

        The nth choice of a name has its number.
        """
        out: dict[str, str] = {}
        for move in moves:
            for p, (role, value) in zip(move.case.params, _named(machine, move), strict=True):
                own = role is Role.GIVEN and (move.case.operation, p.var.name) not in self.given
                if own or role in (Role.FAILS, Role.CHOSEN):
                    name = f"{role.value} {p.var.name.split('#')[0]}"
                    while name in out and role is Role.CHOSEN:
                        name += "'"
                    out[name] = value
        return out

    def _difference(self, pair: Pair, call: str, left: Way, right: Way) -> Difference:
        moves = [(left.moves, right.moves)]
        while (parent := self.parents[pair]) is not None:
            pair, one, other = parent
            moves.append((one.moves if one else (), other.moves if other else ()))
        moves.reverse()
        traces = [
            Trace(self.specs[i], self.sides[i].scope, pair[i], tuple(m for step in moves for m in step[i]))
            for i in (0, 1)
        ]
        return Difference(call, left.answer, right.answer, traces[0], traces[1])
