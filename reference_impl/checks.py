# SPDX-License-Identifier: Apache-2.0
"""What must hold of a system between two calls, and after everything was closed: sums, counts and leaks.

The kernel reports by itself what goes wrong at a step (`System.findings`). Here are the laws about a whole state that
a state machine cannot hold: capacities, bonds and PASIDs summed over all queues, and that nothing is left at the end.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from .kernel import Finding, Mm, Vma
from .lifecycle import DeviceState, QueueState
from .system import System
from .uacce import HardwareQueue, Mapped, RegionType, UacceQueue


@dataclass(frozen=True, slots=True)
class Check:
    """A law: its id in the fact sheet, its sentence, and what breaks it in a given system."""

    id: str
    sentence: str
    broken: Callable[[System], Iterator[str]]


def _maps(system: System) -> Iterator[tuple[Vma, Mapped]]:
    """Yield every piece of a queue's map in every process that lives."""
    for process in system.kernel.processes.values():
        for vma in process.mm.vmas:
            if isinstance(vma.private_data, Mapped):
                yield vma, vma.private_data


def _queues(system: System) -> list[UacceQueue]:
    return list(system.framework.queues.values())


def _i05(system: System) -> Iterator[str]:
    for file in system.kernel.files.values():
        if not isinstance(file.private_data, UacceQueue):
            yield f"description {file.serial} is open and has no queue"


def _i06(system: System) -> Iterator[str]:
    wanted: dict[tuple[object, Mm], int] = {}
    for q in _queues(system):
        if q.bond is not None:
            key = (q.bond.device, q.bond.mm)
            wanted[key] = wanted.get(key, 0) + 1
    bonds = {key: bond.refs for key, bond in system.kernel.iommu.bonds.items()}
    for key in [*wanted, *(key for key in bonds if key not in wanted)]:
        if wanted.get(key, 0) != bonds.get(key, 0):
            yield f"{key[1]} is bound {bonds.get(key, 0)} times for {wanted.get(key, 0)} queues"


def _i09(system: System) -> Iterator[str]:
    calls: dict[tuple[int, RegionType], set[int]] = {}
    for vma, (q, region) in _maps(system):
        calls.setdefault((q.serial, region.type), set()).add(vma.call)
    for q in _queues(system):
        for region_type in RegionType:
            mapped_by = calls.get((q.serial, region_type), set())
            slot = q.slots[region_type]
            if slot is None and mapped_by:
                yield f"queue {q.serial} has {region_type.name} mapped and its slot is empty"
            elif slot is not None and slot.memory.freed:
                yield f"queue {q.serial} has a slot for {region_type.name} that points at freed memory"
            elif slot is not None and {slot.call} != mapped_by:
                yield f"queue {q.serial} has a slot for {region_type.name} that is not mapped by its one mmap call"


def _i19(system: System) -> Iterator[str]:
    for vma, (q, region) in _maps(system):
        if vma.present and not q.owns_hardware:
            yield f"{region.type.name} of queue {q.serial} is reachable, its hardware was given back"


def _i21(system: System) -> Iterator[str]:
    for q in _queues(system):
        if q.device.state in (DeviceState.REMOVED, DeviceState.FREED) and (
            q.state is not QueueState.ZOMBIE or q.bond is not None or q.owns_hardware or q.mapped()
        ):
            yield f"queue {q.serial} still has something of a removed device"


def _i22(system: System) -> Iterator[str]:
    for q in _queues(system):
        if q.device.state is DeviceState.FREED:
            yield f"queue {q.serial} refers to a freed device"


def _i27(system: System) -> Iterator[str]:
    listed = {q for queue in _queues(system) for q in queue.device.queues}
    for q in _queues(system):
        if (q in listed) != (not q.file.released and q.file.private_data is q):
            yield f"queue {q.serial} is on its device's list, or open, but not both"


def _i32(system: System) -> Iterator[str]:
    for q in _queues(system):
        if q.counts["start"] - q.counts["stop"] != int(q.state is QueueState.STARTED):
            yield f"queue {q.serial} is {q.state.name} after {q.counts['start']} starts, {q.counts['stop']} stops"


def _i33(system: System) -> Iterator[str]:
    owners: dict[HardwareQueue, UacceQueue] = {}
    for q in _queues(system):
        if q.owns_hardware and isinstance(q.priv, HardwareQueue) and owners.setdefault(q.priv, q) is not q:
            yield f"queues {owners[q.priv].serial} and {q.serial} have the same hardware queue"
    for vma, (q, _) in _maps(system):
        for page in vma.ptes:
            hardware = page.backing if page is not None else None
            if isinstance(hardware, HardwareQueue) and hardware.owner not in (None, q):
                yield f"queue {q.serial} reaches pages of {hardware.owner}"
                break


def _i34(system: System) -> Iterator[str]:
    for d, provider in system.providers.items():
        device = provider.device
        if device is None or "get_queue" not in provider.callbacks:
            continue
        owning = sum(q.owns_hardware and q.device is device for q in _queues(system))
        if owning > provider.capacity or ("put_queue" in provider.callbacks and owning != provider.used):
            yield f"device {d}: {owning} queues own hardware, {provider.used} of {provider.capacity} are in use"
        if provider.get_available_instances(device) + provider.used != provider.capacity and not provider.closing:
            yield f"device {d}: available and used do not add up to {provider.capacity}"


