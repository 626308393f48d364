# SPDX-License-Identifier: Apache-2.0
"""The dma-buf core: it makes buffers, publishes them, pairs importers with exporters, and tells who has to know.

It never decides whether memory may be shared: that is the exporter's. It holds a reservation only for what the rules
of its era say, and never while it attaches, detaches or puts.
"""

from itertools import count
from typing import Any

from ..kernel import Errno, Kernel, Step, Task, point
from ..kernel.files import Inode
from ..kernel.locks import Mutex, Section
from ..kernel.process import Process
from .addresses import Bus
from .buffer import Attachment, Direction, DmaBuf, ExporterOps, Mapping, Name
from .design import Design, Era
from .fence import Fences
from .fops import DmabufFops
from .importer import Importer
from .resv import Resv, Usage

NAME_LENGTH = 32  # with the terminating zero


class Core:
    """One dma-buf core: all buffers, the debug list, and the calls that exporters and importers make."""

    def __init__(self, kernel: Kernel, design: Design, *, move_notify: bool = True) -> None:
        self.kernel = kernel
        self.design = design
        self.move_notify_built = move_notify
        self.fences = Fences(kernel, design)
        self.bus = Bus(kernel.findings)
        self.buffers: dict[int, DmaBuf] = {}  # those not released
        self.debug_list: dict[DmaBuf | int, None] = {}
        self.debug_lock = Mutex("DBG", kernel.locks)
        self.fops = DmabufFops(self)
        self.reclaim = Section("RECLAIM", kernel.locks)
        self._serials = count(1)
        self._attachments = count(1)
        self._inodes = count(1)
        kernel.locks.teach("mmap_lock", "WWACQ", "RESV", "RECLAIM", "IMMAP")
        kernel.locks.teach("RECLAIM", "MMUN", "FSIG")
        kernel.locks.teach("RESV", "FSIG")
        kernel.locks.teach("RESV", "FLOCK", "POLLQ")

    # Buffers and their descriptors.

    def export(self, task: Task, ops: ExporterOps, priv: Any, size: int, flags: int = 0) -> Step[DmaBuf | int]:
        """Make a buffer that nobody sees yet, with one reference; or -ENOMEM, and nothing is left of it."""
        kernel = self.kernel
        failed = kernel.injector.take("dma_buf_export")
        if failed is not None:
            return failed
        memory = kernel.allocator.allocate("dmabuf")
        if memory is None:
            return Errno.ENOMEM
        serial = next(self._serials)
        if not self.design.listed_when_complete:
            self.debug_list[serial] = None
        ino = next(self._inodes) if self.design.inodes_are_unique else 1
        file = kernel.new_file(Inode("dmabuf", ino))
        if file is None:
            if serial in self.debug_list:
                kernel.findings.report("dmabuf.I03", f"buffer {serial} was never made, and is listed")
            kernel.allocator.free(memory)
            return Errno.ENOMEM
        buffer = DmaBuf(kernel, ops, priv, size, ino, serial, file, Resv(kernel, self.design), memory)
        buffer.flags = flags
        if any(other.ino == ino for other in self.buffers.values()):
            kernel.findings.report("dmabuf.I21", f"{buffer} has the inode number {ino} of another one")
        file.fops = self.fops
        file.private_data = buffer
        self.buffers[serial] = buffer
        yield from self.debug_lock.acquire(task)
        self.debug_list.pop(serial, None)
        self.debug_list[buffer] = None
        self.debug_lock.release(task)
        return buffer

    def get(self, process: Process, n: int) -> DmaBuf | int:
        """Return the buffer behind a descriptor with one reference more: or -EBADF, -EINVAL (another kind of file)."""
        file = process.files.files.get(n)
        if file is None:
            return Errno.EBADF
        if not isinstance(file.private_data, DmaBuf):
            return Errno.EINVAL
        file.get()
        return file.private_data

    def put(self, task: Task, buffer: DmaBuf) -> None:
        """Drop a reference; the last one leaves the release to the way out. Never under a reservation."""
        if buffer.resv.owner is task or self.debug_lock.owner is task:
            lock = "RESV" if buffer.resv.owner is task else "DBG"
            self.kernel.findings.report("lock order", f"{buffer} is put while {lock} is held")
        buffer.file.put(task)

    def set_name(self, task: Task, buffer: DmaBuf, text: str) -> int:
        """Rename: 0, or -EINVAL (more than 31 characters). The old name is freed."""
        if len(text) + 1 > NAME_LENGTH:
            return Errno.EINVAL
        buffer.name_lock.take(task)
        old, buffer.name = buffer.name, Name(text)
        buffer.name_lock.release(task)
        if old is not None:
            old.freed = True
        return 0

    def debug_listing(self, task: Task, lines: list[str]) -> Step[int]:
        """Describe every buffer in `lines`, as the file bufinfo does; how many there are."""
        yield from self.debug_lock.acquire(task)
        for entry in list(self.debug_list):
            if isinstance(entry, int):
                self.kernel.findings.report("dmabuf.I01", f"buffer {entry} is listed before it is complete")
                continue
            if entry.file_gone:
                self.kernel.findings.report("dmabuf.I02", f"the listing walks {entry}, whose file is gone")
            yield from entry.resv.lock(task)
            name = yield from self._read_name(task, entry)
            lines.append(f"{entry.size} {entry.file.refs} {entry.ino} {name} {len(entry.attachments)} attached")
            entry.resv.unlock(task)
        self.debug_lock.release(task)
        return len(lines)

    def _read_name(self, task: Task, buffer: DmaBuf) -> Step[str]:
        if not self.design.name_is_locked:
            name = buffer.name
            yield point("listing: name read")
            if name is not None and name.freed:
                self.kernel.findings.report("dmabuf.I06", f"the name of {buffer} is used after a rename freed it")
            return name.text if name is not None else ""
        buffer.name_lock.take(task)
        text = buffer.name.text if buffer.name is not None else ""
        buffer.name_lock.release(task)
        return text

    # Importers.

    def attach(self, task: Task, buffer: DmaBuf, importer: Importer) -> Step[Attachment | int]:
        """Tie an importer to a buffer; the reservation is not held.

        -EINVAL (dynamic, without the callback that its era demands), -ENOMEM, what the exporter answers, and where
        the core maps for the pair, what pin and map answer.
        """
        if importer.dynamic and not importer.has_callback and self.design.era < Era.C71:
            return Errno.EINVAL
        memory = self.kernel.allocator.allocate("attachment")
        if memory is None:
            return Errno.ENOMEM
        attachment = Attachment(buffer, importer, memory, next(self._attachments))
        result = yield from buffer.ops.attach(task, attachment)
        if result:
            self.kernel.allocator.free(memory)
            return result
        yield from buffer.resv.lock(task)
        buffer.attachments.insert(0, attachment)
        if self.design.era < Era.C71 and attachment.dynamic != buffer.ops.dynamic:
            result = yield from self._map_for_pair(task, attachment)
        buffer.resv.unlock(task)
        if result:
            yield from self.detach(task, attachment)
            return result
        return attachment

    def _map_for_pair(self, task: Task, attachment: Attachment) -> Step[int]:
        if attachment.buffer.ops.dynamic:
            result = self.pin(task, attachment)
            if result:
                return result
        mapping = yield from self.map(task, attachment, Direction.BIDIRECTIONAL)
        if isinstance(mapping, int):
            if attachment.pins:
                self.unpin(task, attachment)
            return mapping
        attachment.cached = mapping
        return 0

    def detach(self, task: Task, attachment: Attachment) -> Step[None]:
        """Undo `attach`; the reservation is not held. The caller keeps its reference to the buffer."""
        buffer = attachment.buffer
        buffer.use("detach")
        yield from buffer.resv.lock(task)
        if attachment.cached is not None:
            cached, attachment.cached = attachment.cached, None
            self._unmap(task, cached)
            if buffer.ops.dynamic:
                self.unpin(task, attachment)
        buffer.attachments.remove(attachment)
        buffer.resv.unlock(task)
        for mapping in list(attachment.mappings):
            self.kernel.findings.report("dmabuf.I11", f"{attachment} is detached, {mapping} is left")
        if attachment.pins:
            self.kernel.findings.report("dmabuf.I11", f"{attachment} is detached with {attachment.pins} pins")
        yield from buffer.ops.detach(task, attachment)
        self.kernel.allocator.free(attachment.memory)

    def pin(self, task: Task, attachment: Attachment) -> int:
        """Ask that the memory stays: 0, also of a static exporter, or what the exporter answers."""
        attachment.buffer.resv.assert_held(task, "pin")
        result = attachment.buffer.ops.pin(attachment) if attachment.buffer.ops.dynamic else 0
        if result == 0:
            attachment.pins += 1
        return result

    def unpin(self, task: Task, attachment: Attachment) -> None:
        """Undo one pin; only after the unmap that needs it."""
        attachment.buffer.resv.assert_held(task, "unpin")
        if attachment.pins == 0:
            self.kernel.findings.report("dmabuf.I11", f"{attachment} is unpinned more often than pinned")
            return
        attachment.pins -= 1
        if attachment.buffer.ops.dynamic:
            attachment.buffer.ops.unpin(attachment)

    def map(self, task: Task, attachment: Attachment, direction: Direction) -> Step[Mapping | int]:
        """Return addresses for the importer.

        -EBUSY (the core's own mapping is for another direction), -ENOMEM, -EINTR (a static importer waits until
        nothing moves any more), or what the exporter answers.
        """
        buffer, dynamic = attachment.buffer, attachment.dynamic
        buffer.use("map")
        if dynamic or self.design.era >= Era.C612:
            buffer.resv.assert_held(task, "map")
        cached = attachment.cached
        if cached is not None:
            ok = cached.direction in (direction, Direction.BIDIRECTIONAL)
            return cached if ok else Errno.EBUSY
        pins = buffer.ops.dynamic and (not dynamic or not self.move_notify_built) and not attachment.pins
        if pins:
            result = self.pin(task, attachment)
            if result:
                return result
        mapping: Mapping | int = buffer.ops.map(task, attachment, direction)
        if not isinstance(mapping, int) and not dynamic and buffer.resv.entries:
            waited = yield from buffer.resv.wait(task, Usage.KERNEL)
            if waited <= 0:
                buffer.ops.unmap(task, mapping)
                mapping = waited
        if isinstance(mapping, int):
            if pins:
                self.unpin(task, attachment)
        elif pins:
            mapping.undo = lambda task: self.unpin(task, attachment)
        return mapping

    def unmap(self, task: Task, mapping: Mapping) -> None:
        """Give addresses back; what the core cached for the pair stays until detach."""
        attachment = mapping.attachment
        if attachment.dynamic or self.design.era >= Era.C612:
            attachment.buffer.resv.assert_held(task, "unmap")
        if attachment.cached is not mapping:
            self._unmap(task, mapping)

    def _unmap(self, task: Task, mapping: Mapping) -> None:
        mapping.attachment.buffer.ops.unmap(task, mapping)
        if mapping.undo is not None:
            mapping.undo(task)

    def move_notify(self, task: Task, buffer: DmaBuf) -> Step[None]:
        """Tell every dynamic importer, the newest first, that the memory moves; static ones hear nothing."""
        buffer.resv.assert_held(task, "move_notify")
        for attachment in list(buffer.attachments):
            if attachment.dynamic and attachment.importer.has_callback:
                yield from attachment.importer.notify(task)

    # Access by the CPU.

    def begin_cpu_access(self, task: Task, buffer: DmaBuf, flags: int) -> Step[int]:
        """Begin access: ask the exporter, then wait for the fences that matter (READ 1, WRITE 2). 0 or -EINTR."""
        result = buffer.ops.cpu_access(task, buffer, flags, True)
        if result:
            return result
        usage = Usage.READ if flags & 2 else Usage.WRITE
        waited = yield from buffer.resv.wait(task, usage)
        return min(waited, 0)

    def end_cpu_access(self, task: Task, buffer: DmaBuf, flags: int) -> int:
        """End access: 0, or what the exporter answers."""
        return buffer.ops.cpu_access(task, buffer, flags, False)

    # The end of a buffer.

    def unlist(self, task: Task, buffer: DmaBuf) -> Step[None]:
        """Take a buffer off the debug list."""
        yield from self.debug_lock.acquire(task)
        self.debug_list.pop(buffer, None)
        self.debug_lock.release(task)

    def finish(self, task: Task, buffer: DmaBuf) -> Step[None]:
        """Release a buffer that nobody refers to, and report what should not be left of it."""
        report = self.kernel.findings.report
        if buffer.released:
            report("double free", f"{buffer} is released twice")
            return
        if any(slot.armed for slot in buffer.slots):
            report("dmabuf.I18", f"{buffer} is released with a poll armed")
        yield from buffer.ops.release(task, buffer)
        buffer.resv.fini(task)
        if buffer.attachments:
            report("dmabuf.I09", f"{buffer} is released with {len(buffer.attachments)} attachments")
        buffer.released = True
        self.kernel.allocator.free(buffer.memory)
        del self.buffers[buffer.serial]
