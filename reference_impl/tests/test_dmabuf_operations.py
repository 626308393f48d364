# SPDX-License-Identifier: Apache-2.0
"""Sharing device memory, operation by operation, as the tables of the fact sheet say (its sections 2.1 to 2.8, 7.3)."""

from collections.abc import Callable
from typing import Any

import pytest

from accelspec.reference_impl import Errno, Outcome, UsageError
from accelspec.reference_impl.dmabuf import (
    DESIGNS,
    DeviceState,
    Direction,
    Era,
    FreePolicy,
    Kind,
    System,
    Usage,
    checks,
)
from accelspec.reference_impl.dmabuf.addresses import address_list
from accelspec.reference_impl.kernel import PAGE

E = Errno
WORD = 1 << 64
SIZE = 2 * PAGE
IN, OUT = 1, 4
REVOKING = ("D3a", "D3b", "D3t", "intended")
VIRTUAL = ("D2b", "D2c", "D3a", "D3b", "intended")


def ready(design: str, **options: Any) -> tuple[System, int]:
    """A system whose process 0 has device 0 open as 3 and two pages of it; and how they are exported."""
    system = System(design, **options)
    assert system.open(0, 0, 3) == 3
    handle = system.mem_alloc(0, 3, SIZE)
    if not system.devices[0].mmu:
        return system, PAGE if system.design.region_guards else system.devices[0].user_base
    return system, handle if system.design.addressing == "handle" else system.mem_map(0, 3, handle)


def shared(design: str, **options: Any) -> tuple[System, int]:
    """The same, exported as descriptor 4."""
    system, address = ready(design, **options)
    assert system.export(0, 3, address, SIZE, fd=4) == 4
    return system, address


def ends_clean(system: System) -> None:
    known = checks.KNOWN[system.design.name]
    assert [finding for finding in checks.end(system) if finding.rule not in known] == []


# ---------------------------------------------------------------------- export


@pytest.mark.parametrize("design", VIRTUAL)
def test_what_is_exported_by_device_address(design: str) -> None:
    system, address = ready(design)
    uneven = SIZE if design == "D2b" else E.EINVAL  # D2b took any size of a page or more
    assert system.export(0, 3, address + PAGE, PAGE) == E.EINVAL  # unknown
    assert system.export(0, 3, 7, PAGE) == E.EINVAL
    assert system.export(0, 3, address, 0) == E.EINVAL
    assert system.export(0, 3, address, PAGE, 1) == E.EINVAL
    assert system.export(0, 3, address, SIZE, PAGE) == E.EINVAL  # beyond the end
    if uneven == E.EINVAL:
        assert system.export(0, 3, address, PAGE + 1) == E.EINVAL
    else:
        assert system.export(0, 3, address, PAGE + 1, fd=9) == 9
    assert system.export(0, 3, address, PAGE, PAGE, fd=5) == 5
    ends_clean(system)


@pytest.mark.parametrize("design", ["D2b", "D2c"])
def test_an_offset_that_wraps_passes_and_is_seen(design: str) -> None:
    system, address = ready(design)
    assert system.export(0, 3, address, SIZE, WORD - PAGE) >= 0
    assert {finding.rule for finding in checks.check(system)} == {"dmabuf.I07"}
    assert checks.unexpected(system) == []


def test_the_sum_is_checked_in_intended() -> None:
    system, address = ready("intended")
    assert system.export(0, 3, address, SIZE, WORD - PAGE) == E.EINVAL


@pytest.mark.parametrize("design", ["D0", "D1"])
def test_what_is_exported_by_handle(design: str) -> None:
    system, handle = ready(design)
    assert system.export(0, 3, handle + 1) == E.EINVAL
    assert system.export(0, 3, handle + (1 << 32)) == E.EINVAL
    assert system.export(0, 3, handle, fd=5) == 5
    assert system.query(0, 5) == SIZE
    ends_clean(system)


def test_d2a_has_no_handles() -> None:
    system = System("D2a", mmu=True)
    system.open(0, 0, 3)
    assert system.export(0, 3, system.mem_alloc(0, 3, PAGE), PAGE) == E.EOPNOTSUPP


@pytest.mark.parametrize("design", ["D0", "D2a", "D2b", "D2c", "intended"])
def test_what_is_exported_by_physical_address(design: str) -> None:
    system, base = ready(design, mmu=False, pages=8, bar_pages=4)
    assert system.mem_alloc(0, 3, PAGE) == 0
    assert system.export(0, 3, base + 1, PAGE) == E.EINVAL
    assert system.export(0, 3, base, PAGE, PAGE) == E.EINVAL
    assert system.export(0, 3, base, 0) == E.EINVAL
    assert system.export(0, 3, base - PAGE, PAGE) == E.EINVAL  # the firmware's
    assert system.export(0, 3, base, 8 * PAGE) == E.EINVAL  # beyond the memory
    assert system.export(0, 3, base + 3 * PAGE, PAGE) == E.EINVAL  # beyond the BAR
    assert system.export(0, 3, base, WORD) == E.EINVAL
    assert system.export(0, 3, base, SIZE, fd=5) == 5
    assert system.export(0, 3, base + PAGE, SIZE, fd=6) == 6  # overlapping is allowed
    ends_clean(system)


