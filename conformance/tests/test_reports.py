# SPDX-License-Identifier: Apache-2.0
"""Reports of one result file: each format says everything that matters, and is what its readers expect."""

import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from typing import Any

import pytest
from junitparser import JUnitXml
from msgspec import structs

from accelspec.conformance.report import FORMATS, render
from accelspec.conformance.report.sequence import sequence_diagram
from accelspec.conformance.report.sources import link
from accelspec.conformance.report.text import explanation, matrix
from accelspec.conformance.report.traces import calls, lines
from accelspec.conformance.report.words import number, seconds
from accelspec.conformance.results import (
    Assumption,
    Campaign,
    Disagreement,
    Expected,
    Exploration,
    Failure,
    Finding,
    Judgement,
    Known,
    Result,
    ResultFile,
    Revision,
    Step,
)
from accelspec.model.verdict import Status
from accelspec.model.views import Row
from accelspec.spec.language.specification import Class, Form

READ = "[read] uacce_fops_open in linux 6.12.117 drivers/misc/uacce/uacce.c"


def step(op: str, result: str, row: str, call: str = "", actor: str = "process0", **more: Any) -> Step:
    return Step(actor, op, [actor, "fd0"], result, row, READ, call=call, file="queue.py", line=7, **more)


OPEN = [
    step("open", "...", "open.looked_up", "open0"),
    step("open at looked_up", "...", "open.allocated", "open0", "open0", fails=["bind"]),
    step("remove", "DONE", "remove.ok", actor="environment"),
    step("open at allocated", "OK", "open.ok", "open0", "open0"),
]


def result(revision: str, property: str, verdict: Status, judgement: Judgement, **more: Any) -> Result:
    return Result(
        machine="m", revision=revision, property=property, name="a_law", sentence="A <law> & more.", kind=Form.ALWAYS,
        class_=Class.STATE, verdict=verdict, expected=Expected.HOLDS, judgement=judgement, engine="engine", source=READ,
        **more,
    )  # fmt: skip


@pytest.fixture
def file() -> ResultFile:
    ok, new, undecided = Judgement.AS_EXPECTED, Judgement.NEW, Judgement.UNDECIDED
    scope = {"Fd": 2, "Queue": 1}
    known = Known("open.ok", "a race", READ)
    again = "accelspec replay x.replay.jsonl"
    return ResultFile(
        version="0",
        seed=3,
        elapsed=75.0,
        revisions=[
            Revision(machine="m", revision="1", document="doc", rows={
                "open.ok": Row("open.ok", "", ("p.fd is None",), "OK", ("x = 1",), READ, "", "queue.py", 7)}),
            Revision(machine="m", revision="2"),
        ],
        results=[
            result("1", "m.I02", Status.VIOLATED, new, trace=OPEN, scope=scope),
            result("1", "m.I01", Status.PROVED, ok),
            result("1", "m.I03", Status.UNKNOWN, undecided, reason="not inductive\nqueue0.state is INIT"),
            result("2", "m.I02", Status.VIOLATED, ok, trace=OPEN[2:], scope=scope, known=known),
            result("2", "m.I01", Status.EXHAUSTED, ok, scope=scope, reason="induction: not inductive"),
            result("2", "m.I03", Status.NOT_APPLICABLE, ok, reason="no sharing"),
        ],
        disagreements=[Disagreement(machine="m", revision="1", about="mmap.dead -> EINVAL", parties=["a", "b"],
                                    what="first line\n  second", trace=OPEN[:1], again=again)],
        findings=[Finding(machine="m", revision="1", severity="warning", file="q.py", line=3, what="never taken")],
        campaigns=[Campaign(machine="m", revision="1", target="reference", seed=3, steps=10, succeeded=6, runs=2,
                            rows={"open.ok": 4, "open.busy": 0}, seldom={"open.busy": "not reached"})],
        explorations=[Exploration(machine="m", revision="1", name="two", scope=scope, states=12345, transitions=7,
                                  depth=3, complete=False)],
        assumptions=[Assumption(machine="m", revision="1", operation="open", text="p.fd[n] is None")],
        failures=[Failure(machine="m", revision="2", task="prove", what="boom")],
    )  # fmt: skip


# ---------------------------------------------------------------------- traces


