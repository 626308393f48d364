# SPDX-License-Identifier: Apache-2.0
"""habanalabs 5.x: the violations that the revisions are known to have.

docs/machines/habanalabs-expectations.md argued them before an engine had seen the machine.
"""

from __future__ import annotations

from accelspec.spec.language import deduced, read, stated, violates

from .objects import FACTS

NO_CONTROL_NODE = {"habanalabs.I19": "there is no control node"}
MANY_FILES = {
    **NO_CONTROL_NODE,
    "habanalabs.I31": "looked at in c0, where the row is the same; with upgrades its scope is too large",
}
ALONE = {
    **NO_CONTROL_NODE,
    "habanalabs.I20": "up to 8/9 nobody else has the device open",
    "habanalabs.I33": "a file is counted, or listed, as the last thing of its open",
}
LISTED_LAST = {"habanalabs.I33": "the list insertion is the last thing that open does"}

WITHOUT_LOCK = deduced("hpriv_release gives the count back first and clears the pointer afterwards, under no lock")
POINTER = deduced("compute_ctx is compared with a pointer to what was freed")

# ---------------------------------------------------------------------- every revision of 5.x

EVERYWHERE = (
    violates(
        "habanalabs.I16",
        "reset_work.ok",
        "debug mode is switched off with the context in the slot; a hard reset empties the slot under a survivor",
        deduced("hl_ctx_fini is the only one that ends debug mode"),
    ),
    violates("habanalabs.I18", "map.ok", "no memory is scrubbed between owners", stated("section 1.2", document=FACTS)),
    violates(
        "habanalabs.I29",
        "info.device_gone",
        "removal goes on over whoever does not die, and frees the device under the file",
        read("hl_device_fini"),
    ),
)
DANGLES = violates(
    "habanalabs.I05",
    "close.context_freed",
    "the context is freed before the slot is left",
    read("hpriv_release", "hl_ctx_put comes first"),
)
SURVIVORS = violates(
    "habanalabs.I13",
    "cb_create.ok",
    "the kill stage waits, and goes on; whoever is left works on the new hardware",
    read("device_kill_open_processes"),
)
SURVIVORS_LAZY = violates(
    "habanalabs.I13",
    "submit.ok",
    "the kill stage waits, and goes on; whoever is left is given the empty slot again",
    read("device_kill_open_processes"),
)
KILLED_FIRST = violates("habanalabs.I11", "remove.killed", "kill, then roll back (B6)", read("hl_device_reset"))

# ---------------------------------------------------------------------- one file at a time, by a count

RACE = (
    violates("habanalabs.I01", "close.ok", "the pointer of the next owner is cleared", WITHOUT_LOCK),
    violates("habanalabs.I03", "close.ok", "the pointer of the next owner is cleared", WITHOUT_LOCK),
    violates("habanalabs.I09", "submit.ok", "the owner works while the slot is empty", WITHOUT_LOCK),
)
NO_VICTIM = violates(
    "habanalabs.I04", "remove.no_user_context", "somebody is counted, and the pointer is cleared", WITHOUT_LOCK
)
DANGLES_A = violates(
    "habanalabs.I05",
    "open.no_handle",
    "the context is given to the device before its handle fails (B21), and left there after a close",
    read("hl_ctx_create"),
)
LOW_CLOCKS = violates(
    "habanalabs.I25", "frequency_tick.ok", "the clocks go by the count, the slot is still to be left", WITHOUT_LOCK
)
LOW_CLOCKS_A = violates(
    "habanalabs.I25",
    "open.no_handle",
    "a failed open leaves a pointer, and clocks that it has not raised (B21)",
    read("hl_ctx_create"),
)
STUCK = violates(
    "habanalabs.P03", "open.no_handle", "what a failed open left in the slot stays there (B21)", read("hl_ctx_create")
)

COUNTED_FIRST = violates(
    "habanalabs.I15",
    "open.ok",
    "the state is looked at under the lock, and the rest of the open comes after it (H99)",
    deduced("the count is taken under the lock, the context is made under none"),
)

KNOWN_A = [*EVERYWHERE, *RACE, COUNTED_FIRST, NO_VICTIM, DANGLES_A, SURVIVORS, KILLED_FIRST, LOW_CLOCKS_A, STUCK]
DANGLES_COUNT = violates(
    "habanalabs.I05", "close.count_given_back", "the context is freed before the slot is left", read("hpriv_release")
)
KNOWN_B1 = [*EVERYWHERE, *RACE, COUNTED_FIRST, NO_VICTIM, DANGLES_COUNT, SURVIVORS, KILLED_FIRST, LOW_CLOCKS]

# ---------------------------------------------------------------------- lazy contexts

