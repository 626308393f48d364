# SPDX-License-Identifier: Apache-2.0
"""Wrong specifications: each is refused with the file, the line, what is wrong, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
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
        self.cool(x)
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
    # other


MACHINE = Lamps
'''

HERE = "#!"  # the line at which the error is expected


@dataclass(frozen=True)
class Wrong:
    """The valid specification with some lines exchanged, and what the error says."""

    name: str
    says: str
    old: str
    new: str

    @property
    def text(self) -> str:
        assert VALID.count(self.old) == 1, self.name
        text = VALID.replace(self.old, self.new)
        return text.replace("MACHINE = Lamps\n", "MACHINE = Lamps2\n") if "# other" in self.old else text

    @property
    def line(self) -> int | None:
        return next((i for i, line in enumerate(self.text.splitlines(), 1) if HERE in line), None)


def wrong_specifications() -> list[Wrong]:
    found = []
    for part in (Path(__file__).parent / "wrong_specifications.txt").read_text().split("\n### ")[1:]:
        head, *lines = part.splitlines()
        name, says = head.split(": ", 1)
        old, new = ("".join(x[1:] + "\n" for x in lines if x[:1] == sign) for sign in "-+")
        found.append(Wrong(name, says, old, new))
    return found


WRONG = wrong_specifications()


@pytest.mark.parametrize("wrong", WRONG, ids=[w.name for w in WRONG])
def test_a_wrong_specification_is_refused(wrong: Wrong, tmp_path: Path) -> None:
    module = load(tmp_path, wrong.text)
    with pytest.raises(SpecError) as e:
        compile_machine(module.MACHINE)
    assert wrong.says in str(e.value), str(e.value)
    assert e.value.file == module.__file__
    assert e.value.line > 0
    assert e.value.remedy, str(e.value)
    assert wrong.line in (None, e.value.line), str(e.value)


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
