# SPDX-License-Identifier: Apache-2.0
"""The CS ioctl: from the checks of its arguments over the place in the ring to the hardware queues."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..kernel import Errno, Oops, Step, Task, point
from .arguments import NO_SEQUENCE, TYPES, Chunk, CsArgs, CsFlag
from .buffers import CommandBuffer
from .fence import Fence
from .hardware import QueueKind
from .lazy import claim, lost_meanwhile
from .packets import Packet, parse
from .queues import Done
from .reset import Reset, request_reset, sleep
from .submission import Submission, enlist, release

if TYPE_CHECKING:
    from .context import Context
    from .device import AccelDevice

Job = tuple[int, Sequence[Packet], CommandBuffer | None]


def submit(task: Task, context: "Context", args: CsArgs) -> Step[int]:
    """Check, switch the context where nobody has yet, and execute. 0 and `args.seq`, or a negative errno.

    `args` is written on every way out but -EAGAIN, so that it can be submitted again as it is.
    """
    device = context.device
    result = _refuse(device, args)
    seq = NO_SEQUENCE
    needs_reset = False
    if result == 0:
        result, needs_reset = yield from _switch(task, context, args)
    if result == 0:
        answered = yield from _execute(task, context, args.execute, args)
        result, seq = (answered, NO_SEQUENCE) if answered < 0 else (0, answered)
    if result != Errno.EAGAIN:
        args.seq = seq
        args.status = int(device.status)
    if needs_reset:
        yield from request_reset(task, device, Reset.SOFT)
    return result


def _refuse(device: "AccelDevice", args: CsArgs) -> int:
    behaviour, hardware = device.behaviour, device.hardware
    if behaviour.drm_core and args.pad:
        return Errno.EINVAL
    if not device.operational:
        return lost_meanwhile(device) or Errno.EBUSY
    kinds = args.flags & TYPES
    if behaviour.typed_submissions:
        if args.flags & CsFlag.STAGED and not hardware.staged:
            return Errno.EPERM
        if kinds & (kinds - 1):
            return Errno.EINVAL
        if kinds and not hardware.sync_streams:
            return Errno.EINVAL
    count = len(args.execute)
    return Errno.EINVAL if (count != 1 if kinds and behaviour.typed_submissions else count == 0) else 0


# The context switch.


def _switch(task: Task, context: "Context", args: CsArgs) -> Step[tuple[int, bool]]:
    """Let exactly one submitter switch to this context, the others wait for it.

    -ETIMEDOUT or -EBUSY (``context_switch``: the device is reset after it), what the restore submission answers,
    -ENOEXEC (it does not complete), -ETIMEDOUT (another thread's switch takes too long).
    """
    device = context.device
    switch, context.must_switch = context.must_switch, False
    if not switch and not args.flags & CsFlag.FORCE_RESTORE:
        yield from sleep(
            device, "submit waits for the switch", device.hardware.switch_timeout, lambda: context.switched
        )
        return (0 if context.switched else Errno.ETIMEDOUT), False
    if switch:
        failed = device.kernel.injector.take("context_switch")
        if failed is not None and failed < 0:
            return failed, failed in (Errno.ETIMEDOUT, Errno.EBUSY)
    if args.restore:
        seq = yield from _execute(task, context, args.restore, CsArgs())
        if seq < 0:
            return seq, False
        fence = context.fence_of(seq)
        if isinstance(fence, Fence):
            fence.get()
            seconds = device.hardware.switch_timeout
            yield from sleep(device, "submit waits for the restore", seconds, lambda: fence.signalled)
            restored = fence.signalled and fence.error == 0
            fence.put()
            if not restored:
                return Errno.ENOEXEC, False
    context.switched = True
    return 0, False


# One submission.


def _execute(task: Task, context: "Context", chunks: Sequence[Chunk], args: CsArgs) -> Step[int]:
    """Return the sequence of a new submission, or a negative errno; -EAGAIN where the ring is full."""
    device = context.device
    kernel = device.kernel
    if len(chunks) > device.hardware.chunks:
        return Errno.EINVAL
    if kernel.injector.take("copy_from_user") is not None:
        return Errno.EFAULT
    if kernel.injector.take("alloc:submission") is not None:
        return Errno.ENOMEM
    place = context.sequence % len(context.ring)
    before = context.ring[place]
    if before is not None and not before.signalled:
        device.counters["max_in_flight"] += 1
        if device.behaviour.full_ring_consumes_sequence:
            context.sequence += 1
            kernel.findings.report("habanalabs.I22", f"sequence {context.sequence - 1} is consumed by -EAGAIN")
        return Errno.EAGAIN
    submission = _allocate(context, args, place)
    if before is not None:
        _retire(context, before)
    yield point("submit: sequence consumed")
    jobs = _parse(context, submission, chunks)
    result: int = jobs if isinstance(jobs, int) else 0
    if not isinstance(jobs, int):
        result = yield from _push(task, submission, jobs, args)
    if result:
        context.counters["dropped"] += 1
        device.counters["dropped"] += 1
        yield from release(task, submission)
        return result
    return submission.seq


def _allocate(context: "Context", args: CsArgs, place: int) -> Submission:
    device = context.device
    seq = context.sequence
    if seq <= context.highest:
        device.kernel.findings.report("habanalabs.I22", f"{context} gives sequence {seq} again")
    context.highest = max(context.highest, seq)
    custom = args.flags & CsFlag.CUSTOM_TIMEOUT
    fence = Fence(device.kernel, seq, bool(args.flags & CsFlag.TIMESTAMP))
    submission = Submission(context, seq, fence.get(), args.timeout if custom else device.hardware.submission_timeout)
    submission.skips_reset = bool(args.flags & CsFlag.SKIP_RESET_ON_TIMEOUT)
    context.ring[place] = fence
    context.sequence += 1
    if device.behaviour.submission_holds_context:
        context.get()
    return submission


def _retire(context: "Context", fence: Fence) -> None:
    """Keep what an old submission came to, if it asked for that, and drop its fence."""
    if fence.timestamped and context.device.behaviour.typed_submissions:
        context.outcomes[fence.seq] = fence.error
        while len(context.outcomes) > context.device.hardware.outcomes:
            del context.outcomes[next(iter(context.outcomes))]
    fence.put()


def _parse(context: "Context", submission: Submission, chunks: Sequence[Chunk]) -> list[Job] | int:
    """Return the jobs of all chunks, each command buffer with a reference, or why they are refused."""
    device = context.device
    jobs: list[Job] = []
    completes = False
    for chunk in chunks:
        kind = device.kind_of(chunk.queue)
        if kind is None or kind in (QueueKind.KERNEL, QueueKind.BINNED):
            return Errno.EINVAL
        completes = completes or kind is not QueueKind.INTERNAL
        if kind is QueueKind.EXTERNAL or (kind is QueueKind.HARDWARE and chunk.handle is not None):
            buffer = context.fd.buffers.get(chunk.handle or 0)
            if buffer is None:
                return Errno.EINVAL
            if device.behaviour.submission_holds_buffers:
                submission.buffers.append(buffer)
            else:
                context.fd.buffers.put(buffer)
            if chunk.size < 8 or chunk.size > buffer.size:
                return Errno.EINVAL
            packets = parse(buffer.data[: chunk.size])
        else:
            buffer, packets = None, parse(chunk.data)
        if isinstance(packets, Errno):
            return packets
        jobs.append((chunk.queue, packets, buffer))
    return jobs if completes else Errno.EINVAL


def _push(task: Task, submission: Submission, jobs: list[Job], args: CsArgs) -> Step[int]:
    """Hand the jobs to the hardware queues, all of them or none, as long as the device may be worked with."""
    context = submission.context
    device = context.device
    yield from device.queues_lock.acquire(task)
    if context.space is None:
        raise Oops("a submission without an address space")
    result = _ready(submission, jobs, args)
    if result == 0 and device.behaviour.submit_takes == "last":
        result = yield from claim(task, context)
    if result == 0:
        for queue, packets, buffer in jobs:
            done = submission.job_done()
            device.queues.push(queue, packets, _watch(device, buffer, done), context.space)
        enlist(device, submission)
    device.queues_lock.release(task)
    return result


def _watch(device: "AccelDevice", buffer: CommandBuffer | None, done: Done) -> Done:
    """Let the end of a job notice that its commands were freed under it."""
    if buffer is None:
        return done

    def watched(result: int) -> None:
        if buffer.freed:
            device.kernel.findings.report("habanalabs.I08", f"{buffer.handle:#x} was freed before its commands ran")
        done(result)

    return watched


def _ready(submission: Submission, jobs: list[Job], args: CsArgs) -> int:
    device = submission.context.device
    if not device.operational:
        return lost_meanwhile(device) or Errno.EPERM
    if device.kernel.injector.take("queue_full") is not None:
        return Errno.EAGAIN
    wanted: dict[int, int] = {}
    for queue, *_ in jobs:
        wanted[queue] = wanted.get(queue, 0) + 1
    if any(device.queues.room(queue) < count for queue, count in wanted.items()):
        return Errno.EAGAIN
    return _join(submission, args) if args.flags & CsFlag.STAGED and device.behaviour.typed_submissions else 0


def _join(submission: Submission, args: CsArgs) -> int:
    """Make a submission a member of its staged group; -EINVAL where there is no such group, or it is complete."""
    submission.staged_last = bool(args.flags & CsFlag.STAGED_LAST)
    if args.flags & CsFlag.STAGED_FIRST:
        submission.staged_first = submission
        return 0
    for other in submission.context.device.mirror:
        if other.seq == args.seq and other.context is submission.context and other.staged_first is other:
            if other.group[-1].staged_last:
                return Errno.EINVAL
            other.group.append(submission)
            submission.staged_first = other
            return 0
    return Errno.EINVAL
