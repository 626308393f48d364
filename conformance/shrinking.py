# SPDX-License-Identifier: Apache-2.0
"""From a run that ends in a disagreement to a smallest one that ends in the same.

Calls are left out, in large pieces first and then one by one, injected failures are taken away, arguments become
earlier objects and initial cells their first values, for as long as a run on the target still ends with the same
signature. A call that the specification does not offer in the smaller run is passed over. The result is 1-minimal: none
of its calls can be left out.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from accelspec.model.verdict import Budget

from .oracle import Oracle
from .recording import Performed
from .replaying import Failing, rerun
from .targets import Call, System, Target

MOST_RUNS = 2000
FEW = 15  # calls: of so few, any two are left out too


@dataclass
class Shrinker:
    """Shrinks one failing run; `best` is the smallest so far, good at any moment."""

    oracle: Oracle
    target: Target
    best: Failing
    budget: Budget = field(default_factory=Budget)
    runs: int = 0

    def shrink(self) -> Failing:
        """The smallest failing run that was found until nothing more helped, or the budget was spent."""
        before = None
        while before != self.best and not self._spent:
            before = self.best
            self._leave_out()
            self._simplify()
        return self.best

    @property
    def _spent(self) -> bool:
        return self.budget.spent or self.runs >= MOST_RUNS

    def _try(self, system: System, calls: Sequence[Performed]) -> bool:
        """Does this smaller run end in the same way? Then it is the best."""
        if self._spent:
            return False
        self.runs += 1
        found = rerun(self.oracle, self.target, system, calls)
        if found is None or found.disagreement.signature != self.best.disagreement.signature:
            return False
        if len(found.calls) > len(self.best.calls):
            return False  # the drain had to do more than was saved
        if (found.calls, found.system) == (self.best.calls, self.best.system):
            return False
        self.best = found
        return True

    def _leave_out(self) -> None:
        size = len(self.best.calls) // 2
        while size:
            at = len(self.best.calls) - size
            while at >= 0:
                calls = self.best.calls
                self._try(self.best.system, calls[:at] + calls[at + size :])
                at = min(at, len(self.best.calls)) - size
            size //= 2
        if len(self.best.calls) <= FEW:
            for i, j in itertools.combinations(range(len(self.best.calls)), 2):
                calls = self.best.calls
                self._try(
                    self.best.system, [c for k, c in enumerate(calls) if k not in (i, j)] if j < len(calls) else calls
                )

    def _simplify(self) -> None:
        for cell, value in self.best.system.cells.items():
            first = self.oracle.naming.open_cells[cell][1][0]
            if value != first:
                self._try(replace(self.best.system, cells={**self.best.system.cells, cell: first}), self.best.calls)
        for at in range(len(self.best.calls)):
            if at < len(self.best.calls):
                for step in self._simpler_steps(self.best.calls[at]):
                    calls = self.best.calls
                    if self._try(self.best.system, (*calls[:at], step, *calls[at + 1 :])):
                        break
        self._fewer_names()

    def _simpler_steps(self, step: Performed) -> Iterator[Performed]:
        """The step with one thing simpler; of a meeting first one call alone, then the schedule."""
        met = step.met
        if met is not None:
            yield replace(step, met=None)
            yield Performed(met.call, met.observation)
            for schedule in shorter(met.schedule):
                yield replace(step, met=replace(met, schedule=schedule))
            for call in self._simpler(met.call):
                yield replace(step, met=replace(met, call=call))
        for call in self._simpler(step.call):
            yield replace(step, call=call)

    def _simpler(self, call: Call) -> Iterator[Call]:
        """The call with one thing simpler."""
        for name in call.fails:
            yield replace(call, fails={n: e for n, e in call.fails.items() if n != name})
        simpler: list[list[str]] = []
        for var, arg in zip(self.oracle.parameters(call.operation), call.args, strict=True):
            values = list(self.oracle.naming.values(var.type))
            simpler.append(values[: values.index(arg) + 1] if arg in values else [arg])
        for args in itertools.islice(itertools.product(*simpler), FEW):
            if args != call.args:
                yield replace(call, args=args)

    def _fewer_names(self) -> None:
        """One object that is always there instead of another, in the whole run:

        process0 instead of process1, or for both.
        """
        for kind in self.oracle.spec.kinds:
            names = list(self.oracle.naming.values(kind))[:-1] if kind.permanent else []
            for i, simple in enumerate(names):
                for other in names[i + 1 :]:
                    used = {arg for step in self.best.calls for call in step.calls for arg in call.args}
                    if other in used:
                        instead = {other: simple} if simple in used else {other: simple, simple: other}
                        self._try(self.best.system, [renamed(step, instead) for step in self.best.calls])


def shorter(schedule: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Schedules with fewer interruptions, or earlier ones."""
    for i in range(len(schedule)):
        yield schedule[:i] + schedule[i + 1 :]
    for i, steps in enumerate(schedule):
        for fewer in sorted({0, steps // 2, steps - 1} - {steps, -1}):
            yield (*schedule[:i], fewer, *schedule[i + 1 :])


def renamed(step: Performed, names: Mapping[str, str]) -> Performed:
    """The step with other arguments."""

    def change(call: Call) -> Call:
        return replace(call, args=tuple(names.get(arg, arg) for arg in call.args))

    met = replace(step.met, call=change(step.met.call)) if step.met else None
    return replace(step, call=change(step.call), met=met)
