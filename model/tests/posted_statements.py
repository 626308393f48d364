# SPDX-License-Identifier: Apache-2.0
"""What each patch of the posted series of habanalabs says, as laws.  The table: docs/machines/habanalabs-patches.md."""

from __future__ import annotations

from accelspec.spec.habanalabs.device import Devices
from accelspec.spec.habanalabs.objects import Asid, Context, Device, FilePrivate, Query
from accelspec.spec.kernel import Fd, File, Process
from accelspec.spec.language import (
    EACCES,
    EBUSY,
    EINVAL,
    EPERM,
    OK,
    STATE,
    STEP,
    Errno,
    Machine,
    Result,
    after,
    always,
    deduced,
    implies,
    old,
    operation,
    require,
    sometimes,
    stated,
)

SHEET = stated("section 4", document="docs/facts/habanalabs.md")


class LetIn(Devices):
    """The world of two files, for revisions whose open knows only one."""

    document = "what if"

    @operation
    def let_in(self, p: Process, n: Fd, d: Device) -> Result:
        """An open that refuses nobody and makes no context."""
        require(self.unused(p, n) and not d.gone)
        f = File()
        FilePrivate(device=d, opener=p, file=f, listed=True)
        p.fd[n] = f
        return OK("ok", deduced("what a patch says about two files is asked before 9/9 lets them in"))


class Statements(Devices):
    """The sentences of the nine patches that are no laws of every revision."""

    document = "v1 of the posted series"

    @after("open", "habanalabs.N11", STEP, SHEET)
    def a_failed_open_leaves_no_trace(self, result: Errno) -> bool:
        """An open that fails leaves the slot and the ASIDs as they were."""
        same = all(d.slot is old(d).slot for d in Device) and all(a.taken == old(a).taken for a in Asid)
        return implies(result is not OK, same)

    @after("info", "habanalabs.N21", STEP, SHEET)
    def info_needs_a_context(self, p: Process, n: Fd, query: Query, result: Errno) -> bool:
        """INFO is answered only to a file that already has a context."""
        had = all(old(h).contexts == 1 for h in FilePrivate if h.file is p.fd[n])
        return implies(result is OK and query is Query.USAGE, had)

    @after("open", "habanalabs.N31", STEP, SHEET)
    def open_makes_no_context(self, p: Process, n: Fd, result: Errno) -> bool:
        """The file that an open has made has no context."""
        return implies(result is OK, not any(x.hpriv.file is p.fd[n] for x in Context))

    @sometimes("habanalabs.N32", SHEET)
    def first_calls_meet(self) -> bool:
        """Two first calls meet in a file that has no context."""
        return any(h.inside == 2 and not any(x.hpriv is h for x in Context) for h in FilePrivate)

    @sometimes("habanalabs.N41", SHEET)
    def low_clocks_while_open(self) -> bool:
        """The clocks are LOW by themselves while a file is open."""
        return any(h.file is not None and not h.device.high and not h.device.manual for h in FilePrivate)

    @after("pm_write", "habanalabs.N42", STEP, SHEET)
    def the_profile_follows_the_context(self, d: Device, result: Errno) -> bool:
        """The profile cannot be written if and only if the device has been given a context."""
        return implies(result is EPERM or result is OK, (result is EPERM) == (d.slot is not None))

    @always("habanalabs.N43", STEP, SHEET)
    def clocks_rise_for_a_context(self) -> bool:
        """The clocks become HIGH only when the device has been given a context."""
        return all(implies(d.high and not old(d).high, d.slot is not None) for d in Device)

    @after("open", "habanalabs.N51", STEP, SHEET)
    def presence_is_the_list(self, d: Device, result: Errno) -> bool:
        """Open is busy if and only if the list is not empty."""
        listed = any(old(h).listed and h.device is d for h in FilePrivate)
        return implies(result is EBUSY or result is OK, (result is EBUSY) == listed)

    @after("debug_on", "habanalabs.N52", STEP, SHEET)
    def debugging_needs_one_file(self, result: Errno) -> bool:
        """Debug mode is switched on only if there is one file."""
        one = all(a is b or a.file is None or b.file is None for a in FilePrivate for b in FilePrivate)
        return implies(result is OK, one)

    @after("wait", "habanalabs.N61", STEP, SHEET)
    def the_slot_computes(self, p: Process, n: Fd, result: Errno) -> bool:
        """A WAIT that gets as far as its sequence is of the context in the slot."""
        mine = any(d.slot is x and x.hpriv.file is p.fd[n] for d in Device for x in Context)
        return implies(result is EINVAL, mine)

    @sometimes("habanalabs.N62", SHEET)
    def another_context_asks(self) -> bool:
        """Beside the context in the slot there is another, to which nothing was granted."""
        return any(
            d.slot is x and x is not y and y.hpriv.file is not None and not y.granted and not y.survivor
            for d in Device
            for x in Context
            for y in Context
        )

    @sometimes("habanalabs.N63", SHEET)
    def debug_mode_outlives_other_contexts(self) -> bool:
        """Debug mode is on, and all contexts have gone: none of them was in the slot at its end."""
        return any(d.in_debug and not any(x.hpriv.device is d for x in Context) for d in Device)

    @sometimes("habanalabs.N71", SHEET)
    def the_killed_can_leave(self) -> bool:
        """The kill stage waits, and nobody is there any more."""
        return any(d.killing and not self.in_the_way(d) for d in Device)

    @after("open", "habanalabs.N91", STEP, SHEET)
    def open_is_never_busy(self, result: Errno) -> bool:
        """Open is never refused because there are others."""
        return result is not EBUSY

    @after("info", "habanalabs.N92", STEP, SHEET)
    def info_leaves_the_slot(self) -> bool:
        """INFO never touches the slot."""
        return all(d.slot is old(d).slot for d in Device)

    @after("wait", "habanalabs.N93", STEP, SHEET)
    def the_empty_slot_is_for_whoever_asks(self, p: Process, n: Fd, result: Errno) -> bool:
        """Who has a context, and finds the slot empty, is not refused."""
        had = any(x.hpriv.file is p.fd[n] for x in Context)
        return implies(result is EACCES and had, any(d.slot is not None for d in Device))

    @after("drain", "habanalabs.N94", STEP, SHEET)
    def the_slot_of_others_is_left_alone(self) -> bool:
        """The end of a file clears the slot only if it was its own."""
        return all(d.slot is old(d).slot or not any(old(d).slot is x for x in Context) for d in Device)

    @after("info", "habanalabs.N95", STEP, SHEET)
    def info_leaves_the_clocks(self) -> bool:
        """INFO never touches the clocks."""
        return all(d.high == old(d).high for d in Device)

    @always("habanalabs.N96", STATE, SHEET)
    def victims_are_known(self) -> bool:
        """While the kill stage waits, it knows whom to kill."""
        return all(implies(d.killing and self.in_the_way(d), self.victim_is_known(d)) for d in Device)


def with_statements(machine: type[Machine], two: bool) -> type[Machine]:
    """A revision that states them; with `two`, in the world of two files."""
    bases = (Statements, LetIn, machine) if two else (Statements, machine)
    return type(f"Stating{machine.__name__}", bases, {"revision": machine.revision, "document": machine.document})
