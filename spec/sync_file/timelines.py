# SPDX-License-Identifier: Apache-2.0
"""Timelines of software (sw_sync), the fences on them, and the files that stand for one fence or several."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

from accelspec.spec.kernel import Descriptors, Fd, File, Process
from accelspec.spec.language import (
    EFAULT,
    ENOTTY,
    OK,
    Map,
    Object,
    Range,
    Result,
    Rigid,
    any_of,
    choose,
    free,
    operation,
    read,
    require,
)

SW_SYNC = "linux 6.12.117 drivers/dma-buf/sw_sync.c"
Number = Annotated[int, Range(0, 2)]


class Argument(Enum):
    """Where the argument of a command lies."""

    GOOD = "it can be read and written"
    BAD_POINTER = "it cannot be read"
    READ_ONLY = "it cannot be written: a new descriptor cannot be told"


class Timeline(Object):
    """A struct sync_timeline.  Its fences keep it when its file is closed."""

    file: File | None
    value: Number = 0


class Fence(Object):
    """A struct sync_pt: signaled when the timeline's value has come to its number, or its file is closed."""

    timeline: Rigid[Timeline]
    number: Rigid[Number]
    signaled: bool = False
    error: bool = False
    deadline: bool = False
    candidate: bool = False  # while a merge runs: one of those that it chooses among


class SyncFile(Object):
    """A struct sync_file."""

    file: Rigid[File]
    waits: Map[Fence, bool] = Map()  # for these fences; none: it stands for what is over
    many: bool = False  # it has an array of fences, not one
    polled: bool = False  # somebody asked it to be told: an array listens to its fences only then
    done: bool = False  # the array has been found signaled, and has its result


class Timelines(Descriptors):
    document = SW_SYNC

    def release(self, f: File) -> None:
        """sync_file_release; and of a timeline: what is pending is signaled with an error."""
        for x in Fence:
            if x.timeline.file is f and not x.signaled:
                x.signaled = True
                x.error = True
        for t in Timeline:
            if t.file is f:
                t.file = None
        for s in SyncFile:
            if s.file is f:
                free(s)
        free(f)
        self.sweep()

    def sweep(self) -> None:
        """Fences go with the last file that waits for them, timelines with the last of their fences."""
        for x in Fence:
            if not any(s.waits[x] for s in SyncFile):
                free(x)
        for t in Timeline:
            if t.file is None and not any(x.timeline is t for x in Fence):
                free(t)

    def timeline_of(self, p: Process, n: Fd) -> Timeline:
        """Behind a descriptor; what has none is a sync file."""
        f = self.file_of(p, n)
        t = choose(t for t in Timeline if t.file is f)
        if t is None:
            raise ENOTTY("no_timeline", read("sync_file_ioctl", document="linux 6.12.117 drivers/dma-buf/sync_file.c"))
        return t

    @operation
    def open(self, p: Process, n: Fd) -> Result:
        require(self.unused(p, n))
        f = File()
        Timeline(file=f)
        p.fd[n] = f
        return OK("ok", read("sw_sync_debugfs_open", "every open makes a timeline"))

    @operation
    def create_fence(self, p: Process, n: Fd, k: Fd, number: Number) -> Result:
        """SW_SYNC_IOC_CREATE_FENCE; the new descriptor is k."""
        require(self.unused(p, k) and n is not k)
        t = self.timeline_of(p, n)
        f = File()
        if number <= t.value:
            x = Fence(timeline=t, number=number, signaled=True)
            s = SyncFile(file=f)
            s.waits[x] = True
            p.fd[k] = f
            return OK("over", read("sync_pt_create", "signaled from the start"))
        if any(x.timeline is t and x.number == number and not x.signaled for x in Fence):
            x = any_of(x for x in Fence if x.timeline is t and x.number == number and not x.signaled)
            s = SyncFile(file=f)
            s.waits[x] = True
            p.fd[k] = f
            return OK("shared", read("sync_pt_create", "a pending fence of this number is used again"))
        x = Fence(timeline=t, number=number)
        s = SyncFile(file=f)
        s.waits[x] = True
        p.fd[k] = f
        return OK("ok", read("sync_pt_create"))

    @operation
    def create_refused(self, p: Process, n: Fd, argument: Argument) -> Result:
        require(p.running and argument is not Argument.GOOD)
        self.timeline_of(p, n)
        if argument is Argument.BAD_POINTER:
            return EFAULT("bad_pointer", read("sw_sync_ioctl_create_fence"))
        return EFAULT("cannot_tell", read("sw_sync_ioctl_create_fence", "fence and number are given back"))

    @operation
    def advance(self, p: Process, n: Fd) -> Result:
        """SW_SYNC_IOC_INC, by 1."""
        require(p.running)
        t = self.timeline_of(p, n)
        require(t.value <= 1)
        t.value += 1
        for x in Fence:
            if x.timeline is t and x.number <= t.value:
                x.signaled = True
        return OK("ok", read("sync_timeline_signal"))
