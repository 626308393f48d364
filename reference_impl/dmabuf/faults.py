# SPDX-License-Identifier: Apache-2.0
"""Historical bugs as switches: each takes one guard, undo or order away, so that a detector can be seen to detect.

Ids are those of the fact sheet, section 5; docs/machines/dmabuf-historical-faults.md says which were chosen and why.
A switch sets fields of `Design`; two switches combine unless they set the same field.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, Final, Literal

from ..kernel import UsageError
from .design import Design

Kind = Literal["lifetime", "race", "errno", "lock order", "leak"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One bug: what goes wrong, the design in which it is shown, what it violates, and what it changes in `Design`."""

    id: str
    sentence: str
    base: str
    kind: Kind
    violates: tuple[str, ...]
    change: dict[str, Any]


_ALL: Final = (
    Fault(
        "B01",
        "export publishes the descriptor, then takes the references that the buffer needs",
        "D2c",
        "race",
        ("dmabuf.I01", "dmabuf.I02"),
        {"publishes_last": False},
    ),
    Fault(
        "B03",
        "the error path of export tears down what the release of the buffer has torn down",
        "D2b",
        "leak",
        ("dmabuf.I03",),
        {"undo_once": False},
    ),
    Fault(
        "B04",
        "the error path of export tears down the private part and leaves the buffer",
        "D2b",
        "leak",
        ("dmabuf.I03",),
        {"undo_puts_buffer": False},
    ),
    Fault(
        "B06",
        "the descriptor is published before the answer is copied out",
        "D2c",
        "errno",
        ("dmabuf.I01", "dmabuf.I03"),
        {"copies_out_first": False},
    ),
    Fault(
        "B08",
        "closing the exporter drops the drain count of a buffer that is revoked already",
        "D3b",
        "lifetime",
        ("dmabuf.I22", "dmabuf.P01"),
        {"drains_once": False},
    ),
    Fault(
        "B09",
        "importers that pin and cannot be revoked may attach and pin",
        "D3a",
        "lifetime",
        ("dmabuf.I12", "dmabuf.I16"),
        {"pin": "granted", "requires_revocable": False},
    ),
    Fault(
        "B11",
        "a region whose map fails is unpinned twice",
        "D3b",
        "lifetime",
        ("dmabuf.I11",),
        {"failed_map_unpins_once": False},
    ),
    Fault(
        "B12",
        "deregistering takes the driver's lock before the reservation, and frees the key first",
        "D3b",
        "lock order",
        ("dmabuf.I17", "dmabuf.I33"),
        {"deregister_order": "driver lock first"},
    ),
    Fault(
        "B14",
        "an import that fails after the attach does not detach",
        "intended",
        "leak",
        ("dmabuf.I09",),
        {"failed_import_detaches": False},
    ),
    Fault(
        "B15",
        "a peer's attachment takes no power reference",
        "intended",
        "lifetime",
        ("dmabuf.I15",),
        {"peer_holds_power": False},
    ),
    Fault(
        "B16",
        "whoever looks a buffer up keeps its reference when that fails: a query, an import",
        "D2c",
        "leak",
        ("dmabuf.I04",),
        {"failed_users_put": False},
    ),
    Fault(
        "B17",
        "size and offset of an export are kept on the allocation",
        "D2b",
        "errno",
        ("dmabuf.I07", "dmabuf.I08"),
        {"range_is_the_buffers": False},
    ),
    Fault(
        "B19",
        "a buffer holds its exporter's context, and not the device's file",
        "D2c",
        "lifetime",
        ("dmabuf.I02", "dmabuf.I20"),
        {"holds": "context"},
    ),
    Fault(
        "B20",
        "the close of a device destroys the tables of a context that a buffer keeps",
        "D1",
        "lifetime",
        ("dmabuf.I02", "dmabuf.I28"),
        {"tables_outlive_file": False},
    ),
    Fault(
        "B24",
        "a buffer leaves the debug list only after its file is gone",
        "D2c",
        "lifetime",
        ("dmabuf.I02",),
        {"unlisted_before_gone": False},
    ),
    Fault(
        "B25",
        "the debug listing reads the name without its lock",
        "D2c",
        "race",
        ("dmabuf.I06",),
        {"name_is_locked": False},
    ),
    Fault(
        "B27",
        "a buffer is listed before it is complete, and stays listed if its file cannot be made",
        "D2c",
        "errno",
        ("dmabuf.I01", "dmabuf.I03"),
        {"listed_when_complete": False},
    ),
    Fault(
        "B28",
        "inode numbers are used again while in use",
        "D2c",
        "errno",
        ("dmabuf.I21",),
        {"inodes_are_unique": False},
    ),
    Fault(
        "B29",
        "a wait with no time sleeps one tick and answers as if time were up",
        "D2c",
        "errno",
        ("dmabuf.F05",),
        {"zero_wait_is_a_test": False},
    ),
    Fault(
        "B31",
        "a fence of the same context replaces a later one",
        "D2c",
        "lifetime",
        ("dmabuf.F04",),
        {"replaces_only_older": False},
    ),
    Fault(
        "B32",
        "the test for all fences looks only at the last",
        "D2c",
        "errno",
        ("dmabuf.F04",),
        {"tests_all": False},
    ),
    Fault(
        "B33",
        "the last reference to a fence is dropped by its callback, whose release takes the timeline's lock",
        "D2c",
        "lock order",
        ("dmabuf.I33",),
        {"signal_holds_fence": False},
    ),
    Fault(
        "B35",
        "the fault handler does not compare the page with the size of the buffer",
        "intended",
        "lifetime",
        ("dmabuf.I19",),
        {"fault_is_bounded": False},
    ),
    Fault(
        "B37",
        "sizes are summed in 32 bits",
        "D2c",
        "errno",
        ("dmabuf.I07",),
        {"wide_sums": False},
    ),
    Fault(
        "B41",
        "an importer does not keep the buffer that it attached to",
        "D2c",
        "lifetime",
        ("dmabuf.I05", "dmabuf.I09"),
        {"importers_hold_file": False},
    ),
    Fault(
        "B43",
        "revoke takes a reference to a file whose count is zero already",
        "D3b",
        "lifetime",
        ("dmabuf.I02",),
        {"get_unless_zero": False},
    ),
    Fault(
        "B45",
        "map looks for a mapping before it takes the lock",
        "intended",
        "race",
        ("dmabuf.I10",),
        {"map_looks_under_lock": False},
    ),
    Fault(
        "B46",
        "a submission that fails after it published its fence does not signal it",
        "intended",
        "lifetime",
        ("dmabuf.F01",),
        {"reserves_room_first": False},
    ),
    Fault(
        "B48",
        "the length of an entry of an address list wraps (here at two pages, so that it can be had)",
        "D2c",
        "errno",
        ("dmabuf.I08",),
        {"wide_lengths": False},
    ),
    Fault(
        "B50",
        "map does not ask whether the backing store is gone",
        "intended",
        "lifetime",
        ("dmabuf.I14", "dmabuf.I26"),
        {"map_checks_status": False},
    ),
)

FAULTS: Final = {fault.id: fault for fault in _ALL}


def with_faults(design: Design, ids: Iterable[str]) -> Design:
    """Return `design` with the given bugs in it.

    Raises UsageError for an unknown id, and for two bugs that set one field to different values.

    >>> with_faults(DESIGNS["D2c"], ["B17"]).range_is_the_buffers
    False
    """
    changes: dict[str, Any] = {}
    for fault_id in ids:
        fault = FAULTS.get(fault_id)
        if fault is None:
            near = get_close_matches(fault_id, FAULTS, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(FAULTS)}"
            raise UsageError(f"no fault is called {fault_id!r}; {hint}")
        for name, value in fault.change.items():
            if changes.setdefault(name, value) != value:
                raise UsageError(f"fault {fault_id} contradicts another one about {name}")
    return replace(design, **changes)