@pytest.mark.parametrize("design", ["D3a", "D3b"])
def test_what_is_exported_by_ranges_of_the_bar(design: str) -> None:
    system, _ = ready(design, mmu=False, pages=8)
    assert system.export(0, 3, 0, 0, ranges=[]) == E.EINVAL
    assert system.export(0, 3, 0, 0, ranges=[(0, PAGE), (PAGE, 1)]) == E.EINVAL
    assert system.export(0, 3, WORD - PAGE, PAGE) == E.EOVERFLOW
    assert system.export(0, 3, 7 * PAGE, SIZE) == E.EINVAL
    assert system.export(0, 3, 0, 0, ranges=[(4 * PAGE, PAGE), (0, PAGE)], fd=5) == 5
    t = system.attach(0, 5, Kind.DYNAMIC_P2P)
    assert system.map(t) == 0
    base = system.devices[0].bar_start
    assert system.observe()["buffers"][1]["mappings"][0]["segments"] == [[base + 4 * PAGE, PAGE], [base, PAGE]]
    t = system.attach(0, 5, Kind.PHYSICAL)
    assert system.map(t) == E.EOPNOTSUPP  # not one range
    ends_clean(system)


@pytest.mark.parametrize("design", DESIGNS)
def test_an_export_that_fails_leaves_nothing(design: str) -> None:
    system, address = ready(design)
    before = system.observe()
    for name in ("alloc:dmabuf", "alloc:file", "copy_to_user"):
        system.inject(name)
        assert system.export(0, 3, address, SIZE) == (E.EFAULT if name == "copy_to_user" else E.ENOMEM)
        assert checks.residue(before, system.observe()) == []
    system.limit(0, 1)
    assert system.export(0, 3, address, SIZE) == E.EMFILE
    assert checks.residue(before, system.observe()) == []


def test_commands_need_a_device_that_works() -> None:
    system, address = ready("intended")
    assert system.export(0, 9, address, PAGE) == E.EBADF
    system.heap(0, PAGE, 5)
    assert system.mem_alloc(0, 5, PAGE) == E.ENOTTY
    system.devices[0].state = DeviceState.IN_RESET
    assert system.export(0, 3, address, PAGE) == E.EBUSY
    assert system.open(1, 0) == E.EAGAIN
    system.devices[0].state = DeviceState.MALFUNCTION
    assert (system.open(1, 0), system.mem_alloc(0, 3, PAGE)) == (E.EPERM, E.EBUSY)
    system.devices[0].state = DeviceState.OPERATIONAL
    system.remove(0)
    assert (system.open(1, 0), system.mem_alloc(0, 3, PAGE)) == (E.ENODEV, E.ENODEV)


# ---------------------------------------------------------------------- address lists


def test_address_lists_merge_and_split() -> None:
    pages = [0x1000, 0x2000, 0x3000, 0x8000, 0x9000]
    whole = address_list(pages, PAGE, 0, 5 * PAGE, 0x100000, 1 << 30)
    assert whole == [(0x101000, 3 * PAGE), (0x108000, 2 * PAGE)]
    assert address_list(pages, PAGE, PAGE, 3 * PAGE, 0, 1 << 30) == [(0x2000, 2 * PAGE), (0x8000, PAGE)]
    two = address_list(pages, PAGE, 0, 5 * PAGE, 0, 2 * PAGE + 17)
    assert two == [(0x1000, 2 * PAGE), (0x3000, PAGE), (0x8000, 2 * PAGE)]
    assert address_list(pages, PAGE, 0, PAGE, 0, PAGE - 1) == E.EINVAL
    assert address_list(pages, PAGE, 0, PAGE + 10, 0, 1 << 30) == [(0x1000, PAGE + 10)]


def test_a_mapping_is_split_for_its_importer() -> None:
    system, _ = shared("D3b")
    system.importer_device(1).max_segment = PAGE
    t = system.attach(0, 4, Kind.DYNAMIC_P2P, 1)
    assert system.map(t) == 0
    assert [length for _, length in system.observe()["buffers"][1]["mappings"][0]["segments"]] == [PAGE, PAGE]
    system.importer_device(2).max_segment = PAGE - 1
    assert system.map(system.attach(0, 4, Kind.DYNAMIC_P2P, 2)) == E.EINVAL
    ends_clean(system)


# ---------------------------------------------------------------------- attach, pin, map

