# SPDX-License-Identifier: Apache-2.0
"""Progress: deadlocks, what can always still happen, and what must happen if the world is fair.

An `eventually` is about every reachable state: from there the goal can be reached; and, if the property names fair
operations, it is reached on every fair run (see `fairness`; calls in flight always go on).  `deadlock` says that
every call in flight can always still end.  A run that ends by a failed assert, by a crash, or because the scope has
no more objects may lead anywhere: what lies behind is unknown, and not held against the specification.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from accelspec.spec.language.specification import Class, Form, Property, Specification
from accelspec.spec.language.terms import Kind, Not, Read, Var

from .evaluate import Interpreter
from .explore.explored import Replay
from .explore.graph import Hop, Mask, StateGraph, state_graph
from .explore.ground import Stopped
from .fairness import Constraint, Fairness
from .layout import full_scope
from .lock_order import Cycle, cycle_text, lock_cycles, takers
from .scope_limits import with_limits
from .trace import State, Trace
from .verdict import Budget, Status, Verdict

DEADLOCK = "deadlock"
GIB = 1 << 30


def progress(
    spec: Specification,
    scope: Mapping[str, int] | None = None,
    budget: Budget | None = None,
    engine: str = "numpy",
    *,
    memory: int = 2 * GIB,
    replay: Replay | None = None,
) -> list[Verdict]:
    """Verdicts on every `eventually`, on the lock graph, and on `deadlock` if there are operations in steps.

    Empty, and at once, if there is nothing of the sort.  Counterexamples are replayed as in `explore`; one that does
    not reach an end has `Trace.loop`.  Raises ValueError for an unknown kind.
    """
    budget = budget or Budget()
    asked = [p for p in spec.properties if p.form is Form.EVENTUALLY or p.cls is Class.LOCK_GRAPH]
    calls = [k for k in spec.kinds if k.is_call]
    if not asked and not calls:
        return []
    machine = Interpreter(with_limits(spec), full_scope(spec, scope))
    graph = state_graph(machine, budget, memory, engine)
    return _Progress(spec, machine, graph, budget, f"progress:{engine}", replay).run()


class _Progress:
    def __init__(
        self,
        spec: Specification,
        machine: Interpreter,  # of the specification with limits: its own cases come first
        graph: StateGraph,
        budget: Budget,
        engine: str,
        replay: Replay | None,
    ) -> None:
        self.spec, self.machine, self.graph = spec, machine, graph
        self.budget, self.engine, self.replay = budget, engine, replay

    def run(self) -> list[Verdict]:
        out = []
        for p in self.spec.properties:
            if p.id in self.spec.not_applicable:
                if p.form is Form.EVENTUALLY or p.cls is Class.LOCK_GRAPH:
                    out.append(self.verdict(p.id, Status.NOT_APPLICABLE, reason=self.spec.not_applicable[p.id]))
            elif p.cls is Class.LOCK_GRAPH:
                out.append(self.within_budget(p.id, partial(self.lock_graph, p)))
            elif p.form is Form.EVENTUALLY:
                out.append(self.within_budget(p.id, partial(self.eventually, p)))
        if any(k.is_call for k in self.spec.kinds):
            out.append(self.within_budget(self.deadlock_id, self.deadlock))
        return out

    def within_budget(self, id: str, decide: Callable[[], Verdict]) -> Verdict:
        try:
            return decide()
        except Stopped:
            return self.verdict(id, Status.UNKNOWN, reason="out of budget")

    def verdict(self, id: str, status: Status, trace: Trace | None = None, reason: str = "") -> Verdict:
        scope = None if status is Status.PROVED else self.machine.scope
        return Verdict(id, status, self.engine, scope, None, trace, reason, self.budget.elapsed)

    def violated(self, id: str, trace: Trace, reason: str) -> Verdict:
        """A violation, if the interpreter and `replay` follow the trace."""
        if not self.machine.replays(trace) or (self.replay is not None and not self.replay(trace)):
            return self.verdict(id, Status.UNKNOWN, reason=f"the counterexample cannot be replayed: {reason}")
        return self.verdict(id, Status.VIOLATED, trace, reason)

    # ------------------------------------------------------------------ what can always still happen

    def stuck(self, goal: Mask) -> Trace | None:
        """A shortest run to a state from which no state of the goal can be reached."""
        hopeless = ~self.graph.backward(goal | self.graph.ended)
        if not hopeless.any():
            return None
        path = self.graph.path(self.graph.beginnings, hopeless)
        assert path is not None
        return self.trace(*path)

    @property
    def deadlock_id(self) -> str:
        """The law that calls end, where the machine states one and no assert judges it."""
        judged = {k.property for c in self.spec.cases for k in c.checks} | set(self.spec.not_applicable)
        stated = (p.id for p in self.spec.properties if p.form is Form.CHECK and p.cls is Class.PROGRESS)
        return next((id for id in stated if id not in judged), DEADLOCK)

    def deadlock(self) -> Verdict:
        id = self.deadlock_id
        if self.graph.stopped:
            return self.verdict(id, Status.UNKNOWN, reason=self.graph.stopped)
        found: list[Trace] = []
        for k, i in self.calls():
            call, live = Var("call", k), self.machine.layout.live(k)
            assert live is not None
            trace = self.stuck(self.graph.where(Not(Read(live, (call,))), {call: i}))
            found += [trace] if trace else []
        if not found:
            return self.verdict(id, Status.EXHAUSTED)
        trace = min(found, key=len)
        return self.violated(id, trace, "; ".join(self.standing(list(trace.states())[-1])))

    def standing(self, state: State) -> list[str]:
        """Where the calls in flight stand: `open() stands at 'waits for q.mutex, holding d.mutex'`."""
        out = []
        for k, i in self.calls():
            if self.machine.value(state, f"{k.name}.live", i):
                at = self.machine.value(state, f"{k.name}.at", i)
                out.append(f"{k.name} stands at {self.spec.steps[k.name.removesuffix('()')][at - 1]!r}")
        return out

    def calls(self) -> Iterator[tuple[Kind, int]]:
        """The calls in flight that the scope has room for."""
        for k in self.spec.kinds:
            if k.is_call:
                yield from ((k, i) for i in range(self.machine.scope[k.name]))

    def trace(self, start: int, hops: Sequence[Hop], loop: int | None = None) -> Trace:
        """A run of the specification as it was given."""
        return replace(self.graph.trace(start, hops, loop), spec=self.spec)

    # ------------------------------------------------------------------ what must happen

    def eventually(self, p: Property) -> Verdict:
        if self.graph.stopped:
            return self.verdict(p.id, Status.UNKNOWN, reason=self.graph.stopped)
        goal = self.graph.where(p.term, {})
        if (trace := self.stuck(goal)) is not None:
            return self.violated(p.id, trace, "from here it can never be reached")
        if not p.fair:
            return self.verdict(p.id, Status.EXHAUSTED, reason="it can always still be reached; no fairness is stated")
        found = Fairness(self.graph, [*self.fair(p), *self.calls_go_on()], ~goal).lasso()
        if found is None:
            return self.verdict(p.id, Status.EXHAUSTED)
        start, hops, loop = found
        trace = self.trace(start, hops, loop)
        how = "the last moves repeat for ever" if len(trace) > loop else "nothing more happens"
        return self.violated(p.id, trace, f"{how}, and it is never reached")

    def fair(self, p: Property) -> Iterator[Constraint]:
        """The operations and events that the property calls fair."""
        for name in p.fair:
            yield Constraint(name, frozenset(n for n, c in enumerate(self.machine.spec.cases) if c.operation == name))

    def calls_go_on(self) -> Iterator[Constraint]:
        """Every call in flight."""
        for k, i in self.calls():
            steps = (n for n, c in enumerate(self.machine.spec.cases) if c.step and f"{c.operation}()" == k.name)
            yield Constraint(f"{k.name} {i}", frozenset(steps), i, strong=True)

    # ------------------------------------------------------------------ the lock graph

    def lock_graph(self, p: Property) -> Verdict:
        """Acyclic for any number of objects; or violated, by a run in which the locks are taken in both orders."""
        cycles = lock_cycles(self.spec)
        if not cycles:
            edges = len({(e.held, e.wanted) for e in self.spec.lock_order})
            return self.verdict(p.id, Status.PROVED, reason=f"no cycle among {edges} orders of two locks")
        if not self.graph.stopped:
            traces = [(t, c) for c in cycles if (t := self._all_orders(c)) is not None]
            if traces:
                trace, cycle = min(traces, key=lambda tc: len(tc[0]))
                return self.violated(p.id, trace, cycle_text(cycle))
        why = self.graph.stopped or "no run of this scope takes them in all these orders"
        return self.verdict(p.id, Status.UNKNOWN, reason=f"{why}: {cycle_text(cycles[0])}")

    def _all_orders(self, cycle: Cycle) -> Trace | None:
        """A run, as short as going from one to the next makes it, in which every order of the cycle occurs."""
        graph = self.graph
        everywhere = np.ones(graph.count, np.bool_)
        orders = [{n for e in place for n in takers(self.spec, e)} for place in cycle]
        places = [graph.staying(graph.edges(cases), everywhere) for cases in orders]
        best: Trace | None = None
        for turn in range(len(places)):
            start, hops = -1, list[Hop]()
            at = graph.beginnings
            for edges in places[turn:] + places[:turn]:
                path = graph.path(at, graph.starts(edges))
                if path is None:
                    break
                first, found = path
                start = first if start < 0 else start
                end = found[-1][1] if found else first
                hops += [*found, graph.hop(int(edges[(graph.source[edges] == end).argmax()]))]
                at = graph.one(hops[-1][1])
            else:
                trace = self.trace(start, hops)
                best = trace if best is None or len(trace) < len(best) else best
        return best
