# SPDX-License-Identifier: Apache-2.0
"""Expressions: from `ast` to terms over the state before the step.  Objects and numbers are no conditions."""

from __future__ import annotations

import ast
import enum
from collections.abc import Sequence

from ..answers import Errno
from ..assembly import Method, Patch, written
from ..machine import Machine
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

HELPERS_RAISE = "A helper raises it: `raise EBADF(…)`; only an operation returns its answers."
EXPRESSIONS = (
    "Expressions: fields, is / is not / == / <=, and / or / not, all(…) and any(…) over kinds, implies, fails, old, "
    "the machine's predicates."
)


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
    """Reads conditions and values."""

    old_allowed = False  # only properties may look back

    def __init__(self, machine: type[Machine]) -> None:
        super().__init__(machine)
        self._acts: dict[int, bool] = {}

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
        if any(x is m for x in (*p.frame.within, p.frame.method)):
            remedy = "Nothing is called again while it runs: loop over a kind, or take steps."
            raise p.frame.method.error(call, f"{name} calls itself", remedy)
        formal = self.parameters(m)
        if call.keywords or len(formal) != len(call.args):
            remedy = f"Write `self.{name}({', '.join(formal)})`."
            raise p.frame.method.error(call, f"{name} takes {counted(len(formal), 'argument')}, by position", remedy)
        env = {}
        for (n, t), a in zip(formal.items(), call.args, strict=True):
            env[n] = self.term(a, p, want=t)
            self.demand(p.frame, a, env[n], t, f"argument {n} of {name}")
        return p.frame.inner(m, env)

    def acts(self, m: Method) -> bool:
        """Has the method rows or effects, its own or those of methods that it calls?"""
        if id(m) not in self._acts:
            self._acts[id(m)] = False  # of one that calls itself
            self._acts[id(m)] = any(self._acts_at(m, n) for s in m.body for n in ast.walk(s))
        return self._acts[id(m)]

    def _acts_at(self, m: Method, n: ast.AST) -> bool:
        if isinstance(n, ast.Call) and (found := called_method(n)) is not None:
            callee = self.assembly.method(found[0], m.owner if found[1] else None)
            return callee is not None and self.acts(callee)
        return (
            isinstance(n, (ast.Raise, Patch, ast.For, ast.While, ast.With))
            or (isinstance(n, ast.expr) and (is_word(n, "choose") or is_word(n, "any_of")))
            or (isinstance(n, ast.Expr) and not isinstance(n.value, ast.Constant))
            or (isinstance(n, (ast.Attribute, ast.Subscript)) and isinstance(n.ctx, ast.Store))
            or (isinstance(n, ast.Call) and (isinstance(m.resolve(n.func), Errno) or is_kind(m.resolve(n.func))))
        )

    def own_name(self, name: str, at: ast.AST, m: Method) -> None:
        """Refuse a local name that hides one of the file: Python would take the local one everywhere in the method."""
        if name in m.globals:
            remedy = "Use another name in the method."
            raise m.error(at, f"{name!r} is the name of something else in this file", remedy)

    def demand(self, frame: Frame, node: ast.AST, t: Term, want: Type, what: str) -> None:
        """Raise SpecError for a value of another type."""
        if not same_type(t.type, want) or (t == none(t.type) and not isinstance(want, Kind)):
            is_none = isinstance(t, Lit) and t.value is None
            raise frame.method.error(
                node,
                f"{what} is a {type_name(want)}, not {'None' if is_none else f'a {type_name(t.type)}'}",
                f"Give it a {type_name(want)}.",
            )

    def words(self, call: ast.Call, n: int, p: Path) -> list[ast.expr]:
        """The arguments of one of the language's words, which takes n of them."""
        if len(call.args) != n or call.keywords or any(isinstance(a, ast.Starred) for a in call.args):
            word = written(call.func)
            remedy = f"Write `{word}({', '.join('…' * n)})`."
            raise p.frame.method.error(call, f"{word} takes {counted(n, 'argument')}", remedy)
        return call.args

    # ------------------------------------------------------------------ terms

    def test(self, n: ast.expr, p: Path) -> Term:
        """A condition: what is not true or false is refused."""
        t = self.term(n, p)
        if t.type is not bool or t == none(bool):
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
                return Lit(g, bool) if isinstance(g, bool) else number(g)
            case ast.Attribute() | ast.Subscript():
                return self.read(n, p)
            case ast.BoolOp(op=op, values=values):
                return self.connected(isinstance(op, ast.And), values, p)
            case ast.UnaryOp(op=ast.Not(), operand=x):
                return Not(self.test(x, p))
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() as v)):
                return number(-v)
            case ast.IfExp(test=c, body=a, orelse=b):
                t = self.test(c, p)
                with p.under(t):
                    yes = self.term(a, p, want)
                with p.under(Not(t)):
                    no = self.term(b, p, want)
                return self.either(t, yes, no, n, p)
            case ast.Compare(left=left, ops=ops, comparators=more):
                return And(*(self.compare(a, op, b, p) for a, op, b in zip([left, *more], ops, more, strict=False)))
            case ast.BinOp(op=ast.Add() | ast.Sub(), left=a, right=b):
                return self.sum(n, a, b, p)
            case ast.Call():
                return self.call(n, p, want)
            case ast.Name(id=name):
                known = ", ".join(p.frame.env) or "nothing"
                raise p.frame.method.error(n, f"{name!r} is not known here", f"Known: {known}.")
        raise p.frame.method.error(n, f"`{written(n)}` is outside the language", EXPRESSIONS)

    def sum(self, n: ast.BinOp, a: ast.expr, b: ast.expr, p: Path) -> Term:
        """A small number and a constant."""
        x, y = self.term(a, p), self.term(b, p)
        if not (isinstance(x.type, Range) and isinstance(y, Lit) and isinstance(y.type, Range)):
            remedy = "Write `x.count + 1`: sums of two fields are outside the language."
            raise p.frame.method.error(n, "only a constant can be added to, or subtracted from, a small number", remedy)
        k = y.value if isinstance(n.op, ast.Add) else -y.value
        return App("add", (x, number(k)), Range(x.type.lo + k, x.type.hi + k))

    def connected(self, every: bool, values: Sequence[ast.expr], p: Path) -> Term:
        """`and` or `or`: what stands behind is looked at only where what stands before does not decide."""
        terms: list[Term] = []
        for v in values:
            with p.under(*(t if every else Not(t) for t in terms)):
                terms.append(self.test(v, p))
        return And(*terms) if every else Or(*terms)

    def either(self, c: Term, a: Term, b: Term, n: ast.AST, p: Path) -> Term:
        """`a if c else b`; a bare None is none of the kind of the other."""
        a, b = (none(b.type) if a == none(bool) else a), (none(a.type) if b == none(bool) else b)
        if not same_type(a.type, b.type):
            what = f"is a {type_name(a.type)} or a {type_name(b.type)}"
            raise p.frame.method.error(n, what, "Both must be of one type.")
        return Ite(c, a, b)

    def call(self, n: ast.Call, p: Path, want: Type) -> Term:
        """A call inside an expression: a word, or one of the machine's predicates."""
        if isinstance(n.func, ast.Name) and n.func.id in ("all", "any") and len(n.args) == 1:
            return self.quantified(n.func.id, n.args[0], p)
        if is_word(n, "implies"):
            a, b = self.words(n, 2, p)
            t = self.test(a, p)
            with p.under(t):
                return Implies(t, self.test(b, p))
        if is_word(n, "when"):
            raise p.frame.method.error(
                n, "`when` stands directly behind `if`", "`if when(c):` merges an effect into the row."
            )
        if is_word(n, "fails"):
            if self.old_allowed:
                raise p.frame.method.error(n, "fails(…) is for operations", "A law says what holds, whatever fails.")
            if not (len(n.args) == 1 and isinstance(n.args[0], ast.Constant) and isinstance(n.args[0].value, str)):
                raise p.frame.method.error(n, "fails takes the name of what fails", 'Write `fails("allocation")`.')
            v = Var(f"{n.args[0].value} fails", bool)
            if all(q.var != v for q in p.params):
                p.params.append(Param(v, Role.FAILS))
            return v
        frame = self.enter(n, p)
        if frame is None:
            if isinstance(p.frame.method.resolve(n.func), Errno):
                raise p.frame.method.error(n, "an answer is no value", HELPERS_RAISE)
            raise p.frame.method.error(n, f"cannot call {written(n.func)} in an expression", EXPRESSIONS)
        if self.acts(frame.method):
            name = frame.method.name
            raise p.frame.method.error(
                n,
                f"{name} decides or changes something, so it cannot be called in an expression",
                f"Give its value a name first, `x = self.{name}(…)`, outside loops and `when`.",
            )
        q = p.fork()
        q.frame, q.reads, q.params, q.checks = frame, p.reads, p.params, p.checks
        return self.predicate(frame.method.body, q, want)

    def read(self, n: ast.expr, p: Path) -> Term:
        """The value of a field, after the effects so far."""
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
                for k, d in zip(key, f.domain[1:], strict=True):
                    self.demand(p.frame, n, k, d, f"the index of {f.name}")
                return Read(f, (owner, *key), was)
            if f is not None:
                index = written(n) + "[…]" if len(f.domain) > 1 else written(n)
                what = f"{f.name} takes {counted(len(f.domain) - 1, 'index')}, not {len(key)}"
                raise p.frame.method.error(n, what, f"Write `{index}`.")
        have = [f.short for f in self.spec.fields if f.domain[:1] == (owner.type,)]
        raise p.frame.method.error(
            n, f"a {type_name(owner.type)} has no field {n.attr!r}", f"It has: {', '.join(have) or 'none'}."
        )

    def compare(self, a: ast.expr, op: ast.cmpop, b: ast.expr, p: Path) -> Term:
        """`is`, `==`, an order of small numbers, or `in` a tuple of values."""
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
        """Of `e for x in Kind if c`: the variables, each with its condition; the path in which e is to be read; e."""
        if not isinstance(gen, ast.GeneratorExp):
            remedy = f"Write `{what}(… for q in Queue)`; between conditions, `and` and `or`."
            raise p.frame.method.error(gen, f"{what} takes `… for x in Kind`", remedy)
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
            self.own_name(g.target.id, g.target, q.frame.method)
            x = self.bound(g.target.id, self.kind(cls))
            q.frame.env[g.target.id] = x
            q.binders.append(x)
            xs.append((x, And(self.exists(x, p), *(self.test(i, q) for i in g.ifs))))
        return q, xs, gen.elt

    def quantified(self, op: str, gen: ast.expr, p: Path) -> Term:
        """`all(…)` or `any(…)` over kinds."""
        q, xs, elt = self.generators(gen, p, op)
        t = self.test(elt, q)
        for x, c in reversed(xs):
            t = All(x, Implies(c, t)) if op == "all" else Any_(x, And(c, t))
        return t

    # ------------------------------------------------------------------ predicates

    def predicate(self, body: Sequence[ast.stmt], p: Path, want: Type = bool) -> Term:
        """What a method without effects returns."""
        m = p.frame.method
        for i, s in enumerate(body):
            match s:
                case ast.Expr(value=ast.Constant()) | ast.Pass():
                    pass
                case ast.Return(value=ast.expr() as value):
                    return self.term(value, p, want)
                case ast.If(test=c, body=yes, orelse=no) if _returns(yes):
                    t, q = self.test(c, p), p.fork()
                    q.checks, q.params, q.reads = p.checks, p.params, p.reads
                    with q.under(t):
                        a = self.predicate(yes, q, want)
                    with p.under(Not(t)):
                        b = self.predicate([*no, *body[i + 1 :]], p, want)
                    return self.either(t, a, b, s, p)
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    p.frame.env[name] = self.term(value, p)
                case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                    p.frame.env[name] = self.term(value, p)
                case ast.Assert() if not p.binders:
                    self.assertion(s, p)
                case ast.Assert():
                    remedy = "Assert it once, over all of them: `assert all(… for x in Kind), id`."
                    raise m.error(s, "an assert under all(…) or any(…), or in a loop", remedy)
                case _:
                    remedy = "It may name things, test with `if`, and return."
                    raise m.error(s, "a predicate has no effects", remedy)
        raise m.error(m.node, "this predicate may end without returning", "End it with `return`.")

    def assertion(self, s: ast.Assert, p: Path) -> None:
        """An assert: a check that carries the id of a property."""
        if not (isinstance(s.msg, ast.Constant) and isinstance(s.msg.value, str)):
            raise p.frame.method.error(
                s,
                "this assert names no property",
                'Write `assert …, "uacce.I03"`, and declare the property with @check.',
            )
        self.checked(s.msg.value, self.test(s.test, p), s.lineno, p)

    def checked(self, id: str, t: Term, line: int, p: Path) -> None:
        """What must hold here, under the conditions and for the loop variables around it."""
        ok = forall(p.binders, Implies(p.cond, t))
        if ok != TRUE:
            p.checks.append(Check(id, ok, p.frame.method.file.name, line))


def number(k: int) -> Lit:
    """A constant number, of the range that has just this one."""
    return Lit(k, Range(k, k))


def counted(n: int, noun: str) -> str:
    """`no index`, `1 index`, `2 arguments`"""
    return f"no {noun}" if n == 0 else f"{n} {noun}" + ("s" if n > 1 else "")


def _returns(block: Sequence[ast.stmt]) -> bool:
    return bool(block) and isinstance(block[-1], ast.Return)
