# SPDX-License-Identifier: Apache-2.0
"""From the classes of a revision to the methods that it really has: read through `ast`, with its changed rows in place.

Both readings of a machine, the compiled one and the native run, start from what is assembled here.

A row is the `if` around its answer; for the answer that ends a block, the statements since the last row of that block, without the
leading ones that only give names.  A patch (`@replaces`, `@inserts`) stands in the assembled body as a `Patch` statement.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import FunctionType
from typing import Any

from .answers import Errno
from .errors import SpecError
from .machine import Machine
from .objects import is_kind


@dataclass(frozen=True)
class SourceFile:
    """One parsed file: its lines, and its functions by the line on which each begins (decorators included)."""

    name: str
    path: str
    lines: tuple[str, ...]
    functions: dict[int, ast.FunctionDef] = field(repr=False)

    @staticmethod
    def of(fn: FunctionType) -> SourceFile:
        path = inspect.getsourcefile(fn) or fn.__code__.co_filename
        try:
            stat = Path(path).stat()
            return _parsed(path, stat.st_mtime_ns, stat.st_size)
        except (OSError, KeyError) as e:
            raise SpecError(
                path, fn.__code__.co_firstlineno, f"the source of {fn.__qualname__} cannot be read ({e})"
            ) from e


@lru_cache(maxsize=256)
def _parsed(path: str, mtime: int, size: int) -> SourceFile:
    text = Path(path).read_text(encoding="utf-8")
    functions = {
        min([n.lineno, *(d.lineno for d in n.decorator_list)]): n
        for n in ast.walk(ast.parse(text))
        if isinstance(n, ast.FunctionDef)
    }
    return SourceFile(_shown_path(path), path, tuple(text.splitlines()), functions)


def _shown_path(path: str) -> str:
    """`spec/uacce/queue.py` for our own files, the path as given for others."""
    parts = Path(path).resolve().parts
    root = Path(__file__).resolve().parents[2].parts
    return str(Path(*parts[len(root) :])) if parts[: len(root)] == root else path


class Patch(ast.stmt):
    """The place of a changed row: the method that stands there."""

    _fields = ()

    def __init__(self, method: Method, at: ast.stmt) -> None:
        super().__init__()
        self.method = method
        ast.copy_location(self, at)


@dataclass
class Method:
    """A method of a revision, assembled."""

    name: str
    owner: type[Machine]  # the class that defines it: where super() starts
    fn: FunctionType
    file: SourceFile
    node: ast.FunctionDef
    body: list[ast.stmt]

    @property
    def globals(self) -> dict[str, Any]:
        return self.fn.__globals__

    def parameters(self) -> dict[str, Any]:
        """Name -> annotation, without self and the return type.

        Raises SpecError for a parameter without a type, an annotation that names nothing, and parameters that are not
        plainly positional.
        """
        known, given = self._annotations(), self.node.args
        odd = [*given.posonlyargs, *given.kwonlyargs, *filter(None, [given.vararg, given.kwarg]), *given.defaults]
        if odd or not given.args:
            raise self.error(
                odd[0] if odd else self.node,
                "parameters are plain: no defaults, no stars",
                f"Write `def {self.name}(self, p: Process)`.",
            )
        for a in given.args[1:]:
            if a.arg not in known:
                raise self.error(a, f"parameter {a.arg!r} has no type", f"Write `{a.arg}: SomeKind`.")
        return {a.arg: known[a.arg] for a in given.args[1:]}

    def returns(self) -> Any:
        """The annotation of what it returns; None if there is none."""
        return self._annotations().get("return")

    def _annotations(self) -> dict[str, Any]:
        try:
            return inspect.get_annotations(self.fn, eval_str=True)
        except (NameError, AttributeError, TypeError, SyntaxError) as e:
            raise self.error(
                self.node, f"an annotation names nothing: {e}", "Import the kind, or define it above."
            ) from e

    def error(self, at: ast.AST, what: str, remedy: str = "") -> SpecError:
        line = getattr(at, "lineno", self.node.lineno)
        text = self.file.lines[line - 1].strip() if 0 < line <= len(self.file.lines) else ""
        where = f"{self.owner.__name__}.{self.name}"
        return SpecError(self.file.name, line, f"in {where}: {what}" + (f"\n    > {text}" if text else ""), remedy)

    def resolve(self, node: ast.expr) -> Any:
        """What a name outside the function stands for (an enum member, a kind, a constant); None if nothing."""
        if isinstance(node, ast.Name):
            return self.globals.get(node.id)
        if isinstance(node, ast.Attribute):
            return getattr(self.resolve(node.value), node.attr, None)
        return None

    def answer_row(self, s: ast.stmt) -> str | None:
        """The row's name, if the statement returns or raises an answer."""
        value = s.value if isinstance(s, ast.Return) else s.exc if isinstance(s, ast.Raise) else None
        if isinstance(value, ast.Call) and isinstance(self.resolve(value.func), Errno) and value.args:
            first = value.args[0]
            return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None
        return None


