# SPDX-License-Identifier: Apache-2.0
"""A machine file that was changed at random compiles, or is refused: it never crashes the compiler."""

from __future__ import annotations

from pathlib import Path

import pytest

from accelspec.spec.language import Machine, SpecError, compile_machine
from accelspec.spec.tests import constructs
from accelspec.spec.tests.loading import load
from accelspec.spec.tests.mutating import mutated

TEXT = Path(constructs.__file__).read_text(encoding="utf-8")
BEGIN = "class Stage"


def outcome(seed: int, folder: Path) -> str:
    """What becomes of the mutant: it cannot be imported, it is refused, or it compiles."""
    try:
        module = load(folder, mutated(TEXT, seed, BEGIN))
    except Exception:  # the loader's business: syntax errors, unknown names in classes, and whatever else import raises
        return "not imported"
    classes = [getattr(module, name, None) for name in ("Tickets", "Tickets2", "Tickets3")]
    errors = [refusal(c) for c in classes if isinstance(c, type) and issubclass(c, Machine)]
    assert all(e is None or (e.line > 0 and e.remedy) for e in errors), errors
    return "refused" if any(errors) else "compiled"


def refusal(machine: type[Machine]) -> SpecError | None:
    try:
        compile_machine(machine)
    except SpecError as e:
        return e
    return None


def test_mutants_are_real() -> None:
    assert len({mutated(TEXT, seed, BEGIN) for seed in range(20)}) > 15


def test_no_mutant_crashes_the_compiler(tmp_path: Path) -> None:
    outcomes = [outcome(seed, tmp_path) for seed in range(70)]
    assert outcomes.count("compiled") > 10
    assert outcomes.count("refused") > 10


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1_000, 5_000, 500))
def test_no_mutant_of_many_crashes_the_compiler(first: int, tmp_path: Path) -> None:
    for seed in range(first, first + 500):
        outcome(seed, tmp_path)
