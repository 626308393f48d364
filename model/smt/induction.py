# SPDX-License-Identifier: Apache-2.0
"""Proofs by induction for any number of objects.

A property is PROVED only together with properties that are proved: of the candidate invariants those that fail are
dropped until the rest is inductive (Houdini), and every other property is proved relative to that rest alone.  Since
dropping only weakens what may be assumed, what failed once has failed for good.  Failures are looked for in a small
scope first; what is left there is proved, or not, for any number of objects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from accelspec.spec.language.specification import Form, Property, Specification

from ..verdict import Budget, Status, Verdict
from .fragment import cycles
from .obligations import BY_INDUCTION, checks, every, is_law, is_range
from .refute import Refuter
from .resistance import Resistance
from .unbounded import Prover

ENGINE = "induction"
FEW = 2  # objects of a kind in the scope in which counterexamples to induction are looked for

Round = Callable[[Sequence[Property], Sequence[Property], set[str]], dict[str, Resistance]]


class Induction:
    """One specification, and what is `proved` of it so far (ids; of checks too).

    `invariants` are the proved laws, which may be relied on; `in_scope` are the ids that are proved at
    least for the small scope; `resisting` says why others are not proved, with a small state if `explain`.
    """

    def __init__(
        self,
        spec: Specification,
        budget: Budget | None = None,
        explain: bool = True,
        thorough: bool = True,
        scope: Mapping[str, int] | None = None,
    ) -> None:
        self.spec, self.budget = spec, budget or Budget()
        self.scope = {k.name: FEW for k in spec.kinds} if scope is None else scope
        self.refuter = Refuter(spec, self.scope, self.budget, explain=explain, thorough=thorough)
        self.prover = Prover(spec, self.budget)
        self.invariants: list[Property] = []
        self.proved: set[str] = set()
        self.in_scope: set[str] = set()
        self.resisting: dict[str, Resistance] = {}
        self.when_in_scope: Callable[[], object] = lambda: None

    def establish(
        self, candidates: Sequence[Property], goals: Sequence[Property] = (), checks: Iterable[str] = ()
    ) -> set[str]:
        """Find the largest part of the candidates that is inductive together with the invariants, and add it to them.

        Returns the ids that are now proved: of candidates, of goals (`after` properties) and of checks.  What resisted
        before is tried again.
        """
        asked = {*(p.id for p in (*candidates, *goals)), *checks}
        failed = self.refuted(candidates, goals, asked)
        self.in_scope |= asked - set(failed)
        self.resisting |= failed
        self.when_in_scope()
        failed |= self.prover.initially([p for p in candidates if p.id not in failed])
        while self._drop(self._unbounded, candidates, goals, asked, failed, once=True):
            self._drop(self.refuter.round, candidates, goals, asked, failed)
        self.invariants += [p for p in candidates if p.id not in failed]
        self.resisting = {id: r for id, r in self.resisting.items() if id not in asked} | failed
        self.proved |= (shown := asked - set(failed))
        return shown

    def refuted(
        self, candidates: Sequence[Property], goals: Sequence[Property], asked: set[str]
    ) -> dict[str, Resistance]:
        """What fails in the small scope, until no more does."""
        failed = self.refuter.initially(candidates)
        self._drop(self.refuter.round, candidates, goals, asked, failed)
        return failed

    def _unbounded(
        self, held: Sequence[Property], properties: Sequence[Property], asked: set[str]
    ) -> dict[str, Resistance]:
        """A round of proofs, with a hint from the small scope which laws each needs."""
        return self.prover.round(held, properties, asked, self.refuter.reliances(held, properties, asked))

    def _drop(
        self,
        round: Round,
        candidates: Sequence[Property],
        goals: Sequence[Property],
        asked: set[str],
        failed: dict[str, Resistance],
        once: bool = False,
    ) -> bool:
        """Add to `failed` what fails if all others are assumed, until no candidate does; did any?"""
        lately = tuple(p.id for p in candidates if p.id in failed)
        any_ = False
        while True:
            held = [p for p in candidates if p.id not in failed]
            broken = round([*self.invariants, *held], [*candidates, *goals], asked - set(failed))
            for r in broken.values():
                r.relied_on = () if r.unasked else lately
            failed |= broken
            lately = tuple(p.id for p in held if p.id in broken)
            any_ |= bool(lately)
            if not lately or once:
                return any_
            self.budget.tell(f"{len(lately)} of {len(held)} invariants are not inductive")


# ---------------------------------------------------------------------- verdicts


def prove_inductive(spec: Specification, budget: Budget | None = None) -> list[Verdict]:
    """One verdict for every property that induction can decide.

    PROVED for any number of objects (scope None) or for a small scope, VACUOUS, or UNKNOWN with the rows that break it.

    >>> prove_inductive(spec)[0]                                                   # doctest: +SKIP
    Verdict(property='lock.I01', status=<Status.PROVED: 'proved'>, engine='induction', scope=None, ...)
    """
    engine = Induction(spec, budget)
    run(engine)
    return list(verdicts(engine))


def run(engine: Induction) -> None:
    """Prove what can be proved.

    A violation that the revision is known to have is tried last, relative to what is proved without it: if it were an
    invariant after all, it would still be found.
    """
    spec = engine.spec
    asked = [p for p in spec.properties if applies(spec, p) and p.id not in engine.proved]
    laws = [p for p in asked if is_law(p)]
    goals = [p for p in asked if p.form is Form.AFTER]
    met = {o.id for c in spec.cases for o in checks(c)}
    engine.establish([p for p in laws if p.id not in spec.known], goals, met - engine.proved)
    known = [p for p in laws if p.id in spec.known]
    if known and engine.establish(known):
        run(engine)


def applies(spec: Specification, p: Property) -> bool:
    """Can induction say anything about the property?"""
    decidable = p.form in (Form.ALWAYS, Form.AFTER, Form.CHECK) and p.cls in BY_INDUCTION
    return decidable and p.id not in spec.not_applicable


def verdicts(engine: Induction) -> Iterator[Verdict]:
    """What the engine found out, property by property."""
    spec, elapsed = engine.spec, engine.budget.elapsed
    met = dict.fromkeys(o.id for case in spec.cases for o in checks(case))
    done = {case.operation for case in spec.cases if case.outcome is not None and not case.crashes}
    loops = cycles(spec)
    for p in every(spec):
        if not applies(spec, p):
            continue
        if p.form is Form.CHECK and p.id not in met and not is_range(p.id):
            yield Verdict(p.id, Status.VACUOUS, ENGINE, reason="no assert carries it", elapsed=elapsed)
            continue
        if p.form is Form.AFTER and p.operation not in done:
            reason = f"no call of {p.operation} completes"
            yield Verdict(p.id, Status.VACUOUS, ENGINE, reason=reason, elapsed=elapsed)
            continue
        r = engine.resisting.get(p.id)
        reason = str(r) if r else "for any number of objects it is not decided"
        if r and r.gave_up and loops:
            loop = "; ".join(loops)
            reason += f"\n    outside the decidable fragment: functions between kinds form a cycle ({loop})"
        if p.id in engine.proved:
            yield Verdict(p.id, Status.PROVED, ENGINE, elapsed=elapsed)
        elif p.id in engine.in_scope:
            yield Verdict(p.id, Status.PROVED, ENGINE, engine.scope, reason=reason, elapsed=elapsed)
        elif r:
            yield Verdict(p.id, Status.UNKNOWN, ENGINE, reason=reason, elapsed=elapsed)
        elif is_range(p.id):
            yield Verdict(p.id, Status.PROVED, ENGINE, reason="it is never written otherwise", elapsed=elapsed)
