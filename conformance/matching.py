# SPDX-License-Identifier: Apache-2.0
"""One way in which calls may go, held against what was seen of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from accelspec.model.trace import State
from accelspec.spec.language.answers import Errno
from accelspec.spec.language.specification import Role
from accelspec.spec.language.terms import Kind

from .calls import Way, in_flight
from .meetings import Joint
from .naming import Names, Naming, bind
from .targets import Call, Observation, TargetError


class Standing(NamedTuple):
    """A call that was left standing: how it was made, and its number among those of its operation."""

    operation: str
    args: tuple[str, ...]
    number: int


@dataclass(frozen=True)
class Candidate:
    """One explanation of everything so far: a state, what the target's names stand for in it, and which calls stand."""

    state: State
    names: Names = ()
    standing: tuple[Standing, ...] = ()

    def number(self, call: Call) -> int | None:
        """Of a call of these arguments that stands, its number among those of its operation."""
        return next((s.number for s in self.standing if (s.operation, s.args) == (call.operation, call.args)), None)

    def after(self, joint: Joint, calls: Sequence[Call], names: Names) -> Candidate:
        """The explanation after these calls have gone so, with the names of then."""
        standing = [s for s in self.standing if all((s.operation, s.args) != (c.operation, c.args) for c in calls)]
        for way, call in zip(joint.ways, calls, strict=True):
            if not way.ended:
                standing.append(Standing(call.operation, call.args, in_flight(way.moves[-1])))
        return Candidate(joint.after, names, tuple(standing))


