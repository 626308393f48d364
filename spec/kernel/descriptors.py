# SPDX-License-Identifier: Apache-2.0
"""Processes of which only the descriptors matter: fork, exec and exit where nothing of the driver's is mapped."""

from __future__ import annotations

from accelspec.spec.language import OK, Result, any_of, kernel, operation, require

from .files import Files
from .objects import Fd, File, Process


class Descriptors(Files):
    document = "Linux: kernel/fork.c, kernel/exit.c, fs/exec.c"
    drops = ["wake_up"]  # nobody sleeps in poll

    def close_all(self, p: Process, f: File) -> None:
        """Every number under which the process has this description."""
        for n in Fd:
            if p.fd[n] is f:
                p.fd[n] = None
        self.fput(f)

    @operation
    def fork(self, p: Process, c: Process) -> Result:
        require(p.running and not c.running and all(c.fd[n] is None for n in Fd))
        c.running = True
        for n in Fd:
            c.fd[n] = p.fd[n]
        return OK("ok", kernel("copy_files", "descriptions are shared"))

    @operation
    def exec(self, p: Process, cloexec: bool) -> Result:
        """A new program; with `cloexec` every descriptor of the process is close-on-exec, else none."""
        require(p.running and not p.busy)
        p.running = False  # no other thread is left
        while cloexec and any(p.fd[n] is not None for n in Fd):
            f = any_of(f for f in File if any(p.fd[n] is f for n in Fd))
            self.close_all(p, f)
            yield "closing"
        p.running = True
        return OK("ok", kernel("begin_new_exec", "do_close_on_exec"))

    @operation
    def exit(self, p: Process) -> Result:
        require(p.running and not p.busy)
        p.running = False
        while any(p.fd[n] is not None for n in Fd):
            f = any_of(f for f in File if any(p.fd[n] is f for n in Fd))
            self.close_all(p, f)
            yield "closing"
        return OK("ok", kernel("do_exit", "exit_files"))
