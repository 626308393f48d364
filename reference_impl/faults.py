# SPDX-License-Identifier: Apache-2.0
"""Historical bugs as switches: each takes away one guard that is there today, so that a detector can be seen to detect.

Ids are those of the fact sheet; its sections 4.3 and 5 tell the story of each. A switch sets fields of `Behaviour`;
two switches combine unless they set the same field.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, Final, Literal, TypeVar

from .kernel import UsageError
from .uacce import Behaviour

Kind = Literal["lifetime", "race", "errno", "lock order", "leak"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One bug: what goes wrong in a sentence, who says so, which kind it is, and what it changes in `Behaviour`."""

    id: str
    sentence: str
    source: str
    kind: Kind
    change: dict[str, Any]


_SHEET: Final = "facts/uacce.md"

_ALL: Final = (
    Fault(
        "S-01",
        "open returns success without a queue when binding the address space fails",
        f"{_SHEET} 4.3 S-01; fixed before the merge",
        "errno",
        {"bind_failure_fails_open": False},
    ),
    Fault(
        "S-02",
        "open leaks the bond when the driver has no hardware queue left",
        f"{_SHEET} 4.3 S-02; fixed in 5.7",
        "leak",
        {"unbind_when_get_fails": False},
    ),
    Fault(
        "S-03",
        "open leaks the bond when memory runs out after binding",
        f"{_SHEET} 4.3 S-03; fixed in 5.7",
        "leak",
        {"allocation": "after bind"},
    ),
    Fault(
        "S-05",
        "mmap is accepted on a dead queue and maps hardware that may be somebody else's",
        f"{_SHEET} 4.3 S-05; fixed in 5.7 and 6.0",
        "lifetime",
        {"mmap_refuses_dead": False, "remove_clears_ops": False},
    ),
    Fault(
        "S-06",
        "PUT_Q gives the hardware queue back while its user still has it mapped",
        f"{_SHEET} 4.3 S-06, 5 B-09; CVE-2026-23063",
        "lifetime",
        {"put_q": "release"},
    ),
    Fault(
        "S-12",
        "close takes the mmap lock inside the driver's lock, mmap the other way round",
        f"{_SHEET} 4.3 S-12; removed before 5.7",
        "lock order",
        {"release_accounts": True, "mmap_lock": "device"},
    ),
    Fault(
        "C-01",
        "mmap takes the device lock, inside which a driver's command copies from user memory",
        f"{_SHEET} 1.8; reviewed in June 2022, two locks since 6.0",
        "lock order",
        {"mmap_lock": "device"},
    ),
    Fault(
        "S-14",
        "unmapping does not free the region: its slot stays taken and its memory is lost",
        f"{_SHEET} 4.3 S-14; close operation added in 5.7",
        "leak",
        {"close_frees": False},
    ),
    Fault(
        "S-29",
        "driver commands and poll reach the hardware of a queue that no longer owns any",
        f"{_SHEET} 4.3 S-29; fixed in 6.0",
        "errno",
        {"ioctl_refuses_dead": False, "remove_clears_ops": False},
    ),
    Fault(
        "S-30",
        "driver commands run without the device lock and meet a removal",
        f"{_SHEET} 4.3 S-30; fixed in 6.0",
        "race",
        {"ioctl_holds_device_lock": False},
    ),
    Fault(
        "B-01",
        "remove leaves the pages of the device with its users",
        f"{_SHEET} 5 B-01; fixed in 5.7",
        "lifetime",
        {"remove": "put only"},
    ),
    Fault(
        "B-03",
        "a touch of a map after removal meets a fault handler that supplies no page",
        f"{_SHEET} 5 B-03; fixed in 5.8",
        "lifetime",
        {"fault_handler": "empty success"},
    ),
    Fault(
        "B-04",
        "a dying process puts its queues inside the lock that open takes after the device lock",
        f"{_SHEET} 5 B-04; removed in 5.8",
        "lock order",
        {"exit_puts_queues": True},
    ),
    Fault(
        "B-05",
        "the bond is returned at removal and again at close",
        f"{_SHEET} 5 B-05; found in review",
        "lifetime",
        {"unbind_forgets_handle": False},
    ),
    Fault(
        "B-06",
        "open runs beside remove, which misses the queue that is being made",
        f"{_SHEET} 5 B-06 (a); fixed in 6.0",
        "race",
        {"open_holds_device_lock": False},
    ),
    Fault(
        "B-07",
        "closing a map frees the region and leaves the slot pointing at it: -EEXIST for ever",
        f"{_SHEET} 5 B-07; fixed in 6.5",
        "errno",
        {"close_clears_slot": False},
    ),
    Fault(
        "B-09a",
        "mmap looks at the state before it takes the lock under which the hardware queue is given back",
        f"{_SHEET} 5 B-09 (a), with remove as the one that gives it back; CVE-2026-23063",
        "race",
        {"mmap_checks_under_lock": False},
    ),
    Fault(
        "B-10",
        "a map that moves frees its region with the old piece, and again with the new one",
        f"{_SHEET} 5 B-10; CVE-2026-23056",
        "lifetime",
        {"refuses_move": False, "close_clears_slot": False},
    ),
    Fault(
        "B-11",
        "remove deletes the character device that a failed registration already freed",
        f"{_SHEET} 5 B-11; CVE-2026-23096",
        "lifetime",
        {"failed_register_forgets_cdev": False},
    ),
    Fault(
        "B-13",
        "the shared buffer is one page larger than its advertised size, so mapping that size fails",
        f"{_SHEET} 5 B-13; fixed in 5.16",
        "errno",
        {"dus_extra_pages": 1},
    ),
    Fault(
        "B-20",
        "START after PUT_Q is refused with -ENXIO",
        f"{_SHEET} 5 B-20; the answer of kernels before 2026",
        "errno",
        {"restart": False},
    ),
    Fault(
        "I29",
        "the isolation attributes call callbacks that the driver does not have",
        f"{_SHEET} 0 (pre-2026) and 6 I29",
        "errno",
        {"isolate_guarded": False},
    ),
    Fault(
        "L1",
        "a stopped device silently refuses to take its hardware queues back",
        f"{_SHEET} 1.10 and 6 L1; the driver of 6.1",
        "leak",
        {"put_refused_when_stopped": True},
    ),
)

FAULTS: Final = {fault.id: fault for fault in _ALL}


T = TypeVar("T", bound=Any)


def switched(behaviour: T, known: Mapping[str, Fault], ids: Iterable[str]) -> T:
    """Return a behaviour, a dataclass of switches, with some of the `known` bugs in it.

    Raises UsageError for an unknown id, and for two bugs that set one field to different values.
    """
    changes: dict[str, Any] = {}
    for fault_id in ids:
        fault = known.get(fault_id)
        if fault is None:
            near = get_close_matches(fault_id, known, 1)
            raise UsageError(f"no fault is called {fault_id!r}; {f'did you mean {near[0]!r}?' if near else ''}"
                             f" There are: {', '.join(known)}")  # fmt: skip
        for name, value in fault.change.items():
            if changes.setdefault(name, value) != value:
                raise UsageError(f"fault {fault_id} contradicts another one about {name}")
    return replace(behaviour, **changes)


def with_faults(behaviour: Behaviour, ids: Iterable[str]) -> Behaviour:
    """Return `behaviour` with the given bugs in it, as `switched` does.

    >>> with_faults(LINUX_6_12, ["S-02"]).unbind_when_get_fails
    False
    """
    return switched(behaviour, FAULTS, ids)