class Assembly:
    """The methods of one revision."""

    def __init__(self, machine: type[Machine]) -> None:
        self.machine = machine
        self.used: set[tuple[type, str]] = set()
        self._methods: dict[tuple[str, type | None], Method | None] = {}

    def names(self) -> list[str]:
        """The names of all methods, bases first, patches left out."""
        found: dict[str, None] = {}
        for c in reversed(self.machine.__mro__):
            for n, f in vars(c).items():
                if isinstance(f, FunctionType) and "patch" not in f.__dict__:
                    found[n] = None
        return [n for n in found if not self.dropped(n)]

    def dropped(self, name: str) -> bool:
        """Does a revision say, `drops = ("read_isolate",)`, that it does not have this operation?"""
        return any(name in vars(c).get("drops", ()) for c in self.machine.__mro__)

    def marks(self, name: str) -> dict[str, Any]:
        """What a decorator said about the method, in the most derived class that says anything."""
        for c in self.machine.__mro__:
            f = vars(c).get(name)
            if isinstance(f, FunctionType) and "role" in f.__dict__:
                return f.__dict__
        return {}

    def method(self, name: str, behind: type | None = None) -> Method | None:
        """The method as this revision has it; with `behind`, as super() in that class would find it."""
        if (name, behind) not in self._methods:
            self._methods[name, behind] = self._assemble(name, behind)
        return self._methods[name, behind]

    def _assemble(self, name: str, behind: type | None) -> Method | None:
        mro = self.machine.__mro__
        for c in mro[mro.index(behind) + 1 if behind else 0 :]:
            f = vars(c).get(name)
            if isinstance(f, FunctionType) and "patch" not in f.__dict__:
                m = self._plain(name, c, f)
                for p in reversed(mro[: mro.index(c)]):
                    self._change(m, p)
                return m
        return None

    def _plain(self, name: str, owner: type, fn: FunctionType) -> Method:
        file = SourceFile.of(fn)
        node = file.functions.get(fn.__code__.co_firstlineno)
        if node is None:
            raise SpecError(
                file.name, fn.__code__.co_firstlineno, f"the text of {name} changed after it was loaded", "Run again."
            )
        body = [s for s in node.body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]
        return Method(name, owner, fn, file, node, body)

    def _change(self, m: Method, revision: type) -> None:
        """Apply the row changes that one class makes to this method."""
        for target in vars(revision).get("drops", ()):
            if target.partition(".")[0] == m.name:
                self._apply(m, revision, "drop", target, None)
        for n, f in vars(revision).items():
            if isinstance(f, FunctionType) and "patch" in f.__dict__:
                how, target = f.__dict__["patch"]
                if target.partition(".")[0] == m.name:
                    self._apply(m, revision, how, target, self._plain(n, revision, f))

    def _apply(self, m: Method, revision: type, how: str, target: str, by: Method | None) -> None:
        place = next((x for x in rows(m, m.body) if x.name == target.partition(".")[2]), None)
        if place is None:
            return
        self.used.add((revision, target))
        block = place.block
        old = block[place.start : place.stop]
        new: list[ast.stmt] = [Patch(by, old[0])] if by else []
        new = new if how in ("replace", "drop") else [*new, *old] if how == "before" else [*old, *new]
        changed = [*block[: place.start], *new, *block[place.stop :]]
        m.body = _swap(m.body, block, changed)

    def check_patches(self) -> None:
        """Every changed row must have been found.  Raises SpecError for one that was not."""
        for c in self.machine.__mro__:
            methods = [f for f in vars(c).values() if isinstance(f, FunctionType)]
            wanted = {t: methods[0] for t in vars(c).get("drops", ()) if methods and "." in t}
            wanted |= {f.__dict__["patch"][1]: f for f in methods if "patch" in f.__dict__}
            for target, fn in wanted.items():
                if (c, target) not in self.used:
                    name = target.partition(".")[0]
                    m = self.method(name)
                    have = ", ".join(f"{name}.{p.name}" for p in rows(m, m.body)) if m else "no method of that name"
                    raise SpecError(
                        SourceFile.of(fn).name,
                        fn.__code__.co_firstlineno,
                        f"{c.__name__} changes row {target!r}, which does not exist",
                        f"There is: {have}.",
                    )


