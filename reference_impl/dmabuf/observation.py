# SPDX-License-Identifier: Apache-2.0
"""The state of a system as plain dicts, for those who compare it with a specification: what users see, and ghosts."""

from typing import TYPE_CHECKING, Any

from .buffer import DmaBuf, Mapping
from .context import Context
from .device import Device
from .exporter import Exported
from .sync_file import SyncFile

if TYPE_CHECKING:
    from .calls import Calls


def observe(system: "Calls") -> dict[str, Any]:
    """Return everything there is: devices, processes, buffers, imports, fences, sleepers, live objects, findings.

    Only numbers, strings, booleans, None, lists and dicts; two systems in the same state observe equal.
    """
    return {
        "devices": {device.number: _device(device) for device in system.devices},
        "processes": {p: _process(system, p) for p in system.kernel.processes},
        "buffers": {buffer.serial: _buffer(buffer) for buffer in system.core.buffers.values()},
        "imports": {t: _import(p, importer) for t, (p, importer) in system.importers.items()},
        "regions": {key: _import(p, region) for key, (p, region) in system.regions.items()},
        "fences": {f: promise.fence.signaled for f, promise in system.user_fences.items()},
        "messages": {m: _behind(file) for m, file in system.messages.items()},
        "maps": {m: _map(mapped) for m, mapped in system.maps.items()},
        "sleepers": sorted(system.sleeping()),
        "live": _live(system),
        "now": system.kernel.now,
        "findings": [str(finding) for finding in system.kernel.findings.all],
    }


def _behind(file: Any) -> str:
    """Name what a description stands for: `buffer 3`, `device 0`, `sync file`."""
    match file.private_data:
        case DmaBuf(serial=serial):
            return f"buffer {serial}"
        case Context(device=device):
            return f"device {device.number}"
        case SyncFile():
            return "sync file"
        case _:
            return "nothing"


def _device(device: Device) -> dict[str, Any]:
    owner = device.owner
    return {
        "state": device.state.name,
        "owner": owner.pid if owner is not None else None,
        "closing": owner is not None and owner.closing,
        "openers": [session.pid for session in device.open_list],
        "used": device.used if device.mmu else 0,
        "decodes": device.decodes,
        "power_users": device.power_users,
        "buffers": [buffer.serial for buffer in device.buffers],
        "jobs": len(device.jobs),
        "tries": device.tries,
    }


def _process(system: "Calls", p: int) -> dict[str, Any]:
    process = system.kernel.processes[p]
    return {
        "alive": process.alive,
        "fds": {n: _behind(file) for n, file in sorted(process.files.files.items())},
        "reserved": sorted(process.files.reserved),
        "cloexec": sorted(process.files.close_on_exec),
        "signals": [signal.name for signal in process.signals],
    }


def _buffer(buffer: DmaBuf) -> dict[str, Any]:
    what = buffer.priv
    exported = isinstance(what, Exported)
    return {
        "size": buffer.size,
        "ino": buffer.ino,
        "refs": buffer.file.refs,
        "status": buffer.status.name,
        "drain": buffer.drain.count,
        "home": what.home.number if exported else None,
        "orphan": exported and what.device is None,
        "session": what.session if exported else None,
        "handle": what.extent.handle if exported and what.extent is not None else None,
        "name": buffer.name.text if buffer.name is not None else None,
        "attachments": [attachment.serial for attachment in buffer.attachments],
        "mappings": [_mapping(mapping) for mapping in buffer.mappings],
        "fences": [[entry.usage.name, entry.fence.serial, entry.fence.signaled] for entry in buffer.resv.entries],
        "polls": [slot.armed for slot in buffer.slots],
        "pages": sum(vma.present for vma in buffer.file.inode.mapping.vmas),
    }


def _mapping(mapping: Mapping) -> dict[str, Any]:
    return {
        "attachment": mapping.attachment.serial,
        "segments": [list(segment) for segment in mapping.segments],
        "direction": mapping.direction.name,
        "generation": mapping.generation,
    }


def _import(p: int, importer: Any) -> dict[str, Any]:
    attachment = importer.attachment
    return {
        "process": p,
        "kind": importer.kind.name,
        "buffer": importer.buffer.serial,
        "attachment": attachment.serial if attachment is not None else None,
        "pins": attachment.pins if attachment is not None else 0,
        "mapped": importer.mapping is not None,
        "invalidated": importer.invalidated,
        "revoked": importer.revoked,
        "warnings": importer.warnings,
    }


def _map(mapped: Any) -> dict[str, Any]:
    vma = mapped.mm.at(mapped.start)
    return {"process": mapped.process.pid, "pages": mapped.pages, "present": vma is not None and vma.present}


def _live(system: "Calls") -> dict[str, int]:
    counts: dict[str, int] = {}
    for allocation in system.kernel.allocator.live.values():
        counts[allocation.kind] = counts.get(allocation.kind, 0) + 1
    if system.kernel.files:
        counts["file"] = len(system.kernel.files)
    return dict(sorted(counts.items()))
