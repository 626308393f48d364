# SPDX-License-Identifier: Apache-2.0
"""Ownership as proposed on 2021-09-14: the masters of DRM, renamed owners; exports pin what cannot be taken back.

The mail is four sentences.  What it leaves open is settled as DRM settles it, and marked as deduced.
"""

from __future__ import annotations

from accelspec.spec.kernel import Fd, File, Process, Vma
from accelspec.spec.language import (
    EACCES,
    EBUSY,
    ENOMEM,
    OK,
    Answer,
    Result,
    deduced,
    fails,
    free,
    operation,
    replaces,
    require,
    stated,
    violates,
    when,
)

from .drm_auth import DrmAuth
from .objects import Client, Device, Export, Job, Token


class Proposal(DrmAuth):
    """An exclusive owner; what cannot be revoked keeps the next owner out."""

    revision = "proposal"
    document = "the mail of 2021-09-14"
    unchanged = deduced("the proposal builds on drm_master and says nothing else")
    scopes = {
        "one process": {"Fd": 2, "File": 2, "Client": 2, "Token": 2, "Waiter": 0, "Message": 0, "fork()": 0},
        "two processes": {
            "Process": 2,
            "Mm": 2,
            "File": 2,
            "Client": 2,
            "Token": 2,
            "Job": 0,
            "Vma": 0,
            "Waiter": 0,
        },
    }
    not_applicable = {"ownership.I14": "there are no groups"}
    known = [
        violates(
            "ownership.I02",
            "submit.ok",
            "permission is asked before the call runs, and a drop comes in between",
            deduced("drm_ioctl_permit holds no lock while the call runs"),
        ),
        violates(
            "ownership.I03",
            "submit.ok",
            "as I02: the drop has revoked before the command was there",
            deduced("drm_ioctl_permit holds no lock while the call runs"),
        ),
        violates(
            "ownership.I05",
            "open.ok",
            "as I16: nothing was exported yet when the drop looked, so the device was free",
            deduced("drm_ioctl_permit holds no lock while the call runs"),
        ),
        violates(
            "ownership.I16",
            "export.ok",
            "permission is asked before the call runs, and a drop comes in between",
            deduced("drm_ioctl_permit holds no lock while the call runs"),
        ),
    ]
    drops = [
        "create_lease",  # of a display
        "get_magic",  # there is no second class of clients
        "auth_magic",
        "flink",
        "mode_set",
        "acquire.render",
        "acquire.no_master",
        "acquire.lessee",
        "drop.render",
        "drop.lessee",
    ]

    def revoke(self, c: Client) -> None:
        """As much as possible: what is in flight, and every mapping."""
        for j in Job:
            if j.client is c:
                free(j)
        for v in Vma:
            if when(v.file is c.file):
                v.ptes = False

    def end(self, d: Device) -> None:
        """Its owner has gone: the device is free, or pinned."""
        for t in Token:
            if when(t is d.owner):
                t.dropped = True
        self.settle()

    def settle(self) -> None:
        """A device that no client owns and no export pins is free."""
        for d in Device:
            if when(d.owner is not None and d.owner.dropped and not any(e.pins is d.owner for e in Export)):
                d.owner = None

    @operation
    def open(self, p: Process, n: Fd, d: Device, excl: bool) -> Result:
        require(self.unused(p, n))
        if excl:
            return EBUSY("exclusive", deduced("drm_open_helper is kept"))
        if fails("allocation"):
            return ENOMEM("no_memory", deduced("drm_file_alloc is kept"))
        if d.owner is not None and d.owner.dropped:
            return EBUSY("pinned", stated("the second option", "what cannot be revoked prevents the next open"))
        f = File()
        p.fd[n] = f
        if d.owner is not None:
            Client(device=d, file=f, token=d.owner)
            return OK("joined", deduced("as drm_master_open: a guest, whose calls all fail"))
        t = Token()
        d.owner = t
        Client(device=d, file=f, token=t, founder=True, was_owner=True, opener=p)
        return OK("ok", deduced("as drm_master_open"))

    def release(self, f: File) -> None:
        """As a drop, for its owner."""
        self.end_commands(f)
        for t in Token:
            if when(any(c.file is f and c.founder and c.token is t and c.device.owner is t for c in Client)):
                t.dropped = True
        for c in Client:
            if c.file is f:
                free(c)
        free(f)
        self.settle()
        self.forget()

    def give_back(self, e: Export) -> None:
        """The last export of an owner who has gone frees the device."""
        free(e)
        self.settle()
        self.forget()

    @replaces("acquire.ok")
    def acquire_ok(self, p: Process, c: Client) -> Answer:
        for t in Token:
            if t is c.token:
                t.dropped = False
        c.device.owner = c.token
        return OK("ok", deduced("as drm_setmaster_ioctl, where nothing pins the device"))

    @replaces("drop.ok")
    def drop_ok(self, c: Client) -> Answer:
        self.revoke(c)
        self.end(c.device)
        return OK("ok", stated("the second option", "commands, mappings and all that can be revoked; exports pin"))

    # ------------------------------------------------------------------ every call is flagged DRM_MASTER

    @operation
    def submit(self, p: Process, n: Fd) -> Result:
        require(p.running)
        f = self.file_of(p, n)
        require(not f.in_call)
        c = self.behind(f)
        if not self.owns(c):
            return EACCES("not_owner", stated("the second option", "every ioctl fails if the caller is not the owner"))
        f.in_call = True
        with p.busy:
            yield "permitted"  # drm_ioctl_permit holds nothing while the call runs
            if fails("allocation"):
                self.fdput(f)
                return ENOMEM("no_memory", deduced("the driver's own"))
            Job(client=c)
            self.fdput(f)
            return OK("ok", deduced("the call goes on, whoever owns the device by now"))

    @operation
    def mmap(self, p: Process, n: Fd) -> Result:
        require(p.running)
        f = self.file_of(p, n)
        c = self.behind(f)
        if not self.owns(c):
            return EACCES("not_owner", stated("the second option", "only the current owner may use the driver"))
        if fails("allocation"):
            return ENOMEM("no_memory", deduced("the driver's own"))
        Vma(file=f, mm=p.mm)
        return OK("ok", deduced("an mmap is no ioctl: it looks for itself, where it takes effect"))

    @operation
    def export(self, p: Process, n: Fd) -> Result:
        require(p.running)
        f = self.file_of(p, n)
        require(not f.in_call)
        c = self.behind(f)
        if not self.owns(c):
            return EACCES("not_owner", stated("the second option", "every ioctl fails if the caller is not the owner"))
        f.in_call = True
        with p.busy:
            yield "permitted"
            if fails("allocation"):
                self.fdput(f)
                return ENOMEM("no_memory", deduced("dma_buf_export"))
            Export(device=c.device, pins=c.token, file=None, made=c.token)
            self.fdput(f)
            return OK("ok", stated("the second option", "a reference to the master is kept for what cannot be revoked"))
