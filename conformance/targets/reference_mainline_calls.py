# SPDX-License-Identifier: Apache-2.0
"""Calls of the driver of 6.x on their way: where the specification cuts them into events they are parked, and go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelspec.reference_impl.accel.context import Context
from accelspec.reference_impl.accel.fd import STILL_IN_USE
from accelspec.reference_impl.accel.reset import HALTED
from accelspec.reference_impl.kernel import Call, Outcome

from .interface import Observation
from .reference_calls import Started

if TYPE_CHECKING:
    from .reference_mainline import MainlineReference


def parks(call: Call) -> bool:
    """Is a call where the specification cuts it?"""
    return call.at is not None and call.at.label in (STILL_IN_USE, HALTED)


class Parked(Started):
    """A call that is over for its caller where it comes to one of the places at which the specification cuts it."""

    def __init__(self, target: MainlineReference, call: Call, said: str = "OK") -> None:
        super().__init__(call, lambda _: Observation(said))
        self._target, self._said = target, said

    @property
    def ready(self) -> bool:
        """As in `Started`."""
        return super().ready and not parks(self.call)

    def finish(self) -> Observation:
        """As in `Started`; a call that is parked goes on with a later event."""
        self.run()
        if not self.call.done and parks(self.call):
            self._target.park(self.call)
            return Observation(self._said)
        return super().finish()


class Submitting(Parked):
    """A CS ioctl: a sequence that is used up is a submission, whatever became of it."""

    def __init__(self, target: MainlineReference, call: Call, context: Context | None) -> None:
        super().__init__(target, call)
        self._context = context
        self._before = context.sequence if context is not None else 0

    def finish(self) -> Observation:
        """As in `Started`."""
        seen = super().finish()
        if self._context is None or self._context.sequence == self._before:
            return seen
        return Observation(seen.result, self._target.made(self._context, accepted=seen.result == "OK"))


class CarriedOut(Started):
    """What is left of a compute reset, in the thread that asked for it."""

    def __init__(self, target: MainlineReference, device: int) -> None:
        super().__init__(target.carriers[device], lambda _: Observation("DONE"))
        self._target, self._device = target, device

    def finish(self) -> Observation:
        """As in `Started`; nobody sees what the thread answers in the end."""
        del self._target.carriers[self._device]
        self.run()
        if self.call.done:
            return Observation("OOPS" if self.call.result == Outcome.OOPS else "DONE")
        return super().finish()
