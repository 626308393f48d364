# SPDX-License-Identifier: Apache-2.0
"""Memory regions: an RDMA-like device that pins a shared buffer and lets a remote peer read and write it by a key.

One kind can be revoked: its key then names nothing, for ever, and stays reserved until the region is deregistered. The
other kind ignores every notification: only its end makes it let go.
"""

from itertools import count
from typing import TYPE_CHECKING

from ..kernel import Errno, Step, Task
from ..kernel.memory import Allocation
from .buffer import Direction, DmaBuf
from .importer import Importer, ImporterDevice, Kind

if TYPE_CHECKING:
    from .core import Core

FIRST_KEY = 0x100


class Keys:
    """The keys of one RDMA device: each names one region at most, and is not given twice while that exists."""

    def __init__(self) -> None:
        self.regions: dict[int, Region] = {}
        self._next = count(FIRST_KEY)

    def add(self, region: "Region") -> int:
        """Return a key for a region."""
        key = next(self._next)
        self.regions[key] = region
        return key


class Region(Importer):
    """A memory region on bytes [offset, offset + length) of a shared buffer."""

    def __init__(
        self, core: "Core", device: ImporterDevice, buffer: DmaBuf, keys: Keys, offset: int, length: int, *,
        revocable: bool,
    ) -> None:  # fmt: skip
        super().__init__(core, device, Kind.PINNED_REVOCABLE if revocable else Kind.PINNED, buffer)
        self.keys = keys
        self.offset = offset
        self.length = length
        self.key = 0
        self.stopped = False
        self.memory: Allocation | None = None

    def register(self, task: Task) -> Step[int]:
        """Attach, pin, map, take a key, in this order: the key, or an errno; then nothing is left of it.

        -EINVAL (beyond the end of the buffer), -ENOMEM, or what attach, pin or map answers.
        """
        if self.offset < 0 or self.length <= 0 or self.offset + self.length > self.buffer.size:
            return Errno.EINVAL
        result = yield from self.attach(task)
        if result:
            return result
        assert self.attachment is not None
        self.memory = self.core.kernel.allocator.allocate("region")
        if self.memory is None:
            if self.core.design.failed_import_detaches:
                yield from self._give_up(task)
            return Errno.ENOMEM
        yield from self.buffer.resv.lock(task)
        result = yield from self._pin_and_map(task)
        self.buffer.resv.unlock(task)
        if result:
            yield from self._give_up(task)
            return result
        return self.key

    def _pin_and_map(self, task: Task) -> Step[int]:
        assert self.attachment is not None
        result = self.core.pin(task, self.attachment)
        if result:
            return result
        mapping = yield from self.core.map(task, self.attachment, Direction.BIDIRECTIONAL)
        if isinstance(mapping, int):
            self.core.unpin(task, self.attachment)
            if not self.core.design.failed_map_unpins_once:
                self.core.unpin(task, self.attachment)
            return mapping
        self.mapping = mapping
        self.key = self.keys.add(self)
        return 0

    def notify(self, task: Task) -> Step[None]:
        """React to a revoke; before the region is complete nobody is told, and its map finds out."""
        if self.key:
            yield from super().notify(task)

    def _give_up(self, task: Task) -> Step[None]:
        """Undo an attach whose region never was; the caller keeps its reference to the buffer."""
        attachment, self.attachment = self.attachment, None
        if attachment is not None:
            yield from self.core.detach(task, attachment)
        if self.memory is not None:
            self.core.kernel.allocator.free(self.memory)

    def stop_hardware(self) -> None:
        """Let the key name nothing. A key that was given back may be somebody else's by now."""
        if self.keys.regions.get(self.key) is not self:
            self.core.kernel.findings.report("dmabuf.I17", f"key {self.key:#x} is invalidated after it was given back")
        self.stopped = True

    def deregister(self, task: Task) -> Step[int]:
        """End the region: reservation, driver lock, unmap, unpin, detach, put, and the key last. 0."""
        if self.core.design.deregister_order == "driver lock first":
            yield from self._deregister_inverted(task)
        else:
            yield from self.buffer.resv.lock(task)
            yield from self.let_go(task)
            self.buffer.resv.unlock(task)
        yield from self.detach(task)
        self.keys.regions.pop(self.key, None)
        if self.memory is not None:
            self.core.kernel.allocator.free(self.memory)
        return 0

    def _deregister_inverted(self, task: Task) -> Step[None]:
        yield from self.device.lock.acquire(task)
        self.keys.regions.pop(self.key, None)
        yield from self.buffer.resv.lock(task)
        if not self.revoked and self.attachment is not None:
            if self.mapping is not None:
                self.core.unmap(task, self.mapping)
                self.mapping = None
            if self.attachment.pins:
                self.core.unpin(task, self.attachment)
            self.revoked = True
        self.buffer.resv.unlock(task)
        self.device.lock.release(task)

    def read(self, offset: int, size: int) -> bytes | int:
        """Read as a remote peer does: bytes, or -EINVAL (revoked, or beyond the region). Raises UserFault."""
        if self.stopped or self.mapping is None or offset < 0 or size < 0 or offset + size > self.length:
            return Errno.EINVAL
        return self.device.domain.load(self.mapping.segments, self.offset + offset, size)

    def write(self, offset: int, data: bytes) -> int:
        """Write as a remote peer does: 0, or -EINVAL (revoked, or beyond the region). Raises UserFault."""
        if self.stopped or self.mapping is None or offset < 0 or offset + len(data) > self.length:
            return Errno.EINVAL
        self.device.domain.store(self.mapping.segments, self.offset + offset, data)
        return 0
