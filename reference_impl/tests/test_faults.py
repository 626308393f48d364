# SPDX-License-Identifier: Apache-2.0
"""Each historical bug, switched on alone, is seen; without it the same calls show nothing of it."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any, get_args

import pytest

from accelspec.reference_impl import (
    BEHAVIOURS,
    CALLBACKS,
    FAULTS,
    Behaviour,
    Call,
    Errno,
    Outcome,
    System,
    UsageError,
    checks,
    schedules,
)
from accelspec.reference_impl.faults import Kind, with_faults

MMIO, DUS = 0, 1
EVERY = list(FAULTS)


class Scene:
    """A system with one device, made with or without the fault."""

    def __init__(self, faults: list[str], behaviour: str) -> None:
        self.faults, self.behaviour = faults, behaviour

    def ready(self, **hardware: Any) -> System:
        system = System(self.behaviour, faults=self.faults, hardware=hardware)
        system.alloc(0)
        system.register(0)
        return system

    def opened(self, **hardware: Any) -> System:
        system = self.ready(**hardware)
        assert system.open(0, 0, 3) == 3
        return system


def rules(system: System) -> set[str]:
    return {finding.rule for finding in checks.end(system)}


# What is seen: (with the fault, without it).

Seen = tuple[object, object]


def s01(scene: Scene) -> object:
    system = scene.ready()
    system.inject("sva_bind", Errno.ENOMEM)
    return system.open(0, 0, 3), system.start(0, 3)


def s02(scene: Scene) -> object:
    system = scene.ready()
    system.inject("get_queue", Errno.EBUSY)
    system.open(0, 0, 3)
    system.exit(0)
    return len(system.observe()["bonds"]), "uacce.I06" in rules(system)


def s03(scene: Scene) -> object:
    system = scene.ready()
    system.inject("alloc:queue", Errno.ENOMEM)
    return system.open(0, 0, 3), len(system.observe()["bonds"]), "uacce.I06" in rules(system)


def s05(scene: Scene) -> object:
    system = scene.opened()
    system.remove(0)
    answer = system.mmap(0, 3, MMIO, 1)
    return answer > 0, "uacce.I03" in rules(system)


def s06(scene: Scene) -> object:
    system = scene.opened(capacity=1)
    system.mmap(0, 3, MMIO, 1)
    system.start(0, 3)
    system.put_q(0, 3)
    return system.start(0, 3), system.open(1, 0, 3), "uacce.I33" in {finding.rule for finding in checks.check(system)}


def s12(scene: Scene) -> object:
    system = scene.opened()
    system.mmap(0, 3, MMIO, 1)
    system.exit(0)
    return "lock order" in rules(system)


def c01(scene: Scene) -> object:
    system = scene.opened()
    system.driver_ioctl(0, 3)
    system.mmap(0, 3, MMIO, 1)
    return "lock order" in rules(system)


def s14(scene: Scene) -> object:
    system = scene.opened()
    system.munmap(system.mmap(0, 3, DUS, 2))
    return system.mmap(0, 3, DUS, 2) > 0, "leak" in rules(system)


def s29(scene: Scene) -> object:
    system = scene.opened()
    system.remove(0)
    return system.driver_ioctl(0, 3), "uacce.I03" in rules(system)


def s30(scene: Scene) -> object:
    def start() -> list[Call]:
        system = scene.opened()
        return [system.call("driver_ioctl", 0, 3), system.call("remove", 0)]

    return any(Outcome.OOPS in [call.result for call in done.calls] for done in schedules(start)) or race(
        "uacce.I03", start_systems(scene, ("driver_ioctl", 0, 3), ("remove", 0))
    )


def b01(scene: Scene) -> object:
    system = scene.opened()
    m = system.mmap(0, 3, MMIO, 1)
    system.remove(0)
    return system.touch(m, write=True), "uacce.I21" in {finding.rule for finding in checks.check(system)}


def b03(scene: Scene) -> object:
    system = scene.opened()
    m = system.mmap(0, 3, MMIO, 1)
    system.remove(0)
    return system.touch(m)


def b04(scene: Scene) -> object:
    system = scene.opened()
    system.exit(0)
    return "lock order" in rules(system)


def b05(scene: Scene) -> object:
    system = scene.opened()
    system.remove(0)
    return system.close(0, 3)


def b06(scene: Scene) -> object:
    def look(system: System) -> bool:
        return "uacce.I21" in {finding.rule for finding in checks.check(system)}

    return any(look(system) for system in start_systems(scene, ("open", 1, 0, 4), ("remove", 0)))


def b07(scene: Scene) -> object:
    system = scene.opened()
    system.munmap(system.mmap(0, 3, DUS, 2))
    return system.mmap(0, 3, DUS, 2) > 0, "uacce.I09" in {finding.rule for finding in checks.check(system)}


def b09a(scene: Scene) -> object:
    for system in start_systems(scene, ("mmap", 0, 3, MMIO, 1), ("remove", 0)):
        if "oops" in {finding.rule for finding in system.findings} or race("uacce.I03", iter([system])):
            return True
    return False


def b10(scene: Scene) -> object:
    system = scene.opened()
    m = system.mmap(0, 3, DUS, 2)
    return system.mremap(m, 2, 2, move=True), "double free" in rules(system)


def b11(scene: Scene) -> object:
    system = System(scene.behaviour, faults=scene.faults)
    system.alloc(0)
    system.inject("cdev_device_add", Errno.ENOMEM)
    system.register(0)
    return system.remove(0)


def b13(scene: Scene) -> object:
    system = scene.opened()
    size = system.read_sysfs(0, "region_dus_size")
    assert isinstance(size, str)
    return system.mmap(0, 3, DUS, int(size) // 4096) > 0


def b20(scene: Scene) -> object:
    system = scene.opened()
    return system.start(0, 3), system.put_q(0, 3), system.start(0, 3)


def i29(scene: Scene) -> object:
    names = ("get_isolate_state", "isolate_err_threshold_read", "isolate_err_threshold_write")
    system = scene.ready(callbacks=[name for name in CALLBACKS if name not in names])
    return system.read_sysfs(0, "isolate"), system.write_sysfs(0, "isolate_strategy", "1")


def l1(scene: Scene) -> object:
    system = scene.opened(capacity=1)
    system.begin_reset(0)
    system.close(0, 3)
    system.end_reset(0)
    return system.open(1, 0, 3), "uacce.L01" in rules(system)


def start_systems(scene: Scene, *calls: tuple[Any, ...]) -> Any:
    """Yield the system after every order of the given calls, with one queue open before."""
    systems: list[System] = []

    def start() -> list[Call]:
        systems.append(scene.opened())
        return [systems[-1].call(*call) for call in calls]

    for _ in schedules(start):
        yield systems[-1]


def race(rule: str, systems: Any) -> bool:
    return any(rule in {finding.rule for finding in system.findings} for system in systems)


SCENES: dict[str, tuple[Callable[[Scene], object], Seen]] = {
    "S-01": (s01, ((3, Outcome.OOPS), (Errno.ENOMEM, Errno.EBADF))),
    "S-02": (s02, ((1, True), (0, False))),
    "S-03": (s03, ((Errno.ENOMEM, 1, True), (Errno.ENOMEM, 0, False))),
    "S-05": (s05, ((True, True), (False, False))),
    "S-06": (s06, ((Errno.ENXIO, 3, True), (0, Errno.EBUSY, False))),
    "S-12": (s12, (True, False)),
    "C-01": (c01, (True, False)),
    "S-14": (s14, ((False, True), (True, False))),
    "S-29": (s29, ((0, True), (Errno.ENXIO, False))),
    "S-30": (s30, (True, False)),
    "B-01": (b01, ((0, True), (Outcome.SIGBUS, False))),
    "B-03": (b03, (Outcome.OOPS, Outcome.SIGBUS)),
    "B-04": (b04, (True, False)),
    "B-05": (b05, (Outcome.OOPS, 0)),
    "B-06": (b06, (True, False)),
    "B-07": (b07, ((False, True), (True, False))),
    "B-09a": (b09a, (True, False)),
    "B-10": (b10, ((0, True), (Errno.EPERM, False))),
    "B-11": (b11, (Outcome.OOPS, 0)),
    "B-13": (b13, (False, True)),
    "B-20": (b20, ((0, 0, Errno.ENXIO), (0, 0, 0))),
    "I29": (i29, ((Outcome.OOPS, Outcome.OOPS), (Errno.ENOENT, Errno.ENOENT))),
    "L1": (l1, ((Errno.EBUSY, True), (3, False))),
}


def test_every_fault_has_a_scene() -> None:
    assert list(SCENES) == list(FAULTS)
    kinds = [fault.kind for fault in FAULTS.values()]
    assert all(kinds.count(kind) >= 2 for kind in get_args(Kind))


def test_every_fault_changes_something_that_there_is() -> None:
    names = {field.name for field in fields(Behaviour)}
    for fault in FAULTS.values():
        assert set(fault.change) <= names
        assert with_faults(BEHAVIOURS["6.12.117"], [fault.id]) != BEHAVIOURS["6.12.117"]


@pytest.mark.parametrize("fault", EVERY)
def test_fault_is_seen(fault: str) -> None:
    scene, (with_it, _) = SCENES[fault]
    assert scene(Scene([fault], "6.12.117")) == with_it


@pytest.mark.parametrize("fault", EVERY)
@pytest.mark.parametrize("behaviour", list(BEHAVIOURS))
def test_nothing_is_seen_without_it(behaviour: str, fault: str) -> None:
    scene, (_, without_it) = SCENES[fault]
    assert scene(Scene([], behaviour)) == without_it


def test_unknown_fault_is_named_and_faults_combine() -> None:
    with pytest.raises(UsageError, match="did you mean 'B-09a'"):
        System(faults=["B-09"])
    assert System(faults=["S-02", "S-29", "S-05"]).behaviour.remove_clears_ops is False


def test_residue_names_what_a_failing_call_left() -> None:
    system = Scene(["S-02"], "6.12.117").ready()
    before = system.observe()
    system.inject("get_queue", Errno.EBUSY)
    system.open(0, 0, 3)
    left = checks.residue(before, system.observe())
    assert len(left) == 1
    assert left[0].startswith("/bonds: [] became [{'device': 0")
