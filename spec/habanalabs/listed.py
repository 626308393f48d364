# SPDX-License-Identifier: Apache-2.0
"""habanalabs: files on a list, under a lock, instead of a count.  Since 5/9 of the posted series, and in 5.4."""

from __future__ import annotations

from accelspec.spec.kernel import Fd, Process
from accelspec.spec.language import OK, Result, choose, free, kernel, operation, read, require, wait_until

from .frequency import Frequency
from .objects import Context, Device, FilePrivate


class Listed(Frequency):
    """fpriv_list and fpriv_list_lock."""

    document = "v1 5/9 of the posted series"

    def in_the_way(self, d: Device) -> bool:
        return any(h.listed and h.device is d for h in FilePrivate)

    def closable(self, d: Device) -> bool:
        """The end of a file takes the list's lock."""
        return not d.open_lock

    @operation
    def close(self, p: Process, n: Fd) -> Result:
        require(p.running)
        f = self.file_of(p, n)
        h = self.behind(f)
        x = choose(x for x in Context if x.hpriv is h)
        p.fd[n] = None
        if self.referenced(f):
            return OK("shared", kernel("fput", "nothing that the driver can see"))
        require(h.inside == 0)
        self.let_go(f)
        if self.pending(h):
            return OK("drains", read("hl_ctx_put", "submissions hold the context"))
        self.end_context(h, x)
        h.leaving = True
        yield "context_freed"
        wait_until(self.closable(h.device))
        self.end_slot(h, x)
        free(h)
        return OK("ok", read("hpriv_release", "off the list, under its lock"))

    def end_slot(self, h: FilePrivate, x: Context | None) -> None:
        """The last that is heard of a file, and of the context that it had."""
        h.device.slot = None
