# SPDX-License-Identifier: Apache-2.0
"""habanalabs in mainline since 5.17: one owner at a time, a control node beside it.  What 6.1 and 6.12 share.

A context lives as long as somebody holds it; when its file record has no holder either, the record ends in steps, and
only at their end may the next owner come.
"""

from __future__ import annotations

from accelspec.spec.kernel import Fd, File, Process, Processes
from accelspec.spec.language import (
    DONE,
    EAGAIN,
    EBUSY,
    ENOMEM,
    ENXIO,
    EPERM,
    OK,
    OOPS,
    Result,
    any_of,
    choose,
    event,
    fails,
    free,
    kernel,
    operation,
    read,
    require,
    when,
)

from .objects import (
    GAUDI2,
    Asic,
    Asid,
    Chip,
    CommandBuffer,
    Context,
    Coresight,
    Device,
    Dmabuf,
    Eventfd,
    FilePrivate,
    Memory,
    Submission,
)

MISC = "linux 6.1.192 drivers/misc/habanalabs"


class Owners(Processes):
    """Who has the device: open, release, and the end of what they leave."""

    document = MISC

    # ------------------------------------------------------------------ what a device is

    def in_reset(self, d: Device) -> bool:
        """hl_device_status: IN_RESET or IN_RESET_AFTER_DEVICE_RELEASE."""
        return d.in_reset

    def malfunction(self, d: Device) -> bool:
        """hl_device_status: MALFUNCTION."""
        return not self.in_reset(d) and not d.needs_reset and d.disabled

    def operational(self, d: Device) -> bool:
        """hl_device_operational: OPERATIONAL or IN_DEVICE_CREATION."""
        return not self.in_reset(d) and not d.needs_reset and not self.malfunction(d)

    def is_a(self, d: Device, asic: Asic) -> bool:
        return any(k.device is d and k.asic is asic for k in Chip)

    # ------------------------------------------------------------------ who holds what

    def behind(self, f: File) -> FilePrivate:
        h = choose(h for h in FilePrivate if h.file is f)
        assert h is not None, "habanalabs.A01"
        return h

    def held(self, x: Context) -> bool:
        """Does anything but the file hold it: a submission, a buffer, a waiter, an exported buffer?"""
        by_work = any(c.ctx is x and (c.alive or c.awaited) for c in Submission)
        by_buffer = any(b.hpriv is x.hpriv for b in CommandBuffer)
        return by_work or by_buffer or any(e.ctx is x for e in Dmabuf)

    def has_owner(self, d: Device) -> bool:
        """Is a description of the compute node open?"""
        return any(h.device is d and not h.control and h.file is not None for h in FilePrivate)

    def owner_left(self, h: FilePrivate) -> bool:
        """Is its last reference gone?"""
        return h.file is None and not h.control and not any(x.hpriv is h and self.held(x) for x in Context)

    # ------------------------------------------------------------------ open

    @operation
    def open(self, p: Process, n: Fd, d: Device) -> Result:
        require(self.unused(p, n))
        if d.gone:
            return ENXIO("no_minor", read("hl_device_open"))
        if fails("allocation"):
            return ENOMEM("no_memory", read("hl_device_open", "before it takes the lock"))
        with d.open_lock:
            if self.in_reset(d):
                return EAGAIN("in_reset", read("hl_device_open"))
            if not self.operational(d):
                return EPERM("broken", read("hl_device_open", "malfunction, or needs a reset"))
            if fails("is_in_dram_scrub"):
                return EAGAIN("scrubbing", read("hl_device_open", "asked for through debugfs"))
            if d.releasing:
                return EAGAIN("releasing", read("hl_device_open", "asked before the slot is"))
            if d.active:
                return EBUSY("active", read("hl_device_open"))
            if fails("hl_ctx_create"):
                return ENOMEM("no_context", read("hl_ctx_create"))
            a = any_of(a for a in Asid if a.device is d and not a.taken)  # the slot's rule leaves one
            h = FilePrivate(device=d, opener=p)
            Context(hpriv=h, asid=a, granted=True)
            a.taken = True
            d.active = True
            f = File()
            h.file = f
            h.listed = True
            h.contexts += 1
            p.fd[n] = f
            self.forget_errors(d)
            return OK("ok", read("hl_device_open"))

    def forget_errors(self, d: Device) -> None:
        """What was captured of errors, for the owner before: nothing that decides a row."""

    def refuses_control(self, d: Device) -> bool:
        return not self.operational(d)

    @operation
    def open_control(self, p: Process, n: Fd, d: Device) -> Result:
        """The control node: as many as like to."""
        require(self.unused(p, n))
        if d.gone:
            return ENXIO("no_minor", read("hl_device_open_ctrl"))
        if fails("allocation"):
            return ENOMEM("no_memory", read("hl_device_open_ctrl"))
        if self.refuses_control(d):
            return EPERM("broken", read("hl_device_open_ctrl"))
        h = FilePrivate(device=d, opener=p, control=True)
        f = File()
        h.file = f
        h.listed = True
        p.fd[n] = f
        return OK("ok", read("hl_device_open_ctrl"))

    # ------------------------------------------------------------------ release

    def release(self, f: File) -> None:
        """hl_device_release: the file lets go of its context and of its handles."""
        # what is destroyed is still there only because a submission uses it: its reference is dropped, too
        assert not any(self.put_at_close(b, f) and not b.handle for b in CommandBuffer), "habanalabs.I08"
        for b in CommandBuffer:
            if self.put_at_close(b, f):
                b.handle = False
                b.refs -= 1
        for h in FilePrivate:
            if h.file is f:
                h.file = None
                h.listed = h.listed and not self.leaks(h)
        for b in CommandBuffer:
            if b.refs == 0:
                free(b)
        for d in Device:
            if not d.releasing and any(h.device is d and self.drains(h) for h in FilePrivate):
                d.releasing = True
        for e in Eventfd:
            if e.hpriv.control and e.hpriv.file is None:
                free(e)
        for h in FilePrivate:
            if h.control and h.file is None:
                free(h)
        free(f)

    def put_at_close(self, b: CommandBuffer, f: File) -> bool:
        """hl_mem_mgr_fini puts every buffer that the table of the file still has, destroyed or not (H124)."""
        return b.hpriv is not None and b.hpriv.file is f and not self.leaks(b.hpriv)

    def leaks(self, h: FilePrivate) -> bool:
        """Does its release return at once, because the device is gone?"""
        return h.orphan and not h.control

    def without_device(self, h: FilePrivate) -> bool:
        """Is its hdev NULL?"""
        return h.orphan

    def drains(self, h: FilePrivate) -> bool:
        """Has it been closed, and is not over?"""
        return h.file is None and h.listed and not h.control

    @operation
    def exit(self, p: Process) -> Result:
        """What it has open is closed by and by; so it is when a reset has killed it."""
        require(p.running)
        p.running = False
        return OK("ok", kernel("do_exit"))

    @event
    def dies(self, p: Process) -> Result:
        """A process that exits, or was killed, gets round to closing a description."""
        require(not p.running and any(p.fd[n] is not None for n in Fd))
        f = any_of(f for f in File if any(p.fd[n] is f for n in Fd))
        self.close_all(p, f)
        return DONE("ok", kernel("exit_files"))

    @event
    def last_put(self, h: FilePrivate) -> Result:
        """hl_ctx_do_release and hpriv_release, in the thread that had the last reference."""
        require(self.owner_left(h) and h.listed)
        if self.without_device(h):
            assert not self.without_device(h), "habanalabs.I29"
            return OOPS("no_device", read("hpriv_release", "hdev is NULL, and is followed"))
        d = h.device
        self.end_context(h)
        idle = not fails("is_device_idle")
        h.listed = False
        mine = not d.in_reset
        resets = self.resets_on_release(d, idle)
        assert not (resets and self.has_owner(d)), "habanalabs.I10"
        if when(resets):
            self.reset_for_release(d)
        yield "off_the_list"  # a reset that begins from here on does not look for its process
        while mine and resets and (d.requested or d.resetting):
            yield "resetting"
        scrubbed = not fails("scrub_device_mem")
        if when(not resets and scrubbed):
            self.scrub(d)
        if when(not resets and not scrubbed):
            self.scrub_failed(d)
        assert not d.gone, "habanalabs.I29"
        d.active = False
        d.releasing = False
        for e in Eventfd:
            if e.hpriv is h:
                free(e)
        free(h)
        return DONE("ok", read("hpriv_release", "the flags last"))

    def reset_for_release(self, d: Device) -> None:
        """hl_device_reset with HL_DRV_RESET_DEV_RELEASE."""

    def scrub(self, d: Device) -> None:
        """scrub_device_mem."""
        for k in Chip:
            if k.device is d:
                k.soiled = False

    def scrub_failed(self, d: Device) -> None:
        """The driver says so in the log, and goes on."""

    def resets_on_release(self, d: Device, idle: bool) -> bool:
        return self.is_a(d, GAUDI2) or not idle

    def end_context(self, h: FilePrivate) -> None:
        """hl_ctx_do_release: fences, debug mode, mappings, device memory and the ASID go, then the context."""
        d = h.device
        for k in Chip:
            if k.device is d and any(x.hpriv is h and x.wrote for x in Context):
                k.soiled = True
        for t in Coresight:
            if t.device is d:
                t.on = False
        for m in Memory:
            if any(x.hpriv is h and x.asid is m.asid for x in Context):
                free(m)
        for a in Asid:
            if any(x.hpriv is h and x.asid is a for x in Context):
                a.taken = False
        for c in Submission:
            if c.ctx.hpriv is h:
                free(c)
        for x in Context:
            if x.hpriv is h:
                free(x)
