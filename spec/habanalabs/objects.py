# SPDX-License-Identifier: Apache-2.0
"""The objects of habanalabs: devices, what the driver keeps for an open file, contexts, submissions, memory.

A field that one revision does not use stays as it was made there, and costs no state.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated

from accelspec.spec.kernel import File, Process
from accelspec.spec.language import UNLOCKED, Ghost, Lock, Object, Range, Raw, Rigid, Unique

FACTS = "docs/facts/habanalabs.md"


class Fence(Enum):
    """What a submission came to; never written twice."""

    PENDING = "given to the hardware, not finished"
    DONE = "finished"
    TIMED_OUT = "its lockup timer fired"
    ABORTED = "rolled back by a reset: EIO"


class Query(Enum):
    """The classes of INFO."""

    STATUS = "DEVICE_STATUS: answered even in a reset"
    USAGE = "DRAM_USAGE: of a context"
    OTHER = "every other known opcode that needs a working device"
    UNKNOWN = "no such opcode"


PENDING, DONE_WELL, TIMED_OUT, ABORTED = Fence

Once = Annotated[int, Range(0, 2)]  # a count that should never pass 1


class Device(Object, always=True):
    """A struct hl_device."""

    disabled: bool = False  # in reset, suspended, broken, or about to be removed
    in_reset: bool = False  # taken by whoever resets, suspends or removes
    hard_pending: bool = False  # hard_reset_pending: a hard reset is queued or runs, or removal
    queued: bool = False  # the worker of hard resets has something to do
    suspended: bool = False
    gone: bool = False  # removed: the structure is freed
    slot: Raw[Context | None] = None  # user_ctx, later compute_ctx: a pointer that counts nothing
    opened: bool = False  # fd_open_cnt, before there was a list
    in_debug: bool = False
    high: bool = False  # curr_pll_profile: the clocks are at HIGH
    manual: bool = False  # pm_mng_profile: MANUAL instead of AUTO
    open_lock: Lock = UNLOCKED  # fd_open_cnt_lock; since 5/9 fpriv_list_lock
    lazy_lock: Lock = UNLOCKED  # lazy_ctx_creation_lock
    debug_lock: Lock = UNLOCKED
    resets: Ghost[Once] = 0  # resets that run
    soiled: Ghost[bool] = False  # device memory holds what an owner who is gone has written


class Asid(Object, always=True):
    """An address space number of a device: one bit of asid_bitmap.  Number 0, the kernel's, is none of these."""

    device: Rigid[Device]
    taken: bool = False


class FilePrivate(Object):
    """A struct hl_fpriv (hpriv): counted by its open file and by its context, which is the one that leads here."""

    device: Rigid[Device]
    opener: Rigid[Process]  # taskpid: who opened, whoever has the file now
    control: Rigid[bool] = False  # of the control node
    file: Unique[File | None] = None  # none since the last close: what is left drains
    listed: bool = False  # on fpriv_list
    ending: bool = False  # nobody holds it: true only inside the step in which it ends
    leaving: bool = False  # its context has ended, and the call that ends it waits for a lock
    contexts: Ghost[Once] = 0  # created for it, ever


class Context(Object):
    """A struct hl_ctx of a user."""

    hpriv: Rigid[FilePrivate]
    asid: Rigid[Asid]
    granted: Ghost[bool] = False  # somebody decided that it computes, and nobody took that back
    survivor: Ghost[bool] = False  # it was there when the hardware was hard reset
    wrote: Ghost[bool] = False  # it had device memory mapped


class CommandBuffer(Object):
    """A struct hl_cb: counted by its handle and by the submissions that use it."""

    hpriv: Raw[FilePrivate | None] = None
    handle: bool = True  # user space can name it


class Submission(Object):
    """A struct hl_cs, and its fence in the ring of the context."""

    ctx: Rigid[Context]
    cb: CommandBuffer | None = None  # none: buffers that the scope does not follow
    fence: Fence = PENDING


class Memory(Object):
    """Device memory (hl_vm_phys_pg_pack): its handle is known to the whole device."""

    asid: Rigid[Asid]  # of the creator
    shared: Rigid[bool] = False
    mapped: Context | None = None
