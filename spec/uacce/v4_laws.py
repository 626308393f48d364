# SPDX-License-Identifier: Apache-2.0
"""uacce: the laws on shared regions, IOMMU domains and raw pointers, and what other laws say in v4.

`SharedRegionLaws` is part of every revision, though only v4 has what it speaks about.  `V4Laws` says laws of all
revisions in the terms of v4: pages that belong to the core, one global mutex, a device that is visible too early.
"""

from __future__ import annotations

from accelspec.spec.kernel import File, Vma
from accelspec.spec.language import (
    COUNT,
    EBUSY,
    OK,
    STATE,
    STEP,
    Errno,
    Machine,
    after,
    always,
    check,
    eventually,
    implies,
    old,
)

from .laws import SHEET, Laws
from .objects import (
    BEFORE,
    CORRUPT,
    EMPTY,
    INIT,
    REGISTERED,
    SET,
    STARTED,
    Device,
    Domain,
    Queue,
    Region,
    SharedRegion,
)
from .v4_objects import CdevRef, Module


class SharedRegionLaws(Machine):
    """Laws that say something in v4 only: the other revisions list them as not applicable."""

    document = "docs/facts/uacce.md"

    @after("mmap", "uacce.I10", STEP, SHEET)
    def region_index_in_range(self, r: Region, result: Errno) -> bool:
        """No mapping looks at a slot behind the last one."""
        return implies(result in (OK, EBUSY), r is not BEFORE)

    @always("uacce.I11", STATE, SHEET)
    def state_word_is_a_state(self) -> bool:
        """The state word is one of the three states."""
        return all(q.state is not CORRUPT for q in Queue)

    @always("uacce.I13", STATE, SHEET)
    def share_list_mirrors_slots(self) -> bool:
        """A queue is in the list of a shared region exactly if that is its region; one without a queue is freed."""
        mirrored = all(q.linked is q.ss for q in Queue)
        return mirrored and all(any(q.linked is g for q in Queue) for g in SharedRegion)

    @always("uacce.I14", STATE, SHEET)
    def device_mappings_are_live(self) -> bool:
        """Where a device has translations to pages of a queue, they are in the domain that is attached to it."""
        return all(
            q.device.sva or q.device.domain is Domain.ATTACHED
            for q in Queue
            if q.dko or q.dus is not EMPTY or q.ss is not None
        )

    @check("uacce.I17", STEP, SHEET)
    def no_access_through_a_dead_address_space(self) -> None:
        """Nothing is read or written in the address space structure of an opener that is gone."""

    @always("uacce.I18", STATE, SHEET)
    def cpu_address_is_device_address(self) -> bool:
        """Without SVA, pages that process and device share have the same address for both."""
        return not any(
            v.moved and v.ptes and v.base != 0 and q.file is v.file and not q.device.sva for v in Vma for q in Queue
        )

    @always("uacce.I24", STATE, SHEET)
    def every_description_holds_the_module(self) -> bool:
        """Every description holds a reference to the module of the parent's driver."""
        return all(r.module for r in CdevRef if r.file is not None)

    @always("uacce.I28", STATE, SHEET)
    def domain_attached_while_registered(self) -> bool:
        """A domain of its own is attached to a device exactly while it is registered without SVA."""
        return all(
            (d.domain is Domain.ATTACHED) == (d.life is REGISTERED and not d.sva) and d.domain is not Domain.FREED
            for d in Device
        )


class V4Laws(Laws):
    """Laws of all revisions, as they read in v4."""

    @always("uacce.I05", STATE, SHEET)
    def every_description_has_a_queue(self) -> bool:  # type: ignore[override]
        """An open description has a queue."""
        return all(any(q.file is f for q in Queue) for f in File)

    @after("open", "uacce.I07", STEP, SHEET)
    def failed_calls_leave_nothing(self, result: Errno) -> bool:  # type: ignore[override]
        """An open that fails leaves no bond behind."""
        return implies(result is not OK, all(d.stray_bond == old(d).stray_bond for d in Device))

    @always("uacce.I09", STATE, SHEET)
    def slot_iff_mapped_once(self) -> bool:
        """A slot of MMIO or DUS is set exactly while a piece of a mapping of that region exists."""
        mmio = all(any(v.file is q.file and v.base == 0 for v in Vma) for q in Queue if q.mmio is not EMPTY)
        dus = all(any(v.file is q.file and v.base == 1 for v in Vma) for q in Queue if q.dus is not EMPTY)
        mapped = all(
            implies(v.base == 0, q.mmio is SET) and implies(v.base == 1, q.dus is SET)
            for v in Vma
            for q in Queue
            if q.file is v.file
        )
        return mmio and dus and mapped

    @always("uacce.I15", STATE, SHEET)
    def nothing_freed_twice(self) -> bool:  # type: ignore[override]
        """A page has one reference from its allocation and one for each domain that maps it."""
        return all(
            q.page_refs == (0 if q.dus is EMPTY or q.device.sva else 2 if q.device.domain is Domain.ATTACHED else 1)
            for q in Queue
        )

    @always("uacce.I19", STATE, SHEET)
    def who_maps_owns(self) -> bool:
        """Whoever has device memory mapped (MMIO; DUS with SVA) owns the hardware."""
        return all(
            q.hw is not None
            for v in Vma
            for q in Queue
            if q.file is v.file and v.ptes and (v.base == 0 or (v.base == 1 and q.device.sva))
        )

    @always("uacce.I23", STATE, SHEET)
    def published_means_complete(self) -> bool:  # type: ignore[override]
        """What is visible is complete: no device is before its driver has filled it in."""
        return all(d.filled for d in Device if d.life is REGISTERED)

    @always("uacce.I32", COUNT, SHEET)
    def started_means_running(self) -> bool:
        """Starts exceed stops by one exactly in STARTED, and never by more, whenever uacce_mutex is free."""
        return any(m.uacce_mutex for m in Module) or all(
            (q.running == 1) == (q.state is STARTED) and 0 <= q.running <= 1 for q in Queue
        )

    @eventually("uacce.L07", SHEET, fair=("open", "mmap", "task_work", "remove"))
    def remove_does_not_wait_for_users(self) -> bool:
        """Whoever holds uacce_mutex gives it back, though descriptors stay open."""
        return not any(m.uacce_mutex for m in Module)

    @always("uacce.L08", STATE, SHEET)
    def queue_dies_with_its_description(self) -> bool:
        """A queue without a description is one that an open is just making."""
        return all(q.file is not None or not q.built for q in Queue)

    def owners_are_alive(self) -> bool:
        return all(q.hw is not None for q in Queue if q.file is not None and q.state in (INIT, STARTED))
