# SPDX-License-Identifier: Apache-2.0
"""Coverage: how often every row of a revision was taken, as a file that merges with others of its kind.

A row counts when every explanation of a step that is still possible took it; a step whose row stays open counts for
none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from accelspec.spec.language.specification import Specification

SCHEMA = "accelspec.coverage/1"
ENOUGH = 20  # how often a row is to be taken


class CoverageError(Exception):
    """A coverage file that cannot be read or merged: which, why, and what to do."""


class _File(msgspec.Struct, forbid_unknown_fields=True, tag_field="schema", tag=SCHEMA):
    machine: str
    revision: str
    steps: int
    succeeded: int
    examples: int
    rows: dict[str, int]
    never: dict[str, str]


@dataclass
class Coverage:
    """What campaigns of one revision have taken so far.

    `rows` has every row of the revision; `never` says of those that no campaign can take why.  Steps and examples add
    up in `merge`.
    """

    machine: str
    revision: str
    rows: Counter[str] = field(default_factory=Counter)
    never: dict[str, str] = field(default_factory=dict)
    steps: int = 0
    succeeded: int = 0
    examples: int = 0

    @classmethod
    def of(cls, spec: Specification) -> Coverage:
        """Nothing taken yet.

        Rows behind which nothing is explored are listed with that reason: no campaign calls them.
        """
        out = cls(spec.machine, spec.revision, Counter(dict.fromkeys(spec.rows(), 0)))
        for row, cases in spec.rows().items():
            if all(case.crashes for case in cases):
                out.never[row] = (
                    f"the call would end in {cases[0].outcome.name if cases[0].outcome else ''}: never made"
                )
        return out

    def took(self, rows: Iterable[str], succeeded: bool) -> None:
        """One step, all rows that it certainly took, and whether the call succeeded."""
        self.rows.update(rows)
        self.steps += 1
        self.succeeded += succeeded

    def missing(self, enough: int = ENOUGH) -> dict[str, str]:
        """Rows taken fewer than `enough` times, each with the reason."""
        return {
            row: self.never.get(row) or (f"taken {count} times" if count else "not reached")
            for row, count in self.rows.items()
            if count < enough
        }

    def merge(self, other: Coverage) -> None:
        """Add what another campaign of the same revision took.  Raises CoverageError if it was of another revision."""
        if (self.machine, self.revision) != (other.machine, other.revision):
            raise CoverageError(
                f"coverage of {other.machine}@{other.revision} does not add to that of {self.machine}@{self.revision}"
            )
        self.rows.update(other.rows)
        self.never = {row: why for row, why in {**other.never, **self.never}.items() if not self.rows[row]}
        self.steps += other.steps
        self.succeeded += other.succeeded
        self.examples += other.examples

    def encode(self) -> bytes:
        """The file's content, the same for the same coverage."""
        rows: Mapping[str, int] = dict(sorted(self.rows.items()))
        file = _File(self.machine, self.revision, self.steps, self.succeeded, self.examples, dict(rows), self.never)
        return msgspec.json.format(msgspec.json.encode(file), indent=1) + b"\n"

    @classmethod
    def decode(cls, text: bytes, where: str = "the coverage file") -> Coverage:
        """The coverage of a file.  Raises CoverageError if it is none."""
        try:
            file = msgspec.json.decode(text, type=_File)
        except msgspec.DecodeError as error:
            raise CoverageError(f"{where} is no coverage file of version {SCHEMA}: {error}") from error
        return cls(
            file.machine, file.revision, Counter(file.rows), file.never, file.steps, file.succeeded, file.examples
        )


def merged(files: Iterable[Path]) -> Coverage:
    """The sum of coverage files, all of one revision.

    Raises CoverageError for a foreign one or none at all, OSError as reading does.
    """
    total: Coverage | None = None
    for path in files:
        one = Coverage.decode(path.read_bytes(), str(path))
        if total is None:
            total = one
        else:
            total.merge(one)
    if total is None:
        raise CoverageError("no coverage files to merge")
    return total
