# SPDX-License-Identifier: Apache-2.0
"""Agreement: what the interpreter makes of the compiled form, the native run makes of the methods themselves.

Random walks from initial states.  In every state moves of the interpreter are taken natively, and calls are made
natively that the interpreter must explain: outcome, row, source, failed asserts, the whole next state, what calls in
flight remember, and the value of every property.  A difference is a bug of the compiler, the interpreter or the native
run, and is reported with the file and line of the row.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from accelspec.spec.language import Machine, Specification
from accelspec.spec.language.native import Choice, NativeMove, NativeRun, in_order
from accelspec.spec.language.specification import Case, Form, Param, Property, Role
from accelspec.spec.language.terms import Kind, Type
from accelspec.spec.language.world import NotEnabled

from .evaluate import Interpreter
from .trace import Move, State, Trace, value_name
from .verdict import Budget


@dataclass(frozen=True)
class Disagreement:
    """One difference between the two readings of a machine, after the calls of `trace`."""

    what: str
    call: str  # "open(process0, fd1) while allocation fails"
    file: str
    line: int
    trace: Trace
    seed: int | None = None

    def __str__(self) -> str:
        before = "".join(f"\n    {s}" for s in self.trace.steps())
        seed = "" if self.seed is None else f" (seed {self.seed})"
        return f"{self.file}:{self.line}: {self.trace.spec.name}: {self.call}: {self.what}{seed}" + (
            f"\n  after{before}" if before else ""
        )


@dataclass
class Agreement:
    """What was compared, and the differences.  Nothing compared is no agreement: see `transitions`."""

    seed: int
    transitions: int = 0
    states: int = 0
    rows: Counter[str] = field(default_factory=Counter)  # row id -> how often it was taken both ways
    disagreements: list[Disagreement] = field(default_factory=list)


def agree(
    machine: type[Machine],
    spec: Specification,
    scope: Mapping[str, int] | None = None,
    *,
    seed: int,
    steps: int,
    depth: int = 30,
    breadth: int = 12,
    most: int = 20,
    budget: Budget | None = None,
) -> Agreement:
    """Hold the interpreter of `spec` to the methods of `machine`: walks of at most `depth` steps, `steps` steps in all.

    In every state up to `breadth` moves are tried; after `most` disagreements there is no need for more.  The same seed
    makes the same walks.  Raises ValueError for a scope with a kind that the specification does not have.
    """
    return _Walks(machine, spec, scope, seed, budget or Budget(), most).walk(steps, depth, breadth)


class Replayer:
    """Takes traces natively, one after the other; what a scope needs is prepared once.

    >>> Replayer(Uacce)(trace)                                           # doctest: +SKIP
    True
    """

    def __init__(self, machine: type[Machine]) -> None:
        self.machine = machine
        self._walks: _Walks | None = None

    def __call__(self, trace: Trace) -> bool:
        """Do the methods themselves take this trace?  Asked before any counterexample is shown."""
        return self.difference(trace) is None

    def difference(self, trace: Trace) -> Disagreement | None:
        """The first difference, or None if the methods do the same."""
        w = self._walks
        if w is None or w.spec is not trace.spec or w.scope != trace.scope:
            w = self._walks = _Walks(self.machine, trace.spec, trace.scope, None, Budget())
        w.found = Agreement(0)
        w.start(trace.initial)
        for m in trace.moves:
            if not w.follow(m):
                break
        w.walker.close()
        return w.found.disagreements[0] if w.found.disagreements else None


class _Walks:
    def __init__(
        self,
        machine: type[Machine],
        spec: Specification,
        scope: Mapping[str, int] | None,
        seed: int | None,
        budget: Budget,
        most: int = 1,
    ) -> None:
        self.interpreter = Interpreter(spec, scope)
        self.spec, self.scope, self.budget = spec, self.interpreter.scope, budget
        self.seed, self.most = seed, most
        self.random = random.Random(seed)
        self.walker = NativeRun(machine, spec, self.scope)  # follows the walk
        self.trier = NativeRun(machine, spec, self.scope)  # tries one move from a state, and forgets it
        self.found = Agreement(seed or 0)
        self.initial: State = ()
        self.state: State = ()
        self.moves: list[Move] = []
        self.lost = False  # the walker does not follow any more
        self.followed: Counter[str] = Counter()
        cells = self.interpreter.layout.cells
        self._plain = [i for i, (f, _) in enumerate(cells) if not f.kind.is_call or f.is_live]
        self._stated = [
            p for p in spec.properties if not p.implied and p.form in (Form.ALWAYS, Form.SOMETIMES, Form.EVENTUALLY)
        ]
        self._single = [p for p in self._stated if not p.over_step]
        self._double = [p for p in self._stated if p.over_step]
        self._after = [p for p in spec.properties if p.form is Form.AFTER]
        self._seen: set[State] = set()
        self._started = {
            c.operation: [p for p in c.params if p.role is Role.GIVEN] for c in reversed(spec.cases) if not c.step
        }

    # ------------------------------------------------------------------ walks

    def walk(self, steps: int, depth: int, breadth: int) -> Agreement:
        starts = list(self.interpreter.initial())
        done = 0
        while done < steps and starts and not self.over:
            self.start(self.random.choice(starts))
            for _ in range(depth):
                done += 1
                if done > steps or self.over or not self.step(breadth):
                    break
            self.last_step()
            self.walker.close()
            self.trier.close()
        return self.found

    @property
    def over(self) -> bool:
        return self.budget.spent or len(self.found.disagreements) >= self.most

    def start(self, state: State) -> None:
        self.initial = self.state = state
        self.moves = []
        self.lost = False
        self.walker.load(state)

    def step(self, breadth: int) -> bool:
        """Compare a state and some moves from it, then follow one of them; False where the walk ends."""
        moves = list(self.interpreter.moves(self.state))
        fresh = [m for m in moves if not m.case.step]
        for m in fresh if len(fresh) <= breadth else self.random.sample(fresh, breadth):
            self.trier.load(self.state)
            self.compare(self.trier, m)
        for _ in range(min(breadth, len(self._started))):
            self.try_call(self.random.choice(list(self._started)))
        self.compare_waiting(moves)
        changing = [m for m in moves if m.failed or m.case.crashes or m.after != self.state]
        return bool(changing) and self.follow(self.chosen(changing))

    def chosen(self, moves: Sequence[Move]) -> Move:
        """Any of them, but calls in flight go on half of the time, and rows that were seldom followed come first."""
        going_on = [m for m in moves if m.case.step]
        among = going_on if going_on and self.random.random() < 0.5 else moves
        some = [self.random.choice(among) for _ in range(3)]
        rarest = min(some, key=lambda m: self.followed[m.case.id])
        self.followed[rarest.case.id] += 1
        return rarest

    def follow(self, m: Move) -> bool:
        """Take a move in the walk itself; False where the run ends or differs."""
        self.lost = not self.compare(self.walker, m)
        if self.lost:
            return False
        self.moves.append(m)
        self.state = m.after
        return not (m.failed or m.case.crashes)

    # ------------------------------------------------------------------ one move, both ways

    def compare(self, run: NativeRun, m: Move) -> bool:
        """Does the native run do what the interpreter did?"""
        values = list(zip(m.case.params, m.values, strict=True))
        failing = {p.var.name.removesuffix(" fails") for p, x in values if p.role is Role.FAILS and x}
        choice = in_order(
            [None if x == self.interpreter.layout.size(p.var.type) else x for p, x in values if p.role is Role.CHOSEN]
        )
        self.found.transitions += 1
        self.found.rows[m.case.id] += 1
        given = [x for p, x in values if p.role is Role.GIVEN]
        call = next((x for p, x in values if p.role is Role.CALL), None)
        try:
            kept = run.calls[m.case.operation, call].args if call is not None else ()
            got = self.take(run, m.case.operation, given, call, failing, choice)
        except NotEnabled as e:
            return self.differs(m.case, self.name(m.case, m.values), f"the methods do not offer it: {e}")
        except Exception as e:  # whatever the methods do wrong is the finding
            return self.differs(m.case, self.name(m.case, m.values), _raised(e))
        return self.same(run, m, got, kept)

    def take(
        self, run: NativeRun, operation: str, given: Sequence[int], call: int | None, failing: set[str], choice: Choice
    ) -> NativeMove:
        if call is None:
            return run.begin(operation, given, failing, choice)
        return run.resume(operation, call, failing, choice)

    def same(self, run: NativeRun, m: Move, got: NativeMove, kept: Sequence[Any]) -> bool:
        """Compare what the step answered and left behind."""
        c = m.case
        told = self.name(c, m.values)
        if got.failed or m.failed:
            if got.failed in m.failed or self.fails(m, got.failed):
                return True
            return self.differs(
                c, told, f"interpreted, {m.failed or 'nothing'} fails; run, {got.failed or 'nothing'} does"
            )
        if (got.row, got.outcome) != (c.row, c.outcome):
            return self.differs(
                c, told, f"interpreted, it takes {_shown(c.row, c.outcome)}; run, {_shown(got.row, got.outcome)}"
            )
        if got.source is not None and (got.source.mark, got.source.place) != (c.source.mark, c.source.place):
            return self.differs(c, told, f"the row cites {c.source}, run it cites {got.source}")
        if c.crashes:
            return True
        saved = run.save()
        if wrong := [i for i in self._plain if saved[i] != m.after[i]]:
            return self.differs(c, told, "after it, " + "; ".join(self.cell(i, m.after, saved) for i in wrong))
        return self.same_call(run, m, told) and self.same_properties(run, m, kept, told)

    def fails(self, m: Move, id: str) -> bool:
        """Is a check of this id false?  (Of several that fail in a loop, either reading may meet another one first.)"""
        terms = [k.term for k in m.case.checks if k.property == id]
        params = tuple(p.var for p in m.case.params)
        return bool(m.failed) and any(
            not self.interpreter.function(t, params)(self.state, self.state, *m.values) for t in terms
        )

    def same_call(self, run: NativeRun, m: Move, told: str) -> bool:
        """Where a call stands, and what it remembers, is what the compiled form says of it."""
        if m.case.outcome is not None:
            return True
        operation = m.case.operation
        index = next(
            x for p, x in zip(m.case.params, m.values, strict=True) if p.var.type == self.spec.kind(f"{operation}()")
        )
        names = run.calls[operation, index].names()
        for a in m.case.effects:
            if a.field.kind.is_call and a.field.short not in ("live", "at") and a.field.short in names:
                want = self.interpreter.value(m.after, a.field, index)
                have = self.remembered(run, a.field.type, names[a.field.short])
                if want != have:
                    shown = [value_name(a.field.type, x, self.scope) for x in (want, have)]
                    return self.differs(
                        m.case, told, f"{a.field.short} is remembered as {shown[0]}, run it is {shown[1]}"
                    )
        return True

    def remembered(self, run: NativeRun, t: Type, value: Any) -> int:
        """What a name of a call stands for, as it lies in a cell."""
        if isinstance(t, Kind):
            return self.scope[t.name] if value is None else run.encoded(type(value), value)
        return run.encoded(t, value)

    def same_properties(self, run: NativeRun, m: Move, kept: Sequence[Any], told: str) -> bool:
        before, after = self.state, m.after
        todo: list[tuple[Property, dict[str, Any]]] = [(p, {}) for p in self._double]
        if after not in self._seen:
            self._seen.add(after)
            self.found.states += 1
            todo += [(p, {}) for p in self._single]
        if m.case.outcome is not None:
            given = kept or self.given(run, m)
            arguments = {**dict(zip(run.parameters(m.case.operation), given, strict=True)), "result": m.case.outcome}
            todo += [(p, arguments) for p in self._after if p.operation == m.case.operation]
        for p, arguments in todo:
            try:
                got: object = run.holds(p.name, arguments)
            except Exception as e:
                got = _raised(e)
            want = self.interpreter.holds(p, before, after, m)
            if got is not want:
                return self.differs(p, told, f"after it, {p.id} ({p.name}) is {want}; run, {got}")
        return True

    def given(self, run: NativeRun, m: Move) -> list[Any]:
        types = run.parameters(m.case.operation).values()
        values = [x for p, x in zip(m.case.params, m.values, strict=True) if p.role is Role.GIVEN]
        return [run.decoded(t, x) for t, x in zip(types, values, strict=True)]

    # ------------------------------------------------------------------ the other way round

    def try_call(self, operation: str) -> None:
        """Make a call natively, with arguments that exist; the interpreter must have the same move, or none."""
        params = self._started[operation]
        given = [self.argument(p) for p in params]
        if any(x is None for x in given):
            return
        self.trier.load(self.state)
        self.explain(self.trier, operation, [x for x in given if x is not None], None)

    def argument(self, p: Param) -> int | None:
        """Any existing object, or value."""
        f = self.interpreter.function(p.where, (p.var,))
        values = [x for x in self.interpreter.values(p.var) if f(self.state, self.state, x)]
        return self.random.choice(values) if values else None

    def last_step(self) -> None:
        """At the end of a walk, when nothing is lost by it: resume any call, and ask the interpreter to explain it."""
        calls = [k for k, c in self.walker.calls.items() if c.steps is not None]
        ended = self.lost or (self.moves and (self.moves[-1].failed or self.moves[-1].case.crashes))
        if calls and not self.over and not ended:
            operation, index = self.random.choice(calls)
            self.explain(self.walker, operation, [index], index)

    def explain(self, run: NativeRun, operation: str, given: Sequence[int], call: int | None) -> None:
        """Take a step natively, with random failures and choices; one move of the interpreter must do the same."""
        step = "" if call is None else run.calls[operation, call].pause.label  # type: ignore[union-attr]
        moves = self.interpreter.moves_of(self.state, operation, given, step)
        names = sorted(
            {p.var.name.removesuffix(" fails") for m in moves for p in m.case.params if p.role is Role.FAILS}
        )
        failing = {n for n in names if self.random.random() < 0.3}
        picked: list[int | None] = []

        def choice(kind: str, candidates: Sequence[int]) -> int | None:
            picked.append(self.random.choice(candidates) if candidates else None)
            return picked[-1]

        kept = run.calls[operation, call].args if call is not None else ()
        fitting = [m for m in moves if self.fits(m, failing, picked)]
        at = moves[0].case if moves else next(c for c in self.spec.cases if (c.operation, c.step) == (operation, step))
        told = f"{operation}{tuple(given)}" + (f" while {', '.join(failing)} fails" if failing else "")
        self.found.transitions += 1
        try:
            got = self.take(run, operation, given, call, failing, choice)
        except NotEnabled as e:
            if fitting := [m for m in moves if self.fits(m, failing, picked)]:
                self.differs(fitting[0].case, told, f"the methods do not offer it: {e}")
            return
        except Exception as e:
            self.differs(at, told, _raised(e))
            return
        fitting = [m for m in moves if self.fits(m, failing, picked)]
        if len(fitting) != 1:
            rows = ", ".join(m.case.id for m in fitting) or "no row"
            self.differs(at, told, f"run, it takes {_shown(got.row, got.outcome)}; interpreted, {rows}")
            return
        self.same(run, fitting[0], got, kept)

    def fits(self, m: Move, failing: set[str], picked: Sequence[int | None]) -> bool:
        """Is it the move in which just these fail and are chosen?"""
        rest = list(picked)
        for p, x in zip(m.case.params, m.values, strict=True):
            if p.role is Role.FAILS and bool(x) != (p.var.name.removesuffix(" fails") in failing):
                return False
            if p.role is Role.CHOSEN and rest:
                want = rest.pop(0)
                if x != (self.interpreter.layout.size(p.var.type) if want is None else want):
                    return False
        return True

    def compare_waiting(self, moves: Sequence[Move]) -> None:
        """A call that has to wait has no move."""
        for m in moves:
            call = next((x for p, x in zip(m.case.params, m.values, strict=True) if p.role is Role.CALL), None)
            if call is not None and self.walker.waits(m.case.operation, call):
                self.differs(m.case, self.name(m.case, m.values), "interpreted, the call goes on; run, it waits")
                return

    # ------------------------------------------------------------------ telling

    def name(self, c: Case, values: Sequence[int]) -> str:
        return str(Trace(self.spec, self.scope, self.state, (Move(c, tuple(values), self.state),)).steps()[0])

    def cell(self, i: int, want: State, have: State) -> str:
        f, key = self.interpreter.layout.cells[i]
        shown = [value_name(f.type, s[i], self.scope) for s in (want, have)]
        return f"{self.interpreter.layout.cell_name(f, key)} is {shown[0]}, run it is {shown[1]}"

    def differs(self, at: Case | Property, call: str, what: str) -> bool:
        trace = Trace(self.spec, self.scope, self.initial, tuple(self.moves))
        self.found.disagreements.append(Disagreement(what, call, at.file, at.line, trace, self.seed))
        return False


def _raised(e: Exception) -> str:
    """An exception of the methods, and where they raised it."""
    t = e.__traceback__
    while t is not None and t.tb_next is not None:
        t = t.tb_next
    at = f" at line {t.tb_lineno}" if t is not None else ""
    if isinstance(e, AttributeError) and e.obj is None:
        return f"run, it looks for {e.name!r} of an object that is none{at}: give the case a row"
    return f"run, it raises {type(e).__name__}: {e}{at}"


def _shown(row: str, outcome: Any) -> str:
    return f"{row} ({outcome.name if outcome is not None else '...'})"
