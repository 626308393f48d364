# SPDX-License-Identifier: Apache-2.0
"""What must hold of fences in the hands of user space."""

from __future__ import annotations

from accelspec.spec.kernel import Fd, Process
from accelspec.spec.language import OK, STATE, STEP, Errno, after, always, deduced, implies, old, read, sometimes

from .timelines import SW_SYNC, Fence, SyncFile, Timeline, Timelines

FENCE = "linux 6.12.117 drivers/dma-buf/dma-fence.c"


class Laws(Timelines):
    @always("sync_file.I01", STEP, read("dma_fence_signal_timestamp_locked", document=FENCE))
    def once_signaled(self) -> bool:
        """A fence that is signaled stays so, and its result stays."""
        return all(implies(old(x).signaled, x.signaled and x.error == old(x).error) for x in Fence)

    @always("sync_file.I02", STATE, read("sync_timeline_signal", document=SW_SYNC))
    def signaled_in_order(self) -> bool:
        """A fence is pending only as long as its timeline is open and has not come to its number."""
        return all(x.signaled or (x.timeline.file is not None and x.timeline.value < x.number) for x in Fence)

    @after("merge", "sync_file.I03", STEP, deduced("who waits for both must learn what became of both"))
    def errors_are_merged(self, p: Process, n: Fd, k: Fd, result: Errno) -> bool:
        """What is known to have failed is not merged away."""
        failed = any(s.file is p.fd[n] and s.waits[x] and x.error for s in SyncFile for x in Fence)
        told = any(s.file is p.fd[k] and s.waits[x] and x.error for s in SyncFile for x in Fence)
        return implies(result is OK and failed, told)

    @always("sync_file.I04", STATE, deduced("dma_fence_put, sync_timeline_put"))
    def nothing_is_left(self) -> bool:
        """A fence is there for some file, a timeline for its own or for a fence."""
        return all(any(s.waits[x] for s in SyncFile) for x in Fence) and all(
            t.file is not None or any(x.timeline is t for x in Fence) for t in Timeline
        )

    @sometimes("sync_file.S01", deduced("a timeline that is closed"))
    def outlives_its_timeline(self) -> bool:
        """A file has a fence that failed because its timeline was closed."""
        return any(s.waits[x] and x.timeline.file is None and x.error for s in SyncFile for x in Fence)
