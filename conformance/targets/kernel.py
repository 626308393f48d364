# SPDX-License-Identifier: Apache-2.0
"""The target `kernel`: a real Linux kernel in a virtual machine, driven through an agent in the guest.

Booted once, restored from a snapshot after a crash, a hang or a leak, and now and then.  What a machine's calls are in
the guest is its adapter's.  Options: `uacce-source`, `provider` (C files), `kernel-image`, `module` (files, a colon
between them) and `debug`, all as in `machine.Parts`; and `cpus`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import ClassVar, NamedTuple

import msgspec

from ..machine import Crashed, Guest, Machine, Parts, Silent, build, start, wire
from ..machine.system_calls import SystemCall
from .interface import Call, Observation, System, TargetError
from .kernel_adapter import Adapter
from .kernel_book import Book
from .kernel_dma_heap import DmaHeap
from .kernel_drm import DrmMaster
from .kernel_prime import Prime
from .kernel_sync_file import SyncFile
from .kernel_uacce import Uacce
from .kernel_udmabuf import Udmabuf

ADAPTERS: dict[str, type[Adapter]] = {
    "uacce": Uacce,
    "dma_heap": DmaHeap,
    "udmabuf": Udmabuf,
    "sync_file": SyncFile,
    "drm_master": DrmMaster,
    "prime": Prime,
}
CPUS, DEBUG = "cpus", "debug"
OPTIONS = ("uacce-source", "provider", "kernel-image", "module", DEBUG, CPUS)
RESTORE_AFTER = 500  # runs in one guest
LATEST, TURNS = 12, 400  # how late the second of two calls may begin, and in turns of an empty loop
BUSY_HOST = ("hrtimer: interrupt took",)  # what the log says of an emulated processor that had to wait
Made = tuple[Call, Sequence[wire.Step]]


class Swept(NamedTuple):
    """A call in which something failed: which of the things that can (0: none), the result, and what was wrong then."""

    failed: int
    result: int  # of the system call; a failure is minus its errno
    log: str  # what the kernel said of it
    left: str  # what was left when all processes of the run had ended; empty: nothing


class OneByOne:
    """A guest behind the target interface, one call at a time.

    Raises TargetError for a machine that has no adapter, and `machine.Missing` (one) where qemu, packages or disk lack.
    """

    cpus: ClassVar[int] = 1

    def __init__(self, machine: str, revision: str, options: Mapping[str, str] | None = None) -> None:
        if machine not in ADAPTERS:
            raise TargetError(f"the target kernel has no machine {machine!r}, only {', '.join(ADAPTERS)}")
        self._machine = start(build(parts_of(options or {})), self.cpus)
        self._adapter = ADAPTERS[machine](self._machine.image.shimmed, self._machine.image.fails)
        self._guest: Guest | None = None
        self._runs = 0
        self._calls: list[Call] = []  # of this run

    @property
    def machine(self) -> Machine:
        """The virtual machine."""
        return self._machine

    @property
    def guest(self) -> Guest:
        """The guest that runs now; where there is none it is started.  Raises TargetError."""
        if self._guest is None:
            try:
                self._guest = self._machine.guest()
            except (Crashed, Silent, OSError) as error:
                raise TargetError(f"the guest cannot be started: {error}") from error
        return self._guest

    @property
    def name(self) -> str:
        """As in `Target`."""
        image = self._machine.image
        ours = image.kernel.parent == image.folder.parent
        return f"kernel {image.release.name if ours else image.kernel.name}"

    @property
    def operations(self) -> frozenset[str] | None:
        """As in `Target`."""
        return self._adapter.operations

    @property
    def failures(self) -> frozenset[str] | None:
        """As in `Target`."""
        return self._adapter.failures

    @property
    def unavoidable(self) -> frozenset[str]:
        """As in `Handicapped`."""
        return self._adapter.unavoidable

    # ------------------------------------------------------------------ a run

    def reset(self, system: System) -> Mapping[str, str]:
        """As in `Target`."""
        named = self._adapter.prepare(system)
        self._runs += 1
        if self._runs % RESTORE_AFTER == 0:
            self._end()
        self._begin()
        return named

    def _begin(self) -> None:
        """A guest without a trace of what was before."""
        self._adapter.book = self._adapter.book_of()
        self._calls = []
        left = ""
        for _ in range(2):
            guest = self.guest
            with contextlib.suppress(Crashed, Silent):
                left = self._adapter.begin(guest)
                if not left:
                    return
            self._end()  # something of the last run is left, or its end went wrong: that run's own leftovers told it
        raise TargetError(f"the guest does not begin a run: {left or self._machine.log.strip()[-500:]}")

    def _end(self) -> None:
        if self._guest is not None:
            self._guest.close()
        self._guest = None

    def perform(self, call: Call) -> Observation:
        """As in `Target`."""
        return self._run([(call, self._adapter.book.steps(call))])[0]

    def _run(self, calls: Sequence[Made]) -> list[Observation]:
        """Make calls, up to the first that has another result than expected."""
        return self._made(calls, lambda guest: guest.steps([step for _, steps in calls for step in steps]))

    def _made(self, calls: Sequence[Made], ask: Callable[[Guest], tuple[list[wire.Answer], str]]) -> list[Observation]:
        """What is seen of calls that the guest is asked for in this way."""
        guest = self._guest
        if guest is None:
            raise TargetError("the target kernel was not reset")
        try:
            answers, log = ask(guest)
        except (Crashed, Silent) as death:
            self._end()
            return self._died([call for call, _ in calls], death)
        seen = []
        for call, steps in calls:
            mine, answers = answers[: len(steps)], answers[len(steps) :]
            if not mine:
                break
            seen.append(self._adapter.observed(call, mine))
            self._calls.append(call)
        expected = (*self._adapter.expected_log, *BUSY_HOST)
        lines = [line for line in log.splitlines() if not any(text in line for text in expected)]
        if lines:
            alarm = f"the kernel logged: {' | '.join(lines[:6])}"
            seen[-1] = msgspec.structs.replace(seen[-1], alarms=(*seen[-1].alarms, alarm))
        return seen

    def _died(self, calls: Sequence[Call], death: Crashed | Silent) -> list[Observation]:
        """What is seen of calls that the guest did not survive."""
        result = "OOPS" if isinstance(death, Crashed) else "HANG"
        return [Observation(result, alarms=(last_words(str(death)),)) for _ in calls]

    def leftovers(self) -> Mapping[str, int]:
        """As in `Target`."""
        return self._adapter.leftovers(self.guest)

    def sweep(self, system: System, before: Sequence[Call], last: Call | SystemCall) -> Iterator[Swept]:
        """Make calls again and again, each time in a fresh run; in the last of them something else fails each time.

        First its first allocation (or copy from or to user space), then its second, until it has no more of them. Ends
        after a crash. Raises TargetError for a call in which nothing can be made to fail.
        """
        nth = 1
        while nth:
            self.reset(system)
            for call in before:
                self.perform(call)
            made = last if isinstance(last, SystemCall) else self._adapter.book.steps(last)[-1].call
            if made is None:
                raise TargetError(f"{last} is no plain system call: nothing in it can be made to fail")
            try:
                (answer,), log = self.guest.steps([wire.Step.system_call(0, made.failing(nth))])
            except (Crashed, Silent) as death:
                self._end()
                yield Swept(nth, 0, last_words(str(death)), "")
                return
            yield Swept(answer.failed, answer.result, log, self.left())
            nth = answer.failed + 1 if answer.failed else 0

    def left(self) -> str:
        """End all processes of the run; what is left then, or empty."""
        return self._adapter.begin(self.guest)

    def read(self, path: str) -> str:
        """A file of the guest."""
        return self.guest.read(path)

    def processor_time(self) -> float:
        """Seconds that the guest's virtual machine has used so far."""
        return self.guest.processor_time()

    def close(self) -> None:
        """As in `Target`."""
        self._end()


