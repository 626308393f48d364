# SPDX-License-Identifier: Apache-2.0
"""Contexts: an ASID, an address space, a ring of fences, and who keeps all that alive."""

from typing import TYPE_CHECKING

from ..kernel import Errno, Step, Task, point
from ..kernel.memory import Allocation
from .address_space import AddressSpace
from .fence import Fence
from .lifecycles import CONTEXT, ContextState

if TYPE_CHECKING:
    from .device import AccelDevice
    from .fd import AccelFd
    from .submission import Submission


class Context:
    """The context of one fd. Its manager, each submission, waiter, export and (6.x) command buffer hold a reference.

    `address` is where it lies in the kernel's memory: after it is freed the next context may lie there. `serial` is
    never used again.
    """

    def __init__(self, device: "AccelDevice", fd: "AccelFd", memory: Allocation) -> None:
        self.device = device
        self.fd = fd
        self.memory = memory
        self.serial = next(device.serials)
        address = device.addresses.add(self)
        assert address is not None
        self.address = address
        self.state = CONTEXT.initial
        self.refs = 1
        self.handle = 0
        self.asid = 0
        self.space: AddressSpace | None = None
        self.epoch = device.epoch
        self.computes = False
        self.provisional = False  # made for a submission that may still fail
        self.sequence = 1
        self.latest: Submission | None = None  # a ghost: the last one that the hardware was given
        self.highest = 0  # a ghost: the last sequence that was given
        self.ring: list[Fence | None] = [None] * device.hardware.ring
        self.outcomes: dict[int, int] = {}  # results of submissions whose place in the ring was taken
        self.must_switch = True  # the next submission performs the context switch
        self.switched = False
        self.counters = {"submitted": 0, "dropped": 0}

    def __repr__(self) -> str:
        return f"<context {self.serial} {self.state.name}>"

    # References.

    def get(self) -> "Context":
        """Take a reference; one to a freed context is reported."""
        if self.refs <= 0:
            self.device.kernel.findings.report("habanalabs.I05", f"{self} is used after its end")
        self.refs += 1
        return self

    def put(self, task: Task) -> Step[None]:
        """Drop a reference; the last one ends the context, and drops its reference to the fd."""
        if self.refs <= 0:
            self.device.kernel.findings.report("habanalabs.I05", f"a reference to {self} is dropped after its end")
            return
        self.refs -= 1
        if self.refs == 0:
            yield from self.device.end(task, self.fd, self.end)

    def drop(self) -> None:
        """Begin to drain: its fd was closed."""
        self.state = CONTEXT.after(self.state, "drop")

    @property
    def usable(self) -> bool:
        """Tell whether it may still be used: some revisions do not let one outlive a hard reset."""
        return not self.device.behaviour.dead_after_hard_reset or self.epoch == self.device.epoch

    # The slot.

    def take_slot(self) -> None:
        """Become the context that computes."""
        device = self.device
        self.computes = True
        self.provisional = False
        if self.refs <= 0:
            device.kernel.findings.report("habanalabs.I05", f"{self}, which was freed, takes the slot")
        else:
            self.state = CONTEXT.after(self.state, "upgrade")
        device.slot = device.name_of(self)

    def lose_slot(self) -> None:
        """Stop being the context that computes: a hard reset took the slot."""
        if self.state is ContextState.COMPUTE:
            self.state = CONTEXT.after(self.state, "lose slot")
        self.computes = False

    def clear(self) -> None:
        """Lose all mappings and device memory; the ASID stays until the end."""
        if self.space is not None:
            self.space.close()
        self.device.memory.free_of(self.asid)

    # Rings.

    def fence_of(self, seq: int) -> "Fence | int | None":
        """Return the fence of a sequence without a reference, None if it is gone, -EINVAL if it was never given."""
        if seq >= self.sequence:
            return Errno.EINVAL
        if seq + len(self.ring) < self.sequence:
            return None
        return self.ring[seq % len(self.ring)]

    # The end.

    def end(self, task: Task) -> Step[None]:
        """End the context, which nobody holds, and with it the fd, if nobody holds that either."""
        device, fd = self.device, self.fd
        behaviour, kernel = device.behaviour, device.kernel
        for submission in device.mirror:
            if submission.context is self:
                kernel.findings.report("habanalabs.I07", f"{self} ends while submission {submission.seq} runs")
        for fence in self.ring:
            if fence is not None:
                fence.put()
        yield from self._leave_debug(task)
        self._undo_mappings()
        fd.context = None if behaviour.open_checks == "status" else fd.context
        del device.contexts[self.serial]
        yield from fd.put(task)
        if self.state is ContextState.DRAINING:
            self.state = CONTEXT.after(self.state, "free")
        device.addresses.remove(self.address)
        kernel.allocator.free(self.memory)

    def _leave_debug(self, task: Task) -> Step[None]:
        device = self.device
        when = device.behaviour.end_clears_debug
        if not device.in_debug or when == "never" or (when == "if it has the slot" and not device.holds_slot(self)):
            return
        yield from device.debug_lock.acquire(task)
        if not device.hard_reset_pending:
            device.tracing = False
        device.in_debug = False
        device.debug_lock.release(task)

    def _undo_mappings(self) -> None:
        device = self.device
        if self.space is None:
            return
        early = device.behaviour.asid_freed == "before the mappings"
        if early:
            self.free_asid()
        if device.hard_reset_pending and not device.behaviour.end_spares_pending_device:
            device.kernel.findings.report("habanalabs.I13", f"{self} writes page tables of a device about to be reset")
        self.space.close()
        device.memory.free_of(self.asid)
        if not early:
            self.free_asid()

    def free_asid(self) -> None:
        """Give the ASID back; one under which something is mapped is reported."""
        if self.space is not None and self.space.mappings:
            self.device.kernel.findings.report("habanalabs.I27", f"ASID {self.asid} is freed, {self} has mappings")
        self.device.asids.remove(self.asid)


