# SPDX-License-Identifier: Apache-2.0
"""Machines and what their methods are: operations, events, properties, and the rows that a revision changes.

A machine is a class; a revision is a subclass.  Decorators only mark the methods; the compiler and the native run read
the marks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar

from .sources import Source
from .specification import Class, Cost, Form, Violation

F = TypeVar("F", bound=Callable[..., Any])

STATE, STEP, COUNT = Class.STATE, Class.STEP, Class.COUNT
LOCK_GRAPH, TWO_RUNS, PROGRESS = Class.LOCK_GRAPH, Class.TWO_RUNS, Class.PROGRESS


class Machine:
    """A machine, or a part of one: operations, events, predicates and properties are its methods.

    Of the class variables, `known`, `not_applicable`, `costs`, `base`, `unchanged` and `drops` speak for the class that
    states them and are never inherited.
    """

    machine: ClassVar[str] = ""
    revision: ClassVar[str] = ""
    option: ClassVar[bool] = False  # offered beside a revision: gone through only where it is named
    document: ClassVar[str] = ""  # what `read("function")` in this class refers to
    scopes: ClassVar[
        dict[str, dict[str, int]]
    ] = {}  # named finite scopes: how many objects of a kind (1 where it says nothing)
    known: ClassVar[Sequence[Violation]] = ()  # violations that this revision has, and who says so
    not_applicable: ClassVar[dict[str, str]] = {}  # property id -> why it says nothing here
    costs: ClassVar[dict[str, Cost]] = {}  # "who waits" -> what it costs users: shown under the matrix
    base: ClassVar[str] = ""  # the revision that a proposal changes, and is compared with
    unchanged: ClassVar[Source | None] = None  # on what ground the rows of the bases are taken over
    drops: ClassVar[
        Sequence[str]
    ] = ()  # rows ("METHOD.ROW") and operations of the bases that this revision does not have


def violates(property: str, row: str, why: str, source: Source) -> Violation:
    """A violation that a revision is known to have: written down before the run that confirms it.

    `row` names the row of the decision table at which it happens ("put_q.ok"), `why` is the argument.
    """
    return Violation(property, row, why, source)


def cost(answer: str, source: Source) -> Cost:
    """What a revision costs its users, as one answer: `costs = {"who waits": cost("nobody", deduced("..."))}`."""
    return Cost(answer, source)


def _mark(**marks: Any) -> Callable[[F], F]:
    def wrap(f: F) -> F:
        f.__dict__.update(marks)
        return f

    return wrap


def operation(f: F) -> F:
    """A call that user space makes."""
    return _mark(role="operation")(f)


def event(f: F) -> F:
    """What the environment does: removal, completion, a signal, death.  Nobody is told its outcome."""
    return _mark(role="event")(f)


def always(id: str, cls: Class, source: Source) -> Callable[[F], F]:
    """Must hold in every reachable state; or, if it says `old(…)`, over every step."""
    return _mark(role=Form.ALWAYS, id=id, cls=cls, source=source)


def sometimes(id: str, source: Source) -> Callable[[F], F]:
    """Must be reachable: the check against vacuity."""
    return _mark(role=Form.SOMETIMES, id=id, cls=STATE, source=source)


def eventually(id: str, source: Source, fair: tuple[str, ...] = ()) -> Callable[[F], F]:
    """Must come about, if the operations and events named by `fair` are taken whenever they stay enabled."""
    return _mark(role=Form.EVENTUALLY, id=id, cls=PROGRESS, source=source, fair=fair)


def after(operation: str, id: str, cls: Class, source: Source) -> Callable[[F], F]:
    """Must hold after every completed call of `operation`; takes (some of) its parameters, and `result`."""
    return _mark(role=Form.AFTER, id=id, cls=cls, source=source, operation=operation)


def check(id: str, cls: Class, source: Source) -> Callable[[F], F]:
    """A law that stands at asserts, `assert q.hw is not None, "uacce.I03"`: the method names it and says it."""
    return _mark(role=Form.CHECK, id=id, cls=cls, source=source)


def lemma(source: Source) -> Callable[[F], F]:
    """An `always` that is there only because a proof needs it.  It is proved with the rest."""
    return _mark(role=Form.ALWAYS, id="", cls=STATE, source=source, lemma=True)


def replaces(row: str) -> Callable[[F], F]:
    """This method stands in the place of a row: `@replaces("mmap.dead")`, METHOD.ROW of the method that has the row.

    Its parameters are the names that are known at that place.  What it raises or returns is the answer; if it does
    neither, the operation goes on with the next row.
    """
    if not isinstance(row, str):
        raise TypeError("replaces takes a row: METHOD.ROW")
    return _mark(patch=("replace", row))


def inserts(*, before: str = "", after: str = "") -> Callable[[F], F]:
    """This method is a further row before, or after, one of the bases: `@inserts(before="open.no_memory")`."""
    if bool(before) == bool(after) or not isinstance(before or after, str):
        raise TypeError("inserts takes either before= or after=, and a row: METHOD.ROW")
    return _mark(patch=("before", before) if before else ("after", after))
