# SPDX-License-Identifier: Apache-2.0
"""habanalabs 6.1 and 6.12, row by row: the order of the checks, and what changed between the two."""

from __future__ import annotations

from accelspec.spec.habanalabs import Linux6_1, Linux6_12
from accelspec.spec.language import Machine, compile_machine


def rows(machine: type[Machine], operation: str) -> list[str]:
    """The rows of an operation in their order, with their errno."""
    cases = compile_machine(machine).rows()
    return [
        f"{r.split('.')[1]} {c[0].outcome.name}"
        for r, c in cases.items()
        if c[0].operation == operation and c[0].outcome
    ]


def test_open_asks_for_the_release_before_it_asks_for_the_slot() -> None:
    first = ["no_minor ENXIO"]
    core = ["no_minor ENODEV", "exclusive EBUSY", "no_offset_flag EINVAL"]
    rest = [
        "no_memory ENOMEM",
        "in_reset EAGAIN",
        "broken EPERM",
        "scrubbing EAGAIN",
        "releasing EAGAIN",
        "active EBUSY",
        "no_context ENOMEM",
        "ok OK",
    ]
    assert rows(Linux6_1, "open") == first + rest
    assert rows(Linux6_12, "open") == core + rest


def test_a_full_ring_is_refused_before_a_sequence_is_taken_and_a_reset_after_it() -> None:
    order = rows(Linux6_1, "submit")
    assert order.index("not_operational EBUSY") < order.index("ring_full EAGAIN")
    behind = [
        "bad_chunk EINVAL",
        "unknown_cb EINVAL",
        "lost_to_reset EPERM",
        "queue_full EAGAIN",
        "no_group EINVAL",
        "ok OK",
    ]
    assert order[order.index("ring_full EAGAIN") + 1 :] == behind
    assert rows(Linux6_12, "submit").index("padding EINVAL") < rows(Linux6_12, "submit").index("not_operational EBUSY")


def test_a_signal_and_a_second_destroy_have_answers_of_their_own_since_6_12() -> None:
    assert "interrupted OK" in rows(Linux6_1, "wait")
    assert "interrupted EINTR" in rows(Linux6_12, "wait")
    assert rows(Linux6_1, "cb_destroy")[-2:] == ["again OK", "ok OK"]
    assert rows(Linux6_12, "cb_destroy")[-3:] == ["unknown EINVAL", "destroyed EINVAL", "ok OK"]


def test_what_removal_gave_up_on_is_refused_by_6_1_and_followed_by_6_12() -> None:
    assert "device_gone ENODEV" in rows(Linux6_1, "alloc")
    assert {"device_gone ENODEV", "no_device OOPS"} <= set(rows(Linux6_12, "alloc"))
