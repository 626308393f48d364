# SPDX-License-Identifier: Apache-2.0
"""Regions: the marks a queue keeps of what is mapped, and what happens to them as pieces of a map come and go.

Linux goes by the page offset of the piece that is closed: a second page of the doorbell has offset 1, which is the
number of the other region. The intended design counts the pieces that one mmap call has become.
"""

from enum import IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from ..kernel import Errno, Kernel, Oops, Page, Step, Task, Vma, VmOps, point
from ..kernel.errno import Outcome
from ..kernel.memory import Allocation
from ..kernel.memory_maps import PAGE, UserFault
from ..lifecycle import REGION

if TYPE_CHECKING:
    from .behaviour import Behaviour
    from .queue import UacceQueue


class RegionType(IntEnum):
    """What can be mapped: the number is the page offset to ask for."""

    MMIO = 0
    DUS = 1


MAX_REGIONS: Final = len(RegionType)


class Region:
    """The mark that one region is mapped. `call` is the mmap call that made it, `pieces` what became of it."""

    __slots__ = ("call", "first", "memory", "pages", "pieces", "state", "type")

    def __init__(self, region_type: RegionType, call: int, memory: Allocation) -> None:
        self.type = region_type
        self.call = call
        self.memory = memory
        self.pieces = 1
        self.state = REGION.initial
        self.first, self.pages = 0, list[Page | None]()  # held back until they are touched

    def reserve(self, vma: Vma) -> None:
        """Hold the pages of a new map back."""
        self.first, self.pages = vma.start, vma.ptes
        vma.ptes = [None] * vma.pages

    def pages_of(self, vma: Vma) -> list[Page | None]:
        """The pages that a piece of the map gets at its first touch."""
        return self.pages[vma.start - self.first :][: vma.pages]

    def free(self, kernel: Kernel) -> None:
        """End its life; a second time is reported as a double free."""
        if REGION.allows(self.state, "close"):
            self.state = REGION.after(self.state, "close")
        kernel.allocator.free(self.memory)


class Mapped(NamedTuple):
    """What a piece of a map remembers: its queue and the region it is part of."""

    queue: "UacceQueue"
    region: Region


def region_type(pgoff: int) -> RegionType | None:
    """Return the region that a page offset names."""
    return RegionType(pgoff) if 0 <= pgoff < MAX_REGIONS else None


def vm_operations(kernel: Kernel, behaviour: "Behaviour") -> VmOps:
    """Return the operations that every piece of a uacce map has."""

    def close_by_offset(task: Task, vma: Vma) -> Step[None]:
        q: UacceQueue = vma.private_data.queue
        slot = region_type(vma.pgoff)
        if slot is None:
            return
        region = q.slots[slot]
        yield point("close: slot read")
        if behaviour.close_clears_slot:
            yield from q.mutex.acquire(task)
            q.slots[slot] = None
            q.mutex.release(task)
        if region is not None:
            region.free(kernel)

    def open_piece(vma: Vma) -> None:
        vma.private_data.region.pieces += 1

    def close_piece(task: Task, vma: Vma) -> Step[None]:
        mapped: Mapped = vma.private_data
        q, region = mapped
        yield from q.mutex.acquire(task)
        region.pieces -= 1
        last = region.pieces == 0
        if last:
            q.slots[region.type] = None
        q.mutex.release(task)
        if last:
            region.free(kernel)

    def first_touch(vma: Vma, index: int) -> Page:
        mapped: Mapped = vma.private_data
        q, region = mapped
        if q.dead or q.revoked:
            raise UserFault(Outcome.SIGBUS, (vma.start + index) * PAGE)
        vma.ptes = region.pages_of(vma)
        page = vma.ptes[index]
        assert page is not None
        return page

    def refuse(_: Vma) -> int:
        return Errno.EPERM

    def empty_success(vma: Vma, index: int) -> Page:
        raise Oops(f"the fault handler gave no page for page {index} of a map of {vma.mm}")

    by_offset = behaviour.slot == "page offset"
    fault = empty_success if behaviour.fault_handler == "empty success" else None
    return VmOps(
        open=None if by_offset else open_piece,
        close=(close_by_offset if by_offset else close_piece) if behaviour.close_frees else None,
        mremap=refuse if behaviour.refuses_move else None,
        fault=first_touch if behaviour.entries == "at first touch" else fault,
    )
