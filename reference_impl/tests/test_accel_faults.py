# SPDX-License-Identifier: Apache-2.0
"""Each historical bug of the accelerator driver, switched on alone, breaks its property; without it nothing does.

The scenes are the shortest traces of docs/machines/habanalabs-historical-bugs.md.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accelspec.reference_impl.accel import checks
from accelspec.reference_impl.accel.arguments import Chunk
from accelspec.reference_impl.accel.faults import FAULTS
from accelspec.reference_impl.accel.info import Info
from accelspec.reference_impl.accel.packets import Op, Packet
from accelspec.reference_impl.accel.system import AccelSystem
from accelspec.reference_impl.kernel import PAGE, Errno, Outcome, UsageError
from accelspec.reference_impl.tests.accel_scenes import step_to

EXTERNAL = 4
PAGE_OF = Path(__file__).parents[2] / "docs" / "machines" / "habanalabs-historical-bugs.md"

Scene = Callable[[AccelSystem], object]
SCENES: dict[str, tuple[Scene, dict[str, Any]]] = {}


def trace(fault: str, **hardware: int) -> Callable[[Scene], Scene]:
    """Name the fault that a scene is the trace of."""

    def add(scene: Scene) -> Scene:
        SCENES[fault] = scene, hardware
        return scene

    return add


def stages(s: AccelSystem) -> None:
    """Let a hard reset come to where it can get no further by itself."""
    while s.reset_step() == 1:
        pass


def opened(s: AccelSystem) -> AccelSystem:
    """Let process 0 be ready to work on descriptor 0."""
    s.open(0, 0)
    if s.behaviour.context == "at first use":
        s.cb_create(0, 0)
    return s


@trace("B1")
def b1(s: AccelSystem) -> None:
    s.open(0, 0)
    s.keep_busy()
    closing = step_to(s.call("close", 0, 0), "close: slot empty")
    s.open(1, 0)
    closing.run()


@trace("B2")
def b2(s: AccelSystem) -> None:
    s.open(0, 0)
    closing = step_to(s.call("close", 0, 0), "close: context freed")
    s.compute_reset()
    closing.run()


@trace("B3")
def b3(s: AccelSystem) -> None:
    opening = step_to(s.call("open", 0, 0), "open: listed")
    s.hard_reset()
    stages(s)
    s.advance(1)
    s.reset_step()
    opening.run()


@trace("B5")
def b5(s: AccelSystem) -> None:
    s.open(0, 0)
    message = s.send(0, 0)
    s.exit(0)
    s.receive(1, message, 0)
    s.hard_reset()
    for _ in range(10):
        if s.reset_step() == Outcome.WOULD_BLOCK:
            s.advance(11)
    s.close(1, 0)


@trace("B6")
def b6(s: AccelSystem) -> None:
    opened(s).submit(0, 0)
    s.hard_reset()
    stages(s)


@trace("B7")
def b7(s: AccelSystem) -> None:
    s.open(0, 0)
    s.hard_reset()
    stages(s)
    s.close(0, 0)
    s.finish_reset()


@trace("B9")
def b9(s: AccelSystem) -> None:
    s.open_control(0)
    s.hard_reset()
    s.finish_reset()


@trace("B10")
def b10(s: AccelSystem) -> None:
    beat = step_to(s.call("heartbeat", True), "heartbeat: sent")
    reset = step_to(s.call("compute_reset"), "compute reset: stopped")
    beat.run()
    reset.run()


@trace("B11")
def b11(s: AccelSystem) -> None:
    opened(s)
    s.hard_reset()
    s.close(0, 0)


@trace("B13")
def b13(s: AccelSystem) -> None:
    s.hard_reset()
    s.inject("alloc:kernel context")
    s.finish_reset()


@trace("B15")
def b15(s: AccelSystem) -> None:
    s.open(0, 0)
    handle = s.cb_create(0, 0)
    s.submit(0, 0, Chunk(EXTERNAL, handle))
    s.cb_destroy(0, 0, handle)
    s.cb_destroy(0, 0, handle)
    s.complete()


@trace("B17")
def b17(s: AccelSystem) -> None:
    opened(s).submit(0, 0)
    s.wait(0, 0, 1, 5)
    s.signal(0)


@trace("B18")
def b18(s: AccelSystem) -> None:
    opened(s).submit(0, 0)
    s.multi_wait(0, 0, [1], 5)
    s.signal(0)
    s.complete()
    s.close(0, 0)


@trace("B19", ring=1)
def b19(s: AccelSystem) -> None:
    opened(s)
    for _ in range(2):
        s.submit(0, 0)
        s.complete()
    s.submit(0, 0)
    s.multi_wait(0, 0, [1])


@trace("B21")
def b21(s: AccelSystem) -> None:
    s.open(0, 0)
    s.inject("context_handle")
    s.info(0, 0, Info.HW_IDLE)
    s.cb_create(0, 0)


@trace("B22")
def b22(s: AccelSystem) -> None:
    s.open(0, 0)
    s.hard_reset()
    s.close(0, 0)


@trace("B23")
def b23(s: AccelSystem) -> None:
    s.inject("test_queues")
    s.compute_reset()


@trace("B25")
def b25(s: AccelSystem) -> None:
    s.open(0, 0)
    s.map(0, 0, s.alloc(0, 0))
    s.inject("scrub")
    s.close(0, 0)
    if s.device().in_reset:
        s.finish_reset()
    s.open(1, 0)
    s.map(1, 0, s.alloc(1, 0))


@trace("B26")
def b26(s: AccelSystem) -> None:
    s.open_control(0)
    s.info(0, 0, Info.REGISTER_EVENTFD)


@trace("B27")
def b27(s: AccelSystem) -> None:
    s.open(0, 0)
    s.remove()


@trace("B30")
def b30(s: AccelSystem) -> None:
    opened(s).debug_on(0, 0)
    s.close(0, 0)


@trace("B31")
def b31(s: AccelSystem) -> None:
    opened(s).map(0, 0, 9)


@trace("B33")
def b33(s: AccelSystem) -> None:
    s.open(0, 0)
    s.map_host(0, 0, np.zeros(PAGE, np.uint8))
    s.submit(0, 0, Chunk(data=Packet(Op.FILL, n=1, dst=64).encode()))
    s.run()
    s.hard_reset()
    s.finish_reset()
    s.open(1, 0)


@trace("V1")
def v1(s: AccelSystem) -> None:
    s.open(0, 0)
    s.open(1, 0)
    s.submit(0, 0)
    s.complete()
    closing = step_to(s.call("close", 0, 0), "close: context freed")
    s.info(1, 0, Info.HW_IDLE)
    s.submit(1, 0)
    closing.run()


@trace("V3")
def v3(s: AccelSystem) -> None:
    s.open(0, 0)
    s.submit(0, 0)


@trace("M2")
def m2(s: AccelSystem) -> None:
    opened(s).submit(0, 0)
    s.close(0, 0)


@trace("M4")
def m4(s: AccelSystem) -> None:
    s.open(0, 0)
    s.open(1, 0)
    s.submit(0, 0)
    s.submit(1, 0)


@trace("M6")
def m6(s: AccelSystem) -> None:
    s.open(0, 0)
    s.open(1, 0)
    s.submit(0, 0)
    s.info(1, 0, Info.DRAM_USAGE)


@trace("M9")
def m9(s: AccelSystem) -> None:
    s.open(0, 0)
    s.open(1, 0)
    s.submit(0, 0)
    s.close(1, 0)


@trace("M12")
def m12(s: AccelSystem) -> None:
    opened(s).submit(0, 0)
    s.compute_reset()
    s.submit(0, 0)


@trace("M14")
def m14(s: AccelSystem) -> None:
    opened(s)
    s.tick(5)


@trace("M15")
def m15(s: AccelSystem) -> None:
    s.open(0, 0)
    s.map(0, 0, s.alloc(0, 0))
    s.close(0, 0)


@trace("M16")
def m16(s: AccelSystem) -> None:
    handle = opened(s).cb_create(0, 0)
    s.submit(0, 0, Chunk(EXTERNAL, handle))
    s.cb_destroy(0, 0, handle)
    s.run()


@trace("M18", ring=1)
def m18(s: AccelSystem) -> None:
    opened(s)
    for _ in range(3):
        s.submit(0, 0)


def play(fault: str, *, switched: bool) -> set[str]:
    """Play a trace on the base revision and return the rules that were broken, at its end or on the way."""
    scene, hardware = SCENES[fault]
    system = AccelSystem(FAULTS[fault].base, faults=[fault] if switched else [], **hardware)
    scene(system)
    broken = [*checks.check(system), *([] if fault in ENDS_BADLY and switched else checks.end(system))]
    return {finding.rule for finding in broken}


ENDS_BADLY = {"B5", "B3"}  # a lock is never given back: nothing can be closed after it


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bug_is_seen(fault: str) -> None:
    assert FAULTS[fault].violates in play(fault, switched=True)


@pytest.mark.parametrize("fault", FAULTS)
def test_without_the_bug_nothing_of_it_is_seen(fault: str) -> None:
    assert FAULTS[fault].violates not in play(fault, switched=False)


def test_every_bug_has_a_trace_and_a_line_in_the_table() -> None:
    listed = re.findall(r"^\| ([BVM]\d+) \|", PAGE_OF.read_text(), re.MULTILINE)
    assert set(SCENES) == set(FAULTS) == set(listed)
    assert len(FAULTS) >= 20


def test_an_unknown_bug_is_refused() -> None:
    with pytest.raises(UsageError, match="B99"):
        AccelSystem("c2", faults=["B99"])


def test_answers_that_only_a_bug_gives() -> None:
    system = AccelSystem("c2", faults=["B26"])
    system.open_control(0)
    assert system.info(0, 0, Info.REGISTER_EVENTFD) == 0
    assert AccelSystem("c2").open_control(0) == 0
    system = AccelSystem("c2", faults=["B15"])
    system.open(0, 0)
    handle = system.cb_create(0, 0)
    system.submit(0, 0, Chunk(EXTERNAL, handle))
    assert [system.cb_destroy(0, 0, handle) for _ in range(2)] == [0, 0]
    assert AccelSystem("b").ask(0, 0) == {"errno": Errno.EBADF}
