# SPDX-License-Identifier: Apache-2.0
"""Where a revision and its fields are written, for messages about them."""

from __future__ import annotations

from pathlib import Path

from accelspec.spec.language import compile_machine
from accelspec.spec.ownership import Proposal


def line_of(file: str, line: int) -> str:
    return Path(file).read_text().splitlines()[line - 1]


def test_a_revision_and_its_fields_have_lines() -> None:
    spec = compile_machine(Proposal)
    assert line_of(spec.file, spec.line).startswith("class Proposal(")
    assert line_of(*spec.places["Token.magic"]).strip().startswith("magic: Raw[")
    assert {f.name for f in spec.fields if not f.is_live and not f.kind.is_call} <= set(spec.places)
