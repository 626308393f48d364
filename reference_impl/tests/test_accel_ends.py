# SPDX-License-Identifier: Apache-2.0
"""What becomes of a file that was closed: at once, or when told to; and of the slot, by revision."""

import pytest

from accelspec.reference_impl.accel import checks
from accelspec.reference_impl.accel.arguments import InfoArgs
from accelspec.reference_impl.accel.info import Info
from accelspec.reference_impl.accel.system import AccelSystem
from accelspec.reference_impl.kernel import Errno
from accelspec.reference_impl.tests.accel_scenes import opened


@pytest.mark.parametrize("revision", ["a", "b", "c0", "c1", "c2"])
def test_an_end_that_is_put_off_keeps_the_context(revision: str) -> None:
    s = opened(AccelSystem(revision))
    s.part_ends()
    s.close(0, 0)
    (fd,) = s.parted()
    assert len(s.device().contexts) == 1
    assert s.device().taken
    assert s.ending(fd).run() == 0
    assert (s.parted(), s.device().contexts, s.device().taken) == ([], {}, False)


def test_an_end_that_is_put_off_keeps_a_file_without_a_context() -> None:
    s = AccelSystem("b")
    s.part_ends()
    s.open(0, 0)
    s.exit(0)
    assert list(s.device().files) == s.parted()
    s.ending(s.parted()[0]).run()
    assert not s.device().files


def test_an_open_that_fails_puts_nothing_off() -> None:
    s = AccelSystem("a")
    s.part_ends()
    s.inject("context_handle")
    assert s.open(0, 0) == Errno.ENOMEM
    assert (s.parted(), s.device().contexts) == ([], {})


@pytest.mark.parametrize(("revision", "taken"), [("c0", False), ("b", True)])
def test_who_outlives_a_hard_reset_leaves_the_slot(revision: str, taken: bool) -> None:
    """5.4 clears it, whoever's it is; the posted scheme compares."""
    s = opened(AccelSystem(revision))
    s.refuse_to_die(0)
    s.hard_reset()
    s.finish_reset()
    s.open(1, 0)
    if revision == "b":
        s.cb_create(1, 0)
    assert s.device().taken
    s.close(0, 0)
    assert s.device().taken is taken


def test_a_question_looks_at_the_device_once() -> None:
    """With contexts at first use: before the context is made, not after."""
    s = AccelSystem("b")
    s.open(0, 0)
    asking = s.call("info", 0, 0, InfoArgs(Info.HW_IDLE))
    asking.step()
    s.hard_reset()
    assert asking.run() == 0


@pytest.mark.parametrize("revision", ["c1", "c2"])
def test_the_control_node_is_never_the_drm_cores(revision: str) -> None:
    """Who has it open keeps its number findable, and the driver behind it knows no device any more."""
    s = AccelSystem(revision)
    s.open_control(0, 0, 0)
    s.refuse_to_die(0)
    s.finish_removal()
    assert s.open_control(1, 0, 0) == Errno.ENXIO


def test_importers_of_a_removed_device_let_go_at_the_end() -> None:
    s = opened(AccelSystem("c2"))
    handle = s.alloc(0, 0, 4096)
    assert s.export(0, 0, s.map(0, 0, handle)) > 0
    s.finish_removal()
    s.probe(0)
    assert [left for left in checks.end(s) if left.rule == "habanalabs.I06"] == []
