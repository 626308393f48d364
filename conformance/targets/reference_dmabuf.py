# SPDX-License-Identifier: Apache-2.0
"""The reference implementation of dma-buf behind the target interface: each design as the specification has it."""

# ruff: noqa: D102  (a method do_X performs the operation X, and the specification says what that is)

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from accelspec.reference_impl import Call, Errno
from accelspec.reference_impl.dmabuf import DESIGNS, Kind, System, checks
from accelspec.reference_impl.dmabuf.context import Extent
from accelspec.reference_impl.dmabuf.device import REMOVAL_PATIENCE, RESET_PATIENCE
from accelspec.reference_impl.dmabuf.importer import Importer
from accelspec.reference_impl.dmabuf.region import Region
from accelspec.reference_impl.kernel import PAGE, Step, Task, UserFault
from accelspec.reference_impl.kernel.process import Process

from . import interface
from .interface import Observation, TargetError
from .reference import SuspendingReference
from .reference_calls import Started, Timed, drop, index, outcome
from .reference_dmabuf_view import PIECE, View

UNKNOWN = 1 << 30  # a handle and an address that nothing has
WRAPPING = (1 << 64) - PAGE  # an offset, or an address, whose sum with a size passes the end of the numbers
IMPORTERS = {"STATIC": Kind.STATIC, "DYNAMIC": Kind.DYNAMIC, "PEER": Kind.DYNAMIC_P2P}  # the others are regions
SHIPPED = {"D2b": ("B01", "B17"), "D3a": ("B03", "B09")}  # bugs that the specification has in a design, as it was

# The failures of the specification by the name of what fails here, per operation, and of an attach per importer.
INJECTED = {
    "open.allocation": "alloc:context",
    "export.dma_buf_export": "dma_buf_export",
    "attach.allocation": "alloc:attachment",
    "map.allocation": "alloc:mapping",
}
OF_REGIONS = {"PINNED": "alloc:region", "REVOCABLE": "alloc:mapping"}


