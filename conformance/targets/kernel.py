# SPDX-License-Identifier: Apache-2.0
"""The target `kernel`: a real Linux kernel in a virtual machine, driven through an agent in the guest.

Booted once, restored from a snapshot after a crash, a hang or a leak, and now and then.  What a machine's calls are in
the guest is its adapter's.  Options: `uacce-source`, `provider` (C files), `kernel-image`, `module` (files, a colon
between them), all as in `machine.Parts`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence

import msgspec

from ..machine import Crashed, Guest, Machine, Parts, Silent, build, start, wire
from .interface import Call, Observation, System, TargetError
from .kernel_adapter import Adapter
from .kernel_book import Book
from .kernel_uacce import Uacce

ADAPTERS: dict[str, type[Adapter]] = {"uacce": Uacce}
OPTIONS = {"uacce-source": "uacce_source", "provider": "provider", "kernel-image": "kernel_image", "module": "modules"}
RESTORE_AFTER = 500  # runs in one guest


class Kernel:
    """A guest behind the target interface.

    Raises TargetError for a machine that has no adapter, and `machine.Missing` (one) where qemu, packages or disk lack.
    """

    def __init__(self, machine: str, revision: str, options: Mapping[str, str] | None = None) -> None:
        if machine not in ADAPTERS:
            raise TargetError(f"the target kernel has no machine {machine!r}, only {', '.join(ADAPTERS)}")
        self._machine = start(build(parts_of(options or {})))
        self._adapter = ADAPTERS[machine](self._machine.image.shimmed)
        self._guest: Guest | None = None
        self._runs = 0
        self._calls: list[Call] = []  # of this run

    @property
    def machine(self) -> Machine:
        """The virtual machine."""
        return self._machine

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
            guest = self._running()
            with contextlib.suppress(Crashed, Silent):
                left = self._adapter.begin(guest)
                if not left:
                    return
            self._end()  # something of the last run is left, or its end went wrong: that run's own leftovers told it
        raise TargetError(f"the guest does not begin a run: {left or self._machine.log.strip()[-500:]}")

    def _running(self) -> Guest:
        if self._guest is None:
            try:
                self._guest = self._machine.guest()
            except (Crashed, Silent, OSError) as error:
                raise TargetError(f"the guest cannot be started: {error}") from error
        return self._guest

    def _end(self) -> None:
        if self._guest is not None:
            self._guest.close()
        self._guest = None

    def perform(self, call: Call) -> Observation:
        """As in `Target`."""
        return self._run([(call, self._adapter.book.steps(call))])[0]

    def draft(self) -> Draft:
        """As in `Ahead`."""
        return Draft(self, self._adapter.book.copy())

    def _run(self, calls: Sequence[tuple[Call, Sequence[wire.Step]]]) -> list[Observation]:
        """Make calls, up to the first that has another result than expected."""
        guest = self._guest
        if guest is None:
            raise TargetError("the target kernel was not reset")
        try:
            answers, log = guest.steps([step for _, steps in calls for step in steps])
        except (Crashed, Silent) as death:
            self._end()
            if len(calls) > 1:
                return self._one_by_one([call for call, _ in calls])
            crashed = isinstance(death, Crashed)
            return [Observation("OOPS" if crashed else "HANG", alarms=(last_words(str(death)),))]
        seen = []
        for call, steps in calls:
            mine, answers = answers[: len(steps)], answers[len(steps) :]
            if not mine:
                break
            seen.append(self._adapter.observed(call, mine))
            self._calls.append(call)
        lines = [line for line in log.splitlines() if not any(text in line for text in self._adapter.expected_log)]
        if lines:
            alarm = f"the kernel logged: {' | '.join(lines[:6])}"
            seen[-1] = msgspec.structs.replace(seen[-1], alarms=(*seen[-1].alarms, alarm))
        return seen

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

    def leftovers(self) -> Mapping[str, int]:
        """As in `Target`."""
        return self._adapter.leftovers(self._running())

    def read(self, path: str) -> str:
        """A file of the guest."""
        return self._running().read(path)

    def processor_time(self) -> float:
        """Seconds that the guest's virtual machine has used so far."""
        return self._running().processor_time()

    def close(self) -> None:
        """As in `Target`."""
        self._end()


class Draft:
    """Calls that are sent together, as in `Ahead`."""

    def __init__(self, kernel: Kernel, book: Book) -> None:
        self._kernel, self._book = kernel, book
        self._calls: list[tuple[Call, Sequence[wire.Step]]] = []

    def add(self, call: Call, result: str) -> tuple[str, ...]:
        """As in `Ahead`."""
        self._calls.append((call, self._book.steps(call, result)))
        return self._book.made(call, result)

    def send(self) -> list[Observation]:
        """As in `Ahead`."""
        return self._kernel._run(self._calls) if self._calls else []


def parts_of(options: Mapping[str, str]) -> Parts:
    """The parts that options name.  Raises TargetError for an option that there is not."""
    unknown = next((name for name in options if name not in OPTIONS), None)
    if unknown is not None:
        raise TargetError(f"the target kernel has no option {unknown!r}; it has {', '.join(OPTIONS)}")
    modules = tuple(path for path in options.get("module", "").split(":") if path)
    return Parts(options.get("uacce-source", ""), options.get("provider", ""), options.get("kernel-image", ""), modules)


def last_words(console: str) -> str:
    """The part of a console that says what went wrong."""
    lines = [line for line in console.splitlines() if line.strip()]
    marks = ("BUG:", "Oops", "kernel BUG", "general protection", "Kernel panic", "RIP: 0010:")
    told = [line.strip() for line in lines if any(mark in line for mark in marks)]
    return " | ".join(told[:5] or lines[-5:])
