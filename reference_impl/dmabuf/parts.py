# SPDX-License-Identifier: Apache-2.0
"""What a driver does by itself, by and by, as calls of their own: for whoever decides when.

A system that was made with `later` leaves these to its caller: a context that nobody refers to has not ended, what was
freed is not in the pool, and a buffer whose owner is gone is not revoked.
"""

from ..kernel import Step, Task, UsageError
from .calls import by_device
from .context import Context
from .device import Device
from .process_calls import ProcessCalls


class PartCalls(ProcessCalls):
    """The parts of a close, of a free and of an exit that come later."""

    @by_device
    def end_session(self, task: Task, device: Device, serial: int) -> Step[int]:
        """End session `serial` of device `d`, to whose context nobody refers: free, scrub, let go of the device. 0."""
        waiting = device.later.ends if device.later is not None else []
        context = next((context for context in waiting if context.session.serial == serial), None)
        if context is None:
            raise UsageError(f"session {serial} of device {device.number} does not wait for its end")
        waiting.remove(context)
        yield from context.end(task)
        return 0

    @by_device
    def retire(self, task: Task, device: Device, serial: int) -> Step[int]:
        """Revoke buffer `serial` of device `d` for good: its owner is gone, or its memory was freed. 0."""
        buffer = self.core.buffers.get(serial)
        if buffer is None or buffer.priv.home is not device:
            raise UsageError(f"there is no buffer {serial} of device {device.number}")
        return (yield from self.revoker.retire(task, buffer))

    @by_device
    def reclaim(self, task: Task, device: Device, page: int) -> Step[int]:
        """Give the freed allocation that begins at `page` back to the pool of device `d`. 0."""
        waiting = device.later.freed if device.later is not None else []
        extent = next((extent for extent in waiting if extent.pages[0] == page), None)
        if extent is None:
            raise UsageError(f"no freed allocation of device {device.number} begins at {page:#x}")
        yield from ()
        self.revoker.reclaim(extent)
        return 0

    def all_contexts(self) -> list[Context]:
        """Return every context that has not ended."""
        waiting = [context for device in self.devices if device.later is not None for context in device.later.ends]
        kept = [buffer.priv.context for buffer in self.core.buffers.values() if buffer.priv.home is not None]
        found = dict.fromkeys([*self.contexts(), *waiting, *kept])
        return [context for context in found if not context.memory.freed]
