# SPDX-License-Identifier: Apache-2.0
"""The objects of PRIME: devices, clients, buffers with the dma-bufs that share them, and handles."""

from __future__ import annotations

from enum import Enum

from accelspec.spec.kernel import File
from accelspec.spec.language import Object, Rigid, Unique


class Node(Enum):
    """Through which kind of device node a client came."""

    PRIMARY = "cardN"
    RENDER = "renderDN: for those who compute, and make no dumb buffers"


PRIMARY, RENDER = Node


class Flags(Enum):
    """With which flags a buffer is exported."""

    READ = "none: the descriptor may not be mapped for writing"
    WRITE = "DRM_RDWR"
    BAD = "one that there is not"


READ, WRITE, BAD = Flags


class Device(Object, always=True):
    """A struct drm_device whose driver has the helpers of GEM and PRIME."""

    render: bool  # DRIVER_RENDER: it has a render node


class Client(Object):
    """A struct drm_file."""

    device: Rigid[Device]
    file: Unique[File | None] = None
    node: Rigid[Node] = PRIMARY


class Gem(Object):
    """A struct drm_gem_object of the device that has the memory, and the struct dma_buf as which it is shared.

    A buffer that was exported keeps its dma-buf while its own device has a handle, and the dma-buf keeps the buffer: so
    from the first export on the two end together.
    """

    device: Rigid[Device]
    file: Unique[File | None] = None  # the dma-buf, an open file description
    writable: bool = False  # by the flags of the first export


class Handle(Object):
    """A number of a client for a buffer.

    A client of another device has a buffer object of its own behind it, which holds the dma-buf (import_attach).
    """

    client: Rigid[Client]
    gem: Rigid[Gem]
    shared: bool = False  # the client's tables of PRIME have it
