# SPDX-License-Identifier: Apache-2.0
"""Two series of system calls, against a loop that does nothing but their table look-ups and list operations.

What the ratio says is the price of everything else: steps, locks, layers, states, revisions and the checks of laws.
Time is that of the processor, because nothing here waits.
"""

import sys
from collections.abc import Callable
from time import process_time
from types import FrameType

from ..accel.hardware import Hardware
from ..accel.system import AccelSystem
from .bare import BareDriver
from .timing import HEAD, compare

GOAL = 10.0
ROUNDS = 30
TIMES = 100  # the series in one round

BOUND = """\
  What bounds it: calls of Python functions, {ours:.0f} in a series where the bare loop makes {bare:.0f}: layers between
  a program and a table, properties, both steps of whatever may pause. No single one of them stands out."""


class Ours:
    """The series as a program makes them."""

    def __init__(self) -> None:
        self.system = AccelSystem("c2")
        self.n = 0

    def opens(self) -> None:
        """Open the node, ask for the status, close."""
        system = self.system
        for _ in range(TIMES):
            n = system.open(0)
            assert system.info(0, n) == 0
            assert system.close(0, n) == 0

    def submissions(self) -> None:
        """Submit a packet that does nothing, let the hardware do it, wait for it; the device is open."""
        system, n = self.system, self.n
        for _ in range(TIMES):
            seq = system.submit(0, n)
            assert system.run() == 1
            assert system.wait(0, n, seq) == 0


class Bare:
    """The same series on bare tables."""

    def __init__(self) -> None:
        hardware = Hardware()
        self.driver = BareDriver(len(hardware.queues), hardware.ring)
        self.n = 0

    def opens(self) -> None:
        """As ours."""
        driver = self.driver
        for _ in range(TIMES):
            n = driver.open()
            assert driver.info(n) == 0
            assert driver.close(n) == 0

    def submissions(self) -> None:
        """As ours."""
        driver, n = self.driver, self.n
        for _ in range(TIMES):
            seq = driver.submit(n)
            assert driver.run() == 1
            assert driver.wait(n, seq) == 0


def calls_in(series: Callable[[], object]) -> float:
    """Return how many Python functions are called, or go on after a pause, for one of the series."""
    count = 0

    def seen(_: FrameType, event: str, __: object) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(seen)
    try:
        series()
    finally:
        sys.setprofile(None)
    return count / TIMES


def main() -> None:
    """Measure, and print two lines; beneath one that misses its goal, what bounds it."""
    print(HEAD)
    ours, bare = Ours(), Bare()
    scale = 1e6 / TIMES

    def measure(name: str, mine: Callable[[], object], others: Callable[[], object]) -> None:
        ratio = compare(mine, others, ROUNDS, clock=process_time)
        print(ratio.line(name, GOAL, "us", scale))
        if not ratio.reaches(GOAL):
            print(BOUND.format(ours=calls_in(mine), bare=calls_in(others)))

    measure("open, INFO, close", ours.opens, bare.opens)
    ours.n, bare.n = ours.system.open(0), bare.driver.open()
    measure("submit nothing, run, wait", ours.submissions, bare.submissions)
