# SPDX-License-Identifier: Apache-2.0
"""From the classes of a revision to the methods that it really has: read through `ast`, with its changed rows in place.

Both readings of a machine, the compiled one and the native run, start from what is assembled here.

A row is the `if` around its answer; for the answer that ends a block, the statements since the last row of that block,
without the leading ones that only give names.  A patch (`@replaces`, `@inserts`) stands in the assembled body as a
`Patch` statement; a patch with one row is that row, for revisions of the revision.
"""

from __future__ import annotations

import ast
import inspect
import sys
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
    """One parsed file: its lines, its functions by the line on which each begins, its classes by their names."""

    name: str
    path: str
    lines: tuple[str, ...]
    functions: dict[int, ast.FunctionDef] = field(repr=False)
    classes: dict[str, ast.ClassDef] = field(repr=False)

    @staticmethod
    def of(fn: FunctionType) -> SourceFile:
        """The file of a function.  Raises SpecError where there is none."""
        path = inspect.getsourcefile(fn) or fn.__code__.co_filename
        try:
            return SourceFile.at(path)
        except (OSError, SyntaxError, UnicodeDecodeError) as e:
            raise SpecError(
                path,
                fn.__code__.co_firstlineno,
                f"the source of {fn.__qualname__} cannot be read: {e}",
                "Machines are written in files.",
            ) from e

    @staticmethod
    def at(path: str) -> SourceFile:
        """The file at a path, parsed once.  Raises OSError and SyntaxError."""
        stat = Path(path).stat()
        return _parsed(path, stat.st_mtime_ns, stat.st_size)


def where(cls: type, attribute: str = "") -> tuple[str, int]:
    """File and line of a class, or of an attribute of it; as near as can be found."""
    path = str(getattr(sys.modules.get(cls.__module__), "__file__", cls.__module__))
    try:
        file = SourceFile.at(path)
    except (OSError, SyntaxError, UnicodeDecodeError):
        return path, 1
    node = file.classes.get(cls.__name__)
    if node is None:
        return file.name, 1
    for s in node.body:
        targets = s.targets if isinstance(s, ast.Assign) else [s.target] if isinstance(s, ast.AnnAssign) else []
        if any(isinstance(t, ast.Name) and t.id == attribute for t in targets):
            return file.name, s.lineno
    return file.name, node.lineno


