# SPDX-License-Identifier: Apache-2.0
"""The system heap: memory for devices, given out as dma-bufs to whoever may open its node."""

from accelspec.spec.language import Machine

from .heap import DmaHeap

REVISIONS: tuple[type[Machine], ...] = (DmaHeap,)

__all__ = ["REVISIONS", "DmaHeap"]
