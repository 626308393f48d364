# SPDX-License-Identifier: Apache-2.0
"""habanalabs 5.2: what every ioctl looks at first, and INFO, CB, MEMORY, DEBUG."""

from __future__ import annotations

from accelspec.spec.kernel import Fd, Process
from accelspec.spec.language import (
    EBUSY,
    EFAULT,
    EINVAL,
    ENODEV,
    ENOMEM,
    ENOTTY,
    EPERM,
    OK,
    OOPS,
    Result,
    choose,
    fails,
    free,
    implies,
    operation,
    read,
    require,
)

from .nodes import Nodes
from .objects import CommandBuffer, Context, FilePrivate, Memory, Query, Submission


class Ioctls(Nodes):
    document = "linux 5.2 drivers/misc/habanalabs"

    # ------------------------------------------------------------------ the entry

    def entered(self, p: Process, n: Fd, act: bool) -> FilePrivate:
        """hl_ioctl; `act`: for anything but INFO."""
        require(p.running)
        f = self.file_of(p, n)
        h = self.behind(f)
        d = h.device
        if d.gone:
            assert not d.gone, "habanalabs.I29"
            raise OOPS("device_gone", read("hl_ioctl", "the device was freed under the file"))
        if d.hard_pending:
            raise ENODEV("hard_reset_pending", read("hl_ioctl"))
        return h

    def working(self, h: FilePrivate) -> None:
        """What every ioctl but WAIT and the status asks."""
        if not self.operational(h.device):
            raise EBUSY("in_reset", read("hl_device_disabled_or_in_reset"))

    def validate(self, h: FilePrivate, own: Context | None, compute: bool) -> None:
        """What the posted series asks: has the file a context, and may that compute?"""

    def current(self, h: FilePrivate) -> Context:
        """hpriv->ctx, as it is now."""
        x = choose(x for x in Context if x.hpriv is h)
        assert x is not None, "habanalabs.I04"
        self.may_work(x)
        return x

    def worked_with(self, h: FilePrivate, copied: Context | None) -> Context:
        """CS and MEMORY work with a copy of hpriv->ctx that was made at their beginning."""
        assert copied is not None, "habanalabs.I04"
        self.may_work(copied)
        return copied

    def may_work(self, x: Context) -> None:
        assert not x.hpriv.device.gone, "habanalabs.I29"
        assert not x.survivor, "habanalabs.I13"
        assert x.granted, "habanalabs.I02"
        assert not x.hpriv.control, "habanalabs.I19"

    # ------------------------------------------------------------------ INFO

    @operation
    def info(self, p: Process, n: Fd, query: Query) -> Result:
        h = self.entered(p, n, False)
        if query is Query.STATUS:
            return OK("status", read("hl_info_ioctl", "even in a reset"))
        self.working(h)
        seen = choose(x for x in Context if x.hpriv is h)
        self.validate(h, seen, False)
        if query is Query.UNKNOWN:
            return ENOTTY("unknown", read("hl_info_ioctl"))
        if fails("return_size or return_pointer"):
            return EINVAL("no_room", read("hl_info_ioctl"))
        if fails("copy_to_user"):
            return EFAULT("copy", read("hl_info_ioctl"))
        assert implies(query is Query.USAGE, self.own_usage(h)), "habanalabs.I18"
        return OK("ok", read("hl_info_ioctl"))

    def own_usage(self, h: FilePrivate) -> bool:
        """Is the context whose memory DRAM_USAGE adds up nobody else's?"""
        return not any(h.device.slot is x and x.hpriv is not h for x in Context)

    # ------------------------------------------------------------------ CB

    @operation
    def cb_create(self, p: Process, n: Fd, large: bool) -> Result:
        h = self.entered(p, n, True)
        self.working(h)
        seen = choose(x for x in Context if x.hpriv is h)
        self.validate(h, seen, True)
        x = self.current(h)
        if large:
            return EINVAL("too_large", read("hl_cb_create", "more than 2 MiB - 32"))
        if fails("allocation"):
            return ENOMEM("no_memory", read("hl_cb_create"))
        CommandBuffer(hpriv=x.hpriv)
        return OK("ok", read("hl_cb_create"))

    @operation
    def cb_destroy(self, p: Process, n: Fd) -> Result:
        h = self.entered(p, n, True)
        self.working(h)
        seen = choose(x for x in Context if x.hpriv is h)
        self.validate(h, seen, True)
        x = self.current(h)
        b = choose(b for b in CommandBuffer if b.hpriv is x.hpriv and b.handle)
        if b is None:
            return EINVAL("unknown", read("hl_cb_destroy"))
        b.handle = False
        if not any(c.cb is b for c in Submission):
            free(b)
            return OK("ok", read("hl_cb_destroy"))
        return OK("still_used", read("hl_cb_destroy", "a submission holds it"))

    # ------------------------------------------------------------------ MEMORY

    @operation
    def alloc(self, p: Process, n: Fd, nothing: bool, shared: bool) -> Result:
        h = self.entered(p, n, True)
        copied = choose(x for x in Context if x.hpriv is h)
        self.working(h)
        self.validate(h, copied, True)
        x = self.worked_with(h, copied)
        if nothing:
            return EINVAL("size_zero", read("alloc_device_memory"))
        if fails("gen_pool_alloc"):
            return ENOMEM("pool_empty", read("alloc_device_memory"))
        if fails("idr_alloc"):
            return EFAULT("no_handle", read("alloc_device_memory"))
        Memory(asid=x.asid, shared=shared)
        return OK("ok", read("alloc_device_memory"))

    @operation
    def free(self, p: Process, n: Fd) -> Result:
        """Any handle of the device: nobody asks whose it is."""
        h = self.entered(p, n, True)
        copied = choose(x for x in Context if x.hpriv is h)
        self.working(h)
        self.validate(h, copied, True)
        x = self.worked_with(h, copied)
        m = choose(m for m in Memory if m.asid.device is h.device)
        if m is None:
            return EINVAL("unknown", read("free_device_memory"))
        if m.mapped is not None:
            return EINVAL("mapped", read("free_device_memory"))
        assert m.asid is x.asid or m.shared, "habanalabs.I31"
        free(m)
        return OK("ok", read("free_device_memory"))

    @operation
    def map(self, p: Process, n: Fd) -> Result:
        """Device memory into the device's address space of the caller."""
        h = self.entered(p, n, True)
        copied = choose(x for x in Context if x.hpriv is h)
        self.working(h)
        self.validate(h, copied, True)
        x = self.worked_with(h, copied)
        m = choose(m for m in Memory if m.asid.device is h.device and m.mapped is None)
        if m is None:
            return EINVAL("unknown", read("map_device_va"))
        if m.asid is not x.asid and not m.shared:
            return EPERM("not_shared", read("map_device_va"))
        if fails("virtual addresses"):
            return ENOMEM("no_address", read("map_device_va"))
        assert not h.device.soiled, "habanalabs.I18"
        m.mapped = x
        x.wrote = True
        return OK("ok", read("map_device_va"))

    @operation
    def unmap(self, p: Process, n: Fd) -> Result:
        h = self.entered(p, n, True)
        copied = choose(x for x in Context if x.hpriv is h)
        self.working(h)
        self.validate(h, copied, True)
        x = self.worked_with(h, copied)
        m = choose(m for m in Memory if m.mapped is x)
        if m is None:
            return EINVAL("unknown", read("unmap_device_va"))
        m.mapped = None
        return OK("ok", read("unmap_device_va"))

    # ------------------------------------------------------------------ DEBUG

    @operation
    def debug_on(self, p: Process, n: Fd) -> Result:
        h = self.entered(p, n, True)
        self.working(h)
        seen = choose(x for x in Context if x.hpriv is h)
        self.validate(h, seen, True)
        self.current(h)
        d = h.device
        with d.debug_lock:
            if d.in_debug:
                return EFAULT("already_on", read("hl_device_set_debug_mode"))
            d.in_debug = True
            return OK("ok", read("hl_device_set_debug_mode"))

    @operation
    def debug_off(self, p: Process, n: Fd) -> Result:
        h = self.entered(p, n, True)
        self.working(h)
        seen = choose(x for x in Context if x.hpriv is h)
        self.validate(h, seen, True)
        self.current(h)
        d = h.device
        with d.debug_lock:
            if not d.in_debug:
                return EFAULT("not_on", read("hl_device_set_debug_mode"))
            d.in_debug = False
            return OK("ok", read("hl_device_set_debug_mode"))

    @operation
    def debug_configure(self, p: Process, n: Fd) -> Result:
        """Every other DEBUG command."""
        h = self.entered(p, n, True)
        self.working(h)
        seen = choose(x for x in Context if x.hpriv is h)
        self.validate(h, seen, True)
        self.current(h)
        if not h.device.in_debug:
            return EFAULT("not_in_debug", read("hl_debug_ioctl"))
        return OK("ok", read("hl_debug_ioctl"))
