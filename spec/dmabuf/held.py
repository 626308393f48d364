# SPDX-License-Identifier: Apache-2.0
"""Designs without a revoke: D0 as posted in 2021; D1, D2a, D2b and D2c, in which a buffer keeps its owner's session."""

from __future__ import annotations

from accelspec.spec.kernel import Fd, File, Process
from accelspec.spec.language import (
    DONE,
    EACCES,
    EAGAIN,
    EBUSY,
    EINVAL,
    EMFILE,
    ENODEV,
    ENOMEM,
    EPERM,
    ETIME,
    OK,
    OOPS,
    STATE,
    Answer,
    Result,
    always,
    deduced,
    event,
    fails,
    inserts,
    operation,
    read,
    replaces,
    require,
    stated,
)

from . import costs as prices
from . import known as violations
from .laws import SHEET, Laws
from .objects import DISABLED, GOOD, LEAVING, REMOVED, RESETTING, Buffer, Device, Import, Memory, Session

DRM_IOCTL = "linux 6.12.117 drivers/gpu/drm/drm_ioctl.c"
SCOPES = {
    "a stranger": {"Process": 2, "Fd": 2, "File": 2, "Message": 1, "kill()": 0, "reset()": 0, "remove()": 0},
    "resets, removal, killing": {"Fd": 2, "File": 2, "Message": 0},
    "two buffers": {"Fd": 2, "File": 3, "Buffer": 2, "Message": 0, "kill()": 0, "reset()": 0, "remove()": 0},
}
NO_REVOKE = {
    "dmabuf.I12": "the exporter demands no revocation",
    "dmabuf.I14": "no buffer is ever revoked",
    "dmabuf.I16": "no buffer is ever revoked",
    "dmabuf.I17": "no importer is ever stopped",
    "dmabuf.I22": "nobody waits for outstanding mappings",
    "dmabuf.I29": "no buffer is ever revoked",
    "dmabuf.I30": "no importer is ever stopped",
    "dmabuf.I32": "nobody waits for outstanding mappings",
    "dmabuf.P01": "no buffer is ever revoked",
    "dmabuf.P02": "nobody waits for fences",
    "dmabuf.P08": "no buffer is ever revoked",
}


class D0(Laws):
    """The proposal of 2021: a buffer is a list of addresses, and nothing ties it to its owner."""

    machine = "dmabuf"
    revision = "D0"
    document = "the series of June to September 2021 (facts, section 0)"
    not_applicable = NO_REVOKE
    known = violations.D0
    costs = prices.D0
    scopes = SCOPES


class D0v3(D0):
    """The same in June 2021, as its first reviewer met it: the map operation does not ask for peer-to-peer."""

    revision = "D0-v3"
    option = True
    document = "the series of June 2021 (source 002)"
    unchanged = deduced("the series of September is its successor")
    not_applicable = NO_REVOKE
    known = violations.D0_V3
    costs = prices.D0
    drops = ["attach.no_path"]

    @replaces("map.no_path")
    def map_static(self, t: Import) -> Answer:
        self.make_mapping(t)
        return OK("static", stated("source 002", "addresses without pages, to whoever asks"))


class KeepsSession(Laws):
    """A buffer keeps the session that exported it, and so the device, from ending."""

    scopes = SCOPES

    def kept(self, s: Session) -> bool:
        return any(b.session is s for b in Buffer) or super().kept(s)


class D1(KeepsSession):
    """The reviewer's alternative: an exclusive owner, and what cannot be revoked keeps the next one away."""

    machine = "dmabuf"
    revision = "D1"
    document = "the mail of 12 September 2021 (source 001)"
    unchanged = deduced("the mail speaks of the ownership only")
    not_applicable = NO_REVOKE
    known = violations.D1
    costs = prices.D1

    @replaces("open.releasing")
    def open_owner_token(self, d: Device) -> None:
        if any(s.device is d and self.closing(s) for s in Session):
            raise EBUSY(
                "owner_token", stated("option 2", "the next open is kept from the ownership; the errno is ours")
            )

    @inserts(before="operational.not_operational")
    def only_the_owner(self, s: Session) -> None:
        if not s.owner:
            raise EACCES("not_the_owner", stated("option 2", "every ioctl fails for others"))

    def plugged(self, s: Session) -> None:
        """What the core looks at before it looks whether the caller may."""
        if s.device.health is REMOVED:
            raise ENODEV("unplugged", read("drm_ioctl", document=DRM_IOCTL))

    @operation
    def drop_master(self, p: Process, n: Fd) -> Result:
        s = self.session_of(p, n)
        self.plugged(s)
        if not s.owner:
            return EINVAL("no_owner", read("drm_dropmaster_ioctl", document="drivers/gpu/drm/drm_auth.c"))
        s.owner = False
        return OK("ok", stated("option 2", "commands and mappings are revoked; buffers are not"))

    @operation
    def set_master(self, p: Process, n: Fd) -> Result:
        s = self.session_of(p, n)
        self.plugged(s)
        s.owner = True
        return OK("ok", deduced("nobody else could become the owner: the session holds the token"))


