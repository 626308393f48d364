# SPDX-License-Identifier: Apache-2.0
"""The engines on the machine that they were made for."""

from __future__ import annotations

import pytest

from accelspec.model.prove import prove
from accelspec.model.smt.bounded import prove_bounded
from accelspec.model.smt.obligations import BY_INDUCTION
from accelspec.model.verdict import Status
from accelspec.spec.language import compile_machine
from accelspec.spec.language.specification import Form
from accelspec.spec.uacce import V4, Intended

SHORT = 6  # calls, registration not counted


@pytest.mark.slow
def test_every_safety_property_of_intended_is_proved_for_any_number_of_objects() -> None:
    spec = compile_machine(Intended)
    safety = {p.id for p in spec.properties if p.cls in BY_INDUCTION and p.form is not Form.SOMETIMES}
    found = {v.property: v for v in prove(spec, jobs=2) if v.property in safety - spec.not_applicable.keys()}
    resisting = {id: str(v.reason) for id, v in found.items() if v.status is not Status.PROVED or v.scope is not None}
    assert {id for id in resisting if found[id].status is not Status.VACUOUS} == set()
    assert len(found) > 50


def test_bounded_model_checking_finds_what_v4_is_known_for() -> None:
    spec = compile_machine(V4)
    found = {v.property: v for v in prove_bounded(spec, depth=SHORT) if v.status is Status.VIOLATED}
    assert {"uacce.I03", "uacce.I04", "uacce.I05", "uacce.I06"} <= found.keys() <= spec.known.keys()
