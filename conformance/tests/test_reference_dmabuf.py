# SPDX-License-Identifier: Apache-2.0
"""The reference implementation of dma-buf and its specification, each held to the other, design by design."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from accelspec.conformance.campaign import Campaign, CampaignResult, fuzz, replay, roomy_scope
from accelspec.conformance.coverage import ENOUGH
from accelspec.conformance.oracle import Oracle
from accelspec.conformance.recording import decode
from accelspec.conformance.targets import Call, Concurrent, System, Target, TargetError, open_target
from accelspec.model.evaluate import Interpreter
from accelspec.model.verdict import Budget
from accelspec.reference_impl.dmabuf.buffer import DmaBuf
from accelspec.reference_impl.dmabuf.device import Device
from accelspec.spec.catalogue import MACHINES
from accelspec.spec.language import Errno, compile_machine
from accelspec.spec.language.specification import Case, Specification

DESIGNS = ("D0", "D1", "D2a", "D2b", "D2c", "D3a", "D3b", "D3t", "intended")


@cache
def dmabuf(design: str) -> Specification:
    return compile_machine(MACHINES["dmabuf"][design])


def reference(design: str, faults: str = "") -> Target:
    return open_target("reference", "dmabuf", design, {"faults": faults})


@cache
def oracle(design: str) -> Oracle:
    """One for all campaigns: what a call may do in a state is worked out once."""
    return Oracle.of(Interpreter(dmabuf(design), roomy_scope(dmabuf(design))), reference(design))


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
    taken = {row for row, count in result.rows.items() if count}
    assert {"export.ok", "attach.ok", "access.ok", "end_session.ok"} <= taken
    assert "map.ok" in taken or "map.ok" not in result.rows  # by a kind of importer that has to be tried


PAGE = Path(__file__).resolve().parents[2] / "docs" / "machines" / "dmabuf-campaign-rows.md"
LISTED = re.findall(r"^\| ([\w ]+) \| ([\w.]+) \|", PAGE.read_text(), re.MULTILINE)


@pytest.mark.slow
@pytest.mark.conformance
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("design", DESIGNS)
def test_a_hundred_thousand_steps_agree_and_take_every_row(design: str) -> None:
    result = campaign(reference(design), design, 100_000, seed=2)
    assert result.passed, result.disagreement and result.disagreement.text()
    assert result.succeeded * 2 >= result.steps
    assert set(result.uncovered) <= {row for designs, row in LISTED if design in designs.split()}


def test_the_reference_can_be_raced() -> None:
    assert isinstance(reference("intended"), Concurrent)


def test_a_design_that_it_does_not_have_is_refused() -> None:
    with pytest.raises(TargetError, match="D3c"):
        open_target("reference", "dmabuf", "D3c")


# ------------------------------------------------------------------ historical bugs

# In which design, and the most calls of a shrunk trace. The choice was committed before any was run:
# docs/machines/dmabuf-historical-faults.md.
HISTORICAL = {
    "B03": ("D2b", 3),
    "B04": ("D2b", 3),
    "B08": ("D3b", 7),
    "B09": ("D3b", 4),
    "B11": ("D3b", 4),
    "B12": ("D3b", 7),
    "B14": ("intended", 4),
    "B16": ("D2c", 4),
    "B17": ("D2c", 5),
    "B19": ("D2c", 5),
    "B20": ("D1", 4),
    "B27": ("D2c", 3),
    "B28": ("D2c", 4),
    "B37": ("D3b", 3),
    "B41": ("D2c", 5),
    "B48": ("D2c", 4),
    "B50": ("intended", 7),
}
FEW = ("B04", "B09")  # an alarm or something left, an answer
ROOM = {"B28": {"Fd": 3}}  # where two buffers are needed at once
SEED = {"B37": 2}  # the first one takes 21,000 steps


def found(fault: str) -> None:
    design, most = HISTORICAL[fault]
    scope = roomy_scope(dmabuf(design)) | ROOM.get(fault, {})
    result = fuzz(dmabuf(design), reference(design, fault), seed=SEED.get(fault, 1), max_steps=30_000, scope=scope)
    assert result.disagreement is not None
    assert result.recording is not None
    assert len(result.recording.calls) <= most
    again = replay(dmabuf(design), reference(design, fault), decode(result.replay))
    assert again.disagreement is not None
    assert again.disagreement.essence == result.disagreement.essence
    assert replay(dmabuf(design), reference(design), decode(result.replay)).passed


@pytest.mark.conformance
@pytest.mark.parametrize("fault", FEW)
def test_a_historical_bug_is_found_and_shrunk(fault: str) -> None:
    found(fault)


@pytest.mark.slow
@pytest.mark.conformance
@pytest.mark.parametrize("fault", HISTORICAL)
def test_every_historical_bug_is_found_and_shrunk(fault: str) -> None:
    found(fault)


# ------------------------------------------------------------------ wrong rows and wrong lines


def changed(design: str, row: str, change: Callable[[Case], Case]) -> Specification:
    """A design with the cases of one row changed."""
    spec = dmabuf(design)
    assert row in spec.rows()
    return replace(spec, cases=[change(case) if case.id == row else case for case in spec.cases])


def without_effect(field: str) -> Callable[[Case], Case]:
    def change(case: Case) -> Case:
        kept = tuple(a for a in case.effects if a.field.name != field)
        assert len(kept) < len(case.effects)
        return replace(case, effects=kept)

    return change


WRONG_ROWS: dict[str, tuple[Callable[[], Specification], str, str]] = {
    "an errno": (
        lambda: changed("D2c", "free_memory.exported", lambda c: replace(c, outcome=Errno.EBUSY)),
        "D2c",
        "free_memory.exported -> EINVAL",
    ),
    "an effect": (lambda: changed("D3b", "alloc.ok", without_effect("Memory.session")), "D3b", "memory#.session"),
    "a mapping": (lambda: changed("D3b", "unmap.ok", without_effect("Import.maps")), "D3b", "import#.maps"),
}


@pytest.mark.conformance
@pytest.mark.parametrize("wrong", WRONG_ROWS)
def test_a_wrong_row_is_noticed_by_the_reference(wrong: str) -> None:
    make, design, signature = WRONG_ROWS[wrong]
    disagreement = fuzz(make(), reference(design), seed=1, max_steps=20_000).disagreement
    assert disagreement is not None
    assert signature in disagreement.signature, disagreement.text()


WRONG_LINES: dict[str, tuple[type, str, object, str, str]] = {
    "whoever cannot be revoked does not count": (DmaBuf, "irrevocable", False, "intended", "-> "),
    "the device stays with who has left": (Device, "end_session", lambda *_: iter(()), "D0", "open."),
}


@pytest.mark.conformance
@pytest.mark.parametrize("wrong", WRONG_LINES)
def test_a_wrong_line_is_noticed_by_the_specification(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, name, line, design, signature = WRONG_LINES[wrong]
    monkeypatch.setattr(owner, name, line)
    disagreement = campaign(reference(design), design, 20_000).disagreement
    assert disagreement is not None
    assert signature in disagreement.signature, disagreement.text()


# ------------------------------------------------------------------ calls that would wait


@pytest.mark.conformance
def test_an_export_does_not_meet_a_reset_that_would_wait_for_what_it_exports() -> None:
    target = reference("D3b")
    judge = Oracle.of(Interpreter(dmabuf("D3b"), roomy_scope(dmabuf("D3b"))), target)
    judge.begin(target.reset(System("dmabuf", "D3b", roomy_scope(dmabuf("D3b")))))
    for call in (Call("open", ("process0", "fd0", "device0")), Call("alloc", ("process0", "fd0"))):
        judge.step(call, target.perform(call))
    export = Call("export", ("process0", "fd0", "memory0", "fd1", "False", "False"))
    assert "waits for another call" in judge.refuses_meeting(export, Call("reset", ("device0",)))
    assert not judge.refuses(export)
