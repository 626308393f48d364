# SPDX-License-Identifier: Apache-2.0
"""Processes: fork, exec, exit.  What they close is closed one by one, and others run in between."""

from __future__ import annotations

from accelspec.spec.language import OK, Result, any_of, kernel, operation, require, when

from .memory_maps import MemoryMaps
from .objects import Fd, File, Mm, Process, Vma


class Processes(MemoryMaps):
    document = "Linux: kernel/fork.c, kernel/exit.c, fs/exec.c"

    def mm_exit(self, m: Mm) -> None:
        """What a driver does when the last user of an address space goes, before its mappings do."""

    def empty(self, m: Mm) -> bool:
        """An address space that a new process may get."""
        return not self.alive(m) and not any(v.mm is m for v in Vma)

    def close_all(self, p: Process, f: File) -> None:
        """Every number under which the process has this description."""
        for n in Fd:
            if p.fd[n] is f:
                p.fd[n] = None
        self.fput(f)

    @operation
    def fork(self, p: Process, c: Process, m: Mm) -> Result:
        require(p.running and not c.running and self.empty(m) and all(c.fd[n] is None for n in Fd))
        c.running = True
        c.mm = m
        for n in Fd:
            c.fd[n] = p.fd[n]
        return OK("ok", kernel("copy_files; dup_mmap", "descriptions are shared; mappings are VM_DONTCOPY"))

    @operation
    def exec(self, p: Process, m: Mm, cloexec: bool) -> Result:
        """A new program in a new address space; with `cloexec` every descriptor of it is close-on-exec, else none."""
        require(p.running and self.empty(m) and not p.busy and not p.mm.mmap_lock)
        gone = p.mm
        p.mm = m
        p.running = False  # no other thread is left
        if when(not self.alive(gone)):
            self.mm_exit(gone)
        while not self.alive(gone) and any(v.mm is gone for v in Vma):
            v = any_of(v for v in Vma if v.mm is gone)
            self.unmap_piece(v)
            yield "unmapping"
        while cloexec and any(p.fd[n] is not None for n in Fd):
            f = any_of(f for f in File if any(p.fd[n] is f for n in Fd))
            self.close_all(p, f)
            yield "closing"
        p.running = True
        return OK("ok", kernel("begin_new_exec: exec_mmap, then do_close_on_exec"))

    @operation
    def exit(self, p: Process) -> Result:
        require(p.running and not p.busy and not p.mm.mmap_lock)
        p.running = False
        if when(not self.alive(p.mm)):
            self.mm_exit(p.mm)
        while not self.alive(p.mm) and any(v.mm is p.mm for v in Vma):
            v = any_of(v for v in Vma if v.mm is p.mm)
            self.unmap_piece(v)
            yield "unmapping"
        while any(p.fd[n] is not None for n in Fd):
            f = any_of(f for f in File if any(p.fd[n] is f for n in Fd))
            self.close_all(p, f)
            yield "closing"
        return OK("ok", kernel("do_exit: exit_mm, then exit_files"))
