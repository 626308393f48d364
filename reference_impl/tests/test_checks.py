# SPDX-License-Identifier: Apache-2.0
"""Each run-time law, broken on purpose: by a bug where one breaks it, else by tampering with the state."""

from collections.abc import Callable

import pytest

from accelspec.reference_impl import Errno, System, checks
from accelspec.reference_impl.lifecycle import DeviceState


def two_queues(behaviour: str = "intended", faults: tuple[str, ...] = ()) -> System:
    system = System(behaviour, faults=faults, hardware={"capacity": 3})
    system.alloc(0)
    system.register(0)
    system.open(0, 0, 3)
    system.open(1, 0, 3)
    system.start(0, 3)
    system.touch(system.mmap(0, 3, 1, 2))
    return system


def without_queue() -> System:
    system = two_queues(faults=("S-01",))
    system.inject("sva_bind", Errno.ENOMEM)
    system.open(0, 0, 5)
    return system


def bound_too_often() -> System:
    system = two_queues()
    next(iter(system.kernel.iommu.bonds.values())).refs += 1
    return system


def slot_forgotten() -> System:
    system = two_queues()
    system.framework.queues[1].slots[1] = None
    return system


def slot_dangling() -> System:
    system = two_queues("6.12.117", faults=("B-07",))
    system.munmap(next(iter(system.mappings)))
    return system


def slot_of_another_call() -> System:
    system = two_queues()
    region = system.framework.queues[1].slots[1]
    assert region is not None
    region.call = 99
    return system


def given_back_while_mapped() -> System:
    system = two_queues(faults=("S-06",))
    system.put_q(0, 3)
    return system


def removed_and_still_mapped() -> System:
    system = two_queues(faults=("B-01",))
    system.remove(0)
    return system


def freed_under_its_queues() -> System:
    system = two_queues()
    device = system.providers[0].device
    assert device is not None
    device.state = DeviceState.FREED
    return system


def not_listed() -> System:
    system = two_queues()
    q = system.framework.queues[2]
    del q.device.queues[q]
    return system


def started_twice() -> System:
    system = two_queues()
    system.framework.queues[2].counts["start"] += 1
    return system


def one_hardware_queue_twice() -> System:
    system = two_queues()
    system.framework.queues[2].priv = system.framework.queues[1].priv
    return system


def capacity_leaks() -> System:
    system = two_queues()
    system.providers[0].queues[2].owner = system.framework.queues[1]
    return system


def available_lies() -> System:
    system = two_queues()
    system.providers[0].in_use += 1
    return system


def one_pasid_for_two() -> System:
    system = two_queues()
    system.framework.queues[2].pasid = system.framework.queues[1].pasid
    return system


def sleeper_left() -> System:
    system = two_queues("6.12.117")
    system.poll(0, 3, block=True)
    system.remove(0)
    return system


def pasid_kept() -> System:
    system = two_queues()
    mm = system.kernel.processes[1].mm
    mm.users = mm.pins = 0
    return system


BROKEN: list[tuple[str, Callable[[], System]]] = [
    ("uacce.I05", without_queue),
    ("uacce.I06", bound_too_often),
    ("uacce.I09", slot_forgotten),
    ("uacce.I09", slot_dangling),
    ("uacce.I09", slot_of_another_call),
    ("uacce.I19", given_back_while_mapped),
    ("uacce.I21", removed_and_still_mapped),
    ("uacce.I22", freed_under_its_queues),
    ("uacce.I27", not_listed),
    ("uacce.I32", started_twice),
    ("uacce.I33", one_hardware_queue_twice),
    ("uacce.I34", capacity_leaks),
    ("uacce.I34", available_lies),
    ("uacce.I35", one_pasid_for_two),
    ("uacce.L03", sleeper_left),
    ("uacce.L04", pasid_kept),
]


@pytest.mark.parametrize(("law", "make"), BROKEN, ids=lambda value: getattr(value, "__name__", str(value)))
def test_broken_law_is_found(law: str, make: Callable[[], System]) -> None:
    assert law in {finding.rule for finding in checks.check(make())}


def test_every_law_was_seen_broken() -> None:
    assert {law.id for law in checks.CHECKS} == {law for law, _ in BROKEN}


def test_whole_system_breaks_no_law() -> None:
    for behaviour in checks.KNOWN:
        assert checks.check(two_queues(behaviour)) == []


def test_known_violations_are_not_unexpected() -> None:
    system = sleeper_left()
    assert checks.unexpected(system) == []
    assert {finding.rule for finding in checks.check(system)} == {"uacce.I19", "uacce.L03"}


def test_what_is_left_at_the_end_is_named() -> None:
    system = two_queues("6.12.117", faults=("S-14",))
    system.munmap(next(iter(system.mappings)))
    assert "leak: 1 of region" in [str(finding) for finding in checks.end(system)]
