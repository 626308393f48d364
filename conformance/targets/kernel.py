# SPDX-License-Identifier: Apache-2.0
"""The target `kernel`: a real Linux kernel in a virtual machine, its uacce driven through an agent in the guest.

Booted once, restored from a snapshot after a crash, a hang or a leak, and now and then.  Options: `uacce-source`,
`provider` (C files), `kernel-image`, `module` (files, a colon between them), all as in `machine.Parts`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence

import msgspec

from ..machine import Crashed, Guest, Machine, Parts, Silent, build, start, wire
from .interface import Call, Observation, System, TargetError
from .kernel_calls import ABSENT, ATTRIBUTES, EVENTS, FAILURES, WRITTEN, Book, cells, index, observed

OPTIONS = {"uacce-source": "uacce_source", "provider": "provider", "kernel-image": "kernel_image", "module": "modules"}
AT_MOST = {
    "Process": wire.PROCESSES,
    "Device": wire.DEVICES,
    "HwQueue": wire.HARDWARE,
    "Queue": wire.QUEUES,
    "Message": wire.MESSAGES,
    "Waiter": wire.WAITERS,
    "Fd": 16,
}
RESTORE_AFTER = 500  # runs in one guest
EXPECTED = ("failed to enable IOPF feature",)  # what uacce logs when SVA is made to fail
ONLY_WITH_SHIM = range(1, FAILURES["get_queue"])


class Kernel:
    """A guest behind the target interface.

    Raises TargetError for another machine than uacce, and `machine.Missing` (one) where qemu, packages or disk lack.
    """

    def __init__(self, machine: str, revision: str, options: Mapping[str, str] | None = None) -> None:
        if machine != "uacce":
            raise TargetError(f"the target kernel has no machine {machine!r}, only uacce")
        self._machine = start(build(parts_of(options or {})))
        self._guest: Guest | None = None
        self._runs = 0
        self._calls: list[Call] = []  # of this run
        self._system: System | None = None

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
        own = {name.removeprefix("_") for name in vars(Book) if name.startswith("_") and name[1:2].islower()}
        helpers = {name for name in own if name.startswith("made_")} | {"whole"}
        return frozenset((own - helpers) | EVENTS.keys() | ATTRIBUTES.keys())

    @property
    def failures(self) -> frozenset[str] | None:
        """As in `Target`."""
        with_shim = self._machine.image.shimmed
        able = (name for name, n in FAILURES.items() if with_shim or n not in ONLY_WITH_SHIM)
        return frozenset(name.rpartition(".")[2] for name in able) | WRITTEN.keys() | ABSENT.keys()

    # ------------------------------------------------------------------ a run

    def reset(self, system: System) -> Mapping[str, str]:
        """As in `Target`. Every process has an address space of its own, every device at most one unit."""
        scope = {"Qm": 0, "Mm": 1, "HwQueue": 0, **system.scope}
        for kind, most in AT_MOST.items():
            if scope.get(kind, 0) > most:
                raise TargetError(f"the target kernel has room for {kind}={most} at most, not {scope[kind]}")
        if scope["Mm"] < scope["Process"] or scope["Qm"] > scope["Device"]:
            raise TargetError(
                "the target kernel needs an address space for every process and a device for every unit: "
                f"Mm={scope['Process']} or more, Qm={scope['Device']} or less"
            )
        named = dict(system.cells)
        named.update({f"process{i}.mm": f"mm{i}" for i in range(scope["Process"])})
        named.update({f"qm{i}.device": f"device{i}" for i in range(scope["Qm"])})
        self._system, self._scope = system, scope
        self._hardware = [index(named[f"hwQueue{i}.device"]) for i in range(scope["HwQueue"])]
        self._runs += 1
        if self._runs % RESTORE_AFTER == 0:
            self._end()
        self._begin()
        return named

    def _begin(self) -> None:
        """A guest without a trace of what was before."""
        self._book = Book()
        self._calls = []
        for _ in range(2):
            guest = self._running()
            with contextlib.suppress(Crashed, Silent):
                self._state, log = guest.fresh(self._scope["Process"], self._scope["Minor"], self._hardware)
                if not self._state.alive and not log:
                    self._seen = self._cells()
                    return
            self._end()  # something of the last run is left, or its end went wrong: that run's own leftovers told it
        raise TargetError(f"the guest does not begin a run: {self._machine.log.strip()[-500:]}")

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

    def _cells(self) -> dict[str, str]:
        return cells(self._state, self._scope["Device"], self._scope["Qm"])

    def perform(self, call: Call) -> Observation:
        """As in `Target`."""
        return self._run([self._book.step(call)], [call])[0]

    def draft(self) -> Draft:
        """As in `Ahead`."""
        return Draft(self, self._book.copy())

    def _run(self, steps: Sequence[wire.Step], calls: Sequence[Call]) -> list[Observation]:
        """Make steps, up to the first that has another result than expected."""
        guest = self._guest
        if guest is None:
            raise TargetError("the target kernel was not reset")
        try:
            answers, log = guest.steps(steps)
        except (Crashed, Silent) as death:
            self._end()
            if len(steps) > 1:
                return self._one_by_one(calls)
            crashed = isinstance(death, Crashed)
            return [Observation("OOPS" if crashed else "HANG", alarms=(last_words(str(death)),))]
        seen = []
        for call, answer in zip(calls, answers, strict=False):
            before = self._state
            if answer.state is not None:
                self._state = answer.state
                self._seen = self._cells()
            seen.append(observed(call, self._book, answer, before, self._seen))
            self._calls.append(call)
        lines = [line for line in log.splitlines() if not any(text in line for text in EXPECTED)]
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
        state = self._state
        uses = self._running().read("/sys/module/uacce/refcnt").strip()
        taken = sum(q.mmio == 1 for q in state.queues) + sum(q.dus == 1 for q in state.queues)
        living = sum(0 < d.life < 4 for d in state.devices)
        found = {
            # one use is the provider's; a description has two, of the character device and of its operations
            "File": (int(uses) - 1) // 2 if uses.isdigit() else 0,
            "Queue": len(state.queues) + state.unnamed,
            "uacce.I06 bond": state.bonds - sum(q.bonded for q in state.queues),
            "uacce.L01 hardware queue": state.used - sum(q.hardware != wire.NO_HARDWARE for q in state.queues),
            "uacce.I09 region": state.regions - taken,
            "device structure": state.live_devices - living,
        }
        if not self._machine.image.shimmed:
            return {"File": found["File"]}
        return found

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
        self._steps: list[wire.Step] = []
        self._calls: list[Call] = []

    def add(self, call: Call, result: str) -> tuple[str, ...]:
        """As in `Ahead`."""
        self._steps.append(self._book.step(call, result))
        self._calls.append(call)
        return self._book.made(call, result)

    def send(self) -> list[Observation]:
        """As in `Ahead`."""
        return self._kernel._run(self._steps, self._calls) if self._steps else []


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
