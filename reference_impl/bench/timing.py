# SPDX-License-Identifier: Apache-2.0
"""Measuring two pieces of code against each other, in turn, so that what else the machine does hits both."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter


@dataclass(frozen=True, slots=True)
class Ratio:
    """Seconds of one piece and of the bare one: the best of each, and the median of each."""

    best: float
    median: float
    bare_best: float
    bare_median: float

    def reaches(self, goal: float) -> bool:
        """Tell whether the median is at most the goal."""
        return self.median <= goal * self.bare_median

    def line(self, name: str, goal: float | None, unit: str = "ms", scale: float = 1e3) -> str:
        """Return one row of a table, with the goal beside the figures."""
        at_best, at_median = self.best / self.bare_best, self.median / self.bare_median
        verdict = "no goal" if goal is None else f"goal {goal:5.2f}" + ("" if self.reaches(goal) else "  MISSED")
        return (
            f"  {name:34}{at_best:8.2f}{at_median:8.2f}   {verdict:18}"
            f"{self.best * scale:10.3f}{self.bare_best * scale:10.3f} {unit}"
        )


HEAD = f"  {'':34}{'best':>8}{'median':>8}   {'':18}{'ours':>10}{'bare':>10}"


def compare(
    ours: Callable[[], object],
    bare: Callable[[], object],
    rounds: int,
    warm: int = 2,
    clock: Callable[[], float] = perf_counter,
) -> Ratio:
    """Run both in turn, `rounds` times after `warm` times that do not count."""
    times: list[tuple[float, float]] = []
    for _ in range(warm + rounds):
        began = clock()
        ours()
        between = clock()
        bare()
        times.append((between - began, clock() - between))
    mine, others = zip(*times[warm:], strict=True)
    return Ratio(min(mine), statistics.median(mine), min(others), statistics.median(others))
