# SPDX-License-Identifier: Apache-2.0
"""The calls on sync files in 6.12.117."""

from __future__ import annotations

from enum import Enum

from accelspec.spec.kernel import Fd, File, Process
from accelspec.spec.language import (
    EFAULT,
    EINVAL,
    ENOENT,
    ENOMEM,
    ENOTTY,
    OK,
    READY,
    Result,
    choose,
    fails,
    kernel,
    operation,
    read,
    require,
    violates,
    when,
)

from .laws import Laws
from .timelines import SW_SYNC, Fence, SyncFile, Timeline

ARRAY = "linux 6.12.117 drivers/dma-buf/dma-fence-array.c"
UNWRAP = "linux 6.12.117 drivers/dma-buf/dma-fence-unwrap.c"


class Refused(Enum):
    """What is wrong with an argument."""

    BAD_POINTER = "it cannot be read"
    READ_ONLY = "it cannot be written: nothing can be told"
    RESERVED = "what must be 0 is not"


class SyncFiles(Laws):
    """Sync files on timelines of software, as Linux 6.12.117 has them."""

    machine = "sync_file"
    revision = "6.12.117"
    document = "linux 6.12.117 drivers/dma-buf/sync_file.c"
    scopes = {
        "one timeline": {"Fd": 3, "File": 3, "SyncFile": 2, "Message": 0, "Vma": 0, "Waiter": 0},
        "two fences": {"Fd": 3, "File": 3, "Fence": 2, "SyncFile": 2, "Message": 0, "Vma": 0, "Waiter": 0},
        "messages": {"Fd": 2, "File": 2, "Vma": 0, "Waiter": 0},
        "two processes": {"Process": 2, "Fd": 2, "Fence": 0, "SyncFile": 0, "Message": 0, "Vma": 0, "Waiter": 0},
        "many descriptors": {"Fd": 5, "Timeline": 2, "Fence": 0, "SyncFile": 0, "Message": 0, "Vma": 0, "Waiter": 0},
    }
    known = [
        violates(
            "sync_file.I03",
            "merge.ok",
            "a fence that is signaled is left out, with its error",
            read("__dma_fence_unwrap_merge", document=UNWRAP),
        ),
    ]

    def sync_file_of(self, p: Process, n: Fd) -> SyncFile:
        f = self.file_of(p, n)
        s = choose(s for s in SyncFile if s.file is f)
        if s is None:
            raise ENOTTY("no_sync_file", read("sw_sync_ioctl", document=SW_SYNC))
        return s

    def pending(self, s: SyncFile) -> bool:
        return any(s.waits[x] and not x.signaled for x in Fence)

    def failed(self, s: SyncFile) -> bool:
        return any(s.waits[x] and x.error for x in Fence)

    @operation
    def merge(self, p: Process, n: Fd, o: Fd, k: Fd) -> Result:
        """SYNC_IOC_MERGE; the new descriptor is k."""
        require(self.unused(p, k) and n is not k and o is not k)
        a = self.sync_file_of(p, n)
        b = choose(b for b in SyncFile if b.file is p.fd[o])
        if b is None:
            return ENOENT("no_other", read("sync_file_ioctl_merge", "closed, or another kind of file"))
        if fails("allocation"):
            return ENOMEM("no_memory", read("sync_file_merge"))
        f = File()
        s = SyncFile(file=f)
        for x in Fence:
            x.candidate = (a.waits[x] or b.waits[x]) and not x.signaled
        for x in Fence:
            if x.candidate and not any(y.candidate and y.timeline is x.timeline and x.number < y.number for y in Fence):
                s.waits[x] = True
        for x in Fence:
            x.candidate = False
        s.many = any(x.timeline is not y.timeline and s.waits[x] and s.waits[y] for x in Fence for y in Fence)
        p.fd[k] = f
        return OK("ok", read("__dma_fence_unwrap_merge", "the latest pending one of each timeline", document=UNWRAP))

    @operation
    def merge_refused(self, p: Process, n: Fd, o: Fd, what: Refused) -> Result:
        require(p.running)
        self.sync_file_of(p, n)
        if what is Refused.BAD_POINTER:
            return EFAULT("bad_pointer", read("sync_file_ioctl_merge"))
        if what is Refused.RESERVED:
            return EINVAL("reserved", read("sync_file_ioctl_merge", "before the other file is looked at"))
        if not any(b.file is p.fd[o] for b in SyncFile):
            return ENOENT("no_other", read("sync_file_ioctl_merge"))
        return EFAULT("cannot_tell", read("sync_file_ioctl_merge", "the file and the number are given back"))

    @operation
    def info(self, p: Process, n: Fd) -> Result:
        """SYNC_IOC_FILE_INFO with room for no fence: its status is 0 (pending), 1 (over) or an error."""
        require(p.running)
        s = self.sync_file_of(p, n)
        if self.pending(s):
            return OK("pending", read("dma_fence_get_status", document="linux 6.12.117 drivers/dma-buf/dma-fence.c"))
        if s.many:
            if when(not s.polled):
                s.done = True
            if self.failed(s) and s.polled and not s.done:
                return ENOENT("several_failed", read("dma_fence_array_set_pending_error", document=ARRAY))
            return READY("several_over", read("dma_fence_array_signaled", document=ARRAY))
        if self.failed(s):
            return ENOENT("failed", read("sw_sync_debugfs_release", "the timeline was closed", document=SW_SYNC))
        return READY("over", read("sync_file_ioctl_fence_info"))

    @operation
    def info_refused(self, p: Process, n: Fd, what: Refused) -> Result:
        require(p.running)
        self.sync_file_of(p, n)
        if what is Refused.RESERVED:
            return EINVAL("reserved", read("sync_file_ioctl_fence_info"))
        return EFAULT("bad_pointer", read("sync_file_ioctl_fence_info"))

    @operation
    def info_of_one(self, p: Process, n: Fd) -> Result:
        """The same with room for one fence."""
        require(p.running)
        s = self.sync_file_of(p, n)
        if s.many:
            return EINVAL("too_small", read("sync_file_ioctl_fence_info", "nothing says how much is needed"))
        if self.pending(s):
            return OK("pending", read("sync_fill_fence_info"))
        if self.failed(s):
            return ENOENT("failed", read("sync_fill_fence_info"))
        return READY("over", read("sync_fill_fence_info"))

    @operation
    def poll(self, p: Process, n: Fd) -> Result:
        """Without waiting, for POLLIN."""
        require(p.running)
        f = self.file_of(p, n)
        if any(t.file is f for t in Timeline):
            return READY("no_operation", kernel("vfs_poll: DEFAULT_POLLMASK"))
        for s in SyncFile:
            if s.file is f:
                s.polled = s.polled or not s.done
        if any(s.file is f and self.pending(s) for s in SyncFile):
            return OK("pending", read("sync_file_poll"))
        return READY("over", read("sync_file_poll"))

    @operation
    def set_deadline(self, p: Process, n: Fd) -> Result:
        """SYNC_IOC_SET_DEADLINE."""
        require(p.running)
        s = self.sync_file_of(p, n)
        for x in Fence:
            if s.waits[x] and not x.signaled:
                x.deadline = True
        return OK("ok", read("sync_file_ioctl_set_deadline", "a hint; what is over ignores it"))

    @operation
    def set_deadline_refused(self, p: Process, n: Fd, reserved: bool) -> Result:
        require(p.running)
        self.sync_file_of(p, n)
        if reserved:
            return EINVAL("reserved", read("sync_file_ioctl_set_deadline"))
        return EFAULT("bad_pointer", read("sync_file_ioctl_set_deadline"))

    @operation
    def get_deadline(self, p: Process, n: Fd, o: Fd) -> Result:
        """SW_SYNC_GET_DEADLINE of a sync file."""
        require(p.running)
        self.timeline_of(p, n)
        s = choose(s for s in SyncFile if s.file is p.fd[o])
        if s is None:
            return EINVAL("no_sync_file", read("sw_sync_ioctl_get_deadline", "closed, too", document=SW_SYNC))
        if s.many or not any(s.waits[x] for x in Fence):
            return EINVAL("no_fence_of_a_timeline", read("dma_fence_to_sync_pt", document=SW_SYNC))
        if not any(s.waits[x] and x.deadline for x in Fence):
            return ENOENT("none", read("sw_sync_ioctl_get_deadline", document=SW_SYNC))
        return OK("ok", read("sw_sync_ioctl_get_deadline", "of any timeline, not only of this one", document=SW_SYNC))

    @operation
    def other_ioctl(self, p: Process, n: Fd) -> Result:
        """A command that nobody knows."""
        require(p.running)
        self.file_of(p, n)
        return ENOTTY("unknown", read("sync_file_ioctl"))
