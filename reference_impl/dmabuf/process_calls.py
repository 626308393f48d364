# SPDX-License-Identifier: Apache-2.0
"""What processes do: live and die, pass descriptors on, and let devices import what is behind them."""

from ..kernel import Errno, Step, Task, UsageError, UserFault, point
from ..kernel.files import OpenFile
from ..kernel.process import Process
from . import jobs
from .buffer import Direction
from .calls import by_importer, by_process
from .device_calls import DeviceCalls
from .importer import Importer, Kind
from .region import Region


class ProcessCalls(DeviceCalls):
    """Calls of processes and of the drivers that import for them."""

    # Processes and their descriptors.

    def spawn(self, p: int) -> int:
        """Start process `p`; a number never used starts by itself at its first call. 0."""
        process = self.kernel.processes.get(p)
        if process is not None and process.alive:
            raise UsageError(f"process {p} is running")
        self.kernel.spawn(p)
        return 0

    def alive(self, p: int) -> bool:
        """Tell whether process `p` runs (or would start at its first call)."""
        process = self.kernel.processes.get(p)
        return process is None or process.alive

    def limit(self, p: int, descriptors: int) -> int:
        """Let process `p` have that many descriptors at most. 0."""
        self._process(p).files.limit = descriptors
        return 0

    @by_process
    def fork(self, task: Task, process: Process, c: int) -> Step[int]:
        """Fork; the child is process `c`. It gets the descriptors, not the imports, of its parent. 0 or -ENOMEM."""
        child = self.kernel.processes.get(c)
        if child is not None and child.alive:
            raise UsageError(f"process {c} is running")
        return (yield from self.kernel.fork(task, process, c))

    @by_process
    def exec(self, task: Task, process: Process) -> Step[int]:
        """Start another program: maps gone, close-on-exec descriptors closed, imports torn down. 0."""
        result = yield from self.kernel.exec(task, process)
        yield from self._end_imports(task, process)
        return result

    @by_process
    def exit(self, task: Task, process: Process) -> Step[int]:
        """End a process: maps first, then descriptors, then imports. 0."""
        return (yield from self._end_process(task, process))

    def _end_process(self, task: Task, process: Process) -> Step[int]:
        result = yield from self.kernel.exit(task, process)
        yield from self._end_imports(task, process)
        for f, promise in list(self.user_fences.items()):
            if promise.pid == process.pid:
                self._expire(task, f, Errno.ENOENT)
        return result

    def _end_imports(self, task: Task, process: Process) -> Step[None]:
        for key, (p, region) in list(self.regions.items()):
            if p == process.pid:
                del self.regions[key]
                yield from region.deregister(task)
        for t, (p, importer) in list(self.importers.items()):
            if p == process.pid:
                del self.importers[t]
                yield from importer.detach(task)
        yield from jobs.end_imports(task, self.contexts(), process.pid)

    def signal_process(self, p: int) -> int:
        """Send process `p` a signal that interrupts its sleeping calls with -EINTR. 0."""
        self._process(p).interrupt()
        self.settle()
        return 0

    @by_process
    def close(self, task: Task, process: Process, n: int) -> Step[int]:
        """Close descriptor `n`: 0 or -EBADF."""
        return (yield from self.kernel.close(task, process, n))

    @by_process
    def dup(self, task: Task, process: Process, n: int, m: int | None = None, *, cloexec: bool = False) -> Step[int]:
        """Let `m`, by default the lowest free, name what `n` names: `m`, -EBADF, -EMFILE. What `m` named is closed."""
        files = process.files
        if n not in files.files:
            yield point("dup")
            return Errno.EBADF
        if m is None or m not in files.files:
            if files.full:
                return Errno.EMFILE
            m = files.lowest_free() if m is None else m
        return (yield from self.kernel.dup(task, process, n, m, cloexec))

    @by_process
    def send(self, task: Task, process: Process, n: int) -> Step[int]:
        """Send descriptor `n` in a message (SCM_RIGHTS), which holds the description: a message number, or -EBADF."""
        file = process.files.files.get(n)
        yield point("send")
        if file is None:
            return Errno.EBADF
        number = next(self._numbers)
        self.messages[number] = file.get()
        return number

    @by_process
    def receive(self, task: Task, process: Process, message: int, m: int | None = None) -> Step[int]:
        """Get the descriptor in a message, as `m`: the descriptor, or -EMFILE. The message is gone either way."""
        self._unused(process, m)
        file: OpenFile | None = self.messages.pop(message, None)
        if file is None:
            raise UsageError(f"there is no message {message}")
        yield point("receive")
        number = process.files.reserve(m)
        if number < 0:
            file.put(task)
            return number
        process.publish(task, number, file)
        return number

    @by_process
    def drop(self, task: Task, process: Process, message: int) -> Step[int]:
        """Throw a message away that nobody will receive: its socket is closed. 0."""
        file: OpenFile | None = self.messages.pop(message, None)
        if file is None:
            raise UsageError(f"there is no message {message}")
        yield point("drop")
        file.put(task)
        return 0

    # Importing.

    @by_process
    def attach(self, task: Task, process: Process, n: int, kind: Kind, i: int = 0) -> Step[int]:
        """Let importing device `i` attach to buffer `n` as an importer of `kind`: an attachment number.

        -EBADF, -EINVAL (not a buffer; before 2026, dynamic without a callback), -ENOMEM, what the exporter answers.
        """
        buffer = self.core.get(process, n)
        if isinstance(buffer, int):
            return buffer
        importer = Importer(self.core, self.importer_device(i), kind, buffer)
        result = yield from importer.attach(task)
        if result:
            if self.design.failed_users_put:
                self.core.put(task, buffer)
            return result
        if not process.alive:  # killed meanwhile: its end cannot have found this import
            yield from importer.detach(task)
            return Errno.EINTR
        t = importer.number = next(self._numbers)
        self.importers[t] = process.pid, importer
        return t

    @by_importer
    def detach(self, task: Task, importer: Importer) -> Step[int]:
        """Tear attachment `t` down: unmap, unpin, detach, put. 0."""
        del self.importers[importer.number]
        return (yield from importer.detach(task))

    @by_importer
    def pin(self, task: Task, importer: Importer) -> Step[int]:
        """Pin: see `Importer.pin`."""
        return (yield from importer.pin(task))

    @by_importer
    def unpin(self, task: Task, importer: Importer) -> Step[int]:
        """Undo one pin: see `Importer.unpin`."""
        return (yield from importer.unpin(task))

    @by_importer
    def map(self, task: Task, importer: Importer, direction: Direction = Direction.BIDIRECTIONAL) -> Step[int]:
        """Map: see `Importer.map`."""
        return (yield from importer.map(task, direction))

    @by_importer
    def unmap(self, task: Task, importer: Importer) -> Step[int]:
        """Unmap: 0, or -EINVAL where nothing is mapped."""
        return (yield from importer.unmap(task))

    @by_importer
    def begin_access(self, task: Task, importer: Importer) -> Step[int]:
        """Let the importing device begin an access: see `Importer.begin`."""
        return (yield from importer.begin(task))

    @by_importer
    def finish_access(self, task: Task, importer: Importer) -> Step[int]:
        """Let that access be over: 0, or -EINVAL."""
        yield from ()
        return importer.finish(task)

    def dma_read(self, t: int, offset: int, size: int) -> bytes | int:
        """Let the importing device read through the mapping of attachment `t`: bytes, or -EFAULT."""
        importer = self._importer(t)[1]
        if importer.mapping is None:
            return Errno.EFAULT
        try:
            return importer.device.domain.load(importer.mapping.segments, offset, size)
        except UserFault:
            return Errno.EFAULT

    def dma_write(self, t: int, offset: int, data: bytes) -> int:
        """Let the importing device write through the mapping of attachment `t`: 0, or -EFAULT."""
        importer = self._importer(t)[1]
        if importer.mapping is None:
            return Errno.EFAULT
        try:
            importer.device.domain.store(importer.mapping.segments, offset, data)
        except UserFault:
            return Errno.EFAULT
        return 0

    @by_process
    def register(
        self, task: Task, process: Process, n: int, offset: int, length: int, *, revocable: bool, i: int = 0
    ) -> Step[int]:
        """Register a memory region on buffer `n`: its key, or an errno; see `Region.register`."""
        buffer = self.core.get(process, n)
        if isinstance(buffer, int):
            return buffer
        device = self.importer_device(i)
        region = Region(self.core, device, buffer, self.keys[i], offset, length, revocable=revocable)
        result = yield from region.register(task)
        if result < 0:
            if region.attachment is None:
                self.core.put(task, buffer)
            return result
        if not process.alive:
            yield from region.deregister(task)
            return Errno.EINTR
        self.regions[result] = process.pid, region
        return result

    @by_process
    def deregister(self, task: Task, process: Process, key: int) -> Step[int]:
        """End the region of a key: 0, or -EINVAL (not a region of this process)."""
        found = self.regions.get(key)
        if found is None or found[0] != process.pid:
            yield point("deregister")
            return Errno.EINVAL
        result = yield from found[1].deregister(task)
        self.regions.pop(key, None)
        return result

    def rdma_read(self, key: int, offset: int, size: int) -> bytes | int:
        """Read as a remote peer does: bytes, -EINVAL (no such key, revoked, beyond the region), -EFAULT."""
        found = self.regions.get(key)
        try:
            return found[1].read(offset, size) if found is not None else Errno.EINVAL
        except UserFault:
            return Errno.EFAULT

    def rdma_write(self, key: int, offset: int, data: bytes) -> int:
        """Write as a remote peer does: 0, or as `rdma_read`."""
        found = self.regions.get(key)
        try:
            return found[1].write(offset, data) if found is not None else Errno.EINVAL
        except UserFault:
            return Errno.EFAULT

    def _expire(self, task: Task, f: int, error: int) -> None:
        fence = self.user_fences.pop(f).fence
        if error:
            fence.set_error(error)
        fence.signal(task)
