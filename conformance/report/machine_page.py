# SPDX-License-Identifier: Apache-2.0
"""A machine as one page of Markdown: diagrams, objects, decision tables, what each revision changes and violates.

Made from the specifications alone, always the same way; no engine runs.  `tools/machine_page.py` writes it.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from accelspec.model.changes import Changes, Written, nearest, written
from accelspec.model.diagrams import ABSENT, Diagram, enum_fields, mermaid, state_diagram
from accelspec.model.views import Row, Table, decision_table
from accelspec.spec.language import Machine, compile_machine
from accelspec.spec.language.specification import Case, Form, Property, Specification
from accelspec.spec.language.terms import ANY, Field, Kind, Lit, Range, Read, Term, walk


@dataclass(frozen=True)
class Revision:
    """A revision as its author wrote it, and compiled."""

    cls: type[Machine]
    spec: Specification


def machine_page(classes: Sequence[type[Machine]], head: str = "") -> str:
    """The page of a machine: `classes` are its revisions, the first of them the base that the tables show.

    `head` comes behind the title, for what only an author can say.

    Raises:
        SpecError: a revision says something that it cannot mean.
        ValueError: there are no revisions.
    """
    if not classes:
        raise ValueError("a page needs at least one revision")
    revisions = [Revision(c, compile_machine(c)) for c in classes]
    base = revisions[0]
    parts = [f"# {base.spec.machine}", head.strip(), *_overview(revisions), *_diagrams(base), *_objects(base)]
    parts += [*_operations(base), *_lock_order(base.spec)]
    for i, r in enumerate(revisions[1:], start=1):
        parts += _changes(r, revisions[:i])
    parts += [*_laws(revisions), *_scopes(revisions), *_assumptions(revisions)]
    return "\n\n".join(p for p in parts if p) + "\n"


# ---------------------------------------------------------------------- overview, diagrams, objects


def _overview(revisions: Sequence[Revision]) -> list[str]:
    rows = [
        [
            f"`{r.spec.revision}`",
            r.spec.sentence,
            r.spec.document,
            str(len(r.spec.operations())),
            str(len(r.spec.rows())),
            str(len(r.spec.known)),
        ]
        for r in revisions
    ]
    return [
        "## Revisions",
        _table(["revision", "what it is", "document", "operations", "rows", "known violations"], rows),
    ]


def _diagrams(base: Revision) -> list[str]:
    out = [
        "## States",
        f"How the rows of `{base.spec.revision}` change what is in one of several states. An arrow is drawn where the "
        "guard of the row, as it is written, does not rule the state out. A row that ends a call of several steps does "
        "not repeat what was tested at its beginning, so such a row can have arrows that no run takes; nothing was "
        "explored for these diagrams. `[*]` means that the object does not exist.",
    ]
    for f in enum_fields(base.spec):
        whole = state_diagram(base.spec, f.name)
        reached = _reached(whole, f)
        seen = Diagram(
            whole.machine, whole.revision, whole.field, reached, tuple(e for e in whole.edges if e.source in reached)
        )
        if seen.changes():
            assert isinstance(f.type, type)
            assert issubclass(f.type, Enum)
            legend = [[f"`{m.name}`", str(m.value)] for m in f.type if m.name in reached]
            out += [f"### {f.name}", f"```mermaid\n{mermaid(seen)}```", _table(["state", "means"], legend)]
    return out


def _reached(d: Diagram, f: Field) -> tuple[str, ...]:
    """The states that a way along the arrows leads to, from where an object begins."""
    todo = [ABSENT]
    if f.kind.permanent:
        todo = list(d.states) if f.default is ANY or f.default is None else [f.default.name]
    found: dict[str, None] = {}
    while todo:
        if (state := todo.pop()) not in found:
            found[state] = None
            todo += [b for a, b in d.changes() if a == state]
    return tuple(s for s in (ABSENT, *d.states) if s in found)


def _objects(base: Revision) -> list[str]:
    spec = base.spec
    used = _fields_in_use(spec)
    rows = []
    for k in spec.kinds:
        if k.is_call:
            continue
        fields = [f for f in spec.fields if f.kind == k and not f.is_live and f.name in used]
        if not fields and not any(_mentions(f, k) for f in spec.fields if f.name in used):
            continue
        shown = [_field(f) for f in fields if not f.ghost]
        ghosts = [_field(f) for f in fields if f.ghost]
        rows.append(
            [
                f"**{k.name}**",
                _docstring(_named(base.cls, k.name)),
                "from the start" if k.permanent else "made and freed",
                "<br>".join(shown),
                "<br>".join(ghosts),
            ]
        )
    return [
        "## Objects",
        f"What `{spec.revision}` looks at; a field that only another revision looks at is left out. The last column "
        "has what no driver decides on: it is there for the laws. A lock is true while somebody holds it.",
        _table(["kind", "what it is", "exists", "fields", "for the laws"], rows),
    ]


def _field(f: Field) -> str:
    keys = "".join(f"[{k.name}]" for k in f.domain[1:])
    marks = [m for m, on in (("never changes", f.rigid), ("of one only", f.unique), ("may dangle", f.raw)) if on]
    none = " or none" if f.optional else ""
    start = "" if f.default is None else " = any" if f.default is ANY else f" = {_value(f.default)}"
    return f"`{f.short}{keys}`: {_type(f)}{none}{start}" + (f" ({', '.join(marks)})" if marks else "")


def _type(f: Field) -> str:
    match f.type:
        case Kind(name=name):
            return name
        case Range(lo=lo, hi=hi):
            return f"{lo}..{hi}"
        case python:
            return python.__name__


def _value(v: object) -> str:
    return v.name if isinstance(v, Enum) else str(v)


def _mentions(f: Field, k: Kind) -> bool:
    return f.type == k or k in f.domain


def _fields_in_use(spec: Specification) -> set[str]:
    """Fields that some row, or some law that applies, reads."""
    terms: list[Term] = [t for c in spec.cases for t in _terms(c)]
    terms += [p.term for p in spec.properties if not p.implied and p.id not in spec.not_applicable]
    return {u.field.name for t in terms for u in walk(t) if isinstance(u, Read)}


def _terms(c: Case) -> Iterable[Term]:
    """What a case reads; to give a field a constant is no reading of it."""
    yield c.guard
    yield from (p.where for p in c.params)
    yield from (check.term for check in c.checks)
    for a in c.effects:
        yield from a.args
        if not isinstance(a.value, Lit):
            yield a.value


def _named(cls: type[Machine], name: str) -> object:
    """What a machine file calls by this name: looked up in the files of the class and its bases."""
    modules = (sys.modules[c.__module__] for c in cls.__mro__)
    return next((vars(m)[name] for m in modules if name in vars(m)), None)


def _docstring(thing: object) -> str:
    """The first paragraph of a docstring, of the nearest base that has one; empty if there is none."""
    text = inspect.getdoc(thing) if thing is not None else ""
    return " ".join((text or "").split("\n\n")[0].split())


# ---------------------------------------------------------------------- decision tables, locks


def _operations(base: Revision) -> list[str]:
    spec = base.spec
    helpers = _helpers(base)
    written = " What `self.` stands before is written out in [helpers](#helpers)." if helpers else ""
    out = [
        "## Decision tables",
        f"Of `{spec.revision}`. Rows are tried from above; the first whose guard holds answers. `...` ends a step: the "
        "call goes on, and others may run in between. A source is *stated* (a document or a mail says so), *read* (in "
        "code), *deduced* (by us) or *kernel* (general knowledge of the kernel, not checked); where it names no "
        f"document it is in `{spec.document}`.{written}",
    ]
    events = {c.operation for c in spec.cases if c.event}
    for title, wanted in (("Operations", False), ("Events", True)):
        tables = [decision_table(spec, op) for op in spec.operations() if (op in events) is wanted]
        if tables:
            out.append(f"### {title}")
        for t in tables:
            out += _operation(t, base)
    return [*out, *helpers]


def _helpers(base: Revision) -> list[str]:
    """The methods that the tables name, as they are written."""
    return _code_block("### Helpers", _methods(base).values())


def _methods(r: Revision) -> dict[str, str]:
    """Name -> text of the methods that the tables of a revision name, and of those that these name; by name."""
    spec = r.spec
    tables = [decision_table(spec, op) for op in spec.operations()]
    texts = [
        text for t in tables for text in (*t.requires, *(x for row in t.rows for x in (*row.guards, *row.effects)))
    ]
    found: dict[str, str] = {}
    todo = [name for text in texts for name in _called(text)]
    while todo:
        if (name := todo.pop(0)) not in found and (method := getattr(r.cls, name, None)) is not None:
            found[name] = ast.unparse(ast.parse(textwrap.dedent(inspect.getsource(method))))
            todo += _called(found[name])
    return dict(sorted(found.items()))


def _code_block(title: str, pieces: Iterable[str]) -> list[str]:
    code = "\n\n".join(pieces)
    return [title, f"```python\n{code}\n```"] if code else []


def _called(text: str) -> list[str]:
    return re.findall(r"\bself\.(\w+)\(", text)


def _operation(t: Table, base: Revision) -> list[str]:
    rows: list[list[str]] = []
    step = ""
    for r in t.rows:
        if r.step != step:
            rows.append([f"*at `{r.step}`:*" if r.step else "*at the call:*", "", "", "", ""])
        step = r.step
        rows.append([f"`{r.name}`", _guard(r), _result(r.outcome), _code(r.effects), _said(r, base)])
    required = "Offered only if " + "; ".join(f"`{r}`" for r in t.requires) + "." if t.requires else ""
    return [
        f"#### {t.signature}",
        " ".join(filter(None, (_docstring(getattr(base.cls, t.operation, None)), required))),
        _table(["row", "if", "result", "effect", "source"], rows),
    ]


def _guard(r: Row | Written) -> str:
    return "<br>or ".join(g if g == "otherwise" else f"`{g}`" for g in r.guards) or "otherwise"


def _result(outcome: str) -> str:
    return "..." if outcome == "..." else f"**{outcome}**"


def _code(lines: Iterable[str]) -> str:
    return "<br>".join(f"`{e}`" for e in lines)


def _said(row: Row | Written, r: Revision) -> str:
    """Who says so; of a row that only ends a step nobody has to."""
    return "" if row.outcome == "..." else _source(row.source, r.spec.document)


def _source(source: str, document: str) -> str:
    return re.sub(r"^\[(\w+)\]", r"*\1*:", source.replace(f" in {document}", "", 1) if document else source)


def _lock_order(spec: Specification) -> list[str]:
    edges: dict[tuple[str, str], dict[str, None]] = {}
    for e in spec.lock_order:
        edges.setdefault((e.held, e.wanted), {})[e.operation] = None
    rows = [[f"`{held}`", f"`{wanted}`", ", ".join(f"`{op}`" for op in ops)] for (held, wanted), ops in edges.items()]
    return ["## Lock order", f"Of `{spec.revision}`.", _table(["held", "wanted", "by"], rows)] if rows else []


# ---------------------------------------------------------------------- what the other revisions change


def _changes(r: Revision, earlier: Sequence[Revision]) -> list[str]:
    c = nearest(r.spec, [o.spec for o in earlier])
    before = _methods(next(o for o in earlier if o.spec.name == c.old))
    against = c.old.partition("@")[2]
    rows = [
        *(_changed(old, new, ", ".join(what), r) for old, new, what in ((x.old, x.new, x.what) for x in c.changed)),
        *([f"`{w.id}`", "new", _result(w.outcome), _guard(w), _code(w.effects), _said(w, r)] for w in c.added),
        *([f"`{w.id}`", "gone", f"was {_result(w.outcome)}", "", "", ""] for w in c.dropped),
    ]
    operations = r.spec.operations()
    rows.sort(
        key=lambda row: operations.index(row[0].strip("`").partition(".")[0])
    )  # what is gone: behind what is there
    out = [f"## What `{r.spec.revision}` changes in `{against}`", _told(c, r)]
    if rows:
        out.append(_table(["row", "change", "result", "if", "effect", "source"], rows))
    for op in c.added_operations:
        out += _operation(decision_table(r.spec, op), r)
    others = [text for name, text in _methods(r).items() if text != before.get(name)]
    return [
        *out,
        *_code_block("Helpers that are other ones, though the rows that name them may read the same:", others),
    ]


def _changed(old: Written, new: Written, what: str, r: Revision) -> list[str]:
    result = _result(new.outcome)
    if old.outcome != new.outcome:
        result = f"{_result(old.outcome)} becomes {result}"
    return [f"`{new.id}`", f"another {what}", result, _guard(new), _code(new.effects), _said(new, r)]


def _told(c: Changes, r: Revision) -> str:
    count = len(written(r.spec)) - len(c.changed) - len(c.added)
    count -= sum(w.id.partition(".")[0] in c.added_operations for w in written(r.spec).values())
    parts = [f"{r.spec.sentence} {count} rows are the same."]
    if c.dropped_operations:
        parts.append(f"There is no {', '.join(f'`{op}`' for op in c.dropped_operations)}.")
    if c.added_operations:
        parts.append(f"{', '.join(f'`{op}`' for op in c.added_operations)} is added.")
    if r.spec.document:
        parts.append(f"Sources without a document are in `{r.spec.document}`.")
    return " ".join(parts)


# ---------------------------------------------------------------------- laws, scopes, assumptions


def _laws(revisions: Sequence[Revision]) -> list[str]:
    laws: dict[str, Property] = {}
    for r in revisions:
        laws.update({p.id: p for p in r.spec.properties if not p.lemma and not p.implied and p.id not in laws})
    ordered = [laws[id] for id in sorted(laws)]
    head = ["id", "law", "class", *(f"`{r.spec.revision}`" for r in revisions)]
    rows = [
        [p.id, f"**{p.name}**: {p.sentence}", p.cls.value, *(_expected(p.id, r.spec) for r in revisions)]
        for p in ordered
    ]
    out = [
        "## What holds and what does not",
        "As the revisions state it: `x` is listed as a known violation, `-` says nothing there, *reach* must be "
        "reachable, and everything else is expected to hold; blank: the revision does not have it. This is what is "
        "expected: `accelspec verify` looks at each cell with its engines, and fails where it finds otherwise.",
        _table(head, rows),
    ]
    for r in revisions:
        if r.spec.known:
            known = [
                [v.property, f"`{v.row}`", v.why, _source(str(v.source), r.spec.document)]
                for v in r.spec.known.values()
            ]
            out += [f"### Known violations of `{r.spec.revision}`", _table(["law", "ends at", "why", "source"], known)]
    reasons: dict[tuple[str, str], list[str]] = {}
    for r in revisions:
        for id, why in r.spec.not_applicable.items():
            reasons.setdefault((id, why), []).append(f"`{r.spec.revision}`")
    if reasons:
        skipped = [[id, why, ", ".join(names)] for (id, why), names in sorted(reasons.items())]
        out += ["### Not applicable", _table(["law", "why", "in"], skipped)]
    return out


def _expected(id: str, spec: Specification) -> str:
    p = next((p for p in spec.properties if p.id == id), None)
    if p is None:
        return ""
    return (
        "x"
        if id in spec.known
        else "-"
        if id in spec.not_applicable
        else "reach"
        if p.form is Form.SOMETIMES
        else "holds"
    )


def _scopes(revisions: Sequence[Revision]) -> list[str]:
    found: dict[tuple[str, tuple[tuple[str, int], ...]], list[str]] = {}
    for r in revisions:
        for name, sizes in r.spec.scopes.items():
            found.setdefault((name, tuple(sizes.items())), []).append(f"`{r.spec.revision}`")
    rows = [[name, *_sizes(dict(sizes)), ", ".join(names)] for (name, sizes), names in found.items()]
    return [
        "## Scopes",
        "What is explored state by state. There is one object of each kind that a scope does not name. `open()` and "
        "the like are calls in flight: where there are none of them, that call is made only if one step ends it.",
        _table(["scope", "more than one", "none of", "of"], rows),
    ]


def _sizes(sizes: dict[str, int]) -> tuple[str, str]:
    more = ", ".join(f"{n} {kind}" for kind, n in sizes.items() if n)
    return more, ", ".join(kind for kind, n in sizes.items() if not n)


def _assumptions(revisions: Sequence[Revision]) -> list[str]:
    found: dict[tuple[str, str], list[str]] = {}
    for r in revisions:
        for a in r.spec.assumptions:
            names = found.setdefault((a.operation, a.text), [])
            if (name := f"`{r.spec.revision}`") not in names:
                names.append(name)
    every = len(revisions)
    rows = [[f"`{op}`", f"`{text}`", "all" if len(n) == every else ", ".join(n)] for (op, text), n in found.items()]
    return [
        "## Assumptions",
        "A call is offered only where this is so; what happens otherwise is not looked at.",
        _table(["operation or event", "requires", "in"], sorted(rows)),
    ]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(c.replace("|", "\\|").replace("\n", " ") for c in line) + " |" for line in lines)
