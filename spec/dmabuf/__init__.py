# SPDX-License-Identifier: Apache-2.0
"""Sharing device memory through dma-buf: the designs side by side; and, alike in all of them, fences and lock order.

Three machines, and one set of laws: `dmabuf.I01` to `dmabuf.P09` are numbered through all of them.
"""

from accelspec.spec.language import Machine

from .fence_laws import Fences
from .held import D0, D1, D0v3, D2a, D2b, D2c
from .intended import Intended, IntendedStrict
from .lock_scenarios import SCENARIOS
from .locks import Locks
from .revoked import D3a, D3b, D3bV7, D3t

REVISIONS: tuple[type[Machine], ...] = (
    D0,
    D0v3,
    D1,
    D2a,
    D2b,
    D2c,
    D3a,
    D3b,
    D3bV7,
    D3t,
    Intended,
    IntendedStrict,
)
FENCES: tuple[type[Machine], ...] = (Fences,)
LOCKS: tuple[type[Machine], ...] = (Locks, *SCENARIOS)

__all__ = [
    "D0",
    "D1",
    "FENCES",
    "LOCKS",
    "REVISIONS",
    "D0v3",
    "D2a",
    "D2b",
    "D2c",
    "D3a",
    "D3b",
    "D3bV7",
    "D3t",
    "Fences",
    "Intended",
    "IntendedStrict",
    "Locks",
]
