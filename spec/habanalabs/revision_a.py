# SPDX-License-Identifier: Apache-2.0
"""habanalabs revision `a`: Linux 5.1 to 5.3, one open at a time."""

from __future__ import annotations

from .frequency import Frequency
from .known import ALONE, KNOWN_A
from .laws import Laws

UNMAPPED = (
    "exec",
    "munmap",
    "munmap_head",
    "munmap_tail",
    "mprotect_tail",
    "mremap_grow",
    "mremap_dont_unmap",
    "wake_up",
)
SMALL = {"Mm": 0, "Vma": 0, "Waiter": 0, "Message": 0}


PLAIN = {"Vma": 0, "Waiter": 0, "Message": 0, "Memory": 0, "CommandBuffer": 0, "Submission": 0}
QUIET = {"soft_reset()": 0, "reset_work()": 0, "remove()": 0}
WHOLE = {"info()": 0, "cb_create()": 0}
SCOPES = {
    "work and resets": {**PLAIN, "Submission": 1, "CommandBuffer": 1},
    "memory and duplicates": {**PLAIN, **QUIET, **WHOLE, "Memory": 1, "Fd": 2},
}


class A(Frequency, Laws):
    """One node, one file at a time, its context made at once."""

    machine = "habanalabs"
    revision = "a"
    document = "linux 5.2 drivers/misc/habanalabs"
    known = KNOWN_A
    not_applicable = ALONE
    drops = [*UNMAPPED]
    scopes = {**SCOPES, "sharing": {**PLAIN, **QUIET, "Process": 2, "Mm": 2, "Message": 1}}
