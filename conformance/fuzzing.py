# SPDX-License-Identifier: Apache-2.0
"""Fuzzing and replaying as tasks: a campaign's outcome as results, and a finding as a replay file."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from accelspec.model.verdict import Budget
from accelspec.spec.language.specification import Specification

from . import disagreement as found
from .baseline import Baseline
from .campaign import CampaignResult, fuzz, replay
from .loading import BadInput, Entry
from .output import OutputFile
from .recording import Performed, Recording
from .results import Campaign, Disagreement, Step
from .targets import TargetError, open_target
from .tasks import Engine, Task

REFERENCE = "reference"


def tasks_of_reference(entries: Sequence[Entry], seed: int, max_steps: int, accepted: Baseline) -> list[Task]:
    """A fuzz task for each of the revisions that the reference implementation implements, and is to agree with."""
    return [
        Task(
            e.reference,
            e.name,
            Engine.FUZZ,
            seed=seed,
            max_steps=max_steps,
            target=REFERENCE,
            accepted=accepted.signatures(e.machine, e.revision),
            replay_folder="." if os.access(".", os.W_OK) else "",
        )
        for e in entries
        if not e.path and _implemented(e)
    ]


def _implemented(entry: Entry) -> bool:
    from .targets.reference import open_reference

    try:
        reference = open_reference(entry.machine, entry.revision)
    except TargetError:
        return False
    reference.close()
    return reference.behaviour not in reference.apart


def run_campaign(task: Task, spec: Specification, budget: Budget) -> Iterator[Campaign | Disagreement]:
    """Fuzz the task's target.  Raises TargetError."""
    scope = {name: n for name, n in task.scope if any(k.name == name for k in spec.kinds)}
    target = open_target(task.target, spec.machine, task.target_revision or spec.revision, dict(task.options))
    scope = {**getattr(target, "scope", {}), **scope}
    try:
        done = fuzz(
            spec,
            target,
            seed=task.seed,
            max_steps=task.max_steps or 1,
            scope=scope,
            budget=budget,
            accepted=task.accepted,
        )
    finally:
        target.close()
    yield from outcome(spec, task, done, budget.elapsed)


def run_replay(spec: Specification, task: Task, recorded: Recording) -> Iterator[Campaign | Disagreement]:
    """Make a recorded run again.  Raises TargetError, ReplayError."""
    target = open_target(task.target, spec.machine, task.target_revision or spec.revision, dict(task.options))
    try:
        done = replay(spec, target, recorded)
    finally:
        target.close()
    yield from outcome(spec, task, done, None)


def outcome(
    spec: Specification, task: Task, done: CampaignResult, elapsed: float | None
) -> Iterator[Campaign | Disagreement]:
    """What a campaign saw, as results; its finding is saved in the folder first, if there is one."""
    yield Campaign(
        machine=spec.machine,
        revision=spec.revision,
        target=done.target,
        seed=done.seed,
        steps=done.steps,
        succeeded=done.succeeded,
        runs=done.examples,
        rows=dict(done.rows),
        seldom=done.uncovered,
        vanished=list(done.vanished),
        complete=done.complete,
        elapsed=elapsed,
    )
    parties = [done.target, "specification"]
    for signature, times in sorted(done.deviations.items()):
        yield Disagreement(
            machine=spec.machine,
            revision=spec.revision,
            about=signature,
            parties=parties,
            what=f"accepted by the baseline; seen {times} times",
        )
    if done.disagreement is not None:
        saved = _save(task.replay_folder, spec, done) if task.replay_folder else ""
        yield Disagreement(
            machine=spec.machine,
            revision=spec.revision,
            about=done.disagreement.signature,
            parties=parties,
            what="\n".join([done.disagreement.summary, *_doubts(done.disagreement)]),
            trace=_steps(done.disagreement),
            replay=saved,
            again=_again(saved, task) if saved else "",
        )


def _again(saved: str, task: Task) -> str:
    """The command that makes the saved run again, on the same target."""
    words = ["accelspec", "replay", saved]
    if task.reference != task.name:
        words.append(task.reference)
    if task.target != REFERENCE:
        words += ["--target", task.target]
    if task.target_revision:
        words += ["--target-revision", task.target_revision]
    for name, value in task.options:
        words += ["--target-option", f"{name}={value}"]
    return shlex.join(words)


def _save(folder: str, spec: Specification, done: CampaignResult) -> str:
    path = Path(folder) / f"{spec.machine}-{spec.revision}-seed{done.seed}.replay.jsonl".replace(" ", "_")
    out = OutputFile.open(str(path), "replay")
    try:
        out.write(done.replay)
    finally:
        out.discard()
    return str(path)


def _doubts(d: found.Disagreement) -> list[str]:
    alarms = [f"the target reports: {a}" for seen in (d.last.seen if d.last else ()) for a in seen.alarms]
    return alarms + [line for doubt in d.doubts for line in found.shown(doubt)]


def _steps(d: found.Disagreement) -> list[Step]:
    steps = [step for p in d.prefix for step in _of_performed(p, p.source)]
    return steps + (_of_performed(d.last, "not explained") if d.last else [])


def _of_performed(p: Performed, source: str) -> list[Step]:
    """A call, or two that met: then the row and source are those of both."""
    return [
        Step(
            _actor(call.args),
            call.operation,
            list(call.args),
            seen.result,
            p.row,
            source,
            sorted(call.fails),
            [f"{name}={value}" for name, value in seen.chosen.items()],
            meanwhile=n > 0,
        )
        for n, (call, seen) in enumerate(zip(p.calls, p.seen, strict=True))
    ]


def _actor(args: Sequence[str]) -> str:
    return next((a for a in args if a.startswith("process")), "environment")


def check_folder(folder: str) -> None:
    """Make sure that a replay file could be written there.

    Raises:
        BadInput: it could not.
    """
    if not Path(folder).is_dir():
        raise BadInput(f"there is no folder {folder}", "Replay files of findings go there.")
    OutputFile.open(str(Path(folder) / "probe.replay.jsonl"), "replay").discard()
