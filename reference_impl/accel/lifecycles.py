# SPDX-License-Identifier: Apache-2.0
"""The lives of a context, a submission, a reset and a device, as the tables that drive the code.

`machine()` of each gives it as a `transitions` machine, for reading and drawing.
"""

from enum import IntEnum
from typing import Final

from ..lifecycle import Lifecycle, Transition


class ContextState(IntEnum):
    """The life of a context: being made, without or with the right to compute, going, gone."""

    NEW = 0
    IDLE = 1
    COMPUTE = 2
    DRAINING = 3
    FREED = 4


class SubmissionState(IntEnum):
    """The life of a submission; the last four are how it ended, and its fence says so for ever."""

    ALLOCATED = 0
    SUBMITTED = 1
    DONE = 2
    TIMED_OUT = 3
    ABORTED = 4
    REJECTED = 5


class ResetState(IntEnum):
    """What the driver is in the middle of. PENDING: a hard reset waits for its worker; KILLING: for its victims."""

    NONE = 0
    COMPUTE = 1
    PENDING = 2
    KILLING = 3
    RESTARTING = 4


class DeviceState(IntEnum):
    """The life of a device. BROKEN: the last hard reset failed, and only another one can help."""

    CREATED = 0
    RUNNING = 1
    RESETTING = 2
    BROKEN = 3
    SUSPENDED = 4
    REMOVING = 5
    REMOVED = 6


_C, _S, _R, _D = ContextState, SubmissionState, ResetState, DeviceState

CONTEXT: Final = Lifecycle(
    "context",
    _C.NEW,
    (
        Transition("publish", _C.NEW, _C.IDLE),
        Transition("fail", _C.NEW, _C.FREED),
        Transition("fail", _C.IDLE, _C.FREED),
        Transition("upgrade", _C.IDLE, _C.COMPUTE),
        Transition("lose slot", _C.COMPUTE, _C.IDLE),
        Transition("drop", _C.IDLE, _C.DRAINING),
        Transition("drop", _C.COMPUTE, _C.DRAINING),
        Transition("free", _C.DRAINING, _C.FREED),
    ),
)

SUBMISSION: Final = Lifecycle(
    "submission",
    _S.ALLOCATED,
    (
        Transition("submit", _S.ALLOCATED, _S.SUBMITTED),
        Transition("reject", _S.ALLOCATED, _S.REJECTED),
        Transition("complete", _S.SUBMITTED, _S.DONE),
        Transition("time out", _S.SUBMITTED, _S.TIMED_OUT),
        Transition("abort", _S.SUBMITTED, _S.ABORTED),
    ),
)

RESET: Final = Lifecycle(
    "reset",
    _R.NONE,
    (
        Transition("compute reset", _R.NONE, _R.COMPUTE),
        Transition("hard reset", _R.NONE, _R.PENDING),
        Transition("finish", _R.COMPUTE, _R.NONE),
        Transition("escalate", _R.COMPUTE, _R.PENDING),
        Transition("kill", _R.PENDING, _R.KILLING),
        Transition("restart", _R.KILLING, _R.RESTARTING),
        Transition("finish", _R.RESTARTING, _R.NONE),
        Transition("give up", _R.KILLING, _R.NONE),
    ),
)

DEVICE: Final = Lifecycle(
    "device",
    _D.CREATED,
    (
        Transition("probe", _D.CREATED, _D.RUNNING),
        Transition("fail", _D.CREATED, _D.BROKEN),
        Transition("reset", _D.RUNNING, _D.RESETTING),
        Transition("reset", _D.BROKEN, _D.RESETTING),
        Transition("recover", _D.RESETTING, _D.RUNNING),
        Transition("fail", _D.RESETTING, _D.BROKEN),
        Transition("suspend", _D.RUNNING, _D.SUSPENDED),
        Transition("suspend", _D.BROKEN, _D.SUSPENDED),
        Transition("resume", _D.SUSPENDED, _D.RUNNING),
        Transition("remove", _D.RUNNING, _D.REMOVING),
        Transition("remove", _D.BROKEN, _D.REMOVING),
        Transition("finish", _D.REMOVING, _D.REMOVED),
    ),
)

LIFECYCLES: Final = (CONTEXT, SUBMISSION, RESET, DEVICE)
