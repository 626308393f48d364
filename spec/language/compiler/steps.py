# SPDX-License-Identifier: Apache-2.0
"""Steps: where an operation stops and others may run, what it remembers, and the locks that it holds meanwhile."""

from __future__ import annotations

import ast

from ..answers import Errno
from ..assembly import Patch, written
from ..machine import Machine
from ..sources import Source, deduced
from ..specification import Class, Form, LockEdge, Param, Property, Role
from ..terms import (
    FALSE,
    TRUE,
    And,
    Assign,
    Eq,
    Field,
    Implies,
    Kind,
    Lit,
    Not,
    Range,
    Read,
    Term,
    Var,
    forall,
    none,
    substitute,
)
from .effects import Effects
from .path import Frame, Held, Marker, Path, Todo, attribute_of

MOST_STEPS = 15  # labels of one operation
A_STEP = deduced("a step ends here: others may run before the next one")


class Steps(Effects):
    """Reads what ends a step, and what happens between two."""

    def __init__(self, machine: type[Machine]) -> None:
        super().__init__(machine)
        # of the operation being read: where a step ends -> its number, and the names that are known behind it
        self.points: dict[tuple[str, int, int], tuple[int, set[str]]] = {}
        self.asked: dict[str, set[str]] = {}  # operation -> the arguments of which laws speak when it has ended
        self._holders: list[tuple[Kind, int, Read, Var, Term]] = []  # points at which a call holds a lock

    def follow(self, todo: Todo, p: Path) -> None:
        """Read on until the path ends in an answer or a step."""
        raise NotImplementedError

    def case(self, p: Path, s: ast.stmt, row: str, outcome: Errno | None, source: Source) -> None:
        """Write down a way that was read to its end."""
        raise NotImplementedError

    # ------------------------------------------------------------------ locks

    def take(self, node: ast.expr, p: Path) -> None:
        """Take a lock that is free; remember whose it is, whatever happens to the way that led there."""
        m = p.frame.method
        if not isinstance(node, ast.Attribute) or self.cell(node, p).field.name not in self.locks:
            raise m.error(node, "`with` takes a lock", "Declare the field as `mutex: Lock = UNLOCKED`.")
        owner = written(node.value)
        if not isinstance(node.value, ast.Name):
            p.frame.env[owner] = self.term(node.value, p)
        lock = Held(node, attribute_of(owner, node), p.frame.copy())
        c = self.held(lock, p)
        p.guards.append(Not(self.read(lock.node, p)))
        for other in p.locks:
            self.order(self.held(other, p).field, c.field, node, p)
        self.assign(p, c, TRUE, node)
        p.locks.append(lock)

    def give_back(self, lock: Held, p: Path) -> None:
        """Give a lock back; one that was taken in the same step was never seen to be held."""
        c = self.held(lock, p)
        taken = Assign(c.field, c.args, TRUE)
        if taken in p.effects:
            p.effects.remove(taken)
        else:
            self.assign(p, c, FALSE, lock.node)

    def held(self, lock: Held, p: Path) -> Read:
        """The cell of a lock."""
        frame, p.frame = p.frame, lock.frame
        c = self.cell(lock.node, p)
        p.frame = frame
        return c

    def order(self, held: Field, wanted: Field, node: ast.expr, p: Path) -> None:
        """Remember that one lock is wanted while another is held."""
        if held.name in self.busy or wanted.name in self.busy:
            return
        edge = LockEdge(held.name, wanted.name, self.operation_name, p.frame.method.file.name, node.lineno)
        if edge not in self.spec.lock_order:
            self.spec.lock_order.append(edge)

    # ------------------------------------------------------------------ between two steps

    def pause(self, p: Path, s: ast.stmt, label: str, todo: Todo) -> None:
        """End the step: park the call with the names that it still needs, and read the rest as its next step."""
        m = p.frame.method
        if p.callers:
            raise m.error(
                s, "only an operation itself takes steps", "Move the yield, `with` or `while` out of the helper."
            )
        op = self.operation_name
        k = Kind(f"{op}()")
        if all(x != k for x in self.spec.kinds):
            self.spec.kinds.append(k)
            self.declare(Field(f"{k.name}.live", (k,), bool, False))
            self.declare(Field(f"{k.name}.at", (k,), Range(0, MOST_STEPS), 0))
        at, live = self.fields[f"{k.name}.at"], self.fields[f"{k.name}.live"]
        key = (m.file.path, s.lineno, s.col_offset)
        seen = key in self.points
        labels = self.spec.steps.setdefault(op, [])
        saved = self.saved(p, k, todo)
        if not seen:
            if len(labels) == MOST_STEPS:
                raise m.error(s, f"more than {MOST_STEPS} steps in one operation", "Make two operations of it.")
            self.points[key] = len(labels) + 1, set(saved)
            held = [written(x.written) for x in p.locks]
            labels.append(label + (f", holding {', '.join(held)}" if held else ""))
        point, known = self.points[key]
        if lacking := sorted(known - set(saved)):
            remedy = "Give it a meaning on every way that leads here."
            raise m.error(s, f"{lacking[0]!r} is not known on one of the ways to this step", remedy)
        me: Term = p.call or Var("call", k)
        if p.call is None:
            assert isinstance(me, Var)
            p.params.append(Param(me, Role.NEW, And(Not(self.live(me)), Not(Eq(me, Lit(None, k))))))
            p.effects.append(Assign(live, (me,), TRUE))
        for f, value in saved.values():
            p.effects.append(Assign(f, (me,), value))
        p.effects.append(Assign(at, (me,), Lit(point, at.type)))
        self.case(p, s, label, None, A_STEP)
        if seen:
            return
        t = Var("call", k)
        fields = {n: f for n, (f, _) in saved.items()}
        self.standing(p, k, point, fields, at, todo)
        later = Frame(m, {n: Read(f, (t,)) for n, f in fields.items()}, p.frame.within)
        q = Path(later, call=t, locks=[Held(x.written, x.node, later.copy()) for x in p.locks], step=label)
        q.given = {n: later.env[n] for n in p.given}
        q.params.append(Param(t, Role.CALL, And(self.live(t), Eq(Read(at, (t,)), Lit(point, at.type)))))
        self.follow(todo, q)

    def saved(self, p: Path, k: Kind, todo: Todo) -> dict[str, tuple[Field, Term]]:
        """The names that the rest of the operation, or a law about its end, needs become fields of the call."""
        m, out = p.frame.method, {}
        needed = _needed(todo) | {x.owner for x in p.locks}
        for n, value in {**p.frame.env, **p.given}.items():
            if n not in needed and n not in p.given:
                continue
            t = value.type
            if value == none(bool):
                remedy = "Write None where it is used, or give the name an object first."
                raise m.error(m.node, f"{n!r} is None, of no kind, across a step", remedy)
            if n in needed and p.frame.env.get(n, value) != value:
                remedy = "Use another name: a law asks for the argument when the call has ended."
                raise m.error(m.node, f"{n!r} is an argument of {self.operation_name}, and here something else", remedy)
            safe = isinstance(t, Kind) and t.permanent
            f = self.declare(Field(f"{k.name}.{n}", (k,), t, None, optional=isinstance(t, Kind), raw=not safe))
            if f.type != t:
                raise m.error(m.node, f"{n!r} names things of two kinds across a step", "Use two names.")
            out[n] = f, value
        return out

    def standing(self, p: Path, k: Kind, point: int, saved: dict[str, Field], at: Field, todo: Todo) -> None:
        """What holds while a call stands between two steps: its locks are held, the asserts that follow are true."""
        x = self.bound("call", k)
        here = And(self.live(x), Eq(Read(at, (x,)), Lit(point, at.type)))
        q = Path(Frame(p.frame.method, {n: Read(f, (x,)) for n, f in saved.items()}))
        where = f"while {k.name} stands at {self.spec.steps[self.operation_name][point - 1]!r}"
        for lock in p.locks:
            mine, name = self.held(Held(lock.written, lock.node, q.frame), q), written(lock.written)
            self.promise(
                f"held:{k.name}.{point}:{name}", "held", forall([x], Implies(here, mine)), f"{name} is held {where}"
            )
            self._holders.append((k, point, mine, x, here))
            for k2, point2, theirs, y, here2 in self._holders:
                if theirs.field == mine.field:
                    z = self.bound("other", k2)
                    both = And(
                        here,
                        substitute(here2, {y: z}),
                        *(Eq(a, substitute(b, {y: z})) for a, b in zip(mine.args, theirs.args, strict=True)),
                    )
                    same = Eq(x, z) if k2 == k and point == point2 else FALSE
                    self.promise(
                        f"exclusive:{mine.field.name}:{k.name}.{point}/{k2.name}.{point2}",
                        "exclusive",
                        forall([x, z], Implies(both, same)),
                        "a lock has one holder",
                    )
        while todo is not None and isinstance(todo[0], Marker) and todo[0].what == "acquire":
            todo = todo[1]  # what is relied on under the lock holds while the call waits for it
        while todo is not None and isinstance(todo[0], ast.Assert):
            s, todo = todo
            assert isinstance(s, ast.Assert)
            id = str(getattr(s.msg, "value", ""))
            self.promise(
                f"standing:{k.name}.{point}:{id}",
                "standing",
                forall([x], Implies(here, self.test(s.test, q))),
                f"{id} holds {where}",
            )

    def promise(self, id: str, name: str, t: Term, sentence: str) -> None:
        """A property that the types or the steps imply."""
        if t != TRUE and all(p.id != id for p in self.spec.properties):
            file = self.spec.file
            self.spec.properties.append(
                Property(
                    id,
                    name,
                    Form.ALWAYS,
                    Class.STATE,
                    t,
                    sentence,
                    deduced("implied by the declarations"),
                    file,
                    0,
                    lemma=True,
                )
            )


