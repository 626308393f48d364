# SPDX-License-Identifier: Apache-2.0
"""What an open of the accelerator gets: a session, and a context with allocations and device addresses.

A context lives as long as something refers to it: its file, and what is shared of it; the session ends with it.
"""

from itertools import count
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..kernel import PAGE, Errno, Outcome, Step, Task, UserFault
from ..kernel.files import OpenFile
from ..kernel.memory import Allocation
from .design import FreePolicy
from .fence import Timeline

if TYPE_CHECKING:
    from .device import Device
    from .jobs import PeerImport

FIRST_VIRTUAL = 1 << 40  # device addresses of an MMU begin here


class Extent:
    """An allocation of device memory: whole pages. `exports` counts the buffers on it; freed while there are any, it
    may be `deferred`."""

    __slots__ = (
        "context", "deferred", "exported", "exports", "generation", "handle", "mapped", "memory", "pages", "size",
    )  # fmt: skip

    def __init__(self, context: "Context", handle: int, pages: list[int], size: int, memory: Allocation) -> None:
        self.context = context
        self.handle = handle
        self.pages = pages  # device addresses
        self.size = size
        self.memory = memory
        self.mapped = 0
        self.exports = 0
        self.deferred = False
        self.generation = 0  # of the placement: one more with every move
        self.exported: tuple[int, int] | None = None  # offset and size of the last export (a fault reads it)


class DeviceMapping:
    """An extent at a device address of its context."""

    __slots__ = ("address", "exports", "extent")

    def __init__(self, address: int, extent: Extent) -> None:
        self.address = address
        self.extent = extent
        self.exports = 0


class Later:
    """What a driver does by itself, by and by, where somebody else decides when: see parts.py."""

    def __init__(self) -> None:
        self.ends: list[Context] = []  # contexts without a reference
        self.freed: list[Extent] = []  # allocations that were freed, and are not in the pool yet


class Session:
    """One open of the device: it is on the open list until its last reference goes."""

    def __init__(self, device: "Device", serial: int, pid: int, file: OpenFile) -> None:
        self.device = device
        self.serial = serial
        self.pid = pid
        self.file = file
        self.closing = False  # the file was released; something else keeps it


class Context:
    """The state of one open: allocations, device addresses, imports. Referred to by its file and by what is shared."""

    def __init__(self, session: Session, memory: Allocation) -> None:
        self.session = session
        self.device = session.device
        self.memory = memory
        self.refs = 1
        self.master = True
        self.extents: dict[int, Extent] = {}
        self.mappings: dict[int, DeviceMapping] = {}
        self.imports: dict[int, PeerImport] = {}
        self.timeline: Timeline = session.device.core.fences.timeline(f"context {session.serial}")
        self._handles = count(1)
        self._next = FIRST_VIRTUAL

    @property
    def kernel(self) -> object:
        """The kernel it runs in."""
        return self.device.core.kernel

    def get(self) -> "Context":
        """Take a reference."""
        self.refs += 1
        return self

    def put(self, task: Task) -> Step[None]:
        """Drop a reference; the last one frees everything of the context, then ends the session."""
        if self.refs <= 0:
            self.device.report("use after free", f"a reference to the context of session {self.session.serial} is"
                               " dropped after its release")  # fmt: skip
            return
        self.refs -= 1
        if self.refs:
            return
        if self.device.later is not None:
            self.device.later.ends.append(self)
        else:
            yield from self.end(task)

    def end(self, task: Task) -> Step[None]:
        """Free everything of the context, and end the session: nobody refers to it."""
        self.empty()
        self.device.core.kernel.allocator.free(self.memory)
        yield from self.device.end_session(task, self.session)

    def empty(self) -> None:
        """Give its allocations and its device addresses back."""
        device = self.device
        for extent in list(self.extents.values()):
            if extent.exports and device.core.design.free is FreePolicy.DEFER:
                device.defer(extent)
            else:
                device.give_back(extent)
        self.extents.clear()
        self.mappings.clear()

    def new_address(self, size: int) -> int:
        """Return a device address that was never used before, with a hole after it."""
        address = self._next
        self._next += -(-size // PAGE) * PAGE + PAGE
        return address

    # Memory.

    def allocate(self, size: int) -> int:
        """Allocate device memory: a handle, -EINVAL (no size), -ENOMEM. Without an MMU only the numbers are kept: 0."""
        if size <= 0:
            return Errno.EINVAL
        device = self.device
        if not device.pool:
            return 0
        memory = device.core.kernel.allocator.allocate("device memory")
        if memory is None:
            return Errno.ENOMEM
        pages = device.take(-(-size // PAGE), self.session)
        if pages is None:
            device.core.kernel.allocator.free(memory)
            return Errno.ENOMEM
        handle = next(self._handles)
        self.extents[handle] = Extent(self, handle, pages, len(pages) * PAGE, memory)
        return handle

    def map(self, task: Task, handle: int) -> Step[int]:
        """Give an allocation a device address: the address, or -EINVAL."""
        extent = self.extents.get(handle)
        if extent is None:
            return Errno.EINVAL
        yield from self.device.table_lock.acquire(task)
        address = self.new_address(extent.size)
        self.mappings[address] = DeviceMapping(address, extent)
        extent.mapped += 1
        self.device.table_lock.release(task)
        return address

    def unmap(self, task: Task, address: int) -> Step[int]:
        """Take a device address back: 0, -EINVAL (unknown, or exported where that is refused)."""
        yield from self.device.table_lock.acquire(task)
        mapping = self.mappings.get(address)
        blocked = self.device.core.design.export_blocks_unmap
        if mapping is None or (mapping.exports and blocked):
            result = int(Errno.EINVAL)
        else:
            del self.mappings[address]
            mapping.extent.mapped -= 1
            result = 0
        self.device.table_lock.release(task)
        return result

    def place(self, address: int, size: int) -> list[NDArray[np.uint8]]:
        """Return the memory behind device addresses of the context's own allocations. Raises UserFault."""
        device = self.device
        if not device.mmu:
            if not device.user_base <= address <= address + size <= device.dram_end:
                raise UserFault(Outcome.SIGBUS, address)
            return [device.memory[address - device.dram_base :][:size]]
        for mapping in self.mappings.values():
            offset = address - mapping.address
            if offset >= 0 and offset + size <= mapping.extent.size:
                return device.pieces(mapping.extent.pages, offset, size)
        raise UserFault(Outcome.SIGBUS, address)

    def load(self, address: int, size: int) -> bytes:
        """Read as the device does, from an allocation or an import. Raises UserFault."""
        shared = self._import(address)
        if shared is not None:
            return shared.load(address - shared.address, size)
        return b"".join(piece.tobytes() for piece in self.place(address, size))

    def store(self, address: int, data: bytes) -> None:
        """Write as the device does. Raises UserFault."""
        shared = self._import(address)
        if shared is not None:
            shared.store(address - shared.address, data)
            return
        at = 0
        for piece in self.place(address, len(data)):
            piece[:] = np.frombuffer(data, np.uint8, len(piece), at)
            at += len(piece)

    def _import(self, address: int) -> "PeerImport | None":
        for shared in self.imports.values():
            if shared.address <= address < shared.address + shared.buffer.size:
                return shared
        return None
