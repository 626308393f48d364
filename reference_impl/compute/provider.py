# SPDX-License-Identifier: Apache-2.0
"""Hardware that computes: each queue takes requests from its ring in order, and completes them when told to.

A doorbell tells how many requests were submitted; the hardware never has more than the ring's depth of them. On an
SVA device it reaches memory through the bond of the process that opened the queue, as long as both are there.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from ..kernel import Outcome, Page, UsageError, UserFault
from ..uacce import Framework, HardwareQueue, Provider
from .engine import Memory, execute
from .packets import COMPLETION, REQUEST, TAIL, Layout

if TYPE_CHECKING:
    from ..uacce import UacceQueue

DEPTH = 16


class Doorbell(Page):
    """A page of registers: writing the tail register submits requests."""

    __slots__ = ("_queue",)

    def __init__(self, queue: "ComputeQueue") -> None:
        super().__init__(queue)
        self._queue = queue

    def store(self, offset: int, data: bytes) -> None:
        """Write a register; only a 4-byte write of the tail does anything."""
        if offset == TAIL and len(data) == 4:
            self._queue.ring(int.from_bytes(data, "little"))


class _Buffer:
    """The data part of a shared buffer as the hardware's memory, for devices without shared addresses."""

    def __init__(self, queue: "ComputeQueue") -> None:
        self._queue = queue

    def _range(self, address: int, size: int) -> slice:
        layout = self._queue.layout
        if not layout.data <= address <= address + size <= layout.end:
            raise UserFault(Outcome.SIGBUS, address)
        return slice(address, address + size)

    def load(self, address: int, size: int) -> bytes:
        """Return bytes of the data part."""
        return self._queue.dus[self._range(address, size)].tobytes()

    def store(self, address: int, data: bytes) -> None:
        """Write bytes of the data part."""
        self._queue.dus[self._range(address, len(data))] = np.frombuffer(data, np.uint8)


class ComputeQueue(HardwareQueue):
    """A hardware queue with a ring of requests and a ring of completions in its shared buffer."""

    def __init__(self, provider: "ComputeProvider", number: int) -> None:
        self.layout = Layout(provider.depth, provider.dus_pages * 4096)
        self.head = 0  # requests taken, and completions written
        self.tail = 0  # requests submitted
        super().__init__(provider, number)

    def doorbell(self, index: int) -> Page:
        """Return a page of the doorbell window; the registers are in the first."""
        return Doorbell(self) if index == 0 else Page(self)

    def start(self) -> None:
        """Begin with empty rings: nothing that was completed before can be taken for new."""
        self.head = self.tail = 0
        self.dus[: self.layout.data] = 0
        super().start()

    def ring(self, tail: int) -> None:
        """Take note of submitted requests; a tail beyond the ring is ignored, and a start forgets it."""
        waiting = (tail - self.head) % (1 << 32)
        if waiting <= self.layout.depth:
            self.tail = self.head + waiting

    def finish(self, jobs: int) -> int:
        """Do up to `jobs` requests, in order, and write their completions; return how many were done."""
        done = min(jobs, self.tail - self.head)
        for _ in range(done):
            place = self.layout.request(self.head)
            request = self.dus[place : place + REQUEST.itemsize].view(REQUEST)[0].copy()
            status, produced = execute(request, self._memory())
            entry: Any = np.zeros(1, COMPLETION)
            entry["tag"], entry["status"], entry["produced"] = request["tag"], status, produced
            entry["phase"] = self.layout.phase(self.head)
            place = self.layout.completion(self.head)
            self.dus[place : place + COMPLETION.itemsize] = entry.view(np.uint8)
            self.head += 1
        self.completions += done
        return done

    def stop(self) -> None:
        """Finish what was submitted, tell who waits for it, then be quiet."""
        if self.finish(self.layout.depth):
            self.provider.interrupt(self)
        super().stop()

    def _memory(self) -> Memory:
        owner: UacceQueue | None = self.owner
        if owner is None or not owner.device.sva:
            return _Buffer(self)
        iommu = self.provider.kernel.iommu
        if owner.bond is None or (owner.bond.device, owner.bond.mm) not in iommu.bonds:
            return _Nothing()
        return owner.bond.mm


class _Nothing:
    """The memory behind a PASID that names nothing any more: every access is aborted."""

    def load(self, address: int, size: int) -> bytes:
        """Abort."""
        raise UserFault(Outcome.SIGBUS, address)

    def store(self, address: int, data: bytes) -> None:
        """Abort."""
        raise UserFault(Outcome.SIGBUS, address)


class ComputeProvider(Provider):
    """An accelerator whose queues compute; `depth` requests at most are on their way in each.

    >>> System(provider=ComputeProvider, hardware={"depth": 4})
    """

    def __init__(self, framework: Framework, *, depth: int = DEPTH, dus_pages: int = 2, **hardware: Any) -> None:
        self.depth = depth
        layout = Layout(depth, dus_pages * 4096)
        if depth < 1 or layout.data > layout.end:
            raise UsageError(f"rings of depth {depth} do not fit into {dus_pages} pages of shared buffer")
        super().__init__(framework, dus_pages=dus_pages, **hardware)

    def hardware_queue(self, number: int) -> ComputeQueue:
        """Return hardware queue `number`, with empty rings."""
        return ComputeQueue(self, number)
