# SPDX-License-Identifier: Apache-2.0
"""The uacce framework: devices, queues, regions, attributes, and the hardware driver below."""

from .behaviour import BEHAVIOURS, INTENDED, LINUX_6_12, Behaviour
from .callbacks import CALLBACKS
from .device import Framework, UacceDevice, UacceOps
from .fops import PUT_Q, START_Q, UacceFops, exit_puts_queues
from .isolation import ErrorHistory
from .provider import SET_QP_CTX, SET_QP_INFO, STOP_WORD, HardwareQueue, Provider
from .queue import UacceQueue
from .region import Mapped, Region, RegionType

__all__ = [
    "BEHAVIOURS",
    "CALLBACKS",
    "INTENDED",
    "LINUX_6_12",
    "PUT_Q",
    "SET_QP_CTX",
    "SET_QP_INFO",
    "START_Q",
    "STOP_WORD",
    "Behaviour",
    "ErrorHistory",
    "Framework",
    "HardwareQueue",
    "Mapped",
    "Provider",
    "Region",
    "RegionType",
    "UacceDevice",
    "UacceFops",
    "UacceOps",
    "UacceQueue",
    "exit_puts_queues",
]
