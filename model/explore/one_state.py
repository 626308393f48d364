# SPDX-License-Identifier: Apache-2.0
"""The numpy engine's moves from one state: its tables, asked the way the interpreter is asked.

An exploration never needs them; they are there so that the engine can be held against the others, step by step.
"""

from __future__ import annotations

from ..evaluate import Interpreter
from ..program import Found
from ..trace import State
from .clusters import Clusters
from .expansion import Chunk, Watcher
from .ground import Grounder
from .packing import Words
from .tables import Rule, Tables


class TableMoves:
    """The tables of one specification in one scope; nothing is explored.

    Raises TooLarge where the numpy engine is the wrong one.

    >>> TableMoves(machine).found(state) == set(machine.found(state))          # doctest: +SKIP
    True
    """

    def __init__(self, machine: Interpreter) -> None:
        self.machine = machine
        ground = Grounder(machine.layout)
        self.clusters = Clusters(ground, ground.ground())
        self.tables = Tables(self.clusters)

    def found(self, state: State) -> set[Found]:
        """All moves from a state that some run may reach, as `Interpreter.found` has them; of failed checks the first.

        Raises KeyError for a state that holds an object as no run leaves it.
        """
        raised = [x + b for x, b in zip(state, self.clusters.ground.base, strict=True)]
        words = self.clusters.packed([raised])
        watcher = _Taken()
        out = Chunk(self.tables, words, watcher).successors()
        after = {r: self._decoded(w) for r, w in zip(out.rules, out.words, strict=True)}
        return {(r.action.case, r.action.values, after.get(r, state), watcher.failed.get(r, ())) for r in watcher.rules}

    def _decoded(self, words: Words) -> State:
        return self.clusters.decode([int(w[0]) for w in words])


class _Taken(Watcher):
    """Which rules one state takes, and which checks fail."""

    def __init__(self) -> None:
        self.rules: list[Rule] = []
        self.failed: dict[Rule, tuple[str, ...]] = {}

    def taken(self, rule: Rule, count: int) -> None:
        """Remember the rule."""
        self.rules.append(rule)

    def cares(self, id: str) -> bool:
        """About every check."""
        return True

    def violated(self, id: str, words: Words, at: int, rule: Rule, check: bool) -> None:
        """Remember the check."""
        if check:
            self.failed[rule] = (id,)
