# SPDX-License-Identifier: Apache-2.0
"""The graph of reachable states, as arrays: what can be reached from where, and how."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from accelspec.spec.language.specification import Case, Role
from accelspec.spec.language.terms import Term, Var

from ..evaluate import Interpreter
from ..trace import Move, State, Trace
from ..verdict import Budget
from .expansion import Chunk, Positions, Watcher
from .frontier import Frontier, chunks
from .ground import Stopped, TooLarge
from .packing import Words
from .search import Search
from .tables import Rule

Values = Mapping[Var, int]  # of parameters, as they lie in cells
Mask = NDArray[np.bool_]
Ids = NDArray[np.int64]
Hop = tuple[int, int]  # an edge: its case, and the state it leads to

EDGE = 48  # bytes for an edge: its ends and its case, and both orders by which edges are found


@dataclass(frozen=True)
class StateGraph:
    """States are numbered, in breadth-first order; an edge is a move that changes the state.  Edges may be double.

    Whoever searches it gets Stopped when the budget is spent.  An edge whose target is -1 is a move that ends the
    run, by a failed check or a crash.  `stopped` says why the graph is not complete; then it is empty.
    """

    machine: Interpreter
    count: int
    initial: int  # the first so many are the initial states
    source: Ids
    target: Ids
    case: NDArray[np.int32]
    call: NDArray[np.int32]  # which call in flight it is that moves; -1: none
    state: Callable[[int], State]
    where: Callable[[Term, Values], Mask]  # the states in which a term is true, its parameters being so
    budget: Budget
    stopped: str = ""

    @cached_property
    def ended(self) -> Mask:
        """The states in which a run can end."""
        out = np.zeros(self.count, np.bool_)
        out[self.source[self.target < 0]] = True
        return out

    # ------------------------------------------------------------------ sets of states and of edges

    def one(self, i: int) -> Mask:
        """The set of one state."""
        out = np.zeros(self.count, np.bool_)
        out[i] = True
        return out

    @cached_property
    def beginnings(self) -> Mask:
        """The initial states."""
        out = np.zeros(self.count, np.bool_)
        out[: self.initial] = True
        return out

    def edges(self, cases: Collection[int], call: int | None = None) -> Ids:
        """The edges of these cases (of this call in flight), those that end a run, too."""
        chosen = np.isin(self.case, list(cases))
        return (chosen if call is None else chosen & (self.call == call)).nonzero()[0]

    def starts(self, edges: Ids) -> Mask:
        """The states at which edges start."""
        out = np.zeros(self.count, np.bool_)
        out[self.source[edges]] = True
        return out

    def staying(self, edges: Ids, within: Mask) -> Ids:
        """Those of some edges that start and end in a set."""
        source, target = self.source[edges], self.target[edges]
        return edges[within[source] & (target >= 0) & within[target]]

    def part(self, within: Mask) -> StateGraph:
        """The same states, but only the edges that start and end in a set."""
        on = self.staying(np.arange(self.source.size), within)
        return replace(self, source=self.source[on], target=self.target[on], case=self.case[on], call=self.call[on])

    # ------------------------------------------------------------------ reachability

    @cached_property
    def _by_source(self) -> tuple[Ids, Ids]:
        return _ordered(self.source, self.target >= 0, self.count)

    @cached_property
    def _by_target(self) -> tuple[Ids, Ids]:
        return _ordered(self.target, self.target >= 0, self.count)

    def backward(self, goal: Mask, within: Mask | None = None) -> Mask:
        """The states from which a state of `goal` can be reached, all on the way (both ends, too) in `within`."""
        return self._reach(goal, within, self._by_target, self.source)

    def forward(self, start: Mask, within: Mask | None = None) -> Mask:
        """The states that can be reached from `start`."""
        return self._reach(start, within, self._by_source, self.target)

    def _reach(self, start: Mask, within: Mask | None, order: tuple[Ids, Ids], far: Ids) -> Mask:
        seen = start.copy() if within is None else start & within
        open_ = ~seen if within is None else within & ~seen
        frontier = seen.nonzero()[0]
        while frontier.size:
            self._check()
            ends = far.take(_edges_at(frontier, order))
            ends = ends[open_.take(ends)]
            seen[ends] = True
            open_[ends] = False
            frontier = self._each_once(ends)
        return seen

    def _check(self) -> None:
        if self.budget.spent:
            raise Stopped

    def _each_once(self, states: Ids) -> Ids:
        if states.size < self.count >> 4:
            return np.unique(states)
        mask = np.zeros(self.count, np.bool_)
        mask[states] = True
        return mask.nonzero()[0]

    def path(self, start: Mask, goal: Mask, within: Mask | None = None) -> tuple[int, list[Hop]] | None:
        """A shortest path: its first state, and its edges; None if there is none."""
        start = start if within is None else start & within
        frontier = start.nonzero()[0]
        came = np.full(self.count, -1, np.int64)  # the edge by which a state was reached
        open_ = ~start if within is None else within & ~start
        while frontier.size:
            self._check()
            hits = frontier[goal.take(frontier)]
            if hits.size:
                return self._unwind(int(hits[0]), start, came)
            edges = _edges_at(frontier, self._by_source)
            edges = edges[open_.take(self.target.take(edges))]
            ends = self.target.take(edges)
            came[ends] = edges
            open_[ends] = False
            frontier = self._each_once(ends)
        return None

    def _unwind(self, at: int, start: Mask, came: Ids) -> tuple[int, list[Hop]]:
        hops: list[Hop] = []
        while not start[at]:
            edge = int(came[at])
            hops.append(self.hop(edge))
            at = int(self.source[edge])
        return at, hops[::-1]

    def hop(self, edge: int) -> Hop:
        """An edge as its case and the state it leads to."""
        return int(self.case[edge]), int(self.target[edge])

    # ------------------------------------------------------------------ traces

    def trace(self, start: int, hops: Sequence[Hop], loop: int | None = None) -> Trace:
        """The run along these edges, as the interpreter finds it; from move `loop` on it repeats for ever."""
        state, moves = self.state(start), list[Move]()
        for n, target in hops:
            case, after = self.machine.spec.cases[n], self.state(target)
            moves.append(next(m for m in self.machine.moves(state) if m.case is case and m.after == after))
            state = after
        return Trace(self.machine.spec, self.machine.scope, self.state(start), tuple(moves), loop)


def _ordered(key: Ids, on: Mask, count: int) -> tuple[Ids, Ids]:
    """Those edges ordered by a key, and where each key's edges begin."""
    edges = on.nonzero()[0]
    key = key.take(edges)
    begins = np.zeros(count + 1, np.int64)
    np.cumsum(np.bincount(key, minlength=count), out=begins[1:])
    return edges.take(np.argsort(key, kind="stable")), begins


