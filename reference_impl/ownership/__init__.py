# SPDX-License-Identifier: Apache-2.0
"""Exclusive ownership of a device, in six designs: DRM's masters, the proposal of 2021, habanalabs thrice, and ours."""

from .checks import CHECKS, check
from .objects import Command, Node
from .system import DESIGNS, FAULTS, FIRST_EXPORT, INJECTABLE, STEPPED, OwnershipSystem

__all__ = [
    "CHECKS",
    "DESIGNS",
    "FAULTS",
    "FIRST_EXPORT",
    "INJECTABLE",
    "STEPPED",
    "Command",
    "Node",
    "OwnershipSystem",
    "check",
]
