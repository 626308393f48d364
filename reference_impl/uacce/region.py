# SPDX-License-Identifier: Apache-2.0
"""Regions: the marks a queue keeps of what is mapped, and what happens to them as pieces of a map come and go.

Linux goes by the page offset of the piece that is closed: a second page of the doorbell has offset 1, which is the
number of the other region. The intended design counts the pieces that one mmap call has become.
"""

from enum import IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from ..kernel import Errno, Kernel, Oops, Page, Step, Task, Vma, VmOps, point
from ..kernel.memory import Allocation
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

    __slots__ = ("call", "memory", "pieces", "state", "type")

    def __init__(self, region_type: RegionType, call: int, memory: Allocation) -> None:
        self.type = region_type
        self.call = call
        self.memory = memory
        self.pieces = 1
        self.state = REGION.initial

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

    def refuse(_: Vma) -> int:
        return Errno.EPERM

    def empty_success(vma: Vma, index: int) -> Page:
        raise Oops(f"the fault handler gave no page for page {index} of a map of {vma.mm}")

    by_offset = behaviour.slot == "page offset"
    return VmOps(
        open=None if by_offset else open_piece,
        close=(close_by_offset if by_offset else close_piece) if behaviour.close_frees else None,
        mremap=refuse if behaviour.refuses_move else None,
        fault=empty_success if behaviour.fault_handler == "empty success" else None,
    )
