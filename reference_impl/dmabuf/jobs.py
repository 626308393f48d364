# SPDX-License-Identifier: Apache-2.0
"""Work of an accelerator on its own memory and on what others share: jobs, their fences, and imports by device address.

A job is accepted with its fence in the reservation of every shared buffer that it uses, and computes when the device
runs it. An import that is told to let go takes no new job, waits for those under way, and unmaps.
"""

from collections.abc import Callable, Iterable
from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from ..compute import REQUEST, Request, Status, execute
from ..kernel import Errno, Outcome, Pause, Step, Task, UserFault
from .buffer import Direction, DmaBuf
from .context import Context
from .fence import Fence
from .importer import Importer, ImporterDevice, Kind
from .resv import Resv, Ticket, Usage

if TYPE_CHECKING:
    from .core import Core

DEPTH = 8  # jobs of one device that wait

Schedule = Callable[[str, Callable[[Task], Step[int]]], None]


class PeerImport(Importer):
    """A shared buffer at a device address of another accelerator's context."""

    def __init__(
        self, core: "Core", device: ImporterDevice, buffer: DmaBuf, context: Context, pid: int, schedule: Schedule
    ) -> None:
        super().__init__(core, device, Kind.DYNAMIC_P2P, buffer)
        self.context = context
        self.pid = pid  # of the process that imported: the import ends with it, whoever still has the device open
        self.address = context.new_address(buffer.size)
        self._schedule = schedule

    def notify(self, task: Task) -> Step[None]:
        """Let go as soon as the jobs under way are done."""
        yield from super().notify(task)
        if self.invalidated:
            self._schedule("unmap worker", self._let_go_later)

    def _let_go_later(self, task: Task) -> Step[int]:
        while any(self in job.imports for job in self.context.device.jobs):
            yield Pause("jobs under way", "sleep", lambda: not any(self in j.imports for j in self.context.device.jobs))
        if self.invalidated and self.attachment is not None:
            yield from self.unmap(task)
        return 0

    def load(self, offset: int, size: int) -> bytes:
        """Read through the mapping. Raises UserFault where there is none, or not any more."""
        if self.mapping is None:
            raise UserFault(Outcome.SIGBUS, self.address + offset)
        return self.device.domain.load(self.mapping.segments, offset, size)

    def store(self, offset: int, data: bytes) -> None:
        """Write through the mapping. Raises UserFault."""
        if self.mapping is None:
            raise UserFault(Outcome.SIGBUS, self.address + offset)
        self.device.domain.store(self.mapping.segments, offset, data)


class Job:
    """One request on its way: what it uses, and the fence that tells its end."""

    _numbers = count(1)

    def __init__(self, context: Context, request: Request, fence: Fence, imports: dict[PeerImport, Usage]) -> None:
        self.context = context
        self.request: np.void = np.frombuffer(request.pack(), REQUEST)[0]
        self.fence = fence
        self.imports = imports
        self.status: Status | None = None

    def run(self, task: Task) -> None:
        """Compute, and keep the promise."""
        self.status, _ = execute(self.request, self.context)
        self.end(task)

    def end(self, task: Task, error: int = 0) -> None:
        """Signal the fence, with an error if there was one, and let it go."""
        if error:
            self.fence.set_error(error)
        self.fence.signal(task)
        self.fence.put(task)


def submit(core: "Core", task: Task, context: Context, request: Request, done: list[Job]) -> Step[int]:
    """Accept a request: 0; -EAGAIN (too many wait), -ENOMEM, or why a buffer it uses cannot be mapped.

    A reader's fence waits for nobody here: jobs of one device run in order, and other devices look at the reservation.
    """
    uses: dict[PeerImport, Usage] = {}
    for address, usage in ((request.src0, Usage.READ), (request.src1, Usage.READ), (request.dst, Usage.WRITE)):
        for shared in context.imports.values():
            if shared.address <= address < shared.address + shared.buffer.size:
                uses[shared] = min(usage, uses.get(shared, usage))
    full = len(context.device.jobs) + context.device.room_reserved >= DEPTH
    if full and core.design.reserves_room_first:
        return Errno.EAGAIN
    context.device.room_reserved += 1
    result = yield from _accept(core, task, context, request, uses, done, full)
    context.device.room_reserved -= 1
    return result


