# SPDX-License-Identifier: Apache-2.0
"""The state of a system as plain dicts, for those who compare it with a specification: what users see, and ghosts."""

from typing import TYPE_CHECKING, Any

from .kernel import Vma
from .uacce import HardwareQueue, Mapped, Provider, RegionType, UacceQueue

if TYPE_CHECKING:
    from .calls import Calls


def observe(system: "Calls") -> dict[str, Any]:
    """Return everything there is: devices, processes, queues, maps, bonds, sleepers, live kernel objects, findings.

    Only numbers, strings, booleans, None, lists and dicts; two systems in the same state observe equal.
    """
    return {
        "devices": {d: _device(provider) for d, provider in system.providers.items()},
        "processes": {p: _process(system, p) for p in system.kernel.processes},
        "queues": {q.serial: _queue(system, q) for q in system.framework.queues.values()},
        "maps": [
            _map(system, vma) for p in system.kernel.processes.values() if p.alive for vma in p.mm.vmas if vma.file
        ],
        "bonds": [
            {"device": number_of(system, bond.device), "mm": bond.mm.serial, "refs": bond.refs, "pasid": bond.mm.pasid}
            for bond in system.kernel.iommu.bonds.values()
        ],
        "sleepers": sorted(system.sleeping()),
        "live": _live(system),
        "now": system.kernel.now,
        "findings": [str(finding) for finding in system.kernel.findings.all],
    }


def number_of(system: "Calls", device: object) -> int:
    """Return the number by which a provider, or one that was replaced since (-1), is known."""
    return next((d for d, provider in system.providers.items() if provider is device), -1)


def _live(system: "Calls") -> dict[str, int]:
    counts: dict[str, int] = {}
    for allocation in system.kernel.allocator.live.values():
        counts[allocation.kind] = counts.get(allocation.kind, 0) + 1
    if system.kernel.files:
        counts["file"] = len(system.kernel.files)
    return dict(sorted(counts.items()))


def _device(provider: Provider) -> dict[str, Any]:
    device = provider.device
    cdev = device.cdev if device is not None else None
    return {
        "state": device.state.name if device is not None else "ABSENT",
        "name": device.name if device is not None else None,
        "sva": device is not None and device.sva,
        "queues": [q.serial for q in device.queues] if device is not None else [],
        "refs": device.dev.refs if device is not None and device.dev is not None else 0,
        "cdev_refs": cdev.refs if cdev is not None else 0,
        "capacity": provider.capacity,
        "used": provider.used,
        "stopped": provider.stopped,
        "isolated": provider.history.isolated,
        "threshold": provider.history.threshold,
        "errors": len(provider.history.errors),
    }


def _process(system: "Calls", p: int) -> dict[str, Any]:
    process = system.kernel.processes[p]
    queues = {n: file.private_data for n, file in sorted(process.files.files.items())}
    return {
        "alive": process.alive,
        "mm": process.mm.serial,
        "pasid": process.mm.pasid,
        "fds": {n: q.serial if isinstance(q, UacceQueue) else None for n, q in queues.items()},
        "cloexec": sorted(process.files.close_on_exec),
        "signals": [signal.name for signal in process.signals],
    }


def _queue(system: "Calls", q: UacceQueue) -> dict[str, Any]:
    hardware = q.priv if isinstance(q.priv, HardwareQueue) and q.priv.owner is q else None
    return {
        "device": next((d for d, p in system.providers.items() if p.device is q.device), -1),
        "state": q.state.name,
        "owns_hardware": q.owns_hardware,
        "hardware": hardware.number if hardware is not None else None,
        "running": hardware is not None and hardware.running,
        "opener": q.opener.serial,
        "bonded": q.bond is not None,
        "pasid": q.pasid,
        "slots": {region.name: q.slots[region] is not None for region in RegionType},
        "counts": dict(q.counts),
        "file_refs": q.file.refs,
        "revoked": q.revoked,
        "pollers": len(q.wait.sleepers) if q.wait is not None else 0,
        "wakes": q.wait.wakes if q.wait is not None else 0,
    }


def _map(system: "Calls", vma: Vma) -> dict[str, Any]:
    mapped = vma.private_data
    number = system.mapping_of_call.get(vma.call)
    return {
        "mapping": number,
        "mm": vma.mm.serial,
        "queue": mapped.queue.serial if isinstance(mapped, Mapped) else None,
        "region": mapped.region.type.name if isinstance(mapped, Mapped) else None,
        "call": vma.call,
        "first": vma.start - system.mappings[number].start if number is not None else 0,
        "pages": vma.pages,
        "pgoff": vma.pgoff,
        "private": vma.private,
        "writable": vma.writable,
        "present": vma.present,
    }
