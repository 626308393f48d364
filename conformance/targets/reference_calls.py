# SPDX-License-Identifier: Apache-2.0
"""Calls of the reference implementation on their way: begun, stepped, and what was seen of them at the end."""

from __future__ import annotations

from collections.abc import Callable

from accelspec.reference_impl import Call, Outcome, Poll, name_of
from accelspec.reference_impl.kernel import Step, Task
from accelspec.reference_impl.kernel.files import OpenFile

from .interface import Observation
from .python import crash


class Started:
    """A call that the kernel runs in steps.

    `done` says what was seen when it has succeeded (a result that is no error), `asleep` when it sleeps.
    """

    def __init__(
        self,
        call: Call,
        done: Callable[[int], Observation] = lambda _: Observation("OK"),
        asleep: Callable[[], Observation] = lambda: Observation("HANG"),
    ) -> None:
        self.call, self._done, self._asleep = call, done, asleep
        self._broken: Observation | None = None

    @property
    def ready(self) -> bool:
        """Would a step get further?"""
        return self._broken is None and self.call.ready

    def step(self) -> None:
        """One step, if it does not wait."""
        if self._broken is None:
            try:
                self.call.step()
            except Exception as error:  # of the reference implementation itself: a finding, not a traceback
                self._broken = Observation("OOPS", alarms=(crash(error),))

    def run(self) -> None:
        """As far as it can."""
        while self.ready:
            self.step()

    @property
    def waits(self) -> bool:
        """Does it stand, for another call or for time?"""
        self.run()
        return self._broken is None and not self.call.done

    def sleeps_on(self) -> bool:
        """Let time pass for it, now that nobody goes on; False where it does not sleep until a time."""
        return False

    def finish(self) -> Observation:
        """What was seen of it, after it has run as far as it can; of one that waits for a lock, a hang."""
        self.run()
        if self._broken is not None:
            return self._broken
        if self.call.done:
            return self._done(self.call.result) if self.call.result >= 0 else Observation(outcome(self.call.result))
        sleeps = self.call.at is not None and self.call.at.kind == "sleep"
        return self._asleep() if sleeps else Observation("HANG")


class Timed(Started):
    """A call whose sleep ends by the clock, once nothing else lets it go on."""

    def __init__(self, call: Call, done: Callable[[int], Observation], pass_time: Callable[[], object]) -> None:
        super().__init__(call, done)
        self._pass_time = pass_time

    def sleeps_on(self) -> bool:
        """As in `Started`."""
        sleeps = not self.call.done and self.call.at is not None and self.call.at.kind == "sleep"
        if sleeps:
            self._pass_time()
        return sleeps


class Whole:
    """A call that is one step."""

    def __init__(self, make: Callable[[], Observation]) -> None:
        self._make = make
        self._seen: Observation | None = None

    @property
    def ready(self) -> bool:
        """Is it still to be made?"""
        return self._seen is None

    def step(self) -> None:
        """Make it, once."""
        self._seen = self._seen or self._make()

    run = step

    def sleeps_on(self) -> bool:
        """It never sleeps."""
        return False

    def finish(self) -> Observation:
        """What was seen of it."""
        self.step()
        assert self._seen is not None
        return self._seen


def polled(mask: int) -> Observation:
    """What a poll says that does not sleep."""
    return Observation("READY" if mask & Poll.IN else "HANGUP" if mask else "OK")


def drop(task: Task, file: OpenFile) -> Step[int]:
    """Give a reference back."""
    file.put(task)
    yield from ()
    return 0


def index(name: str) -> int:
    """The number at the end of a name."""
    return int(name.lstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"))


def outcome(result: int) -> str:
    """The name of what a call answered; a deadlock is a hang."""
    if result >= 0:
        return "OK"
    return "HANG" if result == Outcome.DEADLOCK else name_of(result)
