# SPDX-License-Identifier: Apache-2.0
"""Maps whose cells begin as something, and the pages of address spaces that are made of them."""

from pathlib import Path

import pytest

from accelspec.spec.dma_heap import DmaHeap
from accelspec.spec.language import SpecError, compile_machine
from accelspec.spec.tests.loading import load

MACHINE = """
from __future__ import annotations
from accelspec.spec.language import *

class Desk(Object, always=True):
    open: Map[Desk, bool] = Map(each={each})

class Desks(Machine):
    machine, revision, document = "desks", "1", "a test"

    @operation
    def ask(self, d: Desk) -> Result:
        if d.open[d]:
            return OK("open", deduced("a test"))
        return EBUSY("closed", deduced("a test"))
"""


def chosen(machine: type) -> set[str]:
    """The fields of what is always there that every initial state chooses."""
    return {f.name for f in compile_machine(machine).fields if f.kind.permanent and f.open_initially}


def test_nothing_is_mapped_in_the_beginning() -> None:
    assert chosen(DmaHeap) == {"Process.mm", "Address.number"}


def test_the_cells_of_a_map_begin_as_it_says(tmp_path: Path) -> None:
    assert chosen(load(tmp_path, MACHINE.format(each=True)).Desks) == set()
    assert chosen(load(tmp_path, MACHINE.replace("each={each}", "")).Desks) == {"Desk.open"}


def test_a_beginning_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    machine = load(tmp_path, MACHINE.format(each=7)).Desks
    with pytest.raises(SpecError, match="is a bool, and starts as 7"):
        compile_machine(machine)
