# SPDX-License-Identifier: Apache-2.0
"""WarpDrive's user calls: a library on top of the system calls, with the answers of two of its revisions.

Requests are returned first in, first out; at most the ring's depth are outstanding; each accepted request is returned
exactly once, or reported lost by a reset. None of these calls enters the kernel while data flows, except to wait.

"2019" is the library beside the original patches, "head" the maintained v1. Differences are in facts/uacce.md 3.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import numpy as np

from .compute import COMPLETION, TAIL, Completion, Layout, Request, Status
from .kernel import PAGE, Errno, UsageError
from .lifecycle import JOB, JobState
from .system import System
from .uacce import SET_QP_CTX, START_Q, STOP_WORD, RegionType

Revision = Literal["2019", "head"]

HW_EACCESS: Final = -62  # the library's own: the device was reset
STATIC_SHARE: Final = 3  # the page offset of a region that only the unmerged driver has
SHARE_SVAS: Final = START_Q  # the unmerged driver's SHARE command has the number of today's START


@dataclass(slots=True)
class Job:
    """An accepted request and where it is in its life."""

    tag: int
    state: JobState = JOB.initial

    def become(self, event: str) -> "Job":
        """Move on; raises where a request would be returned twice."""
        self.state = JOB.after(self.state, event)
        return self


@dataclass(slots=True)
class Response:
    """What a request came to. `lost` requests were taken by a reset; whether they were done is unknown."""

    tag: int
    status: Status = Status.OK
    produced: int = 0
    lost: bool = False


@dataclass(slots=True)
class Queue:
    """A queue as user code has it: a descriptor, two maps, and how far both rings are."""

    fd: int
    device: int
    dus: int
    mmio: int
    layout: Layout
    sent: int = 0
    received: int = 0
    outstanding: deque[Job] = field(default_factory=deque[Job])
    finished: list[Job] = field(default_factory=list[Job])
    log: list[str] = field(default_factory=list[str])


class WarpDrive:
    """The library inside process `process`.

    >>> wd = WarpDrive(system, 0); q = wd.request_queue("zlib")
    """

    def __init__(self, system: System, process: int, revision: Revision = "head", retries: int = 2) -> None:
        self.system = system
        self.process = process
        self.revision = revision
        self.retries = retries if revision == "head" else 0

    # Queues.

    def request_queue(self, algorithm: str) -> Queue | int:
        """Return a started queue of a device that has `algorithm` and a queue to give, or a negative errno.

        -ENODEV: no such device, or open failed for whatever reason. Else what mmap, the driver or START answers;
        everything done until then is undone.
        """
        for _ in range(self.retries + 1):
            device = self._choose(algorithm)
            if device is None:
                return Errno.ENODEV
            fd = self.system.open(self.process, device, cloexec=True)
            if fd >= 0:
                return self._set_up(device, fd)
        return Errno.ENODEV

    def _choose(self, algorithm: str) -> int | None:
        best: tuple[int, int] | None = None
        for device in self.system.providers:
            algorithms = self.system.read_sysfs(device, "algorithms")
            free = self.system.read_sysfs(device, "available_instances")
            isolated = self.system.read_sysfs(device, "isolate")
            if isinstance(algorithms, int) or algorithm not in algorithms.split():
                continue
            if isinstance(free, int) or int(free) <= 0 or (self.revision == "head" and isolated == "1\n"):
                continue
            if best is None or int(free) > best[0]:
                best = (int(free), device)
        return None if best is None else best[1]

    def _set_up(self, device: int, fd: int) -> Queue | int:
        system, p = self.system, self.process
        pages = [self._pages(device, region) for region in (RegionType.DUS, RegionType.MMIO)]
        dus = system.mmap(p, fd, RegionType.DUS, pages[0])
        if dus < 0:
            system.close(p, fd)
            return dus
        mmio = system.mmap(p, fd, RegionType.MMIO, pages[1])
        failed = mmio if mmio < 0 else system.driver_ioctl(p, fd, SET_QP_CTX, 0) or system.start(p, fd)
        if failed < 0:
            if mmio >= 0:
                system.munmap(mmio)
            system.munmap(dus)
            system.close(p, fd)
            return failed
        depth = getattr(system.providers[device], "depth", 16)
        return Queue(fd, device, dus, mmio, Layout(depth, pages[0] * PAGE))

    def _pages(self, device: int, region: RegionType) -> int:
        size = self.system.read_sysfs(device, f"region_{region.name.lower()}_size")
        return 0 if isinstance(size, int) else int(size) // PAGE

    def release_queue(self, q: Queue) -> None:
        """Give a queue up. "head" stops it first, and only notes it when that fails."""
        if self.revision == "head":
            stopped = self.system.put_q(self.process, q.fd)
            if stopped:
                q.log.append(f"PUT_Q answers {stopped}")
        self.system.munmap(q.mmio)
        self.system.munmap(q.dus)
        self.system.close(self.process, q.fd)

    # Data.

    def _stopped(self, q: Queue) -> bool:
        return any(self.system.load(q.dus, q.layout.end, STOP_WORD))

    def send(self, q: Queue, request: Request) -> int:
        """Submit a request without waiting: 0, -EBUSY (ring full), in "head" HW_EACCESS (the device was reset)."""
        if self.revision == "head" and self._stopped(q):
            return HW_EACCESS
        if len(q.outstanding) >= q.layout.depth:
            return Errno.EBUSY
        tag = q.sent
        self.system.store(q.dus, q.layout.request(q.sent), replace(request, tag=tag % (1 << 32)).pack())
        q.sent += 1
        q.outstanding.append(Job(tag))
        self.system.store(q.mmio, TAIL, (q.sent % (1 << 32)).to_bytes(4, "little"))
        return 0

    def recv(self, q: Queue, responses: list[Response]) -> int:
        """Take one response without waiting, appending it to `responses`.

        "2019": 0, or -EAGAIN when there is none, -EIO when the ring makes no sense. "head": how many were taken;
        after a reset HW_EACCESS, with every outstanding request handed back as lost.
        """
        if self.revision == "head" and self._stopped(q):
            while q.outstanding:
                job = q.outstanding.popleft().become("reset")
                q.finished.append(job)
                responses.append(Response(job.tag, lost=True))
            return HW_EACCESS
        completion = self._completion(q)
        if completion is None:
            return 0 if self.revision == "head" else Errno.EAGAIN
        if not q.outstanding or completion.tag != q.outstanding[0].tag % (1 << 32):
            return Errno.EIO
        job = q.outstanding.popleft().become("complete").become("receive")
        q.received += 1
        q.finished.append(job)
        responses.append(Response(job.tag, completion.status, completion.produced))
        return 1 if self.revision == "head" else 0

    def _completion(self, q: Queue) -> Completion | None:
        entry = np.frombuffer(
            self.system.load(q.dus, q.layout.completion(q.received), COMPLETION.itemsize), COMPLETION
        )[0]
        if int(entry["phase"]) != q.layout.phase(q.received):
            return None
        return Completion(int(entry["tag"]), Status(int(entry["status"])), int(entry["produced"]))

    def recv_sync(self, q: Queue, responses: list[Response], wait: Callable[[], bool]) -> int:
        """Take one response, waiting for it; `wait()` lets the world go on and says False when time is over.

        "head" polls first, even where a response is there already, and takes one if the poll found something: the
        number taken, 0 when time is over, negative for an error. "2019" tries to take, and waits only on -EBUSY,
        which this hardware's empty ring never answers; a poll that timed out looks like one that did not, so where it
        does wait it waits for ever.
        """
        if self.revision == "2019":
            return self.recv(q, responses)
        while not (mask := self.system.poll(self.process, q.fd)):
            if not wait():
                return 0
        return mask if mask < 0 else self.recv(q, responses)

    def flush(self, q: Queue) -> None:
        """Do nothing: the hook was optional and promised nothing. Raises UsageError in "head", which has it no more."""
        if self.revision == "head":
            raise UsageError("wd_flush is gone")

    # Memory of an earlier driver.

    def reserve_memory(self, q: Queue, size: int) -> int | None:
        """Map the static share region: no merged driver has it, so the answer is None, the library's NULL."""
        pages = -(-size // PAGE)
        mapping = self.system.mmap(self.process, q.fd, STATIC_SHARE, pages)
        return None if mapping < 0 else mapping

    def share_reserved_memory(self, q: Queue, target: Queue) -> int:
        """Ask for `target`'s static share region on `q`. The number of the command means START today: -EINVAL.

        Raises UsageError in "head", where it was removed.
        """
        if self.revision == "head":
            raise UsageError("wd_share_reserved_memory is gone")
        return self.system.driver_ioctl(self.process, q.fd, SHARE_SVAS, target.fd)
