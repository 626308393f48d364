# SPDX-License-Identifier: Apache-2.0
"""The commands that drive a target: fuzz, replay."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

import accelspec
from accelspec.spec.language import Machine

from ..baseline import NOTHING, read_baseline
from ..collecting import Collector
from ..fuzzing import check_folder, run_replay
from ..loading import BadInput, Catalogue, Entry, catalogue, select_one
from ..output import say
from ..recording import load
from ..report import render, text
from ..results import ResultFile, exit_code
from ..tasks import Engine, Task
from .engines import FORMS, command_line, done, tasks_for
from .kernel import given_parts, kernel_parts
from .options import budgets, fuzzing, open_outputs, outputs, selected, subjects
from .running import Work, compiled


def of_target(f: click.decorators.FC) -> click.decorators.FC:
    """`--target` and its options."""
    f = kernel_parts(f)
    f = click.option(
        "--target-option", "options", multiple=True, metavar="NAME=VALUE", help="Handed to the target; may be repeated."
    )(f)
    f = click.option(
        "--target-revision", metavar="REVISION", help="What the target is asked to be, if not the revision itself."
    )(f)
    return click.option(
        "--target",
        default="reference",
        show_default=True,
        metavar="TARGET",
        help="reference, kernel, python:MODULE:FACTORY, or process:COMMAND.",
    )(f)


def parse_options(options: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """NAME=VALUE pairs, and those that have an option of the command of their own.

    Raises:
        BadInput: one of them is none.
    """
    pairs = []
    for option in options:
        name, equals, value = option.partition("=")
        if not equals or not name:
            raise BadInput(f"target option {option!r} is not NAME=VALUE", "Write for example --target-option timeout=5")
        pairs.append((name, value))
    return (*pairs, *given_parts().items())


def base_revision(entry: Entry, machines: Catalogue) -> str:
    """The revision that a reader's own one is derived from, if it is one of ours: a target knows that one."""
    if not entry.path:
        return ""
    ours: dict[type[Machine], str] = {c: r for r, c in machines.get(entry.machine, {}).items()}
    return next((ours[c] for c in entry.cls.__mro__ if c in ours), "")


@click.command()
@subjects
@of_target
@outputs(*FORMS)
@budgets(60.0)
@fuzzing(2000)
@click.option(
    "--save", default=".", show_default=True, metavar="FOLDER", help="Where the replay file of a finding goes."
)
def fuzz(
    names: Sequence[str],
    target: str,
    target_revision: str | None,
    options: Sequence[str],
    form: str | None,
    paths: Sequence[str],
    scope: str,
    time_budget: float,
    jobs: int,
    quiet: bool,
    seed: int | None,
    max_steps: int,
    baseline: str | None,
    save: str,
) -> int:
    """Drive a target with random calls, and hold every answer to the specification.

    A finding is shrunk, explained with its sources, and saved for `accelspec replay`. That the budget ends without a
    finding is exit code 0.
    """
    entries = selected(names)
    specs = compiled(entries)
    accepted = read_baseline(baseline) if baseline else NOTHING
    check_folder(save)
    seed = secrets.randbelow(1 << 32) if seed is None else seed
    machines = catalogue()
    tasks: list[Task] = []
    for entry in entries:
        (task,) = tasks_for([entry], specs, [Engine.FUZZ], scope)
        tasks.append(
            replace(
                task,
                seed=seed,
                max_steps=max_steps,
                target=target,
                target_revision=target_revision or base_revision(entry, machines),
                options=parse_options(options),
                accepted=accepted.signatures(entry.machine, entry.revision),
                replay_folder=save,
            )
        )
    outs = open_outputs(paths, form)
    shown = "text" if outs or form is None else form
    work = Work(
        command_line(), specs, tasks, jobs, time_budget, seed, shown, outs, quiet, spoken=True, accepted=accepted
    )
    return done(work)


@click.command()
@click.argument("recording", metavar="FILE.replay.jsonl")
@click.argument("name", required=False, metavar="[MACHINE@REVISION | FILE.py]")
@of_target
@outputs(*FORMS)
def replay(
    recording: str,
    name: str | None,
    target: str,
    target_revision: str | None,
    options: Sequence[str],
    form: str | None,
    paths: Sequence[str],
) -> int:
    """Make a recorded run again: the same calls on a fresh target, held to the specification as it is now.

    Without a name: the revision that the file was recorded of. Exit code 1 if the target still disagrees.
    """
    recorded = load(Path(recording))
    system = recorded.run.system
    entry = select_one(name or f"{system.machine}@{system.revision}")
    spec = entry.compile()
    revision = target_revision or base_revision(entry, catalogue())
    task = Task(
        entry.reference,
        entry.name,
        Engine.FUZZ,
        target=target,
        target_revision=revision,
        options=parse_options(options),
    )
    outs = open_outputs(paths, form)
    file = ResultFile(version=accelspec.__version__, command=command_line(), seed=recorded.run.seed)
    collector = Collector({entry.name: spec}, [task], file, explained=False)
    for message in run_replay(spec, task, recorded):
        collector.take(task, message)
    collector.finish()
    say(text.report(file) if outs or form is None else render(file, form))
    for out in outs:
        out.write(render(file, out.form))
    return exit_code(file).value
