# SPDX-License-Identifier: Apache-2.0
"""Effects: the statements that change the state and decide nothing."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from ..assembly import Patch, written
from ..objects import is_kind
from ..specification import Assumption, Param, Role
from ..terms import (
    TRUE,
    And,
    App,
    Assign,
    Eq,
    Field,
    Implies,
    Kind,
    Not,
    Or,
    Range,
    Read,
    Term,
    Var,
    blank,
    forall,
    none,
    substitute,
    walk,
)
from .declarations import same_type, type_name
from .expressions import Expressions, is_word, number
from .path import Path

HINTS = {
    "Try": "An error path is a row: `if fails(…): return …`.",
    "AugAssign": "Only += and -= on small numbers.",
    "FunctionDef": "Make it a method of the machine.",
    "Return": "A row in the middle of an effect: give the condition a row of its own, outside loops and `when`.",
    "Raise": "Rows are raised by helpers that are called outside loops and `when`.",
    "Yield": 'A loop with a step in it is a `while`: `while any(…): x = choose(…); …; yield "label"`.',
}


def decides(stmts: Sequence[ast.stmt]) -> bool:
    """Is there a row or a step among the statements?"""
    kinds = (ast.Return, ast.Raise, ast.Yield, ast.With, ast.While, Patch)
    return any(isinstance(n, kinds) for s in stmts for n in ast.walk(s))


def merges(s: ast.If) -> bool:
    """Is it an `if when(…)`?"""
    return is_word(s.test, "when")


class Effects(Expressions):
    """Reads what changes the state."""

    operation_name = ""  # of the operation being read

    # ------------------------------------------------------------------ statements

    def effect(self, s: ast.stmt, p: Path) -> None:
        """Read one statement that decides nothing."""
        m = p.frame.method
        match s:
            case ast.Pass() | ast.Expr(value=ast.Constant()):
                pass
            case ast.Assert():
                self.assertion(s, p)
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ):
                self.name(name, value, p)
            case ast.AugAssign(target=ast.Name(id=name) as target, op=ast.Add() | ast.Sub() as op, value=value):
                known = ast.copy_location(ast.Name(target.id, ast.Load()), target)
                self.name(name, ast.copy_location(ast.BinOp(known, op, value), s), p)
            case ast.Assign(targets=[target], value=value):
                self.write(p, target, self.term(value, p, want=self.cell(target, p).type))
            case ast.AugAssign(target=target, op=ast.Add() | ast.Sub() as op, value=value):
                self.write(p, target, self.term(ast.copy_location(ast.BinOp(target, op, value), s), p))
            case ast.If() if merges(s) or p.binders:
                self.merged(s, p)
            case ast.If():
                raise m.error(
                    s,
                    "this `if` makes no row",
                    "Write `if when(…):` to merge an effect into the row; a plain `if` ends in a return or a raise.",
                )
            case ast.For():
                self.loop(s, p)
            case ast.Expr(value=ast.Call() as call):
                self.perform(s, call, p)
            case _:
                raise m.error(
                    s,
                    f"`{type(s).__name__.lower()}` is outside the language here",
                    HINTS.get(type(s).__name__, "See docs/language.md for what a method may say."),
                )

    def block(self, body: Sequence[ast.stmt], p: Path) -> None:
        """Read statements that decide nothing."""
        for s in body:
            self.effect(s, p)

    def name(self, name: str, value: ast.expr, p: Path) -> None:
        """Give a name to a value, to what is chosen, or to what is created."""
        self.may_name(name, value, p)
        if is_word(value, "choose") or is_word(value, "any_of"):
            assert isinstance(value, ast.Call)
            p.frame.env[name] = self.choose(p, name, value)
        elif isinstance(value, ast.Call) and is_kind(cls := p.frame.method.resolve(value.func)):
            p.frame.env[name] = self.create(p, name, cls, value)
        else:
            p.frame.env[name] = self.term(value, p)

    def may_name(self, name: str, at: ast.AST, p: Path) -> None:
        """A name has one meaning in a method: not that of the file, and not another one while a lock is held by it."""
        self.own_name(name, at, p.frame.method)
        if name in p.frame.fixed:
            remedy = f"Ask for it before or after the loop: `{name} = any(…)`."
            what = f"the loop gives {name!r}, known outside of it, another meaning, so its order would matter"
            raise p.frame.method.error(at, what, remedy)
        if any(x.owner == name and x.frame.method is p.frame.method for x in p.locks):
            remedy = "Use another name: the lock is given back by this one."
            raise p.frame.method.error(at, f"{name!r} names the owner of a lock that is held", remedy)

    def perform(self, s: ast.stmt, call: ast.Call, p: Path) -> None:
        """A call for its effect."""
        m = p.frame.method
        if is_word(call, "free"):
            x = self.term(self.words(call, 1, p)[0], p)
            if not isinstance(x.type, Kind) or x.type.permanent:
                raise m.error(
                    s, f"a {type_name(x.type)} cannot be freed", "Objects of an `always=True` kind are never freed."
                )
            self.destroy(p, x)
        elif is_word(call, "require") or is_word(call, "wait_until"):
            if p.binders:
                raise m.error(s, f"{written(call.func)}(…) in a loop", "Say it before the loop, with all(…).")
            p.guards.append(Implies(p.cond, self.test(self.words(call, 1, p)[0], p)))
            a = Assumption(self.operation_name, written(call.args[0]), m.file.name, s.lineno)
            said = self.spec.assumptions if is_word(call, "require") else self.spec.waits
            if a not in said:
                said.append(a)
        elif is_kind(cls := m.resolve(call.func)):
            self.create(p, cls.__name__.lower(), cls, call)
        elif (frame := self.enter(call, p)) is not None:
            if decides(frame.method.body):
                raise m.error(
                    s,
                    f"{frame.method.name} decides (it has rows), so it cannot be called in a loop or under `when`",
                    "Call it in the operation itself, outside.",
                )
            outer, p.frame = p.frame, frame
            self.block(frame.method.body, p)
            p.frame = outer
        else:
            raise m.error(
                s,
                f"cannot call {written(call.func)} here",
                "Only the machine's own methods, free(…) and require(…) have effects.",
            )

    def merged(self, s: ast.If, p: Path) -> None:
        """`if when(c):`, or a filter inside a loop: the conditions enter the effects."""
        test = self.words(s.test, 1, p)[0] if merges(s) and isinstance(s.test, ast.Call) else s.test
        c, start, ends = self.test(test, p), dict(p.frame.env), []
        if decides([*s.body, *s.orelse]):
            raise p.frame.method.error(
                s, "a row or a step under a condition that only merges an effect", HINTS["Return"]
            )
        for cond, body in ((c, s.body), (Not(c), s.orelse)):
            p.frame.env = dict(start)
            p.conds.append(cond)
            self.block(body, p)
            p.conds.pop()
            ends.append(p.frame.env)
        both = [n for n in ends[0] if n in ends[1]]  # the names that both branches know
        p.frame.env = {n: self.either(c, ends[0][n], ends[1][n], s, p) for n in both}

    def loop(self, s: ast.For, p: Path) -> None:
        """An atomic loop over a kind: simultaneous, and so refused where the order would matter."""
        m = p.frame.method
        cls = m.resolve(s.iter)
        if s.orelse:
            raise m.error(s, "a loop with else", "Write what follows the loop behind it.")
        if not (isinstance(s.target, ast.Name) and is_kind(cls)):
            raise m.error(
                s,
                f"cannot loop over {written(s.iter)}",
                "`for b in Buffer:` ranges over all objects of a kind; filter with `if`.",
            )
        self.own_name(s.target.id, s, m)
        x = self.bound(s.target.id, self.kind(cls))
        first, outer = len(p.effects), p.reads
        p.reads, frame = [], p.frame
        p.frame = frame.loop(s.target.id, x)
        p.binders.append(x)
        p.conds.append(self.exists(x, p))
        self.block(s.body, p)
        p.conds.pop()
        p.binders.pop()
        p.frame = frame
        for a in p.effects[first:]:
            if x not in a.args:
                y, kind = s.target.id, a.field.kind.name
                what = (
                    f"the loop over {y} writes {a.field.name} of an object that is not {y}, so its order would matter"
                )
                remedy = (
                    f"Loop over the objects that change: `for x in {kind}: if any(… for {y} in {cls.__name__}): …`, "
                    "or take steps: `while any(…): …; yield`."
                )
                raise m.error(s, what, remedy)
            for f, args in p.reads:
                if f == a.field and any(w == x and r != x for w, r in zip(a.args, args, strict=True)):
                    raise m.error(
                        s,
                        f"the loop reads {f.name} of other objects than the one it changes, so its order would matter",
                        "Compute what you need before the loop, or take steps: `while any(…): …; yield`.",
                    )
        p.reads = outer + p.reads  # what an inner loop reads, the outer one reads too

    # ------------------------------------------------------------------ cells

    def write(self, p: Path, target: ast.expr, value: Term) -> None:
        """Change a field; refused for what is rigid, is a lock, or is of another type."""
        c, m = self.cell(target, p), p.frame.method
        if c.field.rigid:
            remedy = "Drop `Rigid[…]` if it does change."
            raise m.error(target, f"{c.field.name} is rigid: it is given at creation and never written", remedy)
        if c.field.name in self.locks:
            remedy = f"Write `with {written(target)}:` around what is done under it."
            raise m.error(target, f"{c.field.name} is a lock: it is taken and given back", remedy)
        self.fits(c.field, value, target, p)
        self.assign(p, c, value, target)

    def fits(self, f: Field, value: Term, at: ast.AST, p: Path) -> None:
        """May the field hold the value?"""
        if value == none(value.type) and not f.optional:
            remedy = f"Declare it as `{type_name(f.type)} | None`." if isinstance(f.type, Kind) else "Give it a value."
            raise p.frame.method.error(at, f"{f.name} is never None", remedy)
        if not same_type(f.type, value.type):
            what = f"{f.name} holds a {type_name(f.type)}, not a {type_name(value.type)}"
            raise p.frame.method.error(at, what, f"Give it a {type_name(f.type)}.")

    def assign(self, p: Path, c: Read, value: Term, at: ast.expr) -> None:
        """A write, under the conditions and for the loop variables around it."""
        if isinstance(c.field.type, Range):
            self.in_range(p, c.field.name, c.field.type, value, at.lineno)
        used = {t for a in c.args for t in walk(a)} | {t for k in p.conds for t in walk(k)} | set(walk(value))
        p.effects.append(Assign(c.field, c.args, value, p.cond, tuple(b for b in p.binders if b in used)))

    def in_range(self, p: Path, name: str, r: Range, value: Term, line: int) -> None:
        """The law that a number stays within its range, stated where it is written."""
        assert isinstance(value.type, Range)
        low = TRUE if value.type.lo >= r.lo else App("le", (number(r.lo), value))
        high = TRUE if value.type.hi <= r.hi else App("le", (value, number(r.hi)))
        self.checked(f"range:{name}", And(low, high), line, p)

    def create(self, p: Path, local: str, cls: type, call: ast.Call) -> Term:
        """A new object: a parameter of the case, the fields that are given, and that it exists."""
        m = p.frame.method
        if p.binders:
            raise m.error(
                call,
                "an object is created in a loop",
                "An operation creates a fixed number of objects; to create more, take steps.",
            )
        k = self.kind(cls)
        if k.permanent:
            raise m.error(
                call, f"a {k.name} cannot be created", "Objects of an `always=True` kind exist from the start."
            )
        taken = {q.var.name for q in p.params}
        x = Var(local if local not in taken else self.bound(local, k).name, k)
        p.params.append(Param(x, Role.NEW, Implies(p.cond, And(Not(self.live(x, p.effects)), Not(Eq(x, none(k)))))))
        given = {a.arg: a.value for a in call.keywords if a.arg is not None}
        if call.args or len(given) < len(call.keywords):
            raise m.error(call, f"the fields of a {k.name} are given by name", f"Write {k.name}(field=value, …).")
        values: list[tuple[Field, Term]] = []
        for f in (f for f in self.spec.fields if f.kind == k and not f.is_live):
            if f.short in given and len(f.domain) == 1:
                t = self.term(node := given.pop(f.short), p, want=f.type)
                self.fits(f, t, node, p)
                if isinstance(f.type, Range):
                    self.in_range(p, f.name, f.type, t, call.lineno)
                values.append((f, t))
            elif not f.optional and isinstance(f.type, Kind) and f.default is None and len(f.domain) == 1:
                raise m.error(
                    call,
                    f"{k.name}({f.short}=…) is missing",
                    f"A {k.name} has no {f.short} otherwise, and it cannot be none.",
                )
        if given:
            raise m.error(
                call,
                f"{k.name} has no field {next(iter(given))!r}",
                f"It has: {', '.join(f.short for f in self.spec.fields if f.kind == k and not f.is_live)}.",
            )
        for f, t in [*values, (self.fields[f"{k.name}.live"], TRUE)]:
            p.effects.append(Assign(f, (x,), t, p.cond))
        return x

    def destroy(self, p: Path, x: Term) -> None:
        """The object exists no more, and all its fields are blank."""
        assert isinstance(x.type, Kind)
        for f in (f for f in self.spec.fields if f.kind == x.type):
            keys = tuple(self.bound("k", k) for k in f.domain[1:])
            p.effects.append(Assign(f, (x, *keys), blank(f), p.cond, (*(b for b in p.binders if b == x), *keys)))

    def choose(self, p: Path, local: str, call: ast.Call) -> Term:
        """`x = choose(x for x in Kind if …)`: any candidate, `none` only if there is none; `any_of`: there is one."""
        m = p.frame.method
        gen = call.args[0] if len(call.args) == 1 else call
        if p.binders or p.conds:
            raise m.error(call, "choose(…) in a loop or under `when`", "Choose before it.")
        if not (
            isinstance(gen, ast.GeneratorExp)
            and len(gen.generators) == 1
            and written(gen.elt) == written(gen.generators[0].target)
        ):
            word = written(call.func)
            remedy = f"Write `x = {word}(x for x in Queue if …)`."
            raise m.error(call, f"{word} takes `x for x in Kind if …`", remedy)
        _, [(x, ok)], _ = self.generators(gen, p, "choose")
        taken = {q.var.name for q in p.params}
        c = Var(local if local not in taken else self.bound(local, x.type).name, x.type)
        some = And(Not(Eq(c, none(c.type))), substitute(ok, {x: c}))
        nobody = And(Eq(c, none(c.type)), forall([x], Not(ok)))
        p.params.append(Param(c, Role.CHOSEN, some if is_word(call, "any_of") else Or(some, nobody)))
        return c
