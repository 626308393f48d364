# SPDX-License-Identifier: Apache-2.0
"""What an exploration found out, and what that says about every property."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from accelspec.spec.language.specification import Class, Form, Property, Specification
from accelspec.spec.language.terms import Term, show

from ..ended_calls import said_of
from ..evaluate import Interpreter
from ..ranges import range_checks
from ..trace import Trace
from ..vacuity import domains
from ..verdict import Status, Verdict

Replay = Callable[[Trace], bool]  # does somebody else, too, run this trace as it stands?


@dataclass(frozen=True)
class Explored:
    """The reachable states of a scope, counted.

    `transitions` counts every move of every state, those that change nothing or end the run, too.  `depth` is the
    number of moves to the farthest state; of an exploration that is not complete, the number of moves up to which every
    run was looked at (-1: none).  `rows` says how often each row was taken, 0 for a dead one.
    """

    spec: Specification
    scope: Mapping[str, int]
    engine: str
    states: int
    transitions: int
    depth: int
    complete: bool
    rows: dict[str, int]
    verdicts: list[Verdict]
    unmet: tuple[tuple[str, str], ...] = ()  # property, and what it speaks about: no state was like this
    stopped: str = ""  # why it is not complete

    @property
    def violated(self) -> dict[str, Trace]:
        """Property id -> its shortest counterexample."""
        return {v.property: v.trace for v in self.verdicts if v.status is Status.VIOLATED and v.trace is not None}

    @property
    def dead_rows(self) -> list[str]:
        """The rows that no reachable state takes."""
        return [row for row, n in self.rows.items() if not n]

    def verdict(self, property: str) -> Verdict:
        """The verdict on one property; raises KeyError if the exploration has none."""
        for v in self.verdicts:
            if v.property == property:
                return v
        raise KeyError(property)


def looked_at(spec: Specification, form: Form) -> list[Property]:
    """The properties of a form that an exploration evaluates: they apply to this revision and speak of one run."""
    return [p for p in spec.properties if p.form is form and p.id not in spec.not_applicable and not undecided(spec, p)]


def undecided(spec: Specification, p: Property) -> str:
    """Why an exploration cannot decide a property; empty if it can."""
    if p.cls is Class.TWO_RUNS:
        return "it compares two runs, an exploration looks at one"
    for c in spec.cases:
        try:
            said_of(spec, p, c)
        except KeyError as e:
            return f"{c.id} ends a call that has not kept {e.args[0]}"
    return ""


def domains_of(spec: Specification) -> list[tuple[str, Term]]:
    """What the laws speak about."""
    return [(p.id, t) for p in looked_at(spec, Form.ALWAYS) for t in domains(p)]


@dataclass(frozen=True)
class Reached:
    """What a search gives: counts, a trace for every violated property and for every `sometimes` that was reached."""

    states: int
    transitions: int
    depth: int
    stopped: str
    cases: list[int]  # how often each case was taken
    violations: dict[str, Trace]
    witnesses: dict[str, Trace]
    met: frozenset[tuple[str, Term]]  # the domains of properties that some state was in


def conclude(machine: Interpreter, engine: str, r: Reached, elapsed: float | None, replay: Replay | None) -> Explored:
    """Verdicts from what was reached.  Every trace is replayed first: on the interpreter, and by `replay`."""
    spec, scope, complete = machine.spec, machine.scope, not r.stopped
    rows = dict.fromkeys(spec.rows(), 0)
    for c, n in zip(spec.cases, r.cases, strict=True):
        rows[c.id] += n

    def verdict(id: str, status: Status, trace: Trace | None = None, reason: str = "") -> Verdict:
        depth = r.depth if status is Status.HOLDS_TO else None
        return Verdict(id, status, engine, scope, depth, trace, reason, elapsed)

    def holds(id: str) -> Verdict:
        if complete:
            return verdict(id, Status.EXHAUSTED)
        return (
            verdict(id, Status.HOLDS_TO, reason=r.stopped)
            if r.depth >= 0
            else verdict(id, Status.UNKNOWN, reason=r.stopped)
        )

    def violated(id: str, p: Property | None, trace: Trace) -> Verdict:
        failed = bool(trace.moves) and id in trace.moves[-1].failed  # a law may be asserted in a row, too
        if not machine.replays(trace) or not (failed or (p is not None and machine.violates(p, trace))):
            return verdict(id, Status.UNKNOWN, reason=f"the interpreter does not follow the counterexample of {engine}")
        if replay is not None and not replay(trace):
            return verdict(id, Status.UNKNOWN, reason=f"the native run does not follow the counterexample of {engine}")
        return verdict(id, Status.VIOLATED, trace)

    def judge(p: Property) -> Verdict:
        if p.id in spec.not_applicable:
            return verdict(p.id, Status.NOT_APPLICABLE, reason=spec.not_applicable[p.id])
        if p.id in r.violations:
            return violated(p.id, p if p.form is not Form.CHECK else None, r.violations[p.id])
        if why := undecided(spec, p):
            return verdict(p.id, Status.UNKNOWN, reason=why)
        if p.form is Form.SOMETIMES:
            if p.id in r.witnesses:
                return verdict(p.id, Status.PROVED, r.witnesses[p.id], reason="reached")
            return verdict(
                p.id, *((Status.VACUOUS, None, "never reached") if complete else (Status.UNKNOWN, None, r.stopped))
            )
        if p.form is Form.CHECK and not p.implied and complete:
            carriers = {c.id for c in spec.cases if any(k.property == p.id for k in c.checks)}
            if not any(rows[c] for c in carriers):
                why = "no row that asserts it is ever taken" if carriers else "no row asserts it"
                return verdict(p.id, Status.VACUOUS, reason=why)
        if (
            p.form is Form.AFTER
            and complete
            and not any(
                n
                for c, n in zip(spec.cases, r.cases, strict=True)
                if c.operation == p.operation and c.outcome and not c.crashes
            )
        ):
            return verdict(p.id, Status.VACUOUS, reason=f"no call of {p.operation} ever ends")
        return holds(p.id)

    out = [judge(p) for p in spec.properties if p.form is not Form.EVENTUALLY and p.cls is not Class.LOCK_GRAPH]
    known = {p.id for p in spec.properties}
    for id in dict.fromkeys(x for x in _checked(spec) if x not in known):
        out.append(violated(id, None, r.violations[id]) if id in r.violations else holds(id))
    unmet = tuple((id, show(t)) for id, t in domains_of(spec) if (id, t) not in r.met)
    return Explored(spec, scope, engine, r.states, r.transitions, r.depth, complete, rows, out, unmet, r.stopped)


def _checked(spec: Specification) -> Iterable[str]:
    """The ids that checks carry, those of ranges, too."""
    for c in spec.cases:
        yield from (k.property for k in c.checks)
        yield from range_checks(c)
