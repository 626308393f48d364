# SPDX-License-Identifier: Apache-2.0
"""What an operation answers: an errno (or another named outcome), the name of the row, and its source."""

from __future__ import annotations

from collections.abc import Generator
from enum import Enum

from .sources import Source


class Errno(Enum):
    """The outcomes a row can have.  Positive values are Linux error numbers; the others are explained beside them.

    Calling one makes the answer of a row: ``return EBUSY("exclusive", read("uacce_dev_open_check"))``.
    """

    OK = 0
    EPERM = 1
    ENOENT = 2
    EINTR = 4
    EIO = 5
    ENXIO = 6
    ENOEXEC = 8
    EBADF = 9
    EAGAIN = 11
    ENOMEM = 12
    EACCES = 13
    EFAULT = 14
    EBUSY = 16
    EEXIST = 17
    ENODEV = 19
    EINVAL = 22
    EMFILE = 24
    ENOTTY = 25
    ENOSPC = 28
    ESPIPE = 29
    EDEADLK = 35
    ENOSYS = 38
    ETIME = 62
    EOVERFLOW = 75
    EBADFD = 77
    EOPNOTSUPP = 95
    ETIMEDOUT = 110
    SIGBUS = -7  # the access was answered by the signal
    SIGSEGV = -11  # the same
    READY = -101  # poll: IN | RDNORM
    HANGUP = -102  # poll: ERR | HUP
    WOULD_BLOCK = -103  # the call sleeps
    WRITTEN = -104  # a load: what somebody stored, and not the zero of fresh memory
    CALLBACK = -201  # "that errno": whatever the failing callback or kernel function answered
    DONE = -202  # an event: nobody is told
    OOPS = -301  # the kernel crashes: NULL or wild dereference, BUG, double free
    WILD_WRITE = -302  # memory that belongs to something else is overwritten
    HANG = -303  # the call never returns

    def __call__(self, row: str, source: Source) -> Answer:
        """The answer of a row, with the row's name and who says so."""
        return Answer(self, row, source)

    @property
    def is_crash(self) -> bool:
        """Nothing is explored behind it."""
        return self.value <= -300

    @property
    def succeeded(self) -> bool:
        """Nothing failed and nothing crashed."""
        return self.value == 0 or (-203 < self.value <= -100 and self is not Errno.CALLBACK)


class Answer(Exception):
    """What an operation returns, or what a helper raises to end the operation that called it."""

    def __init__(self, outcome: Errno, row: str, source: Source) -> None:
        super().__init__(f"{outcome.name} ({row})")
        self.outcome, self.row, self.source = outcome, row, source


Result = Answer | Generator[str, None, Answer]  # at once, or after several steps

OK = Errno.OK
EPERM = Errno.EPERM
ENOENT = Errno.ENOENT
EINTR = Errno.EINTR
EIO = Errno.EIO
ENXIO = Errno.ENXIO
ENOEXEC = Errno.ENOEXEC
EBADF = Errno.EBADF
EAGAIN = Errno.EAGAIN
ENOMEM = Errno.ENOMEM
EACCES = Errno.EACCES
EFAULT = Errno.EFAULT
EBUSY = Errno.EBUSY
EEXIST = Errno.EEXIST
ENODEV = Errno.ENODEV
EINVAL = Errno.EINVAL
EMFILE = Errno.EMFILE
ENOTTY = Errno.ENOTTY
ENOSPC = Errno.ENOSPC
ESPIPE = Errno.ESPIPE
EDEADLK = Errno.EDEADLK
ENOSYS = Errno.ENOSYS
ETIME = Errno.ETIME
EOVERFLOW = Errno.EOVERFLOW
EBADFD = Errno.EBADFD
EOPNOTSUPP = Errno.EOPNOTSUPP
ETIMEDOUT = Errno.ETIMEDOUT
SIGBUS = Errno.SIGBUS
SIGSEGV = Errno.SIGSEGV
READY = Errno.READY
HANGUP = Errno.HANGUP
WOULD_BLOCK = Errno.WOULD_BLOCK
WRITTEN = Errno.WRITTEN
CALLBACK = Errno.CALLBACK
DONE = Errno.DONE
OOPS = Errno.OOPS
WILD_WRITE = Errno.WILD_WRITE
HANG = Errno.HANG
