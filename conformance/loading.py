# SPDX-License-Identifier: Apache-2.0
"""From a name to a specification: `uacce`, `uacce@6.12.117`, `mine.py`, `mine.py@draft`."""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from accelspec.spec.language import Machine, SpecError, compile_machine
from accelspec.spec.language.specification import Specification

Catalogue = Mapping[str, Mapping[str, type[Machine]]]  # machine -> revision -> class


class BadInput(Exception):
    """Something that the user gave cannot be used: what was wrong and where in one line, and what to do about it."""

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(what + (f"\n    {remedy}" if remedy else ""))
        self.what, self.remedy = what, remedy


def refusal(error: Exception) -> BadInput | None:
    """The mistake of a user that an error of any part of the program tells of; None for an internal error."""
    from .coverage import CoverageError
    from .recording import RecordingError
    from .replaying import ReplayError
    from .targets import TargetError

    if isinstance(error, BadInput):
        return error
    if isinstance(error, (SpecError, CoverageError, RecordingError, ReplayError, TargetError)):
        what, _, remedy = str(error).partition("\n")
        return BadInput(what, remedy.strip())
    return None


@dataclass(frozen=True)
class Entry:
    """One revision that was asked for.  `reference` finds it again, in another process too."""

    machine: str
    revision: str
    cls: type[Machine]
    path: str = ""  # of the user's file; empty for one of the catalogue

    @property
    def name(self) -> str:
        """`uacce@6.12.117`."""
        return f"{self.machine}@{self.revision}"

    @property
    def option_of(self) -> str:
        """The revision of the catalogue that offers this one as an option; itself if none does."""
        revisions: dict[type, str] = {c: r for r, c in catalogue().get(self.machine, {}).items()}
        bases = [c for c in self.cls.__mro__[1:] if c in revisions] if self.cls.option else []
        return f"{self.machine}@{revisions[bases[0]]}" if bases else self.name

    @property
    def reference(self) -> str:
        """What `select` finds exactly this entry by."""
        return f"{self.path}@{self.revision}" if self.path else self.name

    def compile(self) -> Specification:
        """The compiled specification.  Raises SpecError."""
        return compile_machine(self.cls)


def catalogue() -> Catalogue:
    """Our own machines.  Imported only now: a user's file may do without them."""
    from accelspec.spec.catalogue import MACHINES

    return MACHINES


def options_of(machine: str, revision: str) -> list[Entry]:
    """What a revision of the catalogue offers as options."""
    every = [Entry(machine, r, cls) for r, cls in catalogue().get(machine, {}).items()]
    return [e for e in every if e.cls.option and e.option_of == f"{machine}@{revision}"]


def select(names: Sequence[str], machines: Catalogue | None = None) -> list[Entry]:
    """The revisions that the names mean, each once, in order; all of the catalogue without a name.

    What a revision offers as an option is meant only by its own full name.

    Raises:
        BadInput: there is no such machine, revision or file, or the file cannot be imported.
        SpecError: a machine file says something that it cannot mean.
    """

    def ours() -> Catalogue:
        return catalogue() if machines is None else machines

    found: dict[str, Entry] = {}
    for name in names or list(ours()):
        for entry in _named(name, ours):
            found[entry.reference] = entry
    return list(found.values())


def select_one(name: str, machines: Catalogue | None = None) -> Entry:
    """The one revision that a name means; of a machine without a revision its first, the base.

    Raises:
        BadInput: as `select`.
    """
    return select([name], machines)[0]


def _named(name: str, machines: Callable[[], Catalogue]) -> list[Entry]:
    where, revision = _split(name)
    if where.endswith(".py"):
        entries = load_file(where)
    elif where in machines():
        entries = [Entry(where, r, cls) for r, cls in machines()[where].items()]
    else:
        raise BadInput(f"no machine is called {where!r}", _machine_hint(name, machines()))
    if revision is None:
        return entries if where.endswith(".py") else [e for e in entries if not e.cls.option]
    if chosen := [e for e in entries if e.revision == revision]:
        return chosen
    known = [f"{where}@{e.revision}" for e in entries]
    raise BadInput(f"{where} has no revision {revision!r}", did_you_mean(name, known) or f"Known: {', '.join(known)}.")


def _split(name: str) -> tuple[str, str | None]:
    """The machine or file, and the revision behind it; an `@` within a path belongs to the path."""
    if name.endswith(".py"):
        return name, None
    where, at, revision = name.rpartition("@")
    return (where, revision) if at else (name, None)


