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
from functools import cached_property

from accelspec.model.evaluate import Interpreter
from accelspec.spec.language.answers import Errno
from accelspec.spec.language.specification import Case, Role
from accelspec.spec.language.terms import Kind, Var

from .calls import Calls, Offer, Request, Way
from .disagreement import Allowed, Disagreement, Doubt, Nature, Refused
from .matching import Candidate, Matcher
from .meetings import Joint, joints
from .naming import Naming
from .reasons import false_guard, no_room
from .recording import Met, Performed
from .targets import Call, Observation, Suspending, Target, TargetError

MOST_CANDIDATES = 512
MOST_DOUBTS = 3  # shown in a report


class LostTrack(Exception):
    """The run goes on where the oracle cannot follow:

    the scope has no room for it, or too many explanations.  Nothing is wrong.
    """


class Oracle:
    """Follows one run after another of a target that offers these operations (None: all), call by call;
    `suspending`: of one that can leave a call standing.

    `candidates` explain what was seen since `begin`; `history` is what was seen, with the rows that explain it; `took`
    are the rows that every explanation of the last call took.
    """

    def __init__(
        self, interpreter: Interpreter, operations: frozenset[str] | None = None, *, suspending: bool = False
    ) -> None:
        self.calls = Calls(interpreter, suspending)
        self.spec = interpreter.spec
        self.layout = interpreter.layout
        self.naming = Naming(interpreter.layout, operations)
        self.matcher = Matcher(self.naming)
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

    @classmethod
    def of(cls, interpreter: Interpreter, target: Target) -> Oracle:
        """The oracle for that target."""
        return cls(interpreter, target.operations, suspending=isinstance(target, Suspending))

    def parameters(self, operation: str) -> tuple[Var, ...]:
        """The arguments of a call of it."""
        return self._arguments[operation]

    @cached_property
    def created_kinds(self) -> tuple[Kind, ...]:
        """The kinds of object that calls create and free."""
        return tuple(k for k in self.spec.kinds if not k.permanent and not k.is_call)

    @cached_property
    def call_kinds(self) -> tuple[Kind, ...]:
        """The kinds of call that can stand between two of their steps."""
        return tuple(k for k in self.spec.kinds if k.is_call)

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

        A call may be made if every candidate offers it and in none of them it can crash, break an assert or, unless the
        target suspends calls, wait for another.
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
        number = candidate.number(call)
        if call.resumed:
            return self._resumption(call, candidate, number)
        if number is not None:
            return f"a call {call} stands already"
        request = self._request(call, candidate)
        if isinstance(request, str):
            return request
        offer = self.calls.offer(candidate.state, request.operation, request.given, request.fails)
        return offer or f"{call} is not offered: a condition of the specification forbids it, or the scope has no room"

    def _request(self, call: Call, candidate: Candidate) -> Request | str:
        """The call in the numbers of one candidate; or which object there is not."""
        given = []
        formal = self._arguments[call.operation]
        if len(formal) != len(call.args):
            return f"{call.operation} takes {len(formal)} arguments"
        for var, name in zip(formal, call.args, strict=True):
            value = self.naming.value(var.type, name, candidate.names)
            if value is None or name == "none":
                return f"there is no {name}"
            given.append(value)
        return Request(call.operation, tuple(given), frozenset(call.fails))

    def _resumption(self, call: Call, candidate: Candidate, number: int | None) -> Offer | str:
        """A call that goes on, in one candidate; or why it cannot."""
        if number is None:
            return f"no such call stands: {call.operation}({', '.join(call.args)})"
        offer = self.calls.offer(candidate.state, call.operation, (number,), frozenset(call.fails), resumed=True)
        return offer or f"{call} is not offered: it waits"

    def refuses_meeting(self, call: Call, other: Call, patient: bool = False) -> str:
        """Why two calls must not be made at once; empty if they may.

        They may if they are of different processes or workers, each may be made before and after the other, and in no
        candidate some way of mixing their steps is unsafe. With `patient` the first may also wait for the other.
        """
        actors = {arg for arg in call.args if self.naming.kind_of(arg) == self.actors}
        if actors.intersection(other.args):
            return "they are calls of one process"
        for candidate in self.candidates:
            waits = patient and self._waits_for(call, other, candidate)
            for pair in () if waits else ((call, other), (other, call)):
                if isinstance(unsafe := self._in_turn(*pair, candidate), str):
                    return unsafe
            if isinstance(mixed := self._joints((call, other), candidate), str):
                return mixed
        return "they are calls of one worker" if call == other else ""

    def _waits_for(self, call: Call, other: Call, candidate: Candidate) -> bool:
        """Does a call come to where it waits, and may the other be made there?"""
        offer = self.offer(call, candidate)
        return not isinstance(offer, str) and any(
            not isinstance(self.offer(other, self.later(candidate, way)), str) for way in offer.ways if not way.ended
        )

    def later(self, candidate: Candidate, way: Way) -> Candidate:
        """What a candidate has become when a call has gone so."""
        return Candidate(way.after, self.matcher.kept(candidate.names, way.freed), candidate.standing)

    def commute(self, call: Call, other: Call) -> bool:
        """Is it all the same which of two calls is made first? Then they are hardly worth racing."""
        forth = self._in_turn(call, other, self.candidates[0])
        back = self._in_turn(other, call, self.candidates[0])
        if isinstance(forth, str) or isinstance(back, str):
            return False
        return {(one.outcome, two.outcome, two.after) for one, two in forth} == {
            (one.outcome, two.outcome, one.after) for two, one in back
        }

    def _in_turn(self, call: Call, other: Call, candidate: Candidate) -> list[tuple[Way, Way]] | str:
        """Every way in which one call goes after the other; or why they must not be made so."""
        offer = self.offer(call, candidate)
        if isinstance(offer, str):
            return offer
        found: list[tuple[Way, Way]] = []
        for way in offer.ways:
            if way.unsafe or way.waits:
                return way.unsafe or "the first waits for another call"
            then = self.offer(other, self.later(candidate, way))
            if isinstance(then, str):
                return then
            if then.unsafe or any(last.waits for last in then.ways):
                return then.unsafe or "the second waits for another call"
            found += ((way, last) for last in then.ways)
        return found

    @cached_property
    def actors(self) -> Kind | None:
        """Who makes calls: the kind `Process` of a machine that has one."""
        return next((k for k in self.spec.kinds if k.name == "Process"), None)

    def _joints(self, calls: tuple[Call, ...], candidate: Candidate) -> tuple[Joint, ...] | str:
        """Every way in which the calls may go; or why they must not be made."""
        if len(calls) == 1:
            offer = self.offer(calls[0], candidate)
            if isinstance(offer, str):
                return offer
            ended = (way for way in offer.ways if way.ended)
            return tuple(Joint.alone(way) for way in (*ended, *offer.stops))
        requests = [self._request(call, candidate) for call in calls]
        if absent := next((request for request in requests if isinstance(request, str)), None):
            return absent
        return joints(self.calls, candidate.state, tuple(r for r in requests if not isinstance(r, str)))

    def step(self, call: Call, seen: Observation, met: Met | None = None) -> Performed | Disagreement:
        """One call and what was seen of it; or two that met.

        Raises LostTrack if what was seen may well be right but cannot be followed, and TargetError if the target names
        what does not exist. An alarm that begins with the id of a property which the revision is known to violate is
        none. After a disagreement the candidates are those before the call.
        """
        what = Performed(call, seen, met=met)
        found: dict[Candidate, Joint] = {}
        certain: frozenset[str] | None = None
        for candidate in self.candidates:
            ways = self._joints(what.calls, candidate)
            for joint in () if isinstance(ways, str) else ways:
                for after in self.matcher.explained(joint, what.calls, what.seen, candidate):
                    found.setdefault(after, joint)
                    certain = joint.rows if certain is None else certain & joint.rows
        if not found:
            if kind := next((k for call in what.calls for c in self.candidates for k in self._no_room(call, c)), None):
                raise LostTrack(f"the scope has no room for one more {kind}")
            return self._disagreement(what)
        if len(found) > MOST_CANDIDATES:
            raise LostTrack(f"more than {MOST_CANDIDATES} states explain what was seen")
        alarms = (alarm for one in what.seen for alarm in one.alarms)
        if alarm := next((a for a in alarms if a.partition(":")[0] not in self.spec.known), None):
            return self._alarm(what, alarm)
        self.candidates, self.took = tuple(found), certain or frozenset()
        rows = {tuple(way.case.id for way in joint.ways): joint for joint in found.values()}
        sources = {" and ".join(str(way.case.source) for way in joint.ways) for joint in rows.values()}
        source = sources.pop() if len(sources) == 1 else ""
        done = Performed(call, seen, " or ".join(" and ".join(ids) for ids in rows), source, met)
        self.history.append(done)
        return done

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

    def _alarm(self, last: Performed, alarm: str) -> Disagreement:
        calls = " and ".join(map(str, last.calls))
        return Disagreement(
            self.spec.name,
            Nature.ALARM,
            f"{' with '.join(c.operation for c in last.calls)} !! {re.sub(r' [(][^)]*[)]', '', numberless(alarm))}",
            f"the target reports that something is wrong in {calls}: {alarm}",
            tuple(self.history),
            last,
        )

    def _no_room(self, call: Call, candidate: Candidate) -> Iterator[str]:
        """The kinds whose exhausted scope may be why the call is not explained."""
        for case in self._cases.get(call.operation, ()):
            kind = no_room(case, self.layout, candidate.state)
            if kind and not false_guard(case, self.layout, candidate.state, self._values(case, call, candidate)):
                yield kind.name

    def _disagreement(self, last: Performed) -> Disagreement:
        doubts = [self._doubt(last, candidate) for candidate in self.candidates]
        rows = dict.fromkeys(a.row for doubt in doubts for a in doubt.allowed)
        whys = [a.why for doubt in doubts for a in doubt.allowed if a.why]
        calls, results = " and ".join(map(str, last.calls)), " and ".join(one.result for one in last.seen)
        left = " with ".join(c.operation for c in last.calls) if last.met else " or ".join(rows) or last.call.operation
        return Disagreement(
            self.spec.name,
            Nature.ANSWER,
            f"{left} -> {results}" + (f" ({numberless(whys[0])})" if whys else ""),
            f"{calls} answered {results}, " + (f"but {whys[0]}" if whys else "which nothing explains"),
            tuple(self.history),
            last,
            tuple({(d.allowed, d.refused): d for d in reversed(doubts)}.values())[::-1][:MOST_DOUBTS],
        )

    def _doubt(self, last: Performed, candidate: Candidate) -> Doubt:
        ways = self._joints(last.calls, candidate)
        allowed: dict[tuple[str, str], Allowed] = {}
        for joint in () if isinstance(ways, str) else ways:
            a = self._allowed(joint, last, candidate)
            if a.why or (a.outcome, a.row) not in allowed:
                allowed[a.outcome, a.row] = a
        refused: dict[tuple[str, str], Refused] = {}
        for case in () if last.met else self._cases[last.call.operation]:
            result = last.observation.result
            if case.outcome and case.outcome.name == result and case.id not in {a.row for a in allowed.values()}:
                false = false_guard(case, self.layout, candidate.state, self._values(case, last.call, candidate))
                if false:
                    r = Refused(result, case.id, false, str(case.source), case.file, case.line)
                    refused.setdefault((r.row, r.false), r)
        return Doubt(self.naming.shown(candidate.state), tuple(allowed.values()), tuple(refused.values()))

    def _allowed(self, joint: Joint, last: Performed, candidate: Candidate) -> Allowed:
        outcomes = []
        for way, call in zip(joint.ways, last.calls, strict=True):
            name = way.result
            if way.ended and way.outcome is Errno.CALLBACK:
                name = call.fails.get(way.last_failure or "", "any errno")
            outcomes.append(name)
        cases = [way.case for way in joint.ways]
        return Allowed(
            " and ".join(outcomes),
            " and ".join(case.id for case in cases),
            " and ".join(case.shown for case in cases),
            " and ".join(str(case.source) for case in cases),
            cases[0].file,
            cases[0].line,
            self.matcher.why_not(joint, last.calls, last.seen, candidate),
        )

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


def numberless(text: str) -> str:
    """A text without the numbers that differ from run to run, for a signature; ids of properties keep theirs."""
    return re.sub(r"(\b\w+\.[A-Z]\d\d\b)|\b0x[0-9a-fA-F]+|\d+", lambda m: m[1] or "#", text)
