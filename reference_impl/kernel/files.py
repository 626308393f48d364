# SPDX-License-Identifier: Apache-2.0
"""Open file descriptions, the tables that name them, and the inodes they were opened through.

An open file description is released exactly once, when its last reference goes: descriptors, memory maps and running
calls each hold one. The release itself is deferred to the way out of the kernel, so no lock of the caller is held.
"""

from typing import TYPE_CHECKING, Any

from .errno import Errno
from .poll import PollTable
from .steps import Step, Task

if TYPE_CHECKING:
    from .chardev import Cdev
    from .memory_maps import Vma


class AddressSpace:
    """All pieces of memory maps made through one inode, in every process."""

    def __init__(self) -> None:
        self.vmas: dict[Vma, None] = {}

    def unmap(self) -> None:
        """Take every page away from every user; the maps stay and a touch of them faults."""
        for vma in self.vmas:
            vma.zap()


class Inode:
    """A device node: a device number, the cdev found by it (kept while that lives), and the maps made through it."""

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.number = number
        self.cdev: Cdev | None = None
        self.mapping = AddressSpace()


class FileOperations:
    """What a driver gives to make its files do something. A driver overrides what it has."""

    def open(self, task: Task, inode: Inode, file: "OpenFile") -> Step[int]:
        """Attach the driver's state to `file`; return 0 or a negative errno."""
        yield from ()
        return 0

    def release(self, task: Task, file: "OpenFile") -> Step[None]:
        """Give up the driver's state: nobody can reach `file` any more."""
        yield from ()

    def ioctl(self, task: Task, file: "OpenFile", cmd: int, arg: Any) -> Step[int]:
        """Answer command `cmd`: 0, a positive value or a negative errno. `arg` is a number, or what a pointer is to."""
        yield from ()
        return Errno.ENOTTY

    def mmap(self, task: Task, file: "OpenFile", vma: "Vma") -> Step[int]:
        """Give `vma` its pages and operations, with the caller's mmap lock held; return 0, or an error."""
        yield from ()
        return Errno.ENODEV

    def poll(self, task: Task, file: "OpenFile", table: PollTable) -> Step[int]:
        """Register on what wakes a waiter, then return the mask of events that are there."""
        yield from ()
        return 0


class OpenFile:
    """An open file description (struct file). `refs` counts descriptors, memory maps and running calls."""

    __slots__ = ("cdev", "fops", "inode", "private_data", "refs", "released", "serial")

    def __init__(self, inode: Inode, serial: int) -> None:
        self.inode = inode
        self.serial = serial
        self.fops: FileOperations = FileOperations()
        self.cdev: Cdev | None = None
        self.private_data: Any = None
        self.refs = 1
        self.released = False

    def get(self) -> "OpenFile":
        """Take a reference."""
        self.refs += 1
        return self

    def get_unless_zero(self) -> bool:
        """Take a reference if there still is one; a description that nobody refers to must not come back to life."""
        if self.refs == 0:
            return False
        self.refs += 1
        return True

    def put(self, task: Task) -> None:
        """Drop a reference; the last one leaves the release to `task`, on its way out."""
        self.refs -= 1
        if self.refs == 0:
            task.work.append(self)


class FileTable:
    """The descriptors of one process: numbers for open file descriptions, some closed by exec."""

    def __init__(self) -> None:
        self.files: dict[int, OpenFile] = {}
        self.close_on_exec: set[int] = set()
        self.reserved: set[int] = set()  # promised to calls that are on their way
        self.limit = 1024  # RLIMIT_NOFILE

    def lowest_free(self) -> int:
        """Return the number that the next open gets."""
        n = 0
        while n in self.files or n in self.reserved:
            n += 1
        return n

    @property
    def full(self) -> bool:
        """Tell whether there is no room for one more."""
        return len(self.files) + len(self.reserved) >= self.limit

    def reserve(self, n: int | None = None) -> int:
        """Promise `n`, by default the lowest free number, to a call; nobody sees it yet. The number, or -EMFILE."""
        if self.full:
            return Errno.EMFILE
        if n is None:
            n = self.lowest_free()
        self.reserved.add(n)
        return n

    def unreserve(self, n: int) -> None:
        """Take a promise back."""
        self.reserved.discard(n)

    def publish(self, n: int, file: OpenFile, cloexec: bool = False) -> None:
        """Let `n`, which is reserved, name `file`: from here on every thread of the process can close it."""
        self.reserved.discard(n)
        self.install(n, file, cloexec)

    def install(self, n: int, file: OpenFile, cloexec: bool) -> None:
        """Let `n`, which is free, name `file`, whose reference goes to the table."""
        self.files[n] = file
        if cloexec:
            self.close_on_exec.add(n)

    def remove(self, n: int) -> OpenFile | None:
        """Forget `n` and return what it named; the table's reference goes to the caller."""
        self.close_on_exec.discard(n)
        return self.files.pop(n, None)

    def copy(self) -> "FileTable":
        """Return the table of a forked child: same numbers, same descriptions, one more reference each."""
        child = FileTable()
        child.files = {n: file.get() for n, file in self.files.items()}
        child.close_on_exec = set(self.close_on_exec)
        child.limit = self.limit
        return child
