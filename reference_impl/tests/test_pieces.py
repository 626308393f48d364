# SPDX-License-Identifier: Apache-2.0
"""Maps in pieces: what splitting, shrinking and refused moves do to the slots of a queue, in Linux and as intended."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelspec.reference_impl import BEHAVIOURS, Errno, Outcome, System, checks

MMIO, DUS = 0, 1
BOTH = pytest.mark.parametrize("behaviour", list(BEHAVIOURS))


def mapped(behaviour: str, **hardware: Any) -> tuple[System, int, int]:
    system = System(behaviour, hardware=hardware)
    system.alloc(0)
    system.register(0)
    system.open(0, 0, 3)
    return system, system.mmap(0, 3, MMIO, 2), system.mmap(0, 3, DUS, 2)


def slots(system: System) -> dict[str, bool]:
    result: dict[str, bool] = system.observe()["queues"][1]["slots"]
    return result


def pieces(system: System) -> list[tuple[str, int, int, int]]:
    return [(piece["region"], piece["first"], piece["pages"], piece["pgoff"]) for piece in system.observe()["maps"]]


@BOTH
def test_unmapping_a_part_splits(behaviour: str) -> None:
    system, _, d = mapped(behaviour, dus_pages=2)
    assert system.munmap(d, 0, 1) == 0
    assert pieces(system) == [("MMIO", 0, 2, 0), ("DUS", 1, 1, 2)]
    assert system.touch(d, 0) is Outcome.SIGSEGV
    assert system.touch(d, 1) == 0


@BOTH
def test_unmapping_the_middle_leaves_two_pieces(behaviour: str) -> None:
    system = System(behaviour, hardware={"dus_pages": 4})
    system.alloc(0)
    system.register(0)
    system.open(0, 0, 3)
    d = system.mmap(0, 3, DUS, 4)
    assert system.munmap(d, 1, 2) == 0
    assert pieces(system) == [("DUS", 0, 1, 1), ("DUS", 3, 1, 4)]
    assert [system.touch(d, page) for page in range(4)] == [0, Outcome.SIGSEGV, Outcome.SIGSEGV, 0]


@BOTH
def test_protecting_a_part_splits_and_forbids_writing(behaviour: str) -> None:
    system, m, d = mapped(behaviour)
    assert system.mprotect(d, 1, 1, writable=True) == 0
    assert pieces(system) == [("MMIO", 0, 2, 0), ("DUS", 0, 2, 1)]
    assert system.mprotect(d, 1, 1, writable=False) == 0
    assert pieces(system) == [("MMIO", 0, 2, 0), ("DUS", 0, 1, 1), ("DUS", 1, 1, 2)]
    assert system.touch(d, 1) == 0
    assert system.touch(d, 1, write=True) is Outcome.SIGSEGV
    assert system.touch(d, 0, write=True) == 0
    assert slots(system) == {"MMIO": True, "DUS": True}
    system.munmap(m)
    assert system.mprotect(m) is Errno.ENOMEM


@BOTH
def test_split_without_memory(behaviour: str) -> None:
    system, _, d = mapped(behaviour)
    system.inject("alloc:vma", -12)
    assert system.munmap(d, 0, 1) is Errno.ENOMEM
    assert pieces(system) == [("MMIO", 0, 2, 0), ("DUS", 0, 2, 1)]
    system.inject("alloc:vma", -12)
    assert system.mprotect(d, 0, 1, writable=False) is Errno.ENOMEM


def test_linux_frees_the_wrong_slot() -> None:
    """The second page of the doorbell has page offset 1, the number of the other region."""
    system, m, d = mapped("6.12.117")
    assert system.munmap(m, 1, 1) == 0
    assert slots(system) == {"MMIO": True, "DUS": False}
    assert system.touch(d) == 0
    assert system.mmap(0, 3, DUS, 2) > 0  # a second map of a region that is mapped
    assert "uacce.I09" in {finding.rule for finding in checks.check(system)}
    assert checks.unexpected(system) == []


def test_linux_frees_the_slot_with_the_first_piece() -> None:
    system, m, _ = mapped("6.12.117")
    system.munmap(m, 0, 1)
    assert slots(system) == {"MMIO": False, "DUS": True}
    assert system.touch(m, 1) == 0


def test_linux_closes_the_copy_of_a_refused_move() -> None:
    """The copy made for a move is unmapped when the driver refuses, and its close frees the slot of the original."""
    system, m, _ = mapped("6.12.117")
    assert system.mremap(m, 2, 2, move=True) is Errno.EPERM
    assert system.touch(m) == 0
    assert slots(system) == {"MMIO": False, "DUS": True}
    assert system.mmap(0, 3, MMIO, 2) > 0


def test_intended_slot_belongs_to_one_mmap_call() -> None:
    system, m, d = mapped("intended")
    system.munmap(m, 1, 1)
    system.mremap(m, 1, 1, move=True)
    system.mprotect(d, 1, 1, writable=False)
    assert slots(system) == {"MMIO": True, "DUS": True}
    assert system.mmap(0, 3, MMIO, 1) is Errno.EEXIST
    system.munmap(m, 0, 1)
    assert slots(system) == {"MMIO": False, "DUS": True}
    assert system.mmap(0, 3, MMIO, 1) > 0
    system.munmap(d, 0, 1)
    assert slots(system)["DUS"]
    system.munmap(d, 1, 1)
    assert not slots(system)["DUS"]
    assert checks.check(system) == []


def test_private_doorbell_loses_its_offset_where_the_driver_uses_frame_numbers() -> None:
    system = System("6.12.117", hardware={"private_doorbell_loses_offset": True})
    system.alloc(0)
    system.register(0)
    system.open(0, 0, 3)
    m = system.mmap(0, 3, MMIO, 1, private=True)
    system.munmap(m)
    assert slots(system)["MMIO"]
    assert system.mmap(0, 3, MMIO, 1) is Errno.EEXIST
    assert "leak: 1 of region" in [str(finding) for finding in checks.end(system)]


OPERATION = st.tuples(
    st.sampled_from(["munmap", "mprotect", "shrink", "move", "mmap"]), st.integers(0, 3), st.integers(1, 4)
)


@BOTH
@given(st.lists(OPERATION, max_size=12))
def test_pieces_always_tile_what_is_mapped(behaviour: str, operations: list[tuple[str, int, int]]) -> None:
    """Whatever is split, each page shows the file page of its place, and touching agrees with a set of pages."""
    system = System(behaviour, hardware={"dus_pages": 4})
    system.alloc(0)
    system.register(0)
    system.open(0, 0, 3)
    m = system.mmap(0, 3, DUS, 4)
    there = set(range(4))
    for name, first, size in operations:
        if name == "munmap":
            assert system.munmap(m, first, size) == 0
            there -= set(range(first, first + size))
        elif name == "mprotect":
            whole = set(range(first, first + size)) <= there
            assert (system.mprotect(m, first, size, writable=bool(size % 2)) == 0) == whole
        elif name == "shrink" and first in there and size > 1:
            if system.mremap(m, size, 1, first=first) == 0:
                there -= set(range(first + 1, first + size))
        elif name == "move":
            assert system.mremap(m, size, size, first=first, move=True) in (Errno.EPERM, Errno.EFAULT)
        assert {page for page in range(4) if system.touch(m, page) == 0} == there
        for region, at, pages, pgoff in pieces(system):
            assert (region, pgoff) == ("DUS", 1 + at)
            assert set(range(at, at + pages)) <= there
    if behaviour == "intended":
        assert slots(system)["DUS"] == bool(there)
        assert checks.check(system) == []
    assert [str(finding) for finding in checks.end(system) if finding.rule in ("leak", "double free")] == []