class DmabufReference(SuspendingReference):
    """The reference implementation of dma-buf; designs of old export by address what a pool gives out."""

    failures = frozenset({"allocation", "descriptor", "dma_buf_export"})
    behaviours = tuple(DESIGNS)

    def fresh(self) -> System:
        """As in `Reference`."""
        return self._system()

    def _system(self, pieces: int = 1, devices: int = 1) -> System:
        """One whose devices have so many pieces of memory each, behind a page of their own."""
        physical = DESIGNS[self.behaviour].addressing != "virtual"
        return System(
            self.behaviour,
            faults=dict.fromkeys([*SHIPPED.get(self.behaviour, ()), *self.faults]),
            devices=devices,
            mmu=not physical,
            later=True,
            pages=1 + pieces * PIECE // PAGE,
            pool=True,
            reset_tries=1,
        )

    def begin(self, system: interface.System) -> Mapping[str, str]:
        """As in `Driver`; the devices have as much memory each, whatever was wished."""
        devices, pieces = system.scope["Device"], system.scope["Memory"]
        if pieces % devices:
            raise TargetError(
                "the devices of the reference implementation have as much memory each: give it a Memory that is a "
                f"multiple of Device={devices}"
            )
        memories = [m % devices for m in range(pieces)]
        self.system = self._system(pieces // devices, devices)
        self.view = View(self.system, system.scope["Process"], memories)
        for p in range(system.scope["Process"]):
            self.system.spawn(p)
        self._known: set[str] = set()
        self._found: list[object] = []
        self.heard = 0
        return {**system.cells, **{f"memory{m}.device": f"device{d}" for m, d in enumerate(memories)}}

    @contextmanager
    def failing(self, call: interface.Call) -> Iterator[None]:
        """As in `Reference`; no descriptor is left if there is to be none."""
        limited: Process | None = None
        for name, errno in call.fails.items():
            if name == "descriptor":
                limited = self._process(call.args[0])
                limited.files.limit = len(limited.files.files)
            else:
                self.system.inject(self._step(call, name), Errno[errno])
        yield
        if limited is not None:
            limited.files.limit = 1024
        self.system.kernel.injector.clear()

    @staticmethod
    def _step(call: interface.Call, name: str) -> str:
        """What fails: of the memory that an export needs the wrapper or, of a part, the file."""
        if (call.operation, name) == ("export", "allocation"):
            return "alloc:file" if call.args[4] == "True" else "alloc:export"
        return OF_REGIONS.get(call.args[-1], INJECTED.get(f"{call.operation}.{name}", ""))

    @property
    def findings(self) -> Sequence[object]:
        """As in `Reference`, with the laws that the present state breaks, each once.

        These are about systems in which no call is half way.
        """
        for finding in self.system.findings if self.standing else checks.check(self.system):
            if (text := str(finding)) not in self._known:
                self._known.add(text)
                self._found.append(finding)
        return self._found

    # ------------------------------------------------------------------ names

    def state(self) -> Mapping[str, str]:
        """As in `Driver`."""
        return self.view.state()

    def leftovers(self) -> Mapping[str, int]:
        """As in `Target`."""
        return self.view.leftovers()

    def _process(self, name: str) -> Process:
        return self.system.kernel.processes[index(name)]

    def _user(self, name: str, process: str, *args: object, **rest: object) -> Started:
        return Started(self.system.call(name, index(process), *args, **rest))

    def _driver(self, name: str, device: int, *args: object) -> Started:
        return Started(self.system.call(name, device, *args), lambda _: Observation("DONE"))

    def _task(self, name: str, body: Callable[[Task], Step[int]], said: str = "OK") -> Started:
        """A call of the driver of an importer, or of nobody."""
        task = Task(name)
        call = Call(task, self.system.kernel.syscall(task, body(task)), self.system.kernel.findings.report)
        return Started(call, lambda _: Observation(said))

    # ------------------------------------------------------------------ descriptors and processes

    def start_open(self, process: str, fd: str, device: str) -> Started:
        call = self.system.call("open", index(process), index(device), index(fd))
        return Started(call, lambda n: Observation("OK", (f"session{self._process(process).files.files[n].serial}",)))

    def start_close(self, process: str, fd: str) -> Started:
        return self._user("close", process, index(fd))

    def start_dup(self, process: str, fd: str, other: str) -> Started:
        return self._user("dup", process, index(fd), index(other))

    def start_send(self, process: str, fd: str) -> Started:
        call = self.system.call("send", index(process), index(fd))
        return Started(call, lambda number: Observation("OK", (f"message{number}",)))

    def start_receive(self, process: str, fd: str, message: str) -> Started:
        return self._user("receive", process, index(message), index(fd))

    def start_discard(self, message: str) -> Started:
        file = self.system.messages.pop(index(message))
        return self._task("discard", lambda task: drop(task, file), "DONE")

    def start_kill(self, process: str) -> Started:
        return Started(self.system.call("exit", index(process)), lambda _: Observation("DONE"))

    def start_drop_master(self, process: str, fd: str) -> Started:
        return self._user("drop_master", process, index(fd))

    def start_set_master(self, process: str, fd: str) -> Started:
        return self._user("set_master", process, index(fd))

    # ------------------------------------------------------------------ memory

    def do_alloc(self, process: str, fd: str) -> Observation:
        """Memory, and where the device translates addresses, one of them."""
        p, n = index(process), index(fd)
        handle = self.system.mem_alloc(p, n, PIECE)
        if handle < 0:
            return Observation(outcome(handle))
        context = self._process(process).files.files[n].private_data
        extent: Extent = context.extents[handle]
        place = self.system.mem_map(p, n, handle) if context.device.mmu else 0
        return Observation(outcome(min(place, 0)), chosen={"m": self.view.memory(context.device, extent.pages[0])})

    def do_free_memory(self, process: str, fd: str, memory: str) -> str:
        p, n = index(process), index(fd)
        extent = self._own(process, fd, memory)
        if DESIGNS[self.behaviour].addressing == "virtual":
            unmapped = self.system.mem_unmap(p, n, self._address(extent))
            if unmapped:
                return outcome(unmapped)
        return outcome(self.system.mem_free(p, n, extent.handle if extent else UNKNOWN))

    def _own(self, process: str, fd: str, memory: str) -> Extent | None:
        """The allocation of that memory, if it is of the context behind the descriptor: only there it has a name."""
        file = self._process(process).files.files.get(index(fd))
        extent = self.view.extent(index(memory))
        return extent if extent is not None and file is not None and extent.context is file.private_data else None

    @staticmethod
    def _address(extent: Extent | None) -> int:
        """The address of an allocation in its context."""
        mappings = extent.context.mappings.values() if extent is not None else ()
        return next((mapping.address for mapping in mappings if mapping.extent is extent), UNKNOWN)

    def start_export(self, process: str, fd: str, memory: str, at: str, part: str, wraps: str) -> Started:
        offset, size = (PAGE, PAGE) if part == "True" else (0, PIECE)
        if DESIGNS[self.behaviour].addressing == "virtual":
            address = self._address(self._own(process, fd, memory))
            offset = WRAPPING if wraps == "True" else offset
        else:
            address = WRAPPING if wraps == "True" else self.view.address(index(memory)) + offset
            offset = 0
        call = self.system.call("export", index(process), index(fd), address, size, offset, index(at))
        return Started(call, lambda n: self._exported(process, n))

    def _exported(self, process: str, n: int) -> Observation:
        buffer = self.system.buffer_of(index(process), n)
        assert buffer is not None
        self.view.buffers[name := f"buffer{buffer.serial}"] = buffer
        return Observation("OK", (name,))

    def start_end_session(self, session: str) -> Started:
        context = self.view.context(session)
        return self._driver("end_session", context.device.number, context.session.serial)

    def start_reclaim(self, memory: str) -> Started:
        m = index(memory)
        return self._driver("reclaim", self.view.memories[m], self.view.address(m))

    # ------------------------------------------------------------------ importers

    def start_attach(self, process: str, fd: str, kind: str) -> Started:
        p, n = index(process), index(fd)
        if kind in IMPORTERS:
            call = self.system.call("attach", p, n, IMPORTERS[kind])
            return Started(call, lambda t: self._attached(self.system.importers[t][1]))
        buffer = self.system.buffer_of(p, n)
        call = self.system.call("register", p, n, 0, buffer.size if buffer else PAGE, revocable=kind == "REVOCABLE")
        return Started(call, lambda key: self._attached(self.system.regions[key][1]))

    def _attached(self, importer: Importer) -> Observation:
        assert importer.attachment is not None
        self.view.imports[name := f"import{importer.attachment.serial}"] = importer
        return Observation("OK", (name,))

    def start_map(self, name: str) -> Started:
        return self._task("map", self.view.imports[name].map)

    def start_unmap(self, name: str) -> Started:
        importer = self.view.imports[name]
        return self._task("unmap", lambda task: self._give_back(task, importer))

    @staticmethod
    def _give_back(task: Task, importer: Importer) -> Step[int]:
        """Unmap; an importer for which the core has mapped gets that mapping first, if it did not ask for it yet."""
        if importer.mapping is None and importer.reach is not None:
            yield from importer.map(task)
        return (yield from importer.unmap(task))

    def start_detach(self, name: str) -> Started:
        importer = self.view.imports[name]
        if isinstance(importer, Region):
            p = next(p for p, region in self.system.regions.values() if region is importer)
            return self._user("deregister", f"process{p}", importer.key)
        return Started(self.system.call("detach", importer.number))

    def do_access(self, name: str) -> str:
        """The device writes; whether anything answers is not for it to say."""
        importer = self.view.imports[name]
        reach = importer.reach
        if reach is None or (isinstance(importer, Region) and importer.stopped):
            return "EFAULT"
        if not isinstance(importer, Region) and (begun := self.system.begin_access(importer.number)):
            return outcome(begun)
        try:
            importer.device.domain.store(reach.segments, 0, b"written")
        except UserFault:
            return "EFAULT" if importer.buffer.priv.home.decodes else "DONE"
        return "DONE"

    def do_finish(self, name: str) -> str:
        finished = self.system.finish_access(self.view.imports[name].number)
        return outcome(finished) if finished else "DONE"

    # ------------------------------------------------------------------ what happens to a device

    def start_revoke(self, buffer: str) -> Started:
        found = self.view.buffers[buffer]
        return self._driver("retire", found.priv.home.number, found.serial)

    def start_reset(self, device: str) -> Started:
        return self._waiting(self.system.call("reset", index(device), kills=False), RESET_PATIENCE)

    def start_remove(self, device: str) -> Started:
        return self._waiting(self.system.call("remove", index(device)), REMOVAL_PATIENCE)

    def _waiting(self, call: Call, patience: int) -> Started:
        """One that may wait for openers: so long, and then no more."""
        return Timed(call, lambda _: Observation("DONE"), lambda: self.system.advance(patience))