def _i35(system: System) -> Iterator[str]:
    bonded = [q for q in _queues(system) if q.bond is not None]
    for i, a in enumerate(bonded):
        for b in bonded[:i]:
            if a.device is b.device and (a.pasid == b.pasid) != (a.opener is b.opener):
                yield f"queues {b.serial} and {a.serial}: one PASID does not mean one address space"


def _l03(system: System) -> Iterator[str]:
    for p, n in system.sleeping():
        q = system.queue_of(p, n)
        if q is not None and q.dead:
            yield f"process {p} sleeps on queue {q.serial}, which will never complete anything"


def _l04(system: System) -> Iterator[str]:
    for pasid, mm in system.kernel.iommu.pasids.items():
        if not mm.alive and mm.pins == 0:
            yield f"PASID {pasid} is kept for an address space that nobody uses"


CHECKS: Final = (
    Check("uacce.I05", "an open description has a queue", _i05),
    Check("uacce.I06", "bonds mirror queues", _i06),
    Check("uacce.I09", "a slot is set exactly while one mmap call's region is mapped", _i09),
    Check("uacce.I19", "whoever has device memory mapped owns the hardware", _i19),
    Check("uacce.I21", "nothing of a removed device is reachable", _i21),
    Check("uacce.I22", "objects outlive their users", _i22),
    Check("uacce.I27", "the device's list mirrors the queues that are open", _i27),
    Check("uacce.I32", "a queue runs exactly if it was started once more than stopped", _i32),
    Check("uacce.I33", "hardware queues are not aliased", _i33),
    Check("uacce.I34", "available and used hardware queues add up to the capacity", _i34),
    Check("uacce.I35", "queues of one device have one PASID exactly if they have one address space", _i35),
    Check("uacce.L03", "nobody sleeps on a removed queue", _l03),
    Check("uacce.L04", "a PASID goes with the last user of its address space", _l04),
)

NOT_APPLICABLE: Final = {
    "uacce.I16": "no revision after v4 accounts for pages: regions are device memory, and data_vm is the core's job",
}

KNOWN: Final = {
    "6.12.117": {
        "uacce.I09": "the close of a piece goes by its page offset (uacce_vma_close); a refused move closes the copy",
        "uacce.I19": "remove puts a queue before it unmaps its pages (uacce_remove)",
        "uacce.I23": "get_queue publishes a queue whose wait queue is not initialised (uacce_fops_open)",
        "uacce.L03": "only a completion wakes a poller (uacce_fops_poll, uacce_remove)",
    },
    "intended": {},
}


def check(system: System) -> list[Finding]:
    """Return what is broken in the present state, and what the kernel noticed on the way here.

    Meant for quiescent systems: no call may be half way.
    """
    broken = [Finding(law.id, text) for law in CHECKS for text in law.broken(system)]
    return [*system.findings, *broken]


def residue(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Return what differs between two observations, by path: for a call that failed there should be nothing (I07, I26).

    Left out is what even a failing call changes: who exists, which signals were got, what was noticed, and the PASID
    that an address space keeps from its first bond on.
    """
    return list(_differences("", _comparable(before), _comparable(after)))


def _comparable(seen: dict[str, Any]) -> dict[str, Any]:
    processes = {
        p: {**process, "signals": [], "pasid": None} for p, process in seen["processes"].items() if process["fds"]
    }
    return {**seen, "processes": processes, "findings": []}


def _differences(path: str, before: Any, after: Any) -> Iterator[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in {**before, **after}:
            yield from _differences(f"{path}/{key}", before.get(key), after.get(key))
    elif before != after:
        yield f"{path}: {before} became {after}"


def unexpected(system: System) -> list[Finding]:
    """Return what `check` finds and the behaviour does not list as known."""
    known = KNOWN.get(system.behaviour.name, {})
    return [finding for finding in check(system) if finding.rule not in known]


def end(system: System) -> list[Finding]:
    """End all processes and remove all devices, then return everything that is broken or left (L01, L08).

    The system is of no further use.
    """
    for p, process in list(system.kernel.processes.items()):
        if process.alive:
            system.exit(p)
    for d in system.providers:
        system.remove(d)
    left = [Finding("leak", f"{count} of {kind}") for kind, count in system.observe()["live"].items()]
    left += [Finding("uacce.L08", f"queue {q.serial} is left") for q in _queues(system)]
    left += [Finding("uacce.I06", f"{bond.mm} is still bound") for bond in system.kernel.iommu.bonds.values()]
    left += [
        Finding("uacce.L01", f"device {d}: {p.powered} power references")
        for d, p in system.providers.items()
        if p.powered
    ]
    left += [
        Finding("uacce.L01", f"device {d}: {p.used} hardware queues in use")
        for d, p in system.providers.items()
        if p.used
    ]
    return list(dict.fromkeys([*check(system), *left]))
