# SPDX-License-Identifier: Apache-2.0
"""The intermediate form's terms: kinds, fields, typed expressions, and weakest preconditions through effects.

A reference is an object or `none`.  A field of `none` reads as the field's blank value; writing to a field of `none`
does nothing.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Kind:
    """A kind of object.  Engines choose: unbounded, or a given number of them."""

    name: str
    permanent: bool = False  # its objects exist from the start and are never freed

    @property
    def is_call(self) -> bool:
        """The calls in flight of a stepped operation are objects too: of kind `open()`."""
        return self.name.endswith("()")


@dataclass(frozen=True)
class Range:
    """The integers from lo to hi, both included.  Nothing saturates: a write outside violates `range:FIELD`."""

    lo: int
    hi: int


Type = Kind | Range | type  # of the Python types: `bool`, or an Enum class


class _Any(enum.Enum):
    ANY = "any"


ANY = _Any.ANY  # the default of a field that starts with any value of its type


@dataclass(frozen=True)
class Field:
    """One field of a kind: a function from `domain` (the object, then the keys of a map) to `type`."""

    name: str  # "Queue.state"
    domain: tuple[Kind, ...]
    type: Type
    default: Any = None  # a value; None: the reference `none`; ANY
    optional: bool = False  # may be none
    ghost: bool = False  # no driver decides on it
    raw: bool = False  # may refer to a freed object, on purpose
    rigid: bool = False  # never written after creation
    unique: bool = False  # no two objects refer to the same one

    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def kind(self) -> Kind:
        """Whose field it is."""
        return self.domain[0]

    @property
    def short(self) -> str:
        """The field's name without its kind."""
        return self.name.partition(".")[2]

    @property
    def is_live(self) -> bool:
        """Does it say which objects exist?"""
        return self.name.endswith(".live")

    @property
    def open_initially(self) -> bool:
        """May every initial state choose its value?"""
        return self.default is ANY and not self.optional


class Term:
    """A typed expression over the state, parameters and bound variables: immutable, compared by value."""

    type: Type

    def __hash__(self) -> int:
        known = self.__dict__.get("_hash")
        if known is None:
            known = hash((type(self).__name__, *(v for k, v in self.__dict__.items() if k != "_hash")))
            self.__dict__["_hash"] = known
        return int(known)

    def __getstate__(self) -> dict[str, Any]:
        """All but the hash, which another process would compute differently."""
        return {k: v for k, v in self.__dict__.items() if k != "_hash"}


@dataclass(frozen=True)
class Lit(Term):
    """A constant; `Lit(None, kind)` is the reference `none`."""

    value: Any
    type: Type
    __hash__ = Term.__hash__


@dataclass(frozen=True)
class Var(Term):
    """A parameter of a case, or a bound variable."""

    name: str
    type: Type
    __hash__ = Term.__hash__


@dataclass(frozen=True)
class Read(Term):
    """The value of a cell; with `old`, in the state before the step (properties only)."""

    field: Field
    args: tuple[Term, ...]
    old: bool = False
    type: Type = dataclasses.field(init=False, compare=False, repr=False)
    __hash__ = Term.__hash__

    def __post_init__(self) -> None:
        object.__setattr__(self, "type", self.field.type)


@dataclass(frozen=True)
class App(Term):
    """`and` `not` `eq` `ite` `add` `le` over terms (`or` is written with `not` and `and`)."""

    op: str
    args: tuple[Term, ...]
    type: Type = bool
    __hash__ = Term.__hash__


@dataclass(frozen=True)
class Quant(Term):
    """`all` or `any` over every object of a kind, dead ones too (the body says which matter), but not `none`."""

    op: str
    var: Var
    body: Term
    type: Type = bool
    __hash__ = Term.__hash__


TRUE, FALSE = Lit(True, bool), Lit(False, bool)


def none(kind: Type) -> Lit:
    """The reference to no object of a kind."""
    return Lit(None, kind)


def And(*ts: Term) -> Term:
    """The conjunction, flattened and without repetition."""
    out: dict[Term, None] = {}
    for t in ts:
        for u in t.args if isinstance(t, App) and t.op == "and" else (t,):
            if u == FALSE:
                return FALSE
            if u != TRUE:
                out[u] = None
    return TRUE if not out else next(iter(out)) if len(out) == 1 else App("and", tuple(out))


def Not(t: Term) -> Term:
    """The negation."""
    if isinstance(t, Lit):
        return FALSE if t.value else TRUE
    return t.args[0] if isinstance(t, App) and t.op == "not" else App("not", (t,))


def Or(*ts: Term) -> Term:
    """The disjunction."""
    return Not(And(*(Not(t) for t in ts)))


def Implies(a: Term, b: Term) -> Term:
    """b, where a."""
    return Or(Not(a), b)


def Eq(a: Term, b: Term) -> Term:
    """Are both the same?"""
    if a == b:
        return TRUE
    if isinstance(a, Lit) and isinstance(b, Lit):
        return TRUE if a.value == b.value else FALSE
    if a.type is bool and isinstance(b, Lit):
        return a if b.value else Not(a)
    return App("eq", (a, b))


