# SPDX-License-Identifier: Apache-2.0
"""Processes and one device under a design of ownership, behind explicit calls."""

from collections.abc import Callable, Iterable
from itertools import count
from typing import Any, Final

from ..kernel import PAGE, Call, Errno, Finding, Kernel, Step, Task, UsageError, UserFault
from ..kernel.process import Process
from ..running import Running
from .checks import check
from .device import Ownership
from .drm_auth import DrmAuth
from .habanalabs import Habanalabs, Habanalabs61, Habanalabs612
from .objects import Command, Node
from .proposal import Intended, Proposal

DESIGNS: Final[dict[str, type[Ownership]]] = {
    design.name: design for design in (DrmAuth, Proposal, Habanalabs61, Habanalabs, Habanalabs612, Intended)
}
INJECTABLE: Final = ("alloc:client", "alloc:token", "alloc:job")
FIRST_EXPORT: Final = 512  # descriptors of exports begin here, out of the way of those that callers choose
FIRST_MAPPING: Final = 1 << 16

FAULTS: Final = {
    "O-01": "what is on its way is not cancelled when ownership ends",
    "O-02": "maps are not taken away when ownership ends",
    "O-03": "a device can be acquired while exports of a former owner are left",
    "O-04": "commands do not ask for the owner",
    "O-05": "any close ends ownership",
    "O-06": "the slot is not emptied with the context",
}


