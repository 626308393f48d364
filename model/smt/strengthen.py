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
from itertools import combinations

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

SAMPLES = 1500  # states of sample runs
ROUNDS = 4  # times that new candidates are looked for
MOST = 60  # candidates for one counterexample


class Strengthening:
    """An induction engine that is given lemmas for what resists."""

    def __init__(self, engine: Induction) -> None:
        self.engine, self.spec = engine, engine.spec
        self.machine = Interpreter(self.spec, engine.scope)
        self.lemmas: dict[str, Property] = {}
        self._shapes = [Shape(self.machine, k) for k in self.spec.kinds]
        self._sampled = False

    def run(self, targets: Sequence[Property]) -> set[str]:
        """Prove what can be proved of the targets (and of the checks) with lemmas; returns the ids."""
        proved: set[str] = set()
        for _ in range(ROUNDS):
            left = [p for p in targets if p.id not in proved]
            laws, goals = [p for p in left if is_law(p)], [p for p in left if p.form is Form.AFTER]
            proved |= self.engine.establish([*laws, *self.lemmas.values()], goals)
            new = dict(self._candidates([p.id for p in targets if p.id not in proved]))
            if not new or self.engine.budget.spent:
                break
            self.engine.budget.tell(f"{len(new)} candidate lemmas")
            self.lemmas |= new
        return proved & {p.id for p in targets}

    def _candidates(self, resisting: Sequence[str]) -> Iterator[tuple[str, Property]]:
        """Clauses that no sample breaks, and that the counterexample to a target, or to a lemma for one, does."""
        self._sample()
        for id in [*resisting, *self.lemmas]:
            r = self.engine.resisting.get(id)
            if r is not None and r.example is not None and r.example.case is not None:
                for shape in self._shapes:
                    for p in shape.telling(r.example.state):
                        if p.id not in self.lemmas:
                            yield p.id, p

    def _sample(self) -> None:
        """Runs from some initial states, breadth first, but of many moves only some."""
        if self._sampled:
            return
        self._sampled = True
        first = []
        for s in self.machine.initial():
            first.append(s)
            if len(first) >= SAMPLES // 50:
                break
        seen = dict.fromkeys(first)
        level = list(seen)
        while level and len(seen) < SAMPLES and not self.engine.budget.spent:
            behind: dict[State, None] = {}
            for n, s in enumerate(level):
                new = [t for _, _, t, failed in self.machine.found(s) if not failed and t not in seen]
                behind |= dict.fromkeys(new[n % 3 :: 3] if len(new) > 6 else new)
            level = list(behind)[: SAMPLES // 10]
            seen |= dict.fromkeys(level)
        for shape in self._shapes:
            for s in seen:
                shape.look(s)


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
        self.truth = [self.machine.function(t, (self.x,)) for t in self.literals]
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

    def look(self, state: State) -> None:
        """Remember what is true of each object that exists in the state."""
        for row in self._rows(state):
            self.rows[row] = None

    def _rows(self, state: State) -> Iterator[int]:
        for i in range(self.machine.layout.size(self.kind)):
            if self.live is None or self.machine.value(state, self.live, i):
                yield sum(1 << n for n, f in enumerate(self.truth) if f(state, state, i))

    def telling(self, state: State) -> Iterator[Property]:
        """Clauses that are true in all samples and false of some object in this state, shortest first."""
        found = 0
        for row in self._rows(state):
            if not self.rows:  # no sample has such an object
                yield self._lemma([])
                return
            if row in self.rows:
                continue
            false = [n for n in range(len(self.literals)) if not row >> n & 1]
            singles = [n for n in false if all(r >> n & 1 for r in self.rows)]
            pairs = (
                (a, b)
                for a, b in combinations([n for n in false if n not in singles], 2)
                if all(r >> a & 1 or r >> b & 1 for r in self.rows)
            )
            for clause in [*((n,) for n in singles), *pairs]:
                yield self._lemma([self.literals[n] for n in clause])
                found += 1
                if found >= MOST:
                    return

    def _lemma(self, literals: Sequence[Term]) -> Property:
        there = Not(Eq(self.x, none(self.kind))) if self.live is None else Read(self.live, (self.x,))
        term = All(self.x, Implies(there, Or(*literals)))
        text = " or ".join(map(show, literals)) or f"there is no {self.kind.name}"
        source = deduced("found by the prover")
        return Property(f"lemma:{text}", "found", Form.ALWAYS, Class.STATE, term, text, source, "", 0, lemma=True)
