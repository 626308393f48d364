# SPDX-License-Identifier: Apache-2.0
"""The reference driver of habanalabs and its specification, each held to the other, revision by revision."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from random import Random

import pytest

from accelspec.conformance.campaign import Campaign, CampaignResult, fuzz, replay, roomy_scope
from accelspec.conformance.coverage import Coverage
from accelspec.conformance.oracle import Oracle
from accelspec.conformance.recording import decode
from accelspec.conformance.session import Session
from accelspec.conformance.targets import Concurrent, Target, TargetError, open_target
from accelspec.conformance.targets.interface import Call, System
from accelspec.conformance.targets.reference import Reference, open_reference
from accelspec.model.evaluate import Interpreter
from accelspec.model.layout import full_scope
from accelspec.model.verdict import Budget
from accelspec.reference_impl.accel.faults import FAULTS
from accelspec.spec.habanalabs import B9, C0, A, Intended, Linux6_1, Linux6_12
from accelspec.spec.language import Machine, compile_machine
from accelspec.spec.language.specification import Specification

PAGES = Path(__file__).resolve().parents[2] / "docs" / "machines"
HELD: dict[str, type[Machine]] = {
    "a": A,
    "b9": B9,
    "c0": C0,
    "c1": Linux6_1,
    "c2": Linux6_12,
    "intended": Intended,
}


def driver(revision: str, faults: str = "", chip: str = "", without: str = "") -> Reference:
    options = {"faults": faults, "without": without} | ({"chip": chip} if chip else {})
    return open_reference("habanalabs", revision, options)


@cache
def specification(revision: str) -> Specification:
    return compile_machine(HELD[revision])


@cache
def oracle_of(revision: str, chip: str) -> Oracle:
    """One for all campaigns: what a call may do in a state is worked out once."""
    spec, target = specification(revision), driver(revision, chip=chip)
    return Oracle(Interpreter(spec, {**roomy_scope(spec), **target.scope}), target.operations)


def campaign(revision: str, max_steps: int, chip: str = "", faults: str = "", seed: int = 1) -> CampaignResult:
    oracle, target = oracle_of(revision, chip), driver(revision, faults, chip)
    return Campaign(oracle, target, seed, max_steps, Budget(), ()).run()


CHIPS = {"c1": ("gaudi", "goya"), "c2": ("gaudi", "goya")}
RUN = [(revision, chip) for revision in HELD for chip in CHIPS.get(revision, ("",))]


@pytest.mark.conformance
@pytest.mark.parametrize(("revision", "chip"), RUN)
def test_two_thousand_steps_agree(revision: str, chip: str) -> None:
    result = campaign(revision, 2000, chip)
    assert result.passed, result.disagreement and result.disagreement.text()
    assert result.steps >= 2000
    assert result.lost == 0
    assert result.succeeded * 2 >= result.steps


LISTED = re.findall(r"^\| ([\w ]+) \| (\w+\.\w+) \|", (PAGES / "habanalabs-campaign-rows.md").read_text(), re.MULTILINE)
SAID = re.compile("never made|does not offer|cannot make")  # by the campaign itself


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.conformance
@pytest.mark.parametrize("revision", HELD)
def test_a_hundred_thousand_steps_agree_and_take_every_row(revision: str) -> None:
    """As every chip; a row that one of them takes often enough is taken."""
    missing = []
    for chip in CHIPS.get(revision, ("",)):
        result = campaign(revision, 100_000, chip, seed=2)
        assert result.passed, result.disagreement and result.disagreement.text()
        assert result.succeeded * 2 >= result.steps
        missing.append({row for row, why in result.uncovered.items() if not SAID.search(why)})
    listed = {row for revisions, row in LISTED if revision in revisions.split()}
    assert set.intersection(*missing) <= listed


def test_the_listed_rows_exist() -> None:
    assert LISTED
    for revisions, row in LISTED:
        for revision in revisions.split():
            assert row in specification(revision).rows()


# ------------------------------------------------------------------ historical bugs

# The revision that the driver is held to with the bug in it, and what of the finding is sure: the row that is left, the
# law that an alarm names, or what the end of the run misses. docs/machines/habanalabs-historical-bugs.md lists them.
HISTORICAL = {
    "B1": ("c2", "close.ok"),
    "B2": ("c1", "I05"),
    "B3": ("c1", "open"),
    "B5": ("c1", "."),  # whatever comes next to the lock that is kept
    "B6": ("b9", "I11"),
    "B7": ("b9", "P03"),
    "B9": ("c1", "reset_work"),
    "B11": ("intended", "I13"),
    "B13": ("c2", "page tables"),
    "B15": ("c2", "cb_destroy.destroyed"),
    "B17": ("c2", "interrupted"),
    "B18": ("c2", "fence"),
    "B19": ("c2", "wait_multi"),
    "B21": ("b9", "."),  # whatever meets first what was left
    "B22": ("c2", "I12"),
    "B23": ("c2", "carry_out.escalates"),
    "B25": ("c2", "last_put.ok"),
    "B26": ("c2", "info.control_node"),
    "B27": ("c2", "remove with"),
    "B30": ("b9", "in_debug|close"),
    "B31": ("c1", "map.unknown"),
    "B33": ("c2", "mapping snapshot"),
    "M2": ("c2", "."),
    "M4": ("b9", "I02|not_compute|high|in_debug"),
    "M6": ("intended", "I18"),
    "M9": ("intended", "I03"),
    "M12": ("c1", "wait|I22"),
    "M14": ("b9", "frequency_tick"),
    "M15": ("c0", "I27"),
    "M16": ("intended", "I08"),
    "M18": ("c2", "submit"),
    "V3": ("intended", "OOPS"),
}
AS_A = {"B23": "goya", "M12": "goya"}  # where a Gaudi does not show it
NARROW = {
    "B2": "an owner",
    "B15": "buffers",
    "B18": "waits for several",
    "B25": "an owner",
    "B33": "page faults",
    "M2": "a ring",
    "M12": "waits",
    "M15": "two owners of memory",
}  # a scope of the author in which what shows it is not drowned
ALONE = ("B15", "B18", "B33")  # what leads there is long, and any reset or removal ends it
DISTURBING = "hard_reset,compute_reset,heartbeat_fails,remove,open_control"
QUICK = ("B1", "B6", "B9", "B11", "B22", "B23", "M4", "M14")


def assert_found_and_shrunk(fault: str, steps: int) -> None:
    (revision, seen), chip = HISTORICAL[fault], AS_A.get(fault, "")
    target = driver(revision, fault, chip, DISTURBING if fault in ALONE else "")
    if fault in NARROW:
        scope = {**full_scope(specification(revision), specification(revision).scopes[NARROW[fault]]), **target.scope}
        result = fuzz(specification(revision), target, seed=1, max_steps=steps, scope=scope)
    else:
        result = campaign(revision, steps, chip, fault)
    assert result.disagreement is not None
    assert result.recording is not None
    assert re.search(seen, result.disagreement.signature)
    spec = specification(revision)
    again = replay(spec, driver(revision, fault, chip), decode(result.replay))
    assert again.disagreement is not None
    assert again.disagreement.essence == result.disagreement.essence
    assert replay(spec, driver(revision, chip=chip), decode(result.replay)).passed


@pytest.mark.conformance
@pytest.mark.parametrize("fault", QUICK)
def test_a_historical_bug_is_found_and_shrunk(fault: str) -> None:
    assert_found_and_shrunk(fault, 5000)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.conformance
@pytest.mark.parametrize("fault", [fault for fault in HISTORICAL if fault not in QUICK])
def test_every_historical_bug_that_can_be_seen_is_found(fault: str) -> None:
    assert_found_and_shrunk(fault, 20_000)


def test_the_page_says_which_revision_sees_which_bug() -> None:
    """And of each other one why none does."""
    _, _, told = (PAGES / "habanalabs-historical-bugs.md").read_text().partition("## Found by campaigns")
    found, _, unseen = told.partition("Not seen")
    assert dict(re.findall(r"^\| (\w+) \| (\w+) \|", found, re.MULTILINE)) == {f: r for f, (r, _) in HISTORICAL.items()}
    assert set(re.findall(r"^- \*\*(\w+)\*\*", unseen, re.MULTILINE)) == FAULTS.keys() - HISTORICAL.keys()


# ------------------------------------------------------------------ what the driver puts off


def begun(revision: str, options: Mapping[str, str] | None = None, **scope: int) -> Target:
    target = open_target("reference", "habanalabs", revision, options)
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
    with pytest.raises(TargetError, match="gaudi, goya"):
        open_target("reference", "habanalabs", "c1", {"chip": "voodoo"})


@pytest.mark.conformance
@pytest.mark.parametrize("revision", ["c1", "c2"])
def test_a_compute_reset_goes_on_in_an_event(revision: str) -> None:
    target = begun(revision, {"chip": "goya"}, Chip=1)
    target.perform(OPEN)
    submitted = target.perform(SUBMIT).created[0]
    began = target.perform(Call("compute_reset", ("device0",)))
    assert (began.result, began.state["device0.compute_reset"]) == ("DONE", "True")
    assert results(target, Call("complete", (submitted,)), SUBMIT) == ["DONE", "EBUSY"]
    over = target.perform(Call("carry_out", ("device0",)))
    assert (over.result, over.state["device0.in_reset"]) == ("DONE", "False")
    assert results(target, SUBMIT) == ["OK"]


# ------------------------------------------------------------------ 6.x: calls that meet

HARD_RESET, WORK = Call("hard_reset", ("device0",)), Call("reset_work", ("device0",))
CARRY_OUT = Call("carry_out", ("device0",))


def session(revision: str, chip: str, *calls: Call) -> Session:
    oracle = oracle_of(revision, chip)
    made = Session(oracle, driver(revision, chip=chip), Coverage.of(oracle.spec))
    made.begin(Campaign(oracle, made.target, 1, 0, Budget(), ()).new_system(Random(1)))
    for call in calls:
        made.perform(call)
    return made


@pytest.mark.conformance
def test_the_end_of_an_owner_meets_the_reset_that_it_waits_for() -> None:
    made = session("c2", "goya", OPEN, CLOSE)
    left = next(name for name, _ in made.oracle.candidates[0].names if name.startswith("filePrivate"))
    end = Call("last_put", (left,), {"is_device_idle": "EIO"})
    assert "waits for another call" in made.oracle.refuses(end)
    assert "waits for another call" in made.oracle.refuses_meeting(end, CARRY_OUT)
    assert made.refuses_meeting(end, CARRY_OUT) == ""
    assert made.meet(end, CARRY_OUT, (1, 1)).row == "last_put.ok and carry_out.ok"


@pytest.mark.conformance
def test_a_submission_meets_a_reset() -> None:
    made = session("c1", "gaudi", OPEN)
    seen = made.meet(SUBMIT, HARD_RESET, (2, 99))
    assert seen.row == "submit.lost_to_reset and hard_reset.queued"


@pytest.mark.conformance
def test_a_worker_does_not_meet_itself() -> None:
    made = session("c1", "gaudi", OPEN, HARD_RESET)
    assert made.refuses_meeting(WORK, WORK) == "they are calls of one worker"
