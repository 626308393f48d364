# SPDX-License-Identifier: Apache-2.0
"""Laws: stated properties, what the types imply, and the whole of a revision."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any

from ..answers import Errno
from ..assembly import where
from ..machine import Machine
from ..sources import Source
from ..specification import Case, Class, Form, Property, Specification
from ..terms import FALSE, TRUE, And, Assign, Eq, Field, Implies, Kind, Not, Or, Read, Term, Var, blank, forall, none
from .declarations import type_name
from .heads import check_head, check_ids, check_scopes
from .operations import Operations
from .path import Frame, Path


class Compiler(Operations):
    """Reads a whole revision."""

    def compile(self) -> Specification:
        """Operations first, then the laws about them."""
        self.spec.file, self.spec.line = where(self.machine)
        roles = {n: self.assembly.marks(n) for n in self.assembly.names()}
        for n, marks in roles.items():
            if marks.get("role") is Form.AFTER and (law := self.assembly.method(n)) is not None:
                self.asked.setdefault(marks["operation"], set()).update(law.parameters())
        for n, marks in roles.items():
            if marks.get("role") in ("operation", "event"):
                self.operation(n, marks["role"] == "event")
        self.assembly.check_patches()
        self.spec.cases = [self.ended(c) for c in self.spec.cases]
        for n, marks in roles.items():
            if isinstance(marks.get("role"), Form):
                self.law(n, marks)
        self.implied()
        check_ids(self.machine, self.spec)
        check_scopes(self.machine, self.spec)
        return self.spec

    def ended(self, c: Case) -> Case:
        """A call that ends leaves blank fields, those too that only later steps were found to need."""
        gone = [a for a in c.effects if a.field.is_live and a.field.kind.is_call and a.value == FALSE]
        more = []
        for a in gone:
            written = {e.field for e in c.effects if e.args == a.args}
            missing = [f for f in self.spec.fields if f.kind == a.field.kind and f not in written]
            more += [Assign(f, a.args, blank(f)) for f in missing]
        return replace(c, effects=(*c.effects, *more)) if more else c

    # ------------------------------------------------------------------ stated properties

    def law(self, name: str, marks: dict[str, Any]) -> None:
        """Read one stated property."""
        m = self.assembly.method(name)
        assert m is not None
        id = marks["id"] or f"{self.spec.machine}.{name}"
        if not isinstance(id, str) or "." not in id:
            raise m.error(m.node, f"the id {id!r} is not qualified", f'Write "{self.spec.machine}.{id}".')
        if not m.fn.__doc__ and not marks.get("lemma"):
            raise m.error(m.node, "the property has no sentence", "Say the law in one sentence, as the docstring.")
        if not (isinstance(marks["cls"], Class) and isinstance(marks["source"], Source)):
            remedy = 'Write `@always("uacce.I05", STATE, deduced("why"))`.'
            raise m.error(m.node, "a law has a class and a source", remedy)
        if isinstance(marks.get("fair", ()), str):
            raise m.error(m.node, "fair lists operations", f'Write `fair=("{marks["fair"]}",)`, with the comma.')
        env = {n: Var(n, t) for n, t in self.parameters(m).items()}
        if env and marks["role"] is not Form.AFTER:
            remedy = "Say it of all objects: `all(… for q in Queue)`."
            raise m.error(m.node, f"the law has a parameter, {next(iter(env))!r}", remedy)
        term: Term = TRUE
        if marks["role"] is not Form.CHECK:
            self.old_allowed, self.operation_name = True, name
            term = self.predicate(m.body, Path(Frame(m, dict(env))))
            self.old_allowed = False
            if term.type is not bool:
                raise m.error(m.node, f"the law is a {type_name(term.type)}, not a condition", "Compare it with `is`.")
        if marks["role"] is Form.AFTER:
            self.check_after(name, marks["operation"], env)
        self.spec.properties.append(
            Property(
                id=id,
                name=name,
                form=marks["role"],
                cls=marks["cls"],
                term=term,
                sentence=" ".join((inspect.getdoc(m.fn) or name.replace("_", " ")).split()),
                source=self.inherited(m, marks["source"].in_document(m.owner.document)),
                file=m.file.name,
                line=m.node.lineno,
                lemma=bool(marks.get("lemma")),
                operation=marks.get("operation", ""),
                params=tuple(env.values()),
                fair=marks.get("fair", ()),
            )
        )

    def check_after(self, name: str, operation: str, env: dict[str, Var]) -> None:
        m, op = self.assembly.method(name), self.assembly.method(operation)
        assert m is not None
        if op is None or all(c.operation != operation for c in self.spec.cases):
            raise m.error(
                m.node, f"there is no operation {operation!r}", f"There is: {', '.join(self.spec.operations())}."
            )
        known = {**{n: self.type(h) for n, h in op.parameters().items()}, "result": Errno}
        for n, v in env.items():
            if known.get(n) != v.type:
                raise m.error(
                    m.node, f"{operation} has no parameter {n!r} of this type", f"It has: {', '.join(known)}."
                )

    # ------------------------------------------------------------------ what the types imply

    def implied(self) -> None:
        """A live object's references are live; what does not exist is blank; a unique reference is unique."""
        for f in self.spec.fields:
            xs = tuple(self.bound("x", k) for k in f.domain)
            r = Read(f, xs)
            if isinstance(f.type, Kind) and not f.raw and not (f.type.permanent and f.optional):
                ok = Implies(self.there(xs[0]), self.reference_ok(f, r))
                self.promise(
                    f"live:{f.name}",
                    "no_dangling_reference",
                    forall(xs, ok),
                    f"{f.name} never refers to a {f.type.name} that was freed",
                )
            if f.unique:
                assert isinstance(f.type, Kind)
                ys = tuple(self.bound("y", k) for k in f.domain)
                same = And(*(Eq(x, y) for x, y in zip(xs, ys, strict=True)))
                t = Implies(And(Eq(r, Read(f, ys)), Not(Eq(r, none(f.type)))), same)
                self.promise(
                    f"unique:{f.name}",
                    "unique_reference",
                    forall((*xs, *ys), t),
                    f"no two {f.kind.name}s have the same {f.short}",
                )
        for k in self.spec.kinds:
            if not k.permanent:
                parts = [self.blank(f) for f in self.spec.fields if f.kind == k and not f.is_live]
                self.promise(
                    f"blank:{k.name}", "dead_is_blank", And(*parts), f"a {k.name} that does not exist has blank fields"
                )

    def there(self, x: Var) -> Term:
        return TRUE if isinstance(x.type, Kind) and x.type.permanent else self.live(x)

    def blank(self, f: Field) -> Term:
        xs = tuple(self.bound("x", k) for k in f.domain)
        return forall(xs, Or(self.live(xs[0]), Eq(Read(f, xs), blank(f))))


def compile_machine(machine: type[Machine]) -> Specification:
    """Compile one revision.  Raises SpecError, with file, line and remedy, for what is outside the language.

    >>> compile_machine(Uacce).rows()["start.dead"]  # doctest: +SKIP
    """
    check_head(machine)
    return Compiler(machine).compile()


__all__ = ["Class", "compile_machine"]
