# SPDX-License-Identifier: Apache-2.0
"""What user space waits with: poll on a buffer, and sync files, which are snapshots of what a buffer waits for."""

from __future__ import annotations

from accelspec.spec.language import (
    EINTR,
    EIO,
    ENOMEM,
    OK,
    READY,
    WOULD_BLOCK,
    Result,
    any_of,
    choose,
    fails,
    free,
    operation,
    read,
    require,
    when,
)

from .fence_objects import Fence, Poller, PollSlot, Reservation, Slot, SyncFile
from .fences import Core

ARRAY = "linux 6.12.117 drivers/dma-buf/dma-fence-array.c"
UNWRAP = "linux 6.12.117 drivers/dma-buf/dma-fence-unwrap.c"
SELECT = "linux 6.12.117 fs/select.c"


class Files(Core):
    def listed(self, f: Fence) -> bool:
        return any(f.files[x] for x in SyncFile) or any(p.fence is f for p in PollSlot) or super().listed(f)

    def run_callbacks(self, f: Fence) -> None:
        """dma_buf_poll_cb: whoever sleeps in this direction is woken, and the next one may arm.

        And irq_dma_fence_array_work, at once: an array that was closed goes when it has heard from all.
        """
        for w in Poller:
            if w.slot.fence is f:
                w.woken = True
        for p in PollSlot:
            if p.fence is f:
                p.active = False
                p.fence = None
        for x in SyncFile:
            if not x.open and not self.pending(x):
                free(x)
        super().run_callbacks(f)

    # ------------------------------------------------------------------ poll

    def polled(self, p: PollSlot, f: Fence) -> bool:
        """A reader waits for writers, a writer for readers too; nobody who polls waits for BOOKKEEP."""
        return self.waited_for(p.reservation, f, 2) if p.out else self.waited_for(p.reservation, f, 1)

    def arm(self, p: PollSlot, f: Fence) -> None:
        p.active = True
        p.fence = f
        f.enabled = True

    @operation
    def poll(self, p: PollSlot) -> Result:
        """Without waiting."""
        r = p.reservation
        with r.lock:
            if p.active:
                return WOULD_BLOCK("masked", read("dma_buf_poll", "the event is masked while the callback is queued"))
            f = choose(f for f in Fence if self.polled(p, f))
            if f is None:
                return READY("ready", read("dma_buf_poll"))
            self.arm(p, f)
            return WOULD_BLOCK("armed", read("dma_buf_poll_add_cb", "it holds the buffer's file and the fence"))

    @operation
    def sleep(self, p: PollSlot) -> Result:
        """The same without an end of time: whoever would block sleeps."""
        r = p.reservation
        with r.lock:
            if p.active:
                Poller(slot=p)
                return WOULD_BLOCK("masked", read("dma_buf_poll", "the callback of another one wakes it too"))
            f = choose(f for f in Fence if self.polled(p, f))
            if f is None:
                return READY("ready", read("dma_buf_poll"))
            self.arm(p, f)
            Poller(slot=p)
            return WOULD_BLOCK("armed", read("dma_buf_poll_add_cb"))

    @operation
    def wake(self, w: Poller) -> Result:
        """What a sleeper does next: one that was woken looks again."""
        if not w.woken:
            return WOULD_BLOCK("asleep", read("do_poll", "poll_schedule_timeout", document=SELECT))
        p = w.slot
        r = p.reservation
        with r.lock:
            if p.active:
                w.woken = False
                return WOULD_BLOCK("masked", read("dma_buf_poll", "somebody was faster, and armed for all"))
            f = choose(f for f in Fence if self.polled(p, f))
            if f is None:
                free(w)
                return READY("ready", read("dma_buf_poll"))
            self.arm(p, f)
            w.woken = False
            return WOULD_BLOCK("armed", read("dma_buf_poll_add_cb", "there is another fence to wait for"))

    @operation
    def interrupt(self, w: Poller) -> Result:
        """A signal for the process that sleeps: it looks once more."""
        p = w.slot
        r = p.reservation
        with r.lock:
            if p.active:
                free(w)
                return EINTR("masked", read("do_poll", "the slot stays armed", document=SELECT))
            f = choose(f for f in Fence if self.polled(p, f))
            free(w)
            if f is None:
                return READY("ready", read("do_poll", "an event comes before a signal", document=SELECT))
            self.arm(p, f)
            return EINTR("armed", read("do_poll", "and nobody will be woken by it", document=SELECT))

    # ------------------------------------------------------------------ sync files

    def exported(self, s: Slot, r: Reservation, write: bool) -> bool:
        """For reading what was written, for writing all that implicit users wait for."""
        place = s.reservation is r and s.visible and (s.usage <= 1 or (write and s.usage <= 2))
        return place and s.fence is not None and not s.fence.signaled

    @operation
    def export_sync_file(self, r: Reservation, write: bool) -> Result:
        """DMA_BUF_IOCTL_EXPORT_SYNC_FILE: a snapshot."""
        if fails("allocation"):
            return ENOMEM("no_memory", read("dma_buf_export_sync_file"))
        x = SyncFile()
        for f in Fence:
            f.files[x] = any(self.exported(s, r, write) and s.fence is f for s in Slot)
        x.several = any(
            s is not t and self.exported(s, r, write) and self.exported(t, r, write) for s in Slot for t in Slot
        )
        return OK("ok", read("dma_resv_get_singleton", "without the lock; of none that is signalled"))

    def overtaken(self, f: Fence) -> bool:
        """Is there a later one of its timeline among those to choose from?"""
        return any(g.merging and g.timeline is f.timeline and f.number < g.number for g in Fence)

    def stands_for(self, x: SyncFile, f: Fence) -> bool:
        """Does whoever waits for the file wait for this fence?"""
        return any(g.files[x] and g.timeline is f.timeline and g.number >= f.number for g in Fence)

    @operation
    def merge(self, a: SyncFile, b: SyncFile) -> Result:
        """SYNC_IOC_MERGE: of each timeline the latest fence that is pending."""
        require(a.open and b.open)
        if fails("allocation"):
            return ENOMEM("no_memory", read("sync_file_merge"))
        x = SyncFile()
        for f in Fence:
            f.merging = (f.files[a] or f.files[b]) and not f.signaled
        for f in Fence:
            f.files[x] = f.merging and not self.overtaken(f)
        assert all(self.stands_for(x, f) for f in Fence if f.merging), "dmabuf.A05"
        for f in Fence:
            f.merging = False
        x.several = any(f.timeline is not g.timeline and f.files[x] and g.files[x] for f in Fence for g in Fence)
        return OK("ok", read("__dma_fence_unwrap_merge", document=UNWRAP))

    @operation
    def import_sync_file(self, r: Reservation, x: SyncFile, write: bool) -> Result:
        """DMA_BUF_IOCTL_IMPORT_SYNC_FILE: whoever uses the buffer waits for what the file stands for."""
        require(x.open)
        with r.lock:
            self.reserve(r)
            for f in Fence:
                f.adding[r] = f.files[x]
            while any(f.adding[r] for f in Fence):
                f = any_of(f for f in Fence if f.adding[r])
                s = any_of(s for s in Slot if self.takes(s, r, f, write))
                s.fence = f
                s.usage = 1 if write else 2
                s.visible = True
                f.adding[r] = False
                yield "added one"
            return OK("ok", read("dma_buf_import_sync_file", "one by one; what is signalled too"))

    def takes(self, s: Slot, r: Reservation, f: Fence, write: bool) -> bool:
        """Is this the place for the fence?  A new one only if it can replace none."""
        usable = s.visible and self.replaced(s, f, write)
        full = any(t.reservation is r and t.visible and self.replaced(t, f, write) for t in Slot)
        return s.reservation is r and (usable or (not s.visible and not full))

    def replaced(self, s: Slot, f: Fence, write: bool) -> bool:
        return self.may_replace(s, f, 1) if write else self.may_replace(s, f, 2)

    def pending(self, x: SyncFile) -> bool:
        return any(f.files[x] and not f.signaled for f in Fence)

    def failed(self, x: SyncFile) -> bool:
        return any(f.files[x] and f.error for f in Fence)

    @operation
    def status(self, x: SyncFile) -> Result:
        """SYNC_IOC_FILE_INFO with room for no fence: 0 is pending, 1 is over."""
        require(x.open)
        if self.pending(x):
            return WOULD_BLOCK("pending", read("dma_fence_get_status"))
        if x.several:
            if when(not x.asked):
                x.done = True
            if self.failed(x) and x.asked and not x.done:
                return EIO("several_failed", read("dma_fence_array_set_pending_error", document=ARRAY))
            return READY("several_over", read("dma_fence_array_signaled", "asks no one", document=ARRAY))
        if self.failed(x):
            return EIO("failed", read("dma_fence_get_status"))
        return READY("over", read("sync_file_ioctl_fence_info"))

    @operation
    def poll_sync_file(self, x: SyncFile) -> Result:
        """Without waiting."""
        require(x.open)
        if when(x.several and not x.done):
            x.asked = True
        for f in Fence:
            if f.files[x] and not f.signaled:
                f.enabled = True
        if self.pending(x):
            return WOULD_BLOCK("pending", read("sync_file_poll"))
        return READY("ready", read("sync_file_poll"))

    @operation
    def close_sync_file(self, x: SyncFile) -> Result:
        require(x.open)
        if x.asked and self.pending(x):
            x.open = False
            return OK(
                "listens", read("dma_fence_array_enable_signaling", "each callback has a reference", document=ARRAY)
            )
        for f in Fence:
            f.files[x] = False
        free(x)
        return OK("ok", read("sync_file_release"))