# What attach, then pin where the kind pins, then map answer; 0 is a number or success.
STATIC_EXPORTER = {  # D0 to D2, C61 and C612: the core maps for dynamic importers as they attach
    Kind.STATIC: (0, None, E.EPERM),
    Kind.DYNAMIC: (E.EPERM, None, None),
    Kind.DYNAMIC_P2P: (0, None, 0),
    Kind.PINNED: (0, 0, 0),
    Kind.PINNED_REVOCABLE: (0, 0, 0),
    Kind.PHYSICAL: (E.EOPNOTSUPP, None, None),
}
NEEDS_P2P = {Kind.STATIC: (E.EOPNOTSUPP, None, None), Kind.DYNAMIC: (E.EOPNOTSUPP, None, None)}
ANSWERS: dict[str, dict[Kind, tuple[Any, Any, Any]]] = {
    **dict.fromkeys(("D0", "D1", "D2a", "D2b", "D2c"), STATIC_EXPORTER),
    "D3a": {
        **NEEDS_P2P,
        Kind.DYNAMIC_P2P: (0, None, 0),
        Kind.PINNED: (0, E.EOPNOTSUPP, None),
        Kind.PINNED_REVOCABLE: (0, E.EOPNOTSUPP, None),
        Kind.PHYSICAL: (0, None, 0),
    },
    "D3b": {
        **NEEDS_P2P,
        Kind.DYNAMIC_P2P: (0, None, 0),
        Kind.PINNED: (E.EOPNOTSUPP, None, None),
        Kind.PINNED_REVOCABLE: (0, 0, 0),
        Kind.PHYSICAL: (0, None, 0),
    },
    "D3t": {
        **NEEDS_P2P,
        Kind.DYNAMIC_P2P: (0, None, 0),
        Kind.PINNED: (E.EOPNOTSUPP, None, None),
        Kind.PINNED_REVOCABLE: (0, 0, 0),
        Kind.PHYSICAL: (0, None, E.EOPNOTSUPP),
    },
    "intended": {
        **NEEDS_P2P,
        Kind.DYNAMIC_P2P: (0, None, 0),
        Kind.PINNED: (0, 0, 0),
        Kind.PINNED_REVOCABLE: (0, 0, 0),
        Kind.PHYSICAL: (0, None, 0),
    },
}


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("design", DESIGNS)
def test_where_each_importer_is_refused(design: str, kind: Kind) -> None:
    system, _ = shared(design)
    attached, pinned, mapped = ANSWERS[design][kind]
    before = system.observe()
    t = system.attach(0, 4, kind)
    assert min(t, 0) == attached
    if attached:
        assert checks.residue(before, system.observe()) == []
        return
    if pinned is not None:
        assert system.pin(t) == pinned
    if mapped is not None:
        assert system.map(t) == mapped
    if mapped == 0:
        assert system.dma_write(t, PAGE, b"shared") == 0
        assert system.dma_read(t, PAGE, 6) == b"shared"
        assert system.dma_read(t, SIZE - 3, 6) == E.EFAULT
    assert checks.unexpected(system) == []
    ends_clean(system)


@pytest.mark.parametrize("design", DESIGNS)
def test_without_a_path_nobody_gets_addresses(design: str) -> None:
    system, _ = shared(design)
    system.importer_device(0).path = False
    t = system.attach(0, 4, Kind.DYNAMIC_P2P)
    assert t == (E.EOPNOTSUPP if design in REVOKING else E.EPERM)


@pytest.mark.parametrize("design", DESIGNS)
def test_an_unmapped_address_faults(design: str) -> None:
    system, _ = shared(design)
    t = system.attach(0, 4, Kind.DYNAMIC_P2P)
    assert system.map(t) == 0
    mapping = system.importers[t][1].mapping
    assert mapping is not None
    assert system.unmap(t) == 0
    assert system.unmap(t) == E.EINVAL
    assert system.dma_read(t, 0, 1) == E.EFAULT
    assert system.detach(t) == 0
    with pytest.raises(Exception, match="SIGBUS"):
        system.importer_device(0).domain.load(mapping.segments, 0, 1)
    ends_clean(system)


def test_a_cached_mapping_has_its_direction() -> None:
    system, _ = shared("D2c")
    t = system.attach(0, 4, Kind.DYNAMIC_P2P)  # the core maps both ways
    assert system.map(t, Direction.TO_DEVICE) == 0
    system, _ = shared("D3b")
    t = system.attach(0, 4, Kind.DYNAMIC_P2P)
    assert system.map(t, Direction.TO_DEVICE) == 0
    assert system.map(t, Direction.TO_DEVICE) == 0
    assert system.map(t, Direction.FROM_DEVICE) == E.EBUSY


def test_eras_differ_in_what_attach_demands() -> None:
    """Before 2026 a callback was a must, and the core mapped for unequal pairs; since then a warning is no callback."""
    system, _ = shared("intended", era=Era.C612)
    assert system.attach(0, 4, Kind.STATIC) == E.EOPNOTSUPP
    t = system.attach(0, 4, Kind.PINNED)
    assert system.pin(t) == 0
    assert system.map(t) == 0
    system, _ = shared("D2c", era=Era.C71)
    assert system.attach(0, 4, Kind.DYNAMIC) > 0  # nothing is mapped yet
    assert system.map(system.attach(0, 4, Kind.DYNAMIC)) == E.EPERM


def test_pins_are_counted() -> None:
    system, _ = shared("intended")
    t = system.attach(0, 4, Kind.PINNED)
    assert system.map(t) == E.EINVAL  # it pins first
    assert [system.pin(t), system.pin(t), system.map(t)] == [0, 0, 0]
    assert [system.unpin(t), system.unpin(t)] == [0, E.EBUSY]
    assert [system.unmap(t), system.unpin(t), system.unpin(t)] == [0, 0, E.EINVAL]
    assert system.pin(system.attach(0, system.heap(0, PAGE), Kind.STATIC)) == E.EINVAL
    ends_clean(system)


def test_attach_needs_a_buffer() -> None:
    system, _ = shared("D2c")
    assert system.attach(0, 9, Kind.STATIC) == E.EBADF
    assert system.attach(0, 3, Kind.STATIC) == E.EINVAL
    for name in ("alloc:attachment", "alloc:mapping"):
        before = system.observe()
        system.inject(name)
        assert system.attach(0, 4, Kind.DYNAMIC_P2P) == E.ENOMEM
        assert checks.residue(before, system.observe()) == []


def test_without_move_notify_dynamic_pairs_pin() -> None:
    system, _ = shared("intended", move_notify=False)
    t = system.attach(0, 4, Kind.DYNAMIC_P2P)
    system.map(t)
    assert system.observe()["imports"][t]["pins"] == 1
    system.unmap(t)
    assert system.observe()["imports"][t]["pins"] == 0


# ---------------------------------------------------------------------- free


