# SPDX-License-Identifier: Apache-2.0
"""A small kernel: processes, files, memory maps, locks, character devices, sysfs, and time in steps."""

from .errno import Errno, Oops, Outcome, UsageError, answer, name_of
from .findings import Finding, Findings
from .kernel import Kernel
from .memory_maps import PAGE, Mm, Page, RamPage, UserFault, Vma, VmOps
from .poll import BROKEN, READABLE, Poll
from .steps import Call, Pause, Scheduler, Step, Task, point, run_threads, schedules

__all__ = [
    "BROKEN",
    "PAGE",
    "READABLE",
    "Call",
    "Errno",
    "Finding",
    "Findings",
    "Kernel",
    "Mm",
    "Oops",
    "Outcome",
    "Page",
    "Pause",
    "Poll",
    "RamPage",
    "Scheduler",
    "Step",
    "Task",
    "UsageError",
    "UserFault",
    "VmOps",
    "Vma",
    "answer",
    "name_of",
    "point",
    "run_threads",
    "schedules",
]
