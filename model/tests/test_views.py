# SPDX-License-Identifier: Apache-2.0
"""Decision tables and state diagrams, made from rows; and the `transitions` machine beside the interpreter."""

from __future__ import annotations

import random
from collections.abc import Iterator
from enum import Enum

import pytest
from transitions import MachineError

from accelspec.model.diagrams import ABSENT, diagram_text, dot, enum_fields, lifecycle, mermaid, state_diagram
from accelspec.model.evaluate import Interpreter
from accelspec.model.trace import Move, State
from accelspec.model.views import decision_table, rows_by_id, table_text
from accelspec.spec.catalogue import MACHINES
from accelspec.spec.language import (
    DONE,
    EBADF,
    EBUSY,
    EINVAL,
    OK,
    STATE,
    Machine,
    Object,
    Result,
    Specification,
    check,
    choose,
    compile_machine,
    deduced,
    event,
    fails,
    free,
    kernel,
    operation,
    read,
    require,
    when,
)
from accelspec.spec.language.terms import Field, members


class LampState(Enum):
    DARK = "off"
    LIT = "on"
    BROKEN = "for good"


DARK, LIT, BROKEN = LampState


class Person(Object, always=True):
    lamp: Lamp | None = None


class Lamp(Object):
    state: LampState = DARK
    old: bool = False


class Lamps(Machine):
    """Lamps that people take, switch and drop."""

    machine = "lamp"
    revision = "1"
    document = "lamp.c"
    scopes = {"two": {"Person": 2, "Lamp": 2}}

    @operation
    def take(self, p: Person) -> Result:
        require(p.lamp is None)
        if any(o.lamp is not None for o in Person):
            return EBUSY("taken", read("take"))
        lamp = Lamp()
        p.lamp = lamp
        return OK("ok", read("take"))

    @operation
    def switch(self, p: Person) -> Result:
        if p.lamp is None:
            return EBADF("none", kernel("fdget"))
        if p.lamp.state is BROKEN:
            return EINVAL("broken", read("switch"))
        if p.lamp.state is LIT:
            p.lamp.state = DARK
            return OK("off", read("switch", "the bulb cools"))
        if fails("bulb"):
            p.lamp.state = BROKEN
            return EINVAL("bulb", read("switch"))
        p.lamp.state = LIT
        if when(p.lamp.old):
            p.lamp.state = BROKEN
        return OK("on", read("switch"))

    @operation
    def drop(self, p: Person) -> Result:
        lamp = p.lamp
        if lamp is None:
            return EBADF("none", kernel("fdget"))
        p.lamp = None
        free(lamp)
        return OK("ok", read("drop"))

    @event
    def gift(self, p: Person) -> Result:
        require(p.lamp is None)
        lamp = Lamp(state=LIT)
        p.lamp = lamp
        return DONE("given", read("gift"))

    @event
    def storm(self) -> Result:
        require(any(x.state is LIT for x in Lamp))
        struck = choose(x for x in Lamp if x.state is LIT)
        assert struck is not None, "lamp.L01"
        struck.state = BROKEN
        return DONE("struck", read("storm"))

    @check("lamp.L01", STATE, deduced("a storm needs one that is lit"))
    def something_is_struck(self) -> None:
        """Lightning strikes a lamp."""


@pytest.fixture(scope="module")
def spec() -> Specification:
    return compile_machine(Lamps)


def test_a_table_has_the_rows_in_their_order_with_guard_effects_and_source(spec: Specification) -> None:
    table = decision_table(spec, "switch")
    assert [r.name for r in table.rows] == ["none", "broken", "off", "bulb", "on"]
    assert [r.outcome for r in table.rows] == ["EBADF", "EINVAL", "OK", "EINVAL", "OK"]
    off = table.rows[2]
    assert off.guards == ("p.lamp.state is LIT",)
    assert off.effects == ("p.lamp.state = DARK",)
    assert off.source == "[read] switch in lamp.c: the bulb cools"
    assert table.params == ("p: Person",)
    assert not table.event
    assert decision_table(spec, "storm").event
    assert decision_table(spec, "take").requires == ("p.lamp is None",)


def test_table_text_says_all_of_it_within_its_width(spec: Specification) -> None:
    text = table_text(decision_table(spec, "switch"), width=60)
    assert max(map(len, text.splitlines()[1:])) <= 60
    for words in ("EBADF   none", "if p.lamp.state is LIT", "otherwise", "p.lamp.state = DARK", "the bulb cools"):
        assert words in text


def test_an_unknown_operation_or_field_is_a_key_error(spec: Specification) -> None:
    for ask in (lambda: decision_table(spec, "jump"), lambda: state_diagram(spec, "Lamp.old")):
        with pytest.raises(KeyError):
            ask()


def test_every_row_is_in_a_table(spec: Specification) -> None:
    assert set(rows_by_id(spec)) == set(spec.rows())


