# SPDX-License-Identifier: Apache-2.0
"""Operations: every way through the chain of guards becomes a case."""

from __future__ import annotations

import ast

from ..answers import Errno
from ..assembly import Method, Patch, written
from ..machine import Machine
from ..objects import Declaration, is_kind
from ..sources import Source, deduced, kernel, read, stated
from ..specification import Case, Param, Role
from ..terms import (
    FALSE,
    TRUE,
    And,
    Kind,
    Not,
    Read,
    Term,
    Type,
    Var,
    none,
    walk,
)
from .effects import decides, merges
from .expressions import called_method
from .path import Caller, Frame, Marker, Path, Todo, chain
from .steps import Steps

ENDED = object()  # in the place of what is left to do: this path is complete
MAKERS = (read, stated, deduced, kernel)


class Operations(Steps):
    """Reads operations and events, way by way."""

    is_event = False  # of the operation being read

    def __init__(self, machine: type[Machine]) -> None:
        super().__init__(machine)
        self._answers: dict[str, tuple[str, int]] = {}  # of the operation being read: row -> where it is answered

    # ------------------------------------------------------------------ an operation

    def operation(self, name: str, event: bool) -> None:
        """Read every way through one operation."""
        m = self.assembly.method(name)
        assert m is not None
        self.operation_name, self.is_event = name, event
        self.points, self._answers = {}, {}
        env: dict[str, Term] = {n: Var(n, t) for n, t in self.parameters(m, optional=False).items()}
        p = Path(Frame(m, env), given={n: v for n, v in env.items() if n in self.asked.get(name, ())})
        for v in env.values():
            assert isinstance(v, Var)
            p.params.append(Param(v, Role.GIVEN, self.live(v) if isinstance(v.type, Kind) else TRUE))
        self.follow(chain(m.body, None), p)

    def follow(self, todo: Todo, p: Path) -> None:
        """Read on until the path ends in an answer or a step; fork at every row."""
        while todo is not None:
            s, todo = todo
            m = p.frame.method
            match s:
                case Marker():
                    todo = self.marker(s, todo, p)
                case Patch():
                    env = {n: self.at_patch(n, t, s, p) for n, t in self.parameters(s.method).items()}
                    p.callers.append(Caller(p.frame, None, todo, patch=True))
                    p.frame, todo = p.frame.inner(s.method, env), chain([*s.method.body, Marker("leave")], None)
                case ast.If() if not merges(s) and decides([*s.body, *s.orelse]):
                    todo = self.row_test(s, todo, p)
                case ast.Return() | ast.Raise():
                    todo = self.leave(s, p)
                case ast.With(items=items):
                    if odd := [i for i in items if i.optional_vars]:
                        remedy = f"Write `with {written(odd[0].context_expr)}:`."
                        raise m.error(s, "a lock has no `as`", remedy)
                    locks = [i.context_expr for i in items]
                    takes = [Marker("acquire", x) for x in locks]
                    rest = chain([*takes, *s.body, *(Marker("release", x) for x in reversed(locks))], todo)
                    if any(self.held(x, p).field.name not in self.busy for x in p.locks):
                        return self.pause(p, s, f"waits for {written(locks[0])}", rest)  # it may have to wait there
                    todo = rest
                case ast.While():
                    todo = self.turn(s, todo, p)
                case ast.Expr(value=ast.Yield() as y):
                    return self.pause(p, s, self.label(y, p), todo)
                case (
                    ast.Assign(targets=[ast.Name(id=name)], value=call)
                    | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as call)
                ) if (frame := self.deciding(call, p)) is not None:
                    self.may_name(name, s, p)
                    p.callers.append(Caller(p.frame, name, todo))
                    p.frame, todo = frame, chain([*frame.method.body, Marker("leave")], None)
                case ast.Expr(value=call) if (frame := self.deciding(call, p)) is not None:
                    self.tell(s, p)
                    p.callers.append(Caller(p.frame, None, todo))
                    p.frame, todo = frame, chain([*frame.method.body, Marker("leave")], None)
                case _:
                    self.effect(s, p)
                    self.tell(s, p)
            if todo is ENDED:
                return None
        raise p.frame.method.error(
            p.frame.method.node,
            "the operation may end without an answer",
            'End it with `return OK("ok", …)`; an event with `return DONE("…", …)`.',
        )

    def tell(self, s: ast.stmt, p: Path) -> None:
        """Keep the effect as it was written, for the tables; what happens inside helpers is told by their names."""
        names = isinstance(s, ast.Assign) and isinstance(s.targets[0], ast.Name) and not isinstance(s.value, ast.Call)
        silent = isinstance(s, (ast.Assert, ast.Pass)) or (
            isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant)
        )
        called = written(s.value.func) if isinstance(s, ast.Expr) and isinstance(s.value, ast.Call) else ""
        required = called in ("require", "wait_until")
        if not (names or silent or required) and not any(not c.patch for c in p.callers):
            p.told.append(written(s))

    # ------------------------------------------------------------------ rows

    def row_test(self, s: ast.If, todo: Todo, p: Path) -> Todo:
        """Fork: the path through the body is followed here; what is left of the other is returned."""
        c = self.test(s.test, p)
        if any(isinstance(t, Read) and t.field.ghost for t in walk(c)):
            raise p.frame.method.error(
                s, "a row is decided by a ghost field", "Ghost fields are for properties; a driver cannot see them."
            )
        if c != FALSE:
            yes = p.fork()
            if c != TRUE:  # a helper's answer may be known already: keep its row
                yes.guards.append(c)
                yes.shown = written(s.test)
            self.follow(chain(s.body, todo), yes)
        if c == TRUE:
            return ENDED
        if c != FALSE:
            p.guards.append(Not(c))
            p.shown = "otherwise"
        return chain(s.orelse, todo)

    def deciding(self, call: ast.expr, p: Path) -> Frame | None:
        """The frame of a called method that has rows or effects, and so must be followed; None for a predicate."""
        if called_method(call) is None or p.conds or p.binders:
            return None
        frame = self.enter(call, p)
        return frame if frame and self.acts(frame.method) else None

    def at_patch(self, name: str, t: Type, s: Patch, p: Path) -> Term:
        """What a parameter of the method in the place of a row stands for."""
        if name not in p.frame.env:
            raise s.method.error(
                s.method.node,
                f"{name!r} is not known at the row that this method changes",
                f"Known there: {', '.join(p.frame.env)}.",
            )
        self.demand(p.frame.inner(s.method, {}), s.method.node, p.frame.env[name], t, f"parameter {name!r}")
        return p.frame.env[name]

    def leave(self, s: ast.Return | ast.Raise, p: Path) -> Todo:
        """An answer ends the call; any other value goes back to the caller."""
        m, value = p.frame.method, s.value if isinstance(s, ast.Return) else s.exc
        if isinstance(value, ast.Call) and isinstance(outcome := m.resolve(value.func), Errno):
            if isinstance(s, ast.Return) and any(not c.patch for c in p.callers):
                raise m.error(
                    s,
                    "a helper returns an answer",
                    "A helper raises it: `raise EBADF(…)`; only an operation returns its answers.",
                )
            self.emit(p, s, outcome, value)
            return ENDED
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and m.resolve(value.func) is None:
            raise m.error(
                s,
                f"{value.func.id!r} is not known here",
                f"Import it: `from accelspec.spec.language import {value.func.id}`.",
            )
        if isinstance(s, ast.Raise):
            raise m.error(s, "only answers are raised", 'Write `raise EBADF("row", source)`.')
        if p.callers and isinstance(value, ast.Constant) and value.value is None and p.callers[-1].patch:
            value = None  # the method in the place of a row has no answer
        helper = bool(p.callers) and not p.callers[-1].patch
        if value is not None and (frame := self.deciding(value, p) if helper else self.enter(value, p)) is not None:
            p.locks = [x.known_in(frame) for x in p.locks]
            p.frame = frame  # return super().start(p, n): its rows, or its value, become ours
            return chain([*frame.method.body, Marker("leave")] if helper else frame.method.body, None)
        if helper:
            found = self.term(value, p, want=self.returned(m)) if value is not None else TRUE
            if found == none(bool):
                raise m.error(s, f"{m.name} returns None, of no kind", f"Write `def {m.name}(…) -> SomeKind | None:`.")
            return self.resume(p, found)
        if p.callers and value is None:
            return self.resume(p, TRUE)
        raise m.error(
            s,
            "an operation returns an answer",
            'Write `return EBUSY("row", source)`: an errno, the name of the row, and who says so.',
        )

    def returned(self, m: Method) -> Type:
        """The type that a bare None has in a method's answer."""
        try:
            d = Declaration(m.returns(), None)
        except ValueError:  # it is of several types
            return bool
        return self.type(d.type) if is_kind(d.type) else bool

    def resume(self, p: Path, value: Term) -> Todo:
        """Go on in the caller, with the value of the method that was left."""
        c = p.callers.pop()
        p.frame = c.frame.copy()
        if c.target is not None:
            p.frame.env[c.target] = value
        return c.rest

    def emit(self, p: Path, s: ast.stmt, outcome: Errno, answer: ast.Call) -> None:
        """A way that ends in an answer: locks are given back, and the call is no longer in flight."""
        m = p.frame.method
        row, source = self.answer(m, s, answer)
        here = (m.file.path, s.lineno)
        if self._answers.setdefault(row, here) != here:
            raise m.error(
                s,
                f"row {self.operation_name}.{row} is written twice (also at line {self._answers[row][1]})",
                "Rows of one operation have different names.",
            )
        for lock in reversed(p.locks):
            self.give_back(lock, p)
        if p.call is not None:
            self.destroy(p, p.call)
        self.case(p, s, row, outcome, source)

    def case(self, p: Path, s: ast.stmt, row: str, outcome: Errno | None, source: Source) -> None:
        """Write down a way that was read to its end."""
        m = p.frame.method
        self.spec.cases.append(
            Case(
                operation=self.operation_name,
                row=row,
                guard=And(*p.guards),
                outcome=outcome,
                effects=tuple(p.effects),
                checks=tuple(p.checks),
                params=tuple(p.params),
                shown=p.shown,
                told=tuple(p.told),
                source=source,
                file=m.file.name,
                line=s.lineno,
                event=self.is_event,
                step=p.step,
            )
        )

    def answer(self, m: Method, s: ast.stmt, call: ast.Call) -> tuple[str, Source]:
        """The row's name and its source, checked."""
        how = 'Write `return EBUSY("row", read("function"))`.'
        if not call.args or not (
            isinstance(call.args[0], ast.Constant) and isinstance(call.args[0].value, str) and call.args[0].value
        ):
            raise m.error(s, "the row has no name", how)
        if len(call.args) != 2:
            raise m.error(s, "the row cites no source", how + " Sources are read(…), stated(…), deduced(…), kernel(…).")
        return call.args[0].value, self.inherited(m, self.source(m, s, call.args[1]))

    def source(self, m: Method, s: ast.AST, node: ast.expr) -> Source:
        """The source of a row: a call of one of its makers, or a constant of the module."""
        if isinstance(found := m.resolve(node), Source):
            return found.in_document(m.owner.document)
        maker = next((f for f in MAKERS if isinstance(node, ast.Call) and m.resolve(node.func) is f), None)
        if not isinstance(node, ast.Call) or maker is None:
            raise m.error(
                s, f"`{written(node)}` is not a source", "Sources are read(…), stated(…), deduced(…), kernel(…)."
            )
        try:
            texts = [_text(m, a) for a in node.args]
            made: Source = maker(*texts, **{k.arg or "": _text(m, k.value) for k in node.keywords})
        except (ValueError, TypeError) as e:
            raise m.error(
                s,
                f"the source cannot be read: {e}",
                'Plain texts only, and not empty: `read("uacce_fops_open", "why")`.',
            ) from e
        return made.in_document(m.owner.document)

    def inherited(self, m: Method, source: Source) -> Source:
        """Say on what ground a revision takes over the row of another one."""
        by = m.owner.revision
        if not by or by == self.machine.revision:
            return source
        ground = vars(self.machine).get("unchanged")
        return source.taken_over(
            f"{self.machine.revision}: {ground.in_document('')}" if ground else f"taken over from {by}, not compared"
        )

    # ------------------------------------------------------------------ steps

    def marker(self, s: Marker, todo: Todo, p: Path) -> Todo:
        """Do what was noted between two statements."""
        match s.what:
            case "acquire":
                self.take(s.on, p)
            case "release":
                (lock,) = [x for x in p.locks if x.written is s.on]
                p.locks.remove(lock)
                self.give_back(lock, p)
            case "until":
                p.guards.append(Not(self.test(s.on, p)))
            case "leave":
                return self.resume(p, TRUE)
        return todo

    def label(self, y: ast.Yield, p: Path) -> str:
        """The label of a step."""
        if not (isinstance(y.value, ast.Constant) and isinstance(y.value.value, str) and y.value.value):
            raise p.frame.method.error(
                y, "the step has no label", 'Write `yield "looked_up"`: traces name the step by it.'
            )
        return y.value.value

    def turn(self, s: ast.While, todo: Todo, p: Path) -> Todo:
        """`while c: yield "label"` waits; any other loop takes at least one step a turn."""
        if s.orelse:
            raise p.frame.method.error(s, "a loop with else", "Write what follows the loop behind it.")
        c = self.test(s.test, p)
        only = s.body[0] if len(s.body) == 1 else None
        if isinstance(only, ast.Expr) and isinstance(only.value, ast.Yield):
            if c != FALSE:
                wait = p.fork()
                wait.guards.append(c)
                self.pause(wait, s, self.label(only.value, p), chain([Marker("until", s.test)], todo))
            p.guards.append(Not(c))
            return todo
        if id(s) in p.heads:
            raise p.frame.method.error(
                s, "a turn of this loop may take no step", 'Every way through the body passes a `yield "label"`.'
            )
        p.heads.add(id(s))
        go = p.fork()
        go.guards.append(c)
        self.follow(chain(s.body, (s, todo)), go)
        p.guards.append(Not(c))
        return todo


def _text(m: Method, node: ast.expr) -> str:
    """A literal text, or a constant of the module."""
    found = m.resolve(node)
    text = ast.literal_eval(node) if found is None else found
    if not isinstance(text, str):
        raise TypeError(f"{text!r} is no text")
    return text