def test_what_is_exported_stays_at_its_device_address() -> None:
    for design in ("D2b", "D2c"):
        system, address = shared(design)
        assert system.mem_unmap(0, 3, address) == E.EINVAL
        assert system.mem_free(0, 3, 1) == E.EINVAL
        system.close(0, 4)
        assert [system.mem_unmap(0, 3, address), system.mem_free(0, 3, 1)] == [0, 0]
        ends_clean(system)


@pytest.mark.parametrize(
    ("policy", "answer", "freed"),
    [
        (FreePolicy.REFUSE, E.EINVAL, False),
        (FreePolicy.DEFER, 0, False),
        (FreePolicy.REVOKE, 0, True),
        (FreePolicy.NONE, 0, True),
    ],
)
def test_free_policies(policy: FreePolicy, answer: int, freed: bool) -> None:
    system, address = shared("intended", free=policy)
    system.mem_unmap(0, 3, address)
    t = system.attach(0, 4, Kind.PINNED_REVOCABLE)
    assert (system.pin(t), system.map(t)) == (0, 0)
    assert system.mem_free(0, 3, 1) == answer
    assert (system.devices[0].used == 0) is freed
    reached = isinstance(system.dma_read(t, 0, 1), bytes)
    assert reached is (policy is not FreePolicy.REVOKE)
    system.mem_alloc(0, 3, SIZE)
    assert checks.check(system) == []  # whoever frees what it shares harms itself alone
    if policy is FreePolicy.DEFER:
        used = system.devices[0].used
        assert (system.detach(t), system.close(0, 4)) == (0, 0)
        assert system.devices[0].used == used - SIZE
    if policy is not FreePolicy.NONE:
        ends_clean(system)


def test_a_free_waits_for_whom_nobody_can_revoke() -> None:
    system, address = shared("intended")
    system.mem_unmap(0, 3, address)
    fixed = system.register(0, 4, 0, PAGE, revocable=False)
    revocable = system.attach(0, system.dup(0, 4), Kind.DYNAMIC_P2P)
    assert system.mem_free(0, 3, 1) == 0
    assert (system.mem_free(0, 3, 1), system.map(revocable)) == (E.EINVAL, 0)
    assert system.devices[0].used == SIZE
    assert system.register(0, 4, 0, PAGE, revocable=False) == E.ENODEV
    system.unmap(revocable)
    assert system.deregister(0, fixed) == 0
    assert (system.devices[0].used, system.map(revocable)) == (0, E.ENODEV)
    ends_clean(system)


def test_on_a_device_without_an_mmu_free_only_counts() -> None:
    system, base = shared("D2a")
    assert system.mem_free(0, 3, 77) == 0
    assert system.mem_alloc(0, 3, PAGE) == 0
    system.store(0, 3, base, b"kept")
    t = system.attach(0, 4, Kind.DYNAMIC_P2P)
    system.map(t)
    assert system.dma_read(t, 0, 4) == b"kept"


# ---------------------------------------------------------------------- the exporter goes


REOPENED = {"D0": 3, "D1": E.EBUSY, "D2a": E.EAGAIN, "D2b": E.EBUSY, "D2c": E.EBUSY}


@pytest.mark.parametrize("design", DESIGNS)
def test_closing_the_exporter_with_a_buffer_that_lives(design: str) -> None:
    system, address = shared(design)
    if system.devices[0].mmu:
        place = address if system.design.addressing != "handle" else system.mem_map(0, 3, address)
    else:
        place = address
    system.store(0, 3, place, b"secret")
    t = system.attach(0, 4, Kind.DYNAMIC_P2P)
    system.map(t)
    closed = system.close(0, 3)
    drains = design in ("D3b", "intended")
    assert closed == (Outcome.WOULD_BLOCK if drains else 0)
    if drains:
        assert system.open(1, 0, 3) == E.EAGAIN
        system.unmap(t)
        assert system.woken() == [(0, 3, 0)]
        assert system.map(t) == E.ENODEV
    assert system.open(1, 0, 3) == REOPENED.get(design, 3)
    if design == "D0":
        assert {"dmabuf.I20", "dmabuf.I26"} <= {finding.rule for finding in system.findings}
        mine = system.mem_map(1, 3, system.mem_alloc(1, 3, SIZE))
        system.store(1, 3, mine, b"of the next owner")
        assert system.dma_read(t, 0, 17) == b"of the next owner"
    elif design in REOPENED:
        assert system.dma_read(t, 0, 6) == b"secret"
        system.detach(t)
        system.close(0, 4)
        assert system.open(1, 0, 3) == 3
        assert system.load(1, 3, system.devices[0].user_base, 6) in (b"\0" * 6, E.EFAULT)
    assert checks.unexpected(system) == []
    ends_clean(system)


def test_the_next_owner_waits_for_who_cannot_be_revoked() -> None:
    """The owner goes: who can be revoked is; a pinned region keeps the device until it is gone."""
    system, address = shared("intended")
    system.store(0, 3, address, b"secret")
    other = system.export(0, 3, address, PAGE)
    revocable = system.register(0, other, 0, PAGE, revocable=True)
    fixed = system.register(0, 4, 0, PAGE, revocable=False)
    assert system.close(0, 3) == 0
    assert system.rdma_read(revocable, 0, 6) == E.EINVAL
    assert system.rdma_read(fixed, 0, 6) == b"secret"
    assert system.open(1, 0) == E.EBUSY
    assert system.deregister(0, fixed) == 0
    assert system.open(1, 0, 3) == 3
    assert system.register(0, 4, 0, PAGE, revocable=False) == E.ENODEV
    assert checks.check(system) == []
    ends_clean(system)


