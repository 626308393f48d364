# SPDX-License-Identifier: Apache-2.0
"""Grounding: every row, for every value of its parameters, as an action that reads and writes fixed cells.

Wherever a cell is used to find another one (`p.fd[n].queue.state`), the row is split on its value; a call follows one
chain of references and every link has few values, so there are few actions.  Rows that share a prefix of their guards
share the work.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from accelspec.spec.language.specification import Case, Form, Param, Role
from accelspec.spec.language.terms import (
    TRUE,
    App,
    Assign,
    Field,
    Kind,
    Lit,
    Quant,
    Read,
    Term,
    Type,
    Var,
    blank,
)

from ..ended_calls import said_of
from ..expressions import follows_references, read_now, variables
from ..layout import Layout
from ..program import Event, Items, branches, events
from ..ranges import range_checks
from .explored import looked_at
from .nodes import Algebra, Node

Known = Mapping[int, int]  # cells whose values are known

MOST_ACTIONS = 60_000
MOST_ATOMS = 10  # of an update: its table has 2**atoms entries for each code


class Split(Exception):
    """The value of this cell must be known first."""

    def __init__(self, cell: int) -> None:
        super().__init__(cell)
        self.cell = cell


class TooLarge(Exception):
    """Grounding does not pay here."""


class Stopped(Exception):
    """The budget is spent."""


@dataclass(frozen=True)
class Update:
    """New values of cells of one object, from its own old ones and from conditions (`atoms`) on other objects."""

    object: int
    values: tuple[tuple[int, Node], ...]
    atoms: tuple[Node, ...]


@dataclass(frozen=True)
class Action:
    """One row for one choice of its parameters and of the references that it follows."""

    case: int
    values: tuple[int, ...]  # of the parameters, as they lie in cells
    guard: tuple[Node, ...]
    updates: tuple[Update, ...]
    checks: tuple[tuple[str, Node], ...]  # in their order; the first that fails ends the run
    laws: tuple[tuple[str, Node], ...]  # of the step, or of the call that it ends


@dataclass(frozen=True)
class _Way:
    """How far a row has been read: parameters bound, cells split on, conditions so far."""

    env: Mapping[Var, Node]
    values: Mapping[Var, int]
    known: Known
    have: Node


class Grounder:
    """Grounds the cases and the properties of a specification in a scope.

    `check` is called now and then, and may raise Stopped.  Raises TooLarge for too many actions.
    """

    def __init__(self, layout: Layout, check: Callable[[], None] = lambda: None) -> None:
        self.layout, self.spec = layout, layout.spec
        self.check = check
        names: dict[tuple[str, int], int] = {}
        self.object_of = [names.setdefault((f.kind.name, key[0]), len(names)) for f, key in layout.cells]
        self.objects: list[list[int]] = [[] for _ in names]  # the cells of each object
        for cell, o in enumerate(self.object_of):
            self.objects[o].append(cell)
        self.base = [layout.base(f.type) for f, _ in layout.cells]
        domains = [range(b, b + layout.count(f.type)) for (f, _), b in zip(layout.cells, self.base, strict=True)]
        self.algebra = Algebra(self.object_of, domains, [f.type is bool for f, _ in layout.cells])
        self._cases = list(self.spec.cases)
        self._checks = [[*((k.property, k.term) for k in c.checks), *range_checks(c).items()] for c in self.spec.cases]
        self._steps = [p for p in looked_at(self.spec, Form.ALWAYS) if p.over_step]
        calls = looked_at(self.spec, Form.AFTER)
        said = [[(p.id, said_of(self.spec, p, c)) for p in calls] for c in self.spec.cases]
        self._said = [[(id, t) for id, t in laws if t != TRUE] for laws in said]
        self._memo: dict[tuple[object, ...], Node] = {}
        self._laws_known: dict[tuple[object, ...], Node] = {}
        self.actions: list[Action] = []

    # ------------------------------------------------------------------ terms

    def constant(self, t: Type, value: int) -> Node:
        """A value as terms count it."""
        if t is bool:
            return self.algebra.true if value else self.algebra.false
        return self.algebra.const(value)

    def term(
        self, t: Term, env: Mapping[Var, Node], known: Known, new: Mapping[int, Node] | None = None, split: bool = False
    ) -> Node:
        """The node of a term.  With `new` it speaks about the state after those writes, and `old` about the one before.

        With `split`, raises Split for a cell that is used as a reference, outside quantifiers, and is not known.
        """
        match t:
            case Lit():
                return self.constant(t.type, self.layout.code(t))
            case Var():
                return env[t]
        if new is not None or (split and follows_references(t)):
            return self._composed(t, env, known, new, split)
        key = (t, *(env[v] for v in variables(t)))
        node = self._memo.get(key)
        if node is None:
            node = self._memo[key] = self._composed(t, env, {}, None, False)
        for cell in known.keys() & node.cells:
            node = self.algebra.assume(node, cell, known[cell])
        return node

    def _composed(
        self, t: Term, env: Mapping[Var, Node], known: Known, new: Mapping[int, Node] | None, split: bool
    ) -> Node:
        a = self.algebra
        if isinstance(t, Read):
            args = [self.term(x, env, known, new, split) for x in t.args]
            return self._read(t.field, args, known, None if t.old else new, split)
        if isinstance(t, Quant):
            every, objects = t.op == "all", range(self.layout.size(t.var.type))
            parts = (self.term(t.body, {**env, t.var: a.const(i)}, known, new) for i in objects)
            return a.all_of(parts) if every else a.any_of(parts)
        assert isinstance(t, App)
        if t.op == "and":
            return a.all_of(self.term(y, env, known, new, split) for y in t.args)
        args = [self.term(y, env, known, new, split) for y in t.args]
        match t.op:
            case "not":
                return a.negate(args[0])
            case "ite":
                return a.ite(args[0], args[1], args[2])
            case "add":
                return a.add(args[0], args[1])
        return a.compare(t.op, args[0], args[1])

    def _read(self, f: Field, args: list[Node], known: Known, new: Mapping[int, Node] | None, split: bool) -> Node:
        for j, x in enumerate(args):
            if x.op != "const":
                if split:
                    raise Split(min(x.cells))
                n = self.layout.size(f.domain[j])
                places = [[*args[:j], self.algebra.const(i), *args[j + 1 :]] for i in range(n + 1)]
                return self.algebra.pick(x, [self._read(f, p, known, new, split) for p in places])
        key = tuple(x.value for x in args)
        if any(i >= self.layout.size(d) for i, d in zip(key, f.domain, strict=True)):
            return self.constant(f.type, self.layout.code(blank(f)))
        cell = self.layout.at(f, key)
        if new is not None and cell in new:
            return new[cell]
        return self.algebra.constant(cell, known[cell]) if cell in known else self.algebra.cell(cell)

    # ------------------------------------------------------------------ cases

    def ground(self) -> list[Action]:
        """All actions of all cases."""
        groups: dict[tuple[str, str], list[tuple[int, tuple[Event, ...]]]] = {}
        for n, c in enumerate(self._cases):
            groups.setdefault((c.operation, c.step), []).append((n, events(c)))
        for items in groups.values():
            self._tree(items, _Way({}, {}, {}, self.algebra.true))
        return self.actions

    def _tree(self, items: Items, way: _Way) -> None:
        for head, inside, otherwise in branches(items):
            if head is None:
                for n, _ in inside:
                    self._leaf(n, way)
            elif isinstance(head, Param):
                self._bind(head, inside, way)
            else:
                self._test(head, inside, otherwise, way)

    def _split(self, cell: int, way: _Way, then: Callable[[_Way], None]) -> None:
        """Go on once for every value that the cell can have."""
        for v in self.algebra.domains[cell]:
            have = self.algebra.assume(way.have, cell, v)
            if have is not self.algebra.false:
                then(_Way(way.env, way.values, {**way.known, cell: v}, have))

    def _test(self, t: Term, yes: Items, no: Items, way: _Way) -> None:
        try:
            x = self.term(t, way.env, way.known, split=True)
        except Split as s:
            return self._split(s.cell, way, lambda w: self._test(t, yes, no, w))
        for items, y in ((yes, x), (no, self.algebra.negate(x))):
            have = self.algebra.all_of((way.have, y))
            if items and have is not self.algebra.false:
                self._tree(items, _Way(way.env, way.values, way.known, have))
        return None

    def _bind(self, p: Param, items: Items, way: _Way) -> None:
        a, v = self.algebra, p.var
        n = self.layout.count(v.type) - isinstance(v.type, Kind)
        base = self.layout.base(v.type)

        def node(i: int) -> Node:
            return self.constant(v.type, i + base)

        def allowed(i: int) -> Node:
            return self.term(p.where, {**way.env, v: node(i)}, way.known, split=True)

        ways: list[tuple[int, Node]]
        try:
            if p.role in (Role.NEW, Role.CHOSEN):
                tests = [allowed(i) for i in range(n)]
                last = allowed(n) if isinstance(v.type, Kind) else a.false
                if p.role is Role.NEW:
                    ways = [(i, a.all_of((*map(a.negate, tests[:i]), x))) for i, x in enumerate(tests)]
                else:
                    ways = list(enumerate(tests))
                ways.append((n, a.all_of((*map(a.negate, tests), last))))
            else:
                ways = [(i, allowed(i)) for i in range(n)]
        except Split as s:
            return self._split(s.cell, way, lambda w: self._bind(p, items, w))
        for i, x in ways:
            have = a.all_of((way.have, x))
            if have is not a.false:
                self._tree(items, _Way({**way.env, v: node(i)}, {**way.values, v: i}, way.known, have))
        return None

    # ------------------------------------------------------------------ one action

    def _leaf(self, n: int, way: _Way) -> None:
        self.check()
        case = self._cases[n]
        a = self.algebra
        try:
            checks = tuple(
                (id, x) for id, t in self._checks[n] if (x := self.term(t, way.env, way.known)) is not a.true
            )
            new = {} if case.crashes else self._new(case, way)
            updates = self._updates(new)
        except Split as s:
            return self._split(s.cell, way, lambda w: self._leaf(n, w))
        guard = a.all_of((way.have, *(a.equals(a.cell(c), v) for c, v in way.known.items())))
        if guard is a.false:
            return None
        laws = () if case.crashes else tuple(self._laws(n, way, new))
        values = tuple(way.values[p.var] for p in case.params)
        self.actions.append(Action(n, values, guard.conjuncts(), updates, checks, laws))
        if len(self.actions) > MOST_ACTIONS:
            raise TooLarge(f"more than {MOST_ACTIONS} ground actions")
        return None

    def _new(self, case: Case, way: _Way) -> dict[int, Node]:
        """The values of the cells that change, from those before."""
        a, new = self.algebra, dict[int, Node]()
        for e in case.effects:
            for objects in itertools.product(*(range(self.layout.size(b.type)) for b in e.binders)):
                env = {**way.env, **{b: a.const(i) for b, i in zip(e.binders, objects, strict=True)}}
                when = self.term(e.when, env, way.known)
                if when is a.false:
                    continue  # before the cell is looked for: what is not written needs no split
                cell = self._cell(e, env, way.known)
                if cell is None:
                    continue
                before = a.constant(cell, way.known[cell]) if cell in way.known else a.cell(cell)
                new[cell] = a.ite(when, self.term(e.value, env, way.known), new.get(cell, before))
        same = [c for c, x in new.items() if x is a.cell(c) or (c in way.known and x is a.constant(c, way.known[c]))]
        for c in same:
            del new[c]
        return new

    def _cell(self, e: Assign, env: Mapping[Var, Node], known: Known) -> int | None:
        """The cell that an assignment writes; None if one of the references is `none`."""
        key = []
        for x in e.args:
            node = self.term(x, env, known, split=True)
            if node.op != "const":
                raise Split(min(node.cells))
            key.append(node.value)
        if any(i >= self.layout.size(d) for i, d in zip(key, e.field.domain, strict=True)):
            return None
        return self.layout.at(e.field, tuple(key))

    def _updates(self, new: Mapping[int, Node]) -> tuple[Update, ...]:
        by: dict[int, list[tuple[int, Node]]] = {}
        for cell, x in sorted(new.items()):
            by.setdefault(self.object_of[cell], []).append((cell, x))
        out = []
        for o, writes in sorted(by.items()):
            atoms: dict[Node, None] = {}
            for _, x in writes:
                self._foreign(x, o, atoms)
            if len(atoms) > MOST_ATOMS:
                raise TooLarge(f"an effect depends on more than {MOST_ATOMS} conditions on other objects")
            out.append(Update(o, tuple(writes), tuple(atoms)))
        return tuple(out)

    def _foreign(self, x: Node, o: int, atoms: dict[Node, None]) -> None:
        """Collect the conditions on other objects than o that x depends on; Split where it takes a value from one."""
        others = [c for c in x.cells if self.object_of[c] != o]
        if not others:
            return
        if x.is_bool and len(others) == len(x.cells):
            y = x.args[0] if x.op == "not" else x
            atoms[y] = None
        elif x.op == "and":
            far = [y for y in x.args if all(self.object_of[c] != o for c in y.cells)]
            for y in x.args:
                if y not in far:
                    self._foreign(y, o, atoms)
            self._foreign(self.algebra.all_of(far), o, atoms)
        elif x.op in ("not", "ite"):
            for y in x.args:
                self._foreign(y, o, atoms)
        else:
            raise Split(min(others))

    # ------------------------------------------------------------------ laws

    def states(self, form: Form) -> Iterable[tuple[str, Node]]:
        """The properties of single states."""
        for p in looked_at(self.spec, form):
            if not p.over_step:
                self.check()
                for x in self.term(p.term, {}, {}).conjuncts() if form is Form.ALWAYS else (self.term(p.term, {}, {}),):
                    yield p.id, x

    def _laws(self, n: int, way: _Way, new: Mapping[int, Node]) -> Iterable[tuple[str, Node]]:
        """What must hold of the step: laws over steps, and laws of the call that ends with it."""
        for p in self._steps:
            yield from self._law(p.id, p.term, {}, way, new)
        for id, said in self._said[n]:
            yield from self._law(id, said, way.env, way, new)

    def _law(
        self, id: str, t: Term, env: Mapping[Var, Node], way: _Way, new: Mapping[int, Node]
    ) -> Iterable[tuple[str, Node]]:
        touched = tuple((c, x) for c, x in sorted(new.items()) if self.layout.cells[c][0] in read_now(t))
        key = (t, touched, *(env[v] for v in variables(t)))
        node = self._laws_known.get(key)
        if node is None:
            node = self._laws_known[key] = self.term(t, env, {}, dict(touched))
        for c in way.known.keys() & node.cells:
            node = self.algebra.assume(node, c, way.known[c])
        if node is not self.algebra.true:
            yield id, node
