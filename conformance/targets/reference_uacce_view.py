# SPDX-License-Identifier: Apache-2.0
"""What the target `reference` shows of uacce: its state, in the names of the specification."""

from __future__ import annotations

from accelspec.reference_impl import RegionType, System
from accelspec.reference_impl.kernel import Vma
from accelspec.reference_impl.lifecycle import RegionState
from accelspec.reference_impl.uacce import Mapped, UacceQueue


class View:
    """A system, and the names that were given to its hardware queues and pieces of mappings."""

    def __init__(self, system: System, processes: int, devices: int) -> None:
        self.system = system
        self._processes, self._devices = processes, devices
        self.hardware_queues: dict[int, list[str]] = {d: [] for d in range(devices)}  # by device, in their order
        self.pieces: dict[str, tuple[int, int, int]] = {}  # vma -> number of the mapping, first page, pages

    def state(self) -> dict[str, str]:
        """Devices, queues, descriptors and mappings, cell by cell."""
        cells: dict[str, str] = {}
        for d in range(self._devices):
            provider = self.system.providers.get(d)
            device = provider.device if provider else None
            cells[f"device{d}.life"] = device.state.name if device else "ABSENT"
            cells[f"device{d}.sva"] = str(device.sva if device else False)
        for p in range(self._processes):
            process = self.system.kernel.processes.get(p)
            for n, file in process.files.files.items() if process else ():
                cells[f"process{p}.fd[fd{n}]"] = f"file{file.serial}"
        for q in self.system.framework.queues.values():
            cells.update(self._queue(q))
        for name in list(self.pieces):
            if (vma := self._vma(name)) is None:
                del self.pieces[name]
            else:
                cells[f"{name}.ptes"] = str(vma.present)
        return cells

    def _queue(self, q: UacceQueue) -> dict[str, str]:
        name = f"queue{q.serial}"
        cells = {f"{name}.state": q.state.name, f"{name}.bonded": str(q.bond is not None), f"{name}.hw": "none"}
        if q.owns_hardware:
            cells[f"{name}.hw"] = self.hardware(q)
            cells[f"{name}.ready"] = str(q.priv.completions > 0)
        for region in RegionType:
            slot = q.slots[region]
            stale = slot is not None and slot.state is RegionState.FREED
            cells[f"{name}.{region.name.lower()}"] = "EMPTY" if slot is None else "STALE" if stale else "SET"
        return cells

    def hardware(self, q: UacceQueue) -> str:
        """The hardware queue that a queue owns."""
        d = next(d for d, provider in self.system.providers.items() if provider is q.priv.provider)
        number: int = q.priv.number
        return self.hardware_queues[d][number]

    def _vma(self, name: str) -> Vma | None:
        """The piece of that name, as long as it is mapped."""
        number, first, _ = self.pieces[name]
        mapping = self.system.mappings[number]
        return mapping.mm.at(mapping.start + first)

    def leftovers(self) -> dict[str, int]:
        """How many there are of each kind; bonds, hardware queues and regions are those that no queue accounts for."""
        system, queues = self.system, list(self.system.framework.queues.values())
        vmas = [v for p in system.kernel.processes.values() for v in p.mm.vmas if isinstance(v.private_data, Mapped)]
        slots = {slot for q in queues for slot in q.slots if slot is not None}
        return {
            "File": len(system.kernel.files),
            "Queue": len(queues),
            "Vma": len(vmas),
            "uacce.I06 bond": sum(b.refs for b in system.kernel.iommu.bonds.values())
            - sum(q.bond is not None for q in queues),
            "uacce.L01 hardware queue": sum(p.used for p in system.providers.values())
            - sum(q.owns_hardware for q in queues),
            "uacce.I09 region": system.kernel.allocator.count("region") - len(slots),
        }
