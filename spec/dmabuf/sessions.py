# SPDX-License-Identifier: Apache-2.0
"""An accelerator that one session at a time may use: open, memory, the end of a session, reset and removal.

As in the proposal of 2021: nothing here knows of exported buffers.  What a design does about them, it says itself.
"""

from __future__ import annotations

from accelspec.spec.kernel import Fd, File, Message, Process
from accelspec.spec.kernel.files import Files
from accelspec.spec.language import (
    DONE,
    EAGAIN,
    EBUSY,
    EINVAL,
    ENODEV,
    ENOMEM,
    ENOTTY,
    OK,
    Result,
    any_of,
    choose,
    deduced,
    event,
    fails,
    free,
    operation,
    read,
    require,
    wait_until,
)

from .objects import DISABLED, GOOD, REMOVED, RESETTING, Buffer, Device, Import, Memory, Session

DMA_BUF = "linux 6.12.117 drivers/dma-buf/dma-buf.c"
EXIT = "linux 6.12.117 kernel/exit.c"
HL_6_1 = "linux 6.1.192 drivers/misc/habanalabs/common/habanalabs_ioctl.c"


class Sessions(Files):
    document = "drivers/misc/habanalabs of 2021 (facts, sections 1 and 2)"

    drops = ["wake_up"]  # there is no poll on these files

    # ------------------------------------------------------------------ who keeps what

    def referenced(self, f: File) -> bool:
        """Importers and a revoke hold the file of the buffer, beside descriptors and messages."""
        by_import = any(t.file is f for t in Import)
        by_revoke = any(b.file is f and b.revoking for b in Buffer)
        return super().referenced(f) or by_import or by_revoke

    def kept(self, s: Session) -> bool:
        """Does something keep the session from ending, when its file is released?"""
        return False

    def left_to_others(self, s: Session) -> bool:
        """Has nobody a descriptor of the session, and does a buffer keep it that nobody takes away?"""
        by_fd = any(p.fd[n] is s.file for p in Process for n in Fd if s.file is not None)
        by_message = any(m.file is s.file for m in Message)
        return not by_fd and not by_message and any(b.session is s and self.lasting(b) for b in Buffer)

    def lasting(self, b: Buffer) -> bool:
        """Does it keep its session until its last holder lets go?  Where nothing is revoked, whatever keeps it does."""
        return any(b.session is s and self.kept(s) for s in Session)

    def closing(self, s: Session) -> bool:
        """Was its device file released?"""
        return s.file is None

    def release(self, f: File) -> None:
        """The last reference is gone: of the device's file, or of a buffer."""
        for b in Buffer:
            if b.file is f:
                assert not any(t.buffer is b for t in Import), "dmabuf.I09"
                free(b)
        for s in Session:
            if s.file is f:
                s.file = None
        free(f)

    # ------------------------------------------------------------------ open

    @operation
    def open(self, p: Process, n: Fd, d: Device) -> Result:
        require(self.unused(p, n))
        if d.health is REMOVED:
            return ENODEV("removed", read("hl_device_open"))
        if d.health is RESETTING:
            return EAGAIN("in_reset", read("hl_device_open"))
        if any(s.device is d and self.closing(s) for s in Session):
            return EAGAIN("releasing", read("hl_device_open", "the release of the one before is not through"))
        if any(s.device is d for s in Session):
            return EBUSY("busy", read("hl_device_open", "one compute session at a time"))
        if fails("allocation"):
            return ENOMEM("no_memory", read("hl_device_open"))
        f = File()
        Session(device=d, file=f)
        p.fd[n] = f
        return OK("ok", read("hl_device_open"))

    def session_of(self, p: Process, n: Fd) -> Session:
        """What every call on the device's descriptor begins with."""
        require(p.running)
        f = self.file_of(p, n)
        s = choose(s for s in Session if s.file is f)
        if s is None:
            raise ENOTTY("another_file", read("dma_buf_ioctl", "a buffer has other commands", document=DMA_BUF))
        return s

    def operational(self, s: Session) -> None:
        if s.device.health is REMOVED:
            raise ENODEV("gone", read("hl_ioctl", "the file has lost its device", document=HL_6_1))
        if s.device.health is not GOOD:
            raise EBUSY("not_operational", read("hl_ioctl", "in reset, or after a malfunction"))

    # ------------------------------------------------------------------ memory

    def mine(self, m: Memory, s: Session) -> bool:
        """Is it an allocation of this session?"""
        return m.session is s and not m.leaving

    def available(self, m: Memory) -> bool:
        """Is it in the pool?"""
        return m.session is None and not m.leaving

    @operation
    def alloc(self, p: Process, n: Fd) -> Result:
        s = self.session_of(p, n)
        self.operational(s)
        m = choose(m for m in Memory if m.device is s.device and self.available(m))
        if m is None:
            return ENOMEM("exhausted", read("alloc_device_memory", "the pool is empty"))
        m.session = s
        m.dirty = True
        return OK("ok", read("alloc_device_memory", "its owner fills it"))

    @operation
    def free_memory(self, p: Process, n: Fd, m: Memory) -> Result:
        s = self.session_of(p, n)
        self.operational(s)
        if not self.mine(m, s):
            return EINVAL("unknown", read("free_device_memory", "no allocation of this context"))
        m.session = None
        return OK("ok", read("free_device_memory"))

    # ------------------------------------------------------------------ ends

    def in_use(self, m: Memory) -> bool:
        """Has memory that is freed still to be kept out of the pool?"""
        return False

    @event
    def end_session(self, s: Session) -> Result:
        """The rest of the release: allocations go back, the memory is scrubbed, the device is free again."""
        require(self.closing(s) and not self.kept(s))
        d = s.device
        for m in Memory:
            if m.device is d:
                m.dirty = False
            if m.session is s:
                m.session = None
                m.leaving = self.in_use(m)
        for b in Buffer:
            if b.session is s:
                b.session = None
        for f in File:
            if s.file is f:
                free(f)
        free(s)
        return DONE("ok", read("hl_ctx_do_release; hpriv_release", "the context, then the scrub, then the slot"))

    @event
    def kill(self, p: Process) -> Result:
        """SIGKILL: regions go, then descriptors, one by one."""
        require(p.running and not p.busy)
        p.running = False
        while any(t.process is p for t in Import):
            t = any_of(t for t in Import if t.process is p)
            wait_until(not t.buffer.resv)
            f = t.file
            free(t)
            self.fput(f)
            yield "deregistering"
        while any(p.fd[n] is not None for n in Fd):
            f = any_of(f for f in File if any(p.fd[n] is f for n in Fd))
            for n in Fd:
                if p.fd[n] is f:
                    p.fd[n] = None
            self.fput(f)
            yield "closing"
        return DONE("ok", read("do_exit", "exit_files closes by number; here in any order", document=EXIT))

    @event
    def reset(self, d: Device) -> Result:
        """A hard reset; nobody asks what is mapped."""
        require(d.health is GOOD)
        d.health = RESETTING
        d.decoding = False
        yield "in_reset"
        d.decoding = True
        d.place = not d.place
        d.health = GOOD
        return DONE("ok", deduced("facts 2.6: importer mappings keep pointing at the BAR through the reset"))

    @event
    def remove(self, d: Device) -> Result:
        """Unplugged, or the driver is unbound."""
        require(d.health in (GOOD, DISABLED))
        d.health = REMOVED
        d.decoding = False
        return DONE("ok", deduced("facts 2.6: undefined in 2021; nothing tells importers"))
