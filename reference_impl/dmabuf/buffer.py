# SPDX-License-Identifier: Apache-2.0
"""What there is of a shared buffer: the buffer itself, attachments to it, and mappings of it."""

from collections.abc import Callable
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Any, Protocol

from ..kernel import Kernel, Oops, Pause, Step, Task, Vma
from ..kernel.files import OpenFile
from ..kernel.locks import SpinLock
from ..kernel.memory import Allocation
from ..kernel.poll import WaitQueue
from .addresses import Domain, Segment
from .fence import Callback, Fence
from .resv import Resv

if TYPE_CHECKING:
    from .importer import Importer


class Direction(IntEnum):
    """Which way data goes through a mapping."""

    BIDIRECTIONAL = 0
    TO_DEVICE = 1
    FROM_DEVICE = 2


class Status(Enum):
    """Whether a buffer can be mapped: revoked for a while, or for good."""

    OK = "ok"
    TEMPORARILY_REVOKED = "temporarily revoked"
    REVOKED = "revoked"


class ExporterOps(Protocol):
    """What an exporter does for its buffers; the core calls it. `pin` is asked for only where `dynamic`."""

    dynamic: bool
    name: str

    def attach(self, task: Task, attachment: "Attachment") -> Step[int]:
        """Accept an attachment, may clear its `p2p`, or refuse it; the reservation is not held."""
        ...

    def detach(self, task: Task, attachment: "Attachment") -> Step[None]:
        """Undo `attach`."""
        ...

    def pin(self, attachment: "Attachment") -> int:
        """Promise not to move or take the memory away; the reservation is held."""
        ...

    def unpin(self, attachment: "Attachment") -> None:
        """Undo `pin`."""
        ...

    def map(self, task: Task, attachment: "Attachment", direction: Direction) -> "Mapping | int":
        """Return the addresses by which the importer reaches the buffer; the reservation is held."""
        ...

    def unmap(self, task: Task, mapping: "Mapping") -> None:
        """Take the addresses back; the reservation is held."""
        ...

    def release(self, task: Task, buffer: "DmaBuf") -> Step[None]:
        """Give up what the buffer stands for: nobody refers to it any more."""
        ...

    def cpu_access(self, task: Task, buffer: "DmaBuf", flags: int, begin: bool) -> int:
        """Prepare for, or end, access by the CPU."""
        ...

    def mmap(self, task: Task, buffer: "DmaBuf", vma: Vma) -> Step[int]:
        """Let a process map the buffer; only where `can_mmap`."""
        ...

    @property
    def can_mmap(self) -> bool:
        """Tell whether there is an mmap operation."""
        ...


