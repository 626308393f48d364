# SPDX-License-Identifier: Apache-2.0
"""The reference implementation of dma-buf and its specification, each held to the other, design by design."""

from __future__ import annotations

from functools import cache

import pytest

from accelspec.conformance.campaign import Campaign, CampaignResult, roomy_scope
from accelspec.conformance.coverage import ENOUGH
from accelspec.conformance.oracle import Oracle
from accelspec.conformance.targets import Concurrent, Target, TargetError, open_target
from accelspec.model.evaluate import Interpreter
from accelspec.model.verdict import Budget
from accelspec.spec.catalogue import MACHINES
from accelspec.spec.language import compile_machine
from accelspec.spec.language.specification import Specification

DESIGNS = ("D0", "D1", "D2a", "D2b", "D2c", "D3a", "D3b", "D3t", "intended")


@cache
def dmabuf(design: str) -> Specification:
    return compile_machine(MACHINES["dmabuf"][design])


def reference(design: str, faults: str = "") -> Target:
    return open_target("reference", "dmabuf", design, {"faults": faults})


@cache
def oracle(design: str) -> Oracle:
    """One for all campaigns: what a call may do in a state is worked out once."""
    return Oracle(Interpreter(dmabuf(design), roomy_scope(dmabuf(design))), reference(design).operations)


def campaign(target: Target, design: str, max_steps: int, seed: int = 1) -> CampaignResult:
    return Campaign(oracle(design), target, seed, max_steps, Budget(), ()).run()


# ------------------------------------------------------------------ agreement


@pytest.mark.conformance
@pytest.mark.parametrize("design", DESIGNS)
def test_two_thousand_steps_agree(design: str) -> None:
    """At the end of every run nothing is left: descriptors, buffers, attachments, fences, bytes."""
    result = campaign(reference(design), design, 2000)
    assert result.passed, result.disagreement and result.disagreement.text()
    assert result.steps >= 2000
    assert result.lost == 0
    assert result.succeeded * 2 >= result.steps
    assert set(result.rows) == set(dmabuf(design).rows())
    assert all(count >= ENOUGH or result.uncovered[row] for row, count in result.rows.items())


def test_the_reference_can_be_raced() -> None:
    assert isinstance(reference("intended"), Concurrent)


def test_a_design_that_it_does_not_have_is_refused() -> None:
    with pytest.raises(TargetError, match="D3c"):
        open_target("reference", "dmabuf", "D3c")
