# SPDX-License-Identifier: Apache-2.0
"""The reference implementation of ownership and its specification, each held to the other."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import pytest

from accelspec.conformance.campaign import Campaign, CampaignResult, roomy_scope
from accelspec.conformance.oracle import Oracle
from accelspec.conformance.targets import Concurrent, Target, TargetError, open_target
from accelspec.conformance.targets.interface import System
from accelspec.model.evaluate import Interpreter
from accelspec.model.verdict import Budget
from accelspec.spec.catalogue import MACHINES
from accelspec.spec.language import compile_machine
from accelspec.spec.language.specification import Specification

REVISIONS = list(MACHINES["ownership"])

# Rows that no campaign takes, with the reason.
NEVER = {
    "create_lease.ownerless": "the lessor drops between the two steps of a call that is raced with little else",
    "auth_magic.stale_magic": "eight calls in one order",
}


@cache
def ownership(revision: str) -> Specification:
    return compile_machine(MACHINES["ownership"][revision])


def reference(revision: str, **options: str) -> Target:
    return open_target("reference", "ownership", revision, options)


@cache
def oracle(revision: str) -> Oracle:
    spec = ownership(revision)
    return Oracle(Interpreter(spec, roomy_scope(spec)), reference(revision).operations)


def campaign(target: Target, revision: str, max_steps: int, seed: int = 1) -> CampaignResult:
    return Campaign(oracle(revision), target, seed, max_steps, Budget(), ()).run()


@pytest.mark.conformance
@pytest.mark.parametrize("revision", REVISIONS)
def test_the_reference_and_the_specification_agree(revision: str) -> None:
    result = campaign(reference(revision), revision, 700)
    assert result.disagreement is None, str(result.disagreement)


@pytest.mark.slow
@pytest.mark.conformance
@pytest.mark.parametrize("revision", REVISIONS)
def test_they_agree_all_night(revision: str) -> None:
    result = campaign(reference(revision), revision, 8_000, seed=2)
    assert result.disagreement is None, str(result.disagreement)
    missing = {row for row, why in result.coverage.missing(1).items() if why == "not reached"}
    assert missing <= NEVER.keys()


def test_it_can_be_raced() -> None:
    assert isinstance(reference("proposal"), Concurrent)


FAULTS = {"O-01": "intended", "O-02": "intended", "O-03": "intended", "O-04": "intended", "O-05": "intended",
          "O-06": "habanalabs"}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found(fault: str) -> None:
    revision = FAULTS[fault]
    assert campaign(reference(revision, faults=fault), revision, 20_000).disagreement is not None


@pytest.mark.parametrize(
    ("change", "message"),
    [({"Device": 2}, "one device"), ({"Mm": 1}, "an address space for every process")],
)
def test_scopes_that_it_does_not_have(change: Mapping[str, int], message: str) -> None:
    scope = {**roomy_scope(ownership("proposal")), **change}
    with pytest.raises(TargetError, match=message):
        reference("proposal").reset(System("ownership", "proposal", scope))
