# SPDX-License-Identifier: Apache-2.0
"""A machine small enough to be read at one glance, and a driver that follows it, with bugs to be switched on."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from enum import Enum
from functools import cache
from typing import ClassVar

from accelspec.conformance.targets import Call, Driver, Observation, System
from accelspec.model.evaluate import Interpreter
from accelspec.spec.language import (
    CALLBACK,
    DONE,
    EBADF,
    EBUSY,
    EINVAL,
    ENOMEM,
    ENXIO,
    OK,
    OOPS,
    STATE,
    Machine,
    Map,
    Object,
    Result,
    Rigid,
    any_of,
    check,
    choose,
    compile_machine,
    deduced,
    event,
    fails,
    free,
    kernel,
    operation,
    read,
    require,
    when,
)
from accelspec.spec.language.specification import Specification


class Fd(Object, always=True):
    """A number that a process has for an open queue."""


class Process(Object, always=True):
    """Who calls."""

    fd: Map[Fd, Queue | None]


class Device(Object, always=True):
    """What is opened."""

    sva: bool
    registered: bool = True


class Hw(Object, always=True):
    """A hardware queue."""

    device: Rigid[Device]


class State(Enum):
    """Of a queue."""

    INIT = 0
    STARTED = 1
    ZOMBIE = 2


INIT, STARTED, ZOMBIE = State.INIT, State.STARTED, State.ZOMBIE


class Queue(Object):
    """An open description."""

    device: Rigid[Device]
    state: State = INIT
    hw: Hw | None = None


class Vma(Object):
    """A mapping of a queue."""

    queue: Queue
    half: bool = False


class Toy(Machine):
    """A queue that is opened, started, mapped and closed."""

    machine = "toy"
    revision = "1"
    document = "the toy driver"
    scopes: ClassVar = {"usual": {"Process": 2, "Fd": 2, "Device": 1, "Hw": 2, "Queue": 4, "Vma": 3}}

    def queue_of(self, p: Process, n: Fd) -> Queue:
        q = p.fd[n]
        if q is None:
            raise EBADF("no_file", kernel("fdget"))
        return q

    @operation
    def open(self, p: Process, n: Fd, d: Device) -> Result:
        require(p.fd[n] is None)
        if not d.registered:
            return ENXIO("gone", kernel("chrdev_open"))
        if fails("allocation"):
            return ENOMEM("no_memory", read("toy_open"))
        if d.sva and fails("bind"):
            return CALLBACK("bind_fails", read("toy_open"))
        h = choose(h for h in Hw if h.device is d and not any(q.hw is h for q in Queue))
        if h is None:
            return EBUSY("busy", read("toy_get_queue"))
        q = Queue(device=d, hw=h)
        p.fd[n] = q
        return OK("ok", read("toy_open"))

    @operation
    def start(self, p: Process, n: Fd) -> Result:
        q = self.queue_of(p, n)
        if q.state is ZOMBIE:
            return ENXIO("dead", read("toy_start"))
        if q.state is STARTED:
            return EINVAL("started", read("toy_start"))
        if fails("start_queue"):
            return CALLBACK("start_fails", read("toy_start"))
        q.state = STARTED
        return OK("ok", read("toy_start"))

    @operation
    def mmap(self, p: Process, n: Fd) -> Result:
        q = self.queue_of(p, n)
        if q.state is ZOMBIE:
            return ENXIO("dead", read("toy_mmap"))
        Vma(queue=q)
        return OK("ok", read("toy_mmap"))

    @operation
    def split(self, v: Vma) -> Result:
        if v.half:
            return EINVAL("too_small", read("toy_split"))
        Vma(queue=v.queue, half=True)
        v.half = True
        return OK("ok", read("toy_split"))

    @operation
    def munmap(self, v: Vma) -> Result:
        q = v.queue
        free(v)
        self.put(q)
        return OK("ok", read("toy_munmap"))

    @operation
    def dup(self, p: Process, n: Fd, m: Fd) -> Result:
        require(p.fd[n] is not None and p.fd[m] is None)
        p.fd[m] = p.fd[n]
        return OK("ok", kernel("dup"))

    @operation
    def close(self, p: Process, n: Fd) -> Result:
        q = self.queue_of(p, n)
        p.fd[n] = None
        self.put(q)
        return OK("ok", kernel("close"))

    def put(self, q: Queue) -> None:
        if when(not any(p.fd[n] is q for p in Process for n in Fd) and not any(v.queue is q for v in Vma)):
            free(q)

    @operation
    def poke(self, p: Process, n: Fd) -> Result:
        q = self.queue_of(p, n)
        if q.state is ZOMBIE:
            return OOPS("wild", read("toy_poke"))
        assert q.state is STARTED, "toy.I01"
        return OK("ok", read("toy_poke"))

    @check("toy.I01", STATE, deduced("a doorbell of a queue that is not started"))
    def only_started_queues_are_poked(self) -> None:
        """Only started queues are poked."""

    @event
    def remove(self, d: Device) -> Result:
        require(d.registered)
        d.registered = False
        while any(q.device is d and q.state is not ZOMBIE for q in Queue):
            q = any_of(q for q in Queue if q.device is d and q.state is not ZOMBIE)
            q.state = ZOMBIE
            q.hw = None
            yield "putting"
        return DONE("removed", read("toy_remove"))


@cache
def specification() -> Specification:
    return compile_machine(Toy)


@cache
def interpreter() -> Interpreter:
    return Interpreter(specification())


class ToyDriver(Driver):
    """What the toy machine says, written once more by hand; `options["bugs"]` names what it does wrong."""

    failures = frozenset({"allocation", "bind", "start_queue"})

    def begin(self, system: System) -> None:
        self.bugs = set(self.options.get("bugs", "").split(","))
        self.sva = system.cells["device0.sva"] == "True"
        self.hw = {f"hw{i}": system.cells[f"hw{i}.device"] for i in range(system.scope["Hw"])}
        self.registered = {f"device{i}" for i in range(system.scope["Device"])}
        self.fds: dict[tuple[str, str], dict[str, str]] = {}
        self.vmas: dict[str, tuple[dict[str, str], bool]] = {}
        self.leaked = 0
        self.serial = 0

    def do_open(self, process: str, fd: str, device: str, fails: Mapping[str, str]) -> str | Observation:
        if device not in self.registered:
            return "ENODEV" if "errno" in self.bugs else "ENXIO"
        if "allocation" in fails:
            return "ENOMEM"
        if self.sva and "bind" in fails:
            return "OK" if "swallow" in self.bugs else fails["bind"]
        used = [q.get("hw") for q in self.queues()]
        unused = [h for h, d in self.hw.items() if d == device and h not in used]
        if not unused or (len(unused) + self.leaked == len(self.hw) - 1 + self.leaked and "capacity" in self.bugs):
            return "EBUSY"
        hw = unused[-1]
        self.fds[process, fd] = {"device": device, "hw": hw, "state": "INIT"}
        return Observation("OK", chosen={"h": hw} if "shy" not in self.bugs else {})

    def queues(self) -> list[dict[str, str]]:
        return [*self.fds.values(), *(q for q, _ in self.vmas.values())]

    def do_start(self, process: str, fd: str, fails: Mapping[str, str]) -> str:
        q = self.fds.get((process, fd))
        if q is None:
            return "EBADF"
        if q["state"] == "ZOMBIE":
            return "EINVAL" if "dead" in self.bugs else "ENXIO"
        if q["state"] == "STARTED":
            return "EINVAL"
        if "start_queue" in fails:
            if "half" in self.bugs:
                q["state"] = "STARTED"
            return fails["start_queue"]
        q["state"] = "STARTED"
        return "OK"

    def do_mmap(self, process: str, fd: str) -> str | Observation:
        q = self.fds.get((process, fd))
        if q is None:
            return "EBADF"
        if q["state"] == "ZOMBIE":
            return "ENXIO"
        return Observation("OK", created=(self.map(q, False),))

    def map(self, q: dict[str, str], half: bool) -> str:
        self.serial += 1
        self.vmas[f"vma{self.serial + 100}"] = q, half
        return f"vma{self.serial + 100}"

    def do_split(self, vma: str) -> str | Observation:
        q, half = self.vmas[vma]
        if half:
            return "EINVAL"
        self.vmas[vma] = q, True
        return Observation("OK", created=(self.map(q, True),))

    def do_munmap(self, vma: str) -> None:
        del self.vmas[vma]
        if "leak" in self.bugs:
            self.leaked += 1

    def do_dup(self, process: str, fd: str, other: str) -> None:
        self.fds[process, other] = self.fds[process, fd]
        if "crash" in self.bugs and len(self.fds) > 2:
            raise KeyError("no slot")

    def do_close(self, process: str, fd: str) -> str | Observation:
        if (process, fd) not in self.fds:
            return "EBADF"
        del self.fds[process, fd]
        if "alarm" in self.bugs and self.vmas:
            return Observation("OK", alarms=(f"use after free at 0x{id(self):x}",))
        return "OK"

    def do_poke(self, process: str, fd: str) -> str:
        return "OK" if (process, fd) in self.fds else "EBADF"

    def do_remove(self, device: str) -> str:
        self.registered.discard(device)
        for q in self.queues():
            if q["device"] == device:
                q.update(state="ZOMBIE", hw="none")
        return "DONE"

    def state(self) -> Mapping[str, str]:
        return {f"device{i}.registered": str(f"device{i}" in self.registered or "stale" in self.bugs) for i in range(1)}

    def leftovers(self) -> Mapping[str, int]:
        return {"Vma": len(self.vmas), "Page": self.leaked}


def toy_driver(bugs: str = "") -> ToyDriver:
    return ToyDriver("1", {"bugs": bugs})


class Half:
    """A call under way: the steps that are left, and at the end what it answers."""

    def __init__(self, steps: Generator[None, None, Observation]) -> None:
        self._steps = steps
        self.seen: Observation | None = None
        self.ready = True

    def step(self) -> None:
        try:
            next(self._steps)
        except StopIteration as end:
            self.ready, self.seen = False, end.value


class RacyDriver(ToyDriver):
    """The same, two calls at once; with the bug `late` an open does not notice that the device went away meanwhile."""

    finer = False

    def meet(self, call: Call, other: Call, schedule: tuple[int, ...]) -> tuple[Observation, Observation]:
        two = [Half(self.steps(one)) for one in (call, other)]
        for turn, steps in enumerate((*schedule, 100, 100, 100)):
            for _ in range(steps):
                if two[turn % 2].ready:
                    two[turn % 2].step()
        first, second = (half.seen for half in two)
        assert first is not None
        assert second is not None
        bare = Observation(first.result, first.created, first.chosen)
        return bare, Observation(second.result, second.created, second.chosen, dict(self.state()))

    def steps(self, call: Call) -> Generator[None, None, Observation]:
        there = set(self.registered)
        yield
        if call.operation != "open" or "late" not in self.bugs:
            return self.perform(call)
        now, self.registered = self.registered, there
        seen = self.perform(call)
        self.registered = now
        return seen
