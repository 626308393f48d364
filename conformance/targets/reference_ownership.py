# SPDX-License-Identifier: Apache-2.0
"""The reference implementation of ownership behind the target interface."""

# ruff: noqa: D102  (a method do_X performs the operation X, and the specification says what that is)

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from accelspec.reference_impl import Call, Errno
from accelspec.reference_impl.kernel import Step, Task
from accelspec.reference_impl.kernel.files import OpenFile
from accelspec.reference_impl.kernel.process import Process
from accelspec.reference_impl.ownership import DESIGNS, Command, OwnershipSystem, check
from accelspec.reference_impl.ownership.objects import Client

from . import interface
from .interface import Observation, TargetError
from .reference import Reference
from .reference_calls import Started, drop, index, outcome

FAILING = {  # what fails here where the specification says that memory runs out
    "open": "alloc:client",
    "acquire": "alloc:token",
    "create_lease": "alloc:token",
    "submit": "alloc:job",
    "mmap": "alloc:vma",
    "export": "alloc:file",
}


class OwnershipReference(Reference):
    """The reference implementation of ownership: one device, and processes whose exports lie with importers."""

    failures = frozenset({"allocation"})
    behaviours = tuple(DESIGNS)

    def fresh(self) -> OwnershipSystem:
        """As in `Reference`."""
        return OwnershipSystem(self.behaviour, faults=self.faults)

    def begin(self, system: interface.System) -> Mapping[str, str]:
        """As in `Driver`. There is one device, and every process has an address space of its own."""
        scope = system.scope
        if scope["Device"] != 1 or scope["Mm"] < scope["Process"]:
            raise TargetError(
                "the reference implementation of ownership has one device and an address space for every process: "
                f"Device=1, Mm={scope['Process']} or more"
            )
        self.system = self.fresh()
        self._processes = scope["Process"]
        cells = dict(system.cells)
        for p in range(self._processes):
            cells[f"process{p}.mm"] = f"mm{p}"
            self.system.kernel.spawn(p)
            if cells.get(f"device0.admin[process{p}]") == "True":
                self.system.make_admin(p)
        self._serials: Counter[str] = Counter()
        self._messages: dict[str, OpenFile] = {}
        self._importers: dict[str, OpenFile] = {}
        self._vmas: dict[str, int] = {}
        self.heard = 0
        return cells

    @contextmanager
    def failing(self, call: interface.Call) -> Iterator[None]:
        """As in `Reference`."""
        if "allocation" in call.fails and call.operation in FAILING:
            self.system.inject(FAILING[call.operation], Errno[call.fails["allocation"]])
        yield
        self.system.kernel.injector.clear()

    @property
    def findings(self) -> Sequence[object]:
        """As in `Reference`, with the laws that the present state breaks."""
        for finding in check(self.system.device):
            self.system.kernel.findings.report(finding.rule, finding.text)
        return self.system.kernel.findings.all

    # ------------------------------------------------------------------ names

    def state(self) -> Mapping[str, str]:
        """As in `Driver`: the owner, descriptors and mappings."""
        device = self.system.device
        former = next((token for token in device.tokens.values() if token.exports), None)
        owner = device.owner or former
        cells = {"device0.owner": f"token{owner.serial}" if owner else "none"}
        for p in range(self._processes):
            for n, file in self.system.kernel.processes[p].files.files.items():
                cells[f"process{p}.fd[fd{n}]"] = f"file{file.serial}"
        for name, number in list(self._vmas.items()):
            process, start = self.system.mappings[number]
            if (vma := process.mm.at(start)) is None:
                del self._vmas[name]
            else:
                cells[f"{name}.ptes"] = str(vma.present)
        return cells

    def leftovers(self) -> Mapping[str, int]:
        """As in `Target`."""
        device = self.system.device
        return {
            "File": len([file for file in self.system.kernel.files.values() if isinstance(file.private_data, Client)]),
            "Client": len(device.clients),
            "Token": len(device.tokens),
            "Job": len(device.jobs),
            "Export": len(device.exports),
            "Vma": len(list(device.maps())),
            "Message": len(self._messages),
        }

    def _process(self, name: str) -> Process:
        return self.system.kernel.processes[index(name)]

    def _next(self, kind: str) -> str:
        self._serials[kind] += 1
        return f"{kind}{self._serials[kind]}"

    def _client(self, process: str, fd: str) -> Client | None:
        file = self._process(process).files.files.get(index(fd))
        return file.private_data if file is not None else None

    def _command(
        self, process: str, fd: str, command: Command, arg: int = 0, done: Callable[[int], Observation] | None = None
    ) -> Started:
        call = self.system.call("ioctl", index(process), index(fd), command, arg)
        return Started(call, done or (lambda _: Observation("OK")))

    def _task(self, name: str, body: Callable[[Task], Step[int]]) -> Call:
        """A call that no process makes."""
        task = Task(name)
        return Call(task, self.system.kernel.syscall(task, body(task)), self.system.kernel.findings.report)

    # ------------------------------------------------------------------ descriptors and processes

    def start_open(self, process: str, fd: str, device: str, *rest: str) -> Started:
        """`rest`: the node, where the machine has several, and whether O_EXCL was given."""
        node = rest[0].lower() if len(rest) == 2 else "primary"
        call = self.system.call("open", index(process), index(fd), node, rest[-1] == "True")
        return Started(call, lambda _: self._opened(process, fd))

    def _opened(self, process: str, fd: str) -> Observation:
        return Observation("OK", (f"file{self._process(process).files.files[index(fd)].serial}",))

    def start_close(self, process: str, fd: str) -> Started:
        return Started(self.system.call("close", index(process), index(fd)))

    def start_dup(self, process: str, fd: str, other: str) -> Started:
        return Started(self.system.call("dup", index(process), index(fd), index(other)))

    def do_send(self, process: str, fd: str) -> str | Observation:
        file = self._process(process).files.files.get(index(fd))
        if file is None:
            return "EBADF"
        self._messages[name := self._next("message")] = file.get()
        return Observation("OK", (name,))

    def do_receive(self, process: str, fd: str, message: str) -> str:
        self._process(process).files.install(index(fd), self._messages.pop(message), False)
        return "OK"

    def start_discard(self, message: str) -> Started:
        file = self._messages.pop(message)
        return Started(self._task("discard", lambda task: drop(task, file)), lambda _: Observation("DONE"))

    def start_fork(self, process: str, child: str, mm: str) -> Started:
        return Started(self.system.call("fork", index(process), index(child)))

    def start_exit(self, process: str) -> Started:
        return Started(self.system.call("exit", index(process)))

    # ------------------------------------------------------------------ ownership

    def start_acquire(self, process: str, fd: str) -> Started:
        return self._command(process, fd, Command.SET_MASTER)

    def start_drop(self, process: str, fd: str) -> Started:
        return self._command(process, fd, Command.DROP_MASTER)

    def start_mode_set(self, process: str, fd: str) -> Started:
        return self._command(process, fd, Command.MODE_SET)

    def start_flink(self, process: str, fd: str) -> Started:
        return self._command(process, fd, Command.FLINK)

    def start_get_magic(self, process: str, fd: str) -> Started:
        return self._command(process, fd, Command.GET_MAGIC)

    def start_auth_magic(self, process: str, fd: str) -> Started:
        """Of the only client that asked; to authenticate one that was freed is to write where it was."""
        client = self._client(process, fd)
        magics = client.token.magics.items() if client is not None and client.token is not None else []
        number, asking = next(((number, asking) for number, asking in magics if asking is not None), (0, None))
        result = "WILD_WRITE" if asking is not None and asking.freed else "OK"
        return self._command(process, fd, Command.AUTH_MAGIC, number, lambda _: Observation(result))

    def start_create_lease(self, process: str, fd: str, other: str) -> Started:
        done = lambda _: self._opened(process, other)  # noqa: E731
        return self._command(process, fd, Command.CREATE_LEASE, index(other), done)

    def start_evict(self, process: str, device: str) -> Started:
        return Started(self.system.call("evict", index(process)))

    def do_status(self, process: str, device: str) -> str:
        assert self.system.standing in ("free", "owned", "pinned")
        return "OK"

    # ------------------------------------------------------------------ work

    def start_submit(self, process: str, fd: str) -> Started:
        return self._command(process, fd, Command.SUBMIT, done=self._submitted)

    def _submitted(self, number: int) -> Observation:
        """One that was cancelled before this call was over is gone."""
        return Observation("OK", (f"job{number}",) if number in self.system.device.jobs else ())

    def do_complete(self, job: str) -> str:
        self.system.complete(index(job))
        return "DONE"

    def start_mmap(self, process: str, fd: str) -> Started:
        call = self.system.call("mmap", index(process), index(fd))
        return Started(call, self._mapped)

    def _mapped(self, number: int) -> Observation:
        self._vmas[name := self._next("vma")] = number
        return Observation("OK", (name,))

    def do_munmap(self, vma: str) -> str:
        return outcome(self.system.munmap(self._vmas[vma]))

    def start_export(self, process: str, fd: str) -> Started:
        call = self.system.call("export", index(process), index(fd))
        return Started(call, lambda number: self._exported(process, number))

    def _exported(self, process: str, number: int) -> Observation:
        """An importer has it now, and the descriptor is closed."""
        file = self._process(process).files.remove(number)
        assert file is not None
        self._importers[name := self._next("export")] = file
        return Observation("OK", (name,))

    def start_unref(self, export: str) -> Started:
        file = self._importers.pop(export)
        return Started(self._task("unref", lambda task: drop(task, file)), lambda _: Observation("DONE"))
