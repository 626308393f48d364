# SPDX-License-Identifier: Apache-2.0
"""The words that may be used inside the methods of a machine, beside plain Python."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from .objects import Object
from .world import NotEnabled, world

T = TypeVar("T")


def fails(what: str) -> bool:
    """Failure injection: does this allocation, callback or kernel function fail this time?"""
    return what in world().failing


def choose(candidates: Iterable[T]) -> T | None:
    """Any one of them (the environment chooses), or None if there is none."""
    picked: T | None = world().pick(list(candidates))
    return picked


def any_of(candidates: Iterable[T]) -> T:
    """Any one of them (the environment chooses).  The step cannot be taken where there is none."""
    found: list[T] = list(candidates)
    if not found:
        raise NotEnabled("there is no candidate")
    picked: T = world().pick(found)
    return picked


def require(condition: bool) -> None:
    """The call cannot be made otherwise (an argument that does not exist).  The report lists it as an assumption."""
    if not condition:
        raise NotEnabled("the required condition is false")


def wait_until(condition: bool) -> None:
    """The step waits until it is so: for a lock that is taken further in, for instance.  Others make it true."""
    if not condition:
        raise NotEnabled("the step waits")


def when(condition: bool) -> bool:
    """`if when(c):` merges an effect into the row; a plain `if` makes a row."""
    return condition


def implies(a: bool, b: bool) -> bool:
    """b holds, or a does not; b is looked at only where a holds."""
    return b or not a


def free(x: Object) -> None:
    """The object ceases to exist; its fields are blank from now on."""
    world().free(x)


def old(x: T) -> T:
    """The object as it was before the step: `old(q).state`.  Only in properties."""
    found: T = world().before[x]
    return found