FIRST_CALL = violates(
    "habanalabs.I04",
    "submit.placed",
    "CS and MEMORY copy the pointer before the check makes a context (V3); a reset meets a file without one (V4)",
    read("hl_cs_ioctl, hl_mem_ioctl, device_kill_open_processes"),
)
LOCKED_OUT = violates(
    "habanalabs.I32",
    "remove.grace",
    "the kill stage sleeps under the lock that a close takes (B7)",
    stated("7/9"),
)
INSIDE = violates(
    "habanalabs.I13",
    "cb_create.ok",
    "a call that had looked before the reset goes on after it (H01)",
    deduced("an ioctl holds no lock against a reset"),
)
KNOWN_B3 = [*EVERYWHERE, *RACE, FIRST_CALL, DANGLES_COUNT, SURVIVORS_LAZY, KILLED_FIRST, LOW_CLOCKS]
KNOWN_B4 = [*EVERYWHERE, *RACE, FIRST_CALL, DANGLES_COUNT, SURVIVORS_LAZY, KILLED_FIRST]
NEVER_ITS_TURN = violates(
    "habanalabs.P03",
    "reset_work.no_kernel_context",
    "resets that fail one after the other leave the slot as it is, and keep the list's lock from the close (B7, B13)",
    deduced("device_kill_open_processes sleeps with the lock; nothing clears user_ctx behind the failure"),
)
KNOWN_B5 = [*EVERYWHERE, FIRST_CALL, DANGLES, SURVIVORS_LAZY, KILLED_FIRST, LOCKED_OUT, NEVER_ITS_TURN]
KNOWN_B6 = [*EVERYWHERE, INSIDE, FIRST_CALL, DANGLES, KILLED_FIRST, LOCKED_OUT, NEVER_ITS_TURN]
KNOWN_B7 = [*EVERYWHERE, INSIDE, FIRST_CALL, DANGLES, KILLED_FIRST]
KNOWN_B8 = [*EVERYWHERE, INSIDE, FIRST_CALL, DANGLES]

# ---------------------------------------------------------------------- many files

MANY = (
    violates(
        "habanalabs.I15",
        "open.ok",
        "the state is looked at under the lock, and the rest of the open comes after it",
        deduced("the list's lock is dropped before the record is filled in"),
    ),
    violates(
        "habanalabs.I20",
        "debug_on.not_alone",
        "one monitor forbids debugging (V7); monitors that asked have taken the ASIDs",
        read("hl_device_set_debug_mode"),
    ),
    violates(
        "habanalabs.I23",
        "submit.bad_arguments",
        "a submission that is refused has taken the slot",
        read("hl_cs_ioctl", "the check that upgrades comes before everything else"),
    ),
    violates(
        "habanalabs.I33",
        "remove.killed",
        "a file is put on the list before it is filled in (B3)",
        stated("5.1 B3", document=FACTS),
    ),
    violates("habanalabs.L02", "fork.ok", "a file that is shared is used by two processes", deduced("fork")),
    violates(
        "habanalabs.L03",
        "info.creation_fails",
        "INFO needs a context, and that memory and an ASID",
        read("hl_ctx_is_valid"),
    ),
)
BY_ADDRESS = (
    violates("habanalabs.I01", "info.ok", "a new context at the old address is in the slot at once (V1)", POINTER),
    violates("habanalabs.I02", "wait.not_submitted", "and computes without having been granted anything (V1)", POINTER),
    violates("habanalabs.I03", "close.ok", "the slot is cleared for a pointer that means another by now (V1)", POINTER),
    violates("habanalabs.I09", "close.ok", "a pointer that means another by now is cleared while that works", POINTER),
    violates("habanalabs.L05", "info.ok", "a context for each open file", read("hl_ctx_create")),
)
KNOWN_B9 = [*EVERYWHERE, *MANY, *BY_ADDRESS, FIRST_CALL, DANGLES, SURVIVORS_LAZY]
KNOWN_LETTER = [*EVERYWHERE, *MANY, SURVIVORS_LAZY]

# ---------------------------------------------------------------------- the control node of 5.4

WHOEVERS = deduced("hpriv_release clears the pointer, whoever's it is; a hard reset has let another in")
KNOWN_C0 = [
    *EVERYWHERE,
    DANGLES,
    SURVIVORS,
    violates("habanalabs.I01", "close.ok", "a survivor who leaves at last clears the slot of the next owner", WHOEVERS),
    violates("habanalabs.I03", "close.ok", "a survivor who leaves at last clears the slot of the next owner", WHOEVERS),
    violates("habanalabs.I09", "close.ok", "and that one works on with an empty slot", WHOEVERS),
    violates(
        "habanalabs.I31",
        "free.ok",
        "after a hard reset the memory of a survivor is freed by the next owner",
        read("free_device_memory", "no owner is looked at"),
    ),
]
