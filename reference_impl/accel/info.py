# SPDX-License-Identifier: Apache-2.0
"""The INFO ioctl: which questions are answered when, and to whom.

What belongs to a context is 0 for an fd without one; what belongs to the device is the same for everybody.
"""

from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final

from ..kernel import Errno
from .arguments import InfoArgs

if TYPE_CHECKING:
    from .device import AccelDevice
    from .fd import AccelFd


class Info(IntEnum):
    """The questions, with the ABI's numbers."""

    HW_IP_INFO = 0
    HW_EVENTS = 1
    DRAM_USAGE = 2
    HW_IDLE = 3
    DEVICE_STATUS = 4
    DEVICE_UTILIZATION = 6
    HW_EVENTS_AGGREGATE = 7
    CLK_RATE = 8
    RESET_COUNT = 9
    TIME_SYNC = 10
    CS_COUNTERS = 11
    PCI_COUNTERS = 12
    CLK_THROTTLE_REASON = 13
    SYNC_MANAGER = 14
    TOTAL_ENERGY = 15
    PLL_FREQUENCY = 16
    POWER = 17
    OPEN_STATS = 18
    DRAM_REPLACED_ROWS = 21
    DRAM_PENDING_ROWS = 22
    LAST_ERR_OPEN_DEV_TIME = 23
    CS_TIMEOUT_EVENT = 24
    RAZWI_EVENT = 25
    DEV_MEM_ALLOC_PAGE_SIZES = 26
    SECURED_ATTESTATION = 27
    REGISTER_EVENTFD = 28
    UNREGISTER_EVENTFD = 29
    GET_EVENTS = 30
    UNDEFINED_OPCODE_EVENT = 31
    ENGINE_STATUS = 32
    PAGE_FAULT_EVENT = 33
    USER_MAPPINGS = 34
    FW_GENERIC_REQ = 35
    HW_ERR_EVENT = 36
    FW_ERR_EVENT = 37
    USER_ENGINE_ERR_EVENT = 38
    DEV_SIGNED = 40


_ALWAYS: Final = frozenset({
    Info.HW_IP_INFO, Info.DEVICE_STATUS, Info.RESET_COUNT, Info.HW_EVENTS, Info.HW_EVENTS_AGGREGATE, Info.CS_COUNTERS,
    Info.CLK_THROTTLE_REASON, Info.SYNC_MANAGER, Info.OPEN_STATS, Info.LAST_ERR_OPEN_DEV_TIME, Info.CS_TIMEOUT_EVENT,
    Info.RAZWI_EVENT, Info.UNDEFINED_OPCODE_EVENT, Info.DEV_MEM_ALLOC_PAGE_SIZES, Info.GET_EVENTS,
})  # fmt: skip
_IF_OPERATIONAL: Final = frozenset({
    Info.HW_IDLE, Info.DEVICE_UTILIZATION, Info.CLK_RATE, Info.TIME_SYNC, Info.PCI_COUNTERS, Info.TOTAL_ENERGY,
    Info.PLL_FREQUENCY, Info.POWER, Info.DRAM_REPLACED_ROWS, Info.DRAM_PENDING_ROWS, Info.SECURED_ATTESTATION,
    Info.REGISTER_EVENTFD, Info.ENGINE_STATUS,
})  # fmt: skip
_NEW_ALWAYS: Final = frozenset({
    Info.PAGE_FAULT_EVENT, Info.USER_MAPPINGS, Info.HW_ERR_EVENT, Info.FW_ERR_EVENT, Info.USER_ENGINE_ERR_EVENT,
    Info.UNREGISTER_EVENTFD, Info.DRAM_USAGE,
})  # fmt: skip
MAPPING: Final = 16  # bytes of one, in the answer to USER_MAPPINGS
_MOVED: Final = frozenset({Info.DRAM_USAGE, Info.UNREGISTER_EVENTFD})
_EVENTS: Final = frozenset({Info.GET_EVENTS, Info.REGISTER_EVENTFD, Info.UNREGISTER_EVENTFD})
_FIRST: Final = frozenset({Info.HW_IP_INFO, Info.HW_EVENTS, Info.DRAM_USAGE, Info.HW_IDLE, Info.DEVICE_STATUS})

