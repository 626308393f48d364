# SPDX-License-Identifier: Apache-2.0
"""A path: one way through an operation, as far as it has been read."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from ..assembly import Method
from ..specification import Check, Param
from ..terms import TRUE, And, Assign, Field, Term, Var

Todo = Any  # what is left to read: nested pairs (item, rest), or None; an item is a statement or a Marker


@dataclass(frozen=True)
class Marker:
    """Something to do between statements: `what` is "leave", "acquire", "release" or "until"."""

    what: str
    on: Any = None


@dataclass
class Frame:
    """One method being read, and what its names stand for."""

    method: Method
    env: dict[str, Term]
    within: tuple[Method, ...] = ()  # the methods that are being read around it
    fixed: frozenset[str] = frozenset()  # inside an atomic loop: the names from outside

    def copy(self) -> Frame:
        """A frame whose names may be given other meanings."""
        return Frame(self.method, dict(self.env), self.within, self.fixed)

    def loop(self, name: str, x: Term) -> Frame:
        """The frame of the body of an atomic loop over x."""
        env = {**self.env, name: x}
        return Frame(self.method, env, self.within, frozenset(env))

    def inner(self, method: Method, env: dict[str, Term]) -> Frame:
        """The frame of a method that is entered from this one."""
        return Frame(method, env, (*self.within, self.method))


@dataclass
class Caller:
    """Where to go on when a method that was entered is left."""

    frame: Frame
    target: str | None  # the name that gets its value
    rest: Todo
    patch: bool = False  # a row that stands in for another: what it answers is the enclosing method's answer


@dataclass(frozen=True)
class Held:
    """A lock that the call holds.  Its owner is looked up once: it has a name of its own if the author gave it none."""

    written: ast.expr  # as in `with q.device.mutex:`
    node: ast.Attribute  # the same, of a name
    frame: Frame  # in which the name is known

    def known_in(self, frame: Frame) -> Held:
        """The same lock, with its owner known in another frame too."""
        owner = self.owner
        term = self.frame.env[owner]
        if frame.env.get(owner, term) != term:
            owner = f"{owner} of {self.frame.method.owner.__name__}"
        frame.env[owner] = term
        return Held(self.written, attribute_of(owner, self.node), frame)

    @property
    def owner(self) -> str:
        """The name of what the lock belongs to."""
        assert isinstance(self.node.value, ast.Name)
        return self.node.value.id


def attribute_of(name: str, node: ast.Attribute) -> ast.Attribute:
    """`name.field`, in the place of another attribute."""
    base = ast.copy_location(ast.Name(name, ast.Load()), node)
    return ast.copy_location(ast.Attribute(base, node.attr, ast.Load()), node)


@dataclass
class Path:
    """What was read so far on one way through an operation, and what it does."""

    frame: Frame
    guards: list[Term] = field(default_factory=list)
    shown: str = "otherwise"
    told: list[str] = field(default_factory=list)  # the effects as written
    effects: list[Assign] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    params: list[Param] = field(default_factory=list)
    conds: list[Term] = field(default_factory=list)  # `when` and filter conditions around the statement
    binders: list[Var] = field(default_factory=list)  # loop variables around it
    reads: list[tuple[Field, tuple[Term, ...]]] = field(default_factory=list)
    callers: list[Caller] = field(default_factory=list)
    locks: list[Held] = field(default_factory=list)
    given: dict[str, Term] = field(default_factory=dict)  # the arguments of which laws speak when the call has ended
    call: Term | None = None  # the call in flight, after its first step
    step: str = ""  # the label at which it stood
    heads: set[int] = field(default_factory=set)  # loops entered in this step

    def fork(self) -> Path:
        """Another way that begins as this one did."""
        new = replace(self)
        for k, v in vars(self).items():
            if isinstance(v, (list, set)):
                setattr(new, k, type(v)(v))
        new.frame = self.frame.copy()
        return new

    @contextmanager
    def under(self, *conditions: Term) -> Iterator[None]:
        """What is read meanwhile matters only where the conditions hold."""
        n = len(self.conds)
        self.conds += conditions
        yield
        del self.conds[n:]

    @property
    def home(self) -> Frame:
        """The frame of the operation itself."""
        return self.callers[0].frame if self.callers else self.frame

    @property
    def cond(self) -> Term:
        """All conditions around the statement."""
        return And(*self.conds) if self.conds else TRUE


def chain(items: list[Any], rest: Todo) -> Todo:
    """The items, and then the rest."""
    for i in reversed(items):
        rest = (i, rest)
    return rest
