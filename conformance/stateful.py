# SPDX-License-Identifier: Apache-2.0
"""From a specification a Hypothesis state machine: one rule for every operation and event, arguments among those
offered.

Use it in a test of your own driver::

    TestMyQueue = state_machine(spec, MyQueue()).TestCase

Its rules call the target and hold the answer to the specification. What they draw are small numbers: which of the calls
that the specification offers, those that succeed first. A failing run is shrunk call by call (`shrinking`: Hypothesis
would shrink the numbers, which takes a hundred times as many runs), and the exception's text is the trace with sources.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import hypothesis
import hypothesis.strategies as st
from hypothesis.errors import Flaky
from hypothesis.reporting import with_reporter
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from accelspec.model.evaluate import Interpreter
from accelspec.model.trace import State
from accelspec.model.verdict import Budget
from accelspec.spec.language.specification import Specification

from .calls import Offer
from .coverage import Coverage
from .disagreement import Disagreement
from .oracle import LostTrack, Oracle
from .replaying import Failing
from .session import Disagreed, Session
from .shrinking import Shrinker
from .steering import INJECTED, Steering
from .targets import System, Target

STEPS = 30  # calls of a run before its drain
MOST = 255  # of the numbers that rules draw


# What holds whatever the profile is. No phase of shrinking: see above.
SETTINGS = hypothesis.settings(
    deadline=None,
    print_blob=False,
    report_multiple_bugs=False,
    phases=(hypothesis.Phase.explicit, hypothesis.Phase.reuse, hypothesis.Phase.generate),
    suppress_health_check=(hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.filter_too_much),
)


class Spent(BaseException):
    """The budget ends the run; no Exception, so that Hypothesis does not take it for a finding."""


class TargetMachine(RuleBasedStateMachine):
    """The base of the generated machines: what every rule does."""

    steering: Steering
    budget: Budget
    accepts: Callable[[Disagreement], bool]
    found: list[Failing]
    known: dict[tuple[State, str], Sequence[Offer]]
    shrinks: bool

    def __init__(self) -> None:
        super().__init__()
        self.over = True

    @property
    def session(self) -> Session:
        """The target and the oracle."""
        return self.steering.session

    def begin(self, cells: Mapping[str, str]) -> None:
        """A fresh system."""
        oracle = self.session.oracle
        self.session.begin(System(oracle.spec.machine, oracle.spec.revision, dict(oracle.layout.scope), dict(cells)))
        self.over = False

    def offered(self, operation: str) -> Sequence[Offer]:
        """The calls of an operation that may be made, those that succeed first. Every rule asks at every step."""
        if self.over:
            return ()
        candidate = self.session.oracle.candidates[0]
        key = candidate.state, operation
        if key not in self.known:
            offers = [o for same in self.steering.offers(operation, candidate).values() for o in same]
            self.known[key] = sorted(dict.fromkeys(offers), key=lambda o: not o.succeeds)
        return self.known[key]

    def make(self, operation: str, which: int, errno: int) -> None:
        """One step."""
        if self.budget.spent:
            raise Spent
        offers = self.offered(operation)
        if which % 2 == 0:  # every other call is to succeed, where one can
            offers = [o for o in offers if o.succeeds] or offers
        offer = offers[which // 2 % len(offers)]
        candidate = self.session.oracle.candidates[0]
        call = self.session.call(offer, candidate, self.steering.errnos(offer, errno))
        if call is not None and not self.session.oracle.refuses(call):
            self.watch(lambda: self.session.perform(call))

    def watch(self, act: Callable[[], object]) -> None:
        """Do something that may end the run."""
        try:
            act()
        except LostTrack:
            self.over = True
        except Disagreed as disagreed:
            self.over = True
            if self.accepts(disagreed.disagreement):
                return
            failing = Failing.of(self.session.system, disagreed.disagreement)
            if not any(known.disagreement.signature == disagreed.disagreement.signature for known in self.found):
                shrinker = Shrinker(self.session.oracle, self.session.target, failing, self.budget)
                self.found.append(shrinker.shrink() if self.shrinks else failing)
            raise Disagreed(self.found[-1].disagreement) from disagreed

    def teardown(self) -> None:
        """The drain."""
        if not self.over:
            self.watch(self.session.drain)
        self.over = True


def state_machine(
    spec: Specification, target: Target, scope: Mapping[str, int] | None = None
) -> type[RuleBasedStateMachine]:
    """The machine of a specification that drives this target. Raises ValueError for a wrong scope."""
    oracle = Oracle.of(Interpreter(spec, scope), target)
    machine = generated(
        Steering(Session(oracle, target, Coverage.of(spec))), Budget(), lambda _: False, [], shrinks=True
    )
    machine.TestCase.settings = SETTINGS
    return machine


def generated(
    steering: Steering,
    budget: Budget,
    accepts: Callable[[Disagreement], bool],
    found: list[Failing],
    *,
    shrinks: bool,
) -> type[TargetMachine]:
    """The machine for a session; every disagreement that is not accepted is appended to `found`."""
    oracle = steering.session.oracle
    namespace: dict[str, Any] = {
        "__doc__": f"Drives {steering.session.target.name} against {oracle.spec.name}.",
        "steering": steering,
        "budget": budget,
        "accepts": staticmethod(accepts),
        "found": found,
        "known": {},
        "shrinks": shrinks,
        "fresh_system": initialize(
            cells=st.fixed_dictionaries(
                {c: st.sampled_from(values) for c, (_, values) in oracle.naming.open_cells.items()}
            )
        )(lambda self, cells: self.begin(cells)),
        "nothing": precondition(lambda self: not any(map(self.offered, steering.session.operations)))(
            rule()(lambda self: None)
        ),
    }
    for operation in steering.session.operations:
        namespace[f"do_{operation}"] = _rule(operation)
    return type(f"{oracle.spec.machine}_machine", (TargetMachine,), namespace)


def _rule(operation: str) -> Any:
    """The rule of one operation."""

    def make(self: TargetMachine, which: int, errno: int) -> None:
        self.make(operation, which, errno)

    make.__name__ = operation
    numbers = rule(which=st.integers(0, MOST), errno=st.integers(0, len(INJECTED) - 1))
    return precondition(lambda self: bool(self.offered(operation)))(numbers(make))


def explore(
    steering: Steering, seed: int, steps: int, budget: Budget, accepts: Callable[[Disagreement], bool]
) -> Failing | None:
    """Run the generated machine for about that many steps; the finding, if there is one, not yet shrunk.

    The settings are all stated here, as Hypothesis chooses others where the variable CI is set.
    """
    if steps < STEPS:
        return None
    found: list[Failing] = []
    machine = hypothesis.seed(seed)(generated(steering, budget, accepts, found, shrinks=False))
    settings = hypothesis.settings(
        SETTINGS,
        max_examples=max(1, steps // STEPS),
        stateful_step_count=STEPS,
        derandomize=False,
        database=None,
        verbosity=hypothesis.Verbosity.quiet,
        phases=(hypothesis.Phase.generate,),
    )
    try:
        with with_reporter(lambda _: None):
            run_state_machine_as_test(machine, settings=settings)
    except (Disagreed, Spent, Flaky):
        pass
    return found[-1] if found else None
