# SPDX-License-Identifier: Apache-2.0
"""Historical bugs of the driver as switches: each takes away one guard, undo or order of its base revision.

Ids are those of the fact sheet, section 5: B of the history, V of the posted scheme, M classic mutants. What each
violates and the shortest trace stand in docs/machines/habanalabs-historical-bugs.md.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from ..faults import Fault, Kind, switched
from .behaviour import Behaviour
from .rules import MemoryRules


@dataclass(frozen=True, slots=True)
class AccelFault(Fault):
    """A bug, the revision that it is put back into, and the property that it violates."""

    base: str
    violates: str


def _fault(id: str, base: str, violates: str, kind: Kind, sentence: str, source: str, **change: Any) -> AccelFault:
    return AccelFault(
        id, sentence, f"facts/habanalabs.md 5 {id}; {source}", kind, change, base, f"habanalabs.{violates}"
    )


_ALL: Final = (
    _fault(
        "B1", "c2", "I10", "race",
        "the slot is emptied before the idle check and the reset of a departing owner",
        "prevent race between fd close/open, Oct 2021",
        slot_emptied="before the idle check",
    ),
    _fault(
        "B2", "c1", "I05", "lifetime",
        "a reset reads the owner's context through a pointer that nobody counts",
        "remove compute context pointer, Dec 2021",
        reset_takes_context="uncounted",
    ),
    _fault(
        "B3", "c1", "I15", "race",
        "open puts the fd on the list before it is complete",
        "initialize hpriv fields before adding new node, Oct 2021",
        listed="before it is complete",
    ),
    _fault(
        "B5", "c1", "P04", "lock order",
        "the kill stage leaves with the list's mutex when its victim is already dead",
        "missing mutex_unlock in process kill procedure, Jul 2021",
        kill_unlocks_for_dead=False,
    ),
    _fault(
        "B6", "b", "I11", "race",
        "SIGKILL comes before the submissions are rolled back",
        "kill user process after CS rollback, Jul 2019",
        kill="before rollback",
    ),
    _fault(
        "B7", "b", "P03", "lock order",
        "the kill stage sleeps with the mutex that closers need",
        "protect only pointer dereference in hard-reset, Jul 2019",
        kill_lock="throughout",
    ),
    _fault(
        "B9", "c1", "I19", "errno",
        "control fds are on the same list, so every hard reset kills monitors",
        "keep control device alive during hard reset, Dec 2021",
        lists="one",
    ),
    _fault(
        "B10", "c1", "I12", "race",
        "a compute reset does not wait for a heartbeat that is on its way",
        "fix race between soft reset and heartbeat, Jul 2021",
        reset_waits_for_messages=False,
    ),
    _fault(
        "B11", "b", "I13", "lifetime",
        "the end of a context touches the device while a hard reset is pending",
        "prevent device PTE read/write during hard-reset, May 2019, 9f201aba56b9",
        end_spares_pending_device=False,
    ),
    _fault(
        "B13", "c2", "I06", "leak",
        "a reset that cannot allocate the kernel context leaks the page tables",
        "Fix memleak in hl_device_reset, Dec 2020",
        failed_kernel_context_frees_tables=False,
    ),
    _fault(
        "B15", "c2", "I08", "lifetime",
        "a handle can be destroyed twice while a submission uses the buffer",
        "don't allow user to destroy CB handle more than once, Dec 2022",
        memory=MemoryRules(destroy_once=False),
    ),
    _fault(
        "B17", "c2", "I17", "errno",
        "a signal ends WAIT with 0 and BUSY",
        "fix handling of wait CS for interrupting signals, 6.3",
        interrupted_wait="BUSY",
    ),
    _fault(
        "B18", "c2", "I06", "leak",
        "a multi-wait that ends badly keeps its fences",
        "put fences in case of unexpected wait status, 6.3",
        multi_wait_puts_fences=False,
    ),
    _fault(
        "B19", "c2", "I17", "lifetime",
        "a multi-wait reads the fence of a sequence that is gone",
        "fix NULL pointer dereference, Oct 2021",
        multi_wait_checks_fences=False,
    ),
    _fault(
        "B21", "b", "I05", "lifetime",
        "a context is published before it has a handle, and stays published when it gets none",
        "1/9 of the posted series",
        published="before it has a handle",
    ),
    _fault(
        "B22", "c2", "I12", "errno",
        "the last close during a reset looks whether the device is idle and asks for another reset",
        "skip device idle check in hpriv_release if in reset, Dec 2022",
        idle_check="always",
    ),
    _fault(
        "B23", "c2", "I14", "errno",
        "a compute reset that becomes a hard one keeps its kind",
        "clear in_compute_reset when escalating to hard reset, Jan 2023",
        escalation_changes_kind=False,
    ),
    _fault(
        "B25", "c2", "I18", "lifetime",
        "a failed scrub at the owner's departure is ignored",
        "reset device if scrubbing failed, 2023",
        failed_scrub_resets=False,
    ),
    _fault(
        "B26", "c2", "I19", "errno",
        "a control fd registers for events",
        "disable events ioctls on control device, 2023",
        events_on_control=True,
    ),
    _fault(
        "B27", "c2", "I15", "errno",
        "a removal does not show in the status",
        "set device status 'malfunction' while in rmmod, 2023",
        removal_shows=False,
    ),
    _fault(
        "B30", "b", "I16", "lifetime",
        "the end of the owner leaves debug mode on",
        "halt debug engines on user process close, May 2019",
        end_clears_debug="never",
    ),
    _fault(
        "B31", "c1", "P04", "lock order",
        "an error while mapping unlocks twice",
        "fix double unlock on error in map_device_va, May 2022",
        map_error_unlocks="twice",
    ),
    _fault(
        "B33", "c2", "I06", "leak",
        "the snapshot of mappings taken at a page fault survives the next open",
        "CVE-2023-53367",
        open_wipes_captured=False,
    ),
    _fault(
        "V1", "intended", "I02", "race",
        "the slot is compared by address, and a freed context's address is used again",
        "the posted hl_ctx_is_valid",
        slot_identity="address",
    ),
    _fault(
        "V3", "intended", "I04", "lifetime",
        "MEMORY and CS copy the context pointer before the check creates the context",
        "the posted 2/9 and 3/9",
        context_copied="before the check",
    ),
    _fault(
        "M2", "c2", "I07", "lifetime",
        "a submission does not hold its context",
        "mutant",
        submission_holds_context=False,
    ),
    _fault(
        "M4", "intended", "I02", "errno",
        "compute ioctls do not ask for the slot",
        "mutant",
        compute_needs_slot=False,
    ),
    _fault(
        "M6", "intended", "I18", "errno",
        "INFO answers with the slot owner's counters",
        "mutant",
        info_counters="slot owner",
    ),
    _fault(
        "M9", "intended", "I03", "errno",
        "any close empties the slot",
        "mutant",
        any_close_empties_slot=True,
    ),
    _fault(
        "M12", "b", "I22", "errno",
        "sequences begin again after a compute reset",
        "mutant",
        reset_restarts_sequence=True,
    ),
    _fault(
        "M14", "b", "I25", "errno",
        "the low-frequency job does not look at the slot",
        "mutant",
        low_checks_slot=False,
    ),
    _fault(
        "M15", "c2", "I27", "lifetime",
        "the ASID is given back before the mappings are undone",
        "mutant",
        asid_freed="before the mappings",
    ),
    _fault(
        "M16", "c2", "I08", "lifetime",
        "a submission does not hold its command buffers",
        "mutant",
        submission_holds_buffers=False,
    ),
    _fault(
        "M18", "c2", "I22", "errno",
        "-EAGAIN of a full ring consumes the sequence",
        "mutant",
        full_ring_consumes_sequence=True,
    ),
)  # fmt: skip

FAULTS: Final = {fault.id: fault for fault in _ALL}


def with_faults(behaviour: Behaviour, ids: Iterable[str]) -> Behaviour:
    """Return `behaviour` with the given bugs in it. Raises UsageError for an unknown id, and for a contradiction.

    >>> with_faults(C2, ["B17"]).interrupted_wait
    'BUSY'
    """
    return switched(behaviour, FAULTS, ids)
