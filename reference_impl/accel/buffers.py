# SPDX-License-Identifier: Apache-2.0
"""Command buffers of one open file: host memory that holds packets, by handle, counted by everybody who uses it.

A buffer has one reference for its handle, one for each submission and one for a map in user space. What is freed under
a reference is reported (I08).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from ..kernel import PAGE, Errno, UsageError
from .address_space import AddressSpace
from .idr import Idr
from .memory import Bytes
from .rules import MemoryRules, Report, Take, nothing, silent

LARGEST: Final = (2 << 20) - 32  # bytes that CREATE accepts
TYPE: Final = 0x2 << 59  # marks a command buffer among the things that can be mapped


@dataclass(slots=True, eq=False)
class CommandBuffer:
    """`data` holds the packets. `submissions` is what INFO tells; `va` its address on the device, 0 for none."""

    handle: int
    data: Bytes
    context: object = None
    space: AddressSpace | None = None
    va: int = 0
    refs: int = 1
    submissions: int = 0
    mapped: int = 0  # bytes that a user still has mapped
    destroyed: bool = False
    freed: bool = False
    _holders: int = field(default=0, repr=False)  # references that are not the handle's

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.data)


class CommandBuffers:
    """The buffers of one open file. `on_free(buffer)` is called as each of them goes, to drop what it holds.

    >>> buffers = CommandBuffers()
    >>> handle = buffers.create(100)
    >>> buffers.info(handle), buffers.destroy(handle), buffers.destroy(handle)
    (0, 0, <Errno.EINVAL: -22>)
    """

    def __init__(
        self,
        *,
        rules: MemoryRules = MemoryRules(),  # noqa: B008, it is frozen
        on_free: Callable[[CommandBuffer], None] | None = None,
        take: Take = nothing,
        report: Report = silent,
    ) -> None:
        self.rules = rules
        self._on_free = on_free
        self._take = take
        self._report = report
        self._ids: Idr[CommandBuffer] = Idr()
        self._alive: dict[CommandBuffer, None] = {}

    # CREATE, DESTROY, INFO.

    def create(self, size: int, context: object = None, space: AddressSpace | None = None) -> int:
        """Return the handle of a new buffer of zeros, at least a page; in `space` it is mapped for the device too.

        Errors: EINVAL (more than 2 MiB - 32), ENOMEM (no memory, or it could not be mapped: the cause is lost).
        """
        if not 0 <= size <= LARGEST:
            return Errno.EINVAL
        if self._take("alloc:cb"):
            return Errno.ENOMEM
        buffer = CommandBuffer(0, np.zeros(max(size, PAGE), np.uint8), context)
        number = self._ids.add(buffer)
        assert number is not None
        if space is not None:
            buffer.va = self._take("cb_map") or space.map_host(buffer.data, reserved=True)
            if buffer.va < 0:
                self._ids.remove(number)
                return Errno.ENOMEM
            buffer.space = space
        buffer.handle = number << 12 | TYPE
        self._alive[buffer] = None
        return buffer.handle

    def destroy(self, handle: int) -> int:
        """Put the handle's reference: 0, or EINVAL for an unknown handle, and by the rules for a second time."""
        buffer = self.find(handle)
        if buffer is None or (buffer.destroyed and self.rules.destroy_once):
            return Errno.EINVAL
        buffer.destroyed = True
        if self.rules.handle == "until destroy":
            self._ids.remove(handle >> 12 & 0xFFFFFFFF)
        self._put(buffer)
        return 0

    def info(self, handle: int) -> int:
        """Return how many submissions use a buffer, or EINVAL for an unknown handle."""
        buffer = self.find(handle)
        return Errno.EINVAL if buffer is None else buffer.submissions

    def device_va(self, handle: int) -> int:
        """Return the address of a buffer on the device, or EINVAL for an unknown handle or one that is not mapped."""
        buffer = self.find(handle)
        return Errno.EINVAL if buffer is None or buffer.space is None else buffer.va

    # Users.

    def find(self, handle: int) -> CommandBuffer | None:
        """Return the buffer of a handle, without a reference."""
        return self._ids.find(handle >> 12 & 0xFFFFFFFF)

    def get(self, handle: int) -> CommandBuffer | None:
        """Return the buffer of a handle with a reference for a submission, or None for an unknown handle."""
        buffer = self.find(handle)
        if buffer is not None:
            self._hold(buffer)
            buffer.submissions += 1
        return buffer

    def put(self, buffer: CommandBuffer) -> None:
        """Return the reference of a submission."""
        buffer.submissions -= 1
        self._release(buffer)

    def mmap(self, handle: int, length: int) -> int:
        """Let a user map a buffer: 0, or EINVAL (unknown handle, a length that is not its size in pages, mapped)."""
        buffer = self.find(handle)
        if buffer is None or length != -(-buffer.size // PAGE) * PAGE or buffer.mapped:
            return Errno.EINVAL
        self._hold(buffer)
        buffer.mapped = length
        return 0

    def munmap(self, buffer: CommandBuffer, length: int) -> None:
        """Note that `length` bytes of the map of a buffer are gone; its reference goes with the last of them."""
        if not 0 < length <= buffer.mapped:
            raise UsageError(f"{length} bytes unmapped of a buffer that has {buffer.mapped} mapped")
        buffer.mapped -= length
        if buffer.mapped == 0:
            self._release(buffer)

    def close(self) -> list[CommandBuffer]:
        """Put every handle's reference, as the last close does; return the buffers that are still in use.

        Where handles live until the last put, the kernels put one reference of a destroyed buffer too many.
        """
        for _, buffer in self._ids.items():
            if buffer.destroyed and self.rules.close_skips_destroyed:
                continue
            if self.rules.handle == "until destroy":
                self._ids.remove(buffer.handle >> 12 & 0xFFFFFFFF)
            buffer.destroyed = True
            self._put(buffer)
        return list(self._alive)

    @property
    def alive(self) -> list[CommandBuffer]:
        """The buffers that exist, in the order of their creation."""
        return list(self._alive)

    # References.

    def _hold(self, buffer: CommandBuffer) -> None:
        buffer.refs += 1
        buffer._holders += 1

    def _release(self, buffer: CommandBuffer) -> None:
        buffer._holders -= 1
        self._put(buffer)

    def _put(self, buffer: CommandBuffer) -> None:
        if buffer.freed:
            self._report("habanalabs.I08", f"command buffer {buffer.handle:#x} is put after it was freed")
            return
        buffer.refs -= 1
        if buffer.refs == 0:
            self._free(buffer)

    def _free(self, buffer: CommandBuffer) -> None:
        if buffer._holders > 0:
            self._report("habanalabs.I08", f"command buffer {buffer.handle:#x} is freed while {buffer._holders} use it")
        buffer.freed = True
        number = buffer.handle >> 12 & 0xFFFFFFFF
        if self._ids.find(number) is buffer:
            self._ids.remove(number)
        del self._alive[buffer]
        if buffer.space is not None:
            buffer.space.unmap(buffer.va, reserved=True)
        if self._on_free is not None:
            self._on_free(buffer)
