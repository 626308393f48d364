# SPDX-License-Identifier: Apache-2.0
"""The fences of the reference implementation and the machine `fences`, each held to the other."""

from __future__ import annotations

from functools import cache

import pytest

from accelspec.conformance.campaign import CampaignResult, fuzz
from accelspec.conformance.targets import Target, TargetError, open_target
from accelspec.conformance.targets.interface import System
from accelspec.conformance.targets.reference_fences import FencesReference
from accelspec.spec.dmabuf import Fences
from accelspec.spec.language import compile_machine
from accelspec.spec.language.specification import Specification


@cache
def fences() -> Specification:
    return compile_machine(Fences)


def reference(faults: str = "") -> Target:
    return open_target("reference", "fences", "6.12", {"faults": faults})


def campaign(faults: str, max_steps: int, seed: int = 1) -> CampaignResult:
    return fuzz(fences(), reference(faults), seed=seed, max_steps=max_steps, scope=FencesReference.scope)


@pytest.mark.conformance
def test_a_thousand_steps_agree() -> None:
    result = campaign("", 1000)
    assert result.passed, result.disagreement and result.disagreement.text()
    assert result.succeeded * 2 >= result.steps
    never = {row for row, count in result.rows.items() if not count}
    offered = {row for row in never if "does not offer" not in result.uncovered[row]}
    assert offered <= {"add_fence.full"}


@pytest.mark.slow
@pytest.mark.conformance
def test_many_steps_agree() -> None:
    result = campaign("", 20_000, seed=2)
    assert result.passed, result.disagreement and result.disagreement.text()


@pytest.mark.conformance
@pytest.mark.parametrize(("fault", "most"), [("B29", 1), ("B31", 4), ("B32", 7)])
def test_a_historical_bug_is_found_and_shrunk(fault: str, most: int) -> None:
    result = campaign(fault, 10_000)
    assert result.recording is not None
    assert len(result.recording.calls) <= most


def test_a_list_that_may_be_full_is_refused() -> None:
    with pytest.raises(TargetError, match="Slot=8 or more"):
        reference().reset(System("fences", "6.12", {"Timeline": 1, "Reservation": 1, "Fence": 2, "Slot": 2}))
