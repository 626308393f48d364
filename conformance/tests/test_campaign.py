# SPDX-License-Identifier: Apache-2.0
"""Campaigns: every bug of the toy driver is found and shrunk, a right driver passes, and a finding can be replayed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from accelspec.conformance.campaign import CampaignResult, fuzz, replay
from accelspec.conformance.coverage import Coverage, CoverageError, merged
from accelspec.conformance.recording import RecordingError, decode, load
from accelspec.conformance.replaying import ReplayError
from accelspec.conformance.targets import Observation
from accelspec.conformance.tests.toy import ToyDriver, specification, toy_driver
from accelspec.model.verdict import Budget


def campaign(bugs: str = "", **options: object) -> CampaignResult:
    return fuzz(specification(), toy_driver(bugs), **{"seed": 1, "max_steps": 2000, **options})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def clean() -> CampaignResult:
    return campaign()


# ------------------------------------------------------------------ a driver that is right


def test_a_right_driver_passes(clean: CampaignResult) -> None:
    assert clean.passed
    assert clean.complete
    assert clean.steps >= 2000
    assert clean.replay == ""


def test_at_least_half_of_the_steps_succeed(clean: CampaignResult) -> None:
    assert clean.succeeded * 2 >= clean.steps


def test_every_row_is_taken_or_listed_with_the_reason(clean: CampaignResult) -> None:
    assert set(clean.rows) == set(specification().rows())
    assert all(clean.rows[row] >= 20 for row in clean.rows.keys() - clean.uncovered.keys())
    assert clean.uncovered["poke.wild"] == "the call would end in OOPS: never made"
    assert len(clean.uncovered) <= 2


def test_the_same_seed_makes_the_same_calls(clean: CampaignResult) -> None:
    assert campaign().rows == clean.rows
    assert campaign(seed=2).rows != clean.rows


def test_what_is_not_observed_is_no_finding() -> None:
    assert campaign("shy").passed  # it does not say which hardware queue it took


class NoIommu(ToyDriver):
    """Its `bind` always fails."""

    def do_open(self, process: str, fd: str, device: str, fails: Mapping[str, str]) -> str | Observation:
        return super().do_open(process, fd, device, {**fails, "bind": fails.get("bind", "EIO")})


class Unsure(ToyDriver):
    """Its `bind` cannot be made to fail, and it may say so."""

    says = True

    def do_open(self, process: str, fd: str, device: str, fails: Mapping[str, str]) -> str | Observation:
        seen = super().do_open(process, fd, device, {name: fails[name] for name in fails if name != "bind"})
        if not self.says or "bind" not in fails:
            return seen
        seen = Observation(seen) if isinstance(seen, str) else seen
        return msgspec.structs.replace(seen, failed=tuple(name for name in fails if name != "bind"))


def test_a_failure_that_did_not_come_about_was_not_there() -> None:
    driver = Unsure()
    done = fuzz(specification(), driver, seed=1, max_steps=300)
    assert done.passed
    assert not done.rows["open.bind_fails"]
    driver.says = False
    assert not fuzz(specification(), driver, seed=1, max_steps=300).passed


def test_what_always_fails_on_a_target_is_asked_for() -> None:
    class Said(NoIommu):
        unavoidable = frozenset({"bind"})

    done = fuzz(specification(), Said("1"), seed=1, max_steps=2000)
    assert done.disagreement is None, done.disagreement.text()
    assert done.rows["open.bind_fails"]
    assert fuzz(specification(), NoIommu("1"), seed=1, max_steps=2000).disagreement is not None


# ------------------------------------------------------------------ drivers with bugs

BUGS = {
    "errno": ("open.gone -> ENODEV", ["remove", "open"]),
    "swallow": ("open.bind_fails -> OK", ["open"]),
    "dead": ("start.dead -> EINVAL", ["open", "remove", "start"]),
    "half": (r"start\.(ok|start_fails) -> EINVAL", ["open", "start", "start"]),
    "leak": ("leftover Page", ["open", "mmap", "munmap", "close"]),
    "stale": (r"remove.removed -> DONE \(device#.registered is then False, not True\)", ["remove"]),
    "crash": ("dup.ok -> OOPS", ["open", "open", "dup"]),
    "alarm": ("close !! use after free at #", ["open", "mmap", "close"]),
    "capacity": ("open.ok -> EBUSY", ["open", "open"]),
}


@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_is_found_and_shrunk(bug: str) -> None:
    result = campaign(bug)
    assert result.disagreement is not None
    assert result.recording is not None
    operations = [p.call.operation for p in result.recording.calls]
    signature, shortest = BUGS[bug]
    assert re.fullmatch(signature, result.disagreement.signature)
    assert operations == shortest
    assert not result.passed


def test_a_shrunk_run_uses_the_first_objects_and_no_needless_failure() -> None:
    found = campaign("dead").recording
    assert found is not None
    assert [(p.call.args, p.call.fails) for p in found.calls] == [
        (("process0", "fd0", "device0"), {}),
        (("device0",), {}),
        (("process0", "fd0"), {}),
    ]


def test_the_report_shows_the_calls_with_sources() -> None:
    found = campaign("dead").disagreement
    assert found is not None
    text = found.text()
    assert text.startswith("toy@1: start(process0, fd0) answered EINVAL, which nothing explains\n")
    assert "   1  open(process0, fd0, device0) -> OK  open.ok  [read] toy_open in the toy driver\n" in text
    assert "by start.dead, if q.state is ZOMBIE" in text


# ------------------------------------------------------------------ budgets


def test_a_campaign_ends_when_it_is_told_to() -> None:
    calls = iter(range(10**9))
    result = campaign(max_steps=100_000, budget=Budget(stop=lambda: next(calls) > 300))
    assert not result.complete
    assert 0 < result.steps < 2000
    assert result.disagreement is None


def test_a_campaign_ends_when_its_time_is_over() -> None:
    seconds = iter(range(10**9))
    result = campaign(max_steps=100_000, budget=Budget(50, clock=lambda: float(next(seconds))))
    assert not result.complete
    assert 0 < result.steps < 5000


def test_progress_is_told() -> None:
    lines: list[str] = []
    campaign(max_steps=3000, budget=Budget(tell=lines.append))
    assert lines
    assert "steps" in lines[0]


# ------------------------------------------------------------------ accepted deviations


def test_an_accepted_deviation_is_counted_and_the_rest_is_still_looked_at() -> None:
    result = campaign("dead,leak", accepted=["start.dead -> EINVAL"])
    assert result.disagreement is not None
    assert result.disagreement.signature == "leftover Page"
    alone = campaign("dead", accepted=["start.dead -> EINVAL"])
    assert alone.passed
    assert alone.deviations["start.dead -> EINVAL"] >= 3
    assert alone.succeeded * 2 >= alone.steps


def test_an_accepted_deviation_that_is_gone_fails() -> None:
    result = campaign(accepted=["start.dead -> EINVAL", "mmap.ok -> EPERM"])
    assert result.disagreement is None
    assert result.vanished == ("start.dead -> EINVAL", "mmap.ok -> EPERM")
    assert not result.passed


# ------------------------------------------------------------------ replay


def test_a_finding_is_replayed_from_its_file(tmp_path: Path) -> None:
    found = campaign("leak")
    path = tmp_path / "found.jsonl"
    path.write_text(found.replay)
    again = replay(specification(), toy_driver("leak"), load(path))
    assert again.disagreement is not None
    assert found.disagreement is not None
    assert again.disagreement.signature == found.disagreement.signature
    assert again.replay == found.replay
    fixed = replay(specification(), toy_driver(), load(path))
    assert fixed.passed
    assert fixed.recording is not None
    assert fixed.recording.end.end == "explained"
    assert fixed.steps >= 3


def test_a_replay_of_another_machine_or_of_calls_that_are_gone_is_refused() -> None:
    text = campaign("dead").replay
    with pytest.raises(ReplayError, match="recorded of spoon@1, not of toy@1"):
        replay(specification(), toy_driver(), decode(text.replace('"machine":"toy"', '"machine":"spoon"')))
    with pytest.raises(ReplayError, match=r"call 1, open\(process0, fd7, device0\), cannot be made: there is no fd7"):
        replay(specification(), toy_driver(), decode(text.replace('"fd0"', '"fd7"')))
    with pytest.raises(ReplayError, match="toy@1 has no kind 'Hand'"):
        replay(specification(), toy_driver(), decode(text.replace('"Hw":2', '"Hand":2')))


GOOD = campaign("dead", max_steps=200).replay


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        (GOOD[: len(GOOD) // 2], "is cut off"),
        ("".join(GOOD.splitlines(keepends=True)[:-1]), "is cut off: its last line does not say how the run ended"),
        (GOOD + GOOD, "has more than one run"),
        ('{"some": "json"}\n', ":1 is no line of a recorded run of version accelspec.replay/1"),
        ("<xml/>\n", ":1 is no line of a recorded run"),
        (GOOD.replace("replay/1", "replay/9"), "is of version accelspec.replay/9; this accelspec reads"),
        ("".join(GOOD.splitlines(keepends=True)[1:]), ":1 does not say what was run"),
        (GOOD.replace('"operation"', '"opertaion"', 1), "opertaion"),
    ],
)
def test_a_broken_replay_file_is_one_clear_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "broken.jsonl"
    path.write_text(text)
    with pytest.raises(RecordingError) as error:
        load(path)
    assert str(error.value).startswith(str(path))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_replay_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"none\.jsonl cannot be read: No such file"):
        load(tmp_path / "none.jsonl")


# ------------------------------------------------------------------ coverage files


def test_coverage_files_merge(tmp_path: Path, clean: CampaignResult) -> None:
    paths = []
    for seed in (1, 2):
        paths.append(tmp_path / f"{seed}.json")
        paths[-1].write_bytes(campaign(seed=seed).coverage.encode())
    total = merged(paths)
    assert total.rows["open.ok"] == clean.rows["open.ok"] + campaign(seed=2).rows["open.ok"]
    assert set(total.missing()) == {"poke.wild"}
    assert total.steps > 4000


def test_foreign_coverage_is_refused(tmp_path: Path) -> None:
    other = Coverage("spoon", "1")
    with pytest.raises(CoverageError, match="coverage of toy@1 does not add to that of spoon@1"):
        other.merge(Coverage.of(specification()))
    (tmp_path / "a.json").write_text('{"schema": "accelspec.coverage/7"}')
    with pytest.raises(CoverageError, match=r"a\.json is no coverage file of version accelspec\.coverage/1"):
        merged([tmp_path / "a.json"])
