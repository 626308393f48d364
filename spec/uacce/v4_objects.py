# SPDX-License-Identifier: Apache-2.0
"""The objects that only v4 has, beside its fields of queues and devices (objects.py)."""

from __future__ import annotations

from accelspec.spec.kernel import File
from accelspec.spec.language import UNLOCKED, Ghost, Lock, Object, Rigid, Unique

from .objects import Device, Region


class Module(Object, always=True):
    """The uacce module of v4: one mutex for all devices and queues."""

    uacce_mutex: Lock = UNLOCKED


class CdevRef(Object):
    """v4: a reference to a device's character device, held by an open on its way and then by its description.

    The driver counts them, so they are objects: the count is how many there are, beside the device's own.
    """

    device: Rigid[Device]
    file: Unique[File | None] = None
    module: Ghost[bool] = False  # it comes with a reference to the parent driver's module


class Offset(Object, always=True):
    """An offset that user space maps, and the region that it falls into: a scope with one looks at one at a time.

    Shared regions are always offered; how many there can be is said by their own kind.
    """

    region: Rigid[Region]
