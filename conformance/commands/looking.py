# SPDX-License-Identifier: Apache-2.0
"""The commands that only look: list, show, compare."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict

import click

from accelspec.model.diagrams import diagram_text, dot, enum_fields, mermaid, state_diagram
from accelspec.model.verdict import Budget
from accelspec.model.views import decision_table, table_text
from accelspec.spec.language.specification import Specification

from ..loading import BadInput, check_scope, did_you_mean, options_of, parse_scope, select_one
from ..output import form_of, say
from ..report.text import columns, wrapped
from .options import open_outputs, outputs, selected, subjects


def deliver(made: str, form: str | None, paths: Sequence[str]) -> None:
    """To standard output, or to the files."""
    outs = open_outputs(paths, form)
    try:
        for out in outs:
            out.write(made)
        if not outs:
            say(made)
    finally:
        for out in outs:
            out.discard()


@click.command(name="list")
@subjects
@outputs("text", "json")
def list_(names: Sequence[str], form: str | None, paths: Sequence[str]) -> int:
    """Machines and revisions; of those that are named also operations, fields and properties."""
    entries = selected(names)
    specs = [e.compile() for e in entries]
    form = form or (form_of(paths[0], "text") if paths else "text")
    if form == "json":
        made = json.dumps([_about(s) for s in specs], indent=2) + "\n"
    elif names:
        made = "\n".join(map(_contents, specs)) + "".join(f"{line}\n" for line in _options(specs))
    else:
        head = ["revision", "operations", "rows", "properties", "known", ""]
        rows = [
            [s.name, *map(str, (len(s.operations()), len(s.rows()), len(_laws(s)), len(s.known))), s.sentence]
            for s in specs
        ]
        made = "\n".join([*columns([head, *rows]), *_options(specs)]) + "\n"
    deliver(made, form, paths)
    return 0


def _options(specs: Sequence[Specification]) -> list[str]:
    """What these revisions offer as options: an option is gone through only where it is named."""
    out = []
    for s in specs:
        for e in options_of(s.machine, s.revision):
            out += ["", *wrapped(f"{e.name}, an option of {s.name}, only by its full name: {e.compile().sentence}", 0)]
    return out


def _laws(spec: Specification) -> list[tuple[str, str, str]]:
    return [(p.id, p.form.value, p.name) for p in spec.properties if not p.lemma]


def _about(spec: Specification) -> dict[str, object]:
    return {
        "machine": spec.machine,
        "revision": spec.revision,
        "sentence": spec.sentence,
        "document": spec.document,
        "options": [e.name for e in options_of(spec.machine, spec.revision)],
        "kinds": [k.name for k in spec.kinds],
        "operations": spec.operations(),
        "diagrams": [f.name for f in enum_fields(spec)],
        "properties": [
            {"id": p.id, "name": p.name, "kind": p.form.value, "class": p.cls.value, "sentence": p.sentence}
            for p in spec.properties
        ],
        "known": list(spec.known),
        "not_applicable": spec.not_applicable,
        "scope": spec.scope,
    }


def _contents(spec: Specification) -> str:
    lines = [f"{spec.name}   {spec.document}".rstrip(), f"  {spec.sentence}", ""]
    events = {c.operation for c in spec.cases if c.event}
    calls = [op for op in spec.operations() if op not in events]
    for what, names in (
        ("operations", calls),
        ("events", sorted(events)),
        ("diagrams", [f.name for f in enum_fields(spec)]),
    ):
        lines += wrapped(f"{what}: {', '.join(names) or 'none'}", 2)
    lines.append("")
    marks = dict.fromkeys(spec.known, "violated") | dict.fromkeys(spec.not_applicable, "not applicable")
    lines += [f"  {line}" for line in columns([[*law, marks.get(law[0], "")] for law in _laws(spec)])]
    return "\n".join(lines) + "\n"


@click.command()
@click.argument("name", metavar="MACHINE[@REVISION] | FILE.py")
@click.argument("what", required=False, metavar="[OPERATION | KIND.FIELD]")
@outputs("text", "json", "mermaid", "dot")
def show(name: str, what: str | None, form: str | None, paths: Sequence[str]) -> int:
    """The decision table of an operation, or the state diagram of an enum field; without either, all of them."""
    spec = select_one(name).compile()
    form = form or (form_of(paths[0], "text") if paths else "text")
    fields = [f.name for f in enum_fields(spec)]
    operations = spec.operations()
    if what is not None and what not in fields and what not in operations:
        every = ", ".join([*operations, *fields])
        raise BadInput(
            f"{spec.name} has no operation or enum field {what!r}",
            did_you_mean(what, [*operations, *fields]) or f"Known: {every}.",
        )
    if what in operations and form in ("mermaid", "dot"):
        raise BadInput(
            f"{what} is an operation: it has a table, not a diagram", f"Diagrams: {', '.join(fields) or 'none'}."
        )
    tables = [decision_table(spec, op) for op in operations if what in (None, op)] if form in ("text", "json") else []
    diagrams = [state_diagram(spec, f) for f in fields if what in (None, f)]
    if form == "json":
        made = (
            json.dumps({"tables": list(map(asdict, tables)), "diagrams": list(map(asdict, diagrams))}, indent=2) + "\n"
        )
    else:
        draw = {"text": diagram_text, "mermaid": mermaid, "dot": dot}[form]
        made = "\n".join([*map(table_text, tables), *map(draw, diagrams)])
    deliver(made, form, paths)
    return 0


@click.command()
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.option("--scope", default="", metavar="KIND=N,...", help="As for explore; the default is that of A.")
@click.option(
    "--time-budget", type=click.FloatRange(min=0, min_open=True), default=60.0, show_default=True, metavar="SECONDS"
)
@outputs("text", "json")
def compare(a: str, b: str, scope: str, time_budget: float, form: str | None, paths: Sequence[str]) -> int:
    """The shortest trace that tells two revisions apart: a call that they answer differently.

    Exit code 0 if one is found or if there is none in the scope; 4 if the budget ended the search.
    """
    from accelspec.model.compare import compare as search

    from ..report.comparison import comparison_data, comparison_text

    one, two = select_one(a).compile(), select_one(b).compile()
    if one.machine != two.machine:
        raise BadInput(f"{one.name} and {two.name} are not revisions of one machine")
    wished = parse_scope(scope)
    check_scope([one, two], wished)
    found = search(one, two, one.scope | two.scope | wished, Budget(time_budget, time.monotonic))
    form = form or (form_of(paths[0], "text") if paths else "text")
    made = json.dumps(comparison_data(found), indent=2) + "\n" if form == "json" else comparison_text(found)
    deliver(made, form, paths)
    return 0 if found.difference is not None or found.complete else 4
