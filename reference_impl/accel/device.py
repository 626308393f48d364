# SPDX-License-Identifier: Apache-2.0
"""The device as its driver sees it: flags, the compute slot, lists of fds and submissions, and the status they make.

The flags are the driver's own, and `state` is what they mean; the code moves both, and a check holds them together.
"""

from collections import deque
from collections.abc import Callable
from enum import IntEnum
from itertools import count
from typing import TYPE_CHECKING, Literal, TypeAlias

from ..kernel import Kernel, Oops, Step, Task
from ..kernel.memory import Allocation
from ..kernel.process import Process
from .address_space import Fault
from .behaviour import Behaviour
from .hardware import Hardware, QueueKind
from .idr import Idr
from .lifecycles import DEVICE, RESET, DeviceState
from .memory import DeviceMemory
from .queues import HardwareQueues

if TYPE_CHECKING:
    from .context import Context
    from .export import Export
    from .fd import AccelFd
    from .submission import Submission


Work: TypeAlias = Callable[[Task], Step[int]]
Ending: TypeAlias = Callable[[Task], Step[None]]


class Status(IntEnum):
    """What DEVICE_STATUS says, with the ABI's numbers."""

    OPERATIONAL = 0
    IN_RESET = 1
    MALFUNCTION = 2
    NEEDS_RESET = 3
    IN_DEVICE_CREATION = 4
    IN_RESET_AFTER_DEVICE_RELEASE = 5


