# SPDX-License-Identifier: Apache-2.0
"""The numpy explorer against the plain search, on the uacce machine.

For every scope both engines go through the same states, one after the other; the numpy engine three times, of which the
middle counts.  `run` leaves out what it prepares; `all` does not.
"""

from __future__ import annotations

import resource
import statistics
import time

from accelspec.model.explore import Explored, explore
from accelspec.model.verdict import Budget
from accelspec.spec.catalogue import MACHINES
from accelspec.spec.language import Specification, compile_machine

REVISION = "6.12.117"
SCOPES = ("isolation", "one of each", "two processes")
ROUNDS = 3


def timed(spec: Specification, scope: dict[str, int], engine: str) -> tuple[Explored, float, float]:
    """An exploration, the seconds that it took, and those until its search began."""
    began = time.perf_counter()
    ready: list[float] = []
    tell = Budget(tell=lambda _: ready.append(time.perf_counter() - began) if not ready else None)
    found = explore(spec, scope, tell, engine)
    return found, time.perf_counter() - began, ready[0] if engine == "numpy" else 0.0


def main() -> None:
    """Measure, and print one line a scope."""
    spec = compile_machine(MACHINES["uacce"][REVISION])
    print(f"  {spec.name}; times in seconds, `x` is plain / numpy")
    head = ("scope", "states", "transitions", "plain", "prepare", "run", "x run", "x all", "M trans/s", "plain M/s")
    print("  " + f"{head[0]:15}" + "".join(f"{h:>12}" for h in head[1:]))
    for name in SCOPES:
        scope = spec.scopes[name]
        runs = [timed(spec, scope, "numpy") for _ in range(ROUNDS)]
        plain, slow, _ = timed(spec, scope, "plain")
        fast = runs[0][0]
        assert (fast.states, fast.transitions, fast.depth) == (plain.states, plain.transitions, plain.depth)
        total = statistics.median(r[1] for r in runs)
        prepare = statistics.median(r[2] for r in runs)
        run = statistics.median(r[1] - r[2] for r in runs)
        print(
            f"  {name:15}{fast.states:12,}{fast.transitions:12,}{slow:12.2f}{prepare:12.2f}{run:12.2f}"
            f"{slow / run:12.1f}{slow / total:12.1f}{fast.transitions / run / 1e6:12.1f}"
            f"{plain.transitions / slow / 1e6:12.2f}"
        )
    print(f"  peak memory of the process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB")
