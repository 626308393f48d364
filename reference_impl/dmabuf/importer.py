# SPDX-License-Identifier: Apache-2.0
"""Who imports a buffer: a device of some kind, and what it does when the exporter says that the memory goes away.

An importer holds the buffer's file from before it attaches until after it detached. It maps, unmaps, pins and unpins
with the reservation held, and never holds it while it attaches, detaches or puts.
"""

from enum import Enum
from typing import TYPE_CHECKING

from ..kernel import Errno, Kernel, Step, Task, point
from ..kernel.locks import Mutex
from .addresses import Bus, Domain
from .buffer import Attachment, Direction, DmaBuf, Mapping
from .design import Era
from .fence import Fence
from .resv import Usage

if TYPE_CHECKING:
    from .core import Core

LARGEST_SEGMENT = 1 << 31


class Kind(Enum):
    """How an importer deals with a buffer, and so whether it can be made to let go of it."""

    STATIC = "static"  # maps once, is never told of anything
    DYNAMIC = "dynamic"  # told of moves: unmaps, and maps again later
    DYNAMIC_P2P = "dynamic p2p"  # the same, and takes addresses without pages
    PINNED = "pinned"  # pins and maps, and ignores what it is told: a classic memory region
    PINNED_REVOCABLE = "pinned revocable"  # pins and maps, and lets go for ever when told to
    PHYSICAL = "physical"  # takes physical ranges, and clears its page tables when told to

    @property
    def revocable(self) -> bool:
        """Tell whether its callback makes it let go."""
        return self not in (Kind.STATIC, Kind.PINNED)


class ImporterDevice:
    """A device that imports: what it reaches, how long its segments may be, whether it has a path to peers."""

    def __init__(self, number: int, bus: Bus, kernel: Kernel) -> None:
        self.number = number
        self.domain = Domain(bus)
        self.max_segment = LARGEST_SEGMENT
        self.path = True
        self.lock = Mutex("MRDRV", kernel.locks)  # of its driver: stopping hardware, keys


