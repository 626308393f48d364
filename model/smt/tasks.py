# SPDX-License-Identifier: Apache-2.0
"""What a worker does: each task runs one engine and tells what it finds as plain data, soonest first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from accelspec.spec.language.specification import Form, Property, Specification
from accelspec.spec.language.terms import Not

from ..trace import State
from ..verdict import Budget, Status, Verdict
from .bounded import Bounded
from .induction import Induction, run, verdicts
from .k_induction import KInduction
from .obligations import every
from .resistance import listed
from .strengthen import Strengthening
from .unrolling import Unrolling

Tell = Callable[[str, Any], None]
Choice = tuple[int, tuple[int, ...]]  # the number of a case, and its arguments
Run = tuple[State, list[Choice]]  # from an initial state


def induction(spec: Specification, tell: Tell) -> None:
    """Proofs for any number of objects.

    Tells every verdict twice, first as the small scope has it, then the ids of the invariants.
    """

    def so_far() -> None:
        for v in verdicts(engine):
            tell("verdict", v)

    engine = Induction(spec, _budget(tell))
    engine.when_in_scope = so_far
    run(engine)
    so_far()
    tell("invariants", [p.id for p in engine.invariants])
    never = [
        replace(p, id=f"never:{p.id}", form=Form.ALWAYS, term=Not(p.term), lemma=True)
        for p in spec.properties
        if p.form is Form.SOMETIMES
    ]
    engine.when_in_scope = lambda: None
    for id in engine.establish(never):
        reason = "it cannot be reached, with any number of objects"
        tell("verdict", Verdict(id.removeprefix("never:"), Status.VACUOUS, "induction", reason=reason))


def strengthening(spec: Specification, tell: Tell, ids: Sequence[str], invariants: Sequence[str]) -> None:
    """Proofs for any number of objects of what resisted, with lemmas found on the way.  Tells verdicts."""
    engine = Induction(spec, _budget(tell), thorough=False)
    engine.invariants = named(spec, invariants)
    strengthened = Strengthening(engine)
    for proved in strengthened.run(named(spec, ids)):
        reason = f"with lemmas found: {listed(p.sentence for p in strengthened.lemmas)}"
        for id in proved:
            tell("verdict", Verdict(id, Status.PROVED, "induction", reason=reason))


def bounded(spec: Specification, tell: Tell, scope: Mapping[str, int], depth: int, ids: Sequence[str]) -> None:
    """Violations in a scope, shortest first.  Tells each with its run, and every depth that was reached."""
    engine = Bounded(spec, scope, named(spec, ids), _budget(tell))
    for d in range(depth + 1):
        for v in engine.run(d):
            assert v.trace is not None
            numbers = {id(c): n for n, c in enumerate(spec.cases)}
            moves = [(numbers[id(m.case)], m.values) for m in v.trace.moves]
            tell("found", (v.property, v.status, (v.trace.initial, moves)))
        tell("depth", (engine.depth, engine.reason))
        if engine.reason or not engine.open:
            break


def k_induction(
    spec: Specification,
    tell: Tell,
    scope: Mapping[str, int],
    depth: int,
    ids: Sequence[str],
    invariants: Sequence[str],
) -> None:
    """Proofs in a scope of what no run of `depth` moves breaks.  Tells property -> k."""
    unrolling = Unrolling(spec, scope)
    engine = KInduction(unrolling, named(spec, ids), named(spec, invariants), _budget(tell))
    tell("proved", dict(engine.proved(depth)))


TASKS: Mapping[str, Callable[..., None]] = {
    "induction": induction,
    "bounded": bounded,
    "k-induction": k_induction,
    "strengthening": strengthening,
}


def named(spec: Specification, ids: Sequence[str]) -> list[Property]:
    """The properties with these ids, in their order."""
    known = {p.id: p for p in every(spec)}
    return [known[id] for id in ids]


def _budget(tell: Tell) -> Budget:
    return Budget(tell=lambda text: tell("progress", text))
