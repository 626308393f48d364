# SPDX-License-Identifier: Apache-2.0
"""Result files: the schema says what is written, a verdict is judged beside what was expected, words are merged."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from accelspec.conformance.judging import Said, disagreements, merge
from accelspec.conformance.loading import select_one
from accelspec.conformance.results import (
    SCHEMA_FILE,
    Campaign,
    Disagreement,
    Exit,
    Expected,
    Failure,
    Finding,
    Judgement,
    Result,
    ResultFile,
    Step,
    Word,
    decode,
    encode,
    exit_code,
    json_schema,
    judge,
)
from accelspec.model.verdict import Status
from accelspec.spec.language.specification import Class, Form, Property, Specification

PRINTER = str(Path(__file__).parent / "files" / "printer.py")
STEP = Step("process0", "start", ["process0"], "OK", "start.ok", "[read] printer_start")


@pytest.fixture
def first() -> Specification:
    return select_one(PRINTER + "@1", {}).compile()


def law(spec: Specification, id: str) -> Property:
    return next(p for p in spec.properties if p.id == id)


def proved(id: str, scope: dict[str, int] | None = None) -> Said:
    return Said(id, Word("induction", Status.PROVED, scope, elapsed=1.0))


def exhausted(id: str, scope: dict[str, int], status: Status = Status.EXHAUSTED, depth: int | None = None) -> Said:
    return Said(id, Word("explore", status, scope, depth, elapsed=2.0))


def violated(id: str, scope: dict[str, int], steps: int, engine: str = "explore") -> Said:
    return Said(id, Word(engine, Status.VIOLATED, scope, elapsed=2.0), [STEP] * steps)


def file_with(*results: Result, **more: Any) -> ResultFile:
    return ResultFile(version="0", results=list(results), **more)


def result(judgement: Judgement = Judgement.AS_EXPECTED, verdict: Status = Status.PROVED, **more: Any) -> Result:
    return Result(
        machine="m", revision="1", property="m.I01", name="a_law", kind=Form.ALWAYS, class_=Class.STATE,
        verdict=verdict, expected=Expected.HOLDS, judgement=judgement, engine="e", **more,
    )  # fmt: skip


# ---------------------------------------------------------------------- the file


def test_the_published_schema_is_the_one_that_the_code_writes() -> None:
    assert json.loads(SCHEMA_FILE.read_text()) == json_schema()


def test_a_file_fulfils_its_schema_and_comes_back_the_same(first: Specification) -> None:
    merged = merge(first, law(first, "printer.P01"), [violated("printer.P01", {"Job": 1}, 3)])
    file = file_with(
        merged,
        seed=7,
        campaigns=[Campaign(machine="m", revision="1", target="reference", seed=7, steps=9, succeeded=5)],
        findings=[Finding(machine="m", revision="1", severity="error", file="f.py", line=3, what="dead row")],
    )
    text = encode(file)
    jsonschema.validate(json.loads(text), json_schema())
    assert decode(text) == file
    row = json.loads(text)["results"][0]
    asked = [
        "machine",
        "revision",
        "property",
        "name",
        "kind",
        "class",
        "verdict",
        "expected",
        "engine",
        "scope",
        "trace",
        "elapsed",
    ]
    assert set(asked) <= set(row)
    assert (row["kind"], row["class"], row["expected"], row["verdict"]) == ("check", "state", "violated", "violated")
    assert {"actor", "op", "args", "result", "row", "source"} <= set(row["trace"][0])


def test_the_schema_refuses_what_is_none() -> None:
    good = json.loads(encode(file_with(result())))
    for path, bad in (("schema", "accelspec.result/2"), ("version", 3), ("results", [{"machine": "m"}])):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(good | {path: bad}, json_schema())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "not complete JSON"),
        (b'{"schema": "accelspec.result/1", "ver', "not complete JSON"),
        (b"[]", "its schema is None"),
        (b'{"schema": "accelspec.result/9"}', "accelspec.result/9"),
        (b'{"schema": "accelspec.result/1"}', "version"),
    ],
)
def test_what_is_no_result_file_is_refused_with_the_reason(text: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        decode(text)


# ---------------------------------------------------------------------- judging


@pytest.mark.parametrize(
    ("expected", "form", "verdict", "judgement"),
    [
        (Expected.HOLDS, Form.ALWAYS, Status.PROVED, Judgement.AS_EXPECTED),
        (Expected.HOLDS, Form.ALWAYS, Status.EXHAUSTED, Judgement.AS_EXPECTED),
        (Expected.HOLDS, Form.ALWAYS, Status.VIOLATED, Judgement.NEW),
        (Expected.HOLDS, Form.ALWAYS, Status.HOLDS_TO, Judgement.UNDECIDED),
        (Expected.HOLDS, Form.ALWAYS, Status.UNKNOWN, Judgement.UNDECIDED),
        (Expected.HOLDS, Form.ALWAYS, Status.VACUOUS, Judgement.UNDECIDED),
        (Expected.HOLDS, Form.SOMETIMES, Status.VACUOUS, Judgement.NEW),
        (Expected.VIOLATED, Form.ALWAYS, Status.VIOLATED, Judgement.AS_EXPECTED),
        (Expected.VIOLATED, Form.SOMETIMES, Status.VACUOUS, Judgement.AS_EXPECTED),
        (Expected.VIOLATED, Form.ALWAYS, Status.PROVED, Judgement.VANISHED),
        (Expected.VIOLATED, Form.ALWAYS, Status.EXHAUSTED, Judgement.VANISHED),
        (Expected.VIOLATED, Form.ALWAYS, Status.UNKNOWN, Judgement.UNDECIDED),
        (Expected.VIOLATED, Form.ALWAYS, Status.HOLDS_TO, Judgement.UNDECIDED),
        (Expected.NOT_APPLICABLE, Form.ALWAYS, Status.NOT_APPLICABLE, Judgement.AS_EXPECTED),
        (None, Form.ALWAYS, Status.UNKNOWN, Judgement.AS_EXPECTED),
    ],
)
def test_judgement(expected: Expected | None, form: Form, verdict: Status, judgement: Judgement) -> None:
    assert judge(expected, form, verdict) is judgement


def test_exit_codes_and_which_wins() -> None:
    new, undecided = result(Judgement.NEW), result(Judgement.UNDECIDED)
    disagreement = Disagreement(machine="m", revision="1", about="m.I01", parties=["a", "b"], what="no")
    lint = Finding(machine="m", revision="1", severity="error", file="f", line=1, what="dead")
    failure = Failure(machine="m", revision="1", task="prove", what="boom")
    assert exit_code(file_with()) is Exit.NOTHING_RUN
    assert exit_code(file_with(result())) is Exit.AS_EXPECTED
    assert exit_code(file_with(undecided, result())) is Exit.UNDECIDED
    assert exit_code(file_with(undecided, new)) is Exit.FINDING
    assert exit_code(file_with(result(Judgement.VANISHED))) is Exit.FINDING
    assert exit_code(file_with(result(), disagreements=[disagreement])) is Exit.FINDING
    assert exit_code(file_with(result(), findings=[lint])) is Exit.FINDING
    assert (
        exit_code(file_with(result(), findings=[msgspec.structs.replace(lint, severity="warning")])) is Exit.AS_EXPECTED
    )
    assert exit_code(file_with(new, failures=[failure])) is Exit.INTERNAL
    assert exit_code(file_with(new, complete=False)) is Exit.INTERRUPTED
    campaign = Campaign(machine="m", revision="1", target="t", seed=1, steps=1, succeeded=1)
    assert exit_code(file_with(campaigns=[campaign])) is Exit.AS_EXPECTED


# ---------------------------------------------------------------------- merging


def test_the_strongest_word_wins_and_its_reason_is_why_no_engine_said_more(first: Specification) -> None:
    p = law(first, "printer.P03")
    scope = {"Job": 2}
    unknown = Said(p.id, Word("induction", Status.UNKNOWN, reason="not inductive"))
    merged = merge(first, p, [unknown, exhausted(p.id, scope, Status.HOLDS_TO, 4), exhausted(p.id, scope)])
    assert (merged.verdict, merged.scope, merged.engine) == (Status.EXHAUSTED, scope, "explore")
    assert merged.reason == "induction: not inductive"
    assert merge(first, p, [exhausted(p.id, scope), proved(p.id)]).verdict is Status.PROVED
    assert merge(first, p, [proved(p.id, scope={"Job": 1}), proved(p.id)]).scope is None
    vacuous = Said(p.id, Word("explore", Status.VACUOUS, scope, reason="never taken"))
    assert merge(first, p, [proved(p.id), vacuous]).verdict is Status.VACUOUS


def test_vacuous_in_one_scope_is_not_vacuous(first: Specification) -> None:
    p = law(first, "printer.P03")
    vacuous = exhausted(p.id, {"Job": 1}, Status.VACUOUS)
    reached = Said(p.id, Word("explore", Status.PROVED, {"Job": 2}), [STEP])
    assert merge(first, p, [vacuous, reached]).verdict is Status.PROVED
    unknown = exhausted(p.id, {"Job": 2}, Status.UNKNOWN)
    assert merge(first, p, [vacuous, unknown]).judgement is Judgement.UNDECIDED
    assert merge(first, p, [vacuous]).judgement is Judgement.NEW


def test_a_known_violation_is_not_gone_while_a_scope_is_not_looked_at_to_its_end(first: Specification) -> None:
    p = law(first, "printer.P01")
    small = exhausted(p.id, {"Job": 1})
    early = exhausted(p.id, {"Job": 2}, Status.HOLDS_TO, 3)
    assert merge(first, p, [small]).judgement is Judgement.VANISHED
    assert merge(first, p, [small, early]).judgement is Judgement.UNDECIDED
    assert merge(first, p, [small, early, proved(p.id)]).judgement is Judgement.VANISHED
    progress = Word("progress:numpy", Status.UNKNOWN, {"Job": 2}, reason="out of budget")
    assert merge(first, p, [small, Said(p.id, progress)]).judgement is Judgement.UNDECIDED


def test_a_law_of_the_lock_graph_is_not_vacuous_because_no_row_asserts_it(first: Specification) -> None:
    p = replace(law(first, "printer.P01"), cls=Class.LOCK_GRAPH)
    vacuous = exhausted(p.id, {"Job": 1}, Status.VACUOUS)
    cycle = Said(p.id, Word("progress", Status.VIOLATED, {"Job": 1}), [STEP])
    assert merge(first, p, [vacuous, cycle]).verdict is Status.VIOLATED
    assert merge(first, p, [vacuous, Said(p.id, Word("progress", Status.PROVED))]).verdict is Status.PROVED


def test_the_shortest_trace_wins(first: Specification) -> None:
    p = law(first, "printer.P01")
    words = [violated(p.id, {"Job": 2}, 5, "bounded"), violated(p.id, {"Job": 2}, 3), proved(p.id)]
    merged = merge(first, p, words)
    assert (merged.engine, len(merged.trace or ()), merged.judgement) == ("explore", 3, Judgement.AS_EXPECTED)
    assert merged.known is not None
    assert merged.known.row == "start.ok"


def test_no_word_is_undecided_and_not_applicable_needs_none(first: Specification) -> None:
    p = law(first, "printer.P03")
    assert merge(first, p, []).judgement is Judgement.UNDECIDED
    other = replace(first, not_applicable={p.id: "it has no paper"})
    merged = merge(other, p, [])
    assert (merged.verdict, merged.judgement) == (Status.NOT_APPLICABLE, Judgement.AS_EXPECTED)
    assert merged.reason == "it has no paper"


def test_engines_disagree_only_about_the_same_runs(first: Specification) -> None:
    p = law(first, "printer.P02")

    def found(*words: Said) -> list[list[str]]:
        return [d.parties for d in disagreements(first, p, words)]

    bad = violated(p.id, {"Job": 2}, 3)
    assert found(bad, proved(p.id)) == [["explore", "induction"]]
    assert found(bad, exhausted(p.id, {"Job": 2, "Tray": 1})) == [["explore", "explore"]]
    assert found(bad, exhausted(p.id, {"Job": 1})) == []
    assert found(bad, exhausted(p.id, {"Job": 2}, Status.HOLDS_TO, 3)) != []
    assert found(bad, exhausted(p.id, {"Job": 2}, Status.HOLDS_TO, 2)) == []
    assert found(bad, exhausted(p.id, {"Job": 2}, Status.UNKNOWN)) == []
