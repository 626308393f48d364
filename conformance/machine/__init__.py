# SPDX-License-Identifier: Apache-2.0
"""The virtual machine of the target `kernel`: built from the distribution's packages, booted, asked and restored."""

from .boot import Crashed, Guest, Machine, Silent, start
from .build import Image, Parts, build
from .packages import Missing

__all__ = ["Crashed", "Guest", "Image", "Machine", "Missing", "Parts", "Silent", "build", "start"]
