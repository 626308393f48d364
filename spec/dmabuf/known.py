# SPDX-License-Identifier: Apache-2.0
"""Violations that the designs are known to have, each with the row, the argument and who says so.

Written down before the runs that confirmed them: docs/machines/dmabuf-expectations.md.
"""

from __future__ import annotations

from accelspec.spec.language import deduced, read, stated, violates

FACTS = "docs/facts/dmabuf.md"
OBJECTION = stated("the objection", "buffers hang around without an ownership link", document="source 001")
BY_ADDRESS = violates(
    "dmabuf.I07", "export.ok", "by address: memory that nobody allocated is exported", read("export_dmabuf_from_addr")
)
FREE_IS_ACCOUNTING = violates(
    "dmabuf.I28", "free_memory.ok", "a free looks at no export", read("section 2.2", document=FACTS)
)
RESET_ASKS_NOBODY = violates(
    "dmabuf.I15", "reset.in_reset", "a reset looks at no mapping", stated("section 2.6", document=FACTS)
)
RESET_MOVES = violates(
    "dmabuf.I34", "reset.ok", "mappings survive the reset as they are", deduced("the BAR may lie elsewhere")
)

D0 = [
    BY_ADDRESS,
    RESET_ASKS_NOBODY,
    violates("dmabuf.I20", "open.ok", "the next owner comes while a buffer of the last is mapped", OBJECTION),
    violates("dmabuf.I26", "alloc.ok", "the pool gives out memory that is mapped", OBJECTION),
    violates("dmabuf.I27", "open.ok", "the importer writes behind the scrub", deduced("nothing stops the importer")),
    FREE_IS_ACCOUNTING,
    RESET_MOVES,
]
D0_V3 = [
    *D0,
    violates(
        "dmabuf.I13",
        "attach.ok",
        "the map operation does not look at the importer",
        stated("so even aside", "source 002"),
    ),
]
D1 = [
    BY_ADDRESS,
    RESET_ASKS_NOBODY,
    FREE_IS_ACCOUNTING,
    RESET_MOVES,
    violates(
        "dmabuf.P07",
        "open.owner_token",
        "whoever keeps the buffer keeps the ownership: by design",
        stated("option 2", "the administrator shoots down processes", document="source 001"),
    ),
]
REMOVAL_IS_FORCED = violates("dmabuf.I15", "remove.ok", "after 600 s importers are not asked", read("hl_device_fini"))
D2A = [
    BY_ADDRESS,
    REMOVAL_IS_FORCED,
    FREE_IS_ACCOUNTING,
    violates("dmabuf.P07", "open.releasing", "the buffer keeps the context: EAGAIN", read("hl_device_open")),
]
SUM_MAY_WRAP = violates(
    "dmabuf.I07", "export.ok", "offset plus size is not checked for overflow", deduced("facts, section 8, question 9")
)
FILE_IS_KEPT = violates(
    "dmabuf.P07", "open.busy", "the buffer keeps the device's file open: EBUSY", read("hl_device_open")
)
D2B = [
    violates("dmabuf.I01", "export.published", "published, then counted (B01)", stated("CVE-2025-38722")),
    violates("dmabuf.I02", "close.ok", "another thread closes the new descriptor (B01)", stated("CVE-2025-38722")),
    SUM_MAY_WRAP,
    violates("dmabuf.I08", "attach.ok", "the exported size is kept on the allocation (B17)", read("export_dmabuf")),
    REMOVAL_IS_FORCED,
    FILE_IS_KEPT,
]
D2C = [SUM_MAY_WRAP, REMOVAL_IS_FORCED, FILE_IS_KEPT]

PINNED_IGNORES = stated("61ceaf236115", "a pinned importer ignores the callback (B09)")
D3A = [
    violates(
        "dmabuf.I03",
        "export.no_descriptor",
        "the error path frees what the put has freed (B03)",
        stated("CVE-2026-31468"),
    ),
    violates("dmabuf.I12", "attach.ok", "pinned importers are let in (B09)", PINNED_IGNORES),
    violates("dmabuf.I15", "reset.in_reset", "the reset does not wait for mappings", PINNED_IGNORES),
    violates("dmabuf.I16", "revoke.ok", "the revoke does not wait for mappings", PINNED_IGNORES),
    violates("dmabuf.I20", "open.ok", "the next owner comes while a pinned importer maps", PINNED_IGNORES),
    violates("dmabuf.I26", "alloc.ok", "the pool gives out memory that is mapped", PINNED_IGNORES),
    violates("dmabuf.I27", "open.ok", "the importer writes behind the scrub", PINNED_IGNORES),
    violates("dmabuf.I34", "reset.ok", "mappings survive the reset as they are", PINNED_IGNORES),
]
D3B_V7 = [
    violates(
        "dmabuf.I22",
        "revoke.ok",
        "a close during a reset drops the first reference again, and waits for ever (B08)",
        stated("the fix of April 2026"),
    )
]
