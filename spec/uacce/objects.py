# SPDX-License-Identifier: Apache-2.0
"""The objects of uacce: devices, hardware queues, queues, the hardware unit behind a device."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

from accelspec.spec.kernel import File, Mm
from accelspec.spec.language import UNLOCKED, Ghost, Lock, Object, Range, Rigid, Unique

FACTS = "docs/facts/uacce.md"


class Life(Enum):
    """The life of a struct uacce_device."""

    ABSENT = "the driver has not probed"
    ALLOCATED = "uacce_alloc: there is an id, users see nothing yet"
    REGISTERED = "visible in /dev and /sys"
    REMOVED = "uacce_remove has returned; descriptions may still pin it"
    FREED = "the last reference is gone"


class Cdev(Enum):
    """The device's pointer to its character device."""

    NONE = "NULL"
    ADDED = "added, or to be added by register"
    STALE = "left behind by a register that failed"


class QueueState(Enum):
    INIT = "owns a hardware queue, not running"
    STARTED = "running"
    ZOMBIE = "no hardware queue: half-built, or given back; only close is left"
    CORRUPT = "v4: half of a pointer, written by a mapping of type 16"


class Domain(Enum):
    """v4: the IOMMU domain that a device without SVA gets for itself."""

    NONE = "there is none"
    ATTACHED = "attached to the parent device"
    FREED = "freed, and still attached"


class Slot(Enum):
    """qfrs[type] of a queue: the marker that a region is mapped."""

    EMPTY = "NULL"
    SET = "points to the region's marker"
    STALE = "points to a marker that was freed"


class Region(Enum):
    """What an mmap offset names."""

    MMIO = "0: the doorbells"
    DUS = "1: the queue's memory, shared by device and user space"
    DKO = "v4: for the device and the kernel only"
    SS = "v4: memory shared between queues"
    UNKNOWN = "v4: types 4 to 15; since 5.7: any other offset"
    BEFORE = "v4: an offset before the first region, type 16"


ABSENT, ALLOCATED, REGISTERED, REMOVED, FREED = Life
INIT, STARTED, ZOMBIE, CORRUPT = QueueState
EMPTY, SET, STALE = Slot
MMIO, DUS, DKO, SS, UNKNOWN, BEFORE = Region

Once = Annotated[int, Range(0, 2)]  # a count that should never pass 1
Running = Annotated[int, Range(-1, 2)]  # starts minus stops, which should be 0 or 1
Few = Annotated[int, Range(0, 2)]


class Minor(Object, always=True):
    """A minor number: given to one device at a time, and given again."""


class Device(Object, always=True):
    """A struct uacce_device."""

    life: Life = ABSENT
    minor: Minor | None = None  # kept after removal: a node that was kept still names it
    sva: bool = False  # negotiated: user space addresses are the device's addresses
    cdev: Cdev = Cdev.NONE
    filled: bool = False  # the driver has set api, algorithms, region sizes and priv
    mutex: Lock = UNLOCKED
    domain: Domain = Domain.NONE  # v4
    unbound: bool = False  # v4: its parent has no driver any more
    making: Ghost[Queue | None] = None  # the queue that an open is just making under the mutex
    stray_bond: Ghost[bool] = False  # a bond that no queue holds
    lost_cdev: Ghost[bool] = False  # a character device that nobody will drop


class HwQueue(Object, always=True):
    """A hardware queue of a device."""

    device: Rigid[Device]
    lost: bool = False  # the queue that had it is gone and did not give it back: the driver counts it as used


class Qm(Object, always=True):
    """The hardware unit behind a device (HiSilicon QM, physical function): reset and isolation."""

    device: Rigid[Device]
    stopped: bool = False
    isolated: bool = False
    threshold: Few = 0
    errors: Few = 0  # in the last hour; 2 stands for more


class SharedRegion(Object):
    """v4: a region of static shared memory (SS), and the head of the list of queues that share it."""


class Queue(Object):
    """A struct uacce_queue: one for each successful open."""

    device: Rigid[Device]  # found by its minor; no reference is held
    pins: Rigid[Device]  # whose character device the description holds: only this one is kept alive
    mm: Rigid[Mm]  # of the opener
    file: Unique[File | None] = None
    state: QueueState = ZOMBIE
    hw: HwQueue | None = None
    bonded: bool = False  # holds a bond of its mm with the device (iommu_sva_bind_device)
    mmio: Slot = EMPTY
    dus: Slot = EMPTY
    dko: bool = False  # v4: the slot of DKO is set
    other: bool = False  # v4: a slot of types 4 to 15 is set
    ss: SharedRegion | None = None  # v4: the slot of SS
    linked: SharedRegion | None = None  # v4: in whose list of sharers the queue is
    listed: bool = False  # in the device's list of queues
    mutex: Lock = UNLOCKED
    ready: bool = False  # a completion waits to be seen
    built: Ghost[bool] = False  # its wait queue and locks are initialised
    had: Ghost[HwQueue | None] = None  # the hardware queue that it got; mappings reach it
    gets: Ghost[Once] = 0
    puts: Ghost[Once] = 0
    running: Ghost[Running] = 0
    page_refs: Ghost[Few] = 0  # v4: of a page of DUS, without SVA: one from its allocation, one for the domain
