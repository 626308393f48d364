# SPDX-License-Identifier: Apache-2.0
"""Tests: explore search."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from accelspec.model.evaluate import Interpreter
from accelspec.model.explore import Explored, Reached, conclude, explore
from accelspec.model.tests import machines
from accelspec.model.trace import Trace
from accelspec.model.verdict import Budget, Status
from accelspec.spec.language.specification import Class, Specification


def plain(spec: Specification, scope: dict[str, int] | None = None) -> Explored:
    return explore(spec, scope, engine="plain")


def shown(trace: Trace) -> list[str]:
    return [str(s) for s in trace.steps()]


def test_counts_by_hand() -> None:
    """One device: OFF at 2; ON at 2, 3, 4; and, if it is fast, BROKEN at 2 and 3: 4 and 6 states."""
    e = plain(machines.devices(), {"Device": 1})
    assert e.complete
    assert e.states == 4 + 6
    assert e.depth == 3
    # slow: OFF has switch, climb.off; ON at 2 and 3 has switch and twice climb.ok; ON at 4 has switch, top and crash
    # fast: the same, and climb.breaks instead of one climb.ok; BROKEN at 2 and 3: switch.broken and climb.off
    assert e.transitions == (2 + 3 + 3 + 3) + (2 + 3 + 3 + 3 + 2 + 2)
    assert e.rows == {
        "switch.broken": 2,
        "switch.ok": 8,
        "climb.off": 4,
        "climb.top": 2,
        "climb.breaks": 2,
        "climb.ok": 6,
        "crash.all_at_the_top": 2,
    }


def test_verdicts() -> None:
    e = plain(machines.devices())
    status = {v.property: v.status for v in e.verdicts}
    assert status == {
        "devices.I01": Status.EXHAUSTED,
        "devices.I02": Status.VIOLATED,
        "devices.I03": Status.EXHAUSTED,
        "devices.I04": Status.VIOLATED,
        "devices.I05": Status.EXHAUSTED,
        "devices.R01": Status.PROVED,
        "devices.R02": Status.VACUOUS,
        "range:Device.level": Status.EXHAUSTED,
    }
    assert shown(e.violated["devices.I02"]) == [
        "switch(device1) -> OK",  # the first initial state with a fast device has it there
        "climb(device1) while motor fails -> EIO",
    ]
    assert [m.case.id for m in e.violated["devices.I04"].moves] == ["switch.ok", "climb.ok", "switch.ok"]
    witness = e.verdict("devices.R01").trace
    assert witness is not None
    assert len(witness) == 3


def test_range_violation_has_a_verdict_without_a_property() -> None:
    assert shown(plain(machines.devices(step=3)).violated["range:Device.level"])[-1] == "climb(device0) -> OK"
    e = plain(machines.devices(step=2))
    assert e.verdict("range:Device.level").status is Status.EXHAUSTED
    assert len(e.violated["devices.I05"]) == 2


def test_checks_end_the_run() -> None:
    e = plain(machines.files(leak=True), {"Fd": 2, "File": 2, "Buffer": 1})
    trace = e.violated["files.I01"]
    assert trace.moves[-1].failed == ("files.I01",)
    assert trace.moves[-1].after == trace.moves[-2].after
    assert len(trace) == 8  # alloc, twice open and attach, close (the use stays), open and attach
    assert e.verdict("files.R01").status is Status.PROVED


def test_check_that_nobody_meets_is_vacuous() -> None:
    spec = machines.files()
    spec = replace(spec, cases=[c for c in spec.cases if c.operation != "alloc"])
    e = plain(spec)
    assert e.verdict("files.I01").status is Status.VACUOUS
    assert e.verdict("files.R01").status is Status.VACUOUS
    assert {"attach.ok", "attach.taken"} <= set(e.dead_rows)


def test_not_applicable_and_two_runs_are_not_decided() -> None:
    spec = machines.devices()
    spec.not_applicable["devices.I02"] = "these never break"
    spec.properties[3] = replace(spec.properties[3], cls=Class.TWO_RUNS)
    e = plain(spec)
    assert e.verdict("devices.I02").status is Status.NOT_APPLICABLE
    assert e.verdict("devices.I04").status is Status.UNKNOWN


def test_budget_ends_early_with_what_holds_so_far() -> None:
    told: list[str] = []
    looked = 0

    def stop() -> bool:
        nonlocal looked
        looked += 1
        return looked > 6

    e = explore(machines.files(), {"Fd": 3, "File": 3, "Buffer": 2}, Budget(stop=stop, tell=told.append), "plain")
    assert not e.complete
    assert e.stopped == "out of budget"
    assert told
    v = e.verdict("live:Process.fd")
    assert (v.status, v.depth) == (Status.HOLDS_TO, e.depth)
    assert e.verdict("files.I01").status is Status.HOLDS_TO
    assert e.depth < plain(machines.files(), {"Fd": 3, "File": 3, "Buffer": 2}).depth


def test_memory_ends_early() -> None:
    e = explore(machines.files(), {"Fd": 3, "File": 3, "Buffer": 2}, engine="plain", memory=20_000)
    assert "memory" in e.stopped
    assert e.states < 500


def test_nothing_looked_at_is_unknown() -> None:
    e = explore(machines.files(), None, Budget(stop=lambda: True), "plain")
    assert {v.status for v in e.verdicts} == {Status.UNKNOWN}


@pytest.mark.parametrize(("who", "status"), [(lambda t: True, Status.VIOLATED), (lambda t: False, Status.UNKNOWN)])
def test_a_second_replay_has_a_veto(who: Callable[[Trace], bool], status: Status) -> None:
    e = explore(machines.devices(), engine="plain", replay=who)
    assert e.verdict("devices.I02").status is status


def test_a_trace_that_is_no_run_is_not_believed() -> None:
    machine = Interpreter(machines.devices())
    first, *_, last = machine.initial()
    wrong = Trace(machine.spec, machine.scope, last, explore(machine.spec).violated["devices.I02"].moves[1:])
    cases = [1] * len(machine.spec.cases)
    reached = Reached(
        1, 1, 1, "", cases, {"devices.I02": wrong, "devices.I01": replace(wrong, moves=())}, {}, frozenset()
    )
    e = conclude(machine, "explore:broken", reached, None, None)
    assert first != last
    for id in ("devices.I01", "devices.I02"):
        assert e.verdict(id).status is Status.UNKNOWN
        assert "does not follow" in e.verdict(id).reason


def test_unknown_engine() -> None:
    with pytest.raises(ValueError, match="plain"):
        explore(machines.devices(), engine="fast")
