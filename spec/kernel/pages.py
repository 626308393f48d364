# SPDX-License-Identifier: Apache-2.0
"""Mappings, page by page: of memory that stays when it is mapped, so that fork copies them and mremap moves them.

An address space has one area, as long as a buffer.  At each address in it some page of a buffer can be seen, or none.
So a mapping of several pages is as many cells, and whoever unmaps, protects or moves a part of it changes some.
"""

from __future__ import annotations

from accelspec.spec.language import (
    EACCES,
    EFAULT,
    EINVAL,
    ENOMEM,
    OK,
    Map,
    Object,
    Result,
    Rigid,
    free,
    kernel,
    operation,
    read,
    require,
)

from .files import Files
from .objects import Fd, File, Message, Mm, Process

MREMAP = "linux 6.12.117 mm/mremap.c"
MPROTECT = "linux 6.12.117 mm/mprotect.c"
FORK = "linux 6.12.117 kernel/fork.c"
MADVISE = "linux 6.12.117 mm/madvise.c"


class Page(Object, always=True):
    """A page of a buffer; every buffer has all of them."""


class Address(Object, always=True):
    """A page of virtual addresses, in the area of each address space that is as long as a buffer."""

    number: Rigid[Page]  # which page of a buffer is seen here if the whole of it is mapped
    file: Map[Mm, File | None] = Map()  # what is mapped there; a mapping keeps its file open
    shows: Map[Mm, Page | None] = Map()  # which page of it
    writable: Map[Mm, bool] = Map(each=False)
    private: Map[Mm, bool] = Map(each=False)
    copied: Map[Mm, bool] = Map(each=False)  # private, and written since: a copy that nobody else sees


class Pages(Files):
    """munmap, mprotect, mremap, and the life of an address space: fork, exec, exit."""

    document = "linux 6.12.117 mm/mmap.c"
    drops = ["wake_up"]  # nobody sleeps here

    def reads(self, f: File) -> bool:
        """Was it opened for reading?"""
        return True

    def writes(self, f: File) -> bool:
        """Was it opened for writing?"""
        return True

    def referenced(self, f: File) -> bool:
        by_fd = any(p.fd[n] is f for p in Process for n in Fd)
        by_page = any(a.file[m] is f for a in Address for m in Mm)
        return by_fd or by_page or any(m.file is f for m in Message)

    def fput(self, f: File) -> None:
        """A reference is gone, or several."""
        self.forget()

    def forget(self) -> None:
        """Nothing that nobody refers to is there any more."""
        for f in File:
            if not self.referenced(f):
                free(f)

    def alive(self, m: Mm) -> bool:
        """Does a running process have it?"""
        return any(p.running and p.mm is m for p in Process)

    def empty(self, m: Mm) -> bool:
        """An address space that a new process may get."""
        return not self.alive(m) and all(a.file[m] is None for a in Address)

    def unmap(self, a: Address, m: Mm) -> None:
        a.file[m] = None
        a.shows[m] = None
        a.writable[m] = False
        a.private[m] = False
        a.copied[m] = False

    # ------------------------------------------------------------------ calls on a page

    @operation
    def munmap(self, p: Process, a: Address) -> Result:
        require(p.running)
        self.unmap(a, p.mm)
        self.forget()
        return OK("ok", read("do_vmi_munmap", "also where nothing is mapped"))

    @operation
    def mprotect(self, p: Process, a: Address, write: bool) -> Result:
        require(p.running)
        f = a.file[p.mm]
        if f is None:
            return ENOMEM("unmapped", read("do_mprotect_pkey", document=MPROTECT))
        if write and not a.private[p.mm] and not self.writes(f):
            return EACCES(
                "no_more_than_opened", read("do_mprotect_pkey", "VM_MAYWRITE went at mmap", document=MPROTECT)
            )
        a.writable[p.mm] = write
        return OK("ok", read("mprotect_fixup", document=MPROTECT))

    @operation
    def mremap_grow(self, p: Process, a: Address) -> Result:
        """One page is to become two."""
        require(p.running)
        if a.file[p.mm] is None:
            return EFAULT("unmapped", read("SYSCALL_DEFINE5(mremap)", document=MREMAP))
        return EFAULT("dont_expand", read("vma_to_resize", "VM_DONTEXPAND or VM_PFNMAP", document=MREMAP))

    @operation
    def mremap_move(self, p: Process, a: Address, b: Address) -> Result:
        """To the place of another page (MREMAP_FIXED)."""
        require(p.running and a is not b)
        m = p.mm
        f = a.file[m]
        if f is None:
            return EFAULT("unmapped", read("SYSCALL_DEFINE5(mremap)", "the target stays", document=MREMAP))
        b.file[m] = f
        b.shows[m] = a.shows[m]
        b.writable[m] = a.writable[m]
        b.private[m] = a.private[m]
        b.copied[m] = a.copied[m]
        self.unmap(a, m)
        self.forget()
        return OK("ok", read("move_vma", "what was there is unmapped; rights and copies move, too", document=MREMAP))

    @operation
    def mremap_dont_unmap(self, p: Process, a: Address, b: Address) -> Result:
        """The same, and the old mapping is to stay (MREMAP_DONTUNMAP)."""
        require(p.running and a is not b)
        if a.file[p.mm] is None:
            return EFAULT("unmapped", read("SYSCALL_DEFINE5(mremap)", "the target stays", document=MREMAP))
        self.unmap(b, p.mm)
        self.forget()
        return EINVAL(
            "dont_unmap", read("mremap_to", "vma_to_resize refuses; by then the target is unmapped", document=MREMAP)
        )

    @operation
    def madvise_dont_need(self, p: Process, a: Address) -> Result:
        require(p.running)
        if a.file[p.mm] is None:
            return ENOMEM("unmapped", read("madvise_walk_vmas", document=MADVISE))
        return EINVAL("pfnmap", read("madvise_dontneed_free_valid_vma", "VM_PFNMAP", document=MADVISE))

    # ------------------------------------------------------------------ processes

    @operation
    def fork(self, p: Process, c: Process, m: Mm) -> Result:
        require(p.running and not c.running and self.empty(m) and all(c.fd[n] is None for n in Fd))
        c.running = True
        c.mm = m
        for n in Fd:
            c.fd[n] = p.fd[n]
        for a in Address:
            a.file[m] = a.file[p.mm]
            a.shows[m] = a.shows[p.mm]
            a.writable[m] = a.writable[p.mm]
            a.private[m] = a.private[p.mm]
            a.copied[m] = a.copied[p.mm]
        return OK("ok", read("dup_mmap", "no VM_DONTCOPY: the child has every mapping, too", document=FORK))

    @operation
    def exec(self, p: Process, m: Mm, cloexec: bool) -> Result:
        """A new program in a new address space; with `cloexec` every descriptor of it is close-on-exec, else none."""
        require(p.running and self.empty(m))
        gone = p.mm
        p.mm = m
        for a in Address:
            if not self.alive(gone):
                self.unmap(a, gone)
        for n in Fd:
            if cloexec:
                p.fd[n] = None
        self.forget()
        return OK("ok", kernel("begin_new_exec: exec_mmap, then do_close_on_exec"))

    @operation
    def exit(self, p: Process) -> Result:
        require(p.running)
        p.running = False
        for a in Address:
            if not self.alive(p.mm):
                self.unmap(a, p.mm)
        for n in Fd:
            p.fd[n] = None
        self.forget()
        return OK("ok", kernel("do_exit: exit_mm, then exit_files"))
