# SPDX-License-Identifier: Apache-2.0
"""Machine files changed at random: whatever still compiles means the same to the interpreter and to the native run.

A mutant may look into an object that is none: the methods raise there, and the interpreter reads it as blank.  Such a
machine lacks a row, which agreement reports; here it is no finding.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from accelspec.model.agree import Disagreement, agree
from accelspec.model.tests import corners, corners_steps
from accelspec.spec.language import Machine, SpecError, compile_machine
from accelspec.spec.tests import constructs
from accelspec.spec.tests.loading import load
from accelspec.spec.tests.mutating import mutated

FILES = {  # file -> where the changes begin, and which machines are tried
    constructs: ("class Tickets(", ("Tickets", "Tickets3")),
    corners: ("class TwiceHelped", tuple(c.__name__ for c in corners.EFFECTS)),
    corners_steps: (
        "class AnswerInLock",
        ("PatchedLock", "HelperInLock", "LockOfFreed", "TwoLocks", "Loops", "PatchedAbove"),
    ),
}


def findings(seed: int, folder: Path, steps: int) -> Iterator[Disagreement]:
    """What the two readings of the mutants of one seed do not agree on."""
    for file, (begin, names) in FILES.items():
        try:
            with warnings.catch_warnings(action="ignore"):  # Python finds `is 3` odd, too
                module = load(folder, mutated(Path(str(file.__file__)).read_text(), seed, begin))
        except Exception:
            continue
        for c in (getattr(module, name, None) for name in names):
            if isinstance(c, type) and issubclass(c, Machine):
                yield from differences(c, seed, steps)


def differences(machine: type[Machine], seed: int, steps: int) -> list[Disagreement]:
    try:
        spec = compile_machine(machine)
    except SpecError:
        return []
    found = agree(machine, spec, seed=seed, steps=steps, most=1).disagreements
    return [d for d in found if "of an object that is none" not in d.what and "KeyError: None" not in d.what]


def test_mutants_mean_the_same_to_both(tmp_path: Path) -> None:
    assert [str(d) for seed in range(12) for d in findings(seed, tmp_path, 12)] == []


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1_000, 1_400, 50))
def test_many_mutants_mean_the_same_to_both(first: int, tmp_path: Path) -> None:
    assert [str(d) for seed in range(first, first + 50) for d in findings(seed, tmp_path, 60)] == []
