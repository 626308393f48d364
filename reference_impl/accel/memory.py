# SPDX-License-Identifier: Apache-2.0
"""Device memory: pages of one numpy array, handed out by device-wide handles, and whose bytes they still hold.

A handle names a pack of pages and belongs to the ASID that allocated it. Handles are reused at once, and so are ASIDs:
an owner is therefore an ASID until its `free_of`, and a page remembers which owner had it since it was last scrubbed.
"""

from dataclasses import dataclass
from math import gcd
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..kernel import Errno, UsageError
from .idr import Idr
from .rules import MemoryRules, Report, Take, nothing, silent

Bytes = NDArray[np.uint8]
Pages = NDArray[np.intp]

PAGE_SIZE: Final = 64 << 10
_NO_PAGES: Final = np.empty(0, np.intp)


@dataclass(slots=True, eq=False)
class PagePack:
    """The pages behind one handle (the driver's phys_pg_pack). `mappings` counts the address ranges that show them.

    `orphan` is a pack whose owner has ended: no handle names it, and it goes with its last mapping.
    """

    handle: int
    asid: int
    pages: Pages
    page_size: int
    contiguous: bool
    shared: bool
    mappings: int = 0
    orphan: bool = False
    freed: bool = False

    @property
    def size(self) -> int:
        """Bytes, a multiple of the page size."""
        return len(self.pages) * self.page_size