def test_killing_every_holder_frees_the_device() -> None:
    for design in ("D1", "D2c", "intended"):
        system, _ = shared(design)
        message = system.send(0, 4)
        assert system.receive(1, message, 3) == 3
        assert system.register(1, 3, 0, PAGE, revocable=False) > 0
        system.exit(0)
        assert system.open(2, 0) == E.EBUSY
        system.exit(1)
        assert system.open(2, 0, 3) == 3
        ends_clean(system)


def test_d1_drops_what_the_owner_may() -> None:
    system, _ = shared("D1")
    assert system.drop_master(0, 3) == 0
    assert system.drop_master(0, 3) == E.EINVAL
    assert system.mem_alloc(0, 3, PAGE) == E.EACCES
    assert system.open(1, 0) == E.EBUSY
    assert system.set_master(0, 3) == 0
    assert system.mem_alloc(0, 3, PAGE) > 0
    assert shared("D2c")[0].drop_master(0, 3) == E.ENOTTY


# ---------------------------------------------------------------------- revoke


@pytest.mark.parametrize("design", DESIGNS)
def test_revoke_and_restore(design: str) -> None:
    system, _ = shared(design)
    t = system.attach(0, 4, Kind.DYNAMIC_P2P)
    system.map(t)
    if design not in REVOKING:
        assert (system.revoke(0), system.restore(0)) == (E.EOPNOTSUPP, E.EOPNOTSUPP)
        return
    assert system.revoke(0) == (0 if design == "D3a" else Outcome.WOULD_BLOCK)
    assert system.attach(0, 4, Kind.DYNAMIC_P2P) == E.ENODEV
    assert system.map(t) == E.EBUSY  # stale: unmap first
    if design == "D3a":
        assert "dmabuf.I16" in {finding.rule for finding in system.findings}
        assert system.dma_read(t, 0, 1) == E.EFAULT  # the device does not answer
    assert system.unmap(t) == 0
    assert system.map(t) == E.ENODEV
    assert system.restore(0) == 0
    assert system.map(t) == 0
    assert system.dma_write(t, 0, b"again") == 0
    assert checks.unexpected(system) == []
    ends_clean(system)


def test_a_pinned_region_lets_go_for_ever() -> None:
    system, _ = shared("D3b")
    key = system.register(0, 4, 0, PAGE, revocable=True)
    assert system.rdma_write(key, 0, b"x") == 0
    assert system.rdma_read(key, PAGE, 1) == E.EINVAL
    assert [system.revoke(0), system.restore(0)] == [0, 0]
    assert system.rdma_read(key, 0, 1) == E.EINVAL
    other = system.register(0, 4, 0, PAGE, revocable=True)
    assert other != key
    assert system.rdma_read(other, 0, 1) == b"x"
    assert [system.deregister(0, key), system.deregister(0, key)] == [0, E.EINVAL]
    assert checks.check(system) == []
    ends_clean(system)


def test_a_region_lies_inside_its_buffer() -> None:
    system, _ = shared("D3b")
    before = system.observe()
    for offset, length in ((0, SIZE + 1), (PAGE, SIZE), (-1, 1), (0, 0), (WORD - 1, 2)):
        assert system.register(0, 4, offset, length, revocable=True) == E.EINVAL
    for name in ("alloc:attachment", "alloc:region", "alloc:mapping"):
        system.inject(name)
        assert system.register(0, 4, 0, PAGE, revocable=True) == E.ENOMEM
    assert system.register(0, 4, 0, PAGE, revocable=False) == E.EOPNOTSUPP
    assert checks.residue(before, system.observe()) == []


def test_physical_ranges_are_cleared_at_once() -> None:
    system, _ = shared("D3b")
    t = system.attach(0, 4, Kind.PHYSICAL)
    system.map(t)
    assert system.revoke(0) == 0
    assert system.dma_read(t, 0, 1) == E.EFAULT
    assert [system.restore(0), system.map(t)] == [0, 0]


def test_revoke_waits_for_every_fence() -> None:
    system, _ = shared("D3b")
    f = system.fence(0, 4, Usage.BOOKKEEP)
    assert system.revoke(0) == Outcome.WOULD_BLOCK
    assert system.observe()["buffers"][1]["status"] == "TEMPORARILY_REVOKED"
    assert system.signal(0, f) == 0
    assert not system.sleeping_at_all()
    assert system.signal(0, f) == E.ENOENT


def test_a_buffer_is_born_revoked_while_the_device_does_not_decode() -> None:
    system, address = ready("D3b")
    system.revoke(0)
    n = system.export(0, 3, address, PAGE)
    assert system.attach(0, n, Kind.DYNAMIC_P2P) == E.ENODEV
    system.restore(0)
    assert system.map(system.attach(0, n, Kind.DYNAMIC_P2P)) == 0
    assert checks.check(system) == []


def test_revoke_by_request() -> None:
    system, address = shared("intended")
    system.open(0, 1, 5)
    assert system.revoke_buffer(0, 3, 9) == E.EBADF
    assert system.revoke_buffer(0, 3, 3) == E.EINVAL
    assert system.revoke_buffer(0, 5, 4) == E.ENODEV
    assert system.revoke_buffer(0, 3, 4) == 0
    assert system.revoke_buffer(0, 3, 4) == E.EBADFD
    assert [system.revoke(0), system.restore(0)] == [0, 0]
    assert system.attach(0, 4, Kind.DYNAMIC_P2P) == E.ENODEV
    other = system.export(0, 3, address, PAGE)
    system.attach(0, other, Kind.PINNED)
    assert system.revoke_buffer(0, 3, other) == E.EBUSY
    assert shared("D3b")[0].revoke_buffer(0, 3, 4) == E.ENOTTY


