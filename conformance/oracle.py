# SPDX-License-Identifier: Apache-2.0
"""The oracle: the set of states of a specification that still explain what was seen of a target.

What the environment chooses and nobody saw is decided in the target's favour: a call is explained if some choice
explains it, and every such choice is kept.  A disagreement is found when the set becomes empty, so a report of one is
never the oracle's bad guess.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from accelspec.model.evaluate import Interpreter
from accelspec.model.trace import State
from accelspec.spec.language.answers import Errno
from accelspec.spec.language.specification import Case, Role
from accelspec.spec.language.terms import Kind, Var

from .calls import Calls, Offer, Way
from .disagreement import Allowed, Disagreement, Doubt, Nature, Refused
from .naming import Names, Naming, bind
from .reasons import false_guard, no_room
from .recording import Performed
from .targets import Call, Observation, TargetError

MOST_CANDIDATES = 512
MOST_DOUBTS = 3  # shown in a report


@dataclass(frozen=True)
class Candidate:
    """One explanation of everything so far: a state, and what the target's names stand for in it."""

    state: State
    names: Names = ()


class LostTrack(Exception):
    """The run goes on where the oracle cannot follow:

    the scope has no room for it, or too many explanations.  Nothing is wrong.
    """


class Oracle:
    """Follows one run after another of a target that offers these operations (None: all), call by call.

    `candidates` explain what was seen since `begin`; `history` is what was seen, with the rows that explain it; `took`
    are the rows that every explanation of the last call took.
    """

    def __init__(self, interpreter: Interpreter, operations: frozenset[str] | None = None) -> None:
        self.calls = Calls(interpreter)
        self.spec = interpreter.spec
        self.layout = interpreter.layout
        self.naming = Naming(interpreter.layout, operations)
        self.candidates: tuple[Candidate, ...] = ()
        self.history: list[Performed] = []
        self.took: frozenset[str] = frozenset()
        self._cases: dict[str, list[Case]] = {}
        for case in self.spec.cases:
            self._cases.setdefault(case.operation, []).append(case)
        self._arguments = {
            operation: tuple(p.var for p in next(c for c in cases if not c.step).given())
            for operation, cases in self._cases.items()
        }

    def parameters(self, operation: str) -> tuple[Var, ...]:
        """The arguments of a call of it."""
        return self._arguments[operation]

    @cached_property
    def created_kinds(self) -> tuple[Kind, ...]:
        """The kinds of object that calls create and free."""
        return tuple(k for k in self.spec.kinds if not k.permanent and not k.is_call)

    @cached_property
    def holders(self) -> tuple[tuple[int, Kind], ...]:
        """The cells in which an object that is always there may refer to one that is not."""
        return tuple(
            (i, f.type)
            for i, (f, _) in enumerate(self.layout.cells)
            if f.kind.permanent and isinstance(f.type, Kind) and not f.type.permanent and not f.ghost and not f.raw
        )

    # ------------------------------------------------------------------ a run

    def begin(self, cells: Mapping[str, str]) -> None:
        """A fresh system whose initial cells are these.  Raises TargetError for cells that no initial state has."""
        choices: list[tuple[int, list[int]]] = []
        named = self.naming.open_cells
        for cell, value in cells.items():
            if cell not in named:
                raise TargetError(
                    f"{self.spec.name} has no initial cell {cell!r} to choose; it has {', '.join(named) or 'none'}"
                )
            if value not in named[cell][1]:
                raise TargetError(f"{cell} cannot be {value!r} at the start; it can be {', '.join(named[cell][1])}")
        for cell, (at, values) in named.items():
            wanted = [cells[cell]] if cell in cells else list(values)
            numbers = self.naming.values(self.layout.cells[at][0].type)
            choices.append((at, [numbers[v] for v in wanted]))
        blank = list(self.layout.blanks)
        found = []
        for picked in itertools.islice(itertools.product(*(v for _, v in choices)), MOST_CANDIDATES + 1):
            for (at, _), number in zip(choices, picked, strict=True):
                blank[at] = number
            found.append(Candidate(tuple(blank)))
        if len(found) > MOST_CANDIDATES:
            raise TargetError(
                f"the target names too few of its initial cells: more than {MOST_CANDIDATES} states are possible"
            )
        self.candidates, self.history = tuple(found), []

    def refuses(self, call: Call) -> str:
        """Why a call must not be made now; empty if it may.

        A call may be made if every candidate offers it and in none of them it can crash, break an assert or wait for
        ever.
        """
        if call.operation not in self._cases:
            return f"{self.spec.name} has no operation {call.operation!r}"
        for candidate in self.candidates:
            offer = self.offer(call, candidate)
            if isinstance(offer, str):
                return offer
            if offer.unsafe:
                return offer.unsafe
        return ""

    def offer(self, call: Call, candidate: Candidate) -> Offer | str:
        """The call in one candidate; or why it is not offered there."""
        given = []
        formal = self._arguments[call.operation]
        if len(formal) != len(call.args):
            return f"{call.operation} takes {len(formal)} arguments"
        for var, name in zip(formal, call.args, strict=True):
            value = self.naming.value(var.type, name, candidate.names)
            if value is None or name == "none":
                return f"there is no {name}"
            given.append(value)
        offer = self.calls.offer(candidate.state, call.operation, tuple(given), frozenset(call.fails))
        return offer or f"{call} is not offered: a condition of the specification forbids it, or the scope has no room"

    def step(self, call: Call, seen: Observation) -> Performed | Disagreement:
        """One call and what was seen of it.

        Raises LostTrack if what was seen may well be right but cannot be followed, and TargetError if the target names
        what does not exist.  After a disagreement the candidates are those before the call.
        """
        performed, disagreement = self._step(call, seen)
        if disagreement is None:
            self.history.append(performed)
            if alarm := next((a for a in seen.alarms if a.partition(":")[0] not in self.spec.known), None):
                return self._alarm(call, seen, alarm)
            return performed
        return disagreement

    def _step(self, call: Call, seen: Observation) -> tuple[Performed, Disagreement | None]:
        found: dict[Candidate, Way] = {}
        certain: frozenset[str] | None = None
        for candidate in self.candidates:
            offer = self.offer(call, candidate)
            if not isinstance(offer, str):
                for way in offer.ways:
                    for after in self._explained(way, call, seen, candidate.names) if way.ended else ():
                        found.setdefault(after, way)
                        certain = way.row_set if certain is None else certain & way.row_set
        if not found:
            if kind := next((k for c in self.candidates for k in self._no_room(call, c)), None):
                raise LostTrack(f"the scope has no room for one more {kind}")
            return Performed(call, seen), self._disagreement(call, seen)
        if len(found) > MOST_CANDIDATES:
            raise LostTrack(f"more than {MOST_CANDIDATES} states explain what was seen")
        self.candidates, self.took = tuple(found), certain or frozenset()
        ways = list(found.values())
        same = all(way.rows == ways[0].rows for way in ways)
        case = ways[0].case
        return Performed(
            call, seen, ", ".join(dict.fromkeys(w.case.id for w in ways)), str(case.source) if same else ""
        ), None

    # ------------------------------------------------------------------ one way against what was seen

    def _explained(self, way: Way, call: Call, seen: Observation, names: Names) -> Iterator[Candidate]:
        """The candidates in which this way gives what was seen; none: it does not."""
        if not answers(way, call, seen.result) or not self._chose(way, seen, names):
            return
        for bound in self._after(way, seen, names):
            yield Candidate(way.after, bound)

    def _chose(self, way: Way, seen: Observation, names: Names) -> bool:
        for p, v in way.params(Role.CHOSEN) if seen.chosen else ():
            name = seen.chosen.get(p.var.name.split("#")[0])
            if name is not None and self.naming.value(p.var.type, name, names) not in (v, None):
                return False
        return True

    def _after(self, way: Way, seen: Observation, names: Names) -> Iterator[Names]:
        """Every way to give the created objects the names that the target gives them, with the observed cells as they
        are.
        """
        kept = tuple((n, i) for n, i in names if ((self.naming.kind_of(n), i)) not in way.freed) if way.freed else names
        if not seen.created and not seen.state:
            if not any(kind in self.naming.called for kind, _ in way.created):
                yield kept
            return
        for named in self._created(way, seen.created, kept):
            if (bound := self._cells(way.after, seen.state, named)) is not None:
                yield bound

    def _created(self, way: Way, created: tuple[str, ...], names: Names) -> Iterator[Names]:
        """Every way to give the names to the new objects."""
        by_kind: dict[str, list[str]] = {}
        for name in created:
            kind = self.naming.kind_of(name)
            if kind is None or kind.permanent:
                raise TargetError(f"the target created {name!r}, which is no object that {self.spec.name} creates")
            by_kind.setdefault(kind.name, []).append(name)
        slots: dict[str, list[int]] = {}
        for kind, index in way.created:
            if kind in self.naming.called or kind.name in by_kind:
                slots.setdefault(kind.name, []).append(index)
        if {k: len(v) for k, v in slots.items()} != {k: len(v) for k, v in by_kind.items()}:
            return
        kinds = sorted(slots)
        for orders in itertools.product(*(itertools.permutations(slots[k]) for k in kinds)):
            bound = names
            for k, order in zip(kinds, orders, strict=True):
                for name, index in zip(by_kind[k], order, strict=True):
                    bound = bind(tuple(b for b in bound if b[0] != name), name, index)
            yield bound

    def _cells(self, state: State, cells: Mapping[str, str], names: Names) -> Names | None:
        """The names, with those that the observed cells add; None if a cell is not as observed."""
        waiting = [(self.naming.cell(text), value) for text, value in cells.items()]
        while waiting:
            later = []
            for cell, value in waiting:
                at = self.naming.at(cell, names)
                if at is None:
                    later.append((cell, value))
                    continue
                t = cell.field.type
                is_value = self.naming.value(t, value, names)
                if is_value is None:
                    if self.naming.kind_of(value) != t or self.naming.name(t, state[at], names) is not None:
                        return None
                    names = bind(names, value, state[at])
                elif is_value != state[at]:
                    return None
            if len(later) == len(waiting):
                raise TargetError(f"the target observed {later[0][0].text!r} of an object that it has not named before")
            waiting = later
        return names

    # ------------------------------------------------------------------ after a run

    def leftovers(self, counts: Mapping[str, int]) -> Disagreement | None:
        """What the target says still exists, against what does in the candidates;

        a kind that is not the specification's has none.
        """
        kinds = {k.name: k for k in self.spec.kinds if not k.permanent}
        wrong: dict[str, str] = {}
        for candidate in self.candidates:
            wrong = {}
            for name, count in counts.items():
                if name.partition(" ")[0] in self.spec.known:
                    continue
                expected = self.naming.living(candidate.state, kinds[name]) if name in kinds else 0
                if count != expected:
                    wrong[name] = f"{count} of {name} exist, not {expected}"
            if not wrong:
                return None
        return Disagreement(
            self.spec.name,
            Nature.LEFTOVER,
            f"leftover {', '.join(sorted(wrong))}",
            f"after everything was given back, {'; '.join(wrong.values())}",
            tuple(self.history),
        )

    # ------------------------------------------------------------------ reports

    def _alarm(self, call: Call, seen: Observation, alarm: str) -> Disagreement:
        self.history.pop()
        return Disagreement(
            self.spec.name,
            Nature.ALARM,
            f"{call.operation} !! {numberless(alarm)}",
            f"the target reports that something is wrong in {call}: {alarm}",
            tuple(self.history),
            call,
            seen,
        )

    def _no_room(self, call: Call, candidate: Candidate) -> Iterator[str]:
        """The kinds whose exhausted scope may be why the call is not explained."""
        for case in self._cases.get(call.operation, ()):
            kind = no_room(case, self.layout, candidate.state)
            if kind and not false_guard(case, self.layout, candidate.state, self._values(case, call, candidate)):
                yield kind.name

    def _disagreement(self, call: Call, seen: Observation) -> Disagreement:
        doubts = [self._doubt(call, seen, candidate) for candidate in self.candidates]
        rows = dict.fromkeys(a.row for doubt in doubts for a in doubt.allowed)
        whys = dict.fromkeys(a.why for doubt in doubts for a in doubt.allowed if a.outcome == seen.result)
        summary = f"{call} answered {seen.result}, which nothing explains"
        detail = ""
        if whys:
            summary = f"{call} answered {seen.result}, but {next(iter(whys))}"
            detail = f" ({numberless(next(iter(whys)))})"
        return Disagreement(
            self.spec.name,
            Nature.ANSWER,
            f"{' or '.join(rows) or call.operation} -> {seen.result}{detail}",
            summary,
            tuple(self.history),
            call,
            seen,
            tuple({(d.allowed, d.refused): d for d in reversed(doubts)}.values())[::-1][:MOST_DOUBTS],
        )

    def _doubt(self, call: Call, seen: Observation, candidate: Candidate) -> Doubt:
        offer = self.offer(call, candidate)
        ways = () if isinstance(offer, str) else offer.ways
        allowed: dict[tuple[str, str], Allowed] = {}
        for way in ways:
            a = self._allowed(way, call, seen, candidate)
            allowed.setdefault((a.outcome, a.row), a)
        refused: dict[tuple[str, str], Refused] = {}
        for case in self._cases[call.operation]:
            if case.outcome and case.outcome.name == seen.result and case.id not in {a.row for a in allowed.values()}:
                false = false_guard(case, self.layout, candidate.state, self._values(case, call, candidate))
                if false:
                    r = Refused(seen.result, case.id, false, str(case.source), case.file, case.line)
                    refused.setdefault((r.row, r.false), r)
        state = self.naming.shown(candidate.state)
        return Doubt(state, tuple(allowed.values()), tuple(refused.values()))

    def _allowed(self, way: Way, call: Call, seen: Observation, candidate: Candidate) -> Allowed:
        case = way.case
        outcome = case.outcome.name if case.outcome else "..."
        if case.outcome is Errno.CALLBACK:
            outcome = call.fails.get(way.last_failure or "", "any errno")
        why = self._why(way, call, seen, candidate)
        return Allowed(outcome, case.id, case.shown, str(case.source), case.file, case.line, why)

    def _why(self, way: Way, call: Call, seen: Observation, candidate: Candidate) -> str:
        """Why this way is not what was seen, if its answer is."""
        if not answers(way, call, seen.result):
            return ""
        if not self._chose(way, seen, candidate.names):
            return "it chose otherwise"
        made = [k.name for k, _ in way.created if k in self.naming.called]
        if len(made) != len(seen.created):
            named = ", ".join(seen.created) or "nothing"
            return f"it creates {', '.join(made) or 'nothing'}, and the target named {named}"
        for names in self._created(way, seen.created, candidate.names):
            waiting = dict(seen.state)
            while waiting:
                later = {}
                for text, value in waiting.items():
                    cell = self.naming.cell(text)
                    if (at := self.naming.at(cell, names)) is None:
                        later[text] = value
                    elif (more := self._cells(way.after, {text: value}, names)) is not None:
                        names = more
                    else:
                        is_now = self.naming.name(cell.field.type, way.after[at], names) or "another object"
                        return f"{text} is then {is_now}, not {value}"
                waiting = later
        return ""

    def _values(self, case: Case, call: Call, candidate: Candidate) -> dict[Var, int]:
        """The parameters of a case that the call fixes."""
        values: dict[Var, int] = {}
        args = dict(zip((v.name for v in self._arguments[call.operation]), call.args, strict=False))
        for p in case.params:
            if p.role is Role.FAILS:
                values[p.var] = int(p.var.name.removesuffix(" fails") in call.fails)
            elif p.role is Role.GIVEN and p.var.name in args:
                value = self.naming.value(p.var.type, args[p.var.name], candidate.names)
                if value is not None:
                    values[p.var] = value
        return values


def answers(way: Way, call: Call, result: str) -> bool:
    """Does this way answer so?  A row with the outcome CALLBACK hands on the errno that was injected, or, where nothing
    was, any.
    """
    outcome = way.outcome
    if outcome is not Errno.CALLBACK:
        return outcome.name == result
    injected = way.last_failure
    if injected is None:
        return result not in ("OK", "OOPS", "HANG")
    return call.fails.get(injected) == result


def numberless(text: str) -> str:
    """A text without the numbers that differ from run to run, for a signature; ids of properties keep theirs."""
    return re.sub(r"(\b\w+\.[A-Z]\d\d\b)|\b0x[0-9a-fA-F]+|\d+", lambda m: m[1] or "#", text)