def _machine_hint(name: str, machines: Catalogue) -> str:
    every = [*machines, *(f"{m}@{r}" for m, revisions in machines.items() for r in revisions)]
    behind = next((f"Did you mean {e}?" for e in every if e.endswith("@" + name)), "")
    known = f"Known: {', '.join(machines)}." if machines else "The catalogue is empty."
    return behind or did_you_mean(name, every) or known + " A file of your own ends in .py."


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """The nearest known name, as a question; empty if none is near."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"Did you mean {near[0]}?" if near else ""


def load_file(path: str) -> list[Entry]:
    """The revisions that a Python file defines: its subclasses of Machine that state a `revision` of their own.

    The file is imported as a fresh module, with its folder on the path for the modules beside it.

    Raises:
        BadInput: it cannot be read or imported, or defines no revision.
        SpecError: as its own code raises it.
    """
    module = _import(Path(path))
    classes = [
        c
        for c in vars(module).values()
        if isinstance(c, type) and issubclass(c, Machine) and c.__module__ == module.__name__ and "revision" in vars(c)
    ]
    if not classes:
        raise BadInput(
            f"{path}: there is no revision in this file",
            'A revision is a class derived from a machine, with `revision = "..."` in its own body.',
        )
    entries = [Entry(c.machine, c.revision, c, str(Path(path).resolve())) for c in dict.fromkeys(classes)]
    for e in entries:
        if not e.machine:
            raise BadInput(
                f"{path}: class {e.cls.__name__} belongs to no machine",
                'Derive it from one, or state `machine = "..."`.',
            )
        if not e.revision:
            raise BadInput(f"{path}: class {e.cls.__name__} has an empty revision", "Give the revision a name.")
    if twice := {e.name for e in entries if [f.name for f in entries].count(e.name) > 1}:
        raise BadInput(f"{path}: {min(twice)} is defined twice", "Give each class a revision of its own.")
    return entries


def _import(path: Path) -> ModuleType:
    if not path.exists():
        near = difflib.get_close_matches(path.name, [p.name for p in path.parent.glob("*.py")], n=1)
        raise BadInput(f"there is no file {path}", f"Did you mean {path.with_name(near[0])}?" if near else "")
    full = path.resolve()
    name = f"accelspec_file_{path.stem}_{hashlib.sha256(str(full).encode()).hexdigest()[:8]}"
    found = importlib.util.spec_from_file_location(name, full)
    if found is None or found.loader is None:
        raise BadInput(f"{path} cannot be imported", "Name a Python file, ending in .py.")
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module
    folder = str(full.parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        found.loader.exec_module(module)
    except SyntaxError as e:
        at = f"{_shown(e.filename, full, path)}:{e.lineno}" if e.lineno else str(path)
        line = f"The line is: {e.text.strip()}" if e.text and e.text.strip() else ""
        raise BadInput(f"{at}: {e.msg}", line) from e
    except OSError as e:
        raise BadInput(f"{path} cannot be read: {e.strerror or e}") from e
    except Exception as e:
        raise BadInput(f"{_place(e, full, path)}: {type(e).__name__}: {e}") from e
    return module


def _place(error: Exception, full: Path, path: Path) -> str:
    """The innermost line of the file that the error passed through."""
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(full)]
    return f"{path}:{lines[-1]}" if lines else str(path)


def _shown(filename: str | None, full: Path, path: Path) -> str:
    return str(path) if filename in (None, str(full)) else str(filename)


def parse_scope(text: str) -> dict[str, int]:
    """`Queue=2,Fd=1` as a scope.

    Raises:
        BadInput: it is not a list of KIND=NUMBER.

    >>> parse_scope("Queue=2,Fd=1")
    {'Queue': 2, 'Fd': 1}
    """
    scope: dict[str, int] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        kind, equals, number = (p.strip() for p in part.partition("="))
        if not equals or not kind:
            raise BadInput(f"scope {part!r} is not KIND=NUMBER", "Write for example --scope Queue=2,Fd=2")
        if not number.isascii() or not number.isdigit():
            raise BadInput(f"scope {part!r}: {number!r} is not a number", f"Write for example --scope {kind}=2")
        if kind in scope:
            raise BadInput(f"scope names {kind} twice")
        scope[kind] = int(number)
    return scope


def scopes_for(spec: Specification, wished: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """The author's finite scopes by name; if anything is wished only the first of them, changed as wished.

    Kinds that the specification does not have are passed over, as another machine of the same run may have them.
    """
    kinds = {k.name for k in spec.kinds}
    scopes = {name: dict(sizes) for name, sizes in spec.scopes.items()} or {"": {}}
    if not wished:
        return scopes
    return {"": next(iter(scopes.values())) | {k: n for k, n in wished.items() if k in kinds}}


def check_scope(specs: Iterable[Specification], wished: Mapping[str, int]) -> None:
    """Make sure that every kind of a scope is one of some specification.

    Raises:
        BadInput: one is not.
    """
    specs = list(specs)
    kinds = list(dict.fromkeys(k.name for s in specs for k in s.kinds if not k.is_call))
    for kind in wished:
        if kind not in kinds:
            names = ", ".join(s.name for s in specs) or "nothing"
            raise BadInput(f"{names} has no kind {kind!r}", did_you_mean(kind, kinds) or f"Known: {', '.join(kinds)}.")
