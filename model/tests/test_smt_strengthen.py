# SPDX-License-Identifier: Apache-2.0
"""What strengthening finds, and that it is needed."""

from __future__ import annotations

from dataclasses import replace

from accelspec.model.smt.induction import Induction, run
from accelspec.model.smt.strengthen import Strengthening
from accelspec.model.tests.leases import Hasty, Leases
from accelspec.model.tests.plain_search import violated
from accelspec.model.tests.rotating import rotating
from accelspec.spec.language import compile_machine
from accelspec.spec.language.specification import Form, Specification
from accelspec.spec.language.terms import Not


def without_lemmas(spec: Specification) -> Specification:
    return replace(spec, properties=[p for p in spec.properties if not p.lemma or p.implied])


def strengthened(spec: Specification) -> tuple[Strengthening, set[str], set[str]]:
    """The engine after its run, what induction alone proves, and what it proves with lemmas besides."""
    engine = Induction(spec)
    run(engine)
    alone = set(engine.proved)
    resisting = [p for p in spec.properties if p.id in engine.resisting]
    strengthening = Strengthening(engine)
    return strengthening, alone, set().union(*strengthening.run(resisting))


def test_a_missing_lemma_is_found() -> None:
    found, alone, more = strengthened(without_lemmas(compile_machine(Leases)))
    assert "leases.I03" not in alone
    assert more == {"leases.I03"}
    assert found.lemmas
    assert all("engine.present" in p.sentence for p in found.lemmas)


def test_only_what_is_needed_is_kept() -> None:
    found, _, _ = strengthened(without_lemmas(compile_machine(Leases)))
    kept = {p.id for p in found.engine.invariants if p.id.startswith("lemma:")}
    assert kept == {p.id for p in found.lemmas}


def test_lemmas_are_true_where_the_plain_search_looks() -> None:
    """They are proved, so no reachable state may break one."""
    for machine in (Leases, Hasty):
        spec = without_lemmas(compile_machine(machine))
        found, _, _ = strengthened(spec)
        spec = replace(spec, properties=[*spec.properties, *found.lemmas])
        assert not violated(spec, {"Client": 2, "Engine": 2, "Lease": 2}).keys() & {p.id for p in found.lemmas}


def test_what_is_violated_is_not_proved() -> None:
    _, alone, more = strengthened(without_lemmas(compile_machine(Hasty)))
    assert "leases.I03" not in alone | more


def test_a_clause_of_three_literals_is_beyond_it() -> None:
    found, alone, more = strengthened(rotating())
    assert not alone | more
    assert not found.lemmas


def test_objects_that_no_run_creates() -> None:
    """Nothing creates a lease: then there is none, and whatever holds of leases holds."""
    spec = without_lemmas(compile_machine(Leases))
    spec.cases = [c for c in spec.cases if c.operation not in ("acquire", "finish")]
    lost = next(p for p in spec.properties if p.form is Form.SOMETIMES)
    never = replace(lost, id="leases.I99", form=Form.ALWAYS, term=Not(lost.term))
    found, alone, more = strengthened(replace(spec, properties=[never]))
    assert (alone & {"leases.I99"}, more) == (set(), {"leases.I99"})
    assert [p.sentence for p in found.lemmas] == ["there is no Lease"]
