# SPDX-License-Identifier: Apache-2.0
"""Ownership as the DRM core of 6.12 has it: masters of a primary node, groups, leases, and the nodes without masters.

What a driver's own calls ask for is the driver's choice; here `submit` stands for one flagged DRM_AUTH and
DRM_RENDER_ALLOW, `flink` for one flagged DRM_AUTH alone, `mode_set` for one flagged DRM_MASTER.
"""

from __future__ import annotations

from accelspec.spec.kernel import Fd, File, Process, Vma
from accelspec.spec.language import (
    EACCES,
    EBUSY,
    EINVAL,
    ENOMEM,
    OK,
    WILD_WRITE,
    Result,
    any_of,
    deduced,
    fails,
    free,
    kernel,
    operation,
    read,
    require,
    violates,
    wait_until,
    when,
)

from .core import SCOPES
from .laws import CallLaws
from .objects import ACCEL, PRIMARY, RENDER, Client, Device, Export, Job, Node, Token

FILE = "linux 6.12.117 drivers/gpu/drm/drm_file.c"
IOCTL = "linux 6.12.117 drivers/gpu/drm/drm_ioctl.c"
LEASE = "linux 6.12.117 drivers/gpu/drm/drm_lease.c"
PRIME = "linux 6.12.117 drivers/gpu/drm/drm_prime.c"


