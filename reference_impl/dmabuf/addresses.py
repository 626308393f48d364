# SPDX-License-Identifier: Apache-2.0
"""Addresses on the bus: what an exporter hands out, what a peer reaches with it, and what it no longer reaches.

A peer reaches exactly the ranges that are mapped for it. An unmapped range faults, and so does one whose device is not
there or does not decode: nobody reads stale data.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..kernel import Errno, Outcome, UserFault
from ..kernel.findings import Findings

Array = NDArray[Any]
Segment = tuple[int, int]  # (bus address, bytes)


def address_list(
    pages: Sequence[int], page_size: int, offset: int, size: int, base: int, max_segment: int
) -> list[Segment] | int:
    """Return the bus ranges of bytes [offset, offset + size) of the concatenation of device `pages`.

    `pages` are device addresses, `base` is what is added to get a bus address. Neighbours are merged; no entry is
    longer than `max_segment`, rounded down to whole pages. -EINVAL where that is less than a page.
    """
    longest = max_segment // page_size * page_size
    if longest == 0:
        return Errno.EINVAL
    segments: list[Segment] = []
    first, skip = divmod(offset, page_size)
    address = length = 0
    left = size
    for page in pages[first : -(-(offset + size) // page_size)]:
        start = page + base + skip
        part = page_size - skip
        if part > left:
            part = left
        if length and start == address + length and length + part <= longest:
            length += part
        else:
            if length:
                segments.append((address, length))
            address, length = start, part
        left -= part
        skip = 0
    if length:
        segments.append((address, length))
    return segments


class Window:
    """A range of the bus behind which a device has memory. `decodes` tells whether it answers at present."""

    def __init__(self, start: int, memory: Array, decodes: Callable[[], bool], name: str) -> None:
        self.start = start
        self.memory = memory
        self.end = start + len(memory)
        self.decodes = decodes
        self.name = name


class Bus:
    """The windows of all devices."""

    def __init__(self, findings: Findings) -> None:
        self.windows: list[Window] = []
        self.findings = findings

    def add(self, window: Window) -> None:
        """Let `window` answer."""
        self.windows.append(window)

    def remove(self, window: Window) -> None:
        """Nobody answers there any more."""
        self.windows.remove(window)

    def memory(self, address: int, length: int) -> Array:
        """Return the bytes behind a range. Raises UserFault where nobody answers."""
        for window in self.windows:
            if window.start <= address and address + length <= window.end:
                if not window.decodes():
                    self.findings.report("dmabuf.I15", f"{window.name} is reached while it does not decode")
                    break
                return window.memory[address - window.start : address - window.start + length]
        raise UserFault(Outcome.SIGBUS, address)


class Domain:
    """What one peer device reaches: the ranges that are mapped for it, each as often as it was mapped."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._ranges: dict[Segment, int] = {}

    def __len__(self) -> int:
        return sum(self._ranges.values())

    def map(self, segments: Iterable[Segment]) -> None:
        """Let the peer reach `segments`."""
        ranges = self._ranges
        for segment in segments:
            ranges[segment] = ranges.get(segment, 0) + 1

    def unmap(self, segments: Iterable[Segment]) -> None:
        """Take back one `map` of them."""
        ranges = self._ranges
        for segment in segments:
            if ranges[segment] == 1:
                del ranges[segment]
            else:
                ranges[segment] -= 1

    def pieces(self, segments: Iterable[Segment], offset: int, size: int) -> Iterator[Array]:
        """Yield the memory of bytes [offset, offset + size) of a list, in order. Raises UserFault.

        The whole list is not asked for: a part of a list that is mapped is mapped.
        """
        for segment in segments:
            address, length = segment
            if offset >= length:
                offset -= length
                continue
            if size <= 0:
                return
            if segment not in self._ranges:
                raise UserFault(Outcome.SIGBUS, address)
            part = min(length - offset, size)
            yield self._bus.memory(address + offset, part)
            offset = 0
            size -= part
        if size > 0:
            raise UserFault(Outcome.SIGBUS, 0)

    def load(self, segments: Iterable[Segment], offset: int, size: int) -> bytes:
        """Read. Raises UserFault."""
        return b"".join(piece.tobytes() for piece in self.pieces(segments, offset, size))

    def store(self, segments: Iterable[Segment], offset: int, data: bytes) -> None:
        """Write, all or nothing. Raises UserFault."""
        at = 0
        for piece in list(self.pieces(segments, offset, len(data))):
            piece[:] = np.frombuffer(data, np.uint8, len(piece), at)
            at += len(piece)

    def copy(self, segments: Iterable[Segment], destination: Array) -> None:
        """Read from the beginning into `destination`, without another copy on the way. Raises UserFault."""
        at = 0
        for piece in self.pieces(segments, 0, len(destination)):
            np.copyto(destination[at : at + len(piece)], piece)
            at += len(piece)
