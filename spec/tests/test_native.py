# SPDX-License-Identifier: Apache-2.0
"""The native run: rows, steps, locks and laws, as the methods themselves have them."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from pathlib import Path

import pytest

from accelspec.spec.language import Errno, Machine, compile_machine
from accelspec.spec.language.native import NativeMove, NativeRun, in_order
from accelspec.spec.language.terms import Kind, Range, members
from accelspec.spec.language.world import NotEnabled
from accelspec.spec.tests import constructs
from accelspec.spec.tests.constructs import Tickets, Tickets2, Tickets3


class Run(NativeRun):
    """A native run whose state is given and asked by names."""

    def __init__(self, machine: type[Machine] = Tickets, **scope: int) -> None:
        spec = compile_machine(machine)
        super().__init__(machine, spec, {**spec.scope, **scope})
        self.load([0 if f.is_live else self._blank(f.type, f.default) for f in spec.fields for _ in self._keys(f)])

    def _blank(self, t: object, default: object) -> int:
        if isinstance(t, Kind):
            return self.scope[t.name]
        if isinstance(t, Range):
            return int(default) - t.lo if isinstance(default, int) else 0
        return members(t).index(default) if default in members(t) else 0  # type: ignore[arg-type]

    def cells(self) -> dict[str, int]:
        names = [f"{f.name}{list(key)}" for f in self.spec.fields for key in self._keys(f)]
        return dict(zip(names, self.save(), strict=True))

    def put(self, cells: Mapping[str, int]) -> None:
        self.load(list({**self.cells(), **cells}.values()))

    def row(self, operation: str, *args: int, failing: set[str] | None = None) -> tuple[str, Errno | None]:
        m = self.begin(operation, args, failing or set())
        return m.row, m.outcome

    def next(self, operation: str, failing: set[str] | None = None) -> tuple[str, Errno | None]:
        m = self.resume(operation, 0, failing or set())
        return m.row, m.outcome


def test_rows() -> None:
    run = Run()
    assert run.row("swap", 0, 0, 1) == ("no_ticket", Errno.EBADF)
    assert run.row("draw", 0, 0, 0, failing={"paper"}) == ("no_paper", Errno.ENOMEM)
    assert run.row("draw", 0, 0, 0) == ("ok", Errno.OK)
    assert run.row("draw", 0, 0, 0) == ("slot_taken", Errno.EBUSY)
    assert run.row("swap", 0, 0, 1) == ("no_ticket", Errno.EBADF)
    assert run.row("swap", 0, 0, 0) == ("same", Errno.EINVAL)
    source = run.begin("draw", (0, 0, 0)).source
    assert source is not None
    assert source.place == "one ticket a slot"


def test_effects() -> None:
    run = Run()
    run.put({"Desk.quick[0]": 1})
    run.begin("draw", (0, 1, 0), {"paper"})
    cells = run.cells()
    assert cells["Ticket.live[0]"] == cells["Note.live[0]"] == cells["Note.urgent[0]"] == cells["Ticket.calls[0]"] == 1
    assert cells["Person.tickets[0, 1]"] == cells["Ticket.note[0]"] == cells["Person.at[0]"] == 0
    assert cells["Person.tickets[0, 0]"] == cells["Ticket.previous[0]"] == run.scope["Ticket"]
    run.begin("tear_up", (0, 1))
    assert run.cells() == {**Run().cells(), "Desk.quick[0]": 1, "Person.at[0]": 0}


def test_state_is_loaded_and_saved() -> None:
    run = Run()
    for x in range(2):
        state = [
            x if k not in ("Desk.opened[0]",) and not k.startswith(("visit", "close", "reopen")) else 0
            for k in run.cells()
        ]
        run.load(state)
        assert list(run.save()) == state


def test_choices() -> None:
    run = Run()
    run.begin("draw", (0, 0, 0))
    run.begin("draw", (0, 1, 0))
    drawn = run.save()
    for pick in (0, 1):
        run.load(drawn)
        run.begin("close", (0,), choice=in_order([pick]))
        run.resume("close", 0)
        assert [run.cells()[f"Ticket.stage[{t}]"] == 2 for t in (0, 1)] == [pick == 0, pick == 1]
    run.load(drawn)
    with pytest.raises(NotEnabled, match="2 cannot be chosen"):
        run.begin("close", (0,), choice=in_order([2]))


def test_not_offered() -> None:
    run = Run(Ticket=1)
    run.begin("draw", (0, 0, 0))
    with pytest.raises(NotEnabled, match="required"):
        run.begin("reopen", (0,))
    with pytest.raises(NotEnabled, match="no further Ticket"):
        run.begin("draw", (0, 1, 0))
    with pytest.raises(KeyError, match="no method 'nothing'"):
        run.begin("nothing", ())
    with pytest.raises(ValueError, match="takes 3 arguments, not 1"):
        run.begin("draw", (0,))


def test_failed_asserts() -> None:
    run = Run()
    run.begin("draw", (0, 0, 0))
    run.put({"Person.at[0]": 2})
    assert run.begin("remind", (0, 0)) == NativeMove("remind", "", None, failed="tickets.I01")
    run.put({"Person.at[0]": 0, "Ticket.calls[0]": 1})
    assert run.begin("remind", (0, 0)).failed == "range:Ticket.calls"


def test_a_range_inside_a_map_is_kept() -> None:
    run = Run()
    p, s = run.world.pool[constructs.Person][0], run.world.pool[constructs.Slot][0]
    with pytest.raises(AssertionError, match=r"range:Person\.patience"):
        p.patience[s] = 2


# ---------------------------------------------------------------- steps and locks


def drawn(machine: type[Machine] = Tickets) -> Run:
    run = Run(machine)
    run.begin("draw", (0, 0, 0))
    return run


def test_steps_and_a_lock_over_several_of_them() -> None:
    run = drawn()
    run.put({"Desk.quick[0]": 1})
    run.begin("draw", (1, 0, 0))
    assert run.row("visit", 0, 0, 0) == ("walked", None)
    assert run.cells()["Desk.mutex[0]"] == 0
    assert run.next("visit") == ("greeted", None)
    assert run.cells()["Desk.mutex[0]"] == 1
    assert run.next("visit") == ("crowded", None)
    assert run.waits("visit", 0)
    with pytest.raises(NotEnabled, match="crowded"):
        run.resume("visit", 0)
    run.begin("tear_up", (1, 0))
    assert run.next("visit") == ("left", None)
    assert run.cells()["Desk.mutex[0]"] == 0
    assert run.cells()["Person.at[0]"] == run.scope["Desk"]
    assert run.next("visit") == ("ok", Errno.OK)
    assert run.calls == {}


@pytest.mark.parametrize(("closed", "answer"), [(1, ("closed", Errno.ENODEV)), (0, ("lost", Errno.EAGAIN))])
def test_an_answer_inside_a_lock_gives_it_back(closed: int, answer: tuple[str, Errno]) -> None:
    run = drawn()
    run.begin("visit", (0, 0, 0))
    with run.world:
        if closed:
            run.world.pool[constructs.Desk][0].opened = False
        else:
            run.resume("visit", 0)
            run.begin("tear_up", (0, 0))
    assert run.next("visit") == answer
    assert run.cells()["Desk.mutex[0]"] == 0


def test_a_call_begins_when_the_lock_is_free() -> None:
    run = drawn()
    run.begin("visit", (0, 0, 0))
    run.resume("visit", 0)
    with pytest.raises(NotEnabled, match="mutex is held"):
        run.begin("close", (0,))


def test_a_loop_takes_steps() -> None:
    run = drawn()
    run.begin("draw", (1, 1, 0))
    labels = [run.row("close", 0)[0]]
    while run.calls:
        labels.append(run.next("close")[0])
    assert labels == ["reading", "voided", "reading", "voided", "closed"]


def test_calls_that_were_loaded_keep_their_place_only() -> None:
    run = drawn()
    run.begin("visit", (0, 0, 0))
    run.load(run.save())
    with pytest.raises(ValueError, match="nothing to resume"):
        run.resume("visit", 0)
    run.begin("visit", (0, 0, 0))
    assert set(run.calls) == {("visit", 0), ("visit", 1)}
    with pytest.raises(NotEnabled, match="no further visit"):
        run.begin("visit", (0, 0, 0))


def test_locals_of_a_call() -> None:
    run = drawn()
    run.begin("visit", (0, 0, 0))
    names = run.calls["visit", 0].names()
    assert [names[n].__dict__["index"] for n in ("p", "s", "d", "t")] == [0, 0, 0, 0]


# ---------------------------------------------------------------- revisions


def test_changed_rows() -> None:
    run = Run(Tickets2)
    assert run.row("swap", 0, 0, 1) == ("no_ticket", Errno.ENXIO)
    run.begin("draw", (0, 0, 0))
    assert run.row("swap", 0, 0, 0) == ("ok", Errno.OK)  # dropped: same
    assert run.row("visit", 0, 0, 1) == ("walked", None)  # dropped: other_desk
    run.put({"Desk.opened[0]": 0})
    assert run.row("draw", 0, 1, 0) == ("closed_later", Errno.EAGAIN)
    run.begin("tear_up", (0, 0))
    assert run.row("draw", 0, 1, 0) == ("closed", Errno.ENXIO)
    assert run.row("reopen", 0, failing={"key"}) == ("no_key", Errno.DONE)
    assert run.row("reopen", 0) == ("reopened", Errno.DONE)
    assert run.cells()["Desk.quick[0]"] == 1


def test_an_inserted_row() -> None:
    run = drawn(Tickets2)
    run.begin("visit", (0, 0, 0))
    run.resume("visit", 0)
    assert run.next("visit", {"patience"}) == ("hurried", Errno.EAGAIN)
    assert run.cells()["Desk.mutex[0]"] == 0


def test_methods_above() -> None:
    run = drawn(Tickets3)
    assert run.row("draw", 1, 0, 0) == ("queue", Errno.EBUSY)
    assert run.row("close", 0) == ("reading", None)
    assert "t" in run.calls["close", 0].names()
    while run.calls:
        run.resume("close", 0)
    run.begin("draw", (0, 1, 0))
    run.put({"Ticket.live[0]": 0})
    assert run.row("reopen", 0) == ("looks for the key", None)
    assert run.next("reopen", {"key"}) == ("no_key", Errno.DONE)


# ---------------------------------------------------------------- laws and errors


def test_laws_look_back() -> None:
    run = drawn()
    run.begin("draw", (0, 1, 0))
    run.begin("swap", (0, 0, 1))
    p, (a, b) = run.world.pool[constructs.Person][0], run.world.pool[constructs.Slot]
    arguments = {"p": p, "s": a, "r": b, "result": Errno.OK}
    assert run.holds("swapped", arguments)
    run.begin("remind", (0, 0))
    assert not run.holds("swapped", arguments)
    assert run.holds("swapped", {**arguments, "result": Errno.EBADF})


def test_old_locks_are_remembered() -> None:
    run = Run()
    run.world.remember()
    with run.world:
        d = run.world.pool[constructs.Desk][0]
        d.mutex.held = True
        assert not run.world.before[d].mutex


def test_a_traceback_points_into_the_machine_file() -> None:
    run = drawn()
    run.put({"Person.tickets[0, 0]": 0, "Ticket.desk[0]": run.scope["Desk"]})
    with pytest.raises(AttributeError) as e:
        run.begin("remind", (0, 0))
    at = traceback.extract_tb(e.value.__traceback__)[-1]
    assert (Path(at.filename).name, at.line) == ("constructs.py", "return not t.desk.opened")
