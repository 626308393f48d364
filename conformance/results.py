# SPDX-License-Identifier: Apache-2.0
"""The result of a run as data: one `Result` per property of a revision, in one versioned `ResultFile`.

Everything that is shown (terminal, HTML, JUnit, Markdown) is made from a `ResultFile` and from nothing else, so a file
written yesterday can be rendered today.  `result.schema.json` beside this module is its published JSON schema.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct, field

from accelspec.model.trace import Move, Trace, value_name
from accelspec.model.verdict import Status, Verdict
from accelspec.model.views import Row
from accelspec.spec.language.specification import Class, Form, Role
from accelspec.spec.language.terms import Kind

SCHEMA = "accelspec.result/1"
SCHEMA_FILE = Path(__file__).with_name("result.schema.json")


class Expected(Enum):
    """What the revision's author wrote down about a property before any engine ran."""

    HOLDS = "holds"
    VIOLATED = "violated"
    NOT_APPLICABLE = "not_applicable"


class Judgement(Enum):
    """What a verdict means beside what was expected."""

    AS_EXPECTED = "as expected"
    NEW = "new violation"  # violated, and the revision does not list it as known
    VANISHED = "no longer violated"  # listed as known, but it holds
    UNDECIDED = "undecided"  # unknown, vacuous, or only up to a depth
    ACCEPTED = "accepted"  # one of those three, but the baseline has it too


class Step(Struct, frozen=True):
    """One line of a trace."""

    actor: str
    op: str
    args: list[str]
    result: Annotated[str, Meta(description="errno name or named outcome; ... where the call goes on")]
    row: Annotated[str, Meta(description="operation.row")]
    source: str
    fails: Annotated[list[str], Meta(description="what was made to fail")] = []
    chosen: Annotated[list[str], Meta(description="what the environment chose")] = []
    call: Annotated[str, Meta(description="which call in flight, of an operation with several steps")] = ""
    file: str = ""
    line: int = 0
    meanwhile: Annotated[bool, Meta(description="made at the same time as the call before it")] = False


class Word(Struct, frozen=True):
    """One engine's word on a property."""

    engine: str
    verdict: Status
    scope: Annotated[dict[str, int] | None, Meta(description="kind -> how many; null: any number")] = None
    depth: int | None = None
    reason: str = ""
    elapsed: Annotated[float | None, Meta(description="seconds, for all properties together")] = None
    scope_name: Annotated[str, Meta(description="the author's name of the scope")] = ""


class Known(Struct, frozen=True):
    """A violation that the revision lists."""

    row: str
    why: str
    source: str


class OfRevision(Struct, frozen=True, kw_only=True):
    """Anything that is said about one revision of one machine."""

    machine: str
    revision: str

    @property
    def name_of_revision(self) -> str:
        """The revision's full name: `uacce@6.12.117`."""
        return f"{self.machine}@{self.revision}"


class Result(OfRevision, frozen=True, kw_only=True):
    """What all engines together found out about one property of one revision."""

    property: Annotated[str, Meta(description="qualified id, such as uacce.I05")]
    name: str
    sentence: str = ""
    kind: Annotated[Form, Meta(description="when the property must hold")]
    class_: Annotated[Class, Meta(description="what the property speaks about")] = field(name="class")
    lemma: Annotated[bool, Meta(description="there because a proof needs it, or implied by the types")] = False
    source: str = ""
    verdict: Status
    expected: Expected | None
    judgement: Judgement
    engine: str
    scope: Annotated[dict[str, int] | None, Meta(description="kind -> how many; null: any number")] = None
    scope_name: Annotated[str, Meta(description="the author's name of the scope")] = ""
    depth: int | None = None
    trace: list[Step] | None = None
    loop: Annotated[int | None, Meta(description="an endless run: its steps from this one on (from 0) repeat")] = None
    reason: str = ""
    known: Known | None = None
    engines: list[Word] = []
    elapsed: Annotated[float | None, Meta(description="seconds that the engine worked, on all properties together")] = (
        None
    )


class Disagreement(OfRevision, frozen=True, kw_only=True):
    """Two parts that should say the same and do not: two engines, or a target and the specification."""

    about: Annotated[str, Meta(description="the property or row they disagree about")]
    parties: list[str]
    what: str
    trace: list[Step] | None = None
    replay: Annotated[str, Meta(description="path of a replay file")] = ""
    again: Annotated[str, Meta(description="the command that shows it again")] = ""
    accepted: Annotated[bool, Meta(description="the baseline has it too")] = False


