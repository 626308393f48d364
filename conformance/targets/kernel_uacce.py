# SPDX-License-Identifier: Apache-2.0
"""The machine uacce in the guest: its calls as steps, and what the modules show of its devices and queues."""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ..machine import Guest, wire
from ..machine.wire import Event, Op, Step
from .interface import Call, Observation, System, TargetError
from .kernel_adapter import Adapter
from .kernel_book import free, index
from .kernel_pieces import PiecesBook

START, PUT, NOTHING = 0x5700, 0x5701, 0x5720  # UACCE_CMD_START_Q, UACCE_CMD_PUT_Q, a command of the provider
REGIONS = {"MMIO": 0, "DUS": 1}
NO_REGION = 2
ATTRIBUTES = {"read_isolate": 0, "read_threshold": 1, "read_available": 2}
WRITTEN = {"not a number": 3, "above 65535": 4}
LIVES = ("ABSENT", "ALLOCATED", "REGISTERED", "REMOVED", "FREED")
STATES = ("ZOMBIE", "INIT", "STARTED")
SLOTS = ("EMPTY", "SET", "STALE")
POLLED = ("OK", "READY", "HANGUP", "WOULD_BLOCK")
EVENTS = {
    "alloc": Event.ALLOC,
    "register": Event.REGISTER,
    "remove": Event.REMOVE,
    "complete": Event.COMPLETE,
    "hw_error": Event.HW_ERROR,
    "forget_errors": Event.FORGET,
    "reset": Event.RESET,
}
FAILURES = {name: number for number, name in enumerate(wire.FAILURE_NAMES) if name}
ONLY_WITH_SHIM = range(1, FAILURES["get_queue"])
ABSENT = {name: 1 << bit for bit, name in enumerate(wire.ABSENT_NAMES)}


@dataclass
class UacceBook(PiecesBook):
    """The calls of the uacce machine."""

    events = PiecesBook.events | {"complete", "remove", "hw_error", "forget_errors", "reset"}

    def steps(self, call: Call, result: str = "OK") -> list[Step]:
        """As in `Book`, with what is made to fail meanwhile."""
        if call.operation in EVENTS:
            which, *more = call.args
            step = Step(Op.EVENT, a=EVENTS[call.operation], c=index(which), d=int(more == ["True"]))
            step = replace(step, expected=self.number(call, result))
        elif call.operation in ATTRIBUTES:
            step = Step(Op.READ, a=index(call.args[0]), b=ATTRIBUTES[call.operation])
            step = replace(step, expected=self.number(call, result))
        else:
            (step,) = super().steps(call, result)
        failures = []
        for name, error in call.fails.items():
            failure = FAILURES.get(f"{call.operation}.{name}", FAILURES.get(name))
            if failure is not None:
                failures.append((failure, getattr(errno, error, errno.EIO)))
            elif name in WRITTEN:
                step = replace(step, c=WRITTEN[name])
        absent = sum(ABSENT.get(name, 0) for name in call.fails)
        return [replace(step, failures=tuple(failures), absent=absent)]

    def number(self, call: Call, result: str) -> int:
        """As in `Book`; poll tells apart what it saw."""
        if call.operation == "poll" and result in POLLED:
            return POLLED.index(result)
        return super().number(call, result)

    def outcome(self, call: Call, result: int) -> str:
        """As in `Book`."""
        return POLLED[result] if call.operation == "poll" and result >= 0 else super().outcome(call, result)

    def succeeded(self, call: Call, result: str) -> bool:
        """As in `Book`; a poll makes something if it sleeps."""
        return result == "WOULD_BLOCK" if call.operation == "poll" else super().succeeded(call, result)

    def do_open(self, process: str, fd: str, device: str, kept: str) -> Step:
        return Step(Op.OPEN, index(process), index(fd), index(device), int(kept == "True"))

    def did_open(self, process: str, fd: str, device: str, kept: str) -> str:
        return self.give("queue")

    def do_start(self, process: str, fd: str) -> Step:
        return Step(Op.IOCTL, index(process), index(fd), c=START)

    def do_put_q(self, process: str, fd: str) -> Step:
        return Step(Op.IOCTL, index(process), index(fd), c=PUT)

    def do_driver_ioctl(self, process: str, fd: str) -> Step:
        return Step(Op.IOCTL, index(process), index(fd), c=NOTHING)

    def do_mmap(self, process: str, fd: str, region: str, private: str) -> Step:
        offset = REGIONS.get(region, NO_REGION)
        return Step(Op.MMAP, index(process), index(fd), int(private == "True"), self.mappings, offset)

    def did_mmap(self, process: str, fd: str, region: str, private: str) -> str:
        return self.new_piece(process)

    def do_poll(self, process: str, fd: str, block: str) -> Step:
        return Step(Op.POLL, index(process), index(fd), int(block == "True"), free(self.waiters, wire.WAITERS))

    def did_poll(self, process: str, fd: str, block: str) -> str:
        slot = free(self.waiters, wire.WAITERS)
        self.waiters[name := self.give("waiter")] = slot
        return name

    def do_wake_up(self, waiter: str) -> Step:
        return Step(Op.WAKE, a=self.waiters[waiter])

    def did_wake_up(self, waiter: str) -> None:
        del self.waiters[waiter]

    def do_write_threshold(self, unit: str, to: str) -> Step:
        return Step(Op.WRITE, a=index(unit), b=ATTRIBUTES["read_threshold"], c=int(to))


