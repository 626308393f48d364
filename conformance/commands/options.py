# SPDX-License-Identifier: Apache-2.0
"""Options that several commands share."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from ..loading import BadInput, Entry, select
from ..output import OutputFile, form_of

F = TypeVar("F", bound=Callable[..., Any])

SUBJECTS = "[MACHINE[@REVISION] | FILE.py]..."


def subjects(f: F) -> F:
    """What to look at; without any, the whole catalogue."""
    return click.argument("names", nargs=-1, metavar=SUBJECTS)(f)


def outputs(*forms: str) -> Callable[[F], F]:
    """`--format` and `-o`."""

    def add(f: F) -> F:
        choice = click.Choice(forms)
        f = click.option(
            "-o",
            "--output",
            "paths",
            multiple=True,
            metavar="FILE",
            help="Write the result to a file, too; its ending (.json .html .xml .md .txt) says in which format, unless "
            "--format does. May be repeated.",
        )(f)
        return click.option("--format", "form", type=choice, help=f"{', '.join(forms)}; text unless said otherwise.")(f)

    return add


def budgets(default: float) -> Callable[[F], F]:
    """`--time-budget`, `--jobs`, `--scope`."""

    def add(f: F) -> F:
        f = click.option("--quiet", is_flag=True, help="No progress on standard error.")(f)
        f = click.option(
            "--jobs",
            type=click.IntRange(min=1),
            default=lambda: len(os.sched_getaffinity(0)),
            show_default="number of processors",
            help="Processes that work at the same time.",
        )(f)
        f = click.option(
            "--time-budget",
            type=click.FloatRange(min=0, min_open=True),
            default=default,
            show_default=True,
            metavar="SECONDS",
            help="For all of it together.",
        )(f)
        return click.option(
            "--scope",
            default="",
            metavar="KIND=N,...",
            help="How many objects there are of a kind; what it does not name is as the revision says.",
        )(f)

    return add


def earlier(f: F) -> F:
    """`--from`: an earlier result instead of a run."""
    return click.option(
        "--from", "earlier", metavar="RESULT.json", help="Look at an earlier result instead of running the engines."
    )(f)


def fuzzing(steps: int) -> Callable[[F], F]:
    """`--seed`, `--max-steps`, `--baseline`."""

    def add(f: F) -> F:
        f = click.option(
            "--baseline",
            metavar="RESULT.json",
            help="An earlier result: what it found is accepted; only what is new or gone fails.",
        )(f)
        f = click.option("--max-steps", type=click.IntRange(min=1), default=steps, show_default=True)(f)
        return click.option(
            "--seed", type=click.IntRange(min=0), help="Of everything random; printed with the result."
        )(f)

    return add


def selected(names: Sequence[str]) -> list[Entry]:
    """The revisions that were named."""
    return select(names)


def principal() -> list[Entry]:
    """The revisions that the catalogue calls principal."""
    from accelspec.spec.catalogue import PRINCIPAL

    return select([f"{machine}@{revision}" for machine, revisions in PRINCIPAL.items() for revision in revisions])


def open_outputs(paths: Sequence[str], form: str | None) -> list[OutputFile]:
    """All output files, or none: if one cannot be written nothing is left of the others.

    Raises:
        BadInput: one of them cannot be written.
    """
    opened: list[OutputFile] = []
    try:
        if len({str(Path(p).resolve()) for p in paths}) < len(paths):
            raise BadInput("the same output file is named twice")
        for path in paths:
            opened.append(OutputFile.open(path, form or form_of(path, "text")))
    except BadInput:
        for out in opened:
            out.discard()
        raise
    return opened
