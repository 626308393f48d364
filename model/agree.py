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

from accelspec.spec.language import Machine, Specification
from accelspec.spec.language.native import NativeRun
from accelspec.spec.language.specification import Param, Role

from .both_ways import BothWays, Difference
from .trace import Move, State, Trace
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
        seed = "" if self.seed is None else f" (seed {self.seed})"
        head = f"{self.file}:{self.line}: {self.trace.spec.name}: {self.call}: {self.what}{seed}"
        before = "".join(f"\n    {s}" for s in self.trace.steps())
        return head + (f"\n  after{before}" if before else "")


@dataclass
class Agreement:
    """What was compared, and the differences.  Nothing compared is no agreement: see `transitions`."""

    seed: int
    transitions: int = 0
    states: int = 0  # in which the properties were compared
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
    return _Walks(BothWays(machine, spec, scope), seed, budget or Budget(), most).walk(steps, depth, breadth)


class Replayer:
    """Takes traces natively, one after the other; what a scope needs is prepared once.

    >>> Replayer(Uacce)(trace)                                           # doctest: +SKIP
    True
    """

    def __init__(self, machine: type[Machine]) -> None:
        self.machine = machine
        self._both: BothWays | None = None
        self._run: NativeRun | None = None

    def __call__(self, trace: Trace) -> bool:
        """Do the methods themselves take this trace?  Asked before any counterexample is shown."""
        return self.difference(trace) is None

    def difference(self, trace: Trace) -> Disagreement | None:
        """The first difference, or None if the methods do the same."""
        both, run = self._both, self._run
        if both is None or run is None or both.spec is not trace.spec or both.scope != trace.scope:
            both = self._both = BothWays(self.machine, trace.spec, trace.scope)
            run = self._run = both.native()
        state = trace.initial
        run.load(state)
        try:
            for n, m in enumerate(trace.moves):
                if (d := both.compare(run, state, m)) is not None:
                    before = Trace(trace.spec, trace.scope, trace.initial, trace.moves[:n])
                    return Disagreement(d.what, d.call, d.file, d.line, before)
                if m.failed or m.case.crashes:
                    break
                state = m.after
        finally:
            run.close()
        return None


class _Walks:
    """Random walks; `walker` follows them, `trier` takes one step from any state and forgets it."""

    def __init__(self, both: BothWays, seed: int, budget: Budget, most: int) -> None:
        self.both, self.budget, self.most = both, budget, most
        self.dice = random.Random(seed)
        self.walker, self.trier = both.native(), both.native()
        self.found = Agreement(seed)
        self.initial: State = ()
        self.state: State = ()
        self.moves: list[Move] = []
        self.ended = False  # the walker cannot go on: an assert failed, something crashed, or it differs
        self.followed: Counter[str] = Counter()
        firsts = [c for c in reversed(both.spec.cases) if not c.step]
        self._arguments = {c.operation: [p for p in c.params if p.role is Role.GIVEN] for c in firsts}

    def walk(self, steps: int, depth: int, breadth: int) -> Agreement:
        """All walks."""
        starts = list(self.both.interpreter.initial())
        done = 0
        while starts and done < steps and not self.over:
            self.initial = self.state = self.dice.choice(starts)
            self.moves, self.ended = [], False
            self.walker.load(self.initial)
            for _ in range(min(depth, steps - done)):
                done += 1
                if self.over or not self.step(breadth):
                    break
            self.last_step()
            self.walker.close()
            self.trier.close()
        self.found.states = len(self.both.seen)
        return self.found

    @property
    def over(self) -> bool:
        """Is there no need for more, or no time?"""
        return self.budget.spent or len(self.found.disagreements) >= self.most

    def step(self, breadth: int) -> bool:
        """Compare a state and some moves from it, then follow one of them; False where the walk ends."""
        moves = list(self.both.interpreter.moves(self.state))
        fresh = [m for m in moves if not m.case.step]
        for m in fresh if len(fresh) <= breadth else self.dice.sample(fresh, breadth):
            self.trier.load(self.state)
            self.count(m)
            self.tell(self.both.compare(self.trier, self.state, m))
        for _ in range(min(breadth, len(self._arguments))):
            self.try_call(self.dice.choice(list(self._arguments)))
        self.tell(self.both.waiting(self.walker, moves))
        changing = [m for m in moves if m.failed or m.case.crashes or m.after != self.state]
        if not changing:
            return False
        m = self.chosen(changing)
        self.count(m)
        self.ended = bool(m.failed or m.case.crashes)
        if not self.tell(self.both.compare(self.walker, self.state, m)):
            self.ended = True
            return False
        self.moves.append(m)
        self.state = m.after
        return not self.ended

    def chosen(self, moves: Sequence[Move]) -> Move:
        """Any of them, but calls in flight go on half of the time, and rows that were seldom followed come first."""
        going_on = [m for m in moves if m.case.step]
        among = going_on if going_on and self.dice.random() < 0.5 else moves
        rarest = min((self.dice.choice(among) for _ in range(3)), key=lambda m: self.followed[m.case.id])
        self.followed[rarest.case.id] += 1
        return rarest

    def try_call(self, operation: str) -> None:
        """Make a call natively, with arguments that exist; the interpreter must have the same move, or none."""
        given = [self.argument(p) for p in self._arguments[operation]]
        if all(x is not None for x in given):
            self.trier.load(self.state)
            self.found.transitions += 1
            arguments = [x for x in given if x is not None]
            self.tell(self.both.explain(self.trier, self.state, operation, arguments, None, self.dice))

    def argument(self, p: Param) -> int | None:
        """Any existing object, or any value; None if there is none."""
        interpreter = self.both.interpreter
        f = interpreter.function(p.where, (p.var,))
        values = [x for x in interpreter.values(p.var) if f(self.state, self.state, x)]
        return self.dice.choice(values) if values else None

    def last_step(self) -> None:
        """At the end of a walk, when nothing is lost by it: resume any call, and ask the interpreter to explain it."""
        calls = [k for k, c in self.walker.calls.items() if c.steps is not None]
        if calls and not self.over and not self.ended:
            operation, index = self.dice.choice(calls)
            self.found.transitions += 1
            self.tell(self.both.explain(self.walker, self.state, operation, [index], index, self.dice))

    def count(self, m: Move) -> None:
        """A move is taken both ways."""
        self.found.transitions += 1
        self.found.rows[m.case.id] += 1

    def tell(self, d: Difference | None) -> bool:
        """Keep a difference as a disagreement; True if there is none."""
        if d is not None:
            trace = Trace(self.both.spec, self.both.scope, self.initial, tuple(self.moves))
            self.found.disagreements.append(Disagreement(d.what, d.call, d.file, d.line, trace, self.found.seed))
        return d is None