class Uacce(Adapter):
    """uacce, behind the provider and the shim of the image."""

    book_of = UacceBook
    kinds = {"Device": wire.DEVICES, "HwQueue": wire.HARDWARE, "Queue": wire.QUEUES}
    expected_log = ("failed to enable IOPF feature",)  # what uacce logs when SVA is made to fail

    def __init__(self, shimmed: bool = True, fails: bool = False) -> None:
        super().__init__(shimmed)  # each of its own allocations fails by its name, in the shim

    @property
    def operations(self) -> frozenset[str]:
        """As in `Adapter`."""
        return UacceBook.operations() | EVENTS.keys() | ATTRIBUTES.keys()

    @property
    def failures(self) -> frozenset[str]:
        """As in `Adapter`; allocations and SVA calls fail only in the shim."""
        able = (name for name, n in FAILURES.items() if self.shimmed or n not in ONLY_WITH_SHIM)
        return frozenset(name.rpartition(".")[2] for name in able) | WRITTEN.keys() | ABSENT.keys() | self.unavoidable

    @property
    def unavoidable(self) -> frozenset[str]:
        """As in `Adapter`: the guest has no IOMMU, and only our shim stands in for one."""
        return frozenset() if self.shimmed else frozenset({"iommu_dev_enable_feature"})

    def prepare(self, system: System) -> dict[str, str]:
        """As in `Adapter`; every device has at most one unit."""
        self._scope = scope = {"Qm": 0, "HwQueue": 0, **system.scope}
        if scope["Qm"] > scope["Device"]:
            raise TargetError(f"the target kernel needs a device for every unit: Qm={scope['Device']} or less")
        if not self.shimmed and scope["Minor"] < scope["Device"]:
            raise TargetError(
                "without our shim uacce finds a minor for every device; "
                f"say it with --scope Minor={scope['Device']}, or --scope Device={scope['Minor']}"
            )
        named = super().prepare(system)
        named.update({f"qm{i}.device": f"device{i}" for i in range(scope["Qm"])})
        self._hardware = [index(named[f"hwQueue{i}.device"]) for i in range(scope["HwQueue"])]
        return named

    def begin(self, guest: Guest) -> str:
        """As in `Adapter`."""
        self._state, log = guest.fresh(self.processes, self._scope["Minor"], self._hardware)
        self._seen = self._cells()
        return log or ("objects of uacce are left" if self._state.alive else "")

    def _cells(self) -> dict[str, str]:
        found = cells(self._state, self._scope["Device"], self._scope["Qm"])
        if self.shimmed:
            return found
        # without the shim nobody sees when the structure of a removed device goes
        return {cell: value for cell, value in found.items() if not (cell.endswith(".life") and value == "REMOVED")}

    def observed(self, call: Call, answers: Sequence[wire.Answer]) -> Observation:
        """As in `Adapter`: beside the result the state of every device and of every live queue."""
        before = self._state
        seen = super().observed(call, answers)
        if answers[-1].state is not None:
            self._state = answers[-1].state
            self._seen = self._cells()
        alarms = [text for bit, text in enumerate(wire.WRONG) if (self._state.wrong & ~before.wrong) >> bit & 1]
        picked = chosen(call, self._state, seen.created) if seen.result == "OK" else {}
        return Observation(seen.result, seen.created, picked, dict(self._seen), (*alarms, *seen.alarms))

    def may_meet(self, pair: Sequence[tuple[Call, Sequence[Step]]]) -> bool:
        """As in `Adapter`.  An open meets no other, since nobody could tell which new queue is whose, and no call that
        makes the node by which it opens."""
        operations = sorted(call.operation for call, _ in pair)
        return super().may_meet(pair) and not ("open" in operations and {"open", "alloc", "register"} >= {*operations})

    def leftovers(self, guest: Guest) -> Mapping[str, int]:
        """As in `Adapter`: by the module's use count and the modules' own counts."""
        state = self._state
        uses = guest.read("/sys/module/uacce/refcnt").strip()
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
        return found if self.shimmed else {"File": found["File"]}


def cells(state: wire.State, devices: int, units: int) -> dict[str, str]:
    """A state of the modules, cell by cell."""
    found: dict[str, str] = {}
    for n, d in enumerate(state.devices[:devices]):
        found[f"device{n}.life"] = LIVES[d.life]
        found[f"device{n}.sva"] = str(bool(d.sva))
        if n < units:
            found[f"qm{n}.stopped"] = str(bool(d.stopped))
            found[f"qm{n}.isolated"] = str(bool(d.isolated))
            found[f"qm{n}.threshold"] = str(d.threshold)
            found[f"qm{n}.errors"] = str(d.errors)
    for q in state.queues:
        name = f"queue{q.serial}"
        has_hardware = q.hardware != wire.NO_HARDWARE
        found[f"{name}.state"] = STATES[q.state] if q.state < len(STATES) else "CORRUPT"
        found[f"{name}.hw"] = f"hwQueue{q.hardware}" if has_hardware else "none"
        found[f"{name}.bonded"] = str(bool(q.bonded))
        found[f"{name}.mmio"] = SLOTS[q.mmio]
        found[f"{name}.dus"] = SLOTS[q.dus]
        if has_hardware:
            found[f"{name}.ready"] = str(bool(q.ready))
    return found


def chosen(call: Call, seen: wire.State, created: tuple[str, ...]) -> dict[str, str]:
    """What was up to the kernel or the provider."""
    if call.operation == "alloc":
        return {"m": f"minor{seen.devices[index(call.args[0])].number & 0xFFFFF}"}
    if call.operation == "open" and created:
        hardware = next((q.hardware for q in seen.queues if f"queue{q.serial}" == created[0]), wire.NO_HARDWARE)
        return {"h": f"hwQueue{hardware}"} if hardware != wire.NO_HARDWARE else {}
    return {}
