# SPDX-License-Identifier: Apache-2.0
"""What the compiler makes of a machine: rows, steps, sources, locks, assumptions and the laws that nobody wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

from accelspec.spec.language import Errno, Machine, SpecError, Specification, compile_machine
from accelspec.spec.language.native import NativeRun
from accelspec.spec.language.specification import Case, Form, Role
from accelspec.spec.language.terms import Range, show
from accelspec.spec.tests.constructs import Tickets, Tickets2, Tickets3
from accelspec.spec.tests.loading import load


@pytest.fixture(scope="module")
def first() -> Specification:
    return compile_machine(Tickets)


@pytest.fixture(scope="module")
def second() -> Specification:
    return compile_machine(Tickets2)


@pytest.fixture(scope="module")
def third() -> Specification:
    return compile_machine(Tickets3)


def rows(spec: Specification, operation: str) -> list[str]:
    return list(dict.fromkeys(c.row for c in spec.cases if c.operation == operation))


def only(spec: Specification, id: str) -> Case:
    (case,) = spec.rows()[id]
    return case


# ---------------------------------------------------------------- rows


def test_the_head(first: Specification) -> None:
    assert first.name == "tickets@1"
    assert first.sentence == "People draw tickets at desks, are called, and tear them up."
    assert first.file == "spec/tests/constructs.py"
    assert first.known["tickets.I04"].row == "close.closed"


def test_rows_stand_in_the_order_of_the_code(first: Specification) -> None:
    assert rows(first, "draw") == ["slot_taken", "closed", "no_paper", "ok"]
    assert rows(first, "swap") == ["no_ticket", "same", "ok"]
    assert [c.outcome for c in first.cases if c.operation == "draw"] == [
        Errno.EBUSY,
        Errno.ENODEV,
        Errno.ENOMEM,
        Errno.OK,
    ]


def test_a_helper_that_is_entered_twice_gives_one_row(first: Specification) -> None:
    cases = first.rows()["swap.no_ticket"]
    assert len(cases) == 2
    assert len({(c.file, c.line) for c in cases}) == 1


def test_a_row_points_to_its_line(first: Specification) -> None:
    case = only(first, "draw.closed")
    lines = Path(__file__).with_name("constructs.py").read_text().splitlines()
    assert lines[case.line - 1].strip() == 'return ENODEV("closed", read("draw", "first check"))'
    assert case.shown == "not d.opened"
    assert "t = Ticket(desk=d, owner=p, previous=before)" in only(first, "draw.ok").told


def test_parameters_and_their_roles(first: Specification) -> None:
    case = only(first, "draw.ok")
    assert [(p.var.name.split("#")[0], p.role) for p in case.params] == [
        ("p", Role.GIVEN),
        ("s", Role.GIVEN),
        ("d", Role.GIVEN),
        ("before", Role.CHOSEN),
        ("paper fails", Role.FAILS),
        ("t", Role.NEW),
        ("n", Role.NEW),
    ]


def test_numbers_are_checked_where_they_are_written(first: Specification) -> None:
    checks = only(first, "remind.ok").checks
    assert [c.property for c in checks] == ["tickets.I01", "range:Ticket.calls"]
    assert show(checks[1].term) == "p.tickets[s].calls + 1 <= 1"


def test_what_is_required_is_listed(first: Specification) -> None:
    assert [(a.operation, a.text) for a in first.assumptions] == [
        ("reopen", "not any((t.desk is d for t in Ticket))"),
        ("tidy", "not d.opened"),
    ]


def test_types_of_fields(first: Specification) -> None:
    assert first.field("Person.tickets").domain == (first.kind("Person"), first.kind("Slot"))
    assert first.field("Desk.served").type == Range(-1, 2)
    assert first.field("Ticket.owner").raw
    assert first.field("Ticket.desk").rigid
    assert first.field("Desk.quick").open_initially
    assert not first.field("Desk.opened").open_initially


# ---------------------------------------------------------------- steps and locks


def test_steps(first: Specification) -> None:
    assert first.steps == {
        "visit": ["walked", "greeted, holding d.mutex", "crowded, holding d.mutex", "left"],
        "close": ["reading, holding d.mutex", "voided, holding d.mutex"],
    }
    parked = [c for c in first.cases if c.operation == "visit" and c.outcome is None]
    assert [(c.step, c.row) for c in parked] == [
        ("", "walked"),
        ("walked", "greeted"),
        ("greeted", "crowded"),
        ("crowded", "left"),
        ("greeted", "left"),
    ]


def test_a_call_remembers_what_it_needs(first: Specification) -> None:
    names = [f.short for f in first.fields if f.kind.name == "visit()"]
    assert names == ["live", "at", "p", "s", "d", "t"]
    assert first.field("visit().t").raw  # it may be torn up meanwhile
    assert not first.field("visit().d").raw


def test_implied_laws(first: Specification) -> None:
    ids = {p.id for p in first.properties if p.implied}
    assert {"live:Ticket.desk", "blank:Ticket", "unique:Ticket.note", "live:Ticket.note"} <= ids
    assert {
        "held:visit().2:d.mutex",
        "exclusive:Desk.mutex:visit().2/visit().2",
        "standing:visit().2:tickets.I02",
    } <= ids
    assert "live:Ticket.owner" not in ids  # raw
    assert all(p.form is Form.ALWAYS and p.lemma for p in first.properties if p.implied)


# ---------------------------------------------------------------- revisions


def test_changed_rows(second: Specification) -> None:
    assert rows(second, "draw") == ["slot_taken", "closed", "closed_later", "no_paper", "ok"]
    assert rows(second, "swap") == ["no_ticket", "ok"]
    assert rows(second, "visit")[:4] == ["no_ticket", "walked", "closed", "greeted"]
    assert only(second, "draw.closed").outcome is Errno.ENXIO
    assert {c.outcome for c in second.rows()["swap.no_ticket"]} == {Errno.ENXIO}


def test_sources_are_inherited_with_their_ground(first: Specification, second: Specification) -> None:
    assert str(only(first, "draw.no_paper").source) == "[read] draw in the house rules"
    assert str(only(second, "draw.no_paper").source) == (
        "[read] draw in the house rules (2: [read] the new house rules: compared line by line)"
    )
    assert str(only(second, "draw.closed").source) == "[read] draw in the new house rules: another errno"


def test_without_a_ground_nothing_was_compared(third: Specification) -> None:
    closed, paper = only(third, "draw.closed").source, only(third, "draw.no_paper").source
    assert closed.inherited == "taken over from 2, not compared"
    assert paper.inherited == "taken over from 1, not compared"
    assert only(third, "draw.queue").source.inherited == ""


def test_what_is_known_is_not_inherited(second: Specification) -> None:
    assert second.known == {}


def test_methods_go_on_with_those_above(third: Specification) -> None:
    assert rows(third, "draw") == ["queue", "slot_taken", "closed", "closed_later", "no_paper", "ok"]
    assert third.steps["reopen"] == ["looks for the key"]
    assert third.steps["close"] == ["reading, holding d.mutex", "voided, holding d.mutex"]


CHAIN = '''
from __future__ import annotations

from accelspec.spec.language import *

T = deduced("a test")


class Lamp(Object, always=True):
    on: bool = False
    broken: bool = False
    lock: Lock = UNLOCKED


class One(Machine):
    machine, revision, document = "lamp", "1", "a test"

    @operation
    def switch(self, x: Lamp) -> Result:
        if x.broken:
            return EIO("broken", T)
        with x.lock:
            if x.on:
                return EBUSY("on", T)
            x.on = True
            return OK("ok", T)

    @event
    def strike(self, x: Lamp) -> Result:
        x.broken = True
        return DONE("ok", T)


class Two(One):
    revision = "2"

    @replaces("switch.broken")
    def other(self, x: Lamp) -> None:
        if x.broken:
            raise ENXIO("broken", T)

    @inserts(before="switch.on")
    def both(self, x: Lamp) -> None:
        if x.on and fails("a"):
            raise EINVAL("a", T)
        if x.on and fails("b"):
            raise EPERM("b", T)


class Three(Two):
    """Rows that a base revision changed are changed again."""

    revision = "3"
    drops = ("switch.on",)

    @replaces("switch.broken")
    def again(self, x: Lamp) -> None:
        if x.broken:
            raise ENODEV("gone", T)

    @replaces("both.b")
    def b(self, x: Lamp) -> None:
        if x.on and fails("b"):
            raise EAGAIN("b", T)

    @inserts(after="switch.ok")
    def never(self, x: Lamp) -> None:
        pass


class Four(Three):
    """An event that the bases have is gone; of two changes at one row the new one stands before."""

    revision = "4"
    drops = ("strike", "both.a")

    @replaces("switch.ok")
    def ok(self, x: Lamp) -> Result:
        return OK("better", T)

    @inserts(before="switch.ok")
    def first(self, x: Lamp) -> None:
        if fails("first"):
            raise ENOMEM("first", T)


class Alias(Two):
    """A method under a second name."""

    revision = "6"
    strike_again = One.strike


class Ambiguous(Two):
    revision = "5"

    @replaces("switch.a")
    def a(self, x: Lamp) -> None:
        if x.on:
            raise EAGAIN("a", T)
'''


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, type[Machine]]:
    return vars(load(tmp_path_factory.mktemp("chain"), CHAIN))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("One", ["broken EIO", "on EBUSY", "ok OK"]),
        ("Two", ["broken ENXIO", "a EINVAL", "b EPERM", "on EBUSY", "ok OK"]),
        ("Three", ["gone ENODEV", "a EINVAL", "b EAGAIN", "ok OK"]),
        ("Four", ["gone ENODEV", "b EAGAIN", "first ENOMEM", "better OK"]),
    ],
)
def test_rows_are_changed_again_and_again(name: str, expected: list[str], chain: dict[str, type[Machine]]) -> None:
    spec = compile_machine(chain[name])
    assert [f"{c.row} {c.outcome.name}" for c in spec.cases if c.operation == "switch" and c.outcome] == expected
    assert (spec.operations() == ["switch"]) == (name == "Four")


def test_a_method_may_have_two_names(chain: dict[str, type[Machine]]) -> None:
    spec = compile_machine(chain["Alias"])
    assert spec.operations() == ["switch", "strike", "strike_again"]
    assert NativeRun(chain["Alias"], spec).begin("strike_again", (0,)).row == "ok"


def test_one_of_several_rows_of_a_change_is_named_after_it(chain: dict[str, type[Machine]]) -> None:
    with pytest.raises(SpecError, match=r"'switch\.a', which does not exist"):
        compile_machine(chain["Ambiguous"])
