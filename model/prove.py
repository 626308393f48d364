# SPDX-License-Identifier: Apache-2.0
"""The proof cascade: for every property the strongest word that z3 has on it.

In this order: not applicable; a violation, with a shortest trace; proved by induction for any number of objects, with
lemmas found on the way if need be; proved in the scope by k-induction; no violation within so many moves of the
scope.  Each engine runs in a process of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from accelspec.spec.language.specification import Form, Property, Specification

from .evaluate import Interpreter
from .smt import induction
from .smt.obligations import every
from .smt.process import Message, Worker, listen
from .smt.tasks import Run
from .trace import Move, Trace
from .verdict import Budget, Status, Verdict

DEPTH = 10  # moves to which violations are looked for
K = 3  # moves of memory that k-induction tries
A_FEW = 5  # properties that resist: more, and it is the machine that is wrong, not a lemma that is missing


class Disagreement(RuntimeError):
    """Two engines contradict each other: one of them is wrong.  An internal error, never a verdict."""


def prove(
    spec: Specification,
    scope: Mapping[str, int] | None = None,
    budget: Budget | None = None,
    jobs: int = 1,
    depth: int = DEPTH,
) -> list[Verdict]:
    """One verdict for each property, in the order of the specification; see `proving`."""
    found = {v.property: v for v in proving(spec, scope, budget, jobs, depth)}
    return [found[p.id] for p in every(spec)]


def proving(
    spec: Specification,
    scope: Mapping[str, int] | None = None,
    budget: Budget | None = None,
    jobs: int = 1,
    depth: int = DEPTH,
    *,
    only_unbounded: bool = False,
) -> Iterator[Verdict]:
    """One verdict for each property, as they come.

    `scope` says how many objects there are where that matters (by default the specification's own scope); `jobs` is
    the number of processes that may run at a time; `depth` the number of moves to which violations are looked for.
    With `only_unbounded` what holds for any number of objects is all that is asked: scopes are left to an explorer, and
    lemmas are looked for only if a few properties resist.  When the budget is spent, what is undecided is UNKNOWN, or
    HOLDS_TO the depth that was reached.

    Raises ValueError for a scope with a kind that the specification does not have, Disagreement and WorkerFailed for
    what must not happen.

    >>> for verdict in proving(spec, {"Queue": 2}): print(verdict.property, verdict.status.name)   # doctest: +SKIP
    """
    cascade = Cascade(spec, scope, budget or Budget(), depth)
    yield from cascade.outside()
    with ExitStack() as workers:

        def start(task: str, arguments: Mapping[str, Any]) -> Worker:
            return workers.enter_context(Worker(task, spec, **arguments))

        induction_alone = only_unbounded or jobs == 1
        first = [start("induction", {})]
        if not induction_alone:
            first.append(start("bounded", cascade.for_bounded()))
        yield from cascade.hear(first)
        if induction_alone and not only_unbounded and cascade.goes_on:
            yield from cascade.hear([start("bounded", cascade.for_bounded())])
        resisting = cascade.for_strengthening()
        if cascade.goes_on and resisting["ids"] and (not only_unbounded or len(resisting["ids"]) <= A_FEW):
            worker = start("strengthening", resisting)
            yield from cascade.hear([worker], share=0.5)
            worker.kill()
        if cascade.goes_on and not only_unbounded:
            yield from cascade.hear([start("k-induction", cascade.for_k_induction())])
    yield from cascade.rest()


class Cascade:
    """What is known of each property while engines are at work."""

    def __init__(self, spec: Specification, scope: Mapping[str, int] | None, budget: Budget, depth: int) -> None:
        self.spec, self.budget, self.depth = spec, budget, depth
        self.interpreter = Interpreter(spec, scope)
        self.scope = self.interpreter.scope
        self.open: dict[str, Property] = {p.id: p for p in every(spec)}
        self.final: dict[str, Verdict] = {}
        self.resists: dict[str, str] = {}  # why induction does not prove it
        self.weaker: dict[str, Verdict] = {}  # what is known if nothing stronger is found
        self.invariants: list[str] = []
        self.reached = -1  # moves to which there is no violation but those that were told
        self.notes: dict[str, str] = {}  # why an engine did not finish

    # ------------------------------------------------------------------ before

    def outside(self) -> Iterator[Verdict]:
        """The properties that no engine here decides."""
        for p in list(self.open.values()):
            if p.id in self.spec.not_applicable:
                yield self.settle(Verdict(p.id, Status.NOT_APPLICABLE, "prove", reason=self.spec.not_applicable[p.id]))
            elif p.form is not Form.SOMETIMES and not induction.applies(self.spec, p):
                reason = f"not for these engines: it speaks about {p.cls.value}"
                yield self.settle(Verdict(p.id, Status.UNKNOWN, "prove", reason=reason))

    @property
    def goes_on(self) -> bool:
        """Is there something left to decide, and to spend?"""
        return bool(self.open) and not self.budget.spent

    def for_bounded(self) -> dict[str, Any]:
        """The arguments of the task."""
        return {"scope": self.scope, "depth": self.depth, "ids": list(self.open)}

    def for_strengthening(self) -> dict[str, Any]:
        """The arguments of the task."""
        return {
            "ids": [id for id, p in self.open.items() if p.form is not Form.SOMETIMES and id not in self.spec.known],
            "invariants": self.invariants,
        }

    def for_k_induction(self) -> dict[str, Any]:
        """The arguments of the task."""
        depth = max(0, min(K, self.reached))
        return {"scope": self.scope, "depth": depth, "ids": list(self.open), "invariants": self.invariants}

    # ------------------------------------------------------------------ while engines work

    def hear(self, workers: Sequence[Worker], share: float = 1.0) -> Iterator[Verdict]:
        """Take in what the engines say, until they end or their share of what is left of the budget is spent."""
        left = self.budget.left
        least = 0.0 if left is None else left * (1 - share)
        budget = Budget(stop=lambda: self.budget.spent or (self.budget.left or least) < least)
        for worker, message in listen(workers, budget):
            if message is not None:
                yield from self.take(worker.task, message)
            if not self.open:
                return

    def take(self, task: str, message: Message) -> Iterator[Verdict]:
        """Take in one message; yields what is final by it."""
        match message:
            case "progress", text:
                self.budget.tell(f"{task}: {text}")
            case "gave up", reason:
                self.notes[task] = reason
            case "invariants", ids:
                self.invariants = ids
            case "depth", (depth, reason):
                self.reached = depth
                if reason:
                    self.notes[task] = reason
            case "found", (id, status, run):
                yield self.settle(Verdict(id, status, task, self.scope, trace=self.replayed(run)))
            case "proved", ks:
                for id, k in ks.items():
                    if id in self.open:
                        reason = "; ".join(filter(None, [f"k = {k}", self.resists.get(id, "")]))
                        yield self.settle(Verdict(id, Status.PROVED, task, self.scope, reason=reason))
            case "verdict", v:
                before = self.final.get(v.property)
                if (v.status is Status.PROVED and v.scope is None) or v.status is Status.VACUOUS:
                    if before is None or before.trace is not None:
                        yield self.settle(v)  # a trace, and a proof that there is none, contradict each other
                elif before is None:
                    self.resists[v.property] = v.reason
                    self.weaker[v.property] = v
            case _:
                raise Disagreement(f"{task} says {message!r}, which nobody understands")

    def settle(self, v: Verdict) -> Verdict:
        """This is the last word on its property."""
        before = self.final.get(v.property)
        if before is not None and before.status is not v.status:
            raise Disagreement(f"{self.spec.name}: {v.property} is {before.status.value} and {v.status.value}")
        self.open.pop(v.property, None)
        self.final[v.property] = replace(v, elapsed=self.budget.elapsed)
        return self.final[v.property]

    def replayed(self, run: Run) -> Trace:
        """The trace of a run that came from another process, taken once more by the interpreter of this one."""
        initial, choices = run
        state, moves = initial, list[Move]()
        for n, values in choices:
            case = self.spec.cases[n]
            found = [m for m in self.interpreter.moves(state) if m.case is case and m.values == values]
            if len(found) != 1:
                raise Disagreement(f"{self.spec.name}: {case.id} cannot be replayed after {len(moves)} moves")
            moves += found
            state = found[0].after
        return Trace(self.spec, self.scope, initial, tuple(moves))

    # ------------------------------------------------------------------ after

    def rest(self) -> Iterator[Verdict]:
        """What is known of the properties that no engine decided."""
        for p in list(self.open.values()):
            weaker, why = self.weaker.get(p.id), self.resists.get(p.id, "")
            notes = [f"{task}: {text}" for task, text in self.notes.items()]
            if self.budget.spent:
                notes.append("the budget is spent")
            reason = "; ".join(filter(None, [why, *notes]))
            if p.form is Form.SOMETIMES:
                far = f"not reached within {self.reached} moves" if self.reached >= 0 else "no run was looked at"
                reason = "; ".join(filter(None, [far, *notes]))
                yield self.settle(Verdict(p.id, Status.UNKNOWN, "bounded", self.scope, reason=reason))
            elif weaker is not None and weaker.status is Status.PROVED:
                yield self.settle(weaker)
            elif self.reached >= 0:
                yield self.settle(Verdict(p.id, Status.HOLDS_TO, "bounded", self.scope, self.reached, reason=reason))
            else:
                yield self.settle(Verdict(p.id, Status.UNKNOWN, "prove", reason=reason or "undecided"))
