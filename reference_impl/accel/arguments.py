# SPDX-License-Identifier: Apache-2.0
"""What the ioctls take and give: the structs that a user's pointer points to, by the names of the ABI."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Ioctl(IntEnum):
    """The ioctls, by number since the first kernel that had them."""

    INFO = 1
    CB = 2
    CS = 3
    WAIT_CS = 4
    MEMORY = 5
    DEBUG = 6


class CbOp(IntEnum):
    """Operations of CB."""

    CREATE = 0
    DESTROY = 1
    INFO = 2


class MemoryOp(IntEnum):
    """Operations of MEMORY."""

    ALLOC = 0
    FREE = 1
    MAP = 2
    UNMAP = 3
    MAP_BLOCK = 4
    EXPORT_DMABUF_FD = 5
    TS_ALLOC = 6


class MemoryFlag(IntEnum):
    """Flags of MEMORY; combined they are a number."""

    CONTIGUOUS = 1
    SHARED = 2
    USERPTR = 4
    FORCE_HINT = 8


class DebugOp(IntEnum):
    """Operations of DEBUG: seven that configure an engine, and the mode."""

    ETR = 0
    ETF = 1
    STM = 2
    FUNNEL = 3
    BMON = 4
    SPMU = 5
    TIMESTAMP = 6
    SET_MODE = 7


class CsFlag(IntEnum):
    """Flags of CS; combined they are a number. Those of `TYPES` exclude each other."""

    FORCE_RESTORE = 0x1
    SIGNAL = 0x2
    WAIT = 0x4
    COLLECTIVE_WAIT = 0x8
    TIMESTAMP = 0x20
    STAGED = 0x40
    STAGED_FIRST = 0x80
    STAGED_LAST = 0x100
    CUSTOM_TIMEOUT = 0x200
    SKIP_RESET_ON_TIMEOUT = 0x400


TYPES = CsFlag.SIGNAL | CsFlag.WAIT | CsFlag.COLLECTIVE_WAIT


class WaitStatus(IntEnum):
    """What WAIT_CS says in its output."""

    COMPLETED = 0
    BUSY = 1
    TIMEDOUT = 2
    ABORTED = 3
    INTERRUPTED = 4  # 5.x only


GONE = 0x1  # a flag in the output of WAIT_CS: too long ago to know
NO_SEQUENCE = (1 << 64) - 1


@dataclass(slots=True)
class InfoArgs:
    """INFO: an operation and the size of the buffer for its answer; 0 is what a NULL pointer is too."""

    op: int
    size: int = 64
    pad: int = 0
    out: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(slots=True)
class CbArgs:
    """CB."""

    op: int
    handle: int = 0
    size: int = 0
    map: bool = False  # for the device too
    want_va: bool = False
    out: int = 0


@dataclass(frozen=True, slots=True)
class Chunk:
    """One job: commands in a command buffer (`handle`, its first `size` bytes), or in user memory, for a queue."""

    queue: int = 0
    handle: int | None = None
    size: int = 8
    data: bytes = bytes(8)


NOTHING_TO_DO = (Chunk(),)


@dataclass(slots=True)
class CsArgs:
    """CS: chunks to restore with and to execute; `seq` names a staged group on the way in, and the submission after."""

    execute: Sequence[Chunk] = NOTHING_TO_DO
    restore: Sequence[Chunk] = ()
    flags: int = 0
    timeout: int = 0
    seq: int = 0
    pad: int = 0
    status: int = 0


@dataclass(slots=True)
class WaitArgs:
    """WAIT_CS: one sequence, several, or an interrupt; `timeout` in seconds, 0 only asks."""

    seq: int = 0
    timeout: int = 0
    several: Sequence[int] | None = None
    interrupt: int | None = None
    status: int = 0
    flags: int = 0
    done: int = 0  # one bit for each of several


@dataclass(slots=True)
class MemoryArgs:
    """MEMORY."""

    op: int
    size: int = 0
    handle: int = 0
    va: int = 0
    hint: int = 0
    page_size: int = 0
    flags: int = 0
    host: NDArray[Any] | None = None
    out: int = 0


@dataclass(slots=True)
class DebugArgs:
    """DEBUG: `enable` for SET_MODE."""

    op: int
    enable: bool = False


EMPTY = np.empty(0, np.uint8)
