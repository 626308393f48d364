# SPDX-License-Identifier: Apache-2.0
"""dmabuf: the verdicts that the design question rests on, small numbers, and engines that agree."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import pytest

from accelspec.model.evaluate import Interpreter
from accelspec.model.explore import explore
from accelspec.model.explore.explored import Explored
from accelspec.model.explore.one_state import TableMoves
from accelspec.model.lock_order import lock_cycles
from accelspec.model.progress import progress
from accelspec.model.smt.induction import prove_inductive
from accelspec.model.smt.one_state import SolverMoves
from accelspec.model.tests.native_moves import NativeMoves
from accelspec.model.tests.test_agreement_uacce import explored, interpreted, moves_differ, native_differences, sample
from accelspec.model.verdict import Status
from accelspec.spec.catalogue import MACHINES
from accelspec.spec.language import Specification, compile_machine

DMABUF = {**MACHINES["dmabuf"], **MACHINES["locks"], **MACHINES["fences"]}
STRANGER, EVENTS, TWO = "a stranger", "resets, removal, killing", "two buffers"


@cache
def compiled(design: str) -> Specification:
    return compile_machine(DMABUF[design])


@cache
def looked_at(design: str, scope: str) -> Explored:
    spec = compiled(design)
    return explore(spec, spec.scopes[scope])


def rows(design: str, scope: str, law: str) -> list[str]:
    """The rows of the shortest trace."""
    verdict = looked_at(design, scope).verdict(law)
    assert verdict.trace is not None
    return [m.case.id for m in verdict.trace.moves]


# ---------------------------------------------------------------- what the answer to the design question rests on

FOUND_IN: dict[str, tuple[str, ...]] = {  # the scopes that it takes to find everything that is known
    "D0": (EVENTS,),
    "D0-v3": (EVENTS,),
    "D1": (EVENTS,),
    "D2a": (EVENTS,),
    "D2b": (EVENTS, TWO),
    "D2c": (EVENTS,),
    "D3a": (EVENTS,),
    "D3b": (EVENTS,),
    "D3b-v7": (EVENTS,),
    "D3t": (EVENTS, "two sessions"),
    "intended": (EVENTS,),
    "intended-strict": (EVENTS,),
}


@pytest.mark.parametrize("design", FOUND_IN)
def test_what_is_known_is_found_and_nothing_else(design: str) -> None:
    found = set[str]()
    for scope in FOUND_IN[design]:
        assert looked_at(design, scope).complete
        found |= set(looked_at(design, scope).violated)
    assert found == set(compiled(design).known)


def test_in_d0_the_memory_of_one_tenant_reaches_the_next() -> None:
    way = ["open.ok", "alloc.ok", "export.ok", "attach.ok", "close.ok", "end_session.ok", "open.ok", "alloc.ok"]
    found = rows("D0", EVENTS, "dmabuf.I26")
    assert len(found) == len(way)
    assert found.count("open.ok") == found.count("alloc.ok") == 2
    assert {"end_session.ok", "attach.ok"} <= set(found)


POOL_ONLY = {"alloc.exhausted", "free_memory.unknown"}  # answers of a chip whose driver gives memory out


@pytest.mark.parametrize("design", ["D0", "D0-v3", "D1", "D2a"])
def test_what_old_designs_break_is_a_run_of_a_chip_that_there_is(design: str) -> None:
    """Where user code gives memory out, all of it; where the driver does, all but a free under an export (X20)."""
    for law in looked_at(design, EVENTS).violated:
        found = set(rows(design, EVENTS, law))
        assert not found & POOL_ONLY
        assert law == "dmabuf.I28" or "free_memory.ok" not in found


REFUSED = {"D1": "open.owner_token", "D2a": "open.releasing", "D2b": "open.busy", "D2c": "open.busy"}


@pytest.mark.parametrize(("design", "row"), REFUSED.items())
def test_a_buffer_in_other_hands_keeps_the_next_owner_away(design: str, row: str) -> None:
    assert rows(design, EVENTS, "dmabuf.P07")[-1] == row


def test_in_d3b_a_revoke_completes_while_an_importer_is_attached() -> None:
    way = rows("D3b", EVENTS, "dmabuf.R04")
    assert {"attach.ok", "revoke.ok"} <= set(way)
    assert looked_at("D3b", EVENTS).verdict("dmabuf.R04").status is Status.PROVED


def test_without_the_fix_a_revoke_drops_its_first_reference_twice() -> None:
    way = rows("D3b-v7", EVENTS, "dmabuf.I22")
    assert way.count("revoke.ok") == 2


# ---------------------------------------------------------------- fences, and lock order

SCENARIOS = {  # what a cycle of locks, and a call that can never end, decide (facts 3.4); S7 and S8 are no lock cycles
    "adopted": set[str](),
    "inversion": {"dmabuf.I33", "deadlock"},
    "S1": {"dmabuf.I33", "deadlock"},
    "S2": {"deadlock"},
    "S3": {"deadlock"},
    "S4": {"deadlock"},
    "S5": {"dmabuf.I33", "deadlock"},
    "S6": {"deadlock"},
    "S9": {"dmabuf.I33", "deadlock"},
}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_scenarios_give_the_verdicts_that_the_facts_expect(scenario: str) -> None:
    spec = compiled(scenario)
    found = {v.property for v in progress(spec, spec.scopes["two threads"]) if v.status is Status.VIOLATED}
    assert found == SCENARIOS[scenario] == set(spec.known)


def test_the_inversion_is_found_within_two_threads_and_four_steps() -> None:
    spec = compiled("inversion")
    (deadlock,) = [v for v in progress(spec, spec.scopes["two threads"]) if v.property == "deadlock"]
    assert deadlock.trace is not None
    assert len(deadlock.trace.moves) <= 4
    assert {m.case.operation for m in deadlock.trace.moves} == {"deregister", "revoke"}


def test_the_adopted_order_has_no_cycle_of_locks() -> None:
    assert not lock_cycles(compiled("adopted"))
    assert lock_cycles(compiled("inversion"))


def test_fences_are_proved_for_any_number_of_objects() -> None:
    verdicts = prove_inductive(compiled("6.12"))
    assert {f"dmabuf.F{n:02}" for n in range(2, 9)} <= {v.property for v in verdicts}
    assert all(v.status is Status.PROVED and v.scope is None for v in verdicts)


@pytest.mark.slow
def test_intended_is_proved_for_any_number_of_objects() -> None:
    verdicts = [v for v in prove_inductive(compiled("intended")) if not v.property.startswith("range:")]
    assert [v.property for v in verdicts if v.status is not Status.PROVED or v.scope is not None] == []


# ---------------------------------------------------------------- numbers


def without_steps(spec: Specification, **sizes: int) -> dict[str, int]:
    """One object of every kind but for the sizes that are named, and no call in flight."""
    return {**{k.name: 0 for k in spec.kinds if k.is_call}, "Waiter": 0, "Vma": 0, **sizes}


def test_one_descriptor_number_counted_by_hand() -> None:
    """A buffer would need a second number.

    The memory: in the pool and scrubbed; allocated; back in the pool and not yet scrubbed.  Without a session only the
    first; with one, open or closing, all three: 1 + 2 * 3 = 7.  A process without a descriptor may have been
    killed: 1 + 3 more.  The device is there or removed: 2 * (7 + 4) = 22.
    """
    spec = compiled("D0")
    machine = Interpreter(spec, without_steps(spec, Message=0))
    assert explore(spec, machine.scope).states == 22


SMALL: dict[str, dict[str, int]] = {
    "D0": {"Fd": 2, "File": 2, "Message": 0},
    "D1": {"Fd": 2, "File": 2, "Message": 0},
    "D2c": {"Fd": 2, "File": 2, "Message": 0},
    "D3b": {"Fd": 2, "File": 2, "Message": 0, "revoke()": 1},
    "intended": {"Fd": 2, "File": 2, "Message": 0, "revoke()": 1},
}
STATES = {"D0": 1222, "D1": 864, "D2c": 119, "D3b": 1597, "intended": 1633}


@pytest.mark.parametrize("design", SMALL)
def test_explorer_and_interpreter_count_the_same(design: str) -> None:
    spec = compiled(design)
    machine = Interpreter(spec, without_steps(spec, **SMALL[design]))
    count = interpreted(machine)
    assert explored(machine)[:2] == (count.states, count.arcs)
    assert count.states == STATES[design]


# ---------------------------------------------------------------- every step of a random sample

SAMPLES: dict[str, Iterable[str]] = {"D0": (STRANGER,), "D2b": (TWO,), "D3b": (EVENTS, TWO), "intended": (STRANGER,)}


@pytest.mark.parametrize("design", SAMPLES)
def test_all_agree_on_every_step_of_a_sample(design: str) -> None:
    spec, machine_class = compiled(design), DMABUF[design]
    steps, taken = 0, set[str]()
    for name in SAMPLES[design]:
        machine = Interpreter(spec, {**spec.scopes[name], **{k.name: 1 for k in spec.kinds if k.is_call}})
        native = NativeMoves(machine_class, spec, machine.scope)
        tables, solver = TableMoves(machine), SolverMoves(spec, machine.scope)
        for at in sample(machine, seed=23, states=15):
            assert not native_differences(machine, native, at)
            assert not moves_differ(machine, tables.found, at)
            assert not moves_differ(machine, solver.found, at)
            steps += len(at.moves)
            taken |= {m.case.id for m in at.moves}
    assert steps >= 300
    assert len(taken) >= len(spec.rows()) / 3