def _edges_at(states: Ids, order: tuple[Ids, Ids]) -> Ids:
    edges, begins = order
    first = begins.take(states)
    n = begins.take(states + 1) - first
    offsets = np.arange(n.sum()) - np.repeat(np.cumsum(n) - n, n)
    out: Ids = edges.take(np.repeat(first, n) + offsets)
    return out


# ---------------------------------------------------------------------- building


def state_graph(machine: Interpreter, budget: Budget, memory: int, engine: str = "numpy") -> StateGraph:
    """The graph of all reachable states; without edges, and `stopped`, if the budget or the memory does not suffice."""
    if engine == "numpy":
        try:
            return _packed(machine, budget, memory)
        except TooLarge:
            pass
    return _plain(machine, budget, memory)


class _Edges(Watcher):
    """Collects edges."""

    minds_ends = True

    def __init__(self, cases: Sequence[Case]) -> None:
        self._calls = [_call_parameter(c) for c in cases]
        self.first = 0  # number of the chunk's first state
        self.count = 0
        self._parts: list[tuple[Ids, Ids, NDArray[np.int32], NDArray[np.int32]]] = []

    def ended(self, rule: Rule, at: Positions) -> None:
        """An edge that ends the run."""
        self.add(rule, at, np.full(at.size, -1))

    def add(self, rule: Rule, at: Positions, target: Ids) -> None:
        """Edges from states of the chunk."""
        source, n = self.first + at, rule.action.case
        on = source != target
        place = self._calls[n]
        call = -1 if place is None else rule.action.values[place]
        many = int(np.count_nonzero(on))
        self._parts.append((source[on], target[on], np.full(many, n, np.int32), np.full(many, call, np.int32)))
        self.count += many

    def arrays(self) -> tuple[Ids, Ids, NDArray[np.int32], NDArray[np.int32]]:
        """Sources, targets, cases and calls."""
        if not self._parts:
            return _no_edges()
        source, target, case, call = zip(*self._parts, strict=True)
        return np.concatenate(source), np.concatenate(target), np.concatenate(case), np.concatenate(call)


