# SPDX-License-Identifier: Apache-2.0
"""Fair runs that never leave a set of states: is there one, and which.

A run may stop anywhere, but it must be fair.  A weak constraint (an operation or event that is called fair) is met if
it is not enabled again and again, or taken again and again.  A strong one (a call in flight: the scheduler lets it go
on, and a lock that it waits for is handed to it) is met if it is enabled only now and then, or taken again and again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .explore.graph import Hop, Mask, StateGraph


@dataclass(frozen=True)
class Constraint:
    """What a fair run does not put off for ever: to take one of these cases (with this call in flight)."""

    name: str
    cases: frozenset[int]
    call: int | None = None
    strong: bool = False


class Fairness:
    """Fair runs that stay in a region of a graph."""

    def __init__(self, graph: StateGraph, constraints: Sequence[Constraint], region: Mask) -> None:
        self.whole, self.region = graph, region
        self.graph = graph.part(region)
        self.constraints = constraints
        self.enabled = {c: graph.starts(graph.edges(c.cases, c.call)) for c in constraints}
        self.edges = {c: self.graph.edges(c.cases, c.call) for c in constraints}

    def lasso(self) -> tuple[int, list[Hop], int] | None:
        """A fair run that reaches the region and never leaves it again: first state, edges, where its loop begins."""
        component = self.component(self.region)
        if component is None:
            return None
        path = self.whole.path(self.whole.beginnings, component)
        assert path is not None
        first, stem = path
        entry = stem[-1][1] if stem else first
        return first, [*stem, *self._round(entry, component)], len(stem)

    def component(self, region: Mask) -> Mask | None:
        """States of a region that reach one another and among which a fair run can stay; None if there are none."""
        while True:
            region = self._fair(region)
            if not region.any():
                return None
            component = self._terminal(region)
            unmet = [c for c in self.constraints if c.strong and not self._met(c, component)]
            if not unmet:
                return component
            inside = component.copy()
            for c in unmet:
                inside &= ~self.enabled[c]
            found = self.component(inside)
            if found is not None:
                return found
            region = region & ~component

    def _fair(self, region: Mask) -> Mask:
        """The region without states that cannot start a fair run in it; some of those that are left may not, either."""
        region = self._weakly_fair(region)
        while True:
            before = region
            for c in self.constraints:
                if c.strong and (self.enabled[c] & region).any():
                    rests = self._weakly_fair(region & ~self.enabled[c])  # it is not enabled any more
                    region = self._weakly_fair(self.graph.backward(rests | self._starts(c, region), region))
            if (region == before).all():
                return region

    def _weakly_fair(self, region: Mask) -> Mask:
        """The states from which some run in the region meets every constraint, taken as weak ones."""
        while True:
            before = region
            for c in self.constraints:
                good = region & (~self.enabled[c] | self._starts(c, region))
                if (good != region).any():
                    region = self.graph.backward(good, region)
            if (region == before).all():
                return region

    def _starts(self, c: Constraint, within: Mask) -> Mask:
        return self.graph.starts(self.graph.staying(self.edges[c], within))

    def _met(self, c: Constraint, component: Mask) -> bool:
        idle = not (self.enabled[c] & component).any()
        return idle or self.graph.staying(self.edges[c], component).size > 0

    def _terminal(self, region: Mask) -> Mask:
        """A strongly connected component that cannot be left within the region."""
        graph, start = self.graph, int(region.argmax())  # states are numbered breadth first: begin with a near one
        while True:
            ahead = graph.forward(graph.one(start), region)
            component = graph.backward(graph.one(start), ahead)
            if (component == ahead).all():
                return component
            start = int((ahead & ~component).argmax())

    def _round(self, entry: int, component: Mask) -> list[Hop]:
        """Edges from a state of a component back to it, on which every constraint is met once."""
        graph, at, loop = self.graph, entry, list[Hop]()
        taken: set[int] = set()
        for c in self.constraints:
            enabled = self.enabled[c]
            visited = [entry, *(target for _, target in loop)]
            mine = self.graph.staying(self.edges[c], component)
            if not (enabled & component).any() or taken & set(mine.tolist()):
                continue
            if not c.strong and not all(enabled[s] for s in visited):
                continue
            idle = component & ~enabled
            rests = not c.strong and bool(idle.any())
            path = graph.path(graph.one(at), idle if rests else graph.starts(mine), component)
            assert path is not None
            loop += path[1]
            at = loop[-1][1] if loop else entry
            if not rests:
                edge = int(mine[(graph.source[mine] == at).argmax()])
                taken.add(edge)
                loop.append(graph.hop(edge))
                at = loop[-1][1]
        if loop:
            back = graph.path(graph.one(at), graph.one(entry), component)
            assert back is not None
            loop += back[1]
        return loop
