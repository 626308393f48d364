# SPDX-License-Identifier: Apache-2.0
"""Hardware queues that really compute: rings of requests in shared memory, done with numpy and zlib."""

from .engine import execute
from .packets import COMPLETION, DTYPES, REQUEST, TAIL, Completion, Layout, Op, Request, Status
from .provider import ComputeProvider, ComputeQueue

__all__ = [
    "COMPLETION",
    "DTYPES",
    "REQUEST",
    "TAIL",
    "Completion",
    "ComputeProvider",
    "ComputeQueue",
    "Layout",
    "Op",
    "Request",
    "Status",
    "execute",
]
