# SPDX-License-Identifier: Apache-2.0
"""habanalabs: historical bugs, put back into the machine, are found.

docs/machines/habanalabs-mutations.md says which, by which law, and in how many steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from accelspec.model.explore import explore
from accelspec.model.progress import progress
from accelspec.model.tests.habanalabs_bugs import BUGS, Counted
from accelspec.model.trace import Trace
from accelspec.spec.catalogue import MACHINES
from accelspec.spec.language import Machine, compile_machine
from accelspec.spec.language.specification import Specification

PAGE = Path(__file__).parents[2] / "docs" / "machines" / "habanalabs-mutations.md"
QUICK = {"B1", "B15", "B26", "M3", "M14", "V3"}
TWO_OPENS = {"Fd": 2, "File": 2, "FilePrivate": 2, "Context": 2, "Asid": 2}


@dataclass(frozen=True)
class Bug:
    """A line of the table."""

    machine: type[Machine]
    base: str
    law: str
    scope: str
    length: int

    def found_in(self, machine: type[Machine]) -> Trace | None:
        """The shortest trace that violates the law."""
        spec = compile_machine(machine)
        scope = scopes(spec)[self.scope]
        if self.law.startswith("habanalabs.P"):
            return next((v.trace for v in progress(spec, scope) if v.property == self.law), None)
        found = explore(spec, scope)
        assert found.complete
        return found.violated.get(self.law)


def scopes(spec: Specification) -> Mapping[str, Mapping[str, int]]:
    """Those of the revision, and one in which a second owner would find all that he needs."""
    nothing = dict.fromkeys((k.name for k in spec.kinds if not k.permanent and k.name not in TWO_OPENS), 0)
    return {"two contexts": {**nothing, **TWO_OPENS}, **spec.scopes}


def table() -> list[Bug]:
    """The lines of the page, with the machines that they speak of."""
    made = {m.__name__: m for m in BUGS}
    text = PAGE.read_text("utf-8").splitlines()
    lines = [[c.strip() for c in x.strip("|").split("|")] for x in text if x[:2] == "| "]
    head = ["id", "base", "the change", "violates", "scope", "length"]
    first = lines.index(head) + 1
    out = []
    for id, base, _, law, scope, length in lines[first:]:
        law = law if ":" in law else f"habanalabs.{law}"
        out.append(Bug(made[id], base, law, scope, int(length)))
    return out


TABLE = table()
EACH = [
    pytest.param(b, id=b.machine.__name__, marks=() if b.machine.__name__ in QUICK else pytest.mark.slow) for b in TABLE
]


def test_the_page_lists_them_all() -> None:
    assert [b.machine for b in TABLE] == list(BUGS)
    assert len(TABLE) >= 20


@pytest.mark.parametrize("bug", EACH)
def test_a_historical_bug_is_found(bug: Bug) -> None:
    base = {**MACHINES["habanalabs"], "c2-counted": Counted}[bug.base]
    assert issubclass(bug.machine, base)
    assert bug.found_in(base) is None
    trace = bug.found_in(bug.machine)
    assert trace is not None
    assert len(trace) == bug.length
