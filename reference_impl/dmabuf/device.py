# SPDX-License-Identifier: Apache-2.0
"""A small accelerator with memory of its own: who may open it, its pages, and what peers reach of them.

Who has it open owns it. With the last reference to the owner's context the memory is scrubbed, and the device is free
for the next one.
"""

from enum import Enum
from itertools import count
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..kernel import PAGE, Errno, Step, Task, point
from ..kernel.files import OpenFile
from ..kernel.locks import Mutex
from .addresses import Window
from .buffer import DmaBuf, Mapping, Status
from .context import Context, Extent, Later, Session
from .core import Core

if TYPE_CHECKING:
    from ..kernel.process import Process
    from .jobs import Job

RESERVED_PAGES = 1  # at the start of DRAM, for the firmware
RESET_TRIES = 60
RESET_PATIENCE = 10  # seconds that one try waits for openers
REMOVAL_PATIENCE = 600  # seconds


class DeviceState(Enum):
    """What the device can do at present."""

    OPERATIONAL = "operational"
    IN_RESET = "in reset"
    MALFUNCTION = "malfunction"
    LEAVING = "leaving"  # its removal waits for openers
    REMOVED = "removed"


class Device:
    """One accelerator: `pages` pages of memory, of which the first `bar_pages` can be reached over the bus.

    `pool`: its driver gives them out; otherwise user code does, and the driver only counts. By default as `mmu`.
    """

    def __init__(
        self, core: Core, number: int, *, mmu: bool, pool: bool | None = None, pages: int = 64,
        bar_pages: int | None = None, reset_tries: int = RESET_TRIES,
    ) -> None:  # fmt: skip
        self.core = core
        self.number = number
        self.mmu = mmu
        self.pool = mmu if pool is None else pool
        self.later: Later | None = None
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

    def take(self, n: int, session: Session) -> list[int] | None:
        """Take `n` pages for a session, or None where there are not as many.

        A page that a peer still reaches is reported, unless the session exported it: then it harms itself alone.
        """
        if n > len(self._free):
            return None
        pages = self._free[: -n - 1 : -1]
        del self._free[-n:]
        others = (m for m in self.mappings() if m.attachment.buffer.priv.session != session.serial)
        if reached := {page for mapping in others for page in mapping.cover} & set(pages):
            self.report("dmabuf.I26", f"{len(reached)} pages are allocated anew, and a peer still reaches them")
        return pages

    def defer(self, extent: Extent) -> None:
        """Note that an allocation was freed, and that its pages cannot be given to anybody yet."""
        if self.later is not None and not extent.deferred:
            self.later.freed.append(extent)
        extent.deferred = True

    def give_back(self, extent: Extent) -> None:
        """Return the pages of an allocation that nobody may use any more."""
        extent.deferred = False
        if self.later is not None and extent in self.later.freed:
            self.later.freed.remove(extent)
        self.free_pages(extent.pages)
        self.core.kernel.allocator.free(extent.memory)

    def free_pages(self, pages: list[int]) -> None:
        """Return pages; the lowest goes out first again."""
        if not self.core.design.exclusive:
            for (piece,) in (self.pieces([page], 0, PAGE) for page in pages):
                piece[:] = 0
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
            case DeviceState.LEAVING:
                return self.core.design.leaving
            case DeviceState.MALFUNCTION:
                return Errno.EPERM
            case DeviceState.REMOVED:
                return Errno.ENODEV
            case _:
                pass
        design = self.core.design
        if self.owner is None or not design.exclusive:
            return 0
        if not self.owner.closing or self.irrevocable:
            return Errno.EBUSY
        return design.releasing

    @property
    def irrevocable(self) -> bool:
        """Tell whether an importer that cannot be revoked has a buffer of the device, where that counts."""
        counts = self.core.design.holds == "context of the irrevocable"
        return counts and any(buffer.irrevocable for buffer in self.buffers)

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
        self.owner = session
        self.open_list[session] = None
        if not self.core.design.exclusive:
            return
        for buffer in self.core.buffers.values():
            if buffer.priv.home is self and buffer.status is not Status.REVOKED:
                self.report("dmabuf.I20", f"the device is granted while {buffer} of an earlier owner can be mapped")
        if self.reached():
            self.report("dmabuf.I26", "the device is granted while a peer reaches memory of an earlier owner")
        if self.memory.any():
            self.report("dmabuf.I27", "the device is granted with memory that was not scrubbed")

    def end_session(self, task: Task, session: Session) -> Step[None]:
        """Scrub the memory, and let go of the device: the next open may own it.

        Where several sessions have the device, each page is scrubbed as it goes back to the pool.
        """
        if self.state is not DeviceState.REMOVED and self.core.design.exclusive:
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