def _needed(todo: Todo) -> set[str]:
    """The names whose values the rest of an operation needs."""
    out: set[str] = set()
    given: set[str] = set()
    while todo is not None:
        s, todo = todo
        s = s.on if isinstance(s, Marker) else s
        if isinstance(s, ast.AST):
            out |= _loads(s, given)
    return out


def _loads(n: ast.AST, given: set[str]) -> set[str]:
    """The names that a node reads before it gives them a value; what it surely gives one is added to `given`."""
    match n:
        case Patch():
            return set(n.method.parameters()) - given
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            loads = _loads(value, given)
            given.add(name)
            return loads
        case ast.GeneratorExp(generators=gens):
            inner = given | {g.target.id for g in gens if isinstance(g.target, ast.Name)}
            return set().union(*(_loads(x, inner) for x in ast.iter_child_nodes(n)))
        case ast.If() | ast.While() | ast.For():
            loads = _loads(n.iter if isinstance(n, ast.For) else n.test, given)
            for block in (n.body, n.orelse):
                inner = given | ({n.target.id} if isinstance(n, ast.For) and isinstance(n.target, ast.Name) else set())
                for s in block:
                    loads |= _loads(s, inner)
            return loads
        case ast.Name(id=name, ctx=ast.Load()):
            return {name} - given
    return set().union(*(_loads(x, given) for x in ast.iter_child_nodes(n)))
