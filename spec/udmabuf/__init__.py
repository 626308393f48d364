# SPDX-License-Identifier: Apache-2.0
"""udmabuf: memory of a memfd, given to devices as a dma-buf."""

from accelspec.spec.language import Machine

from .node import Udmabufs

REVISIONS: tuple[type[Machine], ...] = (Udmabufs,)

__all__ = ["REVISIONS", "Udmabufs"]
