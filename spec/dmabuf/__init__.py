# SPDX-License-Identifier: Apache-2.0
"""Sharing device memory through dma-buf: the designs that were posted, shipped or argued for, side by side."""

from accelspec.spec.language import Machine

from .fences import Fences
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
    Fences,
    Locks,
    *SCENARIOS,
)

__all__ = [
    "D0",
    "D1",
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