def Ite(c: Term, a: Term, b: Term) -> Term:
    """a where c, else b."""
    if c == TRUE or a == b:
        return a
    if c == FALSE:
        return b
    if a.type is bool and isinstance(a, Lit) and isinstance(b, Lit):
        return c if a.value else Not(c)
    if isinstance(a.type, Range) and isinstance(b.type, Range):
        return App("ite", (c, a, b), Range(min(a.type.lo, b.type.lo), max(a.type.hi, b.type.hi)))
    return App("ite", (c, a, b), a.type)


def All(v: Var, body: Term) -> Term:
    """The body, for all objects of a kind."""
    return body if isinstance(body, Lit) else Quant("all", v, body)


def Any_(v: Var, body: Term) -> Term:
    """The body, for some object of a kind."""
    return body if isinstance(body, Lit) else Quant("any", v, body)


def forall(vs: Iterable[Var], body: Term) -> Term:
    """The body, for all values of the variables."""
    for v in reversed(tuple(vs)):
        body = All(v, body)
    return body


def blank(f: Field) -> Lit:
    """What a field holds in an object that does not exist, and (unless ANY) in the initial state."""
    if isinstance(f.type, Kind):
        return none(f.type)
    if f.default is not None and f.default is not ANY:
        return Lit(f.default, f.type)
    if isinstance(f.type, Range):
        return Lit(max(0, f.type.lo), f.type)
    return Lit(members(f.type)[0], f.type)


def members(t: Type) -> list[Any]:
    """The values of a type that is not a kind, in their order."""
    if isinstance(t, Range):
        return list(range(t.lo, t.hi + 1))
    if isinstance(t, Kind):
        raise TypeError(f"{t.name} is a kind: how many there are is for the engine to say")
    return [False, True] if t is bool else list(_enum(t))


def _enum(t: type) -> type[enum.Enum]:
    assert issubclass(t, enum.Enum)
    return t


def walk(t: Term) -> Iterator[Term]:
    """The term and all terms inside it."""
    yield t
    for u in children(t):
        yield from walk(u)


def children(t: Term) -> tuple[Term, ...]:
    """The terms directly inside a term."""
    return t.args if isinstance(t, (Read, App)) else (t.body,) if isinstance(t, Quant) else ()


def rebuild(t: Term, f: Callable[[Term], Term]) -> Term:
    """Apply f to the children of t, and simplify again."""
    if isinstance(t, Read):
        return Read(t.field, tuple(map(f, t.args)), t.old)
    if isinstance(t, Quant):
        return (All if t.op == "all" else Any_)(t.var, f(t.body))
    if isinstance(t, App):
        args = tuple(map(f, t.args))
        match t.op:
            case "and":
                return And(*args)
            case "not":
                return Not(*args)
            case "eq":
                return Eq(*args)
            case "ite":
                return Ite(*args)
        return App(t.op, args, t.type)
    return t


def substitute(t: Term, values: dict[Var, Term]) -> Term:
    """The term with variables exchanged for other terms."""
    if not values:
        return t
    return values.get(t, t) if isinstance(t, Var) else rebuild(t, lambda u: substitute(u, values))


@dataclass(frozen=True)
class Assign:
    """For all binders where `when` holds: field[args] := value.  All terms speak about the state before the step."""

    field: Field
    args: tuple[Term, ...]
    value: Term
    when: Term = TRUE
    binders: tuple[Var, ...] = ()


def value_after(effects: Iterable[Assign], f: Field, args: tuple[Term, ...]) -> Term:
    """The value of a cell after the effects, in terms of the state before them."""
    out: Term = Read(f, args)
    for a in effects:
        if a.field == f:
            bind = {b: x for b, x in zip(a.args, args, strict=True) if isinstance(b, Var) and b in a.binders}
            rest = [v for v in a.binders if v not in bind]
            hit = And(
                *(Eq(x, substitute(y, bind)) for x, y in zip(args, a.args, strict=True) if y not in a.binders),
                substitute(a.when, bind),
            )
            for v in rest:
                hit = Any_(v, hit)
            out = Ite(hit, substitute(a.value, bind), out)
    return out


def after(t: Term, effects: tuple[Assign, ...]) -> Term:
    """t evaluated after the effects: its weakest precondition.  What it says of `old` is read before them."""
    if isinstance(t, Read):
        args = tuple(after(a, effects) for a in t.args)
        return Read(t.field, args) if t.old else value_after(effects, t.field, args)
    return rebuild(t, lambda u: after(u, effects))


def show(t: Term) -> str:
    """A term as a reader would write it."""
    if isinstance(t, Lit):
        return str(t.value.name if isinstance(t.value, enum.Enum) else t.value)
    if isinstance(t, Var):
        return t.name.split("#")[0]
    if isinstance(t, Read):
        a = [show(x) for x in t.args]
        cell = f"{a[0]}.{t.field.short}" + (f"[{', '.join(a[1:])}]" if a[1:] else "")
        return f"old {cell}" if t.old else cell
    if isinstance(t, Quant):
        assert isinstance(t.var.type, Kind)
        return f"{t.op}({show(t.body)} for {show(t.var)} in {t.var.type.name})"
    assert isinstance(t, App)
    a = [show(x) for x in t.args]
    match t.op:
        case "and":
            return "(" + " and ".join(a) + ")"
        case "not":
            return f"not {a[0]}"
        case "ite":
            return f"({a[1]} if {a[0]} else {a[2]})"
    return f"{a[0]} {dict(eq='is', add='+', le='<=')[t.op]} {a[1]}"
