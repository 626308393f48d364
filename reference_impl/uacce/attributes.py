# SPDX-License-Identifier: Apache-2.0
"""The sysfs attributes of a uacce device."""

from typing import TYPE_CHECKING, Final

from ..kernel import PAGE, Errno, Oops
from ..kernel.sysfs import Attribute
from .region import RegionType

if TYPE_CHECKING:
    from .behaviour import Behaviour
    from .device import UacceDevice

MAX_THRESHOLD: Final = 65535


def parse_unsigned(text: str) -> int | None:
    """Return a number as the kernel reads it: decimal, 0x, or octal with a leading 0; one newline may follow."""
    digits = text.removesuffix("\n").removeprefix("+")
    base = 10
    if digits[:2].lower() == "0x":
        digits, base = digits[2:], 16
    elif digits.startswith("0") and digits != "0":
        base = 8
    allowed = "0123456789abcdef"[:base]
    if not digits or any(digit not in allowed for digit in digits.lower()):
        return None
    return int(digits, base)


def attributes(device: "UacceDevice", behaviour: "Behaviour") -> list[Attribute]:
    """Return the attributes of `device`; which of them can be seen is settled when it is registered."""
    call = device.call

    def text(value: str) -> str:
        return f"{value}\n"

    def size(region: RegionType) -> Attribute:
        return Attribute(
            f"region_{region.name.lower()}_size",
            lambda: text(str(device.page_counts[region] * PAGE)),
            visible=lambda: device.page_counts[region] > 0,
        )

    def available() -> str | int:
        callback = call.ops().get_available_instances
        if callback is None:
            return Errno.ENODEV
        return text(str(call.number("get_available_instances", callback)))

    def isolate() -> str | int:
        callback = call.ops().get_isolate_state
        if callback is None:
            raise Oops("isolate calls a callback that the driver does not have")
        return text(str(call.number("get_isolate_state", callback)))

    def strategy() -> str | int:
        callback = call.ops().isolate_err_threshold_read
        if callback is None:
            if behaviour.isolate_guarded:
                return Errno.ENOENT
            raise Oops("isolate_strategy calls a callback that the driver does not have")
        return text(str(call.number("isolate_err_threshold_read", callback)))

    def set_strategy(value: str) -> int:
        callback = call.ops().isolate_err_threshold_write
        if callback is None and behaviour.isolate_guarded:
            return Errno.ENOENT
        threshold = parse_unsigned(value)
        if threshold is None or threshold > MAX_THRESHOLD:
            return Errno.EINVAL
        if callback is None:
            raise Oops("isolate_strategy calls a callback that the driver does not have")
        return call.number("isolate_err_threshold_write", callback, threshold)

    def has(*callbacks: str) -> bool:
        return any(getattr(device.ops, callback) is not None for callback in callbacks)

    return [
        Attribute("api", lambda: text(device.api)),
        Attribute("flags", lambda: text(str(device.flags))),
        Attribute("available_instances", available),
        Attribute("algorithms", lambda: text(device.algorithms)),
        size(RegionType.MMIO),
        size(RegionType.DUS),
        Attribute("isolate", isolate, visible=lambda: not behaviour.isolate_guarded or has("get_isolate_state")),
        Attribute(
            "isolate_strategy",
            strategy,
            set_strategy,
            lambda: not behaviour.isolate_guarded or has("isolate_err_threshold_read", "isolate_err_threshold_write"),
        ),
    ]
