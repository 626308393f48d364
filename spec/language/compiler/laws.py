# SPDX-License-Identifier: Apache-2.0
"""Laws: stated properties, what the types imply, and the whole of a revision."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any

from ..answers import Errno
from ..errors import SpecError
from ..machine import Machine
from ..specification import Case, Class, Form, Property, Specification
from ..terms import And, Assign, Eq, FALSE, Field, Implies, Kind, Not, Or, Read, TRUE, Term, Var, blank, forall, none
from .operations import Operations
from .path import Frame, Path


class Compiler(Operations):
    def compile(self) -> Specification:
        self.check_head()
        roles = {n: self.assembly.marks(n) for n in self.assembly.names()}
        for n, marks in roles.items():
            if marks.get("role") in ("operation", "event"):
                self.operation(n, marks["role"] == "event")
        self.assembly.check_patches()
        self.spec.cases = [self.ended(c) for c in self.spec.cases]
        for n, marks in roles.items():
            if isinstance(marks.get("role"), Form):
                self.law(n, marks)
        self.implied()
        self.check_ids()
        self.check_scopes()
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

    def check_head(self) -> None:
        c = self.machine
        file, line = inspect.getsourcefile(c) or c.__module__, 0
        try:
            line = inspect.getsourcelines(c)[1]
        except (OSError, TypeError):
            pass
        self.spec.file = file
        for attribute, example in (
            ("machine", "uacce"),
            ("revision", "6.12.117"),
            ("document", "linux 6.12.117 drivers/misc/uacce/uacce.c"),
        ):
            if not getattr(c, attribute):
                raise SpecError(
                    file, line, f"{c.__name__} has no {attribute}", f'Write `{attribute} = "{example}"` in the class.'
                )

    # ------------------------------------------------------------------ stated properties

    def law(self, name: str, marks: dict[str, Any]) -> None:
        m = self.assembly.method(name)
        assert m is not None
        id = marks["id"] or f"{self.spec.machine}.{name}"
        if "." not in id:
            raise m.error(m.node, f"the id {id!r} is not qualified", f'Write "{self.spec.machine}.{id}".')
        if not m.fn.__doc__ and not marks.get("lemma"):
            raise m.error(m.node, "the property has no sentence", "Say the law in one sentence, as the docstring.")
        env = {n: Var(n, t) for n, t in self.parameters(m).items()}
        term: Term = TRUE
        if marks["role"] is not Form.CHECK:
            self.old_allowed, self.operation_name = True, name
            term = self.predicate(m.body, Path(Frame(m, dict(env))))
            self.old_allowed = False
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

    def check_scopes(self) -> None:
        """A scope names kinds; calls in flight that this revision does not have are left out of it."""
        kinds = [k.name for k in self.spec.kinds]
        for name, sizes in self.spec.scopes.items():
            for k in [k for k in sizes if k not in kinds]:
                if not k.endswith("()"):
                    what = f"scope {name!r} of {self.machine.__name__} names {k!r}, which is no kind"
                    raise SpecError(self.spec.file, 0, what, f"There is: {', '.join(kinds)}.")
                del sizes[k]

    # ------------------------------------------------------------------ ids

    def check_ids(self) -> None:
        """No id stands for two properties; every id that an assert, `known` or `not_applicable` names exists."""
        by_id: dict[str, Property] = {}
        for p in self.spec.properties:
            if p.id in by_id:
                raise SpecError(
                    p.file,
                    p.line,
                    f"{p.id} is the id of two properties",
                    f"The other is {by_id[p.id].name}, line {by_id[p.id].line}.",
                )
            by_id[p.id] = p
        for c in self.spec.cases:
            for k in c.checks:
                if not k.property.startswith("range:") and k.property not in by_id:
                    raise SpecError(
                        k.file,
                        k.line,
                        f"the assert names {k.property!r}, which is no property",
                        "Declare it: `@check(id, STATE, source)`, with its sentence.",
                    )
        for what, ids in (("known", self.spec.known), ("not_applicable", self.spec.not_applicable)):
            for id in ids:
                if id not in by_id and id not in ("deadlock",):
                    raise SpecError(
                        self.spec.file,
                        0,
                        f"{self.machine.__name__}.{what} names {id!r}, which is no property",
                        f"There is: {', '.join(p.id for p in self.spec.properties if not p.implied)}.",
                    )


def compile_machine(machine: type[Machine]) -> Specification:
    """Compile one revision.  Raises SpecError, with file, line and remedy, for what is outside the language.

    >>> compile_machine(Uacce).rows()["start.dead"]  # doctest: +SKIP
    """
    return Compiler(machine).compile()


__all__ = ["Class", "compile_machine"]
