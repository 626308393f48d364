# SPDX-License-Identifier: Apache-2.0
"""What must hold of a system between two calls, and after everything was closed: sums, counts, reach and leaks.

The kernel reports by itself what goes wrong at a step (`System.findings`). Here are the laws about a whole state; and
for each design those that it is known to break, with the reason, so that anything else is a bug of ours.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from ..kernel import PAGE, Finding
from .buffer import DmaBuf, Mapping, Status
from .device import DeviceState
from .exporter import Exported
from .importer import Importer
from .system import System


@dataclass(frozen=True, slots=True)
class Check:
    """A law: its id in the fact sheet, its sentence, and what breaks it in a given system."""

    id: str
    sentence: str
    broken: Callable[[System], Iterator[str]]


def _buffers(system: System) -> list[tuple[DmaBuf, Exported]]:
    """Every buffer of an accelerator's memory."""
    return [(b, b.priv) for b in system.core.buffers.values() if isinstance(b.priv, Exported)]


def _imports(system: System) -> list[Importer]:
    own = [importer for _, importer in system.importers.values()]
    regions = [region for _, region in system.regions.values()]
    contexts = [file.private_data for file in system.kernel.files.values()]
    peers = [shared for c in contexts for shared in getattr(c, "imports", {}).values()]
    return [*own, *regions, *peers]


def _mappings(system: System) -> Iterator[tuple[Mapping, DmaBuf, Exported]]:
    for buffer, what in _buffers(system):
        for mapping in buffer.mappings:
            yield mapping, buffer, what


def _i03(system: System) -> Iterator[str]:
    for entry in system.core.debug_list:
        if isinstance(entry, int) or entry.released:
            yield f"{entry} is listed, and is not a buffer"


def _i04(system: System) -> Iterator[str]:
    held: dict[object, int] = {}

    def hold(file: object) -> None:
        held[file] = held.get(file, 0) + 1

    for process in system.kernel.processes.values():
        for file in process.files.files.values():
            hold(file)
        for vma in process.mm.vmas:
            if vma.file is not None:
                hold(vma.file)
    for file in system.messages.values():
        hold(file)
    for importer in _imports(system):
        if importer.attachment is not None:
            hold(importer.buffer.file)
    for _, what in _buffers(system):
        if what.file is not None:
            hold(what.file)
    for buffer in system.core.buffers.values():
        for slot in buffer.slots:
            if slot.armed:
                hold(buffer.file)
    if system.sleeping_at_all():
        return  # calls that are half way hold what they use
    for file in system.kernel.files.values():
        if file.refs != held.get(file, 0):
            yield f"description {file.serial} has {file.refs} references, and {held.get(file, 0)} holders"


def _i07(system: System) -> Iterator[str]:
    for buffer, what in _buffers(system):
        device = what.home
        inside = len(what.pages) * PAGE
        if what.offset + what.size > inside or buffer.size != what.size:
            yield f"{buffer} is {what.size} bytes at {what.offset} of {inside}"
        first, end = what.offset // PAGE, -(-(what.offset + what.size) // PAGE)
        if any(page + PAGE > device.dram_base + device.bar_size for page in what.pages[first:end]):
            yield f"{buffer} reaches beyond the BAR"


