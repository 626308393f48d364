# SPDX-License-Identifier: Apache-2.0
"""The methods of a revision as Python functions that really run: what `assembly` put together, with few changes.

- A changed row calls the method that stands there: what it answers is the answer, otherwise the next row goes on.
- `with x.lock:` takes the lock, and gives it back however the block is left.  The step is not offered while somebody
  else holds it; a call that holds a lock already (not just a `Busy`) stops there first, and waits.
- `yield` and `while c: yield` hand over a `Pause`, which says whether the call may go on.
- `super().m(…)` is the next assembled method behind the class; a call that ends with it takes its steps.
- `implies(a, b)` looks at b only where a is true.

Every statement keeps its file and line, so a traceback points into the machine file.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FunctionType
from typing import Any, TypeVar

from .assembly import Assembly, Method, Patch, written
from .machine import Machine
from .objects import Busy
from .world import NotEnabled

N = TypeVar("N", bound=ast.AST)


@dataclass(frozen=True)
class Pause:
    """Where a call stands between two steps: the label, and when it may go on."""

    label: str
    ready: Callable[[], bool]


class NativeMethods:
    """What `self` is in a native run; the methods of the revision are set on a subclass, one per run."""

    def _stand(self, label: str, ready: Callable[[], bool] = lambda: True) -> Pause:
        return Pause(label, ready)

    def _lock(self, owner: Any, name: str) -> None:
        if getattr(owner, name).held:
            raise NotEnabled(f"{owner}.{name} is held")
        getattr(owner, name).held = True

    def _is_lock(self, owner: Any, name: str) -> bool:
        return not isinstance(getattr(owner, name), Busy)

    def _unlock(self, owner: Any, name: str) -> None:
        getattr(owner, name).held = False


def native_methods(machine: type[Machine]) -> NativeMethods:
    """An object that has every method of the revision, ready to be called inside a World.

    Raises SpecError for a source that cannot be read.
    """
    return _Builder(machine).build()


class _Builder:
    def __init__(self, machine: type[Machine]) -> None:
        self.assembly = Assembly(machine)
        self.found: type[NativeMethods] = type(f"Native{machine.__name__}", (NativeMethods,), {})
        self._stepping: dict[str, bool] = {}  # attribute -> does it take steps?

    def build(self) -> NativeMethods:
        for name in self.assembly.names():
            self.attribute(name)
        return self.found()

    def attribute(self, name: str, behind: type | None = None, holding: bool = False) -> str:
        """The attribute that holds a method; `holding`: for a call that has a lock when it goes on with this method."""
        attribute = name + (f"@{behind.__qualname__}" if behind else "") + ("@holding" if holding else "")
        if attribute not in self._stepping and (m := self.assembly.method(name, behind)) is not None:
            self.define(attribute, m, holding)
        return attribute

    def patch(self, m: Method) -> str:
        """The attribute that holds the method of a changed row."""
        attribute = f"{m.name}@{m.owner.__qualname__}@row"
        if attribute not in self._stepping:
            self.define(attribute, m, holding=False)
        return attribute

    def define(self, attribute: str, m: Method, holding: bool) -> None:
        self._stepping[attribute] = False  # until its text says otherwise
        node = _Rewriter(self, m).function(holding)
        self._stepping[attribute] = any(isinstance(n, (ast.Yield, ast.YieldFrom)) for n in ast.walk(node))
        module = ast.fix_missing_locations(ast.Module([node], []))
        space: dict[str, Any] = {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # the file itself has warned
            exec(compile(module, m.file.path, "exec", dont_inherit=True, optimize=0), space)
        made: FunctionType = space[node.name]
        setattr(self.found, attribute, FunctionType(made.__code__, m.globals, m.name))

    def takes_steps(self, attribute: str) -> bool:
        return self._stepping.get(attribute, False)


class _Rewriter:
    """One method's text, made into that of a native function.  Parsed files are shared: nothing is changed in place."""

    def __init__(self, builder: _Builder, method: Method) -> None:
        self.builder, self.method = builder, method
        self.held: list[list[ast.expr]] = []  # the locks around the statement: the name of the owner, and of the field
        self.enters_holding = False
        self.locks = 0

    def function(self, holding: bool) -> ast.FunctionDef:
        node = self.method.node
        self.enters_holding = holding
        body = [x for s in self.method.body for x in self.statement(s)]
        plain = {
            "args": ast.arguments([], [_at(a, ast.arg(a.arg)) for a in node.args.args], None, [], [], None, []),
            "body": body or [_at(node, ast.Pass())],
            "decorator_list": [],
            "returns": None,
        }
        return _at(node, ast.FunctionDef(**{**dict(ast.iter_fields(node)), **plain}))

    @property
    def holding(self) -> bool:
        """Is something held at the statement being rewritten?"""
        return self.enters_holding or bool(self.held)

    def statement(self, s: ast.stmt) -> list[ast.stmt]:
        match s:
            case Patch():
                return self.row(s)
            case ast.With():
                return self.locked(s, [i.context_expr for i in s.items if isinstance(i.context_expr, ast.Attribute)])
            case ast.While(test=test, body=[ast.Expr(value=ast.Yield(value=ast.expr() as label) as y)]):
                ready = ast.Lambda(_no_arguments(), ast.UnaryOp(ast.Not(), self.expression(test)))
                stand = ast.Expr(ast.Yield(self.call("_stand", [label, ready], y)))
                return [_at(s, ast.While(self.expression(test), [_at(y, stand)], []))]
            case ast.Expr(value=ast.Yield(value=ast.expr() as label) as y):
                return [_at(s, ast.Expr(ast.Yield(self.call("_stand", [label], y))))]
            case ast.Return(value=ast.Call() as call) if (found := _called(call)) is not None:
                attribute = self.builder.attribute(found[0], self.method.owner if found[1] else None, self.holding)
                value: ast.expr = self.call(attribute, [self.expression(a) for a in call.args], call)
                if self.builder.takes_steps(attribute):
                    value = ast.YieldFrom(value)
                return [_at(s, ast.Return(value))]
        return [self.copied(s)]

    def row(self, s: Patch) -> list[ast.stmt]:
        """The method in the place of a row: its answer, if it has one, is the answer."""
        arguments: list[ast.expr] = [ast.Name(n, ast.Load()) for n in s.method.parameters()]
        answer = self.call(self.builder.patch(s.method), arguments, s)
        test = ast.Compare(
            ast.NamedExpr(ast.Name("answer@row", ast.Store()), answer), [ast.IsNot()], [ast.Constant(None)]
        )
        return [_at(s, ast.If(test, [ast.Return(ast.Name("answer@row", ast.Load()))], []))]

    def locked(self, s: ast.With, locks: list[ast.Attribute]) -> list[ast.stmt]:
        """Take the locks (their objects are looked up once), hold them through the block, give them back."""
        steps: list[ast.stmt] = []
        takes: list[ast.stmt] = []
        give_back: list[ast.stmt] = []
        free: list[ast.expr] = []
        taken: list[list[ast.expr]] = []
        for lock in locks:
            self.locks += 1
            owner = f"owner@{self.locks}"
            these: list[ast.expr] = [ast.Name(owner, ast.Load()), ast.Constant(lock.attr)]
            steps.append(ast.Assign([ast.Name(owner, ast.Store())], self.expression(lock.value)))
            takes.append(ast.Expr(self.call("_lock", these, lock)))
            give_back.insert(0, ast.Expr(self.call("_unlock", these, lock)))
            taken.append(these)
            free.append(ast.UnaryOp(ast.Not(), ast.Attribute(ast.Name(owner, ast.Load()), lock.attr, ast.Load())))
        if self.holding:
            label = ast.Constant(f"waits for {written(locks[0])}")
            ready = ast.Lambda(_no_arguments(), ast.BoolOp(ast.And(), [ast.Constant(True), *free]))
            wait = ast.Expr(ast.Yield(self.call("_stand", [label, ready], s)))
            really = [ast.Constant(self.enters_holding), *(self.call("_is_lock", h, s) for h in self.held)]
            steps.append(ast.If(ast.BoolOp(ast.Or(), really), [wait], []))
        self.held += taken
        body = [x for b in s.body for x in self.statement(b)]
        del self.held[-len(taken) :]
        return [_at(locks[0], x) for x in [*steps, *takes, ast.Try(body, [], [], give_back)]]

    def call(self, attribute: str, arguments: Sequence[ast.expr], at: ast.AST) -> ast.Call:
        return _at(
            at, ast.Call(ast.Attribute(ast.Name("self", ast.Load()), attribute, ast.Load()), list(arguments), [])
        )

    def expression(self, n: ast.expr) -> ast.expr:
        """The expression with `implies` and `super()` in it rewritten."""
        match n:
            case ast.Call(func=ast.Name(id="implies"), args=[a, b]):
                both: list[ast.expr] = [ast.UnaryOp(ast.Not(), self.expression(a)), self.expression(b)]
                return _at(n, ast.BoolOp(ast.Or(), both))
            case ast.Call() if (found := _called(n)) is not None and found[1]:
                attribute = self.builder.attribute(found[0], self.method.owner)
                return self.call(attribute, [self.expression(a) for a in n.args], n)
        return self.copied(n)

    def copied(self, n: N) -> N:
        """The node with everything inside it rewritten."""
        fields = {name: self._value(v) for name, v in ast.iter_fields(n)}
        return ast.copy_location(type(n)(**fields), n)

    def _value(self, v: Any) -> Any:
        match v:
            case list():
                return [x for y in v for x in (self.statement(y) if isinstance(y, ast.stmt) else [self._value(y)])]
            case ast.expr():
                return self.expression(v)
            case ast.AST():
                return self.copied(v)
        return v


def _called(node: ast.expr) -> tuple[str, bool] | None:
    """`self.name(…)` -> (name, False); `super().name(…)` -> (name, True)."""
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id="self"), attr=name)):
            return name, False
        case ast.Call(func=ast.Attribute(value=ast.Call(func=ast.Name(id="super"), args=[]), attr=name)):
            return name, True
    return None


def _no_arguments() -> ast.arguments:
    return ast.arguments([], [], None, [], [], None, [])


def _at(where: ast.AST, node: N) -> N:
    """The node, placed where another one stands; what is inside it keeps its own place if it has one."""
    for n in ast.walk(node):
        if isinstance(n, (ast.stmt, ast.expr, ast.arg)) and not hasattr(n, "lineno"):
            ast.copy_location(n, where)
    return node
