# SPDX-License-Identifier: Apache-2.0
"""Who owns a device: the masters of DRM, an exclusive owner as proposed, habanalabs in effect, and our own design."""

from accelspec.spec.language import Machine

from .drm_auth import DrmAuth
from .habanalabs import Habanalabs
from .intended import Intended
from .proposal import Proposal

REVISIONS: tuple[type[Machine], ...] = (DrmAuth, Proposal, Habanalabs, Intended)

__all__ = ["REVISIONS", "DrmAuth", "Habanalabs", "Intended", "Proposal"]
