# SPDX-License-Identifier: Apache-2.0
"""What there is around a fence: timelines, reservation objects, callbacks, poll, sync files."""

from __future__ import annotations

from typing import Annotated

from accelspec.spec.language import UNLOCKED, Ghost, Lock, Map, Object, Range, Rigid

Number = Annotated[int, Range(0, 2)]
Usage = Annotated[int, Range(0, 3)]  # 0 KERNEL, 1 WRITE, 2 READ, 3 BOOKKEEP: a query waits for its class and all below
Times = Annotated[int, Range(0, 2)]


class Timeline(Object, always=True):
    """A fence context: its fences signal in the order of their numbers."""


class Fence(Object):
    """A struct dma_fence.  Its flags only ever rise."""

    timeline: Rigid[Timeline]
    number: Rigid[Number]
    held: bool = True  # the driver has its reference
    enabled: bool = False  # somebody wants to be called
    signaled: bool = False
    stamped: bool = False
    error: bool = False
    merging: bool = False  # while two sync files are merged: one of those to choose among
    adding: Map[Reservation, bool] = Map(each=False)  # of a sync file; the holder of the lock is still to add it
    files: Map[SyncFile, bool] = Map(each=False)  # that stand for it
    published: Ghost[bool] = False  # was put where others can wait for it


class Reservation(Object, always=True):
    """A struct dma_resv."""

    lock: Lock = UNLOCKED
    full: bool = True  # the list, at first none, has no room: it must grow before a fence is added


class Slot(Object, always=True):
    """A place in the list of a reservation object; readers, who take no lock, look at those below the count."""

    reservation: Rigid[Reservation]
    fence: Fence | None = None
    usage: Usage = 0
    visible: bool = False  # below the count


class Callback(Object):
    """Somebody who wants to be called when a fence signals."""

    fence: Fence | None  # on whose list it is
    ran: Times = 0
    removed: bool = False  # was taken off the list


class PollSlot(Object, always=True):
    """The callback that poll arms: one for each direction and buffer, whoever polls."""

    reservation: Rigid[Reservation]
    out: Rigid[bool]  # polled for writing; else for reading
    active: bool = False
    fence: Fence | None = None  # on whose list its callback is


class Poller(Object):
    """Somebody who sleeps in poll, in one direction of one buffer."""

    slot: Rigid[PollSlot]
    woken: bool = False


class SyncFile(Object):
    """A file that stands for fences: those that there were when it was made.  Of none: for what is over."""

    open: bool = True
    several: bool = False  # it has an array of fences, not one
    asked: bool = False  # its array was polled, and listens to its fences: it does so only then
    done: bool = False  # its array was found signalled, and has its result