def test_the_steps_of_a_call_are_one_line_until_another_call_comes_between() -> None:
    folded = lines(OPEN)
    assert [str(line) for line in folded] == [
        "open(process0, fd0) while bind fails -> ...",
        "remove(environment, fd0) -> DONE",
        "open0 goes on, allocated -> OK",
    ]
    assert [len(line.steps) for line in folded] == [2, 1, 1]
    assert calls(OPEN) == 2


def test_a_call_made_at_the_same_time_says_so() -> None:
    both = [step("open", "OK", "open.ok"), step("remove", "DONE", "remove.ok", meanwhile=True)]
    assert [line.call for line in lines(both)] == ["open(process0, fd0)", "meanwhile remove(process0, fd0)"]
    assert "meanwhile remove(fd0)" in sequence_diagram(both, "")


def test_two_calls_of_one_operation_are_not_mixed() -> None:
    mixed = [step("open", "...", "open.a", "open1"), step("open at a", "OK", "open.ok", "open0", "open0")]
    assert len(lines(mixed)) == 2


def test_a_diagram_is_well_formed_and_has_every_call_and_answer() -> None:
    svg = sequence_diagram([*OPEN, step("close<&>", "OK", "close.ok")], "a <title>")
    root = ElementTree.fromstring(svg)
    text = [e.text for e in root.iter() if e.text]
    assert root.find("title") is not None
    for said in ("process0", "environment", "driver", "open(fd0)  bind fails", "OK  open.ok", "close<&>(fd0)"):
        assert said in text
    assert [e.get("class") for e in root.iter("g")] == ["step"] * 3 + ["step last"]


def test_nothing_in_a_diagram_reaches_beyond_it() -> None:
    root = ElementTree.fromstring(
        sequence_diagram([step("a_very_long_operation_name", "ETIMEDOUT", "a.very_long_row")] * 2, "")
    )
    width = float(root.attrib["width"])
    driver = max(float(line.attrib["x1"]) for line in root.iter("line"))
    for t in root.iter("text"):
        length = len(t.text or "") * 7.3
        left = float(t.attrib["x"]) - (length / 2 if t.get("text-anchor") == "middle" else 0)
        assert left >= 0
        assert left + length <= (width if left > driver or t.get("class") else driver)


# ---------------------------------------------------------------------- formats


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_has_what_was_found_and_is_the_same_again(file: ResultFile, form: str) -> None:
    made = render(file, form)
    assert made == render(file, form)
    for said in ("m.I02", "mmap.dead", "not inductive", "boom" if form != "markdown" else "m.I01"):
        assert said in made


def test_text_shows_new_violations_in_full_and_known_ones_in_a_line(file: ResultFile) -> None:
    text = render(file, "text")
    assert "VIOLATED, and not listed as known: m.I02 a_law" in text
    assert " 1. open(process0, fd0) while bind fails -> ..." in text
    assert "    m.I02  1 call   a_law ends at open.ok" in text
    assert "again: accelspec replay x.replay.jsonl" in text
    assert "12 345 states" in text
    trouble = "1 violated, not known, 1 undecided, 1 disagreement, 1 internal error"
    assert f"2 revisions, 6 results, 10 fuzz steps: {trouble} (1 min 15 s)." in text
    assert max(map(len, text.splitlines())) <= 130


def test_an_interrupted_run_says_so_everywhere(file: ResultFile) -> None:
    file.complete = False
    for form in ("text", "html", "junit", "markdown"):
        assert "nterrupted" in render(file, form)


def test_the_matrix_has_a_row_for_each_law_and_a_column_for_each_revision(file: ResultFile) -> None:
    table = [line.split() for line in matrix(file).splitlines()[:4]]
    assert table == [
        ["m", "1", "2"],
        ["m.I01", "proved", "scope", "a_law"],
        ["m.I02", "x", "2!", "x", "1", "a_law"],
        ["m.I03", "?", "-", "a_law"],
    ]


def test_an_explanation_has_the_law_every_verdict_and_the_sources(file: ResultFile) -> None:
    text = explanation(file)
    for said in ("A <law> & more.", "1  violated in 2 calls   <- new violation", "known at open.ok: a race", READ[:40]):
        assert said in text
    assert "    queue0.state is INIT" in text


