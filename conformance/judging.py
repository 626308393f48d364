# SPDX-License-Identifier: Apache-2.0
"""From the words of several engines to one result a property, and to what the engines disagree about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import product

import msgspec

from accelspec.model.verdict import Status, Verdict
from accelspec.spec.language.specification import Class, Property, Specification

from .results import (
    Assumption,
    Disagreement,
    Expected,
    Known,
    Result,
    Revision,
    Step,
    Word,
    judge,
    short,
    steps_of,
    within,
    word_of,
)

# The strongest word first.  A violation has a trace, and outweighs everything.  That nothing can reach what a property
# speaks about outweighs a proof of it.
_STRONGEST = (
    Status.VIOLATED,
    Status.VACUOUS,
    Status.PROVED,
    Status.EXHAUSTED,
    Status.HOLDS_TO,
    Status.UNKNOWN,
    Status.NOT_APPLICABLE,
)


class Said(msgspec.Struct, frozen=True):
    """One engine's word about one property, as it crosses from a worker process."""

    property: str
    word: Word
    trace: list[Step] | None = None
    loop: int | None = None


def said(verdict: Verdict, scope_name: str = "") -> Said:
    """A verdict as it crosses from a worker process; `scope_name` is what the author calls its scope."""
    loop = verdict.trace.loop if verdict.trace is not None else None
    return Said(verdict.property, word_of(verdict, scope_name), steps_of(verdict.trace), loop)


def merge(spec: Specification, law: Property, words: Sequence[Said]) -> Result:
    """The result about one property: the strongest word, the shortest trace, and why no stronger word was found."""
    why_not = spec.not_applicable.get(law.id)
    ranked = _ranked(spec, law, words)
    best = ranked[0] if ranked else Said(law.id, Word("none", Status.UNKNOWN, reason="no engine spoke about it"))
    if why_not is not None:
        best = Said(law.id, Word("author", Status.NOT_APPLICABLE, reason=why_not))
    expected = _expected(spec, law, words)
    known = spec.known.get(law.id)
    return Result(
        machine=spec.machine,
        revision=spec.revision,
        property=law.id,
        name=law.name,
        sentence=law.sentence,
        kind=law.form,
        class_=law.cls,
        lemma=law.lemma,
        source=str(law.source),
        verdict=best.word.verdict,
        expected=expected,
        judgement=judge(expected, law.form, best.word.verdict),
        engine=best.word.engine,
        scope=best.word.scope,
        scope_name=best.word.scope_name,
        depth=best.word.depth,
        trace=best.trace,
        loop=best.loop,
        reason=_reason(best, ranked),
        known=Known(known.row, known.why, str(known.source)) if known else None,
        engines=_summed_up(words),
        elapsed=best.word.elapsed,
    )


def disagreements(spec: Specification, law: Property, words: Iterable[Said]) -> list[Disagreement]:
    """Pairs of engines of which one shows a violation that the other says there is not."""
    words = list(words)
    found = []
    for bad, good in product(words, words):
        if bad.word.verdict is Status.VIOLATED and bad.trace is not None and _denies(good.word, bad):
            shown = f"{bad.word.engine} shows a violation in {len(bad.trace)} steps"
            what = f"{shown}; {good.word.engine}: {phrase(good.word)}"
            found.append(
                Disagreement(
                    machine=spec.machine,
                    revision=spec.revision,
                    about=law.id,
                    parties=[bad.word.engine, good.word.engine],
                    what=what,
                    trace=bad.trace,
                )
            )
    return found


def phrase(word: Word | Result) -> str:
    """A verdict in words: "proved for any number of objects", "holds to depth 8 in Fd=2"."""
    named = word.scope_name or (scope_text(word.scope) if word.scope else "")
    where = f"in {named!r}" if word.scope_name else f"in {named}" if named else ""
    match word.verdict:
        case Status.PROVED:
            return f"proved {where}" if where else "proved for any number of objects"
        case Status.EXHAUSTED:
            return f"holds in every state {where}"
        case Status.HOLDS_TO:
            return f"holds to depth {word.depth} {where}"
        case other:
            return str(other.value).replace("_", " ")