class DeviceMemory:
    """`size` bytes of device memory in pages, none of them owned at first.

    Contiguous packs are one run of pages, first fit. Others are scattered on purpose, in an order that depends on
    nothing but which pages are free. `report` hears of broken laws, `take` injects failures (see `INJECTABLE`).

    >>> memory = DeviceMemory(1 << 20)
    >>> memory.alloc(100, owner_asid=1), memory.used, memory.free(1), memory.free(1)
    (1, 65536, 0, <Errno.EINVAL: -22>)
    """

    def __init__(
        self,
        size: int,
        page_size: int = PAGE_SIZE,
        *,
        rules: MemoryRules = MemoryRules(),  # noqa: B008, it is frozen
        take: Take = nothing,
        report: Report = silent,
    ) -> None:
        if page_size < 8 or page_size & (page_size - 1) or size <= 0 or size % page_size:
            raise UsageError(f"{size} bytes of memory are not a number of pages of {page_size}, a power of two from 8")
        self.size = size
        self.page_size = page_size
        self.rules = rules
        self.take = take
        self.report = report
        self.bytes: Bytes = np.zeros(size, np.uint8)
        self.packs: Idr[PagePack] = Idr()
        self.orphans: list[PagePack] = []
        count = size // page_size
        self._free = np.ones(count, np.bool_)
        self._had_by = np.zeros(count, np.int64)  # the owner since the last scrub, 0 for nobody
        self._owners: dict[int, int] = {}  # of an ASID
        self._last_owner = 0
        self._dirty = False  # whether any page was shown since everything was scrubbed

    # Handles.

    def alloc(
        self, size: int, owner_asid: int, contiguous: bool = False, shared: bool = False, page_size: int = 0
    ) -> int:
        """Return the handle of new memory, `size` rounded up to pages; it holds what was there before.

        Errors: EINVAL (size 0, a page size that the device does not have; 0 is the default one), ENOMEM (no pages, or
        no such run of them), EFAULT (no handle).
        """
        if page_size not in (0, self.page_size):
            return Errno.EINVAL
        count = -(-size // self.page_size)
        if count <= 0:
            return Errno.EINVAL
        refused = self.take("mem_pool") or self.take("mem_pack")
        pages = (self._run(count) if contiguous else self._scattered(count)) if not refused else _NO_PAGES
        if len(pages) < count:
            return Errno.ENOMEM
        pack = PagePack(0, owner_asid, pages, self.page_size, contiguous, shared)
        handle = self.packs.add(pack) if self.take("mem_idr") is None else None
        if handle is None:
            return Errno.EFAULT
        pack.handle = handle
        self._free[pages] = False
        return handle

    def free(self, handle: int, asid: int | None = None) -> int:
        """Free the memory of a handle: 0, or EINVAL where it names nothing or is mapped somewhere.

        The kernels do not ask whose it is. Where the rules do, `asid` is the caller's, and another one gets EPERM.
        """
        pack = self.packs.find(handle)
        if pack is None or (pack.mappings > 0 and self.rules.free_refuses_mapped):
            return Errno.EINVAL
        if self.rules.free_tests_owner and asid is not None and asid != pack.asid:
            return Errno.EPERM
        self.packs.remove(handle)
        self._give_back(pack)
        return 0

    def free_of(self, asid: int) -> list[int]:
        """Free everything that an ASID still has, which ends this owner; return the handles.

        Unmap its address space first. What others have mapped (SHARED) is freed under them, or by the rules with the
        last mapping.
        """
        handles = [handle for handle, pack in self.packs.items() if pack.asid == asid]
        for handle in handles:
            pack = self.packs.remove(handle)
            assert pack is not None
            if pack.mappings > 0 and self.rules.orphan == "freed at the last unmap":
                pack.orphan = True
                self.orphans.append(pack)
            else:
                self._give_back(pack)
        self._owners.pop(asid, None)
        return handles

    def pack(self, handle: int) -> PagePack | None:
        """Return the pack that a handle names, if any."""
        return self.packs.find(handle)

    def pages(self, handle: int) -> Pages:
        """Return the numbers of the pages of a handle, in order. Raises UsageError where it names nothing."""
        pack = self.packs.find(handle)
        if pack is None:
            raise UsageError(f"no device memory has handle {handle}")
        return pack.pages

    # Mappings, for address spaces.

    def get(self, pack: PagePack) -> None:
        """Count a mapping."""
        pack.mappings += 1

    def put(self, pack: PagePack) -> None:
        """Drop a mapping; the last one of an orphan frees it."""
        pack.mappings -= 1
        if pack.orphan and pack.mappings == 0:
            self.orphans.remove(pack)
            self._give_back(pack)

    def runs(self, pack: PagePack) -> list[Bytes]:
        """Return the memory of a pack in order, as one view for each run of adjacent pages."""
        breaks = np.flatnonzero(np.diff(pack.pages) != 1) + 1
        firsts = pack.pages[np.concatenate(([0], breaks))]
        lengths = np.diff(np.concatenate(([0], breaks, [len(pack.pages)])))
        begins, ends = firsts * self.page_size, (firsts + lengths) * self.page_size
        return [self.bytes[begin:end] for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)]

    def show(self, pack: PagePack) -> None:
        """Note that the owner of `pack` can read it from now on: bytes of an earlier owner are reported (I18)."""
        owner = self._owner(pack.asid)
        before = self._had_by[pack.pages]
        if np.any((before != 0) & (before != owner)):
            self.report("habanalabs.I18", f"handle {pack.handle} of ASID {pack.asid} shows what an earlier owner left")
        self._had_by[pack.pages] = owner
        self._dirty = True

    # Totals, and what lies between two owners.

    def scrub(self, everything: bool = False) -> int:
        """Zero what earlier owners left in free pages, or all memory; 0, or an injected errno, then nothing is."""
        if self.rules.scrub_skips_clean and not self._dirty:
            return 0
        if refused := self.take("scrub"):
            return refused
        if not self._dirty:
            return 0
        doomed = self._had_by != 0
        if not everything:
            doomed &= self._free
        self.bytes.reshape(-1, self.page_size)[doomed] = 0
        self._had_by[doomed] = 0
        self._dirty = bool(self._had_by.any())
        return 0

    @property
    def used(self) -> int:
        """Bytes that are allocated."""
        return self.size - int(np.count_nonzero(self._free)) * self.page_size

    def used_by(self, asid: int) -> int:
        """Bytes that handles of an ASID name."""
        return sum(pack.size for _, pack in self.packs.items() if pack.asid == asid)

    @property
    def unscrubbed(self) -> int:
        """Bytes of free pages that still hold what an owner left."""
        return int(np.count_nonzero(self._free & (self._had_by != 0))) * self.page_size

    # Pages.

    def _owner(self, asid: int) -> int:
        if asid not in self._owners:
            self._last_owner += 1
            self._owners[asid] = self._last_owner
        return self._owners[asid]

    def _give_back(self, pack: PagePack) -> None:
        if pack.mappings > 0:
            self.report("habanalabs.I26", f"handle {pack.handle} of ASID {pack.asid} is freed while it is mapped")
        self._free[pack.pages] = True
        pack.freed = True

    def _run(self, count: int) -> Pages:
        free = np.flatnonzero(self._free)
        fits = np.flatnonzero(free[count - 1 :] - free[: max(len(free) - count + 1, 0)] == count - 1)
        return free[fits[0] : fits[0] + count] if len(fits) else _NO_PAGES

    def _scattered(self, count: int) -> Pages:
        free = np.flatnonzero(self._free)
        if len(free) < count:
            return _NO_PAGES
        stride = next(s for s in range(len(free) * 5 // 8 or 1, 2 * len(free)) if gcd(s, len(free)) == 1)
        return free[np.arange(count) * stride % len(free)]
