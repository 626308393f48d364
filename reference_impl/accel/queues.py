# SPDX-License-Identifier: Apache-2.0
"""Hardware queues: each does the packets of its jobs in order, one at a time, whenever somebody lets it.

Nothing runs by itself. A step does one packet, of the queue that the caller chooses or of the next one in turn that
can go on: a queue is stuck while its next packet waits for a sync object that others have not signalled enough.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from ..kernel import Errno, UsageError
from .address_space import AddressSpace, Fault
from .execute import execute
from .packets import SYNC_OBJECTS, Op, Packet

DEPTH: Final = 4096

Done = Callable[[int], None]


@dataclass(slots=True, eq=False)
class Job:
    """Packets of one submission on one queue; `at` is the next of them. `done` hears how it ended, once."""

    packets: Sequence[Packet]
    done: Done
    space: AddressSpace
    at: int = 0


class HardwareQueues:
    """`count` queues of at most `depth` jobs each, and the sync objects by which they wait for each other.

    `on_fault(queue, fault)` is told of every page fault; the job that made it ends there with EIO, its queue goes on.

    >>> queues = HardwareQueues(2)
    >>> queues.push(0, parse(bytes(8)), print, space), queues.step(), queues.idle
    0
    (0, 0, True)
    """

    def __init__(self, count: int, depth: int = DEPTH, on_fault: Callable[[int, Fault], None] | None = None) -> None:
        if count < 1 or depth < 1:
            raise UsageError(f"{count} queues of depth {depth} can do nothing")
        self.count = count
        self.depth = depth
        self.halted = False
        self.signals = [0] * SYNC_OBJECTS
        self.executed = [0] * count  # packets, by queue
        self._on_fault = on_fault
        self._jobs: list[deque[Job]] = [deque() for _ in range(count)]
        self._turn = 0

    def push(self, queue: int, packets: Sequence[Packet], done: Done, space: AddressSpace) -> int:
        """Append a job to a queue: 0, EINVAL (no such queue, no packets), or EAGAIN (it is full).

        `done(0)` is called when the last packet has been done, `done(EIO)` after a fault, `done(...)` as `abort` says.
        """
        if not 0 <= queue < self.count or not packets:
            return Errno.EINVAL
        if len(self._jobs[queue]) >= self.depth:
            return Errno.EAGAIN
        self._jobs[queue].append(Job(packets, done, space))
        return 0

    def room(self, queue: int) -> int:
        """How many more jobs a queue takes."""
        return self.depth - len(self._jobs[queue])

    def can_step(self, queue: int) -> bool:
        """Tell whether a queue has a packet that it can do now."""
        jobs = self._jobs[queue]
        if self.halted or not jobs:
            return False
        packet = jobs[0].packets[jobs[0].at]
        return packet.op is not Op.WAIT or self.signals[packet.sync] >= packet.value

    def step(self, queue: int | None = None) -> int | None:
        """Do one packet of a queue, or of the next in turn; return which queue it was, None if nothing could be done.

        A fault ends the job; nothing of its later packets is done.
        """
        if queue is None:
            queue = self._next()
            if queue is None:
                return None
        elif not self.can_step(queue):
            return None
        jobs = self._jobs[queue]
        job = jobs[0]
        packet = job.packets[job.at]
        self.executed[queue] += 1
        if packet.op is Op.SIGNAL:
            self.signals[packet.sync] += packet.value
        elif packet.op is Op.WAIT:
            self.signals[packet.sync] -= packet.value
        elif packet.op is not Op.NOP:
            try:
                execute(packet, job.space)
            except Fault as fault:
                jobs.popleft()
                if self._on_fault is not None:
                    self._on_fault(queue, fault)
                job.done(Errno.EIO)
                return queue
        job.at += 1
        if job.at == len(job.packets):
            jobs.popleft()
            job.done(0)
        return queue

    def _next(self) -> int | None:
        """The next queue in turn that can go on; the turn passes to the one after it."""
        for i in range(self._turn, self._turn + self.count):
            queue = i % self.count
            if self._jobs[queue] and self.can_step(queue):
                self._turn = (queue + 1) % self.count
                return queue
        return None

    def run(self, limit: int | None = None) -> int:
        """Step, in turn, until nothing can be done or `limit` packets were; return how many."""
        done = 0
        while (limit is None or done < limit) and self.step() is not None:
            done += 1
        return done

    def halt(self) -> None:
        """Do nothing until `resume`; jobs stay."""
        self.halted = True

    def resume(self) -> None:
        """Go on."""
        self.halted = False

    def abort(self, result: int = Errno.EIO, space: AddressSpace | None = None) -> int:
        """Drop the jobs of an address space, or all of them and every signal; each hears `result`. How many."""
        dropped: list[Job] = []
        for jobs in self._jobs:
            gone = [job for job in jobs if space is None or job.space is space]
            for job in gone:
                jobs.remove(job)
            dropped += gone
        if space is None:
            self.signals = [0] * SYNC_OBJECTS
        for job in dropped:
            job.done(result)
        return len(dropped)

    def jobs(self, queue: int) -> list[Job]:
        """The jobs of a queue, the one that runs first."""
        return list(self._jobs[queue])

    @property
    def idle(self) -> bool:
        """Whether no queue has a job."""
        return not any(self._jobs)
