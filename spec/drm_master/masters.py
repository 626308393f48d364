# SPDX-License-Identifier: Apache-2.0
"""DRM mastership of 6.12.117: open and release, SET_MASTER and DROP_MASTER, and what is permitted to whom.

`attach_mode`, `finish` and `block` stand for every call with the same flags: these three do nothing else.
"""

from __future__ import annotations

from accelspec.spec.kernel import Fd, File, Process
from accelspec.spec.language import (
    EACCES,
    EBUSY,
    EINVAL,
    ENODEV,
    ENOMEM,
    OK,
    Result,
    deduced,
    fails,
    free,
    kernel,
    operation,
    read,
    require,
    violates,
    when,
)

from .leases import Leases
from .objects import RENDER, Client, Device, Lease, Master, Node
from .permissions import FILE, IOCTL

ALONE = {"Vma": 0, "Waiter": 0, "Message": 0}
SCOPES = {
    "two clients": {"Fd": 2, "File": 2, "Client": 2, "Master": 2, "Lease": 0, **ALONE},
    "a lease": {"Fd": 2, "File": 2, "Client": 2, "Master": 2, "exec()": 0, **ALONE},
    "one lease too many": {"Fd": 3, "File": 2, "Client": 2, "exec()": 0, **ALONE},
    "two devices": {"Device": 2, "Fd": 2, "File": 2, "Client": 2, "Master": 2, "Lease": 0, "exec()": 0, **ALONE},
    "two processes": {"Process": 2, "Lease": 0, "Vma": 0, "Waiter": 0},
}


