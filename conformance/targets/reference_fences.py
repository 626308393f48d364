# SPDX-License-Identifier: Apache-2.0
"""The fences and reservation objects of the reference implementation behind the target interface.

There is one buffer, of ordinary memory, and what a driver does with its reservation object is done directly; what user
space does goes through system calls of one process.
"""

# ruff: noqa: D102  (a method do_X performs the operation X, and the specification says what that is)

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from accelspec.reference_impl import Call, Errno, Poll
from accelspec.reference_impl.dmabuf import System, Usage
from accelspec.reference_impl.dmabuf.buffer import DmaBuf
from accelspec.reference_impl.dmabuf.fence import Callback, Fence
from accelspec.reference_impl.dmabuf.fops import READ, WRITE
from accelspec.reference_impl.dmabuf.resv import Entry
from accelspec.reference_impl.dmabuf.sync_file import SyncFile
from accelspec.reference_impl.kernel import PAGE, Step, Task

from . import interface
from .interface import Observation, TargetError
from .reference import Reference
from .reference_calls import Started, index, outcome

CORE = "D2c"  # a design whose core is that of 6.12
USAGES = 4  # a fence can be listed once for each
OWNER = 0  # the process that has the buffer
EVENTS = (Poll.IN, Poll.OUT)  # pollSlot0 and pollSlot1
ALLOCATED = {"export_sync_file": "alloc:file", "merge": "alloc:file"}  # what fails there; elsewhere the list