def test_junit_is_read_by_others_and_fails_where_it_must(file: ResultFile) -> None:
    suites = JUnitXml.fromstring(render(file, "junit").encode())
    cases = {f"{suite.name} {case.name}": [type(r).__name__ for r in case.result] for suite in suites for case in suite}
    assert cases["m@1 m.I02 a_law"] == ["Failure"]
    assert cases["m@1 m.I03 a_law"] == ["Failure"]
    assert cases["m@1 m.I01 a_law"] == []
    assert cases["m@2 m.I02 a_law"] == []
    assert cases["m@2 m.I03 a_law"] == ["Skipped"]
    assert cases["m@1 mmap.dead -> EINVAL"] == ["Failure"]
    assert cases["m@2 prove"] == ["Error"]


def test_junit_survives_characters_that_xml_has_not(file: ResultFile) -> None:
    file.findings = [
        Finding(machine="m", revision="1", severity="error", file="q.py", line=1, what="\x00 \x1b[0m \ud800")
    ]
    JUnitXml.fromstring(render(file, "junit").encode())


class Page(HTMLParser):
    """What of a page matters here: balanced tags, anchors and links, and everything that would be loaded."""

    VOID = frozenset(("meta", "br", "wbr", "link", "img", "input", "hr"))

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loads: list[str] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.ids += [given["id"] or ""] if "id" in given else []
        self.links += [given["href"] or ""] if tag == "a" and "href" in given else []
        if tag in ("script", "link", "img", "iframe", "object") or "src" in given:
            self.loads.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_page_is_one_file_with_links_that_lead_somewhere(file: ResultFile) -> None:
    made = render(file, "html")
    page = Page(made)
    assert page.open == []
    assert page.loads == []
    assert "url(" not in made
    assert "@import" not in made
    assert len(set(page.ids)) == len(page.ids)
    inner = [link[1:] for link in page.links if link.startswith("#")]
    assert inner
    assert set(inner) <= set(page.ids)
    assert "https://elixir.bootlin.com/linux/v6.12.117/A/ident/uacce_fops_open" in page.links


def test_the_page_escapes_what_it_is_told(file: ResultFile) -> None:
    made = render(file, "html")
    assert "<law>" not in made
    assert "A &lt;law&gt; &amp; more." in made


def test_the_page_shows_rows_assumptions_and_extent(file: ResultFile) -> None:
    made = render(file, "html")
    for said in ("p.fd is None", "p.fd[n] is None", "not reached", "12 345", "not all of them", "no sharing"):
        assert said in made


# ---------------------------------------------------------------------- words


def test_numbers_and_times_for_people() -> None:
    assert [number(7), number(1234567)] == ["7", "1 234 567"]
    assert [seconds(0.44), seconds(12.3), seconds(59.9), seconds(125), seconds(None)] == [
        "0.4 s",
        "12 s",
        "60 s",
        "2 min 5 s",
        "",
    ]


@pytest.mark.parametrize(
    "source", ["[deduced] facts 6", "[read] printer_open in printer.c", "[stated] section 6 in docs/facts/uacce.md", ""]
)
def test_what_no_cross_reference_has_is_not_linked(source: str) -> None:
    assert link(source) == ""


@pytest.mark.parametrize("form", ["text", "markdown", "html"])
def test_what_a_revision_costs_stands_under_the_matrix(form: str, file: ResultFile) -> None:
    assert "who waits" not in render(file, form)
    file.revisions[0] = structs.replace(file.revisions[0], costs={"who waits": "whoever opens next [deduced] a test"})
    text = render(file, form)
    assert "who waits" in text
    assert "whoever opens next [deduced] a test" in text


@pytest.mark.parametrize("form", ["text", "html"])
def test_every_question_that_one_revision_answers_is_asked(form: str, file: ResultFile) -> None:
    first, second = file.revisions
    file.revisions[0] = structs.replace(first, costs={"who waits": "nobody [deduced] a test"})
    file.revisions[1] = structs.replace(second, costs={"who pays": "the next one [deduced] a test"})
    text = render(file, form)
    assert "who waits" in text
    assert "who pays" in text


@pytest.mark.parametrize("form", ["text", "html"])
def test_what_stands_side_by_side_says_what_it_is(form: str, file: ResultFile) -> None:
    file.revisions[0] = structs.replace(file.revisions[0], sentence="The first of its kind.")
    text = render(file, form)
    assert text.index("The first of its kind.") < text.index("proved: for" if form == "text" else 'class="matrix"')


def test_laws_of_the_types_stand_behind_the_others(file: ResultFile) -> None:
    file.results.insert(0, structs.replace(file.results[2], property="blank:Queue", lemma=True))
    text = render(file, "html")
    assert text.index("<th><code>m.I03") < text.index("<th><code>blank:Queue")
