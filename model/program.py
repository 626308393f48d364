# SPDX-License-Identifier: Apache-2.0
"""Decision tables as Python functions: all moves of one operation, from one state, in nested `if`s.

The cases of an operation share most of their guards: what one row tests, the next row has failed.  Their guards are put
together into one tree, parameters are bound where the first test needs them, and what several rows read is read once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from accelspec.spec.language.specification import Case, Param, Role
from accelspec.spec.language.terms import TRUE, App, Assign, Kind, Not, Term, Var, show

from .expressions import Code, Scope, Writer, free_variables, worth_a_name
from .layout import Layout
from .ranges import range_checks
from .trace import State

Found = tuple[
    int, tuple[int, ...], State, tuple[str, ...]
]  # number of the case, parameters, state after, failed checks
Moves = Callable[..., None]  # (state, list of Found to add to, one sequence of values for each given parameter)

Event = Param | Term  # bind a parameter; test a conjunct of the guard
DEPTH, LOOPS = 60, 12  # Python refuses to nest deeper than 100 levels and 20 loops


def conjuncts(t: Term) -> tuple[Term, ...]:
    """The terms that a guard is the conjunction of."""
    if t == TRUE:
        return ()
    return t.args if isinstance(t, App) and t.op == "and" else (t,)


def events(case: Case) -> tuple[Event, ...]:
    """The guard in its author's order, each parameter bound just before the first test that speaks about it."""
    out: list[Event] = []
    todo, bound = list(case.params), set[Var]()
    for t in conjuncts(case.guard):
        while not free_variables(t) <= bound:
            if not todo:
                raise ValueError(f"{case.file}:{case.line}: {case.id} tests {show(t)}, which is no parameter of it")
            out.append(todo[0])
            bound.add(todo.pop(0).var)
        out.append(t)
    return (*out, *todo)


Items = Sequence[tuple[int, tuple[Event, ...]]]  # cases, and what is left to do before each is taken


def branches(items: Items) -> Iterator[tuple[Event | None, Items, Items]]:
    """The next event of the cases, and who takes part in it; of a test, also those that go on if it fails.

    No event: these cases are taken.
    """
    groups: dict[Event | None, list[tuple[int, tuple[Event, ...]]]] = {}
    for n, es in items:
        groups.setdefault(es[0] if es else None, []).append((n, es[1:]))
    while groups:
        head = next(iter(groups))
        inside = groups.pop(head)
        yield head, inside, [] if head is None or isinstance(head, Param) else groups.pop(Not(head), [])


