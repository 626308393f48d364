# SPDX-License-Identifier: Apache-2.0
"""What every design has: clients, commands in flight, mappings, and exports that outlive the call that made them."""

from __future__ import annotations

from accelspec.spec.kernel import Fd, File, Mm, Process, Processes, Vma
from accelspec.spec.language import (
    DONE,
    Result,
    choose,
    event,
    free,
    kernel,
    operation,
    require,
    when,
)

from .objects import Client, Device, Export, Job, Token

SCOPES = {
    "two clients": {"Fd": 2, "File": 2, "Client": 2, "Token": 2, "Job": 0, "Vma": 0, "Waiter": 0, "Message": 0},
    "one client": {"Waiter": 0, "Message": 0},
    "two processes": {"Process": 2, "Mm": 2, "Job": 0, "Vma": 0, "Export": 0, "Waiter": 0},
}


class Clients(Processes):
    document = "linux 6.12.117 drivers/gpu/drm/drm_file.c"
    drops = [
        "exec",  # a process stays the same one through it
        "munmap_head",  # pieces of a mapping are no matter of ownership
        "munmap_tail",
        "mprotect_tail",
        "mremap_grow",
        "mremap_dont_unmap",
        "wake_up",
    ]

    def client_of(self, p: Process, n: Fd) -> Client:
        """What every call on a descriptor begins with."""
        require(p.running)
        f = self.file_of(p, n)
        return self.behind(f)

    def behind(self, f: File) -> Client:
        c = choose(c for c in Client if c.file is f)
        assert c is not None, "ownership.I04"
        return c

    def owns(self, c: Client) -> bool:
        """drm_is_current_master: its own token, or the one that it has a lease from, is the device's."""
        mine = c.token is not None and c.token is c.device.owner
        lent = c.lessor is not None and c.lessor is c.device.owner
        return c.founder and (mine or lent)

    def in_use(self, f: File) -> bool:
        """Does a descriptor, a mapping, a message or a call lead to it?  An export does not."""
        return super().referenced(f) or any(d.call[p] is f for d in Device for p in Process)

    def referenced(self, f: File) -> bool:
        return self.in_use(f)

    def let_go(self, p: Process, d: Device, f: File) -> None:
        """fdput, at the end of a call of several steps."""
        d.call[p] = None
        self.fput(f)

    def pinned(self, t: Token) -> bool:
        return any(e.pins is t for e in Export)

    def held(self, t: Token) -> bool:
        by_device = any(d.owner is t for d in Device)
        return self.pinned(t) or by_device or any(c.token is t or c.lessor is t for c in Client)

    def forget(self) -> None:
        """drm_master_put: a token goes with the last that holds it."""
        for t in Token:
            if not self.held(t):
                free(t)

    def end_commands(self, f: File) -> None:
        """What a closing client has in flight is cancelled."""
        for j in Job:
            if j.client.file is f:
                free(j)

    @operation
    def fork(self, p: Process, c: Process, m: Mm) -> Result:
        """The child is nobody's opener, whose place it takes in the machine; it is as privileged as its parent."""
        for x in Client:
            if x.opener is c:
                x.opener = None
        for d in Device:
            d.admin[c] = d.admin[p]
        return super().fork(p, c, m)

    @event
    def complete(self, j: Job) -> Result:
        """The device has finished a command."""
        free(j)
        return DONE("ok", kernel("dma_fence_signal"))

    @event
    def unref(self, e: Export) -> Result:
        """The last reference to a dma-buf goes: its descriptor is closed, its importer lets go, or they were killed."""
        self.give_back(e)
        return DONE("ok", kernel("dma_buf_release"))

    def give_back(self, e: Export) -> None:
        """The release of a dma-buf."""
        free(e)
        self.forget()

    def zap(self, f: File) -> None:
        """unmap_mapping_range: the entries go, the mappings stay."""
        for v in Vma:
            if when(v.file is f):
                v.ptes = False
