# SPDX-License-Identifier: Apache-2.0
"""The reference driver of habanalabs as 6.1 and 6.12 have it: what the specification says in other words than of 5.x.

The specification lets an exit, a close and the end of an owner happen in pieces of their own. The calls of the driver
that do all of it are parked where such a piece ends, and go on with the event that is the next one.
"""

# ruff: noqa: D102  (a method do_X performs the operation X, and the specification says what that is)

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from accelspec.reference_impl.accel.address_space import Fault
from accelspec.reference_impl.accel.arguments import CbArgs, Chunk, CsArgs, CsFlag, InfoArgs, Ioctl, MemoryArgs
from accelspec.reference_impl.accel.context import Context
from accelspec.reference_impl.accel.fd import STILL_IN_USE, AccelFd
from accelspec.reference_impl.accel.info import MAPPING, Info
from accelspec.reference_impl.accel.lifecycles import ResetState
from accelspec.reference_impl.accel.submission import Submission
from accelspec.reference_impl.accel.system import AccelSystem
from accelspec.reference_impl.kernel import PAGE, Call, Step, Task

from . import interface
from .interface import Observation, TargetError
from .reference_calls import Started, index, outcome
from .reference_habanalabs import LARGE, HabanalabsReference
from .reference_mainline_calls import CarriedOut, Departing, Parked, Submitting, Trial, Waiting, WaitingForSeveral

QUEUES = 4  # that take commands from anywhere

QUESTIONS = {
    "ALWAYS": Info.HW_IP_INFO,
    "WORKING": Info.HW_IDLE,
    "USAGE": Info.DRAM_USAGE,
    "EVENTS": Info.GET_EVENTS,
    "REGISTER": Info.REGISTER_EVENTFD,
    "UNREGISTER": Info.UNREGISTER_EVENTFD,
    "UNKNOWN": 99,
}
CHIPS: Mapping[str, Mapping[str, Any]] = {  # and what sets each apart
    "gaudi": {"compute_reset": False, "dram_mmu": False},
    "goya": {"staged": False, "multi_wait_entries": 0},
}
STAGES = {
    "WHOLE": 0,
    "FIRST": CsFlag.STAGED | CsFlag.STAGED_FIRST,
    "MIDDLE": CsFlag.STAGED,
    "LAST": CsFlag.STAGED | CsFlag.STAGED_LAST,
}
INJECTED = {
    "open.allocation": "alloc:fd",
    "open_control.allocation": "alloc:fd",
    "hl_ctx_create": "context_handle",
    "copy_to_user": "copy_to_user",
    "cb_create.allocation": "alloc:cb",
    "dma_buf_export": "export_fd",
    "export.allocation": "export_fd",
    "submit.allocation": "alloc:submission",
    "copy_from_user": "copy_from_user",
    "a free entry in the hardware queue": "queue_full",
    "kernel_ctx": "alloc:kernel context",
    "re-initialisation": "hw_init",
    "scrub_device_mem": "scrub",
    "gen_pool_alloc": "mem_pool",
    "idr_alloc": "mem_idr",
    "virtual addresses": "mem_map",
}
ARGUMENTS = (
    "pad is 0", "flags", "more than 512 chunks", "a chunk", "32 sequences at most", "a free completion", "a signal",
    "is_device_idle", "is_in_dram_scrub", "address and size", "an open without O_EXCL", "reset_on_lockup is set",
    "neither auto nor manual", "host memory is mapped", "return_size",
)  # fmt: skip


