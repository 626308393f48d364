# SPDX-License-Identifier: Apache-2.0
"""The documentation says what is so: its commands exist, its links lead somewhere, its example does what it says.

And the pages that are made from the specification are those that would be made now.
"""

from __future__ import annotations

import importlib.util
import re
import runpy
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import click
import pytest

from accelspec.conformance.command_line import COMMANDS, cli
from accelspec.conformance.loading import BadInput, select
from accelspec.conformance.report.changes_page import changes_page, neighbours, pair
from accelspec.conformance.report.machine_page import machine_page
from accelspec.conformance.targets import open_target
from accelspec.model.explore import explore
from accelspec.model.verdict import Status
from accelspec.model.views import decision_table
from accelspec.spec.catalogue import MACHINES
from accelspec.spec.language import compile_machine

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
EXAMPLE = DOCS / "examples" / "put_q_refuses.py"
DESIGN = DOCS / "examples" / "owner_token.py"
PAGES = sorted(p for p in [README, ROOT / "CHANGELOG.md", *DOCS.rglob("*.md")] if "facts" not in p.parts)

pytestmark = pytest.mark.skipif(not README.is_file(), reason="installed without the documentation")


# ---------------------------------------------------------------------- commands


def commands(text: str) -> list[str]:
    """What a page shows as a command: lines of code, and code within a line, that begin with `accelspec` or `make`."""
    lines = [m[1] for m in re.finditer(r"^    (?:\$ )?((?:accelspec|make) .*?)(?:\s{2,}#.*)?$", text, re.M)]
    within = re.findall(r"`((?:accelspec|make) [^`]+)`", text)
    return [c for c in [*lines, *within] if "..." not in c]


def mistake(command: str) -> str:
    """What is wrong with a command; empty if it exists with these options and these revisions."""
    name, *words = shlex.split(command)
    if name == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M)
        wrong = [w for w in words if "=" not in w and w not in targets]
        return f"make has no target {wrong[0]}" if wrong else ""
    if words and words[0].startswith("-"):
        return ""
    if words[0] not in COMMANDS:
        return f"there is no command {words[0]}"
    if len(words) == 1:  # the command as such is spoken of
        return ""
    command_ = cli.get_command(click.Context(cli), words[0])
    assert command_ is not None
    try:
        given = command_.make_context(words[0], words[1:]).params
    except click.UsageError as e:
        a_readers_own = "my/" in command and "does not exist" in e.format_message()
        return "" if a_readers_own else e.format_message()
    names = [given[k] for k in ("name", "a", "b") if given.get(k)] + list(given.get("names") or ())
    for n in names:
        if n not in ("MACHINE", "FILE.py", "proposal.py"):
            try:
                select([n.replace("docs/", f"{DOCS}/")])
            except BadInput as e:
                return e.what
    if str(given.get("target", "")).startswith("python:"):
        open_target(given["target"], "uacce", "6.12.117").close()
    return ""


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_that_are_shown_exist(page: Path) -> None:
    assert {c: m for c in commands(page.read_text()) if (m := mistake(c))} == {}


def test_the_readme_shows_every_main_command() -> None:
    shown = {shlex.split(c)[1] for c in commands(README.read_text()) if c.startswith("accelspec")}
    assert {"verify", "show", "explain", "fuzz", "list"} <= shown


@pytest.mark.parametrize(
    "wrong",
    [
        "make nothing",
        "accelspec verfy",
        "accelspec verify --no-such-option",
        "accelspec show uacce@9.9 open",
        "accelspec explain uacce.I33 docs/examples/nothing.py",
        "accelspec verify --jobs many",
    ],
)
def test_a_command_that_does_not_exist_is_found_out(wrong: str) -> None:
    assert commands(f"so:\n\n    {wrong}   # why\n") == [wrong]
    assert commands(f"say `{wrong}`") == [wrong]
    assert mistake(wrong)


