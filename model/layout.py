# SPDX-License-Identifier: Apache-2.0
"""Where everything lies in a state.

A state is a tuple of small integers, one per cell; a cell is a field at a key (an object, then the keys of a map).

- bool: 0 or 1; Enum and Range: the index into `members` of the type; reference: the object's index, or the size of its
  kind for `none`.
- Only objects have cells: `none` has none, it reads as blank and cannot be written.

Inside terms a Range counts with its real values: `Layout.base` is what lies between the two.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping

from accelspec.spec.language.specification import Specification
from accelspec.spec.language.terms import Field, Kind, Lit, Range, Type, blank, members

from .trace import State, value_name

Key = tuple[int, ...]


def full_scope(spec: Specification, scope: Mapping[str, int] | None = None) -> dict[str, int]:
    """Every kind's size: the given scope or else the specification's own, and 1 for a kind that it does not name.

    Raises ValueError for a kind that the specification does not have and for a negative size.
    """
    given = dict(spec.scope if scope is None else scope)
    names = [k.name for k in spec.kinds]
    for name, n in given.items():
        if scope is not None and name not in names:
            raise ValueError(f"{spec.name} has no kind {name!r}; its kinds are {', '.join(names)}")
        if n < 0:
            raise ValueError(f"there cannot be {n} of {name}")
    return {name: given.get(name, 1) for name in names}


class Layout:
    """The cells of one specification in one scope."""

    def __init__(self, spec: Specification, scope: Mapping[str, int] | None = None) -> None:
        self.spec = spec
        self.scope = full_scope(spec, scope)
        self.fields = {f.name: f for f in spec.fields}
        self.offset: dict[str, int] = {}
        self._strides: dict[str, tuple[int, ...]] = {}
        self.cells: list[tuple[Field, Key]] = []
        for f in spec.fields:
            self.offset[f.name] = len(self.cells)
            self.cells += [(f, key) for key in self.keys(f)]
        self.blanks = tuple(self.stored(blank(f), f.type) for f, _ in self.cells)

    def __len__(self) -> int:
        return len(self.cells)

    def size(self, kind: Type) -> int:
        """How many objects of a kind there are."""
        assert isinstance(kind, Kind)
        return self.scope[kind.name]

    def keys(self, f: Field) -> Iterator[Key]:
        """The keys of a field's cells, in the order of the cells."""
        return itertools.product(*(range(self.size(d)) for d in f.domain))

    def strides(self, f: Field) -> tuple[int, ...]:
        """How far apart two cells lie whose keys differ by one in one place."""
        known = self._strides.get(f.name)
        if known is None:
            sizes = [self.size(d) for d in f.domain]
            known = self._strides[f.name] = tuple(math.prod(sizes[i + 1 :]) for i in range(len(sizes)))
        return known

    def at(self, f: Field, key: Key) -> int:
        """The cell of a field; raises IndexError if one of the objects does not exist in this scope."""
        for i, d in zip(key, f.domain, strict=True):
            if not 0 <= i < self.size(d):
                raise IndexError(f"{f.name}{list(key)}: there are only {self.size(d)} of {d.name}")
        return self.offset[f.name] + sum(i * s for i, s in zip(key, self.strides(f), strict=True))

    def count(self, t: Type) -> int:
        """How many values a cell or a parameter of this type has; the last one of a reference is `none`."""
        return self.size(t) + 1 if isinstance(t, Kind) else len(members(t))

    def code(self, t: Lit) -> int:
        """A constant as terms count with it: of a Range, the number itself."""
        if isinstance(t.type, Kind):
            return self.size(t.type)
        return int(t.value) if isinstance(t.type, Range) else members(t.type).index(t.value)

    def stored(self, t: Lit, into: Type) -> int:
        """A constant as it lies in a cell of type `into`."""
        return self.code(t) - self.base(into)

    @staticmethod
    def base(t: Type) -> int:
        """What to add to a stored value to get the number that terms count with."""
        return t.lo if isinstance(t, Range) else 0

    def live(self, kind: Kind) -> Field | None:
        """The field that says which objects of a kind exist; None if all always do."""
        return self.fields.get(f"{kind.name}.live")

    def cell_name(self, f: Field, key: Key) -> str:
        """`queue0.state`, `process1.fd[fd0]`"""
        names = [value_name(d, i, self.scope) for d, i in zip(f.domain, key, strict=True)]
        return f"{names[0]}.{f.short}" + (f"[{', '.join(names[1:])}]" if names[1:] else "")

    def initial(self) -> Iterator[State]:
        """Every initial state: all blank, and any value where a permanent object's field is left open."""
        s = list(self.blanks)
        free = [i for i, (f, _) in enumerate(self.cells) if f.open_initially and f.kind.permanent]
        ranges = [range(self._open(self.cells[i][0].type)) for i in free]
        for values in itertools.product(*ranges):
            for i, x in zip(free, values, strict=True):
                s[i] = x
            yield tuple(s)

    def _open(self, t: Type) -> int:
        return self.size(t) if isinstance(t, Kind) else self.count(t)
