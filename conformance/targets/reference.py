# SPDX-License-Identifier: Apache-2.0
"""The target `reference`: the reference implementation behind the target interface, the only place that imports it.

Options: `faults`, ids of historical bugs to put in, a comma between them; `behaviour`, another one than the revision's.
"""

# ruff: noqa: D102  (a method do_X performs the operation X, and the specification says what that is)

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

from accelspec.reference_impl import (
    BEHAVIOURS,
    CALLBACKS,
    SET_QP_INFO,
    Call,
    Errno,
    Outcome,
    Poll,
    RegionType,
    System,
    UsageError,
    name_of,
)
from accelspec.reference_impl.kernel import Step, Task, Vma
from accelspec.reference_impl.kernel.files import Inode, OpenFile
from accelspec.reference_impl.kernel.process import Process
from accelspec.reference_impl.lifecycle import RegionState
from accelspec.reference_impl.uacce import Mapped, UacceQueue

from . import interface
from .interface import Observation, TargetError
from .python import Driver

T = TypeVar("T")

PAGES = 2  # of every mapping that the machine speaks about

# The failures of the specification by the name of what fails here, per operation where one name means several.
INJECTED = {
    "alloc.allocation": "alloc:uacce",
    "open.allocation": "alloc:queue",
    "mmap.allocation": "alloc:region",
    "cdev_alloc": "alloc:cdev",
    "device_add": "cdev_device_add",
    "iommu_dev_enable_feature": "enable_sva",
    "iommu_sva_bind_device": "sva_bind",
    "iommu_sva_get_pasid": "pasid_invalid",
    "get_queue": "get_queue",
    "start_queue": "start_queue",
    "mmap": "mmap",
    "ioctl": "ioctl",
}
WRITTEN = {"not a number": "many", "above 65535": "65536"}  # what is written to a threshold
ABSENT = " is absent"


