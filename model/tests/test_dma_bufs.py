# SPDX-License-Identifier: Apache-2.0
"""The machines `dma_heap`, `udmabuf` and `sync_file`: both readings agree, and violations are where they are listed."""

import pytest

from accelspec.model.agree import agree
from accelspec.model.evaluate import Interpreter
from accelspec.model.explore import explore
from accelspec.model.tests.counting import Count, counted
from accelspec.model.tests.native_moves import NativeMoves
from accelspec.model.verdict import Status
from accelspec.spec.dma_heap import DmaHeap
from accelspec.spec.language import Machine, compile_machine
from accelspec.spec.sync_file import SyncFiles
from accelspec.spec.udmabuf import Udmabufs

MACHINES = [pytest.param(m, id=m.machine) for m in (DmaHeap, Udmabufs, SyncFiles)]
SMALL = {"Fd": 2, "File": 2, "Message": 0, "Vma": 0, "Waiter": 0}


def scope_of(machine: type[Machine]) -> dict[str, int]:
    kinds = {k.name for k in compile_machine(machine).kinds}
    return {kind: n for kind, n in SMALL.items() if kind in kinds}


@pytest.mark.parametrize("machine", MACHINES)
def test_both_readings_agree(machine: type[Machine]) -> None:
    spec = compile_machine(machine)
    for scope in spec.scopes.values():
        a = agree(machine, spec, scope, seed=5, steps=20, most=1)
        assert not a.disagreements, "\n".join(map(str, a.disagreements))


# The states, arcs and calls that can be reached with two descriptors and one object of what is not named.
NUMBERS = {
    "dma_heap": Count(356, 1941, 27612),
    "udmabuf": Count(989, 6523, 91672),
    "sync_file": Count(295, 1044, 8160),
}


@pytest.mark.parametrize("machine", MACHINES)
def test_explorer_interpreter_and_native_run_count_the_same(machine: type[Machine]) -> None:
    spec = compile_machine(machine)
    scope = scope_of(machine)
    interpreter = Interpreter(spec, scope)
    assert counted(interpreter.initial(), NativeMoves(machine, spec, scope).calls_from) == NUMBERS[machine.machine]
    for engine in ("numpy", "plain"):
        assert explore(spec, scope, engine=engine).states == NUMBERS[machine.machine].states


@pytest.mark.slow
@pytest.mark.parametrize("machine", MACHINES)
def test_violations_are_those_that_are_listed(machine: type[Machine]) -> None:
    spec = compile_machine(machine)
    found: dict[str, str] = {}
    for scope in spec.scopes.values():
        explored = explore(spec, scope)
        assert explored.complete
        for v in explored.verdicts:
            if v.status is Status.VIOLATED and v.trace is not None:
                found[v.property] = v.trace.moves[-1].case.id
    assert found == {law: known.row for law, known in spec.known.items()}
