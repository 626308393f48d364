# SPDX-License-Identifier: Apache-2.0
"""Kinds of object and their fields, as an author declares them: classes with typed annotations.

    class Queue(Object):
        device: Rigid[Device]
        state: QueueState = INIT
        hw: HwQueue | None = None
        slot: Map[Region, bool] = Map()

The classes are ordinary Python: inside a `World` (world.py) their objects can be created, iterated and changed: the
native run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Generic,
    TypeVar,
    Union,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)

from .terms import ANY, Range

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")

Rigid = Annotated[T, "rigid"]  # never written after creation: the compiler refuses a write
Raw = Annotated[T, "raw"]  # may refer to a freed object, on purpose
Unique = Annotated[T, "unique"]  # no two objects refer to the same one: checked by every engine as `unique:FIELD`
Ghost = Annotated[T, "ghost"]  # no driver decides on it: the compiler refuses a guard that reads it


class Pools:
    """Where objects live: what a World must offer to the classes.  The innermost entered one is current."""

    current: list[Pools] = []

    def living(self, kind: type) -> list[Any]:
        """The objects of a kind that exist now, in their order."""
        raise NotImplementedError

    def create(self, kind: type, given: dict[str, Any]) -> Any:
        """A new object with these fields."""
        raise NotImplementedError


def pools() -> Pools:
    """The innermost entered World.  Raises RuntimeError outside of one."""
    if not Pools.current:
        raise RuntimeError("objects exist only inside a World: `with World(machine, scope): …`")
    return Pools.current[-1]


@dataclass_transform(kw_only_default=True, eq_default=False)
class ObjectMeta(type):
    """Makes a class of objects iterable, and creation the business of the World."""

    def __iter__(cls: type[T]) -> Iterator[T]:
        """The objects of this kind that exist now."""
        return iter(pools().living(cls))

    if not TYPE_CHECKING:

        def __call__(cls, **given):
            """A new object of this kind."""
            return pools().create(cls, given)


class Object(metaclass=ObjectMeta):
    """A kind of object.  Fields are annotations; objects of an `always=True` kind exist from the start, for ever."""

    always = False

    def __init_subclass__(cls, always: bool = False) -> None:
        cls.always = always

    if not TYPE_CHECKING:

        def __setattr__(self, name, value):
            declared = declarations(type(self)).get(name)
            if declared is None:
                raise AttributeError(f"{type(self).__name__} has no field {name}")
            declared.check(value, f"{type(self).__name__}.{name}")
            self.__dict__[name] = value

        def __repr__(self):
            return f"{type(self).__name__.lower()}{self.__dict__['index']}"


class Map(Generic[K, V]):
    """A field indexed by another kind of object: `fd: Map[Fd, File | None]`; `each` is what every cell begins as."""

    def __init__(
        self, cells: dict[K, V] | None = None, check: Callable[[V], None] = lambda value: None, each: V | Any = ANY
    ) -> None:
        self.cells: dict[K, V] = cells or {}
        self.check = check  # of what is written
        self.each = each

    def __getitem__(self, k: K) -> V:
        return self.cells[k]

    def __setitem__(self, k: K, v: V) -> None:
        self.check(v)
        self.cells[k] = v


class Lock:
    """`with obj.lock:` waits until it is free and holds it through the block; as a condition, whether it is held."""

    def __init__(self, held: bool = False) -> None:
        self.held = held

    def __bool__(self) -> bool:
        return self.held

    def __enter__(self) -> None:
        self.held = True

    def __exit__(self, *_: object) -> None:
        self.held = False


class Busy(Lock):
    """Taken as a lock is, but no part of the lock order: `with p.busy:` says that a call runs; exit waits for it."""


UNLOCKED = Lock()
IDLE = Busy()


class Declaration:
    """What an annotation says about a field: its type, its keys, its default, its marks."""

    def __init__(self, hint: Any, default: Any) -> None:
        marks: list[Any] = []
        if get_origin(hint) is Annotated:
            hint, *marks = get_args(hint)
        self.key: type | None = None
        if get_origin(hint) is Map:
            self.key, hint = get_args(hint)
            if get_origin(hint) is Annotated:
                hint, *more = get_args(hint)
                marks += more
        self.optional = get_origin(hint) in (UnionType, Union)
        if self.optional:
            (hint,) = [a for a in get_args(hint) if a is not type(None)]
        self.lock = hint in (Lock, Busy)
        self.busy = hint is Busy
        self.type: Any = bool if self.lock else next((m for m in marks if isinstance(m, Range)), hint)
        self.default: Any = False if self.lock else default.each if isinstance(default, Map) else default
        self.ghost, self.raw = "ghost" in marks, "raw" in marks
        self.rigid, self.unique = "rigid" in marks, "unique" in marks

    def check(self, value: Any, field: str) -> None:
        """Raise AssertionError for a number that is written outside of its range."""
        if isinstance(self.type, Range) and not self.type.lo <= value <= self.type.hi:
            raise AssertionError(f"range:{field}")


def declarations(kind: type) -> dict[str, Declaration]:
    """The fields of a kind, in their order.  Raises NameError for an annotation that names nothing."""
    if "_declarations" not in kind.__dict__:
        hints = {k: h for k, h in get_type_hints(kind, include_extras=True).items() if k != "always"}
        type.__setattr__(kind, "_declarations", {k: Declaration(h, getattr(kind, k, ANY)) for k, h in hints.items()})
    found: dict[str, Declaration] = kind.__dict__["_declarations"]
    return found


def is_kind(x: object) -> bool:
    """Is it a class of objects?"""
    return isinstance(x, type) and issubclass(x, Object) and x is not Object
