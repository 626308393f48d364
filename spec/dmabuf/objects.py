# SPDX-License-Identifier: Apache-2.0
"""The objects of sharing: an accelerator, its sessions and memory; buffers, and what others make of them."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

from accelspec.spec.kernel import File, Process
from accelspec.spec.language import UNLOCKED, Ghost, Lock, Object, Range, Rigid, Unique

FACTS = "docs/facts/dmabuf.md"


class Health(Enum):
    """What the accelerator's driver says of its device."""

    GOOD = "operational"
    RESETTING = "a reset is under way"
    DISABLED = "a reset was given up: the device is of no use until the driver is loaded again"
    LEAVING = "a removal is under way: openers are waited for"
    REMOVED = "the device is gone, or its driver is unbound"


class Status(Enum):
    """What an exporter says of a buffer."""

    VALID = "may be mapped"
    SUSPENDED = "revoked for the time of a reset"
    REVOKED = "revoked for good"


class Importer(Enum):
    """Kinds of importer (facts 1.3)."""

    STATIC = "no callback, never peer-to-peer: maps once and keeps the mapping"
    DYNAMIC = "has a callback, but is not peer-to-peer, or there is no path to it"
    PEER = "has a callback, takes addresses of a peer, and maps again after a notification"
    PINNED = "takes addresses of a peer, pins and maps at import, and cannot be told to stop: a classic RDMA region"
    REVOCABLE = "the same, but its callback stops the hardware, once and for ever"


GOOD, RESETTING, DISABLED, LEAVING, REMOVED = Health
VALID, SUSPENDED, REVOKED = Status
STATIC, DYNAMIC, PEER, PINNED, REVOCABLE = Importer

Maps = Annotated[int, Range(0, 2)]  # a count that should never pass 1
Pins = Annotated[int, Range(-1, 2)]  # pins minus unpins, which should be 0 or 1
Once = Annotated[int, Range(-1, 1)]  # a reference that is dropped once


class Device(Object, always=True):
    """An accelerator."""

    health: Health = GOOD
    decoding: bool = True  # powered, and answers to addresses of its BAR
    place: bool = False  # where its memory is seen: every reset moves it (counted modulo 2)
    device_lock: Lock = UNLOCKED  # the driver core's: held for the length of a reset or a removal
    memory_lock: Lock = UNLOCKED  # VMEM of the facts: held for the length of a revoke


class Session(Object):
    """What an open of the device gets: the context, and with it the right to compute (facts: Ctx and Hpriv)."""

    device: Rigid[Device]
    file: Unique[File | None] = None  # None: the device file was released
    owner: bool = True  # D1: has not dropped the ownership
    exporting: Ghost[bool] = False  # an export of it is between two steps


class Memory(Object, always=True):
    """A piece of device memory: handed out, given back, handed out again."""

    device: Rigid[Device]
    session: Session | None = None  # whose allocation it is; None: in the pool
    leaving: bool = False  # freed by its session, and not yet in the pool
    part: bool = False  # D2b: the range of the latest export is kept here, and not in the buffer
    dirty: Ghost[bool] = False  # holds bytes of somebody, not yet scrubbed


class Buffer(Object):
    """A struct dma_buf of device memory."""

    memory: Rigid[Memory]
    session: Session | None  # that exported it; None once that session has ended without it
    file: Unique[File | None] = None
    part: Rigid[bool] = False  # the second half of the memory, not all of it
    place: bool = False  # where its addresses lead
    status: Status = VALID
    first: Once = 1  # the first reference of the count of outstanding mappings, dropped by a revoke
    revoking: bool = False  # a revoke is under way, and holds a reference
    making: bool = False  # D2b: an export is still at work on it
    resv: Lock = UNLOCKED  # the lock of its reservation object


class Import(Object):
    """An attachment, its mapping, and what the importer made of them: a memory region, an object of another driver."""

    buffer: Rigid[Buffer]
    file: Rigid[File]  # the reference to the buffer that an importer holds
    process: Rigid[Process]  # whose region it is; it goes with the process
    kind: Rigid[Importer]
    maps: Maps = 0
    pins: Pins = 0
    counted: bool = False  # the mapping is one of the outstanding ones that a revoke waits for
    told: bool = False  # notified: no new access, and the mapping is to be given back
    revoked: bool = False  # a REVOCABLE one that was stopped
    working: bool = False  # an access is under way; a fence (BOOKKEEP) stands for it
    part: bool = False  # what the mapping covers
    place: bool = False  # where it leads
