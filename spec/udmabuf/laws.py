# SPDX-License-Identifier: Apache-2.0
"""What must hold of memory that is given to devices."""

from __future__ import annotations

from accelspec.spec.kernel import Address, Fd, Mm, Process
from accelspec.spec.kernel.dma_bufs import DmaBuf
from accelspec.spec.language import OK, STATE, STEP, Errno, after, always, deduced, implies, old, read, sometimes

from .memory import Memories, Memory, Udmabuf


class Laws(Memories):
    @always("udmabuf.I01", STATE, deduced("release_udmabuf runs at the last reference, and not before"))
    def buffers_live_as_long_as_they_are_reached(self) -> bool:
        """A buffer exists as long as a descriptor, a mapping or a message leads to it, and no longer."""
        return all(self.referenced(d.file) and any(u.buffer is d for u in Udmabuf) for d in DmaBuf)

    @always("udmabuf.I02", STATE, read("memfd_wait_for_pins", document="linux 6.12.117 mm/memfd.c"))
    def sealed_memory_is_not_given(self) -> bool:
        """Memory that is sealed against writing is no buffer's: whoever relies on the seal sees it change no more."""
        return all(not u.memory.write for u in Udmabuf)

    @always("udmabuf.I03", STATE, read("check_memfd_seals", document="linux 6.12.117 drivers/dma-buf/udmabuf.c"))
    def what_is_given_stays(self) -> bool:
        """The pages of a buffer are those of its memory, which cannot get shorter."""
        return all(u.memory.shrink and not u.memory.empty for u in Udmabuf)

    @always("udmabuf.I04", STEP, read("memfd_add_seals", document="linux 6.12.117 mm/memfd.c"))
    def seals_stay(self) -> bool:
        """A seal that was set is never taken off."""
        return all(
            implies(old(x).shrink, x.shrink) and implies(old(x).write, x.write) and implies(old(x).future, x.future)
            for x in Memory
        )

    @after("mmap", "udmabuf.I05", STEP, deduced("what F_SEAL_FUTURE_WRITE promises"))
    def no_new_writers(self, p: Process, a: Address, write: bool, result: Errno) -> bool:
        """Memory that is sealed against future writes gets no writer that it did not have."""
        sealed = any(u.memory.future and u.buffer.file is a.file[p.mm] for u in Udmabuf)
        return implies(result is OK and write, not sealed)

    @always("udmabuf.I06", STATE, deduced("exit_mmap, and exec_mmap"))
    def the_dead_map_nothing(self) -> bool:
        """An address space that no running process has holds no buffer."""
        return all(self.alive(m) or a.file[m] is None for a in Address for m in Mm)

    @sometimes("udmabuf.S01", deduced("the pages are pinned, the file is not"))
    def outlives_its_memory_file(self) -> bool:
        """A buffer is there while nobody has its memory file."""
        return any(not any(u.memory.held[p] for p in Process) for u in Udmabuf)

    @sometimes("udmabuf.S02", deduced("nothing is exclusive"))
    def given_twice(self) -> bool:
        """Two buffers are of one memory."""
        return any(u is not v and u.memory is v.memory for u in Udmabuf for v in Udmabuf)

    @sometimes("udmabuf.S03", deduced("a mapping is enough"))
    def mapped_alone(self) -> bool:
        """A buffer is reached through a mapping alone."""
        return any(
            any(a.file[m] is u.buffer.file for a in Address for m in Mm)
            and not any(p.fd[n] is u.buffer.file for p in Process for n in Fd)
            for u in Udmabuf
        )