@lru_cache(maxsize=256)
def _parsed(path: str, mtime: int, size: int) -> SourceFile:
    text = Path(path).read_text(encoding="utf-8")
    nodes = list(ast.walk(ast.parse(text)))
    functions = {
        min([n.lineno, *(d.lineno for d in n.decorator_list)]): n for n in nodes if isinstance(n, ast.FunctionDef)
    }
    classes = {n.name: n for n in nodes if isinstance(n, ast.ClassDef)}
    return SourceFile(_shown_path(path), path, tuple(text.splitlines()), functions, classes)


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
        """The names of the module that it is written in."""
        found: dict[str, Any] = getattr(self.fn, "__globals__")  # noqa: B009 (pyright takes fn for a bound method)
        return found

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
        except Exception as e:  # an annotation is any expression, and may raise anything
            raise self.error(
                self.node, f"an annotation names nothing: {e}", "Import the kind, or define it above."
            ) from e

    def error(self, at: ast.AST, what: str, remedy: str = "") -> SpecError:
        """What is wrong with a statement or expression of the method, ready to be raised."""
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

    def _overridden(self, name: str, below: type) -> bool:
        """Does a class that is more derived have the whole method anew?"""
        mro = self.machine.__mro__
        defined = (vars(c).get(name) for c in mro[: mro.index(below)])
        return any(isinstance(f, FunctionType) and "patch" not in f.__dict__ for f in defined)

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
        if node is None or node.name != fn.__name__:
            raise SpecError(
                file.name, fn.__code__.co_firstlineno, f"the text of {name} changed after it was loaded", "Run again."
            )
        body = [s for s in node.body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]
        return Method(name, owner, fn, file, node, body)

    def _change(self, m: Method, revision: type) -> None:
        """Apply the row changes that one class makes to this method: further rows first, then other ones."""
        changes: list[tuple[str, str, str]] = [("drop", t, "") for t in vars(revision).get("drops", ())]
        changes += [(*f.__dict__["patch"], n) for n, f in _patches(revision).items()]
        for how, target, by in sorted(changes, key=lambda c: c[0] in ("drop", "replace")):
            if target.partition(".")[0] == m.name:
                self._apply(m, revision, how, target, self._patch(by, revision) if by else None)

    def _patch(self, name: str, revision: type) -> Method:
        """The method in the place of a row; more derived revisions may change its rows in turn."""
        mro = self.machine.__mro__
        m = self._plain(name, revision, _patches(revision)[name])
        for p in reversed(mro[: mro.index(revision)]):
            self._change(m, p)
        return m

    def _apply(self, m: Method, revision: type, how: str, target: str, by: Method | None) -> None:
        place = next((x for x in rows(m, m.body) if x.name == target.partition(".")[2]), None)
        if place is None:
            return
        self.used.add((revision, by.name if by else target))
        block = place.block
        old = block[place.start : place.stop]
        new: list[ast.stmt] = [Patch(by, old[0])] if by else []
        new = new if how in ("replace", "drop") else [*new, *old] if how == "before" else [*old, *new]
        changed = [*block[: place.start], *new, *block[place.stop :]]
        m.body = _swap(m.body, block, changed)

    def check_patches(self) -> None:
        """Every changed row, and every dropped operation, must have been found; else SpecError."""
        for c in self.machine.__mro__:
            drops = vars(c).get("drops", ())
            changes = {t: (t, where(c, "drops")) for t in drops}
            for n, f in _patches(c).items():
                file = SourceFile.of(f)
                node = file.functions.get(f.__code__.co_firstlineno)
                changes[n] = f.__dict__["patch"][1], (file.name, node.lineno if node else f.__code__.co_firstlineno)
            for key, (target, at) in changes.items():
                name, _, row = target.partition(".")
                if row and (c, key) not in self.used and not self._overridden(name, c) and not self.dropped(name):
                    raise SpecError(
                        *at, f"{c.__name__} changes row {target!r}, which does not exist", self._known(name, key, c)
                    )
                if not row and (key != target or name not in self._operations()):
                    raise SpecError(
                        *at,
                        f"{c.__name__} changes {target!r}, which is no row and no operation",
                        f"Rows are named METHOD.ROW; operations are {', '.join(self._operations())}.",
                    )

    def _known(self, name: str, by: str, c: type) -> str:
        """What a change could have meant."""
        for other, f in _patches(c).items():
            if other != by and f.__dict__["patch"][1] == (
                _patches(c)[by].__dict__["patch"][1] if by in _patches(c) else by
            ):
                return f"{other} changes it already: one method can give several answers."
        if (m := self.method(name)) is None:
            return f"There is no method {name!r}."
        return f"There is: {', '.join(f'{name}.{p.name}' for p in rows(m, m.body)) or 'no row in it'}."

    def _operations(self) -> list[str]:
        """The operations and events of the revision and its bases, dropped ones too."""
        found = {
            n: f for c in reversed(self.machine.__mro__) for n, f in vars(c).items() if isinstance(f, FunctionType)
        }
        return [n for n in found if isinstance(self.marks(n).get("role"), str)]


def _patches(c: type) -> dict[str, FunctionType]:
    """The methods of a class that stand in the place of rows."""
    return {n: f for n, f in vars(c).items() if isinstance(f, FunctionType) and "patch" in f.__dict__}


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
            inner = list(rows(s.method, s.method.body))
            if len(inner) == 1:
                yield Place(inner[0].name, block, i, i + 1)
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
            given: dict[str, Any] = {**dict(ast.iter_fields(s)), **changed}
            copy = type(s)(**given)
            out.append(ast.copy_location(copy, s))
        else:
            out.append(s)
    return out if any(a is not b for a, b in zip(out, body, strict=True)) else body


def written(node: ast.AST) -> str:
    """An expression or statement as its author wrote it, on one line."""
    return " ".join(textwrap.dedent(ast.unparse(node)).split())
