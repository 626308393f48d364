# SPDX-License-Identifier: Apache-2.0
"""Calls of the driver of habanalabs on their way, where the specification cuts them in other pieces than the driver."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import count

from accelspec.reference_impl.accel.context import Context
from accelspec.reference_impl.accel.fd import AccelFd
from accelspec.reference_impl.accel.submission import Submission
from accelspec.reference_impl.accel.system import AccelSystem
from accelspec.reference_impl.kernel import Call, Outcome

from .interface import Observation
from .reference_calls import Started, outcome


class Thorough(Started):
    """A call that ends itself what it has let go of last; what other calls leave ends in an event of its own."""

    def __init__(
        self, system: AccelSystem, call: Call, done: Callable[[int], Observation] = lambda _: Observation("OK")
    ) -> None:
        super().__init__(call, done)
        self._system = system
        self._left: list[AccelFd] = []
        self._seen: Observation | None = None  # of the call proper, once what it has left ends

    def step(self) -> None:
        """As in `Started`; the steps of what it ends follow on its own."""
        before = self._system.parted()
        super().step()
        self._left += [fd for fd in self._system.parted() if fd not in before]
        if self.call.done and self._left:
            self._seen = self._seen or super().finish()
            self.call = self._system.ending(self._left.pop(0))

    def finish(self) -> Observation:
        """As in `Started`: what was seen of the call proper, if all of the rest came to its end."""
        self.run()
        if self._seen is None or self._broken is not None:
            return super().finish()
        if not self.call.done:
            return Observation("HANG")
        return self._seen if self.call.result == 0 else Observation(outcome(self.call.result))


class Placing(Thorough):
    """A CS ioctl: what had its place in the ring is a submission, also if a reset came before the hardware got it."""

    def __init__(self, system: AccelSystem, call: Call, made: Callable[[bool], tuple[str, ...]]) -> None:
        super().__init__(system, call)
        self._made = made

    def finish(self) -> Observation:
        """As in `Started`."""
        seen = super().finish()
        if seen.result not in ("OK", "EPERM"):
            return seen
        return Observation(seen.result, self._made(seen.result == "OK"))


class AtOnce(Started):
    """A call that goes as far as it can in one step: what it passes on its way is no window of the specification."""

    def step(self) -> None:
        """As in `Started`, but all of them."""
        while self.ready:
            super().step()


class Lasting(Started):
    """A call whose sleeps end by the clock, once nothing else goes on. Taking a free lock ends no step of it."""

    def step(self) -> None:
        """As in `Started`."""
        was_done = self.call.done
        super().step()
        while self.ready and self.call.at is not None and self.call.at.label.startswith(("before ", "removal: ")):
            super().step()
        if self.call.done and not was_done:
            self._ended()

    def __init__(self, system: AccelSystem, call: Call, ended: Callable[[], None] = lambda: None) -> None:
        super().__init__(call, lambda _: Observation("DONE"))
        self._system, self._ended = system, ended

    def sleeps_on(self) -> bool:
        """As in `Started`."""
        sleeps = not self.call.done and self.call.at is not None and self.call.at.kind == "sleep"
        if sleeps:
            self._system.advance(1)
        return sleeps

    def finish(self) -> Observation:
        """As in `Started`, after as much time as it takes."""
        self.run()
        while self.sleeps_on():
            self.run()
        if not self.call.done:
            return super().finish()
        return Observation("OOPS" if self.call.result == Outcome.OOPS else "DONE")  # nobody sees its errno


class Places:
    """Which number each submission has that exists, as the specification gives them: the lowest free.

    One exists as long as the ring of its context knows it, or the hardware has it.
    """

    def __init__(self) -> None:
        self._there: dict[int, tuple[Context, int, Submission | None]] = {}  # with how many were before it
        self._made: Counter[Context] = Counter()

    def take(self, context: Context, made: Submission | None) -> tuple[int, bool]:
        """The number of the next one of a context; whether the one that leaves the ring for it had the same."""
        before = self._existing()
        i = self._made[context]
        self._made[context] += 1
        self._there = self._existing()
        number = next(n for n in count() if n not in self._there)
        self._there[number] = context, i, made
        return number, number in before

    def _existing(self) -> dict[int, tuple[Context, int, Submission | None]]:
        there = {}
        for n, (context, i, submission) in self._there.items():
            in_ring = i >= self._made[context] - len(context.ring)
            if context.refs > 0 and (in_ring or (submission is not None and not submission.released)):
                there[n] = context, i, submission
        return there
