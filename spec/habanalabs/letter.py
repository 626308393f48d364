# SPDX-License-Identifier: Apache-2.0
"""The cover letter of the posted series: what it promises (laws), and a driver that does what it says (`b-letter`)."""

from __future__ import annotations

from accelspec.spec.kernel import Fd, Process
from accelspec.spec.language import (
    EACCES,
    EBUSY,
    OK,
    STATE,
    STEP,
    Errno,
    Machine,
    Result,
    after,
    always,
    choose,
    implies,
    operation,
    read,
    require,
    stated,
)

from .many_files import B9
from .objects import Context, Device, FilePrivate

LETTER = "the cover letter of 28 July 2019"


class LetterLaws(Machine):
    """Its promises that are not already laws of every revision.

    "Only a single context on the entire device is considered compute context" is I01; "only the FD which owns it can
    call IOCTLs which require this context" is I02; that the first call creates the context that it needs is I04.
    """

    document = LETTER

    @after("open", "habanalabs.L01", STEP, stated("unlimited number of open file-descriptors"))
    def opens_are_unlimited(self, result: Errno) -> bool:
        """An open is never refused because there are others."""
        return result is not EBUSY

    @always("habanalabs.L02", STATE, stated("only a single process can submit work"))
    def one_process_submits(self) -> bool:
        """Only one process has the file whose context computes."""
        return all(
            p is q or not (p.fd[n] is x.hpriv.file and q.fd[m] is x.hpriv.file)
            for x in Context
            if x.granted and x.hpriv.file is not None
            for p in Process
            for q in Process
            for n in Fd
            for m in Fd
        )

    @after("info", "habanalabs.L03", STEP, stated("all the processes can perform inquiries using INFO"))
    def everybody_may_ask(self, result: Errno) -> bool:
        """INFO is not a matter of permission."""
        return result is not EACCES

    @always("habanalabs.L05", STATE, stated("only a single context per process"))
    def one_context_for_a_process(self) -> bool:
        """No process has opened two files that have contexts."""
        return all(x is y or x.hpriv.opener is not y.hpriv.opener for x in Context for y in Context)

    @always("habanalabs.L08", STATE, stated("only when an FD is completely released, its context will be closed"))
    def contexts_live_as_long_as_files(self) -> bool:
        """A file that has got a context has it until its last close."""
        return all(
            implies(h.file is not None and h.contexts >= 1, any(x.hpriv is h for x in Context)) for h in FilePrivate
        )

    @after("wait", "habanalabs.L09", STEP, stated("upgraded, if there isn't any other compute context"))
    def upgraded_if_the_slot_is_empty(self, p: Process, n: Fd, result: Errno) -> bool:
        """A file with a context is not refused what needs the slot while that is empty."""
        had = any(x.hpriv.file is p.fd[n] for x in Context)
        return implies(result is EACCES and had, any(d.slot is not None for d in Device))


class BLetter(LetterLaws, B9):
    """What the cover letter says, done exactly: one context for a process, and a context goes with its file at once."""

    revision = "b-letter"
    document = LETTER
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
