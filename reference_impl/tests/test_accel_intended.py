# SPDX-License-Identifier: Apache-2.0
"""The driver as it is intended: what it does differently from the posted scheme, one deviation after the other."""

from accelspec.reference_impl.accel import checks
from accelspec.reference_impl.accel.info import Info
from accelspec.reference_impl.accel.system import AccelSystem
from accelspec.reference_impl.kernel import Errno
from accelspec.reference_impl.tests.accel_scenes import step_to


def shared(asids: int | None = None) -> AccelSystem:
    """Two processes have the device open."""
    s = AccelSystem("intended", asids=asids)
    s.open(0, 0)
    s.open(1, 0)
    return s


def test_T3_a_context_from_before_a_hard_reset_is_dead_and_has_nothing() -> None:
    s = shared()
    handle = s.alloc(0, 0)
    s.map(0, 0, handle)
    s.debug_on(0, 0)
    s.refuse_to_die(0)
    s.refuse_to_die(1)
    s.hard_reset()
    s.finish_reset()
    assert (s.device().memory.used, s.device().in_debug, s.device().taken) == (0, False, False)
    assert [s.cb_create(0, 0), s.submit(0, 0), s.wait(0, 0, 1), s.alloc(0, 0), s.debug_on(0, 0)] == [Errno.EIO] * 5
    assert s.info(0, 0, Info.DRAM_USAGE) == 0
    assert s.alloc(1, 0) > 0
    assert checks.end(s) == []


def test_T4_a_submission_that_fails_leaves_neither_context_nor_slot() -> None:
    s = shared(asids=2)
    assert s.submit(0, 0, empty=True) == Errno.EINVAL
    assert (s.device().contexts, list(s.device().asids), s.device().taken) == ({}, [], False)
    assert s.submit(1, 0) == 1
    assert s.submit(0, 0) == Errno.EACCES


def test_T4_a_context_stays_as_long_as_another_submission_may_succeed() -> None:
    s = shared()
    slow = step_to(s.call("submit", 0, 0), "submit: sequence consumed")
    assert s.submit(0, 0, empty=True) == Errno.EINVAL
    assert len(s.device().contexts) == 1
    assert slow.run() == 1
    assert s.device().taken
    assert s.findings == []


def test_T4_whoever_takes_the_slot_first_has_it() -> None:
    s = shared()
    slow = step_to(s.call("submit", 0, 0), "submit: sequence consumed")
    assert s.submit(1, 0) == 1
    assert slow.run() == Errno.EACCES
    assert len(s.device().contexts) == 1
    assert checks.end(s) == []


def test_T5_a_question_leaves_an_asid_for_work() -> None:
    s = shared(asids=2)
    assert s.info(0, 0, Info.HW_IDLE) == 0
    assert s.device().contexts == {}
    assert s.cb_create(1, 0) > 0
    s = shared(asids=3)
    assert [s.info(0, 0, Info.HW_IDLE), s.info(1, 0, Info.HW_IDLE)] == [0, 0]
    assert len(s.device().contexts) == 1


def test_T5_debug_mode_is_in_nobodys_way() -> None:
    s = shared()
    assert s.debug_on(0, 0) == 0
    assert s.open(2, 0) >= 0


def test_T7_who_survives_a_removal_closes_in_peace() -> None:
    s = shared()
    s.alloc(0, 0)
    s.refuse_to_die(0)
    s.remove()
    s.finish_removal()
    assert s.info(0, 0) == Errno.ENODEV
    assert s.device().memory.used == 0
    assert checks.end(s) == []


def test_T8_memory_that_cannot_be_scrubbed_waits_for_a_hard_reset() -> None:
    s = shared()
    s.map(0, 0, s.alloc(0, 0))
    s.inject("scrub")
    s.close(0, 0)
    assert s.device().hard_reset_pending
    assert s.alloc(1, 0) == Errno.ENODEV
    assert s.device().memory.unscrubbed > 0
    s.finish_reset()
    assert s.device().memory.unscrubbed == 0
    assert s.device().operational


def test_T9_waiting_takes_nothing() -> None:
    s = shared()
    assert s.wait(0, 0, 1) == Errno.EINVAL
    assert (s.device().contexts, s.device().taken) == ({}, False)


def test_T10_a_context_that_cannot_be_made_is_no_contention() -> None:
    s = shared()
    s.inject("context_handle")
    assert s.cb_create(0, 0) == Errno.ENOMEM


def test_T11_a_call_that_waited_for_the_lock_looks_at_the_device_again() -> None:
    s = shared()
    asking = step_to(s.call("cb_create", 0, 0), "before lazy_ctx_creation_lock")
    s.hard_reset()
    assert asking.run() == Errno.ENODEV


def test_T11_a_submission_that_meets_a_reset_is_answered_as_if_it_had_come_later() -> None:
    s = shared()
    slow = step_to(s.call("submit", 0, 0), "submit: sequence consumed")
    s.hard_reset()
    assert slow.run() == Errno.ENODEV
    assert s.device().contexts == {}
