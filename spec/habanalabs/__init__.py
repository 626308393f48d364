# SPDX-License-Identifier: Apache-2.0
"""habanalabs: contexts, the compute slot, resets, from the single open of 5.1 to what should have been posted."""

from accelspec.spec.language import Machine

from .revision_a import A

REVISIONS: tuple[type[Machine], ...] = (A,)

__all__ = ["REVISIONS", "A"]
