# SPDX-License-Identifier: Apache-2.0
"""Waiting for a file to become ready: event masks, wait queues, and the table of one sleeping poll."""

from enum import IntFlag

from .steps import Pause, Task


class Poll(IntFlag):
    """The events of poll(2), with the kernel's values."""

    IN = 0x1
    OUT = 0x4
    ERR = 0x8
    HUP = 0x10
    RDNORM = 0x40


READABLE = Poll.IN | Poll.RDNORM
BROKEN = Poll.ERR | Poll.HUP
ANY = 0xFFFF


class PollTable:
    """One poll call: the wait queues it registered on, and whether one of them woke it."""

    __slots__ = ("events", "pause", "queues", "released", "task", "woken")

    def __init__(self, task: Task, events: int = ANY) -> None:
        self.task = task
        self.events = events  # those that the caller asked for
        self.queues: list[WaitQueue] = []
        self.woken = False
        self.released = False
        self.pause = Pause("poll", "sleep", lambda: self.woken or task.signal is not None)

    def leave(self) -> None:
        """Take this poll off every wait queue it is on."""
        for queue in self.queues:
            queue.sleepers.discard(self)
        self.queues.clear()
        self.woken = False


class WaitQueue:
    """Those who sleep until something happens to one object."""

    __slots__ = ("sleepers", "wakes")

    def __init__(self) -> None:
        self.sleepers: set[PollTable] = set()
        self.wakes = 0

    def wait(self, table: PollTable) -> None:
        """Register `table`: from now on a wake reaches it, whether it already sleeps or not."""
        self.sleepers.add(table)
        table.queues.append(self)

    def wake(self, *, release: bool = False) -> None:
        """Wake everybody. Who is woken looks again, and sleeps on if there is nothing to see.

        With `release` they return whatever they see, even nothing: what they wait for may never come.
        """
        self.wakes += 1
        for table in self.sleepers:
            table.woken = True
            table.released |= release
