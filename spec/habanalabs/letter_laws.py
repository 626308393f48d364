# SPDX-License-Identifier: Apache-2.0
"""What the cover letter of the posted series promises, sentence by sentence."""

from __future__ import annotations

from accelspec.spec.kernel import Fd, Process
from accelspec.spec.language import EACCES, EBUSY, STATE, STEP, Errno, Machine, after, always, implies, stated

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
