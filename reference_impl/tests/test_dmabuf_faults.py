# SPDX-License-Identifier: Apache-2.0
"""Each historical bug of dma-buf, switched on alone, is seen; without it the same calls show nothing of it."""

from collections.abc import Callable, Sequence
from dataclasses import fields

import pytest

from accelspec.reference_impl import Call, Errno, Scheduler, UsageError, schedules
from accelspec.reference_impl.compute import Op, Request
from accelspec.reference_impl.dmabuf import DESIGNS, FAULTS, Design, Kind, System, Usage, checks
from accelspec.reference_impl.dmabuf.faults import with_faults
from accelspec.reference_impl.dmabuf.jobs import DEPTH
from accelspec.reference_impl.kernel import PAGE, Outcome

SIZE = 2 * PAGE
Scene = Callable[[System], None]


def buffer(system: System, size: int = SIZE) -> int:
    """Process 0 opens the device as 3 and exports an allocation of `size` bytes."""
    system.open(0, 0, 3)
    return system.export(0, 3, device_address(system, size), size)


def device_address(system: System, size: int = SIZE) -> int:
    handle = system.mem_alloc(0, 3, size)
    return handle if system.design.addressing == "handle" else system.mem_map(0, 3, handle)


def b03(system: System) -> None:
    system.open(0, 0, 3)
    address = device_address(system)
    system.limit(0, 1)
    assert system.export(0, 3, address, SIZE) == Errno.EMFILE


def b06(system: System) -> None:
    system.open(0, 0, 3)
    address = device_address(system)
    before = system.observe()
    system.inject("copy_to_user")
    assert system.export(0, 3, address, SIZE) == Errno.EFAULT
    for line in checks.residue(before, system.observe()):
        system.kernel.findings.report("dmabuf.I03", line)


def b08(system: System) -> None:
    buffer(system)
    system.revoke(0)
    if system.close(0, 3) == Outcome.WOULD_BLOCK:
        system.kernel.findings.report("dmabuf.P01", "the revoke does not end")


def b09(system: System) -> None:
    t = system.attach(0, buffer(system), Kind.PINNED)
    if t > 0 and system.pin(t) == 0:
        system.map(t)
    system.revoke(0)


def b11(system: System) -> None:
    n = buffer(system)
    system.inject("alloc:mapping")
    assert system.register(0, n, 0, PAGE, revocable=True) == Errno.ENOMEM


def b12(system: System) -> None:
    n = buffer(system)
    system.deregister(0, system.register(0, n, 0, PAGE, revocable=True))
    system.register(0, n, 0, PAGE, revocable=True)
    system.revoke(0)


def b14(system: System) -> None:
    n = buffer(system)
    system.inject("alloc:region")
    assert system.register(0, n, 0, PAGE, revocable=True) == Errno.ENOMEM


def b15(system: System) -> None:
    t = system.attach(0, buffer(system), Kind.DYNAMIC_P2P)
    system.map(t)
    system.suspend(0)


def b16(system: System) -> None:
    n = buffer(system)
    system.inject("copy_to_user")
    assert system.query(0, n) == Errno.EFAULT


def b17(system: System) -> None:
    system.open(0, 0, 3)
    address = device_address(system)
    first = system.export(0, 3, address, SIZE)
    system.export(0, 3, address, PAGE, PAGE)
    system.map(system.attach(0, first, Kind.DYNAMIC_P2P))


def b19(system: System) -> None:
    buffer(system)
    system.close(0, 3)
    if system.open(1, 0) == Errno.EAGAIN:
        system.kernel.findings.report("dmabuf.I02", "what an open has made outlives its file")


def b20(system: System) -> None:
    buffer(system)
    system.close(0, 3)
    if system.devices[0].used == 0:
        system.kernel.findings.report("dmabuf.I28", "exported memory is in the pool")


def b41(system: System) -> None:
    n = buffer(system)
    system.attach(0, n, Kind.DYNAMIC_P2P)
    system.close(0, n)


def b27(system: System) -> None:
    system.open(0, 0, 3)
    address = device_address(system)
    system.inject("alloc:file")
    assert system.export(0, 3, address, SIZE) == Errno.ENOMEM


def b28(system: System) -> None:
    n = buffer(system)
    system.export(0, 3, device_address(system), SIZE)
    assert n == 0


def b29(system: System) -> None:
    system.wait_fences(0, buffer(system), Usage.BOOKKEEP, 0)


def b31(system: System) -> None:
    """The earlier fence of a timeline comes into a reservation that has the later one."""
    one, other = buffer(system), system.export(0, 3, device_address(system), SIZE)
    system.fence(0, one, Usage.WRITE, timeline=1)
    system.fence(0, other, Usage.WRITE, timeline=1)
    earlier = system.export_sync_file(0, one, 1)
    assert system.import_sync_file(0, other, 2, earlier) == 0


def b32(system: System) -> None:
    n = buffer(system)
    system.fence(0, n, Usage.BOOKKEEP)
    system.signal(0, system.fence(0, n, Usage.BOOKKEEP))
    assert system.wait_fences(0, n, Usage.BOOKKEEP, 0) >= 0


def b33(system: System) -> None:
    n = buffer(system)
    f = system.fence(0, n, Usage.WRITE)
    system.close(0, n)
    system.signal(0, f)


