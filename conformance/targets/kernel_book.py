# SPDX-License-Identifier: Apache-2.0
"""The names of a run in the guest, and the calls that every machine has: descriptors, messages, processes.

A machine's own book adds for each of its operations a method `do_OPERATION`, which takes the names that the call takes
and answers with the step that makes it (or several: the last one's result is the call's, the others are to succeed),
and, where the call changes what names stand for, `did_OPERATION`, which is told of a success and answers with the name
of what came into being.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from ..machine import wire
from ..machine.wire import Op, Step
from .interface import Call
from .python import errno_name

SIGNALS = {7: "SIGBUS", 11: "SIGSEGV"}
ALLOCATION, NO_MEMORY = "allocation", "ENOMEM"  # what fails, and what is answered then


def index(name: str) -> int:
    """The number at the end of a name."""
    return int(name.lstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"))


@dataclass
class Book:
    """What the names of a run stand for, and which come next.  A copy of it goes ahead of what was seen."""

    messages: dict[str, int] = field(default_factory=dict)
    waiters: dict[str, int] = field(default_factory=dict)
    given: dict[str, int] = field(default_factory=dict)  # how many names of a kind

    events: ClassVar[frozenset[str]] = frozenset({"discard", "wake_up"})  # what answers DONE

    def copy(self) -> Self:
        """Another one that goes its own way."""
        other = copy(self)
        vars(other).update((name, dict(value)) for name, value in vars(self).items() if isinstance(value, dict))
        return other

    def next(self, kind: str) -> str:
        """The name of the next object of a kind."""
        return f"{kind}{self.given.get(kind, 0) + 1}"

    def give(self, kind: str) -> str:
        """The same, and it is given now."""
        name = self.next(kind)
        self.given[kind] = self.given.get(kind, 0) + 1
        return name

    @classmethod
    def operations(cls) -> frozenset[str]:
        """What it can make steps of."""
        return frozenset(name[3:] for name in dir(cls) if name.startswith("do_"))

    # ------------------------------------------------------------------ calls and steps

    def depends(self, call: Call, earlier: Call) -> bool:
        """Is a call made by other steps once an earlier one has been made? Both may want the same slot of a message."""
        after = self.copy()
        try:
            after.made(earlier, next(r for r in ("OK", "DONE", "WOULD_BLOCK") if after.succeeded(earlier, r)))
        except KeyError:  # it speaks of what is not there: it fails, and changes nothing
            return False
        try:
            return after.steps(call) != self.steps(call)
        except KeyError:  # it speaks of what is gone by then
            return True

    def may_meet(self, calls: Sequence[Call]) -> bool:
        """Are the names and numbers that come of these calls the same, whichever of them is first?"""
        return True

    def steps(self, call: Call, result: str = "OK") -> list[Step]:
        """The steps that make a call, whose result is expected to be this."""
        make: Callable[..., Step | list[Step]] = getattr(self, f"do_{call.operation}")
        made = make(*call.args)
        *others, last = [made] if isinstance(made, Step) else made
        if ALLOCATION in call.fails and last.call is not None:
            last = replace(last, call=last.call.without_memory())
        return [*others, replace(last, expected=self.number(call, result))]

    def number(self, call: Call, result: str) -> int:
        """The result of a step that has this outcome."""
        if result in ("OK", "DONE"):
            return 0
        signal = next((n for n, name in SIGNALS.items() if name == result), None)
        return -wire.FAULTED - signal if signal else -getattr(errno, result, wire.DIED)

    def outcome(self, call: Call, result: int) -> str:
        """The outcome that the result of a step stands for."""
        if result <= -wire.DIED:
            return "OOPS"  # the process was killed
        if result <= -wire.FAULTED:
            return SIGNALS.get(-result - wire.FAULTED, f"signal {-result - wire.FAULTED}")
        if result < 0:
            return errno_name(-result)
        return "DONE" if call.operation in self.events else "OK"

    def made(self, call: Call, result: str) -> tuple[str, ...]:
        """The names of what a call created that had this result; the book is brought up to date."""
        done: Callable[..., str | None] | None = getattr(self, f"did_{call.operation}", None)
        if done is None or not self.succeeded(call, result):
            return ()
        name = done(*call.args)
        return (name,) if name else ()

    def succeeded(self, call: Call, result: str) -> bool:
        """Did the call do what it is for?"""
        return result in ("OK", "DONE")

    # ------------------------------------------------------------------ descriptors

    def do_close(self, process: str, fd: str) -> Step:
        return Step(Op.CLOSE, index(process), index(fd))

    def do_dup(self, process: str, fd: str, other: str) -> Step:
        return Step(Op.DUP, index(process), index(fd), index(other))

    def do_send(self, process: str, fd: str) -> Step:
        return Step(Op.SEND, index(process), index(fd), free(self.messages, wire.MESSAGES))

    def did_send(self, process: str, fd: str) -> str:
        slot = free(self.messages, wire.MESSAGES)
        self.messages[name := self.give("message")] = slot
        return name

    def do_receive(self, process: str, fd: str, message: str) -> Step:
        return Step(Op.RECEIVE, index(process), index(fd), self.messages[message])

    def did_receive(self, process: str, fd: str, message: str) -> None:
        del self.messages[message]

    def do_discard(self, message: str) -> Step:
        return Step(Op.DISCARD, b=self.messages[message])

    def did_discard(self, message: str) -> None:
        del self.messages[message]

    # ------------------------------------------------------------------ processes

    def do_fork(self, process: str, child: str, *mm: str) -> Step:
        return Step(Op.FORK, index(process), index(child))

    def do_exec(self, process: str, *how: str) -> Step:
        return Step(Op.EXEC, index(process), b=int(how[-1] == "True"))

    def do_exit(self, process: str) -> Step:
        return Step(Op.EXIT, index(process))


def free(slots: Mapping[str, int], most: int) -> int:
    """The lowest slot that no name has; the last one if there is none, which the kernel then refuses."""
    taken = set(slots.values())
    return next((n for n in range(most) if n not in taken), most - 1)
