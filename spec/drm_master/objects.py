# SPDX-License-Identifier: Apache-2.0
"""The objects of DRM mastership: devices, masters with their maps of magic numbers, leases, clients."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

from accelspec.spec.kernel import File, Process
from accelspec.spec.language import Map, Object, Range, Raw, Rigid, Unique

Magic = Annotated[int, Range(0, 2)]  # none, and the two that a master gives out here


class Node(Enum):
    """Through which kind of device node a client came."""

    PRIMARY = "cardN: has masters"
    RENDER = "renderDN: has none, and needs none"


PRIMARY, RENDER = Node


class Asked(Enum):
    """What a lease is asked for."""

    NOTHING = "an empty lease, which is allowed"
    DISPLAY = "a CRTC and a connector"
    CRTC = "a CRTC alone"
    TWICE = "a CRTC, a connector and the CRTC again"
    ENCODER = "an encoder, which needs no lease"
    UNKNOWN = "a number that no object has"
    BAD_FLAGS = "an unknown flag"


NOTHING, DISPLAY, CRTC, TWICE, ENCODER, UNKNOWN, BAD_FLAGS = Asked


class Device(Object, always=True):
    """A struct drm_device."""

    modeset: bool  # DRIVER_MODESET: it has a display, so leases of it can be made
    render: bool  # DRIVER_RENDER: it has a render node
    master: Master | None = None
    admin: Map[Process, bool]  # who has CAP_SYS_ADMIN in effect; the same for every device
    call: Map[Process, File | None] = Map()  # the description that a call of several steps holds (fdget)


class Master(Object):
    """A struct drm_master, not of a lease: the group that a client founded when it became master.

    Its map has two numbers here.  Who gets one keeps it; when it is used the map leads nowhere, and the number stays
    taken until the file that it was given to is released.
    """

    first: Raw[Client | None] = None
    second: Raw[Client | None] = None
    first_taken: bool = False
    second_taken: bool = False


class Lease(Object):
    """A struct drm_master of a lease: held by the client that the lease opened, and by nobody else."""

    lessor: Rigid[Master]
    display: bool = False  # it has the CRTC and the connector


class Client(Object):
    """A struct drm_file."""

    device: Rigid[Device]
    file: Unique[File | None] = None
    node: Rigid[Node] = PRIMARY
    master: Master | None = None  # the group that it is in; none for a render node and for a lessee
    lease: Lease | None = None
    is_master: bool = False  # it has founded its group, or has a lease
    was_master: bool = False  # drm_set_master was called with it
    authenticated: bool = False
    magic: Magic = 0  # given once and for good, whatever group it is in later
    pid: Process | None = None  # drm_file.pid: who called last; fixed once it has been master
