# SPDX-License-Identifier: Apache-2.0
"""One run of a target under the eyes of the oracle: begin, call by call, and the drain at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import ne

from accelspec.model.trace import State
from accelspec.spec.language.answers import Errno

from .calls import Offer
from .coverage import Coverage
from .disagreement import Disagreement
from .matching import Candidate
from .oracle import Oracle
from .recording import Met, Performed
from .targets import Ahead, Call, Concurrent, Draft, Handicapped, Observation, Patient, Suspending, System, Target

MOST_DRAIN = 200  # calls
MOST_AHEAD = 32  # calls that are drawn before the answers to them are known


class Disagreed(Exception):
    """The target did what no state explains.  Its text is the whole report, for those who see only that."""

    def __init__(self, disagreement: Disagreement) -> None:
        super().__init__(disagreement.text())
        self.disagreement = disagreement


def succeeded(seen: Observation) -> bool:
    """Did it end, and nothing fail?"""
    known = Errno.__members__.get(seen.result)
    return known is not None and known.succeeded


@dataclass
class Session:
    """A target and an oracle, run after run.

    `perform` and `drain` raise Disagreed for a finding and LostTrack where the run can only be ended; both leave the
    session ready for the next `begin`.  TargetError goes through.
    """

    oracle: Oracle
    target: Target
    coverage: Coverage
    system: System = field(init=False)
    operations: Sequence[str] = field(
        init=False
    )  # what both specification and target know, in the specification's order
    concurrent: Concurrent | None = field(init=False)  # the target, if it can make two calls at once
    patient: Patient | None = field(init=False)  # the target, if one of the two may wait for the other
    far: Ahead | None = field(init=False)  # the target, if calls are to be drawn ahead of their answers
    foretold: int = field(init=False, default=0)  # calls that are drawn and not made yet
    foretold_succeeded: int = field(init=False, default=0)  # how many of them are expected to succeed
    _releases: list[str] = field(default_factory=list)  # operations that gave something back, the useful ones first

    def __post_init__(self) -> None:
        known = self.target.operations
        self.operations = [op for op in self.oracle.spec.operations() if known is None or op in known]
        self.concurrent = self.target if isinstance(self.target, Concurrent) else None
        self.patient = self.target if isinstance(self.target, Patient) else None
        self.far = self.target if isinstance(self.target, Ahead) else None
        self._failures = self.target.failures
        self._unavoidable = self.target.unavoidable if isinstance(self.target, Handicapped) else frozenset[str]()

    def begin(self, system: System) -> None:
        """A fresh system."""
        self.system = system
        self.oracle.begin(self.target.reset(system))
        self.coverage.examples += 1

    def perform(self, call: Call) -> Performed:
        """One call, or the rest of one that was left standing."""
        if call.resumed:
            assert isinstance(self.target, Suspending)
            return self._judge(call, self.target.resume(call))
        return self._judge(call, self.target.perform(call))

    def _judge(self, call: Call, seen: Observation) -> Performed:
        done = self.oracle.step(seen.of(call), seen)
        if isinstance(done, Disagreement):
            raise Disagreed(done)
        self.coverage.took(self.oracle.took, succeeded(seen))
        return done

    def ahead(self, draw: Callable[[], Call | None], most: int = MOST_AHEAD) -> Iterator[Performed]:
        """Up to `most` calls of a target that is far away: drawn ahead, made together, and then judged one by one."""
        calls, draft = self.drawn_ahead(draw, most)
        return self.judged(calls, draft.send())

    def drawn_ahead(self, draw: Callable[[], Call | None], most: int = MOST_AHEAD) -> tuple[list[Call], Draft]:
        """Calls that are drawn as if each answered as the specification foretells; the target is not asked yet."""
        assert self.far is not None
        draft, calls, now = self.far.draft(), list[Call](), self.oracle.candidates
        while len(calls) < most and (call := draw()) is not None:
            calls.append(call)
            after = self._foretold(call, draft)
            if after is None:
                break
            self.oracle.candidates = (after,)
        self.oracle.candidates = now
        self.foretold = self.foretold_succeeded = 0
        return calls, draft

    def judged(self, calls: Iterable[Call], seen: Iterable[Observation]) -> Iterator[Performed]:
        """The answers to such calls, one by one; fewer than calls, where the target stopped at a surprise."""
        for call, one in zip(calls, seen, strict=False):
            yield self._judge(call, one)

    def _foretold(self, call: Call, draft: Draft) -> Candidate | None:
        """The call is added to the draft; the state that will explain its likeliest answer, None where that is open."""
        candidate = self.oracle.candidates[0]
        offer = self.oracle.offer(call, candidate)
        assert not isinstance(offer, str)
        way = offer.ways[0]
        failed = way.last_failure
        if way.outcome is Errno.CALLBACK and failed is None:
            draft.add(call, Errno.EBUSY.name)
            return None
        result = call.fails[failed] if way.outcome is Errno.CALLBACK and failed else way.outcome.name
        self.foretold += 1
        self.foretold_succeeded += way.outcome.succeeded
        created = draft.add(call, result)
        names = self.oracle.matcher.named(way, created, self.oracle.matcher.kept(candidate.names, way.freed))
        return next((Candidate(way.after, n) for n in names), None)

    def meet(self, call: Call, other: Call, schedule: tuple[int, ...]) -> Performed:
        """Two calls at once, of a target that can; counts as two."""
        assert self.concurrent is not None
        first, second = self.concurrent.meet(call, other, schedule)
        done = self.oracle.step(first.of(call), first, Met(second.of(other), schedule, second))
        if isinstance(done, Disagreement):
            raise Disagreed(done)
        self.coverage.took(self.oracle.took, succeeded(first))
        self.coverage.took((), succeeded(second))
        return done

    def refuses_meeting(self, call: Call, other: Call) -> str:
        """Why two calls must not be made at once; empty if they may."""
        if self.concurrent is None:
            return "the target makes one call at a time"
        return self.oracle.refuses_meeting(call, other, self.patient is not None)

    # ------------------------------------------------------------------ what can be called

    def usable(self, offer: Offer) -> bool:
        """Can the target be asked for it, without anything going wrong that the specification knows of?"""
        if offer.unsafe or (self._failures is not None and not offer.fails <= self._failures):
            return False
        return not any(name in way.fails for way in offer.ways for name in self._unavoidable - offer.fails)

    def call(self, offer: Offer, candidate: Candidate, errnos: Iterable[str] = ()) -> Call | None:
        """The offer in the target's words; None if the target never named an object that it speaks about."""
        fails = dict(zip(sorted(offer.fails), errnos, strict=False))
        if offer.resumed:
            (number,) = offer.given
            made = next(s.args for s in candidate.standing if (s.operation, s.number) == (offer.operation, number))
            return Call(offer.operation, made, fails, resumed=True)
        args = []
        naming = self.oracle.naming
        for var, value in zip(self.oracle.parameters(offer.operation), offer.given, strict=True):
            name = naming.name(var.type, value, candidate.names)
            if name is None:
                return None
            args.append(name)
        return Call(offer.operation, tuple(args), fails)

    # ------------------------------------------------------------------ the end of a run

    def drain(self) -> None:
        """Give everything back, as far as calls of the specification can, and look at what is left over:

        a leak is a finding.
        """
        for _ in range(MOST_DRAIN):
            released = list(self.ahead(self._release)) if self.far else [self.perform(c) for c in self._one_release()]
            for done in released:
                if done.call.operation not in self._releases:
                    self._releases.append(done.call.operation)
            if not released:
                break
        if (leak := self.oracle.leftovers(self.target.leftovers())) is not None:
            raise Disagreed(leak)

    def _one_release(self) -> list[Call]:
        call = self._release()
        return [] if call is None else [call]

    def _release(self) -> Call | None:
        """A call after which certainly less is in use."""
        order = self._releases or self.operations
        return next(self._releasing(order), None) or next(self._releasing(self.operations), None)

    def _releasing(self, operations: Sequence[str]) -> Iterator[Call]:
        """The calls after which certainly less is in use."""
        candidate = self.oracle.candidates[0]
        now = self.in_use(candidate.state)
        used = {candidate.state: now}  # most calls lead to few states
        for operation in operations:
            for offer in self.oracle.calls.offers(candidate.state, operation):
                for after in {w.after for w in offer.ways} - used.keys():
                    used[after] = self.in_use(after)
                if not offer.fails and self.usable(offer) and all(used[w.after] < now for w in offer.ways):
                    call = self.call(offer, candidate)
                    if call is not None and not self.oracle.refuses(call):
                        yield call

    def in_use(self, state: State) -> tuple[int, int]:
        """How many created objects exist, how many calls stand, and how often what is always there refers to an object;

        while a call stands, also in how many places the state is not blank: one of them may be what it waits for.
        """
        layout, naming = self.oracle.layout, self.oracle.naming
        standing = sum(naming.living(state, kind) for kind in self.oracle.call_kinds)
        objects = sum(naming.living(state, kind) for kind in self.oracle.created_kinds)
        references = sum(state[i] < layout.size(kind) for i, kind in self.oracle.holders)
        unlike = sum(map(ne, state, layout.blanks)) if standing else 0
        return objects + standing + references, unlike