def _i08(system: System) -> Iterator[str]:
    for mapping, buffer, what in _mappings(system):
        if mapping.generation != what.generation:
            continue
        base = what.home.bus_base
        wanted: list[int] = []
        offset, left = what.offset, buffer.size
        while left > 0 and offset // PAGE < len(what.pages):
            part = min(left, PAGE - offset % PAGE)
            wanted.append(what.pages[offset // PAGE] + base + offset % PAGE)
            offset, left = offset + part, left - part
        starts = [address + at for address, length in mapping.segments for at in range(0, length, PAGE)]
        if starts != wanted or mapping.size != buffer.size:
            yield f"{mapping} covers {mapping.size} bytes, not exactly the {buffer.size} that were exported"


def _i09(system: System) -> Iterator[str]:
    known = {importer.attachment for importer in _imports(system)}
    for buffer in system.core.buffers.values():
        for attachment in buffer.attachments:
            if attachment not in known and not system.sleeping_at_all():
                yield f"{attachment} belongs to no importer"


def _i10(system: System) -> Iterator[str]:
    for buffer in system.core.buffers.values():
        for attachment in buffer.attachments:
            if len(attachment.mappings) > 1:
                yield f"{attachment} has {len(attachment.mappings)} mappings"


def _i12(system: System) -> Iterator[str]:
    if system.design.revoke == "none" or system.design.holds == "context of the irrevocable":
        return
    for mapping, buffer, _ in _mappings(system):
        if not mapping.attachment.importer.kind.revocable:
            yield f"{buffer} can be revoked, and is mapped by an importer that cannot"


def _i13(system: System) -> Iterator[str]:
    for mapping, buffer, _ in _mappings(system):
        importer = mapping.attachment.importer
        if not importer.p2p or not importer.device.path:
            yield f"{buffer} is mapped by an importer that has no path to it"


def _i14(system: System) -> Iterator[str]:
    if system.sleeping_at_all():
        return
    for buffer, _ in _buffers(system):
        if buffer.status is not Status.OK and any(vma.present for vma in buffer.file.inode.mapping.vmas):
            yield f"{buffer} is {buffer.status.value}, and a process reaches it"


def _i15(system: System) -> Iterator[str]:
    for mapping, buffer, what in _mappings(system):
        if not what.home.decodes and not system.sleeping_at_all():
            yield f"{mapping}: device {what.home.number} of {buffer} does not decode"


def _i16(system: System) -> Iterator[str]:
    for mapping, buffer, _ in _mappings(system):
        if buffer.status is not Status.OK and not system.sleeping_at_all():
            yield f"{buffer} is {buffer.status.value}, and {mapping} is left"


def _i18(system: System) -> Iterator[str]:
    for buffer in system.core.buffers.values():
        for slot in buffer.slots:
            queued = slot.fence is not None and slot.callback in slot.fence.callbacks
            if slot.armed != queued:
                yield f"a poll slot of {buffer} is armed and not queued"


def _i20(system: System) -> Iterator[str]:
    for device in system.devices if system.design.exclusive else ():
        holders = {what.session for _, what in _buffers(system) if what.home is device and what.keeps_context}
        if device.state is not DeviceState.REMOVED and device.owner is not None:
            holders.add(device.owner.serial)
        if len(holders) > 1:
            yield f"device {device.number} has {len(holders)} owners"


def _i22(system: System) -> Iterator[str]:
    if system.design.revoke != "drain" or system.sleeping_at_all():
        return
    for buffer, _ in _buffers(system):
        counted = sum(not mapping.physical for mapping in buffer.mappings)
        if buffer.drain.count != counted + (buffer.status is Status.OK):
            yield f"{buffer} is {buffer.status.value}: {counted} mappings, drain count {buffer.drain.count}"


def _i26(system: System) -> Iterator[str]:
    for mapping, buffer, what in _mappings(system):
        pages = set(mapping.cover)
        for file in system.kernel.files.values():
            for extent in getattr(file.private_data, "extents", {}).values():
                other = extent.context.device is what.home and extent.context.session.serial != what.session
                if other and pages & set(extent.pages):
                    yield f"{mapping} of {buffer} reaches an allocation of session {extent.context.session.serial}"


def _i28(system: System) -> Iterator[str]:
    if not system.design.export_blocks_unmap:
        return
    for buffer, what in _buffers(system):
        if what.mapping is not None and what.mapping not in what.context.mappings.values():
            yield f"{buffer} is exported, and its device address is gone"


def _i34(system: System) -> Iterator[str]:
    for mapping, buffer, what in _mappings(system):
        if mapping.generation != what.generation and not system.sleeping_at_all():
            yield f"{mapping} is of generation {mapping.generation}, {buffer} of {what.generation}"


def _f01(system: System) -> Iterator[str]:
    promised = {promise.fence for promise in system.user_fences.values()}
    promised |= {job.fence for device in system.devices for job in device.jobs}
    promised |= {importer.work for importer in _imports(system) if importer.work is not None}
    for fence in system.core.fences.live.values():
        if fence.published and not fence.signaled and fence not in promised and not system.sleeping_at_all():
            yield f"nobody will signal {fence}"


CHECKS: Final = (
    Check("dmabuf.I03", "what failed left nothing", _i03),
    Check("dmabuf.I04", "a description has as many references as holders", _i04),
    Check("dmabuf.I07", "an exported range lies inside allocation and BAR", _i07),
    Check("dmabuf.I08", "a mapping covers exactly the exported bytes, in order", _i08),
    Check("dmabuf.I09", "every attachment has an importer", _i09),
    Check("dmabuf.I10", "an attachment has one mapping at most", _i10),
    Check("dmabuf.I12", "who cannot be revoked maps nothing that may be", _i12),
    Check("dmabuf.I13", "addresses go only to importers with a path", _i13),
    Check("dmabuf.I14", "no process reaches a revoked buffer", _i14),
    Check("dmabuf.I15", "while a mapping is live its exporter decodes", _i15),
    Check("dmabuf.I16", "no mapping survives a revoke", _i16),
    Check("dmabuf.I18", "a poll slot is armed exactly while its callback is queued", _i18),
    Check("dmabuf.I20", "a device has one owner", _i20),
    Check("dmabuf.I22", "the drain count is the mappings, and one while not revoked", _i22),
    Check("dmabuf.I26", "nobody reaches the memory of a later allocation", _i26),
    Check("dmabuf.I28", "exported memory stays at its device address", _i28),
    Check("dmabuf.I34", "a mapping is of the present placement", _i34),
    Check("dmabuf.F01", "every published fence has somebody to signal it", _f01),
)

_NO_OWNER: Final = {
    "dmabuf.I15": "reset and removal do not look for importers (facts 2.6)",
    "dmabuf.I20": "the device is open to the next owner while buffers of the last one live (source 001)",
    "dmabuf.I26": "an exported range is tied to nothing: its memory is given away (source 001)",
}
_OVERFLOW: Final = {"dmabuf.I07": "offset and size are added without a look at the carry (facts 2.1, row 11)"}
_FORCED: Final = {"dmabuf.I15": "a removal that waited ten minutes goes on, and importers keep addresses (facts 2.6)"}
_NO_WAIT: Final = {
    "dmabuf.I15": "importers are told, and the memory is switched off before they let go (facts 2.4)",
    "dmabuf.I16": "nobody waits until they let go (facts 2.4)",
    "dmabuf.I26": "the next owner's memory is reached by who has not let go yet",
}

KNOWN: Final[dict[str, dict[str, str]]] = {
    "D0": _NO_OWNER,
    "D1": {"dmabuf.I15": _NO_OWNER["dmabuf.I15"]},
    "D2a": _FORCED,
    "D2b": {**_OVERFLOW, **_FORCED},
    "D2c": {**_OVERFLOW, **_FORCED},
    "D3a": _NO_WAIT,
    "D3b": {},
    "D3t": {},
    "intended": {},
}


def check(system: System) -> list[Finding]:
    """Return what is broken in the present state, and what the kernel noticed on the way here.

    Meant for quiescent systems: no call may be half way.
    """
    broken = [Finding(law.id, text) for law in CHECKS for text in law.broken(system)]
    return [*system.findings, *broken]


def unexpected(system: System) -> list[Finding]:
    """Return what `check` finds and the design does not list as known."""
    known = KNOWN.get(system.design.name, {})
    return [finding for finding in check(system) if finding.rule not in known]


def residue(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Return what differs between two observations, by path: after a call that failed there should be nothing (I03).

    Left out is what even a failing call changes: which signals were got, what was noticed, which process exists.
    """
    return list(_differences("", _comparable(before), _comparable(after)))


def _comparable(seen: dict[str, Any]) -> dict[str, Any]:
    processes = {p: {**process, "signals": []} for p, process in seen["processes"].items() if process["fds"]}
    return {**seen, "processes": processes, "findings": []}


def _differences(path: str, before: Any, after: Any) -> Iterator[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in {**before, **after}:
            yield from _differences(f"{path}/{key}", before.get(key), after.get(key))
    elif before != after:
        yield f"{path}: {before} became {after}"


def end(system: System) -> list[Finding]:
    """End all processes, messages and fences, and remove all devices; return everything that is broken or left.

    The system is of no further use.
    """
    for p, process in list(system.kernel.processes.items()):
        if process.alive:
            system.exit(p)
    if system.messages:
        system.spawn(-1)
        for message in list(system.messages):
            system.drop(-1, message)
        system.exit(-1)
    system.advance(10)
    left = [Finding("leak", f"{count} of {kind}") for kind, count in system.leftovers().items()]
    found = [*check(system), *left]
    for device in system.devices:
        system.remove(device.number)
    return list(dict.fromkeys(found))
