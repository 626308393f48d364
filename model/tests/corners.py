# SPDX-License-Identifier: Apache-2.0
"""Corners of the language, one small machine each: what they share, and where effects are easily compiled wrongly."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

from accelspec.spec.language import (
    DONE,
    EBADF,
    EBUSY,
    EINVAL,
    ENODEV,
    ENOMEM,
    IDLE,
    OK,
    STATE,
    STEP,
    UNLOCKED,
    Busy,
    Errno,
    Lock,
    Machine,
    Object,
    Range,
    Raw,
    Result,
    Rigid,
    after,
    always,
    any_of,
    choose,
    deduced,
    event,
    free,
    implies,
    old,
    operation,
    when,
)

TEST = deduced("a machine for tests")
Small = Annotated[int, Range(0, 2)]


class Colour(Enum):
    RED = "red"
    GREEN = "green"
    BLUE = "blue"


RED, GREEN, BLUE = Colour


class Box(Object, always=True):
    lock: Lock = UNLOCKED
    second: Lock = UNLOCKED
    busy: Busy = IDLE
    colour: Colour = RED
    count: Small = 0
    on: bool = False
    last: Raw[Item | None] = None


class Item(Object):
    box: Rigid[Box]
    lock: Lock = UNLOCKED
    colour: Colour = GREEN
    count: Small = 1
    partner: Raw[Item | None] = None


class Corner(Machine):
    """What the corners share: a way to make items, to change boxes, and to free items."""

    machine = "corner"
    revision = "1"
    document = "nothing"
    scopes = {"two": {"Box": 2, "Item": 2}}

    @operation
    def make(self, b: Box) -> Result:
        i = Item(box=b, partner=b.last)
        b.last = i
        return OK("ok", TEST)

    @event
    def paint(self, b: Box, c: Colour, on: bool) -> Result:
        b.colour = c
        b.on = on
        return DONE("ok", TEST)

    @event
    def dye(self, i: Item, c: Colour) -> Result:
        i.colour = c
        return DONE("ok", TEST)

    @event
    def drop(self, i: Item) -> Result:
        free(i)
        return DONE("ok", TEST)


class TwiceHelped(Corner):
    """One helper, entered three times, with an effect between."""

    def red(self, b: Box) -> Colour:
        if b.colour is not RED:
            raise EINVAL("not_red", TEST)
        b.colour = GREEN
        return b.colour

    @operation
    def do(self, b: Box, c: Box) -> Result:
        x = self.red(b)
        y = self.red(c)
        if x is y and b.on:
            return EBUSY("same", TEST)
        b.colour = RED
        self.red(b)
        return OK("ok", TEST)


class Whens(Corner):
    """Effects under conditions, with other branches, inside each other, and names that live on."""

    @operation
    def do(self, b: Box, c: Box) -> Result:
        x = b.colour
        n = b.count
        if when(b.on):
            x = GREEN
            if when(c.on):
                b.colour = c.colour
                c.colour = x
            else:
                x = BLUE
                c.count = b.count
        else:
            b.count = 2
            if when(b is c):
                x = BLUE
            c.colour = x
        if when(x is BLUE and n <= 1):
            b.on = not c.on
            self.later(c, n)
        return OK("ok", TEST)

    def later(self, b: Box, n: Small) -> None:
        if when(b.colour is RED):
            b.count = n + 1
        else:
            b.colour = RED if n == 0 else GREEN


class ChooseFirst(Corner):
    """What was chosen before the rows decides them; and a second choice after an effect."""

    @operation
    def do(self, b: Box) -> Result:
        i = choose(i for i in Item if i.box is b)
        j = choose(x for x in Item if x is not i)
        if i is None:
            return ENOMEM("none", TEST)
        i.colour = BLUE
        k = choose(x for x in Item if x.colour is BLUE)
        if k is not i:
            return EBUSY("another", TEST)
        if when(j is not None):
            b.on = True
        b.last = j
        return OK("ok", TEST)

    @operation
    def surely(self, b: Box) -> Result:
        i = any_of(i for i in Item if i.colour is not BLUE)
        i.colour = BLUE
        return OK("ok", TEST)


class CreateWhen(Corner):
    """Objects are created under a condition, two in one step, and one where another was freed."""

    @operation
    def do(self, b: Box, c: Box) -> Result:
        if when(b.on):
            i = Item(box=b, count=2)
            b.last = i
        if when(c.on):
            j = Item(box=c, colour=RED)
            c.last = j
        return OK("ok", TEST)

    @operation
    def again(self, i: Item, b: Box) -> Result:
        free(i)
        j = Item(box=b)
        b.last = j
        if j.colour is not GREEN:
            return EINVAL("not_blank", TEST)  # never: what is created is blank
        if j is i:
            return OK("same", TEST)
        return OK("other", TEST)


class FreeAndLook(Corner):
    """A freed object reads as blank, in the same step and later."""

    @operation
    def do(self, i: Item, b: Box) -> Result:
        before = i.colour
        free(i)
        if i.colour is before:
            return EINVAL("still_green", TEST)
        b.colour = i.colour
        b.last = i
        if when(b.last is not None and b.last.colour is RED):
            b.count = 2
        return OK("ok", TEST)

    @operation
    def last_colour(self, b: Box) -> Result:
        i = b.last
        if i is None:
            return EBADF("none", TEST)
        if not any(i is x for x in Item):
            return ENODEV("freed", TEST)
        b.colour = i.colour
        return OK("ok", TEST)


class Nones(Corner):
    """Helpers that answer none, and names that stand for none across a step."""

    def item_of(self, b: Box) -> Item | None:
        if b.colour is BLUE:
            raise EBUSY("blue", TEST)
        if not b.on:
            return None
        return b.last

    def seen(self, b: Box) -> Item | None:
        if b.colour is RED:
            return None
        return b.last if any(b.last is i for i in Item) else None

    @operation
    def do(self, b: Box) -> Result:
        i = self.item_of(b)
        j = self.seen(b)
        yield "slept"
        if i is None and j is None:
            return EBADF("nothing", TEST)
        b.last = j
        if i is j:
            return EINVAL("same", TEST)
        return OK("ok", TEST)


class Numbers(Corner):
    """Numbers near the ends of their range, under conditions and in loops."""

    @operation
    def up(self, b: Box, n: Small) -> Result:
        if when(b.on):
            b.count += 1
        else:
            b.count = n
        if b.count == 2 and n < 2:
            return EINVAL("two", TEST)
        return OK("ok", TEST)

    @event
    def all_down(self, b: Box) -> Result:
        for i in Item:
            if i.box is b:
                i.count -= 1
        b.count = 2 if b.count >= 1 else 0
        return DONE("ok", TEST)


class Laws(Corner):
    """Laws that look back, and that speak about a call."""

    @operation
    def mix(self, b: Box, c: Box, x: Colour) -> Result:
        if b is c:
            return EINVAL("same", TEST)
        y = b.colour
        yield "mixes"
        b.colour = x
        c.colour = y
        return OK("ok", TEST)

    @after("mix", "corner.A01", STEP, TEST)
    def mixed(self, b: Box, c: Box, x: Colour, result: Errno) -> bool:
        """After a mix the first box has the colour that was asked for."""
        return implies(result is OK, b.colour is x and (c.on is old(c).on)) and implies(result is EINVAL, b is c)

    @operation
    def forget(self, b: Box, c: Box, x: Colour) -> Result:
        b.colour = x
        yield "forgot"
        if when(b.on):
            b.colour = GREEN
        return OK("ok", TEST)

    @after("forget", "corner.A03", STEP, TEST)
    def forgotten(self, b: Box, c: Box, x: Colour, result: Errno) -> bool:
        """A law about an argument that the call itself does not need any more."""
        return implies(b is c, b.colour is x or old(b).on or result is not OK)

    @after("make", "corner.A02", STEP, TEST)
    def made(self, b: Box, result: Errno) -> bool:
        """The last item is a new one, and it knows the one before."""
        i = b.last
        return result is not OK or (i is not None and i.partner is old(b).last)

    @always("corner.O01", STEP, TEST)
    def freed_or_same(self) -> bool:
        """An item keeps its colour, unless it is made."""
        return all(not self.kept(i) or old(i).colour is i.colour for i in Item)

    def kept(self, i: Item) -> bool:
        return old(i).box is i.box and i.partner is old(i).partner

    @always("corner.O02", STATE, TEST)
    def there_are_boxes(self) -> bool:
        """There is a box."""
        some = any(True for b in Box)
        if not some:
            return False
        return all(i.box is b or i.box is not b for i in Item for b in Box)


EFFECTS: list[type[Machine]] = [TwiceHelped, Whens, ChooseFirst, CreateWhen, FreeAndLook, Nones, Numbers, Laws]
