# SPDX-License-Identifier: Apache-2.0
"""What must hold of the system heap and its buffers."""

from __future__ import annotations

from accelspec.spec.kernel import Address, Fd, Mm, Page, Process
from accelspec.spec.kernel.dma_bufs import DmaBuf, DmaBufs
from accelspec.spec.language import OK, STATE, STEP, Errno, after, always, deduced, implies, old, read, sometimes


class Laws(DmaBufs):
    @always("dma_heap.I01", STATE, deduced("dma_buf_release runs at the last reference, and not before"))
    def buffers_live_as_long_as_they_are_reached(self) -> bool:
        """A buffer exists as long as a descriptor, a mapping or a message leads to it, and no longer."""
        return all(self.referenced(d.file) for d in DmaBuf)

    @always("dma_heap.I02", STATE, deduced("the checks of mmap and mprotect"))
    def nobody_writes_what_was_opened_for_reading(self) -> bool:
        """Who can write to a buffer through a mapping has it from a descriptor that was opened for writing."""
        return all(
            self.may_be_written(d) or not (a.file[m] is d.file and a.writable[m]) or a.private[m]
            for d in DmaBuf
            for a in Address
            for m in Mm
        )

    @always("dma_heap.I03", STATE, deduced("exit_mmap, and exec_mmap"))
    def the_dead_map_nothing(self) -> bool:
        """An address space that no running process has holds no buffer."""
        return all(self.alive(m) or a.file[m] is None for a in Address for m in Mm)

    @after("store", "dma_heap.I04", STEP, deduced("wp_page_copy"))
    def copies_are_private(self, p: Process, a: Address) -> bool:
        """What is written through a private mapping reaches no buffer."""
        return implies(a.private[p.mm], all(implies(d.written[b], old(d).written[b]) for d in DmaBuf for b in Page))

    @always("dma_heap.I05", STEP, deduced("nobody wipes memory that is in use"))
    def what_is_written_stays(self) -> bool:
        """A buffer keeps what was written to it until it goes."""
        return all(implies(old(d).written[b], d.written[b]) for d in DmaBuf for b in Page)

    @after("mremap_move", "dma_heap.I06", STEP, deduced("move_vma copies vm_flags"))
    def rights_move_along(self, p: Process, a: Address, b: Address, result: Errno) -> bool:
        """A mapping that is moved can do what it could before."""
        moved = old(a).writable[p.mm] == b.writable[p.mm] and old(a).private[p.mm] == b.private[p.mm]
        return implies(result is OK, moved)

    @sometimes("dma_heap.S01", read("do_mmap", document="linux 6.12.117 mm/mmap.c"))
    def mappings_outlive_descriptors(self) -> bool:
        """A buffer is reached through a mapping alone."""
        return any(
            any(a.file[m] is d.file for a in Address for m in Mm)
            and not any(p.fd[n] is d.file for p in Process for n in Fd)
            for d in DmaBuf
        )

    @sometimes("dma_heap.S02", deduced("one descriptor, two mappings"))
    def seen_twice(self) -> bool:
        """Two addresses show the same page."""
        return any(
            a is not b and a.file[m] is not None and a.file[m] is b.file[m] and a.shows[m] is b.shows[m]
            for a in Address
            for b in Address
            for m in Mm
        )

    @sometimes("dma_heap.S03", deduced("a store through a private mapping"))
    def a_copy_differs(self) -> bool:
        """A private copy shows what the buffer does not."""
        return any(
            a.copied[m] and d.file is a.file[m] and a.shows[m] is b and not d.written[b]
            for d in DmaBuf
            for a in Address
            for b in Page
            for m in Mm
        )

    @sometimes("dma_heap.S04", deduced("fork, or a message"))
    def shared(self) -> bool:
        """Two processes have the same description."""
        return any(
            p is not q and p.fd[n] is not None and p.fd[n] is q.fd[k]
            for p in Process
            for q in Process
            for n in Fd
            for k in Fd
        )

    def may_be_written(self, d: DmaBuf) -> bool:
        return self.writes(d.file)
