# SPDX-License-Identifier: Apache-2.0
"""The interpreter: a specification's meaning in a finite scope, case by case.

States are tuples of small integers, as in `layout`.  What a case means:

- a GIVEN parameter takes every object (or value) that `where` allows; a NEW one the lowest that `where` allows (all are
  alike); a CHOSEN one every candidate that `where` allows, and `none` only where there is no candidate and `where`
  allows it; a FAILS one both;
- the checks are looked at in their order, the first that fails ends the run: `Move.failed` names it, the state stays;
- a write outside a Range is a failed check `range:FIELD`, looked at after the asserts; nothing saturates, nothing is
  raised;
- a crash leaves the state as it was, and engines look no further.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from functools import cached_property
from typing import Any

from accelspec.spec.language.specification import Case, Form, Property, Specification
from accelspec.spec.language.terms import TRUE, Field, Kind, Range, Term, Type, Var, blank, members

from .ended_calls import said_of
from .expressions import Scope, Writer, worth_a_name
from .layout import Layout
from .program import Found, Moves, Program
from .trace import Move, State, Trace, value_name

Value = bool | int | str | Enum | None  # a cell's value as a person or a program names it


class Interpreter:
    """One specification in one scope.

    >>> machine = Interpreter(spec, {"Queue": 2})                   # doctest: +SKIP
    >>> state = next(machine.initial())                             # doctest: +SKIP
    >>> [str(m.case.id) for m in machine.moves(state)]              # doctest: +SKIP
    ['open.ok', 'open.no_memory']

    Raises ValueError for a scope with a kind that is not in the specification.
    """

    def __init__(self, spec: Specification, scope: Mapping[str, int] | None = None) -> None:
        self.spec = spec
        self.layout = Layout(spec, scope)
        self.scope = self.layout.scope
        self._tables: dict[tuple[str, str], tuple[Moves, tuple[range, ...]]] = {}
        self._functions: dict[tuple[Term, tuple[Var, ...]], Callable[..., Any]] = {}
        self._laws: dict[tuple[Property, int], Callable[..., Any] | None] = {}
        self._numbers = {c: n for n, c in enumerate(spec.cases)}
        self._groups: dict[tuple[str, str], list[tuple[int, Case]]] = {}
        for n, c in enumerate(spec.cases):
            self._groups.setdefault((c.operation, c.step), []).append((n, c))

    # ------------------------------------------------------------------ runs

    def initial(self) -> Iterator[State]:
        """Every initial state."""
        return self.layout.initial()

    def found(self, state: State) -> list[Found]:
        """All moves from a state, as bare tuples: number of the case, parameters, state after, failed checks."""
        out: list[Found] = []
        for moves, ranges in self._all_tables:
            moves(state, out, *ranges)
        return out

    def moves(self, state: State) -> Iterator[Move]:
        """All moves from a state."""
        cases = self.spec.cases
        return (Move(cases[n], values, after, failed) for n, values, after, failed in self.found(state))

    def moves_of(self, state: State, operation: str, given: Sequence[int] | None = None, step: str = "") -> list[Move]:
        """The moves of one operation with the given arguments (None: with any), or of a call that stands at `step`.

        Arguments are in the order of the operation's parameters, each as it lies in a cell.  Raises KeyError for an
        unknown operation or step and ValueError for a wrong number of arguments.
        """
        moves, ranges = self._table(operation, step)
        if given is not None and len(given) != len(ranges):
            raise ValueError(f"{operation} takes {len(ranges)} arguments, not {len(given)}")
        out: list[Found] = []
        moves(state, out, *(ranges if given is None else ((x,) for x in given)))
        cases = self.spec.cases
        return [Move(cases[n], values, after, failed) for n, values, after, failed in out]

    def enabled(self, state: State) -> set[str]:
        """The operations that can change the state (or end the run): fairness asks for no others."""
        return {self.spec.cases[n].operation for n, _, t, failed in self.found(state) if t != state or failed}

    def _table(self, operation: str, step: str = "") -> tuple[Moves, tuple[range, ...]]:
        known = self._tables.get((operation, step))
        if known is None:
            if (operation, step) not in self._groups:
                raise KeyError(
                    f"{self.spec.name} has no operation {operation!r}" + (f" with a step {step!r}" if step else "")
                )
            program = Program(self.layout, self._groups[operation, step])
            known = self._tables[operation, step] = (program.compiled(), tuple(map(self.values, program.given)))
        return known

    @cached_property
    def _all_tables(self) -> list[tuple[Moves, tuple[range, ...]]]:
        return [self._table(*key) for key in self._groups]

    def values(self, v: Var) -> range:
        """The values that an argument of a call can have: objects (never `none`), or the members of its type."""
        return range(self.layout.size(v.type) if isinstance(v.type, Kind) else self.layout.count(v.type))

    # ------------------------------------------------------------------ properties

    def function(self, t: Term, params: tuple[Var, ...] = ()) -> Callable[..., Any]:
        """A term as a function of (state before, state, *values of params)."""
        known = self._functions.get((t, params))
        if known is None:
            writer, scope = Writer(self.layout), Scope({}, (), {})
            names = [writer.bind(v, scope, True) for v in params]
            source = f"def term({', '.join(['o', 's', *names])}): return {writer.value(t, scope)}"
            space: dict[str, Any] = {}
            exec(source, space)
            known = self._functions[t, params] = space["term"]
        return known

    def holds(self, p: Property, before: State, after: State, move: Move | None = None) -> bool:
        """Is the property true of the state `after`, or of the step from `before` to it?

        Of form SOMETIMES and EVENTUALLY: is this such a state?  CHECK and AFTER speak about a move; without one, and of
        a call that did not end, they are true.
        """
        if p.form is Form.CHECK:
            return move is None or p.id not in move.failed
        if p.form is Form.AFTER:
            if move is None or move.failed:
                return True
            law = self.law(p, self._numbers[move.case])
            return law is None or bool(law(before, after, *move.values))
        return bool(self.function(p.term)(before, after))

    def law(self, p: Property, n: int) -> Callable[..., Any] | None:
        """A law about ended calls as a function of (state before, state, *parameters of case n).

        None if the law says nothing of this case.
        """
        key = (p, n)
        if key not in self._laws:
            case = self.spec.cases[n]
            term = said_of(self.spec, p, case)
            params = tuple(q.var for q in case.params)
            self._laws[key] = None if term == TRUE else self.function(term, params)
        return self._laws[key]

    def false_among(self, terms: Sequence[Term]) -> Callable[[State], list[int]]:
        """One function that says which of the terms, all without parameters, are false in a state."""
        writer, scope = Writer(self.layout, worth_a_name(terms)), Scope({}, (), {})
        writer.line(0, "def false(s):")
        writer.line(1, "out, o = [], s")
        for i, t in enumerate(terms):
            writer.line(1, f"if not {writer.value(t, scope, 1)}: out.append({i})")
        writer.line(1, "return out")
        space: dict[str, Any] = {}
        exec("\n".join(writer.lines), space)
        function: Callable[[State], list[int]] = space["false"]
        return function

    def replays(self, trace: Trace) -> bool:
        """Is the trace a run?  Every move is found again, from an initial state on."""
        if trace.initial not in set(self.initial()):
            return False
        state = trace.initial
        for k, m in enumerate(trace.moves):
            if (m.failed or m.case.crashes) and k + 1 < len(trace.moves):
                return False
            if m not in self.moves(state):
                return False
            state = m.after
        return True

    def violates(self, p: Property, trace: Trace) -> bool:
        """Does the last state or the last move of the trace break the property?"""
        states = list(trace.states())
        move = trace.moves[-1] if trace.moves else None
        if move is None and (p.over_step or p.form in (Form.AFTER, Form.CHECK)):
            return False
        return not self.holds(p, states[-2] if move else states[-1], states[-1], move)

    # ------------------------------------------------------------------ states by name

    def value(self, state: State, field: Field | str, *indices: int) -> int:
        """The value of a cell, as it lies in the state; blank where an index is `none`.

        Raises KeyError for an unknown field and IndexError for an object that does not exist in this scope.
        """
        f = self.layout.fields[field] if isinstance(field, str) else field
        if len(indices) != len(f.domain):
            raise IndexError(f"{f.name} takes {len(f.domain)} indices, not {len(indices)}")
        if any(i == self.layout.size(d) for i, d in zip(indices, f.domain, strict=True)):
            return self.layout.stored(blank(f), f.type)
        return state[self.layout.at(f, indices)]

    def describe(self, state: State) -> dict[str, str]:
        """The state for people: `queue0.state` -> `STARTED`, for every object that exists."""
        out = {}
        for (f, key), x in zip(self.layout.cells, state, strict=True):
            live = self.layout.live(f.kind)
            if live is None or (f != live and state[self.layout.at(live, key[:1])]):
                out[self.layout.cell_name(f, key)] = value_name(f.type, x, self.scope)
            elif f == live and x:
                out[self.layout.cell_name(f, key)] = "True"
        return out

    def state_from(self, cells: Mapping[str, Value]) -> State:
        """A state by names, as `describe` gives them; cells that are not named are as in the first initial state.

        A value is its name, or an Enum member, a bool, a number of a Range, or None.  Raises KeyError for an unknown
        cell and ValueError for an impossible value.
        """
        state = list(next(self.initial()))
        at = self._cell_names
        for name, x in cells.items():
            if name not in at:
                raise KeyError(f"{self.spec.name} has no cell {name!r} in this scope")
            state[at[name]] = self.parse(self.layout.cells[at[name]][0].type, x)
        return tuple(state)

    @cached_property
    def _cell_names(self) -> dict[str, int]:
        return {self.layout.cell_name(f, key): i for i, (f, key) in enumerate(self.layout.cells)}

    def parse(self, t: Type, x: Value) -> int:
        """A value by name, as it lies in a cell.  Raises ValueError where the type has no such value."""
        if isinstance(t, Kind):
            names = [value_name(t, i, self.scope) for i in range(self.layout.count(t))]
            x = "none" if x is None else x
        elif isinstance(t, Range) or t is bool:
            names = [str(m) for m in members(t)]
            x = str(x)
        else:
            names = [m.name for m in members(t)]
            x = x.name if isinstance(x, Enum) else x
        if x not in names:
            raise ValueError(f"{x!r} is none of {', '.join(names)}")
        return names.index(str(x))
