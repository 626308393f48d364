# SPDX-License-Identifier: Apache-2.0
"""One step, both ways: as the interpreter takes it from the compiled form, and as the methods themselves take it."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from accelspec.spec.language import Errno, Machine, Specification
from accelspec.spec.language.native import Choice, NativeMove, NativeRun, in_order
from accelspec.spec.language.specification import Case, Form, Param, Property, Role
from accelspec.spec.language.terms import Field, Kind, Read, Type, walk
from accelspec.spec.language.world import NotEnabled

from .evaluate import Interpreter
from .trace import Move, State, Trace, value_name


@dataclass(frozen=True)
class Difference:
    """What the two readings of one step do not agree on."""

    call: str  # "open(process0, fd1) while allocation fails"
    what: str
    file: str
    line: int


class BothWays:
    """The interpreter of a specification beside native runs of its methods.

    A native run must stand in the state that is given; what it is after a difference does not matter any more.
    """

    def __init__(self, machine: type[Machine], spec: Specification, scope: Mapping[str, int] | None) -> None:
        self.machine, self.spec = machine, spec
        self.interpreter = Interpreter(spec, scope)
        self.scope = self.interpreter.scope
        self.seen: set[State] = set()  # states in which the properties were compared
        cells = enumerate(self.interpreter.layout.cells)
        self._plain = [i for i, (f, _) in cells if not f.kind.is_call or f.is_live]
        forms = (Form.ALWAYS, Form.SOMETIMES, Form.EVENTUALLY)
        stated = [p for p in spec.properties if not p.implied and p.form in forms]
        self._single = [p for p in stated if not p.over_step]
        self._double = [p for p in stated if p.over_step]
        self._read: dict[tuple[str, str], set[Field]] = {}  # by the step of an operation that begins there
        for c in spec.cases:
            terms = [c.guard, *(p.where for p in c.params), *(k.term for k in c.checks)]
            terms += [t for a in c.effects for t in (a.value, a.when, *a.args)]
            reads = {t.field for term in terms for t in walk(term) if isinstance(t, Read)}
            self._read.setdefault((c.operation, c.step), set()).update(reads)
        self._after = [p for p in spec.properties if p.form is Form.AFTER]

    def native(self) -> NativeRun:
        """A native run in the same scope."""
        return NativeRun(self.machine, self.spec, self.scope)

    # ------------------------------------------------------------------ from a move to the run

    def compare(self, run: NativeRun, state: State, m: Move) -> Difference | None:
        """Does the run do what the interpreter did?"""
        values = list(zip(m.case.params, m.values, strict=True))
        failing = {failure(p) for p, x in values if p.role is Role.FAILS and x}
        chosen = [None if x == self.none(p) else x for p, x in values if p.role is Role.CHOSEN]
        given = [x for p, x in values if p.role is Role.GIVEN]
        call = called(m)
        try:
            kept = run.calls[m.case.operation, call].args if call is not None else ()
            got = self.take(run, m.case.operation, given, call, failing, in_order(chosen))
        except NotEnabled as e:
            return self.differs(m.case, self.told(m), f"the methods do not offer it: {e}")
        except Exception as e:  # whatever the methods do wrong is the finding
            return self.differs(m.case, self.told(m), raised(e))
        return self.same(run, state, m, got, kept)

    def take(
        self,
        run: NativeRun,
        operation: str,
        given: Sequence[int],
        call: int | None,
        failing: Collection[str],
        choice: Choice,
    ) -> NativeMove:
        """Begin a call, or take the next step of one in flight."""
        if call is None:
            return run.begin(operation, given, failing, choice)
        return run.resume(operation, call, failing, choice)

    # ------------------------------------------------------------------ from a call to the moves

    def explain(
        self, run: NativeRun, state: State, operation: str, given: Sequence[int], call: int | None, dice: random.Random
    ) -> Difference | None:
        """Take a step natively, with random failures and choices: one move of the interpreter must do the same."""
        pause = run.calls[operation, call].pause if call is not None else None
        step = pause.label if pause is not None else ""
        moves = self.interpreter.moves_of(state, operation, given, step)
        names = sorted({failure(p) for m in moves for p in m.case.params if p.role is Role.FAILS})
        failing = [n for n in names if dice.random() < 0.3]
        picked: list[int | None] = []

        def choice(kind: str, candidates: Sequence[int]) -> int | None:
            picked.append(dice.choice(candidates) if candidates else None)
            return picked[-1]

        def fitting() -> list[Move]:
            return [m for m in moves if self.fits(m, failing, picked)]

        at = moves[0].case if moves else next(c for c in self.spec.cases if (c.operation, c.step) == (operation, step))
        told = f"{operation}{tuple(given)}" + (f" while {', '.join(failing)} fails" if failing else "")
        kept = run.calls[operation, call].args if call is not None else ()
        try:
            got = self.take(run, operation, given, call, failing, choice)
        except NotEnabled as e:
            offered = fitting()
            return self.differs(offered[0].case, told, f"the methods do not offer it: {e}") if offered else None
        except Exception as e:
            return self.differs(at, told, raised(e))
        found = fitting()
        if len(found) == 1:
            return self.same(run, state, found[0], got, kept)
        if not found and got.failed and self.exhausted(state, operation, step):
            return None
        rows = ", ".join(m.case.id for m in found) or "no row"
        return self.differs(at, told, f"run, it takes {shown(got)}; interpreted, {rows}")

    def fits(self, m: Move, failing: Collection[str], picked: Sequence[int | None]) -> bool:
        """Is it the move in which just these fail and are chosen?"""
        rest = list(picked)
        for p, x in zip(m.case.params, m.values, strict=True):
            if p.role is Role.FAILS and bool(x) != (failure(p) in failing):
                return False
            if p.role is Role.CHOSEN and rest:
                want = rest.pop(0)
                if x != (self.none(p) if want is None else want):
                    return False
        return True

    def exhausted(self, state: State, operation: str, step: str) -> bool:
        """May a row be missing because the scope has no further object for it, so that its asserts are not met?"""
        cases = [c for c in self.spec.cases if (c.operation, c.step) == (operation, step)]
        return any(not self.free(state, p.var.type) for c in cases for p in c.params if p.role is Role.NEW)

    def free(self, state: State, k: Type) -> bool:
        """Is there an object of the kind that does not exist yet?"""
        assert isinstance(k, Kind)
        live = self.interpreter.layout.live(k)
        return live is not None and any(not self.interpreter.value(state, live, i) for i in range(self.scope[k.name]))

    def waiting(self, run: NativeRun, moves: Sequence[Move]) -> Difference | None:
        """A call that has to wait has no move."""
        for m in moves:
            call = called(m)
            if call is not None and run.waits(m.case.operation, call):
                return self.differs(m.case, self.told(m), "interpreted, the call goes on; run, it waits")
        return None

    # ------------------------------------------------------------------ comparing

    def same(self, run: NativeRun, state: State, m: Move, got: NativeMove, kept: Sequence[Any]) -> Difference | None:
        """Compare what the step answered, and what it left behind."""
        c = m.case
        if got.failed or m.failed:
            if got.failed in m.failed or (m.failed and self.fails(state, m, got.failed)):
                return None
            what = f"interpreted, {m.failed or 'nothing'} fails; run, {got.failed or 'nothing'} does"
            return self.differs(c, self.told(m), what)
        if (got.row, got.outcome) != (c.row, c.outcome):
            what = f"interpreted, it takes {row(c.row, c.outcome)}; run, {shown(got)}"
            return self.differs(c, self.told(m), what)
        if got.source is not None and (got.source.mark, got.source.place) != (c.source.mark, c.source.place):
            return self.differs(c, self.told(m), f"the row cites {c.source}, run it cites {got.source}")
        if c.crashes:
            return None
        saved = run.save()
        if wrong := [i for i in self._plain if saved[i] != m.after[i]]:
            what = "after it, " + "; ".join(self.cell(i, m.after, saved) for i in wrong)
            return self.differs(c, self.told(m), what)
        return self.same_call(run, m) or self.same_properties(run, state, m, kept)

    def fails(self, state: State, m: Move, id: str) -> bool:
        """Is a check of this id false?  (Of several that fail in a loop, either reading may meet another one first.)"""
        terms = [k.term for k in m.case.checks if k.property == id]
        params = tuple(p.var for p in m.case.params)
        return any(not self.interpreter.function(t, params)(state, state, *m.values) for t in terms)

    def same_call(self, run: NativeRun, m: Move) -> Difference | None:
        """What a call in flight remembers is what the compiled form says of it."""
        if m.case.outcome is not None:
            return None
        operation, kind = m.case.operation, self.spec.kind(f"{m.case.operation}()")
        index = next(x for p, x in zip(m.case.params, m.values, strict=True) if p.var.type == kind)
        names = run.calls[operation, index].names()
        for f in self.remembered(operation, m.case):
            if f.short in names:
                want, have = self.interpreter.value(m.after, f, index), self.encoded(run, f.type, names[f.short])
                if want != have:
                    told = [value_name(f.type, x, self.scope) for x in (want, have)]
                    return self.differs(m.case, self.told(m), f"{f.short} is remembered as {told[0]}, run as {told[1]}")
        return None

    def remembered(self, operation: str, c: Case) -> set[Field]:
        """What a call must know where this case leaves it: all that its next step reads.

        Where several steps have one label, what the case itself writes down.
        """
        written = {a.field for a in c.effects}
        if [x.partition(", holding")[0] for x in self.spec.steps[operation]].count(c.row) == 1:
            written = self._read[operation, c.row]
        return {f for f in written if f.kind.is_call and f.short not in ("live", "at")}

    def encoded(self, run: NativeRun, t: Type, value: Any) -> int:
        """What a name in a method stands for, as it lies in a cell."""
        if isinstance(t, Kind):
            return self.scope[t.name] if value is None else run.encoded(type(value), value)
        return run.encoded(t, value)

    def same_properties(self, run: NativeRun, state: State, m: Move, kept: Sequence[Any]) -> Difference | None:
        """Every property has the same value: of the state, if it is a new one; of the step; of the call that ended."""
        for p, arguments in self.properties(run, m, kept):
            try:
                got: object = run.holds(p.name, arguments)
            except Exception as e:
                got = raised(e)
            want = self.interpreter.holds(p, state, m.after, m)
            if got is not want:
                return self.differs(p, self.told(m), f"after it, {p.id} ({p.name}) is {want}; run, {got}")
        return None

    def properties(self, run: NativeRun, m: Move, kept: Sequence[Any]) -> Iterator[tuple[Property, dict[str, Any]]]:
        """What to compare after a step, and what each property is told."""
        yield from ((p, {}) for p in self._double)
        if m.after not in self.seen:
            self.seen.add(m.after)
            yield from ((p, {}) for p in self._single)
        if m.case.outcome is not None:
            types = run.parameters(m.case.operation)
            values = [x for p, x in zip(m.case.params, m.values, strict=True) if p.role is Role.GIVEN]
            given = kept or [run.decoded(t, x) for t, x in zip(types.values(), values, strict=True)]
            arguments = {**dict(zip(types, given, strict=True)), "result": m.case.outcome}
            yield from ((p, arguments) for p in self._after if p.operation == m.case.operation)

    # ------------------------------------------------------------------ telling

    def none(self, p: Param) -> int:
        """How `none` lies in a cell of this type."""
        return self.interpreter.layout.size(p.var.type)

    def told(self, m: Move) -> str:
        """The call, as traces show it."""
        return str(Trace(self.spec, self.scope, (), (m,)).steps()[0])

    def cell(self, i: int, want: State, have: State) -> str:
        """A cell whose values differ."""
        f, key = self.interpreter.layout.cells[i]
        told = [value_name(f.type, s[i], self.scope) for s in (want, have)]
        return f"{self.interpreter.layout.cell_name(f, key)} is {told[0]}, run it is {told[1]}"

    def differs(self, at: Case | Property, call: str, what: str) -> Difference:
        """A difference at a row or a property."""
        return Difference(call, what, at.file, at.line)


def called(m: Move) -> int | None:
    """The call in flight that goes on with this move."""
    return next((x for p, x in zip(m.case.params, m.values, strict=True) if p.role is Role.CALL), None)


def failure(p: Param) -> str:
    """What fails where this parameter is true."""
    return p.var.name.removesuffix(" fails")


def raised(e: Exception) -> str:
    """An exception of the methods, and where they raised it."""
    t = e.__traceback__
    while t is not None and t.tb_next is not None:
        t = t.tb_next
    at = f" at line {t.tb_lineno}" if t is not None else ""
    if isinstance(e, AttributeError) and e.obj is None:
        return f"run, it looks for {e.name!r} of an object that is none{at}: give the case a row"
    return f"run, it raises {type(e).__name__}: {e}{at}"


def shown(m: NativeMove) -> str:
    """What a native step did, in short."""
    return f"no row, for {m.failed} fails" if m.failed else row(m.row, m.outcome)


def row(name: str, outcome: Errno | None) -> str:
    """`busy (EBUSY)`; of a step that goes on, `got_queue (...)`."""
    return f"{name} ({outcome.name if outcome is not None else '...'})"
