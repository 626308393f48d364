# SPDX-License-Identifier: Apache-2.0
"""What every call on a DRM node begins with, who is the current master, and magic numbers."""

from __future__ import annotations

from accelspec.spec.kernel import Descriptors, Fd, File, Process
from accelspec.spec.language import (
    EACCES,
    EINVAL,
    OK,
    WILD_WRITE,
    Result,
    choose,
    deduced,
    free,
    operation,
    read,
    require,
    when,
)

from .objects import RENDER, Client, Device, Lease, Magic, Master

AUTH = "linux 6.12.117 drivers/gpu/drm/drm_auth.c"
FILE = "linux 6.12.117 drivers/gpu/drm/drm_file.c"
IOCTL = "linux 6.12.117 drivers/gpu/drm/drm_ioctl.c"
LEASE = "linux 6.12.117 drivers/gpu/drm/drm_lease.c"


class Permissions(Descriptors):
    document = AUTH

    def client_of(self, p: Process, n: Fd) -> Client:
        require(p.running)
        f = self.file_of(p, n)
        return self.behind(f)

    def behind(self, f: File) -> Client:
        c = choose(c for c in Client if c.file is f)
        assert c is not None, "drm_master.I09"
        return c

    def called(self, p: Process, n: Fd) -> Client:
        """drm_ioctl_kernel: before anything is permitted, drm_file_update_pid takes down who calls."""
        c = self.client_of(p, n)
        if when(not c.was_master):
            c.pid = p
        return c

    def is_current(self, c: Client) -> bool:
        """drm_is_current_master: its own group, or that of its lessor, is the device's."""
        mine = c.master is not None and c.master is c.device.master
        lent = c.lease is not None and c.lease.lessor is c.device.master
        return c.is_master and (mine or lent)

    def may_change(self, p: Process, c: Client) -> bool:
        """drm_master_check_perm: it was master before, and this is the process that made it so; or CAP_SYS_ADMIN."""
        return (c.was_master and c.pid is p) or c.device.admin[p]

    def referenced(self, f: File) -> bool:
        return super().referenced(f) or any(d.call[p] is f for d in Device for p in Process)

    def let_go(self, p: Process, d: Device, f: File) -> None:
        """fdput, at the end of a call of several steps."""
        d.call[p] = None
        self.fput(f)

    def held(self, t: Master) -> bool:
        lent = any(s.lessor is t for s in Lease)
        return lent or any(d.master is t for d in Device) or any(c.master is t for c in Client)

    def forget(self) -> None:
        """drm_master_put: a master goes with the last that holds it."""
        for t in Master:
            if not self.held(t):
                free(t)

    # ------------------------------------------------------------------ magic numbers

    def named(self, t: Master, k: Magic, x: Client) -> bool:
        """Does the number lead to this client in the map of that master?"""
        return (k == 1 and t.first is x) or (k == 2 and t.second is x)

    @operation
    def get_magic(self, p: Process, n: Fd) -> Result:
        """DRM_IOCTL_GET_MAGIC: the lowest number that is free in the map of its master."""
        c = self.called(p, n)
        if c.node is RENDER:
            return EACCES("render", read("drm_ioctl_permit", document=IOCTL))
        if c.magic >= 1:
            return OK("again", read("drm_getmagic", "the same number, also from another group"))
        require(c.master is not None)  # the map of a lease has its lessee alone
        t = choose(t for t in Master if t is c.master)
        require(t is not None and not (t.first_taken and t.second_taken))
        if t is not None and not t.first_taken:
            t.first = c
            t.first_taken = True
            c.magic = 1
            return OK("first", read("drm_getmagic"))
        for u in Master:
            if u is t:
                u.second = c
                u.second_taken = True
        c.magic = 2
        return OK("second", read("drm_getmagic"))

    @operation
    def auth_magic(self, p: Process, n: Fd, k: Magic) -> Result:
        """DRM_IOCTL_AUTH_MAGIC of a number; 0 is never given out."""
        c = self.called(p, n)
        if not self.is_current(c):
            return EACCES("not_master", read("drm_ioctl_permit", document=IOCTL))
        t = c.master
        if t is None:
            return EINVAL("lessee", read("drm_authmagic", "a lease has a map of its own, which is empty here"))
        x = choose(x for x in Client if self.named(t, k, x))
        if x is None:
            if (k == 1 and t.first is not None) or (k == 2 and t.second is not None):
                assert any(self.named(t, k, y) for y in Client), "drm_master.I06"
                return WILD_WRITE("stale_magic", deduced("drm_new_set_master leaves the old map as it is"))
            return EINVAL("no_such_magic", read("drm_authmagic", "or it was used before"))
        x.authenticated = True
        for u in Master:
            if when(u is t and k == 1):
                u.first = None
            if when(u is t and k == 2):
                u.second = None
        return OK("ok", read("drm_authmagic", "whoever it was given to, in whatever group that is by now"))
