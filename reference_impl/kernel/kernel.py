# SPDX-License-Identifier: Apache-2.0
"""The kernel as a whole: what there is one of, and the calls by which user code enters it."""

from collections.abc import Callable, Iterable
from itertools import count
from typing import Any

from .chardev import CharDevices
from .errno import Errno, Outcome
from .files import Inode, OpenFile
from .findings import Findings
from .iommu import Iommu
from .locks import LockGraph, Mutex
from .memory import Allocator, Injector
from .memory_maps import Mm
from .poll import ANY, PollTable
from .process import Process
from .steps import Step, Task, point
from .sysfs import Sysfs

INJECTABLE = (
    "alloc:cdev", "alloc:file", "alloc:vma", "cdev_device_add", "enable_iopf", "enable_sva", "pasid_invalid",
    "sva_bind",
)  # fmt: skip


class Kernel:
    """One running kernel. System calls are Steps whose value is what the call returns."""

    def __init__(self, injectable: Iterable[str] = ()) -> None:
        self.findings = Findings()
        self.locks = LockGraph(self.findings.report)
        self.injector = Injector([*INJECTABLE, *injectable])
        self.allocator = Allocator(self.injector, self.findings.report)
        self.sysfs = Sysfs("/sys/class/uacce")
        self.char_devices = CharDevices(self.allocator, self.injector, self.sysfs, self.findings.report)
        self.iommu = Iommu(self.injector, self.locks)
        self.processes: dict[int, Process] = {}
        self.files: dict[int, OpenFile] = {}  # descriptions not released yet
        self.now = 0  # seconds; moves only when told to
        self.mm_exit: Callable[[Task, Mm], Step[None]] | None = None  # called as an address space dies
        self._mms = count(1)
        self._files = count(1)
        self._maps = count(1)

    def mutex(self, lock_class: str) -> Mutex:
        """Return a new lock of the given class."""
        return Mutex(lock_class, self.locks)

    def _new_mm(self) -> Mm:
        return Mm(next(self._mms), self.allocator, self.locks, self._maps)

    def spawn(self, pid: int) -> Process:
        """Return a new process with nothing open and nothing mapped."""
        process = self.processes[pid] = Process(pid, self._new_mm())
        return process

    def syscall(self, task: Task, body: Step[int]) -> Step[int]:
        """Run `body`, then what it left for the way out: the release of descriptions nobody refers to any more."""
        result = yield from body
        if task.work:
            yield from self.task_work(task)
        return result

    def task_work(self, task: Task) -> Step[None]:
        """Release the descriptions whose last reference `task` dropped."""
        while task.work:
            file = task.work.pop()
            yield point("release deferred to task work")
            yield from self._release(task, file)

    def _release(self, task: Task, file: OpenFile) -> Step[None]:
        if file.released:
            self.findings.report("double free", f"file description {file.serial} is released twice")
            return
        file.released = True
        yield from file.fops.release(task, file)
        if file.cdev is not None:
            self.char_devices.put(file.cdev)
        del self.files[file.serial]

    def new_file(self, inode: Inode) -> OpenFile | None:
        """Return a new description with one reference that no number names yet, or None without memory."""
        if self.injector.take("alloc:file") is not None:
            return None
        file = OpenFile(inode, next(self._files))
        self.files[file.serial] = file
        return file

    def forget_file(self, file: OpenFile) -> None:
        """Undo `new_file`: it was never published, and has nothing to release."""
        del self.files[file.serial]

    def open(self, task: Task, process: Process, inode: Inode, n: int, cloexec: bool) -> Step[int]:
        """Open a device node as descriptor `n`, which is free; return `n` or a negative errno."""
        file = self.new_file(inode)
        if file is None:
            return Errno.ENOMEM
        result = yield from self.char_devices.open(task, inode, file)
        if result:
            del self.files[file.serial]
            return result
        process.files.install(n, file, cloexec)
        return n

    def close(self, task: Task, process: Process, n: int) -> Step[int]:
        """Close descriptor `n`; 0 or -EBADF."""
        yield point("close")
        file = process.files.remove(n)
        if file is None:
            return Errno.EBADF
        file.put(task)
        return 0

    def dup(self, task: Task, process: Process, n: int, m: int, cloexec: bool) -> Step[int]:
        """Let `m` name what `n` names, closing what `m` named; return `m` or -EBADF."""
        yield point("dup")
        file = process.files.files.get(n)
        if file is None:
            return Errno.EBADF
        if n != m:
            file.get()
            if old := process.files.remove(m):
                old.put(task)
            process.files.install(m, file, cloexec)
        return m

    def pass_fd(self, task: Task, sender: Process, n: int, receiver: Process, m: int) -> Step[int]:
        """Send descriptor `n` in a message; the receiver gets it as `m`, which is free. `m` or -EBADF."""
        file = sender.files.files.get(n)
        if file is None:
            return Errno.EBADF
        file.get()
        yield point("descriptor in flight")
        receiver.files.install(m, file, False)
        return m

    def ioctl(self, task: Task, process: Process, n: int, cmd: int, arg: Any) -> Step[int]:
        """Do command `cmd` on descriptor `n`; -EBADF, or what the driver answers."""
        file = process.files.files.get(n)
        if file is None:
            return Errno.EBADF
        file.get()
        try:
            return (yield from file.fops.ioctl(task, file, cmd, arg))
        finally:
            file.put(task)

    def mmap(self, task: Task, process: Process, n: int, pgoff: int, pages: int, private: bool) -> Step[int]:
        """Map descriptor `n`; return the first page number, -EBADF, or what `Mm.mmap` answers."""
        file = process.files.files.get(n)
        if file is None:
            return Errno.EBADF
        file.get()
        try:
            return (yield from process.mm.mmap(task, file, pgoff, pages, private))
        finally:
            file.put(task)

    def poll(self, task: Task, process: Process, n: int, block: bool, events: int = ANY) -> Step[int]:
        """Return those of `events` that descriptor `n` has, 0 if none and `block` is false, or -EBADF.

        With `block` it sleeps until there is one, or until a signal: -EINTR.
        """
        file = process.files.files.get(n)
        if file is None:
            return Errno.EBADF
        file.get()
        table = PollTable(task, events)
        try:
            while True:
                mask = yield from file.fops.poll(task, file, table)
                if mask or not block or table.released:
                    return mask
                if task.signal is not None:
                    return task.signal
                yield table.pause
                table.leave()
        finally:
            table.leave()
            file.put(task)

    def fork(self, task: Task, parent: Process, pid: int) -> Step[int]:
        """Make process `pid`, a copy of `parent`: same descriptions, memory copied where allowed. 0 or -ENOMEM."""
        mm = self._new_mm()
        result = yield from parent.mm.clone(task, mm)
        if result:
            mm.users = 0
            yield from mm.empty(task)
            return result
        child = self.processes[pid] = Process(pid, mm)
        child.files = parent.files.copy()
        return 0

    def exec(self, task: Task, process: Process) -> Step[int]:
        """Start another program: a new address space, close-on-exec descriptors closed; 0."""
        old, process.mm = process.mm, self._new_mm()
        yield from self._leave(task, old)
        for n in sorted(process.files.close_on_exec):
            if file := process.files.remove(n):
                file.put(task)
        return 0

    def exit(self, task: Task, process: Process) -> Step[int]:
        """End a process: its sleeping calls are killed, its memory goes first, its descriptors after that; 0."""
        for other in process.tasks - {task}:
            other.signal = Outcome.SIGKILL
        yield from self._leave(task, process.mm)
        for n in sorted(process.files.files):
            if file := process.files.remove(n):
                file.put(task)
        process.alive = False
        return 0

    def _leave(self, task: Task, mm: Mm) -> Step[None]:
        if self.mm_exit is not None:
            yield from self.mm_exit(task, mm)
        yield from mm.empty(task)
        mm.users -= 1
        self.iommu.forget(mm)
