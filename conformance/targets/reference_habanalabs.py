# SPDX-License-Identifier: Apache-2.0
"""The reference driver of habanalabs behind the target interface."""

# ruff: noqa: D102  (a method do_X performs the operation X, and the specification says what that is)

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

from accelspec.reference_impl.accel.arguments import Chunk, DebugOp, InfoArgs, MemoryFlag
from accelspec.reference_impl.accel.behaviour import REVISIONS
from accelspec.reference_impl.accel.checks import KNOWN
from accelspec.reference_impl.accel.context import Context
from accelspec.reference_impl.accel.device import AccelDevice
from accelspec.reference_impl.accel.fd import AccelFd
from accelspec.reference_impl.accel.info import Info
from accelspec.reference_impl.accel.submission import Submission
from accelspec.reference_impl.accel.system import AccelSystem
from accelspec.reference_impl.kernel import Errno
from accelspec.reference_impl.kernel.process import Process

from . import interface
from .interface import Observation
from .reference import Reference
from .reference_calls import Started, index, outcome
from .reference_habanalabs_calls import AtOnce, Lasting, Places, Placing, Thorough
from .reference_habanalabs_view import View

EXTERNAL, NOWHERE = 4, 7  # queues of the default device: one that needs a command buffer, one that is not there
LARGE = 4 << 20

# The failures of the specification by the name of what fails here, per operation where one name means several.
INJECTED = {
    "open.allocation": "alloc:fd",
    "open.idr_alloc": "context_handle",
    "open.hl_ctx_create": "context_handle",
    "open_control.allocation": "alloc:fd",
    "hl_ctx_create": "context_handle",
    "copy_to_user": "copy_to_user",
    "cb_create.allocation": "alloc:cb",
    "gen_pool_alloc": "mem_pool",
    "alloc.idr_alloc": "mem_idr",
    "virtual addresses": "mem_map",
    "submit.allocation": "alloc:submission",
    "kernel_ctx": "alloc:kernel context",
    "hw_init": "hw_init",
    "scrub": "scrub",
}
ARGUMENTS = ("return_size or return_pointer", "arguments", "neither auto nor manual")  # what is passed instead

QUESTIONS = {
    "STATUS": Info.DEVICE_STATUS,
    "USAGE": Info.DRAM_USAGE,
    "OTHER": Info.HW_IDLE,
    "UNKNOWN": 99,
}