@dataclass(frozen=True)
class Matcher:
    """Compares by the names of one layout."""

    naming: Naming

    def explained(
        self, joint: Joint, calls: Sequence[Call], seen: Sequence[Observation], before: Candidate
    ) -> Iterator[Candidate]:
        """The candidates in which the calls went so and gave what was seen; none: they did not."""
        names = before.names
        for way, call, one in zip(joint.ways, calls, seen, strict=True):
            if not answers(way, call, one.result) or self.otherwise(way, one, names):
                return
        kept = self.kept(names, joint.freed)
        if len(kept) < len(names) and self._outlives(seen, {n for n, _ in names} - {n for n, _ in kept}):
            return
        for named in self._all_named(joint, seen, kept):
            bound: Names | None = named
            for one in seen:
                bound = bound if bound is None or not one.state else self.cells(joint.after, one.state, bound)
            if bound is not None:
                yield before.after(joint, calls, bound)

    @staticmethod
    def _outlives(seen: Sequence[Observation], gone: set[str]) -> bool:
        """Was something seen of an object that ceased to exist, unless its name was given again?"""
        gone = gone.difference(*(one.created for one in seen))
        return any(cell.partition(".")[0] in gone for one in seen for cell in one.state)

    def otherwise(self, way: Way, seen: Observation, names: Names) -> str:
        """What the environment chose otherwise than was seen; empty: nothing that was seen."""
        for p, v in way.params(Role.CHOSEN) if seen.chosen else ():
            name = p.var.name.split("#")[0]
            was = seen.chosen.get(name)
            if was is not None and self.naming.value(p.var.type, was, names) not in (v, None):
                return f"{name} is then {self.naming.name(p.var.type, v, names) or 'another object'}, not {was}"
        return ""

    def _all_named(self, joint: Joint, seen: Sequence[Observation], names: Names) -> Iterator[Names]:
        """Every way to give the objects that all calls created the names that the target gave them."""
        ways = [names]
        for way, one in zip(joint.ways, seen, strict=True):
            ways = [named for before in ways for named in self.named(way, one.created, before)]
        return iter(ways)

    def kept(self, names: Names, freed: frozenset[tuple[Kind, int]]) -> Names:
        """The names of what still exists."""
        return tuple((n, i) for n, i in names if (self.naming.kind_of(n), i) not in freed) if freed else names

    def named(self, way: Way, created: tuple[str, ...], names: Names) -> Iterator[Names]:
        """Every way to give the names to the new objects; none if there are more or fewer."""
        if not created and not way.created:
            yield names
            return
        by_kind: dict[str, list[str]] = {}
        for name in created:
            kind = self.naming.kind_of(name)
            if kind is None or kind.permanent:
                whose = self.naming.layout.spec.name
                raise TargetError(f"the target created {name!r}, which is no object that {whose} creates")
            by_kind.setdefault(kind.name, []).append(name)
        slots: dict[str, list[int]] = {}
        for kind, index in way.created:
            if kind in self.naming.called or kind.name in by_kind:
                slots.setdefault(kind.name, []).append(index)
        if {k: len(v) for k, v in slots.items()} != {k: len(v) for k, v in by_kind.items()}:
            return
        kinds = sorted(slots)
        for orders in itertools.product(*(itertools.permutations(slots[k]) for k in kinds)):
            bound = names
            for k, order in zip(kinds, orders, strict=True):
                for name, index in zip(by_kind[k], order, strict=True):
                    bound = bind(tuple(b for b in bound if b[0] != name), name, index)
            yield bound

    def cells(self, state: State, cells: Mapping[str, str], names: Names) -> Names | None:
        """The names, with those that the observed cells add; None if a cell is not as observed."""
        waiting = [(self.naming.cell(text), value) for text, value in cells.items()]
        while waiting:
            later = []
            for cell, value in waiting:
                at = self.naming.at(cell, names)
                if at is None:
                    later.append((cell, value))
                    continue
                t = cell.field.type
                is_value = self.naming.value(t, value, names)
                if is_value is None:
                    if self.naming.kind_of(value) != t or self.naming.name(t, state[at], names) is not None:
                        return None
                    names = bind(names, value, state[at])
                elif is_value != state[at]:
                    return None
            if len(later) == len(waiting):
                raise TargetError(f"the target observed {later[0][0].text!r} of an object that it has not named before")
            waiting = later
        return names

    def why_not(self, joint: Joint, calls: Sequence[Call], seen: Sequence[Observation], candidate: Candidate) -> str:
        """Why the calls did not go so, if their answers are what was seen."""
        for way, call, one in zip(joint.ways, calls, seen, strict=True):
            if not answers(way, call, one.result):
                return ""
        for way, one in zip(joint.ways, seen, strict=True):
            if otherwise := self.otherwise(way, one, candidate.names):
                return otherwise
            made = [k.name for k, _ in way.created if k in self.naming.called]
            if len(made) != len(one.created):
                named = ", ".join(one.created) or "nothing"
                return f"it creates {', '.join(made) or 'nothing'}, and the target named {named}"
        for names in self._all_named(joint, seen, self.kept(candidate.names, joint.freed)):
            return self._wrong_cell(joint.after, {k: v for one in seen for k, v in one.state.items()}, names)
        return ""

    def _wrong_cell(self, state: State, waiting: Mapping[str, str], names: Names) -> str:
        """The first observed cell that is not so."""
        while waiting:
            later = {}
            for text, value in waiting.items():
                cell = self.naming.cell(text)
                if (at := self.naming.at(cell, names)) is None:
                    later[text] = value
                elif (more := self.cells(state, {text: value}, names)) is not None:
                    names = more
                else:
                    is_now = self.naming.name(cell.field.type, state[at], names) or "another object"
                    return f"{text} is then {is_now}, not {value}"
            if len(later) == len(waiting):
                return f"{next(iter(later))} does not exist"
            waiting = later
        return ""


def answers(way: Way, call: Call, result: str) -> bool:
    """Does this way answer so?  A row with the outcome CALLBACK hands on the errno that was injected, or, where nothing
    was, any.
    """
    if not way.ended or way.outcome is not Errno.CALLBACK:
        return way.result == result
    injected = way.last_failure
    if injected is None:
        return result not in ("OK", "OOPS", "HANG")
    return call.fails.get(injected) == result
