# SPDX-License-Identifier: Apache-2.0
"""What must hold of accelerators between two calls, and that nothing is left after everything was closed.

The driver reports by itself what goes wrong at a step (`AccelSystem.findings`). Here are the laws about a whole state,
counts above all: they are for quiescent systems, no call half way.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from ..kernel import Finding, UsageError
from ..kernel.memory import Allocation
from .context import Context
from .device import AccelDevice, Status
from .fd import AccelFd
from .lifecycles import ContextState, DeviceState, ResetState
from .system import AccelSystem


@dataclass(frozen=True, slots=True)
class Check:
    """A law about one device: its id in the fact sheet, its sentence, and what breaks it in a given system."""

    id: str
    sentence: str
    broken: Callable[[AccelSystem, AccelDevice], Iterator[str]]


def _i01(system: AccelSystem, device: AccelDevice) -> Iterator[str]:
    computing = [context for context in device.contexts.values() if context.state is ContextState.COMPUTE]
    if len(computing) > 1:
        yield f"{len(computing)} contexts compute"
    if device.slot is not None and computing and device.slot != device.name_of(computing[0]):
        yield f"the slot names another context than {computing[0]}"
    if device.slot is None and computing and device.behaviour.slot == "context":
        yield f"{computing[0]} computes and does not have the slot"


def _i05(system: AccelSystem, device: AccelDevice) -> Iterator[str]:
    for context in device.contexts.values():
        held = _references(device, context)
        if context.refs < held:
            yield f"{context} has {context.refs} references, {held} are held"


def _references(device: AccelDevice, context: Context) -> int:
    """Count who holds a context, whoever waits apart."""
    behaviour = device.behaviour
    manager = int(context.state in (ContextState.IDLE, ContextState.COMPUTE))
    submissions = sum(s.context is context for s in device.mirror) if behaviour.submission_holds_context else 0
    buffers = len(context.fd.buffers.alive) if behaviour.buffers_hold_context else 0
    exports = sum(export.context is context for export in device.exports.values())
    return manager + submissions + buffers + exports


def _i14(system: AccelSystem, device: AccelDevice) -> Iterator[str]:
    if device.behaviour.status == "5.1":
        return
    status, state = device.status, device.state
    if state is DeviceState.RESETTING and not device.removal_pending:
        light = device.reset_state is ResetState.COMPUTE
        wanted = Status.IN_RESET_AFTER_DEVICE_RELEASE if light else Status.IN_RESET
        if status is not wanted:
            yield f"a {device.reset_state.name} reset shows as {status.name}"
    if state is DeviceState.BROKEN and status is not Status.MALFUNCTION:
        yield f"a broken device shows as {status.name}"
    if state is DeviceState.RUNNING and status not in (Status.OPERATIONAL, Status.NEEDS_RESET, Status.MALFUNCTION):
        yield f"a device that runs shows as {status.name}"


def _i15(system: AccelSystem, device: AccelDevice) -> Iterator[str]:
    if device.state is DeviceState.REMOVING and device.status is not Status.MALFUNCTION:
        yield f"a device that is being removed shows as {device.status.name}"


def _i16(system: AccelSystem, device: AccelDevice) -> Iterator[str]:
    if device.in_debug and not device.taken and not device.contexts:
        yield "debug mode outlives its owner"
    if device.tracing and not device.in_debug and not device.hard_reset_pending and not device.in_reset:
        yield "debug engines run on outside debug mode"


def _i22(system: AccelSystem, device: AccelDevice) -> Iterator[str]:
    for context in device.contexts.values():
        pending = sum(s.context is context for s in device.mirror)
        if pending > len(context.ring):
            yield f"{context} has {pending} submissions on their way in a ring of {len(context.ring)}"


def _i25(system: AccelSystem, device: AccelDevice) -> Iterator[str]:
    if device.profile == "auto" and device.frequency == "LOW" and device.taken:
        yield "the frequency is low while somebody computes"


def _i27(system: AccelSystem, device: AccelDevice) -> Iterator[str]:
    asids = [context.asid for context in device.contexts.values()]
    if 0 in asids or len(set(asids)) != len(asids):
        yield f"contexts have the ASIDs {asids}"


def _i28(system: AccelSystem, device: AccelDevice) -> Iterator[str]:
    for fd in device.files:
        if len(fd.handles) > 1:
            yield f"{fd} has {len(fd.handles)} contexts"


CHECKS: Final = (
    Check("habanalabs.I01", "one context computes, and the slot names it", _i01),
    Check("habanalabs.I05", "every reference that is held is counted", _i05),
    Check("habanalabs.I14", "the status says what the driver is doing", _i14),
    Check("habanalabs.I15", "a device that is being removed says so", _i15),
    Check("habanalabs.I16", "debug mode belongs to the owner", _i16),
    Check("habanalabs.I22", "no more submissions are on their way than the ring has places", _i22),
    Check("habanalabs.I25", "the frequency is low only while nobody computes", _i25),
    Check("habanalabs.I27", "contexts have different ASIDs, none of them the kernel's", _i27),
    Check("habanalabs.I28", "an fd has at most one context", _i28),
)

_LOW: Final = "nothing raises the clocks any more (H71)"
_SURVIVORS: Final = "a hard reset goes on with users that do not die (2.1, 2.2)"

KNOWN: Final = {
    "a": {
        "habanalabs.I05": "the context is published before it has a handle (B21)",
        "habanalabs.I06": "a context is published before it has a handle (B21); a failed reset loses page tables (B13)",
        "habanalabs.I11": "SIGKILL comes before the submissions are rolled back (B6)",
        "habanalabs.I12": "a compute reset does not wait for a heartbeat that is on its way (B10)",
        "habanalabs.I13": _SURVIVORS,
        "habanalabs.I29": _SURVIVORS,
        "habanalabs.I04": "a second hard reset with a survivor follows the pointer that the first one cleared (M7)",
        "oops": "a second hard reset with a survivor (M7), a call on a survivor of removal",
        "habanalabs.P03": "submissions that hold the context are rolled back only after the kill (B6)",
    },
    "b": {
        "habanalabs.I01": "the slot is compared by address (V1)",
        "habanalabs.I02": "the slot is compared by address (V1)",
        "habanalabs.I04": "CS and MEMORY copy the context before the check creates it (V3)",
        "oops": "CS and MEMORY copy the context before the check creates it (V3)",
        "habanalabs.I06": _SURVIVORS,
        "habanalabs.I12": "a compute reset does not wait for a heartbeat that is on its way (B10)",
        "habanalabs.I13": _SURVIVORS,
        "habanalabs.I16": "a survivor may debug, and the end of its context does not notice",
        "habanalabs.I19": "hard resets kill monitors (V10)",
        "habanalabs.I29": _SURVIVORS,
    },
    "c0": {
        "habanalabs.I01": "who outlives a hard reset empties the slot of the next owner when it leaves",
        "habanalabs.I03": "who outlives a hard reset empties the slot of the next owner when it leaves",
        "habanalabs.I05": "a reset reads the owner's context through a pointer that nobody counts (B2)",
        "habanalabs.I06": "what outlives a removal is never freed",
        "habanalabs.I12": "a compute reset does not wait for a heartbeat that is on its way (B10)",
        "habanalabs.I13": _SURVIVORS,
        "habanalabs.I16": "a survivor may debug, and the end of its context does not notice",
        "habanalabs.I19": "control fds are on the same list (B9)",
        "oops": "a call on a survivor of removal",
        "habanalabs.I29": _SURVIVORS,
    },
    "c1": {
        "habanalabs.I08": "a handle can be destroyed twice (B15)",
        "habanalabs.I12": "the last close during a reset looks at the device (B22)",
        "habanalabs.I15": "a removal does not show in the status (B27)",
        "habanalabs.I17": "a signal ends WAIT with BUSY (B17)",
        "habanalabs.I18": "a failed scrub is ignored (B25)",
        "habanalabs.I19": "a control fd registers for events (B26)",
        "habanalabs.I25": _LOW,
        "habanalabs.P02": "a multi-wait goes on polling after a signal (B17)",
        "habanalabs.P07": "a reset whose scrub fails stays for ever, and removal gives up (B25)",
    },
    "c2": {
        "habanalabs.I08": "a close puts one reference of a destroyed buffer too many",
        "habanalabs.I25": _LOW,
        "habanalabs.I29": "removal sets hdev to NULL, and the ioctls of 6.12 follow it (H72)",
        "oops": "removal sets hdev to NULL, and the ioctls of 6.12 follow it (H72)",
    },
    "intended": {},
}


def check(system: AccelSystem) -> list[Finding]:
    """Return what is broken in the present state, and what the driver noticed on the way here."""
    broken = [
        Finding(law.id, text)
        for law in CHECKS
        for device in system.devices.values()
        for text in law.broken(system, device)
    ]
    return [*system.findings, *broken]


def unexpected(system: AccelSystem) -> list[Finding]:
    """Return what `check` finds and the behaviour does not list as known."""
    known = KNOWN.get(system.behaviour.name, {})
    return [finding for finding in check(system) if finding.rule not in known]


def lost(system: AccelSystem) -> list[str]:
    """Name what removals gave up on: by design of some revisions it is never freed."""
    return [f"device {device.number}: {fd}, {fd.context}" for device in _every(system) for fd in device.lost]


def _every(system: AccelSystem) -> list[AccelDevice]:
    return [*system.retired, *system.devices.values()]


def _allocations_of(fd: AccelFd) -> Iterator[Allocation | None]:
    yield fd.memory
    context = fd.context
    if context is not None:
        yield context.memory
        yield from (fence.memory for fence in context.ring if fence is not None)


def left(system: AccelSystem) -> list[str]:
    """Name every object, byte of device memory and ASID of users that exists."""
    found: list[str] = []
    for d, device in system.devices.items():
        if device.lost:
            continue  # see `lost`
        found += [f"device {d}: {context}" for context in device.contexts.values()]
        found += [f"device {d}: ASID {asid}" for asid in device.asids]
        found += [f"device {d}: {fd}" for fd in (*device.files, *device.control_files)]
        found += [f"device {d}: {submission}" for submission in device.mirror]
        found += [f"device {d}: exported buffer {number}" for number in device.exports]
        if device.memory.used:
            found.append(f"device {d}: {device.memory.used} bytes of device memory")
        if device.taken or device.in_release:
            found.append(f"device {d}: the slot")
        if device.in_debug:
            found.append(f"device {d}: debug mode")
    lost_fds = [fd for device in _every(system) for fd in device.lost]
    kernel = {id(a) for fd in lost_fds for a in _allocations_of(fd)}
    kernel |= {id(a) for device in system.devices.values() for a in (device.kernel_context, device.kernel_tables)}
    nodes = ("cdev", "mapping snapshot")
    found += [repr(a) for a in system.kernel.allocator.live.values() if id(a) not in kernel and a.kind not in nodes]
    return found


def _wait_for_sleepers(system: AccelSystem) -> None:
    """Let time pass for calls that no signal ends, as long as any of them does end."""
    for _ in range(4 * max(device.hardware.switch_timeout for device in system.devices.values())):
        if not system.busy:
            return
        system.advance(1)


def end(system: AccelSystem) -> list[Finding]:
    """Close everything, let importers go, remove all devices, and return what is broken or left (I06).

    The system is of no further use.
    """
    system.kernel.injector.clear()
    for message in list(system.messages):
        system.discard(message)
    system.stubborn.clear()
    system.release_exports()
    for p, process in list(system.kernel.processes.items()):
        if process.alive:
            system.exit(p)
    _wait_for_sleepers(system)
    broken, stuck = check(system), False
    for d, device in system.devices.items():
        if device.state is DeviceState.SUSPENDED:
            system.resume(d)
        if not device.removed:
            try:
                system.finish_removal(d)
            except UsageError as error:
                stuck = True
                broken.append(Finding("habanalabs.P07", str(error)))
    if stuck and "habanalabs.P07" in KNOWN.get(system.behaviour.name, {}):
        return list(dict.fromkeys([*broken, *check(system)]))  # what the device has, it keeps
    if "oops" in system.kernel.findings.rules:  # who crashed keeps the locks and the references that it held
        return [f for f in dict.fromkeys([*broken, *check(system)]) if f.rule != "habanalabs.P07"]
    given_up = {id(a) for device in _every(system) for fd in device.lost for a in _allocations_of(fd)}
    rest = [repr(a) for a in system.kernel.allocator.live.values() if id(a) not in given_up]
    broken += [Finding("habanalabs.I06", f"{what} is left") for what in dict.fromkeys([*left(system), *rest])]
    return list(dict.fromkeys([*broken, *check(system)]))