def test_moving_takes_importers_along() -> None:
    system, address = shared("intended")
    system.store(0, 3, address, b"moves")
    t = system.attach(0, 4, Kind.DYNAMIC_P2P)
    system.map(t)
    before = system.observe()["buffers"][1]["mappings"][0]["segments"]
    assert system.move(0, 3, 1) == Outcome.WOULD_BLOCK
    assert system.unmap(t) == 0
    assert system.woken() == [(0, 3, 0)]
    assert system.map(t) == 0
    assert system.observe()["buffers"][1]["mappings"][0]["segments"] != before
    assert system.dma_read(t, 0, 5) == b"moves"
    assert checks.check(system) == []
    system.attach(0, 4, Kind.PINNED)
    assert system.move(0, 3, 1) == E.EBUSY
    assert system.move(0, 3, 9) == E.EINVAL
    ends_clean(system)
    assert shared("D2c")[0].move(0, 3, 1) == E.EOPNOTSUPP


# ---------------------------------------------------------------------- reset, power, removal


def test_reset_waits_for_every_opener_then_gives_up() -> None:
    """Only the opener is killed; a buffer that a third process holds keeps the open list (D2c)."""
    system, _ = shared("D2c", reset_tries=3)
    system.receive(1, system.send(0, 4), 3)
    assert system.reset(0) == E.EBUSY
    assert not system.alive(0)
    assert system.open(2, 0) == E.EAGAIN
    assert [system.reset(0), system.reset(0), system.reset(0)] == [E.EBUSY, E.ETIME, E.ETIME]
    assert system.open(2, 0) == E.EPERM
    system, _ = shared("D2c")
    system.receive(1, system.send(0, 4), 3)
    assert system.reset(0) == E.EBUSY
    system.close(1, 3)
    assert system.reset(0) == 0
    assert system.open(2, 0, 3) == 3


@pytest.mark.parametrize("design", ["D3a", "D3b", "D3t", "intended"])
def test_reset_revokes_for_its_time(design: str) -> None:
    system, _ = shared(design)
    t = system.attach(0, 4, Kind.DYNAMIC_P2P)
    system.map(t)
    system.dma_write(t, 0, b"lost")
    assert system.reset(0) == (0 if design == "D3a" else Outcome.WOULD_BLOCK)
    system.unmap(t)
    assert system.map(t) == 0
    assert system.dma_read(t, 0, 4) == b"\0" * 4
    assert checks.unexpected(system) == []
    ends_clean(system)


def test_reset_in_other_designs() -> None:
    for design in ("D0", "D1"):
        system, _ = shared(design)
        system.map(system.attach(0, 4, Kind.DYNAMIC_P2P))
        assert system.reset(0) == 0
        assert {finding.rule for finding in system.findings} == {"dmabuf.I15"}
    system, _ = shared("intended")
    system.attach(0, 4, Kind.PINNED)
    before = system.observe()
    assert (system.reset(0), system.revoke(0), system.suspend(0)) == (E.EBUSY, E.EBUSY, E.EBUSY)
    assert checks.residue(before, system.observe()) == []


def test_a_removal_waits_ten_minutes_for_openers() -> None:
    system, _ = shared("D2c")
    t = system.attach(0, 4, Kind.DYNAMIC_P2P)
    assert system.remove(0) == Outcome.WOULD_BLOCK
    system.advance(599)
    assert system.sleeping_at_all()
    system.advance(1)
    assert not system.sleeping_at_all()
    assert system.remove(0) == E.ENODEV
    assert system.dma_read(t, 0, 1) == E.EFAULT
    assert {finding.rule for finding in checks.check(system)} == {"dmabuf.I15"}


def test_a_command_after_a_removal_is_refused_and_in_6_12_follows_a_null() -> None:
    for design, answer in (("D2a", E.ENODEV), ("D2b", E.ENODEV), ("D2c", Outcome.OOPS)):
        system, _ = shared(design)
        forced_removal(system)
        assert system.mem_alloc(0, 3, PAGE) == answer


def test_a_removal_that_revokes_is_done_with_it() -> None:
    system, _ = shared("intended")
    key = system.register(0, 4, 0, PAGE, revocable=False)
    assert system.remove(0) == Outcome.WOULD_BLOCK
    system.deregister(0, key)
    assert not system.sleeping_at_all()
    assert system.devices[0].state is DeviceState.REMOVED
    assert checks.check(system) == []
    ends_clean(system)


def test_power() -> None:
    assert shared("D2c")[0].suspend(0) == E.EOPNOTSUPP
    system, _ = shared("intended")
    t = system.attach(0, 4, Kind.DYNAMIC_P2P)
    assert system.suspend(0) == E.EBUSY
    system.detach(t)
    assert system.suspend(0) == 0
    assert system.map(system.attach(0, 4, Kind.DYNAMIC_P2P)) == 0  # which wakes it
    system, _ = shared("D3b")
    t = system.attach(0, 4, Kind.DYNAMIC_P2P)
    assert [system.suspend(0), system.map(t)] == [0, E.ENODEV]
    assert [system.resume(0), system.map(t)] == [0, 0]


# ---------------------------------------------------------------------- what designs are known to break


def tenants(system: System) -> None:
    system.close(0, 3)
    system.open(1, 0)


