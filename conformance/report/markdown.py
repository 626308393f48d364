# SPDX-License-Identifier: Apache-2.0
"""A result file as Markdown: for a job summary, a page of documentation, a mail."""

from __future__ import annotations

from accelspec.model.verdict import Status

from ..results import Judgement, Result, ResultFile, Step
from .traces import lines
from .words import cell, phrase, plural, scope_text, summary, verdicts


def document(file: ResultFile) -> str:
    """Summary, matrix, violations with their traces, disagreements, assumptions."""
    parts = ["# accelspec", summary(file)]
    parts += [_matrix(file, machine) for machine in dict.fromkeys(r.machine for r in file.results)]
    if troubles := [r for r in file.results if r.judgement is not Judgement.AS_EXPECTED]:
        parts += ["## Not as expected", *map(_result, troubles)]
    if file.disagreements:
        parts.append("## Disagreements")
        for d in file.disagreements:
            parts += [f"**{_escape(d.about)}** of {d.name_of_revision}: {_escape(d.what)}", _trace(d.trace or [])]
    if known := [
        r for r in file.results if r.judgement is Judgement.AS_EXPECTED and r.verdict is Status.VIOLATED and r.trace
    ]:
        parts += ["## Known violations", *map(_result, known)]
    if file.campaigns:
        parts += ["## Fuzzing", _campaigns(file)]
    if file.findings:
        rows = [
            f"- {f.severity}: `{f.file}:{f.line}`: {_escape(f.what)} {_escape(f.remedy)}".rstrip()
            for f in file.findings
        ]
        parts += ["## Lint", "\n".join(rows)]
    if file.assumptions:
        rows = [f"- {a.name_of_revision} `{a.operation}` requires `{a.text}`" for a in file.assumptions]
        parts += ["## Assumptions", "\n".join(rows)]
    return "\n\n".join(p for p in parts if p) + "\n"


def _matrix(file: ResultFile, machine: str) -> str:
    results = [r for r in file.results if r.machine == machine and not r.lemma]
    if not results:
        return ""
    revisions = list(dict.fromkeys(r.revision for r in results))
    by = {(r.property, r.revision): r for r in results}
    lines = [f"| {machine} | law | " + " | ".join(revisions) + " |", "|---" * (len(revisions) + 2) + "|"]
    for law, name in sorted({r.property: r.name for r in results}.items()):
        cells = [cell(by[law, v]) if (law, v) in by else "" for v in revisions]
        lines.append(f"| {law} | {_escape(name)} | " + " | ".join(cells) + " |")
    counts = [f"- {v}: {verdicts([r for r in results if r.revision == v])}" for v in revisions]
    return "\n".join([*lines, "", *counts, *_costs(file, machine)])


def _costs(file: ResultFile, machine: str) -> list[str]:
    """What each revision costs its users: questions x revisions."""
    having = [r for r in file.revisions if r.machine == machine and r.costs]
    if not having:
        return []
    questions = dict.fromkeys(q for r in having for q in r.costs)
    rows = [f"| {r.revision} | " + " | ".join(_escape(r.costs.get(q, "")) for q in questions) + " |" for r in having]
    return ["", "| what it costs | " + " | ".join(questions) + " |", "|---" * (len(questions) + 1) + "|", *rows]


def _result(r: Result) -> str:
    about = f"### {r.name_of_revision}: {r.property} {_escape(r.name)}"
    said = f"{r.engine}: {phrase(r)}" + (f" ({_escape(r.reason)})" if r.reason else "") + "."
    known = f"Known at `{r.known.row}`: {_escape(r.known.why)} {_escape(r.known.source)}" if r.known else ""
    scope = f"Scope: {scope_text(r.scope)}." if r.scope and r.trace else ""
    return "\n\n".join(p for p in (about, _escape(r.sentence), said, known, scope, _trace(r.trace or [])) if p)


def _trace(steps: list[Step]) -> str:
    return "\n".join(
        f"{n}. `{line}` `{line.last.row}` {_escape(line.last.source)}" for n, line in enumerate(lines(steps), start=1)
    )


def _campaigns(file: ResultFile) -> str:
    return "\n".join(
        f"- {c.name_of_revision}, {c.target}: {plural(c.steps, 'step')}, {c.succeeded} succeeded, "
        f"{sum(1 for n in c.rows.values() if n)} of {plural(len(c.rows), 'row')} taken, seed {c.seed}"
        for c in file.campaigns
    )


def _escape(text: str) -> str:
    for c in "\\`*_<>|":
        text = text.replace(c, "\\" + c)
    return text.replace("\n", " ")
