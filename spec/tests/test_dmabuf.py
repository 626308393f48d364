# SPDX-License-Identifier: Apache-2.0
"""dmabuf: what its machine says of itself is what was expected of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from accelspec.spec.catalogue import MACHINES
from accelspec.spec.dmabuf import D3b
from accelspec.spec.language import compile_machine

DMABUF = MACHINES["dmabuf"]
PAGE = Path(__file__).parents[2] / "docs" / "machines" / "dmabuf-expectations.md"


def expected() -> dict[str, dict[str, str]]:
    """Design -> law -> H, x or -, as the page's matrix has it."""
    lines = [[c.strip() for c in line.strip("| \n").split("|")] for line in PAGE.read_text().splitlines()]
    head = next(cells for cells in lines if cells[:2] == ["id", "name"] and "D0" in cells)
    rows = [c for c in lines if len(c) == len(head) and re.fullmatch(r"[IP]\d\d", c[0])]
    return {d: {f"dmabuf.{c[0]}": c[head.index(d)] for c in rows} for d in head[3:]}


EXPECTED = expected()


@pytest.mark.parametrize("design", EXPECTED)
def test_every_design_lists_the_violations_that_were_expected(design: str) -> None:
    spec = compile_machine(DMABUF[design])
    laws = {id: v for id, v in EXPECTED[design].items() if any(p.id == id for p in spec.properties)}
    assert {id for id, v in laws.items() if v == "x"} == set(spec.known)
    assert {id for id, v in laws.items() if v == "-"} == set(spec.not_applicable) - {"dmabuf.A01"}
    assert {v for id, v in EXPECTED[design].items() if id not in laws} <= {"r", "-"}


def test_the_names_of_the_laws_are_those_of_the_page() -> None:
    page = dict(re.findall(r"^\| ([IP]\d\d) \| (\w+)", PAGE.read_text(), re.M))
    names = {p.id.removeprefix("dmabuf."): p.name for p in compile_machine(D3b).properties if not p.lemma}
    assert {id: name for id, name in page.items() if id in names} == {
        id: name for id, name in names.items() if id in page
    }
    assert len(set(page) & set(names)) >= 34


def test_the_designs_are_those_of_the_page() -> None:
    assert {name for name, d in DMABUF.items() if not d.option} == set(EXPECTED)


def test_a_known_violation_names_a_row_and_says_why() -> None:
    for design in DMABUF.values():
        rows = compile_machine(design).rows()
        for v in vars(design).get("known", ()):
            assert v.row in rows
            assert len(v.why) > 10
