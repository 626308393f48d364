# SPDX-License-Identifier: Apache-2.0
"""What host and agent say to each other, as bytes: guest/agent.h and guest/abi.h have the same layouts."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from .system_calls import DATA, SystemCall

DEVICES, HARDWARE, QUEUES, FAILURES = 4, 16, 24, 4
PROCESSES, MESSAGES, WAITERS = 8, 8, 8
MOST_STEPS = 256
ANYBODY = 255  # who makes a step that is of no process
FAULTED, DIED = 2000, 3000  # results of a step that ended by a signal: minus that and the signal
NO_HARDWARE = 255


class Op(IntEnum):
    """What a step does."""

    OPEN = 0
    CLOSE = 1
    DUP = 2
    SEND = 3
    RECEIVE = 4
    DISCARD = 5
    IOCTL = 6
    MMAP = 7
    MUNMAP = 8
    MPROTECT = 9
    GROW = 10
    MOVE = 11
    DONT_UNMAP = 12
    TOUCH = 13
    POLL = 14
    WAKE = 15
    FORK = 16
    EXEC = 17
    EXIT = 18
    EVENT = 19
    READ = 20
    WRITE = 21
    MMAP_HELD = 22  # answered before it is made: between a PAUSE and a RESUME
    SYSCALL = 23  # whatever `call` says
    PEEK = 24  # its result is the first byte of a page of a mapping
    POKE = 25


class Event(IntEnum):
    """What a step of kind EVENT asks of the provider."""

    ALLOC = 0
    REGISTER = 1
    REMOVE = 2
    COMPLETE = 3
    HW_ERROR = 4
    FORGET = 5
    RESET = 6
    PAUSE = 7
    RESUME = 8
    HELD = 9  # waits until an mmap is held


FAILURE_NAMES = (
    "",
    "alloc.allocation",
    "open.allocation",
    "mmap.allocation",
    "cdev_alloc",
    "device_add",
    "iommu_dev_enable_feature",
    "iommu_sva_bind_device",
    "iommu_sva_get_pasid",
    "get_queue",
    "start_queue",
    "mmap",
    "ioctl",
)
ABSENT_NAMES = (
    "get_available_instances is absent",
    "ioctl is absent",
    "mmap is absent",
    "isolate_err_threshold_read is absent",
    "isolate_err_threshold_write is absent",
)
# What the modules notice, bit by bit.
WRONG = (
    "uacce.I01: a hardware queue was put that the queue does not own",
    "uacce.I02: a hardware queue was put while it ran",
    "uacce.I03: a callback was made on a queue that owns no hardware queue",
    "uacce.I04: a callback was made after the device was removed",
    "uacce.I32: a hardware queue was started that ran",
    "uacce.I32: a hardware queue was stopped that did not run",
    "uacce.I15: memory was freed that uacce does not own (any more)",
    "uacce.I06: a bond was given back that does not exist (any more)",
    "uacce.I01: a queue was given a second hardware queue",
)

STEP = struct.Struct("<BBBBIIi4B4BI")
SETUP = struct.Struct(f"<II{HARDWARE}B")
HEADER = struct.Struct("<IHHHHHH")
DEVICE = struct.Struct("<6B2xI")
QUEUE = struct.Struct("<I6B2x")
ANSWER = struct.Struct("<iIII")
WHOLE_STATE = HEADER.size + DEVICES * DEVICE.size + QUEUES * QUEUE.size


@dataclass(frozen=True)
class Step:
    """One step of a batch; what its numbers mean depends on `op` (guest/steps.c, perform)."""

    op: Op
    who: int = ANYBODY
    a: int = 0
    b: int = 0
    c: int = 0
    d: int = 0
    expected: int = 0
    failures: tuple[tuple[int, int], ...] = ()  # what fails meanwhile, with its errno
    absent: int = 0  # callbacks that are absent meanwhile: bits
    call: SystemCall | None = None

    @classmethod
    def system_call(cls, who: int, call: SystemCall, expected: int = 0) -> Step:
        """A system call of a process."""
        return cls(Op.SYSCALL, who, expected=expected, call=call)

    def pack(self, data: int = 0) -> bytes:
        """As the agent reads it; its call, if it has one, lies at `data`."""
        which = [f for f, _ in self.failures] + [0] * (FAILURES - len(self.failures))
        errors = [e for _, e in self.failures] + [0] * (FAILURES - len(self.failures))
        head = (self.op, self.who, self.a, self.b, self.c if self.call is None else data, self.d, self.expected)
        return STEP.pack(*head, *which, *errors, self.absent)


@dataclass(frozen=True)
class DeviceState:
    """A device as the provider sees it."""

    life: int = 0
    sva: int = 0
    stopped: int = 0
    isolated: int = 0
    threshold: int = 0
    errors: int = 0
    number: int = 0  # of the device node: major << 20 | minor


@dataclass(frozen=True)
class QueueState:
    """A live struct uacce_queue."""

    serial: int
    state: int
    hardware: int
    bonded: int
    ready: int
    mmio: int
    dus: int


@dataclass(frozen=True)
class State:
    """Everything that the modules can see."""

    wrong: int = 0
    live_devices: int = 0
    regions: int = 0
    bonds: int = 0
    used: int = 0  # hardware queues that are given
    unnamed: int = 0  # live queues that never got a hardware queue
    devices: tuple[DeviceState, ...] = ()
    queues: tuple[QueueState, ...] = field(default=())

    @property
    def alive(self) -> int:
        """Live objects of uacce, of any kind."""
        return self.live_devices + self.regions + self.bonds + self.used + self.unnamed + len(self.queues)

    @classmethod
    def unpack(cls, data: bytes) -> State:
        """What the agent sent."""
        wrong, live, regions, bonds, used, unnamed, queues = HEADER.unpack_from(data)
        at = HEADER.size
        devices = tuple(DeviceState(*DEVICE.unpack_from(data, at + i * DEVICE.size)) for i in range(DEVICES))
        at += DEVICES * DEVICE.size
        found = tuple(QueueState(*QUEUE.unpack_from(data, at + i * QUEUE.size)) for i in range(queues))
        return cls(wrong, live, regions, bonds, used, unnamed, devices, found)


@dataclass(frozen=True)
class Answer:
    """The result of a step, the state after it if that is a new one, the buffer that was asked for, and which of the
    things that can fail in its call was made to (0: none, or the call has fewer)."""

    result: int
    state: State | None
    data: bytes = b""
    failed: int = 0


def pack_batch(batch: Sequence[Step]) -> bytes:
    """Steps, and behind them the calls and buffers of those that have one.  Raises ValueError if it does not fit."""
    steps, data = [], b""
    for step in batch:
        steps.append(step.pack(len(data)))
        if step.call is not None:
            data += step.call.pack(len(data))
    if len(batch) > MOST_STEPS or len(data) > DATA:
        raise ValueError(f"a batch of {len(batch)} steps with {len(data)} bytes is more than the agent takes")
    return struct.pack("<I", len(batch)) + b"".join(steps) + data


def unpack_answers(data: bytes) -> tuple[list[Answer], str]:
    """The answers of a batch, and what the kernel wrote to its log at warning or above."""
    made, used = struct.unpack_from("<II", data)
    at, end = 8, 8 + used
    answers = []
    for _ in range(made):
        result, size, more, failed = ANSWER.unpack_from(data, at)
        at += ANSWER.size
        state = State.unpack(data[at : at + size]) if size else None
        answers.append(Answer(result, state, data[at + size : at + size + more], failed))
        at += size + more
    return answers, data[end:].decode(errors="replace")
