# SPDX-License-Identifier: Apache-2.0
"""A campaign: many runs of a target against one revision, drawn at random from a seed and steered towards seldom rows.

Most of it is a plain random walk, which is fast; a part near the end is run by the generated Hypothesis machine, which
draws in another way and is slow. A finding of either is run again, shrunk and recorded. Nothing here reads a clock:
budgets are given.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random

from accelspec.model.evaluate import Interpreter
from accelspec.model.layout import full_scope
from accelspec.model.verdict import Budget
from accelspec.spec.language.specification import Specification

from .coverage import ENOUGH, Coverage
from .disagreement import Disagreement
from .oracle import LostTrack, Oracle
from .recording import EXPLAINED, End, Performed, Recording
from .replaying import Failing, Names, ReplayError, again, rerun
from .session import MOST_AHEAD, Disagreed, Session
from .shrinking import Shrinker
from .stateful import explore
from .steering import Steering
from .targets import Call, System, Target

MAX_STEPS = 2000
LENGTHS = (10, 60)  # calls of a run before its drain, at least and at most
ROOM = 2  # objects
BY_HYPOTHESIS, MOST_BY_HYPOTHESIS = 0.1, 1000  # of the steps, and at most
REPEATED = 0.5  # of the runs begin with the way to a seldom row, if one is known
LONGEST = 20  # calls of such a way: a longer one leaves little room behind it, and most of it is detours
MEETINGS = 0.3  # of the steps begin with a search for two calls worth making at once, if the target can
PATIENCE = 3  # how often an accepted deviation is looked at before its rows are avoided


@dataclass
class CampaignResult:
    """What a campaign saw.

    `disagreement` is the first that no baseline accepts, shrunk, and `recording` the run that shows it. `deviations`
    counts the accepted ones that were seen again, `vanished` lists those that were not although their rows were taken.
    """

    target: str
    seed: int | None
    coverage: Coverage
    disagreement: Disagreement | None = None
    recording: Recording | None = None
    deviations: Counter[str] = field(default_factory=Counter)
    vanished: tuple[str, ...] = ()
    lost: int = 0  # runs that the oracle could not follow to their end
    complete: bool = True  # False: stopped before its steps were done

    @property
    def steps(self) -> int:
        """Calls made, those of drains too."""
        return self.coverage.steps

    @property
    def succeeded(self) -> int:
        """Calls of those that succeeded."""
        return self.coverage.succeeded

    @property
    def examples(self) -> int:
        """Runs."""
        return self.coverage.examples

    @property
    def rows(self) -> Mapping[str, int]:
        """How often every row was taken."""
        return self.coverage.rows

    @property
    def uncovered(self) -> dict[str, str]:
        """The rows that were taken less than `ENOUGH` times, each with the reason."""
        return self.coverage.missing(ENOUGH)

    @property
    def replay(self) -> str:
        """The text of a replay file for the finding; empty without one."""
        return self.recording.encode() if self.recording else ""

    @property
    def passed(self) -> bool:
        """Neither a new nor a vanished deviation."""
        return self.disagreement is None and not self.vanished


@dataclass
class Campaign:
    """One campaign under way; `fuzz` runs it."""

    oracle: Oracle
    target: Target
    seed: int
    max_steps: int
    budget: Budget
    accepted: Collection[str]
    result: CampaignResult = field(init=False)

    def __post_init__(self) -> None:
        self.result = CampaignResult(self.target.name, self.seed, Coverage.of(self.oracle.spec))
        self.random = Random(self.seed)
        self.session = Session(self.oracle, self.target, self.result.coverage)
        self.steering = Steering(self.session)
        self.recipes: dict[str, tuple[System, tuple[Performed, ...]]] = {}

    def run(self) -> CampaignResult:
        """Everything; the result is also complete after an interruption."""
        other = min(int(self.max_steps * BY_HYPOTHESIS), MOST_BY_HYPOTHESIS)
        found: Failing | None = None
        while found is None and self.result.steps < self.max_steps - other and not self.budget.spent:
            found = self._example()
        if found is None and not self.budget.spent:
            found = explore(self.steering, self.seed, self.max_steps - self.result.steps, self.budget, self.counts)
        while found is None and self.result.steps < self.max_steps and not self.budget.spent:
            found = self._example()
        self.result.complete = found is not None or self.result.steps >= self.max_steps
        if found is not None:
            self._report(found)
        self._explain_rows()
        self.result.vanished = self._vanished()
        return self.result

    def new_system(self, random: Random) -> System:
        """A fresh system with any of the initial states."""
        spec = self.oracle.spec
        cells = {cell: random.choice(values) for cell, (_, values) in self.oracle.naming.open_cells.items()}
        return System(spec.machine, spec.revision, dict(self.oracle.layout.scope), cells)

    def counts(self, disagreement: Disagreement) -> bool:
        """Is it one of the accepted deviations? Counts it."""
        if disagreement.signature not in self.accepted:
            return False
        self.result.deviations[disagreement.signature] += 1
        return True

    def accepts(self, disagreement: Disagreement) -> bool:
        """The same, and avoids its rows after a while: a run ends at every one of them."""
        if self.result.deviations[disagreement.signature] >= PATIENCE:
            self.steering.avoid |= set(disagreement.rows)
        return self.counts(disagreement)

    def _example(self) -> Failing | None:
        """One run:

        perhaps a way to a seldom row, random calls, then the drain. Answers with a finding that is not accepted.
        """
        known = self._recipe()
        system = known[0] if known else self.new_system(self.random)
        try:
            self.session.begin(system)
            self._follow(known[1] if known else ())
            if not self._walk(system, self.random.randint(*LENGTHS)):
                return None
            self.session.drain()
        except LostTrack:
            self.result.lost += 1
        except Disagreed as found:
            if not self.accepts(found.disagreement):
                return Failing.of(system, found.disagreement)
        if self.result.examples % 100 == 0:
            self.budget.tell(f"{self.result.steps} steps, {self.result.examples} runs")
        return None

    def _walk(self, system: System, steps: int) -> bool:
        """Random calls; False: the budget is spent."""
        while steps > 0:
            if self.budget.stop():
                return False
            made = 0
            if self.session.far is None:
                made = int(self._one_step())
                self._remember(system)
            else:
                for _ in self.session.ahead(lambda: self.steering.draw(self.random), min(steps, MOST_AHEAD)):
                    made += 1
                    self._remember(system)
            if not made:
                return True
            steps -= made
        return True

    def _one_step(self) -> bool:
        """A call, or now and then two at once; False: there is none to be made."""
        if self.random.random() < MEETINGS and (drawn := self.steering.draw_meeting(self.random)) is not None:
            self.session.meet(*drawn)
            return True
        call = self.steering.draw(self.random)
        if call is not None:
            self.session.perform(call)
        return call is not None

    def _remember(self, system: System) -> None:
        """Keep the shortest known way to every row that is still seldom."""
        history = self.oracle.history
        for row in self.oracle.took if len(history) <= LONGEST else ():
            if self.result.rows[row] < ENOUGH and (row not in self.recipes or len(history) < len(self.recipes[row][1])):
                self.recipes[row] = system, tuple(history)

    def _recipe(self) -> tuple[System, tuple[Performed, ...]] | None:
        """Now and then the way to the row that was taken the fewest times."""
        rows = self.result.rows
        seldom = [row for row in self.recipes if rows[row] < ENOUGH and row not in self.steering.avoid]
        if not seldom or self.random.random() > REPEATED:
            return None
        return self.recipes[min(seldom, key=lambda row: rows[row])]

    def _follow(self, calls: Iterable[Performed]) -> None:
        """Make the calls of an earlier run again, as far as they are offered."""
        if self.session.far is not None:  # it gives the same names again
            self._follow_ahead(iter([recorded.call for recorded in calls]))
            return
        names = Names()
        for recorded in calls:
            if again(self.session, recorded, names):
                return

    def _follow_ahead(self, calls: Iterator[Call]) -> None:
        def draw() -> Call | None:
            call = next(calls, None)
            return None if call is None or self.oracle.refuses(call) else call

        while list(self.session.ahead(draw)):
            pass

    def _report(self, found: Failing) -> None:
        """Shrink a finding and record it."""
        self.budget.tell(f"found after {self.result.steps} steps: {found.disagreement.signature}; shrinking it")
        small = Shrinker(self.oracle, self.target, found, self.budget, self.accepted).shrink()
        self.result.disagreement = small.disagreement
        self.result.recording = small.recording(self.target.name, self.seed)

    def _explain_rows(self) -> None:
        """Say of the rows that were never taken why."""
        for row, why in self.steering.reasons().items():
            if not self.result.coverage.rows[row]:
                self.result.coverage.never.setdefault(row, why)

    def _vanished(self) -> tuple[str, ...]:
        """The accepted deviations that were not seen although they had the occasion."""
        rows = self.result.coverage.rows
        gone = []
        for signature in self.accepted:
            if not self.result.deviations[signature]:
                left = signature.split(" -> ")[0].split(" or ")
                if all(rows.get(row, 0) >= ENOUGH for row in left) or " -> " not in signature:
                    gone.append(signature)
        return tuple(gone) if self.result.complete and self.result.disagreement is None else ()


def roomy_scope(spec: Specification) -> dict[str, int]:
    """The scope of a campaign that is told nothing: for each kind the most that any scope of the author has.

    Of what calls create there is room for `ROOM` more: a run is not explored but walked, so it costs little.
    """
    scopes = [full_scope(spec, scope) for scope in spec.scopes.values()] or [full_scope(spec)]
    created = {k.name for k in spec.kinds if not k.permanent and not k.is_call}
    return {name: max(s[name] for s in scopes) + ROOM * (name in created) for name in scopes[0]}


def fuzz(
    spec: Specification,
    target: Target,
    *,
    seed: int,
    max_steps: int = MAX_STEPS,
    scope: Mapping[str, int] | None = None,
    budget: Budget | None = None,
    accepted: Collection[str] = (),
) -> CampaignResult:
    """Run a campaign: `max_steps` calls of `target` against `spec`, less if the budget ends, up to the first finding.

    A kind that `scope` does not name has as many as in `roomy_scope(spec)`. `accepted` are the signatures of deviations
    that are known and end a run without being a finding. The same seed, scope and target make the same calls. Raises
    TargetError for a target that cannot be used, ValueError for a wrong scope.
    """
    oracle = Oracle.of(Interpreter(spec, roomy_scope(spec) | dict(scope or {})), target)
    return Campaign(oracle, target, seed, max_steps, budget or Budget(), accepted).run()


def replay(spec: Specification, target: Target, recorded: Recording) -> CampaignResult:
    """Make a recorded run again. `disagreement` is what comes of it now, with its whole prefix.

    Raises ReplayError if it was recorded of another machine, or if a call of it is not offered by the revision: then
    nothing would be shown by the rest of it. TargetError as `fuzz`.
    """
    system = recorded.run.system
    if system.machine != spec.machine:
        raise ReplayError(f"the run was recorded of {system.machine}@{system.revision}, not of {spec.name}")
    try:
        oracle = Oracle.of(Interpreter(spec, system.scope), target)
    except ValueError as error:
        raise ReplayError(f"the run does not fit {spec.name}: {error}") from error
    result = CampaignResult(target.name, recorded.run.seed, Coverage.of(spec))
    found = rerun(oracle, target, system, recorded.calls, result.coverage, strict=True)
    if found is not None:
        result.disagreement = found.disagreement
        result.recording = found.recording(target.name, recorded.run.seed)
    else:
        end = End(EXPLAINED)
        result.recording = Recording.of(system, oracle.history, end, target.name, recorded.run.seed)
    return result
