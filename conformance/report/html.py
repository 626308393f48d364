# SPDX-License-Identifier: Apache-2.0
"""A result file as one HTML page that opens without a network."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from accelspec.model.verdict import Status
from accelspec.model.views import Row

from ..results import Disagreement, Judgement, Result, ResultFile, Revision, Step
from . import words
from .sequence import sequence_diagram
from .sources import link
from .traces import lines


@dataclass(frozen=True)
class Matrix:
    """The results of one machine: laws x revisions."""

    machine: str
    revisions: tuple[str, ...]
    laws: tuple[Result, ...]  # one of each law, for what all revisions have in common
    results: Mapping[tuple[str, str], Result]  # (property, revision)
    said: tuple[Revision, ...]  # what stands side by side, where it says of itself what it is
    costs: Mapping[str, Mapping[str, str]]  # question by question, and revision by revision

    @classmethod
    def of(cls, file: ResultFile, machine: str) -> Matrix:
        """The matrix of a machine; lemmas only where they are not as expected."""
        results = [
            r
            for r in file.results
            if r.machine == machine and (not r.lemma or r.judgement is not Judgement.AS_EXPECTED)
        ]
        laws = {r.property: r for r in reversed(results)}
        order = sorted(laws, key=lambda p: (laws[p].lemma, p))
        said = tuple(r for r in file.revisions if r.machine == machine)
        questions = dict.fromkeys(q for r in said for q in r.costs)
        return cls(
            machine,
            tuple(dict.fromkeys(r.revision for r in results)),
            tuple(laws[p] for p in order),
            {(r.property, r.revision): r for r in results},
            tuple(r for r in said if r.sentence),
            {q: {r.revision: r.costs[q] for r in said if q in r.costs} for q in questions},
        )


def page(file: ResultFile) -> str:
    """The page."""
    environment = Environment(
        loader=PackageLoader("accelspec.conformance.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {
        "anchor": anchor,
        "cell": words.cell,
        "tone": tone,
        "phrase": words.phrase,
        "number": words.number,
        "plural": words.plural,
        "seconds": words.seconds,
        "scope": words.scope_text,
        "verdicts": words.verdicts,
        "reason": first_line,
        "more": further_lines,
        "link": link,
        "code": code,
        "lines": lines,
    }
    rows = {(r.machine, r.revision): r.rows for r in file.revisions}

    def row(about: Result | Disagreement, step: Step) -> Row | None:
        return rows.get((about.machine, about.revision), {}).get(step.row)

    machines = list(dict.fromkeys(r.machine for r in file.results))
    made: str = environment.get_template("report.html").render(
        file=file,
        summary=words.summary(file),
        counted=[(n, what) for n, what in words.counted(file) if n],
        matrices=[Matrix.of(file, m) for m in machines],
        unexpected=[*file.judged(Judgement.NEW), *file.judged(Judgement.VANISHED)],
        undecided=file.judged(Judgement.UNDECIDED),
        violated=_by_law([r for r in file.results if r.trace and r.verdict is Status.VIOLATED]),
        in_scope=[
            r for r in file.results if r.verdict is Status.EXHAUSTED or (r.verdict.holds and r.scope and not r.trace)
        ],
        assumptions=_assumptions(file),
        diagram=lambda about, steps: Markup(sequence_diagram(steps, title(about))),
        row=row,
    )
    return made.lstrip()


def title(about: Result | Disagreement) -> str:
    """What a diagram shows."""
    what = f"{about.property} violated" if isinstance(about, Result) else f"disagreement about {about.about}"
    return f"{what} in {about.name_of_revision}"


def anchor(r: Result) -> str:
    """The place of a result on the page."""
    return re.sub(r"[^\w.-]", "-", f"{r.property}-{r.name_of_revision}")


def tone(r: Result) -> str:
    """The class that colours a result."""
    match r.judgement:
        case Judgement.NEW | Judgement.VANISHED:
            return "bad"
        case Judgement.UNDECIDED:
            return "open"
    match r.verdict:
        case Status.VIOLATED:
            return "known"
        case Status.VACUOUS:
            return "known"
        case Status.PROVED if r.scope is None:
            return "proved"
        case Status.PROVED | Status.EXHAUSTED | Status.HOLDS_TO:
            return "scoped"
    return "none"


def first_line(reason: str) -> str:
    """What a reason says, without the state behind it."""
    return reason.partition("\n")[0]


def further_lines(reason: str) -> str:
    """The state that a reason shows, line by line."""
    return "\n".join(line.strip() for line in reason.splitlines()[1:])


def code(text: str) -> Markup:
    """A name that may be broken behind its dots and underscores."""
    return Markup(re.sub(r"([._])", r"\1<wbr>", str(Markup.escape(text))))


def _by_law(results: list[Result]) -> dict[str, list[Result]]:
    out: dict[str, list[Result]] = {}
    for r in results:
        out.setdefault(r.property, []).append(r)
    return out


def _assumptions(file: ResultFile) -> list[tuple[str, str, str, list[str]]]:
    """Machine, operation, what it requires, and the revisions that do, empty where all of them do."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for a in file.assumptions:
        revisions = found.setdefault((a.machine, a.operation, a.text), [])
        if a.revision not in revisions:
            revisions.append(a.revision)
    every = Counter(r.machine for r in file.revisions)
    return [(m, op, text, [] if len(rs) == every[m] else rs) for (m, op, text), rs in found.items()]
