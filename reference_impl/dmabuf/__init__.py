# SPDX-License-Identifier: Apache-2.0
"""Shared device memory: dma-buf with fences, importers that really use it, and the designs of taking it back.

Where the facts are silent: an import belongs to the process that made it and ends with its exit or exec; a message that
cannot be received is gone; a process that is killed in a call gets nothing from it; a raw import that is told to let go
does so when its `unmap` is called, a region and an accelerator by themselves; a move is a revoke, a copy and a restore.

>>> system = System("D3b")
>>> system.open(0, 0, 3), system.mem_alloc(0, 3, 8192)
(3, 1)
>>> buffer = system.export(0, 3, system.mem_map(0, 3, 1), 8192)
"""

from . import checks
from .buffer import Direction, Status
from .calls import FIRST_NUMBER, INJECTABLE, STEPPED
from .design import DESIGNS, Design, Era, FreePolicy
from .device import DeviceState
from .faults import FAULTS, Fault
from .importer import Kind
from .resv import Usage
from .system import System

__all__ = [
    "DESIGNS",
    "FAULTS",
    "FIRST_NUMBER",
    "INJECTABLE",
    "STEPPED",
    "Design",
    "DeviceState",
    "Direction",
    "Era",
    "Fault",
    "FreePolicy",
    "Kind",
    "Status",
    "System",
    "Usage",
    "checks",
]
