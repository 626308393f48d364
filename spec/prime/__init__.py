# SPDX-License-Identifier: Apache-2.0
"""Sharing buffers between DRM devices: handles, PRIME, and how long a dma-buf lives."""

from accelspec.spec.language import Machine

from .sharing import Prime

REVISIONS: tuple[type[Machine], ...] = (Prime,)

__all__ = ["REVISIONS", "Prime"]
