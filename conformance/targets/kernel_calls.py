# SPDX-License-Identifier: Apache-2.0
"""Calls of the uacce machine as steps of the guest's agent, and the agent's answers as observations."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from ..machine import wire
from ..machine.wire import Event, Op, Step
from .interface import Call, Observation
from .python import errno_name

PAGES = 2  # of every mapping that the machine speaks about
START, PUT, NOTHING = 0x5700, 0x5701, 0x5720  # UACCE_CMD_START_Q, UACCE_CMD_PUT_Q, a command of the provider
REGIONS = {"MMIO": 0, "DUS": 1}
NO_REGION = 2
ATTRIBUTES = {"read_isolate": 0, "read_threshold": 1, "read_available": 2}
WRITTEN = {"not a number": 3, "above 65535": 4}
LIVES = ("ABSENT", "ALLOCATED", "REGISTERED", "REMOVED", "FREED")
STATES = ("ZOMBIE", "INIT", "STARTED")
SLOTS = ("EMPTY", "SET", "STALE")
POLLED = ("OK", "READY", "HANGUP", "WOULD_BLOCK")
SIGNALS = {7: "SIGBUS", 11: "SIGSEGV"}
DONE = ("discard", "wake_up", "complete", "remove", "hw_error", "forget_errors", "reset")
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
ABSENT = {name: 1 << bit for bit, name in enumerate(wire.ABSENT_NAMES)}


def index(name: str) -> int:
    """The number at the end of a name."""
    return int(name.lstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"))


@dataclass(frozen=True)
class Piece:
    """A piece of a mapping: which mapping, from which page on, how many, and in whose address space."""

    mapping: int
    first: int
    pages: int
    process: int


@dataclass
class Book:
    """What the names of a run stand for, and which come next."""

    pieces: dict[str, Piece] = field(default_factory=dict)
    messages: dict[str, int] = field(default_factory=dict)
    waiters: dict[str, int] = field(default_factory=dict)
    given: dict[str, int] = field(default_factory=dict)  # how many names of a kind
    mappings: int = 0

    def copy(self) -> Book:
        """Another one that goes its own way."""
        return Book(dict(self.pieces), dict(self.messages), dict(self.waiters), dict(self.given), self.mappings)

    def next(self, kind: str) -> str:
        """The name of the next object of a kind."""
        return f"{kind}{self.given.get(kind, 0) + 1}"

    def give(self, kind: str) -> str:
        """The same, and it is given now."""
        name = self.next(kind)
        self.given[kind] = self.given.get(kind, 0) + 1
        return name

    # ------------------------------------------------------------------ calls as steps

    def step(self, call: Call, result: str = "OK") -> Step:
        """The step that makes a call, whose result is expected to be this."""
        make: Callable[..., Step] | None = getattr(self, f"_{call.operation}", None)
        if make is not None:
            step = make(*call.args)
        elif call.operation in EVENTS:
            which, *more = call.args
            step = Step(Op.EVENT, a=EVENTS[call.operation], c=index(which), d=int(more == ["True"]))
        else:
            step = Step(Op.READ, a=index(call.args[0]), b=ATTRIBUTES[call.operation])
        failures = []
        for name, error in call.fails.items():
            failure = FAILURES.get(f"{call.operation}.{name}", FAILURES.get(name))
            if failure is not None:
                failures.append((failure, getattr(errno, error, errno.EIO)))
            elif name in WRITTEN:
                step = replace(step, c=WRITTEN[name])
        absent = sum(ABSENT.get(name, 0) for name in call.fails)
        return replace(step, expected=number(call.operation, result), failures=tuple(failures), absent=absent)

    @staticmethod
    def _open(process: str, fd: str, device: str, kept: str) -> Step:
        return Step(Op.OPEN, index(process), index(fd), index(device), int(kept == "True"))

    @staticmethod
    def _close(process: str, fd: str) -> Step:
        return Step(Op.CLOSE, index(process), index(fd))

    @staticmethod
    def _dup(process: str, fd: str, other: str) -> Step:
        return Step(Op.DUP, index(process), index(fd), index(other))

    def _send(self, process: str, fd: str) -> Step:
        return Step(Op.SEND, index(process), index(fd), free(self.messages, wire.MESSAGES))

    def _receive(self, process: str, fd: str, message: str) -> Step:
        return Step(Op.RECEIVE, index(process), index(fd), self.messages[message])

    def _discard(self, message: str) -> Step:
        return Step(Op.DISCARD, b=self.messages[message])

    @staticmethod
    def _start(process: str, fd: str) -> Step:
        return Step(Op.IOCTL, index(process), index(fd), c=START)

    @staticmethod
    def _put_q(process: str, fd: str) -> Step:
        return Step(Op.IOCTL, index(process), index(fd), c=PUT)

    @staticmethod
    def _driver_ioctl(process: str, fd: str) -> Step:
        return Step(Op.IOCTL, index(process), index(fd), c=NOTHING)

    def _mmap(self, process: str, fd: str, region: str, private: str) -> Step:
        offset = REGIONS.get(region, NO_REGION)
        return Step(Op.MMAP, index(process), index(fd), int(private == "True"), self.mappings, offset)

    def _munmap(self, vma: str) -> Step:
        p = self.pieces[vma]
        return Step(Op.MUNMAP, p.process, p.first, p.pages, p.mapping)

    def _munmap_head(self, vma: str) -> Step:
        p = self.pieces[vma]
        return Step(Op.MUNMAP, p.process, p.first, 1, p.mapping)

    def _munmap_tail(self, vma: str) -> Step:
        p = self.pieces[vma]
        return Step(Op.MUNMAP, p.process, p.first + p.pages - 1, 1, p.mapping)

    def _mprotect_tail(self, vma: str) -> Step:
        p = self.pieces[vma]
        return Step(Op.MPROTECT, p.process, p.first + p.pages - 1, 1, p.mapping)

    def _mremap_grow(self, vma: str) -> Step:
        return self._whole(Op.GROW, vma)

    def _mremap_move(self, vma: str) -> Step:
        return self._whole(Op.MOVE, vma)

    def _mremap_dont_unmap(self, vma: str) -> Step:
        return self._whole(Op.DONT_UNMAP, vma)

    def _touch(self, vma: str) -> Step:
        return self._whole(Op.TOUCH, vma)

    def _whole(self, op: Op, vma: str) -> Step:
        p = self.pieces[vma]
        return Step(op, p.process, p.first, p.pages, p.mapping)

    def _poll(self, process: str, fd: str, block: str) -> Step:
        return Step(Op.POLL, index(process), index(fd), int(block == "True"), free(self.waiters, wire.WAITERS))

    def _wake_up(self, waiter: str) -> Step:
        return Step(Op.WAKE, a=self.waiters[waiter])

    @staticmethod
    def _fork(process: str, child: str, mm: str) -> Step:
        return Step(Op.FORK, index(process), index(child))

    @staticmethod
    def _exec(process: str, mm: str, cloexec: str) -> Step:
        return Step(Op.EXEC, index(process), b=int(cloexec == "True"))

    @staticmethod
    def _exit(process: str) -> Step:
        return Step(Op.EXIT, index(process))

    @staticmethod
    def _write_threshold(unit: str, to: str) -> Step:
        return Step(Op.WRITE, a=index(unit), b=ATTRIBUTES["read_threshold"], c=int(to))

    # ------------------------------------------------------------------ what a call changes

    def made(self, call: Call, result: str) -> tuple[str, ...]:
        """The names of what a call created that had this result; the book is brought up to date."""
        done = getattr(self, f"_made_{call.operation}", None)
        if done is None or result != ("WOULD_BLOCK" if call.operation == "poll" else "OK"):
            if call.operation in ("discard", "wake_up") and result == "DONE":
                (self.messages if call.operation == "discard" else self.waiters).pop(call.args[0])
            return ()
        name: str = done(*call.args)
        return (name,) if name else ()

    def _made_open(self, process: str, fd: str, device: str, kept: str) -> str:
        return self.give("queue")

    def _made_send(self, process: str, fd: str) -> str:
        slot = free(self.messages, wire.MESSAGES)
        self.messages[name := self.give("message")] = slot
        return name

    def _made_receive(self, process: str, fd: str, message: str) -> str:
        del self.messages[message]
        return ""

    def _made_poll(self, process: str, fd: str, block: str) -> str:
        slot = free(self.waiters, wire.WAITERS)
        self.waiters[name := self.give("waiter")] = slot
        return name

    def _made_mmap(self, process: str, fd: str, region: str, private: str) -> str:
        self.pieces[name := self.give("vma")] = Piece(self.mappings, 0, PAGES, index(process))
        self.mappings += 1
        return name

    def _made_munmap(self, vma: str) -> str:
        del self.pieces[vma]
        return ""

    def _made_munmap_head(self, vma: str) -> str:
        p = self.pieces[vma]
        self.pieces[vma] = replace(p, first=p.first + 1, pages=p.pages - 1)
        return ""

    def _made_munmap_tail(self, vma: str) -> str:
        p = self.pieces[vma]
        self.pieces[vma] = replace(p, pages=p.pages - 1)
        return ""

    def _made_mprotect_tail(self, vma: str) -> str:
        p = self.pieces[vma]
        self.pieces[vma] = replace(p, pages=p.pages - 1)
        self.pieces[name := self.give("vma")] = replace(p, first=p.first + p.pages - 1, pages=1)
        return name


def free(slots: Mapping[str, int], most: int) -> int:
    """The lowest slot that no name has; the last one if there is none, which the kernel then refuses."""
    taken = set(slots.values())
    return next((n for n in range(most) if n not in taken), most - 1)


# ---------------------------------------------------------------------- results


def number(operation: str, result: str) -> int:
    """The result of a step that has this outcome."""
    if operation == "poll" and result in POLLED:
        return POLLED.index(result)
    if result in ("OK", "DONE"):
        return 0
    signal = next((n for n, name in SIGNALS.items() if name == result), None)
    return -wire.FAULTED - signal if signal else -getattr(errno, result, wire.DIED)


def outcome(operation: str, result: int) -> str:
    """The outcome that the result of a step stands for."""
    if result <= -wire.DIED:
        return "OOPS"  # the process was killed
    if result <= -wire.FAULTED:
        return SIGNALS.get(-result - wire.FAULTED, f"signal {-result - wire.FAULTED}")
    if result < 0:
        return errno_name(-result)
    if operation == "poll":
        return POLLED[result]
    return "DONE" if operation in DONE else "OK"


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


def observed(call: Call, book: Book, answer: wire.Answer, before: wire.State, now: Mapping[str, str]) -> Observation:
    """What was seen of a call; the book is brought up to date.  `now` are the cells after it."""
    result = outcome(call.operation, answer.result)
    created = book.made(call, result)
    after = answer.state or before
    alarms = [text for bit, text in enumerate(wire.WRONG) if (after.wrong & ~before.wrong) >> bit & 1]
    if result == "OOPS":
        alarms.append(f"the process was killed by signal {-answer.result - wire.DIED}")
    picked = chosen(call, after, created) if result == "OK" else {}
    return Observation(result, created, picked, dict(now), tuple(alarms))
