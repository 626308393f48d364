# SPDX-License-Identifier: Apache-2.0
"""The numpy explorer: breadth first, a whole frontier of packed states at a time.

The frontiers are kept, so that a shortest run to any state is found by expanding them again, backwards.  Of several
shortest runs the plainest is shown: calls that succeed, and at its end the row that the revision lists.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from accelspec.spec.language.answers import Errno
from accelspec.spec.language.specification import Role, Violation
from accelspec.spec.language.terms import Term

from ..evaluate import Interpreter
from ..trace import Move, State, Trace
from ..verdict import Budget
from .clusters import Clusters
from .expansion import Chunk, Watcher, first_false
from .explored import Reached
from .ground import Grounder, Stopped
from .packing import Words
from .tables import Rule, Tables
from .visited import Visited

Packed = tuple[int, ...]  # one state, as words

CHUNK = 1 << 15  # states that are expanded at once
NEW, WORKING = 4, 1 << 10  # for each of them, roughly: new states; bytes while it is expanded


@dataclass(frozen=True)
class Hit:
    """A shortest way to break (or reach) a property: a state, and a rule if it takes one more move."""

    level: int
    state: Packed
    rule: Rule | None = None
    check: bool = False

    @property
    def length(self) -> int:
        """Moves to it."""
        return self.level + (self.rule is not None)


class Frontier(Watcher):
    """One exploration."""

    def __init__(self, machine: Interpreter, budget: Budget, memory: int) -> None:
        self.machine, self.budget, self.memory = machine, budget, memory
        self.cases = [0] * len(machine.spec.cases)
        self.violations: dict[str, Hit] = {}
        self.witnesses: dict[str, Hit] = {}
        self.met: set[tuple[str, Term]] = set()
        self.levels: list[Words] = []
        self.level, self.depth, self.states = 0, -1, 0
        self.stopped = ""

    # ------------------------------------------------------------------ what is seen on the way

    def taken(self, rule: Rule, count: int) -> None:
        """Count them."""
        self.cases[rule.action.case] += count

    def cares(self, id: str) -> bool:
        """Yes, unless a way is known that is shorter than one by a step from this level, or as short and plain."""
        hit = self.violations.get(id)
        return hit is None or (hit.length > self.level and self._oddity(id, hit) > (0, 0))

    def violated(self, id: str, words: Words, at: int, rule: Rule | None, check: bool) -> None:
        """Remember the shortest way to it; of several, the plainest."""
        hit, known = Hit(self.level, tuple(int(w[at]) for w in words), rule, check), self.violations.get(id)
        if known is None or (hit.length, self._oddity(id, hit)) < (known.length, self._oddity(id, known)):
            self.violations[id] = hit

    def _oddity(self, id: str, hit: Hit) -> tuple[int, int]:
        """What its last move asks of a reader."""
        return (0, 0) if hit.rule is None else _oddity(self.machine, hit.rule, self.machine.spec.known.get(id))

    def _look(self, chunk: Chunk, tables: Tables) -> None:
        """Evaluate the properties of single states, as long as something is to be learnt from them."""
        for id, c in tables.always:
            hit = self.violations.get(id)
            if hit is None or hit.length > self.level:
                i = first_false(chunk.mask(c))
                if i is not None:
                    self.violated(id, chunk.words, i, None, False)
        for id, c in tables.sometimes:
            if id not in self.witnesses and c is not False:
                i = first_false(~chunk.mask(c))
                if i is not None:
                    self.witnesses[id] = Hit(self.level, tuple(int(w[i]) for w in chunk.words))
        for d, c in tables.domains:
            if d not in self.met and c is not False and chunk.mask(c).any():
                self.met.add(d)

    # ------------------------------------------------------------------ the search

    def run(self) -> Reached:
        """Search, and find the traces.  Raises TooLarge if this engine is the wrong one for the specification."""
        tables = self.search()
        if tables is None:
            return Reached(0, 0, -1, self.stopped, self.cases, {}, {}, frozenset())
        traces = Backwards(self.machine, tables, self.levels)
        return Reached(
            self.states,
            sum(self.cases),
            self.depth,
            self.stopped,
            self.cases,
            {id: traces.to(hit, id) for id, hit in self.violations.items()},
            {id: traces.to(hit, id) for id, hit in self.witnesses.items()},
            frozenset(self.met),
        )

    def search(self) -> Tables | None:
        """Compile the tables and search until there is nothing new, or the budget or the memory is spent.

        None if it is spent before the tables are ready.
        """
        try:
            ground = Grounder(self.machine.layout, self._check)
            clusters = Clusters(ground, ground.ground())
            tables = Tables(clusters)
        except Stopped:
            self.stopped = "out of budget"
            return None
        self.budget.tell(f"{len(tables.rules):,} rules, {clusters.words} words a state")
        seen = Visited(clusters.words)
        frontier = seen.add(tables.initial)
        while frontier[0].size and not self.stopped:
            self.levels.append(frontier)
            self.level = self.depth + 1
            new = list(self._expand(tables, seen, frontier))
            self.states = len(seen)
            if not self.stopped:
                self.depth += 1
                frontier = tuple(np.concatenate(ws) for ws in zip(*new, strict=True)) if new else _none(clusters.words)
                self.budget.tell(f"depth {self.depth}: {self.states:,} states, {sum(self.cases):,} transitions")
        return tables

    def _expand(self, tables: Tables, seen: Visited, frontier: Words) -> Iterator[Words]:
        for words in chunks(frontier):
            if self._spent(seen, words[0].size):
                return
            chunk = Chunk(tables, words, self)
            self._look(chunk, tables)
            states = chunk.successors().joined()
            del chunk
            if states is not None:
                added = seen.add(states)
                if added[0].size:
                    yield added

    def _check(self) -> None:
        if self.budget.spent:
            raise Stopped

    def _spent(self, seen: Visited, chunk: int) -> bool:
        if self.budget.spent:
            self.stopped = "out of budget"
        else:
            kept = (
                8 * len(self.levels[0]) * len(seen)
            )  # the levels; twice, as the last one is made by joining its parts
            if seen.bytes_with(NEW * chunk) + 2 * kept + WORKING * chunk > self.memory:
                self.stopped = f"out of memory: the limit is {self.memory:,} bytes"
        return bool(self.stopped)


class Backwards:
    """Shortest runs to states that were found: every level is expanded again until a predecessor turns up."""

    def __init__(self, machine: Interpreter, tables: Tables, levels: list[Words]) -> None:
        self.machine, self.tables, self.levels = machine, tables, levels
        self._before: dict[tuple[int, Packed, str], tuple[Rule, Packed]] = {}

    def to(self, hit: Hit, id: str) -> Trace:
        """The run to a hit, as the interpreter knows it."""
        decode = self.tables.clusters.decode
        state, moves = hit.state, list[Move]()
        if hit.rule is not None:
            moves.append(self._last(hit, hit.rule, decode(state), id))
        listed = None if moves else self.machine.spec.known.get(id)
        for level in range(hit.level, 0, -1):
            rule, before = self._predecessor(level, state, listed if level == hit.level else None)
            moves.append(self._move(rule, decode(state)))
            state = before
        return Trace(self.machine.spec, self.machine.scope, decode(state), tuple(reversed(moves)))

    def _move(self, rule: Rule, after: State, failed: tuple[str, ...] = ()) -> Move:
        return Move(self.machine.spec.cases[rule.action.case], rule.action.values, after, failed)

    def _last(self, hit: Hit, rule: Rule, before: State, id: str) -> Move:
        if hit.check:
            return self._move(rule, before, (id,))
        words = tuple(np.array([w], np.uint64) for w in hit.state)
        after = Chunk(self.tables, words, Watcher()).after(rule, np.zeros(1, np.intp))
        return self._move(rule, self.tables.clusters.decode([int(w[0]) for w in after]))

    def _predecessor(self, level: int, state: Packed, listed: Violation | None) -> tuple[Rule, Packed]:
        """The plainest rule that led to a state of a level, and the state that took it."""
        key = (level, state, listed.row if listed else "")
        if key not in self._before:
            self._before[key] = self._search(self.levels[level - 1], state, listed)
        return self._before[key]

    def _search(self, states: Words, goal: Packed, listed: Violation | None) -> tuple[Rule, Packed]:
        for words in chunks(states):
            out = Chunk(self.tables, words, Watcher()).successors()
            ways: list[tuple[tuple[int, int], Rule, int]] = []
            for after, rule, sources in zip(out.words, out.rules, out.sources, strict=True):
                found = after[0] == np.uint64(goal[0])
                for w, x in zip(after[1:], goal[1:], strict=True):
                    found &= w == np.uint64(x)
                if found.any():
                    ways.append((_oddity(self.machine, rule, listed), rule, int(sources[found.argmax()])))
            if ways:
                _, rule, at = min(ways, key=lambda way: way[0])
                return rule, tuple(int(w[at]) for w in words)
        raise AssertionError("a state without a predecessor")


def _oddity(machine: Interpreter, rule: Rule, listed: Violation | None) -> tuple[int, int]:
    """What a move asks of a reader: is it another than the listed one; how many failures are injected, and an error."""
    case = machine.spec.cases[rule.action.case]
    failing = sum(x for p, x in zip(case.params, rule.action.values, strict=True) if p.role is Role.FAILS)
    error = case.outcome not in (None, Errno.OK, Errno.DONE)
    return int(listed is not None and case.id != listed.row), failing + error


def chunks(states: Words) -> Iterator[Words]:
    """The states, some at a time."""
    for i in range(0, states[0].size, CHUNK):
        yield tuple(w[i : i + CHUNK] for w in states)


def _none(words: int) -> Words:
    return tuple(np.empty(0, np.uint64) for _ in range(words))
