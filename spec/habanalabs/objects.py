# SPDX-License-Identifier: Apache-2.0
"""The objects of habanalabs: devices, what the driver keeps for an open file, contexts, submissions, memory.

A field that one revision does not use stays as it was made there, and costs no state.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated

from accelspec.spec.kernel import File, Process
from accelspec.spec.language import IDLE, UNLOCKED, Busy, Ghost, Lock, Map, Object, Range, Raw, Rigid, Unique

FACTS = "docs/facts/habanalabs.md"


class Fence(Enum):
    """What a submission came to; never written twice."""

    PENDING = "given to the hardware, not finished"
    DONE = "finished"
    TIMED_OUT = "its lockup timer fired"
    ABORTED = "rolled back by a reset: EIO"
    REJECTED = "got a sequence, and was never given to the hardware: EBUSY"
    PLACED = "5.x: has its place in the ring, and is not given to the hardware yet"


class Query(Enum):
    """The classes of INFO."""

    STATUS = "DEVICE_STATUS: answered even in a reset"
    USAGE = "DRAM_USAGE: of a context"
    OTHER = "every other known opcode that needs a working device"
    UNKNOWN = "no such opcode"


class InfoOp(Enum):
    """The classes of INFO in 6.x."""

    ALWAYS = "HW_IP_INFO, DEVICE_STATUS, RESET_COUNT and the like: answered even in a reset"
    WORKING = "HW_IDLE, CLK_RATE, TIME_SYNC and the like: they ask the device"
    USAGE = "DRAM_USAGE"
    EVENTS = "GET_EVENTS"
    REGISTER = "REGISTER_EVENTFD"
    UNREGISTER = "UNREGISTER_EVENTFD"
    UNKNOWN = "no such opcode"


class Place(Enum):
    """What a sequence number means to a ring of two."""

    FUTURE = "not given yet"
    NEWEST = "the last that was given"
    OLDER = "the one before: it is in the slot that is needed next"
    GONE = "its slot was needed, or it is 0, which is never given"


class Stage(Enum):
    """The place of a submission in a staged group: the last is completed for all of them, the first has the timer."""

    WHOLE = "not staged"
    FIRST = "opens a group"
    MIDDLE = "joins it"
    LAST = "joins and closes it"


class Switch(Enum):
    """Exactly one submission of a context switches the chip to it."""

    NEEDED = "token 1: the next submission does it"
    RUNNING = "token 0, wait token 0: somebody does it, or has failed to"
    SWITCHED = "wait token 1"


class Asic(Enum):
    """Chips differ in what can be reset alone.  A device without a Chip is a Gaudi: every reset is a hard one."""

    GOYA = "compute resets when asked for; the first submission switches the context"
    GAUDI2 = "a compute reset whenever an owner leaves, and no other"


PENDING, DONE_WELL, TIMED_OUT, ABORTED, REJECTED, PLACED = Fence
FUTURE, NEWEST, OLDER, GONE = Place
WHOLE, FIRST, MIDDLE, LAST = Stage
NEEDED, RUNNING, SWITCHED = Switch
GOYA, GAUDI2 = Asic

Few = Annotated[int, Range(0, 4)]
Trials = Annotated[int, Range(0, 1)]  # HL_PENDING_RESET_MAX_TRIALS is 60
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
    # what follows is of 6.x: struct hl_reset_info and its surroundings
    active: bool = False  # is_compute_ctx_active
    releasing: bool = False  # compute_ctx_in_release
    compute_reset: bool = False  # in_compute_reset: the reset that runs is of the light kind
    requested: bool = False  # a compute reset has begun, and its thread has still to carry it out
    resetting: Busy = IDLE  # a thread is inside hl_device_reset; intended: it has taken in_reset
    remembered: bool = False  # hard_reset_schedule_flags: a hard reset follows the compute reset that runs
    needs_reset: bool = False  # a submission timed out, and resets on lockup are off
    trials: Trials = 0  # process_kill_trial_cnt
    fini: bool = False  # device_fini_pending
    killing: Ghost[bool] = False  # the kill stage waits for somebody
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
    inside: Few = 0  # calls that take several steps and hold the file
    callers: Map[Process, bool] = Map()  # intended: who is inside such a call
    file: Unique[File | None] = None  # none since the last close: what is left drains
    listed: bool = False  # on fpriv_list; since 5.17 files of the control node are on one of their own
    orphan: bool = False  # 6.x: hdev is NULL, removal has given up on its process
    leaving: bool = False  # a call that takes several steps is making it, or ending it
    built: Ghost[bool] = True  # all its fields are set
    contexts: Ghost[Once] = 0  # created for it, ever


class Context(Object):
    """A struct hl_ctx of a user."""

    hpriv: Rigid[FilePrivate]
    asid: Rigid[Asid]
    in_slot: bool = False  # intended: it has the compute slot, which is a mark and not a pointer
    dead: bool = False  # intended: from before the last hard reset
    switch: Switch = NEEDED  # 6.x, Goya: thread_ctx_switch_token and its wait token
    granted: Ghost[bool] = False  # somebody decided that it computes, and nobody took that back
    survivor: Ghost[bool] = False  # it was there when the hardware was hard reset
    wrote: Ghost[bool] = False  # it had device memory mapped


class CommandBuffer(Object):
    """A struct hl_cb: counted by its handle and by the submissions that use it."""

    hpriv: Raw[FilePrivate | None] = None
    handle: bool = True  # user space can name it
    refs: Few = 1  # 6.x: as the driver counts them, for the handle and for each submission


class Submission(Object):
    """A struct hl_cs, and its fence in the ring of the context."""

    ctx: Rigid[Context]
    cb: Raw[CommandBuffer | None] = None  # none: buffers that the scope does not follow
    fence: Fence = PENDING
    # what follows is of 6.x, where the fence stays in the ring until its slot is needed
    place: Place = NEWEST
    alive: bool = False  # the hl_cs is there, and holds the context and its buffers
    queued: bool = False  # on cs_mirror_list: the hardware has it
    awaited: bool = False  # a thread is inside WAIT, and holds the fence and the context
    stage: Stage = WHOLE
    group: Raw[Submission | None] = None  # of a middle, the first; of a first and of middles, the last that closes it
    patient: bool = False  # HL_CS_FLAGS_SKIP_RESET_ON_TIMEOUT
    fired: bool = False  # its lockup timer has fired


class Memory(Object):
    """Device memory (hl_vm_phys_pg_pack): its handle is known to the whole device."""

    asid: Rigid[Asid]  # of the creator
    shared: Rigid[bool] = False
    mapped: Context | None = None


class Chip(Object, always=True):
    """6.x: the chip of a device, if that is no Gaudi; with its clocks, and memory that has addresses of its own."""

    device: Rigid[Device]
    asic: Rigid[Asic]
    high: bool = False  # curr_pll_profile, of a Goya
    manual: bool = False  # pm_mng_profile
    soiled: Ghost[bool] = False  # the memory holds what an owner who is gone has written


class Power(Object, always=True):
    """6.x: the power management of a device."""

    device: Rigid[Device]
    suspended: bool = False


class Eventfd(Object):
    """6.x: what a file has registered to be told of errors."""

    hpriv: Rigid[FilePrivate]


class Coresight(Object, always=True):
    """6.x: the trace engines of a device."""

    device: Rigid[Device]
    on: bool = False  # in_debug


class Dmabuf(Object):
    """6.x: exported device memory.  It holds the context; since 6.4 also the file of the compute node."""

    ctx: Rigid[Context]
    memory: Rigid[Memory | None] = None  # 6.12: it cannot be unmapped while it is exported


class Watchdog(Object, always=True):
    """6.12: resets that wait for an owner to leave, or come because he has."""

    device: Rigid[Device]
    active: bool = False  # watchdog_active: somebody was told to leave, and has 30 s
    hard: bool = False  # it will be a hard reset then, whatever the chip can
    late: bool = False  # a close has found its context in use, and is about to ask for a hard reset


class PageFault(Object, always=True):
    """6.12: what a device remembers of the first page fault since the last open."""

    device: Rigid[Device]
    seen: bool = False


class Snapshot(Object):
    """6.12: the host memory that the owner had mapped then, in memory of its own."""

    fault: Rigid[PageFault]