class DrmMaster(Leases):
    """Who is master of a DRM device, and what that permits, as Linux 6.12.117 decides it."""

    machine = "drm_master"
    revision = "6.12.117"
    document = "linux 6.12.117 drivers/gpu/drm/drm_auth.c"
    scopes = SCOPES
    known = [
        violates(
            "drm_master.I03",
            "create_lease.ownerless",
            "if the lessor drops in between, the file that is cloned for the lease opens as master, and gives that up",
            deduced("drm_mode_create_lease_ioctl holds no master_mutex"),
        ),
        violates(
            "drm_master.I08",
            "close.ok",
            "as I03: the master that nobody has stays when everybody has gone",
            deduced("drm_master_release compares with the lessor's master"),
        ),
        violates(
            "drm_master.I06",
            "auth_magic.stale_magic",
            "a client that founds a group of its own stays in the map of the old one, also when it is freed",
            deduced("drm_new_set_master and drm_master_release look at different maps"),
        ),
        violates(
            "drm_master.L01",
            "create_lease.ownerless",
            "as I03: nobody can drop it, and SET_MASTER is -EBUSY",
            deduced("drm_setmaster_ioctl"),
        ),
    ]

    # ------------------------------------------------------------------ open and release

    @operation
    def open(self, p: Process, n: Fd, d: Device, node: Node, excl: bool) -> Result:
        require(self.unused(p, n))
        if node is RENDER and not d.render:
            return ENODEV("no_node", read("drm_minor_acquire", document="linux 6.12.117 drivers/gpu/drm/drm_drv.c"))
        if excl:
            return EBUSY("exclusive", read("drm_open_helper", "O_EXCL", document=FILE))
        if fails("allocation"):
            return ENOMEM("no_memory", read("drm_file_alloc", document=FILE))
        f = File()
        p.fd[n] = f
        if node is RENDER:
            Client(device=d, file=f, node=RENDER, authenticated=d.admin[p], pid=p)
            return OK("render", read("drm_open_helper", "no master is made or joined", document=FILE))
        if d.master is not None:
            Client(device=d, file=f, master=d.master, authenticated=d.admin[p], pid=p)
            return OK("joined", read("drm_master_open", "a guest, in the group of the master that is there"))
        t = Master()
        d.master = t
        Client(device=d, file=f, master=t, is_master=True, was_master=True, authenticated=True, pid=p)
        return OK("ok", read("drm_master_open", "whoever opens while there is no master becomes it"))

    def release(self, f: File) -> None:
        """drm_file_free, drm_master_release: a master that is closed hands nothing over."""
        for t in Master:
            if when(any(c.file is f and c.master is t and c.magic == 1 for c in Client)):
                t.first = None
                t.first_taken = False
            if when(any(c.file is f and c.master is t and c.magic == 2 for c in Client)):
                t.second = None
                t.second_taken = False
        for d in Device:
            if any(c.file is f and c.device is d and c.is_master and c.master is d.master for c in Client):
                d.master = None
        for s in Lease:
            if any(c.file is f and c.is_master and c.master is s.lessor for c in Client):
                s.display = False
        for s in Lease:
            if any(c.file is f and c.lease is s for c in Client):
                free(s)
        for c in Client:
            if c.file is f:
                free(c)
        free(f)
        self.forget()

    # ------------------------------------------------------------------ SET_MASTER and DROP_MASTER

    @operation
    def set_master(self, p: Process, n: Fd) -> Result:
        """DRM_IOCTL_SET_MASTER."""
        c = self.called(p, n)
        if c.node is RENDER:
            return EACCES("render", read("drm_ioctl_permit", "not allowed for render clients", document=IOCTL))
        if not self.may_change(p, c):
            return EACCES("not_permitted", read("drm_master_check_perm"))
        if self.is_current(c):
            return OK("already", read("drm_setmaster_ioctl", "a lessee too, while its lessor is master"))
        if c.device.master is not None:
            return EBUSY("busy", read("drm_setmaster_ioctl"))
        if not c.is_master:
            if fails("allocation"):
                return ENOMEM("no_memory", read("drm_new_set_master"))
            t = Master()
            c.device.master = t
            c.master = t
            c.is_master = True
            c.was_master = True
            c.authenticated = True
            self.forget()
            return OK("new", read("drm_new_set_master", "leaves its old group, but not the map of that group"))
        if c.lease is not None:
            return EINVAL("lessee", read("drm_setmaster_ioctl"))
        c.device.master = c.master
        c.was_master = True
        return OK("ok", read("drm_setmaster_ioctl", "with the group that it had before"))

    @operation
    def drop_master(self, p: Process, n: Fd) -> Result:
        """DRM_IOCTL_DROP_MASTER."""
        c = self.called(p, n)
        if c.node is RENDER:
            return EACCES("render", read("drm_ioctl_permit", "not allowed for render clients", document=IOCTL))
        if not self.may_change(p, c):
            return EACCES("not_permitted", read("drm_master_check_perm"))
        if not self.is_current(c):
            return EINVAL("not_master", read("drm_dropmaster_ioctl"))
        if c.lease is not None:
            return EINVAL("lessee", read("drm_dropmaster_ioctl"))
        c.device.master = None
        return OK("ok", read("drm_drop_master", "leases and magic numbers stay as they are"))

    # ------------------------------------------------------------------ what is permitted to whom

    @operation
    def attach_mode(self, p: Process, n: Fd) -> Result:
        """DRM_IOCTL_MODE_ATTACHMODE: flagged DRM_MASTER."""
        c = self.called(p, n)
        if not self.is_current(c):
            return EACCES("not_master", read("drm_ioctl_permit", document=IOCTL))
        return OK("ok", read("drm_ioctl_permit", "only the client is looked at, not the process", document=IOCTL))

    @operation
    def finish(self, p: Process, n: Fd) -> Result:
        """DRM_IOCTL_FINISH: flagged DRM_AUTH."""
        c = self.called(p, n)
        if c.node is not RENDER and not c.authenticated:
            return EACCES("not_authenticated", read("drm_ioctl_permit", document=IOCTL))
        if c.node is RENDER:
            return EACCES("render", read("drm_ioctl_permit", document=IOCTL))
        return OK("ok", read("drm_ioctl_permit", "once authenticated, always so", document=IOCTL))

    @operation
    def block(self, p: Process, n: Fd) -> Result:
        """DRM_IOCTL_BLOCK: flagged DRM_AUTH, DRM_MASTER and DRM_ROOT_ONLY."""
        c = self.called(p, n)
        if not c.device.admin[p]:
            return EACCES("not_admin", read("drm_ioctl_permit", "the process, not who opened", document=IOCTL))
        if not self.is_current(c):
            return EACCES("not_master", read("drm_ioctl_permit", document=IOCTL))
        return OK("ok", read("drm_ioctl_permit", "a master is authenticated", document=IOCTL))

    # ------------------------------------------------------------------ who is an administrator

    @operation
    def lose_admin(self, p: Process) -> Result:
        """A process gives up CAP_SYS_ADMIN for the time being."""
        require(p.running and any(d.admin[p] for d in Device))
        for d in Device:
            d.admin[p] = False
        return OK("ok", kernel("capset", "no longer effective, still permitted"))

    @operation
    def regain_admin(self, p: Process) -> Result:
        require(p.running and any(not d.admin[p] for d in Device))
        for d in Device:
            d.admin[p] = True
        return OK("ok", kernel("capset", "what is permitted can be made effective"))

    @operation
    def fork(self, p: Process, c: Process) -> Result:
        """The child is no client's last caller, whose place it takes in the machine; as privileged as its parent."""
        for x in Client:
            if x.pid is c:
                x.pid = None
        for d in Device:
            d.admin[c] = d.admin[p]
        return super().fork(p, c)

    @operation
    def exec(self, p: Process, cloexec: bool) -> Result:
        """The same process to a client, and again an administrator: a program that root starts has all capabilities."""
        for d in Device:
            d.admin[p] = True
        return super().exec(p, cloexec)
