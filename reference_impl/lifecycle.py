# SPDX-License-Identifier: Apache-2.0
"""The life of each kind of object, as one small table that drives the code and can be read, drawn and checked.

The code asks a table whether an event is possible in a state and moves through it; what a refused event answers to a
user stands in the code, not here. `machine()` gives the same table as a `transitions` machine.
"""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final, Generic, TypeVar

from transitions import Machine


class DeviceState(IntEnum):
    """The life of a device, from `uacce_alloc` to its last reference."""

    ABSENT = 0
    ALLOCATED = 1
    REGISTERED = 2
    REMOVED = 3
    FREED = 4


class QueueState(IntEnum):
    """The state word of a queue, with the kernel's numbers: zeroed memory is ZOMBIE."""

    ZOMBIE = 0
    INIT = 1
    STARTED = 2


class RegionState(IntEnum):
    """The life of a region: what one mmap call made."""

    MAPPED = 0
    FREED = 1


class JobState(IntEnum):
    """The life of a request: it is returned exactly once, or reported lost."""

    ACCEPTED = 0
    DONE = 1
    RETURNED = 2
    LOST = 3


S = TypeVar("S", bound=IntEnum)


@dataclass(frozen=True, slots=True)
class Transition(Generic[S]):
    """In `source`, `event` leads to `target`."""

    event: str
    source: S
    target: S


class IllegalTransitionError(AssertionError):
    """The implementation tried a transition that the table does not have: a bug of this code, not of its user."""


@dataclass(frozen=True)
class Lifecycle(Generic[S]):
    """A kind of object, the state it begins in, and its transitions."""

    kind: str
    initial: S
    transitions: tuple[Transition[S], ...]
    _next: dict[tuple[S, str], S] = field(init=False, repr=False, compare=False, default_factory=dict[tuple[S, str], S])

    def __post_init__(self) -> None:
        for t in self.transitions:
            if self._next.setdefault((t.source, t.event), t.target) is not t.target:
                raise IllegalTransitionError(f"{self.kind}: {t.event} in {t.source.name} leads to two states")

    def allows(self, state: S, event: str) -> bool:
        """Tell whether `event` is possible in `state`."""
        return (state, event) in self._next

    def after(self, state: S, event: str) -> S:
        """Return the state after `event`; raises IllegalTransitionError where the table has none."""
        target = self._next.get((state, event))
        if target is None:
            raise IllegalTransitionError(f"{self.kind}: no {event} in {state.name}")
        return target

    def machine(self) -> Machine:
        """Return the table as a `transitions` machine, for reading and drawing; it is far too slow to drive anything.

        >>> QUEUE.machine().get_triggers("INIT")
        """
        rows: list[Any] = [[t.event, t.source.name, t.target.name] for t in self.transitions]
        return Machine(
            states=[state.name for state in type(self.initial)],
            transitions=rows,
            initial=self.initial.name,
            auto_transitions=False,
            name=self.kind,
        )


_D, _Q, _R, _J = DeviceState, QueueState, RegionState, JobState

DEVICE: Final = Lifecycle(
    "device",
    _D.ABSENT,
    (
        Transition("alloc", _D.ABSENT, _D.ALLOCATED),
        Transition("register", _D.ALLOCATED, _D.REGISTERED),
        Transition("remove", _D.ALLOCATED, _D.REMOVED),
        Transition("remove", _D.REGISTERED, _D.REMOVED),
        Transition("release", _D.REMOVED, _D.FREED),
    ),
)

QUEUE: Final = Lifecycle(
    "queue",
    _Q.ZOMBIE,
    (
        Transition("get", _Q.ZOMBIE, _Q.INIT),
        Transition("start", _Q.INIT, _Q.STARTED),
        Transition("stop", _Q.STARTED, _Q.INIT),
        Transition("put", _Q.INIT, _Q.ZOMBIE),
    ),
)

REGION: Final = Lifecycle("region", _R.MAPPED, (Transition("close", _R.MAPPED, _R.FREED),))

JOB: Final = Lifecycle(
    "job",
    _J.ACCEPTED,
    (
        Transition("complete", _J.ACCEPTED, _J.DONE),
        Transition("receive", _J.DONE, _J.RETURNED),
        Transition("reset", _J.ACCEPTED, _J.LOST),
        Transition("reset", _J.DONE, _J.LOST),
    ),
)

LIFECYCLES: Final = (DEVICE, QUEUE, REGION, JOB)
