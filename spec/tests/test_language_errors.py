# SPDX-License-Identifier: Apache-2.0
"""Wrong specifications: each is refused with the file, the line, what is wrong, and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from accelspec.spec.language import SpecError, compile_machine
from accelspec.spec.tests.loading import load

VALID = '''
from __future__ import annotations

from enum import Enum
from typing import Annotated

from accelspec.spec.language import *

T = deduced("a test")


class Power(Enum):
    OFF = 0
    ON = 1


OFF, ON = Power


class Room(Object, always=True):
    lamp: Lamp | None
    door: Lock = UNLOCKED
    gate: Lock = UNLOCKED


class Lamp(Object):
    room: Rigid[Room]
    power: Power = OFF
    heat: Annotated[int, Range(0, 2)] = 0
    wear: Ghost[bool] = False
    twin: Lamp | None = None
    seen: Map[Room, bool] = Map()


class Lamps(Machine):
    """Lamps in rooms."""

    machine = "lamps"
    revision = "1"
    document = "a test"
    # class

    def lamp_of(self, r: Room) -> Lamp:
        lamp = r.lamp
        if lamp is None:
            raise ENOENT("no_lamp", T)
        return lamp

    def hot(self, x: Lamp) -> bool:
        return x.heat >= 1

    def cool(self, x: Lamp) -> None:
        x.heat = 0

    @operation
    def switch(self, r: Room, to: Power) -> Result:
        x = self.lamp_of(r)
        # start
        if x.power is to:
            return EINVAL("same", T)
        x.power = to
        # end
        return OK("ok", T)

    @operation
    def bring(self, r: Room) -> Result:
        if r.lamp is not None:
            return EEXIST("taken", T)
        y = Lamp(room=r)
        r.lamp = y
        return OK("ok", T)

    @event
    def slow(self, r: Room) -> Result:
        with r.door:
            # in
            yield "in"
            r.lamp = None
        return DONE("ok", T)

    # more

    @always("lamps.I01", STATE, T)
    def lamps_are_in_their_room(self) -> bool:
        """A room's lamp is a lamp of the room."""
        return all(r.lamp is None or r.lamp.room is r for r in Room)

    # law


# after


class Lamps2(Lamps):
    """Another revision."""

    revision = "2"
    # class2


