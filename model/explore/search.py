# SPDX-License-Identifier: Apache-2.0
"""The plain breadth-first search: slow, short, and the oracle of every faster engine."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from accelspec.spec.language.specification import Form
from accelspec.spec.language.terms import Term

from ..evaluate import Interpreter
from ..trace import Move, State, Trace
from ..verdict import Budget
from .explored import Reached, domains_of, looked_at

Parent = tuple[State, int, tuple[int, ...]]  # the state before, number of the case, parameters
PER_STATE = 450  # bytes, beside the tuple itself: the entry of the table, the entry of the parent, parameters


class Search:
    """One search through the reachable states of an interpreter."""

    def __init__(self, machine: Interpreter, memory: int) -> None:
        self.machine, self.memory = machine, memory
        self.parents: dict[State, Parent | None] = dict.fromkeys(machine.initial())
        self.violations: dict[str, Trace] = {}
        self.witnesses: dict[str, Trace] = {}
        self.met: set[tuple[str, Term]] = set()
        self.cases = [0] * len(machine.spec.cases)
        self.transitions = 0
        self.level = 0

    def trace(self, state: State, last: Move | None = None) -> Trace:
        """The shortest run to a state that was found, and one move more."""
        moves = [last] if last else []
        while parent := self.parents[state]:
            before, n, values = parent
            moves.append(Move(self.machine.spec.cases[n], values, state))
            state = before
        return Trace(self.machine.spec, self.machine.scope, state, tuple(reversed(moves)))

    def run(self, budget: Budget) -> Reached:
        """Search until there is nothing new, or the budget or the memory is spent."""
        machine, spec, parents = self.machine, self.machine.spec, self.parents
        laws = looked_at(spec, Form.ALWAYS)
        always = [p for p in laws if not p.over_step]
        false = machine.false_among([p.term for p in always])
        sometimes = [(p.id, machine.function(p.term)) for p in looked_at(spec, Form.SOMETIMES)]
        steps = [(p.id, machine.function(p.term)) for p in laws if p.over_step]
        after = self._laws_of_calls()
        unmet = [(id, t, machine.function(t)) for id, t in domains_of(spec)]
        level, depth, stopped = list(parents), -1, ""
        limit = self.memory // (PER_STATE + sys.getsizeof(level[0])) if level else 0
        while level and not stopped:
            new: list[State] = []
            self.level = depth + 1
            for i, s in enumerate(level):
                if i % 64 == 0 and (stopped := self._spent(budget, limit)):
                    break
                for k in false(s):
                    known = self.violations.get(always[k].id)
                    if known is None or len(known) > self.level:
                        self.violations[always[k].id] = self.trace(s)
                for id, f in sometimes:
                    if id not in self.witnesses and f(s, s):
                        self.witnesses[id] = self.trace(s)
                unmet = [d for d in unmet if not self._meets(s, *d)]
                found = machine.found(s)
                self.transitions += len(found)
                for n, values, t, failed in found:
                    self.cases[n] += 1
                    if failed:
                        self._violated(failed[0], s, n, values, t, failed)
                    if failed or spec.cases[n].crashes:
                        continue
                    for id, f in steps:
                        if id not in self.violations and not f(s, t):
                            self._violated(id, s, n, values, t)
                    for id, f in after[n]:
                        if id not in self.violations and not f(s, t, *values):
                            self._violated(id, s, n, values, t)
                    if t not in parents:
                        parents[t] = (s, n, values)
                        new.append(t)
            else:
                level, depth = new, depth + 1
                budget.tell(f"depth {depth}: {len(parents):,} states, {self.transitions:,} transitions")
        return Reached(
            len(parents),
            self.transitions,
            depth,
            stopped,
            self.cases,
            self.violations,
            self.witnesses,
            frozenset(self.met),
        )

    def _laws_of_calls(self) -> list[list[tuple[str, Callable[..., Any]]]]:
        """For every case the laws about the call that ends with it."""
        laws = looked_at(self.machine.spec, Form.AFTER)
        cases = range(len(self.machine.spec.cases))
        return [[(p.id, f) for p in laws if (f := self.machine.law(p, n)) is not None] for n in cases]

    def _meets(self, s: State, id: str, t: Term, f: Callable[..., Any]) -> bool:
        if f(s, s):
            self.met.add((id, t))
        return (id, t) in self.met

    def _violated(
        self, id: str, s: State, n: int, values: tuple[int, ...], t: State, failed: tuple[str, ...] = ()
    ) -> None:
        if id not in self.violations:
            self.violations[id] = self.trace(s, Move(self.machine.spec.cases[n], values, t, failed))

    def _spent(self, budget: Budget, limit: int) -> str:
        if budget.spent:
            return "out of budget"
        return f"out of memory: the limit is {self.memory:,} bytes" if len(self.parents) > limit else ""
