# SPDX-License-Identifier: Apache-2.0
"""A result file as plain text for a terminal or a log, 100 columns where words allow it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from accelspec.model.verdict import Status

from ..results import Campaign, Disagreement, Exploration, Finding, Judgement, Result, ResultFile, Revision, Step
from .traces import calls, lines
from .words import cell, number, phrase, plural, scope_text, seconds, summary, verdicts

WIDTH = 100
MOST = 8  # names in a list of lemmas


def report(file: ResultFile) -> str:
    """Every revision, then the matrix, then the summary."""
    parts = [section(file, r) for r in file.revisions]
    return "\n".join([*parts, closing(file)])


def closing(file: ResultFile) -> str:
    """What stands behind the revisions: the matrix, what did not run, the summary."""
    lines: list[str] = []
    if len(file.revisions) > 1 and file.results:
        lines += [matrix(file), ""]
    for failure in file.failures:
        lines += [f"internal error in {failure.task} of {failure.name_of_revision}: {failure.what}", ""]
    lines += [f"in the baseline, and not found any more: {gone}" for gone in file.gone]
    return "\n".join([*lines, summary(file), ""])


def section(file: ResultFile, revision: Revision) -> str:
    """One revision: counts, then what needs a reader's eye, in full; then the known violations, a line each."""
    of = (revision.machine, revision.revision)
    results = file.of(*of)
    laws = [r for r in results if not r.lemma]
    lines = [f"{revision.name_of_revision}   {revision.document}".rstrip()]
    if laws:
        lines += wrapped(f"{plural(len(laws), 'property', 'properties')}: {verdicts(laws)}", 2)
    if lemmas := [r for r in results if r.lemma]:
        lines += wrapped(f"{plural(len(lemmas), 'lemma')} and laws of the types: {verdicts(lemmas)}", 2)
    for e in (e for e in file.explorations if (e.machine, e.revision) == of):
        lines += wrapped(exploration(e), 2)
    for c in (c for c in file.campaigns if (c.machine, c.revision) == of):
        lines += campaign(c)
    for f in (f for f in file.findings if (f.machine, f.revision) == of):
        lines += finding(f)
    for d in (d for d in file.disagreements if (d.machine, d.revision) == of and not d.accepted):
        lines += disagreement(d)
    lines += [line for r in results if r.judgement in _IN_FULL for line in ("", *result_lines(r))]
    lines += _undecided([r for r in results if r.judgement is Judgement.UNDECIDED])
    known = [r for r in results if r.judgement is Judgement.AS_EXPECTED and r.verdict is Status.VIOLATED]
    if known:
        width = max(len(r.property) for r in known)
        lines += ["", "  violated, as the revision lists:"]
        lines += [_known_line(r, width) for r in known]
    return "\n".join(lines) + "\n"


def _undecided(results: Sequence[Result]) -> list[str]:
    """A line or two for each; the lemmas by their names."""
    lemmas = [r.property for r in results if r.lemma]
    laws = [r for r in results if not r.lemma]
    width = max((len(r.property) for r in laws), default=0)
    lines = ["", "  UNDECIDED:"] if results else []
    for r in laws:
        why = f"; {r.reason.splitlines()[0]}" if r.reason else ""
        lines += wrapped(f"{r.property:{width}}  {r.name}: {phrase(r)}{why}", 4)
    if lemmas:
        more = f" and {len(lemmas) - MOST} more" if len(lemmas) > MOST else ""
        lines += wrapped(f"{plural(len(lemmas), 'lemma')}: {', '.join(lemmas[:MOST])}{more}", 4)
    return lines


def exploration(e: Exploration) -> str:
    """One finite scope: how much of it was looked at."""
    where = f"{e.name!r}" if e.name else scope_text(e.scope)
    if e.depth < 0:
        return f"explored {where}: nothing, the budget ended ({seconds(e.elapsed)})"
    extent = f"all to depth {e.depth}" if e.complete else f"not all: the budget ended behind depth {e.depth}"
    states = f"{plural(e.states, 'state')}, {number(e.transitions)} transitions"
    return f"explored {where}: {states}, {extent} ({seconds(e.elapsed)})"


