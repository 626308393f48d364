# SPDX-License-Identifier: Apache-2.0
"""From the messages of many tasks to one result file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from accelspec.model.verdict import Status
from accelspec.model.views import Row, rows_by_id
from accelspec.spec.language.sources import deduced
from accelspec.spec.language.specification import Class, Form, Property, Specification
from accelspec.spec.language.terms import TRUE

from .baseline import NOTHING, Baseline
from .judging import Said, assumptions_of, disagreements, merge, revision_of
from .results import (
    Campaign,
    Disagreement,
    Exploration,
    Failure,
    Finding,
    Result,
    ResultFile,
    Revision,
    short,
)
from .tasks import Failed, Task
from .workers import Ended, Event


@dataclass
class Collector:
    """Takes events, and closes a revision when the last of its tasks has ended.

    `only` limits the results to some properties (ids); the engines may have looked at all of them.
    """

    specs: Mapping[str, Specification]  # by full name, in the order of the report
    tasks: Sequence[Task]
    file: ResultFile
    only: frozenset[str] | None = None
    explained: bool = True  # properties that no engine spoke about are results too
    accepted: Baseline = NOTHING
    _words: dict[str, dict[str, list[Said]]] = field(default_factory=dict)
    _open: dict[str, int] = field(default_factory=dict)
    _closed: dict[str, tuple[Revision, list[Result]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.specs:
            self._words[name] = {}
            self._open[name] = sum(t.name == name for t in self.tasks)

    def take(self, task: Task, event: Event) -> None:
        """One event."""
        match event:
            case Said(property=property):
                self._words[task.name].setdefault(property, []).append(event)
            case Exploration():
                self.file.explorations.append(event)
            case Finding():
                self.file.findings.append(event)
            case Campaign():
                self.file.campaigns.append(event)
            case Disagreement():
                self.file.disagreements.append(self.accepted.disagreement(event))
            case Failed(what=what, details=details):
                spec = self.specs[task.name]
                self.file.failures.append(
                    Failure(
                        machine=spec.machine,
                        revision=spec.revision,
                        task=task.engine.value,
                        what=what,
                        details=details,
                    )
                )
                self._end(task)
            case Ended():
                self._end(task)

    def _end(self, task: Task) -> None:
        self._open[task.name] -= 1
        if self._open[task.name] == 0:
            self._close(task.name)

    def closed(self, name: str) -> bool:
        """Have all tasks of that revision ended?"""
        return name in self._closed

    def first_violation(self, name: str, property: str) -> bool:
        """Has exactly one word so far shown a violation of the property?"""
        words = self._words[name].get(property, ())
        return sum(w.word.verdict is Status.VIOLATED for w in words) == 1

    def revision(self, name: str) -> Revision:
        """What the file says about a closed revision."""
        return self._closed[name][0]

    def finish(self) -> None:
        """Close what is still open, with what there is, and put everything into the order of the report."""
        for name in self.specs:
            if name not in self._closed:
                self._close(name)
        self.sort()
        self.file.gone = self.accepted.gone(self.file)

    def sort(self) -> None:
        """Revisions and results in the order in which the revisions were asked for, whatever ended first."""
        closed = [self._closed[name] for name in self.specs if name in self._closed]
        self.file.revisions = [revision for revision, _ in closed]
        self.file.results = [result for _, results in closed for result in results]
        order = {(s.machine, s.revision): n for n, s in enumerate(self.specs.values())}
        for part in (self.file.explorations, self.file.findings, self.file.campaigns, self.file.disagreements):
            part.sort(key=lambda x: order[x.machine, x.revision])

    def _close(self, name: str) -> None:
        spec, words = self.specs[name], self._words[name]
        results: list[Result] = []
        for law in laws(spec, words):
            if self.only is not None and law.id not in self.only:
                continue
            silent = self.explained and self.file.complete  # of an interrupted run silence says nothing
            if law.id in words or silent:
                results.append(self.accepted.result(merge(spec, law, words.get(law.id, ()))))
                found = disagreements(spec, law, words.get(law.id, ()))
                self.file.disagreements += map(self.accepted.disagreement, found)
        revision = revision_of(spec)
        traces = [r.trace for r in results]
        traces += [d.trace for d in self.file.disagreements if (d.machine, d.revision) == (spec.machine, spec.revision)]
        listed = [r.known.row for r in results if r.known]
        rows = _rows(spec, [*listed, *(s.row for t in traces for s in t or ())])
        self._closed[name] = (msgspec.structs.replace(revision, rows=rows), results)
        self.file.assumptions += assumptions_of(spec)


def laws(spec: Specification, words: Iterable[str]) -> list[Property]:
    """The properties of a specification, and those that only engines know: ranges, and checks without a method."""
    stated = {p.id: p for p in spec.properties}
    implied = [id for id in words if id not in stated]
    return [*stated.values(), *(_implied(spec, id) for id in implied)]


def _implied(spec: Specification, id: str) -> Property:
    what, _, where = id.partition(":")
    form, cls = Form.CHECK, Class.COUNT
    match what:
        case "range":
            name, sentence, why = "stays_in_range", f"{where} stays within its range.", "implied by the types"
        case "deadlock":
            form, cls = Form.EVENTUALLY, Class.PROGRESS
            name, sentence, why = "calls_can_end", "Every call in flight can always still end.", "steps wait for others"
        case _:
            name, sentence, why = "asserted", "", "an assert without a law of its own"
    return Property(id, name, form, cls, TRUE, sentence, deduced(why), spec.file, 0, lemma=what != "deadlock")


def _rows(spec: Specification, used: Iterable[str]) -> dict[str, Row]:
    rows = rows_by_id(spec)
    return {id: replace(rows[id], file=short(rows[id].file)) for id in dict.fromkeys(used) if id in rows}
