# SPDX-License-Identifier: Apache-2.0
"""Submissions on their way: jobs on hardware queues, the list in the order of submission, its timer, and the end.

Only the first of the list has a running timer; the next one's begins as the first leaves. A submission ends once, and
its fence says how: timed out before rolled back before never submitted.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..kernel import Errno, Step, Task
from .buffers import CommandBuffer
from .fence import Fence
from .lifecycles import SUBMISSION, SubmissionState

if TYPE_CHECKING:
    from .context import Context
    from .device import AccelDevice

MAX_OUTCOMES_KEPT = 256


class Submission:
    """One submission (CS) of a context. `jobs` counts those that the hardware has not finished.

    `group` holds the members of a staged group in order; they all end with the last one's jobs.
    """

    def __init__(self, context: "Context", seq: int, fence: Fence, timeout: int) -> None:
        self.context = context
        self.seq = seq
        self.fence = fence
        self.timeout = timeout
        self.state = SUBMISSION.initial
        self.memory = context.device.kernel.allocator.allocate("submission")
        self.buffers: list[CommandBuffer] = []
        self.jobs = 0
        self.staged_first: Submission | None = None
        self.staged_last = False
        self.group: list[Submission] = [self]
        self.timed_out = False
        self.aborted = False
        self.skips_reset = False  # its timeout is only logged
        self.deadline: int | None = None
        self.submitted = False
        self.released = False

    def __repr__(self) -> str:
        return f"<submission {self.seq} {self.state.name}>"

    @property
    def staged(self) -> bool:
        """Tell whether it is a member of a staged group."""
        return self.staged_first is not None

    @property
    def finished(self) -> bool:
        """Tell whether the hardware did all of it, and of its group."""
        if self.staged_first is None:
            return self.jobs == 0
        group = self.staged_first.group
        return group[-1].staged_last and not any(member.jobs for member in group)

    def job_done(self) -> Callable[[int], None]:
        """Return what a hardware queue is to call as it is done with one job of this submission."""
        self.jobs += 1

        def done(result: int) -> None:
            self.jobs -= 1
            if result:
                self.aborted = True
            if self.submitted and self.finished:
                device = self.context.device
                first = self.staged_first or self
                device.deferred.append(lambda task: finish(task, first))

        return done

    def start_timer(self) -> None:
        """Begin to count the time of the first of the list; 0 is no limit."""
        if self.timeout:
            self.deadline = self.context.device.kernel.now + self.timeout


def enlist(device: "AccelDevice", submission: Submission) -> None:
    """Put a submission that the hardware has at the end of the list."""
    if not device.mirror:
        submission.start_timer()
    device.mirror[submission] = None
    submission.submitted = True
    submission.state = SUBMISSION.after(submission.state, "submit")
    submission.context.counters["submitted"] += 1
    submission.context.latest = submission


def finish(task: Task, first: Submission) -> Step[int]:
    """End a submission, or every member of a staged group, as the hardware is done with it. 0."""
    for submission in first.group:
        if not submission.released:
            yield from release(task, submission)
    return 0


def release(task: Task, submission: Submission) -> Step[None]:
    """Take a submission off the list, say in its fence how it ended, and drop what it held."""
    context = submission.context
    device = context.device
    if submission.released:
        device.kernel.findings.report("double free", f"{submission} is released twice")
        return
    submission.released = True
    was_first = next(iter(device.mirror), None) is submission
    device.mirror.pop(submission, None)
    following = next(iter(device.mirror), None)
    if was_first and following is not None and following.deadline is None and not device.in_reset:
        following.start_timer()
    event, error = _end_of(submission)
    submission.state = SUBMISSION.after(submission.state, event)
    submission.fence.signal(error)
    submission.fence.put()
    for buffer in submission.buffers:
        context.fd.buffers.put(buffer)
    submission.buffers.clear()
    if submission.memory is not None:
        device.kernel.allocator.free(submission.memory)
    yield from context.fd.settle(task)
    if device.behaviour.submission_holds_context:
        yield from context.put(task)


def _end_of(submission: Submission) -> tuple[str, int]:
    if not submission.submitted:
        return "reject", Errno.EBUSY
    if submission.timed_out:
        return "time out", Errno.ETIMEDOUT
    return ("abort", Errno.EIO) if submission.aborted else ("complete", 0)


def roll_back(task: Task, device: "AccelDevice") -> Step[None]:
    """End every submission that is on the list: nobody waits for the hardware any more."""
    for submission in list(device.mirror):
        submission.aborted = True
    device.queues.abort(Errno.EIO)
    device.deferred.clear()  # all of them are ended here
    for submission in list(device.mirror):
        if not submission.released:
            device.counters["aborted"] += 1
            yield from release(task, submission)


def pending_of(device: "AccelDevice", context: "Context | None") -> bool:
    """Tell whether a context has a submission that has not ended."""
    return any(s.context is context and s.state is SubmissionState.SUBMITTED for s in device.mirror)
