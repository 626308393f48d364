# SPDX-License-Identifier: Apache-2.0
"""The objects of ownership: devices, what it is to own one, clients, their commands, and what they gave away."""

from __future__ import annotations

from enum import Enum

from accelspec.spec.kernel import File, Process
from accelspec.spec.language import Ghost, Map, Object, Raw, Rigid, Unique


class Node(Enum):
    """Through which kind of device node a client came."""

    PRIMARY = "cardN: has owners"
    RENDER = "renderDN: has none, and needs none"
    ACCEL = "accelN: has none, either"


PRIMARY, RENDER, ACCEL = Node


class Device(Object, always=True):
    """A device that has one owner at a time, or should have."""

    owner: Token | None = None  # drm_device.master; in habanalabs the context that has the compute slot
    admin: Map[Process, bool]  # who has CAP_SYS_ADMIN; a child has what its parent has
    call: Map[Process, File | None] = Map()  # the description that a call of several steps holds (fdget)


class Token(Object):
    """Ownership as something that can be held: a struct drm_master; in habanalabs the context of an open."""

    dropped: bool = False  # proposal: nobody works with it any more, exports hold it
    magic: Raw[Client | None] = None  # who asked to be authenticated: the map of the master, one entry deep


class Client(Object):
    """A struct drm_file: what an open description has of the driver."""

    device: Rigid[Device]
    file: Unique[File | None] = None  # none: its release has begun
    node: Rigid[Node] = PRIMARY
    token: Token | None = None  # drm_file.master: its own, or that of the owner whom it found
    founder: bool = False  # drm_file.is_master: it has been an owner, or has a lease
    lessor: Token | None = None  # its own master is a lease from this one
    was_owner: bool = False  # drm_file.was_master
    authenticated: bool = False
    asked: bool = False  # drm_file.magic: it was given one, for good; it is in the map of its master until it is used
    opener: Process | None = None  # drm_file.pid: who made it an owner


class Job(Object):
    """A command that the device has not finished."""

    client: Rigid[Client]


class Export(Object):
    """A dma-buf of device memory that somebody holds: a descriptor, or the registered region of an importer."""

    device: Rigid[Device]
    pins: Rigid[Token | None]  # the reference that it holds
    file: Rigid[File | None]  # habanalabs: the exporter's description, held open
    made: Ghost[Rigid[Raw[Token | None]]]  # under whose ownership it was made
