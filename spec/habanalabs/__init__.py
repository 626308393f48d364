# SPDX-License-Identifier: Apache-2.0
"""habanalabs: contexts, the compute slot, resets, from the single open of 5.1 to what should have been posted."""

from accelspec.spec.language import Machine

from .control_node import C0
from .intended import Intended
from .letter import BLetter
from .linux_6_1 import Linux6_1
from .linux_6_12 import Linux6_12
from .many_files import B9
from .posted import B1, B2, B3, B4, B5, B6, B7, B8
from .revision_a import A

REVISIONS: tuple[type[Machine], ...] = (A, B1, B2, B3, B4, B5, B6, B7, B8, B9, BLetter, C0, Intended)
MAINLINE: tuple[type[Machine], ...] = (Linux6_1, Linux6_12)

__all__ = [
    "B1",
    "B2",
    "B3",
    "B4",
    "B5",
    "B6",
    "B7",
    "B8",
    "B9",
    "C0",
    "MAINLINE",
    "REVISIONS",
    "A",
    "BLetter",
    "Intended",
    "Linux6_1",
    "Linux6_12",
]
