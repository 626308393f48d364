# SPDX-License-Identifier: Apache-2.0
"""The reference driver of habanalabs and its specification, each held to the other, revision by revision."""

from __future__ import annotations

from functools import cache

import pytest

from accelspec.conformance.campaign import Campaign, CampaignResult, roomy_scope
from accelspec.conformance.oracle import Oracle
from accelspec.conformance.targets import Concurrent, Target, TargetError, open_target
from accelspec.model.evaluate import Interpreter
from accelspec.model.verdict import Budget
from accelspec.spec.habanalabs import REVISIONS
from accelspec.spec.language import compile_machine

BEHAVIOURS = {"a": "a", "b9": "b9", "c0": "c0"}  # revisions of the specification, and what the driver is asked to be
HELD = {r.revision: r for r in REVISIONS if r.revision in BEHAVIOURS}


def driver(revision: str, faults: str = "") -> Target:
    return open_target("reference", "habanalabs", BEHAVIOURS[revision], {"faults": faults})


@cache
def oracle(revision: str) -> Oracle:
    spec = compile_machine(HELD[revision])
    return Oracle(Interpreter(spec, roomy_scope(spec)), driver(revision).operations)


def campaign(target: Target, revision: str, max_steps: int, seed: int = 1) -> CampaignResult:
    return Campaign(oracle(revision), target, seed, max_steps, Budget(), ()).run()


@pytest.mark.conformance
@pytest.mark.parametrize("revision", HELD)
def test_two_thousand_steps_agree(revision: str) -> None:
    result = campaign(driver(revision), revision, 2000)
    assert result.passed, result.disagreement and result.disagreement.text()
    assert result.steps >= 2000
    assert result.lost == 0
    assert result.succeeded * 2 >= result.steps


@pytest.mark.slow
@pytest.mark.conformance
@pytest.mark.parametrize("revision", HELD)
@pytest.mark.parametrize("seed", [2, 3])
def test_many_steps_agree(revision: str, seed: int) -> None:
    result = campaign(driver(revision), revision, 50_000, seed)
    assert result.passed, result.disagreement and result.disagreement.text()


# Bugs that a base revision of the specification sees by results alone, or by the cells that the driver shows.
@pytest.mark.conformance
@pytest.mark.parametrize(("fault", "revision"), [("M14", "b9"), ("M4", "b9"), ("B30", "b9")])
def test_a_bug_is_found(fault: str, revision: str) -> None:
    result = campaign(driver(revision, fault), revision, 5000)
    assert not result.passed
    assert result.disagreement is not None


def test_the_driver_can_be_raced() -> None:
    assert isinstance(driver("a"), Concurrent)


def test_an_unknown_behaviour_is_refused() -> None:
    with pytest.raises(TargetError, match="c9"):
        open_target("reference", "habanalabs", "c9")
