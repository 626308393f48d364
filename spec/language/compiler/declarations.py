# SPDX-License-Identifier: Apache-2.0
"""Kinds and fields: from the author's classes to those of the compiled form."""

from __future__ import annotations

import itertools
from typing import Any

from ..assembly import Assembly, Method, where
from ..errors import SpecError
from ..machine import Machine
from ..objects import Declaration, is_kind
from ..specification import Specification
from ..terms import ANY, TRUE, And, Assign, Eq, Field, Kind, Not, Range, Term, Type, Var, none, value_after
from .fields import declared_fields, trouble
from .path import Path


class Declarations:
    """What a revision is about: its kinds and their fields."""

    def __init__(self, machine: type[Machine]) -> None:
        self.machine = machine
        self.assembly = Assembly(machine)
        self.spec = Specification(
            machine=machine.machine,
            revision=machine.revision,
            sentence=" ".join((machine.__doc__ or "").split("\n\n")[0].split()),
            document=machine.document,
            known={v.property: v for v in vars(machine).get("known", ())},
            not_applicable=dict(vars(machine).get("not_applicable", {})),
            costs=dict(vars(machine).get("costs", {})),
            base=vars(machine).get("base", ""),
            scopes={name: dict(sizes) for name, sizes in machine.scopes.items()},
        )
        self.kinds: dict[type, Kind] = {}
        self.fields: dict[str, Field] = {}
        self.locks: set[str] = set()  # fields that are taken by `with`
        self.busy: set[str] = set()  # fields that say that a call is running, and are no locks
        self._serial = itertools.count()

    def kind(self, cls: type) -> Kind:
        """The kind of a class; its fields, and the kinds that they name, are declared on the way."""
        if cls not in self.kinds:
            k = self.kinds[cls] = Kind(cls.__name__, bool(getattr(cls, "always", False)))
            if any(x.name == k.name for x in self.spec.kinds):
                raise SpecError(*where(cls), f"two kinds are named {k.name}", "Rename one of them.")
            self.spec.kinds.append(k)
            if not k.permanent:
                self.declare(Field(f"{k.name}.live", (k,), bool, False))
            for name, d in declared_fields(cls).items():
                self.spec.places[f"{k.name}.{name}"] = where(cls, name)
                keys = (self.kind(d.key),) if d.key else ()
                default = None if d.optional else d.default
                if default is ANY and not k.permanent:
                    default = None
                if d.lock:
                    self.locks.add(f"{k.name}.{name}")
                if d.busy:
                    self.busy.add(f"{k.name}.{name}")
                self.declare(
                    Field(
                        f"{k.name}.{name}",
                        (k, *keys),
                        self.type(d.type),
                        default,
                        d.optional,
                        d.ghost,
                        d.raw,
                        d.rigid,
                        d.unique,
                    )
                )
        return self.kinds[cls]

    def type(self, hint: Any) -> Type:
        """The type that an annotation means: `Ctx | None` -> Ctx, `Annotated[int, Range(0, 3)]` -> the range."""
        meant = Declaration(hint, None).type
        t: Type = self.kind(meant) if is_kind(meant) else meant
        return t

    def parameters(self, m: Method, optional: bool = True) -> dict[str, Type]:
        """The types of a method's parameters, checked; without `optional`, none of them may be None."""
        out = {}
        for a, (name, hint) in zip(m.node.args.args[1:], m.parameters().items(), strict=True):
            if name in m.globals:
                raise m.error(a, f"{name!r} is the name of something else in this file", "Use another name here.")
            try:
                d = Declaration(hint, None)
            except ValueError:
                raise m.error(
                    a, f"parameter {name!r} is of more than one type", "Write one kind, or two methods."
                ) from None
            if wrong := trouble(d):
                raise m.error(a, f"parameter {name!r} {wrong[0]}", wrong[1])
            if d.optional and not optional:
                remedy = (
                    "An argument of a call is an object that exists: make two operations, or look it up in a field."
                )
                raise m.error(a, f"parameter {name!r} of an operation may be None", remedy)
            out[name] = self.type(hint)
        return out

    def declare(self, f: Field) -> Field:
        """The field of this name, declared now if it was not yet."""
        if f.name not in self.fields:
            self.fields[f.name] = f
            self.spec.fields.append(f)
        return self.fields[f.name]

    def live(self, x: Term, effects: list[Assign] | None = None) -> Term:
        """Does the object exist?  (`none` does not.)"""
        assert isinstance(x.type, Kind)
        if x.type.permanent:
            return Not(Eq(x, none(x.type)))
        return value_after(effects or [], self.fields[f"{x.type.name}.live"], (x,))

    def exists(self, x: Var, p: Path) -> Term:
        """Does the object that a bound variable stands for (never `none`) exist, as far as the path has come?"""
        assert isinstance(x.type, Kind)
        if x.type.permanent:
            return TRUE
        p.reads.append((self.fields[f"{x.type.name}.live"], (x,)))
        return self.live(x, p.effects)

    def bound(self, hint: str, kind: Type) -> Var:
        """A bound variable with a name of its own."""
        return Var(f"{hint}#{next(self._serial)}", kind)

    def reference_ok(self, f: Field, r: Term) -> Term:
        """What the type of a reference promises."""
        assert isinstance(f.type, Kind)
        return Not(And(Not(Eq(r, none(f.type))), Not(self.live(r)))) if f.optional else self.live(r)


def type_name(t: Type) -> str:
    """A type as a person calls it."""
    return t.name if isinstance(t, Kind) else "number" if isinstance(t, Range) else t.__name__


def same_type(a: Type, b: Type) -> bool:
    """May a value of one type stand where the other is wanted?  (Ranges are checked when they are written.)"""
    return (isinstance(a, Range) and isinstance(b, Range)) or a == b
