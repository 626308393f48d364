# SPDX-License-Identifier: Apache-2.0
"""A machine that uses every construct of the language, in three revisions: people draw tickets at desks."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

from accelspec.spec.language import (
    COUNT,
    DONE,
    EAGAIN,
    EBADF,
    EBUSY,
    EINVAL,
    ENODEV,
    ENOMEM,
    ENOSPC,
    ENXIO,
    OK,
    OOPS,
    STATE,
    STEP,
    UNLOCKED,
    Errno,
    Ghost,
    Lock,
    Machine,
    Map,
    Object,
    Range,
    Raw,
    Result,
    Rigid,
    Unique,
    after,
    always,
    any_of,
    check,
    choose,
    deduced,
    event,
    eventually,
    fails,
    free,
    implies,
    inserts,
    kernel,
    lemma,
    old,
    operation,
    read,
    replaces,
    require,
    sometimes,
    stated,
    violates,
    when,
)

TEST = deduced("a machine for tests")


class Stage(Enum):
    DRAWN = "drawn"
    CALLED = "called"
    VOID = "its desk is closed"


DRAWN, CALLED, VOID = Stage


class Slot(Object, always=True):
    """What a person keeps a ticket in."""


class Person(Object, always=True):
    tickets: Map[Slot, Ticket | None]
    patience: Map[Slot, Annotated[int, Range(0, 1)]]
    at: Desk | None


class Desk(Object, always=True):
    mutex: Lock = UNLOCKED
    opened: bool = True
    quick: bool  # left open: every initial state chooses
    served: Annotated[int, Range(-1, 2)] = -1


class Ticket(Object):
    desk: Rigid[Desk]
    stage: Stage = DRAWN
    owner: Raw[Person | None] = None
    previous: Raw[Ticket | None] = None  # may have been torn up since
    calls: Ghost[Annotated[int, Range(0, 1)]] = 0
    note: Unique[Note | None] = None


class Note(Object):
    desk: Desk
    urgent: bool = False


class Tickets(Machine):
    """People draw tickets at desks, are called, and tear them up."""

    machine = "tickets"
    revision = "1"
    document = "the house rules"
    scopes = {"two of each": {"Person": 2, "Slot": 2, "Desk": 2, "Ticket": 2, "Note": 2, "visit()": 2}}
    known = (violates("tickets.I04", "close.closed", "a ticket may be called twice", TEST),)

    # ------------------------------------------------------------------ helpers

    def ticket_of(self, p: Person, s: Slot) -> Ticket:
        t = p.tickets[s]
        if t is None:
            raise EBADF("no_ticket", kernel("the slot is empty"))
        return t

    def is_void(self, t: Ticket) -> bool:
        if t.stage is VOID:
            return True
        return not t.desk.opened

    def newest(self, d: Desk) -> bool:
        """Is there a ticket of the desk that nobody has called?"""
        fresh = any(t.desk is d and t.stage is DRAWN for t in Ticket)
        return fresh and d.opened

    def tear(self, t: Ticket) -> None:
        n = t.note
        for q in Person:
            for s in Slot:
                if q.tickets[s] is t:
                    q.tickets[s] = None
        for x in Note:
            if x is n:
                free(x)
        free(t)

    # ------------------------------------------------------------------ rows

    @operation
    def draw(self, p: Person, s: Slot, d: Desk) -> Result:
        """Effects under `when`, creation under `when`, and a choice before the rows."""
        before = choose(t for t in Ticket if t.desk is d and t.stage is not VOID)
        if p.tickets[s] is not None:
            return EBUSY("slot_taken", kernel("one ticket a slot"))
        if not d.opened:
            return ENODEV("closed", read("draw", "first check"))
        bad = fails("paper")
        if bad and not d.quick:
            return ENOMEM("no_paper", read("draw"))
        t = Ticket(desk=d, owner=p, previous=before)
        if when(d.quick):
            n = Note(desk=d, urgent=bad)
            t.note = n
            if when(bad):
                t.stage = CALLED
                t.calls += 1
            else:
                p.patience[s] = 1
        else:
            p.patience[s] = 0
        p.tickets[s] = t
        p.at = d
        return OK("ok", read("draw"))

    @operation
    def swap(self, p: Person, s: Slot, r: Slot) -> Result:
        """One helper, entered twice."""
        a = self.ticket_of(p, s)
        b = self.ticket_of(p, r)
        if a is b:
            return EINVAL("same", deduced("nothing to swap"))
        p.tickets[s] = b
        p.tickets[r] = a
        return OK("ok", stated("rule 3"))

    @operation
    def tear_up(self, p: Person, s: Slot) -> Result:
        """An object is freed and looked at afterwards in the same step."""
        t = self.ticket_of(p, s)
        d = t.desk
        last = t.previous
        self.tear(t)
        if when(t.stage is CALLED):  # blank by now: never
            d.opened = False
        if when(last is not None and last.stage is CALLED):
            d.quick = True
        p.patience[s] = 0
        return OK("ok", read("tear_up"))

    @operation
    def remind(self, p: Person, s: Slot) -> Result:
        """A number that counts up out of its range, and a crash."""
        t = self.ticket_of(p, s)
        if t.stage is VOID and t.note is not None:
            return OOPS("note_gone", read("remind", "looks into a note that was taken away"))
        if self.is_void(t):
            return ENXIO("void", read("remind"))
        assert p.at is not None, "tickets.I01"
        t.calls += 1
        t.stage = CALLED
        return OK("ok", read("remind"))

    # ------------------------------------------------------------------ steps and locks

    @operation
    def visit(self, p: Person, s: Slot, d: Desk) -> Result:
        """Look first, lock later: a lock after a row is a step; names live across steps; a return inside the lock."""
        t = self.ticket_of(p, s)
        if t.desk is not d:
            return EINVAL("other_desk", read("visit"))
        yield "walked"
        with d.mutex:
            if not d.opened:
                return ENODEV("closed", read("visit"))
            yield "greeted"
            assert d.mutex, "tickets.I02"
            if p.tickets[s] is not t:
                return EAGAIN("lost", read("visit"))
            if when(t.stage is not VOID):
                t.stage = CALLED
            while self.crowded(d):
                yield "crowded"
            if fails("stamp"):
                return ENOSPC("no_ink", read("visit"))
            p.at = None
        yield "left"
        p.at = d
        return OK("ok", read("visit"))

    def crowded(self, d: Desk) -> bool:
        return d.quick and any(t.desk is d and t.stage is DRAWN for t in Ticket)

    @event
    def close(self, d: Desk) -> Result:
        """The lock comes first, so the call begins when it is free; a loop with two steps a turn."""
        with d.mutex:
            if not d.opened:
                return DONE("was_closed", read("close"))
            d.opened = False
            while any(t.desk is d and t.stage is not VOID for t in Ticket):
                t = any_of(t for t in Ticket if t.desk is d and t.stage is not VOID)
                yield "reading"
                t.stage = VOID
                yield "voided"
            for x in Ticket:
                if x.note is not None and x.note.desk is d and not x.note.urgent:
                    x.note = None
            for n in Note:
                if n.desk is d and not n.urgent:
                    free(n)
            return DONE("closed", read("close"))

    @event
    def reopen(self, d: Desk) -> Result:
        require(not any(t.desk is d for t in Ticket))
        with d.mutex:
            d.opened = True
            if when(d.served < 2):
                d.served += 1
        return DONE("reopened", read("reopen"))

    @event
    def tidy(self, d: Desk) -> Result:
        """A loop that is atomic: its order does not matter."""
        require(not d.opened)
        for t in Ticket:
            if t.stage is VOID and not any(p.tickets[s] is t for p in Person for s in Slot):
                free(t)
        return DONE("tidied", read("tidy"))

    # ------------------------------------------------------------------ laws

    @always("tickets.I03", STATE, deduced("rule 1"))
    def a_slot_holds_a_ticket_of_its_person(self) -> bool:
        """A ticket in a slot was drawn by the one whose slot it is."""
        return all(implies(p.tickets[s] is t, t.owner is p) for p in Person for s in Slot for t in Ticket)

    @always("tickets.I04", STEP, deduced("rule 2"))
    def called_once(self) -> bool:
        """A ticket that was called stays called until its desk closes, and nobody else becomes its owner."""
        return all(implies(old(t).stage is CALLED, t.stage in (CALLED, VOID)) and old(t).desk is t.desk for t in Ticket)

    @check("tickets.I01", STATE, deduced("rule 4"))
    def reminded_people_are_somewhere(self) -> None:
        """Whoever is reminded is at a desk."""

    @check("tickets.I02", STATE, deduced("rule 5"))
    def greeted_under_the_lock(self) -> None:
        """Who is greeted holds the desk."""

    @after("swap", "tickets.I05", STEP, deduced("rule 6"))
    def swapped(self, p: Person, s: Slot, r: Slot, result: Errno) -> bool:
        """A swap that succeeds exchanges two tickets."""
        return implies(result is OK, p.tickets[s] is old(p).tickets[r] and p.tickets[r] is old(p).tickets[s])

    @after("visit", "tickets.I06", STEP, deduced("rule 7"))
    def visited(self, p: Person, d: Desk, result: Errno) -> bool:
        """A visit that succeeds ends at the desk."""
        return implies(result is OK, p.at is d)

    @sometimes("tickets.S01", deduced("rule 8"))
    def two_in_line(self) -> bool:
        """Two tickets for one desk."""
        return any(a is not b and a.desk is b.desk for a in Ticket for b in Ticket)

    @sometimes("tickets.S02", deduced("rule 8"))
    def previous_was_torn_up(self) -> bool:
        """A ticket remembers one that exists no more."""
        return any(t.previous is not None and not any(t.previous is x for x in Ticket) for t in Ticket)

    @eventually("tickets.L01", deduced("rule 9"), fair=("close", "visit"))
    def desks_become_free(self) -> bool:
        """No desk is held for ever."""
        return all(not d.mutex for d in Desk)

    @lemma(deduced("only draw and tear_up write it"))
    def served_in_range(self) -> bool:
        return all(d.served <= 2 and d.served >= -1 for d in Desk)

    @always("tickets.C01", COUNT, deduced("rule 10"))
    def called_at_most_once(self) -> bool:
        """A ticket is called once at most."""
        return all(t.calls < 2 for t in Ticket)

    @eventually("tickets.L02", deduced("rule 11"))
    def tickets_are_torn_up(self) -> bool:
        """There can always be an end."""
        return not any(True for t in Ticket)


class Tickets2(Tickets):
    """Single rows are other than in revision 1."""

    revision = "2"
    document = "the new house rules"
    unchanged = read("the new house rules", "compared line by line")
    drops = ("swap.same", "visit.other_desk")

    @replaces("draw.closed")
    def draw_closed(self, d: Desk, before: Ticket | None) -> None:
        if not d.opened and before is None:
            raise ENXIO("closed", read("draw", "another errno"))
        if not d.opened:
            raise EAGAIN("closed_later", read("draw"))

    @inserts(before="visit.lost")
    def visit_in_a_hurry(self, p: Person, s: Slot) -> None:
        if p.patience[s] == 0 and fails("patience"):
            raise EAGAIN("hurried", read("visit", "the one row that is new"))

    @replaces("ticket_of.no_ticket")
    def no_ticket(self, p: Person, s: Slot, t: Ticket | None) -> None:
        if t is None:
            raise ENXIO("no_ticket", read("ticket_of"))

    @inserts(after="close.was_closed")
    def close_twice(self, d: Desk) -> None:
        d.quick = False

    @replaces("reopen.reopened")
    def reopened(self, d: Desk) -> Result:
        if fails("key"):
            return DONE("no_key", read("reopen"))
        with_key = d.opened
        if when(with_key):
            d.quick = not d.quick
        return DONE("reopened", read("reopen"))


class Tickets3(Tickets2):
    """Whole methods are other, and go on with those of the bases."""

    revision = "3"
    document = "the newest house rules"

    @operation
    def draw(self, p: Person, s: Slot, d: Desk) -> Result:
        if any(q.at is d and q is not p for q in Person):
            return EBUSY("queue", read("draw"))
        return super().draw(p, s, d)

    @event
    def close(self, d: Desk) -> Result:
        return super().close(d)

    @event
    def reopen(self, d: Desk) -> Result:
        yield "looks for the key"
        d.served = 0
        return super().reopen(d)

    def crowded(self, d: Desk) -> bool:
        return super().crowded(d) and d.opened

    @inserts(before="tear_up.ok")
    def tear_gently(self, t: Ticket, d: Desk) -> None:
        if t.stage is VOID:
            raise EINVAL("void", read("tear_up"))
