# SPDX-License-Identifier: Apache-2.0
"""Tables of rows for the tests of the accelerator driver, and the scenes that they begin with."""

from collections.abc import Callable
from typing import Any

import pytest

from accelspec.reference_impl.accel.info import Info
from accelspec.reference_impl.accel.system import AccelSystem
from accelspec.reference_impl.kernel import Call, Errno, Outcome

Scene = Callable[[AccelSystem], object]

OLD = ("a", "b", "c0")
NEW = ("c1", "c2")
ALL = (*OLD, *NEW)


class Row:
    """One row of a table: where it stands, in which revisions, and what a scene must answer."""

    def __init__(self, name: str, revisions: tuple[str, ...], scene: Scene, wanted: object, hardware: dict[str, Any]):
        self.name, self.revisions, self.scene, self.wanted, self.hardware = name, revisions, scene, wanted, hardware

    def check(self, revision: str) -> None:
        """Play the scene in one revision."""
        assert self.scene(AccelSystem(revision, **self.hardware)) == self.wanted


class Table:
    """Rows, in order; calling it gives a decorator that adds one."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def __call__(
        self, name: str, revisions: tuple[str, ...], wanted: object, **hardware: Any
    ) -> Callable[[Scene], Scene]:
        def add(scene: Scene) -> Scene:
            self.rows.append(Row(name, revisions, scene, wanted, hardware))
            return scene

        return add

    @property
    def cases(self) -> list[Any]:
        """Every row in every revision that it names, as parameters of a test."""
        return [pytest.param(r, v, id=f"{r.name} [{v}]") for r in self.rows for v in r.revisions]

    def count(self) -> str:
        """Return how many there are, for people."""
        return f"{len({r.name for r in self.rows})} rows, {len(self.cases)} cases"


def owner(s: AccelSystem) -> AccelSystem:
    """Let process 0 compute on descriptor 0."""
    assert s.open(0, 0) == 0
    assert s.info(0, 0, Info.HW_IDLE) == 0
    assert s.submit(0, 0) == 1
    return s


def opened(s: AccelSystem) -> AccelSystem:
    """Let process 0 have a context on descriptor 0, and nothing else."""
    assert s.open(0, 0) == 0
    if s.behaviour.context == "at first use":
        assert s.cb_create(0, 0) > 0
    return s


def owner_opened(s: AccelSystem) -> AccelSystem:
    """Let sequence 1 be on its way."""
    opened(s).submit(0, 0)
    return s


def broken(s: AccelSystem) -> AccelSystem:
    """Let a hard reset fail."""
    s.inject("hw_init", Errno.EIO)
    s.hard_reset()
    s.finish_reset()
    return s


def pending(s: AccelSystem) -> AccelSystem:
    """Let a hard reset be pending."""
    s.hard_reset()
    return s


def restarting(s: AccelSystem) -> AccelSystem:
    """Bring a hard reset to where it starts the hardware again."""
    s.hard_reset()
    while s.device().reset_state.name != "RESTARTING":
        if s.reset_step() == Outcome.WOULD_BLOCK and not s.reap():
            s.advance(1)
    return s


def in_light_reset(s: AccelSystem) -> AccelSystem:
    """Stop a compute reset half way."""
    call = s.call("compute_reset", 0)
    while call.at is None or not call.at.label.startswith("compute reset: stopped"):
        call.step()
    return s


def step_to(call: Call, label: str) -> Call:
    """Step a call to a pause, or to its end where it does not come there."""
    while call.ready and (call.at is None or not call.at.label.startswith(label)):
        call.step()
    return call
