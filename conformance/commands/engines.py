# SPDX-License-Identifier: Apache-2.0
"""The commands that run engines: verify, prove, explore, matrix, explain."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import click

from accelspec.spec.language.specification import Class, Specification

from ..baseline import NOTHING, read_baseline, read_result_file
from ..loading import BadInput, Entry, catalogue, check_scope, did_you_mean, parse_scope
from ..output import say
from ..report import render, text
from ..results import ResultFile, exit_code
from ..tasks import Engine, Task
from .options import budgets, earlier, fuzzing, open_outputs, outputs, principal, selected, subjects
from .running import Work, carry_out, compiled

FORMS = ("text", "json", "html", "junit", "markdown")


def command_line() -> str:
    """The command as it was typed, for the result file."""
    return shlex.join(["accelspec", *sys.argv[1:]])


def tasks_for(
    entries: Sequence[Entry], specs: Mapping[str, Specification], engines: Sequence[Engine], scope: str
) -> list[Task]:
    """Each engine on each revision.

    Raises:
        BadInput: the scope is none, or names a kind that none of the revisions has.
    """
    wished = parse_scope(scope)
    check_scope(specs.values(), wished)
    return [Task(e.reference, e.name, engine, scope=tuple(wished.items())) for e in entries for engine in engines]


@click.command()
@subjects
@outputs(*FORMS)
@budgets(60.0)
def prove(
    names: Sequence[str], form: str | None, paths: Sequence[str], scope: str, time_budget: float, jobs: int, quiet: bool
) -> int:
    """Prove properties: for any number of objects where that succeeds, else within a scope.

    Exit code 4 if a property is neither proved nor violated.
    """
    return _engine(Engine.PROVE, names, form, paths, scope, time_budget, jobs, quiet)


@click.command()
@subjects
@outputs(*FORMS)
@budgets(60.0)
def explore(
    names: Sequence[str], form: str | None, paths: Sequence[str], scope: str, time_budget: float, jobs: int, quiet: bool
) -> int:
    """Look at every reachable state of a finite scope; violations come with a shortest trace.

    Exit code 4 if the budget did not suffice for every state.
    """
    return _engine(Engine.EXPLORE, names, form, paths, scope, time_budget, jobs, quiet)


def _engine(
    engine: Engine,
    names: Sequence[str],
    form: str | None,
    paths: Sequence[str],
    scope: str,
    seconds: float,
    jobs: int,
    quiet: bool,
) -> int:
    entries = selected(names)
    specs = compiled(entries)
    tasks = tasks_for(entries, specs, [engine], scope)
    outs = open_outputs(paths, form)
    shown = "text" if outs or form is None else form
    work = Work(command_line(), specs, tasks, jobs, seconds, None, shown, outs, quiet, spoken=True)
    return done(work)


def done(work: Work) -> int:
    """Carry it out; whatever happens no temporary file stays."""
    try:
        return carry_out(work).value
    finally:
        for out in work.outputs:
            out.discard()


@click.command()
@subjects
@outputs(*FORMS)
@budgets(110.0)
@fuzzing(500)
@click.option("--no-fuzz", is_flag=True, help="Do not fuzz the reference implementation.")
@click.option("--all", "every", is_flag=True, help="Every revision of the catalogue, the steps between, too.")
def verify(
    names: Sequence[str],
    form: str | None,
    paths: Sequence[str],
    scope: str,
    time_budget: float,
    jobs: int,
    quiet: bool,
    seed: int | None,
    max_steps: int,
    baseline: str | None,
    no_fuzz: bool,
    every: bool,
) -> int:
    """The main job: lint, prove, explore, fuzz the reference implementation, report.

    Without a name: every machine of the catalogue in its principal revisions; with --all, in every revision, which
    takes minutes more (name a larger --time-budget).

    Exit codes: 0 all as expected; 1 a violation that is not listed as known, a known one that is no longer found, a
    disagreement, or an error of lint; 2 wrong usage or specification; 3 internal error; 4 undecided; 5 nothing was run;
    130 interrupted (what was found so far is shown and written).
    """
    entries = selected(names) if names or every else principal()
    specs = compiled(entries)
    accepted = read_baseline(baseline) if baseline else NOTHING
    proofs = [replace(t, only_unbounded=True) for t in tasks_for(entries, specs, [Engine.PROVE], scope)]
    tasks = tasks_for(entries, specs, [Engine.EXPLORE], scope)
    tasks[1:1] = [t for t in proofs if not specs[t.name].known]  # the longest work: what is to hold without exception
    seed = 0 if seed is None else seed
    if not no_fuzz:
        from ..fuzzing import tasks_of_reference

        tasks += tasks_of_reference(entries, seed, max_steps, accepted)
    tasks += [t for t in proofs if specs[t.name].known]
    outs = open_outputs(paths, form)
    shown = "text" if outs or form is None else form
    return done(Work(command_line(), specs, tasks, jobs, time_budget, seed, shown, outs, quiet, accepted=accepted))


@click.command()
@subjects
@outputs(*FORMS)
@budgets(110.0)
@earlier
@click.option("--lemmas", is_flag=True, help="Lemmas and the laws of the types, too.")
def matrix(
    names: Sequence[str],
    form: str | None,
    paths: Sequence[str],
    scope: str,
    time_budget: float,
    jobs: int,
    quiet: bool,
    earlier: str | None,
    lemmas: bool,
) -> int:
    """Revisions x properties: what holds where, as proved or explored."""

    def shown(file: ResultFile) -> str:
        return f"{text.matrix(file, lemmas=lemmas)}\n"

    if earlier:
        return again(earlier, names, form, paths, shown)
    entries = selected(names)
    specs = compiled(entries)
    tasks = tasks_for(entries, specs, [Engine.EXPLORE, Engine.PROVE], scope)
    outs = open_outputs(paths, form)
    stdout = "text" if outs or form is None else form
    return done(Work(command_line(), specs, tasks, jobs, time_budget, None, stdout, outs, quiet, shown=shown))


@click.command()
@click.argument("id")
@subjects
@outputs(*FORMS)
@budgets(60.0)
@earlier
def explain(
    id: str,
    names: Sequence[str],
    form: str | None,
    paths: Sequence[str],
    scope: str,
    time_budget: float,
    jobs: int,
    quiet: bool,
    earlier: str | None,
) -> int:
    """One property: the law, who violates it, the shortest trace, and the source of every row in it."""
    if earlier:
        return again(earlier, names, form, paths, text.explanation, id)
    machine = id.partition(".")[0]
    entries = selected(names or ([machine] if machine in catalogue() else []))
    specs = compiled(entries)
    having = {name: s for name, s in specs.items() if any(p.id == id for p in s.properties)}
    if not having:
        raise _unknown(id, (p.id for s in specs.values() for p in s.properties))
    tasks = []
    for e in (e for e in entries if e.name in having):
        wished = [Engine.EXPLORE] if _needs_no_proof(id, having[e.name]) else [Engine.EXPLORE, Engine.PROVE]
        tasks += [replace(t, only=(id,), only_unbounded=True) for t in tasks_for([e], having, wished, scope)]
    outs = open_outputs(paths, form)
    stdout = "text" if outs or form is None else form
    work = Work(command_line(), having, tasks, jobs, time_budget, None, stdout, outs, quiet, only=frozenset([id]))
    work.shown = text.explanation
    return done(work)


def _needs_no_proof(id: str, spec: Specification) -> bool:
    """Is it known to be violated, or nothing that can be proved?"""
    unprovable = any(p.id == id and p.cls in (Class.PROGRESS, Class.LOCK_GRAPH) for p in spec.properties)
    return id in spec.known or id in spec.not_applicable or unprovable


def again(
    path: str,
    names: Sequence[str],
    form: str | None,
    paths: Sequence[str],
    shown: Callable[[ResultFile], str],
    property: str | None = None,
) -> int:
    """Show a part of an earlier result: some machines or revisions by name, one property."""
    file = read_result_file(path)
    wanted = [
        r
        for r in file.results
        if (not names or r.machine in names or r.name_of_revision in names) and property in (None, r.property)
    ]
    if not wanted:
        if property is not None:
            raise _unknown(property, (r.property for r in file.results))
        raise BadInput(f"{path} has no results of {', '.join(names)}")
    file.results = wanted
    kept = {r.name_of_revision for r in wanted}
    file.revisions = [r for r in file.revisions if r.name_of_revision in kept]
    outs = open_outputs(paths, form)
    say(shown(file) if outs or form in (None, "text") else render(file, form))
    for out in outs:
        out.write(render(file, out.form))
    return exit_code(file).value


def _unknown(id: str, known: Iterable[str]) -> BadInput:
    every = sorted(set(known))
    return BadInput(f"no property is called {id!r}", did_you_mean(id, every) or "`accelspec list MACHINE` names them.")
