# SPDX-License-Identifier: Apache-2.0
"""Lemmas found automatically, where a property alone is not inductive.

A counterexample to induction shows a state that is probably not reachable.  What tells it from the states of sample
runs is a candidate: a clause of two literals about one object (and what it refers to) that is true in every sample
and false there.  The candidates are tried together with the property; what is not inductive is dropped again, so a
wrong guess costs time and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations, islice

from accelspec.spec.language.sources import deduced
from accelspec.spec.language.specification import Class, Form, Property
from accelspec.spec.language.terms import (
    All,
    Eq,
    Field,
    Implies,
    Kind,
    Lit,
    Not,
    Or,
    Read,
    Term,
    Var,
    members,
    none,
    show,
)

from ..evaluate import Interpreter
from ..trace import State
from .induction import Induction
from .obligations import is_law
from .resistance import Resistance

SAMPLES = 4000  # states of sample runs
WIDTH = 60  # of them, those of one level from which the runs go on
ROUNDS = 3  # times that the candidates are tried
MOST = 150  # candidates that are added at a time


class Strengthening:
    """An induction engine that is given lemmas for what resists; `lemmas` are those that the proofs need."""

    def __init__(self, engine: Induction) -> None:
        self.engine, self.spec = engine, engine.spec
        self.machine = Interpreter(self.spec, engine.scope)
        self.lemmas: list[Property] = []
        self._pool: dict[str, Property] = {}
        self._shapes = [Shape(self.machine, k) for k in self.spec.kinds]

    def run(self, targets: Sequence[Property]) -> Iterator[set[str]]:
        """Prove what can be proved of the targets, with lemmas; yields ids as they are proved."""
        proved: set[str] = set()
        for n in range(ROUNDS):
            left = [p for p in targets if p.id not in proved]
            laws, goals = [p for p in left if is_law(p)], [p for p in left if p.form is Form.AFTER]
            pool = list(self._pool.values())
            failed = self.engine.refuted([*laws, *pool], goals, {p.id for p in (*left, *pool)})
            if wanted := {p.id for p in left if p.id not in failed}:
                goals = [p for p in goals if p.id in wanted]
                laws = self._needed([p for p in (*laws, *pool) if p.id not in failed], goals, wanted)
                found = self.engine.establish(laws, goals, wanted - {p.id for p in (*laws, *goals)}) & wanted
                self.lemmas += [p for p in laws if p.id in self._pool and p.id in self.engine.proved]
                proved |= found
                yield found
            if n == ROUNDS - 1 or len(proved) == len(targets) or self.engine.budget.spent:
                return
            if n == 0:
                self._sample()
            targets_first = sorted(failed, key=lambda id: id in self._pool)
            new = {p.id: p for p in self._candidates([failed[id] for id in targets_first])}
            if not new:
                return
            self.engine.budget.tell(f"{len(new)} candidate lemmas")
            self._pool |= new

    def _needed(self, laws: Sequence[Property], goals: Sequence[Property], wanted: set[str]) -> list[Property]:
        """Of the laws those that the wanted properties rely on, and what these rely on."""
        refuter, uses = self.engine.refuter, dict[str, set[str]]()
        asked = {p.id for p in (*laws, *goals)} | wanted
        found = refuter.reliances([*self.engine.invariants, *laws], [*laws, *goals], asked)
        for (n, place), r in found.items():
            id = place if isinstance(place, str) else refuter.steps[n].checks[place][0]
            uses.setdefault(id, set()).update(r.laws)
        todo, closed = list(wanted), set(wanted)
        while todo:
            new = uses.get(todo.pop(), set()) - closed
            closed |= new
            todo += new
        return [p for p in laws if p.id in closed]

    def _candidates(self, resisting: Sequence[Resistance]) -> Iterator[Property]:
        """Clauses that no sample breaks, and that a counterexample does; of each counterexample some."""
        share = max(3, MOST // max(1, len(resisting)))
        for r in resisting:
            if r.example is not None and r.example.case is not None:
                found = (p for shape in self._shapes for p in shape.telling(r.example.state) if p.id not in self._pool)
                yield from islice(found, share)

    def _sample(self) -> None:
        """Runs from some initial states, level by level; states that show something new of an object go first."""
        level = list(islice(self.machine.initial(), WIDTH))
        seen = set(level)
        while level and len(seen) < SAMPLES and not self.engine.budget.spent:
            new: list[State] = []
            old: list[State] = []
            for s in level:
                for _, _, t, failed in self.machine.found(s):
                    if not failed and t not in seen:
                        seen.add(t)
                        (new if sum(shape.look(t) for shape in self._shapes) else old).append(t)
                        if len(seen) >= SAMPLES:
                            break
            level = [*new, *old][:WIDTH]


@dataclass
class Shape:
    """What can be said of one object of a kind: literals, and in which samples each is true (as bits)."""

    machine: Interpreter
    kind: Kind
    literals: list[Term] = field(init=False)
    rows: dict[int, None] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.x = Var(f"x of {self.kind.name}", self.kind)
        fields = [f for f in self.machine.spec.fields if not f.is_live and len(f.domain) == 1]
        atoms = list(self._atoms(self.x, fields))
        for f in fields:
            if f.kind == self.kind and isinstance(f.type, Kind):
                atoms += self._atoms(Read(f, (self.x,)), fields)
        self.literals = [t for a in atoms for t in (a, Not(a))]
        self.truth = [self.machine.function(t, (self.x,)) for t in atoms]
        self.live = next((f for f in self.machine.spec.fields if f.is_live and f.kind == self.kind), None)

    def _atoms(self, of: Term, fields: Sequence[Field]) -> Iterator[Term]:
        for f in fields:
            if f.kind == of.type:
                cell = Read(f, (of,))
                if f.type is bool:
                    yield cell
                elif isinstance(f.type, Kind):
                    yield Eq(cell, none(f.type))
                else:
                    yield from (Eq(cell, Lit(m, f.type)) for m in members(f.type))

    def look(self, state: State) -> bool:
        """Remember what is true of each object that exists in the state; was any of it new?"""
        before = len(self.rows)
        self.rows |= dict.fromkeys(self._rows(state))
        return len(self.rows) > before

    def _rows(self, state: State) -> Iterator[int]:
        """For each object a number with a bit for every literal that is true of it."""
        for i in range(self.machine.layout.size(self.kind)):
            if self.live is None or self.machine.value(state, self.live, i):
                yield sum((1 if f(state, state, i) else 2) << 2 * n for n, f in enumerate(self.truth))

    def telling(self, state: State) -> Iterator[Property]:
        """Clauses that are true in all samples and false of some object in this state, shortest first."""
        for row in dict.fromkeys(self._rows(state)):
            if not self.rows:  # no sample has such an object
                yield self._lemma()
                return
            false = [n for n in range(len(self.literals)) if not row >> n & 1]
            single = [n for n in false if all(r >> n & 1 for r in self.rows)]
            yield from (self._lemma(self.literals[n]) for n in single)
            for a, b in combinations((n for n in false if n not in single), 2):
                if all(r >> a & 1 or r >> b & 1 for r in self.rows):
                    yield self._lemma(self.literals[a], self.literals[b])

    def _lemma(self, *literals: Term) -> Property:
        there = Not(Eq(self.x, none(self.kind))) if self.live is None else Read(self.live, (self.x,))
        term = All(self.x, Implies(there, Or(*literals)))
        text = " or ".join(map(show, literals)) or f"there is no {self.kind.name}"
        source = deduced("found by the prover")
        return Property(f"lemma:{text}", "found", Form.ALWAYS, Class.STATE, term, text, source, "", 0, lemma=True)
