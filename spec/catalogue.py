# SPDX-License-Identifier: Apache-2.0
"""What there is: every machine, and its revisions, base first."""

from __future__ import annotations

from accelspec.spec.language import Machine

from .dma_heap import REVISIONS as DMA_HEAP
from .dmabuf import FENCES, LOCKS
from .dmabuf import REVISIONS as DMABUF
from .drm_master import REVISIONS as DRM_MASTER
from .habanalabs import MAINLINE
from .habanalabs import REVISIONS as POSTED
from .ownership import REVISIONS as OWNERSHIP
from .prime import REVISIONS as PRIME
from .sync_file import REVISIONS as SYNC_FILE
from .uacce import REVISIONS as UACCE
from .udmabuf import REVISIONS as UDMABUF

MACHINES: dict[str, dict[str, type[Machine]]] = {
    machine[0].machine: {r.revision: r for r in machine}
    for machine in (
        *(UACCE, OWNERSHIP, DRM_MASTER, PRIME, DMABUF, FENCES, LOCKS),
        *(DMA_HEAP, UDMABUF, SYNC_FILE, (*POSTED, *MAINLINE)),
    )
}

# What the main job looks at where nothing is named: all else are steps between these, or options of them.
PRINCIPAL: dict[str, tuple[str, ...]] = {
    "uacce": ("6.12.117", "6.1.192", "legacy", "5.7", "v4", "intended"),
    "ownership": ("drm_auth", "proposal", "habanalabs", "intended"),
    "dmabuf": ("D0", "D1", "D2c", "D3b", "intended"),
    "fences": ("6.12",),
    "locks": ("adopted",),
}
