# SPDX-License-Identifier: Apache-2.0
"""The target `reference`: a driver of the reference implementation behind the target interface, whatever the machine.

Options: `faults`, ids of historical bugs to put in, a comma between them; `behaviour`, another one than the revision's;
`without`, operations that are not to be called, as a narrower look at the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import ClassVar

import msgspec

from accelspec.reference_impl import UsageError

from .interface import WAITS, Call, Observation, System, TargetError
from .python import Driver
from .reference_calls import Started, Whole


class Reference(Driver):
    """What the references of all machines share: options, calls in steps, alarms.

    A method `start_X` makes the call of the operation X, which the small kernel runs in steps; `do_X` performs one that
    is a single step.  Raises TargetError for an unknown behaviour, fault or option.
    """

    behaviours: ClassVar[tuple[str, ...]]
    scope: Mapping[str, int] = {}  # how many objects it is held to where nobody says, other than there is room
    more_options: ClassVar[tuple[str, ...]] = ()  # than all references have
    apart: ClassVar[tuple[str, ...]] = ()  # behaviours that are known to differ from the specification: not in `verify`
    heard = 0  # findings that were reported; `begin` sets it to 0

    def __init__(self, revision: str, options: Mapping[str, str] | None = None) -> None:
        super().__init__(revision, options)
        self.behaviour = self.options.pop("behaviour", revision)
        if self.behaviour not in self.behaviours:
            known = ", ".join(self.behaviours)
            raise TargetError(
                f"the reference implementation does not behave as {self.behaviour}; its option behaviour takes {known}"
            )
        self.faults = self._listed("faults")
        self.without = frozenset(self._listed("without"))
        if self.options:
            known = ", ".join(("faults", "behaviour", "without", *self.more_options))
            raise TargetError(f"the reference has no option {next(iter(self.options))!r}; it has {known}")
        if unknown := self.without - self._offered:
            raise TargetError(f"the reference has no operation {min(unknown)!r} that could be left out")
        try:
            self.fresh()
        except UsageError as error:
            raise TargetError(f"the reference implementation: {error}") from error

    def _listed(self, option: str) -> list[str]:
        return [name for name in self.options.pop(option, "").replace(" ", "").split(",") if name]

    # ------------------------------------------------------------------ what each machine's reference says

    def fresh(self) -> object:
        """A system of its behaviour with its faults.  Raises UsageError for an unknown fault."""
        raise NotImplementedError

    @property
    def findings(self) -> Sequence[object]:
        """What the kernel noticed about itself since the system began."""
        raise NotImplementedError

    @contextmanager
    def failing(self, call: Call) -> Iterator[None]:
        """While the call runs, what is to fail fails; afterwards nothing does."""
        yield

    # ------------------------------------------------------------------ what follows

    @property
    def name(self) -> str:
        """As in `Target`."""
        faults = f" with {', '.join(self.faults)}" if self.faults else ""
        return f"reference {self.behaviour}{faults}"

    @property
    def operations(self) -> frozenset[str] | None:
        """As in `Target`."""
        return self._offered - self.without

    @property
    def _offered(self) -> frozenset[str]:
        stepped = {name.removeprefix("start_") for name in dir(self) if name.startswith("start_")}
        return (super().operations or frozenset()) | stepped

    def perform(self, call: Call) -> Observation:
        """As in `Target`; what the kernel noticed about itself meanwhile is an alarm."""
        with self.failing(call):
            if started := self._start(call):
                seen = msgspec.structs.replace(self.ended(call, started), state=self.state())
            else:
                seen = super().perform(call)
        return self._with_alarms(seen)

    def ended(self, call: Call, started: Started) -> Observation:
        """What is seen of a call that has gone as far as it can."""
        return started.finish()

    @property
    def finer(self) -> bool:
        """As in `Concurrent`: its steps end where the specification's do."""
        return False

    def meet(self, call: Call, other: Call, schedule: tuple[int, ...]) -> tuple[Observation, Observation]:
        """As in `Concurrent`. A call that the kernel does not run in steps is one step."""
        with self.failing(call):  # what it takes for its failure; nothing else fails in a meeting
            two = [self._start(call) or Whole(partial(self._atomic, call))]
        for turn, steps in enumerate((*schedule, 0, 0)):
            if turn == 1:
                two.append(self._start(other) or Whole(partial(self._atomic, other)))
            for _ in range(steps):
                two[turn % 2].step()
        while any(one.ready for one in two) or any(one.sleeps_on() for one in two):
            for one in two:
                one.run()
        seen, second = (one.finish() for one in two)
        return seen, self._with_alarms(msgspec.structs.replace(second, state=self.state()))

    def _start(self, call: Call) -> Started | None:
        """A call that the kernel runs in steps, not begun."""
        make: Callable[..., Started] | None = getattr(self, f"start_{call.operation}", None)
        return make(*call.args) if make else None

    def _atomic(self, call: Call) -> Observation:
        """The other kind; what is seen of the state is seen at the end."""
        return msgspec.structs.replace(super().perform(call), state={})

    def _with_alarms(self, seen: Observation) -> Observation:
        found = self.findings[self.heard :]
        self.heard = len(self.findings)
        return msgspec.structs.replace(seen, alarms=(*seen.alarms, *map(str, found)))


class SuspendingReference(Reference):
    """One that leaves a call standing where it waits, for another call or for time."""

    standing: dict[tuple[str, tuple[str, ...]], Started]  # by operation and arguments

    def reset(self, system: System) -> Mapping[str, str]:
        """As in `Target`."""
        self.standing = {}
        return super().reset(system)

    def ended(self, call: Call, started: Started) -> Observation:
        """As in `Reference`, or that it stands."""
        if started.waits:
            self.standing[call.operation, call.args] = started
            return Observation(WAITS)
        return super().ended(call, started)

    def resume(self, call: Call) -> Observation:
        """As in `Suspending`."""
        started = self.standing.pop((call.operation, call.args))
        with self.failing(call):
            if started.waits:
                started.sleeps_on()
            seen = self.ended(call, started)
        return self._with_alarms(msgspec.structs.replace(seen, state=self.state()))


MACHINES = ("uacce", "habanalabs", "ownership", "dmabuf", "fences")  # that have a reference implementation


def open_reference(machine: str, revision: str, options: Mapping[str, str] | None = None) -> Reference:
    """The reference implementation of a machine.  Raises TargetError where there is none, and as `Reference` does."""
    match machine:
        case "habanalabs":
            if revision in ("c1", "c2"):
                from .reference_mainline import MainlineReference

                return MainlineReference(revision, options)
            from .reference_habanalabs import HabanalabsReference

            return HabanalabsReference(revision, options)
        case "uacce":
            from .reference_uacce import UacceReference

            return UacceReference(revision, options)
        case "ownership":
            from .reference_ownership import OwnershipReference

            return OwnershipReference(revision, options)
        case "dmabuf":
            from .reference_dmabuf import DmabufReference

            return DmabufReference(revision, options)
        case "fences":
            from .reference_fences import FencesReference

            return FencesReference(revision, options)
    raise TargetError(f"the reference implementation has no machine {machine!r}, only {', '.join(MACHINES)}")
