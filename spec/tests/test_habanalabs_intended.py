# SPDX-License-Identifier: Apache-2.0
"""habanalabs, intended: each deviation from 9/9 is there, as a row or as a place in the order of rows."""

from __future__ import annotations

import pytest

from accelspec.spec.habanalabs import B9, Intended
from accelspec.spec.language import Errno, Specification, compile_machine

BASE, OURS = compile_machine(B9), compile_machine(Intended)


def outcomes(spec: Specification, row: str) -> set[Errno | None]:
    return {c.outcome for c in spec.rows()[row]}


def rows(spec: Specification, operation: str) -> list[str]:
    return [r.partition(".")[2] for r in spec.rows() if r.startswith(f"{operation}.")]


def test_T1_a_file_ends_in_one_piece() -> None:
    assert "close" in BASE.steps
    assert "close" not in OURS.steps


@pytest.mark.parametrize("operation", ["submit", "cb_create", "cb_destroy", "alloc", "free", "map", "debug_on", "wait"])
def test_T3_what_needs_a_context_from_before_a_hard_reset_is_an_error_of_its_own(operation: str) -> None:
    assert f"{operation}.dead" not in BASE.rows()
    assert outcomes(OURS, f"{operation}.dead") == {Errno.EIO}
    assert "info.dead" not in OURS.rows()


def test_T4_a_submission_gets_its_context_and_the_slot_last() -> None:
    def changing(spec: Specification) -> set[str]:
        return {c.row for c in spec.cases if c.operation == "submit" and c.effects}

    assert "bad_arguments" in changing(BASE)
    assert changing(OURS) == {"ok", "next"}


def test_T5_a_monitor_is_answered_without_an_asid_and_opens_while_somebody_debugs() -> None:
    assert "info.no_asid" in BASE.rows()
    assert "info.no_asid" not in OURS.rows()
    assert outcomes(OURS, "info.without") == {Errno.OK}
    assert {"in_debug", "half_built"} & set(rows(BASE, "open")) == {"in_debug", "half_built"}
    assert not {"in_debug", "half_built"} & set(rows(OURS, "open"))  # T6, too
    assert "debug_on.not_alone" not in OURS.rows()


def test_T7_nothing_crashes() -> None:
    assert any(c.crashes for c in BASE.cases)
    assert not any(c.crashes for c in OURS.cases)
    assert outcomes(OURS, "info.device_gone") == {Errno.ENODEV}


def test_T9_wait_takes_nothing() -> None:
    assert {"no_asid", "not_compute"} <= set(rows(BASE, "wait"))
    assert rows(OURS, "wait") == [
        "bad_fd",
        "device_gone",
        "hard_reset_pending",
        "dead",
        "not_submitted",
        "busy",
        "aborted",
        "ok",
    ]


def test_T10_only_contention_is_EACCES() -> None:
    refused = {r.partition(".")[2] for r, cases in OURS.rows().items() for c in cases if c.outcome is Errno.EACCES}
    assert refused == {"not_compute"}


@pytest.mark.parametrize("operation", ["info", "cb_create"])
def test_T11_a_call_that_waited_looks_again(operation: str) -> None:
    order = rows(OURS, operation)
    assert order.index("looked") < order.index("lost") < order.index("reset_meanwhile") < len(order) - 1
