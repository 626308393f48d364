# SPDX-License-Identifier: Apache-2.0
"""Designs without a revoke: D0 as posted in 2021; D1, D2a, D2b and D2c, in which a buffer keeps its owner's session."""

from __future__ import annotations

from accelspec.spec.kernel import Fd, File, Process
from accelspec.spec.language import (
    DONE,
    EACCES,
    EBUSY,
    EINVAL,
    EMFILE,
    ENOMEM,
    ETIME,
    OK,
    Result,
    deduced,
    event,
    fails,
    inserts,
    kernel,
    operation,
    read,
    replaces,
    require,
    stated,
)

from .laws import Laws
from .objects import DISABLED, GOOD, REMOVED, RESETTING, Buffer, Device, Memory, Session

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


class D0v3(D0):
    """The same in June 2021, as its first reviewer met it: the map operation does not ask for peer-to-peer."""

    revision = "D0-v3"
    option = True
    document = "the series of June 2021 (source 002)"
    unchanged = deduced("the series of September is its successor")
    not_applicable = NO_REVOKE
    drops = ("attach.no_path", "map.no_path")


class KeepsSession(Laws):
    """A buffer keeps the session that exported it, and so the device, from ending."""

    def kept(self, s: Session) -> bool:
        return any(b.session is s for b in Buffer) or super().kept(s)


class D1(KeepsSession):
    """The reviewer's alternative: an exclusive owner; what cannot be revoked keeps the ownership from being given on."""

    machine = "dmabuf"
    revision = "D1"
    document = "the mail of 12 September 2021 (source 001)"
    unchanged = deduced("the mail speaks of the ownership only")
    not_applicable = NO_REVOKE

    @replaces("open.releasing")
    def open_owner_token(self, d: Device) -> None:
        if any(s.device is d and self.closing(s) for s in Session):
            raise EBUSY("owner_token", stated("option 2", "the next open is kept from the ownership; the errno is ours"))

    @inserts(before="operational.gone")
    def only_the_owner(self, s: Session) -> None:
        if not s.owner:
            raise EACCES("not_the_owner", stated("option 2", "every ioctl fails for others"))

    @operation
    def drop_master(self, p: Process, n: Fd) -> Result:
        s = self.session_of(p, n)
        if not s.owner:
            return EINVAL("no_owner", read("drm_dropmaster_ioctl", document="drivers/gpu/drm/drm_auth.c"))
        s.owner = False
        return OK("ok", stated("option 2", "commands and mappings are revoked; buffers are not"))

    @operation
    def set_master(self, p: Process, n: Fd) -> Result:
        s = self.session_of(p, n)
        s.owner = True
        return OK("ok", deduced("nobody else could become the owner: the session holds the token"))


class D2a(KeepsSession):
    """habanalabs in 6.1: a buffer holds the context, and with it the device."""

    machine = "dmabuf"
    revision = "D2a"
    document = "linux 6.1.192 drivers/misc/habanalabs"
    unchanged = deduced("the rows that facts section 2 does not tell apart")
    not_applicable = NO_REVOKE

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
        d.health = REMOVED
        yield "waits_for_openers"
        d.decoding = False
        return DONE("ok", read("hl_device_fini", "importers keep the addresses of the BAR"))


class D2b(D2a):
    """habanalabs of 6.3 to 6.6: by virtual address, and a buffer holds its owner's open file and counts as an export."""

    revision = "D2b"
    document = "linux 6.3 to 6.6 drivers/accel/habanalabs"
    unchanged = read("section 2 of the facts", "the same rows in the columns D2a and D2b")
    not_applicable = NO_REVOKE

    def referenced(self, f: File) -> bool:
        by_buffer = any(b.session is s and s.file is f for b in Buffer for s in Session)
        return super().referenced(f) or by_buffer

    @event
    def delayed_fput(self, f: File) -> Result:
        """The last buffer has dropped the exporter's file."""
        require(any(s.file is f for s in Session) and not self.referenced(f))
        self.release(f)
        return DONE("ok", kernel("delayed_fput", "buffers drop it in their own release, never in the caller's"))

    @inserts(before="free_memory.ok")
    def free_memory_exported(self, m: Memory) -> None:
        if any(b.memory is m and b.session is m.session for b in Buffer):
            raise EINVAL("exported", read("unmap_device_va", "the mapping counts its exports"))

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
        assert not wraps, "dmabuf.I07"
        assert m.session is s, "dmabuf.I35"
        if fails("allocation"):
            return ENOMEM("no_memory", read("export_dmabuf"))
        m.part = part
        if fails("descriptor"):
            return EMFILE("no_descriptor", read("export_dmabuf", "the buffer was there, and is put again"))
        with p.busy:
            f = File()
            b = Buffer(memory=m, session=s, file=f, part=part, place=s.device.place, making=True)
            p.fd[at] = f
            yield "published"
            assert any(x is b and x.making for x in Buffer), "dmabuf.I02"
            b.making = False
            return OK("ok", read("export_dmabuf", "the context, the counter and the file are got behind the descriptor"))


class D2c(D2b):
    """habanalabs in 6.12: as D2b, and the descriptor is given last."""

    revision = "D2c"
    document = "linux 6.12.117 drivers/accel/habanalabs"
    unchanged = read("section 2 of the facts", "the same rows in the columns D2b and D2c")
    not_applicable = NO_REVOKE

    def covered(self, b: Buffer) -> bool:
        return b.part

    @operation
    def export(self, p: Process, n: Fd, m: Memory, at: Fd, part: bool, wraps: bool) -> Result:
        s = self.session_of(p, n)
        require(self.unused(p, at) and m.device is s.device)
        self.operational(s)
        if not self.mine(m, s):
            return EINVAL("unknown", read("export_dmabuf_from_addr", "no mapping of this context has the address"))
        assert not wraps, "dmabuf.I07"
        assert m.session is s, "dmabuf.I35"
        if fails("descriptor"):
            return EMFILE("no_descriptor", read("export_dmabuf", "before there is a buffer"))
        if fails("allocation"):
            return ENOMEM("no_memory", read("export_dmabuf"))
        f = File()
        Buffer(memory=m, session=s, file=f, part=part, place=s.device.place)
        p.fd[at] = f
        return OK("ok", read("export_dmabuf", "everything is counted, then the number is given"))
