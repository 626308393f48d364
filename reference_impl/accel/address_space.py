# SPDX-License-Identifier: Apache-2.0
"""The device's view of memory in one context: which addresses show which device or host memory.

The page table is kept by runs: a mapping is a range of addresses and the views of memory behind it, one for each run
of adjacent pages. A range that lies in one run is reached without a copy.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..kernel import PAGE, Errno, UsageError
from .memory import Bytes, DeviceMemory, PagePack

DEVICE_BASE: Final = 1 << 40
HOST_BASE: Final = 1 << 44
HOST_SIZE: Final = 1 << 40


class Fault(Exception):
    """The device touched an address that is not mapped, or wrote to one that is read-only."""

    def __init__(self, va: int, write: bool = False) -> None:
        super().__init__(f"page fault at {va:#x} ({'write' if write else 'read'})")
        self.va = va
        self.write = write


def is_host(va: int) -> bool:
    """Tell whether an address lies where host memory is mapped."""
    return va >= HOST_BASE


@dataclass(slots=True, eq=False)
class Mapping:
    """`size` bytes at `va`. `pack` is the device memory shown, None for pinned host memory.

    `starts[i]` is the address where run i of `runs` begins. `exports` counts buffers that were exported from here.
    A `reserved` mapping is the driver's own: no user can undo it.
    """

    va: int
    size: int
    runs: list[Bytes]
    starts: list[int]
    pack: PagePack | None
    writable: bool = True
    exports: int = 0
    reserved: bool = False

    @property
    def end(self) -> int:
        """The address after the last byte."""
        return self.va + self.size


class AddressSpace:
    """The addresses of one context. `window` bytes of them are for device memory, four times its size by default.

    >>> space = AddressSpace(memory, asid=1)
    >>> va = space.map_device(memory.alloc(4096, 1))
    >>> space.store(va, np.arange(3, dtype=np.uint8)), space.load(va + 1, 2).tolist()
    (None, [1, 2])
    """

    def __init__(self, memory: DeviceMemory, asid: int, window: int | None = None) -> None:
        self.memory = memory
        self.asid = asid
        self.closed = False
        self._window = (DEVICE_BASE, DEVICE_BASE + (window if window is not None else 4 * memory.size))
        self._mappings: list[Mapping] = []  # by address
        self._vas: list[int] = []
        self._stale: list[Mapping] = []  # translations that outlived their mapping: a bug, see MemoryRules

    # The calls that MEMORY makes.

    def map_device(self, handle: int, hint: int | None = None, force: bool = False) -> int:
        """Map the memory of a handle and return its address; with `force` at `hint` or not at all.

        Errors: EINVAL (unknown handle), EPERM (memory of another ASID that is not SHARED), ENOMEM (no address free, a
        forced hint that is not aligned or not free, no page tables).
        """
        self._usable()
        memory = self.memory
        pack = memory.pack(handle)
        if pack is None:
            return Errno.EINVAL
        if pack.asid != self.asid and not pack.shared and memory.rules.map_tests_owner:
            return Errno.EPERM
        va = self._place(pack.size, pack.page_size, self._window, hint or 0, force)
        if va is None or memory.take("mem_map"):
            return Errno.ENOMEM
        memory.get(pack)
        memory.show(pack)
        self._insert(va, memory.runs(pack), pack, writable=True, reserved=False)
        return va

    def map_host(
        self,
        parts: NDArray[Any] | Sequence[NDArray[Any]],
        hint: int | None = None,
        force: bool = False,
        offset: int = 0,
        reserved: bool = False,
    ) -> int:
        """Pin host memory, an array or its parts in order, and return its address; the device sees every change.

        `offset` is where in a page it begins: a forced hint is then EINVAL. Errors: EINVAL (nothing to map), the
        injected errno of ``pin`` (EINVAL, EFAULT, ENOMEM), ENOMEM (as for device memory). Read-only arrays stay so.
        Raises UsageError for an array that is not contiguous.
        """
        self._usable()
        arrays = [parts] if isinstance(parts, np.ndarray) else list(parts)
        if not all(array.flags.c_contiguous for array in arrays):
            raise UsageError("host memory to be mapped must be contiguous arrays; pass its parts in order")
        if not 0 <= offset < PAGE:
            raise UsageError(f"offset {offset} does not lie in a page of {PAGE}")
        runs = [array.reshape(-1).view(np.uint8) for array in arrays if array.nbytes]
        size = sum(len(run) for run in runs)
        refused = self.memory.take("pin")
        if refused:
            return refused
        if size == 0 or (hint and offset and force):
            return Errno.EINVAL
        room = -(-(offset + size) // PAGE) * PAGE
        va = self._place(room, PAGE, (HOST_BASE, HOST_BASE + HOST_SIZE), hint or 0, force)
        if va is None or self.memory.take("mem_map"):
            return Errno.ENOMEM
        writable = all(array.flags.writeable for array in arrays)
        self._insert(va + offset, runs, None, writable, reserved)
        return va + offset

    def unmap(self, va: int, reserved: bool = False) -> int:
        """Undo the mapping that begins at `va`: 0, or EINVAL where none does, or where it is exported.

        `reserved` is for the driver's own mappings, and for them alone.
        """
        mapping = self.mapping(va)
        if mapping is None or mapping.exports > 0 or mapping.reserved != reserved:
            return Errno.EINVAL
        self._remove(mapping)
        return 0

    def close(self) -> list[int]:
        """Undo every mapping, for good; return the addresses that were still mapped."""
        left = list(self._vas)
        for mapping in list(self._mappings):
            self._remove(mapping)
        self._stale.clear()
        self.closed = True
        return left

    def mapping(self, va: int) -> Mapping | None:
        """Return the mapping that begins at `va`, if any."""
        found = self._at(va)
        return found if found is not None and found.va == va else None

    @property
    def mappings(self) -> list[Mapping]:
        """All mappings, by address."""
        return list(self._mappings)

    # What the device does with addresses.

    def view(self, va: int, nbytes: int, write: bool = False) -> list[Bytes]:
        """Return the memory at `va`: one view for each run, so one where it is contiguous. Raises Fault."""
        mapping = self._at(va)
        if mapping is not None and len(mapping.runs) == 1 and va + nbytes <= mapping.end:
            if write and not mapping.writable:
                raise Fault(va, write)
            return [mapping.runs[0][va - mapping.va : va - mapping.va + nbytes]]
        return list(self._parts(va, nbytes, write))

    def load(self, va: int, nbytes: int) -> Bytes:
        """Return the bytes at `va`: the memory itself where it is contiguous, else a copy. Raises Fault."""
        views = self.view(va, nbytes)
        return views[0] if len(views) == 1 else np.concatenate(views or [np.empty(0, np.uint8)])

    def store(self, va: int, data: NDArray[Any]) -> None:
        """Write the bytes of an array at `va`, all of them or, raising Fault, none."""
        raw = np.ascontiguousarray(data).reshape(-1).view(np.uint8)
        scatter(raw, self.view(va, len(raw), write=True))

    def _parts(self, va: int, nbytes: int, write: bool) -> Iterator[Bytes]:
        end = va + nbytes
        while va < end:
            mapping = self._at(va) or self._stale_at(va)
            if mapping is None or (write and not mapping.writable):
                raise Fault(va, write)
            i = bisect_right(mapping.starts, va) - 1
            while va < end and i < len(mapping.runs):
                run, skip = mapping.runs[i], va - mapping.starts[i]
                part = run[skip : skip + end - va]
                yield part
                va += len(part)
                i += 1

    def _at(self, va: int) -> Mapping | None:
        i = bisect_right(self._vas, va) - 1
        return self._mappings[i] if i >= 0 and va < self._mappings[i].end else None

    def _stale_at(self, va: int) -> Mapping | None:
        for mapping in self._stale:
            if mapping.va <= va < mapping.end:
                self.memory.report("habanalabs.I26", f"ASID {self.asid} reaches {va:#x}, which was unmapped")
                return mapping
        return None

    # Ranges of addresses.

    def _usable(self) -> None:
        if self.closed:
            raise UsageError(f"the address space of ASID {self.asid} is closed")

    def _insert(self, va: int, runs: list[Bytes], pack: PagePack | None, writable: bool, reserved: bool) -> None:
        starts = [va]
        for run in runs:
            starts.append(starts[-1] + len(run))
        end = starts.pop()
        i = bisect_right(self._vas, va)
        self._vas.insert(i, va)
        self._mappings.insert(i, Mapping(va, end - va, runs, starts, pack, writable, 0, reserved))

    def _remove(self, mapping: Mapping) -> None:
        i = self._mappings.index(mapping)
        del self._mappings[i], self._vas[i]
        if mapping.pack is not None:
            self.memory.put(mapping.pack)
        if not self.memory.rules.unmap_invalidates:
            self._stale.append(mapping)

    def _place(self, size: int, align: int, window: tuple[int, int], hint: int, force: bool) -> int | None:
        """The hint if it is aligned and free, else the smallest gap that fits; None, also for a hint forced in vain."""
        if hint % align:
            if force:
                return None
            hint = 0
        best: tuple[int, int] | None = None
        for begin, end in self._gaps(window, align):
            if hint and begin <= hint and hint + size <= end:
                return hint
            if end - begin >= size and (best is None or end - begin < best[0]):
                best = (end - begin, begin)
        return best[1] if best is not None and not force else None

    def _gaps(self, window: tuple[int, int], align: int) -> Iterator[tuple[int, int]]:
        begin, last = window
        for mapping in self._mappings:
            if window[0] <= mapping.va < last:
                yield begin, mapping.va // align * align
                begin = -(-mapping.end // align) * align
        yield begin, last


def scatter(raw: Bytes, views: Sequence[Bytes]) -> None:
    """Write bytes to views, in order; their lengths add up."""
    at = 0
    for view in views:
        view[:] = raw[at : at + len(view)]
        at += len(view)
