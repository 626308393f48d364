# SPDX-License-Identifier: Apache-2.0
"""The one answer of every engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from .trace import Trace


class Status(Enum):
    """What was found out about a property.  UNKNOWN and VACUOUS are never a pass."""

    PROVED = "proved"  # for any number of objects (scope None), or for the stated scope
    EXHAUSTED = "exhausted"  # every reachable state of the scope was looked at
    HOLDS_TO = "holds_to"  # no violation within `depth` steps of the scope
    VIOLATED = "violated"  # with a trace from an initial state
    VACUOUS = "vacuous"  # nothing that it speaks about can be reached
    NOT_APPLICABLE = "not_applicable"
    UNKNOWN = "unknown"

    @property
    def holds(self) -> bool:
        """Is it a pass: for any number of objects, or within what was looked at?"""
        return self in (Status.PROVED, Status.EXHAUSTED, Status.HOLDS_TO)


@dataclass(frozen=True)
class Verdict:
    """One engine's word on one property.

    `scope` is None for any number of objects.  A VIOLATED verdict has a trace that the interpreter (and, where it
    can, the native run) has replayed; HOLDS_TO has a depth; VACUOUS, NOT_APPLICABLE and UNKNOWN have a reason.
    """

    property: str
    status: Status
    engine: str
    scope: Mapping[str, int] | None = None
    depth: int | None = None
    trace: Trace | None = None
    reason: str = ""
    elapsed: float | None = None  # seconds, where a clock was given

    def __post_init__(self) -> None:
        if self.status is Status.VIOLATED and self.trace is None:
            raise ValueError(f"{self.property}: a violation without a trace is not a violation but unknown")
        if self.status is Status.HOLDS_TO and self.depth is None:
            raise ValueError(f"{self.property}: holds_to needs a depth")


@dataclass
class Budget:
    """What an engine may spend, and whom it tells.  All of it comes from the edge; without it an engine reads no clock.

    `clock` gives seconds; `stop` is asked often and ends the work with what there is; `tell` gets short progress lines.
    """

    seconds: float | None = None
    clock: Callable[[], float] | None = None
    stop: Callable[[], bool] = lambda: False
    tell: Callable[[str], None] = lambda _: None
    _start: float | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self._start = self.clock() if self.clock else None

    @property
    def elapsed(self) -> float | None:
        """Seconds since the budget was made; None without a clock."""
        return self.clock() - self._start if self.clock and self._start is not None else None

    @property
    def left(self) -> float | None:
        """Seconds left; None without a limit."""
        return None if self.seconds is None or self.elapsed is None else self.seconds - self.elapsed

    @property
    def spent(self) -> bool:
        """Is it time to end, with what there is?"""
        return self.stop() or (self.left is not None and self.left <= 0)
