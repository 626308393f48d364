# SPDX-License-Identifier: Apache-2.0
"""Address spaces of processes: memory maps in pieces, their pages, and what user code meets when it touches them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .errno import Errno, Outcome
from .locks import LockGraph, Mutex
from .memory import Allocation, Allocator
from .steps import Step, Task, point

if TYPE_CHECKING:
    from .files import OpenFile

PAGE = 4096


class Page:
    """A page frame, of memory or of a device. `backing` is what it is a page of."""

    __slots__ = ("backing",)

    def __init__(self, backing: object = None) -> None:
        self.backing = backing

    def load(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset`; both lie inside the page."""
        return bytes(size)

    def store(self, offset: int, data: bytes) -> None:
        """Write `data` at `offset`; it lies inside the page."""


class RamPage(Page):
    """Page number `index` of an array of bytes."""

    __slots__ = ("frame",)

    def __init__(self, memory: NDArray[np.uint8], index: int, backing: object = None) -> None:
        super().__init__(backing)
        self.frame = memory[index * PAGE : (index + 1) * PAGE]

    def load(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset`."""
        return self.frame[offset : offset + size].tobytes()

    def store(self, offset: int, data: bytes) -> None:
        """Write `data` at `offset`."""
        self.frame[offset : offset + len(data)] = np.frombuffer(data, np.uint8)


class UserFault(Exception):
    """User code, or a device on its behalf, touched what is not there; `signal` is what the program gets."""

    def __init__(self, signal: Outcome, address: int) -> None:
        super().__init__(f"{signal.name} at {address:#x}")
        self.signal = signal


@dataclass(frozen=True, slots=True)
class VmOps:
    """What a driver is told about the pieces of its maps. Splitting one opens a piece, unmapping closes one.

    `mremap` may refuse a move with an errno. `fault` may supply a missing page; without it a touch is a SIGBUS.
    """

    open: "Callable[[Vma], None] | None" = None
    close: "Callable[[Task, Vma], Step[None]] | None" = None
    mremap: "Callable[[Vma], int] | None" = None
    fault: "Callable[[Vma, int], Page] | None" = None


class Vma:
    """A piece of a memory map: `pages` pages at page number `start`, showing its file from page `pgoff` on.

    `ptes[i]` is the page that a user reaches at page i, None where there is none. `call` is the number of the mmap
    call that this piece comes from; a driver does not see it.
    """

    __slots__ = (
        "allocation", "call", "dont_copy", "dont_expand", "file", "mm", "ops", "pages", "pgoff", "private",
        "private_data", "ptes", "start", "writable",
    )  # fmt: skip

    def __init__(self, mm: "Mm", start: int, pages: int, pgoff: int, file: "OpenFile | None", call: int) -> None:
        self.mm = mm
        self.start = start
        self.pages = pages
        self.pgoff = pgoff
        self.file = file
        self.call = call
        self.private = False
        self.writable = True
        self.dont_copy = False
        self.dont_expand = False
        self.ops = VmOps()
        self.private_data: Any = None
        self.ptes: list[Page | None] = [None] * pages
        self.allocation: Allocation | None = None

    @property
    def end(self) -> int:
        """The page number after the last page."""
        return self.start + self.pages

    @property
    def present(self) -> bool:
        """Tell whether a user reaches any page of this piece."""
        return any(page is not None for page in self.ptes)

    def zap(self) -> None:
        """Take the pages away; the piece stays."""
        self.ptes = [None] * self.pages

    def piece(self, start: int, pages: int) -> "Vma":
        """Return a copy of the part of `pages` pages at page number `start`, sharing nothing but what it refers to."""
        skip = start - self.start
        part = Vma(self.mm, start, pages, self.pgoff + skip, self.file, self.call)
        part.private, part.writable = self.private, self.writable
        part.dont_copy, part.dont_expand = self.dont_copy, self.dont_expand
        part.ops, part.private_data = self.ops, self.private_data
        part.ptes = self.ptes[skip : skip + pages]
        return part


class Mm:
    """The address space of a process. It lives while a process uses it; while something pins it, its identity does."""

    def __init__(self, serial: int, allocator: Allocator, locks: LockGraph, calls: "count[int]") -> None:
        self.serial = serial
        self.users = 1
        self.pins = 0  # bonds: they keep the PASID, not the memory
        self.pasid: int | None = None
        self.vmas: list[Vma] = []  # by address
        self.lock = Mutex("mmap_lock", locks)
        self._allocator = allocator
        self._calls = calls
        self._next = serial << 20  # no two address spaces share an address

    def __repr__(self) -> str:
        return f"<mm {self.serial}>"

    @property
    def alive(self) -> bool:
        """Tell whether a process still runs in it."""
        return self.users > 0

    def _reserve(self, pages: int) -> int:
        start = self._next
        self._next += pages + 1  # a guard page: an overrun faults
        return start

    def _insert(self, vma: Vma) -> bool:
        vma.allocation = self._allocator.allocate("vma")
        if vma.allocation is None:
            return False
        self.vmas.append(vma)
        self.vmas.sort(key=lambda other: other.start)
        if vma.file is not None:
            vma.file.get()
            vma.file.inode.mapping.vmas[vma] = None
        return True

    def _remove(self, task: Task, vma: Vma) -> Step[None]:
        vma.zap()
        if vma.ops.close is not None:
            yield from vma.ops.close(task, vma)
        self._forget(task, vma)

    def _forget(self, task: Task, vma: Vma) -> None:
        self.vmas.remove(vma)
        if vma.allocation is not None:
            self._allocator.free(vma.allocation)
        if vma.file is not None:
            vma.file.inode.mapping.vmas.pop(vma, None)
            vma.file.put(task)

    def at(self, page: int) -> Vma | None:
        """Return the piece that covers page number `page`."""
        return next((vma for vma in self.vmas if vma.start <= page < vma.end), None)

    def within(self, start: int, pages: int) -> list[Vma]:
        """Return the pieces that overlap the range, by address."""
        return [vma for vma in self.vmas if vma.start < start + pages and start < vma.end]

    def anonymous(self, pages: int) -> int:
        """Map fresh zeroed memory of `pages` pages; return its first page number, or -ENOMEM."""
        vma = Vma(self, self._reserve(pages), pages, 0, None, next(self._calls))
        memory = np.zeros(pages * PAGE, np.uint8)
        vma.ptes = [RamPage(memory, i) for i in range(pages)]
        return vma.start if self._insert(vma) else Errno.ENOMEM

    def mmap(self, task: Task, file: "OpenFile", pgoff: int, pages: int, private: bool) -> Step[int]:
        """Map `pages` pages of `file` from page `pgoff`; return the first page number, or an error.

        Errors: EINVAL (no pages), ENOMEM, and whatever the driver answers that is not 0.
        """
        if pages <= 0:
            return Errno.EINVAL
        yield from self.lock.acquire(task)
        try:
            vma = Vma(self, self._reserve(pages), pages, pgoff, file, next(self._calls))
            vma.private = private
            if not self._insert(vma):
                return Errno.ENOMEM
            result = yield from file.fops.mmap(task, file, vma)
            if result:
                self._forget(task, vma)
                return result
            return vma.start
        finally:
            self.lock.release(task)

    def _split(self, vma: Vma, at: int) -> bool:
        upper = vma.piece(at, vma.end - at)
        if not self._insert(upper):
            return False
        vma.pages = at - vma.start
        vma.ptes = vma.ptes[: vma.pages]
        if upper.ops.open is not None:
            upper.ops.open(upper)
        return True

    def _isolate(self, start: int, pages: int) -> bool:
        """Split what reaches over the edges of the range; False when memory ran out."""
        for edge in (start, start + pages):
            vma = self.at(edge)
            if vma is not None and vma.start < edge and not self._split(vma, edge):
                return False
        return True

    def _unmap(self, task: Task, start: int, pages: int) -> Step[int]:
        if not self._isolate(start, pages):
            return Errno.ENOMEM
        doomed = self.within(start, pages)
        for vma in doomed:
            vma.zap()
        yield point("pages gone, maps not closed")
        for vma in doomed:
            yield from self._remove(task, vma)
        return 0

    def munmap(self, task: Task, start: int, pages: int) -> Step[int]:
        """Unmap the range, splitting pieces that reach over its edges; 0 also where nothing was mapped."""
        if pages <= 0:
            return Errno.EINVAL
        yield from self.lock.acquire(task)
        try:
            return (yield from self._unmap(task, start, pages))
        finally:
            self.lock.release(task)

    def mprotect(self, task: Task, start: int, pages: int, writable: bool) -> Step[int]:
        """Allow or forbid writing to the range, splitting at its edges; ENOMEM where it has a hole."""
        yield from self.lock.acquire(task)
        try:
            if pages < 0:
                return Errno.EINVAL
            if any(self.at(page) is None for page in range(start, start + pages)):
                return Errno.ENOMEM
            for edge in (start, start + pages):
                vma = self.at(edge)
                if vma is not None and vma.start < edge and vma.writable != writable and not self._split(vma, edge):
                    return Errno.ENOMEM
            for vma in self.within(start, pages):
                vma.writable = writable
            return 0
        finally:
            self.lock.release(task)

    def mremap(self, task: Task, start: int, old_pages: int, new_pages: int, move: bool) -> Step[int]:
        """Shrink in place, or move; return the page number where the map is now, or an error.

        Errors: EINVAL (no pages), EFAULT (nothing there, a range over several pieces, growing what may not
        grow), ENOMEM, and what the driver's mremap operation answers to a move. A refused move closes the copy that
        was made for it, as an unmap would.
        """
        if new_pages <= 0:
            return Errno.EINVAL
        yield from self.lock.acquire(task)
        try:
            vma = self.at(start)
            if vma is None:
                return Errno.EFAULT
            if new_pages < old_pages:
                result = yield from self._unmap(task, start + new_pages, old_pages - new_pages)
                if result or not move:
                    return result or start
                old_pages = new_pages
                vma = self.at(start)
                if vma is None:
                    return Errno.EFAULT
            if start + old_pages > vma.end or (new_pages > old_pages and vma.dont_expand):
                return Errno.EFAULT
            if not move:
                return start if new_pages == old_pages else Errno.ENOMEM  # the guard page is in the way
            return (yield from self._move(task, vma, start, old_pages, new_pages))
        finally:
            self.lock.release(task)

    def _move(self, task: Task, vma: Vma, start: int, pages: int, new_pages: int) -> Step[int]:
        copy = vma.piece(start, pages)
        copy.start = self._reserve(new_pages)
        copy.pages = new_pages
        copy.zap()
        if not self._insert(copy):
            return Errno.ENOMEM
        if copy.ops.open is not None:
            copy.ops.open(copy)
        skip = start - vma.start
        here = slice(skip, skip + pages)
        copy.ptes[:pages], vma.ptes[here] = vma.ptes[here], [None] * pages
        refused = copy.ops.mremap(copy) if copy.ops.mremap is not None else 0
        if refused:
            vma.ptes[here] = copy.ptes[:pages]
            yield from self._remove(task, copy)
            return refused
        unmapped = yield from self._unmap(task, start, pages)
        return unmapped or copy.start

    def clone(self, task: Task, child: "Mm") -> Step[int]:
        """Copy into the child of a fork what may be copied; memory is copied, not shared."""
        yield from self.lock.acquire(task)
        try:
            for vma in self.vmas:
                if vma.dont_copy:
                    continue
                twin = vma.piece(vma.start, vma.pages)
                twin.mm = child
                if vma.file is None:
                    content = b"".join(page.load(0, PAGE) if page else bytes(PAGE) for page in vma.ptes)
                    memory = np.frombuffer(content, np.uint8).copy()
                    twin.ptes = [RamPage(memory, i) for i in range(vma.pages)]
                if not child._insert(twin):
                    return Errno.ENOMEM
                if twin.ops.open is not None:
                    twin.ops.open(twin)
            return 0
        finally:
            self.lock.release(task)

    def empty(self, task: Task) -> Step[None]:
        """Unmap everything: the last process that used this address space is gone."""
        yield from self.lock.acquire(task)
        try:
            for vma in list(self.vmas):
                yield from self._remove(task, vma)
        finally:
            self.lock.release(task)

    def _parts(self, address: int, size: int, write: bool) -> Iterator[tuple[Page, int, int]]:
        while size > 0:
            number, offset = divmod(address, PAGE)
            vma = self.at(number)
            if vma is None or (write and not vma.writable):
                raise UserFault(Outcome.SIGSEGV, address)
            page = vma.ptes[number - vma.start]
            if page is None:
                if vma.ops.fault is None:
                    raise UserFault(Outcome.SIGBUS, address)
                page = vma.ops.fault(vma, number - vma.start)
            length = min(size, PAGE - offset)
            yield page, offset, length
            address += length
            size -= length

    def load(self, address: int, size: int) -> bytes:
        """Read memory as user code does, `address` in bytes. Raises UserFault where it would get a signal."""
        return b"".join(page.load(offset, length) for page, offset, length in self._parts(address, size, False))

    def store(self, address: int, data: bytes) -> None:
        """Write memory as user code does. Raises UserFault where it would get a signal; earlier pages are written."""
        done = 0
        for page, offset, length in self._parts(address, len(data), True):
            page.store(offset, data[done : done + length])
            done += length