class Name:
    """The name of a buffer: a string that a rename frees."""

    __slots__ = ("freed", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.freed = False


class Drain:
    """How many mappings a buffer has, plus one while it is not revoked; a revoke waits for the count to reach zero.

    As with a kernel's reference count and completion: dropping it below zero is a bug, and what is signaled only once
    is waited for only once.
    """

    __slots__ = ("_done", "_kernel", "count")

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self.count = 1
        self._done = 0

    def get(self) -> None:
        """One mapping more."""
        self.count += 1

    def put(self) -> None:
        """One less; the last one tells who waits."""
        self.count -= 1
        if self.count < 0:
            self._kernel.findings.report("dmabuf.I22", "the drain count of a buffer is dropped below zero")
        if self.count == 0:
            self._done += 1

    def wait(self) -> Step[None]:
        """Sleep until the count has reached zero; no signal interrupts it."""
        while not self._done:
            yield Pause("drain", "sleep", lambda: self._done > 0)
        self._done -= 1

    def arm(self) -> None:
        """Begin again with no mapping."""
        self.count = 1
        self._done = 0


class PollSlot:
    """The one poll callback that a buffer has for each direction; while it is armed it holds the file and a fence."""

    __slots__ = ("callback", "fence")

    def __init__(self) -> None:
        self.fence: Fence | None = None
        self.callback: Callback | None = None

    @property
    def armed(self) -> bool:
        """Tell whether a callback is queued."""
        return self.fence is not None


class DmaBuf:
    """A shared buffer. It lives as long as its file does; its size never changes."""

    def __init__(
        self, kernel: Kernel, ops: ExporterOps, priv: Any, size: int, ino: int, serial: int, file: OpenFile, resv: Resv,
        memory: Allocation,
    ) -> None:  # fmt: skip
        self.kernel = kernel
        self.ops = ops
        self.priv = priv
        self.size = size
        self.ino = ino
        self.serial = serial
        self.file = file
        self.resv = resv
        self.memory = memory
        self.flags = 0  # of the file: whether it may be written through
        self.attachments: list[Attachment] = []  # the newest first
        self.name: Name | None = None
        self.name_lock = SpinLock("NAME", kernel.locks)
        self.wait = WaitQueue()
        self.wait_lock = SpinLock("POLLQ", kernel.locks)
        self.slots = (PollSlot(), PollSlot())  # in, out
        self.status = Status.OK
        self.drain = Drain(kernel)
        self.file_gone = False
        self.released = False

    def __repr__(self) -> str:
        return f"<buffer {self.serial}>"

    def use(self, what: str) -> None:
        """Report that freed memory is used, where it is."""
        if self.released:
            self.kernel.findings.report("dmabuf.I02", f"{what}: {self} is used after its release")

    @property
    def irrevocable(self) -> bool:
        """Tell whether an importer has it that cannot be revoked."""
        return any(not attachment.importer.kind.revocable for attachment in self.attachments)

    @property
    def mappings(self) -> "list[Mapping]":
        """Every mapping that an importer can still use, of every attachment."""
        return [mapping for attachment in self.attachments for mapping in attachment.mappings]


class Attachment:
    """The tie between a buffer and one importing device; the importer holds the buffer's file for as long."""

    __slots__ = ("buffer", "cached", "importer", "mappings", "memory", "p2p", "pins", "powers", "serial")

    def __init__(self, buffer: DmaBuf, importer: "Importer", memory: Allocation, serial: int) -> None:
        self.buffer = buffer
        self.importer = importer
        self.memory = memory
        self.serial = serial
        self.p2p = importer.p2p
        self.pins = 0
        self.cached: Mapping | None = None
        self.mappings: list[Mapping] = []
        self.powers = False  # holds a power reference of the exporter

    def __repr__(self) -> str:
        return f"<attachment {self.serial} to buffer {self.buffer.serial}>"

    @property
    def dynamic(self) -> bool:
        """Tell whether the importer is told of moves."""
        return self.importer.dynamic

    @property
    def domain(self) -> Domain:
        """What the importing device reaches."""
        return self.importer.device.domain


class Mapping:
    """The addresses of one map call. Once unmapped they reach nothing."""

    __slots__ = (
        "attachment", "cover", "direction", "generation", "live", "memory", "physical", "segments", "serial", "undo",
    )  # fmt: skip

    def __init__(
        self, attachment: Attachment, segments: list[Segment], direction: Direction, memory: Allocation, *,
        cover: Any = None, generation: int = 0, physical: bool = False, undo: "Callable[[Task], None] | None" = None,
    ) -> None:  # fmt: skip
        self.attachment = attachment
        self.segments = segments
        self.direction = direction
        self.memory = memory
        self.serial = memory.serial
        self.cover = cover  # the pages behind it, as the exporter knows them
        self.generation = generation  # of the placement
        self.physical = physical
        self.undo = undo
        self.live = True
        attachment.domain.map(segments)
        attachment.mappings.append(self)

    def __repr__(self) -> str:
        return f"<mapping {self.serial} of buffer {self.attachment.buffer.serial}>"

    @property
    def size(self) -> int:
        """How many bytes it covers."""
        return sum(length for _, length in self.segments)

    def end(self) -> None:
        """Let the importer's device reach nothing through it any more."""
        if not self.live:
            raise Oops(f"{self} is unmapped twice")
        self.live = False
        self.attachment.domain.unmap(self.segments)
        self.attachment.mappings.remove(self)
