# SPDX-License-Identifier: Apache-2.0
"""What a field or a parameter may be declared as, and what to write instead of what it may not."""

from __future__ import annotations

import inspect
import sys
from enum import Enum
from typing import Any

from ..assembly import where
from ..errors import SpecError
from ..objects import Declaration, Lock, Map, declarations, is_kind
from ..terms import ANY, Range

TAKEN = {
    "live": "it says which objects exist",
    "index": "it says which object it is",
    "always": "it says that objects exist from the start",
}
A_TYPE = "A field holds objects of a kind, a bool, a member of an Enum, or a small number."


def declared_fields(cls: type) -> dict[str, Declaration]:
    """The fields of a kind, checked.  Raises SpecError at the field that is wrong."""
    try:
        declared = declarations(cls)
    except Exception as e:  # an annotation is any expression, and may raise anything
        name, why = _unreadable(cls, e)
        what = f"kind {cls.__name__}: the annotation of {name or 'a field'} cannot be read: {why}"
        raise SpecError(
            *where(cls, name), what, "Import or define what it names; a field has one type, or one and None."
        ) from e
    for name, d in declared.items():
        if wrong := _taken(name) or trouble(d) or _trouble_of_default(cls, name, d):
            raise SpecError(*where(cls, name), f"{cls.__name__}.{name} {wrong[0]}", wrong[1])
    return declared


def trouble(d: Declaration) -> tuple[str, str] | None:
    """Why a declaration is none, and what to do; None if there is nothing wrong with its type."""
    t, reference = d.type, is_kind(d.type)
    if d.key is not None and not is_kind(d.key):
        return f"is indexed by {_name(d.key)}, which is no kind", "Make it a kind: `class Slot(Object, always=True)`."
    if t is int:
        return "is a number without bounds", "Write `Annotated[int, Range(0, 3)]`: engines count with few numbers."
    if isinstance(t, Range) and not (type(t.lo) is int and type(t.hi) is int):
        return f"is in a range from {t.lo!r} to {t.hi!r}, which are no numbers", "Write `Range(0, 3)`."
    if isinstance(t, Range) and t.lo > t.hi:
        return f"is in an empty range, from {t.lo} to {t.hi}", "The first bound is the lower one."
    if isinstance(t, type) and issubclass(t, Enum) and not list(t):
        return f"is of {t.__name__}, which has no value", "Give the Enum its members."
    if not (reference or isinstance(t, Range) or t is bool or (isinstance(t, type) and issubclass(t, Enum))):
        return f"is of the type {_name(t)}, which is outside the language", A_TYPE
    if d.optional and not reference:
        return f"may be None, but is a {_name(t)}", "Only references may be None: give the Enum a member for it."
    if (d.unique or d.raw) and not reference:
        return f"is {'unique' if d.unique else 'raw'}, but no reference", "Drop it: this is said of references only."
    return None


def _taken(name: str) -> tuple[str, str] | None:
    return (f"has a name that is taken: {TAKEN[name]}", "Choose another name.") if name in TAKEN else None


def _trouble_of_default(cls: type, name: str, d: Declaration) -> tuple[str, str] | None:
    """Does the default fit the type, and is there one where there must be?"""
    given, t = getattr(cls, name, ANY), d.type
    if d.lock:
        return None if isinstance(given, Lock) or given is ANY else ("is a lock", "Write `mutex: Lock = UNLOCKED`.")
    if d.key is not None:
        if given is not ANY and not (isinstance(given, Map) and not given.cells):
            return "is a map", "Its default is that of its cells: write no default, `Map()`, or `Map(each=False)`."
        given = d.default
    if is_kind(t):
        if given is not ANY and given is not None:
            return f"refers to objects, not to {given!r}", "Its default is None, or none at all."
        if given is None and not d.optional:
            return "is never None, but starts as None", f"Write `{t.__name__} | None`, or no default."
        if getattr(cls, "always", False) and not d.optional and not getattr(t, "always", False):
            return f"refers to a {t.__name__} from the start, when there is none", f"Write `{t.__name__} | None`."
        return None
    if given is ANY:
        return None
    if isinstance(t, Range):
        fits = isinstance(given, int) and not isinstance(given, bool) and t.lo <= given <= t.hi
        return None if fits else (f"is from {t.lo} to {t.hi}, and starts as {given!r}", "Choose one of these numbers.")
    fits = isinstance(given, t)
    return None if fits else (f"is a {t.__name__}, and starts as {given!r}", f"Choose a {t.__name__}.")


def _unreadable(cls: type, error: Exception) -> tuple[str, str]:
    """The field whose annotation cannot be evaluated, and why."""
    names = vars(sys.modules.get(cls.__module__, object))
    try:
        annotations = inspect.get_annotations(cls)
    except Exception:
        return "", str(error)
    for name, annotation in annotations.items():
        try:
            Declaration(eval(annotation, dict(names)) if isinstance(annotation, str) else annotation, ANY)
        except ValueError:
            return name, f"{annotation} is more than one type"
        except Exception as e:
            return name, str(e)
    return "", str(error)


def _name(t: Any) -> str:
    return getattr(t, "__name__", None) or str(t)
