# SPDX-License-Identifier: Apache-2.0
"""What a device is made of, and the limits of its driver: sizes, queues, and what the hardware can do."""

from dataclasses import dataclass
from enum import Enum
from typing import Final


class QueueKind(Enum):
    """Who puts what into a hardware queue."""

    HARDWARE = "takes commands from user memory, or from a command buffer"
    EXTERNAL = "takes commands from a command buffer"
    INTERNAL = "takes commands from device memory, and tells nobody when they are done"
    KERNEL = "takes commands of the driver only"
    BINNED = "is not there: the chip has a flaw"


DEFAULT_QUEUES: Final = (QueueKind.HARDWARE,) * 4 + (
    QueueKind.EXTERNAL,
    QueueKind.INTERNAL,
    QueueKind.KERNEL,
    QueueKind.BINNED,
)


@dataclass(frozen=True, slots=True)
class Hardware:
    """One model of accelerator. Times are in seconds.

    `asids` counts the kernel's, which is 0; None is what the revision's time had: 1024, later 2.
    """

    memory: int = 1 << 20  # bytes
    page_size: int = 4096
    asids: int | None = None
    ring: int = 64  # submissions of one context on their way, a power of two
    queues: tuple[QueueKind, ...] = DEFAULT_QUEUES
    queue_depth: int = 4096  # jobs in one hardware queue
    chunks: int = 512  # jobs in one submission
    outcomes: int = 256  # results kept of submissions whose place in the ring was taken
    multi_waits: int = 2  # of them at once
    multi_wait_entries: int = 32
    interrupts: int = 0  # that users can wait for
    staged: bool = True
    sync_streams: bool = True
    dram_mmu: bool = True  # device memory lies behind page tables
    compute_reset: bool = True
    reset_on_demand: bool = True  # a compute reset may be asked for; else only a departure can begin one
    reset_on_release: bool = False
    reset_on_lockup: bool = True
    submission_timeout: int = 30
    switch_timeout: int = 30
    kill_grace: int = 1
    kill_wait: int = 10
    kill_trials: int = 60
    reset_wait: int = 120  # that a removal waits for a reset
    watchdog: int = 30
    heartbeat: int = 10
    frequency: int = 5
