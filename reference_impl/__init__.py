# SPDX-License-Identifier: Apache-2.0
"""A driver stack that does what the facts say, written independently of the specification.

>>> system = System("6.12.117")
>>> system.alloc(0), system.register(0), system.open(0, 0, 3), system.start(0, 3)
(0, 0, 3, 0)
"""

from .calls import FIRST_MAPPING, INJECTABLE, STEPPED
from .faults import FAULTS, Fault
from .kernel import Call, Errno, Finding, Outcome, Poll, Scheduler, UsageError, name_of, run_threads, schedules
from .system import System
from .uacce import BEHAVIOURS, CALLBACKS, SET_QP_CTX, SET_QP_INFO, Behaviour, Provider, RegionType

__all__ = [
    "BEHAVIOURS",
    "CALLBACKS",
    "FAULTS",
    "FIRST_MAPPING",
    "INJECTABLE",
    "SET_QP_CTX",
    "SET_QP_INFO",
    "STEPPED",
    "Behaviour",
    "Call",
    "Errno",
    "Fault",
    "Finding",
    "Outcome",
    "Poll",
    "Provider",
    "RegionType",
    "Scheduler",
    "System",
    "UsageError",
    "name_of",
    "run_threads",
    "schedules",
]