class DrmAuth(CallLaws):
    """The master of a DRM device, as Linux 6.12.117 has it."""

    machine = "ownership"
    revision = "drm_auth"
    document = "linux 6.12.117 drivers/gpu/drm/drm_auth.c"
    scopes = SCOPES

    not_applicable = {"ownership.R01": "an export holds no master: nothing is ever pinned"}
    known = [
        violates(
            "ownership.I01",
            "create_lease.ok",
            "a lessee passes for the master as long as its lessor does",
            read("drm_is_current_master_locked"),
        ),
        violates(
            "ownership.I02",
            "submit.ok",
            "render clients, and clients that were authenticated once, work beside the master",
            read("drm_ioctl_permit", document=IOCTL),
        ),
        violates(
            "ownership.I03",
            "submit.ok",
            "as I02; and a mapping is made for whoever has a handle",
            read("drm_ioctl_permit", document=IOCTL),
        ),
        violates(
            "ownership.I05",
            "open.ok",
            "a drop asks for no export: the next one to open is master",
            read("drm_master_open"),
        ),
        violates(
            "ownership.I06",
            "export.ok",
            "a dma-buf holds the device and the buffer, no master",
            read("drm_gem_dmabuf_export", document=PRIME),
        ),
        violates(
            "ownership.I07",
            "create_lease.ownerless",
            "if the lessor drops in between, the file that is cloned for a lease opens as master, and gives that up",
            deduced("drm_mode_create_lease_ioctl holds no master_mutex"),
        ),
        violates("ownership.I10", "drop.ok", "commands and mappings go on as before", read("drm_drop_master")),
        violates(
            "ownership.I14",
            "auth_magic.stale_magic",
            "a client that founds a group of its own stays in the map of the old one, also when it is freed",
            deduced("drm_new_set_master and drm_master_release look at different maps"),
        ),
        violates(
            "ownership.I15",
            "exit.closing",
            "the ownerless master of I07 stays when everybody has gone",
            deduced("drm_master_release compares with the lessor's master"),
        ),
        violates(
            "ownership.I16",
            "export.ok",
            "no look at the master",
            read("drm_ioctl_permit", document=IOCTL),
        ),
        violates(
            "ownership.L01",
            "create_lease.ownerless",
            "as I07: nobody can drop it, and acquiring is -EBUSY",
            deduced("drm_setmaster_ioctl"),
        ),
    ]

    # ------------------------------------------------------------------ open and release

    @operation
    def open(self, p: Process, n: Fd, d: Device, node: Node, excl: bool) -> Result:
        require(self.unused(p, n))
        if excl:
            return EBUSY("exclusive", read("drm_open_helper", "O_EXCL", document=FILE))
        if fails("allocation"):
            return ENOMEM("no_memory", read("drm_file_alloc", document=FILE))
        f = File()
        p.fd[n] = f
        if node is not PRIMARY:
            Client(device=d, file=f, node=node, authenticated=d.admin[p])
            return OK("no_master", read("drm_open_helper", "no master is made or joined", document=FILE))
        if d.owner is not None:
            Client(device=d, file=f, token=d.owner, authenticated=d.admin[p])
            return OK("joined", read("drm_master_open", "a guest, in the group of the master that is there"))
        t = Token()
        d.owner = t
        Client(device=d, file=f, token=t, founder=True, was_owner=True, authenticated=True, opener=p)
        return OK("ok", read("drm_master_open", "whoever opens while there is no master becomes it"))

    def release(self, f: File) -> None:
        """drm_release: a master that is closed is no longer the device's; what it gave away stays."""
        for t in Token:
            if any(c.file is f and c.token is t and t.magic is c for c in Client):
                t.magic = None
        for d in Device:
            if any(c.file is f and c.device is d and c.founder and c.token is d.owner for c in Client):
                d.owner = None
        self.end_commands(f)
        for c in Client:
            if c.file is f:
                free(c)
        free(f)
        self.forget()

    # ------------------------------------------------------------------ SET_MASTER and DROP_MASTER

    def may_change(self, p: Process, c: Client) -> bool:
        """drm_master_check_perm: it was master before, and this is the process that made it so; or CAP_SYS_ADMIN."""
        return (c.was_owner and c.opener is p) or c.device.admin[p]

    def set_owner(self, p: Process, c: Client, t: Token) -> None:
        """drm_set_master.  The pid of a client follows the caller until it has been a master (drm_file_update_pid)."""
        c.device.owner = t
        if when(not c.was_owner):
            c.opener = p
        c.was_owner = True

    @operation
    def acquire(self, p: Process, n: Fd) -> Result:
        """DRM_IOCTL_SET_MASTER."""
        c = self.client_of(p, n)
        if c.node is RENDER:
            return EACCES("render", read("drm_ioctl_permit", "not allowed for render clients", document=IOCTL))
        if not self.may_change(p, c):
            return EACCES("not_permitted", read("drm_master_check_perm"))
        if self.owns(c):
            return OK("already", read("drm_setmaster_ioctl", "a lessee too, while its lessor is master"))
        if c.device.owner is not None:
            return EBUSY("busy", read("drm_setmaster_ioctl"))
        if c.node is ACCEL:
            return EINVAL("no_master", read("drm_setmaster_ioctl", "a client of an accel node never has one"))
        if not c.founder:
            if fails("allocation"):
                return ENOMEM("no_memory", read("drm_new_set_master"))
            t = Token()
            self.set_owner(p, c, t)
            c.token = t
            c.founder = True
            c.authenticated = True
            self.forget()
            return OK("new", read("drm_new_set_master", "leaves its old group, but not the map of that group"))
        if c.lessor is not None:
            return EINVAL("lessee", read("drm_setmaster_ioctl"))
        mine = any_of(t for t in Token if t is c.token)
        self.set_owner(p, c, mine)
        return OK("ok", read("drm_setmaster_ioctl", "with the master that it had before"))

    @operation
    def drop(self, p: Process, n: Fd) -> Result:
        """DRM_IOCTL_DROP_MASTER."""
        c = self.client_of(p, n)
        if c.node is RENDER:
            return EACCES("render", read("drm_ioctl_permit", "not allowed for render clients", document=IOCTL))
        if not self.may_change(p, c):
            return EACCES("not_permitted", read("drm_master_check_perm"))
        if not self.owns(c):
            return EINVAL("not_owner", read("drm_dropmaster_ioctl"))
        if c.lessor is not None:
            return EINVAL("lessee", read("drm_dropmaster_ioctl"))
        c.device.owner = None
        return OK("ok", read("drm_drop_master", "commands, mappings and buffers stay as they are"))

    # ------------------------------------------------------------------ what needs a master, or an authenticated client

    @operation
    def mode_set(self, p: Process, n: Fd) -> Result:
        """A call flagged DRM_MASTER."""
        c = self.client_of(p, n)
        if not self.owns(c):
            return EACCES("not_owner", read("drm_ioctl_permit", document=IOCTL))
        return OK("ok", read("drm_ioctl_permit", "only the client is looked at, not the process", document=IOCTL))

    @operation
    def flink(self, p: Process, n: Fd) -> Result:
        """A call flagged DRM_AUTH, and not for render clients."""
        c = self.client_of(p, n)
        if c.node is not RENDER and not c.authenticated:
            return EACCES("not_authenticated", read("drm_ioctl_permit", document=IOCTL))
        if c.node is RENDER:
            return EACCES("render", read("drm_ioctl_permit", document=IOCTL))
        return OK("ok", read("drm_ioctl_permit", "once authenticated, always so", document=IOCTL))

    @operation
    def get_magic(self, p: Process, n: Fd) -> Result:
        """DRM_IOCTL_GET_MAGIC.  The map of a master has one entry here."""
        c = self.client_of(p, n)
        if c.node is RENDER:
            return EACCES("render", read("drm_ioctl_permit", document=IOCTL))
        require(c.token is not None and c.token.magic is None and not c.asked)  # asked again, it answers the same magic
        c.asked = True
        for t in Token:
            if t is c.token:
                t.magic = c
        return OK("ok", read("drm_getmagic"))

    @operation
    def auth_magic(self, p: Process, n: Fd) -> Result:
        """DRM_IOCTL_AUTH_MAGIC of the one who asked."""
        c = self.client_of(p, n)
        if not self.owns(c):
            return EACCES("not_owner", read("drm_ioctl_permit", document=IOCTL))
        if c.token is None or c.token.magic is None:
            return EINVAL("no_such_magic", read("drm_authmagic"))
        if not any(x is c.token.magic for x in Client):
            assert any(x is c.token.magic for x in Client), "ownership.I14"
            return WILD_WRITE("stale_magic", deduced("drm_new_set_master changes the group and leaves the old map"))
        for x in Client:
            if x is c.token.magic:
                x.authenticated = True
        for t in Token:
            if t is c.token:
                t.magic = None
        return OK("ok", read("drm_authmagic"))

    @operation
    def create_lease(self, p: Process, n: Fd, m: Fd) -> Result:
        """DRM_IOCTL_MODE_CREATE_LEASE: a second client with a part of the display."""
        require(p.running and n is not m)
        f = self.file_of(p, n)
        asking = self.behind(f)
        if not self.owns(asking):
            return EACCES("not_owner", read("drm_ioctl_permit", document=IOCTL))
        if asking.lessor is not None:
            return EINVAL("lessee", read("drm_mode_create_lease_ioctl", document=LEASE))
        require(self.unused(p, m))
        with p.busy:
            asking.device.call[p] = f
            yield "permitted"  # the test held no lock beyond itself
            c = self.behind(f)
            d = c.device
            if fails("allocation"):
                self.let_go(p, d, f)
                return ENOMEM("no_memory", read("drm_lease_create", document=LEASE))
            wait_until(p.fd[m] is None)
            g = File()
            p.fd[m] = g
            if d.owner is None:
                t = Token()
                d.owner = t
                Client(device=d, file=g, founder=True, lessor=c.token, was_owner=True, authenticated=True, opener=p)
                self.let_go(p, d, f)
                return OK("ownerless", deduced("the clone opens as master, and then gives that master up"))
            Client(device=d, file=g, founder=True, lessor=c.token, authenticated=True)
            self.let_go(p, d, f)
            return OK("ok", read("drm_mode_create_lease_ioctl", document=LEASE))

    # ------------------------------------------------------------------ the work

    @operation
    def submit(self, p: Process, n: Fd) -> Result:
        """A command: flagged DRM_AUTH and DRM_RENDER_ALLOW, as drivers do."""
        c = self.client_of(p, n)
        if c.node is not RENDER and not c.authenticated:
            return EACCES("not_permitted", read("drm_ioctl_permit", document=IOCTL))
        if fails("allocation"):
            return ENOMEM("no_memory", kernel("the driver's own"))
        Job(client=c)
        return OK("ok", kernel("the driver's own", "no look at the master"))

    @operation
    def mmap(self, p: Process, n: Fd) -> Result:
        require(p.running)
        f = self.file_of(p, n)
        if fails("allocation"):
            return ENOMEM("no_memory", kernel("drm_gem_mmap"))
        Vma(file=f, mm=p.mm)
        return OK("ok", kernel("drm_gem_mmap", "of whoever has a handle"))

    @operation
    def export(self, p: Process, n: Fd) -> Result:
        """PRIME_HANDLE_TO_FD: flagged DRM_RENDER_ALLOW alone."""
        c = self.client_of(p, n)
        if fails("allocation"):
            return ENOMEM("no_memory", read("drm_gem_prime_handle_to_dmabuf", document=PRIME))
        Export(device=c.device, pins=None, file=None, made=c.device.owner)
        return OK("ok", read("drm_gem_dmabuf_export", "holds the device and the buffer, no master", document=PRIME))
