# SPDX-License-Identifier: Apache-2.0
"""Small numbers for objects, as the kernel's IDR gives them: always the lowest free one, so they are reused soon."""

from collections.abc import Iterator
from heapq import heappop, heappush
from typing import Generic, TypeVar

T = TypeVar("T")


class Idr(Generic[T]):
    """Objects by number, from `first` to below `end` where there is one.

    >>> names = Idr[str]()
    >>> names.add("a"), names.add("b"), names.remove(1), names.add("c")
    (1, 2, 'a', 1)
    """

    def __init__(self, first: int = 1, end: int | None = None) -> None:
        self._objects: dict[int, T] = {}
        self._returned: list[int] = []  # a heap of numbers below the high-water mark
        self._fresh = first
        self._end = end

    def add(self, item: T) -> int | None:
        """Return the number that `item` gets; None where there is none left."""
        if self._returned:
            number = heappop(self._returned)
        elif self._end is not None and self._fresh >= self._end:
            return None
        else:
            number = self._fresh
            self._fresh += 1
        self._objects[number] = item
        return number

    def find(self, number: int) -> T | None:
        """Return the object of that number, if there is one."""
        return self._objects.get(number)

    def replace(self, number: int, item: T) -> None:
        """Let a number that is taken name another object."""
        assert number in self._objects
        self._objects[number] = item

    def remove(self, number: int) -> T | None:
        """Forget a number and return what it named, if anything."""
        if number not in self._objects:
            return None
        heappush(self._returned, number)
        return self._objects.pop(number)

    def items(self) -> list[tuple[int, T]]:
        """Return numbers and objects, by number."""
        return sorted(self._objects.items(), key=lambda item: item[0])

    @property
    def room(self) -> int | None:
        """How many more get a number; None where there is no end."""
        return None if self._end is None else self._end - self._fresh + len(self._returned)

    def __len__(self) -> int:
        return len(self._objects)

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(self._objects))
