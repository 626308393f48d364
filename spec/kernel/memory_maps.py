# SPDX-License-Identifier: Apache-2.0
"""Mappings: pieces that munmap and mprotect split.  A tail begins at the next page; a close sees only the offset."""

from __future__ import annotations

from accelspec.spec.language import EFAULT, EINVAL, OK, Result, free, kernel, operation, require

from .files import Files
from .objects import Mm, Process, Vma


class MemoryMaps(Files):
    """munmap, mprotect and mremap.  A driver's machine gives `vma_close`: what its own vm_ops->close does."""

    document = "Linux: mm/mmap.c, mm/mremap.c"

    def vma_close(self, v: Vma) -> None:
        """The driver's vm_ops->close of this piece."""

    def alive(self, m: Mm) -> bool:
        """Does a running process have it?"""
        return any(p.running and p.mm is m for p in Process)

    def unmap_piece(self, v: Vma) -> None:
        """A piece goes away as a whole."""
        f = v.file
        self.vma_close(v)
        free(v)
        self.fput(f)

    def next_page(self, v: Vma) -> int:
        return 2 if v.pgoff == 2 else v.pgoff + 1

    @operation
    def munmap(self, v: Vma) -> Result:
        require(self.alive(v.mm))
        with v.mm.mmap_lock:
            self.unmap_piece(v)
            return OK("ok", kernel("do_vmi_munmap"))

    @operation
    def munmap_head(self, v: Vma) -> Result:
        """The first of two pages: the piece that is closed begins where the mapping began."""
        require(v.whole and self.alive(v.mm))
        with v.mm.mmap_lock:
            self.vma_close(v)
            v.pgoff = self.next_page(v)
            v.whole = False
            return OK("ok", kernel("__split_vma", "the rest keeps its file reference"))

    @operation
    def munmap_tail(self, v: Vma) -> Result:
        """The second of two pages, also as mremap shrinks in place: the piece that is closed begins one page later."""
        require(v.whole and self.alive(v.mm))
        with v.mm.mmap_lock:
            first = v.pgoff
            v.pgoff = self.next_page(v)
            self.vma_close(v)
            v.pgoff = first
            v.whole = False
            return OK("ok", kernel("__split_vma"))

    @operation
    def mprotect_tail(self, v: Vma) -> Result:
        """Other rights for the second page: the mapping is split, nothing is closed."""
        require(v.whole and self.alive(v.mm))
        with v.mm.mmap_lock:
            Vma(file=v.file, mm=v.mm, pgoff=self.next_page(v), whole=False, ptes=v.ptes, base=v.base, moved=v.moved)
            v.whole = False
            return OK("ok", kernel("mprotect_fixup", "no open callback: the driver does not learn of it"))

    @operation
    def mremap_grow(self, v: Vma) -> Result:
        require(v.whole and self.alive(v.mm))
        return EFAULT("dont_expand", kernel("vma_to_resize", "VM_DONTEXPAND or VM_PFNMAP"))

    @operation
    def mremap_dont_unmap(self, v: Vma) -> Result:
        require(self.alive(v.mm))
        return EINVAL("dont_unmap", kernel("vma_to_resize", "only for anonymous memory and the like"))
