# SPDX-License-Identifier: Apache-2.0
"""Device objects, character devices, and the numbers by which an open finds them.

A cdev has references of its own: its owner holds one, each open file description one. It pins the device object that
is its parent, so that a device outlives whoever has it open.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

from .errno import Errno, Oops
from .files import FileOperations, Inode, OpenFile
from .memory import Allocation, Allocator, Injector
from .steps import Step, Task, point

if TYPE_CHECKING:
    from .sysfs import Sysfs

T = TypeVar("T")
Report = Callable[[str, str], None]


class DeviceObject:
    """A reference-counted device (struct device); `release` runs once, when the last reference goes."""

    def __init__(self, name: str, release: Callable[[], None], report: Report) -> None:
        self.name = name
        self.refs = 1
        self._release = release
        self._report = report

    def get(self) -> None:
        """Take a reference."""
        self.refs += 1

    def put(self) -> None:
        """Drop a reference."""
        if self.refs <= 0:
            self._report("use after free", f"a reference to {self.name} is dropped after its release")
            return
        self.refs -= 1
        if self.refs == 0:
            self._release()


class Cdev:
    """A character device: what an open of its number gets. Freed with its last reference."""

    def __init__(self, fops: FileOperations, allocation: Allocation) -> None:
        self.fops = fops
        self.allocation = allocation
        self.refs = 1
        self.number: int | None = None
        self.parent: DeviceObject | None = None
        self.inodes: list[Inode] = []  # those that remember it


class IdTable(Generic[T]):
    """Objects by number; a new one gets the lowest free number, or, with `reuse` false, one never used before."""

    def __init__(self, reuse: bool = True) -> None:
        self.items: dict[int, T] = {}
        self._next = 0
        self._reuse = reuse

    def add(self, item: T) -> int:
        """Store `item` and return its number."""
        number = 0 if self._reuse else self._next
        while number in self.items:
            number += 1
        self.items[number] = item
        self._next = max(self._next, number + 1)
        return number

    def find(self, number: int) -> T | None:
        """Return the object with this number."""
        return self.items.get(number)

    def erase(self, number: int) -> None:
        """Forget the object with this number."""
        self.items.pop(number, None)


class CharDevices:
    """The map from device numbers to cdevs, and the nodes under /dev."""

    def __init__(self, allocator: Allocator, injector: Injector, sysfs: "Sysfs", report: Report) -> None:
        self.map: dict[int, Cdev] = {}
        self.nodes: dict[str, Inode] = {}
        self._allocator = allocator
        self._injector = injector
        self._sysfs = sysfs
        self._report = report

    def allocate(self, fops: FileOperations) -> Cdev | None:
        """Return a new cdev with one reference, or None without memory."""
        allocation = self._allocator.allocate("cdev")
        return None if allocation is None else Cdev(fops, allocation)

    def get(self, cdev: Cdev) -> None:
        """Take a reference."""
        cdev.refs += 1

    def put(self, cdev: Cdev) -> None:
        """Drop a reference; the last one frees the cdev and lets go of its device."""
        if cdev.refs <= 0:
            self._report("use after free", "a reference to a freed cdev is dropped")
            return
        cdev.refs -= 1
        if cdev.refs:
            return
        for inode in cdev.inodes:
            inode.cdev = None
        cdev.inodes.clear()
        self._allocator.free(cdev.allocation)
        if cdev.parent is not None:
            cdev.parent.put()

    def add_device(self, cdev: Cdev, device: DeviceObject, number: int) -> int:
        """Make `device` reachable as a node and in sysfs; on failure the cdev's last reference is gone with it.

        The injectable failure ``cdev_device_add`` comes where adding the device to the driver model fails.
        """
        cdev.parent = device
        device.get()
        failed = self._injector.take("cdev_device_add")
        if failed is not None and failed < 0:
            self.put(cdev)
            return failed
        cdev.number = number
        self.map[number] = cdev
        self.nodes[device.name] = Inode(device.name, number)
        self._sysfs.publish(device.name)
        return 0

    def remove_device(self, cdev: Cdev, device: DeviceObject) -> None:
        """Undo `add_device`: no open finds the device any more, those who have it open keep it."""
        if cdev.refs <= 0:
            raise Oops(f"the cdev of {device.name} is deleted after it was freed")
        self._sysfs.withdraw(device.name)
        self.nodes.pop(device.name, None)
        if cdev.number is not None:
            self.map.pop(cdev.number, None)
        self.put(cdev)

    def open(self, task: Task, inode: Inode, file: OpenFile) -> Step[int]:
        """Find the cdev of `inode`, hold it for `file`, and let its driver open; -ENXIO if there is none.

        An inode remembers its cdev as long as somebody has it open, so a removed device is still found that way.
        """
        cdev = inode.cdev
        if cdev is None:
            cdev = self.map.get(inode.number)
            if cdev is None:
                return Errno.ENXIO
            inode.cdev = cdev
            cdev.inodes.append(inode)
        self.get(cdev)
        yield point("cdev found")
        file.fops = cdev.fops
        result = yield from cdev.fops.open(task, inode, file)
        if result:
            self.put(cdev)
            return result
        file.cdev = cdev
        return 0
