# SPDX-License-Identifier: Apache-2.0
"""What the kernel itself does around a driver: descriptors, mappings, processes.  Parts of machines, not machines."""

from .descriptors import Descriptors
from .objects import AWAKE, DEAF, WAITING, Fd, File, Message, Mm, Process, Sleep, Vma, Waiter
from .pages import Address, Page, Pages
from .processes import Processes

__all__ = [
    "AWAKE",
    "DEAF",
    "WAITING",
    "Address",
    "Descriptors",
    "Fd",
    "File",
    "Message",
    "Mm",
    "Page",
    "Pages",
    "Process",
    "Processes",
    "Sleep",
    "Vma",
    "Waiter",
]
