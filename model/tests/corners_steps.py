# SPDX-License-Identifier: Apache-2.0
"""Corners of the language, one small machine each: where steps, locks and revisions are easily compiled wrongly."""

from __future__ import annotations

from accelspec.model.tests.corners import BLUE, EFFECTS, GREEN, RED, TEST, Box, Colour, Corner, Item
from accelspec.spec.language import (
    DONE,
    EBADF,
    EBUSY,
    EINVAL,
    ENODEV,
    ENOMEM,
    OK,
    OOPS,
    Machine,
    Result,
    any_of,
    event,
    fails,
    free,
    inserts,
    operation,
    read,
    replaces,
    sometimes,
    when,
)


class AnswerInLock(Corner):
    """Answers of every kind inside a lock, and effects behind it."""

    def look(self, b: Box) -> None:
        if b.colour is BLUE:
            raise EBUSY("blue", TEST)

    @operation
    def do(self, b: Box) -> Result:
        with b.lock:
            self.look(b)
            if b.on:
                b.on = False
                return EINVAL("was_on", TEST)
            elif b.colour is GREEN:
                if fails("green"):
                    return ENOMEM("failed", TEST)
                b.colour = RED
            else:
                b.colour = GREEN
                yield "painted"
        if b.lock:
            return EBADF("taken_again", TEST)  # never: it was given back
        b.on = True
        return OK("ok", TEST)


class PatchedLock(AnswerInLock):
    """Rows inside a lock are replaced, inserted and dropped."""

    revision = "2"
    drops = ("look.blue",)

    @replaces("do.was_on")
    def was_on(self, b: Box) -> Result | None:
        if b.on and b.colour is RED:
            raise ENODEV("on_and_red", TEST)
        if b.on:
            b.on = False
            return EINVAL("was_on_indeed", TEST)
        return None

    @inserts(after="do.failed")
    def not_blue(self, b: Box) -> None:
        b.count = 2


class EmptyBlocks(AnswerInLock):
    """Everything that stood in a block is dropped, or is an effect only."""

    revision = "4"
    drops = ("look.blue", "do.failed")

    @replaces("do.was_on")
    def was_on(self, b: Box) -> None:
        if when(b.on):
            b.count = 1


class HelperInLock(Corner):
    """A helper takes a lock of its own, and may raise inside it."""

    def locked_look(self, x: Box) -> Colour:
        with x.second:
            if x.on:
                raise EBUSY("on", TEST)
            x.count = 1
        return x.colour

    @operation
    def do(self, b: Box) -> Result:
        c = self.locked_look(b)
        if c is RED:
            return EINVAL("red", TEST)
        return OK("ok", TEST)


class HelperUnderLock(Corner):
    """A helper with other names than the operation raises while a lock of the operation is held."""

    def look(self, x: Box) -> None:
        if x.on:
            raise EBUSY("on", TEST)

    @operation
    def do(self, b: Box, c: Box) -> Result:
        with b.lock:
            self.look(c)
            b.count = 1
            yield "looked"
            self.look(c)
        return OK("ok", TEST)


class LockOfFreed(Corner):
    """What the lock belongs to, or the way to it, is gone when it is given back."""

    @operation
    def do(self, i: Item) -> Result:
        with i.box.lock:
            free(i)
            return OK("ok", TEST)

    @operation
    def slowly(self, i: Item) -> Result:
        with i.box.lock:
            yield "has it"
            if not any(i is x for x in Item):
                return ENODEV("gone", TEST)
            i.box.count = 1
        return OK("ok", TEST)

    @operation
    def own(self, i: Item) -> Result:
        with i.lock:
            free(i)
        return OK("ok", TEST)

    @operation
    def moved(self, b: Box) -> Result:
        i = b.last
        if i is None:
            return EBADF("none", TEST)
        with i.lock:
            b.last = i.partner
            yield "moved"
        return OK("ok", TEST)


class TwoLocks(Corner):
    """A lock under another, two at once, and one under a mere `Busy`."""

    @operation
    def nested(self, b: Box, c: Box) -> Result:
        with b.lock:
            b.on = True
            with c.second:
                c.on = False
                if c.colour is RED:
                    return EINVAL("red", TEST)
            b.count = 1
        return OK("ok", TEST)

    @operation
    def both(self, b: Box, c: Box) -> Result:
        with b.lock, c.second:
            if b is c:
                return EINVAL("same", TEST)
            yield "has both"
            b.on = c.on
        return OK("ok", TEST)

    @operation
    def busily(self, b: Box, c: Box) -> Result:
        with b.busy:
            yield "busy"
            with c.lock:
                c.count = 2
                if c.on:
                    return OOPS("on", TEST)
        return OK("ok", TEST)


class Loops(Corner):
    """Loops with two steps a turn, in each other's shadow, and with an answer inside."""

    @event
    def do(self, b: Box) -> Result:
        n = b.count
        while any(i.box is b and i.colour is not BLUE for i in Item):
            i = any_of(i for i in Item if i.box is b and i.colour is not BLUE)
            c = i.colour
            yield "saw"
            if b.on:
                return DONE("on", TEST)
            i.colour = BLUE
            yield "painted"
            b.colour = c
        while b.on:
            yield "waits"
        b.count = n
        return DONE("ok", TEST)

    @event
    def waits_twice(self, b: Box) -> Result:
        while b.on:
            yield "on"
        while b.colour is RED:
            yield "red"
        b.colour = RED
        return DONE("ok", TEST)


class Above(AnswerInLock):
    """Methods of the base are entered at the end, before, and in the middle."""

    revision = "2"

    @operation
    def do(self, b: Box) -> Result:
        if b.count == 2:
            return ENOMEM("two", TEST)
        b.count += 1
        return super().do(b)

    def look(self, b: Box) -> None:
        super().look(b)
        if b.count == 2 and b.colour is RED:
            raise ENODEV("red_two", TEST)

    @event
    def drop(self, i: Item) -> Result:
        yield "waited"
        return super().drop(i)


class PatchedAbove(Above):
    """A row of a method that is entered by super() is replaced, and one of the method above it."""

    revision = "3"
    unchanged = read("nothing", "compared")

    @replaces("do.two")
    def two(self, b: Box) -> None:
        if b.count == 2 and b.on:
            raise EINVAL("two_and_on", TEST)
        if when(b.count == 2):
            b.count = 0

    @inserts(before="look.red_two")
    def look_first(self, b: Box) -> None:
        if b.colour is RED and b.on:
            raise EBUSY("red_on", TEST)


class Freed(Corner):
    """References to objects that were freed, and perhaps made again, while a call slept."""

    @operation
    def do(self, i: Item, b: Box) -> Result:
        c = i.colour
        yield "slept"
        if i.colour is not c:
            return EINVAL("changed", TEST)
        if when(i.box is b):
            i.colour = BLUE
        b.last = i
        return OK("ok", TEST)

    @sometimes("corner.S01", TEST)
    def made_again(self) -> bool:
        """A box refers to an item that is not its own."""
        return any(b.last is i and i.box is not b for b in Box for i in Item)


NEVER = {"do.taken_again", "again.not_blank"}  # rows that cannot be reached: they look at what was just done

CORNERS: list[type[Machine]] = [
    AnswerInLock,
    PatchedLock,
    EmptyBlocks,
    HelperInLock,
    HelperUnderLock,
    LockOfFreed,
    TwoLocks,
    Loops,
    Above,
    PatchedAbove,
    Freed,
    *EFFECTS,
]
