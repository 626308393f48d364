# SPDX-License-Identifier: Apache-2.0
"""Sync files: fences in the hands of user space."""

from accelspec.spec.language import Machine

from .files import SyncFiles

REVISIONS: tuple[type[Machine], ...] = (SyncFiles,)

__all__ = ["REVISIONS", "SyncFiles"]
