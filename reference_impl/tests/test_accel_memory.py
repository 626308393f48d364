# SPDX-License-Identifier: Apache-2.0
"""Device memory, address spaces and command buffers of the accel driver: errnos, counts, and whose bytes are whose."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelspec.reference_impl import Errno, UsageError
from accelspec.reference_impl.accel.address_space import DEVICE_BASE, HOST_BASE, AddressSpace, Fault
from accelspec.reference_impl.accel.buffers import LARGEST, CommandBuffer, CommandBuffers
from accelspec.reference_impl.accel.idr import Idr
from accelspec.reference_impl.accel.memory import DeviceMemory
from accelspec.reference_impl.accel.rules import INJECTABLE, MemoryRules
from accelspec.reference_impl.kernel.findings import Findings
from accelspec.reference_impl.kernel.memory import Injector

PAGE = 4096
LINUX = MemoryRules()


class Device:
    """Sixteen pages, what was found out about them, and failures on demand."""

    def __init__(self, pages: int = 16, rules: MemoryRules = LINUX) -> None:
        self.findings = Findings()
        self.injector = Injector(INJECTABLE)
        self.memory = DeviceMemory(
            pages * PAGE, PAGE, rules=rules, take=self.injector.take, report=self.findings.report
        )  # fmt: skip
        self.rules = rules

    def space(self, asid: int = 1) -> AddressSpace:
        return AddressSpace(self.memory, asid)

    def buffers(self, on_free: Callable[[CommandBuffer], None] | None = None) -> CommandBuffers:
        return CommandBuffers(
            rules=self.rules, on_free=on_free, take=self.injector.take, report=self.findings.report
        )  # fmt: skip

    @property
    def found(self) -> set[str]:
        return self.findings.rules


# Numbers.


@given(st.lists(st.integers(0, 8), max_size=40))
def test_idr_gives_the_lowest_free_number(removals: list[int]) -> None:
    idr, model = Idr[int](1, 6), dict[int, int]()
    for n, remove in enumerate(removals):
        if remove:
            assert idr.remove(remove) == model.pop(remove, None)
        else:
            free = [number for number in range(1, 6) if number not in model]
            number = idr.add(n)
            assert number == (free[0] if free else None)
            if number is not None:
                model[number] = n
        assert dict(idr.items()) == model
        assert list(idr) == sorted(model)
        assert len(idr) == len(model)
        assert idr.find(remove) == model.get(remove)


def test_idr_ends() -> None:
    idr = Idr[str](1, 3)
    assert [idr.add(name) for name in "abc"] == [1, 2, None]
    idr.replace(2, "c")
    assert (idr.remove(1), idr.remove(1), idr.find(2)) == ("a", None, "c")


# Device memory.


@pytest.mark.parametrize("contiguous", [False, True])
def test_alloc_rounds_up_and_counts(contiguous: bool) -> None:
    device = Device()
    memory = device.memory
    assert memory.alloc(3 * PAGE + 1, 1, contiguous) == 1
    assert memory.alloc(1, 2, contiguous, shared=True) == 2
    assert (memory.used, memory.used_by(1), memory.used_by(2)) == (5 * PAGE, 4 * PAGE, PAGE)
    pages = memory.pages(1)
    assert len(set(pages.tolist()) | set(memory.pages(2).tolist())) == 5
    assert (np.diff(pages) == 1).all() == contiguous
    assert memory.free(1) == 0
    assert memory.alloc(1, 1) == 1  # handles are reused
    assert memory.free(3) == Errno.EINVAL
    with pytest.raises(UsageError, match="handle 3"):
        memory.pages(3)


def test_alloc_errors() -> None:
    device = Device()
    memory = device.memory
    assert memory.alloc(0, 1) == Errno.EINVAL
    assert memory.alloc(1, 1, page_size=3) == Errno.EINVAL
    assert memory.alloc(1, 1, page_size=PAGE) == 1
    assert memory.alloc(16 * PAGE, 1) == Errno.ENOMEM
    for name, errno in (("mem_pool", Errno.ENOMEM), ("mem_pack", Errno.ENOMEM), ("mem_idr", Errno.EFAULT)):
        device.injector.add(name, -1)
        assert memory.alloc(PAGE, 1) == errno
        assert memory.used == PAGE
    assert memory.alloc(15 * PAGE, 1) == 2
    assert memory.alloc(1, 1) == Errno.ENOMEM


def test_contiguous_needs_a_run_and_scattered_does_not() -> None:
    memory = Device(8).memory
    handles = [memory.alloc(PAGE, 1, contiguous=True) for _ in range(8)]
    for handle in handles[::2]:
        memory.free(handle)
    assert memory.alloc(2 * PAGE, 1, contiguous=True) == Errno.ENOMEM
    assert memory.alloc(4 * PAGE, 1) > 0


def test_free_of_mapped_memory_is_refused() -> None:
    device = Device()
    handle = device.memory.alloc(PAGE, 1)
    space = device.space()
    va = space.map_device(handle)
    assert device.memory.free(handle) == Errno.EINVAL
    assert space.unmap(va) == 0
    assert device.memory.free(handle) == 0
    assert device.found == set()


def test_free_asks_for_the_owner_only_by_our_rule() -> None:
    for rules, answer in ((LINUX, 0), (replace(LINUX, free_tests_owner=True), Errno.EPERM)):
        memory = Device(rules=rules).memory
        assert memory.free(memory.alloc(PAGE, 1), asid=2) == answer


# Address spaces.


def test_map_errors() -> None:
    device = Device()
    space = device.space()
    private, shared = device.memory.alloc(PAGE, 2), device.memory.alloc(PAGE, 2, shared=True)
    assert space.map_device(99) == Errno.EINVAL
    assert space.map_device(private) == Errno.EPERM
    assert space.map_device(shared) == DEVICE_BASE
    assert space.map_device(shared, hint=DEVICE_BASE + 1, force=True) == Errno.ENOMEM
    assert space.map_device(shared, hint=DEVICE_BASE, force=True) == Errno.ENOMEM
    assert space.map_device(shared, hint=DEVICE_BASE) == DEVICE_BASE + PAGE
    assert space.map_device(shared, hint=DEVICE_BASE + 8 * PAGE, force=True) == DEVICE_BASE + 8 * PAGE
    device.injector.add("mem_map", Errno.ENOMEM)
    assert space.map_device(shared) == Errno.ENOMEM
    pack = device.memory.pack(shared)
    assert pack is not None
    assert pack.mappings == 3
    assert space.map_device(shared, hint=DEVICE_BASE + 8 * PAGE + 1) == DEVICE_BASE + 2 * PAGE  # not aligned: ignored
    assert pack.mappings == 4
    crowded = AddressSpace(device.memory, 2, window=2 * PAGE)
    assert [crowded.map_device(private) > 0 for _ in range(3)] == [True, True, False]
    assert crowded.map_device(private) == Errno.ENOMEM


def test_the_smallest_gap_is_taken() -> None:
    space = Device().space()
    small, large = space.memory.alloc(PAGE, 1), space.memory.alloc(3 * PAGE, 1)
    vas = [space.map_device(handle) for handle in (large, small, small, small)]
    space.unmap(vas[0])
    space.unmap(vas[2])
    assert space.map_device(small) == vas[2]
    assert space.map_device(large) == vas[0]


def test_map_host_errors() -> None:
    device = Device()
    space = device.space()
    array = np.zeros(PAGE, np.uint8)
    assert space.map_host(array[:0]) == Errno.EINVAL
    for errno in (Errno.EINVAL, Errno.EFAULT, Errno.ENOMEM):
        device.injector.add("pin", errno)
        assert space.map_host(array) == errno
    assert space.map_host(array, hint=HOST_BASE, force=True, offset=8) == Errno.EINVAL
    assert space.map_host(array, offset=8) == HOST_BASE + 8
    assert space.map_host(array) == HOST_BASE + 2 * PAGE
    with pytest.raises(UsageError, match="contiguous"):
        space.map_host(np.zeros((4, 4))[:, 1])
    with pytest.raises(UsageError, match="offset"):
        space.map_host(array, offset=PAGE)


def test_unmap_errors() -> None:
    space = Device().space()
    va = space.map_device(space.memory.alloc(2 * PAGE, 1))
    own = space.map_host(np.zeros(8, np.uint8), reserved=True)
    assert space.unmap(va + PAGE) == Errno.EINVAL
    assert space.unmap(own) == Errno.EINVAL
    mapping = space.mapping(va)
    assert mapping is not None
    mapping.exports = 1
    assert space.unmap(va) == Errno.EINVAL
    mapping.exports = 0
    assert (space.unmap(va), space.unmap(va)) == (0, Errno.EINVAL)
    assert space.unmap(own, reserved=True) == 0
    assert space.mappings == []


def test_contiguous_memory_is_reached_without_a_copy() -> None:
    space = Device().space()
    va = space.map_device(space.memory.alloc(4 * PAGE, 1, contiguous=True))
    assert np.shares_memory(space.load(va + 5, 3 * PAGE), space.memory.bytes)
    scattered = space.map_device(space.memory.alloc(4 * PAGE, 1))
    assert len(space.view(scattered, 4 * PAGE)) > 1
    assert not np.shares_memory(space.load(scattered, 4 * PAGE), space.memory.bytes)


@given(data=st.data(), parts=st.lists(st.integers(1, 3), min_size=1, max_size=3))
def test_what_is_stored_is_loaded(data: st.DataObject, parts: list[int]) -> None:
    """Neighbouring mappings, contiguous, scattered and of the host, against one array of bytes."""
    device = Device(32)
    space = device.space()
    device.memory.alloc(PAGE, 3, contiguous=True)
    kinds = [data.draw(st.sampled_from(["contiguous", "scattered"])) for _ in parts]
    vas = [
        space.map_device(device.memory.alloc(n * PAGE, 1, contiguous=kind == "contiguous"))
        for n, kind in zip(parts, kinds, strict=True)
    ]
    assert vas == [DEVICE_BASE + PAGE * sum(parts[:i]) for i in range(len(parts))]
    size = PAGE * sum(parts)
    host = [np.zeros(data.draw(st.integers(1, 300)), np.uint8) for _ in range(3)]
    areas = [(DEVICE_BASE, np.zeros(size, np.uint8)), (space.map_host(host), np.zeros(sum(map(len, host)), np.uint8))]
    for _ in range(4):
        base, model = data.draw(st.sampled_from(areas))
        at = data.draw(st.integers(0, len(model)))
        n = data.draw(st.integers(0, len(model) - at))
        value = data.draw(st.integers(0, 255))
        written = (np.arange(n) * 7 + value).astype(np.uint8)
        space.store(base + at, written)
        model[at : at + n] = written
    for base, model in areas:
        assert (space.load(base, len(model)) == model).all()
        with pytest.raises(Fault):
            space.load(base, len(model) + 1)
    assert (np.concatenate(host) == areas[1][1]).all()


def test_a_fault_names_the_address_and_writes_nothing() -> None:
    space = Device().space()
    va = space.map_device(space.memory.alloc(2 * PAGE, 1))
    with pytest.raises(Fault, match=r"page fault at 0x10000002000 \(write\)") as caught:
        space.store(va + PAGE, np.ones(PAGE + 1, np.uint8))
    assert caught.value.va == va + 2 * PAGE
    assert not space.memory.bytes.any()
    readonly = np.zeros(8, np.uint8)
    readonly.flags.writeable = False
    host = space.map_host(readonly)
    with pytest.raises(Fault):
        space.store(host, np.ones(1, np.uint8))
    assert space.load(host, 8).tolist() == [0] * 8
    parts = space.map_host([np.zeros(8, np.uint8), readonly])
    with pytest.raises(Fault):
        space.store(parts, np.ones(16, np.uint8))


@pytest.mark.parametrize("contiguous", [False, True])
def test_unmapped_memory_faults(contiguous: bool) -> None:
    device = Device()
    space = device.space()
    va = space.map_device(device.memory.alloc(2 * PAGE, 1, contiguous))
    space.store(va, np.ones(PAGE, np.uint8))
    space.unmap(va)
    with pytest.raises(Fault):
        space.load(va, 1)
    assert device.found == set()


def test_stale_translations_are_found() -> None:
    device = Device(rules=replace(LINUX, unmap_invalidates=False))
    space = device.space()
    va = space.map_device(device.memory.alloc(PAGE, 1))
    space.unmap(va)
    assert space.load(va, 1).tolist() == [0]
    assert device.found == {"habanalabs.I26"}


def test_close_undoes_everything_and_tells_what_was_left() -> None:
    device = Device()
    space = device.space()
    handle = device.memory.alloc(PAGE, 1)
    vas = [space.map_device(handle), space.map_device(handle), space.map_host(np.zeros(3, np.uint8))]
    assert space.close() == vas
    assert space.close() == []
    with pytest.raises(Fault):
        space.load(vas[2], 1)
    with pytest.raises(UsageError, match="closed"):
        space.map_device(handle)
    assert device.memory.free_of(1) == [handle]
    assert (device.memory.used, device.found) == (0, set())


# Owners.


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 3), st.integers(1, 5), st.booleans()), max_size=30))
def test_pages_are_never_shared_nor_lost(steps: list[tuple[int, int, int, bool]]) -> None:
    device = Device()
    memory = device.memory
    live: dict[int, tuple[int, int]] = {}
    for step, asid, number, contiguous in steps:
        if step < 3:
            handle = memory.alloc(number * PAGE, asid, contiguous)
            if handle > 0:
                assert handle not in live
                live[handle] = asid, number
        elif step < 5:
            expected = 0 if live.pop(number, None) else Errno.EINVAL
            assert memory.free(number) == expected
        else:
            gone = [handle for handle, (owner, _) in sorted(live.items()) if owner == asid]
            assert memory.free_of(asid) == gone
            live = {handle: pack for handle, pack in live.items() if handle not in gone}
        taken = np.concatenate([memory.pages(handle) for handle in live] or [np.empty(0, int)])
        assert len(set(taken.tolist())) == len(taken) == sum(n for _, n in live.values())
        assert memory.used == len(taken) * PAGE


def previous_owner(rules: MemoryRules = LINUX) -> Device:
    """A device whose ASID 1 wrote every page and ended."""
    device = Device(rules=rules)
    space = device.space()
    space.store(space.map_device(device.memory.alloc(16 * PAGE, 1)), np.full(16 * PAGE, 7, np.uint8))
    space.close()
    device.memory.free_of(1)
    return device


def test_memory_that_was_not_scrubbed_is_found_although_the_asid_is_the_same() -> None:
    device = previous_owner()
    assert device.memory.unscrubbed == 16 * PAGE
    space = device.space()
    va = space.map_device(device.memory.alloc(PAGE, 1))
    assert space.load(va, 1).tolist() == [7]
    assert device.found == {"habanalabs.I18"}


def test_scrubbed_memory_is_zero_for_the_next_owner() -> None:
    device = previous_owner()
    kept = device.memory.alloc(PAGE, 5)
    other = device.space(5)
    assert device.memory.scrub() == 0
    assert device.memory.unscrubbed == 0
    space = device.space()
    handle = device.memory.alloc(15 * PAGE, 1)
    assert not space.load(space.map_device(handle), 15 * PAGE).any()
    assert device.found == set()
    space.close()
    device.memory.free_of(1)
    assert other.load(other.map_device(kept), 1).tolist() == [7]  # in use while the others were scrubbed
    assert device.found == {"habanalabs.I18"}
    assert device.memory.scrub(everything=True) == 0
    assert not device.memory.bytes.any()


def test_memory_that_the_same_owner_freed_is_no_leak() -> None:
    device = Device()
    space = device.space()
    for _ in range(2):
        handle = device.memory.alloc(16 * PAGE, 1)
        va = space.map_device(handle)
        space.store(va, np.ones(16 * PAGE, np.uint8))
        space.unmap(va)
        device.memory.free(handle)
    assert device.found == set()


def test_a_scrub_that_fails_scrubs_nothing() -> None:
    device = previous_owner()
    device.injector.add("scrub", Errno.EIO)
    assert device.memory.scrub() == Errno.EIO
    assert device.memory.unscrubbed == 16 * PAGE


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({}, "habanalabs.I26"),  # posted scheme: the owner's end frees what others have mapped
        ({"orphan": "freed at the last unmap"}, ""),
    ],
)
def test_shared_memory_whose_owner_ends(change: dict[str, Any], rule: str) -> None:
    device = Device(rules=replace(LINUX, **change))
    handle = device.memory.alloc(PAGE, 1, shared=True)
    user = device.space(2)
    va = user.map_device(handle)
    assert device.memory.free_of(1) == [handle]
    assert device.memory.free(handle) == Errno.EINVAL
    assert device.memory.used == (0 if rule else PAGE)
    assert user.unmap(va) == 0
    assert (device.memory.used, device.memory.orphans) == (0, [])
    assert device.found == ({rule} if rule else set())


def test_free_of_mapped_memory_is_found() -> None:
    device = Device(rules=replace(LINUX, free_refuses_mapped=False))
    handle = device.memory.alloc(PAGE, 1)
    device.space().map_device(handle)
    assert device.memory.free(handle) == 0
    assert device.found == {"habanalabs.I26"}


def test_sizes_that_make_no_memory() -> None:
    for size, page in ((0, 4096), (4097, 4096), (4096, 4095), (64, 4)):
        with pytest.raises(UsageError, match="power of two"):
            DeviceMemory(size, page)


# Command buffers.


def test_buffer_sizes() -> None:
    buffers = Device().buffers()
    assert buffers.create(LARGEST + 1) == Errno.EINVAL
    assert buffers.create(-1) == Errno.EINVAL
    sizes = [buffers.find(buffers.create(size)) for size in (0, PAGE + 1, LARGEST)]
    assert [buffer.size for buffer in sizes if buffer] == [PAGE, PAGE + 1, LARGEST]


def test_buffer_failures_have_one_errno() -> None:
    device = Device()
    buffers, space = device.buffers(), device.space()
    device.injector.add("alloc:cb", Errno.ENOMEM)
    device.injector.add("cb_map", Errno.EIO)
    assert [buffers.create(1), buffers.create(1, space=space)] == [Errno.ENOMEM, Errno.ENOMEM]
    assert (buffers.alive, buffers.close()) == ([], [])
    assert buffers.create(1) == 1 << 12 | 2 << 59


def test_unknown_handles() -> None:
    buffers = Device().buffers()
    for handle in (0, 1 << 12, -1, 1 << 70):
        assert buffers.destroy(handle) == buffers.info(handle) == Errno.EINVAL
        assert buffers.mmap(handle, PAGE) == buffers.device_va(handle) == Errno.EINVAL
        assert buffers.get(handle) is None


def test_info_counts_submissions() -> None:
    freed: list[CommandBuffer] = []
    buffers = Device().buffers(freed.append)
    handle = buffers.create(8)
    used = [buffers.get(handle) for _ in range(2)]
    assert buffers.info(handle) == 2
    assert buffers.destroy(handle) == 0
    assert buffers.info(handle) == 2  # the handle lives as long as the buffer
    assert buffers.destroy(handle) == Errno.EINVAL
    for buffer in used:
        assert buffer is not None
        assert freed == []
        buffers.put(buffer)
        assert buffers.info(handle) == (1 if buffer.refs else Errno.EINVAL)
    assert freed == [used[0]]
    assert buffers.info(handle) == Errno.EINVAL


def test_before_5_19_a_handle_ends_with_destroy() -> None:
    buffers = Device(rules=replace(LINUX, handle="until destroy", destroy_once=False)).buffers()
    handle = buffers.create(8)
    buffer = buffers.get(handle)
    assert buffer is not None
    assert buffers.destroy(handle) == 0
    assert buffers.destroy(handle) == buffers.info(handle) == Errno.EINVAL
    assert buffers.create(8) == handle
    buffers.put(buffer)
    assert buffer.freed
    assert (len(buffers.alive), buffers.info(handle)) == (1, 0)


def test_destroying_twice_frees_under_a_submission() -> None:
    device = Device(rules=replace(LINUX, destroy_once=False))  # 6.1, bug B15
    buffers = device.buffers()
    handle = buffers.create(8)
    buffer = buffers.get(handle)
    assert buffer is not None
    assert (buffers.destroy(handle), buffers.destroy(handle), buffers.destroy(handle)) == (0, 0, Errno.EINVAL)
    assert buffer.freed
    assert device.found == {"habanalabs.I08"}
    buffers.put(buffer)
    assert [finding.text.split(" is ")[1] for finding in device.findings.all] == [
        "freed while 1 use it",
        "put after it was freed",
    ]


@pytest.mark.parametrize(("skips", "found"), [(False, {"habanalabs.I08"}), (True, set())])
def test_close_after_destroy_under_a_submission(skips: bool, found: set[str]) -> None:
    device = Device(rules=replace(LINUX, close_skips_destroyed=skips))
    buffers = device.buffers()
    handle = buffers.create(8)
    buffer = buffers.get(handle)
    assert buffer is not None
    buffers.destroy(handle)
    assert buffers.close() == ([buffer] if skips else [])
    buffers.put(buffer)
    assert (buffers.alive, device.found) == ([], found)


def test_close_leaves_what_is_in_use() -> None:
    device = Device()
    buffers = device.buffers()
    handles = [buffers.create(8) for _ in range(2)]
    buffer = buffers.get(handles[1])
    assert buffer is not None
    assert buffers.close() == [buffer]
    buffers.put(buffer)
    assert (buffers.alive, device.found) == ([], set())


def test_user_maps() -> None:
    buffers = Device().buffers()
    handle = buffers.create(2 * PAGE + 1)
    buffer = buffers.find(handle)
    assert buffer is not None
    assert buffers.mmap(handle, 2 * PAGE + 1) == Errno.EINVAL
    assert buffers.mmap(handle, 3 * PAGE) == 0
    assert buffers.mmap(handle, 3 * PAGE) == Errno.EINVAL
    buffers.munmap(buffer, PAGE)
    assert buffers.mmap(handle, 3 * PAGE) == Errno.EINVAL
    buffers.munmap(buffer, 2 * PAGE)
    assert buffers.mmap(handle, 3 * PAGE) == 0
    buffers.destroy(handle)
    assert not buffer.freed
    with pytest.raises(UsageError, match="unmapped"):
        buffers.munmap(buffer, 4 * PAGE)
    buffers.munmap(buffer, 3 * PAGE)
    assert buffer.freed


def test_a_buffer_on_the_device() -> None:
    device = Device()
    buffers, space = device.buffers(), device.space()
    plain, mapped = buffers.create(8), buffers.create(8, space=space)
    assert buffers.device_va(plain) == Errno.EINVAL
    va = buffers.device_va(mapped)
    buffer = buffers.find(mapped)
    assert buffer is not None
    space.store(va, np.array([5], np.uint8))
    assert buffer.data[0] == 5
    assert space.unmap(va) == Errno.EINVAL  # not the user's to unmap
    buffers.destroy(mapped)
    assert space.mappings == []
    other = buffers.create(8, space=space)
    space.close()
    assert buffers.destroy(other) == 0
