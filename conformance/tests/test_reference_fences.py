# SPDX-License-Identifier: Apache-2.0
"""The fences of the reference implementation and the machine `fences`, each held to the other."""

from __future__ import annotations

from functools import cache

import pytest

from accelspec.conformance.campaign import fuzz
from accelspec.conformance.targets import TargetError
from accelspec.conformance.targets.interface import System
from accelspec.conformance.targets.reference_fences import FencesReference
from accelspec.spec.dmabuf import Fences
from accelspec.spec.language import compile_machine
from accelspec.spec.language.specification import Specification

SELDOM = {"wake.masked", "wake.armed", "status.several_failed"}  # docs/machines/fences-campaign-rows.md


@cache
def fences() -> Specification:
    return compile_machine(Fences)


class Lists(FencesReference):
    """What is needed to add fences to a list and to test it."""

    scope = {**FencesReference.scope, "PollSlot": 0, "Poller": 0, "SyncFile": 0, "Callback": 0, "Timeline": 1}

    @property
    def operations(self) -> frozenset[str]:
        return frozenset({"create", "signal", "put", "retire", "add_fence", "test"})


@pytest.mark.conformance
def test_some_steps_agree() -> None:
    result = fuzz(fences(), FencesReference("6.12"), seed=1, max_steps=500, scope=FencesReference.scope)
    assert result.passed, result.disagreement and result.disagreement.text()
    assert result.succeeded * 2 >= result.steps
    assert not [row for row, why in result.uncovered.items() if "does not offer" in why]


@pytest.mark.slow
@pytest.mark.conformance
def test_many_steps_agree_and_take_every_row() -> None:
    result = fuzz(fences(), FencesReference("6.12"), seed=2, max_steps=20_000, scope=FencesReference.scope)
    assert result.passed, result.disagreement and result.disagreement.text()
    assert result.succeeded * 2 >= result.steps
    assert {row for row, count in result.rows.items() if count < 20} <= SELDOM
    assert all(result.rows[row] for row in SELDOM)


@pytest.mark.conformance
@pytest.mark.parametrize(("fault", "most"), [("B29", 1), ("B31", 4), ("B32", 7)])
def test_a_historical_bug_is_found_and_shrunk(fault: str, most: int) -> None:
    target = Lists("6.12", {"faults": fault})
    result = fuzz(fences(), target, seed=3, max_steps=2000, scope=Lists.scope)
    assert result.recording is not None
    assert len(result.recording.calls) <= most


def test_a_list_that_may_be_full_is_refused() -> None:
    scope = {"Timeline": 1, "Reservation": 1, "Fence": 2, "Slot": 2, "PollSlot": 2}
    with pytest.raises(TargetError, match="Slot=8 or more"):
        FencesReference("6.12").reset(System("fences", "6.12", scope))
