# SPDX-License-Identifier: Apache-2.0
"""Where the designs of sharing device memory differ, and which guard each historical bug takes away.

A design is a driver nobody or somebody shipped; its differences are data. The code asks these switches and nothing else
about which design it is. The second half is what every design has and a historical bug takes away (faults.py).
"""

from dataclasses import dataclass, replace
from enum import Enum, IntEnum
from typing import Final, Literal

from ..kernel.errno import Errno


class Era(IntEnum):
    """An era of the dma-buf core: 6.1; 6.2 to 6.15; 2026."""

    C61 = 61
    C612 = 612
    C71 = 710


class FreePolicy(Enum):
    """What becomes of a free while the memory is exported."""

    NONE = "none"  # freed, whoever still reaches it
    REFUSE = "refuse"
    DEFER = "defer"  # freed with the last export
    REVOKE = "revoke"  # the exports are revoked first


@dataclass(frozen=True, slots=True)
class Design:
    """One way to share device memory."""

    name: str
    era: Era = Era.C612
    mmu: bool = True  # the device translates its own addresses, unless a system says otherwise

    # export
    addressing: Literal["handle", "none", "virtual"] = "virtual"  # what a device with an MMU exports by
    size_is_pages: bool = True
    sum_is_checked: bool = False
    reserves_first: bool = True  # the descriptor, before there is a buffer
    region_guards: bool = False  # those of vfio, where addresses are physical

    # what keeps what alive
    holds: Literal["nothing", "context", "file", "context of the irrevocable"] = "nothing"
    ownership: bool = False  # can be dropped and taken again
    exclusive: bool = True  # one session at a time
    releasing: Errno = Errno.EAGAIN  # what an open answers while the last session is being released
    leaving: Errno = Errno.EPERM  # what it answers while a removal waits for openers
    close_revokes: bool = True  # what the session exported, where anything is revoked
    free: FreePolicy = FreePolicy.REFUSE
    export_blocks_unmap: bool = False

    # attach, pin, map
    attach: Literal["clears p2p", "requires p2p"] = "clears p2p"
    attach_checks_status: bool = False
    requires_revocable: bool = False
    attach_looks_ahead: bool = False  # nobody attaches to what is about to be revoked
    pin: Literal["none", "refused", "granted"] = "none"
    physical: bool = False  # gives a list of physical ranges to an importer that asks for it
    cpu_mmap: bool = False
    moves: bool = False

    # revoke, and what happens to the device
    revoke: Literal["none", "notify", "drain"] = "none"
    revoke_by_request: bool = False
    power: Literal["none", "revokes", "attachments"] = "none"
    reset: Literal["runs on", "waits for openers", "revokes"] = "runs on"
    remove: Literal["runs on", "waits for openers", "revokes"] = "runs on"
    told_of_removal: bool = True  # who still has a removed device open; else his next command follows a NULL

    # What a historical bug takes away.
    publishes_last: bool = True
    undo_once: bool = True
    undo_puts_buffer: bool = True
    copies_out_first: bool = True
    drains_once: bool = True
    failed_map_unpins_once: bool = True
    deregister_order: Literal["reservation first", "driver lock first"] = "reservation first"
    failed_import_detaches: bool = True
    peer_holds_power: bool = True
    failed_users_put: bool = True
    tables_outlive_file: bool = True
    importers_hold_file: bool = True
    range_is_the_buffers: bool = True
    unlisted_before_gone: bool = True
    name_is_locked: bool = True
    listed_when_complete: bool = True
    inodes_are_unique: bool = True
    zero_wait_is_a_test: bool = True
    replaces_only_older: bool = True
    tests_all: bool = True
    signal_holds_fence: bool = True
    fault_is_bounded: bool = True
    wide_sums: bool = True
    wide_lengths: bool = True
    get_unless_zero: bool = True
    map_looks_under_lock: bool = True
    reserves_room_first: bool = True
    map_checks_status: bool = True

    @property
    def dynamic(self) -> bool:
        """Tell whether the exporter has a pin operation, which is what the core calls dynamic."""
        return self.pin != "none"

    @property
    def checks_status(self) -> bool:
        """Tell whether buffers can be revoked, so that attach and map have to ask."""
        return self.revoke != "none"


D0: Final = Design(
    "D0",
    Era.C61,
    addressing="handle",
)

D1: Final = replace(
    D0,
    name="D1",
    holds="context",
    ownership=True,
    releasing=Errno.EBUSY,
)

D2A: Final = Design(
    "D2a",
    Era.C61,
    mmu=False,
    addressing="none",
    size_is_pages=False,
    holds="context",
    leaving=Errno.EAGAIN,
    reset="waits for openers",
    remove="waits for openers",
)

D2B: Final = replace(
    D2A,
    name="D2b",
    leaving=Errno.EPERM,
    era=Era.C612,
    mmu=True,
    addressing="virtual",
    reserves_first=False,
    holds="file",
    export_blocks_unmap=True,
)

D2C: Final = replace(
    D2B,
    name="D2c",
    size_is_pages=True,
    reserves_first=True,
    told_of_removal=False,
)

D3A: Final = Design(
    "D3a",
    Era.C71,
    reserves_first=False,
    region_guards=True,
    sum_is_checked=True,
    free=FreePolicy.REVOKE,
    attach="requires p2p",
    attach_checks_status=True,
    pin="refused",
    physical=True,
    revoke="notify",
    power="revokes",
    reset="revokes",
    remove="revokes",
)

D3B: Final = replace(
    D3A,
    name="D3b",
    requires_revocable=True,
    pin="granted",
    revoke="drain",
)

D3T: Final = replace(
    D3B,
    name="D3t",
    region_guards=False,
    reserves_first=True,
    exclusive=False,
    close_revokes=False,
    free=FreePolicy.DEFER,
    physical=False,
)

INTENDED: Final = replace(
    D3B,
    name="intended",
    # Nothing is published that a later step can still fail.
    reserves_first=True,
    region_guards=False,
    # An importer that cannot be revoked may attach: then the owner cannot change before it is gone (D1).
    requires_revocable=False,
    holds="context of the irrevocable",
    attach_looks_ahead=True,
    cpu_mmap=True,
    moves=True,
    revoke_by_request=True,
    # A device does not sleep under a peer.
    power="attachments",
)

DESIGNS: Final = {design.name: design for design in (D0, D1, D2A, D2B, D2C, D3A, D3B, D3T, INTENDED)}
