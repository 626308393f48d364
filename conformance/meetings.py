# SPDX-License-Identifier: Apache-2.0
"""Two calls at once: every way in which their steps may be mixed.

A call alone is the simple case, so that what is held against an observation is always a `Joint`: one way for each call,
and the one state that they lead to.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

from accelspec.model.trace import Move, State
from accelspec.spec.language.terms import Kind

from .calls import Calls, Objects, Request, Way

MOST_NODES = 4000


@dataclass(frozen=True)
class Joint:
    """How one call went, or two at once: a way for each, and the state when all are over."""

    ways: tuple[Way, ...]
    after: State
    freed: frozenset[tuple[Kind, int]]

    @classmethod
    def alone(cls, way: Way) -> Joint:
        """Of one call."""
        return cls((way,), way.after, way.freed)

    @cached_property
    def rows(self) -> frozenset[str]:
        """All rows of all its steps."""
        return frozenset(row for way in self.ways for row in way.rows)


@dataclass(frozen=True)
class Node:
    """Somewhere in the middle: the steps that each call has taken, and what each has created."""

    state: State
    moves: tuple[tuple[Move, ...], ...]
    created: tuple[Objects, ...]
    freed: frozenset[tuple[Kind, int]]

    def done(self, i: int) -> bool:
        """Is this call over?"""
        return bool(self.moves[i]) and self.moves[i][-1].case.outcome is not None

    @property
    def key(self) -> object:
        """What tells it from others that go on in the same way and end with the same report."""
        steps = tuple((ms[-1].case.id, frozenset(m.case.id for m in ms)) if ms else None for ms in self.moves)
        return self.state, steps, tuple(chosen(ms) for ms in self.moves), self.created, self.freed

    def joint(self) -> Joint:
        """The node at which all calls are over."""
        ways = (Way(ms, created=made) for ms, made in zip(self.moves, self.created, strict=True))
        return Joint(tuple(ways), self.state, self.freed)


def chosen(moves: Iterable[Move]) -> tuple[tuple[int, ...], ...]:
    """What the environment chose in these steps, and all else that they were given."""
    return tuple(move.values for move in moves if len(move.values) > 1)


def joints(calls: Calls, state: State, requests: tuple[Request, ...]) -> tuple[Joint, ...] | str:
    """Every way in which these calls may go at once, or why they must not be made: some way is unsafe, or too many are.

    A call that cannot begin (or go on) while the other stands where it stands waits for it.
    """
    found: dict[object, Joint] = {}
    begin = Node(state, ((),) * len(requests), ((),) * len(requests), frozenset())
    todo, seen = [begin], {begin.key}
    while todo:
        node = todo.pop()
        waits = True
        for i, request in enumerate(requests):
            for move in () if node.done(i) else calls.steps(node.state, request, node.moves[i]):
                if move.failed or move.case.crashes:
                    return Way((*node.moves[i], move)).unsafe
                after = step(calls, node, i, move)
                waits = waits and after.key == node.key  # a look at what it waits for, in vain
                if after.key not in seen:
                    seen.add(after.key)
                    todo.append(after)
        if all(map(node.done, range(len(requests)))):
            found.setdefault(node.key, node.joint())
        elif waits:
            return "they may wait for each other, or for a third call"
        if len(seen) > MOST_NODES:
            return f"there are more than {MOST_NODES} ways to mix their steps"
    return tuple(found.values())


def step(calls: Calls, node: Node, i: int, move: Move) -> Node:
    """The node after one more step of one call."""
    born, died = calls.births(node.state, move.after)
    created = tuple(
        tuple(x for x in made if x not in died) + (born if k == i else ()) for k, made in enumerate(node.created)
    )
    moves = tuple((*ms, move) if k == i else ms for k, ms in enumerate(node.moves))
    old = frozenset(x for x in died if all(x not in made for made in node.created))
    return replace(node, state=move.after, moves=moves, created=created, freed=node.freed | old)
