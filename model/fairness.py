# SPDX-License-Identifier: Apache-2.0
"""Fair runs that never leave a set of states: is there one, and which.

A run may stop anywhere, but it must be fair.  A weak constraint (an operation or event that is called fair) is met if
it is not enabled again and again, or taken again and again.  A strong one (a call in flight: the scheduler lets it go
on, and a lock that it waits for is handed to it) is met if it is enabled only now and then, or taken again and again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .explore.graph import Ids, Mask, StateGraph


@dataclass(frozen=True)
class Constraint:
    """What a fair run does not put off for ever: to take one of these edges."""

    name: str
    edges: Ids
    enabled: Mask  # where one of them starts
    strong: bool = False


def constraint(graph: StateGraph, name: str, chosen: Mask, strong: bool = False) -> Constraint:
    """The constraint to take the chosen edges."""
    enabled = np.zeros(graph.count, np.bool_)
    enabled[graph.source[chosen]] = True
    return Constraint(name, chosen.nonzero()[0], enabled, strong)


class Fairness:
    """Fair runs in a graph."""

    def __init__(self, graph: StateGraph, constraints: Sequence[Constraint]) -> None:
        self.graph, self.constraints = graph, constraints

    def lasso(self, region: Mask) -> tuple[int, list[int], int] | None:
        """A fair run that reaches the region and never leaves it: first state, edges, and where its loop begins."""
        component = self.component(region)
        if component is None:
            return None
        path = self.graph.path(self.graph.beginnings, component)
        assert path is not None
        first, stem = path
        entry = int(self.graph.target[stem[-1]]) if stem else first
        return first, [*stem, *self._round(entry, component)], len(stem)

    def component(self, region: Mask) -> Mask | None:
        """States of a region that reach one another and among which a fair run can stay; None if there are none."""
        while True:
            region = self._weakly_fair(region)
            if not region.any():
                return None
            component = self._terminal(region)
            unmet = [c for c in self.constraints if c.strong and not self._met(c, component)]
            if not unmet:
                return component
            inside = component.copy()
            for c in unmet:
                inside &= ~c.enabled
            found = self.component(inside)
            if found is not None:
                return found
            region = region & ~component

    def _weakly_fair(self, region: Mask) -> Mask:
        """The states from which some run in the region meets every constraint, taken as weak ones."""
        while True:
            before = region
            for c in self.constraints:
                region = self.graph.backward(region & (~c.enabled | self._starts(c, region)), region)
            if (region == before).all():
                return region

    def _starts(self, c: Constraint, within: Mask) -> Mask:
        out = np.zeros(self.graph.count, np.bool_)
        out[self.graph.source[self._inside(c, within)]] = True
        return out

    def _inside(self, c: Constraint, within: Mask) -> Ids:
        """The edges of a constraint that start and end in a set."""
        source, target = self.graph.source[c.edges], self.graph.target[c.edges]
        return c.edges[within[source] & (target >= 0) & within[target]]

    def _met(self, c: Constraint, component: Mask) -> bool:
        return not (c.enabled & component).any() or self._inside(c, component).size > 0

    def _terminal(self, region: Mask) -> Mask:
        """A strongly connected component that cannot be left within the region."""
        graph, start = self.graph, int(region.argmax())  # states are numbered breadth first: begin with a near one
        while True:
            ahead = graph.forward(graph.one(start), region)
            component = graph.backward(graph.one(start), ahead)
            if (component == ahead).all():
                return component
            start = int((ahead & ~component).argmax())

    def _round(self, entry: int, component: Mask) -> list[int]:
        """Edges from a state of a component back to it, on which every constraint is met once."""
        graph, at, loop = self.graph, entry, list[int]()
        for c in self.constraints:
            visited = [entry, *(int(graph.target[e]) for e in loop)]
            if not (c.enabled & component).any() or np.isin(loop, c.edges).any():
                continue
            if not c.strong and not all(c.enabled[s] for s in visited):
                continue
            idle = component & ~c.enabled
            rests = not c.strong and bool(idle.any())
            edges = self._inside(c, component)
            path = graph.path(graph.one(at), idle if rests else self._starts(c, component), component)
            assert path is not None
            loop += path[1]
            at = int(graph.target[loop[-1]]) if loop else entry
            if not rests:
                loop.append(int(edges[(graph.source[edges] == at).argmax()]))
                at = int(graph.target[loop[-1]])
        if loop:
            back = graph.path(graph.one(at), graph.one(entry), component)
            assert back is not None
            loop += back[1]
        return loop
