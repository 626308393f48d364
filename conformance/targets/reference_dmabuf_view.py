# SPDX-License-Identifier: Apache-2.0
"""What the target `reference` shows of dma-buf: its state, in the names of the specification.

A piece of memory of the specification is two pages of a device: `memory1` the next two that it has. A session is called
by the serial number of the device's file, a buffer and an import by their own.
"""

from __future__ import annotations

from collections.abc import Iterator

from accelspec.reference_impl.dmabuf import DeviceState, Status, System
from accelspec.reference_impl.dmabuf.buffer import DmaBuf
from accelspec.reference_impl.dmabuf.context import Context, Extent
from accelspec.reference_impl.dmabuf.device import Device
from accelspec.reference_impl.dmabuf.importer import Importer, Kind
from accelspec.reference_impl.kernel import PAGE

PIECE = 2 * PAGE  # a piece of memory; a part of one is its second page
HEALTH = {
    DeviceState.OPERATIONAL: "GOOD",
    DeviceState.IN_RESET: "RESETTING",
    DeviceState.MALFUNCTION: "DISABLED",
    DeviceState.LEAVING: "LEAVING",
    DeviceState.REMOVED: "REMOVED",
}
STATUS = {Status.OK: "VALID", Status.TEMPORARILY_REVOKED: "SUSPENDED", Status.REVOKED: "REVOKED"}
TOLD = (Kind.DYNAMIC, Kind.DYNAMIC_P2P)  # importers that give their mapping back when they are told to
LEFT = ("attachment", "byte", "bus range", "context", "device memory", "dmabuf", "export", "fence", "mapping", "region")


class View:
    """A system, the devices that its pieces of memory are of, the buffers and imports that the target has named."""

    def __init__(self, system: System, processes: int, memories: list[int]) -> None:
        self.system = system
        self.memories = memories
        self.imports: dict[str, Importer] = {}
        self.buffers: dict[str, DmaBuf] = {}
        self._processes = processes

    # ------------------------------------------------------------------ names

    def address(self, memory: int) -> int:
        """Where a piece of memory lies on its device."""
        d = self.memories[memory]
        return self.system.devices[d].user_base + self.memories[:memory].count(d) * PIECE

    def memory(self, device: Device, address: int) -> str:
        """The piece of memory at an address of a device."""
        found = (m for m, d in enumerate(self.memories) if d == device.number and self.address(m) == address)
        return f"memory{next(found)}"

    def session(self, context: Context) -> str:
        """The session of a context; none: it has ended."""
        return "none" if context.memory.freed else f"session{context.session.file.serial}"

    def context(self, session: str) -> Context:
        """The other way round."""
        return next(context for context in self.system.all_contexts() if self.session(context) == session)

    def extent(self, memory: int) -> Extent | None:
        """The allocation of a piece of memory, as long as its context has it; freed, it may be waited for."""
        address = self.address(memory)
        device = self.system.devices[self.memories[memory]]
        waiting = device.later.freed if device.later is not None else []
        owned = (extent for context in self.system.all_contexts() for extent in context.extents.values())
        found = (e for e in (*owned, *waiting) if e.context.device is device and e.pages[0] == address)
        return next(found, None)

    # ------------------------------------------------------------------ the state

    def state(self) -> dict[str, str]:
        """Devices, memory, descriptors, buffers and imports."""
        cells: dict[str, str] = {}
        for device in self.system.devices:
            cells[f"device{device.number}.health"] = HEALTH[device.state]
            cells[f"device{device.number}.decoding"] = str(device.decoding)
        for context in self.system.all_contexts():
            cells[f"{self.session(context)}.owner"] = str(context.master)
        for m in range(len(self.memories)):
            extent = self.extent(m)
            cells[f"memory{m}.session"] = self.session(extent.context) if extent else "none"
            cells[f"memory{m}.leaving"] = str(extent is not None and extent.deferred)
        for p in range(self._processes):
            for n, file in self.system.kernel.processes[p].files.files.items():
                cells[f"process{p}.fd[fd{n}]"] = f"file{file.serial}"
        for name, buffer in self._exported():
            cells.update({f"{name}.{cell}": value for cell, value in self._buffer(buffer)})
        for name, importer in self._attached():
            cells.update({f"{name}.{cell}": value for cell, value in self._import(importer).items()})
        return cells

    def _buffer(self, buffer: DmaBuf) -> Iterator[tuple[str, str]]:
        yield "status", STATUS[buffer.status]
        yield "session", self.session(buffer.priv.context)
        if self.system.design.revoke == "drain":
            counted = sum(not mapping.physical for mapping in buffer.mappings)
            yield "first", str(buffer.drain.count - counted)

    def _exported(self) -> Iterator[tuple[str, DmaBuf]]:
        """The buffers that there still are; what was released is forgotten."""
        for name, buffer in list(self.buffers.items()):
            if buffer.released:
                del self.buffers[name]
            else:
                yield name, buffer

    def _attached(self) -> Iterator[tuple[str, Importer]]:
        """The imports that there still are; what ended is forgotten."""
        for name, importer in list(self.imports.items()):
            if importer.attachment is None:
                del self.imports[name]
            else:
                yield name, importer

    @staticmethod
    def _import(importer: Importer) -> dict[str, str]:
        attachment = importer.attachment
        assert attachment is not None
        cells = {
            "maps": str(len(attachment.mappings)),
            "pins": str(attachment.pins),
            "revoked": str(importer.revoked),
            "working": str(importer.work is not None),
        }
        if attachment.mappings:
            cells["part"] = str(attachment.mappings[0].size < PIECE)
            if importer.kind in TOLD:
                cells["told"] = str(importer.invalidated)
        return cells

    # ------------------------------------------------------------------ what is left

    def leftovers(self) -> dict[str, int]:
        """How many there are of each kind; where there is none, nothing of what they are made of may be left."""
        files = set(self.system.kernel.files.values())
        kinds = {
            "File": len(files),
            "Session": len(self.system.all_contexts()),
            "Buffer": len(self.system.core.buffers),
            "Import": len(list(self._attached())),
            "Message": len(self.system.messages),
        }
        if any(kinds.values()):
            return kinds
        left = self.system.leftovers()
        freed = [extent for device in self.system.devices if device.later for extent in device.later.freed]
        left["byte"] = left.get("byte", 0) - sum(extent.size for extent in freed)  # the specification's `leaving`
        left["device memory"] = left.get("device memory", 0) - len(freed)
        return kinds | {kind: left.get(kind, 0) for kind in LEFT}