def forced_removal(system: System) -> None:
    system.remove(0)
    system.advance(600)


def overflow(system: System) -> None:
    address = next(iter(system.contexts()[0].mappings))
    system.export(0, 3, address, SIZE, WORD - PAGE)


Scene = Callable[[System], object]
REACHED: dict[str, list[tuple[Scene, set[str]]]] = {
    "D0": [(tenants, {"dmabuf.I20", "dmabuf.I26"}), (lambda s: s.reset(0), {"dmabuf.I15"})],
    "D1": [(lambda s: s.reset(0), {"dmabuf.I15"})],
    "D2a": [(forced_removal, {"dmabuf.I15"})],
    "D2b": [(forced_removal, {"dmabuf.I15"}), (overflow, {"dmabuf.I07"})],
    "D2c": [(forced_removal, {"dmabuf.I15"}), (overflow, {"dmabuf.I07"})],
    "D3a": [
        (lambda s: s.revoke(0), {"dmabuf.I15", "dmabuf.I16"}),
        (tenants, {"dmabuf.I16", "dmabuf.I26"}),
    ],
}


@pytest.mark.parametrize("design", DESIGNS)
def test_what_is_known_to_break_does(design: str) -> None:
    found: set[str] = set()
    for scene, wanted in REACHED.get(design, []):
        system, _ = shared(design)
        system.map(system.attach(0, 4, Kind.DYNAMIC_P2P))
        scene(system)
        assert {finding.rule for finding in checks.check(system)} == wanted
        found |= wanted
    assert found == set(checks.KNOWN[design])


# ---------------------------------------------------------------------- descriptors


@pytest.mark.parametrize("design", DESIGNS)
def test_a_buffer_lives_as_long_as_a_descriptor_of_it(design: str) -> None:
    system, _ = shared(design)
    system.dup(0, 4, 5, cloexec=True)
    system.fork(0, 1)
    message = system.send(1, 4)
    assert system.observe()["buffers"][1]["refs"] == 5
    system.exec(0)  # closes 5
    system.exit(1)
    assert system.observe()["buffers"][1]["refs"] == 2
    system.close(0, 4)
    assert system.observe()["buffers"][1]["refs"] == 1
    assert system.receive(2, message, 7) == 7
    assert system.seek(2, 7, 0, 2) == SIZE
    assert checks.unexpected(system) == []
    system.close(2, 7)
    assert system.observe()["buffers"] == {}
    ends_clean(system)


def test_full_tables() -> None:
    system, _ = shared("intended")
    system.limit(0, 2)
    assert system.dup(0, 4) == E.EMFILE
    assert system.heap(0, PAGE) == E.EMFILE
    assert system.export_sync_file(0, 4, 1) == E.EMFILE
    assert system.open(0, 1) == E.EMFILE
    system.limit(1, 0)
    assert system.receive(1, system.send(0, 4)) == E.EMFILE
    assert system.messages == {}
    assert checks.check(system) == []


def test_small_commands() -> None:
    system, _ = shared("D2c")
    assert [system.seek(0, 4, 0, 0), system.seek(0, 4, 0, 2)] == [0, SIZE]
    assert [system.seek(0, 4, 1, 0), system.seek(0, 4, 0, 1), system.seek(0, 9, 0, 0)] == [E.EINVAL, E.EINVAL, E.EBADF]
    assert [system.set_name(0, 4, "n" * 31), system.set_name(0, 4, "n" * 32)] == [0, E.EINVAL]
    assert "n" * 31 in system.debug_listing()[0]
    assert [system.sync(0, 4, flags) for flags in (1, 2, 3, 5, 6, 7)] == [0] * 6
    assert [system.sync(0, 4, flags) for flags in (0, 4, 8, 0x100000001)] == [E.EINVAL] * 4
    assert [system.close(0, 9), system.dup(0, 9), system.send(0, 9), system.poll(0, 9)] == [E.EBADF] * 4
    assert system.mmap(0, 4, 1) == E.EINVAL  # no mmap of device memory
    with pytest.raises(UsageError):
        system.export(0, 3, 0, fd=4)
    with pytest.raises(UsageError):
        system.map(5)


def test_maps() -> None:
    system, address = shared("intended")
    system.store(0, 3, address, b"seen")
    m = system.mmap(0, 4, 2)
    assert system.read_map(m, 0, 4) == b"seen"
    assert [system.mmap(0, 4, 3), system.mmap(0, 4, 1, 2), system.mmap(0, 4, 1, private=True)] == [E.EINVAL] * 3
    assert system.mremap(0, m, 3) == E.EFAULT
    system.close(0, 4)
    assert system.touch(m) == 0  # the map keeps the buffer
    assert system.revoke(0) == 0
    assert system.touch(m) == Outcome.SIGBUS
    assert [system.restore(0), system.touch(m)] == [0, 0]
    n = system.export(0, 3, address, PAGE, flags=0)
    assert system.mmap(0, n, 1) == E.EACCES
    assert system.mmap(0, n, 1, writable=False) > 0
    system.revoke(0)
    assert system.mmap(0, n, 1, writable=False) == E.ENODEV
    assert system.munmap(0, m) == 0
    assert checks.check(system) == []
    ends_clean(system)