def test_the_diagram_has_exactly_the_changes_that_the_rows_allow(spec: Specification) -> None:
    assert [f.name for f in enum_fields(spec)] == ["Lamp.state"]
    diagram = state_diagram(spec, "Lamp.state")
    assert {ends: set(rows) for ends, rows in diagram.changes().items()} == {
        (ABSENT, "DARK"): {"take.ok"},
        (ABSENT, "LIT"): {"gift.given"},
        ("LIT", "DARK"): {"switch.off"},
        ("DARK", "BROKEN"): {"switch.bulb", "switch.on"},
        ("DARK", "LIT"): {"switch.on"},
        ("LIT", "BROKEN"): {"storm.struck"},
        ("DARK", ABSENT): {"drop.ok"},
        ("LIT", ABSENT): {"drop.ok"},
        ("BROKEN", ABSENT): {"drop.ok"},
    }


def test_diagrams_as_text(spec: Specification) -> None:
    diagram = state_diagram(spec, "Lamp.state")
    assert "    [*] --> DARK: take.ok\n" in mermaid(diagram)
    assert '"DARK" -> "BROKEN" [label="switch.bulb\\nswitch.on"];' in dot(diagram)
    assert "and 1 more" in dot(diagram, most=1)
    assert "    -> LIT     switch.on\n" in diagram_text(diagram)


def test_the_transitions_machine_refuses_what_no_row_does(spec: Specification) -> None:
    life = lifecycle(spec, "Lamp.state")
    assert life.state == ABSENT
    assert life.trigger("take.ok", to="DARK")
    assert not life.trigger("switch.off", to="LIT")
    assert life.trigger("switch.on", to="LIT")
    assert life.trigger("storm.struck", to="LIT")  # it struck another
    assert life.trigger("storm.struck")
    assert life.state == "BROKEN"
    with pytest.raises((MachineError, AttributeError)):
        life.trigger("no.such.row")


def steps(interpreter: Interpreter, seed: int, states: int) -> Iterator[tuple[State, Move]]:
    """All steps from a random sample of reachable states; deep ones are likelier."""
    chance = random.Random(seed)
    seen = dict.fromkeys(interpreter.initial())
    todo = list(seen)
    for _ in range(states):
        if not todo:
            return
        state = todo.pop(max(chance.randrange(len(todo)) for _ in range(3)))
        for move in interpreter.moves(state):
            yield state, move
            if move.after not in seen:
                seen[move.after] = None
                todo.append(move.after)


def where(interpreter: Interpreter, state: State, field: Field, thing: int) -> str:
    """The state that a diagram of the field has an object in."""
    live = interpreter.layout.live(field.kind)
    if live is not None and not interpreter.value(state, live, thing):
        return ABSENT
    return str(members(field.type)[interpreter.value(state, field, thing)].name)


def test_the_transitions_machine_agrees_with_the_interpreter_on_every_step(spec: Specification) -> None:
    interpreter = Interpreter(spec)
    (field,) = enum_fields(spec)
    life = lifecycle(spec, field.name)
    seen = set()
    for state, move in steps(interpreter, seed=7, states=1000):
        for lamp in range(2):
            before, after = where(interpreter, state, field, lamp), where(interpreter, move.after, field, lamp)
            life.put(before)
            assert life.trigger(move.case.id, to=after), (move.case.id, before, after)
            seen.add((move.case.id, before, after))
    changes = {(row, a, b) for (a, b), rows in state_diagram(spec, "Lamp.state").changes().items() for row in rows}
    assert {s for s in seen if s[1] != s[2]} == changes - {("switch.on", "DARK", "BROKEN")}  # no lamp is old


FEW = {
    "ownership": 1,
    "drm_master": 1,
    "prime": 1,
    "dmabuf": 6,
    "habanalabs": 1,
}  # whose objects hardly have words for their states
NONE = ("fences", "locks", "dma_heap", "udmabuf", "sync_file")  # whose objects have flags only


@pytest.mark.parametrize(
    ("machine", "revision"), [(m, r) for m, revisions in MACHINES.items() for r in revisions if m not in NONE]
)
def test_it_agrees_on_every_field_of_every_revision_of_the_catalogue(machine: str, revision: str) -> None:
    spec = compile_machine(MACHINES[machine][revision])
    interpreter = Interpreter(spec)
    taken = list(steps(interpreter, seed=11, states=120))
    changes = set()
    for field in enum_fields(spec):
        life = lifecycle(spec, field.name)
        for thing in range(interpreter.layout.size(field.kind)):
            for state, move in taken:
                before, after = where(interpreter, state, field, thing), where(interpreter, move.after, field, thing)
                life.put(before)
                assert life.trigger(move.case.id, to=after), (field.name, move.case.id, before, after)
                if before != after:
                    changes.add((field.name, before, after))
    assert len(changes) > FEW.get(machine, 10)
    assert any(after == ABSENT for _, _, after in changes)