MACHINE = Lamps
'''

HERE = "#!"  # the line at which the error is expected

# name -> (what is replaced, by what, what the error says).  "\\n" in the place of # end and others is indented like it.
WRONG: dict[str, tuple[str, str, str]] = {
    # ---------------------------------------------------------------- kinds and fields
    "annotation that names nothing": ("    twin: Lamp | None = None", "    twin: Lammp | None = None  #!", "'Lammp' is not defined"),
    "field of a type of Python": ("    twin: Lamp | None = None", "    twin: str = ''  #!", "str"),
    "field of a bare number": ("    twin: Lamp | None = None", "    twin: int = 0  #!", "Range"),
    "field of two kinds": ("    twin: Lamp | None = None", "    twin: Lamp | Room | None = None  #!", "Lamp"),
    "field with a default of another type": ("    power: Power = OFF", "    power: Power = 3  #!", "3"),
    "field with a default outside its range": ("Range(0, 2)] = 0", "Range(0, 2)] = 5  #!", "5"),
    "reference with a default": ("    twin: Lamp | None = None", "    twin: Lamp | None = 1  #!", "1"),
    "empty range": ("Range(0, 2)] = 0", "Range(2, 0)] = 2  #!", "empty"),
    "enum without values": ("    twin: Lamp | None = None", "    twin: Nothing  #!\n\nclass Nothing(Enum): ...", "no value"),
    "map from a thing that is no kind": ("    seen: Map[Room, bool] = Map()", "    seen: Map[Power, bool] = Map()  #!", "kind"),
    "unique that is no reference": ("    wear: Ghost[bool] = False", "    wear: Unique[bool] = False  #!", "reference"),
    "raw that is no reference": ("    wear: Ghost[bool] = False", "    wear: Raw[bool] = False  #!", "reference"),
    "field with a name that is taken": ("    wear: Ghost[bool] = False", "    live: bool = False  #!", "live"),
    "field called index": ("    wear: Ghost[bool] = False", "    index: bool = False  #!", "index"),
    # ---------------------------------------------------------------- the head
    "no machine": ('    machine = "lamps"\n', "", "has no machine"),
    "no revision": ('    revision = "1"\n', "", "has no revision"),
    "no document": ('    document = "a test"\n', "", "has no document"),
    "no sentence": ('    """Lamps in rooms."""\n', "", "sentence"),
    "known names no property": ("# class", 'known = (violates("lamps.I09", "switch.ok", "why", T),)', "'lamps.I09'"),
    "known names no row": ("# class", 'known = (violates("lamps.I01", "switch.okay", "why", T),)', "'switch.okay'"),
    "known is no tuple of violations": ("# class", 'known = violates("lamps.I01", "switch.ok", "why", T)', "known"),
    "not_applicable names no property": ("# class", 'not_applicable = {"lamps.I09": "why"}', "'lamps.I09'"),
    "scope of an unknown kind": ("# class", 'scopes = {"two": {"Lampp": 2}}', "'Lampp'"),
    "scope that is not a number": ("# class", 'scopes = {"two": {"Lamp": "many"}}', "'many'"),
    "scope that is negative": ("# class", 'scopes = {"two": {"Lamp": -1}}', "-1"),
    "scopes without names": ("# class", 'scopes = {"Lamp": 2}', "scopes"),
    "unchanged that is no source": ("# class2", 'unchanged = "compared"\n    def hot(self, x: Lamp) -> bool: return True', "unchanged"),
    # ---------------------------------------------------------------- rows
    "row without a source": ('            return EINVAL("same", T)', '            return EINVAL("same")  #!', "no source"),
    "row without a name": ('            return EINVAL("same", T)', "            return EINVAL(T)  #!", "no name"),
    "row with an empty name": ('            return EINVAL("same", T)', '            return EINVAL("", T)  #!', "no name"),
    "row with a computed name": ('            return EINVAL("same", T)', '            return EINVAL(f"{to}", T)  #!', "no name"),
    "row with keywords": ('            return EINVAL("same", T)', '            return EINVAL("same", source=T)  #!', "no source"),
    "row with an empty source": ('            return EINVAL("same", T)', '            return EINVAL("same", read(" "))  #!', "names nothing"),
    "row with a source that is a text": ('            return EINVAL("same", T)', '            return EINVAL("same", "mail")  #!', "not a source"),
    "row with a computed source": ('            return EINVAL("same", T)', '            return EINVAL("same", read(str(to)))  #!', "source"),
    "row with a source of too many parts": ('            return EINVAL("same", T)', '            return EINVAL("same", read("a", "b", "c"))  #!', "source"),
    "errno without row and source": ('            return EINVAL("same", T)', "            return EINVAL  #!", "returns an answer"),
    "operation that returns a truth": ('            return EINVAL("same", T)', "            return True  #!", "returns an answer"),
    "operation that returns nothing": ('            return EINVAL("same", T)', "            return  #!", "returns an answer"),
    "operation that raises an exception": ('            return EINVAL("same", T)', "            raise ValueError  #!", "only answers are raised"),
    "unknown errno": ('            return EINVAL("same", T)', '            return EWRONG("same", T)  #!', "EWRONG"),
    "row that is named twice": ('            return EINVAL("same", T)', '            return EINVAL("ok", T)', "written twice"),
    "row named as one of a helper": ('            return EINVAL("same", T)', '            return EINVAL("no_lamp", T)  #!', "written twice"),
    "operation that may end without an answer": ('        # end\n        return OK("ok", T)', "        # end", "end without an answer"),
    "helper that returns an answer": ('            raise ENOENT("no_lamp", T)', '            return ENOENT("no_lamp", T)  #!', "helper returns an answer"),
    "row decided by a ghost": ("        if x.power is to:", "        if x.wear:  #!", "ghost"),
    "row decided by a ghost in a predicate": ("        return x.heat >= 1", "        return x.wear\n\n    @operation\n    def touch(self, x: Lamp) -> Result:\n        if self.hot(x):  #!\n            return EIO(\"hot\", T)\n        return OK(\"ok\", T)", "ghost"),
    # ---------------------------------------------------------------- names and types
    "unknown name": ("        # start", "        if xx.power is to:  #!\n            return EIO(\"no\", T)", "'xx' is not known"),
    "unknown field": ("        # start", "        if x.powr is to:  #!\n            return EIO(\"no\", T)", "has no field 'powr'"),
    "field of a value": ("        # start", "        if to.lamp is None:  #!\n            return EIO(\"no\", T)", "has no field 'lamp'"),
    "map without an index": ("        # start", "        if x.seen:  #!\n            return EIO(\"no\", T)", "takes 1 index"),
    "index of another kind": ("        # start", "        if x.seen[x]:  #!\n            return EIO(\"no\", T)", "index"),
    "index into what is no map": ("        # start", "        if x.power[r] is ON:  #!\n            return EIO(\"no\", T)", "index"),
    "truth of an object": ("        # start", "        if r.lamp:  #!\n            return EIO(\"no\", T)", "not a condition"),
    "truth of a number": ("        # start", "        if x.heat:  #!\n            return EIO(\"no\", T)", "not a condition"),
    "truth inside and": ("        # start", "        if x.heat >= 1 and r.lamp:  #!\n            return EIO(\"no\", T)", "not a condition"),
    "comparison of two kinds": ("        # start", "        if r.lamp is r:  #!\n            return EIO(\"no\", T)", "compares"),
    "comparison of a value and an object": ("        # start", "        if x.power is r:  #!\n            return EIO(\"no\", T)", "compares"),
    "order of what has none": ("        # start", "        if x.power <= ON:  #!\n            return EIO(\"no\", T)", "no order"),
    "order of objects": ("        # start", "        if r <= r:  #!\n            return EIO(\"no\", T)", "no order"),
    "sum of two fields": ("        # start", "        x.heat = x.heat + x.heat  #!", "constant"),
    "write of another type": ("        # start", "        x.power = True  #!", "holds a Power"),
    "write of none to what is never none": ("        # start", "        x.power = None  #!", "None"),
    "write to a rigid field": ("        # start", "        x.room = r  #!", "rigid"),
    "write to a parameter's type": ("        # start", "        Room.lamp = None  #!", "Room"),
    "write to self": ("        # start", "        self.count = 1  #!", "self"),
    "several targets": ("        # start", "        a = b = x.heat  #!", "outside the language"),
    "several names at once": ("        # start", "        a, b = x.heat, x.power  #!", "not a field"),
    "mixed kinds in a condition": ("        # start", "        y = x if x.heat >= 1 else r  #!", "Lamp"),
    # ---------------------------------------------------------------- effects
    "if without row or when": ("        # start", "        if x.heat >= 1:  #!\n            x.heat = 0", "makes no row"),
    "when with a row in it": ("        # start", "        if when(x.heat >= 1):  #!\n            return EIO(\"hot\", T)", "condition"),
    "when with a step in it": ("            # in", "            if when(r.lamp is None):  #!\n                yield 'early'", "condition"),
    "when inside a condition": ("        # start", "        if when(x.heat >= 1) or x.power is ON:  #!\n            x.heat = 0", "when"),
    "when of an object": ("        # start", "        if when(r.lamp):  #!\n            x.heat = 0", "not a condition"),
    "loop over something else": ("        # start", "        for i in range(3):  #!\n            x.heat = 0", "cannot loop"),
    "loop over a generator": ("        # start", "        for y in (z for z in Lamp):  #!\n            y.heat = 0", "cannot loop"),
    "loop with else": ("        # start", "        for y in Lamp:  #!\n            y.heat = 0\n        else:\n            x.heat = 1", "else"),
    "loop whose order matters": ("        # start", "        for y in Lamp:  #!\n            y.heat = x.heat", "order would matter"),
    "loop that writes another object": ("        # start", "        for y in Lamp:  #!\n            x.power = y.power", "order would matter"),
    "loop that frees another object": ("        # start", "        for y in Room:  #!\n            if y is r:\n                free(x)", "order would matter"),
    "loop with a row in it": ("        # start", "        for y in Lamp:\n            if y is x:  #!\n                return EIO(\"found\", T)", "condition"),
    "loop with a step in it": ("            # in", "            for y in Lamp:\n                yield 'turn'  #!", "outside the language here"),
    "creation in a loop": ("        # start", "        for y in Lamp:\n            Lamp(room=r)  #!", "created in a loop"),
    "choice in a loop": ("        # start", "        for y in Lamp:\n            z = choose(z for z in Lamp)  #!", "in a loop"),
    "choice under when": ("        # start", "        if when(x.heat >= 1):\n            z = choose(z for z in Lamp)  #!", "under `when`"),
    "choice of something else": ("        # start", "        z = choose(z.room for z in Lamp)  #!", "choose takes"),
    "choice from nothing": ("        # start", "        z = choose()  #!", "choose takes"),
    "require in a loop": ("        # start", "        for y in Lamp:\n            require(y.heat >= 1)  #!", "in a loop"),
    "require of nothing": ("        # start", "        require()  #!", "require"),
    "missing field at creation": ("        y = Lamp(room=r)", "        y = Lamp()  #!", "is missing"),
    "unknown field at creation": ("        y = Lamp(room=r)", "        y = Lamp(room=r, colour=ON)  #!", "no field 'colour'"),
    "field of another type at creation": ("        y = Lamp(room=r)", "        y = Lamp(room=ON)  #!", "Lamp.room is a Room"),
    "map given at creation": ("        y = Lamp(room=r)", "        y = Lamp(room=r, seen=True)  #!", "seen"),
    "fields by position at creation": ("        y = Lamp(room=r)", "        y = Lamp(r)  #!", "by name"),
    "fields by stars at creation": ("        y = Lamp(room=r)", "        y = Lamp(**r)  #!", "by name"),
    "creation of what always exists": ("        y = Lamp(room=r)", "        z = Room()  #!\n        y = Lamp(room=z)", "cannot be created"),
    "freeing of what always exists": ("        # start", "        free(r)  #!", "cannot be freed"),
    "freeing of a value": ("        # start", "        free(to)  #!", "cannot be freed"),
    "freeing of nothing": ("        # start", "        free()  #!", "free"),
    "failure without a name": ("        # start", "        if fails(to):  #!\n            return EIO(\"no\", T)", "name of what fails"),
    "failure of nothing": ("        # start", "        if fails():  #!\n            return EIO(\"no\", T)", "name of what fails"),
    "look back in an operation": ("        # start", "        if old(x).power is ON:  #!\n            return EIO(\"no\", T)", "for properties"),
    "implication of one": ("        # start", "        if implies(x.heat >= 1):  #!\n            return EIO(\"no\", T)", "implies"),
    "quantifier over something else": ("        # start", "        if any(i for i in range(3)):  #!\n            return EIO(\"no\", T)", "cannot range"),
    "quantifier over a list": ("        # start", "        if any([x.heat >= 1]):  #!\n            return EIO(\"no\", T)", "takes"),
    "quantifier over objects": ("        # start", "        if any(y for y in Lamp):  #!\n            return EIO(\"no\", T)", "not a condition"),
    # ---------------------------------------------------------------- methods
    "unknown method": ("        # start", "        self.warm(x)  #!", "no method 'warm'"),
    "method with too few arguments": ("        # start", "        self.cool()  #!", "takes 1 argument"),
    "method with keywords": ("        # start", "        self.cool(x=x)  #!", "takes 1 argument"),
    "method with another kind": ("        # start", "        self.cool(r)  #!", "argument x of cool is a Lamp"),
    "function of Python": ("        # start", "        print(x)  #!", "cannot call print"),
    "function of Python in a condition": ("        # start", "        if len(x):  #!\n            return EIO(\"no\", T)", "cannot call len"),
    "method of something else": ("        # start", "        x.cool()  #!", "cannot call x.cool"),
    "operation called as a helper": ("        # start", "        self.bring(r)", "helper returns an answer"),
    "super without one above": ("        # start", "        super().cool(x)  #!", "no method 'cool'"),
    "method that calls itself": ("        x.heat = 0\n", "        x.heat = 0\n        self.cool(x)  #!\n", "itself"),
    "predicate that calls itself": ("        return x.heat >= 1", "        return self.hot(x)  #!\n\n    @operation\n    def touch(self, x: Lamp) -> Result:\n        if self.hot(x):\n            return EIO(\"hot\", T)\n        return OK(\"ok\", T)", "itself"),
    "operation that ends in itself": ('        return OK("ok", T)\n\n    @operation\n    def bring', "        return self.switch(r, to)  #!\n\n    @operation\n    def bring", "itself"),
    "predicate with an effect": ("        return x.heat >= 1", "        x.heat = 0  #!\n        return x.heat >= 1\n\n    @operation\n    def touch(self, x: Lamp) -> Result:\n        if self.hot(x):\n            return EIO(\"hot\", T)\n        return OK(\"ok\", T)", "no effects"),
    "deciding helper under when": ("        # start", "        if when(x.heat >= 1):\n            self.lamp_of(r)  #!", "decides"),
    "deciding helper in a condition": ("        # start", "        if self.lamp_of(r) is x:  #!\n            return EIO(\"no\", T)", "decides"),
    "parameter without a type": ("    def switch(self, r: Room, to: Power)", "    def switch(self, r, to: Power)", "'r' has no type"),
    "parameter with a default": ("    def switch(self, r: Room, to: Power)", "    def switch(self, r: Room, to: Power = ON)", "no defaults"),
    "parameters with a star": ("    def switch(self, r: Room, to: Power)", "    def switch(self, r: Room, to: Power, *more: Room)", "no stars"),
    "parameter that names nothing": ("    def switch(self, r: Room, to: Power)", "    def switch(self, r: Roomm, to: Power)", "'Roomm' is not defined"),
    "parameter of a type of Python": ("    def switch(self, r: Room, to: Power)", "    def switch(self, r: Room, to: Power, n: int)", "int"),
    "parameter of two kinds": ("    def switch(self, r: Room, to: Power)", "    def switch(self, r: Room | Lamp, to: Power)", "Room"),
    "parameter that may be none": ("    def switch(self, r: Room, to: Power)", "    def switch(self, r: Room | None, to: Power)", "none"),
    "method without self": ("    def cool(self, x: Lamp)", "    @staticmethod\n    def cool(x: Lamp)", "cool"),
    # ---------------------------------------------------------------- outside the language
    "try": ("        # start", "        try:  #!\n            x.heat = 0\n        finally:\n            pass", "`try`"),
    "match": ("        # start", "        match to:  #!\n            case Power.ON: x.heat = 0", "`match`"),
    "function in a method": ("        # start", "        def g(): ...  #!", "`functiondef`"),
    "lambda": ("        # start", "        g = lambda: x  #!", "outside the language"),
    "list": ("        # start", "        g = [x]  #!", "outside the language"),
    "text": ("        # start", "        g = 'text'  #!", "outside the language"),
    "float": ("        # start", "        g = 1.5  #!", "outside the language"),
    "product": ("        # start", "        x.heat *= 2  #!", "outside the language"),
    "delete": ("        # start", "        del x  #!", "`delete`"),
    "global": ("        # start", "        global x2  #!", "`global`"),
    "import in a method": ("        # start", "        import os  #!", "`import`"),
    "break": ("            # in", "            while r.lamp is not None:\n                yield 'x'\n                break  #!", "`break`"),
    "assignment expression": ("        # start", "        if (y := x.heat) >= 1:  #!\n            return EIO(\"no\", T)", "outside the language"),
    "await": ("        # start", "        yield from x  #!", "outside the language"),
    "in without a tuple": ("        # start", "        if x in Lamp:  #!\n            return EIO(\"no\", T)", "`in` takes"),
    # ---------------------------------------------------------------- steps and locks
    "step in a helper": ("        x.heat = 0\n", "        x.heat = 0\n        yield 'cooled'  #!\n", "only an operation"),
    "step without a label": ('            yield "in"', "            yield  #!", "no label"),
    "step with a computed label": ('            yield "in"', "            yield str(r)  #!", "no label"),
    "value of a step": ('            yield "in"', "            z = yield 'in'  #!", "outside the language"),
    "with of what is no lock": ("        with r.door:", "        with r.lamp:  #!", "takes a lock"),
    "with of a name": ("        with r.door:", "        with r:  #!", "takes a lock"),
    "with as": ("        with r.door:", "        with r.door as d:  #!", "as"),
    "lock whose name changes": ("            # in", "            r = r  #!", "'r'"),
    "lock in a helper under a lock": ("            # in", "            self.knock(r)\n\n    def knock(self, r: Room) -> None:\n        with r.gate:  #!\n            r.lamp = None\n\n    @event\n    def slow2(self, r: Room) -> Result:\n        if True:", "only an operation"),
    "loop without a step": ("            # in", "            while r.lamp is not None:  #!\n                r.lamp = None", "takes no step"),
    "loop with a turn without a step": ("            # in", "            while r.lamp is not None:  #!\n                if r.gate:\n                    yield 'turn'", "step"),
    "loop with else": ("            # in", "            while r.lamp is not None:  #!\n                yield 'turn'\n            else:\n                r.lamp = None", "else"),
    "writing to a lock": ("            # in", "            r.gate = True  #!", "lock"),
    # ---------------------------------------------------------------- laws
    "assert without a property": ("        # start", "        assert x.heat == 0  #!", "names no property"),
    "assert of an unknown property": ("        # start", '        assert x.heat == 0, "lamps.I77"  #!', "'lamps.I77'"),
    "assert of an object": ("        # start", '        assert r.lamp, "lamps.I01"  #!', "not a condition"),
    "duplicate id": ("    # law", '    @always("lamps.I01", STATE, T)\n    def again(self) -> bool:  #!\n        """Again."""\n        return True', "two properties"),
    "unqualified id": ("    # law", '    @always("I02", STATE, T)\n    def again(self) -> bool:  #!\n        """Again."""\n        return True', "not qualified"),
    "id of another machine": ("    # law", '    @always("lampz.I02", STATE, T)\n    def again(self) -> bool:  #!\n        """Again."""\n        return True', "lamps.I02"),
    "law without a sentence": ("    # law", '    @always("lamps.I02", STATE, T)\n    def again(self) -> bool:  #!\n        return True', "no sentence"),
    "law without a source": ("    # law", '    @always("lamps.I02", STATE, "mail")  # type: ignore\n    def again(self) -> bool:  #!\n        """Again."""\n        return True', "source"),
    "law without a class": ("    # law", '    @always("lamps.I02", "state", T)  # type: ignore\n    def again(self) -> bool:  #!\n        """Again."""\n        return True', "class"),
    "law that returns an object": ("    # law", '    @always("lamps.I02", STATE, T)\n    def again(self) -> bool:  #!\n        """Again."""\n        return any_lamp', "any_lamp"),
    "law that is no condition": ("    # law", '    @always("lamps.I02", STATE, T)\n    def again(self) -> bool:  #!\n        """Again."""\n        return OFF', "not a condition"),
    "law with an effect": ("    # law", '    @always("lamps.I02", STATE, T)\n    def again(self) -> bool:\n        """Again."""\n        for r in Room:  #!\n            r.lamp = None\n        return True', "no effects"),
    "law with a parameter": ("    # law", '    @always("lamps.I02", STATE, T)\n    def again(self, r: Room) -> bool:  #!\n        """Again."""\n        return True', "parameter"),
    "law that chooses": ("    # law", '    @always("lamps.I02", STATE, T)\n    def again(self) -> bool:\n        """Again."""\n        x = choose(x for x in Lamp)  #!\n        return x is None', "choose"),
    "law with a failure": ("    # law", '    @always("lamps.I02", STATE, T)\n    def again(self) -> bool:\n        """Again."""\n        return fails("law")  #!', "fails"),
    "law that may end": ("    # law", '    @always("lamps.I02", STATE, T)\n    def again(self) -> bool:  #!\n        """Again."""\n        if OFF is ON:\n            return True', "end without"),
    "after an unknown operation": ("    # law", '    @after("swich", "lamps.I02", STEP, T)\n    def again(self) -> bool:  #!\n        """Again."""\n        return True', "no operation 'swich'"),
    "after with an unknown parameter": ("    # law", '    @after("switch", "lamps.I02", STEP, T)\n    def again(self, x: Room) -> bool:  #!\n        """Again."""\n        return True', "no parameter 'x'"),
    "after with a parameter of another type": ("    # law", '    @after("switch", "lamps.I02", STEP, T)\n    def again(self, r: Lamp) -> bool:  #!\n        """Again."""\n        return True', "no parameter 'r'"),
    "fairness of an unknown operation": ("    # law", '    @eventually("lamps.L01", T, fair=("swich",))\n    def again(self) -> bool:  #!\n        """Again."""\n        return True', "'swich'"),
    "fairness that is one text": ("    # law", '    @eventually("lamps.L01", T, fair="slow")\n    def again(self) -> bool:  #!\n        """Again."""\n        return True', "fair"),
    # ---------------------------------------------------------------- revisions
    "changed row that does not exist": ("    # class2", '    @replaces("switch.sane")\n    def p(self, x: Lamp) -> None:  #!\n        x.heat = 0', "'switch.sane', which does not exist"),
    "changed row of an unknown method": ("    # class2", '    @replaces("swich.same")\n    def p(self, x: Lamp) -> None:  #!\n        x.heat = 0', "'swich.same', which does not exist"),
    "changed row without its method": ("    # class2", '    @replaces("same")\n    def p(self, x: Lamp) -> None:  #!\n        x.heat = 0', "'same'"),
    "changed row with an unknown parameter": ("    # class2", '    @replaces("switch.same")\n    def p(self, y: Lamp) -> None:  #!\n        y.heat = 0', "'y' is not known at the row"),
    "changed row with a parameter of another type": ("    # class2", '    @replaces("switch.same")\n    def p(self, x: Room) -> None:  #!\n        x.lamp = None', "x"),
    "dropped row that does not exist": ("    # class2", '    drops = ("switch.sane",)', "'switch.sane', which does not exist"),
    "dropped operation that does not exist": ("    # class2", '    drops = ("swich",)', "'swich'"),
    "dropped rows that are one text": ("    # class2", '    drops = "switch.same"', "drops"),
    "step in a changed row": ("    # class2", '    @replaces("switch.same")\n    def p(self, x: Lamp) -> Result:\n        yield "slept"  #!\n        return OK("okay", T)', "only an operation"),
    "row twice by a change": ("    # class2", '    @inserts(before="switch.same")\n    def p(self, x: Lamp) -> None:\n        if x.power is ON:\n            raise EIO("ok", T)', "written twice"),
    "row changed twice": ("    # class2", '    @replaces("switch.same")\n    def p(self, x: Lamp) -> None:\n        x.heat = 0\n\n    @replaces("switch.same")\n    def q(self, x: Lamp) -> None:  #!\n        x.heat = 0', "'switch.same'"),
}  # fmt: skip


def expected_line(text: str) -> int | None:
    lines = [i for i, line in enumerate(text.splitlines(), 1) if HERE in line]
    return lines[0] if lines else None


def indented(old: str, new: str) -> str:
    """A replacement of a bare comment keeps the indentation that is already there."""
    return new.strip(" ") if old.startswith(" ") and new.startswith(" ") else new


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_specification_is_refused(name: str, tmp_path: Path) -> None:
    old, new, what = WRONG[name]
    assert VALID.count(old) == 1
    text = VALID.replace(old, new)
    if "class2" in old or "Lamps2" in old:
        text = text.replace("MACHINE = Lamps\n", "MACHINE = Lamps2\n")
    module = load(tmp_path, text)
    with pytest.raises(SpecError) as e:
        compile_machine(module.MACHINE)
    assert what in str(e.value), str(e.value)
    assert e.value.file == module.__file__
    assert e.value.line > 0
    assert e.value.remedy, str(e.value)
    if (line := expected_line(text)) is not None:
        assert e.value.line == line, str(e.value)


def test_the_valid_one_compiles(tmp_path: Path) -> None:
    for name in ("Lamps", "Lamps2"):
        spec = compile_machine(getattr(load(tmp_path, VALID), name))
        assert [p.id for p in spec.properties if not p.implied] == ["lamps.I01"]
        assert list(spec.rows()) == [
            "switch.no_lamp",
            "switch.same",
            "switch.ok",
            "bring.taken",
            "bring.ok",
            "slow.in",
            "slow.ok",
        ]
