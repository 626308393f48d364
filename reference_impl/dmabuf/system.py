# SPDX-License-Identifier: Apache-2.0
"""Shared device memory behind explicit calls: processes, descriptors, devices, attachments and fences by number.

Every call answers with 0, a count or number, a negative `Errno`, or an `Outcome`. A call runs to its end before the
next one, unless it sleeps; `call` prepares one that the caller steps, to meet another half way.
"""

from typing import Any

from ..kernel import PAGE, Errno, Finding, Poll, Step, Task, UserFault, point
from ..kernel.process import Process
from .buffer import DmaBuf
from .calls import Mapped, UserFence, by_process
from .device_calls import O_RDWR
from .fops import READ, WRITE, access
from .observation import observe
from .parts import PartCalls
from .resv import Usage, implicit
from .sync_file import SyncFile, merged

END = 4  # of the SYNC command
EXPIRY = 10  # seconds after which a process's fence is signaled all the same
SEEK_SET, SEEK_END = 0, 2


class System(PartCalls):
    """One machine: a dma-buf core in one design, accelerators that export, devices that import, and processes.

    `design` is a name in DESIGNS or a `Design`; `faults` names bugs to put in. `devices` accelerators (by default 2)
    have `pages` of memory each, `bar_pages` of them on the bus. `mmu`, `era`, `free` replace what the design says by
    default; `move_notify` tells whether the core was built with it; `later` leaves what a driver does by and by to
    calls of their own (parts.py).

    >>> system = System("D2c")
    >>> system.open(0, 0, 3), system.mem_alloc(0, 3, 8192)
    (3, 1)
    >>> address = system.mem_map(0, 3, 1)
    >>> system.export(0, 3, address, 8192), system.mem_unmap(0, 3, address)
    (0, <Errno.EINVAL: -22>)
    """

    # The descriptor of a buffer.

    @by_process
    def heap(self, task: Task, process: Process, size: int, fd: int | None = None, *, flags: int = O_RDWR) -> Step[int]:
        """Make a buffer of ordinary memory: a descriptor, -EINVAL, -EMFILE, -ENOMEM, -EFAULT."""
        self._unused(process, fd)
        return (yield from self.heap_exporter.allocate(task, process, size, fd, flags, False))

    def _held(self, process: Process, n: int) -> DmaBuf | int:
        """Return the buffer behind `n` with a reference, for a command on it: or -EBADF, -ENOTTY."""
        found = self.core.get(process, n)
        return Errno.ENOTTY if found == Errno.EINVAL else found

    @by_process
    def begin_cpu_access(self, task: Task, process: Process, n: int, flags: int) -> Step[int]:
        """SYNC START (READ 1, WRITE 2): wait for the fences that matter. 0, -EINVAL, -EINTR, -EBADF, -ENOTTY."""
        return (yield from self._sync(task, process, n, flags))

    @by_process
    def end_cpu_access(self, task: Task, process: Process, n: int, flags: int) -> Step[int]:
        """SYNC END: 0, -EINVAL, -EBADF, -ENOTTY."""
        return (yield from self._sync(task, process, n, flags | END))

    @by_process
    def sync(self, task: Task, process: Process, n: int, flags: int) -> Step[int]:
        """SYNC with flags READ 1, WRITE 2, END 4: -EINVAL for any other bit, or neither READ nor WRITE."""
        return (yield from self._sync(task, process, n, flags))

    def _sync(self, task: Task, process: Process, n: int, flags: int) -> Step[int]:
        buffer = self._held(process, n)
        if isinstance(buffer, int):
            return buffer
        if flags & ~(READ | WRITE | END) or not flags & (READ | WRITE):
            result = int(Errno.EINVAL)
        elif flags & END:
            result = self.core.end_cpu_access(task, buffer, flags)
        else:
            result = yield from self.core.begin_cpu_access(task, buffer, flags)
        self.core.put(task, buffer)
        return result

    @by_process
    def set_name(self, task: Task, process: Process, n: int, name: str) -> Step[int]:
        """SET_NAME: 0, -EINVAL (more than 31 characters), -EBADF, -ENOTTY."""
        buffer = self._held(process, n)
        if isinstance(buffer, int):
            return buffer
        yield point("set_name")
        result = self.core.set_name(task, buffer, name)
        self.core.put(task, buffer)
        return result

    @by_process
    def query(self, task: Task, process: Process, n: int) -> Step[int]:
        """Ask for the size of the buffer behind `n`: the size, -EBADF, -EINVAL, -EFAULT (copying out)."""
        buffer = self.core.get(process, n)
        if isinstance(buffer, int):
            return buffer
        yield point("query")
        failed = self.kernel.injector.take("copy_to_user") is not None
        size = buffer.size
        if not failed or self.design.failed_users_put:
            self.core.put(task, buffer)
        return Errno.EFAULT if failed else size

    @by_process
    def seek(self, task: Task, process: Process, n: int, offset: int, whence: int) -> Step[int]:
        """Seek to the start or the end: 0 or the size; -EINVAL for anything else, -EBADF."""
        buffer = self.core.get(process, n)
        if isinstance(buffer, int):
            return buffer
        yield point("seek")
        size = buffer.size
        self.core.put(task, buffer)
        if offset or whence not in (SEEK_SET, SEEK_END):
            return Errno.EINVAL
        return size if whence == SEEK_END else 0

    @by_process
    def poll(
        self, task: Task, process: Process, n: int, events: int = Poll.IN | Poll.OUT, *, block: bool = False
    ) -> Step[int]:
        """Return which of `events` (IN 1, OUT 4) are there; 0, -EBADF. With `block` it sleeps until there is one."""
        return (yield from self.kernel.poll(task, process, n, block, events))

    @by_process
    def wait_fences(self, task: Task, process: Process, n: int, usage: Usage, timeout: int | None = None) -> Step[int]:
        """Wait for the fences of buffer `n` up to `usage`: seconds left, 0 (time is up), -EINTR. No time: a test."""
        buffer = self.core.get(process, n)
        if isinstance(buffer, int):
            return buffer
        result = yield from buffer.resv.wait(task, usage, timeout)
        self.core.put(task, buffer)
        return result

    # Fences and sync files.

    @by_process
    def fence(self, task: Task, process: Process, n: int, usage: Usage, timeline: int | None = None) -> Step[int]:
        """Add a fence that the process will signal to buffer `n`: a fence number.

        It is signaled with an error after ten seconds. -EBUSY: a reader or writer would have to wait for another one.
        Fences of one `timeline` are later than one another; by default each has its own. -EBADF, -EINVAL, -ENOMEM.
        """
        buffer = self.core.get(process, n)
        if isinstance(buffer, int):
            return buffer
        yield from buffer.resv.lock(task)
        result = self._add_fence(task, process, buffer, usage, timeline)
        buffer.resv.unlock(task)
        self.core.put(task, buffer)
        return result

    def _add_fence(self, task: Task, process: Process, buffer: DmaBuf, usage: Usage, timeline: int | None) -> int:
        if not process.alive:
            return Errno.EINTR
        own = timeline is not None and timeline in self.timelines
        if usage in (Usage.READ, Usage.WRITE) and not own and not buffer.resv.idle(implicit(usage is Usage.WRITE)):
            return Errno.EBUSY
        failed = buffer.resv.reserve(task, 1)
        if failed:
            return failed
        f = next(self._numbers)
        line = self.core.fences.timeline(f"fence {f}") if timeline is None else self.timelines.get(timeline)
        if line is None:
            assert timeline is not None
            line = self.timelines[timeline] = self.core.fences.timeline(f"timeline {timeline}")
        fence = line.fence()
        if fence is None:
            return Errno.ENOMEM
        buffer.resv.add(task, fence, usage)
        self.user_fences[f] = UserFence(process.pid, fence, self.kernel.now + EXPIRY)
        fence.on_signal(task, fence.put)  # the promise itself keeps the fence until it is kept
        return f

    @by_process
    def signal(self, task: Task, process: Process, f: int) -> Step[int]:
        """Signal a fence: 0, or -ENOENT (unknown, or signaled already)."""
        yield point("signal")
        if f not in self.user_fences:
            return Errno.ENOENT
        self._expire(task, f, 0)
        return 0

    def advance(self, seconds: int) -> int:
        """Let time pass: fences expire, waits end. 0."""
        self.kernel.now += seconds

        def body(task: Task) -> Step[int]:
            yield from ()
            for f, promise in sorted(self.user_fences.items()):
                if promise.expires <= self.kernel.now:
                    self._expire(task, f, Errno.ETIMEDOUT)
            return 0

        task = Task("timer")
        return self._finish(self._enter(task, body(task)), -1)

    @by_process
    def export_sync_file(self, task: Task, process: Process, n: int, flags: int, fd: int | None = None) -> Step[int]:
        """EXPORT_SYNC_FILE: a descriptor of a snapshot of what a reader (1) or writer (2) waits for.

        -EINVAL (other flags), -EMFILE, -ENOMEM, -EBADF, -ENOTTY.
        """
        self._unused(process, fd)
        buffer = self._held(process, n)
        if isinstance(buffer, int):
            return buffer
        usage = access(flags)
        if usage is None:
            result = int(Errno.EINVAL)
        else:
            yield point("export: fences are read without the lock")
            pending = [fence for fence in buffer.resv.fences(usage) if not fence.signaled]
            result = self.sync_fops.make(task, process, pending, fd)
        self.core.put(task, buffer)
        return result

    def _sync_file(self, process: Process, n: int) -> SyncFile | None:
        file = process.files.files.get(n)
        return file.private_data if file is not None and isinstance(file.private_data, SyncFile) else None

    @by_process
    def import_sync_file(self, task: Task, process: Process, n: int, flags: int, m: int) -> Step[int]:
        """IMPORT_SYNC_FILE: add the fences of sync file `m` as of a reader (1) or a writer (2).

        0, -EINVAL (other flags, not a sync file), -ENOMEM, -EBADF, -ENOTTY (`n`).
        """
        buffer = self._held(process, n)
        if isinstance(buffer, int):
            return buffer
        sync = self._sync_file(process, m)
        result = 0
        if access(flags) is None or sync is None:
            result = Errno.EINVAL
        else:
            fences = [fence.get() for fence in sync.fences]
            yield from buffer.resv.lock(task)
            result = buffer.resv.reserve(task, max(1, len(fences)))  # what is over is a fence too
            for fence in fences if result == 0 else []:
                buffer.resv.add(task, fence, Usage.WRITE if flags & WRITE else Usage.READ)
            buffer.resv.unlock(task)
            for fence in fences:
                fence.put(task)
        self.core.put(task, buffer)
        return result

    @by_process
    def merge(self, task: Task, process: Process, n: int, m: int, fd: int | None = None) -> Step[int]:
        """SYNC_IOC_MERGE: a sync file of the fences of `n` and `m`; -ENOENT (`m` is none), -ENOTTY (`n`), -EMFILE."""
        self._unused(process, fd)
        yield point("merge")
        if n not in process.files.files:
            return Errno.EBADF
        one, other = self._sync_file(process, n), self._sync_file(process, m)
        if one is None:
            return Errno.ENOTTY
        if other is None:
            return Errno.ENOENT
        return self.sync_fops.make(task, process, merged(one, other), fd)

    @by_process
    def sync_status(self, task: Task, process: Process, n: int) -> Step[int]:
        """SYNC_IOC_FILE_INFO: 0 pending, 1 signaled, or the error; -EBADF, -ENOTTY."""
        yield point("sync_status")
        if n not in process.files.files:
            return Errno.EBADF
        sync = self._sync_file(process, n)
        return sync.status() if sync is not None else Errno.ENOTTY

    # Maps of processes.

    @by_process
    def mmap(
        self, task: Task, process: Process, n: int, pages: int, pgoff: int = 0, *, private: bool = False,
        writable: bool = True,
    ) -> Step[int]:  # fmt: skip
        """Map `pages` pages of buffer `n`: a map number.

        -EINVAL (the exporter has no mmap, private, beyond the end), -ENODEV (revoked), -EACCES (writable, and the
        description is not), -EBADF.
        """
        buffer = self.core.get(process, n)
        if buffer == Errno.EBADF:
            return Errno.EBADF
        if isinstance(buffer, int):
            return Errno.ENODEV
        self.core.put(task, buffer)
        if writable and not private and not buffer.flags & O_RDWR:
            return Errno.EACCES
        mm = process.mm
        start = yield from self.kernel.mmap(task, process, n, pgoff, pages, private)
        if start < 0:
            return start
        vma = mm.at(start)
        if vma is not None:
            vma.writable = writable
        number = next(self._numbers)
        self.maps[number] = Mapped(process, mm, start, pages)
        return number

    @by_process
    def munmap(self, task: Task, process: Process, m: int) -> Step[int]:
        """Unmap map `m`: 0."""
        mapped = self.mapped(m)
        del self.maps[m]
        return (yield from mapped.mm.munmap(task, mapped.start, mapped.pages))

    @by_process
    def mremap(self, task: Task, process: Process, m: int, pages: int) -> Step[int]:
        """Make map `m` as large as that, moving it: 0, -EFAULT (it must not grow), -EINVAL, -ENOMEM."""
        mapped = self.mapped(m)
        start = yield from mapped.mm.mremap(task, mapped.start, mapped.pages, pages, True)
        if start < 0:
            return start
        mapped.start, mapped.pages = start, pages
        return 0

    def touch(self, m: int, page: int = 0, *, write: bool = False) -> int:
        """Read, or write back, one byte of page `page` of map `m`: 0, SIGBUS (nothing behind it), SIGSEGV (no map)."""
        mapped = self.mapped(m)
        address = (mapped.start + page) * PAGE
        try:
            byte = mapped.mm.load(address, 1)
            if write:
                mapped.mm.store(address, byte)
        except UserFault as fault:
            mapped.process.signals.append(fault.signal)
            return fault.signal
        return 0

    def read_map(self, m: int, offset: int, size: int) -> bytes | int:
        """Read map `m` as its process does: bytes, or the signal that it gets."""
        mapped = self.mapped(m)
        try:
            return mapped.mm.load(mapped.start * PAGE + offset, size)
        except UserFault as fault:
            return fault.signal

    def write_map(self, m: int, offset: int, data: bytes) -> int:
        """Write map `m` as its process does: 0, or the signal that it gets."""
        mapped = self.mapped(m)
        try:
            mapped.mm.store(mapped.start * PAGE + offset, data)
        except UserFault as fault:
            return fault.signal
        return 0

    # Failures, and what can be seen.

    def inject(self, name: str, result: int = Errno.ENOMEM) -> int:
        """Let the next step called `name` fail, once (see INJECTABLE). 0."""
        self.kernel.injector.add(name, result)
        return 0

    def debug_listing(self) -> list[str]:
        """Return the lines of bufinfo: size, references, inode, name and attachments of every buffer."""
        lines: list[str] = []
        task = Task("bufinfo")
        self._finish(self._enter(task, self.core.debug_listing(task, lines)), -1)
        return lines

    def observe(self) -> dict[str, Any]:
        """Return the whole state as plain dicts; see `observation`."""
        return observe(self)

    def leftovers(self) -> dict[str, int]:
        """Return how many of each kind of thing there are: after everything was closed there should be none."""
        counts: dict[str, int] = {}
        for allocation in self.kernel.allocator.live.values():
            counts[allocation.kind] = counts.get(allocation.kind, 0) + 1
        descriptors = sum(len(p.files.files) + len(p.files.reserved) for p in self.kernel.processes.values() if p.alive)
        counts["descriptor"] = descriptors
        counts["description"] = len(self.kernel.files)
        counts["message"] = len(self.messages)
        counts["byte"] = sum(device.used for device in self.devices if device.mmu)
        counts["bus range"] = sum(len(d.domain) for d in [*self.peers, *self.importer_devices.values()])
        counts["session"] = sum(len(device.open_list) for device in self.devices)
        return {kind: n for kind, n in sorted(counts.items()) if n}

    @property
    def findings(self) -> list[Finding]:
        """What the kernel noticed about itself so far."""
        return self.kernel.findings.all
