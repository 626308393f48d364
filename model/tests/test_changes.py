# SPDX-License-Identifier: Apache-2.0
"""What one revision changes in another: every kind of change is told, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from accelspec.model.changes import changes, nearest, written
from accelspec.spec.language import (
    DONE,
    EAGAIN,
    EBUSY,
    EPERM,
    OK,
    Machine,
    Object,
    Result,
    Specification,
    compile_machine,
    event,
    inserts,
    operation,
    read,
    replaces,
)


class Door(Object, always=True):
    open: bool = False
    locked: bool = False


class House(Machine):
    """A door."""

    machine = "house"
    revision = "1"
    document = "house.c"

    @operation
    def pull(self, d: Door) -> Result:
        if d.locked:
            return EPERM("locked", read("pull"))
        if d.open:
            return EBUSY("is_open", read("pull"))
        d.open = True
        return OK("ok", read("pull"))

    @operation
    def lock(self, d: Door) -> Result:
        d.locked = True
        return OK("ok", read("lock"))

    @event
    def wind(self, d: Door) -> Result:
        d.open = not d.locked
        return DONE("ok", read("wind"))


class Repainted(House):
    """Every row is stated again, by another document."""

    revision = "repainted"
    document = "paint.c"
    unchanged = read("paint.c")

    @operation
    def lock(self, d: Door) -> Result:
        d.locked = True
        return OK("ok", read("another_lock", "as before"))


class Rebuilt(House):
    """One change of every sort."""

    revision = "rebuilt"
    unchanged = read("house.c")
    drops = ["wind", "pull.is_open"]

    @replaces("pull.locked")
    def pull_locked(self, d: Door) -> None:
        if d.locked and not d.open:
            raise EAGAIN("locked", read("pull"))

    @inserts(before="pull.ok")
    def pull_hard(self, d: Door) -> None:
        if d.open:
            d.open = False
            raise EBUSY("hard", read("pull"))

    @replaces("lock.ok")
    def lock_ok(self, d: Door) -> None:
        d.locked = True
        d.open = False
        raise OK("ok", read("lock"))

    @operation
    def knock(self, d: Door) -> Result:
        return OK("ok", read("knock"))


@pytest.fixture(scope="module")
def house() -> Specification:
    return compile_machine(House)


def test_every_sort_of_change_is_told(house: Specification) -> None:
    c = changes(house, compile_machine(Rebuilt))
    assert c.dropped_operations == ("wind",)
    assert c.added_operations == ("knock",)
    assert [w.id for w in c.added] == ["pull.hard"]
    assert [w.id for w in c.dropped] == ["pull.is_open"]
    assert {x.new.id: x.what for x in c.changed} == {"pull.locked": ("result", "guard"), "lock.ok": ("effect",)}
    assert [(x.old.outcome, x.new.outcome) for x in c.changed if x.new.id == "pull.locked"] == [("EPERM", "EAGAIN")]
    assert c.size == 6


def test_another_source_is_no_change(house: Specification) -> None:
    repainted = compile_machine(Repainted)
    assert written(repainted)["lock.ok"].source != written(house)["lock.ok"].source
    assert changes(house, repainted).size == 0


def test_what_one_adds_the_other_drops(house: Specification) -> None:
    rebuilt = compile_machine(Rebuilt)
    there, back = changes(house, rebuilt), changes(rebuilt, house)
    assert there.added_operations == back.dropped_operations
    assert [w.id for w in there.added] == [w.id for w in back.dropped]
    assert [w.id for w in there.dropped] == [w.id for w in back.added]
    assert [(x.old, x.new) for x in there.changed] == [(x.new, x.old) for x in back.changed]


def test_the_nearest_revision_is_the_one_with_the_fewest_changes(house: Specification) -> None:
    rebuilt, repainted = compile_machine(Rebuilt), compile_machine(Repainted)
    assert nearest(repainted, [rebuilt, house]).old == "house@1"
    with pytest.raises(ValueError, match=r"min|empty"):
        nearest(house, [])


def test_a_base_that_is_named_is_the_one_compared_with(house: Specification) -> None:
    rebuilt, repainted = compile_machine(Rebuilt), compile_machine(Repainted)
    of_rebuilt = replace(repainted, base=rebuilt.revision)
    assert nearest(of_rebuilt, [house, rebuilt]).old == rebuilt.name
    assert nearest(of_rebuilt, [house]).old == house.name
