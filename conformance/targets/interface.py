# SPDX-License-Identifier: Apache-2.0
"""What a target is: anything that can be asked to perform a call and says what it saw.

The law of the interface: a target never judges.  It performs what it is told, on a system that `reset` made, and
reports; whether that was right is for the oracle to say.  Everything that crosses the interface is a name: `process0`,
`fd1`, `device0` for objects that exist from the start (kind and index, the first letter small), the target's own choice
(`vma7`: kind and any number) for objects that it creates, members of an enumeration by their name (`DUS`), and outcomes
by their errno name (`EBUSY`) or as `accelspec.spec.language` calls them (`OK`, `READY`, `HANGUP`, `WOULD_BLOCK`,
`SIGBUS`, `DONE`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import msgspec

WAITS = "WAITS"  # the result of a call that a suspending target leaves standing


class System(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The system that a run starts from: how many objects there are of each kind, and what its initial state is free to
    choose.

    >>> System("uacce", "6.12.117", {"Process": 2, "Fd": 2, "Device": 1}, {"device0.sva": "True"}).cells["device0.sva"]
    'True'
    """

    machine: str
    revision: str
    scope: dict[str, int]
    cells: dict[str, str] = {}


class Call(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One call of an operation, or one event: its arguments by name, and what is made to fail while it runs.

    `fails` gives each injected failure the errno that the failing function answers: `{"get_queue": "EIO"}`. `resumed`:
    it is not made anew, a call of the same arguments that was left standing goes on.

    >>> str(Call("open", ("process0", "fd0", "device0"), {"get_queue": "EIO"}))
    'open(process0, fd0, device0) while get_queue fails with EIO'
    >>> str(Call("reset", ("device0",), resumed=True))
    'reset(device0) goes on'
    """

    operation: str
    args: tuple[str, ...] = ()
    fails: dict[str, str] = {}
    resumed: bool = False

    def __str__(self) -> str:
        bad = ", ".join(f"{name} fails with {errno}" for name, errno in self.fails.items())
        goes_on = " goes on" if self.resumed else ""
        return f"{self.operation}({', '.join(self.args)}){goes_on}" + (f" while {bad}" if bad else "")


class Observation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What was seen of one call.  Only `result` is owed; everything else is compared where it is given.

    - `result`: `OK`, an errno name, or another outcome.  `OOPS`: the target crashed; `HANG`: it did not answer;
      `WAITS`: a target that suspends calls has left it standing.
    - `created`: the names of the objects that the call created, of every kind that calls take as an argument.
    - `chosen`: what was up to the environment, by the name that the specification gives it: `{"h": "hwQueue1"}`.
    - `state`: cells of the specification's state after the call: `{"device0.registered": "False", "process0.fd[fd0]":
      "none"}`. An object that was not named before may be named here (`file3`); from then on it has that name.
    - `alarms`: what the target itself noticed to be wrong: a lock order report, a use after free, a warning.  Each is a
      finding.
    - `failed`: which of the call's failures came about, where the target cannot be sure to bring them about; None: all.
    """

    result: str
    created: tuple[str, ...] = ()
    chosen: dict[str, str] = {}
    state: dict[str, str] = {}
    alarms: tuple[str, ...] = ()
    failed: tuple[str, ...] | None = None

    def of(self, call: Call) -> Call:
        """The call that was seen: without the failures that did not come about."""
        if self.failed is None:
            return call
        return msgspec.structs.replace(call, fails={k: v for k, v in call.fails.items() if k in self.failed})


class TargetError(Exception):
    """A target that cannot be used, or that breaks the interface:

    what was wrong, and what to do.  Never a finding about a driver.
    """


@runtime_checkable
class Target(Protocol):
    """Anything that can be asked to perform calls.  `targets.python.Driver` implements all of it but the operations."""

    @property
    def name(self) -> str:
        """How reports call it: `reference 6.12.117`."""
        ...

    @property
    def operations(self) -> frozenset[str] | None:
        """The operations and events that it offers; None: every one of the machine."""
        ...

    @property
    def failures(self) -> frozenset[str] | None:
        """The failures that it can inject; None: every one of the machine."""
        ...

    def reset(self, system: System) -> Mapping[str, str]:
        """Begin again with a fresh system, whatever happened before (a crash too).

        Answers with the initial cells as they are.  A target that cannot choose them names those that it has; of a cell
        that it does not name nothing is assumed.  Raises TargetError if it cannot be of that size.
        """
        ...

    def perform(self, call: Call) -> Observation:
        """Perform one call and wait for its end.

        A crash and a hang are observations (`OOPS`, `HANG`), not exceptions.
        """
        ...

    def leftovers(self) -> Mapping[str, int]:
        """How many objects of each kind exist;

        kinds that the specification does not know (`Page`) must have none after a drain.
        """
        ...

    def close(self) -> None:
        """End it.  Calling it twice is harmless."""
        ...


@runtime_checkable
class Concurrent(Target, Protocol):
    """A target that can make two calls at once, in an order that it is told: only such a target is raced."""

    @property
    def finer(self) -> bool:
        """Can its calls be interrupted where the specification has one step, so that any two are worth racing?"""
        ...

    def meet(self, call: Call, other: Call, schedule: tuple[int, ...]) -> tuple[Observation, Observation]:
        """Make two calls of different processes at once and wait for the end of both.

        The first takes `schedule[0]` steps (however long the target's steps are), then the other `schedule[1]`, and so
        on in turn; who waits or is over gives its turn away, and after the last number each runs as far as it can. The
        same schedule gives the same run. What is seen of the state is seen at the end, and said with the second answer.
        Calls that wait for each other for ever both answer `HANG`.
        """
        ...


@runtime_checkable
class Patient(Concurrent, Protocol):
    """A target of which two calls may meet although one waits for what the other does: the first of the two."""

    @property
    def patient_failures(self) -> frozenset[str]:
        """The failures that it can inject into the one that waits, and into no other call that is on its way."""
        ...


@runtime_checkable
class Suspending(Target, Protocol):
    """A target that can leave a call standing: only such a target is asked for calls that wait for others.

    A call that waits for another one, or for time to pass, answers `WAITS`. Other calls are then made, and this one
    stays where it stands until it is told to go on.
    """

    def resume(self, call: Call) -> Observation:
        """Let a call that was left standing go on; it answers at its end, or `WAITS` once more.

        One that waits for time goes on when its time is over.
        """
        ...


class Draft(Protocol):
    """Calls that go to a target together, without a wait for each answer."""

    def add(self, call: Call, result: str) -> tuple[str, ...]:
        """One more call, and the result that is expected of it.  Answers the names of what it will create then."""
        ...

    def send(self) -> Sequence[Observation]:
        """Make the calls in their order, up to and with the first that has another result: what was seen of each.

        Those after it are not made.
        """
        ...


@runtime_checkable
class Handicapped(Target, Protocol):
    """A target that lacks something: some failures happen whether they are asked for or not."""

    @property
    def unavoidable(self) -> frozenset[str]:
        """The names of these failures; a call that may meet one is made only as a call that meets it."""
        ...


@runtime_checkable
class Ahead(Target, Protocol):
    """A target to which a way is long: calls are drawn ahead of their answers and sent together."""

    def draft(self) -> Draft:
        """A new one; it is sent before any other call is made, or never."""
        ...