def _known_line(r: Result, width: int) -> str:
    rows = [s.row for s in r.trace or ()]
    last = f" ends at {rows[-1]}" if rows else ""
    if r.known and rows and r.known.row not in rows:  # of a deadlock one of the calls is listed, and it ends in another
        last += f", {'' if r.property == 'deadlock' else 'though '}listed at {r.known.row}"
    return f"    {r.property:{width}}  {plural(calls(r.trace), 'call'):8} {r.name}{last}"


_IN_FULL = (Judgement.NEW, Judgement.VANISHED)
_HEADINGS = {
    Judgement.NEW: "VIOLATED, and not listed as known",
    Judgement.VANISHED: "LISTED AS KNOWN, but not violated",
    Judgement.UNDECIDED: "UNDECIDED",
    Judgement.ACCEPTED: "accepted by the baseline",
    Judgement.AS_EXPECTED: "as expected",
}


def result_lines(r: Result) -> list[str]:
    """One result in full: the law, the verdict, the reason, the trace with the source of every row."""
    lines = [f"  {_HEADINGS[r.judgement]}: {r.property} {r.name}"]
    lines += wrapped(r.sentence, 4)
    lines += wrapped(r.source, 4)
    lines += _reasoned(f"{r.engine}: {phrase(r)}", r.reason, 4)
    if r.known:
        lines += wrapped(f"known at {r.known.row}: {r.known.why} {r.known.source}", 4)
    return [*lines, *trace(r.trace or (), 4), *endless(r, 4)]


def _reasoned(said: str, reason: str, indent: int) -> list[str]:
    """A verdict and its reason, whose further lines (a state) stay lines."""
    first, *rest = reason.splitlines() or [""]
    lines = wrapped(f"{said}; {first}" if first else said, indent)
    return lines + [line for r in rest for line in wrapped(r.strip(), indent + 4)]


def explanation(file: ResultFile) -> str:
    """One property in all revisions: the law, then each revision's verdict with trace and sources."""
    parts = []
    for law in dict.fromkeys(r.property for r in file.results):
        results = [r for r in file.results if r.property == law]
        first = results[0]
        lines = [f"{law}   {first.name}", *wrapped(first.sentence, 2)]
        lines += wrapped(f"{first.kind.value}, speaks about: {first.class_.value}", 2)
        lines += wrapped(first.source, 2)
        width = max(len(r.revision) for r in results)
        lines += ["", *(f"  {r.revision:{width}}  {phrase(r)}{_aside(r)}" for r in results)]
        for r in results:
            if r.trace or r.reason:
                lines += ["", f"  {r.name_of_revision}", *_reasoned(f"{r.engine}: {phrase(r)}", r.reason, 4)]
                if r.known:
                    lines += wrapped(f"known at {r.known.row}: {r.known.why} {r.known.source}", 4)
                lines += [*trace(r.trace or (), 4), *endless(r, 4)]
        parts.append("\n".join(lines))
    return "\n\n".join([*parts, summary(file)]) + "\n"


def _aside(r: Result) -> str:
    if r.judgement is Judgement.AS_EXPECTED:
        return ", as the revision lists" if r.verdict is Status.VIOLATED else ""
    return f"   <- {r.judgement.value}"


def trace(steps: Sequence[Step], indent: int) -> list[str]:
    """A trace, two lines a call: the call and what it answered; the row and its source."""
    out = []
    for n, line in enumerate(lines(steps), start=1):
        choice = f"   (environment: {', '.join(line.chosen)})" if line.chosen else ""
        out.append(" " * indent + f"{n:2}. {line}{choice}")
        out += wrapped(f"{line.last.row}  {line.last.source}", indent + 8)
    return out


def endless(r: Result, indent: int) -> list[str]:
    """How a run goes on that does not end."""
    if r.loop is None or r.trace is None:
        return []
    again = lines(r.trace[r.loop :])
    how = "for ever again: " + "; ".join(line.call for line in again) if again else "and nothing more happens"
    return wrapped(how, indent + 4)


