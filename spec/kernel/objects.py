# SPDX-License-Identifier: Apache-2.0
"""The kernel's own objects: address spaces, processes, descriptors, open file descriptions, mappings."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

from accelspec.spec.language import IDLE, UNLOCKED, Busy, Ghost, Lock, Map, Object, Range, Rigid


class Mm(Object, always=True):
    """An address space.  One that no running process has is dead, and its identity may be used again."""

    mmap_lock: Lock = UNLOCKED


class Fd(Object, always=True):
    """A file descriptor number."""


class Process(Object, always=True):
    """A process; two that have the same address space are threads, or CLONE_VM."""

    mm: Mm
    running: bool = True
    fd: Map[Fd, File | None] = Map()
    busy: Busy = IDLE  # a call that takes several steps is running; exit and exec wait for it


class File(Object):
    """An open file description: shared by dup, fork, passing, and by every mapping made from it."""

    in_call: bool = False  # a call that takes several steps holds it


class Message(Object):
    """A message on its way that carries a description (SCM_RIGHTS)."""

    file: Rigid[File]


class Sleep(Enum):
    WAITING = "on the wait queue of the driver: a wake-up will be heard"
    DEAF = "asleep without being on any wait queue"
    AWAKE = "woken, on the way back to user space"


class Waiter(Object):
    """A thread that sleeps in poll."""

    file: Rigid[File]
    sleep: Sleep


WAITING, DEAF, AWAKE = Sleep

PageOffset = Annotated[int, Range(0, 2)]  # vm_pgoff, in pages; 2 stands for every offset that names no region


class Vma(Object):
    """A piece of a mapping of device memory: two pages as mapped, one after a split."""

    file: Rigid[File]  # a mapping keeps its file open
    mm: Rigid[Mm]
    pgoff: PageOffset = 0  # all that the close of a mapping looks at
    whole: bool = True  # both pages
    ptes: bool = True  # its page table entries are there: what lies behind can be reached
    base: Ghost[Rigid[PageOffset]] = 0  # the offset that was given to mmap
    moved: Ghost[bool] = False  # no longer at the address at which it was mapped
