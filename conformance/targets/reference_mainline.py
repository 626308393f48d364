# SPDX-License-Identifier: Apache-2.0
"""The reference driver of habanalabs as 6.1 and 6.12 have it: what the specification says in other words than of 5.x.

The specification lets an exit, a close and the end of an owner happen in pieces of their own. The calls of the driver
that do all of it are parked where such a piece ends, and go on with the event that is the next one.
"""

# ruff: noqa: D102  (a method do_X performs the operation X, and the specification says what that is)

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from accelspec.reference_impl.accel.arguments import CbArgs, Chunk, CsFlag, InfoArgs, Ioctl, MemoryArgs
from accelspec.reference_impl.accel.context import Context
from accelspec.reference_impl.accel.fd import STILL_IN_USE, AccelFd
from accelspec.reference_impl.accel.info import Info
from accelspec.reference_impl.accel.submission import Submission
from accelspec.reference_impl.accel.system import AccelSystem
from accelspec.reference_impl.kernel import Call, Outcome, Step, Task

from . import interface
from .interface import Observation, TargetError
from .reference_calls import Started, index, outcome
from .reference_habanalabs import LARGE, HabanalabsReference

QUEUES = 4  # that take commands from anywhere
AGAIN = "reset tries again later"

QUESTIONS = {
    "ALWAYS": Info.HW_IP_INFO,
    "WORKING": Info.HW_IDLE,
    "USAGE": Info.DRAM_USAGE,
    "EVENTS": Info.GET_EVENTS,
    "REGISTER": Info.REGISTER_EVENTFD,
    "UNREGISTER": Info.UNREGISTER_EVENTFD,
    "UNKNOWN": 99,
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
    "re-initialisation": "hw_init",
    "scrub_device_mem": "scrub",
}
ARGUMENTS = (
    "pad is 0", "flags", "more than 512 chunks", "a chunk", "32 sequences at most", "a free completion", "a signal",
    "is_device_idle", "is_in_dram_scrub", "address and size", "an open without O_EXCL", "reset_on_lockup is set",
)  # fmt: skip


class Parked(Started):
    """A call that is over for its caller where it comes to one of the places at which the specification cuts it."""

    def __init__(self, target: MainlineReference, call: Call, said: str = "OK") -> None:
        super().__init__(call, lambda _: Observation(said))
        self._target, self._said = target, said

    @property
    def ready(self) -> bool:
        """As in `Started`."""
        return super().ready and not parks(self.call)

    def finish(self) -> Observation:
        """As in `Started`; a call that is parked goes on with a later event."""
        self.run()
        if not self.call.done and parks(self.call):
            self._target.parked.append(self.call)
            return Observation(self._said)
        return super().finish()


class Submitting(Started):
    """A CS ioctl: a sequence that is used up is a submission, whatever became of it."""

    def __init__(self, target: MainlineReference, call: Call, context: Context | None) -> None:
        super().__init__(call)
        self._target, self._context = target, context
        self._before = context.sequence if context is not None else 0

    def finish(self) -> Observation:
        """As in `Started`."""
        seen = super().finish()
        if self._context is None or self._context.sequence == self._before:
            return seen
        return Observation(seen.result, self._target.made(self._context, accepted=seen.result == "OK"))


