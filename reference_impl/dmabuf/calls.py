# SPDX-License-Identifier: Apache-2.0
"""How a call is made: by a process, by the driver of an importer, or by a device; to its end, or in steps."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import count
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar

from ..kernel import Call, Kernel, Mm, Step, Task, UsageError
from ..kernel.process import Process
from ..running import Running
from .context import Later
from .core import Core
from .design import DESIGNS, Design, Era, FreePolicy
from .device import Device
from .exporter import Exporter
from .faults import with_faults
from .fence import Fence, Timeline
from .heap import Heap
from .importer import Importer, ImporterDevice
from .jobs import Job
from .region import Keys, Region
from .revoke import Revoker
from .sync_file import SyncFops

INJECTABLE = (
    "alloc:attachment", "alloc:context", "alloc:device memory", "alloc:dmabuf", "alloc:export", "alloc:fence",
    "alloc:heap memory", "alloc:mapping", "alloc:region", "copy_to_user", "dma_buf_export", "resv_reserve",
)  # fmt: skip

FIRST_NUMBER = 1 << 16  # numbers of attachments, messages, fences and maps begin here: no descriptor looks like one

Actor = Literal["process", "importer", "device"]
P = ParamSpec("P")
Q = ParamSpec("Q")
S = TypeVar("S", bound="Calls")

STEPPED: dict[str, tuple[Actor, Callable[..., Step[int]]]] = {}  # calls that can be run in steps, and who makes them


def by_process(body: Callable[Concatenate[S, Task, Process, P], Step[int]]) -> Callable[Concatenate[S, int, P], int]:
    """Make a call of process `p` of what is written as a step of it."""
    STEPPED[body.__name__] = ("process", body)

    def call(self: S, p: int, /, *args: P.args, **kwargs: P.kwargs) -> int:
        process = self._process(p)
        task = process.task(body.__name__)
        return self._finish(self._enter(task, body(self, task, process, *args, **kwargs)), p, _number(args))

    return _like(call, body)


def by_importer(body: Callable[Concatenate[S, Task, Importer, P], Step[int]]) -> Callable[Concatenate[S, int, P], int]:
    """Make a call on attachment `t` of what is written as a step of its importer."""
    STEPPED[body.__name__] = ("importer", body)

    def call(self: S, t: int, /, *args: P.args, **kwargs: P.kwargs) -> int:
        p, importer = self._importer(t)
        task = self._process(p).task(body.__name__)
        return self._finish(self._enter(task, body(self, task, importer, *args, **kwargs)), p, t)

    return _like(call, body)


def by_device(body: Callable[Concatenate[S, Task, Device, P], Step[int]]) -> Callable[Concatenate[S, int, P], int]:
    """Make something that happens to device `d` of what is written as a step of its driver."""
    STEPPED[body.__name__] = ("device", body)

    def call(self: S, d: int, /, *args: P.args, **kwargs: P.kwargs) -> int:
        task = Task(f"{body.__name__}({d})")
        return self._finish(self._enter(task, body(self, task, self._device(d), *args, **kwargs)), d, 0)

    return _like(call, body)


def _like(call: Callable[Q, int], body: Callable[..., Step[int]]) -> Callable[Q, int]:
    call.__name__, call.__doc__ = body.__name__, body.__doc__
    return call


def _number(args: tuple[Any, ...]) -> int:
    return args[0] if args and isinstance(args[0], int) else 0


class Mapped:
    """A range of pages that a process has of a buffer."""

    def __init__(self, process: Process, mm: Mm, start: int, pages: int) -> None:
        self.process = process
        self.mm = mm
        self.start = start
        self.pages = pages


class UserFence:
    """A fence that a process promised to signal; it expires by itself."""

    def __init__(self, pid: int, fence: Fence, expires: int) -> None:
        self.pid = pid
        self.fence = fence
        self.expires = expires


class Calls(Running):
    """A kernel with a dma-buf core in it, devices, and everything that numbers stand for."""

    def __init__(
        self,
        design: str | Design = "intended",
        *,
        faults: Iterable[str] = (),
        devices: int = 2,
        mmu: bool | None = None,
        era: Era | None = None,
        free: FreePolicy | None = None,
        move_notify: bool = True,
        later: bool = False,
        **hardware: Any,
    ) -> None:
        if isinstance(design, str):
            if design not in DESIGNS:
                raise UsageError(f"no design is called {design!r}; there are: {', '.join(DESIGNS)}")
            design = DESIGNS[design]
        if era is not None:
            design = replace(design, era=era)
        if free is not None:
            design = replace(design, free=free)
        self.design = with_faults(design, faults)
        super().__init__(Kernel(INJECTABLE))
        self.core = Core(self.kernel, self.design, move_notify=move_notify)
        self.exporter = Exporter(self.core)
        self.revoker = Revoker(self.core)
        self.exporter.irrevocable_left = self.revoker.last_irrevocable_left
        self.heap_exporter = Heap(self.core)
        self.sync_fops = SyncFops(self.core.fences)
        with_mmu = self.design.mmu if mmu is None else mmu
        self.devices = [Device(self.core, d, mmu=with_mmu, **hardware) for d in range(devices)]
        for device in self.devices:
            device.later = Later() if later else None
        self.peers = [ImporterDevice(d, self.core.bus, self.kernel) for d in range(devices)]  # the same, as importers
        self.importer_devices: dict[int, ImporterDevice] = {}
        self.importers: dict[int, tuple[int, Importer]] = {}  # by attachment number: its process, and the import
        self.keys: dict[int, Keys] = {}
        self.regions: dict[int, tuple[int, Region]] = {}  # by key
        self.messages: dict[int, Any] = {}  # descriptions in flight
        self.user_fences: dict[int, UserFence] = {}
        self.timelines: dict[int, Timeline] = {}
        self.maps: dict[int, Mapped] = {}
        self.done: list[Job] = []  # every job that was accepted
        self._numbers = count(FIRST_NUMBER)

    def call(self, name: str, who: int, *args: Any, **kwargs: Any) -> Call:
        """Prepare the call that the method `name` makes, for a Scheduler or run_threads; nothing runs yet.

        The names are in `STEPPED`.

        >>> Scheduler([system.call("export", 0, 3, 1), system.call("close", 0, 4)]).run(choose)
        """
        found = STEPPED.get(name)
        if found is None:
            raise UsageError(f"no call is named {name!r}; there are: {', '.join(STEPPED)}")
        actor, body = found
        on: Process | Importer | Device
        if actor == "device":
            task, on = Task(f"{name}({who})"), self._device(who)
        elif actor == "importer":
            p, on = self._importer(who)
            task = self._process(p).task(name)
        else:
            on = self._process(who)
            task = on.task(name)
        return self._enter(task, body(self, task, on, *args, **kwargs))

    def schedule(self, name: str, body: Callable[[Task], Step[int]]) -> None:
        """Let a worker do `body` as soon as it can; `settle` runs it."""
        task = Task(name)
        self._asleep.append((-1, 0, self._enter(task, body(task))))

    def workers(self) -> list[Call]:
        """Return the calls of workers that are not done, for a Scheduler: taken from here, they are run there."""
        workers = [call for who, _, call in self._asleep if who < 0]
        self._asleep = [entry for entry in self._asleep if entry[0] >= 0]
        return workers

    def _device(self, d: int) -> Device:
        if not 0 <= d < len(self.devices):
            raise UsageError(f"there is no device {d}; there are {len(self.devices)}")
        return self.devices[d]

    def _importer(self, t: int) -> tuple[int, Importer]:
        found = self.importers.get(t)
        if found is None:
            raise UsageError(f"there is no attachment {t}")
        return found

    def importer_device(self, i: int) -> ImporterDevice:
        """Return importing device number `i`; its `path` and `max_segment` can be set."""
        device = self.importer_devices.get(i)
        if device is None:
            device = self.importer_devices[i] = ImporterDevice(len(self.peers) + i, self.core.bus, self.kernel)
            self.keys[i] = Keys()
        return device

    def mapped(self, m: int) -> Mapped:
        """Return what map number `m` stands for."""
        found = self.maps.get(m)
        if found is None:
            raise UsageError(f"there is no map {m}")
        return found

    @staticmethod
    def _unused(process: Process, n: int | None) -> None:
        if n is not None and n in process.files.files:
            raise UsageError(f"descriptor {n} of process {process.pid} is open; dup() replaces one")
