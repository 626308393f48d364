# SPDX-License-Identifier: Apache-2.0
"""Names and numbers: what a target calls `process0`, `DUS` or `vma7` is a small integer in a state of the
specification.

Objects that exist from the start are called by kind and index, the same for everybody.  What a call creates is called
as the target likes; `Names` of one possible explanation say which object of the state each such name stands for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from accelspec.model.layout import Layout
from accelspec.model.trace import State, value_name
from accelspec.spec.language.terms import Field, Kind, Type

from .targets import TargetError

Names = tuple[tuple[str, int], ...]  # name of a created object -> its index among its kind; sorted

CELL = re.compile(r"(\w+)\.(\w+)(?:\[([\w ,]+)\])?")


@dataclass(frozen=True)
class Cell:
    """A cell of the state, as an observation writes it, not yet resolved."""

    text: str
    field: Field
    objects: tuple[str, ...]  # the names of the object and of the keys


@dataclass
class Naming:
    """The names of one layout, for a target that offers these operations (None: all)."""

    layout: Layout
    operations: frozenset[str] | None = None

    @cached_property
    def _kinds(self) -> dict[str, Kind]:
        """A kind by the beginning of its objects' names: `queue`, `hwQueue`."""
        return {k.name[:1].lower() + k.name[1:]: k for k in self.layout.spec.kinds if not k.is_call}

    def kind_of(self, name: str) -> Kind | None:
        """The kind of object that a name is one of."""
        return self._kinds.get(name.rstrip("0123456789"))

    @cached_property
    def _values(self) -> dict[Type, dict[str, int]]:
        return {}

    def values(self, t: Type) -> Mapping[str, int]:
        """All values of a type by name, of a kind of permanent objects the objects and `none`."""
        if t not in self._values:
            count = self.layout.count(t)
            self._values[t] = {value_name(t, v, self.layout.scope): v for v in range(count)}
        return self._values[t]

    def value(self, t: Type, name: str, names: Names) -> int | None:
        """What a name stands for; None: nothing of that type is called so (any more)."""
        if isinstance(t, Kind) and not t.permanent and name != "none":
            return next((index for known, index in names if known == name and self.kind_of(known) == t), None)
        return self.values(t).get(name)

    def name(self, t: Type, value: int, names: Names) -> str | None:
        """What a value is called; None: it is an object that the target gave no name."""
        if isinstance(t, Kind) and not t.permanent and value < self.layout.size(t):
            return next((known for known, index in names if index == value and self.kind_of(known) == t), None)
        return value_name(t, value, self.layout.scope)

    def cell(self, text: str) -> Cell:
        """`process0.fd[fd1]` taken apart.  Raises TargetError if the specification has no such cell."""
        if match := CELL.fullmatch(text):
            owner, short, keys = match[1], match[2], tuple(k.strip() for k in match[3].split(",")) if match[3] else ()
            kind = self.kind_of(owner)
            f = self.layout.fields.get(f"{kind.name}.{short}") if kind else None
            if f is not None and len(f.domain) == 1 + len(keys):
                return Cell(text, f, (owner, *keys))
        fields = ", ".join(sorted(name for name, f in self.layout.fields.items() if not f.ghost and not f.kind.is_call))
        raise TargetError(
            f"the target observed {text!r}, which {self.layout.spec.name} does not have; its fields are {fields}"
        )

    def at(self, cell: Cell, names: Names) -> int | None:
        """Where a cell lies in the state; None if one of its objects has no name yet."""
        key = []
        for kind, name in zip(cell.field.domain, cell.objects, strict=True):
            index = self.value(kind, name, names)
            if index is None or index >= self.layout.size(kind):
                return None
            key.append(index)
        return self.layout.at(cell.field, tuple(key))

    @cached_property
    def open_cells(self) -> dict[str, tuple[int, tuple[str, ...]]]:
        """What an initial state is free to choose:

        name of the cell -> where it lies, and the names of its possible values.
        """
        out = {}
        for i, (f, key) in enumerate(self.layout.cells):
            if f.open_initially and f.kind.permanent:
                values = [name for name in self.values(f.type) if name != "none" or not isinstance(f.type, Kind)]
                out[self.layout.cell_name(f, key)] = i, tuple(values)
        return out

    @cached_property
    def called(self) -> tuple[Kind, ...]:
        """The kinds of created objects that some call takes: a target has to name what it creates of them."""
        cases = (c for c in self.layout.spec.cases if self.operations is None or c.operation in self.operations)
        given = {p.var.type for case in cases for p in case.given()}
        return tuple(k for k in self.layout.spec.kinds if not k.permanent and not k.is_call and k in given)

    def living(self, state: State, kind: Kind) -> int:
        """How many objects of a kind exist."""
        live = self.layout.live(kind)
        size = self.layout.size(kind)
        if live is None:
            return size
        start = self.layout.offset[live.name]
        return sum(state[start : start + size])

    def shown(self, state: State) -> dict[str, str]:
        """The cells of a state that differ from blank, in words, for a reader."""
        out = {}
        for i, (f, key) in enumerate(self.layout.cells):
            if state[i] != self.layout.blanks[i] and not (f.is_live or f.ghost or f.rigid or f.kind.is_call):
                out[self.layout.cell_name(f, key)] = value_name(f.type, state[i], self.layout.scope)
        return out


def bind(names: Names, name: str, index: int) -> Names:
    """The names with one more."""
    return tuple(sorted((*names, (name, index))))
