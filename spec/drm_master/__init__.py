# SPDX-License-Identifier: Apache-2.0
"""The masters of a DRM device as the kernel decides them, call by call: what a real kernel is held to."""

from accelspec.spec.language import Machine

from .masters import DrmMaster

REVISIONS: tuple[type[Machine], ...] = (DrmMaster,)

__all__ = ["REVISIONS", "DrmMaster"]
