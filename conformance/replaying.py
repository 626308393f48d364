# SPDX-License-Identifier: Apache-2.0
"""Making a recorded run again: the same calls on a fresh system, held to the specification as it is now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from msgspec.structs import replace

from .coverage import Coverage
from .disagreement import Disagreement
from .oracle import LostTrack, Oracle
from .recording import End, Performed, Recording
from .session import Disagreed, Session
from .targets import Call, System, Target


class ReplayError(Exception):
    """A recorded run that cannot be made again: which call, and why."""


class Names:
    """What the names that a target gave in a recorded run stand for in the run that repeats it."""

    def __init__(self) -> None:
        self._now: dict[str, str] = {}

    def call(self, call: Call) -> Call:
        """A recorded call in the names of now."""
        args = tuple(self._now.get(arg, arg) for arg in call.args)
        return call if args == call.args else replace(call, args=args)

    def learn(self, recorded: Performed, done: Performed | None) -> None:
        """What the call has created now; None: it was not made, and its objects do not exist."""
        for i, one in enumerate(recorded.seen):
            now = done.seen[i].created if done and i < len(done.seen) else ()
            for k, then in enumerate(one.created):
                self._now[then] = now[k] if k < len(now) else "nothing"


def again(session: Session, recorded: Performed, names: Names) -> str:
    """Make a recorded call again, or two that met; why not, if it may not be made now. Raises as `Session.perform`."""
    call = names.call(recorded.call)
    if recorded.met is None:
        why = session.oracle.refuses(call)
        names.learn(recorded, None if why else session.perform(call))
        return why
    other = names.call(recorded.met.call)
    why = session.refuses_meeting(call, other)
    names.learn(recorded, None if why else session.meet(call, other, recorded.met.schedule))
    return why


@dataclass(frozen=True)
class Failing:
    """A run that ends in a disagreement: how it begins, its calls with what was seen of them, and the disagreement."""

    system: System
    calls: tuple[Performed, ...]
    disagreement: Disagreement

    @classmethod
    def of(cls, system: System, disagreement: Disagreement) -> Failing:
        """The run that a disagreement ended."""
        last = (disagreement.last,) if disagreement.last else ()
        return cls(system, (*disagreement.prefix, *last), disagreement)

    def recording(self, target: str, seed: int | None = None) -> Recording:
        """The run as a file."""
        end = End(self.disagreement.signature, self.disagreement.summary)
        return Recording.of(self.system, self.calls, end, target, seed)


def rerun(
    oracle: Oracle,
    target: Target,
    system: System,
    calls: Iterable[Performed],
    coverage: Coverage | None = None,
    strict: bool = False,
) -> Failing | None:
    """Make recorded calls again and drain at the end; the disagreement that comes of it, with the run that led to it.

    A name that the target gave then stands for what it gives now. Calls that are not offered (any more) are passed
    over; if `strict`, they raise ReplayError. The oracle's history is then the whole run.
    """
    session = Session(oracle, target, coverage or Coverage.of(oracle.spec))
    names = Names()
    try:
        session.begin(system)
        for number, recorded in enumerate(calls, start=1):
            why = again(session, recorded, names)
            if why and strict:
                raise ReplayError(f"call {number}, {recorded.call}, cannot be made: {why}")
        session.drain()
    except Disagreed as found:
        return Failing.of(system, found.disagreement)
    except LostTrack as why:
        if strict:
            raise ReplayError(f"the run cannot be followed: {why}") from why
    return None
