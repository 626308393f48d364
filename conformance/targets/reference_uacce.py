# SPDX-License-Identifier: Apache-2.0
"""The reference implementation of uacce behind the target interface."""

# ruff: noqa: D102  (a method do_X performs the operation X, and the specification says what that is)

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from accelspec.reference_impl import BEHAVIOURS, CALLBACKS, Call, Errno, System
from accelspec.reference_impl.kernel import Step, Task
from accelspec.reference_impl.kernel.files import Inode, OpenFile
from accelspec.reference_impl.kernel.process import Process
from accelspec.reference_impl.lifecycle import DeviceState
from accelspec.reference_impl.uacce import UacceQueue

from . import interface
from .interface import Observation, TargetError
from .reference import Reference
from .reference_calls import Started, drop, index, outcome, polled
from .reference_uacce_view import View

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


class UacceReference(Reference):
    """The reference implementation of uacce."""

    failures = frozenset(
        {name.rpartition(".")[2] for name in INJECTED} | set(WRITTEN) | {f"{name}{ABSENT}" for name in CALLBACKS}
    )
    behaviours = tuple(BEHAVIOURS)

    def fresh(self) -> System:
        """As in `Reference`."""
        return System(self.behaviour, faults=self.faults, reuse_ids=True)

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
        self.system = self.fresh()
        self._minors = scope["Minor"]
        self.view = View(self.system, scope["Process"], scope["Device"])
        for i in range(scope["HwQueue"]):
            self.view.hardware_queues[index(cells[f"hwQueue{i}.device"])].append(f"hwQueue{i}")
        self._serials: Counter[str] = Counter()
        self._queues: dict[str, UacceQueue] = {}
        self._messages: dict[str, OpenFile] = {}
        self._waiters: dict[str, Call] = {}
        self.heard = 0
        return cells

    @contextmanager
    def failing(self, call: interface.Call) -> Iterator[None]:
        """As in `Reference`; a callback that is to be absent is."""
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
        self.system.kernel.injector.clear()

    @property
    def findings(self) -> Sequence[object]:
        """As in `Reference`."""
        return self.system.findings

    # ------------------------------------------------------------------ names

    def state(self) -> Mapping[str, str]:
        """As in `Driver`: devices, queues, descriptors and mappings."""
        return self.view.state()

    def leftovers(self) -> Mapping[str, int]:
        """As in `Target`."""
        return self.view.leftovers() | {"Message": len(self._messages), "Waiter": len(self._waiters)}

    def _next(self, kind: str) -> str:
        """A name for one more object."""
        self._serials[kind] += 1
        return f"{kind}{self._serials[kind]}"

    def _process(self, name: str) -> Process:
        """A process, which starts by itself at its first call."""
        return self.system.kernel.processes.get(index(name)) or self.system.kernel.spawn(index(name))

    def _piece(self, number: int, first: int, pages: int) -> str:
        self.view.pieces[name := self._next("vma")] = number, first, pages
        return name

    def _call(self, name: str, *args: object) -> Call:
        return self.system.call(name, *args)

    def _syscall(self, task: Task, body: Step[int]) -> Call:
        """One that `System` does not have by itself."""
        return Call(task, self.system.kernel.syscall(task, body), self.system.kernel.findings.report)

    # ------------------------------------------------------------------ descriptors

    def start_open(self, process: str, fd: str, device: str, kept: str) -> Started:
        """By a path; or, `kept`, through an inode that somebody has open."""
        running = self._process(process)
        task = running.task("open")
        body = self._open(task, running, index(fd), index(device), kept == "True")
        return Started(self._syscall(task, body), lambda _: self._opened(process, fd))

    def _open(self, task: Task, running: Process, n: int, d: int, kept: bool) -> Step[int]:
        kernel, known = self.system.kernel, self.system.providers.get(d)
        made = known.device if known else None
        inode = kernel.char_devices.nodes.get(made.name) if made and made.state is DeviceState.REGISTERED else None
        if inode is None and kept and made:
            inode = next((f.inode for f in kernel.files.values() if f.cdev and f.cdev.parent is made.dev), None)
        return (yield from kernel.open(task, running, inode or Inode("a node that leads nowhere", -1), n, False))

    def _opened(self, process: str, fd: str) -> Observation:
        file = self._process(process).files.files[index(fd)]
        created, chosen = [f"file{file.serial}"], {}
        if isinstance(q := file.private_data, UacceQueue):
            created.append(f"queue{q.serial}")
            self._queues[created[1]] = q
            if q.priv is not None:
                chosen["h"] = self.view.hardware(q)
        return Observation("OK", tuple(created), chosen)

    def start_close(self, process: str, fd: str) -> Started:
        return Started(self._call("close", index(process), index(fd)))

    def start_dup(self, process: str, fd: str, other: str) -> Started:
        return Started(self._call("dup", index(process), index(fd), index(other)))

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
        task = Task("discard")
        return Started(self._syscall(task, drop(task, self._messages.pop(message))), lambda _: Observation("DONE"))

    # ------------------------------------------------------------------ queues

    def start_start(self, process: str, fd: str) -> Started:
        return Started(self._call("start", index(process), index(fd)))

    def start_put_q(self, process: str, fd: str) -> Started:
        return Started(self._call("put_q", index(process), index(fd)))

    def start_driver_ioctl(self, process: str, fd: str) -> Started:
        return Started(self._call("driver_ioctl", index(process), index(fd)))

    def start_poll(self, process: str, fd: str, block: str) -> Started:
        call = self._call("poll", index(process), index(fd), block == "True")
        return Started(call, polled, lambda: self._asleep(call))

    def _asleep(self, call: Call) -> Observation:
        self._waiters[name := self._next("waiter")] = call
        return Observation("WOULD_BLOCK", (name,))

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

    def start_mmap(self, process: str, fd: str, region: str, private: str) -> Started:
        offset = {"MMIO": 0, "DUS": 1}.get(region, 2)  # no other region can be mapped
        call = self._call("mmap", index(process), index(fd), offset, PAGES, private == "True")
        return Started(call, lambda number: Observation("OK", (self._piece(number, 0, PAGES),)))

    def start_munmap(self, vma: str) -> Started:
        number, first, pages = self.view.pieces[vma]
        return Started(self._call("munmap", number, first, pages))

    def start_munmap_head(self, vma: str) -> Started:
        number, first, pages = self.view.pieces[vma]
        self.view.pieces[vma] = number, first + 1, pages - 1
        return Started(self._call("munmap", number, first, 1))

    def start_munmap_tail(self, vma: str) -> Started:
        number, first, pages = self.view.pieces[vma]
        self.view.pieces[vma] = number, first, pages - 1
        return Started(self._call("munmap", number, first + pages - 1, 1))

    def start_mprotect_tail(self, vma: str) -> Started:
        number, first, pages = self.view.pieces[vma]
        self.view.pieces[vma] = number, first, pages - 1
        last = first + pages - 1
        call = self._call("mprotect", number, last, 1, False)
        return Started(call, lambda _: Observation("OK", (self._piece(number, last, 1),)))

    def start_mremap_grow(self, vma: str) -> Started:
        number, first, pages = self.view.pieces[vma]
        return Started(self._call("mremap", number, pages, pages + 1, first))

    def start_mremap_move(self, vma: str) -> Started:
        number, first, pages = self.view.pieces[vma]
        return Started(self._call("mremap", number, pages, pages, first, True))

    def do_touch(self, vma: str) -> str:
        number, first, _ = self.view.pieces[vma]
        return outcome(self.system.touch(number, first))

    # ------------------------------------------------------------------ processes

    def start_fork(self, process: str, child: str, mm: str) -> Started:
        return Started(self._call("fork", index(process), index(child)))

    def start_exec(self, process: str, mm: str, cloexec: str) -> Started:
        running = self._process(process)
        running.files.close_on_exec = set(running.files.files) if cloexec == "True" else set()
        return Started(self._call("exec", index(process)))

    def start_exit(self, process: str) -> Started:
        return Started(self._call("exit", index(process)))

    # ------------------------------------------------------------------ devices

    def do_alloc(self, device: str) -> Observation:
        d = index(device)
        hardware = {"capacity": len(self.view.hardware_queues[d]), "mmio_pages": PAGES, "dus_pages": PAGES}
        if len(self.system.framework.ids.items) == self._minors:
            self.system.inject("id_alloc", Errno.EBUSY)
        result = self.system.alloc(d, sva=True, private_doorbell_loses_offset=True, **hardware)
        made = self.system.providers[d].device if result == 0 else None
        return Observation(outcome(result), chosen={"m": f"minor{made.dev_id}"} if made else {})

    def do_register(self, device: str) -> str:
        return outcome(self.system.register(index(device)))

    def start_remove(self, device: str) -> Started:
        return Started(self._call("remove", index(device)), lambda _: Observation("DONE"))

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
