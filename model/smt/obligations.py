# SPDX-License-Identifier: Apache-2.0
"""What has to be shown, as terms: the proof obligations of a specification, before any solver is chosen.

A state property holds in every reachable state if the initial states have it and every case preserves it.  Nothing is
explored behind a failed check or a crash, so a crash preserves nothing, and what was checked may be relied on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from accelspec.spec.language.answers import Errno
from accelspec.spec.language.sources import deduced
from accelspec.spec.language.specification import Case, Class, Form, Param, Property, Role, Specification
from accelspec.spec.language.terms import (
    TRUE,
    And,
    Assign,
    Eq,
    Kind,
    Lit,
    Not,
    Quant,
    Read,
    Term,
    Var,
    blank,
    children,
    none,
    rebuild,
    substitute,
    value_after,
)

from ..program import conjuncts
from ..ranges import range_checks

BY_INDUCTION = (Class.STATE, Class.STEP, Class.COUNT)  # the classes of property that obligations can decide
Place = int | str  # of an obligation within its case: the number of a check, or the id of a property
Effects = dict[str, list[Assign]]  # the name of a field -> what is written to it, in order


@dataclass(frozen=True)
class Reliance:
    """What a proof needs: laws, by their ids, and the checks of the case that were passed, by their numbers."""

    laws: frozenset[str]
    checks: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Obligation:
    """`goal` must hold in every state in which the case is taken; without a case, in every initial state.

    A check is an obligation at the place where it stands: the checks before it were passed.
    """

    id: str  # of the property
    goal: Term
    case: Case | None = None
    check: int | None = None  # which of the case's checks it is

    @property
    def place(self) -> Place:
        """What tells it from the others of its case."""
        return self.id if self.check is None else self.check

    def row(self) -> str:
        """Where it arises, for people: "put_q.ok"."""
        return self.case.id if self.case else "the initial state"


def is_law(p: Property) -> bool:
    """Must it hold of every state, or of every step?  Those can be relied on in proofs.

    A law over steps is true of the step that led to a state; for an initial state, of a step that changes nothing.
    """
    return p.form is Form.ALWAYS and p.cls in BY_INDUCTION and not is_range(p.id)


def is_range(id: str) -> bool:
    """`range:FIELD` is decided where the field is written, like a check: nothing is explored behind a write outside."""
    return id.startswith("range:")


def exists(t: Term) -> Term:
    """The reference is not `none`."""
    assert isinstance(t.type, Kind)
    return Not(Eq(t, none(t.type)))


def parameter(p: Param) -> Term:
    """What the value of a parameter satisfies: only what is chosen may be none."""
    return And(exists(p.var), p.where) if isinstance(p.var.type, Kind) and p.role is not Role.CHOSEN else p.where


def taken(case: Case) -> Term:
    """The case is taken (its checks are not asked)."""
    return And(*(parameter(p) for p in case.params), case.guard)


def effects(case: Case) -> tuple[Assign, ...]:
    """The effects, with what the terms leave unsaid: a write to a field of `none` does nothing."""
    real = {p.var for p in case.params if p.role is not Role.CHOSEN}
    return tuple(_guarded(a, real) for a in case.effects if not any(isinstance(x, Lit) for x in a.args))


def _guarded(a: Assign, real: set[Var]) -> Assign:
    if a.value == blank(a.field):
        return a  # `none` is blank already
    said = {t.args[0] for t in conjuncts(a.when) if isinstance(t, Read) and t.field.is_live}
    return replace(a, when=And(a.when, *(exists(x) for x in a.args if x not in real and x not in said)))


def checks(case: Case) -> Iterator[Obligation]:
    """The asserts of the case in their order, then the writes to small numbers: each must stay in its range."""
    terms = [*((c.property, c.term) for c in case.checks), *range_checks(case).items()]
    for n, (id, term) in enumerate(terms):
        yield Obligation(id, term, case, n)


def preserved(p: Property, case: Case, written: Effects) -> Obligation | None:
    """The state or step property after the case; None if the case does not touch it, or if nothing is behind it."""
    if case.crashes or not (p.over_step or written.keys() & fields_of(p.term)):
        return None
    return Obligation(p.id, behind(p.term, written), case)


def behind(t: Term, written: Effects) -> Term:
    """The term evaluated after the effects: terms.after, that leaves alone what they do not touch."""
    if not (written.keys() & fields_of(t)):
        return standing(t)
    if isinstance(t, Read):
        args = tuple(behind(x, written) for x in t.args)
        return Read(t.field, args) if t.old else value_after(written.get(t.field.name, ()), t.field, args)
    return rebuild(t, lambda u: behind(u, written))


@lru_cache(maxsize=65536)
def standing(t: Term) -> Term:
    """The term of a step that changes nothing: `old` is now."""
    return Read(t.field, tuple(map(standing, t.args))) if isinstance(t, Read) else rebuild(t, standing)


@lru_cache(maxsize=4096)
def apart(t: Term) -> Term:
    """The same property with bound variables that no case knows: substitution does not rename what it could capture."""
    if isinstance(t, Quant):
        own = Var(f"{t.var.name}'", t.var.type)
        return Quant(t.op, own, apart(substitute(t.body, {t.var: own})))
    return rebuild(t, apart)


@lru_cache(maxsize=65536)
def fields_of(t: Term) -> frozenset[str]:
    """The names of the fields that a term reads."""
    inside: frozenset[str] = frozenset().union(*map(fields_of, children(t)))
    return inside | {t.field.name} if isinstance(t, Read) else inside


def afterwards(p: Property, case: Case, spec: Specification, written: Effects) -> Obligation | None:
    """What an `after` property says of a case that completes its operation."""
    if case.operation != p.operation or case.outcome is None or case.crashes:
        return None
    return Obligation(p.id, behind(substitute(p.term, arguments(p, case, spec)), written), case)


def arguments(p: Property, case: Case, spec: Specification) -> dict[Var, Term]:
    """An `after` property's parameters at a case: the outcome, the case's own, or what the call in flight remembers."""
    mine = {q.var.name: q.var for q in case.params}
    call = next((q.var for q in case.params if q.role is Role.CALL), None)
    out: dict[Var, Term] = {}
    for v in p.params:
        if v.type is Errno:
            assert case.outcome is not None
            out[v] = Lit(case.outcome, type(case.outcome))
        elif v.name in mine:
            out[v] = mine[v.name]
        elif call is not None:
            kept = next((f for f in spec.fields if f.name == f"{case.operation}().{v.name}"), None)
            if kept is None:
                raise LookupError(f"{p.id}: at {case.id} nothing remembers {v.name!r}, a parameter of {p.name}")
            out[v] = Read(kept, (call,), old=True)
        else:
            raise LookupError(f"{p.id}: {case.id} has no parameter {v.name!r}")
    return out


def obligations(spec: Specification, properties: list[Property]) -> list[tuple[Case, list[Obligation]]]:
    """Case by case, what has to be shown: its checks first, then what the properties say about it."""
    out = []
    own = [replace(p, term=apart(p.term)) for p in properties]
    for case in spec.cases:
        written: Effects = {}
        for a in effects(case):
            written.setdefault(a.field.name, []).append(a)
        found = list(checks(case))
        for p in own:
            if p.form is Form.AFTER:
                found += filter(None, [afterwards(p, case, spec, written)])
            elif is_law(p):
                found += filter(None, [preserved(p, case, written)])
        out.append((case, found))
    return out


def every(spec: Specification) -> list[Property]:
    """The specification's properties, and those that it need not spell out: every small number stays in its range."""
    known = {p.id for p in spec.properties}
    met = dict.fromkeys(o.id for c in spec.cases for o in checks(c))
    return [*spec.properties, *(written_in_range(id) for id in met if id not in known)]


def written_in_range(id: str) -> Property:
    """Every write to a small number stays in its range: a property that the specification need not spell out."""
    sentence = f"{id.removeprefix('range:')} never leaves its range"
    source = deduced("implied by the types")
    return Property(id, "in_range", Form.CHECK, Class.COUNT, TRUE, sentence, source, "", 0, lemma=True)
