# SPDX-License-Identifier: Apache-2.0
"""habanalabs revision `b-letter`: a driver that does what the cover letter of the posted series says."""

from __future__ import annotations

from accelspec.spec.kernel import Fd, Process
from accelspec.spec.language import (
    EACCES,
    OK,
    Result,
    choose,
    free,
    operation,
    read,
    require,
    stated,
)

from .known import KNOWN_LETTER, MANY_FILES
from .letter_laws import LETTER
from .many_files import B9, SCOPES_B
from .objects import Context, FilePrivate


class BLetter(B9):
    """What the cover letter says, done exactly: one context for a process, and a context goes with its file at once."""

    revision = "b-letter"
    document = LETTER
    scopes = SCOPES_B
    known = KNOWN_LETTER
    not_applicable = MANY_FILES
    unchanged = read("the cover letter", "says nothing of it: as 9/9 does")

    def worked_with(self, h: FilePrivate, copied: Context | None) -> Context:
        """The context that the call itself has made will do."""
        x = choose(x for x in Context if x.hpriv is h)
        assert x is not None, "habanalabs.I04"
        self.may_work(x)
        return x

    def make_valid(self, h: FilePrivate, own: Context | None, compute: bool, fast: bool) -> None:
        if own is None and any(x.hpriv.opener is h.opener for x in Context):
            raise EACCES("process_has_one", stated("there can be only a single context per process"))
        super().make_valid(h, own, compute, fast)

    @operation
    def close(self, p: Process, n: Fd) -> Result:
        require(p.running)
        f = self.file_of(p, n)
        h = self.behind(f)
        x = choose(x for x in Context if x.hpriv is h)
        p.fd[n] = None
        if self.referenced(f):
            return OK("shared", stated("it doesn't matter if the FD is duplicated or shared"))
        require(h.inside == 0)
        self.let_go(f)
        if self.pending(h):
            return OK("drains", read("hl_ctx_put", "submissions hold the context", document="5.2"))
        self.end_context(h, x)
        self.end_slot(h, x)
        free(h)
        return OK("ok", stated("only when an FD is completely released, its context will be closed"))