class D2a(KeepsSession):
    """habanalabs in 6.1: a buffer holds the context, and with it the device."""

    machine = "dmabuf"
    revision = "D2a"
    document = "linux 6.1.192 drivers/misc/habanalabs"
    unchanged = deduced("the rows that facts section 2 does not tell apart")
    not_applicable = NO_REVOKE
    known = violations.D2A
    costs = prices.D2A

    @inserts(before="open.releasing")
    def open_disabled(self, d: Device) -> None:
        if d.health is LEAVING:
            raise EAGAIN("leaving", read("hl_device_status", "a removal takes in_reset first"))
        if d.health is DISABLED:
            raise EPERM("disabled", read("hl_device_open", "a malfunction, or a reset that was given up"))

    @event
    def reset(self, d: Device) -> Result:
        """The opener is killed, and the list of openers must become empty; after about ten minutes it is given up."""
        require(d.health is GOOD)
        d.health = RESETTING
        yield "waits_for_openers"
        if any(s.device is d for s in Session):
            d.health = DISABLED
            return ETIME("given_up", read("hl_device_reset", "60 tries, 10 s each; the device stays disabled"))
        d.decoding = False
        yield "in_reset"
        d.decoding = True
        d.place = not d.place
        d.health = GOOD
        return DONE("ok", read("hl_device_reset", "nobody has it open, and so nobody has a buffer of it"))

    @event
    def remove(self, d: Device) -> Result:
        """Openers have 600 s; then it is forced."""
        require(d.health in (GOOD, DISABLED))
        d.health = LEAVING
        yield "waits_for_openers"
        d.health = REMOVED
        d.decoding = False
        return DONE("ok", read("hl_device_fini", "importers keep the addresses of the BAR"))


class D2c(D2a):
    """habanalabs in 6.12: by virtual address; a buffer holds its owner's open file and counts as an export."""

    revision = "D2c"
    document = "linux 6.12.117 drivers/accel/habanalabs"
    unchanged = read("section 2 of the facts", "the same rows in the columns D2a and D2c")
    not_applicable = NO_REVOKE
    known = violations.D2C
    costs = prices.D2C

    def referenced(self, f: File) -> bool:
        by_buffer = any(b.session is s and s.file is f for b in Buffer for s in Session)
        return super().referenced(f) or by_buffer

    def closing(self, s: Session) -> bool:
        """Has nobody the device's file any more?  Its last reference may be a buffer's."""
        return not any(s.file is f and self.referenced(f) for f in File)

    @replaces("open_disabled.leaving")
    def open_leaving(self, d: Device) -> None:
        if d.health is LEAVING:
            raise EPERM("leaving", read("hl_device_status", "device_fini_pending is looked at first: a malfunction"))

    @replaces("operational.gone")
    def operational_gone(self, s: Session) -> None:
        if s.device.health is REMOVED:
            raise OOPS("gone", read("hl_device_operational", "DRM goes on calling, and hdev is NULL"))

    @inserts(before="free_memory.ok")
    def free_memory_exported(self, m: Memory) -> None:
        if any(b.memory is m and b.session is m.session for b in Buffer):
            raise EINVAL("exported", read("unmap_device_va", "the mapping counts its exports"))

    @replaces("export.bad_range")
    def export_unknown(self, m: Memory, s: Session) -> None:
        if not self.mine(m, s):
            raise EINVAL("unknown", read("export_dmabuf_from_addr", "no mapping of this context has the address"))

    @inserts(before="export.ok")
    def export_unchecked_sum(self, wraps: bool) -> None:
        """No row: offset and size are compared with the mapping, their sum may wrap."""
        assert not wraps, "dmabuf.I07"


class D2b(D2c):
    """habanalabs of 6.3 to 6.6: as D2c, but the descriptor is given too early, and the size kept in the wrong place."""

    revision = "D2b"
    document = "linux 6.3 to 6.6 drivers/accel/habanalabs"
    unchanged = read("section 2 of the facts", "the same rows in the columns D2b and D2c")
    not_applicable = NO_REVOKE
    known = violations.D2B
    costs = prices.D2C

    @replaces("operational.gone")
    def still_told(self, s: Session) -> None:
        if s.device.health is REMOVED:
            raise ENODEV("gone", deduced("hl_ioctl, as in 6.1: the node is DRM's since 6.7"))

    scopes = {**SCOPES, "two buffers": {**SCOPES["two buffers"], "Fd": 3}}

    @always("dmabuf.I02", STATE, SHEET)
    def used_means_held(self) -> bool:
        """What an export works on is kept alive: it finds its buffer again; and a buffer has its file."""
        working = all(any(b.session is s and b.making for b in Buffer) for s in Session if s.exporting)
        return working and super().used_means_held()

    def covered(self, b: Buffer) -> bool:
        """The size is kept on the allocation (B17): the latest export decides for all."""
        return b.memory.part

    @operation
    def export(self, p: Process, n: Fd, m: Memory, at: Fd, part: bool, wraps: bool) -> Result:
        """Published first, counted then (B01)."""
        s = self.session_of(p, n)
        require(self.unused(p, at) and m.device is s.device)
        self.operational(s)
        if not self.mine(m, s):
            return EINVAL("unknown", read("export_dmabuf_from_addr", "no mapping of this context has the address"))
        if fails("allocation"):
            return ENOMEM("no_memory", read("export_dmabuf"))
        m.part = part
        b = Buffer(memory=m, session=s, part=part, place=s.device.place)
        if fails("descriptor"):
            self.undo(b)
            return EMFILE("no_descriptor", read("export_dmabuf", "the buffer was there, and is put again"))
        with p.busy:
            assert not wraps, "dmabuf.I07"
            assert m.session is s, "dmabuf.I35"
            f = File()
            b.file = f
            b.making = True
            s.exporting = True
            p.fd[at] = f
            yield "published"
            if not any(x is b and x.making for x in Buffer):
                return OOPS("freed", stated("CVE-2025-38722", "what it counts on is freed memory"))
            b.making = False
            s.exporting = False
            return OK(
                "ok", read("export_dmabuf", "the context, the counter and the file are got behind the descriptor")
            )
