# SPDX-License-Identifier: Apache-2.0
"""The shortest trace that one revision allows and another one does not: calls, and an answer that only one can give.

`compare` asks whether two revisions answer alike if the same things fail; here the environment may be another one on
the other side, as long as the answers are the same.  So what is found is a trace that no run of the other revision has,
and one direction says nothing about the reverse.

A trace is a sequence of calls with their arguments and answers, one after the other, each to its end; what several
calls at the same time can see is not compared, and a call that waits is not followed.  A call that only one of the two
has, or that the other one cannot make there (a `require`), is not held against it; an event that only one has happens
there alone.  Where an assert fails the call has its answer, and the trace ends.

A repair is to allow whatever was allowed and broke no law.  So one can ask for the lawful traces alone, and for those
that keep away from rows in which the two are meant to differ.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from accelspec.spec.language.specification import Case, Form, Property, Role, Specification

from .compare import Search, Way
from .evaluate import Interpreter
from .trace import State, Trace
from .verdict import Budget

Node = tuple[State, tuple[State, ...]]  # a state of the one, and all those of the other that the same trace leads to


@dataclass(frozen=True)
class OnlyHere:
    """A trace of `left` whose last answer `right` cannot give, after the same calls and answers.

    `instead` are the answers that `right` can give to the last call, each with the row that gives it.
    """

    call: str
    answer: str  # errno name
    trace: Trace
    instead: Mapping[str, Case]


@dataclass(frozen=True)
class Inclusion:
    """What a search found: is every trace of `left` one of `right`?"""

    left: Specification
    right: Specification
    scope: Mapping[str, int]
    only_here: OnlyHere | None
    nodes: int  # looked at
    depth: int  # calls within which every trace of the one is one of the other
    complete: bool  # were all nodes looked at?


def included(
    left: Specification,
    right: Specification,
    scope: Mapping[str, int] | None = None,
    most: int = 20_000,
    within: int | None = None,
    budget: Budget | None = None,
    *,
    lawful: bool = False,
    apart: Collection[str] = (),
) -> Inclusion:
    """Search for the shortest trace of `left` that is none of `right`: breadth first, `most` nodes, `within` calls.

    The scope is that of `left` by default; kinds that one side does not have are left out there, and `right` has room
    for one object more of each kind that can be created.  With `lawful` only traces of `left` count that break none of
    its laws, as far as `right` speaks of them too; a trace that takes one of the rows `apart` of `left` never counts.
    Raises ValueError if neither has a kind of the scope.
    """
    search = _Inclusion(left, right, scope, budget or Budget(), most, within)
    search.apart = frozenset(apart)
    if lawful:
        search.laws = [
            p
            for p in left.properties
            if p.form in (Form.ALWAYS, Form.AFTER, Form.CHECK) and not p.lemma and p.id not in right.not_applicable
        ]
    return search.search()


class _Inclusion(Search):
    """A subset construction on the right-hand side, as far as the left-hand side needs it."""

    def __init__(
        self,
        left: Specification,
        right: Specification,
        scope: Mapping[str, int] | None,
        budget: Budget,
        most: int,
        within: int | None,
    ) -> None:
        super().__init__(left, right, scope, budget)
        roomy = {k.name for k in right.kinds if not k.permanent and not k.is_call}
        sizes = {k: n + (k in roomy) for k, n in self.sides[1].scope.items()}  # what it answers is not for want of room
        self.sides[1] = Interpreter(right, sizes)
        self.most, self.within = most, within
        self.laws: list[Property] = []  # that a trace must not break, to count
        self.apart: frozenset[str] = frozenset()  # rows that it must not take
        self.ways: dict[State, dict[str, list[Way]]] = {}  # of the right-hand side
        self.before: dict[Node, tuple[Node, Way] | None] = {}

    def search(self) -> Inclusion:
        """Breadth first; a node is looked at once."""
        starts: dict[State, set[State]] = {}
        for s, t in self._initial():
            starts.setdefault(s, set()).add(t)
        level = [(s, self._closed(ts)) for s, ts in starts.items()]
        self.before = dict.fromkeys(level)
        depth, found = 0, None
        while level and found is None and depth != self.within and not self._ends():
            new: list[Node] = []
            for node in level:
                found = found or self._visit(node, new)
                if found is not None or self._ends():
                    break
            else:
                level, depth = new, depth + 1
        left, right = self.specs
        return Inclusion(left, right, self.scope, found, len(self.before), depth, not level)

    def _counts(self, state: State, way: Way) -> bool:
        """Is the way one that is asked about?"""
        before = (state, *(m.after for m in way.moves))
        return not any(
            m.case.id in self.apart or not all(self.sides[0].holds(p, s, m.after, m) for p in self.laws)
            for s, m in zip(before, way.moves, strict=False)
        )

    def _ends(self) -> bool:
        return len(self.before) > self.most or self.budget.spent

    def _visit(self, node: Node, new: list[Node]) -> OnlyHere | None:
        state, others = node
        found = []
        for call, every in self._ways(0, state).items():
            ways = [w for w in every if _answer(w) and self._counts(state, w)]
            first = every[0].moves[0].case
            if first.operation in self.only[0]:
                for w in ways if first.event else ():
                    self._reached(node, w, others, new)
                continue
            theirs = [w for t in others for w in self._right(t).get(call, []) if _answer(w)]
            for w in ways if theirs else ():
                if alike := [o for o in theirs if _answer(o) == _answer(w)]:
                    self._reached(node, w, self._closed(o.after for o in alike if _goes_on(o)), new)
                else:
                    found.append((call, w, theirs))
        if not found:
            return None
        call, way, theirs = min(found, key=lambda f: _injected(f[1]))
        return self._only_here(node, call, way, theirs)

    def _reached(self, node: Node, way: Way, others: tuple[State, ...], new: list[Node]) -> None:
        after = way.after, others
        if _goes_on(way) and others and after not in self.before:
            self.before[after] = node, way
            new.append(after)

    def _right(self, state: State) -> dict[str, list[Way]]:
        if state not in self.ways:
            self.ways[state] = self._ways(1, state)
        return self.ways[state]

    def _closed(self, states: Iterable[State]) -> tuple[State, ...]:
        """With all that events can do which only the right-hand side has."""
        seen = set(states)
        todo = list(seen)
        for t in todo:  # it grows
            for ways in self._right(t).values():
                for w in ways:
                    if self._alone(w, 1) and _answer(w) and _goes_on(w) and w.after not in seen:
                        seen.add(w.after)
                        todo.append(w.after)
        return tuple(sorted(seen))

    def _only_here(self, node: Node, call: str, way: Way, theirs: Sequence[Way]) -> OnlyHere:
        moves = [way.moves]
        while (parent := self.before[node]) is not None:
            node, earlier = parent
            moves.append(earlier.moves)
        trace = Trace(self.specs[0], self.sides[0].scope, node[0], tuple(m for step in reversed(moves) for m in step))
        instead = {_answer(w): w.moves[-1].case for w in sorted(theirs, key=_injected, reverse=True)}
        return OnlyHere(call, _answer(way), trace, dict(sorted(instead.items())))


def _answer(way: Way) -> str:
    """The errno that the caller gets, also where a law is broken on the way to it; empty if the call waits."""
    outcome = way.moves[-1].case.outcome
    return outcome.name if outcome is not None else ""


def _goes_on(way: Way) -> bool:
    """Can other calls follow it?  Not behind a crash, nor where a law was broken."""
    return not way.moves[-1].failed and not way.moves[-1].case.crashes


def _injected(way: Way) -> int:
    """How much was made to fail."""
    return sum(name.startswith(Role.FAILS.value) and v == "True" for name, v in way.conditions.items())
