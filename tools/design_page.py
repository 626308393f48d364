#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write docs/design-question.md: the question of source 001, with verdicts and traces as the explorer finds them.

Run it again when spec/dmabuf/ has changed; a slow test compares the page with what it would write.
"""

from __future__ import annotations

import sys
from pathlib import Path

from accelspec.conformance.loading import select_one
from accelspec.conformance.report.traces import lines
from accelspec.conformance.results import steps_of
from accelspec.model.explore import explore
from accelspec.model.explore.explored import Explored
from accelspec.spec.catalogue import MACHINES
from accelspec.spec.language import Specification, compile_machine

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE = DOCS / "design-question.md"
EXAMPLE = DOCS / "examples" / "owner_token.py"
SCOPE = "resets, removal, killing"
DESIGNS = [name for name, c in MACHINES["dmabuf"].items() if not c.option]
LAWS = ("I20", "I26", "I27", "I15", "I16", "I28", "P07")

QUESTION = """# Revoke, exclusive ownership, deferred free, or nothing?

The question of September 2021 ([source 001](facts/dmabuf.md)): an accelerator exports its memory through dma-buf,
an importer such as an RDMA region cannot be made to let go, and so a buffer may outlive its owner. What should a
driver do? Made by `tools/design_page.py`: verdicts and traces are the explorer's, in the scope `{scope}`; prose,
costs and their sources are ours. `accelspec matrix dmabuf` shows all laws, and `accelspec prove dmabuf@intended`
proves the safety laws of `intended` for any number of processes, files, buffers and importers. What the machine
leaves out: [not modelled](not-modelled.md).

## The designs

{designs}

D0, D1 and D2a are said of two kinds of chip at once; why no verdict is bent by it stands in
[dmabuf-expectations](machines/dmabuf-expectations.md#two-kinds-of-chip-in-d0-d1-and-d2a).

## Which promise holds in which design

`H`: in every state of the scope. `x n`: broken in n calls. `-`: not applicable."""

ANSWER = """## The answer

**Nothing (D0) is not an option.** The next tenant's memory lies behind the mapping of the one before, and no later
step can mend that.

**Deferred free (D3t) answers another question.** Memory that is still mapped is not given on, and nobody waits for
a close. But who may compute, and who sees what is left in the memory, it does not say: it fits devices that are
shared anyway, and a holder that never lets go keeps memory for ever.

**Exclusive ownership (D1; D2a to D2c built it in effect) is safe across owners and not within one.** No memory
reaches the next owner. The price is P07: whoever holds a buffer holds the device, resets included, and the remedy
is to kill processes until it works. It does not help against a removal (I15), nor against a free under an export
where the driver does not count (I28 in D1 and D2a).

**A revoke must wait, and must know that it will not wait for ever (D3b).** A revoke that only tells (D3a) breaks
the same promises as nothing at all, a few calls later. One that waits is safe and gives the device back; its price
is that importers which cannot stop are refused, and in 2021 that was nearly all of RDMA.

**So: revoke whoever can be revoked, and let the others hold the ownership (`intended`).** That is D3b for every
importer that can stop, and D1's token for the rest, known to the exporter from the moment they attach. Nobody who
can be revoked makes anybody wait; who cannot keeps the next owner, a reset and a removal away, and only as long as
he is attached. Whoever wants no such importer at all has `intended-strict`, which is D3b with the order of its
checks made safe."""


TENANTS = """A tenant is a session of the device. In the shortest run both are of one process; nothing in it
looks at who opens, so the second may be anybody's. After the last call the importer of the first reads and writes the
memory that the second was given."""

OWN = """## Your own design

A design is a class. This one ([owner_token.py](examples/owner_token.py)) takes D0 and says one thing more:

```python
{code}
```

`accelspec matrix dmabuf docs/examples/owner_token.py` puts it beside the others, and
`accelspec explain dmabuf.P07 docs/examples/owner_token.py` shows the run that it breaks a promise with (a `!` behind
a cell says that the class does not list it as `known`). How to write one: [language](language.md).
"""


def looked_at(spec: Specification) -> Explored:
    """One design in the scope."""
    return explore(spec, spec.scopes[SCOPE])


def own() -> list[str]:
    """The example of a design in a few lines, and its column."""
    entry, d0 = select_one(str(EXAMPLE)), select_one("dmabuf@D0")
    code = "class " + EXAMPLE.read_text(encoding="utf-8").partition("\nclass ")[2].strip()
    found = {e.revision: looked_at(e.compile()) for e in (d0, entry)}
    return [OWN.format(code=code), *matrix(found), ""]


def matrix(found: dict[str, Explored]) -> list[str]:
    """Laws x designs."""
    out = ["| law | " + " | ".join(found) + " |", "|---" * (len(found) + 1) + "|"]
    sentences = {p.id: p.sentence for e in found.values() for p in e.spec.properties}
    for law in LAWS:
        id = f"dmabuf.{law}"
        cells = []
        for e in found.values():
            if id in e.spec.not_applicable:
                cells.append("-")
            elif (trace := e.violated.get(id)) is not None:
                cells.append(f"x {len([x for x in lines(steps_of(trace) or []) if not x.goes_on])}")
            else:
                cells.append("H")
        out.append(f"| {law}: {sentences[id]} | " + " | ".join(cells) + " |")
    return out


def costs(found: dict[str, Explored]) -> list[str]:
    """Questions x designs."""
    questions = list(dict.fromkeys(q for e in found.values() for q in e.spec.costs))
    out = ["| design | " + " | ".join(questions) + " |", "|---" * (len(questions) + 1) + "|"]
    for name, e in found.items():
        cells = [f"{c.answer} (*{c.source.mark.value}*)" if (c := e.spec.costs.get(q)) else "" for q in questions]
        out.append(f"| {name} | " + " | ".join(cells) + " |")
    return out


def trace(title: str, e: Explored, law: str, note: str = "") -> list[str]:
    """One run, call by call, and what to know of it."""
    found = e.verdict(f"dmabuf.{law}").trace
    assert found is not None, (e.spec.name, law)
    calls = [f"{n}. `{x}`: {x.last.row}" for n, x in enumerate(lines(steps_of(found) or []), start=1)]
    return [f"### {title}", "", *([note, ""] if note else []), *calls, ""]


def page() -> str:
    """The text of the page."""
    found = {d: looked_at(compile_machine(MACHINES["dmabuf"][d])) for d in DESIGNS}
    designs = "\n".join(f"- **{d}**: {e.spec.sentence} (*{e.spec.document}*)" for d, e in found.items())
    parts = [
        QUESTION.format(scope=SCOPE, designs=designs),
        "",
        *matrix(found),
        "",
        "## What each costs its users",
        "",
        *costs(found),
        "",
    ]
    parts += ["## The runs", ""]
    parts += trace("D0: the memory of one tenant reaches the next", found["D0"], "I26", TENANTS)
    parts += trace("D1: the next open is refused, and a holder must be killed", found["D1"], "P07")
    parts += trace("D2c: the same, with the errno of 6.12", found["D2c"], "P07")
    parts += trace("D3a: a revoke that does not wait", found["D3a"], "I16")
    parts += trace("D3b: a revoke that completes", found["D3b"], "R04")
    return "\n".join([*parts, ANSWER, "", *own()])


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE
    target.write_text(page(), encoding="utf-8")
