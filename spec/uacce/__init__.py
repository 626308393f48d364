# SPDX-License-Identifier: Apache-2.0
"""The uacce queue lifecycle: as it was posted, as it was merged, as stable kernels have it, and as we would have it."""

from accelspec.spec.language import Machine

from .first_merge import Linux5_7
from .intended import Intended, IntendedStrict
from .revisions import Legacy, Linux6_1, Uacce
from .v4 import V4

REVISIONS: tuple[type[Machine], ...] = (Uacce, Linux6_1, Legacy, Linux5_7, V4, Intended, IntendedStrict)

__all__ = ["REVISIONS", "V4", "Intended", "IntendedStrict", "Legacy", "Linux5_7", "Linux6_1", "Uacce"]
