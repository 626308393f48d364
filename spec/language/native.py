# SPDX-License-Identifier: Apache-2.0
"""The native run: the methods of a revision, called on concrete objects.

It is the meaning of the language, and an oracle that owes nothing to the compiler: the two share only how methods are
assembled.  States are tuples of small integers, one per cell in the order of `spec.fields`: an object's index (one past
the last for `none`), 0 or 1, the place in an Enum or a Range.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .answers import Answer, Errno
from .assembly import Assembly, Method, Patch
from .machine import Machine
from .native_methods import Pause, native_methods
from .objects import Declaration, Lock, Map, declarations, is_kind
from .sources import Source
from .specification import Specification
from .terms import Field, Range, members
from .world import NotEnabled, World

State = tuple[int, ...]
Choice = Callable[[str, Sequence[int]], int | None]  # kind and candidates -> the one that the environment chooses


@dataclass(frozen=True)
class NativeMove:
    """What one step did.

    Of a step that ended at a label, `row` is the label and `outcome` None; of one that ended in a failed assert there
    is neither.
    """

    operation: str
    row: str
    outcome: Errno | None
    failed: str = ""  # the id of the assert that failed, or `range:FIELD`
    source: Source | None = None


@dataclass
class Call:
    """A call in flight.  One that was only loaded cannot go on: there is no generator to resume."""

    args: tuple[Any, ...] = ()
    steps: Generator[Pause, None, Answer] | None = None
    pause: Pause | None = None

    def names(self) -> dict[str, Any]:
        """What the names in its method stand for now."""
        g: Any = self.steps
        while g is not None and getattr(g, "gi_yieldfrom", None) is not None:
            g = g.gi_yieldfrom
        return {} if g is None or g.gi_frame is None else dict(g.gi_frame.f_locals)


class Objects(World):
    """A World in which every choice is made by a function that is given with the step."""

    choice: Choice | None = None

    def pick(self, candidates: list[Any]) -> Any:
        """The candidate that the environment chooses; raises NotEnabled if it wants one that is none."""
        if self.choice is None:
            return candidates[0] if candidates else None
        indices = [c.__dict__["index"] for c in candidates]
        wanted = self.choice(type(candidates[0]).__name__ if candidates else "", indices)
        if wanted is None and not candidates:
            return None
        if wanted not in indices:
            raise NotEnabled(f"{wanted} cannot be chosen, only {indices}")
        return candidates[indices.index(wanted)]


def in_order(picks: Sequence[int | None]) -> Choice:
    """Choose these, one after the other."""
    rest = iter(picks)
    return lambda kind, candidates: next(rest, None)


class NativeRun:
    """One revision on the objects of one scope.

    >>> run = NativeRun(Uacce, compile_machine(Uacce), {"Fd": 2})        # doctest: +SKIP
    >>> run.load(initial)                                                # doctest: +SKIP
    >>> run.begin("open", (0, 0, 0))                                     # doctest: +SKIP
    NativeMove(operation='open', row='ok', outcome=<Errno.OK: 0>, ...)

    After NotEnabled, a failed assert or a crash the objects are as the call left them: load a state before going on.
    """

    def __init__(self, machine: type[Machine], spec: Specification, scope: Mapping[str, int] | None = None) -> None:
        self.spec = spec
        sizes = dict(spec.scope if scope is None else scope)
        self.scope = {k.name: sizes.get(k.name, 1) for k in spec.kinds}
        self.assembly = Assembly(machine)
        self.methods = native_methods(machine)
        self.kinds = _kinds(self.assembly, {k.name for k in spec.kinds})
        self.world = Objects(self.kinds.values(), self.scope)
        self.calls: dict[tuple[str, int], Call] = {}
        self._cells = [_Cell(self, f, key) for f in spec.fields for key in self._keys(f)]
        self._parameters: dict[str, dict[str, Any]] = {}

    def _keys(self, f: Field) -> Iterator[tuple[int, ...]]:
        return itertools.product(*(range(self.scope[d.name]) for d in f.domain))

    # ------------------------------------------------------------------ states

    def load(self, state: Sequence[int]) -> None:
        """Give every cell its value.

        Calls in flight are given up: those in the state only keep their places, and cannot go on.
        """
        self.close()
        for cell, x in zip(self._cells, state, strict=True):
            cell.put(x)

    def save(self) -> State:
        """The value of every cell; of calls in flight, only that they are."""
        return tuple(cell.get() for cell in self._cells)

    def close(self) -> None:
        """Give up the calls in flight."""
        for c in self.calls.values():
            if c.steps is not None:
                c.steps.close()
        self.calls = {}

    # ------------------------------------------------------------------ steps

    def begin(
        self, operation: str, args: Sequence[int], failing: Collection[str] = (), choice: Choice | None = None
    ) -> NativeMove:
        """Call an operation: all of it, or its first step.

        Raises NotEnabled where the call is not offered, KeyError for an unknown operation and ValueError for wrong
        arguments.
        """
        types = self.parameters(operation).values()
        if len(types) != len(args):
            raise ValueError(f"{operation} takes {len(types)} arguments, not {len(args)}")
        given = tuple(self.decoded(t, x) for t, x in zip(types, args, strict=True))
        if any(x is None for x in given):
            raise ValueError(f"{operation}{tuple(args)}: there is no such object in this scope")
        with self._step(failing, choice):
            call = Call(given)
            move = self._answered(operation, call, lambda: getattr(self.methods, operation)(*given))
            if move.outcome is None and not move.failed:
                kind = f"{operation}()"
                free = (i for i in range(self.scope.get(kind, 1)) if (operation, i) not in self.calls)
                if (i := next(free, None)) is None:
                    assert call.steps is not None
                    call.steps.close()
                    raise NotEnabled(f"the scope has no further {kind}")
                self.calls[operation, i] = call
            return move

    def resume(
        self, operation: str, index: int, failing: Collection[str] = (), choice: Choice | None = None
    ) -> NativeMove:
        """Take the next step of a call in flight.

        Raises NotEnabled where it has to wait, and KeyError where there is no such call.
        """
        call = self.calls[operation, index]
        if call.steps is None:
            raise ValueError(f"{operation} number {index} was loaded: there is nothing to resume")
        with self._step(failing, choice):
            steps, pause = call.steps, call.pause
            if pause is not None and not pause.ready():
                raise NotEnabled(f"{operation} {pause.label}")
            move = self._answered(operation, call, lambda: steps)
            if move.outcome is not None or move.failed:
                del self.calls[operation, index]
            return move

    def waits(self, operation: str, index: int) -> bool:
        """Does the call have to wait: for a lock, or for a condition?"""
        pause = self.calls[operation, index].pause
        with self.world:
            return pause is not None and not pause.ready()

    def _step(self, failing: Collection[str], choice: Choice | None) -> World:
        self.world.failing, self.world.choice = set(failing), choice
        self.world.remember()
        return self.world

    def _answered(self, operation: str, call: Call, act: Callable[[], Any]) -> NativeMove:
        """Run to the end of the step; the call keeps what there is to resume."""
        try:
            answer = act()
            if isinstance(answer, Generator):
                call.steps = answer
                call.pause = pause = next(answer)
                return NativeMove(operation, pause.label, None)
        except StopIteration as end:
            answer = end.value
        except Answer as raised:
            answer = raised
        except AssertionError as e:
            return NativeMove(operation, "", None, failed=str(e))
        if not isinstance(answer, Answer):
            raise TypeError(f"{operation} ends with {answer!r}, not with an answer")
        return NativeMove(operation, answer.row, answer.outcome, source=answer.source)

    # ------------------------------------------------------------------ properties

    def holds(self, name: str, arguments: Mapping[str, Any] | None = None) -> bool:
        """The value of a property (by the name of its method) now; `old` reads the state before the last step."""
        given = arguments or {}
        with self.world:
            found: bool = getattr(self.methods, name)(*(given[n] for n in self.parameters(name)))
            return found

    # ------------------------------------------------------------------ values

    def parameters(self, method: str) -> dict[str, Any]:
        """The parameters of a method, and their types as declared.  Raises KeyError for an unknown method."""
        if method not in self._parameters:
            m = self.assembly.method(method)
            if m is None:
                raise KeyError(f"{self.spec.name} has no method {method!r}")
            self._parameters[method] = {n: Declaration(h, None).type for n, h in m.parameters().items()}
        return self._parameters[method]

    def decoded(self, t: Any, x: int) -> Any:
        """The object or value that an integer stands for."""
        if is_kind(t):
            pool = self.world.pool[t]
            return pool[x] if x < len(pool) else None
        return members(t)[x]

    def encoded(self, t: Any, value: Any) -> int:
        """The integer that stands for an object or value."""
        if is_kind(t):
            return len(self.world.pool[t]) if value is None else int(value.__dict__["index"])
        if isinstance(t, Range):
            return int(value) - t.lo
        return int(bool(value)) if t is bool else members(t).index(value)


class _Cell:
    """One cell: where its value lies among the objects."""

    def __init__(self, run: NativeRun, f: Field, key: tuple[int, ...]) -> None:
        self.run = run
        if f.kind.is_call:
            self.at = f.kind.name.removesuffix("()"), key[0]
            self.get, self.put = (self.is_in_flight, self.keep_place) if f.is_live else (lambda: 0, lambda x: None)
            return
        kind = run.kinds[f.kind.name]
        self.cells: dict[Any, Any] = run.world.pool[kind][key[0]].__dict__
        self.name: Any = f.short
        if f.is_live:
            self.type: Any = bool
            self.get, self.put = self.value, self.set_value
            return
        declared = declarations(kind)[f.short]
        self.type = declared.type
        if declared.lock:
            self.get, self.put = self.is_held, self.hold
        elif declared.key is not None:
            self.key = run.world.pool[declared.key][key[1]]
            self.get, self.put = self.mapped, self.map
        else:
            self.get, self.put = self.value, self.set_value

    get: Callable[[], int]
    put: Callable[[int], None]

    def value(self) -> int:
        return self.run.encoded(self.type, self.cells[self.name])

    def set_value(self, x: int) -> None:
        self.cells[self.name] = self.run.decoded(self.type, x)

    def mapped(self) -> int:
        found: Map[Any, Any] = self.cells[self.name]
        return self.run.encoded(self.type, found.cells[self.key])

    def map(self, x: int) -> None:
        found: Map[Any, Any] = self.cells[self.name]
        found.cells[self.key] = self.run.decoded(self.type, x)

    def is_held(self) -> int:
        lock: Lock = self.cells[self.name]
        return int(lock.held)

    def hold(self, x: int) -> None:
        lock: Lock = self.cells[self.name]
        lock.held = bool(x)

    def is_in_flight(self) -> int:
        return int(self.at in self.run.calls)

    def keep_place(self, x: int) -> None:
        if x:
            self.run.calls[self.at] = Call()


def _kinds(assembly: Assembly, names: Collection[str]) -> dict[str, type]:
    """The classes of a revision's kinds: those that its methods and, in turn, their fields speak about."""
    out: dict[str, type] = {}
    todo: list[Any] = []
    for name in assembly.names():
        for behind in (None, *(c for c in assembly.machine.__mro__ if name in vars(c))):
            if (m := assembly.method(name, behind)) is not None:
                todo += _mentioned(m)
    while todo:
        x = todo.pop()
        if is_kind(x) and x.__name__ in names and x.__name__ not in out:
            out[x.__name__] = x
            for d in declarations(x).values():
                todo += [d.type, d.key]
    return out


def _mentioned(m: Method) -> list[Any]:
    """The kinds that a method's parameters and text name."""
    found = [Declaration(h, None).type for h in m.parameters().values()]
    for s in m.body:
        for n in ast.walk(s):
            if isinstance(n, Patch):
                found += _mentioned(n.method)
            elif isinstance(n, (ast.Name, ast.Attribute)):
                found.append(m.resolve(n))
    return found