class Program(Writer):
    """The function of one operation (of one step of it)."""

    def __init__(self, layout: Layout, cases: Sequence[tuple[int, Case]]) -> None:
        self.cases = dict(cases)
        self.checks = {n: [*((k.property, k.term) for k in c.checks), *range_checks(c).items()] for n, c in cases}
        super().__init__(layout, worth_a_name(self._terms()))
        self.given: list[Var] = []
        for _, c in cases:
            self.given += [p.var for p in c.params if p.role in (Role.GIVEN, Role.CALL) and p.var not in self.given]
        self.functions: list[list[str]] = []

    def _terms(self) -> list[Term]:
        out: dict[Term, None] = {}
        for n, c in self.cases.items():
            out.update(
                dict.fromkeys([*conjuncts(c.guard), *(p.where for p in c.params), *(t for _, t in self.checks[n])])
            )
            for a in () if c.crashes else c.effects:
                out.update(dict.fromkeys([a.value, a.when, *(x for x in a.args)]))
        return list(out)

    def compiled(self) -> Moves:
        """The function; `compiled.__doc__` is its source."""
        items = [(n, events(c)) for n, c in self.cases.items()]
        self._function("moves", [f"g{i}" for i in range(len(self.given))], items, Scope({}, (), {}))
        source = "\n".join(line for f in self.functions for line in f)
        space: dict[str, Any] = {}
        exec(compile(source, f"<{next(iter(self.cases.values())).operation}>", "exec"), space)
        moves: Moves = space["moves"]
        moves.__doc__ = source
        return moves

    def _function(self, name: str, args: list[str], items: Items, scope: Scope) -> None:
        outer, self.lines = self.lines, []
        self.line(0, f"def {name}({', '.join(['s', 'out', *args])}):")
        self._tree(items, scope, 1, 0)
        self.line(1, "return")
        self.functions.append(self.lines)
        self.lines = outer

    def _tree(self, items: Items, scope: Scope, pad: int, loops: int) -> None:
        if pad > DEPTH or loops > LOOPS:
            name = self.name("rest")
            args = sorted({x for v in scope.variables.values() for x in _names(v)})
            args += [f"g{i}" for i, v in enumerate(self.given) if v not in scope.variables]
            self._function(name, args, items, Scope(scope.variables, scope.maybe_none, {}))
            self.line(pad, f"{name}({', '.join(['s', 'out', *args])})")
            return
        before = len(self.lines)
        for head, inside, otherwise in branches(items):
            if head is None:
                for n, _ in inside:
                    self._leaf(n, scope.inner(), pad)
            elif isinstance(head, Param):
                inner = scope.inner()
                pad2 = self._loop(head, inner, pad)
                self._tree(inside, inner, pad2, loops + 1)
            else:
                self._test(head, inside, otherwise, scope, pad, loops)
        if len(self.lines) == before:  # the scope is too small for any of it
            self.line(pad, "pass")

    def _test(self, t: Term, yes: Items, no: Items, scope: Scope, pad: int, loops: int) -> None:
        c = self.value(t, scope, pad)
        if isinstance(c, int):
            if taken := yes if c else no:
                self._tree(taken, scope.inner(), pad, loops)
            return
        self.line(pad, f"if {c}:")
        self._tree(yes, scope.inner(), pad + 1, loops)
        if no:
            self.line(pad, "else:")
            self._tree(no, scope.inner(), pad + 1, loops)

    def _loop(self, p: Param, scope: Scope, pad: int) -> int:
        """Begin to go through the values of a parameter; returns the new indentation."""
        n = self.layout.count(p.var.type) - isinstance(p.var.type, Kind)

        def fits(i: int) -> Code:
            return self.value(p.where, scope.with_value(p.var, i), pad)

        if p.role in (Role.NEW, Role.CHOSEN):
            tests = [fits(i) for i in range(n)]
            last = fits(n) if isinstance(p.var.type, Kind) else 0
            none = f"({n},)" if last == 1 else "()" if last == 0 else f"(({n},) if {last} else ())"
            if p.role is Role.NEW:
                values = none
                for i in reversed(range(n)):
                    values = f"({i},) if {tests[i]} else {values}"
            else:
                found = self.name("c")
                self.line(pad, f"{found} = []")
                for i, test in enumerate(tests):
                    self.line(pad, f"if {test}: {found}.append({i})")
                values = f"{found} or {none}"
            self.line(pad, f"for {self.bind(p.var, scope, last != 0)} in {values}:")
            return pad + 1
        values = "(0, 1)" if p.role is Role.FAILS else f"g{self.given.index(p.var)}"
        self.line(pad, f"for {self.bind(p.var, scope, False)} in {values}:")
        if p.where != TRUE and (test := self.value(p.where, scope, pad + 1)) != 1:
            self.line(pad + 1, f"if not {test}: continue")
        return pad + 1

    # ------------------------------------------------------------------ one case

    def _leaf(self, n: int, scope: Scope, pad: int) -> None:
        case = self.cases[n]
        values = "".join(f"{_names(scope.variables[p.var])[0]}, " for p in case.params)
        for name, term in self.checks[n]:
            ok = self.value(term, scope, pad)
            if ok == 1:
                continue
            self.line(pad, f"if not {ok}: out.append(({n}, ({values}), s, ({name!r},)))")
            self.line(pad, "else:")
            pad += 1
        if case.crashes or not case.effects:
            self.line(pad, f"out.append(({n}, ({values}), s, ()))")
            return
        writes = [w for a in case.effects for w in self._writes(a, list(a.binders), scope, pad)]
        self.line(pad, "t = list(s)")
        block = ""
        for condition, target, value in writes:
            if condition and condition != block:
                self.line(pad, f"if {condition}:")
            block = condition
            self.line(pad + bool(condition), f"t[{target}] = {value}")
        self.line(pad, f"out.append(({n}, ({values}), tuple(t), ()))")

    def _writes(self, a: Assign, binders: list[Var], scope: Scope, pad: int) -> list[tuple[str, str, Code]]:
        """The single writes of an assignment: condition, cell and value as source."""
        if binders:
            out = []
            for i in range(self.layout.size(binders[0].type)):
                out += self._writes(a, binders[1:], scope.with_value(binders[0], i), pad)
            return out
        conditions: list[Code] = [self.value(a.when, scope, pad)]
        args = []
        for x, d in zip(a.args, a.field.domain, strict=True):
            conditions.append(self.not_none(x, d, scope, pad))
            args.append(self.value(x, scope, pad))
        if 0 in conditions:
            return []
        condition = " and ".join(dict.fromkeys(c for c in conditions if isinstance(c, str)))
        return [(condition, self.index(a.field, args), self.stored(a.value, a.field.type, scope, pad))]


def _names(code: Code) -> list[str]:
    """The local name inside `p3` or `(p3 + 1)`; none in a constant."""
    return [str(code).strip("()").split()[0]] if isinstance(code, str) else []
