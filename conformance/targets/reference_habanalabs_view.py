# SPDX-License-Identifier: Apache-2.0
"""What the target `reference` shows of the driver of habanalabs: its state, in the names of the specification."""

from __future__ import annotations

from collections import Counter

from accelspec.reference_impl.accel.buffers import CommandBuffer
from accelspec.reference_impl.accel.context import Context
from accelspec.reference_impl.accel.device import AccelDevice
from accelspec.reference_impl.accel.fd import AccelFd
from accelspec.reference_impl.accel.system import AccelSystem
from accelspec.reference_impl.kernel.memory import Allocation

UNKNOWN = 99  # a handle that nothing has


class View:
    """A system, and its objects by the names that the specification gives them."""

    def __init__(self, system: AccelSystem, processes: int) -> None:
        self.system = system
        self._processes = processes

    # ------------------------------------------------------------------ the state

    def state(self) -> dict[str, str]:
        """Descriptors, and the flags of devices."""
        cells: dict[str, str] = {}
        for p in range(self._processes):
            process = self.system.kernel.processes.get(p)
            for n, file in process.files.files.items() if process else ():
                cells[f"process{p}.fd[fd{n}]"] = f"file{file.serial}"
        for d, device in self.system.devices.items():
            if not device.removed:
                cells.update({f"device{d}.{name}": str(value) for name, value in self._flags(device).items()})
        return cells

    def _flags(self, device: AccelDevice) -> dict[str, bool]:
        flags = {
            "disabled": device.disabled,
            "in_reset": device.in_reset,
            "hard_pending": device.hard_reset_pending,
        }
        if device.behaviour.slot == "flag":
            flags |= {"active": device.active, "releasing": device.in_release}
        else:
            flags["queued"] = device.queued_work is not None
            flags |= {"high": device.frequency == "HIGH", "manual": device.profile == "manual"}
            flags["in_debug"] = device.in_debug
        if device.behaviour.slot == "open count":
            flags["opened"] = device.open_count > 0
        return flags

    def leftovers(self) -> dict[str, int]:
        """How many there are of each kind."""
        devices = [device for device in self.system.devices.values() if not device.gone]
        fds = {fd for device in devices for fd in (*device.files, *device.control_files, *device.lost)}
        return {
            "File": len(self.system.kernel.files),
            "FilePrivate": len(fds),
            "Context": sum(len(device.contexts) for device in devices),
            "CommandBuffer": sum(len(fd.buffers.alive) for fd in fds),
            "Memory": sum(len(device.memory.packs) for device in devices),
        }

    def exports(self) -> int:
        """How many exported buffers there are."""
        return sum(len(device.exports) for device in self.system.devices.values())

    def snapshots(self) -> int:
        """How many devices keep the mappings of a page fault."""
        return sum(device.snapshot is not None for device in self.system.devices.values())

    def forgotten(self) -> dict[str, int]:
        """How much kernel memory is left that nothing leads to any more, by what it was."""
        devices = (*self.system.retired, *self.system.devices.values())
        found: set[Allocation | None] = {a for d in devices for a in (d.kernel_tables, d.snapshot)}
        for context in (context for device in devices for context in device.contexts.values()):
            found |= {fence.memory for fence in context.ring if fence is not None}
        found |= {submission.fence.memory for device in devices for submission in device.mirror}
        counts = Counter(a.kind for a in self.system.kernel.allocator.live.values() if a not in found)
        return {kind: counts[kind] for kind in ("page tables", "mapping snapshot", "fence")}

    # ------------------------------------------------------------------ objects

    def opened(self, fd: AccelFd | None) -> tuple[str, ...]:
        """What an open has made that calls take as an argument."""
        assert fd is not None
        return (f"file{fd.file.serial}", self.name(fd))

    def name(self, fd: AccelFd) -> str:
        """What the driver keeps for an open file, by the number of that file."""
        return f"filePrivate{fd.file.serial}"

    def context(self, fd: AccelFd | None) -> Context | None:
        """The context of an fd."""
        return fd.context if fd is not None else None

    def buffer(self, fd: AccelFd | None) -> CommandBuffer | None:
        """A command buffer that the fd has a handle for."""
        alive = fd.buffers.alive if fd is not None else []
        return next((buffer for buffer in alive if not buffer.destroyed), None)

    def handle(self, fd: AccelFd | None, *, mapped: bool | None = None) -> int:
        """The handle of device memory of that device, of any context; of one that nobody has mapped."""
        device = fd.device if fd is not None else None
        for handle, pack in device.memory.packs.items() if device is not None else ():
            if mapped is None or (pack.mappings > 0) is mapped:
                return handle
        return UNKNOWN

    def address(self, fd: AccelFd | None) -> int:
        """An address where the context of the fd has device memory mapped."""
        context = self.context(fd)
        mappings = context.space.mappings if context is not None and context.space is not None else []
        return next((mapping.va for mapping in mappings if mapping.pack is not None), UNKNOWN)