def finding(f: Finding) -> list[str]:
    """One finding of lint."""
    return [f"  lint {f.severity}: {f.file}:{f.line}: {f.what}", *wrapped(f.remedy, 6)]


def disagreement(d: Disagreement) -> list[str]:
    """One disagreement, with its trace."""
    lines = ["", *wrapped(f"DISAGREEMENT between {' and '.join(d.parties)} about {d.about}", 2)]
    for line in d.what.splitlines():
        lines += wrapped(line, 4)
    lines += trace(d.trace or (), 4)
    return [*lines, f"    again: {d.again}"] if d.again else lines


def campaign(c: Campaign) -> list[str]:
    """One fuzz run."""
    taken = sum(1 for n in c.rows.values() if n)
    time = f" ({seconds(c.elapsed)})" if c.elapsed is not None else ""
    share = f"{100 * c.succeeded // c.steps} % succeeded" if c.steps else "none"
    text = (
        f"fuzzed {c.target}: {plural(c.steps, 'step')}, {share}, "
        f"{taken} of {plural(len(c.rows), 'row')} taken, seed {c.seed}{time}"
    )
    return wrapped(text, 2)


def matrix(file: ResultFile, *, lemmas: bool = False) -> str:
    """Revisions x properties, one block for each machine."""
    blocks = []
    for machine in dict.fromkeys(r.machine for r in file.results):
        rows = [r for r in file.results if r.machine == machine and (lemmas or not r.lemma)]
        revisions = list(dict.fromkeys(r.revision for r in rows))
        cells = {(r.property, r.revision): cell(r) for r in rows}
        laws = {r.property: r.name for r in rows}
        table = [[machine, *revisions, ""]]
        table += [[p, *(cells.get((p, v), "") for v in revisions), name] for p, name in sorted(laws.items())]
        blocks += [*headings(file, machine), "\n".join(columns(table)), *costs(file, machine)]
    legend = (
        "proved: for any number of objects   scope: every state of a finite scope   x n: violated in n calls\n"
        "!: not as the revision lists it   -: not applicable   ?: unknown, more time may tell (--time-budget)"
    )
    return "\n\n".join([*blocks, legend])


def headings(file: ResultFile, machine: str) -> list[str]:
    """What each revision is, in a sentence."""
    said = [r for r in file.revisions if r.machine == machine and r.sentence]
    width = max((len(r.revision) for r in said), default=0)
    lines = [line for r in said for line in _hanging(r.revision, width, f"{r.sentence} ({r.document})")]
    return ["\n".join([f"{machine}: what stands side by side", *lines])] if lines else []


def costs(file: ResultFile, machine: str) -> list[str]:
    """What each revision costs its users, question by question."""
    having = [r for r in file.revisions if r.machine == machine and r.costs]
    out = []
    for question in dict.fromkeys(q for r in having for q in r.costs):
        width = max(len(r.revision) for r in having)
        lines = [line for r in having if question in r.costs for line in _hanging(r.revision, width, r.costs[question])]
        out.append("\n".join([f"{machine}: {question}?", *lines]))
    return out


def _hanging(name: str, width: int, text: str) -> list[str]:
    first, *rest = textwrap.wrap(text, WIDTH - width - 4, break_long_words=False, break_on_hyphens=False)
    return [f"  {name:{width}}  {first}", *(" " * (width + 4) + line for line in rest)]


def columns(table: Sequence[Sequence[str]], gap: str = "  ") -> list[str]:
    """Cells in left-aligned columns."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [gap.join(f"{c:{w}}" for c, w in zip(row, widths, strict=True)).rstrip() for row in table]


def wrapped(text: str, indent: int) -> list[str]:
    """The text in lines of at most WIDTH columns, where words allow it."""
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + 2),
        break_long_words=False,
        break_on_hyphens=False,
    )


def coverage(rows: Iterable[tuple[str, int]]) -> list[str]:
    """Rows with how often each was taken, the rarest first."""
    return [f"  {number(n):>9}  {row}" for row, n in sorted(rows, key=lambda r: (r[1], r[0]))]
