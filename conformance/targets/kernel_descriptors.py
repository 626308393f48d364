# SPDX-License-Identifier: Apache-2.0
"""Which descriptor leads to which open file description: for machines whose calls name what a description has.

A handle is a number in the table of one client: to name it is to know which client a descriptor means.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from .kernel_book import Book


@dataclass
class Descriptors(Book):
    """A book that follows descriptors through dup, messages, fork, exec and exit.  Descriptions are counted from 1."""

    leads: dict[tuple[str, str], int] = field(default_factory=dict)  # (process, fd) -> description
    carried: dict[str, int] = field(default_factory=dict)  # message -> description
    descriptions: int = 0  # how many there have been

    def opened(self, process: str, fd: str) -> int:
        """A new description, to which this descriptor leads."""
        self.descriptions += 1
        self.leads[process, fd] = self.descriptions
        return self.descriptions

    def alive(self, description: int) -> bool:
        """Does a descriptor or a message lead to it?"""
        return description in self.leads.values() or description in self.carried.values()

    def did_close(self, process: str, fd: str) -> None:
        del self.leads[process, fd]

    def did_dup(self, process: str, fd: str, other: str) -> None:
        self.leads[process, other] = self.leads[process, fd]

    def did_send(self, process: str, fd: str) -> str:
        name = super().did_send(process, fd)
        self.carried[name] = self.leads[process, fd]
        return name

    def did_receive(self, process: str, fd: str, message: str) -> None:
        super().did_receive(process, fd, message)
        self.leads[process, fd] = self.carried.pop(message)

    def did_discard(self, message: str) -> None:
        super().did_discard(message)
        del self.carried[message]

    def did_fork(self, process: str, child: str, *mm: str) -> None:
        self.leads.update({(child, fd): where for (p, fd), where in self.leads.items() if p == process})

    def did_exec(self, process: str, *how: str) -> None:
        if how[-1] == "True":
            self.did_exit(process)

    def did_exit(self, process: str) -> None:
        self.leads = {(p, fd): where for (p, fd), where in self.leads.items() if p != process}


def lowest(taken: Iterable[int]) -> int:
    """The number that an idr gives next: the lowest from 1 on that is free."""
    numbers = set(taken)
    return next(n for n in range(1, len(numbers) + 2) if n not in numbers)
