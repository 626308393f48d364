# SPDX-License-Identifier: Apache-2.0
"""Processes: an address space, a table of descriptors, and the calls that run on their behalf."""

from .errno import Errno, Outcome
from .files import FileTable, OpenFile
from .memory_maps import Mm
from .steps import Task


class Process:
    """A process. After exit it is a number and nothing else."""

    def __init__(self, pid: int, mm: Mm) -> None:
        self.pid = pid
        self.mm = mm
        self.files = FileTable()
        self.alive = True
        self.tasks: set[Task] = set()
        self.signals: list[Outcome] = []  # what it got for touching what is not there

    def __repr__(self) -> str:
        return f"<process {self.pid}>"

    def task(self, name: str) -> Task:
        """Return a new thread of this process, about to enter the kernel."""
        task = Task(f"{name}@{self.pid}", self)
        self.tasks.add(task)
        return task

    def publish(self, task: Task, n: int, file: OpenFile, cloexec: bool = False) -> None:
        """Let `n`, which is reserved, name `file`; a process that was killed meanwhile closes it at once."""
        if self.alive:
            self.files.publish(n, file, cloexec)
        else:
            self.files.unreserve(n)
            file.put(task)

    def interrupt(self, signal: Errno | Outcome = Errno.EINTR) -> None:
        """Wake whatever sleeps in a call of this process; the call returns `signal`."""
        for task in self.tasks:
            task.signal = signal
