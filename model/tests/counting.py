# SPDX-License-Identifier: Apache-2.0
"""Counting what can be reached, whatever the states are and whoever says what follows them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import TypeVar

S = TypeVar("S", bound=Hashable)


@dataclass(frozen=True)
class Count:
    """Reachable states; pairs of different states of which one follows the other; what can be done in all of them.

    A call counts once for each state in which it can be made, its arguments, the row (or the law that is found broken)
    and the state after it.
    """

    states: int
    arcs: int
    calls: int


def counted(initial: Iterable[S], moves: Callable[[S], Iterable[tuple[Hashable, str, S]]]) -> Count:
    """Count what is reached from the initial states; a move is a call, a row, and the state after it."""
    seen = set(initial)
    todo = list(seen)
    arcs = calls = 0
    for s in todo:  # it grows
        found = set(moves(s))
        behind = {after for _, _, after in found} - {s}
        calls += len(found)
        arcs += len(behind)
        todo += behind - seen
        seen |= behind
    return Count(len(seen), arcs, calls)