# ---------------------------------------------------------------------- links


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as the usual renderers make them."""
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", h.replace("`", "").lower()).replace(" ", "-") for h in headings}


def broken(page: Path, text: str) -> Iterator[str]:
    """Links of a page that lead to no file, folder or heading."""
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" not in target:
            where, _, anchor = target.partition("#")
            there = page.parent / where if where else page
            if not there.exists() or (anchor and anchor not in anchors(text if there == page else there.read_text())):
                yield target


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert list(broken(page, page.read_text())) == []


def test_a_broken_link_is_found_out() -> None:
    text = (
        "# One two\n[a](nowhere.md) [b](#one-two) [c](#three) [d](docs/README.md#documentation) [e](docs/README.md#no)"
    )
    assert list(broken(README, text)) == ["nowhere.md", "#three", "docs/README.md#no"]


def test_every_page_is_in_the_index() -> None:
    index = (DOCS / "README.md").read_text()
    linked = {(DOCS / t).resolve() for t in re.findall(r"\]\(([^)#\s]+)\)", index)}
    pages = {p.resolve() for p in PAGES if DOCS in p.parents} - {DOCS / "README.md"}
    assert pages - linked == set()


# ---------------------------------------------------------------------- pages that are made


def tool(name: str = "machine_page") -> ModuleType:
    """A script that makes pages."""
    found = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.mark.parametrize("machine", MACHINES)
def test_the_page_of_a_machine_is_current(machine: str) -> None:
    made = machine_page(list(MACHINES[machine].values()), tool().head(machine))
    if (DOCS / "machines" / f"{machine}.md").read_text() != made:
        pytest.fail(
            f"docs/machines/{machine}.md is not what its specification says now: run tools/machine_page.py", False
        )


@pytest.mark.slow
@pytest.mark.parametrize("machine", MACHINES)
def test_the_page_of_what_users_see_is_current(machine: str) -> None:
    specs = [compile_machine(c) for c in MACHINES[machine].values()]
    made = changes_page(specs, tool("compare_page").head(machine))
    if (DOCS / "machines" / f"{machine}-changes.md").read_text() != made:
        pytest.fail(f"docs/machines/{machine}-changes.md is not what is found now: run tools/compare_page.py", False)


def test_one_pair_of_what_users_see_is_current() -> None:
    new, old = (compile_machine(MACHINES["ownership"][r]) for r in ("intended", "proposal"))
    assert "\n\n".join(pair(new, old)) in (DOCS / "machines" / "ownership-changes.md").read_text()


@pytest.mark.parametrize("machine", [machine for machine, revisions in MACHINES.items() if len(revisions) > 1])
def test_every_pair_of_neighbours_is_on_the_page(machine: str) -> None:
    text = (DOCS / "machines" / f"{machine}-changes.md").read_text()
    for new, old in neighbours([compile_machine(c) for c in MACHINES[machine].values()]):
        assert f"## `{new.revision}` and `{old.revision}`\n" in text


@pytest.mark.parametrize("machine", MACHINES)
def test_the_page_has_every_row_law_and_scope(machine: str) -> None:
    text = (DOCS / "machines" / f"{machine}.md").read_text()
    specs = [compile_machine(c) for c in MACHINES[machine].values()]
    base = specs[0]
    for op in base.operations():
        table = decision_table(base, op)
        begin = text.index(f"#### {table.signature}\n")
        section = text[begin : text.find("\n#", begin + 1)]
        assert [r.name for r in table.rows] == re.findall(r"^\| `([^`]+)` \|", section, re.M)
    for s in specs:
        assert f"| `{s.revision}` |" in text
        assert all(f"| {p.id} |" in text for p in s.properties if not p.lemma and not p.implied)
        assert all(f"| {name} |" in text for name in s.scopes)
        assert all(f"| {id} | `{v.row}` |" in text for id, v in s.known.items())


@pytest.mark.slow
def test_the_design_question_is_answered_with_what_the_explorer_says_now() -> None:
    tool = runpy.run_path(str(ROOT / "tools" / "design_page.py"))
    assert tool["page"]() == (DOCS / "design-question.md").read_text()


# ---------------------------------------------------------------------- expectations against lists


def expected_cells() -> dict[tuple[str, str], str]:
    """(law, revision) -> the cell of the matrix on the expectations page."""
    text = (DOCS / "machines" / "uacce-expectations.md").read_text()
    head = next(line for line in text.splitlines() if line.startswith("| id | name | class |"))
    revisions = [c.strip() for c in head.strip("|").split("|")][3:]
    found = {}
    for line in text.splitlines():
        if m := re.match(r"\| ([IL]\d\d) \|[^|]*\|[^|]*\|(.*)\|$", line):
            for r, cell in zip(revisions, m[2].split("|"), strict=True):
                found[m[1], r] = cell.strip()
    return found


def test_contradictions_between_expectations_and_lists_are_settled() -> None:
    settled = set()
    for line in (DOCS / "disagreements.md").read_text().splitlines():
        if m := re.match(r"\| U\d+ \| ([^|]+) \| ([^|]+) \|", line):
            settled |= {(law, r) for law in m[1].split(", ") for r in m[2].split(", ")}
    specs = {r: compile_machine(c) for r, c in MACHINES["uacce"].items()}
    cells = expected_cells()
    assert len(cells) > 200
    contradictions = set()
    for (law, r), cell in cells.items():
        s, id = specs[r], f"uacce.{law}"
        if not cell.startswith("r") and any(p.id == id for p in s.properties):
            listed = "x" if id in s.known else "-" if id in s.not_applicable else "H"
            if listed != cell and (cell, listed) != ("o", "-"):
                contradictions.add((law, r))
    assert contradictions - settled == set()


# ---------------------------------------------------------------------- the example

# Small enough for every test run; the README looks at a larger one.  Removal in several steps is left out.
SMALL = {
    **{"Fd": 2, "File": 2, "Queue": 2, "HwQueue": 1, "Qm": 0, "Waiter": 0, "Message": 0},
    **{"exec()": 0, "exit()": 0, "munmap()": 0, "munmap_tail()": 0, "remove()": 0},
}


def test_the_readme_shows_the_example_as_it_is() -> None:
    (shown,) = re.findall(r"```python\n(class PutQRefuses.*?)```", README.read_text(), re.S)
    assert shown in EXAMPLE.read_text()


def test_the_example_changes_one_operation() -> None:
    legacy = compile_machine(MACHINES["uacce"]["legacy"])
    naive, in_time = (e.compile() for e in select([str(EXAMPLE)]))
    assert set(naive.rows()) - set(legacy.rows()) == {"put_q.mapped"}
    assert set(in_time.rows()) - set(naive.rows()) == {"put_q.being_mapped"}
    assert [r.name for r in decision_table(in_time, "put_q").rows][-3:] == ["being_mapped", "mapped", "ok"]


@pytest.mark.parametrize(
    ("revision", "status"),
    [("put-q-refuses", Status.VIOLATED), ("put-q-refuses-in-time", Status.EXHAUSTED)],
)
def test_the_example_does_what_the_readme_says(revision: str, status: Status) -> None:
    (entry,) = select([f"{EXAMPLE}@{revision}"])
    found = {v.property: v for v in explore(entry.compile(), SMALL).verdicts}
    assert {id: found[id].status for id in ("uacce.I03", "uacce.I19", "uacce.I33")} == dict.fromkeys(
        ("uacce.I03", "uacce.I19", "uacce.I33"), status
    )


def test_a_design_of_a_few_lines_gets_its_column() -> None:
    """What docs/design-question.md says of it: three promises are mended, and one is broken for it."""
    (entry,) = select([str(DESIGN)])
    (d0,) = select(["dmabuf@D0"])
    spec = entry.compile()
    found = set(explore(spec, spec.scopes["resets, removal, killing"]).violated)
    before = set(d0.compile().known)
    assert before - found == {"dmabuf.I20", "dmabuf.I26", "dmabuf.I27"}
    assert found - before == {"dmabuf.P07"}
