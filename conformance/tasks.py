# SPDX-License-Identifier: Apache-2.0
"""One engine at work on one revision, as a stream of messages; made to run in a process of its own.

A task is named by data alone (the reference of a revision, not its compiled form), so that it can cross to another
process; what it finds crosses back as the structures of `results`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

import msgspec

from accelspec.model.verdict import Budget, Status
from accelspec.spec.language.specification import Class, Specification

from .judging import Said, said
from .loading import Entry, scopes_for, select_one
from .results import Campaign, Disagreement, Exploration, Finding, short

if TYPE_CHECKING:
    from accelspec.model.explore import Explored

SMALL = 10_000_000  # transitions of a scope whose whole graph is built, to look for deadlocks and fair cycles


class Engine(Enum):
    """What a task does."""

    PROVE = "prove"
    EXPLORE = "explore"  # with lint, which needs the reached rows, and the fair cycles
    FUZZ = "fuzz"


@dataclass(frozen=True)
class Task:
    """One engine on one revision."""

    reference: str  # "uacce@v4", "mine.py@draft"
    name: str  # "uacce@v4", "mine@draft": for people
    engine: Engine
    seconds: float | None = None
    only_unbounded: bool = False  # of a proof: scopes are left to the explorer
    scope: tuple[tuple[str, int], ...] = ()  # empty: those of the author
    only: tuple[str, ...] = ()  # these properties are asked for, and no others: no more is looked at than they need
    seed: int = 0
    max_steps: int | None = None
    target: str = "reference"
    target_revision: str = ""  # what the target is asked to be; empty: the revision itself
    options: tuple[tuple[str, str], ...] = ()  # of the target
    accepted: tuple[str, ...] = ()  # signatures of disagreements that a baseline accepts
    replay_folder: str = ""  # where a finding's replay file goes; empty: nowhere

    @property
    def title(self) -> str:
        """`prove uacce@v4`."""
        return f"{self.engine.value} {self.name}"


class Told(msgspec.Struct, frozen=True):
    """A line of progress."""

    text: str


class Failed(msgspec.Struct, frozen=True):
    """The task ended with an internal error."""

    what: str
    details: str


class Refused(msgspec.Struct, frozen=True):
    """The task could not begin: something that the user gave cannot be used."""

    what: str
    remedy: str = ""


Message = Said | Exploration | Finding | Campaign | Disagreement | Told


@dataclass(frozen=True)
class Means:
    """What a task is given besides its orders: a clock, and whom to ask whether to stop."""

    stop: Callable[[], bool] = lambda: False
    tell: Callable[[str], None] = lambda _: None
    clock: Callable[[], float] = field(default=time.monotonic)


def run(task: Task, means: Means) -> Iterator[Message]:
    """Run a task to its end, to the end of its budget, or until it is to stop; yields what it finds as it finds it.

    Raises BadInput and SpecError as loading does, TargetError for a target that cannot be used.
    """
    entry = select_one(task.reference)
    spec = entry.compile()
    budget = Budget(task.seconds, means.clock, means.stop, means.tell)
    match task.engine:
        case Engine.PROVE:
            yield from _prove(task, spec, budget)
        case Engine.EXPLORE if task.only:
            yield from _look_for(task, entry, spec, budget)
        case Engine.EXPLORE:
            yield from _explore(task, entry, spec, budget)
        case Engine.FUZZ:
            yield from _fuzz(task, spec, budget)


def _prove(task: Task, spec: Specification, budget: Budget) -> Iterator[Message]:
    from accelspec.model import prove

    name, scope = next(iter(scopes_for(spec, dict(task.scope)).items()))
    try:
        for verdict in prove.proving(spec, scope, budget, only_unbounded=task.only_unbounded):
            yield said(verdict, name)
    except prove.Disagreement as e:
        what, parties = str(e), ["induction", "bounded"]
        yield Disagreement(machine=spec.machine, revision=spec.revision, about="prove", parties=parties, what=what)


def _explore(task: Task, entry: Entry, spec: Specification, budget: Budget) -> Iterator[Message]:
    from accelspec.model.agree import Replayer
    from accelspec.model.explore import explore
    from accelspec.model.progress import progress

    scopes = scopes_for(spec, dict(task.scope))
    runs: dict[str, Explored] = {}
    sought = {p.id for p in spec.properties if p.id in spec.known and p.cls in (Class.PROGRESS, Class.LOCK_GRAPH)}
    followed = False  # once is enough, unless something is listed that was not found yet
    replay = Replayer(entry.cls)
    for n, (name, scope) in enumerate(scopes.items()):
        if budget.stop():
            return
        part = _part(budget, (len(scopes) - n + 1) / 2)  # the first ones matter most
        explored = runs[name] = explore(spec, scope, part, replay=replay)
        for verdict in explored.verdicts:
            yield said(verdict, name)
        yield _exploration(explored, name, part.elapsed)
        sought -= {v.property for v in explored.verdicts if v.status is Status.VIOLATED}
        if explored.complete and explored.transitions <= SMALL and (sought or not followed):
            followed = True
            for verdict in progress(spec, scope, _part(budget, len(scopes) - n), replay=replay):
                sought -= {verdict.property} if verdict.status is Status.VIOLATED else set()
                yield said(verdict, name)
    yield from _lint(spec, list(runs.values()), budget)


def _look_for(task: Task, entry: Entry, spec: Specification, budget: Budget) -> Iterator[Message]:
    """Some properties alone: scope by scope, the smallest first, as long as one that may be violated is not.

    What a revision of ours does not list as violated is looked at in its smallest scope; `verify` looks at all of them.
    """
    from accelspec.model.agree import Replayer
    from accelspec.model.explore import explore
    from accelspec.model.layout import full_scope
    from accelspec.model.progress import progress

    replay = Replayer(entry.cls)
    open = {id for id in task.only if id in spec.known or (entry.path and id not in spec.not_applicable)}
    fair = any(p.cls in (Class.PROGRESS, Class.LOCK_GRAPH) for p in spec.properties if p.id in task.only)
    scopes = scopes_for(spec, dict(task.scope))
    for name in sorted(scopes, key=lambda n: sum(full_scope(spec, scopes[n]).values())):
        part = _part(budget, 2)
        explored = explore(spec, scopes[name], part, replay=replay)
        found = [v for v in explored.verdicts if v.property in task.only]
        if fair and explored.complete and explored.transitions <= SMALL:
            found += (v for v in progress(spec, scopes[name], budget, replay=replay) if v.property in task.only)
        for verdict in found:
            yield said(verdict, name)
        yield _exploration(explored, name, part.elapsed)
        open -= {v.property for v in found if v.status is Status.VIOLATED}
        if not open or budget.stop():
            return


def _part(budget: Budget, parts: float) -> Budget:
    """A budget of one part of what is left."""
    left = budget.left
    return Budget(None if left is None else left / parts, budget.clock, budget.stop, budget.tell)


def _exploration(explored: Explored, name: str, elapsed: float | None) -> Exploration:
    return Exploration(
        machine=explored.spec.machine,
        revision=explored.spec.revision,
        name=name,
        scope=dict(explored.scope),
        states=explored.states,
        transitions=explored.transitions,
        depth=explored.depth,
        complete=explored.complete,
        elapsed=elapsed,
    )


def _lint(spec: Specification, runs: list[Explored], budget: Budget) -> Iterator[Finding]:
    from accelspec.model.lint import lint

    for f in lint(spec, runs, budget):
        yield Finding(
            machine=spec.machine,
            revision=spec.revision,
            severity=str(f.severity),
            file=short(f.file),
            line=f.line,
            what=f.what,
            remedy=f.remedy,
        )


def _fuzz(task: Task, spec: Specification, budget: Budget) -> Iterator[Message]:
    from .fuzzing import run_campaign

    yield from run_campaign(task, spec, budget)
