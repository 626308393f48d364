# SPDX-License-Identifier: Apache-2.0
"""Device memory given to other devices: while an exported buffer lives, it holds the context, or the open file itself.

Nobody can take the memory back from an importer. So the slot stays with an owner that has closed, until the last
importer lets go.
"""

from typing import TYPE_CHECKING

from ..kernel import Errno, Step, Task
from .arguments import MemoryArgs

if TYPE_CHECKING:
    from .context import Context


class Export:
    """One exported buffer, and what it holds."""

    def __init__(self, context: "Context", number: int, va: int) -> None:
        self.context = context
        self.number = number
        self.va = va
        self.memory = context.device.kernel.allocator.allocate("export")
        context.get()
        self.holds_file = context.device.behaviour.export_holds == "file"
        if self.holds_file:
            context.fd.file.get()
        self._count(1)

    def _count(self, by: int) -> None:
        space = self.context.space
        mapping = space.mapping(self.va) if space is not None else None
        if mapping is not None:
            mapping.exports += by

    def release(self, task: Task) -> Step[int]:
        """Drop what it holds: the last importer is gone. 0."""
        device = self.context.device
        del device.exports[self.number]
        self._count(-1)
        if self.memory is not None:
            device.kernel.allocator.free(self.memory)
        yield from self.context.put(task)
        if self.holds_file:
            self.context.fd.file.put(task)
        return 0


def export(context: "Context", args: MemoryArgs) -> int:
    """Export the mapping at `args.va`; the number of the buffer, or an errno.

    -EOPNOTSUPP (6.1, device memory behind page tables), -EINVAL (nothing mapped there, or more than is), -ENOMEM, or
    ``export_fd``.
    """
    device = context.device
    if device.behaviour.drm_core and (failed := device.kernel.injector.take("export_fd")) is not None and failed < 0:
        return failed
    if device.hardware.dram_mmu:
        if device.behaviour.export_holds == "context":
            return Errno.EOPNOTSUPP
        mapping = context.space.mapping(args.va) if context.space is not None else None
        if mapping is None or mapping.pack is None or not 0 < args.size <= mapping.size:
            return Errno.EINVAL
    elif not 0 <= args.va < args.va + args.size <= device.hardware.memory:
        return Errno.EINVAL
    failed = device.kernel.injector.take("export_fd")
    if failed is not None and failed < 0:
        return failed
    number = 1
    while number in device.exports:
        number += 1
    device.exports[number] = Export(context, number, args.va)
    return number
