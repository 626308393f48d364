# SPDX-License-Identifier: Apache-2.0
"""The whole reference implementation behind explicit calls: processes, descriptors, devices and maps by number.

Every call answers with 0, a count or number, a negative `Errno`, or an `Outcome`. A call runs to its end before the
next one, unless it sleeps; `call` starts one that the caller steps, to meet another half way.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count
from typing import Any

from .faults import with_faults
from .kernel import PAGE, Call, Errno, Finding, Kernel, Mm, Outcome, Step, Task, UsageError, UserFault, answer, point
from .kernel.files import Inode
from .kernel.process import Process
from .observation import observe
from .uacce import (
    BEHAVIOURS,
    CALLBACKS,
    PUT_Q,
    SET_QP_INFO,
    START_Q,
    Behaviour,
    Framework,
    Provider,
    UacceFops,
    UacceQueue,
    exit_puts_queues,
)

INJECTABLE = (*CALLBACKS, "alloc:queue", "alloc:region", "alloc:uacce", "copy_from_user", "id_alloc", "pm_get")

FIRST_MAPPING = 1 << 16  # mapping numbers begin here, so that no other positive answer looks like one


@dataclass(slots=True)
class Mapping:
    """What a mapping number stands for: a range of pages in an address space."""

    process: int
    mm: Mm
    start: int
    pages: int


class System:
    """One machine: a kernel with uacce in it, its devices, and the processes that use them.

    `behaviour` is "6.12.117", "intended" or a `Behaviour`; `faults` names bugs to put in. `provider` makes the
    hardware of a device; what `alloc` does not say about it is in `hardware` (capacity, mmio_pages, dus_pages,
    callbacks, ...). With `reuse_ids` a device gets the lowest free number, as in Linux: a node kept from a removed
    device may then lead to another one. Without it numbers are never used again.
    """

    def __init__(
        self,
        behaviour: str | Behaviour = "6.12.117",
        *,
        faults: Iterable[str] = (),
        provider: Callable[..., Provider] = Provider,
        hardware: dict[str, Any] | None = None,
        reuse_ids: bool = False,
    ) -> None:
        if isinstance(behaviour, str):
            if behaviour not in BEHAVIOURS:
                raise UsageError(f"no behaviour is called {behaviour!r}; there are: {', '.join(BEHAVIOURS)}")
            behaviour = BEHAVIOURS[behaviour]
        self.behaviour = with_faults(behaviour, faults)
        self.kernel = Kernel(INJECTABLE)
        self.framework = Framework(self.kernel, self.behaviour, reuse_ids=reuse_ids)
        self.framework.fops = UacceFops(self.framework)
        if self.behaviour.exit_puts_queues:
            self.kernel.mm_exit = exit_puts_queues(self.framework)
        self.providers: dict[int, Provider] = {}  # by device number, the last one of that number
        self.mappings: dict[int, Mapping] = {}
        self._make_provider = provider
        self._hardware = dict(hardware or {})
        self._inodes: dict[int, Inode] = {}
        self._mapping_numbers = count(FIRST_MAPPING)
        self._asleep: list[tuple[int, int, Call]] = []
        self._woken: list[tuple[int, int, int]] = []

    # Running calls.

    def call(self, name: str, *args: Any, **kwargs: Any) -> Call:
        """Prepare the call that the method `name` makes, for a Scheduler or run_threads; nothing runs yet.

        >>> Scheduler([system.call("open", 0, 0, 3), system.call("remove", 0)]).run(choose)
        """
        body = getattr(self, f"_{name}", None)
        if body is None or name not in _STEPPED:
            raise UsageError(f"no call is named {name!r}; there are: {', '.join(_STEPPED)}")
        process = None if name in _DEVICE_CALLS else self._process(self.mappings[args[0]].process if name in _MAP_CALLS
                                                                  else args[0])  # fmt: skip
        task = process.task(name) if process is not None else Task(f"{name}({args[0] if args else ''})")
        return Call(task, self.kernel.syscall(task, body(task, *args, **kwargs)), self.kernel.findings.report)

    def _run(self, name: str, *args: Any, **kwargs: Any) -> int:
        call = self.call(name, *args, **kwargs)
        result = call.run()
        if not call.done:
            if call.at is not None and call.at.kind == "lock":
                return Outcome.DEADLOCK
            self._asleep.append((args[0], args[1], call))
        self.settle()
        return answer(result)

    def settle(self) -> None:
        """Let every sleeping call that was woken go on; what they returned is in `woken()`."""
        while ready := [entry for entry in self._asleep if entry[2].ready]:
            for entry in ready:
                who, what, call = entry
                call.run()
                if call.done:
                    self._asleep.remove(entry)
                    if call.task.process is not None:
                        self._woken.append((who, what, answer(call.result)))

    def sleeping(self) -> list[tuple[int, int]]:
        """Return (process, descriptor) of every poll that sleeps."""
        return [(who, what) for who, what, call in self._asleep if call.task.process is not None]

    def woken(self) -> list[tuple[int, int, int]]:
        """Return (process, descriptor, result) of every poll that ended since the last time."""
        woken, self._woken = self._woken, []
        return woken

    # Processes.

    def _process(self, p: int) -> Process:
        process = self.kernel.processes.get(p)
        if process is None:
            return self.kernel.spawn(p)
        if not process.alive:
            raise UsageError(f"process {p} has exited; spawn({p}) starts another one")
        return process

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
        return self._run("ioctl", p, n, START_Q)

    def put_q(self, p: int, n: int) -> int:
        """PUT_Q: 0, -ENXIO (dead queue), -EBADF. It stops the queue; its hardware stays with it."""
        return self._run("ioctl", p, n, PUT_Q)

    def driver_ioctl(self, p: int, n: int, cmd: int = SET_QP_INFO, arg: int = 0) -> int:
        """Do a command of the driver: what it answers, -EINVAL (unknown), -ENXIO (dead queue), -EBADF."""
        return self._run("ioctl", p, n, cmd, arg)

    def _ioctl(self, task: Task, p: int, n: int, cmd: int, arg: int = 0) -> Step[int]:
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
        return number

    def _mapping(self, m: int) -> Mapping:
        mapping = self.mappings.get(m)
        if mapping is None:
            raise UsageError(f"there is no mapping {m}")
        return mapping

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

    # Devices.

    def alloc(self, d: int, *, sva: bool = True, **hardware: Any) -> int:
        """Let the driver of device `d` probe: make the uacce device, not published yet. 0 or a negative errno.

        `hardware`: capacity, mmio_pages, dus_pages, callbacks (names), is_vf, physical (a Provider), threshold.
        """
        old = self.providers.get(d)
        if old is not None and old.device is not None and old.device.parent is not None:
            raise UsageError(f"device {d} exists; remove it first")
        provider = self._make_provider(self.framework, **{**self._hardware, **hardware})
        result = provider.probe("hisi", sva=sva)
        if result == 0:
            self.providers[d] = provider
            self._inodes.pop(d, None)
        return answer(result)

    def register(self, d: int) -> int:
        """Publish device `d`: 0, -ENODEV (never allocated), -ENOMEM, or why the driver model refuses it."""
        provider = self.providers.get(d)
        device = provider.device if provider is not None else None
        if device is not None and device.state.name not in ("ALLOCATED",):
            raise UsageError(f"device {d} is {device.state.name.lower()}; only an allocated one can be registered")
        result = self.framework.register(device)
        if result == 0 and device is not None:
            self._inodes[d] = self.kernel.char_devices.nodes[device.name]
        return answer(result)

    def remove(self, d: int, *, wait_for_users: bool = False) -> int:
        """Remove device `d`; 0, also where there is none. With `wait_for_users` as the HiSilicon driver does it.

        Open descriptions keep their dead queues. Waiting for users answers WOULD_BLOCK while there are any.
        """
        return self._run("remove", d, wait_for_users)

    def _remove(self, task: Task, d: int, wait_for_users: bool = False) -> Step[int]:
        provider = self.providers.get(d)
        device = provider.device if provider is not None else None
        if device is not None and device.parent is None:
            device = None
        if wait_for_users and provider is not None and device is not None:
            yield from provider.users_gone()
        return (yield from self.framework.remove(task, device))

    def _provider(self, d: int) -> Provider:
        provider = self.providers.get(d)
        if provider is None:
            raise UsageError(f"device {d} was never allocated")
        return provider

    def queue_of(self, p: int, n: int) -> UacceQueue | None:
        """Return the queue behind descriptor `n`, None where there is none."""
        file = self._process(p).files.files.get(n)
        queue = file.private_data if file is not None else None
        return queue if isinstance(queue, UacceQueue) else None

    def complete(self, p: int, n: int, jobs: int = 1) -> int:
        """Let the hardware finish up to `jobs` requests of the queue behind `n`; how many it finished, or -EBADF.

        A queue that does not run finishes none.
        """
        q = self.queue_of(p, n)
        if q is None:
            return Errno.EBADF
        hardware = q.priv
        if hardware is None or hardware.owner is not q:
            return 0
        done = int(hardware.provider.complete(hardware, jobs))
        self.settle()
        return done

    def interrupt(self, d: int, number: int) -> int:
        """Let hardware queue `number` of device `d` interrupt, whether or not something completed. 0."""
        provider = self._provider(d)
        if not 0 <= number < provider.capacity:
            raise UsageError(f"device {d} has hardware queues 0 to {provider.capacity - 1}")
        provider.interrupt(provider.queues[number])
        self.settle()
        return 0

    def hw_error(self, d: int) -> int:
        """Let the hardware of device `d` report an error. 0."""
        self._provider(d).hardware_error()
        return 0

    def reset(self, d: int, ok: bool = True) -> int:
        """Reset device `d`, all accepted requests are lost; `ok` tells whether it works again. 0."""
        provider = self._provider(d)
        provider.begin_reset()
        provider.end_reset(ok)
        self.settle()
        return 0

    def begin_reset(self, d: int) -> int:
        """Begin a reset of device `d`; until `end_reset` it is stopped. 0."""
        self._provider(d).begin_reset()
        return 0

    def end_reset(self, d: int, ok: bool = True) -> int:
        """End a reset of device `d`. 0."""
        self._provider(d).end_reset(ok)
        return 0

    def advance(self, seconds: int) -> int:
        """Let time pass. 0."""
        self.kernel.now += seconds
        return 0

    def _directory(self, d: int) -> str:
        provider = self.providers.get(d)
        return provider.device.name if provider is not None and provider.device is not None else ""

    def read_sysfs(self, d: int, name: str) -> str | int:
        """Return the text of an attribute of device `d`, -ENOENT where there is none, or the driver's errno."""
        return self._sysfs("read_sysfs", lambda: self.kernel.sysfs.read(self._directory(d), name))

    def write_sysfs(self, d: int, name: str, text: str) -> int:
        """Write an attribute of device `d`: bytes taken, -ENOENT, -EACCES (read only), -EINVAL, or the driver's."""
        result = self._sysfs("write_sysfs", lambda: self.kernel.sysfs.write(self._directory(d), name, text))
        return result if isinstance(result, int) else Errno.EINVAL

    def _sysfs(self, name: str, access: Callable[[], str | int]) -> str | int:
        texts: list[str] = []

        def steps() -> Step[int]:
            yield from ()
            result = access()
            if isinstance(result, str):
                texts.append(result)
                return 0
            return result

        result = Call(Task(name), steps(), self.kernel.findings.report).run()
        return texts[0] if texts else answer(result)

    # Failures, and what can be seen.

    def inject(self, name: str, result: int) -> int:
        """Let the next step called `name` answer `result`, once: a callback or a kernel step (see INJECTABLE). 0."""
        self.kernel.injector.add(name, result)
        return 0

    def fail_allocation(self, k: int = 1) -> int:
        """Let the k-th kernel allocation from now fail. 0."""
        self.kernel.allocator.fail_at(k)
        return 0

    def observe(self) -> dict[str, Any]:
        """Return the whole state as plain dicts; see `observation`."""
        return observe(self)

    @property
    def findings(self) -> list[Finding]:
        """What the kernel noticed about itself so far."""
        return self.kernel.findings.all


_STEPPED = (
    "open", "close", "dup", "pass_fd", "ioctl", "poll", "mmap", "munmap", "mprotect", "mremap", "fork", "exec", "exit",
    "remove",
)  # fmt: skip
_DEVICE_CALLS = ("remove",)
_MAP_CALLS = ("munmap", "mprotect", "mremap")