class AccelDevice:
    """One accelerator and its driver's state.

    `slot` names the context that computes (b, c0: what the driver compares; None: nobody). `files` are the fds of the
    compute node, `control_files` those of the control node, which some revisions keep on the first list.
    """

    def __init__(self, kernel: Kernel, behaviour: Behaviour, hardware: Hardware, number: int) -> None:
        self.kernel = kernel
        self.behaviour = behaviour
        self.hardware = hardware
        self.number = number
        self.state = DEVICE.initial
        self.reset_state = RESET.initial
        self.kill: Callable[[Process], None] = lambda process: process.interrupt()

        # Flags.
        self.init_done = False
        self.disabled = True
        self.in_reset = False
        self.in_compute_reset = False
        self.after_release = False  # the reset that runs was asked for by a departure
        self.hard_reset_pending = False
        self.remembered: int | None = None  # a hard reset that was asked for during a compute reset
        self.needs_reset = False
        self.watchdog_active = False
        self.watchdog_hard = False  # what it waits for is a hard reset, whatever the chip can
        self.removal_pending = False
        self.scrubbing = False
        self.kill_trials = 0
        self.gone = False  # torn down; whoever still gets here has a dangling pointer

        # The slot.
        self.open_count = 0
        self.slot: int | None = None
        self.active = False
        self.in_release = False

        # Lists and their locks.
        self.files: dict[AccelFd, None] = {}
        self.control_files: dict[AccelFd, None] = {}
        self.parted_ends: dict[AccelFd, Ending] | None = None  # of closed fds, put off; None: they come at once
        self.lost: list[AccelFd] = []  # a removal gave up on them; nothing that they hold can be freed
        self.mirror: dict[Submission, None] = {}
        single = behaviour.slot == "open count"
        self.files_lock = kernel.mutex("fd_open_cnt_lock" if single else "fpriv_list_lock")
        self.control_lock = kernel.mutex("fpriv_ctrl_list_lock")
        self.lazy_lock = kernel.mutex("lazy_ctx_creation_lock")
        self.debug_lock = kernel.mutex("debug_lock")
        self.queues_lock = kernel.mutex("hw_queues_lock")
        self.message_lock = kernel.mutex("send_cpu_message_lock")

        # Hardware and what users get of it.
        asids = hardware.asids or (2 if behaviour.open_checks == "status" and behaviour.open_refuses_taken else 1024)
        self.asids: Idr[Context] = Idr(1, asids)
        self.addresses: Idr[Context] = Idr()  # where contexts lie in the kernel's memory: free room is used again
        take = kernel.injector.take
        self.memory = DeviceMemory(
            hardware.memory, hardware.page_size, rules=behaviour.memory, take=take, report=kernel.findings.report
        )
        self.queues = HardwareQueues(len(hardware.queues), hardware.queue_depth, self.fault)
        self.hung = False  # engines stopped where they are, and say nothing
        self.busy = False  # engines run without a submission
        self.interrupts = [0] * hardware.interrupts  # how often each came
        self.exports: dict[int, Export] = {}
        self.contexts: dict[int, Context] = {}  # every user context not freed yet, by serial
        self.kernel_context: Allocation | None = None
        self.kernel_tables: Allocation | None = None
        self.serials = count(1)
        self.waiters = 0  # multi-waits on their way

        # Deferred work: ends of submissions, and the worker that does a hard reset.
        self.deferred: deque[Work] = deque()
        self.queued_work: Work | None = None
        self.working = False
        self.watchdog_deadline: int | None = None

        # Debug mode, frequency, captured errors, counters.
        self.in_debug = False
        self.tracing = False  # what the debug engines do
        self.profile: Literal["auto", "manual"] = "auto"
        self.frequency: Literal["LOW", "HIGH"] = "LOW"
        self.captured: list[str] = []
        self.snapshot: Allocation | None = None  # mappings at the time of a page fault
        self.epoch = 0  # hard resets so far
        self.counters = {"hard_reset": 0, "compute_reset": 0, "open": 0, "aborted": 0, "max_in_flight": 0, "dropped": 0}
        self.last_failure: str | None = None  # what the last reset was for, until a heartbeat
        self.repeated = False

    def __repr__(self) -> str:
        return f"<accel {self.number} {self.status.name}>"

    # What it is in.

    def become(self, event: str) -> None:
        """Move through the life of a device."""
        self.state = DEVICE.after(self.state, event)

    def reset_becomes(self, event: str) -> None:
        """Move through the life of a reset."""
        self.reset_state = RESET.after(self.reset_state, event)

    @property
    def status(self) -> Status:
        """What DEVICE_STATUS says: a function of the flags, in an order that changed over time."""
        if self.behaviour.status == "5.1":
            if self.disabled:
                return Status.MALFUNCTION
            return Status.IN_RESET if self.in_reset else Status.OPERATIONAL
        if self.removal_pending and self.behaviour.removal_shows:
            return Status.MALFUNCTION
        if self.in_reset:
            return Status.IN_RESET_AFTER_DEVICE_RELEASE if self.in_compute_reset else Status.IN_RESET
        if self.needs_reset:
            return Status.NEEDS_RESET
        if self.disabled:
            return Status.MALFUNCTION
        return Status.OPERATIONAL if self.init_done else Status.IN_DEVICE_CREATION

    @property
    def operational(self) -> bool:
        """Tell whether users may work: neither broken nor in a reset."""
        if self.behaviour.status == "5.1":
            return not (self.disabled or self.in_reset)
        return self.status in (Status.OPERATIONAL, Status.IN_DEVICE_CREATION)

    @property
    def taken(self) -> bool:
        """Tell whether somebody has the slot."""
        if self.behaviour.slot == "open count":
            return self.open_count > 0
        return self.active if self.behaviour.slot == "flag" else self.slot is not None

    @property
    def idle(self) -> bool:
        """Tell whether no engine runs."""
        return not self.busy and self.queues.idle

    def kind_of(self, queue: int) -> QueueKind | None:
        """Return the kind of a hardware queue, None where there is none of that number."""
        return self.hardware.queues[queue] if 0 <= queue < len(self.hardware.queues) else None

    # The slot.

    def name_of(self, context: "Context") -> int:
        """Return what the slot calls a context."""
        return context.address if self.behaviour.slot_identity == "address" else context.serial

    def holds_slot(self, context: "Context") -> bool:
        """Tell whether the slot names this context: rightly or not, where addresses are compared."""
        return self.slot is not None and self.slot == self.name_of(context)

    def empty_slot(self) -> None:
        """Take the slot from whoever has it: a hard reset begins again with nobody."""
        for context in self.contexts.values():
            context.lose_slot()
        self.slot = None
        self.active = False

    def end_survivors(self) -> None:
        """After a hard reset or a removal: what contexts had on the device goes, where they may not outlive it."""
        if not self.behaviour.dead_after_hard_reset:
            return
        self.in_debug = self.tracing = False
        for context in self.contexts.values():
            context.clear()

    def compute_context(self, task: Task) -> "Step[Context | None]":
        """Return the context that computes with a reference, None where it is gone or going."""
        if self.behaviour.reset_takes_context == "uncounted":
            return self._uncounted()
        yield from self.files_lock.acquire(task)
        found = None
        for fd in self.files:
            context = fd.context
            if context is not None and context.refs > 0 and context.computes:
                found = context.get()
                break
        self.files_lock.release(task)
        return found

    def _uncounted(self) -> "Context | None":
        if self.slot is None:
            return None
        context = next((c for c in self.contexts.values() if self.name_of(c) == self.slot and c.refs > 0), None)
        if context is None:
            self.kernel.findings.report("habanalabs.I05", "a reset reads the context of an owner that is gone")
            return None
        return context.get()

    # The end of a context and of an fd.

    def end(self, task: Task, fd: "AccelFd", ending: Ending) -> Step[None]:
        """End what nobody holds any more; where that is put off, whoever put it off ends it later."""
        if self.parted_ends is None or not fd.released:
            yield from ending(task)
        else:
            self.parted_ends[fd] = ending

    # The driver's own context.

    def start_kernel_context(self) -> bool:
        """Make the context of the driver itself, with ASID 0; False without memory."""
        allocate = self.kernel.allocator.allocate
        tables = allocate("page tables")
        context = allocate("kernel context") if tables is not None else None
        if tables is None or context is None:
            if tables is not None and self.behaviour.failed_kernel_context_frees_tables:
                self.kernel.allocator.free(tables)
            return False
        self.kernel_context, self.kernel_tables = context, tables
        return True

    def stop_kernel_context(self) -> None:
        """Free the context of the driver itself."""
        for allocation in (self.kernel_context, self.kernel_tables):
            if allocation is not None:
                self.kernel.allocator.free(allocation)
        self.kernel_context = self.kernel_tables = None

    def fault(self, queue: int, fault: Fault) -> None:
        """Capture what an engine met at an address that is not there; of the first, what host memory was mapped."""
        self.captured.append(str(fault))
        if self.behaviour.info == "6.12" and len(self.captured) == 1 and self._host_memory_is_mapped():
            self.snapshot = self.kernel.allocator.allocate("mapping snapshot")

    def _host_memory_is_mapped(self) -> bool:
        owner = next((c for c in self.contexts.values() if c.computes and c.refs > 0), None)
        mappings = owner.space.mappings if owner is not None and owner.space is not None else []
        return any(mapping.pack is None and not mapping.reserved for mapping in mappings)

    def forget_captured(self, *, wipe: bool = True) -> None:
        """Be ready to capture for the next owner; without `wipe` what was captured for an earlier one is lost."""
        self.captured.clear()
        if self.snapshot is not None and wipe:
            self.kernel.allocator.free(self.snapshot)
        self.snapshot = None

    # Frequency.

    def raise_frequency(self) -> None:
        """Go to the high frequency, where the driver decides about it; in 6.x it never does."""
        if self.profile == "auto" and self.behaviour.slot_raises_clocks:
            self.frequency = "HIGH"

    def lower_frequency(self) -> None:
        """Go to the low frequency, where the driver decides about it and nobody works."""
        if self.profile == "auto" and not (self.taken and self.behaviour.low_checks_slot):
            self.frequency = "LOW"

    # Barriers.

    def barrier(self, task: Task, *, messages: bool = True) -> Step[None]:
        """Wait for everybody who passed a check of the flags before they were set: take and release the locks."""
        locks = [self.queues_lock]
        if messages:
            locks.append(self.message_lock)
        if self.behaviour.open_checks == "status":
            locks += [self.files_lock, self.control_lock]
        for lock in locks:
            yield from lock.acquire(task)
            lock.release(task)

    def check_there(self) -> None:
        """Break for whoever still has a pointer to a device that is torn down: it reads freed memory."""
        if self.gone:
            self.kernel.findings.report("habanalabs.I29", "a call on a survivor of removal reads the freed device")
            raise Oops("the device was freed under an open file")

    @property
    def removed(self) -> bool:
        """Tell whether it is gone from the system."""
        return self.state is DeviceState.REMOVED
