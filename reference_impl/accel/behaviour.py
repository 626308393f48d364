# SPDX-License-Identifier: Apache-2.0
"""Where the revisions of the driver differ, and which guard each historical bug takes away: one switch each.

The defaults are c2, Linux 6.12. `REVISIONS` has a (one open at a time), b (the posted scheme of lazy contexts, also
called b9), c0 (5.4), c1 (6.1), c2 and intended. The code asks these switches and nothing else about which one it is.
"""

from dataclasses import dataclass, replace
from typing import Final, Literal

from ..kernel.errno import Errno
from .rules import MemoryRules


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One way to be the driver."""

    name: str = "c2"

    # Nodes and the way in.
    control_node: bool = True
    drm_core: bool = True  # O_EXCL, unplugged devices and unknown numbers are answered before the driver
    ioctls_check_pending: bool = False  # a hard reset that is pending answers every ioctl with -ENODEV
    unknown_number: Errno = Errno.EINVAL
    unknown_operation: Errno = Errno.EINVAL

    # open
    open_checks: Literal["usable", "status"] = "status"
    open_refuses_debug: bool = False
    open_refuses_taken: bool = True
    control_opens: Literal["usable", "operational", "unless broken"] = "unless broken"
    allocates: Literal["before the checks", "after the checks"] = "before the checks"
    listed: Literal["when complete", "before it is complete"] = "when complete"
    lists: Literal["one", "one each"] = "one each"  # for compute and control fds

    # Contexts and the slot.
    context: Literal["at open", "at first use"] = "at open"
    slot: Literal["open count", "context", "flag"] = "flag"
    slot_identity: Literal["address", "serial"] = "serial"  # by what the slot names a context
    slot_emptied: Literal["last", "before the idle check"] = "last"
    any_close_empties_slot: bool = False
    published: Literal["with a handle", "before it has a handle"] = "with a handle"
    compute_needs_slot: bool = True  # with contexts at first use
    wait_takes_slot: bool = (
        True  # with contexts at first use: WAIT creates and upgrades like any other, or does neither
    )
    submit_takes: Literal["first", "last"] = "first"  # with contexts at first use: the slot, before or after all checks
    info_takes: Literal["any ASID", "none that work needs"] = "any ASID"  # with contexts at first use
    looks_again: bool = False  # with contexts at first use: at the device, where a call waited for the lock
    invalid_is_eacces: bool = True  # with contexts at first use: the reason of a failed creation is lost
    context_copied: Literal["after the check", "before the check"] = "after the check"
    reset_takes_context: Literal["counted", "uncounted"] = "counted"
    dead_after_hard_reset: bool = False  # a context that outlives a hard reset does nothing any more

    # The end of a context and of an fd.
    buffers_hold_context: bool = True
    end_clears_debug: Literal["always", "if it has the slot", "never"] = "always"
    end_spares_pending_device: bool = True  # device memory is not touched while a hard reset is pending
    asid_freed: Literal["after the mappings", "before the mappings"] = "after the mappings"
    idle_check: Literal["none", "always", "unless in reset"] = "unless in reset"
    failed_scrub_resets: bool = True
    late_close_resets: bool = True  # what is still in use after close is reset away
    export_holds: Literal["nothing", "context", "file"] = "file"

    # Submissions and waits.
    submission_holds_context: bool = True
    submission_holds_buffers: bool = True
    full_ring_consumes_sequence: bool = False
    reset_restarts_sequence: bool = False
    typed_submissions: bool = True  # staged and sync-stream flags, outcome store, multi-wait
    wait_checks: Literal["nothing", "operational", "operational and watchdog"] = "operational and watchdog"
    interrupted_wait: Literal["EINTR", "BUSY"] = "EINTR"
    multi_wait_puts_fences: bool = True
    multi_wait_checks_fences: bool = True
    memory: MemoryRules = MemoryRules()  # noqa: RUF009, it is frozen
    map_error_unlocks: Literal["once", "twice"] = "once"
    timeout_resets: Literal["soft", "conditional"] = "conditional"

    # INFO, debug mode, frequency.
    info: Literal["5.1", "5.4", "6.1", "6.12"] = "6.12"
    info_counters: Literal["own", "slot owner"] = "own"
    events_on_control: bool = False
    debug_needs_single: bool = False
    low_checks_slot: bool = True
    slot_raises_clocks: bool = False

    # Reset, removal, power.
    status: Literal["5.1", "6.1", "6.12"] = "6.12"
    removal_shows: bool = True  # as MALFUNCTION
    pending_shows: Literal["behind the barrier", "at once"] = "behind the barrier"  # a hard reset, or a removal
    kill: Literal["before rollback", "after rollback"] = "after rollback"
    kill_gives_up: Literal["goes on", "trials"] = "trials"
    kill_lock: Literal["while signalling", "throughout"] = "while signalling"
    kill_unlocks_for_dead: bool = True
    reset_waits_for_messages: bool = True
    remembers_hard_reset: bool = True
    escalation_changes_kind: bool = True
    broken_refuses_soft: bool = True
    scrubs: bool = True
    failed_scrub_fails_reset: bool = True
    reset_clears_slot: bool = True
    failed_kernel_context_frees_tables: bool = True
    open_wipes_captured: bool = True
    consecutive_failures: frozenset[str] = frozenset({"firmware", "heartbeat"})  # that break the device
    removal_wait: int = 600
    survivors: Literal["lose their device", "keep their device", "close in peace"] = "lose their device"


C2: Final = Behaviour()

C1: Final = replace(
    C2,
    name="c1",
    drm_core=False,
    unknown_number=Errno.ENOTTY,
    control_opens="operational",
    idle_check="always",
    failed_scrub_resets=False,
    failed_scrub_fails_reset=False,
    late_close_resets=False,
    export_holds="context",
    wait_checks="operational",
    interrupted_wait="BUSY",
    memory=MemoryRules(destroy_once=False),
    timeout_resets="soft",
    info="6.1",
    events_on_control=True,
    status="6.1",
    removal_shows=False,
    broken_refuses_soft=False,
    consecutive_failures=frozenset({"firmware"}),
    removal_wait=60,
)

C0: Final = replace(
    C1,
    name="c0",
    any_close_empties_slot=True,
    ioctls_check_pending=True,
    slot_raises_clocks=True,
    unknown_operation=Errno.ENOTTY,
    open_checks="usable",
    open_refuses_debug=True,
    control_opens="usable",
    lists="one",
    slot="context",
    slot_identity="address",
    buffers_hold_context=False,
    memory=MemoryRules(destroy_once=False, handle="until destroy"),
    end_clears_debug="if it has the slot",
    idle_check="none",
    export_holds="nothing",
    typed_submissions=False,
    wait_checks="nothing",
    interrupted_wait="EINTR",
    info="5.4",
    status="5.1",
    kill_gives_up="goes on",
    reset_takes_context="uncounted",
    remembers_hard_reset=False,
    scrubs=False,
    failed_kernel_context_frees_tables=False,
    consecutive_failures=frozenset(),
    removal_wait=10,
    survivors="keep their device",
)

B: Final = replace(
    C0,
    name="b",
    any_close_empties_slot=False,
    control_node=False,
    open_refuses_taken=False,
    context="at first use",
    context_copied="before the check",
    info="5.1",
    debug_needs_single=True,
)

A: Final = replace(
    C0,
    name="a",
    control_node=False,
    allocates="after the checks",
    slot="open count",
    published="before it has a handle",
    info="5.1",
    end_clears_debug="always",
    kill="before rollback",
    kill_lock="throughout",
)

INTENDED: Final = replace(
    B,
    name="intended",
    # The slot means one context, whatever has its address; a reset holds the context that it looks at.
    slot_identity="serial",
    reset_takes_context="counted",
    # Calls work with the context that the check has made.
    context_copied="after the check",
    # What was made before a hard reset does nothing after it, and leaves nothing on the device.
    dead_after_hard_reset=True,
    # What fails takes nothing, asking takes nothing that work needs, and waiting is no work.
    submit_takes="last",
    info_takes="none that work needs",
    wait_takes_slot=False,
    # Debugging needs the slot, not solitude.
    open_refuses_debug=False,
    debug_needs_single=False,
    # Contention is told from failure.
    invalid_is_eacces=False,
    looks_again=True,
    pending_shows="at once",
    # Who survives a removal can give back what it has.
    survivors="close in peace",
    # A reset that fails gives back what it has made.
    failed_kernel_context_frees_tables=True,
    # Memory belongs to who allocated it, lives as long as somebody shows it, and is scrubbed before the next owner.
    scrubs=True,
    failed_scrub_resets=True,
    memory=replace(
        B.memory,
        free_tests_owner=True,
        orphan="freed at the last unmap",
        close_skips_destroyed=True,
        scrub_skips_clean=True,
    ),
)

REVISIONS: Final = {behaviour.name: behaviour for behaviour in (A, B, C0, C1, C2, INTENDED)} | {"b9": B}
