# SPDX-License-Identifier: Apache-2.0
"""What processes do: live and die, open and close, start and stop queues, map, touch and poll."""

from .calls import FIRST_MAPPING, Calls, Mapping
from .kernel import PAGE, Call, Errno, Mm, Step, Task, UsageError, UserFault, point
from .kernel.process import Process
from .uacce import PUT_Q, SET_QP_INFO, START_Q, UacceQueue


class UserCalls(Calls):
    """The calls of user code, by process, descriptor and mapping number."""

    # Processes.

    def spawn(self, p: int) -> int:
        """Start process `p`; a number never used starts by itself at its first call. Answers 0."""
        process = self.kernel.processes.get(p)
        if process is not None and process.alive:
            raise UsageError(f"process {p} is running")
        self.kernel.spawn(p)
        return 0

    def alive(self, p: int) -> bool:
        """Tell whether process `p` runs (or would start at its first call)."""
        process = self.kernel.processes.get(p)
        return process is None or process.alive

    def fork(self, p: int, c: int) -> int:
        """Let process `p` fork; the child is process `c`, which must not be running. 0 or -ENOMEM."""
        child = self.kernel.processes.get(c)
        if child is not None and child.alive:
            raise UsageError(f"process {c} is running")
        return self._run("fork", p, c)

    def _fork(self, task: Task, p: int, c: int) -> Step[int]:
        return (yield from self.kernel.fork(task, self._process(p), c))

    def exec(self, p: int) -> int:
        """Let process `p` start another program: maps gone, close-on-exec descriptors closed. 0."""
        return self._run("exec", p)

    def _exec(self, task: Task, p: int) -> Step[int]:
        return (yield from self.kernel.exec(task, self._process(p)))

    def exit(self, p: int) -> int:
        """End process `p`: maps first, then descriptors. 0."""
        return self._run("exit", p)

    def _exit(self, task: Task, p: int) -> Step[int]:
        return (yield from self.kernel.exit(task, self._process(p)))

    def signal(self, p: int) -> int:
        """Send process `p` a signal that interrupts its sleeping calls with -EINTR. 0."""
        self._process(p).interrupt()
        self.settle()
        return 0

    # Descriptors.

    def open(self, p: int, d: int, n: int | None = None, *, cloexec: bool = False) -> int:
        """Open the node of device `d` as descriptor `n`, by default the lowest free; the descriptor or an errno.

        -ENXIO: no such device (any more). -ENODEV: removed, while somebody still has it open. -EBUSY, -EPERM: the
        driver has no hardware queue, or is stopped. -ENOMEM, -EINVAL (removed meanwhile), what binding answers.
        Raises UsageError where `n` is taken.
        """
        return self._run("open", p, d, n, cloexec)

    def _open(self, task: Task, p: int, d: int, n: int | None = None, cloexec: bool = False) -> Step[int]:
        process = self._process(p)
        n = self._free_descriptor(process, n)
        inode = self._inodes.get(d)
        if inode is None:
            yield point("no node")
            return Errno.ENXIO
        return (yield from self.kernel.open(task, process, inode, n, cloexec))

    @staticmethod
    def _free_descriptor(process: Process, n: int | None) -> int:
        if n is None:
            return process.files.lowest_free()
        if n in process.files.files:
            raise UsageError(f"descriptor {n} of process {process.pid} is open; dup() replaces one")
        return n

    def close(self, p: int, n: int) -> int:
        """Close descriptor `n`: 0 or -EBADF."""
        return self._run("close", p, n)

    def _close(self, task: Task, p: int, n: int) -> Step[int]:
        return (yield from self.kernel.close(task, self._process(p), n))

    def dup(self, p: int, n: int, m: int, *, cloexec: bool = False) -> int:
        """Let `m` name what `n` names, closing what `m` named (dup3): `m` or -EBADF."""
        return self._run("dup", p, n, m, cloexec)

    def _dup(self, task: Task, p: int, n: int, m: int, cloexec: bool = False) -> Step[int]:
        return (yield from self.kernel.dup(task, self._process(p), n, m, cloexec))

    def pass_fd(self, p: int, n: int, c: int, m: int | None = None) -> int:
        """Send descriptor `n` of `p` to process `c`, which gets it as `m` (SCM_RIGHTS): `m` or -EBADF."""
        return self._run("pass_fd", p, n, c, m)

    def _pass_fd(self, task: Task, p: int, n: int, c: int, m: int | None = None) -> Step[int]:
        receiver = self._process(c)
        m = self._free_descriptor(receiver, m)
        return (yield from self.kernel.pass_fd(task, self._process(p), n, receiver, m))

    # Queues.

    def start(self, p: int, n: int) -> int:
        """START: 0, -EINVAL (runs already), -ENXIO (dead queue), -EBADF, or what the driver answers."""
        return self._run("start", p, n)

    def _start(self, task: Task, p: int, n: int) -> Step[int]:
        return (yield from self.kernel.ioctl(task, self._process(p), n, START_Q, 0))

    def put_q(self, p: int, n: int) -> int:
        """PUT_Q: 0, -ENXIO (dead queue), -EBADF. It stops the queue; its hardware stays with it."""
        return self._run("put_q", p, n)

    def _put_q(self, task: Task, p: int, n: int) -> Step[int]:
        return (yield from self.kernel.ioctl(task, self._process(p), n, PUT_Q, 0))

    def driver_ioctl(self, p: int, n: int, cmd: int = SET_QP_INFO, arg: int = 0) -> int:
        """Do a command of the driver: what it answers, -EINVAL (unknown), -ENXIO (dead queue), -EBADF."""
        return self._run("driver_ioctl", p, n, cmd, arg)

    def _driver_ioctl(self, task: Task, p: int, n: int, cmd: int = SET_QP_INFO, arg: int = 0) -> Step[int]:
        return (yield from self.kernel.ioctl(task, self._process(p), n, cmd, arg))

    def poll(self, p: int, n: int, *, block: bool = False) -> int:
        """Return the events of descriptor `n` (IN|RDNORM = 0x41, ERR|HUP = 0x18), 0 or -EBADF.

        With `block` and nothing there the answer is WOULD_BLOCK and the process sleeps; see `sleeping`, `woken`.
        """
        return self._run("poll", p, n, block)

    def _poll(self, task: Task, p: int, n: int, block: bool = False) -> Step[int]:
        return (yield from self.kernel.poll(task, self._process(p), n, block))

    # Maps.

    def mmap(self, p: int, n: int, region: int, pages: int, *, private: bool = False) -> int:
        """Map `pages` pages of region 0 (MMIO) or 1 (DUS) of descriptor `n`; a mapping number or an errno.

        -EINVAL (no such region, no callback, wrong size), -EEXIST (mapped), -ENXIO (dead queue), -ENOMEM, -EBADF.
        """
        return self._run("mmap", p, n, region, pages, private)

    def _mmap(self, task: Task, p: int, n: int, region: int, pages: int, private: bool = False) -> Step[int]:
        process = self._process(p)
        mm = process.mm
        start = yield from self.kernel.mmap(task, process, n, region, pages, private)
        if start < FIRST_MAPPING:  # an error, or a driver's positive answer, which no user can tell from an address
            return start
        number = next(self._mapping_numbers)
        self.mappings[number] = Mapping(p, mm, start, pages)
        vma = mm.at(start)
        if vma is not None:
            self.mapping_of_call[vma.call] = number
        return number

    def munmap(self, m: int, first: int = 0, pages: int | None = None) -> int:
        """Unmap `pages` pages of mapping `m` from page `first`, by default all: 0, -EINVAL (no pages), -ENOMEM."""
        return self._run("munmap", m, first, pages)

    def _munmap(self, task: Task, m: int, first: int = 0, pages: int | None = None) -> Step[int]:
        mapping = self._mapping(m)
        size = mapping.pages - first if pages is None else pages
        return (yield from self._mm(mapping).munmap(task, mapping.start + first, size))

    def mprotect(self, m: int, first: int = 0, pages: int | None = None, *, writable: bool = True) -> int:
        """Allow or forbid writing: 0, or -ENOMEM where nothing is mapped. Splits pieces at the edges."""
        return self._run("mprotect", m, first, pages, writable)

    def _mprotect(
        self, task: Task, m: int, first: int = 0, pages: int | None = None, writable: bool = True
    ) -> Step[int]:
        mapping = self._mapping(m)
        size = mapping.pages - first if pages is None else pages
        return (yield from self._mm(mapping).mprotect(task, mapping.start + first, size, writable))

    def mremap(self, m: int, old_pages: int, new_pages: int, *, first: int = 0, move: bool = False) -> int:
        """Shrink, grow or move pages of mapping `m`: 0, -EFAULT (grow, or nothing there), -EPERM (move).

        A move that succeeds takes the number along if it moves all of the mapping; a part gets a new number.
        """
        return self._run("mremap", m, old_pages, new_pages, first, move)

    def _mremap(
        self, task: Task, m: int, old_pages: int, new_pages: int, first: int = 0, move: bool = False
    ) -> Step[int]:
        mapping = self._mapping(m)
        mm = self._mm(mapping)
        start = yield from mm.mremap(task, mapping.start + first, old_pages, new_pages, move)
        if start < 0 or start == mapping.start + first:
            return min(start, 0)
        if first == 0 and old_pages == mapping.pages:
            mapping.start, mapping.pages = start, new_pages
            return 0
        number = next(self._mapping_numbers)
        self.mappings[number] = Mapping(mapping.process, mm, start, new_pages)
        return number

    def _mm(self, mapping: Mapping) -> Mm:
        return self._process(mapping.process).mm

    def touch(self, m: int, page: int = 0, *, write: bool = False) -> int:
        """Read, or write back, one byte of a page: 0, SIGBUS (no page behind it), SIGSEGV (no map, no right)."""
        mapping = self._mapping(m)
        process = self._process(mapping.process)
        address = (mapping.start + page) * PAGE + PAGE // 2
        task = process.task("touch")
        steps = self._touch(task, process, address, write)
        return Call(task, steps, self.kernel.findings.report).run()

    @staticmethod
    def _touch(task: Task, process: Process, address: int, write: bool) -> Step[int]:
        yield from ()
        try:
            byte = process.mm.load(address, 1)
            if write:
                process.mm.store(address, byte)
        except UserFault as fault:
            process.signals.append(fault.signal)
            return fault.signal
        return 0

    def allocate(self, p: int, pages: int) -> int:
        """Give process `p` zeroed memory of its own: a mapping number or -ENOMEM. `address` says where it is."""
        mm = self._process(p).mm
        start = mm.anonymous(pages)
        if start < 0:
            return start
        number = next(self._mapping_numbers)
        self.mappings[number] = Mapping(p, mm, start, pages)
        return number

    def address(self, m: int) -> int:
        """Return the address of the first byte of mapping `m` in its process."""
        return self._mapping(m).start * PAGE

    def load(self, m: int, offset: int, size: int) -> bytes:
        """Read `size` bytes of mapping `m` as its process does. Raises UserFault where that would get a signal."""
        mapping = self._mapping(m)
        return self._mm(mapping).load(mapping.start * PAGE + offset, size)

    def store(self, m: int, offset: int, data: bytes) -> None:
        """Write to mapping `m` as its process does. Raises UserFault where that would get a signal."""
        mapping = self._mapping(m)
        self._mm(mapping).store(mapping.start * PAGE + offset, data)

    def queue_of(self, p: int, n: int) -> UacceQueue | None:
        """Return the queue behind descriptor `n`, None where there is none."""
        process = self.kernel.processes.get(p)
        file = process.files.files.get(n) if process is not None else None
        queue = file.private_data if file is not None else None
        return queue if isinstance(queue, UacceQueue) else None