class FencesReference(Reference):
    """Fences, callbacks, sync files and sleepers of one system, by the names that they are given here."""

    behaviours = ("6.12",)
    failures = frozenset({"allocation"})
    scope: Mapping[str, int] = {
        "Timeline": 2, "Fence": 2, "Slot": 2 * USAGES, "PollSlot": 2, "Poller": 2, "SyncFile": 2,
    }  # fmt: skip

    def fresh(self) -> System:
        """As in `Reference`."""
        return System(CORE, faults=self.faults)

    def begin(self, system: interface.System) -> Mapping[str, str]:
        """As in `Driver`.  There is a place for every fence in every class, so that a list is full only when told."""
        scope = system.scope
        if scope["Reservation"] > 1 or scope["Slot"] < scope["Fence"] * USAGES or scope["PollSlot"] > len(EVENTS):
            raise TargetError(
                "the reference implementation of fences has one reservation object, room for all fences and two poll "
                f"slots: Reservation=1, Slot={scope['Fence'] * USAGES} or more, PollSlot={len(EVENTS)} or less"
            )
        self.system = self.fresh()
        self.fd = self.system.heap(OWNER, PAGE)
        buffer = self._file(self.fd)
        assert isinstance(buffer, DmaBuf)
        self.buffer, self.resv = buffer, buffer.resv
        self.resv.least = 2 * scope["Slot"]
        self.timelines = [self.system.core.fences.timeline(f"timeline {t}") for t in range(scope["Timeline"])]
        self.fences: dict[str, Fence] = {}
        self.callbacks: dict[str, tuple[Fence, Callback]] = {}
        self.sync_files: dict[str, int] = {}  # by name, their descriptors
        self.pollers: dict[str, Call] = {}
        self.places: dict[Entry, int] = {}  # in the specification
        self._sizes = {"Slot": scope["Slot"], "PollSlot": scope["PollSlot"]}
        self._serials: Counter[str] = Counter()
        self.heard = 0
        outs = {f"pollSlot{i}.out": str(event is Poll.OUT) for i, event in enumerate(EVENTS[: scope["PollSlot"]])}
        return {**system.cells, **outs}

    def _file(self, fd: int) -> object:
        return self.system.kernel.processes[OWNER].files.files[fd].private_data

    @property
    def findings(self) -> Sequence[object]:
        """As in `Reference`."""
        return self.system.findings

    @contextmanager
    def failing(self, call: interface.Call) -> Iterator[None]:
        """As in `Reference`."""
        for name in call.fails.values():
            self.system.inject(ALLOCATED.get(call.operation, "resv_reserve"), Errno[name])
        yield
        self.system.kernel.injector.clear()

    # ------------------------------------------------------------------ what is seen

    def state(self) -> Mapping[str, str]:
        """As in `Driver`: fences that are not released, the list, callbacks, poll slots, sync files."""
        names = self._living()
        cells: dict[str, str] = {}
        for fence, name in names.items():
            cells |= {f"{name}.signaled": str(fence.signaled), f"{name}.error": str(fence.error != 0)}
            cells[f"{name}.enabled"] = str(fence.enabled)
        for name, (_, callback) in self.callbacks.items():
            cells[f"{name}.ran"] = str(callback.runs)
        cells |= dict.fromkeys((f"slot{s}.fence" for s in range(self._sizes["Slot"])), "none")
        for entry, place in self._settle_places().items():
            cells |= {f"slot{place}.fence": names[entry.fence], f"slot{place}.usage": str(int(entry.usage))}
        for i, slot in enumerate(self.buffer.slots[: self._sizes["PollSlot"]]):
            cells[f"pollSlot{i}.active"] = str(slot.armed)
            cells[f"pollSlot{i}.fence"] = names[slot.fence] if slot.fence is not None else "none"
        for name, fd in self.sync_files.items():
            sync = self._file(fd)
            assert isinstance(sync, SyncFile)
            cells |= {f"{names[fence]}.files[{name}]": "True" for fence in sync.fences}
            cells |= {f"{names[fence]}.files[{name}]": "False" for fence in names if fence not in sync.fences}
        return cells

    def _living(self) -> dict[Fence, str]:
        live = self.system.core.fences.live
        return {fence: name for name, fence in self.fences.items() if live.get(fence.serial) is fence}

    def _settle_places(self) -> Mapping[Entry, int]:
        """A place of the specification for each that there is, the same as before if it was there before."""
        entries = self.resv.entries
        self.places = {entry: place for entry, place in self.places.items() if entry in entries}
        free = (s for s in range(self._sizes["Slot"]) if s not in self.places.values())
        self.places |= {entry: next(free) for entry in entries if entry not in self.places}
        return self.places

    def leftovers(self) -> Mapping[str, int]:
        """As in `Target`; a fence of which only the end is to be told counts."""
        return {
            "Fence": len(self.fences),
            "Callback": len(self.callbacks),
            "SyncFile": len(self.sync_files),
            "Poller": len(self.pollers),
        }

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
        if self.fences[fence] not in self._living():
            del self.fences[fence]
        return "DONE"

    def do_retire(self, fence: str) -> str:
        """The last of its holders has gone: it must be released already."""
        if self.fences[fence] in self._living():
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

    def _driver(self, steps: Callable[[Task], Step[int]], done: Callable[[int], Observation] | None = None) -> Started:
        task = Task("driver")
        call = Call(task, steps(task), self.system.kernel.findings.report)
        return Started(call, done) if done else Started(call)

    def start_fill(self, reservation: str) -> Started:
        def fill(task: Task) -> Step[int]:
            yield from self.resv.lock(task)
            self.resv.fill()
            self.resv.unlock(task)
            return 0

        return self._driver(fill, lambda _: Observation("DONE"))

    def start_add_fence(self, reservation: str, fence: str, usage: str) -> Started:
        def add(task: Task) -> Step[int]:
            yield from self.resv.lock(task)
            result = self.resv.reserve(task, 1)
            if result == 0:
                self.resv.add(task, self.fences[fence], Usage(int(usage)))
            self.resv.unlock(task)
            return result

        return self._driver(add)

    def start_test(self, reservation: str, usage: str) -> Started:
        return self._driver(
            lambda task: self.resv.wait(task, Usage(int(usage)), 0),
            lambda idle: Observation("OK" if idle else "WOULD_BLOCK"),
        )

    # ------------------------------------------------------------------ poll

    def _ioctl(self, name: str, *args: int, block: bool | None = None) -> Call:
        return self.system.call(name, OWNER, *args, **({} if block is None else {"block": block}))

    def start_poll(self, poll_slot: str) -> Started:
        return Started(self._ioctl("poll", self.fd, EVENTS[index(poll_slot)]), ready)

    def start_sleep(self, poll_slot: str) -> Started:
        call = self._ioctl("poll", self.fd, EVENTS[index(poll_slot)], block=True)

        def asleep() -> Observation:
            self.pollers[name := self._next("poller")] = call
            return Observation("WOULD_BLOCK", (name,))

        return Started(call, ready, asleep)

    def start_wake(self, poller: str) -> Started:
        def done(mask: int) -> Observation:
            del self.pollers[poller]
            return ready(mask)

        return Started(self.pollers[poller], done, lambda: Observation("WOULD_BLOCK"))

    def start_interrupt(self, poller: str) -> Started:
        call = self.pollers.pop(poller)
        call.task.signal = Errno.EINTR
        return Started(call, ready)

    # ------------------------------------------------------------------ sync files

    def _making(self, call: Call) -> Started:
        """A call that answers with the descriptor of a new sync file."""

        def done(fd: int) -> Observation:
            self.sync_files[name := self._next("syncFile")] = fd
            return Observation("OK", (name,))

        return Started(call, done)

    def start_export_sync_file(self, reservation: str, write: str) -> Started:
        return self._making(self._ioctl("export_sync_file", self.fd, access(write)))

    def start_merge(self, one: str, other: str) -> Started:
        return self._making(self._ioctl("merge", self.sync_files[one], self.sync_files[other]))

    def start_import_sync_file(self, reservation: str, sync_file: str, write: str) -> Started:
        return Started(self._ioctl("import_sync_file", self.fd, access(write), self.sync_files[sync_file]))

    def start_status(self, sync_file: str) -> Started:
        return Started(self._ioctl("sync_status", self.sync_files[sync_file]), ready)

    def start_poll_sync_file(self, sync_file: str) -> Started:
        return Started(self._ioctl("poll", self.sync_files[sync_file], Poll.IN), ready)

    def start_close_sync_file(self, sync_file: str) -> Started:
        return Started(self._ioctl("close", self.sync_files.pop(sync_file)))


def access(write: str) -> int:
    """The flags of a command that is for reading, or for writing."""
    return WRITE if write == "True" else READ


def ready(answer: int) -> Observation:
    """What a poll says that has an event, or has none; and a status that is over, or pending."""
    return Observation("READY" if answer else "WOULD_BLOCK")
