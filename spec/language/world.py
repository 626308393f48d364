# SPDX-License-Identifier: Apache-2.0
"""A World: concrete objects in a finite scope, so that a machine's methods can simply be called.

Every field of an object that does not exist is blank.  Creation takes the free object of lowest index: all free ones
are alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from types import SimpleNamespace
from typing import Any

from .objects import Busy, Lock, Map, Pools, declarations
from .terms import ANY, Range


class NotEnabled(Exception):
    """The call is not offered in this state: a `require` is false, or the scope has no further object."""


class World(Pools):
    """Objects of the given kinds, `scope[kind name]` of each (1 where it says nothing).

    `failing` names what fails in the next call; `picks` are taken by `choose`, in order; `before` is what `old` reads.
    """

    def __init__(self, kinds: Iterable[type], scope: Mapping[str, int]) -> None:
        self.failing: set[str] = set()
        self.picks: list[Any] = []
        self.before: dict[Any, Any] = {}
        self.pool: dict[type, list[Any]] = {}
        for kind in kinds:
            self.pool[kind] = [object.__new__(kind) for _ in range(scope.get(kind.__name__, 1))]
            for i, o in enumerate(self.pool[kind]):
                o.__dict__["index"] = i
        for kind, objects in self.pool.items():
            for o in objects:
                self._blank(o, live=bool(getattr(kind, "always", False)))

    def __enter__(self) -> World:
        Pools.current.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        Pools.current.pop()

    def living(self, kind: type) -> list[Any]:
        """The objects of a kind that exist now."""
        return [o for o in self.pool[kind] if o.__dict__["live"]]

    def create(self, kind: type, given: dict[str, Any]) -> Any:
        """A new object, or NotEnabled if the scope has no further one."""
        o = next((o for o in self.pool[kind] if not o.__dict__["live"]), None)
        if o is None:
            raise NotEnabled(f"the scope has no further {kind.__name__}")
        o.__dict__["live"] = True  # its fields are blank already, unless somebody wrote to it while it did not exist
        for name, value in given.items():
            setattr(o, name, value)
        return o

    def free(self, o: Any) -> None:
        """The object exists no more, and its fields are blank."""
        self._blank(o, live=False)

    def pick(self, candidates: list[Any]) -> Any:
        """The candidate that was asked for, or the first."""
        wanted = self.picks.pop(0) if self.picks else None
        return next((c for c in candidates if c is wanted), candidates[0] if candidates else None)

    def remember(self) -> None:
        """From now on `old` reads the state as it is at this moment."""
        self.before = {o: SimpleNamespace(**_copied(o.__dict__)) for objects in self.pool.values() for o in objects}

    def _blank(self, o: Any, live: bool) -> None:
        o.__dict__["live"] = live
        for name, declared in declarations(type(o)).items():
            value = blank_value(declared.type, declared.default)
            if declared.lock:
                o.__dict__[name] = Busy() if declared.busy else Lock()
            elif declared.key is not None:
                check = partial(declared.check, field=f"{type(o).__name__}.{name}")
                o.__dict__[name] = Map(dict.fromkeys(self.pool[declared.key], value), check)
            else:
                o.__dict__[name] = value


def _copied(cells: dict[str, Any]) -> dict[str, Any]:
    return {
        k: Map(dict(v.cells)) if isinstance(v, Map) else Lock(v.held) if isinstance(v, Lock) else v
        for k, v in cells.items()
    }


def blank_value(type_: Any, default: Any) -> Any:
    """The native value of a blank field (the counterpart of `terms.blank`)."""
    if hasattr(type_, "always"):
        return None
    if default is not ANY and default is not None:
        return default
    if isinstance(type_, Range):
        return max(0, type_.lo)
    return False if type_ is bool else next(iter(type_))


def world() -> World:
    """The innermost entered World."""
    if not Pools.current or not isinstance(Pools.current[-1], World):
        raise RuntimeError("this word works only inside a World: `with World(kinds, scope): …`")
    return Pools.current[-1]
