# SPDX-License-Identifier: Apache-2.0
"""The reference implementation and the uacce specification, each held to the other.

Two readings of the same facts agree; and what is broken in either, on purpose, is noticed by the other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from accelspec.conformance.campaign import Campaign, CampaignResult, fuzz, replay, roomy_scope
from accelspec.conformance.coverage import ENOUGH
from accelspec.conformance.oracle import Oracle
from accelspec.conformance.recording import decode
from accelspec.conformance.targets import Concurrent, Target, open_target
from accelspec.model.evaluate import Interpreter
from accelspec.model.verdict import Budget
from accelspec.reference_impl.uacce import Provider, UacceQueue
from accelspec.spec.language import Errno, Machine, compile_machine
from accelspec.spec.language.specification import Case, Specification
from accelspec.spec.uacce import Intended, Uacce

REVISIONS: dict[str, type[Machine]] = {"6.12.117": Uacce, "intended": Intended}


@cache
def uacce(revision: str = "6.12.117") -> Specification:
    return compile_machine(REVISIONS[revision])


@cache
def oracle(revision: str = "6.12.117") -> Oracle:
    """One for all campaigns: what a call may do in a state is worked out once."""
    spec = uacce(revision)
    return Oracle(Interpreter(spec, roomy_scope(spec)), reference(revision=revision).operations)


def reference(faults: str = "", revision: str = "6.12.117") -> Target:
    return open_target("reference", "uacce", revision, {"faults": faults})


def campaign(target: Target, max_steps: int, seed: int = 1, revision: str = "6.12.117") -> CampaignResult:
    return Campaign(oracle(revision), target, seed, max_steps, Budget(), ()).run()


# ------------------------------------------------------------------ agreement

# Rows that no campaign takes, with a word of the reason that must be given.
NEVER = {
    "mremap_dont_unmap.dont_unmap": "does not offer",
    "register.cdev_add_fails": "cannot make cdev_add fail",
    "mremap_move.refused": "breaks uacce.I07",
}


@pytest.fixture(scope="module", params=REVISIONS)
def agreed(request: pytest.FixtureRequest) -> CampaignResult:
    return campaign(reference(revision=request.param), 2000, revision=request.param)


def test_two_thousand_steps_agree(agreed: CampaignResult) -> None:
    assert agreed.passed, agreed.disagreement and agreed.disagreement.text()
    assert agreed.steps >= 2000
    assert agreed.lost == 0


def test_at_least_half_of_the_steps_succeed(agreed: CampaignResult) -> None:
    assert agreed.succeeded * 2 >= agreed.steps


def test_every_row_is_taken_often_or_listed_with_the_reason(agreed: CampaignResult) -> None:
    assert set(agreed.rows) in [set(uacce(r).rows()) for r in REVISIONS]
    for row, count in agreed.rows.items():
        assert count >= ENOUGH or agreed.uncovered[row]
    assert sum(count > 0 for count in agreed.rows.values()) > 0.8 * len(agreed.rows)


def test_the_reference_can_be_raced() -> None:
    assert isinstance(reference(), Concurrent)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("revision", REVISIONS)
def test_a_hundred_thousand_steps_agree_and_take_every_row(revision: str) -> None:
    result = campaign(reference(revision=revision), 100_000, revision=revision)
    assert result.passed, result.disagreement and result.disagreement.text()
    assert result.succeeded * 2 >= result.steps
    seldom = {row: why for row, why in result.uncovered.items() if not (row in NEVER and NEVER[row] in why)}
    assert seldom == {}


# ------------------------------------------------------------------ historical bugs

# Each with the calls of a shortest run, devices and processes apart; a race is written with both its calls.
# The choice was committed before any was run: docs/machines/uacce-historical-bugs.md.
HISTORICAL = {
    "S-05": ["open", "remove", "mmap"],
    "S-06": ["open", "put_q"],
    "S-29": ["open", "remove", "poll"],
    "B-01": ["open", "mmap", "remove"],
    "B-07": ["open", "mmap", "munmap"],
    "B-10": ["open", "mmap", "munmap"],
    "B-05": ["open", "remove"],
    "B-06": ["open|remove"],
    "B-09a": ["open", "mmap|remove"],
    "S-01": ["open"],
    "B-20": ["open", "start", "put_q", "start"],
    "S-12": ["open", "mmap", "munmap", "close"],
    "B-04": ["open", "exec"],
    "C-01": ["open", "mmap", "driver_ioctl"],
    "S-02": ["open", "remove"],
    "S-03": ["open", "remove"],
    "B-11": ["remove"],
}


def told(result: CampaignResult) -> list[str]:
    """The calls of a finding, devices and processes apart."""
    assert result.recording is not None
    calls = ["|".join(sorted(c.operation for c in step.calls)) for step in result.recording.calls]
    return [call for call in calls if call not in ("alloc", "register", "exit")]


@pytest.mark.parametrize("fault", HISTORICAL)
def test_a_historical_bug_is_found_and_shrunk(fault: str) -> None:
    """By every campaign; and one of three shows it as the shortest run does: a bug may show in several ways."""
    result = campaign(reference(fault), 30_000)
    for seed in (2, 3):
        if len(told(result)) > len(HISTORICAL[fault]):
            result = campaign(reference(fault), 30_000, seed=seed)
    assert len(told(result)) <= len(HISTORICAL[fault])
    assert result.disagreement is not None
    again = replay(uacce(), reference(fault), decode(result.replay))
    assert again.disagreement is not None
    assert again.disagreement.essence == result.disagreement.essence
    assert replay(uacce(), reference(), decode(result.replay)).passed


# ------------------------------------------------------------------ wrong rows of the specification


def changed(row: str, change: Callable[[Case], Case]) -> Specification:
    """The specification with the cases of one row changed."""
    assert row in uacce().rows()
    return replace(uacce(), cases=[change(c) if c.id == row else c for c in uacce().cases])


def without_effect(field: str) -> Callable[[Case], Case]:
    def change(case: Case) -> Case:
        kept = tuple(a for a in case.effects if a.field.name != field)
        assert len(kept) < len(case.effects)
        return replace(case, effects=kept)

    return change


def swapped(one: str, other: str) -> Specification:
    """Two rows of one table each answer what the other should."""
    outcome = {one: uacce().rows()[other][0].outcome, other: uacce().rows()[one][0].outcome}
    return replace(uacce(), cases=[replace(c, outcome=outcome.get(c.id, c.outcome)) for c in uacce().cases])


WRONG_ROWS: dict[str, tuple[Callable[[], Specification], str]] = {
    "an errno": (lambda: changed("start.dead_queue", lambda c: replace(c, outcome=Errno.EINVAL)), "start.dead_queue"),
    "an effect": (lambda: changed("put_q.ok", without_effect("Queue.state")), "put_q.ok"),
    "another effect": (lambda: changed("close.ok", without_effect("Queue.live")), "leftover"),
    "two rows": (lambda: swapped("mmap.occupied", "mmap.dead_queue"), "mmap."),
    "a failure": (lambda: changed("start.start_fails", lambda c: replace(c, outcome=Errno.OK)), "start.start_fails"),
    "an outcome": (lambda: changed("touch.no_entries", lambda c: replace(c, outcome=Errno.OK)), "touch.no_entries"),
}


@pytest.mark.parametrize("wrong", WRONG_ROWS)
def test_a_wrong_row_is_noticed_by_the_reference(wrong: str) -> None:
    make, signature = WRONG_ROWS[wrong]
    found = fuzz(make(), reference(), seed=1, max_steps=20_000).disagreement
    assert found is not None
    assert signature in found.signature, found.text()


# ------------------------------------------------------------------ wrong lines of the reference implementation


def nothing(*_: object) -> Iterable[None]:
    return iter(())


def one_queue_less(self: Provider, *args: Any) -> int:
    return -16 if self.used == self.capacity - 1 else GET_QUEUE(self, *args)


GET_QUEUE = Provider.get_queue

WRONG_LINES: dict[str, tuple[type, str, Any, str]] = {
    "START fails": (Provider, "start_queue", lambda self, q: -5, "start."),
    "PUT_Q does not stop": (UacceQueue, "stop_hardware", nothing, "STARTED"),
    "a hardware queue too few": (Provider, "get_queue", one_queue_less, "open."),
    "a completion is seen for ever": (Provider, "is_q_updated", lambda self, q: int(q.priv.completions > 0), "ready"),
    "unbind does nothing": (UacceQueue, "unbind", nothing, "bond"),
    "a dead queue is not dead": (UacceQueue, "dead", property(lambda self: False), "dead|I03"),
}


@pytest.mark.parametrize("wrong", WRONG_LINES)
def test_a_wrong_line_is_noticed_by_the_specification(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, name, line, signature = WRONG_LINES[wrong]
    monkeypatch.setattr(owner, name, line)
    found = campaign(reference(), 20_000).disagreement
    assert found is not None
    assert re.search(signature, found.signature), found.text()
