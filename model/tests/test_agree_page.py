# SPDX-License-Identifier: Apache-2.0
"""The machines of docs/language.md: both readings agree, and they break the laws that the page says they break."""

from __future__ import annotations

from types import ModuleType

import pytest

from accelspec.model.agree import agree
from accelspec.model.tests.plain_search import violated
from accelspec.spec.language import Machine, compile_machine
from accelspec.spec.tests.loading import page

MACHINES = "Channels SlowOpen Lawful Strict Open OpenV4 C1 C2 C0 D0 D2c D3"
TWO_OPENS = {"Fd": 2, "Channel": 2, "open()": 2}
SIZES = {
    "SlowOpen": TWO_OPENS,
    "Lawful": TWO_OPENS,
    "OpenV4": {"Hw": 1, "Queue": 2, "Handle": 2},
    "D0": {"Context": 1, "Memory": 1, "Buffer": 2},
}


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    return page(tmp_path_factory.mktemp("page"))


@pytest.mark.parametrize("name", MACHINES.split())
def test_both_readings_agree(name: str, module: ModuleType) -> None:
    machine: type[Machine] = getattr(module, name)
    spec = compile_machine(machine)
    a = agree(machine, spec, SIZES.get(name), seed=1, steps=500)
    assert not a.disagreements, "\n".join(map(str, a.disagreements))
    assert set(a.rows) == set(spec.rows())


def test_start_after_remove(module: ModuleType) -> None:
    sizes = {"Fd": 1, "Channel": 1}
    assert violated(compile_machine(module.Channels), sizes) == {"channels.I01": 3}  # open, remove, start
    assert violated(compile_machine(module.Strict), sizes) == {}


def test_the_laws_of_the_page_hold(module: ModuleType) -> None:
    found = violated(compile_machine(module.Lawful), SIZES["Lawful"])
    assert found == {"channels.I01": 4, "channels.S01": 6}  # open in two steps; S01 is reached


def test_designs(module: ModuleType) -> None:
    sizes = SIZES["D0"]
    assert violated(compile_machine(module.D0), sizes) == {"dmabuf.I28": 3}  # allocate, export, unmap
    assert violated(compile_machine(module.D2c), sizes) == {}
    assert violated(compile_machine(module.D3), sizes) == {}
