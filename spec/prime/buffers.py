# SPDX-License-Identifier: Apache-2.0
"""Clients, their handles, and what keeps a buffer and its dma-buf alive."""

from __future__ import annotations

from accelspec.spec.kernel import Descriptors, Fd, File, Process
from accelspec.spec.language import (
    EACCES,
    EINVAL,
    ENODEV,
    ENOENT,
    ENOTTY,
    OK,
    Result,
    choose,
    free,
    kernel,
    operation,
    read,
    require,
)

from .objects import RENDER, Client, Device, Gem, Handle, Node

DRV = "linux 6.12.117 drivers/gpu/drm/drm_drv.c"
DUMB = "linux 6.12.117 drivers/gpu/drm/drm_dumb_buffers.c"
FILE = "linux 6.12.117 drivers/gpu/drm/drm_file.c"
GEM = "linux 6.12.117 drivers/gpu/drm/drm_gem.c"
IOCTL = "linux 6.12.117 drivers/gpu/drm/drm_ioctl.c"
DMA_BUF = "linux 6.12.117 drivers/dma-buf/dma-buf.c"


class Buffers(Descriptors):
    document = GEM

    # ------------------------------------------------------------------ what holds what

    def opened(self, f: File) -> bool:
        """Does a descriptor or a message lead to it?"""
        return super().referenced(f)

    def has_handle(self, g: Gem) -> bool:
        return any(h.gem is g for h in Handle)

    def referenced(self, f: File) -> bool:
        """A dma-buf is also held by the buffer that it shares, while that has a handle, and by those that import it."""
        return self.opened(f) or any(g.file is f and self.has_handle(g) for g in Gem)

    def held(self, g: Gem) -> bool:
        return self.has_handle(g) or any(g.file is f and self.opened(f) for f in File)

    def imported(self, h: Handle) -> bool:
        return h.client.device is not h.gem.device

    def collect(self) -> None:
        """Handles have gone, or references: a buffer that has lost the last one goes, and its dma-buf."""
        for g in Gem:
            if not self.held(g):
                free(g)
        for f in File:
            if not any(c.file is f for c in Client) and not any(g.file is f for g in Gem):
                free(f)

    def release(self, f: File) -> None:
        """drm_gem_release of a client, dma_buf_release of a buffer."""
        for h in Handle:
            if h.client.file is f:
                free(h)
        for c in Client:
            if c.file is f:
                free(c)
        self.collect()

    # ------------------------------------------------------------------ clients

    @operation
    def open(self, p: Process, n: Fd, d: Device, node: Node) -> Result:
        require(self.unused(p, n))
        if node is RENDER and not d.render:
            return ENODEV("no_node", read("drm_minor_acquire", document=DRV))
        f = File()
        p.fd[n] = f
        Client(device=d, file=f, node=node)
        return OK("ok", read("drm_open_helper", document=FILE))

    def client_of(self, p: Process, n: Fd) -> Client:
        """What every call of DRM begins with."""
        require(p.running)
        f = self.file_of(p, n)
        c = choose(c for c in Client if c.file is f)
        if c is None:
            raise ENOTTY("not_drm", read("dma_buf_ioctl", "the descriptor is a dma-buf's", document=DMA_BUF))
        return c

    # ------------------------------------------------------------------ buffers and handles

    @operation
    def create(self, p: Process, n: Fd, empty: bool) -> Result:
        """DRM_IOCTL_MODE_CREATE_DUMB."""
        c = self.client_of(p, n)
        if c.node is RENDER:
            return EACCES("render", read("drm_ioctl_permit", document=IOCTL))
        if empty:
            return EINVAL("empty", read("drm_mode_create_dumb", document=DUMB))
        g = Gem(device=c.device)
        Handle(client=c, gem=g)
        return OK("ok", read("drm_gem_handle_create_tail", "the handle holds the buffer"))

    @operation
    def gem_close(self, p: Process, n: Fd, h: Handle, known: bool) -> Result:
        """DRM_IOCTL_GEM_CLOSE of a handle of this client, or of a number that it does not have."""
        c = self.client_of(p, n)
        require(h.client is c)
        if not known:
            return EINVAL("unknown", read("drm_gem_handle_delete"))
        free(h)
        self.collect()
        return OK("ok", read("drm_gem_object_release_handle", "the tables of PRIME forget it first"))

    @operation
    def destroy(self, p: Process, n: Fd, h: Handle, known: bool) -> Result:
        """DRM_IOCTL_MODE_DESTROY_DUMB: the same, also of a buffer that was imported."""
        c = self.client_of(p, n)
        if c.node is RENDER:
            return EACCES("render", read("drm_ioctl_permit", document=IOCTL))
        require(h.client is c)
        if not known:
            return EINVAL("unknown", read("drm_gem_handle_delete"))
        free(h)
        self.collect()
        return OK("ok", read("drm_mode_destroy_dumb", document=DUMB))

    @operation
    def map_dumb(self, p: Process, n: Fd, h: Handle, known: bool) -> Result:
        """DRM_IOCTL_MODE_MAP_DUMB: where in the device's node the buffer can be mapped."""
        c = self.client_of(p, n)
        if c.node is RENDER:
            return EACCES("render", read("drm_ioctl_permit", document=IOCTL))
        require(h.client is c)
        if not known:
            return ENOENT("unknown", read("drm_gem_dumb_map_offset"))
        if self.imported(h):
            return EINVAL("imported", read("drm_gem_dumb_map_offset", "it is mapped through its exporter"))
        return OK("ok", read("drm_gem_dumb_map_offset"))

    # ------------------------------------------------------------------ the descriptor of a dma-buf

    @operation
    def sync(self, p: Process, n: Fd) -> Result:
        """DMA_BUF_IOCTL_SYNC."""
        require(p.running)
        f = self.file_of(p, n)
        if any(c.file is f for c in Client):
            return ENOTTY("not_a_buffer", read("drm_ioctl", "DRM_IOCTL_BASE", document=IOCTL))
        return OK("ok", read("dma_buf_ioctl", document=DMA_BUF))

    @operation
    def map_too_long(self, p: Process, n: Fd, write: bool) -> Result:
        """mmap of more than the buffer has: refused, after it was asked whether the description may be written."""
        require(p.running)
        f = self.file_of(p, n)
        if write and any(g.file is f and not g.writable for g in Gem):
            return EACCES("read_only", kernel("do_mmap", "a shared mapping for writing needs FMODE_WRITE"))
        return EINVAL("too_long", read("dma_buf_mmap_internal", "and drm_gem_mmap of the offset 0", document=DMA_BUF))
