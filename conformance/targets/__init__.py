# SPDX-License-Identifier: Apache-2.0
"""Targets: the implementations that are held to a specification, all behind one interface."""

from .interface import (
    WAITS,
    Ahead,
    Call,
    Concurrent,
    Draft,
    Handicapped,
    Observation,
    Patient,
    Suspending,
    System,
    Target,
    TargetError,
)
from .opening import open_target
from .python import Driver

__all__ = [
    "WAITS",
    "Ahead",
    "Call",
    "Concurrent",
    "Draft",
    "Driver",
    "Handicapped",
    "Observation",
    "Patient",
    "Suspending",
    "System",
    "Target",
    "TargetError",
    "open_target",
]
