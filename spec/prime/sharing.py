# SPDX-License-Identifier: Apache-2.0
"""PRIME_HANDLE_TO_FD and PRIME_FD_TO_HANDLE of 6.12.117, for drivers that use the helpers of GEM.

Without GEM_OPEN a client has one handle of a buffer at most, so two branches of the export are never taken and left
out: that of an imported buffer, and of one that was exported before, where the client's tables do not know the handle.
"""

from __future__ import annotations

from accelspec.spec.kernel import Fd, File, Process
from accelspec.spec.language import EBADF, EINVAL, ENOENT, OK, Result, choose, operation, read, require

from .laws import Laws
from .objects import BAD, WRITE, Flags, Gem, Handle

ALONE = {"Vma": 0, "Waiter": 0}
FEW = {"exec()": 0, "exit()": 0}
SCOPES = {
    "one device": {"Fd": 3, "File": 3, "Client": 2, "Handle": 2, "Message": 0, **FEW, **ALONE},
    "two devices": {"Device": 2, "Fd": 2, "File": 3, "Client": 2, "Handle": 2, "Message": 0, **FEW, **ALONE},
    "two processes": {"Process": 2, "Fd": 2, "File": 2, **ALONE},
}


class Prime(Laws):
    """Buffers shared between clients and devices as dma-bufs, as Linux 6.12.117 does it."""

    machine = "prime"
    revision = "6.12.117"
    document = "linux 6.12.117 drivers/gpu/drm/drm_prime.c"
    scopes = SCOPES

    @operation
    def handle_to_fd(self, p: Process, n: Fd, m: Fd, h: Handle, flags: Flags, known: bool) -> Result:
        """DRM_IOCTL_PRIME_HANDLE_TO_FD of a handle of this client, or of a number that it does not have."""
        require(n is not m)
        c = self.client_of(p, n)
        if flags is BAD:
            return EINVAL("bad_flags", read("drm_prime_handle_to_fd_ioctl"))
        require(h.client is c and self.unused(p, m))
        if not known:
            return ENOENT("unknown", read("drm_gem_prime_handle_to_dmabuf"))
        if h.shared:
            p.fd[m] = h.gem.file
            return OK("again", read("drm_prime_lookup_buf_by_handle", "the same dma-buf, with the flags that it has"))
        f = File()
        p.fd[m] = f
        for g in Gem:
            if g is h.gem:
                g.file = f
                g.writable = flags is WRITE
        for x in Handle:
            if x is h:
                x.shared = True
        return OK("ok", read("export_and_register_object"))

    @operation
    def fd_to_handle(self, p: Process, n: Fd, m: Fd) -> Result:
        """DRM_IOCTL_PRIME_FD_TO_HANDLE."""
        c = self.client_of(p, n)
        if p.fd[m] is None:
            return EBADF("not_open", read("drm_gem_prime_fd_to_handle", "dma_buf_get"))
        g = choose(g for g in Gem if g.file is p.fd[m])
        if g is None:
            return EINVAL("not_a_buffer", read("drm_gem_prime_fd_to_handle", "dma_buf_get"))
        if any(h.client is c and h.gem is g and h.shared for h in Handle):
            return OK("again", read("drm_prime_lookup_buf_handle", "the handle that it has"))
        Handle(client=c, gem=g, shared=True)
        if g.device is c.device:
            return OK("own", read("drm_gem_prime_import_dev", "no import: the buffer itself"))
        return OK("ok", read("drm_gem_prime_import_dev", "a buffer object of its own for every client that imports"))
