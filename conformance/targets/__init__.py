# SPDX-License-Identifier: Apache-2.0
"""Targets: the implementations that are held to a specification, all behind one interface."""

from .interface import Call, Concurrent, Observation, System, Target, TargetError
from .opening import open_target
from .python import Driver

__all__ = ["Call", "Concurrent", "Driver", "Observation", "System", "Target", "TargetError", "open_target"]
