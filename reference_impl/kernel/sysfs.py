# SPDX-License-Identifier: Apache-2.0
"""Attributes of devices: small texts under a root of their own, read and written whole."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from .errno import Errno


def _visible() -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Attribute:
    """One file. `show` returns a text or a negative errno; `store` takes one and returns 0 or a negative errno."""

    name: str
    show: Callable[[], str | int]
    store: Callable[[str], int] | None = None
    visible: Callable[[], bool] = _visible


class Sysfs:
    """Directories of attributes, one for each published device. Which are visible is settled at publication."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._sources: dict[str, list[Attribute]] = {}
        self._published: dict[str, dict[str, Attribute]] = {}

    def describe(self, device: str, attributes: Iterable[Attribute]) -> None:
        """Say which attributes `device` has once it is published."""
        self._sources[device] = list(attributes)

    def publish(self, device: str) -> None:
        """Make the directory of `device` appear."""
        self._published[device] = {a.name: a for a in self._sources.get(device, ()) if a.visible()}

    def withdraw(self, device: str) -> None:
        """Make the directory of `device` disappear."""
        self._published.pop(device, None)

    def names(self, device: str) -> list[str]:
        """Return the attributes of `device` that can be seen."""
        return list(self._published.get(device, ()))

    def paths(self) -> list[str]:
        """Return every path there is."""
        return [f"{self.root}/{device}/{name}" for device, names in self._published.items() for name in names]

    def read(self, device: str, name: str) -> str | int:
        """Return the text of an attribute with its newline, -ENOENT where there is none, or the driver's errno."""
        attribute = self._published.get(device, {}).get(name)
        return Errno.ENOENT if attribute is None else attribute.show()

    def write(self, device: str, name: str, text: str) -> int:
        """Return the number of bytes taken; -ENOENT, -EACCES (read only), or the driver's errno."""
        attribute = self._published.get(device, {}).get(name)
        if attribute is None:
            return Errno.ENOENT
        if attribute.store is None:
            return Errno.EACCES
        return attribute.store(text) or len(text.encode())
