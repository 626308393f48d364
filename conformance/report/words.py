# SPDX-License-Identifier: Apache-2.0
"""The words that all reports use: a verdict in a cell, in a phrase, and a summary in a sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from accelspec.model.verdict import Status
from accelspec.spec.language.specification import Form

from ..judging import phrase as said
from ..judging import scope_text
from ..results import Judgement, Result, ResultFile
from .traces import calls

__all__ = ["cell", "counted", "number", "phrase", "plural", "scope_text", "seconds", "summary", "verdicts"]


def cell(r: Result) -> str:
    """A result in a few letters, for a matrix: `proved`, `scope`, `x 3` (violated in 3 calls), `-`, `?`."""
    mark = "!" if r.judgement in (Judgement.NEW, Judgement.VANISHED) else ""
    match r.verdict:
        case Status.PROVED if r.kind is Form.SOMETIMES:
            return "reached" + mark
        case Status.PROVED:
            return ("proved" if r.scope is None else "scope") + mark
        case Status.EXHAUSTED:
            return "scope" + mark
        case Status.HOLDS_TO:
            return f"depth {r.depth}"
        case Status.VIOLATED:
            return f"x {calls(r.trace)}" + mark
        case Status.VACUOUS:
            return "vacuous" + mark
        case Status.NOT_APPLICABLE:
            return "-"
        case Status.UNKNOWN:
            return "?"


def phrase(r: Result) -> str:
    """A verdict in words, with the length of its trace: "violated in 3 calls", "reached in 2 calls"."""
    if r.verdict is Status.VIOLATED:
        return f"violated in {plural(calls(r.trace), 'call')}"
    if r.kind is Form.SOMETIMES and r.verdict is Status.PROVED:
        return f"reached in {plural(calls(r.trace), 'call')}"
    return said(r)


def plural(n: int, word: str, words: str = "") -> str:
    """`1 state`, `2 states`, `3 properties`."""
    return f"{number(n)} {word if n == 1 else words or word + 's'}"


def number(n: int) -> str:
    """An integer with thin groups: `12 345`."""
    return f"{n:,}".replace(",", " ")


def seconds(s: float | None) -> str:
    """A time for people: `0.4 s`, `83 s`, `2 min 5 s`."""
    if s is None:
        return ""
    if s < 60:
        return f"{s:.1f} s" if s < 10 else f"{s:.0f} s"
    return f"{int(s) // 60} min {int(s) % 60} s"


def verdicts(results: Sequence[Result]) -> str:
    """How many results of which verdict: `30 proved for any number of objects, 5 violated as known`."""
    counts = Counter(_group(r) for r in results)
    return ", ".join(f"{counts[g]} {g}" for g in _GROUPS if counts[g])


_GROUPS = (
    "violated, not known",
    "known but no longer violated",
    "violated as known",
    "proved for any number of objects",
    "hold in a scope",
    "reached",
    "undecided",
    "accepted by the baseline",
    "not applicable",
    "left to run time",
)


def _group(r: Result) -> str:
    match r.judgement:
        case Judgement.NEW:
            return "violated, not known"
        case Judgement.VANISHED:
            return "known but no longer violated"
        case Judgement.UNDECIDED:
            return "undecided"
        case Judgement.ACCEPTED:
            return "accepted by the baseline"
        case Judgement.AS_EXPECTED:
            pass
    if r.verdict is Status.NOT_APPLICABLE:
        return "not applicable"
    if r.verdict.holds and r.kind is Form.SOMETIMES:
        return "reached"
    if r.verdict.holds:
        return "proved for any number of objects" if r.scope is None else "hold in a scope"
    return "left to run time" if r.expected is None else "violated as known"


def counted(file: ResultFile) -> list[tuple[int, str]]:
    """What a reader looks for first: how much of each kind of trouble there is."""
    disagreements = sum(not d.accepted for d in file.disagreements)
    lint = sum(f.severity == "error" for f in file.findings)
    return [
        (len(file.judged(Judgement.NEW)), "violated, not known"),
        (len(file.judged(Judgement.VANISHED)), "known but no longer violated"),
        (len(file.judged(Judgement.UNDECIDED)), "undecided"),
        (disagreements, "disagreement" if disagreements == 1 else "disagreements"),
        (len(file.gone), "in the baseline but gone"),
        (lint, "lint error" if lint == 1 else "lint errors"),
        (len(file.failures), "internal error" if len(file.failures) == 1 else "internal errors"),
    ]


def summary(file: ResultFile) -> str:
    """The run in one sentence."""
    trouble = [f"{n} {what}" for n, what in counted(file) if n]
    head = plural(len(file.revisions), "revision")
    if file.results:
        head += f", {plural(len(file.results), 'result')}"
    if steps := sum(c.steps for c in file.campaigns):
        head += f", {plural(steps, 'fuzz step')}"
    verdict = ", ".join(trouble) if trouble else "all as expected" if file.results or file.campaigns else "nothing run"
    time = f" ({seconds(file.elapsed)})" if file.elapsed is not None else ""
    return f"{head}: {verdict}{time}." + ("" if file.complete else " Interrupted: this is what was found so far.")