class Importer:
    """One import: the buffer, the attachment while there is one, the mapping while there is one.

    `invalidated`: it was told that the memory moves, and still has the old mapping. `revoked`: it let go for ever.
    """

    def __init__(self, core: "Core", device: ImporterDevice, kind: Kind, buffer: DmaBuf) -> None:
        self.core = core
        self.device = device
        self.kind = kind
        self.buffer = buffer
        self.attachment: Attachment | None = None
        self.mapping: Mapping | None = None
        self.invalidated = False
        self.revoked = False
        self.work: Fence | None = None  # of an access by the device that is under way
        self.warnings = 0
        self.number = 0  # by which a process knows it

    @property
    def p2p(self) -> bool:
        """Tell whether it takes addresses without pages."""
        return self.kind not in (Kind.STATIC, Kind.DYNAMIC)

    @property
    def dynamic(self) -> bool:
        """Tell whether it gives the core any importer operations."""
        return self.kind is not Kind.STATIC

    @property
    def reach(self) -> Mapping | None:
        """What the device reaches: the core may have mapped for the pair before the importer asked."""
        cached = self.attachment.cached if self.attachment is not None else None
        return self.mapping or cached

    @property
    def has_callback(self) -> bool:
        """Tell whether there is something to call; before 2026 there had to be, were it only a warning."""
        return self.kind.revocable or (self.kind is Kind.PINNED and self.core.design.era < Era.C71)

    # What the core tells it, the reservation held.

    def notify(self, task: Task) -> Step[None]:
        """React to the news that the memory goes away."""
        match self.kind:
            case Kind.PINNED:
                self.warnings += 1
                yield from ()
            case Kind.PINNED_REVOCABLE:
                yield from self.let_go(task)
            case Kind.PHYSICAL:
                yield from self._clear(task)
            case _:
                self.invalidated = self.mapping is not None

    def let_go(self, task: Task) -> Step[None]:
        """Stop the hardware, unmap, unpin: at most once in the life of the import."""
        if self.revoked:
            return
        yield from self.device.lock.acquire(task)
        self.stop_hardware()
        self.device.lock.release(task)
        if self.attachment is not None:
            if self.mapping is not None:
                self.core.unmap(task, self.mapping)
                self.mapping = None
            if self.attachment.pins:
                self.core.unpin(task, self.attachment)
        self.revoked = True

    def _clear(self, task: Task) -> Step[None]:
        lock = Mutex("IOPAGES", self.core.kernel.locks)
        yield from lock.acquire(task)
        if self.mapping is not None:
            self.core.unmap(task, self.mapping)
            self.mapping = None
        lock.release(task)

    def stop_hardware(self) -> None:
        """Let the device use the addresses no more; a bare import has no hardware of its own."""

    # What its driver does.

    def attach(self, task: Task) -> Step[int]:
        """Attach; the caller's reference to the file stays with the import if this succeeds."""
        result = yield from self.core.attach(task, self.buffer, self)
        if isinstance(result, int):
            return result
        self.attachment = result
        if not self.core.design.importers_hold_file:
            self.core.put(task, self.buffer)
        return 0

    def pin(self, task: Task) -> Step[int]:
        """Pin: 0, -EINVAL (static, or let go), or what the exporter answers."""
        attachment = self.attachment
        if attachment is None or not self.dynamic or self.revoked:
            return Errno.EINVAL
        yield from self.buffer.resv.lock(task)
        result = self.core.pin(task, attachment)
        self.buffer.resv.unlock(task)
        return result

    def unpin(self, task: Task) -> Step[int]:
        """Undo one pin: 0, -EINVAL where there is none, -EBUSY where the last one is needed by a mapping."""
        attachment = self.attachment
        if attachment is None:
            return Errno.EINVAL
        yield from self.buffer.resv.lock(task)
        if not attachment.pins:
            result = int(Errno.EINVAL)
        elif self.mapping is not None and attachment.pins == 1 and self._needs_pin:
            result = int(Errno.EBUSY)
        else:
            self.core.unpin(task, attachment)
            result = 0
        self.buffer.resv.unlock(task)
        return result

    @property
    def _needs_pin(self) -> bool:
        return self.kind in (Kind.PINNED, Kind.PINNED_REVOCABLE)

    def map(self, task: Task, direction: Direction = Direction.BIDIRECTIONAL) -> Step[int]:
        """Map, or keep the mapping that there is: 0.

        -EINVAL (let go, or a kind that pins and has not), -EBUSY (mapped for another direction, or a mapping that is
        stale and first has to be unmapped), or what the exporter answers.
        """
        attachment = self.attachment
        if attachment is None or self.revoked:
            return Errno.EINVAL
        under_lock = self.core.design.map_looks_under_lock
        mapped = self.mapping is not None
        if not under_lock:
            yield point("map: not mapped yet")
        locked = self.dynamic or self.core.design.era >= Era.C612
        if locked:
            yield from self.buffer.resv.lock(task)
        if under_lock:
            mapped = self.mapping is not None
        result = yield from self._map(task, attachment, direction, mapped)
        if locked:
            self.buffer.resv.unlock(task)
        return result

    def _map(self, task: Task, attachment: Attachment, direction: Direction, mapped: bool) -> Step[int]:
        if self.revoked or (self._needs_pin and not attachment.pins):
            return Errno.EINVAL
        if mapped and self.mapping is not None:
            same = self.mapping.direction in (direction, Direction.BIDIRECTIONAL)
            return 0 if same and not self.invalidated else Errno.EBUSY
        if self.mapping is not None:
            self.core.kernel.findings.report("dmabuf.I10", f"{attachment} is mapped a second time")
        result = yield from self.core.map(task, attachment, direction)
        if isinstance(result, int):
            return result
        self.mapping = result
        return 0

    def unmap(self, task: Task) -> Step[int]:
        """Unmap: 0, or -EINVAL where nothing is mapped."""
        locked = self.dynamic or self.core.design.era >= Era.C612
        if locked:
            yield from self.buffer.resv.lock(task)
        mapping, self.mapping = self.mapping, None
        self.invalidated = False
        if mapping is not None:
            self.core.unmap(task, mapping)
        if locked:
            self.buffer.resv.unlock(task)
        return 0 if mapping is not None else Errno.EINVAL

    def begin(self, task: Task) -> Step[int]:
        """Let the device begin an access, whose fence stands in the reservation until it is finished: 0.

        -EFAULT (not mapped, or told to let go), -EBUSY (one is under way), -ENOMEM.
        """
        yield from self.buffer.resv.lock(task)
        result = self._begin(task)
        self.buffer.resv.unlock(task)
        return result

    def _begin(self, task: Task) -> int:
        if self.reach is None or self.invalidated:
            return Errno.EFAULT
        if self.work is not None:
            return Errno.EBUSY
        failed = self.buffer.resv.reserve(task, 1)
        if failed:
            return failed
        self.work = self.core.fences.timeline(f"{self.attachment}").fence()
        if self.work is None:
            return Errno.ENOMEM
        self.buffer.resv.add(task, self.work, Usage.BOOKKEEP)
        return 0

    def finish(self, task: Task, error: int = 0) -> int:
        """Let the access under way be over: 0, or -EINVAL."""
        fence, self.work = self.work, None
        if fence is None:
            return Errno.EINVAL
        if error:
            fence.set_error(error)
        fence.signal(task)
        fence.put(task)
        return 0

    def detach(self, task: Task) -> Step[int]:
        """Tear the import down in its order: stop, unmap, unpin, detach, put. 0."""
        attachment = self.attachment
        if attachment is None:
            return Errno.EINVAL
        if self.work is not None:
            self.finish(task, Errno.ENODEV)
        self.attachment = None
        if self.mapping is not None or attachment.pins:
            yield from self.buffer.resv.lock(task)
            if self.mapping is not None:
                self.core.unmap(task, self.mapping)
                self.mapping = None
            while attachment.pins:
                self.core.unpin(task, attachment)
            self.buffer.resv.unlock(task)
        yield from self.core.detach(task, attachment)
        if self.core.design.importers_hold_file:
            self.core.put(task, self.buffer)
        return 0
