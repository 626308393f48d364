# SPDX-License-Identifier: Apache-2.0
"""The generated Hypothesis machine: its rules, that it finds and shrinks, and that its seed is its own."""

from __future__ import annotations

import hypothesis
import pytest
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from accelspec.conformance.coverage import Coverage
from accelspec.conformance.oracle import Oracle
from accelspec.conformance.session import Disagreed, Session
from accelspec.conformance.stateful import SETTINGS, explore, state_machine
from accelspec.conformance.steering import Steering
from accelspec.conformance.tests.toy import ToyDriver, interpreter, specification, toy_driver
from accelspec.model.verdict import Budget

QUICK = hypothesis.settings(SETTINGS, max_examples=300, stateful_step_count=25, database=None, derandomize=False)


def run(machine: type[RuleBasedStateMachine]) -> None:
    run_state_machine_as_test(hypothesis.seed(1)(machine), settings=QUICK)


def steering(bugs: str = "") -> Steering:
    return Steering(Session(Oracle(interpreter()), toy_driver(bugs), Coverage.of(specification())))


def test_there_is_a_rule_for_every_operation_and_event() -> None:
    machine = state_machine(specification(), toy_driver())
    rules = {name.removeprefix("do_") for name in dir(machine) if name.startswith("do_")}
    assert rules == set(specification().operations())


def test_a_target_that_offers_less_gets_fewer_rules() -> None:
    class Less(ToyDriver):
        @property
        def operations(self) -> frozenset[str]:
            return frozenset({"open", "close"})

    machine = state_machine(specification(), Less("1"))
    assert {name for name in dir(machine) if name.startswith("do_")} == {"do_open", "do_close"}


def test_a_right_driver_passes_as_a_test_case() -> None:
    run(state_machine(specification(), toy_driver()))


@pytest.mark.parametrize(
    ("bug", "row", "calls"),
    [("dead", "start.dead", 3), ("swallow", "open.bind_fails", 1), ("stale", "remove.removed", 1)],
)
def test_a_bug_is_found_and_shrunk(bug: str, row: str, calls: int) -> None:
    with pytest.raises(Disagreed) as failure:
        run(state_machine(specification(), toy_driver(bug)))
    found = failure.value.disagreement
    assert found.rows == (row,)
    assert len(found.prefix) + 1 == calls
    assert str(failure.value) == found.text()


def test_the_test_case_brings_settings_of_its_own() -> None:
    machine = state_machine(specification(), toy_driver())
    assert hypothesis.Phase.shrink not in machine.TestCase.settings.phases
    assert machine.TestCase.settings.deadline is None


def test_a_leak_is_found_by_the_drain() -> None:
    with pytest.raises(Disagreed, match="after everything was given back, 1 of Page exist, not 0"):
        run(state_machine(specification(), toy_driver("leak")))


def test_the_seed_decides_also_where_ci_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "")
    rows = []
    for seed in (1, 1, 2):
        walk = steering()
        assert explore(walk, seed, 300, Budget(), lambda _: False) is None
        rows.append(walk.session.coverage.rows)
    assert rows[0] == rows[1]
    assert rows[0] != rows[2]


def test_nothing_is_printed_and_a_finding_is_returned(capsys: pytest.CaptureFixture[str]) -> None:
    # Hypothesis draws constants of the modules that are loaded, too: which example finds it depends on them
    found = explore(steering("dead"), 1, 15_000, Budget(), lambda _: False)
    assert found is not None
    assert found.disagreement.signature == "start.dead -> EINVAL"
    assert capsys.readouterr() == ("", "")


def test_a_spent_budget_ends_it_without_a_finding() -> None:
    walk = steering("dead")
    assert explore(walk, 1, 3000, Budget(stop=lambda: walk.session.coverage.steps >= 5), lambda _: False) is None
    assert walk.session.coverage.steps == 5


def test_an_accepted_disagreement_ends_a_run_and_not_the_machine() -> None:
    walk = steering("dead")
    accepted = "start.dead -> EINVAL"
    assert explore(walk, 1, 3000, Budget(), lambda d: d.signature == accepted) is None
    assert walk.session.coverage.steps > 500
