# SPDX-License-Identifier: Apache-2.0
"""The fences and reservation objects of the reference implementation behind the target interface.

A place of a reservation object is called by its index in the list: fences are put behind the last one, or into the
place of one that they make superfluous. None leaves the list: `prune` is not offered. Nor are poll and sync files: here
they hold all that they wait for, and in the specification one of it.
"""

# ruff: noqa: D102  (a method do_X performs the operation X, and the specification says what that is)

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from accelspec.reference_impl import Errno
from accelspec.reference_impl.dmabuf import System, Usage
from accelspec.reference_impl.dmabuf.fence import Callback, Fence
from accelspec.reference_impl.dmabuf.resv import Resv
from accelspec.reference_impl.kernel import Call, Step, Task

from . import interface
from .interface import Observation, TargetError
from .reference import Reference
from .reference_calls import Started, index, outcome

CORE = "D2c"  # a design whose core is that of 6.12
USAGES = 4  # a fence can be listed once for each


class FencesReference(Reference):
    """Fences of one system, by the names that they are given here."""

    behaviours = ("6.12",)
    failures = frozenset()
    scope: Mapping[str, int] = {"Fence": 2, "Slot": 2 * USAGES}

    def fresh(self) -> System:
        """As in `Reference`."""
        return System(CORE, faults=self.faults)

    def begin(self, system: interface.System) -> Mapping[str, str]:
        """As in `Driver`. There is a place for every fence in every class, so that no list is ever full."""
        scope = system.scope
        if scope["Reservation"] > 1 or scope["Slot"] < scope["Fence"] * USAGES:
            raise TargetError(
                "the reference implementation of fences has one reservation object and room for all fences: "
                f"Reservation=1, Slot={scope['Fence'] * USAGES} or more"
            )
        self.system = self.fresh()
        core = self.system.core
        self.resv = Resv(self.system.kernel, self.system.design)
        self.timelines = [core.fences.timeline(f"timeline {t}") for t in range(scope["Timeline"])]
        self.fences: dict[str, Fence] = {}
        self.callbacks: dict[str, tuple[Fence, Callback]] = {}
        self._serials: Counter[str] = Counter()
        self.heard = 0
        return system.cells

    @property
    def findings(self) -> Sequence[object]:
        """As in `Reference`."""
        return self.system.findings

    # ------------------------------------------------------------------ what is seen

    def state(self) -> Mapping[str, str]:
        """As in `Driver`: fences that are not released, and callbacks."""
        cells: dict[str, str] = {}
        for name, fence in self._living().items():
            cells |= {f"{name}.signaled": str(fence.signaled), f"{name}.error": str(fence.error != 0)}
        for name, (_, callback) in self.callbacks.items():
            cells[f"{name}.ran"] = str(callback.runs)
        return cells

    def _living(self) -> dict[str, Fence]:
        live = self.system.core.fences.live
        return {name: fence for name, fence in self.fences.items() if live.get(fence.serial) is fence}

    def leftovers(self) -> Mapping[str, int]:
        """As in `Target`; a fence of which only the end is to be told counts."""
        return {"Fence": len(self.fences), "Callback": len(self.callbacks)}

    def _next(self, kind: str) -> str:
        self._serials[kind] += 1
        return f"{kind}{self._serials[kind]}"

    # ------------------------------------------------------------------ fences

    def do_create(self, timeline: str, number: str) -> Observation:
        """The next fence of a timeline: only the order of numbers counts, not their values."""
        fence = self.timelines[index(timeline)].fence()
        assert fence is not None
        self.fences[name := self._next("fence")] = fence
        return Observation("DONE", (name,))

    def do_signal(self, fence: str) -> str:
        result = self.fences[fence].signal(Task("driver"))
        return outcome(result) if result else "DONE"

    def do_set_error(self, fence: str) -> str:
        self.fences[fence].set_error(Errno.EIO)
        return "DONE"

    def do_put(self, fence: str) -> str:
        self.fences[fence].put(Task("driver"))
        if fence not in self._living():
            del self.fences[fence]
        return "DONE"

    def do_retire(self, fence: str) -> str:
        """The last of its holders has gone: it must be released already."""
        if fence in self._living():
            return "EBUSY"
        del self.fences[fence]
        return "DONE"

    # ------------------------------------------------------------------ callbacks

    def do_add_callback(self, fence: str) -> str | Observation:
        callback = Callback(lambda _: None)
        result = self.fences[fence].add_callback(Task("waiter"), callback)
        if result:
            return outcome(result)
        self.fences[fence].published = True
        self.callbacks[name := self._next("callback")] = self.fences[fence], callback
        return Observation("OK", (name,))

    def do_remove_callback(self, callback: str) -> str:
        fence, queued = self.callbacks[callback]
        return "OK" if fence.remove_callback(Task("waiter"), queued) else "ENOENT"

    def do_forget(self, callback: str) -> str:
        del self.callbacks[callback]
        return "DONE"

    # ------------------------------------------------------------------ the reservation object

    def start_add_fence(self, reservation: str, fence: str, usage: str) -> Started:
        task, added, entries = Task("add fence"), (self.fences[fence], Usage(int(usage))), self.resv.entries
        chosen: dict[str, str] = {}

        def add() -> Step[int]:
            yield from self.resv.lock(task)
            places = len(entries)
            result = self.resv.reserve(task, 1)
            if result == 0:
                self.resv.add(task, *added)
                chosen["s" if len(entries) == places else "n"] = f"slot{entries.index(added)}"
            self.resv.unlock(task)
            return result

        call = Call(task, self.system.kernel.syscall(task, add()), self.system.kernel.findings.report)
        return Started(call, lambda _: Observation("OK", chosen=chosen))

    def start_test(self, reservation: str, usage: str) -> Started:
        task = Task("test")
        call = Call(task, self.resv.wait(task, Usage(int(usage)), 0), self.system.kernel.findings.report)
        return Started(call, lambda idle: Observation("OK" if idle else "WOULD_BLOCK"))