def test_a_heap_serves_every_importer() -> None:
    system = System("D2c")
    n = system.heap(0, 1)
    assert system.query(0, n) == PAGE
    m = system.mmap(0, n, 1)
    assert system.write_map(m, 8, b"host") == 0
    for kind in set(Kind) - {Kind.PHYSICAL}:
        t = system.attach(0, n, kind)
        system.pin(t)
        assert system.map(t) == 0
        assert system.dma_read(t, 8, 4) == b"host"
    assert system.heap(0, 0) == E.EINVAL
    assert checks.check(system) == []
    ends_clean(system)


# ---------------------------------------------------------------------- fences


def test_poll_follows_fences_by_class() -> None:
    for usage, expected in (
        (Usage.KERNEL, 0), (Usage.WRITE, 0), (Usage.READ, IN), (Usage.BOOKKEEP, IN | OUT),
    ):  # fmt: skip
        system, _ = shared("D2c")
        assert system.poll(0, 4) == IN | OUT
        f = system.fence(0, 4, usage)
        assert system.poll(0, 4) == expected
        assert checks.check(system) == []
        system.signal(0, f)
        assert system.poll(0, 4) == IN | OUT
        ends_clean(system)


def test_an_armed_poll_keeps_the_buffer() -> None:
    system, _ = shared("D2c")
    f = system.fence(0, 4, Usage.WRITE)
    assert system.poll(0, 4, IN) == 0
    assert system.observe()["buffers"][1]["refs"] == 2
    system.close(0, 4)
    assert list(system.observe()["buffers"]) == [1]
    system.signal(0, f)
    assert system.observe()["buffers"] == {}
    ends_clean(system)


def test_one_callback_wakes_every_poller() -> None:
    system, _ = shared("D2c")
    f = system.fence(0, 4, Usage.WRITE)
    system.fork(0, 1)
    assert [system.poll(0, 4, IN, block=True), system.poll(1, 4, IN, block=True)] == [Outcome.WOULD_BLOCK] * 2
    system.signal(0, f)
    assert sorted(system.woken()) == [(0, 4, IN), (1, 4, IN)]


def test_cpu_access_waits_for_what_matters() -> None:
    system, _ = shared("D2c")
    f = system.fence(0, 4, Usage.READ)
    assert system.begin_cpu_access(0, 4, 1) == 0
    assert system.begin_cpu_access(0, 4, 2) == Outcome.WOULD_BLOCK
    system.signal_process(0)
    assert system.woken() == [(0, 4, E.EINTR)]
    assert system.begin_cpu_access(0, 4, 3) == Outcome.WOULD_BLOCK
    system.signal(0, f)
    assert system.woken() == [(0, 4, 0)]
    assert system.end_cpu_access(0, 4, 3) == 0


def test_a_static_importer_waits_for_moves_only() -> None:
    system = System("D2c")
    n = system.heap(0, PAGE)
    t = system.attach(0, n, Kind.STATIC)
    system.fence(0, n, Usage.WRITE)
    assert system.map(t) == 0
    system.unmap(t)
    f = system.fence(0, n, Usage.KERNEL)
    assert system.map(t) == Outcome.WOULD_BLOCK
    system.signal(0, f)
    assert system.woken() == [(0, t, 0)]


def test_sync_files() -> None:
    system, address = shared("D2c")
    other = system.export(0, 3, address, PAGE)
    assert [system.export_sync_file(0, 4, flags) for flags in (0, 4)] == [E.EINVAL] * 2
    idle = system.export_sync_file(0, 4, 1)
    assert [system.poll(0, idle, IN), system.sync_status(0, idle)] == [IN, 1]
    f = system.fence(0, 4, Usage.WRITE)
    sync = system.export_sync_file(0, 4, 1)
    assert [system.poll(0, sync, IN), system.sync_status(0, sync)] == [0, 0]
    assert system.fence(0, 4, Usage.READ) == E.EBUSY
    assert system.import_sync_file(0, other, 0, sync) == E.EINVAL
    assert system.import_sync_file(0, other, 1, 3) == E.EINVAL
    assert system.import_sync_file(0, other, 1, 99) == E.EINVAL
    assert system.import_sync_file(0, other, 1, sync) == 0
    assert [system.poll(0, other, IN), system.poll(0, other, OUT)] == [IN, 0]
    both = system.merge(0, sync, idle)
    assert system.merge(0, sync, 3) == E.ENOENT
    system.signal(0, f)
    assert [system.sync_status(0, n) for n in (sync, both)] == [1, 1]
    assert system.poll(0, other, OUT) == OUT
    assert checks.check(system) == []
    ends_clean(system)


def test_a_promise_that_is_not_kept_expires() -> None:
    system, _ = shared("D2c")
    f = system.fence(0, 4, Usage.WRITE)
    sync = system.export_sync_file(0, 4, 1)
    system.advance(9)
    assert system.sync_status(0, sync) == 0
    system.advance(1)
    assert system.sync_status(0, sync) == E.ETIMEDOUT
    assert system.signal(0, f) == E.ENOENT


def test_waits_have_an_end() -> None:
    system, _ = shared("D2c")
    assert [system.wait_fences(0, 4, Usage.READ, 0), system.wait_fences(0, 4, Usage.READ, 5)] == [1, 5]
    f = system.fence(0, 4, Usage.WRITE)
    assert system.wait_fences(0, 4, Usage.READ, 0) == 0
    assert system.wait_fences(0, 4, Usage.READ, 3) == Outcome.WOULD_BLOCK
    system.advance(3)
    assert system.woken() == [(0, 4, 0)]
    assert system.wait_fences(0, 4, Usage.READ, 6) == Outcome.WOULD_BLOCK
    system.advance(2)
    system.signal(0, f)
    assert system.woken() == [(0, 4, 4)]
