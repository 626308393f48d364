# SPDX-License-Identifier: Apache-2.0
"""The reference driver of habanalabs and its specification, each held to the other, revision by revision."""

from __future__ import annotations

from functools import cache

import pytest

from accelspec.conformance.campaign import Campaign, CampaignResult, roomy_scope
from accelspec.conformance.oracle import Oracle
from accelspec.conformance.targets import Concurrent, Target, TargetError, open_target
from accelspec.conformance.targets.interface import Call, System
from accelspec.conformance.targets.reference import Reference, open_reference
from accelspec.model.evaluate import Interpreter
from accelspec.model.verdict import Budget
from accelspec.spec.habanalabs import B9, C0, A, Intended, Linux6_1, Linux6_12
from accelspec.spec.language import Machine, compile_machine

HELD: dict[str, type[Machine]] = {
    "a": A,
    "b9": B9,
    "c0": C0,
    "c1": Linux6_1,
    "c2": Linux6_12,
    "intended": Intended,
}


def driver(revision: str, faults: str = "") -> Reference:
    return open_reference("habanalabs", revision, {"faults": faults})


@cache
def oracle(revision: str) -> Oracle:
    """One for all campaigns: what a call may do in a state is worked out once."""
    spec, target = compile_machine(HELD[revision]), driver(revision)
    return Oracle(Interpreter(spec, {**roomy_scope(spec), **target.scope}), target.operations)


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
@pytest.mark.parametrize(
    ("fault", "revision"),
    [("M14", "b9"), ("M4", "b9"), ("B30", "b9"), ("M4", "intended"), ("M9", "intended"), ("V3", "intended")],
)
def test_a_bug_is_found(fault: str, revision: str) -> None:
    result = campaign(driver(revision, fault), revision, 5000)
    assert not result.passed
    assert result.disagreement is not None


def begun(revision: str, **scope: int) -> Target:
    target = open_target("reference", "habanalabs", revision)
    sizes = {"Process": 2, "Mm": 2, "Fd": 2, "Device": 1, "Asid": 1, **scope}
    target.reset(System("habanalabs", revision, sizes, {"asid0.device": "device0"}))
    return target


def results(target: Target, *calls: Call) -> list[str]:
    return [target.perform(call).result for call in calls]


OPEN = Call("open", ("process0", "fd0", "device0"))
OTHER = Call("open", ("process1", "fd0", "device0"))
CLOSE = Call("close", ("process0", "fd0"))


@pytest.mark.conformance
@pytest.mark.parametrize("revision", ["a", "c0"])
def test_what_an_exit_leaves_of_a_file_ends_in_an_event(revision: str) -> None:
    target = begun(revision)
    left = next(name for name in target.perform(OPEN).created if name.startswith("filePrivate"))
    assert results(target, Call("exit", ("process0",)), OTHER) == ["OK", "EBUSY"]
    assert results(target, Call("drain", (left,)), OTHER) == ["DONE", "OK"]


@pytest.mark.conformance
@pytest.mark.parametrize("revision", ["a", "c0"])
def test_a_close_ends_what_it_lets_go_of(revision: str) -> None:
    assert results(begun(revision), OPEN, CLOSE, OTHER) == ["OK", "OK", "OK"]


@pytest.mark.conformance
def test_a_call_that_waits_for_a_sleeper_goes_on_after_it() -> None:
    target = begun("a")
    assert isinstance(target, Concurrent)
    assert results(target, OPEN, Call("hard_reset", ("device0",))) == ["OK", "DONE"]
    second = Call("open", ("process0", "fd1", "device0"))
    two = target.meet(second, Call("reset_work", ("device0",)), (0, 2))
    assert [seen.result for seen in two] == ["EBUSY", "DONE"]


def test_the_driver_can_be_raced() -> None:
    assert isinstance(driver("a"), Concurrent)


def test_an_unknown_behaviour_is_refused() -> None:
    with pytest.raises(TargetError, match="c9"):
        open_target("reference", "habanalabs", "c9")


# ------------------------------------------------------------------ 6.x: calls that are cut into events

SUBMIT = Call("submit", ("process0", "fd0", "WHOLE", "False"))


@pytest.mark.conformance
@pytest.mark.parametrize(("revision", "meanwhile"), [("c1", "EAGAIN"), ("c2", "EAGAIN")])
def test_the_end_of_an_owner_is_an_event(revision: str, meanwhile: str) -> None:
    target = begun(revision, Chip=0)
    seen = target.perform(OPEN)
    owner = next(name for name in seen.created if name.startswith("filePrivate"))
    assert results(target, OTHER, CLOSE, OTHER) == ["EBUSY", "OK", meanwhile]
    assert results(target, Call("last_put", (owner,)), OTHER) == ["DONE", "OK"]


@pytest.mark.conformance
def test_a_close_in_use_resets_later() -> None:
    target = begun("c2", Chip=0)
    target.perform(OPEN)
    submitted = target.perform(SUBMIT).created[0]
    assert results(target, CLOSE, Call("complete", (submitted,)), OTHER) == ["OK", "DONE", "EAGAIN"]
    closed = target.perform(Call("still_in_use", ("watchdog0",)))
    assert (closed.result, closed.state["device0.in_reset"]) == ("DONE", "True")


@pytest.mark.conformance
def test_a_worker_is_one_trial() -> None:
    target = begun("c1", Chip=0)
    target.perform(OPEN)
    work = Call("reset_work", ("device0",))
    assert results(target, Call("hard_reset", ("device0",)), work) == ["DONE", "DONE"]
    last = target.perform(work)  # nobody has left: it gives up
    assert (last.state["device0.in_reset"], last.state["device0.disabled"]) == ("False", "True")


def test_another_chip_is_refused() -> None:
    target = open_target("reference", "habanalabs", "c1")
    with pytest.raises(TargetError, match="Chip=0"):
        target.reset(System("habanalabs", "c1", {"Process": 1, "Device": 1, "Asid": 1, "Chip": 1}))
