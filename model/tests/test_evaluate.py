# SPDX-License-Identifier: Apache-2.0
"""Tests: evaluate."""

from __future__ import annotations

from dataclasses import replace

import pytest

from accelspec.model.evaluate import Interpreter, Value
from accelspec.model.layout import full_scope
from accelspec.model.ranges import range_checks
from accelspec.model.tests import machines
from accelspec.model.trace import Trace
from accelspec.spec.language.answers import Errno
from accelspec.spec.language.specification import Property
from accelspec.spec.language.terms import And, Eq, Not, Read, Var


def property_of(machine: Interpreter, id: str) -> Property:
    return next(p for p in machine.spec.properties if p.id == id)


def test_scope_defaults() -> None:
    assert full_scope(machines.files()) == {"Process": 1, "Fd": 2, "File": 2, "Buffer": 2}
    assert full_scope(machines.files(), {"Fd": 3}) == {"Process": 1, "Fd": 3, "File": 1, "Buffer": 1}


@pytest.mark.parametrize("scope", [{"Fdd": 2}, {"Fd": -1}])
def test_bad_scope(scope: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"Fd|-1"):
        Interpreter(machines.files(), scope)


def test_open_fields_take_every_value() -> None:
    machine = Interpreter(machines.devices(), {"Device": 2})
    fast = {tuple(machine.value(s, machines.FAST, d) for d in range(2)) for s in machine.initial()}
    assert fast == {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_range_is_stored_as_an_index_and_counts_with_its_values() -> None:
    machine = Interpreter(machines.devices(), {"Device": 1})
    s = machine.state_from({"device0.power": "ON", "device0.level": 3})
    assert machine.value(s, "Device.level", 0) == 1
    (climbed,) = {m.after for m in machine.moves_of(s, "climb", [0])}
    assert machine.describe(climbed)["device0.level"] == "4"
    assert {m.case.id for m in machine.moves_of(climbed, "climb", [0])} == {"climb.top"}


def test_write_outside_the_range_is_a_failed_check() -> None:
    machine = Interpreter(machines.devices(step=2), {"Device": 1})
    s = machine.state_from({"device0.power": "ON", "device0.level": 3})
    for m in machine.moves_of(s, "climb", [0]):
        assert m.failed == ("range:Device.level",)
        assert m.after == s


def test_crash_leaves_the_state() -> None:
    machine = Interpreter(machines.devices(), {"Device": 1})
    s = machine.state_from({"device0.power": "ON", "device0.level": 4})
    (m,) = machine.moves_of(s, "crash", [0])
    assert m.case.crashes
    assert m.after == s


def test_new_takes_the_lowest_free_object() -> None:
    machine = Interpreter(machines.files(), {"Fd": 3, "File": 3})
    s = machine.state_from({"file0.live": True, "process0.fd[fd1]": "file0", "file2.live": True})
    (m,) = machine.moves_of(s, "open", [0, 0])
    assert machine.describe(m.after)["process0.fd[fd0]"] == "file1"
    full = machine.state_from({f"file{i}.live": True for i in range(3)})
    assert machine.moves_of(full, "open", [0, 0]) == []


def test_chosen_takes_every_candidate_and_none_only_without_one() -> None:
    machine = Interpreter(machines.files(), {"File": 1, "Buffer": 3})
    opened: dict[str, Value] = {"file0.live": True, "process0.fd[fd0]": "file0"}
    s = machine.state_from(
        {**opened, "buffer0.live": True, "buffer1.live": True, "buffer1.stale": True, "buffer2.live": True}
    )
    assert [m.values[-1] for m in machine.moves_of(s, "attach", [0, 0])] == [0, 2]
    s = machine.state_from({**opened, "buffer1.live": True, "buffer1.stale": True})
    (m,) = machine.moves_of(s, "attach", [0, 0])
    assert (m.case.id, m.values) == ("attach.no_buffer", (0, 0, 3))


def test_fails_takes_both() -> None:
    machine = Interpreter(machines.files())
    s = next(machine.initial())
    assert {m.case.id for m in machine.moves_of(s, "alloc", [])} == {"alloc.no_memory", "alloc.ok"}


def test_none_reads_blank_and_is_not_written() -> None:
    machine = Interpreter(machines.files(), {"Fd": 1, "File": 1, "Buffer": 1})
    s = machine.state_from(
        {"file0.live": True, "process0.fd[fd0]": "file0"}
    )  # no buffer: the drop of its use goes nowhere
    (m,) = machine.moves_of(s, "close", [0, 0])
    assert m.failed == ()
    assert m.after == next(machine.initial())
    assert machine.value(s, "Buffer.uses", 1) == 0


def test_effects_are_simultaneous_and_conditional() -> None:
    machine = Interpreter(machines.files(), {"Fd": 2, "File": 1, "Buffer": 1})
    cells: dict[str, Value] = {"file0.live": True, "file0.buffer": "buffer0", "buffer0.live": True, "buffer0.uses": 1}
    shared = machine.state_from({**cells, "process0.fd[fd0]": "file0", "process0.fd[fd1]": "file0"})
    (m,) = machine.moves_of(shared, "close", [0, 0])
    assert machine.describe(m.after)["file0.buffer"] == "buffer0"
    (m,) = machine.moves_of(m.after, "close", [0, 1])
    after = machine.describe(m.after)
    assert "file0.buffer" not in after
    assert after["buffer0.uses"] == "0"


def test_loop_effects() -> None:
    machine = Interpreter(machines.files(), {"Process": 2, "Fd": 2, "File": 2, "Buffer": 2})
    cells = {f"file{i}.live": True for i in range(2)} | {f"buffer{i}.live": True for i in range(2)}
    refs = {"process0.fd[fd0]": "file0", "process0.fd[fd1]": "file1", "process1.fd[fd1]": "file1"}
    s = machine.state_from({**cells, **refs, "file0.buffer": "buffer0"})
    (m,) = machine.moves_of(s, "exit", [0])
    after = machine.describe(m.after)
    assert [after.get(f"{x}.live") for x in ("file0", "file1", "buffer0", "buffer1")] == [None, "True", "True", "True"]
    assert (after["buffer0.stale"], after["buffer1.stale"]) == ("True", "False")
    assert after["process0.fd[fd1]"] == "none"


def test_checks_are_looked_at_before_the_effects() -> None:
    machine = Interpreter(machines.files(leak=True), {"Fd": 1, "File": 1, "Buffer": 1})
    cells: dict[str, Value] = {"file0.live": True, "process0.fd[fd0]": "file0", "buffer0.live": True, "buffer0.uses": 2}
    s = machine.state_from(cells)
    (m,) = machine.moves_of(s, "attach", [0, 0])
    assert m.failed == ("files.I01",)  # and not range:Buffer.uses, which the run never comes to
    assert not machine.holds(property_of(machine, "files.I01"), s, m.after, m)


def test_steps_of_a_call() -> None:
    machine = Interpreter(machines.locks())
    s = next(machine.initial())
    (m,) = machine.moves_of(s, "work", [0, 1])
    (m,) = machine.moves_of(m.after, "work", [0], step="waits for a")
    assert machine.describe(m.after)["lock0.held"] == "True"
    (last,) = machine.moves_of(m.after, "work", [0], step="waits for b, holding a")
    law = property_of(machine, "locks.I01")
    assert machine.holds(law, m.after, last.after, last)
    still_held = machine.state_from({"lock0.held": True})  # the call is gone, but it had kept its argument
    assert not machine.holds(law, m.after, still_held, last)
    assert machine.enabled(s) == {"work"}


def test_holds_over_states_steps_and_calls() -> None:
    machine = Interpreter(machines.devices(), {"Device": 1})
    low = machine.state_from({"device0.power": "ON", "device0.level": 2})
    high = machine.state_from({"device0.power": "ON", "device0.level": 3})
    assert machine.holds(property_of(machine, "devices.I04"), low, high)
    assert not machine.holds(property_of(machine, "devices.I04"), high, low)
    assert not machine.holds(property_of(machine, "devices.R01"), low, low)
    wrong = Interpreter(machines.devices(step=2), {"Device": 1})
    (m, *_) = wrong.moves_of(low, "climb", [0])
    assert not wrong.holds(property_of(wrong, "devices.I05"), low, m.after, m)


def test_replay_refuses_what_is_not_a_run() -> None:
    machine = Interpreter(machines.devices(), {"Device": 1})
    s = next(machine.initial())
    (on,) = machine.moves_of(s, "switch", [0])
    (up, *_) = machine.moves_of(on.after, "climb", [0])
    run = Trace(machine.spec, machine.scope, s, (on, up))
    assert machine.replays(run)
    assert not machine.replays(replace(run, moves=(up, on)))
    assert not machine.replays(replace(run, initial=up.after))
    assert not machine.replays(replace(run, initial=on.after, moves=(up,)))  # nothing begins there
    assert not machine.replays(replace(run, moves=(on, replace(up, after=s))))


def test_nothing_comes_after_the_end_of_a_run() -> None:
    machine = Interpreter(machines.devices(step=3), {"Device": 1})
    s = next(machine.initial())
    (on,) = machine.moves_of(s, "switch", [0])
    out, *_ = machine.moves_of(on.after, "climb", [0])
    (off,) = machine.moves_of(on.after, "switch", [0])
    assert out.failed
    assert machine.replays(Trace(machine.spec, machine.scope, s, (on, out)))
    assert not machine.replays(Trace(machine.spec, machine.scope, s, (on, out, off)))


def test_a_range_check_that_is_stated_is_not_added() -> None:
    climb = next(c for c in machines.devices(step=3).cases if c.id == "climb.ok")
    assert list(range_checks(climb)) == ["range:Device.level"]
    stated = machines.check("range:Device.level", Read(machines.FAST, (Var("d", machines.DEVICE),)))
    assert range_checks(replace(climb, checks=(stated,))) == {}


def test_names_that_do_not_exist() -> None:
    machine = Interpreter(machines.devices())
    with pytest.raises(KeyError, match="device7"):
        machine.state_from({"device7.level": 3})
    with pytest.raises(ValueError, match="9"):
        machine.state_from({"device0.level": 9})
    with pytest.raises(KeyError, match="jump"):
        machine.moves_of(next(machine.initial()), "jump", [])
    with pytest.raises(ValueError, match="arguments"):
        machine.moves_of(next(machine.initial()), "climb", [])


def test_a_table_too_long_for_nested_ifs() -> None:
    spec = machines.devices()
    d = Var("d", machines.DEVICE)
    tests = [Eq(Read(machines.LEVEL, (d,)), machines.number(k)) for k in range(150, 0, -1)]
    for k, t in enumerate(tests):  # every row fails what the rows before it test
        guard = And(*map(Not, tests[:k]), t)
        spec.cases.append(machines.case("long", f"r{k}", guard, Errno.OK, params=(machines.given(d),)))
    machine = Interpreter(spec, {"Device": 1})
    assert [m.case.row for m in machine.moves_of(next(machine.initial()), "long", [0])] == ["r148"]


def test_guard_over_an_unknown_parameter() -> None:
    spec = machines.devices()
    ghost = Read(machines.FAST, (Var("nobody", machines.DEVICE),))
    spec.cases.append(machines.case("bad", "row", ghost, Errno.OK))
    with pytest.raises(ValueError, match=r"test\.py:1: bad\.row tests nobody\.fast"):
        list(Interpreter(spec).moves(next(Interpreter(spec).initial())))
