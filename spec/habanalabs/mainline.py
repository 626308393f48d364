# SPDX-License-Identifier: Apache-2.0
"""habanalabs in mainline, 6.1 to 6.12: what both have, in the order of the source.

mainline_owners.py: open, release, and the end of what an owner leaves.  mainline_resets.py: resets, the kill stage,
power, removal.  mainline_ioctls.py: INFO, CB, MEMORY, DEBUG.  rings.py: submissions, fences and waits.
"""

from __future__ import annotations

from .mainline_owners import MISC
from .rings import Rings
from .submission_laws import SubmissionLaws

NOTHING_ELSE = {
    "Vma": 0,
    "Waiter": 0,
    "Message": 0,
    "Chip": 0,
    "Power": 0,
    "Coresight": 0,
    "Eventfd": 0,
    "Memory": 0,
    "Dmabuf": 0,
    "CommandBuffer": 0,
}
NO_WAIT = {"wait()": 0, "wait_multi()": 0}
NO_WORK = {**NOTHING_ELSE, **NO_WAIT, "Submission": 0, "submit()": 0, "complete()": 0}
SCOPES = {
    "an owner": {**NO_WORK, "Chip": 1, "Power": 1, "Coresight": 1, "Eventfd": 1},
    "buffers": {**NOTHING_ELSE, **NO_WAIT, "CommandBuffer": 1},  # early: it has every progress law that is violated
    "an owner and a monitor": {**NO_WORK, "Fd": 2, "File": 2, "FilePrivate": 2},
    "a file that is passed on": {**NO_WORK, "Process": 2, "Mm": 2, "Message": 1},
    "memory": {**NO_WORK, "Chip": 1, "Memory": 1, "remove()": 0},
    "exports": {**NO_WORK, "Dmabuf": 1},
    "waits": {**NOTHING_ELSE, "Chip": 1, "wait_multi()": 0, "remove()": 0},
    "a ring": {**NOTHING_ELSE, **NO_WAIT, "Submission": 2, "remove()": 0},
    "waits for several": {**NOTHING_ELSE, "wait()": 0, "remove()": 0},
}
NOT_HERE = {
    "habanalabs.I05": "the slot is a flag since 5.17: there is no pointer that could dangle (B2)",
    "habanalabs.I20": "it compares two runs",
    "habanalabs.I30": "open makes the context, and no call after it",
    "habanalabs.I32": "the list is walked under its lock, and the wait holds none (B7)",
    "habanalabs.I33": "open lists a file last, and is one step under the lock of the list (B3)",
    "habanalabs.S02": "the worker goes on when nobody is left, or not at all",
}


class Mainline(Rings, SubmissionLaws):
    """One owner at a time, and monitors on a node of their own."""

    machine = "habanalabs"
    document = MISC
    scopes = SCOPES
