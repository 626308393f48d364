# SPDX-License-Identifier: Apache-2.0
"""Ownership as mainline habanalabs adopted it in effect: one open at a time, which every export keeps open."""

from __future__ import annotations

from accelspec.spec.kernel import Fd, File, Process, Vma, Waiter
from accelspec.spec.language import (
    DONE,
    EAGAIN,
    EBUSY,
    ENOMEM,
    OK,
    Result,
    any_of,
    deduced,
    event,
    fails,
    free,
    kernel,
    lemma,
    operation,
    read,
    require,
    when,
)

from .core import SCOPES
from .laws import Laws
from .objects import ACCEL, Client, Device, Export, Job, Token

CORE = "linux 6.12.117 drivers/gpu/drm/drm_file.c"
MEMORY = "linux 6.12.117 drivers/accel/habanalabs/common/memory.c"
DEVICE = "linux 6.12.117 drivers/accel/habanalabs/common/device.c"

NO_GUESTS = "an open that finds an owner is refused: there are no guests"


class Habanalabs(Laws):
    """The compute slot of habanalabs in Linux 6.12.117; resets and health are in the machine `habanalabs`."""

    machine = "ownership"
    revision = "habanalabs"
    document = "linux 6.12.117 drivers/accel/habanalabs/common/habanalabs_drv.c"
    scopes = SCOPES
    not_applicable = {
        "ownership.I17": "no object stands for ownership: the token of the machine is the context itself",
        "ownership.R02": NO_GUESTS,
    }

    def referenced(self, f: File) -> bool:
        """An export holds the exporter's description (get_file in export_dmabuf)."""
        return super().referenced(f) or any(e.file is f for e in Export)

    @operation
    def open(self, p: Process, n: Fd, d: Device, excl: bool) -> Result:
        require(self.unused(p, n))
        if excl:
            return EBUSY("exclusive", read("drm_open_helper", document=CORE))
        if fails("allocation"):
            return ENOMEM("no_memory", read("drm_file_alloc", document=CORE))
        if any(c.device is d and c.file is None for c in Client):
            return EAGAIN("releasing", read("hl_device_open", "tested before the slot"))
        if d.owner is not None:
            return EBUSY("active", read("hl_device_open", "also while only an export keeps the owner's file open"))
        f = File()
        p.fd[n] = f
        t = Token()
        d.owner = t
        Client(device=d, file=f, node=ACCEL, token=t, founder=True, opener=p)
        return OK("ok", read("hl_device_open"))

    def release(self, f: File) -> None:
        """hl_device_release: the slot is given back when the last command has ended, not before."""
        for c in Client:
            if c.file is f:
                c.file = None
        free(f)
        self.finish()

    def finish(self) -> None:
        """hpriv_release, at the last reference to the context: of what is being released and has nothing in flight."""
        for d in Device:
            if when(any(c.token is d.owner and self.idle(c) for c in Client)):
                d.owner = None
        for c in Client:
            if self.idle(c):
                free(c)
        self.forget()

    def idle(self, c: Client) -> bool:
        return c.file is None and not any(j.client is c for j in Job)

    @event
    def complete(self, j: Job) -> Result:
        free(j)
        self.finish()
        return DONE("ok", read("hpriv_release", "a command holds the context", document=DEVICE))

    def give_back(self, e: Export) -> None:
        """hl_release_dmabuf: the context, then the description."""
        f = any_of(f for f in File if f is e.file)
        free(e)
        self.fput(f)

    # ------------------------------------------------------------------ who has a description owns the device

    @operation
    def submit(self, p: Process, n: Fd) -> Result:
        c = self.client_of(p, n)
        if fails("allocation"):
            return ENOMEM("no_memory", read("hl_cs_ioctl", document="linux 6.12.117 drivers/accel/habanalabs"))
        Job(client=c)
        return OK("ok", read("hl_cs_ioctl", document="linux 6.12.117 drivers/accel/habanalabs"))

    @operation
    def mmap(self, p: Process, n: Fd) -> Result:
        require(p.running)
        f = self.file_of(p, n)
        if fails("allocation"):
            return ENOMEM("no_memory", kernel("remap_pfn_range"))
        Vma(file=f, mm=p.mm)
        return OK("ok", kernel("mmap_region"))

    @operation
    def export(self, p: Process, n: Fd) -> Result:
        require(p.running)
        f = self.file_of(p, n)
        c = self.behind(f)
        if fails("allocation"):
            return ENOMEM("no_memory", read("export_dmabuf", document=MEMORY))
        Export(device=c.device, pins=c.token, file=f, made=c.token)
        return OK("ok", read("export_dmabuf", "takes the context and the description", document=MEMORY))

    # ------------------------------------------------------------------ what the proofs need besides

    @lemma(deduced("one open, one context, one slot"))
    def a_client_has_the_slot(self) -> bool:
        alone = all(a is b for a in Client for b in Client if a.token is b.token or a.device is b.device)
        return alone and all(
            c.founder and c.token is not None and c.lessor is None and c.device.owner is c.token for c in Client
        )

    @lemma(deduced("the slot is cleared where the context goes"))
    def a_slot_has_its_client(self) -> bool:
        owned = all(any(c.device is d and c.token is d.owner for c in Client) for d in Device if d.owner is not None)
        return owned and all(any(c.token is t for c in Client) for t in Token)

    @lemma(deduced("finish"))
    def a_client_without_a_description_has_work(self) -> bool:
        return all(c.file is not None or any(j.client is c for j in Job) for c in Client)

    @lemma(kernel("release comes with the last reference"))
    def a_description_is_referenced(self) -> bool:
        calls = any(d.call[p] is not None for d in Device for p in Process) or any(True for w in Waiter)
        return not calls and all(self.referenced(f) and not f.in_call for f in File)

    @lemma(deduced("export_dmabuf"))
    def an_export_holds_its_client(self) -> bool:
        return all(
            e.pins is e.made
            and e.file is not None
            and any(c.file is e.file and c.token is e.pins and c.device is e.device for c in Client)
            for e in Export
        )