class _Numbers:
    """The number of a packed state: its place among all."""

    def __init__(self, states: Words) -> None:
        self._known: list[NDArray[np.uint64]] = []  # of each further word, the distinct pairs of a rank and the word
        self._words: list[NDArray[np.uint64]] = []
        key = states[0]
        for w in states[1:]:
            self._known.append(np.unique(key))
            self._words.append(np.unique(w))
            key = self._pair(len(self._known) - 1, key, w)
        self._order = np.argsort(key)
        self._sorted = key[self._order]

    def _pair(self, i: int, key: NDArray[np.uint64], w: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Two words as one: their ranks among those that occur."""
        rank = np.searchsorted(self._known[i], key) * self._words[i].size + np.searchsorted(self._words[i], w)
        return rank.astype(np.uint64)

    def of(self, states: Words) -> Ids:
        """Their numbers; all are known."""
        key = states[0]
        for i, w in enumerate(states[1:]):
            key = self._pair(i, key, w)
        out: Ids = self._order.take(np.searchsorted(self._sorted, key))
        return out


def _packed(machine: Interpreter, budget: Budget, memory: int) -> StateGraph:
    search = Frontier(machine, budget, memory)
    tables = search.search()
    if tables is None or search.stopped:
        return _nothing(machine, search.stopped)
    states = tuple(np.concatenate(ws) for ws in zip(*search.levels, strict=True))
    numbers, edges = _Numbers(states), _Edges(machine.spec.cases)
    for words in chunks(states):
        if budget.spent:
            return _nothing(machine, "out of budget")
        out = Chunk(tables, words, edges).successors()
        for after, rule, at in zip(out.words, out.rules, out.sources, strict=True):
            edges.add(rule, at, numbers.of(after))
        edges.first += words[0].size
        if edges.count * EDGE > memory:
            return _nothing(machine, f"out of memory: the limit is {memory:,} bytes")

    def state(i: int) -> State:
        return tables.clusters.decode([int(w[i]) for w in states])

    def where(t: Term, values: Values) -> Mask:
        ground = tables.clusters.ground
        env = {v: ground.constant(v.type, x + ground.layout.base(v.type)) for v, x in values.items()}
        condition = tables.condition(ground.term(t, env, {}))
        return np.concatenate([Chunk(tables, ws, Watcher()).mask(condition) for ws in chunks(states)])

    return StateGraph(machine, search.states, len(search.levels[0][0]), *edges.arrays(), state, where, budget)


def _plain(machine: Interpreter, budget: Budget, memory: int) -> StateGraph:
    search = Search(machine, memory)
    first = len(search.parents)
    reached = search.run(budget)
    if reached.stopped:
        return _nothing(machine, reached.stopped)
    states = list(search.parents)
    numbers = {s: i for i, s in enumerate(states)}
    edges: list[tuple[int, int, int, int]] = []
    calls = [_call_parameter(c) for c in machine.spec.cases]
    for i, s in enumerate(states):
        if i % 1024 == 0 and budget.spent:
            return _nothing(machine, "out of budget")
        for n, values, t, failed in machine.found(s):
            place = calls[n]
            call = -1 if place is None else values[place]
            if failed or machine.spec.cases[n].crashes:
                edges.append((i, -1, n, call))
            elif t != s:
                edges.append((i, numbers[t], n, call))
    columns = list(zip(*edges, strict=True)) or [(), (), (), ()]
    source, target = (np.array(c, np.int64) for c in columns[:2])
    case, call_of = (np.array(c, np.int32) for c in columns[2:])

    def where(t: Term, values: Values) -> Mask:
        f = machine.function(t, tuple(values))
        return np.fromiter((bool(f(s, s, *values.values())) for s in states), np.bool_, len(states))

    return StateGraph(machine, len(states), first, source, target, case, call_of, states.__getitem__, where, budget)


def _call_parameter(c: Case) -> int | None:
    """The place of the call in flight among the parameters of a case."""
    return next((i for i, p in enumerate(c.params) if p.role is Role.CALL), None)


def _no_edges() -> tuple[Ids, Ids, NDArray[np.int32], NDArray[np.int32]]:
    return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int32)


def _nothing(machine: Interpreter, stopped: str) -> StateGraph:
    def no_state(i: int) -> State:
        raise IndexError(i)

    return StateGraph(machine, 0, 0, *_no_edges(), no_state, lambda t, v: np.zeros(0, np.bool_), Budget(), stopped)
