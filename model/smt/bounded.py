# SPDX-License-Identifier: Apache-2.0
"""Bounded model checking in a scope: shortest violations, replayed by the interpreter before anyone sees them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import z3

from accelspec.spec.language.specification import Form, Property, Specification

from ..evaluate import Interpreter
from ..trace import Move, State, Trace
from ..verdict import Budget, Status, Verdict
from .obligations import BY_INDUCTION, checks
from .scalars import Value
from .unrolling import Unrolling

ENGINE = "bounded"
EFFORT = 50_000_000  # z3's resource units for one question


class Irreproducible(RuntimeError):
    """A solver's run is not a run of the interpreter: one of the two is wrong.  An internal error, never a verdict."""


class Bounded:
    """All properties of one specification in one scope, one move deeper at a time.

    `depth` is the number of moves up to which all runs were looked at; `open` are the properties without a violation
    (of form SOMETIMES: that were not reached).
    """

    def __init__(
        self,
        spec: Specification,
        scope: Mapping[str, int] | None = None,
        properties: Sequence[Property] = (),
        budget: Budget | None = None,
        effort: int = EFFORT,
    ) -> None:
        self.spec, self.budget = spec, budget or Budget()
        self.unrolling = Unrolling(spec, scope)
        self.scope = self.unrolling.ground.layout.scope
        self.interpreter = Interpreter(spec, self.scope)
        self.open = {p.id: p for p in properties if applies(p)}
        self.depth = -1
        self.reason = ""  # why it stopped, if it did not reach the depth that was asked for
        u = self.unrolling
        met = {o.id for c in spec.cases for o in checks(c)}
        self._at_steps = {id: u.fails(id) for id, p in self.open.items() if p.form is Form.CHECK and id in met}
        self._behind = {id: u.broken(p) for id, p in self.open.items() if p.form is not Form.CHECK}
        for id, p in self.open.items():
            if p.form is Form.SOMETIMES:
                self._behind[id] = u.scalars.negation(self._behind[id])
        self._one_state = {id for id, p in self.open.items() if p.form is not Form.AFTER and not p.over_step}
        self._solver = z3.SolverFor("QF_FD", ctx=u.scalars.context)
        self._solver.set("rlimit", effort)

    def run(self, depth: int) -> Iterator[Verdict]:
        """Go on to `depth` moves; violations are yielded as they are found, shortest first.

        Raises Irreproducible if the interpreter does not have a run that the solver found.
        """
        u = self.unrolling
        if self.depth < 0:
            self._solver.add(*(u.at(0, x) for x in u.ground.initial()))
            yield from self._search(0, {id: b for id, b in self._behind.items() if id in self._one_state})
            self.depth = 0 if not self.reason else -1
        while self.depth < depth and not self.reason and self.open:
            t = self.depth
            self._solver.add(*(u.at(t, x) for x in u.a_step))
            yield from self._search(t, self._at_steps, taken=1)
            self._solver.add(*(u.at(t, x) for x in u.goes_on), *(u.at(t + 1, x) for x in u.leads_on))
            yield from self._search(t + 1, self._behind)
            if not self.reason:
                self.depth = t + 1
                self.budget.tell(f"no more violations within {self.depth} moves")

    def _search(self, t: int, bad: Mapping[str, Value], taken: int = 0) -> Iterator[Verdict]:
        """Ask which open properties some run breaks at point t, until none is left; what holds there is remembered."""
        u = self.unrolling
        left = {id: u.at(t, b) for id, b in bad.items() if id in self.open and b is not False}
        while left and not self.reason:
            if self.budget.spent:
                self.reason = "the budget was spent"
                return
            self._solver.push()
            self._solver.add(z3.Or(list(left.values())))
            answer = self._solver.check()
            model = self._solver.model() if answer == z3.sat else None
            self._solver.pop()
            if answer == z3.unknown:
                self.reason = f"the solver gave up after {t} moves"
                return
            if model is None:
                break
            trace = self._replayed(model, t + taken)
            for id in [i for i, b in left.items() if z3.is_true(model.eval(b, model_completion=True))]:
                del left[id]
                yield self._found(self.open.pop(id), trace)
        if not self.reason:
            self._solver.add(*(z3.Not(b) for b in left.values()))

    # ------------------------------------------------------------------ traces

    def _replayed(self, model: Value, moves: int) -> Trace:
        """The run of the model, taken again by the interpreter."""
        u, state = self.unrolling, self.unrolling.state(model, 0)
        initial, done = state, list[Move]()
        for t in range(moves):
            n, values = u.choice(model, t)
            move = self._move(state, n, values)
            done.append(move)
            state = move.after
        trace = Trace(self.spec, self.scope, initial, tuple(done))
        if not self.interpreter.replays(trace):
            raise Irreproducible(f"{self.spec.name}: the solver's run {_told(trace)} is none of the interpreter's")
        return trace

    def _move(self, state: State, n: int, values: tuple[int, ...]) -> Move:
        case = self.spec.cases[n]
        for m in self.interpreter.moves(state):
            if m.case is case and m.values == values:
                return m
        where = self.interpreter.describe(state)
        raise Irreproducible(f"{self.spec.name}: only the solver takes {case.id} with {values} from {where}")

    def _found(self, p: Property, trace: Trace) -> Verdict:
        reached, last = p.form is Form.SOMETIMES, list(trace.states())[-1]
        if not (self.interpreter.holds(p, last, last) if reached else self.interpreter.violates(p, trace)):
            raise Irreproducible(
                f"{self.spec.name}: the interpreter finds nothing about {p.id} in the run {_told(trace)}"
            )
        status = Status.PROVED if reached else Status.VIOLATED
        return Verdict(p.id, status, ENGINE, self.scope, trace=trace, elapsed=self.budget.elapsed)

    def rest(self) -> Iterator[Verdict]:
        """What is known of the properties that are still open: HOLDS_TO the depth that was reached."""
        for p in self.open.values():
            if p.form is Form.SOMETIMES:
                reason = f"not reached within {self.depth} moves"
                yield Verdict(p.id, Status.UNKNOWN, ENGINE, self.scope, reason=reason, elapsed=self.budget.elapsed)
            elif self.depth < 0:
                yield Verdict(p.id, Status.UNKNOWN, ENGINE, self.scope, reason=self.reason, elapsed=self.budget.elapsed)
            else:
                known = (Status.HOLDS_TO, ENGINE, self.scope, self.depth)
                yield Verdict(p.id, *known, reason=self.reason, elapsed=self.budget.elapsed)


def applies(p: Property) -> bool:
    """Can runs of bounded length say anything about the property?"""
    return p.form is not Form.EVENTUALLY and p.cls in BY_INDUCTION


def _told(trace: Trace) -> str:
    return " ; ".join(map(str, trace.steps())) or "of no moves"


def prove_bounded(
    spec: Specification,
    scope: Mapping[str, int] | None = None,
    depth: int = 10,
    properties: Iterable[Property] | None = None,
    budget: Budget | None = None,
) -> list[Verdict]:
    """VIOLATED with a shortest trace, or HOLDS_TO `depth` moves.

    Of form SOMETIMES: PROVED with a shortest trace that reaches it, or UNKNOWN.

    >>> prove_bounded(spec, {"Queue": 2}, depth=8)[0].trace.steps()                # doctest: +SKIP
    """
    asked = spec.properties if properties is None else list(properties)
    engine = Bounded(spec, scope, [p for p in asked if p.id not in spec.not_applicable], budget)
    return [*engine.run(depth), *engine.rest()]