def b35(system: System) -> None:
    m = system.mmap(0, buffer(system), 2)
    system.mremap(0, m, 3)
    system.touch(m, 2)


def b37(system: System) -> None:
    system.open(0, 0, 3)
    system.export(0, 3, device_address(system), PAGE + (1 << 32))


def b46(system: System) -> None:
    system.open(1, 1, 3)
    message = system.send(0, buffer(system))
    n = system.receive(1, message)
    address = system.import_buffer(1, 3, n)
    request = Request(Op.SUM, n=4, src0=address, dst=address, room=4)
    assert [system.submit(1, 3, request) for _ in range(DEPTH + 1)] == [0] * DEPTH + [Errno.EAGAIN]


def b48(system: System) -> None:
    system.map(system.attach(0, buffer(system), Kind.DYNAMIC_P2P))


def b50(system: System) -> None:
    t = system.attach(0, buffer(system), Kind.DYNAMIC_P2P)
    system.revoke(0)
    system.map(t)


SCENES: dict[str, Scene] = {
    "B03": b03,
    "B04": b03,
    "B06": b06,
    "B08": b08,
    "B09": b09,
    "B11": b11,
    "B12": b12,
    "B14": b14,
    "B15": b15,
    "B16": b16,
    "B17": b17,
    "B19": b19,
    "B20": b20,
    "B27": b27,
    "B28": b28,
    "B29": b29,
    "B31": b31,
    "B32": b32,
    "B33": b33,
    "B35": b35,
    "B37": b37,
    "B41": b41,
    "B46": b46,
    "B48": b48,
    "B50": b50,
}

# Two calls that meet, on a system that is made anew for each order.

Meeting = Callable[[System], Sequence[Call]]


def m01(system: System) -> Sequence[Call]:
    system.open(0, 0, 3)
    address = device_address(system)
    return [system.call("export", 0, 3, address, SIZE), system.call("close", 0, 0)]


def listing(system: System) -> Call:
    lines: list[str] = []
    task = system.kernel.spawn(9).task("bufinfo")
    return Call(task, system.core.debug_listing(task, lines), system.kernel.findings.report)


def m24(system: System) -> Sequence[Call]:
    return [system.call("close", 0, buffer(system)), listing(system)]


def m25(system: System) -> Sequence[Call]:
    n = buffer(system)
    system.set_name(0, n, "old")
    return [listing(system), system.call("set_name", 0, n, "new")]


def m43(system: System) -> Sequence[Call]:
    return [system.call("close", 0, buffer(system)), system.call("revoke", 0)]


def m45(system: System) -> Sequence[Call]:
    t = system.attach(0, buffer(system), Kind.DYNAMIC_P2P)
    return [system.call("map", t), system.call("map", t)]


MEETINGS: dict[str, Meeting] = {"B01": m01, "B24": m24, "B25": m25, "B43": m43, "B45": m45}

EVERY = list(FAULTS)
BESIDE = {  # what a detector calls the same violation
    "dmabuf.I01": {"dmabuf.I02", "use after free"},
    "dmabuf.I02": {"double free", "use after free"},
    "dmabuf.I03": {"double free", "use after free", "leak", "dmabuf.I04"},
    "dmabuf.I33": {"lock order", "oops"},
}


def seen(fault: str, faults: Sequence[str]) -> set[str]:
    """The rules that are broken in the scene of `fault`, in its base design with `faults` in it."""
    base = DESIGNS[FAULTS[fault].base]
    found: set[str] = set()
    if fault in SCENES:
        system = System(base, faults=faults)
        SCENES[fault](system)
        found = {finding.rule for finding in checks.check(system)}
        return found | ({finding.rule for finding in checks.end(system)} if fault in ("B03", "B04") else set())
    systems: list[System] = []

    def start() -> Sequence[Call]:
        systems.append(System(base, faults=faults))
        return MEETINGS[fault](systems[-1])

    for run in schedules(start):
        assert isinstance(run, Scheduler)
        found |= {finding.rule for finding in checks.check(systems[-1])}
    return found


@pytest.mark.parametrize("fault", EVERY)
def test_the_bug_is_seen(fault: str) -> None:
    wanted = {rule for law in FAULTS[fault].violates for rule in (law, *BESIDE.get(law, ()))}
    assert seen(fault, [fault]) & wanted


@pytest.mark.parametrize("fault", EVERY)
def test_without_it_nothing_is_seen(fault: str) -> None:
    assert seen(fault, []) <= set(checks.KNOWN[FAULTS[fault].base])


def test_every_fault_has_one_scene() -> None:
    assert sorted([*SCENES, *MEETINGS]) == sorted(FAULTS)


def test_every_guard_is_taken_away_by_a_fault() -> None:
    guards = [f.name for f in fields(Design) if f.name != "name"]
    guards = guards[guards.index("publishes_last") :]
    changed = {name for fault in FAULTS.values() for name in fault.change}
    assert set(guards) == changed - {"pin", "requires_revocable", "holds"}


def test_two_bugs_combine_and_contradictions_are_refused() -> None:
    both = with_faults(DESIGNS["D2c"], ["B17", "B31"])
    assert (both.range_is_the_buffers, both.replaces_only_older) == (False, False)
    with pytest.raises(UsageError, match="did you mean 'B17'"):
        with_faults(DESIGNS["D2c"], ["B117"])
