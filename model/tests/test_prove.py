# SPDX-License-Identifier: Apache-2.0
"""Tests: prove."""

from __future__ import annotations

from dataclasses import replace

import pytest

from accelspec.model.prove import Cascade, Disagreement, prove, proving
from accelspec.model.tests import machines
from accelspec.model.tests.leases import Hasty, Leases
from accelspec.model.tests.plain_search import violated
from accelspec.model.tests.rotating import rotating
from accelspec.model.verdict import Budget, Status, Verdict
from accelspec.spec.language import compile_machine
from accelspec.spec.language.specification import Form, Specification


def by_id(verdicts: list[Verdict]) -> dict[str, Verdict]:
    return {v.property: v for v in verdicts}


@pytest.mark.parametrize("jobs", [1, 2])
def test_everything_holds(jobs: int) -> None:
    spec = compile_machine(Leases)
    verdicts = prove(spec, jobs=jobs)
    assert [v.property for v in verdicts] == [*(p.id for p in spec.properties), "range:Lease.running"]
    assert {v.status for v in verdicts} == {Status.PROVED}
    reached = by_id(verdicts)["leases.R01"]
    assert reached.scope == {"Client": 2, "Engine": 2, "Lease": 2}
    assert reached.trace is not None
    assert len(reached.trace) == 2
    assert all(v.scope is None for v in verdicts if v is not reached)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_violation_has_a_trace_and_the_rest_is_proved_without_it(jobs: int) -> None:
    found = by_id(prove(compile_machine(Hasty), jobs=jobs))
    assert found["leases.I03"].status is Status.VIOLATED
    assert found["leases.I03"].trace is not None
    assert [s.row for s in found["leases.I03"].trace.steps()] == ["acquire.ok", "unplug.ok", "start.ok"]
    assert {v.status for id, v in found.items() if id != "leases.I03"} == {Status.PROVED}


def test_a_missing_lemma_is_found() -> None:
    spec = compile_machine(Leases)
    spec.properties = [p for p in spec.properties if p.name != "lost_means_gone"]
    found = by_id(prove(spec))
    assert found["leases.I03"].status is Status.PROVED
    assert found["leases.I03"].scope is None
    assert found["leases.I03"].reason.startswith("with lemmas found: ")
    assert "x of Lease.state is LOST" in found["leases.I03"].reason


def test_only_what_holds_for_any_number_of_objects() -> None:
    spec = compile_machine(Hasty)
    spec.properties = [p for p in spec.properties if p.name != "lost_means_gone"]
    found = by_id(list(proving(spec, only_unbounded=True)))
    assert found["leases.I03"].status is Status.UNKNOWN
    assert found["leases.R01"].status is Status.UNKNOWN
    assert {v.status for id, v in found.items() if id not in ("leases.I03", "leases.R01")} == {Status.PROVED}
    good = compile_machine(Leases)
    good.properties = [p for p in good.properties if p.name != "lost_means_gone"]
    found = by_id(list(proving(good, only_unbounded=True)))
    assert found["leases.I03"].reason.startswith("with lemmas found: ")


def test_k_induction_in_the_scope() -> None:
    (found,) = prove(rotating(), {"Device": 1})
    assert (found.status, found.engine, found.scope) == (Status.PROVED, "k-induction", {"Device": 1})
    assert found.reason.startswith("k = 2; not inductive: broken by turn.ok")


def test_no_violation_to_a_depth() -> None:
    """Another device can be the one that moves, for as long as k-induction remembers."""
    (found,) = prove(rotating(), {"Device": 2}, depth=7)
    assert (found.status, found.engine, found.scope) == (Status.HOLDS_TO, "bounded", {"Device": 2})
    assert found.depth == 7
    assert found.reason.startswith("not inductive: broken by turn.ok")


@pytest.mark.parametrize("spec", [machines.devices(2), machines.files(leak=True), machines.locks()])
def test_the_cascade_agrees_with_the_plain_search(spec: Specification) -> None:
    broken = violated(spec)
    for v in prove(spec, jobs=2):
        p = next((p for p in spec.properties if p.id == v.property), None)
        if p is not None and p.form is Form.SOMETIMES:
            assert (v.status is Status.PROVED) == (v.property in broken)
        elif p is not None and p.form is Form.EVENTUALLY:
            assert v.status is Status.UNKNOWN
        else:
            assert (v.status is Status.VIOLATED) == (v.property in broken)
        if v.trace is not None:
            assert len(v.trace) == broken[v.property]


