# SPDX-License-Identifier: Apache-2.0
"""habanalabs revision `b-letter`: a driver that does what the cover letter of the posted series says."""

from __future__ import annotations

from accelspec.spec.kernel import Fd, Process
from accelspec.spec.language import (
    EACCES,
    OK,
    Result,
    choose,
    operation,
    read,
    require,
    stated,
)

from .known import KNOWN_LETTER, NO_CONTROL_NODE
from .letter_laws import LETTER
from .many_files import B9
from .objects import Context, FilePrivate


class BLetter(B9):
    """What the cover letter says, done exactly: one context for a process, and a context goes with its file at once."""

    revision = "b-letter"
    document = LETTER
    known = KNOWN_LETTER
    not_applicable = NO_CONTROL_NODE
    unchanged = read("the cover letter", "says nothing of it: as 9/9 does")

    def worked_with(self, h: FilePrivate, copied: Context | None) -> Context:
        """The context that the call itself has made will do."""
        x = choose(x for x in Context if x.hpriv is h)
        assert x is not None, "habanalabs.I04"
        self.may_work(x)
        return x

    def make_valid(self, h: FilePrivate, compute: bool, fast: bool) -> None:
        if not self.has_context(h) and any(x.hpriv.opener is h.opener for x in Context):
            raise EACCES("process_has_one", stated("there can be only a single context per process"))
        super().make_valid(h, compute, fast)

    @operation
    def close(self, p: Process, n: Fd) -> Result:
        require(p.running)
        f = self.file_of(p, n)
        h = self.behind(f)
        p.fd[n] = None
        require(self.referenced(f) or h.inside == 0)
        self.fput(f)
        return OK("ok", stated("when an FD is completely released, its context will be closed"))