def create(task: Task, fd: "AccelFd") -> Step["Context | int"]:
    """Make the context of an fd: it, or -ENOMEM (memory, no ASID, page tables), or ``context_handle``.

    A failure leaves nothing behind, except in the revision that publishes it first (B21).
    """
    device = fd.device
    assert device is not None
    kernel = device.kernel
    memory = kernel.allocator.allocate("context")
    if memory is None:
        return Errno.ENOMEM
    context = Context(device, fd, memory)
    early = device.behaviour.published == "before it has a handle"
    handle = 0
    if not early:
        handle = kernel.injector.take("context_handle") or fd.handles.add(context) or Errno.ENOMEM
        if handle < 0:
            _fail(context)
            return handle
    result = _initialise(context)
    if result:
        fd.handles.remove(handle)
        _fail(context)
        return result
    yield point("context made, not published")
    _publish(fd, context)
    if early:
        handle = kernel.injector.take("context_handle") or fd.handles.add(context) or Errno.ENOMEM
        if handle < 0:
            context.drop()
            yield from context.put(task)  # and the device's pointer to it stays, and the fd's
            return handle
    context.handle = handle
    return context


def _initialise(context: Context) -> int:
    device = context.device
    asid = device.asids.add(context)
    if asid is None:
        return Errno.ENOMEM
    if device.kernel.injector.take("page_tables") is not None:
        device.asids.remove(asid)
        return Errno.ENOMEM
    context.asid = asid
    context.space = AddressSpace(device.memory, asid)
    return 0


def _publish(fd: "AccelFd", context: Context) -> None:
    device = context.device
    if fd.ever is not None and fd.ever is not context and fd.context is not None:
        device.kernel.findings.report("habanalabs.I28", f"{fd} gets a second context")
    fd.get()
    fd.context = fd.ever = context
    device.contexts[context.serial] = context
    context.state = CONTEXT.after(context.state, "publish")
    if device.behaviour.context == "at open":
        context.take_slot()
        device.active = True


def _fail(context: Context) -> None:
    context.state = ContextState.FREED
    context.refs = 0
    context.device.addresses.remove(context.address)
    context.device.kernel.allocator.free(context.memory)