class Kernel(OneByOne):
    """Calls are drawn ahead of their answers and sent together."""

    def draft(self) -> Draft:
        """As in `Ahead`."""
        return Draft(self, self._adapter.book.copy())

    def _died(self, calls: Sequence[Call], death: Crashed | Silent) -> list[Observation]:
        """Of several calls, the run is made again call by call, to see which one it was."""
        return self._one_by_one(calls) if len(calls) > 1 else super()._died(calls, death)

    def _one_by_one(self, calls: Sequence[Call]) -> list[Observation]:
        """A batch ended in a crash or a hang: make the run again call by call, to see which one it was."""
        done = self._calls
        self._begin()
        for call in done:
            self.perform(call)
        seen: list[Observation] = []
        for call in calls:
            seen.append(self.perform(call))
            if self._guest is None:
                return seen
        last = "the guest crashed or hung when these calls came at once, and not one by one"
        return [*seen[:-1], msgspec.structs.replace(seen[-1], result="OOPS", alarms=(last,))]


class TwoProcessors(OneByOne):
    """Two calls are made at once, on two processors; how they meet is not repeated exactly."""

    cpus = 2
    finer = True

    def meet(self, call: Call, other: Call, schedule: tuple[int, ...]) -> tuple[Observation, Observation]:
        """As in `Concurrent`; the first number of the schedule is how late the other call begins."""
        pair = [(call, self._adapter.book.steps(call)), (other, self._adapter.book.steps(other))]
        if self._adapter.may_meet(pair) and not self._adapter.book.depends(other, call):
            late = min(schedule[0], LATEST) * TURNS if schedule else 0
            steps = [step for _, steps in pair for step in steps]
            first, second = self._made(pair, lambda guest: guest.meet(steps, (0, late)))
        else:
            first, second = self.perform(call), self.perform(other)
        return msgspec.structs.replace(first, state={}), second