def _accept(
    core: "Core", task: Task, context: Context, request: Request, uses: dict[PeerImport, Usage], done: list[Job],
    full: bool,
) -> Step[int]:  # fmt: skip
    fence = context.timeline.fence()
    if fence is None:
        return Errno.ENOMEM
    result = yield from _publish(core, task, uses, fence)
    if result:
        fence.put(task)
        return result
    if full:  # too late: others may wait for the fence
        return Errno.EAGAIN
    job = Job(context, request, fence, uses)
    context.device.jobs.append(job)
    done.append(job)
    return 0


def _publish(core: "Core", task: Task, uses: dict[PeerImport, Usage], fence: Fence) -> Step[int]:
    """Map what is not mapped, and put the fence into every reservation; all of them are locked meanwhile."""
    resvs: list[Resv] = list(dict.fromkeys(shared.buffer.resv for shared in uses))
    ticket = Ticket(task, core.kernel)
    yield from ticket.lock_all(resvs)
    mapped: list[PeerImport] = []
    result = yield from _map_all(core, task, uses, mapped)
    for resv in resvs if result == 0 else []:
        result = result or resv.reserve(task, len(uses))
    if result == 0:
        for shared, usage in uses.items():
            shared.buffer.resv.add(task, fence, usage)
    else:
        for shared in mapped:
            if shared.mapping is not None:
                core.unmap(task, shared.mapping)
                shared.mapping = None
    ticket.done()
    return result


def _map_all(core: "Core", task: Task, uses: Iterable[PeerImport], mapped: list[PeerImport]) -> Step[int]:
    for shared in uses:
        if shared.invalidated or shared.attachment is None:
            return Errno.EAGAIN
        if shared.mapping is None:
            mapping = yield from core.map(task, shared.attachment, Direction.BIDIRECTIONAL)
            if isinstance(mapping, int):
                return mapping
            shared.mapping = mapping
            mapped.append(shared)
    return 0


def import_buffer(
    core: "Core", task: Task, context: Context, device: ImporterDevice, buffer: DmaBuf, pid: int, schedule: Schedule
) -> Step[int]:
    """Give a shared buffer a device address of `context`, with the caller's reference: the address, or an errno.

    An error leaves nothing behind, and the caller its reference.
    """
    shared = PeerImport(core, device, buffer, context, pid, schedule)
    result = yield from shared.attach(task)
    if result:
        return result
    context.imports[shared.address] = shared
    return shared.address


def release_import(task: Task, context: Context, address: int) -> Step[int]:
    """Take a device address of a shared buffer back, after the jobs that use it: 0, or -EINVAL."""
    shared = context.imports.get(address)
    if shared is None:
        return Errno.EINVAL
    while any(shared in job.imports for job in context.device.jobs):
        yield Pause("jobs under way", "sleep", lambda: not any(shared in job.imports for job in context.device.jobs))
    if context.imports.pop(address, None) is None:
        return Errno.EINVAL
    yield from shared.detach(task)
    return 0


def end_imports(task: Task, contexts: Iterable[Context], pid: int) -> Step[None]:
    """End every import that a process made: it is gone. Jobs that use one and did not run are given up.

    A context ends its imports with its file; but a buffer may hold that file (D2b, D2c), and two contexts that import
    from each other would keep each other for ever.
    """
    for context in contexts:
        ended = [shared for shared in context.imports.values() if shared.pid == pid]
        if any(shared in job.imports for job in context.device.jobs for shared in ended):
            cancel(task, context)  # all of them: fences of one context are signaled in order
        for shared in ended:
            if context.imports.pop(shared.address, None) is not None:
                yield from shared.detach(task)


def cancel(task: Task, context: Context) -> None:
    """Give up every job of a context that did not run: its owner is gone."""
    jobs = context.device.jobs
    for job in [job for job in jobs if job.context is context]:
        jobs.remove(job)
        job.end(task, Errno.EIO)
