# SPDX-License-Identifier: Apache-2.0
"""Which call to make next: one that the specification offers, seldom taken rows first, and mostly one that succeeds.

A walk that draws blindly spends its life on errors: nearly every call is wrong in nearly every state. So a few
operations are drawn by how seldom their rows were taken; for each a row of those that the state offers, in the same
way, and a call that takes it; and of these calls the one that is wanted most: for its row, and for leading to a state
that is new. While fewer than `SUCCEEDING` of all steps have succeeded, calls that fail are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from random import Random
from typing import NamedTuple

from accelspec.spec.language.answers import Errno
from accelspec.spec.language.specification import Case, Param, Role

from .calls import Offer, failure
from .matching import Candidate
from .reasons import conjuncts
from .session import Session
from .targets import Call

SUCCEEDING = 0.6
RACED = 0.8  # of the calls that are drawn for a meeting, how many are to succeed
COMMUTING = 0.03  # of the meetings that are all the same in either order, how many are made
TRIES = 6  # operations looked at for one call
INJECTED = ("EIO", "ETIMEDOUT", "ENOSPC", "EACCES", "EINTR", "ENOMEM")  # what an injected failure answers
ANY_TWO = 0.5  # of the meetings on a target with finer steps, how many may be of calls of one step
MOST_TURN = 12  # steps of a target that the first turn may have
TO_THE_END = 1000
WAITING = 0.3  # of the meetings on a target whose calls may wait, how many are of a call that waits and what ends that
OTHER_FIRST = 0.3  # of the meetings, how many begin with the call that may be of one step
INTERRUPTED = 0.3  # of the meetings, how many have more than one interruption
CHOICE = 4  # calls of different operations, of which one is made
ROWS = 4.0  # what a row that was never taken is worth beside a state that was never seen
SAME = 0.02  # what a call is worth that changes nothing
IDLE = 10  # calls in a row that change nothing, after which a run has come to its end
REFRESH = 64  # steps between two looks at the counts


class Drawn(NamedTuple):
    """A call that may be made, how much it is wanted, and whether it changes the state."""

    call: Call
    score: float
    changes: bool


@dataclass
class Steering:
    """Draws calls for a session, by the counts of its coverage; rows in `avoid` are no longer taken."""

    session: Session
    avoid: set[str] = field(default_factory=set)
    _operations: list[str] = field(default_factory=list)
    _weights: list[float] = field(default_factory=list)
    _fresh: int = 0
    _run: int = 0  # which one it was when a call was last drawn
    _idle: int = 0  # calls of it, without a break, that change nothing
    _rows: dict[str, list[str]] = field(default_factory=dict)
    _errnos: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _visits: Counter[int] = field(default_factory=Counter)  # by hash, states that drawn calls would lead to
    _drawn: Counter[tuple[str, tuple[int, ...]]] = field(default_factory=Counter)  # by row and words
    _unsafe: dict[str, str] = field(default_factory=dict)  # row -> why calls that may take it were not made

    def __post_init__(self) -> None:
        self._operations = list(self.session.operations)
        for row, cases in self.session.oracle.spec.rows().items():
            if not all(case.crashes for case in cases):
                self._rows.setdefault(cases[0].operation, []).append(row)
        for operation in self._operations:
            told = {c.outcome.name for c in self.session.oracle.spec.cases if c.operation == operation and c.outcome}
            self._errnos[operation] = tuple(e for e in INJECTED if e not in told)

    def draw(self, random: Random) -> Call | None:
        """A call that may be made now; None if there is none, or none that succeeds where it is time for one, and after
        a row of calls that changed nothing: where nobody is left to act, another run is of more use.
        """
        counts = self.session.coverage
        if self._run != counts.examples:
            self._run, self._idle = counts.examples, 0
        if self._idle >= IDLE:
            return None
        succeeded, steps = counts.succeeded + self.session.foretold_succeeded, counts.steps + self.session.foretold
        must_succeed = succeeded < SUCCEEDING * steps
        if self._fresh <= 0:
            self._weights = [sum(self.weight(r) for r in self._rows[op]) + 0.01 for op in self._operations]
            self._fresh = REFRESH
        self._fresh -= 1
        drawn = random.choices(self._operations, self._weights, k=TRIES)
        rest = random.sample(self._operations, len(self._operations))
        found: list[Drawn] = []
        for operation in dict.fromkeys((*drawn, *rest)):
            if (one := self._draw(operation, must_succeed, random)) is not None:
                found.append(one)
                if len(found) == CHOICE:
                    break
        if not found:
            return None
        call, _, changes = random.choices(found, [one.score for one in found])[0]
        self._idle = 0 if changes else self._idle + 1
        return call

    def _draw(self, operation: str, succeed: bool, random: Random) -> Drawn | None:
        """A call of that operation, and how much it is wanted: for a seldom row, and for a state that is new."""
        candidate = self.session.oracle.candidates[0]
        offers = self.offers(operation, candidate, succeed)
        if not offers:
            return None
        row = random.choices(list(offers), [self.weight(r) for r in offers])[0]
        offer = self._any_of(offers[row], row, random)
        after = offer.ways[0].after
        novelty = SAME if after == candidate.state else 1 / (1 + self._visits[hash(after)])
        call = self.call(offer, candidate, random)
        if call is None or self.session.oracle.refuses(call):
            return None
        self._visits[hash(after)] += 1
        return Drawn(call, ROWS * self.weight(row) + novelty, after != candidate.state)

    def _call(self, operation: str, random: Random) -> Call | None:
        """Half of a meeting."""
        drawn = self._draw(operation, random.random() < RACED, random)
        return drawn.call if drawn else None

    def _any_of(self, offers: list[Offer], row: str, random: Random) -> Offer:
        """One of the calls that take a row: those with a word (a kind of importer) that was drawn seldom, first.

        What a word opens the door to cannot be seen from the row; of objects and numbers one is as good as another.
        """
        keys = [(row, self._words(offer)) for offer in offers]
        if len(set(keys)) == 1:
            return random.choice(offers)
        n = random.choices(range(len(offers)), [1 / (1 + self._drawn[key]) for key in keys])[0]
        self._drawn[keys[n]] += 1
        return offers[n]

    def _words(self, offer: Offer) -> tuple[int, ...]:
        """The arguments of a call that are members of an enumeration."""
        if offer.resumed:
            return ()
        parameters = zip(self.session.oracle.parameters(offer.operation), offer.given, strict=True)
        return tuple(v for p, v in parameters if isinstance(p.type, type) and issubclass(p.type, Enum))

    def draw_meeting(self, random: Random) -> tuple[Call, Call, tuple[int, ...]] | None:
        """Two calls that may be made at once, one of them of several steps unless the target's steps are finer, and a
        schedule with one or two interruptions.
        """
        if self.session.concurrent is None:
            return None
        if self.session.patient is not None and random.random() < WAITING:
            two = self._draw_waiting(self.session.patient.patient_failures, random)
            if two is not None:
                return *two, (random.randrange(MOST_TURN), TO_THE_END)
        stepped = [op for op in self._operations if op in self.session.oracle.spec.steps]
        if self.session.concurrent.finer and random.random() < ANY_TWO:
            stepped = list(self._operations)
        call = None
        for operation in random.sample(stepped, len(stepped)):
            call = self._call(operation, random)
            if call is not None and not call.fails:
                break
        for operation in random.sample(self._operations, len(self._operations)) if call else ():
            other = self._call(operation, random)
            if call is None or other is None or call.fails or other.fails or self.session.refuses_meeting(call, other):
                continue
            if random.random() < COMMUTING or not self.session.oracle.commute(call, other):
                turns = [min(random.randrange(MOST_TURN), random.randrange(MOST_TURN)) for _ in range(3)]
                schedule = tuple(turns) if random.random() < INTERRUPTED else (turns[0], TO_THE_END)
                return (other, call, schedule) if random.random() < OTHER_FIRST else (call, other, schedule)
        return None

    def _draw_waiting(self, failures: frozenset[str], random: Random) -> tuple[Call, Call] | None:
        """A call that waits for another, and that one."""
        session = self.session
        candidate = session.oracle.candidates[0]
        stepped = [op for op in self._operations if op in session.oracle.spec.steps]
        waiting = [
            (offer, way)
            for operation in stepped
            for offer in session.oracle.calls.offers(candidate.state, operation)
            for way in offer.ways
            if not way.ended and offer.fails <= failures
        ]
        if not waiting:
            return None
        offer, way = random.choice(waiting)
        call = self.call(offer, candidate, random)
        there = session.oracle.later(candidate, way)
        for operation in random.sample(self._operations, len(self._operations)) if call else ():
            offers = [o for o in session.oracle.calls.offers(there.state, operation) if not (o.fails or o.unsafe)]
            other = self.call(random.choice(offers), there, random) if offers else None
            if call is not None and other is not None and not session.refuses_meeting(call, other):
                return call, other
        return None

    def weight(self, row: str) -> float:
        """How much a row is wanted."""
        return 1 / (1 + self.session.coverage.rows[row])

    def offers(self, operation: str, candidate: Candidate, must_succeed: bool = False) -> Mapping[str, list[Offer]]:
        """The usable calls of an operation, by a row that they may take."""
        found: dict[str, list[Offer]] = {}
        for offer in self.session.oracle.calls.offers(candidate.state, operation):
            if offer.unsafe:
                for way in offer.ways:
                    self._unsafe.setdefault(way.case.id, way.unsafe or offer.unsafe)
            elif self.session.usable(offer) and (offer.succeeds or not must_succeed) and not self.avoids(offer):
                for row in offer.rows:
                    found.setdefault(row, []).append(offer)
        return found

    def call(self, offer: Offer, candidate: Candidate, random: Random) -> Call | None:
        """The offer as a call, each injected failure with some errno that no row of the operation answers."""
        return self.session.call(offer, candidate, self.errnos(offer, random.randrange(len(INJECTED))))

    def errnos(self, offer: Offer, first: int) -> Iterable[str]:
        """An errno for every injected failure of an offer."""
        possible = self._errnos[offer.operation] or (Errno.EIO.name,)
        return (possible[(first + i) % len(possible)] for i in range(len(offer.fails)))

    def avoids(self, offer: Offer) -> bool:
        """May it take only rows that are to be avoided?"""
        return bool(self.avoid) and self.avoid.issuperset(offer.rows)

    def reasons(self) -> dict[str, str]:
        """Why rows cannot be taken: the target does not offer it, or every call that may take it is unsafe."""
        out = {row: f"{why}: never made" for row, why in self._unsafe.items()}
        offered, failures = set(self._operations), self.session.target.failures
        for row, cases in self.session.oracle.spec.rows().items():
            if cases[0].operation not in offered:
                out[row] = f"the target does not offer {cases[0].operation}"
                continue
            needed = [{failure(p) for p in c.params if p.role is Role.FAILS and met(c, p)} for c in cases]
            if failures is not None and all(names - failures for names in needed):
                out[row] = f"the target cannot make {', '.join(sorted(needed[0] - failures))} fail"
        return out


def met(case: Case, p: Param) -> bool:
    """Does the guard ask for this failure?"""
    return p.var in conjuncts(case.guard)
