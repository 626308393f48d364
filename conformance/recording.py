# SPDX-License-Identifier: Apache-2.0
"""A recorded run of a target as a file: JSON lines, version `accelspec.replay/1`.

The first line says what was run, each further line is one call with what was seen of it, the last one says how the run
ended.  A file without its last line was cut off and is refused: half a finding is none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from .targets import Call, Observation, System

SCHEMA = "accelspec.replay/1"
EXPLAINED = "explained"  # how a run ends in which nothing was wrong


class RecordingError(Exception):
    """A file that is no complete recorded run: which, what is wrong in which line, and what to do."""


class Line(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="line", tag=str.lower, omit_defaults=True
):
    """One line of the file."""


class Run(Line, frozen=True, omit_defaults=True):
    """The first line: the system that the run started from, and on which target with which seed it was found."""

    schema: str
    system: System
    target: str = ""
    seed: int | None = None


class Met(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A second call made while the first was under way: after how many steps of which the other had its turn."""

    call: Call
    schedule: tuple[int, ...]
    observation: Observation

    def __str__(self) -> str:
        turns = ", ".join(map(str, self.schedule))
        return f"{self.call} -> {self.observation.result}, steps in turn {turns or 'to the end'}"


class Performed(Line, frozen=True, omit_defaults=True):
    """One call, what was seen of it, and the row that explains it with its source; no row: nothing explains it."""

    call: Call
    observation: Observation
    row: str = ""
    source: str = ""
    met: Met | None = None

    @property
    def calls(self) -> tuple[Call, ...]:
        """The call, or both."""
        return (self.call, self.met.call) if self.met else (self.call,)

    @property
    def seen(self) -> tuple[Observation, ...]:
        """What was seen of it, or of both."""
        return (self.observation, self.met.observation) if self.met else (self.observation,)

    def __str__(self) -> str:
        one = f"{self.call} -> {self.observation.result}"
        return f"{one}, meanwhile {self.met}" if self.met else one


class End(Line, frozen=True, omit_defaults=True):
    """The last line: `explained`, or the signature of the disagreement, with what was left over if that was wrong."""

    end: str
    text: str = ""


@dataclass(frozen=True)
class Recording:
    """A run that can be made again."""

    run: Run
    calls: tuple[Performed, ...]
    end: End

    @classmethod
    def of(
        cls, system: System, calls: Iterable[Performed], end: End, target: str = "", seed: int | None = None
    ) -> Recording:
        """A new one, of this version."""
        return cls(Run(SCHEMA, system, target, seed), tuple(calls), end)

    def encode(self) -> str:
        """The text of the file."""
        return "".join(msgspec.json.encode(line).decode() + "\n" for line in (self.run, *self.calls, self.end))


def decode(text: str, where: str = "the recording") -> Recording:
    """The recorded run of a file's text.  Raises RecordingError."""
    decoder = msgspec.json.Decoder(Run | Performed | End)
    lines: list[Run | Performed | End] = []
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            lines.append(decoder.decode(line))
        except msgspec.DecodeError as error:
            last = number == len(text.splitlines()) and not text.endswith("\n")
            why = "is cut off" if last and number > 1 else f"is no line of a recorded run of version {SCHEMA}: {error}"
            raise RecordingError(f"{where}:{number} {why}") from error
        if number == 1 and not isinstance(lines[0], Run):
            raise RecordingError(f"{where}:1 does not say what was run; a recorded run begins with a line of type run")
        if number == 1 and isinstance(lines[0], Run) and lines[0].schema != SCHEMA:
            raise RecordingError(f"{where} is of version {lines[0].schema}; this accelspec reads {SCHEMA}")
    match lines:
        case []:
            raise RecordingError(f"{where} is empty")
        case [Run() as run, *calls, End() as end] if all(isinstance(call, Performed) for call in calls):
            return Recording(run, tuple(call for call in calls if isinstance(call, Performed)), end)
        case _ if not isinstance(lines[-1], End):
            raise RecordingError(f"{where} is cut off: its last line does not say how the run ended")
    raise RecordingError(f"{where} has more than one run, or goes on after its end")


def load(path: Path) -> Recording:
    """The recorded run in a file.  Raises RecordingError, also for a file that cannot be read."""
    try:
        return decode(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise RecordingError(f"{path} cannot be read: {why}") from error