class Finding(OfRevision, frozen=True, kw_only=True):
    """Something that lint objects to in a specification."""

    severity: str
    file: str
    line: int
    what: str
    remedy: str = ""


class Campaign(OfRevision, frozen=True, kw_only=True):
    """A fuzz run of a target against a revision."""

    target: str
    seed: int | None
    steps: int
    succeeded: Annotated[int, Meta(description="steps whose call succeeded")]
    runs: int = 0
    rows: Annotated[dict[str, int], Meta(description="row -> how often it was taken; 0 where never")] = {}
    seldom: Annotated[dict[str, str], Meta(description="rows that were taken seldom or never -> why")] = {}
    vanished: Annotated[list[str], Meta(description="accepted deviations that had the occasion and were not seen")] = []
    complete: Annotated[bool, Meta(description="false: its budget ended it before its steps were done")] = True
    elapsed: float | None = None


class Exploration(OfRevision, frozen=True, kw_only=True):
    """How much of a finite scope the explorer looked at."""

    name: Annotated[str, Meta(description="the author's name of the scope")] = ""
    scope: dict[str, int]
    states: int
    transitions: int
    depth: int
    complete: bool
    elapsed: float | None = None


class Assumption(OfRevision, frozen=True, kw_only=True):
    """A `require`: what the specification takes for granted about a call."""

    operation: str
    text: str
    file: str = ""
    line: int = 0


class Revision(OfRevision, frozen=True, kw_only=True):
    """A revision that was looked at, with the rows that its traces used."""

    sentence: str = ""
    document: str = ""
    operations: int = 0
    all_rows: int = 0
    costs: dict[str, str] = {}
    rows: dict[str, Row] = {}


class Failure(OfRevision, frozen=True, kw_only=True):
    """An engine that ended with an internal error instead of a verdict."""

    task: str
    what: str
    details: str = ""


class ResultFile(Struct, kw_only=True):
    """Everything that one run found out."""

    schema: str = SCHEMA
    version: Annotated[str, Meta(description="of accelspec")]
    command: str = ""
    started: Annotated[str, Meta(description="date and time, ISO 8601")] = ""
    seed: int | None = None
    complete: Annotated[bool, Meta(description="false: interrupted; what was found so far")] = True
    elapsed: Annotated[float | None, Meta(description="seconds")] = None
    results: list[Result] = []
    disagreements: list[Disagreement] = []
    findings: list[Finding] = []
    campaigns: list[Campaign] = []
    explorations: list[Exploration] = []
    assumptions: list[Assumption] = []
    revisions: list[Revision] = []
    failures: list[Failure] = []
    gone: Annotated[list[str], Meta(description="what the baseline has and this run did not find")] = []

    def judged(self, judgement: Judgement) -> list[Result]:
        """The results of one judgement, in order."""
        return [r for r in self.results if r.judgement is judgement]

    def of(self, machine: str, revision: str) -> list[Result]:
        """The results of one revision, in order."""
        return [r for r in self.results if (r.machine, r.revision) == (machine, revision)]


class Exit(Enum):
    """The command's exit codes."""

    AS_EXPECTED = 0
    FINDING = 1  # a new violation, a known one that is gone, a disagreement, an error of lint
    USAGE = 2  # usage or specification error
    INTERNAL = 3
    UNDECIDED = 4  # a proof or an exhaustive search ended unknown or out of budget
    NOTHING_RUN = 5
    INTERRUPTED = 130


def exit_code(file: ResultFile) -> Exit:
    """The exit code of a run; the gravest wins: interrupted, internal, finding, undecided, nothing run.

    >>> exit_code(ResultFile(version="0"))
    <Exit.NOTHING_RUN: 5>
    """
    if not file.complete:
        return Exit.INTERRUPTED
    if file.failures:
        return Exit.INTERNAL
    judgements = {r.judgement for r in file.results}
    lint = any(f.severity == "error" for f in file.findings)
    disagreement = any(not d.accepted for d in file.disagreements)
    if judgements & {Judgement.NEW, Judgement.VANISHED} or disagreement or lint or file.gone:
        return Exit.FINDING
    if Judgement.UNDECIDED in judgements:
        return Exit.UNDECIDED
    ran = file.results or file.campaigns or file.explorations
    return Exit.AS_EXPECTED if ran else Exit.NOTHING_RUN


