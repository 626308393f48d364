# SPDX-License-Identifier: Apache-2.0
"""habanalabs: each sentence of the nine patches holds since its patch, and not before; decided by exploring.

The expectations are read from docs/machines/habanalabs-patches.md, which was written first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from accelspec.model.explore import Explored, explore
from accelspec.model.tests.posted_statements import with_statements
from accelspec.model.verdict import Status
from accelspec.spec.habanalabs import C0, REVISIONS, BLetter
from accelspec.spec.habanalabs.revision_a import PLAIN, QUIET
from accelspec.spec.language import Machine, compile_machine
from accelspec.spec.language.specification import Form

PAGE = Path(__file__).parents[2] / "docs" / "machines" / "habanalabs-patches.md"
SERIES: dict[str, type[Machine]] = {r.revision: r for r in REVISIONS if r.revision[0] in "ab" and r is not BLetter}
FILES = {"Fd": 2, "File": 2, "FilePrivate": 2}
ONLY = {**PLAIN, "Submission": 1, "info()": 0, "cb_create()": 0, "soft_reset()": 0}
WORLDS: dict[str, Mapping[str, int]] = {
    "work": {**PLAIN, **QUIET, **FILES, "Submission": 1, "cb_create()": 0, "exit()": 0},
    "two": {**PLAIN, **QUIET, **FILES, "Context": 2, "Asid": 2, "cb_create()": 0, "close()": 0},
    "first calls": {**PLAIN, **QUIET, "Process": 2, "Mm": 2, "exit()": 0},
    "resets": {**ONLY, "remove()": 0},
    "removal": {**ONLY, "reset_work()": 0},
}


@dataclass(frozen=True)
class Sentence:
    """A line of the table: what is expected of a law in a world, revision by revision."""

    id: str
    patch: int
    world: str
    marks: tuple[tuple[str, str], ...]  # revision, "H" or "x"
    row: str  # at which a trace to the violation ends before the patch; empty: at any

    @property
    def introduced(self) -> str:
        """The revision of its patch."""
        return f"b{self.patch}"

    @property
    def before(self) -> str:
        """The revision before it."""
        return list(SERIES)[list(SERIES).index(self.introduced) - 1]


def table() -> list[Sentence]:
    """The lines of the page."""
    rows = [
        [c.strip() for c in x.strip("|\n").split("|")] for x in PAGE.read_text("utf-8").splitlines() if x[:2] == "| "
    ]
    head = rows[0]
    out = []
    for cells in rows[1:]:
        if len(cells) == len(head):
            line = dict(zip(head, cells, strict=True))
            marks = tuple((r, line[r]) for r in SERIES if line[r])
            out.append(
                Sentence(f"habanalabs.{line['id']}", int(line["patch"]), line["world"], marks, line["row before"])
            )
    return out


@cache
def explored(revision: str, world: str) -> Explored:
    """The world of a revision, looked at completely."""
    spec = compile_machine(with_statements(SERIES[revision], world == "two"))
    known = {k.name for k in spec.kinds}
    found = explore(spec, {k: n for k, n in WORLDS[world].items() if k in known})
    assert found.complete
    return found


def mark(s: Sentence, revision: str) -> str:
    """What an engine says of it; of what must be possible, whether it was reached."""
    found = explored(revision, s.world)
    (law,) = (p for p in found.spec.properties if p.id == s.id)
    status = found.verdict(s.id).status
    if law.form is Form.SOMETIMES:
        return {Status.EXHAUSTED: "H", Status.PROVED: "H", Status.VACUOUS: "x"}[status]
    if law.form is Form.CHECK and status is Status.VACUOUS:
        return "H"  # the assertion has become a constant
    return {Status.EXHAUSTED: "H", Status.PROVED: "H", Status.VIOLATED: "x"}[status]


SENTENCES = table()
EACH = pytest.mark.parametrize(
    "s", SENTENCES, ids=[f"{s.patch}-{s.id[-3:]}-{s.world.replace(' ', '_')}" for s in SENTENCES]
)


def test_every_patch_says_something() -> None:
    assert {s.patch for s in SENTENCES} == set(range(1, 10))
    for s in SENTENCES:
        marks = dict(s.marks)
        assert marks[s.introduced] == "H"
        assert s.id == "habanalabs.I30" or marks[s.before] == "x"


@EACH
def test_a_sentence_holds_since_its_patch(s: Sentence) -> None:
    marks = dict(s.marks)
    assert mark(s, s.introduced) == "H"
    if s.before in marks:
        assert mark(s, s.before) == marks[s.before]
        trace = explored(s.before, s.world).violated.get(s.id)
        assert not s.row or (trace is not None and trace.moves[-1].case.id == s.row)


@pytest.mark.slow
@EACH
def test_a_sentence_in_every_later_revision(s: Sentence) -> None:
    assert {r: mark(s, r) for r, _ in s.marks} == dict(s.marks)


def test_what_was_taken_back() -> None:
    rows = compile_machine(C0).rows()
    assert {"open.no_asid", "open.taken", "debug_on.ok"} <= rows.keys()
    assert "debug_on.not_alone" not in rows
