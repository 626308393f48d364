# SPDX-License-Identifier: Apache-2.0
"""From a run that ends in a disagreement to a smallest one that ends in the same.

Calls are left out, in large pieces first and then one by one, injected failures are taken away, arguments become
earlier objects and initial cells their first values, for as long as a run on the target still ends with the same
signature. A call that the specification does not offer in the smaller run is passed over. The result is 1-minimal: none
of its calls can be left out, not even if what follows is done by another process, or with another descriptor.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from accelspec.model.verdict import Budget
from accelspec.spec.language.terms import Kind

from .disagreement import Disagreement
from .oracle import Oracle
from .recording import Performed
from .replaying import Failing, rerun
from .targets import Call, System, Target

MOST_RUNS = 2000
FEW = 8  # calls: of so few, every part is tried
VARIANTS = 15  # of one call


@dataclass
class Shrinker:
    """Shrinks one failing run; `best` is the smallest so far, good at any moment."""

    oracle: Oracle
    target: Target
    best: Failing
    budget: Budget = field(default_factory=Budget)
    accepted: Collection[str] = ()  # signatures that it must not turn into
    runs: int = 0

    def shrink(self) -> Failing:
        """The smallest failing run that was found until nothing more helped, or the budget was spent."""
        before = None
        while before != self.best and not self._spent:
            before = self.best
            self._leave_out()
            self._simplify()
            self._exhaust()
            if before == self.best:
                self._leave_out_passing()
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
        if found is None or not self._same(found.disagreement):
            return False
        if found.disagreement.signature in self.accepted:
            return False
        if length(found.calls) > length(self.best.calls):
            return False  # the drain had to do more than was saved
        if (found.calls, found.system) == (self.best.calls, self.best.system):
            return False
        self.best = found
        return True

    def _same(self, found: Disagreement) -> bool:
        """Is it what the best run shows? Of two calls that met, the answer of one may be enough."""
        best = self.best.disagreement
        if found.essence == best.essence:
            return True
        if best.last is None or found.last is None or best.last.met is None or found.last.met is not None:
            return False
        met = {(c.operation, one.result) for c, one in zip(best.last.calls, best.last.seen, strict=True)}
        return (found.operation, found.last.observation.result) in met

    def _leave_out(self) -> None:
        size = len(self.best.calls) // 2
        while size:
            at = len(self.best.calls) - size
            while at >= 0:
                calls = self.best.calls
                self._try(self.best.system, calls[:at] + calls[at + size :])
                at = min(at, len(self.best.calls)) - size
            size //= 2

    def _leave_out_passing(self) -> None:
        """One call less, after which objects that are always there act for one another: what a descriptor was passed
        for is done by the process that had it.
        """
        for at in reversed(range(len(self.best.calls))):
            for instead in self._exchanges():
                calls = self.best.calls
                if self._try(self.best.system, (*calls[:at], *(renamed(step, instead) for step in calls[at + 1 :]))):
                    return

    def _exchanges(self) -> list[Mapping[str, str]]:
        """Two objects in each other's places, of one kind or of two kinds at once."""
        used = {arg for step in self.best.calls for call in step.calls for arg in call.args}
        kinds = [
            [{a: b, b: a} for a, b in itertools.combinations(self._always_there(kind), 2) if used & {a, b}]
            for kind in self.oracle.spec.kinds
        ]
        both = [one | other for ones, others in itertools.combinations(kinds, 2) for one in ones for other in others]
        return [*itertools.chain(*kinds), *both]

    def _exhaust(self) -> None:
        """Of a short run, every part of it, the smallest first, also with one object instead of another."""
        calls = self.best.calls
        if len(calls) <= FEW:
            names = [{}, *self._fewer_names()]
            for size in range(1, len(calls)):
                for part in itertools.combinations(calls, size):
                    for instead in names:
                        if self._try(self.best.system, [renamed(step, instead) for step in part]):
                            return

    def _simplify(self) -> None:
        for cell, value in self.best.system.cells.items():
            first = self.oracle.naming.open_cells[cell][1][0]
            if value != first:
                self._try(replace(self.best.system, cells={**self.best.system.cells, cell: first}), self.best.calls)
        for at in range(len(self.best.calls)):
            if at < len(self.best.calls):
                for steps in self._simpler_steps(self.best.calls[at]):
                    calls = self.best.calls
                    if self._try(self.best.system, (*calls[:at], *steps, *calls[at + 1 :])):
                        break
        for instead in self._fewer_names():
            self._try(self.best.system, [renamed(step, instead) for step in self.best.calls])

    def _simpler_steps(self, step: Performed) -> Iterator[tuple[Performed, ...]]:
        """The step with one thing simpler; of a meeting first the calls one after the other, then the schedule."""
        met = step.met
        if met is not None:
            one, other = replace(step, met=None), Performed(met.call, met.observation)
            yield from ((one,), (other,), (one, other), (other, one))
            for schedule in shorter(met.schedule):
                yield (replace(step, met=replace(met, schedule=schedule)),)
            for call in self._simpler(met.call):
                yield (replace(step, met=replace(met, call=call)),)
        for call in self._simpler(step.call):
            yield (replace(step, call=call),)

    def _simpler(self, call: Call) -> Iterator[Call]:
        """The call with one thing simpler."""
        for name in call.fails:
            yield replace(call, fails={n: e for n, e in call.fails.items() if n != name})
        simpler: list[list[str]] = []
        for var, arg in zip(self.oracle.parameters(call.operation), call.args, strict=True):
            values = list(self.oracle.naming.values(var.type))
            simpler.append(values[: values.index(arg) + 1] if arg in values else [arg])
        for args in itertools.islice(itertools.product(*simpler), VARIANTS):
            if args != call.args:
                yield replace(call, args=args)

    def _always_there(self, kind: Kind) -> Sequence[str]:
        """The objects of a kind that exist from the start; none, if they are created."""
        return list(self.oracle.naming.values(kind))[:-1] if kind.permanent else []

    def _fewer_names(self) -> list[Mapping[str, str]]:
        """One object that is always there instead of another in the whole run: process0 for process1, or for both."""
        used = {arg for step in self.best.calls for call in step.calls for arg in call.args}
        found: list[Mapping[str, str]] = []
        for kind in self.oracle.spec.kinds:
            for simple, other in itertools.combinations(self._always_there(kind), 2):
                if other in used:
                    found.append({other: simple} if simple in used else {other: simple, simple: other})
        return found


def length(steps: Sequence[Performed]) -> int:
    """How many calls there are; two at once are more than two one after the other."""
    return sum(3 if step.met else 1 for step in steps)


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