class MainlineReference(HabanalabsReference):
    """The reference driver of c1 and c2. Its option `chip` says of which: a Gaudi (all its resets are hard), a Goya."""

    failures = frozenset({name.rpartition(".")[2] for name in INJECTED} | set(ARGUMENTS))
    behaviours = ("c1", "c2")
    injected = INJECTED
    more_options = ("chip",)
    patient_failures = frozenset({"is_device_idle"})

    def __init__(self, revision: str, options: Mapping[str, str] | None = None) -> None:
        own = dict(options or {})
        self.chip = own.pop("chip", "gaudi")
        if self.chip not in CHIPS:
            raise TargetError(f"the reference driver is no {self.chip}; its option chip takes {', '.join(CHIPS)}")
        self.scope = {"Chip": int(self.chip != "gaudi")}
        super().__init__(revision, own)

    @property
    def name(self) -> str:
        """As in `Target`."""
        return super().name if self.chip == "gaudi" else f"{super().name} as a {self.chip}"

    def fresh(self) -> AccelSystem:
        """As in `Reference`."""
        return AccelSystem(self.behaviour, faults=self.faults, devices=0, ring=2, kill_trials=1, **CHIPS[self.chip])

    def begin(self, system: interface.System) -> Mapping[str, str]:
        """As in `Driver`."""
        chips = system.scope.get("Chip", 0)
        if chips != self.scope["Chip"]:
            raise TargetError(f"as a {self.chip} the reference driver has Chip={self.scope['Chip']}, not {chips}")
        self.parked: list[Call] = []  # closes that have found their context in use
        self.carriers: dict[int, Call] = {}  # threads that carry out the compute reset of a device
        self._dead: set[int] = set()
        self._page_faults = system.scope.get("PageFault", 0)
        return {**super().begin(system), **{f"chip{i}.asic": self.chip.upper() for i in range(chips)}}

    def park(self, call: Call) -> None:
        """Keep a call that goes on with a later event."""
        if call.at is not None and call.at.label == STILL_IN_USE:
            self.parked.append(call)
            return
        resetting = (d for d, device in self.system.devices.items() if device.reset_state is ResetState.COMPUTE)
        self.carriers[next(d for d in resetting if d not in self.carriers)] = call

    def state(self) -> Mapping[str, str]:
        """As in `Driver`; and the clocks, of a Goya."""
        cells = dict(super().state())
        for d, device in self.system.devices.items():
            if not device.removed and d < self._page_faults:
                cells[f"pageFault{d}.seen"] = str(bool(device.captured))
            if not device.removed:
                cells[f"device{d}.compute_reset"] = str(device.in_compute_reset)
                if self.chip == "goya":
                    cells[f"chip{d}.manual"] = str(device.profile == "manual")
                    cells[f"chip{d}.high"] = str(device.frequency == "HIGH")
        return cells

    def leftovers(self) -> Mapping[str, int]:
        """As in `Target`; a close that is parked has given its file back."""
        left = dict(super().leftovers())
        left["File"] -= len(self.parked)
        return {**left, "Dmabuf": self.view.exports(), "Snapshot": self.view.snapshots(), **self.view.forgotten()}

    # ------------------------------------------------------------------ descriptors, and the end in pieces

    def start_open(self, process: str, fd: str, device: str) -> Started:
        self._process(process)
        self._device(device).scrubbing = "is_in_dram_scrub" in self._fails
        exclusive = "an open without O_EXCL" in self._fails
        call = self.system.call("open", index(process), index(device), index(fd), exclusive)
        return Started(call, lambda _: Observation("OK", self.view.opened(self._fd(process, fd))))

    def start_open_control(self, process: str, fd: str, device: str) -> Started:
        self._process(process)
        call = self.system.call("open_control", index(process), index(device), index(fd))
        return Started(call, lambda _: Observation("OK", self.view.opened(self._fd(process, fd))))

    def start_close(self, process: str, fd: str) -> Started:
        self._process(process)
        return Parked(self, self.system.call("close", index(process), index(fd)))

    def start_dup(self, process: str, fd: str, other: str) -> Started:
        self._process(process)
        return Parked(self, self.system.call("dup", index(process), index(fd), index(other)))

    def start_discard(self, message: str) -> Started:
        file = self.system.messages.pop(self._messages.pop(message))
        task = Task("discard")

        def drop() -> Step[int]:
            file.put(task)
            yield from ()
            return 0

        call = Call(task, self.system.kernel.syscall(task, drop()), self.system.kernel.findings.report)
        return Parked(self, call, "DONE")

    def start_fork(self, process: str, child: str, mm: str) -> Started:
        self._dead.discard(index(child))
        if index(child) in self.system.kernel.processes and self.system.alive(index(child)):
            self.system.exit(index(child))
        return super().start_fork(process, child, mm)

    def do_exit(self, process: str) -> str:
        """It is dead; what it has open is closed by and by, see `start_dies`."""
        self._process(process)
        self._dead.add(index(process))
        return "OK"

    start_exit = None  # type: ignore[assignment]

    def start_dies(self, process: str) -> Started:
        running = self._process(process)
        file = next(iter(running.files.files.values()))
        task = running.task("dies")

        def close_all() -> Step[int]:
            for n in [n for n, other in running.files.files.items() if other is file]:
                yield from self.system.kernel.close(task, running, n)
            return 0

        call = Call(task, self.system.kernel.syscall(task, close_all()), self.system.kernel.findings.report)
        return Parked(self, call, "DONE")

    def start_last_put(self, h: str) -> Started:
        """The thread that had the last reference goes on to the end."""
        left = next(fd for fd in self.system.parted() if self.view.name(fd) == h)
        return Departing(self, left, self.system.ending(left), busy="is_device_idle" in self._fails)

    def do_still_in_use(self, w: str) -> str:
        call = self.parked.pop(0)
        call.step()
        call.run()
        return "DONE"

    # ------------------------------------------------------------------ ioctls

    def start_info(self, process: str, fd: str, query: str) -> Started:
        return self._user("info", process, fd, InfoArgs(QUESTIONS[query], pad=int("pad is 0" in self._fails)))

    def start_user_mappings(self, process: str, fd: str) -> Started:
        size = MAPPING - 1 if "return_size" in self._fails else 64
        return self._user("info", process, fd, InfoArgs(Info.USER_MAPPINGS, size, pad=int("pad is 0" in self._fails)))

    def do_page_fault(self, fault: str) -> str:
        """An engine of queue 0 meets address 0, while the owner has a page of host memory mapped, or has none."""
        device = self.system.device(index(fault))
        owner = next((c for c in device.contexts.values() if c.refs > 0 and c.space is not None), None)
        mapped = None
        if owner is not None and owner.space is not None and "host memory is mapped" not in self._fails:
            mapped = owner.space.map_host(np.zeros(PAGE, np.uint8))
        device.fault(0, Fault(0))
        if owner is not None and owner.space is not None and mapped is not None:
            owner.space.unmap(mapped)
        return "DONE"

    def start_cb_create(self, process: str, fd: str, large: str) -> Started:
        return self._user("cb_create", process, fd, LARGE if large == "True" else 4096)

    def start_cb_destroy(self, process: str, fd: str) -> Started:
        user = self._fd(process, fd)
        alive = user.buffers.alive if user is not None else []
        return self._user("cb_destroy", process, fd, alive[0].handle if alive else 99 << 12)

    def start_cb_op(self, process: str, fd: str) -> Started:
        return self._user("ioctl_of", process, fd, Ioctl.CB, CbArgs(9))

    def start_memory_op(self, process: str, fd: str) -> Started:
        return self._user("ioctl_of", process, fd, Ioctl.MEMORY, MemoryArgs(9))

    def start_debug_configure(self, process: str, fd: str, known: str = "True") -> Started:
        return self._user("debug_configure", process, fd, 0 if known == "True" else 99)

    def start_export(self, process: str, fd: str) -> Started:
        address = self.view.address(self._fd(process, fd)) if self.chip != "gaudi" else 0
        user = self._user("export", process, fd, address, 0 if "address and size" in self._fails else 4096)
        return Started(user.call, lambda number: Observation("OK", (f"dmabuf{number}",)))

    def start_importer_releases(self, dmabuf: str) -> Started:
        return Parked(self, self.system.call("release_export", index(dmabuf)), "DONE")

    # ------------------------------------------------------------------ submissions

    def start_submit(self, process: str, fd: str, stage: str = "WHOLE", patient: str = "False") -> Started:
        user = self._fd(process, fd)
        flags = STAGES[stage] | (CsFlag.SKIP_RESET_ON_TIMEOUT if patient == "True" else 0)
        if "flags" in self._fails:
            flags |= CsFlag.SIGNAL | CsFlag.WAIT
        context = self.view.context(user)
        queue = context.sequence % QUEUES if context is not None else 0  # each finishes by itself
        chunks = [Chunk(99 if "a chunk" in self._fails else queue)]
        if "more than 512 chunks" in self._fails:
            chunks *= 513
        args = CsArgs(chunks, flags=flags, pad=int("pad is 0" in self._fails))

        def name() -> None:
            alive = user.buffers.alive if user is not None else []
            chunks[:] = [replace(chunk, handle=alive[0].handle if alive else None) for chunk in chunks]
            args.seq = self._group(context)

        return Submitting(self, self._user("ioctl_of", process, fd, Ioctl.CS, args).call, context, name)

    @staticmethod
    def _group(context: Context | None) -> int:
        """The first of the group that is not closed."""
        if context is not None:
            for submission in context.device.mirror:
                first = submission.staged_first
                if first is submission and submission.context is context and not submission.group[-1].staged_last:
                    return submission.seq
        return 99

    def do_complete(self, submission: str) -> str:
        done = self._submissions[submission]
        queues = done.context.device.queues
        halted, queues.halted = queues.halted, False
        for member in (done.staged_first or done).group:
            while member.jobs and queues.step(member.seq % QUEUES) is not None:
                pass
        queues.halted = halted
        return self._deferred(done)

    def _deferred(self, done: Submission) -> str:
        """End what the hardware has finished; where that ends the owner too, it is parked there."""
        device = done.context.device
        while device.deferred:
            task = Task("deferred work")
            work = device.deferred.popleft()
            call = Call(task, self.system.kernel.syscall(task, work(task)), self.system.kernel.findings.report)
            seen = Parked(self, call, "DONE").finish()
            if seen.result == "OOPS":
                return "OOPS"
        return "DONE"

    def start_timeout(self, submission: str) -> Started:
        late = self._submissions[submission]
        device = late.context.device
        device.hardware = replace(device.hardware, reset_on_lockup="reset_on_lockup is set" not in self._fails)
        late.deadline = self.system.kernel.now
        for other in list(device.mirror):
            if other is late:
                break
            device.mirror[other] = device.mirror.pop(other)  # the one whose timer runs is looked at first
        return Parked(self, self.system.call("timeout", device.number), "DONE")

    def start_wait(self, process: str, fd: str, seq: str = "NEWEST", block: str = "False") -> Started:
        number = self._sequence(self._fd(process, fd), seq)
        call = self.system.call("wait", index(process), index(fd), number, 1000 if block == "True" else 0)
        return Waiting(call, interrupted="a signal" in self._fails)

    def start_wait_multi(self, process: str, fd: str, seq: str, block: str) -> Started:
        user = self._fd(process, fd)
        numbers = [self._sequence(user, seq), self._sequence(user, "NEWEST")]
        if "32 sequences at most" in self._fails:
            numbers *= 17
        call = self.system.call("multi_wait", index(process), index(fd), numbers, 1000 if block == "True" else 0)
        others = 2 if "a free completion" in self._fails else 0
        return WaitingForSeveral(call, user.home if user else None, others, interrupted="a signal" in self._fails)

    def _sequence(self, user: AccelFd | None, place: str) -> int:
        context = self.view.context(user)
        following = context.sequence if context is not None else 1
        back = {"FUTURE": 0, "NEWEST": 1, "OLDER": 2, "GONE": 3}[place]
        return max(following - back, 0) if (place, following) != ("NEWEST", 1) else 1

    # ------------------------------------------------------------------ resets

    def start_reset_work(self, device: str) -> Started:
        return Trial(self, index(device))

    def start_compute_reset(self, device: str) -> Started:
        return Parked(self, self.system.call("compute_reset", index(device)), "DONE")

    def start_carry_out(self, device: str) -> Started:
        return CarriedOut(self, index(device))

    def start_heartbeat_fails(self, device: str) -> Started:
        self._device(device).last_failure = None  # a good one came before
        return super().start_heartbeat_fails(device)

    def do_suspend(self, device: str) -> str:
        return outcome(self.system.suspend(index(device)))

    def do_resume(self, device: str) -> str:
        return outcome(self.system.resume(index(device)))

    def do_watchdog_fires(self, w: str) -> str:
        self.system.watchdog(index(w))
        return "DONE"