class MainlineReference(HabanalabsReference):
    """The reference driver as a Gaudi of c1 or c2: every reset of it is a hard one."""

    failures = frozenset({name.rpartition(".")[2] for name in INJECTED} | set(ARGUMENTS))
    behaviours = ("c1", "c2")
    scope: ClassVar[Mapping[str, int]] = {"Chip": 0}
    injected = INJECTED
    meet = None  # type: ignore[assignment]  # calls that are cut into events are not raced

    def fresh(self) -> AccelSystem:
        """As in `Reference`."""
        return AccelSystem(
            self.behaviour, faults=self.faults, devices=0, ring=2, kill_trials=1, compute_reset=False, dram_mmu=False
        )

    def begin(self, system: interface.System) -> Mapping[str, str]:
        """As in `Driver`."""
        if system.scope.get("Chip"):
            raise TargetError("the reference driver of 6.x is held to the specification as a Gaudi: Chip=0")
        self.parked: list[Call] = []
        self._dead: set[int] = set()
        return super().begin(system)

    def leftovers(self) -> Mapping[str, int]:
        """As in `Target`; a close that is parked has given its file back."""
        left = dict(super().leftovers())
        return {**left, "File": left["File"] - len(self.parked), "Dmabuf": self.view.exports()}

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

    def do_last_put(self, h: str) -> str:
        """The thread that had the last reference goes on to the end."""
        left = next(fd for fd in self.system.parted() if self.view.name(fd) == h)
        left.home.busy = "is_device_idle" in self._fails
        end = self.system.ending(left)
        end.run()
        left.home.busy = False
        return "OOPS" if end.result == Outcome.OOPS else "DONE"

    def do_still_in_use(self, w: str) -> str:
        call = self.parked.pop(0)
        call.step()
        call.run()
        return "DONE"

    # ------------------------------------------------------------------ ioctls

    def start_info(self, process: str, fd: str, query: str) -> Started:
        return self._user("info", process, fd, InfoArgs(QUESTIONS[query], pad=int("pad is 0" in self._fails)))

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
        user = self._user("export", process, fd, 1 << 40 if "address and size" in self._fails else 0)
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
        alive = user.buffers.alive if user is not None else []
        queue = context.sequence % QUEUES if context is not None else 0  # each finishes by itself
        chunk = Chunk(queue, alive[0].handle if alive else None)
        chunks = [Chunk(99) if "a chunk" in self._fails else chunk]
        if "more than 512 chunks" in self._fails:
            chunks *= 513
        call = self._user(
            "submit", process, fd, *chunks, flags=flags, seq=self._group(context), pad=int("pad is 0" in self._fails)
        )
        return Submitting(self, call.call, context)

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
        return self._driver("timeout", device.number)

    def do_wait(self, process: str, fd: str, seq: str, block: str) -> Observation:
        p = index(process)
        number = self._sequence(self._fd(process, fd), seq)
        result = self.system.wait(p, index(fd), number, 1000 if block == "True" else 0)
        if result == Outcome.WOULD_BLOCK:
            if "a signal" in self._fails:
                self.system.signal(p)
            else:
                self.system.expire_waits(p)
            result = self.system.woken()[-1][2]
        return Observation(outcome(result))

    start_wait = None  # type: ignore[assignment]

    def do_wait_multi(self, process: str, fd: str, seq: str) -> str:
        user = self._fd(process, fd)
        numbers = [self._sequence(user, seq), self._sequence(user, "NEWEST")]
        if "32 sequences at most" in self._fails:
            numbers *= 17
        devices = self.system.devices.values()
        for device in devices:
            device.waiters = 2 if "a free completion" in self._fails else 0
        result = self.system.multi_wait(index(process), index(fd), numbers)
        for device in devices:
            device.waiters = 0
        return outcome(result)

    def _sequence(self, user: AccelFd | None, place: str) -> int:
        context = self.view.context(user)
        following = context.sequence if context is not None else 1
        back = {"FUTURE": 0, "NEWEST": 1, "OLDER": 2, "GONE": 3}[place]
        return max(following - back, 0) if (place, following) != ("NEWEST", 1) else 1

    # ------------------------------------------------------------------ resets

    def do_reset_work(self, device: str) -> str:
        """One trial of the worker; nobody dies meanwhile, and every wait is as long as it may be."""
        d = index(device)
        worker = self.system.worker(d)
        assert worker is not None
        waits = worker.at is not None and worker.at.label == AGAIN
        while not worker.done:
            if worker.ready:
                worker.step()
            elif worker.at is not None and worker.at.label == AGAIN and not waits:
                return "DONE"
            else:
                waits = waits and worker.at is not None and worker.at.label == AGAIN
                self.system.advance(11 if waits else 1)
                waits = False
        self.system.worker_ended(d)
        return "OOPS" if worker.result == Outcome.OOPS else "DONE"

    start_reset_work = None  # type: ignore[assignment]

    def start_compute_reset(self, device: str) -> Started:
        return self._request("compute_reset", index(device))

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


def parks(call: Call) -> bool:
    """Is a call where the specification cuts it?"""
    return call.at is not None and call.at.label == STILL_IN_USE