def test_what_does_not_apply_is_said_first() -> None:
    spec = compile_machine(Leases)
    spec.not_applicable["leases.I01"] = "engines are shared"
    first = next(proving(spec))
    assert (first.property, first.status, first.reason) == ("leases.I01", Status.NOT_APPLICABLE, "engines are shared")


def test_what_cannot_be_reached_is_not_a_pass() -> None:
    spec = compile_machine(Leases)
    spec.cases = [c for c in spec.cases if c.operation != "unplug"]
    found = by_id(prove(spec, depth=4))["leases.R01"]
    assert found.status is Status.VACUOUS
    assert found.reason == "it cannot be reached, with any number of objects"


def test_what_was_not_reached_is_not_a_pass() -> None:
    spec = compile_machine(Leases)
    found = by_id(prove(spec, depth=1))["leases.R01"]
    assert found.status is Status.UNKNOWN
    assert found.reason == "not reached within 1 moves"


def test_a_spent_budget_leaves_every_property_with_a_verdict() -> None:
    spec = compile_machine(Leases)
    verdicts = prove(spec, budget=Budget(stop=lambda: True), jobs=2)
    assert len(verdicts) == len(spec.properties) + 1
    assert {v.status for v in verdicts} == {Status.UNKNOWN}
    assert all("the budget is spent" in v.reason for v in verdicts)


def test_stopping_keeps_what_was_found() -> None:
    found: list[Verdict] = []
    budget = Budget(stop=lambda: any(v.status is Status.VIOLATED for v in found))
    for v in proving(compile_machine(Hasty), budget=budget, jobs=2):
        found.append(v)
    assert Status.VIOLATED in {v.status for v in found}
    assert len(found) == len({v.property for v in found}) == 12


def test_a_wrong_scope() -> None:
    with pytest.raises(ValueError, match="Widget"):
        prove(compile_machine(Leases), {"Widget": 1})


def test_engines_that_contradict_each_other_are_an_error() -> None:
    spec = compile_machine(Leases)
    cascade = Cascade(spec, None, Budget(), 3)
    proved = Verdict("leases.I01", Status.PROVED, "induction")
    initial = next(cascade.interpreter.initial())
    list(cascade.take("bounded", ("found", ("leases.I01", Status.VIOLATED, (initial, [])))))
    with pytest.raises(Disagreement, match=r"leases\.I01"):
        list(cascade.take("induction", ("verdict", proved)))


def test_a_state_that_was_reached_and_cannot_be_is_an_error() -> None:
    spec = compile_machine(Leases)
    cascade = Cascade(spec, None, Budget(), 3)
    initial = next(cascade.interpreter.initial())
    list(cascade.take("bounded", ("found", ("leases.R01", Status.PROVED, (initial, [])))))
    with pytest.raises(Disagreement, match=r"leases\.R01 is proved and vacuous"):
        list(cascade.take("induction", ("verdict", Verdict("leases.R01", Status.VACUOUS, "induction", reason="never"))))


def test_a_run_from_elsewhere_that_is_none_here_is_an_error() -> None:
    spec = compile_machine(Leases)
    cascade = Cascade(spec, None, Budget(), 3)
    initial = next(cascade.interpreter.initial())
    release = next(n for n, c in enumerate(spec.cases) if c.id == "release.ok")
    with pytest.raises(Disagreement, match=r"release\.ok cannot be replayed after 0 moves"):
        list(cascade.take("bounded", ("found", ("leases.I01", Status.VIOLATED, (initial, [(release, (0,))])))))


def test_what_was_proved_for_the_small_scope_counts_if_the_rest_takes_too_long() -> None:
    spec = compile_machine(Leases)
    cascade = Cascade(spec, None, Budget(), 3)
    few = {"Client": 2, "Engine": 2, "Lease": 2}
    early = Verdict("leases.I01", Status.PROVED, "induction", few, reason="not decided for any number")
    assert not list(cascade.take("induction", ("verdict", early)))
    (last,) = [v for v in cascade.rest() if v.property == "leases.I01"]
    assert (last.status, last.scope) == (Status.PROVED, few)


def test_a_proof_for_any_number_of_objects_follows_one_for_few() -> None:
    spec = compile_machine(Leases)
    cascade = Cascade(spec, None, Budget(), 3)
    few = Verdict("leases.I01", Status.PROVED, "induction", {"Client": 2})
    assert not list(cascade.take("induction", ("verdict", few)))
    (final,) = cascade.take("induction", ("verdict", replace(few, scope=None)))
    assert final.scope is None