# By the revision of the list: what is answered always, and what only while the device is operational.
CLASSES: Final = {
    "5.1": (frozenset({Info.DEVICE_STATUS}), _FIRST - {Info.DEVICE_STATUS}),
    "5.4": (
        frozenset({Info.DEVICE_STATUS}),
        (_FIRST | {Info.DEVICE_UTILIZATION, Info.HW_EVENTS_AGGREGATE}) - {Info.DEVICE_STATUS},
    ),
    "6.1": (_ALWAYS, _IF_OPERATIONAL | _MOVED),
    "6.12": (_ALWAYS | _NEW_ALWAYS, _IF_OPERATIONAL | {Info.FW_GENERIC_REQ, Info.DEV_SIGNED}),
}


def info(device: "AccelDevice", fd: "AccelFd", args: InfoArgs, *, usable: bool = False) -> int:
    """Answer a question into `args.out`: 0, or a negative errno. `usable`: the device was, when the call looked.

    -EBUSY (not operational, a question that touches the device, or none that it knows), -EINVAL (no room for the
    answer, padding, events registered twice or not at all), -EOPNOTSUPP (events on a control fd), -EFAULT, -ENOMEM, or
    the revision's errno for an unknown question.
    """
    behaviour = device.behaviour
    always, if_operational = CLASSES[behaviour.info]
    question = Info(args.op) if args.op in Info._value2member_map_ else None
    if fd.control and question in _EVENTS and behaviour.info == "6.12" and not behaviour.events_on_control:
        return Errno.EOPNOTSUPP
    if behaviour.drm_core and args.pad:
        return Errno.EINVAL
    if question not in always and not (usable or device.operational):
        return Errno.EBUSY
    if question is None or (question not in always and question not in if_operational):
        return behaviour.unknown_operation
    if question in (Info.REGISTER_EVENTFD, Info.UNREGISTER_EVENTFD):
        return _events(device, fd, question)
    if args.size <= 0:
        return Errno.EINVAL
    if question is Info.USER_MAPPINGS and device.snapshot is not None and args.size < MAPPING:
        return Errno.ENOMEM
    copies = question is not Info.USER_MAPPINGS or device.snapshot is not None
    if copies and device.kernel.injector.take("copy_to_user") is not None:
        return Errno.EFAULT
    args.out.update(_answer(device, fd, question))
    return 0


def _events(device: "AccelDevice", fd: "AccelFd", question: Info) -> int:
    if fd.control:
        device.kernel.findings.report("habanalabs.I19", f"{fd} changes who hears of events")
    if fd.eventfd is (question is Info.REGISTER_EVENTFD):
        return Errno.EINVAL
    fd.eventfd = not fd.eventfd
    return 0


def _answer(device: "AccelDevice", fd: "AccelFd", question: Info) -> dict[str, Any]:
    context = fd.context
    if device.behaviour.info_counters == "slot owner":
        context = next((c for c in device.contexts.values() if c.computes), context)
        if context is not None and context is not fd.context:
            device.kernel.findings.report("habanalabs.I18", f"{fd} is told the counters of {context}")
    match question:
        case Info.DEVICE_STATUS:
            return {"status": device.status}
        case Info.GET_EVENTS:
            events, fd.events = fd.events, 0
            return {"events": events}
        case Info.RESET_COUNT:
            return {"hard": device.counters["hard_reset"], "compute": device.counters["compute_reset"]}
        case Info.DRAM_USAGE:
            own = device.memory.used_by(context.asid) if context is not None else 0
            return {"free": device.memory.size - device.memory.used, "ctx_used": own}
        case Info.CS_COUNTERS:
            own = context.counters["dropped"] if context is not None else 0
            return {"total_dropped": device.counters["dropped"], "ctx_dropped": own}
        case Info.HW_IDLE:
            return {"idle": device.idle}
        case Info.OPEN_STATS:
            return {"opens": device.counters["open"]}
        case Info.CLK_RATE:
            return {"frequency": device.frequency}
        case Info.PAGE_FAULT_EVENT | Info.RAZWI_EVENT:
            return {"captured": list(device.captured)}
        case Info.USER_MAPPINGS:
            return {"snapshot": device.snapshot is not None}
        case Info.HW_IP_INFO:
            return {"memory": device.hardware.memory, "queues": len(device.hardware.queues)}
        case Info.DEV_MEM_ALLOC_PAGE_SIZES:
            return {"page_sizes": [device.hardware.page_size]}
    return {}
