# SPDX-License-Identifier: Apache-2.0
"""The uacce queue lifecycle, in its revisions: what was posted, what was merged, what stable kernels have, what we would have."""

from .first_merge import Linux5_7
from .intended import Intended, IntendedStrict
from .revisions import Legacy, Linux6_1, Uacce

REVISIONS = (Uacce, Linux6_1, Legacy, Linux5_7, Intended, IntendedStrict)

__all__ = ["REVISIONS", "Intended", "IntendedStrict", "Legacy", "Linux5_7", "Linux6_1", "Uacce"]
