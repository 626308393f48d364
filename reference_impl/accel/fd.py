# SPDX-License-Identifier: Apache-2.0
"""What the driver keeps for one open file: its opener, at most one context, its command buffers and its event mask."""

from typing import TYPE_CHECKING

from ..kernel import Step, Task, point
from ..kernel.memory import Allocation
from ..kernel.process import Process
from .buffers import CommandBuffer, CommandBuffers
from .idr import Idr
from .reset import Reset, request_reset

if TYPE_CHECKING:
    from ..kernel.files import OpenFile
    from .context import Context
    from .device import AccelDevice

STILL_IN_USE = "close: still in use"


class AccelFd:
    """The private data of an open file (hpriv). It has one reference of the file and one of each context.

    `opener` is the process that opened it, whoever uses it now. `device` is None once removal gave up on it.
    """

    def __init__(self, device: "AccelDevice", file: "OpenFile", memory: Allocation, *, control: bool) -> None:
        kernel = device.kernel
        self.device: AccelDevice | None = device
        self.home = device
        self.file = file
        self.memory = memory
        self.control = control
        self.serial = next(device.serials)
        self.opener: Process | None = None
        self.refs = 1
        self.context: Context | None = None
        self.ever: Context | None = None  # a ghost: the context that it had
        self.handles: Idr[Context] = Idr()
        self.context_lock = kernel.mutex("ctx_lock")
        self.buffers = CommandBuffers(
            rules=device.behaviour.memory,
            on_free=self._buffer_freed,
            take=kernel.injector.take,
            report=kernel.findings.report,
        )
        self.eventfd = False
        self.events = 0
        self.released = False
        self._let_go: list[Context] = []  # by buffers that were freed

    def __repr__(self) -> str:
        return f"<{'control ' if self.control else ''}fd {self.serial}>"

    def _buffer_freed(self, buffer: CommandBuffer) -> None:
        context: Context | None = buffer.context  # type: ignore[assignment]
        if context is not None:
            self._let_go.append(context)

    def settle(self, task: Task) -> Step[None]:
        """Drop the references to contexts that freed buffers had."""
        while self._let_go:
            yield from self._let_go.pop().put(task)

    # References.

    def get(self) -> None:
        """Take a reference."""
        self.refs += 1

    def put(self, task: Task) -> Step[None]:
        """Drop a reference; the last one ends the fd."""
        self.refs -= 1
        if self.refs == 0:
            yield from self.end(task)

    def close(self, task: Task) -> Step[None]:
        """Let go of everything: the last reference to the open file is gone."""
        device = self.device
        self.released = True
        if device is None:  # removed under it: 6.12 still lets go of what the file has, and its record is lost
            if self.home.behaviour.drm_core:
                yield from self.drop_context(task)
                yield from self._drop_buffers(task)
            return
        if device.gone:
            device.kernel.findings.report("habanalabs.I29", f"{self} is closed after its device was freed")
            device.files.pop(self, None)
            return
        behaviour = device.behaviour
        if behaviour.slot == "flag":
            yield from self.drop_context(task)
            yield from self._drop_buffers(task)
            if behaviour.slot_emptied == "before the idle check":
                device.active = False
                device.slot = None
                yield point("close: slot empty, engines not looked at")
            else:
                device.in_release = True
        else:
            yield from self._drop_buffers(task)
            yield from self.drop_context(task)
        self.refs -= 1
        if self.refs == 0:
            yield from device.end(task, self, self.end)
        held = self.ever is not None and self.ever.refs > 0
        if held and behaviour.late_close_resets and not device.removal_pending:
            yield point(STILL_IN_USE)
            yield from request_reset(task, device, Reset.HARD)

    def drop_context(self, task: Task) -> Step[None]:
        """Let go of the context, which ends with its last reference."""
        for number, context in self.handles.items():
            self.handles.remove(number)
            context.drop()
            yield from context.put(task)

    def _drop_buffers(self, task: Task) -> Step[None]:
        self.buffers.close()
        yield from self.settle(task)

    # The end.

    def end(self, task: Task) -> Step[None]:
        """End the fd, which nobody holds."""
        device = self.device
        assert device is not None
        behaviour = device.behaviour
        if behaviour.slot == "open count":
            device.files.pop(self, None)
            self._free(device)
            device.open_count = 0
            yield point("close: count is 0, the context is still the device's")
            device.slot = None
            return
        owner = behaviour.slot == "flag" or (self.ever is not None and device.holds_slot(self.ever))
        asks = owner and self._asks_for_reset(device)
        yield from self._leave(task, device)
        yield point("close: context freed, slot not emptied")
        if asks:
            if device.slot is not None and (self.ever is None or device.slot != device.name_of(self.ever)):
                device.kernel.findings.report("habanalabs.I10", f"the departure of {self} resets under another owner")
            yield from request_reset(task, device, Reset.DEVICE_RELEASE)
        elif owner and behaviour.scrubs:
            yield from self._scrub(task, device)
        yield from self._empty_slot(task, device, owner)
        device.in_release = False
        self._free(device)

    def _asks_for_reset(self, device: "AccelDevice") -> bool:
        """Tell whether the device must be reset after this owner: its engines run on, or it is always so."""
        check = device.behaviour.idle_check
        asks = device.hardware.reset_on_release or device.watchdog_active
        if check == "none" or (device.in_reset and check == "unless in reset"):
            return asks
        if device.in_reset:
            device.kernel.findings.report("habanalabs.I12", f"{self} looks at a device that is being reset")
        return asks or not device.idle

    def _empty_slot(self, task: Task, device: "AccelDevice", owner: bool) -> Step[None]:
        """Empty the slot, if it is this fd's: the last thing that its owner does."""
        behaviour = device.behaviour
        if behaviour.slot == "flag":
            if behaviour.slot_emptied == "last":
                yield from device.files_lock.acquire(task)
                device.active = False
                device.slot = None
                device.files_lock.release(task)
            return
        yield from device.lazy_lock.acquire(task)
        if behaviour.any_close_empties_slot or (self.ever is not None and device.holds_slot(self.ever)):
            if device.slot is not None and (self.ever is None or not self.ever.computes):
                device.kernel.findings.report("habanalabs.I03", f"{self} empties a slot that it does not have")
            device.slot = None
        device.lazy_lock.release(task)

    def _scrub(self, task: Task, device: "AccelDevice") -> Step[None]:
        failed = device.memory.scrub()
        if failed and device.behaviour.failed_scrub_resets:
            yield from request_reset(task, device, Reset.HARD)
        yield from ()

    def _leave(self, task: Task, device: "AccelDevice") -> Step[None]:
        """Leave the list, so that no reset kills a process for an fd that is closed."""
        yield from device.files_lock.acquire(task)
        device.files.pop(self, None)
        device.files_lock.release(task)

    def _free(self, device: "AccelDevice") -> None:
        device.kernel.allocator.free(self.memory)
