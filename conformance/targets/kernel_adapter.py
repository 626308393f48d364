# SPDX-License-Identifier: Apache-2.0
"""How a machine is driven in the guest of the target `kernel`: an adapter for each.

An adapter has the book of the run, whose methods make steps of calls, and says what was seen of a call and what is left
at the end of a run.  What is here is enough for a machine whose calls are system calls and whose results say it all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar

from ..machine import Guest, wire
from ..machine.system_calls import DESCRIPTORS
from .interface import Call, Observation, System, TargetError
from .kernel_book import ALLOCATION, NO_MEMORY, Book

DMA_BUFS = "/sys/kernel/debug/dma_buf/bufinfo"
TIMELINES = "/sys/kernel/debug/sync/timelines"
MOST = {"Process": wire.PROCESSES, "Message": wire.MESSAGES, "Waiter": wire.WAITERS, "Fd": DESCRIPTORS}
ALONE = {wire.Op.FORK, wire.Op.EXEC, wire.Op.EXIT, wire.Op.MMAP_HELD}  # never made together with another step


class Adapter:
    """A machine in the guest: `prepare` and `begin` a run, `observed` call by call, `leftovers` at its end."""

    book_of: ClassVar[type[Book]] = Book
    kinds: ClassVar[Mapping[str, int]] = {}  # how many objects of a kind there can be at most, beside MOST
    maps: ClassVar[bool] = True  # do mappings matter, and so whose they are?
    expected_log: ClassVar[tuple[str, ...]] = ()  # what may stand in the kernel's log

    def __init__(self, shimmed: bool = True, fails: bool = False) -> None:
        self.shimmed = shimmed  # has uacce our shim?
        self.fails = fails  # can any allocation be made to fail?
        self.book = self.book_of()
        self.processes = 0

    @property
    def operations(self) -> frozenset[str]:
        """As in `Target`."""
        return self.book_of.operations()

    @property
    def failures(self) -> frozenset[str]:
        """As in `Target`: allocations, where the kernel lets them fail."""
        return frozenset({ALLOCATION} if self.fails else ())

    @property
    def unavoidable(self) -> frozenset[str]:
        """As in `Handicapped`."""
        return frozenset()

    def prepare(self, system: System) -> dict[str, str]:
        """The initial cells of a run.  Every process has an address space of its own.  Raises TargetError."""
        scope = {"Mm": system.scope["Process"], **system.scope}
        for kind, most in {**MOST, **self.kinds}.items():
            if scope.get(kind, 0) > most:
                raise TargetError(f"the target kernel has room for {kind}={most} at most, not {scope[kind]}")
        if self.maps and scope["Mm"] < scope["Process"]:
            raise TargetError(f"the target kernel needs an address space for every process: Mm={scope['Process']}")
        self.processes = scope["Process"]
        own = (
            {f"process{i}.mm": f"mm{i % scope['Mm']}" for i in range(scope["Process"])} if "Mm" in system.scope else {}
        )
        return {**system.cells, **own}

    def begin(self, guest: Guest) -> str:
        """Begin the run in this guest; what is still there of another one, or empty."""
        _, log = guest.fresh(self.processes, 1, ())
        left = [f"{count} {name}" for name, count in self.leftovers(guest).items() if count]
        return log or ", ".join(left)

    def observed(self, call: Call, answers: Sequence[wire.Answer]) -> Observation:
        """What was seen of a call, by the answers of its steps; the book is brought up to date.

        A call in which an allocation was to fail and which does not say so has none, or can do without.
        """
        number = answers[-1].result
        result = self.book.outcome(call, number)
        alarms = (f"the process was killed by signal {-number - wire.DIED}",) if result == "OOPS" else ()
        failed = None
        if self.fails and ALLOCATION in call.fails:
            failed = (ALLOCATION,) if result == NO_MEMORY else ()
        return Observation(result, self.book.made(call, result), alarms=alarms, failed=failed)

    def may_meet(self, pair: Sequence[tuple[Call, Sequence[wire.Step]]]) -> bool:
        """Can two calls be made at once? Each is one step, and of something else than the process it runs in."""
        steps = [step for _, steps in pair for step in steps]
        alone = any(
            s.op in ALONE or (s.op is wire.Op.POLL and s.b) or s.failures or s.absent or fails(s) for s in steps
        )
        apart = len(steps) == len(pair) and not alone and len({s.who for s in steps}) == len(steps)
        return apart and self.book.may_meet([call for call, _ in pair])

    def leftovers(self, guest: Guest) -> Mapping[str, int]:
        """As in `Target`: live dma-bufs, and live timelines of sw_sync (each fence keeps its own)."""
        objects = re.search(r"Total (\d+) objects", guest.read(DMA_BUFS))
        timelines = guest.read(TIMELINES).strip()
        return {
            "dma-buf": int(objects[1]) if objects else 0,
            "timeline": int(timelines) if timelines.isdigit() else 0,
        }


def fails(step: wire.Step) -> bool:
    """Is an allocation of the step made to fail?"""
    return step.call is not None and step.call.nth > 0
