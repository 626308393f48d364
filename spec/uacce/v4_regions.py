# SPDX-License-Identifier: Apache-2.0
"""uacce v4: the regions of a queue file: mmap of seven kinds of region, sharing, and what becomes of a mapping.

A region is made by mmap and destroyed by the release of its queue, never by munmap: v4 has no vm_operations.
"""

from __future__ import annotations

from accelspec.spec.kernel import Fd, File, Process, Vma
from accelspec.spec.language import (
    CALLBACK,
    EBUSY,
    EINVAL,
    ENODEV,
    ENOMEM,
    OK,
    OOPS,
    Result,
    any_of,
    choose,
    deduced,
    fails,
    free,
    kernel,
    operation,
    read,
    require,
    when,
)

from .objects import (
    BEFORE,
    CORRUPT,
    DKO,
    DUS,
    EMPTY,
    FREED,
    INIT,
    MMIO,
    SET,
    SS,
    STARTED,
    UNKNOWN,
    Domain,
    Queue,
    Region,
    SharedRegion,
    Slot,
)
from .queue import Queues
from .v4_objects import Module, Offset

V4 = "uacce: RESEND v4, 9 October 2019, drivers/misc/uacce/uacce.c"


class Regions(Queues):
    document = V4

    def module(self) -> Module:
        m = any_of(m for m in Module)
        return m  # noqa: RET504

    def behind(self, f: File) -> Queue:
        """private_data of the description; nobody looks whether there is any."""
        q = choose(q for q in Queue if q.file is f)
        if q is None:
            raise OOPS("no_queue", read("uacce_fops_*", "q->uacce of a NULL q: open returned 0 without a queue"))
        if q.device.life is FREED:
            raise OOPS("device_freed", deduced("the description keeps another device alive than its queue refers to"))
        return q

    # ------------------------------------------------------------------ mmap

    def occupied(self, q: Queue, r: Region) -> bool:
        """q->qfrs[type]; behind the last slot lies the state word."""
        if r is MMIO:
            return q.mmio is not EMPTY
        if r is DKO:
            return q.dko
        if r is DUS:
            return q.dus is not EMPTY
        if r is SS:
            return q.ss is not None
        if r is UNKNOWN:
            return q.other
        return q.state is not INIT

    @operation
    def mmap(self, p: Process, n: Fd, r: Region, private: bool) -> Result:
        """Two pages at an offset: of the last region that begins at or before it (BEFORE: there is none, type 16)."""
        require(p.running and (r is SS or any(o.region is r for o in Offset)))
        f = self.file_of(p, n)
        require(not f.in_call)
        q = self.behind(f)
        require(q.device.filled or r is BEFORE)  # no region begins anywhere until the driver says so
        if r in (MMIO, DKO, DUS):
            if fails("a region begins behind it"):
                return EINVAL("no_next_region", read("uacce_get_region_type", "the last region can never be mapped"))
            if fails("the length is right"):
                return EINVAL("wrong_size", read("uacce_get_region_type", "up to the next region, wherever it begins"))
        m = self.module()
        with p.busy, p.mm.mmap_lock:
            f.in_call = True
            with m.uacce_mutex:
                f.in_call = False
                base = 0 if r is MMIO else 1 if r is DUS else 2
                assert self.alive(q.mm), "uacce.I17"
                if fails("RLIMIT_DATA of the caller"):
                    return ENOMEM("data_limit", read("uacce_fops_mmap", "data_vm of the opener, limit of the caller"))
                if self.occupied(q, r):
                    return EBUSY("occupied", read("uacce_fops_mmap", "type 16: what is not zero is the state word"))
                if r is SS and q.state is not STARTED:
                    return EINVAL("ss_not_started", read("uacce_fops_mmap"))
                if r is SS and q.device.sva:
                    return EINVAL("ss_on_sva", read("uacce_fops_mmap"))
                if r is DKO and q.device.sva:
                    return EINVAL("dko_on_sva", read("uacce_fops_mmap"))
                if fails("allocation"):
                    return ENOMEM("no_memory", read("uacce_create_region", "GFP_ATOMIC"))
                if r is MMIO or (r is DUS and q.device.sva):
                    if fails("mmap is absent"):
                        return EINVAL("no_callback", read("uacce_create_region"))
                    self.callback(q)
                    if fails("mmap"):
                        return CALLBACK("driver_refuses", read("uacce_create_region"))
                    self.set_slot(q, r, SET)
                    Vma(file=f, mm=p.mm, base=base, pgoff=base)
                    return OK("mapped_by_driver", read("uacce_create_region", "in any state, ZOMBIE too"))
                if r is BEFORE:
                    q.state = CORRUPT
                    Vma(file=f, mm=p.mm, base=2, pgoff=2, ptes=False)
                    return OK("state_overwritten", read("uacce_fops_mmap", "q->qfrs[16] is the state word"))
                if r is UNKNOWN:
                    q.other = True
                    Vma(file=f, mm=p.mm, base=2, pgoff=2, ptes=False)
                    return OK("mapped_nowhere", read("uacce_fops_mmap", "WARN_ON; pages that nobody can reach"))
                if q.device.domain is not Domain.ATTACHED:  # noqa: SIM102
                    if fails("default domain"):
                        return ENODEV("no_domain", read("uacce_queue_map_qfr", "unregistered, and no other domain"))
                if fails("iommu_map"):
                    return CALLBACK("iommu_map_fails", read("uacce_queue_map_qfr", "unmapped again"))
                if r is not DKO and private:
                    return EINVAL("remap_fails", kernel("remap_pfn_range", "page by page into a private mapping"))
                if r is SS:
                    g = SharedRegion()
                    q.ss = g
                    q.linked = g
                    Vma(file=f, mm=p.mm, base=2, pgoff=2)
                    return OK("mapped_to_share", read("uacce_fops_mmap", "the first of its sharers"))
                self.set_slot(q, r, SET)
                Vma(file=f, mm=p.mm, base=base, pgoff=base, ptes=r is DUS)
                return OK("mapped_pages", read("uacce_create_region", "DKO has no page table entries"))

    def set_slot(self, q: Queue, r: Region, to: Slot) -> None:
        super().set_slot(q, r, to)
        if when(r is DKO):
            q.dko = True
        if when(r is DUS and not q.device.sva):
            q.page_refs = 2

    # ------------------------------------------------------------------ what becomes of a mapping

    def vma_close(self, v: Vma) -> None:
        """There are no vm_operations: the driver does not learn of it."""

    def next_page(self, v: Vma) -> int:
        """Nobody looks at the offset of a piece."""
        return v.pgoff

    @operation
    def munmap(self, v: Vma) -> Result:
        require(self.alive(v.mm))
        with v.mm.mmap_lock:
            free(v)
            return OK("ok", kernel("do_munmap", "the region stays, and so does its slot"))

    @operation
    def munmap_tail(self, v: Vma) -> Result:
        require(v.whole and self.alive(v.mm))
        with v.mm.mmap_lock:
            v.whole = False
            return OK("ok", kernel("__split_vma"))

    @operation
    def mremap_move(self, v: Vma) -> Result:
        """To another address; the device keeps using the old one."""
        require(self.alive(v.mm))
        with v.mm.mmap_lock:
            v.moved = True
            return OK("ok", kernel("move_vma", "nobody is asked"))

    def free_regions(self, q: Queue) -> None:
        """The loop of uacce_fops_release: all regions go, a shared one with the last queue in its list."""
        shared = q.ss
        q.mmio = EMPTY
        q.dus = EMPTY
        q.dko = False
        q.other = False
        q.ss = None
        q.linked = None
        q.page_refs = 0
        for g in SharedRegion:
            if g is shared and not any(o.linked is g for o in Queue):
                free(g)

    # ------------------------------------------------------------------ sharing

    @operation
    def share(self, p: Process, n: Fd, m: Fd) -> Result:
        """UACCE_CMD_SHARE_SVAS on n: the shared region behind m becomes that of n, too."""
        t = self.queue_of(p, n)
        u = self.module()
        with u.uacce_mutex:
            if t.state is not STARTED:
                return EINVAL("target_not_started", read("uacce_cmd_share_qfr"))
            f = p.fd[m]
            if f is None:
                return EINVAL("bad_source_fd", read("uacce_cmd_share_qfr", "not EBADF"))
            if fails("it is a file of uacce"):
                return EINVAL("other_file", read("uacce_cmd_share_qfr", "compares file_operations"))
            s = choose(s for s in Queue if s.file is f)
            if s is None:
                return EINVAL("source_without_queue", read("uacce_cmd_share_qfr"))
            if t.device.sva:
                return EINVAL("sva_target", read("uacce_cmd_share_qfr"))
            if s.ss is None or t.ss is not None:
                return EINVAL("nothing_to_share", read("uacce_cmd_share_qfr", "or the target has a region already"))
            if t.device.domain is not Domain.ATTACHED and fails("default domain"):
                return ENODEV("no_domain", read("uacce_queue_map_qfr", "the target is unregistered"))
            if fails("iommu_map"):
                return CALLBACK("map_fails", read("uacce_queue_map_qfr", "the address is taken, for instance"))
            t.ss = s.ss
            t.linked = s.ss
            return OK("ok", read("uacce_cmd_share_qfr", "whatever the source's state is"))
