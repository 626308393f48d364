# SPDX-License-Identifier: Apache-2.0
"""Fences: how a submission ended, said once, for whoever has a reference."""

from ..kernel import Kernel


class Fence:
    """The end of one submission. `error` is 0, ETIMEDOUT, EIO (rolled back) or EBUSY (never reached the hardware).

    The ring of its context, its submission and each waiter hold a reference.
    """

    __slots__ = ("_kernel", "error", "memory", "refs", "seq", "signalled", "timestamped")

    def __init__(self, kernel: Kernel, seq: int, timestamped: bool) -> None:
        self._kernel = kernel
        self.memory = kernel.allocator.allocate("fence")
        self.seq = seq
        self.timestamped = timestamped
        self.signalled = False
        self.error = 0
        self.refs = 1

    def signal(self, error: int) -> None:
        """Say how it ended. Who said so first is right; a different word later is reported."""
        if self.signalled and error not in (0, self.error):
            self._kernel.findings.report("habanalabs.I17", f"fence {self.seq} said {self.error}, and now {error}")
            return
        if not self.signalled:
            self.error = error
        self.signalled = True

    def get(self) -> "Fence":
        """Take a reference."""
        if self.refs <= 0:
            self._kernel.findings.report("habanalabs.I05", f"fence {self.seq} is used after it was freed")
        self.refs += 1
        return self

    def put(self) -> None:
        """Drop a reference; the last one frees it."""
        self.refs -= 1
        if self.refs < 0:
            self._kernel.findings.report("habanalabs.I05", f"a reference to freed fence {self.seq} is dropped")
        elif self.refs == 0 and self.memory is not None:
            self._kernel.allocator.free(self.memory)
