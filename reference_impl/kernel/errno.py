# SPDX-License-Identifier: Apache-2.0
"""What a call answers: zero or a count, a negative errno, or something worse than an error."""

from enum import IntEnum
from typing import Final


class Errno(IntEnum):
    """A negative errno, as a system call returns it: ``Errno.EPERM == -1``."""

    EPERM = -1
    ENOENT = -2
    EINTR = -4
    EIO = -5
    ENXIO = -6
    ENOEXEC = -8
    EBADF = -9
    EAGAIN = -11
    ENOMEM = -12
    EACCES = -13
    EFAULT = -14
    EBUSY = -16
    EEXIST = -17
    ENODEV = -19
    EINVAL = -22
    EMFILE = -24
    ENOTTY = -25
    ENOSPC = -28
    ERANGE = -34
    EDEADLK = -35
    ENOSYS = -38
    ETIME = -62
    EPROTO = -71
    EOVERFLOW = -75
    EBADFD = -77
    EOPNOTSUPP = -95
    ETIMEDOUT = -110


class Outcome(IntEnum):
    """What a call can end in that is not an errno: it sleeps, the program gets a signal, the kernel breaks."""

    WOULD_BLOCK = -1001  # the caller sleeps; it goes on when what it waits for happens
    SIGBUS = -1002
    SIGSEGV = -1003
    SIGKILL = -1004
    OOPS = -1005  # the kernel dereferenced what is not there; what follows is not defined
    DEADLOCK = -1006  # the caller waits for a lock that nobody will release


class Oops(Exception):
    """The kernel did what crashes a kernel. The call ends with `Outcome.OOPS`, its locks stay taken."""


class UsageError(ValueError):
    """The caller of the reference implementation asked for something that has no meaning; nothing was done."""


_NAMED: Final[dict[int, Errno | Outcome]] = {int(member): member for kind in (Errno, Outcome) for member in kind}


def answer(result: int) -> int:
    """Return `result`, one that has a name as that: ``answer(-22) is Errno.EINVAL``."""
    return _NAMED.get(result, result) if result < 0 else result


def name_of(result: int) -> str:
    """Return the name of a result for people: ``EINVAL``, ``SIGBUS``, ``0``."""
    return _NAMED[result].name if result in _NAMED else str(result)