@dataclass
class Place:
    """Where a row stands: statements start to stop of a block."""

    name: str
    block: list[ast.stmt]
    start: int
    stop: int


def rows(m: Method, block: list[ast.stmt]) -> Iterator[Place]:
    """The rows that are written in a block, innermost blocks included."""
    begin = 0
    for i, s in enumerate(block):
        if isinstance(s, ast.If):
            inner = list(rows(m, s.body))
            whole = len(inner) == 1 and not s.orelse and m.answer_row(s.body[-1]) == inner[0].name
            if whole:
                yield Place(inner[0].name, block, i, i + 1)
            else:
                yield from inner
            yield from rows(m, s.orelse)
            begin = i + 1
        elif isinstance(s, (ast.With, ast.While)):
            yield from rows(m, s.body)
            begin = i + 1
        elif isinstance(s, Patch):
            begin = i + 1
        elif (name := m.answer_row(s)) is not None:
            while begin < i and _only_names(m, block[begin]):
                begin += 1
            yield Place(name, block, begin, i + 1)


def _only_names(m: Method, s: ast.stmt) -> bool:
    """Does the statement only give a name to something (and not create or choose)?"""
    if not (isinstance(s, ast.Assign) and len(s.targets) == 1 and isinstance(s.targets[0], ast.Name)):
        return False
    return not (isinstance(s.value, ast.Call) and is_kind(m.resolve(s.value.func)))


def _swap(body: list[ast.stmt], block: list[ast.stmt], new: list[ast.stmt]) -> list[ast.stmt]:
    """The body with one of its blocks exchanged; parsed files are shared, so statements around it are copied."""
    if body is block:
        return new
    out: list[ast.stmt] = []
    for s in body:
        fields = {n: v for n, v in ast.iter_fields(s) if n in ("body", "orelse") and isinstance(v, list)}
        changed = {n: _swap(v, block, new) for n, v in fields.items()}
        if any(changed[n] is not fields[n] for n in fields):
            copy = type(s)(**{**dict(ast.iter_fields(s)), **changed})
            out.append(ast.copy_location(copy, s))
        else:
            out.append(s)
    return out if any(a is not b for a, b in zip(out, body, strict=True)) else body


def written(node: ast.AST) -> str:
    """An expression or statement as its author wrote it, on one line."""
    return " ".join(textwrap.dedent(ast.unparse(node)).split())