class Draft:
    """Calls that are sent together, as in `Ahead`."""

    def __init__(self, kernel: Kernel, book: Book) -> None:
        self._kernel, self._book = kernel, book
        self._calls: list[Made] = []

    def add(self, call: Call, result: str) -> tuple[str, ...]:
        """As in `Ahead`."""
        self._calls.append((call, self._book.steps(call, result)))
        return self._book.made(call, result)

    def send(self) -> list[Observation]:
        """As in `Ahead`."""
        return self._kernel._run(self._calls) if self._calls else []


def open_kernel(machine: str, revision: str, options: Mapping[str, str] | None = None) -> OneByOne:
    """The target `kernel` of these options; with `cpus=2` calls are made to meet.  Raises TargetError."""
    given = dict(options or {})
    cpus = given.pop(CPUS, "1")
    if cpus not in ("1", "2"):
        raise TargetError(f"the target kernel has one processor or two: {CPUS}=1 or {CPUS}=2, not {cpus!r}")
    return (Kernel if cpus == "1" else TwoProcessors)(machine, revision, given)


def parts_of(options: Mapping[str, str]) -> Parts:
    """The parts that options name.  Raises TargetError for an option that there is not."""
    unknown = next((name for name in options if name not in OPTIONS), None)
    if unknown is not None:
        raise TargetError(f"the target kernel has no option {unknown!r}; it has {', '.join(OPTIONS)}")
    return Parts(
        options.get("uacce-source", ""),
        options.get("provider", ""),
        options.get("kernel-image", ""),
        tuple(path for path in options.get("module", "").split(":") if path),
        DEBUG in options,
    )


def last_words(console: str) -> str:
    """The part of a console that says what went wrong."""
    lines = [line for line in console.splitlines() if line.strip()]
    marks = ("BUG:", "Oops", "kernel BUG", "general protection", "Kernel panic", "RIP: 0010:")
    told = [line.strip() for line in lines if any(mark in line for mark in marks)]
    return " | ".join(told[:5] or lines[-5:])
