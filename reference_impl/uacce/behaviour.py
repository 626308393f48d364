# SPDX-License-Identifier: Apache-2.0
"""Where the two behaviours differ, and which guard each historical bug takes away: one switch for each decision.

The defaults are Linux 6.12.117. `INTENDED` changes what is ours; a fault (faults.py) changes what was once wrong.
The code asks these switches and nothing else about which kernel it is.
"""

from dataclasses import dataclass, replace
from typing import Final, Literal

from ..kernel.errno import Errno


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One way to be uacce."""

    name: str = "6.12.117"

    # open
    open_knows_its_device: bool = False  # else a node kept from a removed device leads to whoever has its number now
    bind_failure_fails_open: bool = True
    allocation: Literal["before bind", "after bind"] = "before bind"
    unbind_when_get_fails: bool = True
    open_holds_device_lock: bool = True
    initialise: Literal["after get_queue", "before get_queue"] = "after get_queue"

    lost_to_remove: Errno = Errno.EINVAL  # what an open answers that finds its device removed under the lock

    # ioctl
    put_q: Literal["stop", "release"] = "stop"
    restart: bool = True  # START after PUT_Q
    ioctl_refuses_dead: bool = True
    ioctl_holds_device_lock: bool = True

    # mmap and its pieces
    mmap_refuses_dead: bool = True
    mmap_checks_under_lock: bool = True
    mmap_lock: Literal["queue", "device"] = "queue"
    entries: Literal["at mmap", "at first touch"] = "at mmap"  # when a map gets its pages
    slot: Literal["page offset", "mmap call"] = "page offset"  # what the close of a piece goes by
    close_frees: bool = True
    close_clears_slot: bool = True
    refuses_move: bool = True
    fault_handler: Literal["none", "empty success"] = "none"

    # poll
    dead_mask: Literal["nothing", "error and hang-up"] = "nothing"
    wakes: Literal["completion", "completion, stop and remove"] = "completion"

    # release, exit
    release_accounts: bool = False  # takes the mmap lock for it
    exit_puts_queues: bool = False

    # register and remove
    failed_register_forgets_cdev: bool = True
    remove: Literal["put then unmap", "unmap then put", "put only"] = "put then unmap"
    remove_clears_ops: bool = True
    unbind_forgets_handle: bool = True

    # sysfs
    isolate_guarded: bool = True

    # the hardware driver
    dus_extra_pages: int = 0  # by which its buffer is larger than the size it advertises
    put_refused_when_stopped: bool = False


LINUX_6_12: Final = Behaviour()

INTENDED: Final = replace(
    LINUX_6_12,
    name="intended",
    # A device that is gone is always "no such device", also behind a node that somebody kept.
    open_knows_its_device=True,
    lost_to_remove=Errno.ENODEV,
    # No doorbell window: users lose their pages, and cannot get new ones, before the hardware queue is given back.
    remove="unmap then put",
    # A page appears when it is touched, if the queue is alive then: no map can miss that remove takes its pages away.
    entries="at first touch",
    # A slot belongs to one mmap call, so no piece of another map can free it or make it free.
    slot="mmap call",
    # The hardware driver never sees a queue that is not complete.
    initialise="before get_queue",
    # Who waits on a queue that will never complete is told so.
    dead_mask="error and hang-up",
    wakes="completion, stop and remove",
)

BEHAVIOURS: Final = {behaviour.name: behaviour for behaviour in (LINUX_6_12, INTENDED)}
