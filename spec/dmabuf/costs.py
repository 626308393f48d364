# SPDX-License-Identifier: Apache-2.0
"""What each design costs: who is refused, who waits, who is killed, and what is left to an administrator."""

from __future__ import annotations

from accelspec.spec.language import cost, deduced, read, stated
from accelspec.spec.language.specification import Cost

FACTS = "docs/facts/dmabuf.md"
ROWS = "the rows of the machine"


def costs(refused: Cost, waits: Cost, killed: Cost, administrator: Cost) -> dict[str, Cost]:
    """The four questions of source 001."""
    return {
        "who is refused": refused,
        "who waits": waits,
        "who is killed": killed,
        "what an administrator must do": administrator,
    }


NOBODY = cost("nobody", deduced(ROWS))
NOTHING = cost("nothing", deduced(ROWS))
SOURCE_001 = stated("option 2", document="source 001")

D0 = costs(
    cost("importers that are not peer-to-peer", deduced("EPERM when they attach or map")),
    NOBODY,
    NOBODY,
    cost("find out who still maps a tenant's memory: nothing in the driver tells", deduced("no ownership link")),
)
D1 = costs(
    cost("the next owner, with EBUSY, as long as any buffer of the one before lives", SOURCE_001),
    cost("whoever wants the device, for whoever keeps a buffer: without a bound", SOURCE_001),
    cost("every process that holds a buffer or a region of it", SOURCE_001),
    cost("shoot down processes until the one with the region is hit", SOURCE_001),
)
D2A = costs(
    cost("the next opener, with EAGAIN", read("hl_device_open")),
    cost("a reset, about ten minutes; a removal, 600 s", read("hl_device_reset", document=FACTS)),
    cost("the opener, who may not be the one that keeps the buffer", read("section 2.6", document=FACTS)),
    cost("kill the holder; load the driver again after a reset that was given up", deduced("facts 2.6, S8")),
)
D2C = costs(
    cost("the next opener, with EBUSY; the owner who frees what is exported, with EINVAL", read("hl_device_open")),
    cost("a reset, about ten minutes; a removal, 600 s", read("hl_device_reset", document=FACTS)),
    cost("the opener, who may not be the one that keeps the buffer", read("section 2.6", document=FACTS)),
    cost("kill the holder; load the driver again after a reset that was given up", deduced("facts 2.6, S8")),
)
D3A = costs(
    cost("importers without peer-to-peer; whoever maps what is revoked, with ENODEV", stated("commit 5d74781ebc86")),
    NOBODY,
    NOBODY,
    cost("keep pinned importers away from it: nothing in the driver does", stated("61ceaf236115")),
)
D3B = costs(
    cost("importers that cannot be revoked, with EOPNOTSUPP: most RDMA hardware", stated("61ceaf236115")),
    cost("a reset, a close, a removal: until importers have unmapped, without a bound", stated("dmabuf-revoke v7")),
    NOBODY,
    NOTHING,
)
D3T = costs(
    cost("importers that cannot be revoked (taken over from D3b)", deduced("the facts say that it revokes, not whom")),
    cost("freed memory, for the last buffer on it; a reset, as in D3b", stated("section 2.2", document=FACTS)),
    NOBODY,
    cost("kill the holder if the pool runs dry", deduced("ENOMEM, as long as exports keep memory")),
)
INTENDED = costs(
    cost("the next owner, with EBUSY, and a reset, but only while a pinned importer is attached", deduced("T3, T4")),
    cost("as D3b; and a removal, for pinned importers", deduced("T5")),
    cost("nobody; the holder of a pinned region, if the administrator wants the device", deduced("T3")),
    cost("decide whether pinned importers are let in (`intended-strict` refuses them)", deduced("T1")),
)
