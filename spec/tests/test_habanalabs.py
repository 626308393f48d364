# SPDX-License-Identifier: Apache-2.0
"""habanalabs 5.x: what each patch of the posted series introduces is there since that patch, and not before."""

from __future__ import annotations

import pytest

from accelspec.spec.habanalabs import REVISIONS
from accelspec.spec.language import Errno, Specification, compile_machine

SPECS: dict[str, Specification] = {r.revision: compile_machine(r) for r in REVISIONS}
BEFORE = ["a", "b1", "b2", "b3", "b4", "b5", "b6", "b7", "b8", "b9"]
IOCTLS = ["info", "cb_create", "submit", "wait", "alloc", "debug_on"]


def shown(revision: str, row: str) -> str:
    """What decides a row, and what it then does, as the driver's code says it."""
    return "; ".join(c.shown + " -> " + ", ".join(c.told) for c in SPECS[revision].rows().get(row, []))


def before(revision: str) -> str:
    return BEFORE[BEFORE.index(revision) - 1]


def test_1_a_context_is_published_after_its_handle() -> None:
    assert "d.slot" in shown("a", "open.no_handle")
    assert "d.slot" not in shown("b1", "open.no_handle")


@pytest.mark.parametrize("ioctl", IOCTLS)
def test_2_every_ioctl_asks_for_a_context(ioctl: str) -> None:
    assert not any(r.startswith(f"{ioctl}.no_context") for r in SPECS["b1"].rows())
    (case, *_) = SPECS["b2"].rows()[f"{ioctl}.no_context"]
    assert case.outcome is Errno.EACCES


def test_2_busy_comes_first_and_wait_has_only_this_check() -> None:
    rows = list(SPECS["b2"].rows())
    assert rows.index("submit.in_reset") < rows.index("submit.no_context")
    assert "wait.in_reset" not in rows


def test_3_open_makes_no_context() -> None:
    assert "open.no_asid" in SPECS["b2"].rows()
    assert "open.no_asid" not in SPECS["b3"].rows()
    assert SPECS["b3"].rows()["info.no_asid"][0].outcome is Errno.EACCES


def test_5_debug_mode_needs_that_there_is_one_file() -> None:
    assert "debug_on.not_alone" not in SPECS["b4"].rows()
    assert SPECS["b5"].rows()["debug_on.not_alone"][0].outcome is Errno.EPERM


def test_6_only_one_context_computes() -> None:
    assert "submit.not_compute" not in SPECS["b5"].rows()
    assert SPECS["b6"].rows()["submit.not_compute"][0].outcome is Errno.EACCES
    assert "info.not_compute" not in SPECS["b6"].rows() or "compute" in shown("b6", "info.not_compute")


def test_9_open_is_never_busy() -> None:
    assert all(any(c.outcome is Errno.EBUSY for c in SPECS[r].rows()["open.taken"]) for r in BEFORE[:-1])
    outcomes = {c.outcome for name, cases in SPECS["b9"].rows().items() if name.startswith("open.") for c in cases}
    assert Errno.EBUSY not in outcomes


# Where a later prefix breaks it again, by another row.
WITHDRAWN = {"P03": {"b5": "reset_work.no_kernel_context", "b6": "reset_work.no_kernel_context"}}


@pytest.mark.parametrize(
    ("law", "patch"),
    [("I25", "b4"), ("I32", "b7"), ("I11", "b8"), ("P03", "b1")],
    ids=["4_clocks", "7_the_wait", "8_rollback_first", "1_no_dangling_slot"],
)
def test_a_law_that_a_patch_introduces(law: str, patch: str) -> None:
    assert f"habanalabs.{law}" in SPECS[before(patch)].known
    later = {r: SPECS[r].known.get(f"habanalabs.{law}") for r in BEFORE[BEFORE.index(patch) :]}
    assert {r: known.row for r, known in later.items() if known} == WITHDRAWN.get(law, {})


def test_the_letter_holds_what_the_series_does_not() -> None:
    kept = {"I01", "I02", "I03", "I04", "I05", "I09", "L05"}
    assert {f"habanalabs.{k}" for k in kept} <= SPECS["b9"].known.keys()
    assert not {f"habanalabs.{k}" for k in kept} & SPECS["b-letter"].known.keys()
