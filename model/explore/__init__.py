# SPDX-License-Identifier: Apache-2.0
"""Every reachable state of a finite scope.

`explore` goes through them breadth first and gives counts, how often each row was taken, and a verdict for every
property that can be decided on the way; counterexamples are shortest ones.  The engine "plain" is the oracle; "numpy"
finds exactly the same, faster.
"""

from __future__ import annotations

from collections.abc import Mapping

from accelspec.spec.language.specification import Specification

from ..evaluate import Interpreter
from ..verdict import Budget
from .explored import Explored, Reached, Replay, conclude
from .frontier import Frontier
from .ground import TooLarge
from .search import Search

GIB = 1 << 30

__all__ = ["Explored", "Reached", "Replay", "conclude", "explore"]


def explore(
    spec: Specification,
    scope: Mapping[str, int] | None = None,
    budget: Budget | None = None,
    engine: str = "numpy",
    *,
    memory: int = 2 * GIB,
    replay: Replay | None = None,
) -> Explored:
    """Explore a specification in a scope (by default its own; kinds that it does not name have one object).

    It ends early, with what there is, when the budget is spent or about `memory` bytes are used.  Every trace is
    replayed on the interpreter, and by `replay` if it is given, before it is returned.  Raises ValueError for an
    unknown engine or kind.

    >>> explore(spec, {"Queue": 2}).states                          # doctest: +SKIP
    46
    """
    if engine not in ("numpy", "plain"):
        raise ValueError(f"there is no engine {engine!r}; there are 'numpy' and 'plain'")
    budget = budget or Budget()
    machine = Interpreter(spec, scope)
    if engine == "numpy":
        try:
            reached = Frontier(machine, budget, memory).run()
            return conclude(machine, "explore:numpy", reached, budget.elapsed, replay)
        except TooLarge as e:
            budget.tell(f"{e}: searching plainly")
    return conclude(machine, "explore:plain", Search(machine, memory).run(budget), budget.elapsed, replay)
