# SPDX-License-Identifier: Apache-2.0
"""A compiled specification: what every engine is given.

A case is one way through an operation; all cases with the same `operation` and `row` are one row of its decision table.
A case's guard, checks and effects speak about the state before the step.  The guards of an operation's cases exclude
each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from .answers import Errno
from .sources import Source
from .terms import TRUE, Assign, Field, Kind, Read, Term, Var, walk


class Role(Enum):
    """Where the value of a case's parameter comes from."""

    GIVEN = "given"  # an argument of the call: an existing object (never none) or a value
    NEW = "new"  # an object that does not exist yet: any one, all alike
    CHOSEN = "chosen"  # the environment chooses; `none` if there is no candidate
    FAILS = "fails"  # a failure injected by the environment: true or false
    CALL = "call"  # a call in flight of this operation


@dataclass(frozen=True)
class Param:
    """A parameter, and what its value must satisfy."""

    var: Var
    role: Role
    where: Term = TRUE


@dataclass(frozen=True)
class Check:
    """An `assert` met on the way: it must hold whenever the case is taken.  Where it fails the run ends."""

    property: str  # "uacce.I03"
    term: Term
    file: str
    line: int


@dataclass(frozen=True)
class Case:
    """One way to take one row."""

    operation: str  # "open"
    row: str  # "busy"; of a step that ends at a label, "... label"
    guard: Term
    outcome: Errno | None  # None: the call goes on, it only took a step
    effects: tuple[Assign, ...]
    checks: tuple[Check, ...]
    params: tuple[Param, ...]
    shown: str  # the guard as its author wrote it
    told: tuple[str, ...]  # the effects as their author wrote them
    source: Source
    file: str
    line: int
    event: bool = False
    step: str = ""  # where the call stood before: the label of the step; empty at the start of a call

    @property
    def id(self) -> str:
        """The row's name, stable across revisions: "open.busy"."""
        return f"{self.operation}.{self.row}"

    @property
    def crashes(self) -> bool:
        """Nothing is explored behind it."""
        return self.outcome is not None and self.outcome.is_crash

    def given(self) -> Iterator[Param]:
        """The arguments of the call, in their order."""
        return (p for p in self.params if p.role is Role.GIVEN)


class Form(Enum):
    """When a property must hold."""

    ALWAYS = "always"  # in every reachable state (or over every step, if it reads `old`)
    SOMETIMES = "sometimes"  # in some reachable state
    EVENTUALLY = "eventually"  # from every reachable state it can be, and under the stated fairness will be, reached
    AFTER = "after"  # after every completed call of `operation`
    CHECK = "check"  # at the asserts that carry its id


class Class(Enum):
    """What a property speaks about, and so which engines can decide it."""

    STATE = "state"
    STEP = "step"
    COUNT = "count"
    LOCK_GRAPH = "lock graph"
    TWO_RUNS = "two runs"
    PROGRESS = "progress"


@dataclass(frozen=True)
class Property:
    """A law.  `term` is TRUE for form CHECK; for form AFTER `params` are those of the operation, and `result`."""

    id: str  # "uacce.I05"; for what the types imply "live:File.queue", "blank:Queue", "range:Queue.gets", "unique:..."
    name: str  # "a_file_has_a_queue"
    form: Form
    cls: Class
    term: Term
    sentence: str
    source: Source
    file: str
    line: int
    lemma: bool = False  # there because the proof needs it, or implied by the types
    operation: str = ""
    params: tuple[Var, ...] = ()
    fair: tuple[str, ...] = ()  # for EVENTUALLY: the operations and events that must be taken if they stay enabled

    @property
    def over_step(self) -> bool:
        """Does it relate the states before and after a step?"""
        return any(isinstance(t, Read) and t.old for t in walk(self.term))

    @property
    def implied(self) -> bool:
        """Does it come from the types, not from an author?"""
        return ":" in self.id


@dataclass(frozen=True)
class Violation:
    """A violation that a revision is known to have, written down before the run that confirms it."""

    property: str
    row: str
    why: str
    source: Source


@dataclass(frozen=True)
class Cost:
    """What a revision costs its users: the answer to one question, and who says so."""

    answer: str
    source: Source


@dataclass(frozen=True)
class Assumption:
    """A `require`: what the specification takes for granted about a call."""

    operation: str
    text: str
    file: str
    line: int


@dataclass(frozen=True)
class LockEdge:
    """An operation wants one lock while it holds another; locks are named by their class, as lockdep does."""

    held: str  # "Device.mutex"
    wanted: str
    operation: str
    file: str
    line: int


@dataclass
class Specification:
    """One revision of one machine, compiled."""

    machine: str  # "uacce"
    revision: str  # "6.12.117"
    sentence: str
    document: str
    file: str = ""
    line: int = 1  # of its class
    kinds: list[Kind] = field(default_factory=list)
    fields: list[Field] = field(default_factory=list)
    places: dict[str, tuple[str, int]] = field(default_factory=dict)  # of a field by its name: file and line
    cases: list[Case] = field(default_factory=list)
    properties: list[Property] = field(default_factory=list)
    known: dict[str, Violation] = field(default_factory=dict)
    not_applicable: dict[str, str] = field(default_factory=dict)
    costs: dict[str, Cost] = field(default_factory=dict)  # question -> answer
    base: str = ""  # the revision that it says it changes
    assumptions: list[Assumption] = field(default_factory=list)
    waits: list[Assumption] = field(default_factory=list)  # what a `wait_until` waits for: no assumption
    steps: dict[str, list[str]] = field(default_factory=dict)  # of a stepped operation: its labels; `at` counts from 1
    lock_order: list[LockEdge] = field(default_factory=list)
    scopes: dict[str, dict[str, int]] = field(default_factory=dict)  # the author's finite scopes: kind name -> how many

    @property
    def name(self) -> str:
        """ "uacce@6.12.117" """
        return f"{self.machine}@{self.revision}"

    @property
    def scope(self) -> dict[str, int]:
        """The first of the author's finite scopes; one object of each kind where there is none."""
        return next(iter(self.scopes.values()), {})

    def kind(self, name: str) -> Kind:
        """The kind of this name.  Raises StopIteration for an unknown one."""
        return next(k for k in self.kinds if k.name == name)

    def field(self, name: str) -> Field:
        """The field of this name (`Queue.state`).  Raises StopIteration for an unknown one."""
        return next(f for f in self.fields if f.name == name)

    def operations(self) -> list[str]:
        """The operations and events, in their order."""
        return list(dict.fromkeys(c.operation for c in self.cases))

    def rows(self) -> dict[str, list[Case]]:
        """Row id -> its cases, in the order of the decision tables."""
        out: dict[str, list[Case]] = {}
        for c in self.cases:
            out.setdefault(c.id, []).append(c)
        return out

    def always(self) -> list[Property]:
        """The properties that must hold in every reachable state, or over every step."""
        return [p for p in self.properties if p.form is Form.ALWAYS]
