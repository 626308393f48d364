# SPDX-License-Identifier: Apache-2.0
"""Proofs by induction for any number of objects.

A property is PROVED only together with properties that are proved: of the candidate invariants those that fail are
dropped until the rest is inductive (Houdini), and every other property is proved relative to that rest alone.  Since
dropping only weakens what may be assumed, an obligation that failed once has failed for good.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum

import z3

from accelspec.spec.language.sources import deduced
from accelspec.spec.language.specification import Case, Class, Form, Property, Specification
from accelspec.spec.language.terms import TRUE

from ..verdict import Budget, Status, Verdict
from .counterexample import smallest, told
from .encode import Z3, Encoding
from .fragment import cycles
from .obligations import BY_INDUCTION, Obligation, checks, is_range, is_state, obligations, taken

ENGINE = "induction"
EFFORT = 20_000_000  # z3's resource units for one question: some seconds, and the same answer on every machine


class Answer(Enum):
    """What the solver says about one obligation."""

    SHOWN = "shown"
    REFUTED = "refuted"  # by a state that need not be reachable
    GAVE_UP = "gave up"
    UNASKED = "the budget is spent"


@dataclass
class Resistance:
    """Why a property is not proved: the rows that break it, and a smallest state before the first of them."""

    rows: list[str] = field(default_factory=list)
    gave_up: list[str] = field(default_factory=list)
    unasked: bool = False  # the budget was spent
    relied_on: tuple[str, ...] = ()  # were assumed while it still held, and are not proved themselves
    state: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = ["the budget was spent before it was decided"] if self.unasked else []
        if self.rows:
            parts.append(f"not inductive: broken by {_listed(self.rows)}")
        if self.gave_up:
            parts.append(f"the solver gave up at {_listed(self.gave_up)}")
        if self.relied_on:
            parts.append(f"holds there if {_listed(self.relied_on)} do, which are not proved")
        return "\n    ".join(["; ".join(parts), *self.state])


def _listed(names: Iterable[str], most: int = 6) -> str:
    unique = list(dict.fromkeys(names))
    more = f" and {len(unique) - most} more" if len(unique) > most else ""
    return ", ".join(unique[:most]) + more


class Induction:
    """The obligations of one specification, and what is `proved` so far (ids; of checks too).

    `invariants` are proved and may be relied on; `resisting` says why others are not, with a small state if `explain`.
    """

    def __init__(
        self, spec: Specification, budget: Budget | None = None, effort: int = EFFORT, explain: bool = True
    ) -> None:
        self.spec, self.budget, self.effort, self.explain = spec, budget or Budget(), effort, explain
        self.encoding = Encoding(spec)
        self.axioms = list(self.encoding.axioms())
        self.invariants: list[Property] = []
        self.proved: set[str] = set()
        self.resisting: dict[str, Resistance] = {}
        self.queries = 0

    # ------------------------------------------------------------------ the fixpoint

    def establish(
        self, candidates: Sequence[Property], goals: Sequence[Property] = (), checks: bool = True
    ) -> set[str]:
        """Find the largest part of the candidates that is inductive together with the invariants, and add it to them.

        Returns the ids that are now proved: of candidates, of goals (`after` and step properties), if asked of checks.
        A property that resisted before is tried again.
        """
        work = obligations(self.spec, [*candidates, *goals])
        asked = {p.id for p in [*candidates, *goals]}
        asked |= {o.property for _, found in work for o in found if checks and o.is_check}
        failed: dict[str, Resistance] = {}
        self._initially(candidates, failed)
        dropped: tuple[str, ...] = ()
        while True:
            held = [p for p in candidates if p.id not in failed]
            broken = self._round(work, held, asked - set(failed))
            for r in broken.values():
                r.relied_on = dropped
            failed |= broken
            dropped = tuple(p.id for p in held if p.id in broken)
            if not dropped:
                break
            self.budget.tell(f"{len(dropped)} of {len(held)} invariants are not inductive")
        self.invariants += held
        self.resisting = {id: r for id, r in self.resisting.items() if id not in asked} | failed
        self.proved |= (shown := asked - set(failed))
        return shown

    def _initially(self, candidates: Sequence[Property], failed: dict[str, Resistance]) -> None:
        solver = self._solver()
        solver.add(*self.encoding.initial())
        self._decide(solver, [Obligation(p.id, p.term) for p in candidates], {p.id for p in candidates}, failed)

    def _round(
        self, work: Sequence[tuple[Case, list[Obligation]]], held: Sequence[Property], asked: set[str]
    ) -> dict[str, Resistance]:
        """Ask for all obligations of the asked properties, assuming the invariants and `held`; returns what fails."""
        broken: dict[str, Resistance] = {}
        solver = self._solver()
        solver.add(*(self.encoding.term(p.term) for p in [*self.invariants, *held]))
        for case, found in work:
            if any(o.property in asked for o in found):
                solver.push()
                solver.add(self.encoding.term(taken(case)))
                self._decide(solver, found, asked, broken)
                solver.pop()
        return broken

    def _decide(self, solver: Z3, found: Sequence[Obligation], asked: set[str], broken: dict[str, Resistance]) -> None:
        """Ask for all at once; if that fails one by one.  What stands behind a check may assume it."""
        passed: list[Z3] = []
        goals: list[tuple[Obligation, Z3]] = []
        for o in found:
            goal = self.encoding.term(o.goal)
            if o.property in asked:
                goals.append((o, z3.Implies(z3.And(passed), goal) if passed else goal))
            if o.is_check:
                passed.append(goal)
        if len(goals) > 1 and self._ask(solver, z3.And([g for _, g in goals])) is Answer.SHOWN:
            return
        for o, goal in goals:
            answer = self._ask(solver, goal)
            if answer is not Answer.SHOWN:
                r = broken.setdefault(o.property, Resistance())
                if answer is Answer.UNASKED:
                    r.unasked = True
                    continue
                (r.rows if answer is Answer.REFUTED else r.gave_up).append(o.row())
                if answer is Answer.REFUTED and self.explain and not r.state:
                    r.state = self._shown(solver, goal, o.case)

    # ------------------------------------------------------------------ the solver

    def _solver(self) -> Z3:
        solver = z3.SimpleSolver(ctx=self.encoding.context)
        solver.set("rlimit", self.effort)
        solver.add(*self.axioms)
        return solver

    def _ask(self, solver: Z3, goal: Z3) -> Answer:
        """Only `unsat` is proof, only `sat` is refutation."""
        if self.budget.spent:
            return Answer.UNASKED
        self.queries += 1
        solver.push()
        solver.add(z3.Not(goal))
        found = solver.check()
        solver.pop()
        return Answer.SHOWN if found == z3.unsat else Answer.REFUTED if found == z3.sat else Answer.GAVE_UP

    def _shown(self, solver: Z3, goal: Z3, case: Case | None) -> tuple[str, ...]:
        solver.push()
        solver.add(z3.Not(goal))
        model = smallest(self.encoding, solver)
        solver.pop()
        return told(self.encoding, model, case) if model is not None else ()


# ---------------------------------------------------------------------- verdicts


def prove_inductive(spec: Specification, budget: Budget | None = None, effort: int = EFFORT) -> list[Verdict]:
    """One verdict for every property that induction can decide: PROVED for any number of objects, VACUOUS, or UNKNOWN.

    A violation that the revision is known to have is tried last, relative to what is proved without it: if it were an
    invariant after all, it would still be found.  `effort` is in z3's resource units for one question.

    >>> prove_inductive(spec)[0]                                                   # doctest: +SKIP
    Verdict(property='lock.I01', status=<Status.PROVED: 'proved'>, engine='induction', scope=None, ...)
    """
    engine = Induction(spec, budget, effort)
    run(engine)
    return list(verdicts(engine))


def run(engine: Induction, lemmas: Sequence[Property] = ()) -> None:
    """Prove what can be proved; `lemmas` are more candidates, of which nobody wants to hear."""
    spec = engine.spec
    asked = [p for p in spec.properties if applies(spec, p) and p.id not in engine.proved]
    states = [p for p in asked if is_state(p)]
    goals = [p for p in asked if not is_state(p) and p.form in (Form.ALWAYS, Form.AFTER) and not is_range(p.id)]
    engine.establish([*(p for p in states if p.id not in spec.known), *lemmas], goals)
    known = [p for p in states if p.id in spec.known]
    if known and engine.establish(known, checks=False):
        run(engine, lemmas)


def applies(spec: Specification, p: Property) -> bool:
    """Can induction say anything about the property?"""
    decidable = p.form in (Form.ALWAYS, Form.AFTER, Form.CHECK) and p.cls in BY_INDUCTION
    return decidable and p.id not in spec.not_applicable


def verdicts(engine: Induction) -> Iterator[Verdict]:
    """What the engine found out, property by property."""
    spec = engine.spec
    met = dict.fromkeys(o.property for case in spec.cases for o in checks(case))
    done = {case.operation for case in spec.cases if case.outcome is not None and not case.crashes}
    loops = cycles(spec)
    named = {p.id for p in spec.properties}
    unnamed = [_written_in_range(id) for id in met if id not in named]
    for p in [*spec.properties, *unnamed]:
        if not applies(spec, p):
            continue
        if p.id in engine.resisting:
            r = engine.resisting[p.id]
            reason = str(r) + (f"\n    {_undecidable(loops)}" if r.gave_up and loops else "")
            yield Verdict(p.id, Status.UNKNOWN, ENGINE, reason=reason, elapsed=engine.budget.elapsed)
        elif p.form is Form.CHECK and p.id not in met and not is_range(p.id):
            yield Verdict(p.id, Status.VACUOUS, ENGINE, reason="no assert carries it", elapsed=engine.budget.elapsed)
        elif p.form is Form.AFTER and p.operation not in done:
            why = f"no call of {p.operation} completes"
            yield Verdict(p.id, Status.VACUOUS, ENGINE, reason=why, elapsed=engine.budget.elapsed)
        elif p.id in engine.proved or is_range(p.id):
            yield Verdict(p.id, Status.PROVED, ENGINE, elapsed=engine.budget.elapsed)


def _written_in_range(id: str) -> Property:
    """Every write to a small number stays in its range: a property that the specification need not spell out."""
    sentence = f"{id.removeprefix('range:')} never leaves its range"
    return Property(
        id, "in_range", Form.CHECK, Class.COUNT, TRUE, sentence, deduced("implied by the types"), "", 0, True
    )


def _undecidable(loops: list[str]) -> str:
    return f"outside the decidable fragment: functions between kinds form a cycle ({'; '.join(loops)})"