class OwnershipSystem(Running):
    """One device and its users. `design` is a name in `DESIGNS`; `faults` are bugs to put in (`FAULTS`).

    Processes and descriptors are numbers; a process starts at its first call. A call answers 0, a number, a negative
    `Errno`, or an `Outcome`.

    >>> system = OwnershipSystem("proposal")
    >>> system.open(0, 3), system.open(1, 3), system.submit(1, 3)
    (3, 3, <Errno.EACCES: -13>)
    """

    def __init__(self, design: str = "proposal", *, faults: Iterable[str] = ()) -> None:
        if design not in DESIGNS:
            raise UsageError(f"no design is called {design!r}; there are: {', '.join(DESIGNS)}")
        chosen = frozenset(faults)
        if unknown := chosen - FAULTS.keys():
            raise UsageError(f"no fault is called {min(unknown)!r}; there are: {', '.join(FAULTS)}")
        super().__init__(Kernel(INJECTABLE))
        self.device = DESIGNS[design](self.kernel, chosen)
        self.mappings: dict[int, tuple[Process, int]] = {}
        self._mapping_numbers = count(FIRST_MAPPING)

    # Descriptors.

    def open(self, p: int, n: int | None = None, node: str = "primary", excl: bool = False) -> int:
        """Open a node (primary, render or accel; only DRM has several) as descriptor `n`: `n`, or an errno."""
        return self._run("open", p, n, node, excl)

    def _open(self, task: Task, n: int | None = None, node: str = "primary", excl: bool = False) -> Step[int]:
        if node.upper() not in Node.__members__:
            raise UsageError(f"there is no {node!r} node, only primary, render and accel")
        kind = Node[node.upper()]
        process = self._of(task)
        n = self._free(process, n)
        file = self.kernel.new_file(self.device.inodes[kind])
        if file is None:
            return Errno.ENOMEM
        file.fops = self.device
        result = yield from self.device.opens(task, file, kind, excl)
        if result:
            self.kernel.forget_file(file)
            return result
        process.files.install(n, file, False)
        return n

    def close(self, p: int, n: int) -> int:
        """Close a descriptor: 0 or -EBADF. A description ends with its last descriptor, map and holder."""
        return self._run("close", p, n)

    def _close(self, task: Task, n: int) -> Step[int]:
        return (yield from self.kernel.close(task, self._of(task), n))

    def dup(self, p: int, n: int, m: int) -> int:
        """Let `m` name what `n` names: `m` or -EBADF."""
        return self._run("dup", p, n, m)

    def _dup(self, task: Task, n: int, m: int) -> Step[int]:
        return (yield from self.kernel.dup(task, self._of(task), n, m, False))

    def pass_fd(self, p: int, n: int, c: int, m: int | None = None) -> int:
        """Send a descriptor to process `c`, which gets it as `m`: `m` or -EBADF. An importer gets its buffer so."""
        return self._run("pass_fd", p, n, c, m)

    def _pass_fd(self, task: Task, n: int, c: int, m: int | None = None) -> Step[int]:
        receiver = self._process(c)
        first = FIRST_EXPORT if n >= FIRST_EXPORT else 0
        return (yield from self.kernel.pass_fd(task, self._of(task), n, receiver, self._free(receiver, m, first)))

    # Processes.

    def fork(self, p: int, c: int) -> int:
        """Let process `p` fork; the child is process `c`, with the same rights. 0."""
        child = self.kernel.processes.get(c)
        if child is not None and child.alive:
            raise UsageError(f"process {c} is running")
        return self._run("fork", p, c)

    def _fork(self, task: Task, c: int) -> Step[int]:
        result = yield from self.kernel.fork(task, self._of(task), c)
        if result == 0 and self.device.admin(task):
            self.device.admins.add(self.kernel.processes[c])
        return result

    def exit(self, p: int) -> int:
        """End process `p`: its maps go, then its descriptors. 0."""
        return self._run("exit", p)

    def _exit(self, task: Task) -> Step[int]:
        return (yield from self.kernel.exit(task, self._of(task)))

    def admin_kill(self, p: int) -> int:
        """Let an administrator kill process `p`, whatever it waits for: 0. What it holds goes with it."""
        return self.exit(p)

    def make_admin(self, p: int) -> int:
        """Give process `p` CAP_SYS_ADMIN: 0."""
        self.device.admins.add(self._process(p))
        return 0

    # Commands.

    def ioctl(self, p: int, n: int, command: Command, arg: int = 0) -> int:
        """Do a command: its answer, or -EBADF, -EACCES (not for this client), -EINVAL, -ENOTTY (no such command)."""
        return self._run("ioctl", p, n, command, arg)

    def _ioctl(self, task: Task, n: int, command: Command, arg: int = 0) -> Step[int]:
        return (yield from self.kernel.ioctl(task, self._of(task), n, command, arg))

    def acquire(self, p: int, n: int) -> int:
        """SET_MASTER: 0, -EACCES, -EBUSY, -EINVAL, -ENOMEM, by the design."""
        return self.ioctl(p, n, Command.SET_MASTER)

    set_master = acquire

    def drop(self, p: int, n: int) -> int:
        """DROP_MASTER: 0, -EACCES, -EINVAL, by the design."""
        return self.ioctl(p, n, Command.DROP_MASTER)

    def submit(self, p: int, n: int) -> int:
        """Put a command on its way: its number for `complete`, or an errno."""
        return self.ioctl(p, n, Command.SUBMIT)

    def complete(self, job: int) -> int:
        """Let the device finish a command: 0."""
        if job not in self.device.jobs:
            raise UsageError(f"command {job} is not on its way")
        self.device.complete(job)
        return 0

    def export(self, p: int, n: int, m: int | None = None) -> int:
        """Export a buffer as descriptor `m` of the caller, by default the lowest from 512: `m`, or an errno."""
        return self._run("export", p, n, m)

    def _export(self, task: Task, n: int, m: int | None = None) -> Step[int]:
        number = self._free(self._of(task), m, FIRST_EXPORT)
        return (yield from self.kernel.ioctl(task, self._of(task), n, Command.EXPORT, number))

    def release_export(self, p: int, m: int) -> int:
        """Let a holder of an exported buffer let go of it: 0 or -EBADF."""
        return self.close(p, m)

    def create_lease(self, p: int, n: int, m: int) -> int:
        """Lease a part of the display to a new client, descriptor `m`: `m`, or an errno."""
        self._free(self._process(p), m)
        return self.ioctl(p, n, Command.CREATE_LEASE, m)

    def evict(self, p: int) -> int:
        """Take the device from its owner: 0, -EACCES (no administrator). Raises UsageError where no design has it."""
        return self._run("evict", p)

    def _evict(self, task: Task) -> Step[int]:
        if not isinstance(self.device, Intended):
            raise UsageError(f"{self.device.name} has no call to evict an owner; kill its processes")
        return (yield from self.device.evict(task))

    # Maps.

    def mmap(self, p: int, n: int) -> int:
        """Map a page of device memory: a mapping number, or an errno."""
        return self._run("mmap", p, n)

    def _mmap(self, task: Task, n: int) -> Step[int]:
        process = self._of(task)
        start = yield from self.kernel.mmap(task, process, n, 0, 1, False)
        if start < 0:
            return start
        number = next(self._mapping_numbers)
        self.mappings[number] = process, start
        return number

    def munmap(self, m: int) -> int:
        """Undo a mapping: 0."""
        process, start = self._mapping(m)
        task = process.task("munmap")
        return self._finish(self._enter(task, process.mm.munmap(task, start, 1)), process.pid)

    def touch(self, m: int) -> int:
        """Read from a mapping: 0, SIGBUS (taken away), SIGSEGV (unmapped)."""
        process, start = self._mapping(m)
        try:
            process.mm.load(start * PAGE, 1)
        except UserFault as fault:
            return fault.signal
        return 0

    # What can be seen.

    @property
    def standing(self) -> str:
        """``free``, ``owned`` or ``pinned``."""
        return self.device.standing

    @property
    def findings(self) -> list[Finding]:
        """What the kernel noticed about itself; with it, the laws that the present state breaks."""
        return [*self.kernel.findings.all, *check(self.device)]

    def inject(self, name: str, result: int = Errno.ENOMEM) -> int:
        """Let the next step called `name` (see `INJECTABLE`) fail: 0."""
        self.kernel.injector.add(name, result)
        return 0

    # Running.

    def call(self, name: str, p: int, *args: Any) -> Call:
        """Prepare a call of process `p` for a Scheduler; nothing runs yet. The names are those of the methods."""
        body: Callable[..., Step[int]] | None = getattr(self, f"_{name}", None) if name in STEPPED else None
        if body is None:
            raise UsageError(f"no call is named {name!r}; there are: {', '.join(STEPPED)}")
        task = self._process(p).task(name)
        return self._enter(task, body(task, *args))

    def _run(self, name: str, p: int, *args: Any) -> int:
        return self._finish(self.call(name, p, *args), p, args[0] if args and isinstance(args[0], int) else 0)

    def _of(self, task: Task) -> Process:
        assert task.process is not None
        return task.process

    def _mapping(self, m: int) -> tuple[Process, int]:
        if m not in self.mappings:
            raise UsageError(f"there is no mapping {m}")
        return self.mappings[m]

    @staticmethod
    def _free(process: Process, n: int | None, first: int = 0) -> int:
        if n is None:
            return next(i for i in count(first) if i not in process.files.files)
        if n in process.files.files:
            raise UsageError(f"descriptor {n} of process {process.pid} is open; dup() replaces one")
        return n


STEPPED: Final = ("open", "close", "dup", "pass_fd", "fork", "exit", "ioctl", "export", "mmap", "evict")