def judge(expected: Expected | None, form: Form, verdict: Status) -> Judgement:
    """A verdict beside what was expected.

    A `sometimes` that nothing reaches has no trace to show: its verdict is `vacuous`, and that is its violation.

    >>> judge(Expected.HOLDS, Form.ALWAYS, Status.HOLDS_TO)
    <Judgement.UNDECIDED: 'undecided'>
    """
    if expected in (None, Expected.NOT_APPLICABLE):
        return Judgement.AS_EXPECTED
    violated = verdict is Status.VIOLATED or (form is Form.SOMETIMES and verdict is Status.VACUOUS)
    decided = violated or verdict in (Status.PROVED, Status.EXHAUSTED)
    if not decided:
        return Judgement.UNDECIDED
    if expected is Expected.HOLDS:
        return Judgement.NEW if violated else Judgement.AS_EXPECTED
    return Judgement.AS_EXPECTED if violated else Judgement.VANISHED


def steps_of(trace: Trace | None) -> list[Step] | None:
    """A trace as lines of text."""
    if trace is None:
        return None
    return [
        Step(
            s.actor,
            s.operation,
            _named(move, s.args),
            s.outcome,
            s.row,
            s.source,
            [*s.fails],
            [*s.chosen],
            _call(move, trace.scope),
            short(s.file),
            s.line,
        )
        for s, move in zip(trace.steps(), trace.moves, strict=True)
    ]


def _named(move: Move, args: Sequence[str]) -> list[str]:
    """The arguments; those that are no objects with their name, as `True` alone says nothing."""
    given = [p.var for p in move.case.given()]
    if len(given) != len(args):
        return [*args]
    return [a if isinstance(v.type, Kind) else f"{v.name.split('#')[0]}={a}" for v, a in zip(given, args, strict=True)]


def _call(move: Move, scope: Mapping[str, int]) -> str:
    """The call in flight that a move begins or goes on with."""
    for p, value in zip(move.case.params, move.values, strict=True):
        if p.role in (Role.NEW, Role.CALL) and isinstance(p.var.type, Kind) and p.var.type.is_call:
            return value_name(p.var.type, value, scope)
    return ""


def word_of(verdict: Verdict, scope_name: str = "") -> Word:
    """A verdict without its trace; `scope_name` is what the author calls its scope."""
    v, scope = verdict, dict(verdict.scope) if verdict.scope is not None else None
    return Word(v.engine, v.status, scope, v.depth, v.reason, v.elapsed, scope_name if scope else "")


def short(path: str) -> str:
    """A path as a reader wants it: from the root of the package or repository, or from the working folder."""
    root = Path(__file__).resolve().parents[1]
    p = Path(path)
    for base, prefix in ((root, "accelspec/" if root.name == "accelspec" else ""), (Path.cwd(), "")):
        if p.is_absolute() and p.resolve().is_relative_to(base):
            return prefix + p.resolve().relative_to(base).as_posix()
    return path


def within(inner: Mapping[str, int] | None, outer: Mapping[str, int] | None) -> bool:
    """Has every run of scope `inner` its like in `outer`?  None: any number of objects."""
    if outer is None or inner is None:
        return outer is None
    return all(n <= outer.get(kind, 0) for kind, n in inner.items())


def encode(file: ResultFile) -> bytes:
    """The file as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(file), indent=2) + b"\n"


def decode(text: bytes) -> ResultFile:
    """The file from JSON.

    Raises:
        ValueError: it is not JSON, or not a result file of this version; the message says where.
    """
    head: dict[str, Any] = {}
    try:
        loaded = json.loads(text)
        head = loaded if isinstance(loaded, dict) else {}
    except ValueError as e:
        raise ValueError(f"it is not complete JSON ({e})") from None
    if head.get("schema") != SCHEMA:
        raise ValueError(f"its schema is {head.get('schema')!r}, not {SCHEMA!r}")
    try:
        return msgspec.json.decode(text, type=ResultFile)
    except msgspec.ValidationError as e:
        raise ValueError(str(e)) from None


def json_schema() -> dict[str, Any]:
    """The published JSON schema of a result file."""
    made = msgspec.json.schema(ResultFile, ref_template="#/$defs/{name}")
    made["$defs"]["ResultFile"]["properties"]["schema"] = {"const": SCHEMA}
    made["$defs"]["ResultFile"].setdefault("required", []).append("schema")
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "The result of an accelspec run"}
    return head | made


def subjects(results: Iterable[Result]) -> list[tuple[str, str]]:
    """Machine and revision of all results, each once, in order."""
    return list(dict.fromkeys((r.machine, r.revision) for r in results))
