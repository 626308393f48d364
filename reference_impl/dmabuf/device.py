# SPDX-License-Identifier: Apache-2.0
"""A small accelerator with memory of its own: exclusive open, contexts, allocations, device addresses.

Who has it open owns it. A context lives as long as something refers to it, and the session as long as its context;
with the last reference the memory is scrubbed and the device is free for the next owner.
"""

from enum import Enum
from itertools import count
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..kernel import PAGE, Errno, Outcome, Step, Task, UserFault, point
from ..kernel.files import OpenFile
from ..kernel.locks import Mutex
from ..kernel.memory import Allocation
from .addresses import Window
from .buffer import DmaBuf, Mapping, Status
from .core import Core
from .fence import Timeline

if TYPE_CHECKING:
    from ..kernel.process import Process
    from .jobs import Job, PeerImport

FIRST_VIRTUAL = 1 << 40  # device addresses of an MMU begin here
RESERVED_PAGES = 1  # at the start of DRAM, for the firmware
RESET_TRIES = 60
REMOVAL_PATIENCE = 600  # seconds


class DeviceState(Enum):
    """What the device can do at present."""

    OPERATIONAL = "operational"
    IN_RESET = "in reset"
    MALFUNCTION = "malfunction"
    REMOVED = "removed"


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
        if self.refs == 0:
            device = self.device
            for extent in list(self.extents.values()):
                device.give_back(extent)
            self.extents.clear()
            self.mappings.clear()
            device.core.kernel.allocator.free(self.memory)
            yield from device.end_session(task, self.session)

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
        if not device.mmu:
            return 0
        memory = device.core.kernel.allocator.allocate("device memory")
        if memory is None:
            return Errno.ENOMEM
        pages = device.take(-(-size // PAGE))
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


class Device:
    """One accelerator: `pages` pages of memory, of which the first `bar_pages` can be reached over the bus."""

    def __init__(
        self, core: Core, number: int, *, mmu: bool, pages: int = 64, bar_pages: int | None = None,
        reset_tries: int = RESET_TRIES,
    ) -> None:  # fmt: skip
        self.core = core
        self.number = number
        self.mmu = mmu
        self.dram_base = 0x2000_0000_0000
        self.user_base = self.dram_base + RESERVED_PAGES * PAGE
        self.dram_end = self.dram_base + pages * PAGE
        self.bar_start = (number + 1) << 36
        self.bar_size = (bar_pages if bar_pages is not None else pages) * PAGE
        self.memory: NDArray[np.uint8] = np.zeros(pages * PAGE, np.uint8)
        self.window = Window(self.bar_start, self.memory[: self.bar_size], lambda: self.decodes, f"device {number}")
        self.core.bus.add(self.window)
        self.state = DeviceState.OPERATIONAL
        self.powered = True
        self.power_users = 0
        self.decoding = True
        self.owner: Session | None = None
        self.open_list: dict[Session, None] = {}
        self.buffers: dict[DmaBuf, None] = {}  # exported, and not orphaned
        self.open_lock = Mutex("HLOPEN", core.kernel.locks)
        self.table_lock = Mutex("HLHASH", core.kernel.locks)
        self.memory_lock = Mutex("VMEM", core.kernel.locks)
        self.jobs: list[Job] = []
        self.room_reserved = 0  # for jobs that are being submitted
        self.reset_tries = reset_tries
        self.tries = 0
        self._free = list(range(self.dram_end - PAGE, self.user_base - PAGE, -PAGE))  # the lowest is given first
        self._serials = count(1)

    def __repr__(self) -> str:
        return f"<device {self.number}>"

    @property
    def bus_base(self) -> int:
        """What is added to a device address to get a bus address."""
        return self.bar_start - self.dram_base

    @property
    def decodes(self) -> bool:
        """Tell whether the device answers on the bus."""
        return self.powered and self.decoding

    @property
    def used(self) -> int:
        """Bytes that are allocated."""
        return self.dram_end - self.user_base - len(self._free) * PAGE

    @property
    def refused(self) -> int:
        """What a command on an open device answers before it is looked at: 0, -ENODEV (removed), -EBUSY."""
        if self.state is DeviceState.OPERATIONAL:
            return 0
        return Errno.ENODEV if self.state is DeviceState.REMOVED else Errno.EBUSY

    # Pages.

    def take(self, n: int) -> list[int] | None:
        """Take `n` pages, or None where there are not as many. A page that a peer still reaches is reported."""
        if n > len(self._free):
            return None
        pages = self._free[: -n - 1 : -1]
        del self._free[-n:]
        if reached := self.reached() & set(pages):
            self.report("dmabuf.I26", f"{len(reached)} pages are allocated anew, and a peer still reaches them")
        return pages

    def give_back(self, extent: Extent) -> None:
        """Return the pages of an allocation that nobody may use any more."""
        extent.deferred = False
        self.free_pages(extent.pages)
        self.core.kernel.allocator.free(extent.memory)

    def free_pages(self, pages: list[int]) -> None:
        """Return pages; the lowest goes out first again."""
        self._free.extend(pages)
        self._free.sort(reverse=True)

    def pieces(self, pages: list[int], offset: int, size: int) -> list[NDArray[np.uint8]]:
        """Return the memory of bytes [offset, offset + size) of the concatenation of `pages`."""
        found: list[NDArray[np.uint8]] = []
        while size > 0:
            index, skip = divmod(offset, PAGE)
            part = min(size, PAGE - skip)
            start = pages[index] - self.dram_base + skip
            found.append(self.memory[start : start + part])
            offset += part
            size -= part
        return found

    def reached(self) -> set[int]:
        """Return every page that a peer reaches through a mapping."""
        return {page for mapping in self.mappings() for page in mapping.cover}

    def mappings(self) -> list[Mapping]:
        """Return every mapping of memory of this device, also of buffers that were orphaned."""
        return [
            mapping for buffer in self.core.buffers.values() if buffer.priv.home is self for mapping in buffer.mappings
        ]

    # Ownership.

    def refuses_open(self) -> int:
        """Return 0, or why nobody can open the device now."""
        match self.state:
            case DeviceState.IN_RESET:
                return Errno.EAGAIN
            case DeviceState.MALFUNCTION:
                return Errno.EPERM
            case DeviceState.REMOVED:
                return Errno.ENODEV
            case _:
                pass
        if self.owner is not None:
            return self.core.design.releasing if self.owner.closing else Errno.EBUSY
        return 0

    def open(self, task: Task, file: OpenFile, process: "Process") -> Step[int]:
        """Become the owner: 0, -EBUSY (owned, or kept by what the last owner shared), -EAGAIN, -EPERM, -ENODEV."""
        yield from self.open_lock.acquire(task)
        result = self.refuses_open()
        memory = self.core.kernel.allocator.allocate("context") if result == 0 else None
        if result == 0 and memory is None:
            result = Errno.ENOMEM
        if memory is not None:
            session = Session(self, next(self._serials), process.pid, file)
            self._grant(session)
            file.private_data = Context(session, memory)
        self.open_lock.release(task)
        return result

    def _grant(self, session: Session) -> None:
        for buffer in self.core.buffers.values():
            if buffer.priv.home is self and buffer.status is not Status.REVOKED:
                self.report("dmabuf.I20", f"the device is granted while {buffer} of an earlier owner can be mapped")
        if self.reached():
            self.report("dmabuf.I26", "the device is granted while a peer reaches memory of an earlier owner")
        if self.memory.any():
            self.report("dmabuf.I27", "the device is granted with memory that was not scrubbed")
        self.owner = session
        self.open_list[session] = None

    def end_session(self, task: Task, session: Session) -> Step[None]:
        """Scrub the memory, and let go of the device: the next open may own it."""
        if self.state is not DeviceState.REMOVED:
            yield point("memory is scrubbed")
            self.memory[:] = 0
        yield from self.open_lock.acquire(task)
        self.open_list.pop(session, None)
        if self.owner is session:
            self.owner = None
        self.open_lock.release(task)

    def report(self, rule: str, text: str) -> None:
        """Note that `rule` is broken on this device, and how."""
        self.core.kernel.findings.report(rule, f"device {self.number}: {text}")
