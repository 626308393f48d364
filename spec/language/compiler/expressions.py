# SPDX-License-Identifier: Apache-2.0
"""Expressions: from `ast` to terms over the state before the step.  Python's truthiness of objects and numbers is refused."""

from __future__ import annotations

import ast
import enum
from collections.abc import Sequence

from ..assembly import written
from ..objects import is_kind
from ..specification import Check, Param, Role
from ..terms import (
    TRUE,
    All,
    And,
    Any_,
    App,
    Eq,
    Implies,
    Ite,
    Kind,
    Lit,
    Not,
    Or,
    Range,
    Read,
    Term,
    Type,
    Var,
    forall,
    none,
    value_after,
)
from .declarations import Declarations, same_type, type_name
from .path import Frame, Path

EXPRESSIONS = "Expressions: fields, is / is not / == / <=, and / or / not, all(…) and any(…) over kinds, implies, fails, old, the machine's predicates."


def is_word(node: ast.expr, word: str) -> bool:
    """Is it a call of one of the language's words?"""
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == word


def called_method(node: ast.expr) -> tuple[str, bool] | None:
    """`self.name(…)` -> (name, False); `super().name(…)` -> (name, True)."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        base = node.func.value
        if isinstance(base, ast.Name) and base.id == "self":
            return node.func.attr, False
        if is_word(base, "super"):
            return node.func.attr, True
    return None


class Expressions(Declarations):
    old_allowed = False  # only properties may look back

    # ------------------------------------------------------------------ methods

    def enter(self, call: ast.expr, p: Path) -> Frame | None:
        """The frame of a called method with its arguments bound; None if the call is not one of a method."""
        found = called_method(call)
        if found is None:
            return None
        assert isinstance(call, ast.Call)
        name, above = found
        m = self.assembly.method(name, p.frame.method.owner if above else None)
        if m is None:
            raise p.frame.method.error(
                call,
                f"{self.machine.__name__} has no method {name!r}",
                "Methods must be defined by the machine or one of its bases.",
            )
        formal = m.parameters()
        if call.keywords or len(formal) != len(call.args):
            raise p.frame.method.error(call, f"{name} takes {len(formal)} arguments, by position: {', '.join(formal)}")
        env = {}
        for (n, hint), a in zip(formal.items(), call.args, strict=True):
            t = self.term(a, p, want=self.type(hint))
            self.demand(p, a, t, self.type(hint), f"argument {n} of {name}")
            env[n] = t
        return Frame(m, env)

    def demand(self, p: Path, node: ast.AST, t: Term, want: Type, what: str) -> None:
        if not same_type(t.type, want):
            raise p.frame.method.error(node, f"{what} is a {type_name(want)}, not a {type_name(t.type)}")

    # ------------------------------------------------------------------ terms

    def test(self, n: ast.expr, p: Path) -> Term:
        t = self.term(n, p)
        if t.type is not bool:
            raise p.frame.method.error(
                n,
                f"`{written(n)}` is a {type_name(t.type)}, not a condition",
                f"Write `{written(n)} is not None`, or compare it.",
            )
        return t

    def term(self, n: ast.expr, p: Path, want: Type = bool) -> Term:
        """The term of an expression; `want` is the kind that a bare None stands for."""
        match n:
            case ast.Constant(value=None):
                return none(want)
            case ast.Constant(value=bool() as v):
                return Lit(v, bool)
            case ast.Constant(value=int() as v):
                return number(v)
            case ast.Name(id=name) if name in p.frame.env:
                return p.frame.env[name]
            case ast.Name() | ast.Attribute() if isinstance(g := p.frame.method.resolve(n), enum.Enum):
                return Lit(g, type(g))
            case ast.Name() | ast.Attribute() if isinstance(g := p.frame.method.resolve(n), int):
                return number(g)
            case ast.Attribute() | ast.Subscript():
                return self.read(n, p)
            case ast.BoolOp(op=op, values=values):
                return (And if isinstance(op, ast.And) else Or)(*(self.test(v, p) for v in values))
            case ast.UnaryOp(op=ast.Not(), operand=x):
                return Not(self.test(x, p))
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() as v)):
                return number(-v)
            case ast.IfExp(test=c, body=a, orelse=b):
                return either(self.test(c, p), self.term(a, p, want), self.term(b, p, want))
            case ast.Compare(left=left, ops=ops, comparators=more):
                return And(*(self.compare(a, op, b, p) for a, op, b in zip([left, *more], ops, more)))
            case ast.BinOp(op=ast.Add() | ast.Sub(), left=a, right=b):
                return self.sum(n, a, b, p)
            case ast.Call():
                return self.call(n, p, want)
            case ast.Name(id=name):
                known = ", ".join(p.frame.env) or "nothing"
                raise p.frame.method.error(n, f"{name!r} is not known here", f"Known: {known}.")
        raise p.frame.method.error(n, f"`{written(n)}` is outside the language", EXPRESSIONS)

    def sum(self, n: ast.BinOp, a: ast.expr, b: ast.expr, p: Path) -> Term:
        x, y = self.term(a, p), self.term(b, p)
        if not (isinstance(x.type, Range) and isinstance(y, Lit) and isinstance(y.type, Range)):
            raise p.frame.method.error(n, "only a constant can be added to, or subtracted from, a small number")
        k = y.value if isinstance(n.op, ast.Add) else -y.value
        return App("add", (x, number(k)), Range(x.type.lo + k, x.type.hi + k))

    def call(self, n: ast.Call, p: Path, want: Type) -> Term:
        if isinstance(n.func, ast.Name) and n.func.id in ("all", "any") and len(n.args) == 1:
            return self.quantified(n.func.id, n.args[0], p)
        if is_word(n, "implies"):
            return Implies(self.test(n.args[0], p), self.test(n.args[1], p))
        if is_word(n, "when"):
            raise p.frame.method.error(
                n, "`when` stands directly behind `if`", "`if when(c):` merges an effect into the row."
            )
        if is_word(n, "fails"):
            if not (n.args and isinstance(n.args[0], ast.Constant) and isinstance(n.args[0].value, str)):
                raise p.frame.method.error(n, "fails takes the name of what fails", 'Write `fails("allocation")`.')
            v = Var(f"{n.args[0].value} fails", bool)
            if all(q.var != v for q in p.params):
                p.params.append(Param(v, Role.FAILS))
            return v
        frame = self.enter(n, p)
        if frame is None:
            raise p.frame.method.error(n, f"cannot call {written(n.func)} in an expression", EXPRESSIONS)
        q = p.fork()
        q.frame, q.reads, q.params, q.checks = frame, p.reads, p.params, p.checks
        return self.predicate(frame.method.body, q, want)

    def read(self, n: ast.expr, p: Path) -> Term:
        c = self.cell(n, p)
        p.reads.append((c.field, c.args))
        return c if c.old else value_after(p.effects, c.field, c.args)

    def cell(self, n: ast.expr, p: Path) -> Read:
        """The cell that `x.field` or `x.field[key]` names."""
        key: tuple[Term, ...] = ()
        if isinstance(n, ast.Subscript):
            key, n = (self.term(n.slice, p),), n.value
        if not isinstance(n, ast.Attribute):
            raise p.frame.method.error(n, f"{written(n)} is not a field", "Fields are read and written as q.state.")
        base, was = n.value, False
        if isinstance(base, ast.Call) and is_word(base, "old"):
            if not self.old_allowed:
                raise p.frame.method.error(
                    n,
                    "old(…) is for properties",
                    "In an operation, keep the value in a local name before you change it.",
                )
            base, was = base.args[0], True
        owner = self.term(base, p)
        if isinstance(owner.type, Kind):
            f = self.fields.get(f"{owner.type.name}.{n.attr}")
            if f is not None and len(f.domain) == 1 + len(key):
                for k, d in zip(key, f.domain[1:]):
                    self.demand(p, n, k, d, f"the index of {f.name}")
                return Read(f, (owner, *key), was)
            if f is not None:
                raise p.frame.method.error(n, f"{f.name} takes {len(f.domain) - 1} index, not {len(key)}")
        have = [f.short for f in self.spec.fields if f.domain[:1] == (owner.type,)]
        raise p.frame.method.error(
            n, f"a {type_name(owner.type)} has no field {n.attr!r}", f"It has: {', '.join(have) or 'none'}."
        )

    def compare(self, a: ast.expr, op: ast.cmpop, b: ast.expr, p: Path) -> Term:
        if isinstance(op, (ast.In, ast.NotIn)):
            if not isinstance(b, (ast.Tuple, ast.Set, ast.List)):
                raise p.frame.method.error(b, "`in` takes a tuple of values", "Write `q.state in (INIT, STARTED)`.")
            t = Or(*(self.compare(a, ast.Is(), e, p) for e in b.elts))
            return t if isinstance(op, ast.In) else Not(t)
        x = self.term(a, p)
        y = self.term(b, p, want=x.type)
        if isinstance(x, Lit) and x.value is None:
            x = none(y.type)
        if not same_type(x.type, y.type):
            raise p.frame.method.error(
                a, f"compares a {type_name(x.type)} with a {type_name(y.type)}", "This is never true."
            )
        if isinstance(op, (ast.Is, ast.Eq, ast.IsNot, ast.NotEq)):
            return Eq(x, y) if isinstance(op, (ast.Is, ast.Eq)) else Not(Eq(x, y))
        if not isinstance(x.type, Range):
            raise p.frame.method.error(a, f"a {type_name(x.type)} has no order", "Compare with `is`.")
        lo, hi = (x, y) if isinstance(op, (ast.LtE, ast.Gt)) else (y, x)
        t = App("le", (lo, hi))
        return t if isinstance(op, (ast.LtE, ast.GtE)) else Not(t)

    # ------------------------------------------------------------------ quantifiers

    def generators(self, gen: ast.expr, p: Path, what: str) -> tuple[Path, list[tuple[Var, Term]], ast.expr]:
        """The bound variables of `e for x in Kind if c`, each with its condition, and the path in which e is to be read."""
        if not isinstance(gen, ast.GeneratorExp):
            raise p.frame.method.error(gen, f"{what}() takes `… for x in Kind`")
        q = p.fork()
        q.reads, q.params = p.reads, p.params
        xs = []
        for g in gen.generators:
            cls = q.frame.method.resolve(g.iter)
            if not (isinstance(g.target, ast.Name) and is_kind(cls)):
                raise p.frame.method.error(
                    g.iter,
                    f"cannot range over {written(g.iter)}",
                    "Range over a kind, `for q in Queue`, and filter with `if`.",
                )
            x = self.bound(g.target.id, self.kind(cls))
            q.frame.env[g.target.id] = x
            xs.append((x, And(self.exists(x, p), *(self.test(i, q) for i in g.ifs))))
        return q, xs, gen.elt

    def quantified(self, op: str, gen: ast.expr, p: Path) -> Term:
        q, xs, elt = self.generators(gen, p, op)
        t = self.test(elt, q)
        for x, c in reversed(xs):
            t = All(x, Implies(c, t)) if op == "all" else Any_(x, And(c, t))
        return t

    # ------------------------------------------------------------------ predicates

    def predicate(self, body: Sequence[ast.stmt], p: Path, want: Type = bool) -> Term:
        """What a method without effects returns."""
        for i, s in enumerate(body):
            match s:
                case ast.Expr(value=ast.Constant()) | ast.Pass():
                    continue
                case ast.Return(value=ast.expr() as value):
                    return self.term(value, p, want)
                case ast.If(test=c, body=yes, orelse=no) if _returns(yes):
                    a = self.predicate(yes, p.fork(), want)
                    b = self.predicate([*no, *body[i + 1 :]], p, want)
                    return either(self.test(c, p), a, b)
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    p.frame.env[name] = self.term(value, p)
                    continue
                case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                    p.frame.env[name] = self.term(value, p)
                    continue
                case ast.Assert() if not p.binders:
                    self.assertion(s, p)
                    continue
            raise p.frame.method.error(
                s, "a predicate has no effects", "It may name things, test with `if`, and return."
            )
        raise p.frame.method.error(p.frame.method.node, "this predicate may end without returning")

    def assertion(self, s: ast.Assert, p: Path) -> None:
        if not (isinstance(s.msg, ast.Constant) and isinstance(s.msg.value, str)):
            raise p.frame.method.error(
                s,
                "this assert names no property",
                'Write `assert …, "uacce.I03"`, and declare the property with @check.',
            )
        self.checked(s.msg.value, self.test(s.test, p), s.lineno, p)

    def checked(self, id: str, t: Term, line: int, p: Path) -> None:
        ok = forall(p.binders, Implies(p.cond, t))
        if ok != TRUE:
            p.checks.append(Check(id, ok, p.frame.method.file.name, line))


def number(k: int) -> Lit:
    return Lit(k, Range(k, k))


def either(c: Term, a: Term, b: Term) -> Term:
    """`a if c else b`; a bare None is none of the kind of the other."""
    return Ite(c, none(b.type) if a == none(bool) else a, none(a.type) if b == none(bool) else b)


def _returns(block: Sequence[ast.stmt]) -> bool:
    return bool(block) and isinstance(block[-1], ast.Return)