class Reference(Driver):
    """The reference implementation of uacce. Raises TargetError for another machine, behaviour or an unknown fault."""

    failures = frozenset(
        {name.rpartition(".")[2] for name in INJECTED} | set(WRITTEN) | {f"{name}{ABSENT}" for name in CALLBACKS}
    )

    def __init__(self, machine: str, revision: str, options: Mapping[str, str] | None = None) -> None:
        super().__init__(revision, options)
        if machine != "uacce":
            raise TargetError(f"the reference implementation has no machine {machine!r}, only uacce")
        self._behaviour = self.options.pop("behaviour", revision)
        if self._behaviour not in BEHAVIOURS:
            known = ", ".join(BEHAVIOURS)
            raise TargetError(
                f"the reference implementation does not behave as {self._behaviour}; its option behaviour takes {known}"
            )
        self._faults = [fault for fault in self.options.pop("faults", "").replace(" ", "").split(",") if fault]
        if self.options:
            raise TargetError(f"the reference has no option {next(iter(self.options))!r}; it has faults and behaviour")
        try:
            System(self._behaviour, faults=self._faults)
        except UsageError as error:
            raise TargetError(f"the reference implementation: {error}") from error

    @property
    def name(self) -> str:
        """As in `Target`."""
        faults = f" with {', '.join(self._faults)}" if self._faults else ""
        return f"reference {self._behaviour}{faults}"

    def begin(self, system: interface.System) -> Mapping[str, str]:
        """As in `Driver`. Every process has an address space of its own, every device at most one unit."""
        scope = {"Qm": 0, "Mm": 1, "HwQueue": 0, **system.scope}
        if scope["Mm"] < scope["Process"] or scope["Qm"] > scope["Device"]:
            raise TargetError(
                "the reference implementation needs an address space for every process and a device for every unit: "
                f"Mm={scope['Process']} or more, Qm={scope['Device']} or less"
            )
        cells = dict(system.cells)
        cells.update({f"process{i}.mm": f"mm{i}" for i in range(scope["Process"])})
        cells.update({f"qm{i}.device": f"device{i}" for i in range(scope["Qm"])})
        self.system = System(self._behaviour, faults=self._faults, reuse_ids=True)
        self._minors = scope["Minor"]
        self._processes, self._devices = scope["Process"], scope["Device"]
        self._hw: dict[int, list[str]] = {d: [] for d in range(scope["Device"])}  # the hardware queues of each device
        for i in range(scope["HwQueue"]):
            self._hw[index(cells[f"hwQueue{i}.device"])].append(f"hwQueue{i}")
        self._pieces: dict[str, tuple[int, int, int]] = {}  # vma -> number of the mapping, first page, pages
        self._serials: Counter[str] = Counter()
        self._queues: dict[str, UacceQueue] = {}
        self._messages: dict[str, OpenFile] = {}
        self._waiters: dict[str, Call] = {}
        self._heard = 0  # findings reported so far
        return cells

    def perform(self, call: interface.Call) -> Observation:
        """As in `Target`; what the kernel noticed about itself meanwhile is an alarm."""
        with self._failing(call):
            seen = super().perform(call)
        self.system.kernel.injector.clear()
        alarms = tuple(str(finding) for finding in self.system.findings[self._heard :])
        self._heard = len(self.system.findings)
        return Observation(seen.result, seen.created, seen.chosen, seen.state, seen.alarms + alarms)

    @contextmanager
    def _failing(self, call: interface.Call) -> Iterator[None]:
        """While the call runs, what is to fail fails and what is to be absent is."""
        absent = [name.removesuffix(ABSENT) for name in call.fails if name.endswith(ABSENT)]
        for name, errno in call.fails.items():
            if step := INJECTED.get(f"{call.operation}.{name}", INJECTED.get(name)):
                self.system.inject(step, Errno[errno])
        tables = [p.device for p in self.system.providers.values() if p.device is not None and p.device.ops is not None]
        complete = [device.ops for device in tables]
        for device in tables if absent else ():
            assert device.ops is not None
            device.ops = replace(device.ops, **dict.fromkeys(absent))
        yield
        for device, ops in zip(tables, complete, strict=True):
            if absent and device.ops is not None:
                device.ops = ops

    # ------------------------------------------------------------------ what can be seen

    def state(self) -> Mapping[str, str]:
        """As in `Driver`: devices, queues, descriptors and mappings."""
        cells: dict[str, str] = {}
        for d in range(self._devices):
            provider = self.system.providers.get(d)
            device = provider.device if provider else None
            cells[f"device{d}.life"] = device.state.name if device else "ABSENT"
            cells[f"device{d}.sva"] = str(device.sva if device else False)
        for p in range(self._processes):
            process = self.system.kernel.processes.get(p)
            for n, file in process.files.files.items() if process else ():
                cells[f"process{p}.fd[fd{n}]"] = f"file{file.serial}"
        for q in self.system.framework.queues.values():
            cells.update(self._queue(q))
        for name in list(self._pieces):
            if (vma := self._vma(name)) is None:
                del self._pieces[name]
            else:
                cells[f"{name}.ptes"] = str(vma.present)
        return cells

    def _queue(self, q: UacceQueue) -> dict[str, str]:
        name = f"queue{q.serial}"
        cells = {f"{name}.state": q.state.name, f"{name}.bonded": str(q.bond is not None), f"{name}.hw": "none"}
        if q.owns_hardware:
            cells[f"{name}.hw"] = self._hardware(q)
            cells[f"{name}.ready"] = str(q.priv.completions > 0)
        for region in RegionType:
            slot = q.slots[region]
            stale = slot is not None and slot.state is RegionState.FREED
            cells[f"{name}.{region.name.lower()}"] = "EMPTY" if slot is None else "STALE" if stale else "SET"
        return cells

    def _hardware(self, q: UacceQueue) -> str:
        d = next(d for d, provider in self.system.providers.items() if provider is q.priv.provider)
        number: int = q.priv.number
        return self._hw[d][number]

    def leftovers(self) -> Mapping[str, int]:
        """As in `Target`; bonds, hardware queues and regions are those that no queue accounts for."""
        system, queues = self.system, list(self.system.framework.queues.values())
        vmas = [v for p in system.kernel.processes.values() for v in p.mm.vmas if isinstance(v.private_data, Mapped)]
        slots = {slot for q in queues for slot in q.slots if slot is not None}
        return {
            "File": len(system.kernel.files),
            "Queue": len(queues),
            "Vma": len(vmas),
            "Message": len(self._messages),
            "Waiter": len(self._waiters),
            "uacce.I06 bond": sum(b.refs for b in system.kernel.iommu.bonds.values())
            - sum(q.bond is not None for q in queues),
            "uacce.L01 hardware queue": sum(p.used for p in system.providers.values())
            - sum(q.owns_hardware for q in queues),
            "uacce.I09 region": system.kernel.allocator.count("region") - len(slots),
        }

    # ------------------------------------------------------------------ running calls

    def _run(self, task: Task, body: Step[int]) -> int:
        """A system call that `System` does not have by itself."""
        return Call(task, self.system.kernel.syscall(task, body), self.system.kernel.findings.report).run()

    def _file(self, process: str, fd: str) -> OpenFile | None:
        known = self.system.kernel.processes.get(index(process))
        return known.files.files.get(index(fd)) if known else None

    def _vma(self, name: str) -> Vma | None:
        """The piece of that name, as long as it is mapped."""
        number, first, _ = self._pieces[name]
        mapping = self.system.mappings[number]
        return mapping.mm.at(mapping.start + first)

    def _new_piece(self, number: int, first: int, pages: int) -> str:
        self._pieces[name := self._fresh("vma")] = number, first, pages
        return name

    def _fresh(self, kind: str) -> str:
        """A name for one more object."""
        self._serials[kind] += 1
        return f"{kind}{self._serials[kind]}"

    def _process(self, name: str) -> Process:
        """A process, which starts by itself at its first call."""
        return self.system.kernel.processes.get(index(name)) or self.system.kernel.spawn(index(name))

    # ------------------------------------------------------------------ descriptors

    def do_open(self, process: str, fd: str, device: str, kept: str) -> Observation:
        """By a path, or through an inode that is kept open."""
        p, n, d = index(process), index(fd), index(device)
        known = self.system.providers.get(d)
        if kept == "True" or (known and known.device and known.device.state.name == "REGISTERED"):
            result = self.system.open(p, d, n)
        else:  # a node that leads nowhere any more
            number = known.device.dev_id if known and known.device else -1
            running = self._process(process)
            task = running.task("open")
            result = self._run(task, self.system.kernel.open(task, running, Inode("stale", number), n, False))
        file = self._file(process, fd)
        if result < 0 or file is None:
            return Observation(outcome(result))
        created, chosen = [f"file{file.serial}"], {}
        if isinstance(q := file.private_data, UacceQueue):
            created.append(f"queue{q.serial}")
            self._queues[created[1]] = q
            if q.priv is not None:
                chosen["h"] = self._hardware(q)
        return Observation("OK", tuple(created), chosen)

    def do_close(self, process: str, fd: str) -> str:
        return outcome(self.system.close(index(process), index(fd)))

    def do_dup(self, process: str, fd: str, other: str) -> str:
        return outcome(self.system.dup(index(process), index(fd), index(other)))

    def do_send(self, process: str, fd: str) -> str | Observation:
        file = self._file(process, fd)
        if file is None:
            return "EBADF"
        self._messages[name := self._fresh("message")] = file.get()
        return Observation("OK", (name,))

    def do_receive(self, process: str, fd: str, message: str) -> str:
        self._process(process).files.install(index(fd), self._messages.pop(message), False)
        return "OK"

    def do_discard(self, message: str) -> str:
        task = Task("discard")
        result = self._run(task, drop(task, self._messages.pop(message)))
        return "DONE" if result == 0 else outcome(result)

    # ------------------------------------------------------------------ queues

    def do_start(self, process: str, fd: str) -> str:
        return outcome(self.system.start(index(process), index(fd)))

    def do_put_q(self, process: str, fd: str) -> str:
        return outcome(self.system.put_q(index(process), index(fd)))

    def do_driver_ioctl(self, process: str, fd: str) -> str:
        return outcome(self.system.driver_ioctl(index(process), index(fd), SET_QP_INFO))

    def do_poll(self, process: str, fd: str, block: str) -> str | Observation:
        call = self.system.call("poll", index(process), index(fd), block == "True")
        result = call.run()
        if not call.done:
            self._waiters[name := self._fresh("waiter")] = call
            return Observation("WOULD_BLOCK", (name,))
        return "READY" if result > 0 and result & Poll.IN else "HANGUP" if result > 0 else outcome(result)

    def do_wake_up(self, waiter: str) -> str:
        """The sleeper leaves poll; if nothing else woke it, by a signal."""
        call = self._waiters.pop(waiter)
        call.run()
        if not call.done:
            call.task.signal = Errno.EINTR
            call.run()
        return "DONE"

    def do_complete(self, queue: str) -> str:
        hardware = self._queues[queue].priv
        hardware.finish(1)
        hardware.provider.interrupt(hardware)
        return "DONE"

    # ------------------------------------------------------------------ mappings

    def do_mmap(self, process: str, fd: str, region: str, private: str) -> Observation:
        offset = {"MMIO": 0, "DUS": 1}.get(region, 2)  # no other region can be mapped
        result = self.system.mmap(index(process), index(fd), offset, PAGES, private=private == "True")
        created = (self._new_piece(result, 0, PAGES),) if result >= 0 else ()
        return Observation(outcome(result), created)

    def do_munmap(self, vma: str) -> str:
        number, first, pages = self._pieces[vma]
        return outcome(self.system.munmap(number, first, pages))

    def do_munmap_head(self, vma: str) -> str:
        number, first, pages = self._pieces[vma]
        result = self.system.munmap(number, first, 1)
        self._pieces[vma] = number, first + 1, pages - 1
        return outcome(result)

    def do_munmap_tail(self, vma: str) -> str:
        number, first, pages = self._pieces[vma]
        result = self.system.munmap(number, first + pages - 1, 1)
        self._pieces[vma] = number, first, pages - 1
        return outcome(result)

    def do_mprotect_tail(self, vma: str) -> Observation:
        number, first, pages = self._pieces[vma]
        result = self.system.mprotect(number, first + pages - 1, 1, writable=False)
        self._pieces[vma] = number, first, pages - 1
        return Observation(outcome(result), (self._new_piece(number, first + pages - 1, 1),))

    def do_mremap_grow(self, vma: str) -> str:
        number, first, pages = self._pieces[vma]
        return outcome(self.system.mremap(number, pages, pages + 1, first=first))

    def do_mremap_move(self, vma: str) -> str:
        number, first, pages = self._pieces[vma]
        return outcome(self.system.mremap(number, pages, pages, first=first, move=True))

    def do_touch(self, vma: str) -> str:
        number, first, _ = self._pieces[vma]
        return outcome(self.system.touch(number, first))

    # ------------------------------------------------------------------ processes

    def do_fork(self, process: str, child: str, mm: str) -> str:
        return outcome(self.system.fork(index(process), index(child)))

    def do_exec(self, process: str, mm: str, cloexec: str) -> str:
        running = self._process(process)
        running.files.close_on_exec = set(running.files.files) if cloexec == "True" else set()
        return outcome(self.system.exec(index(process)))

    def do_exit(self, process: str) -> str:
        return outcome(self.system.exit(index(process)))

    # ------------------------------------------------------------------ devices

    def do_alloc(self, device: str) -> Observation:
        d = index(device)
        hardware = {"capacity": len(self._hw[d]), "mmio_pages": PAGES, "dus_pages": PAGES}
        if len(self.system.framework.ids.items) == self._minors:
            self.system.inject("id_alloc", Errno.EBUSY)
        result = self.system.alloc(d, sva=True, private_doorbell_loses_offset=True, **hardware)
        made = self.system.providers[d].device if result == 0 else None
        return Observation(outcome(result), chosen={"m": f"minor{made.dev_id}"} if made else {})

    def do_register(self, device: str) -> str:
        return outcome(self.system.register(index(device)))

    def do_remove(self, device: str) -> str:
        result = self.system.remove(index(device))
        return "DONE" if result == 0 else outcome(result)

    def do_hw_error(self, unit: str) -> str:
        self.system.hw_error(index(unit))
        return "DONE"

    def do_forget_errors(self, unit: str) -> str:
        if provider := self.system.providers.get(index(unit)):
            provider.history.errors.clear()
        return "DONE"

    def do_reset(self, unit: str, recovers: str) -> str:
        self.system.reset(index(unit), recovers == "True")
        return "DONE"

    # ------------------------------------------------------------------ attributes

    def do_read_isolate(self, unit: str) -> str:
        return self._read(unit, "isolate")

    def do_read_threshold(self, unit: str) -> str:
        return self._read(unit, "isolate_strategy")

    def do_read_available(self, device: str) -> str:
        return self._read(device, "available_instances")

    def _read(self, device: str, name: str) -> str:
        result = self.system.read_sysfs(index(device), name)
        return "OK" if isinstance(result, str) else outcome(result)

    def do_write_threshold(self, unit: str, to: str, fails: Mapping[str, str]) -> str:
        text = next((WRITTEN[name] for name in fails if name in WRITTEN), to)
        return outcome(self.system.write_sysfs(index(unit), "isolate_strategy", text))


def index(name: str) -> int:
    """The number at the end of a name."""
    return int(name.lstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"))


def outcome(result: int) -> str:
    """The name of what a call answered; a deadlock is a hang."""
    if result >= 0:
        return "OK"
    return "HANG" if result == Outcome.DEADLOCK else name_of(result)


def drop(task: Task, file: OpenFile) -> Step[int]:
    """Give a reference back."""
    file.put(task)
    yield from ()
    return 0