def scope_text(scope: Mapping[str, int]) -> str:
    """A scope as `--scope` takes it, without the kinds of which there is one."""
    return ",".join(f"{kind}={n}" for kind, n in scope.items() if n != 1) or "one of each"


def revision_of(spec: Specification) -> Revision:
    """What a result file says about a revision, without its rows."""
    return Revision(
        machine=spec.machine,
        revision=spec.revision,
        sentence=spec.sentence,
        document=spec.document,
        operations=len(spec.operations()),
        all_rows=len(spec.rows()),
        costs={question: f"{c.answer} {c.source.in_document(spec.document)}" for question, c in spec.costs.items()},
    )


def assumptions_of(spec: Specification) -> list[Assumption]:
    """Every `require` of a revision, each once."""
    made = (
        Assumption(
            machine=spec.machine,
            revision=spec.revision,
            operation=a.operation,
            text=a.text,
            file=short(a.file),
            line=a.line,
        )
        for a in spec.assumptions
    )
    return list(dict.fromkeys(made))


def _expected(spec: Specification, law: Property, words: Sequence[Said]) -> Expected | None:
    if law.id in spec.not_applicable:
        return Expected.NOT_APPLICABLE
    if law.id in spec.known:
        return Expected.VIOLATED
    # No engine compares two runs: the law is stated, and held to at run time.
    undecidable = law.cls is Class.TWO_RUNS and all(w.word.verdict is Status.UNKNOWN for w in words)
    return None if undecidable else Expected.HOLDS


def _ranked(spec: Specification, law: Property, words: Sequence[Said]) -> list[Said]:
    """The words that count, the strongest first.

    `vacuous` does not where that only means that one scope was too small, or that this engine does not look there:
    locks are no rows, that no row asserts a law of the lock graph says nothing about it.  And a violation that is
    listed is not gone because one scope is too small for it, as long as another one was not looked at to its end.
    """
    explored = [w for w in words if w.word.engine.startswith("explore")]
    vacuous_everywhere = all(w.word.verdict is Status.VACUOUS for w in explored)
    elsewhere = law.cls in (Class.LOCK_GRAPH, Class.PROGRESS) and len(words) > len(explored)
    if not vacuous_everywhere or elsewhere:
        words = [w for w in words if w.word.verdict is not Status.VACUOUS]
    searched = [w for w in words if w.word.engine.startswith(("explore", "progress"))]
    ended_early = [w for w in searched if w.word.verdict in (Status.HOLDS_TO, Status.UNKNOWN)]
    if law.id in spec.known and ended_early:
        words = [w for w in words if w.word.verdict is not Status.EXHAUSTED]
    return sorted(words, key=_strength)


def _summed_up(words: Sequence[Said]) -> list[Word]:
    """Of each engine and verdict the strongest word: which scopes were explored stands elsewhere."""
    out: dict[tuple[str, Status], Said] = {}
    for w in sorted(words, key=_strength):
        out.setdefault((w.word.engine, w.word.verdict), w)
    return [w.word for w in out.values()]


def _strength(said: Said) -> tuple[int, int, int]:
    word = said.word
    length = len(said.trace) if said.trace is not None else 0
    return _STRONGEST.index(word.verdict), word.scope is not None, length - (word.depth or 0)


def _reason(best: Said, ranked: Sequence[Said]) -> str:
    """The reason of the word itself; for what holds in a scope only, why no other engine said more."""
    if best.word.reason or best.word.scope is None or not best.word.verdict.holds:
        return best.word.reason
    others = (
        w.word
        for w in ranked
        if w.word.verdict is Status.UNKNOWN and w.word.reason and w.word.engine != best.word.engine
    )
    return "; ".join(dict.fromkeys(f"{w.engine}: {w.reason}" for w in others))


def _denies(word: Word, bad: Said) -> bool:
    """Does the word say that there is no such trace?"""
    if not word.verdict.holds or not within(bad.word.scope, word.scope):
        return False
    return word.verdict is not Status.HOLDS_TO or len(bad.trace or ()) <= (word.depth or 0)
