# SPDX-License-Identifier: Apache-2.0
"""Calls of the driver of 6.x on their way: where the specification cuts them into events they are parked, and go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from accelspec.reference_impl.accel.context import Context
from accelspec.reference_impl.accel.device import AccelDevice
from accelspec.reference_impl.accel.fd import STILL_IN_USE, AccelFd
from accelspec.reference_impl.accel.reset import HALTED
from accelspec.reference_impl.accel.waiting import WaitPause
from accelspec.reference_impl.kernel import Call, Outcome

from .interface import Observation
from .reference_calls import Started
from .reference_habanalabs_calls import Lasting

if TYPE_CHECKING:
    from .reference_mainline import MainlineReference

AGAIN = "reset tries again later"
PAUSE = 11  # seconds that are more than a pause between two trials has


class Parked(Started):
    """A call that is over for its caller where it comes to one of the places at which the specification cuts it."""

    places: ClassVar[tuple[str, ...]] = (STILL_IN_USE, HALTED)

    def __init__(self, target: MainlineReference, call: Call, said: str = "OK") -> None:
        super().__init__(call, lambda _: Observation(said))
        self._target, self._said = target, said

    @property
    def ready(self) -> bool:
        """As in `Started`."""
        return super().ready and not self._parks

    def step(self) -> None:
        """As in `Started`."""
        if not self._parks:
            super().step()

    @property
    def _parks(self) -> bool:
        return self.call.at is not None and self.call.at.label in self.places

    def finish(self) -> Observation:
        """As in `Started`; a call that is parked goes on with a later event."""
        self.run()
        if self._parks:
            self._target.park(self.call)
            return Observation(self._said)
        return super().finish()


class Submitting(Parked):
    """A CS ioctl: a sequence that is used up is a submission, whatever became of it.

    `name` lets its arguments name a buffer and a group of now: as in the specification, when the driver looks for them.
    """

    def __init__(
        self, target: MainlineReference, call: Call, context: Context | None, name: Callable[[], None]
    ) -> None:
        super().__init__(target, call)
        self._context, self._name = context, name
        self._before = context.sequence if context is not None else 0

    def step(self) -> None:
        """As in `Started`."""
        self._name()
        super().step()

    def finish(self) -> Observation:
        """As in `Started`."""
        seen = super().finish()
        if self._context is None or self._context.sequence == self._before:
            return seen
        return Observation(seen.result, self._target.made(self._context, accepted=seen.result == "OK"))


class Waiting(Started):
    """A WAIT ioctl; where nothing ends it, a signal does, or its time is over."""

    def __init__(self, call: Call, *, interrupted: bool) -> None:
        super().__init__(call)
        self._interrupted = interrupted

    def sleeps_on(self) -> bool:
        """As in `Started`."""
        at, task = self.call.at, self.call.task
        if self.call.done or not isinstance(at, WaitPause):
            return False
        if self._interrupted and task.process is not None:
            task.process.interrupt()
        else:
            at.patience.expire()
        return True

    def finish(self) -> Observation:
        """As in `Started`."""
        self.run()
        if self.sleeps_on():
            self.run()
        return super().finish()


class WaitingForSeveral(Waiting):
    """A WAIT ioctl for several, while `others` on that device do the same."""

    def __init__(self, call: Call, device: AccelDevice | None, others: int, *, interrupted: bool) -> None:
        super().__init__(call, interrupted=interrupted)
        self._device, self._others = device, others

    def step(self) -> None:
        """As in `Started`."""
        if self._device is None:
            super().step()
            return
        self._device.waiters += self._others
        super().step()
        self._device.waiters -= self._others


class Departing(Started):
    """The end of an owner, in the thread that had the last reference. `busy`: the engines have not come to rest."""

    def __init__(self, target: MainlineReference, left: AccelFd, call: Call, *, busy: bool) -> None:
        super().__init__(call, lambda _: Observation("DONE"))
        self._target, self._device, self._busy = target, left.home, busy

    @property
    def ready(self) -> bool:
        """As in `Started`; it waits for the reset that it has asked for."""
        return super().ready and self.call not in self._target.carriers.values()

    def step(self) -> None:
        """As in `Started`."""
        if not self.ready:
            return
        self._device.busy = self._busy
        super().step()
        self._device.busy = False
        if self.call.at is not None and self.call.at.label == HALTED:
            self._target.park(self.call)


class CarriedOut(Started):
    """What is left of a compute reset, and of the call whose thread carries it out, which may be still to come."""

    def __init__(self, target: MainlineReference, device: int) -> None:
        self._carriers, self._device = target.carriers, device
        self._carrier: Call | None = None
        self._broken = None

    @property
    def ready(self) -> bool:
        """As in `Started`."""
        return self._device in self._carriers or (self._carrier is not None and self._carrier.ready)

    def step(self) -> None:
        """As in `Started`."""
        self._carrier = self._carriers.pop(self._device, self._carrier)
        if self._carrier is not None:
            self._carrier.step()

    def finish(self) -> Observation:
        """As in `Started`; nobody sees what the thread answers in the end."""
        self.run()
        if self._carrier is None or not self._carrier.done:
            return Observation("HANG")
        return Observation("OOPS" if self._carrier.result == Outcome.OOPS else "DONE")


class Trial(Lasting):
    """One trial of the worker of hard resets; nobody dies meanwhile, and every wait is as long as it may be."""

    def __init__(self, target: MainlineReference, device: int) -> None:
        worker = target.system.worker(device)
        assert worker is not None
        super().__init__(target.system, worker, lambda: target.system.worker_ended(device))
        self._later = self._rests  # it is not the first one

    @property
    def _rests(self) -> bool:
        """Does the worker pause between two trials?"""
        return self.call.at is not None and self.call.at.label == AGAIN

    @property
    def ready(self) -> bool:
        """As in `Started`."""
        return self._later or (super().ready and not self._rests)

    def step(self) -> None:
        """As in `Started`; the pause before it is over."""
        if self._later:
            self._system.advance(PAUSE)
        if self._later or not self._rests:
            self._later = False
            super().step()

    def sleeps_on(self) -> bool:
        """As in `Started`."""
        return not self._rests and super().sleeps_on()

    def finish(self) -> Observation:
        """As in `Started`; a pause is its end."""
        self.run()
        while self.sleeps_on():
            self.run()
        return Observation("DONE") if self._rests else super().finish()