class HabanalabsReference(Reference):
    """The reference driver of habanalabs."""

    failures = frozenset({name.rpartition(".")[2] for name in INJECTED} | set(ARGUMENTS))
    behaviours = tuple(r for r in REVISIONS if r not in ("c1", "c2"))  # the calls of 6.x have other arguments
    injected: ClassVar[Mapping[str, str]] = INJECTED

    def fresh(self) -> AccelSystem:
        """As in `Reference`."""
        return AccelSystem(self.behaviour, faults=self.faults, devices=0, ring=1, kill_trials=1)

    def begin(self, system: interface.System) -> Mapping[str, str]:
        """As in `Driver`. Every process has an address space of its own."""
        cells = dict(system.cells)
        scope = system.scope
        cells.update({f"process{i}.mm": f"mm{i}" for i in range(min(scope.get("Process", 1), scope.get("Mm", 0)))})
        self.system = self.fresh()
        asids = [cells.get(f"asid{i}.device", "device0") for i in range(scope["Asid"])]
        for d in range(scope["Device"]):
            self.system.probe(d, asids=1 + asids.count(f"device{d}"))
            self.system.part_ends(d)
        self.view = View(self.system, scope["Process"])
        self._serials: Counter[str] = Counter()
        self._messages: dict[str, int] = {}
        self._submissions: dict[str, Submission] = {}
        self._places = Places()
        self._fails: Mapping[str, str] = {}
        self.heard = 0
        return cells

    @contextmanager
    def failing(self, call: interface.Call) -> Iterator[None]:
        """As in `Reference`."""
        self._fails = call.fails
        for name in call.fails:  # the driver's own errno follows, whatever made the step fail
            if step := self.injected.get(f"{call.operation}.{name}", self.injected.get(name)):
                self.system.inject(step, Errno.ENOMEM)
        yield
        self._fails = {}
        self.system.kernel.injector.clear()

    @property
    def findings(self) -> Sequence[object]:
        """As in `Reference`, but for what its behaviour does by design."""
        return [f for f in self.system.findings if f.rule not in KNOWN[REVISIONS[self.behaviour].name]]

    # ------------------------------------------------------------------ names

    def state(self) -> Mapping[str, str]:
        """As in `Driver`: descriptors, and the flags of devices."""
        return self.view.state()

    def leftovers(self) -> Mapping[str, int]:
        """As in `Target`."""
        return self.view.leftovers() | {"Message": len(self._messages)}

    def _next(self, kind: str) -> str:
        self._serials[kind] += 1
        return f"{kind}{self._serials[kind]}"

    def _process(self, name: str) -> Process:
        return self.system.kernel.processes.get(index(name)) or self.system.kernel.spawn(index(name))

    def _device(self, name: str) -> AccelDevice:
        return self.system.device(index(name))

    def _fd(self, process: str, fd: str) -> AccelFd | None:
        self._process(process)
        return self.system.fd(index(process), index(fd))

    def _user(self, name: str, process: str, fd: str, *args: Any, **rest: Any) -> Started:
        self._process(process)
        return Thorough(self.system, self.system.call(name, index(process), index(fd), *args, **rest))

    def _driver(self, name: str, *args: Any) -> Started:
        return Started(self.system.call(name, *args), lambda _: Observation("DONE"))

    def _request(self, name: str, *args: Any) -> Started:
        """One whose flags the specification sets at once."""
        return AtOnce(self.system.call(name, *args), lambda _: Observation("DONE"))

    # ------------------------------------------------------------------ descriptors

    def start_open(self, process: str, fd: str, device: str) -> Started:
        return self._open("open", process, fd, device)

    def start_open_control(self, process: str, fd: str, device: str) -> Started:
        return self._open("open_control", process, fd, device)

    def _open(self, name: str, process: str, fd: str, device: str) -> Started:
        self._process(process)
        call = self.system.call(name, index(process), index(device), index(fd))
        return Thorough(self.system, call, lambda _: Observation("OK", self.view.opened(self._fd(process, fd))))

    def start_close(self, process: str, fd: str) -> Started:
        return self._user("close", process, fd)

    def start_dup(self, process: str, fd: str, other: str) -> Started:
        self._process(process)
        return Started(self.system.call("dup", index(process), index(fd), index(other)))

    def do_send(self, process: str, fd: str) -> Observation:
        self._process(process)
        message = self.system.send(index(process), index(fd))
        if message < 0:
            return Observation(outcome(message))
        self._messages[name := self._next("message")] = message
        return Observation("OK", (name,))

    def do_receive(self, process: str, fd: str, message: str) -> str:
        self._process(process)
        return outcome(self.system.receive(index(process), self._messages.pop(message), index(fd)))

    def do_discard(self, message: str) -> str:
        return "DONE" if self.system.discard(self._messages.pop(message)) == 0 else "HANG"

    def start_fork(self, process: str, child: str, mm: str) -> Started:
        self._process(process)
        return Started(self.system.call("fork", index(process), index(child)))

    def start_exit(self, process: str) -> Started:
        self._process(process)
        return Started(self.system.call("exit", index(process)))

    def do_drain(self, h: str) -> str:
        """What an exit, a discarded message or a reset has left of a file comes to its end."""
        left = next((fd for fd in self.system.parted() if self.view.name(fd) == h), None)
        if left is None:  # the driver has no more to do for it
            return "DONE"
        end = self.system.ending(left)
        end.run()
        return "DONE" if end.result == 0 else outcome(end.result)

    # ------------------------------------------------------------------ ioctls

    def start_info(self, process: str, fd: str, query: str) -> Started:
        size = 0 if "return_size or return_pointer" in self._fails else 64
        return self._user("info", process, fd, InfoArgs(QUESTIONS[query], size))

    def start_cb_create(self, process: str, fd: str, large: str) -> Started:
        return self._user("cb_create", process, fd, LARGE if large == "True" else 4096)

    def start_cb_destroy(self, process: str, fd: str) -> Started:
        buffer = self.view.buffer(self._fd(process, fd))
        return self._user("cb_destroy", process, fd, buffer.handle if buffer else 99 << 12)

    def start_alloc(self, process: str, fd: str, nothing: str, shared: str = "False") -> Started:
        size = 0 if nothing == "True" else 4096
        return self._user("alloc", process, fd, size, MemoryFlag.SHARED if shared == "True" else 0)

    def start_free(self, process: str, fd: str) -> Started:
        return self._user("free", process, fd, self.view.handle(self._fd(process, fd)))

    def start_map(self, process: str, fd: str) -> Started:
        return self._user("map", process, fd, self.view.handle(self._fd(process, fd), mapped=False))

    def start_unmap(self, process: str, fd: str) -> Started:
        return self._user("unmap", process, fd, self.view.address(self._fd(process, fd)))

    def start_debug_on(self, process: str, fd: str) -> Started:
        return self._user("debug_on", process, fd)

    def start_debug_off(self, process: str, fd: str) -> Started:
        return self._user("debug_off", process, fd)

    def start_debug_configure(self, process: str, fd: str) -> Started:
        return self._user("debug_configure", process, fd, DebugOp.ETR)

    # ------------------------------------------------------------------ submissions

    def start_submit(self, process: str, fd: str) -> Started:
        user = self._fd(process, fd)
        chunk = self._chunk(user)
        call = self._user("submit", process, fd, *((chunk,) if chunk else ()), empty=chunk is None)
        return Placing(self.system, call.call, lambda accepted: self._placed(user, accepted))

    def _chunk(self, fd: AccelFd | None) -> Chunk | None:
        if "arguments" in self._fails:
            return None
        buffer = self.view.buffer(fd)
        return Chunk(EXTERNAL, buffer.handle) if buffer else Chunk()

    def _placed(self, user: AccelFd | None, accepted: bool) -> tuple[str, ...]:
        context = self.view.context(user)
        assert context is not None
        return self.made(context, accepted=accepted)

    def made(self, context: Context, *, accepted: bool) -> tuple[str, ...]:
        """The name of the submission that a context has made, also of one that was rejected, if it is a new name."""
        number, same = self._places.take(context, context.latest if accepted else None)
        name = f"submission{number}"
        if accepted and context.latest is not None:
            self._submissions[name] = context.latest
        return () if same else (name,)

    def do_complete(self, submission: str) -> str:
        """The hardware has finished it, whatever it was doing: an interrupt that was on its way still comes."""
        done = self._submissions[submission]
        queues = done.context.device.queues
        halted, queues.halted = queues.halted, False
        while done.jobs and queues.step() is not None:
            pass
        queues.halted = halted
        before = self.system.parted()
        self.system.settle()
        for fd in self.system.parted():
            if fd not in before:
                self.system.ending(fd).run()
        return "DONE"

    def start_wait(self, process: str, fd: str) -> Started:
        context = self.view.context(self._fd(process, fd))
        return self._user(
            "wait", process, fd, context.latest.seq if context is not None and context.latest is not None else 1
        )

    # ------------------------------------------------------------------ resets

    def start_hard_reset(self, device: str) -> Started:
        return self._request("hard_reset", index(device))

    def start_soft_reset(self, device: str) -> Started:
        return self._driver("compute_reset", index(device))

    def start_heartbeat_fails(self, device: str) -> Started:
        return self._request("heartbeat", False, index(device))

    def start_reset_work(self, device: str) -> Started:
        """The worker comes to its end; nobody dies meanwhile, and every wait is as long as it may be."""
        d = index(device)
        worker = self.system.worker(d)
        assert worker is not None
        return Lasting(self.system, worker, lambda: self.system.worker_ended(d))

    def start_remove(self, device: str) -> Started:
        return Lasting(self.system, self.system.call("remove", index(device)))

    def do_suspend(self, device: str) -> str:
        result = self.system.suspend(index(device))
        return "DONE" if result == 0 else outcome(result)

    def do_resume(self, device: str) -> str:
        result = self.system.resume(index(device))
        return "DONE" if result == 0 else outcome(result)

    # ------------------------------------------------------------------ frequency

    def do_frequency_tick(self, device: str) -> str:
        self.system.frequency_tick(index(device))
        return "DONE"

    def start_pm_write(self, device: str, manual: str) -> Started:
        text = "maybe" if "neither auto nor manual" in self._fails else "manual" if manual == "True" else "auto"
        return Started(self.system.call("pm_write", text, index(device)))
