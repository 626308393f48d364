# SPDX-License-Identifier: Apache-2.0
"""habanalabs 6.x: what every ioctl looks at first, and INFO, CB, MEMORY, DEBUG, the attributes of the clocks."""

from __future__ import annotations

from accelspec.spec.kernel import Fd, Process
from accelspec.spec.language import (
    DONE,
    EBUSY,
    EFAULT,
    EINVAL,
    ENODEV,
    ENOMEM,
    ENOTTY,
    EOPNOTSUPP,
    EPERM,
    OK,
    Result,
    any_of,
    choose,
    event,
    fails,
    free,
    operation,
    read,
    require,
    when,
)

from .mainline_owners import MISC
from .mainline_resets import Resets
from .objects import (
    GOYA,
    Chip,
    CommandBuffer,
    Context,
    Coresight,
    Dmabuf,
    Eventfd,
    FilePrivate,
    InfoOp,
    Memory,
    Submission,
)

CLOCKS = "linux 6.1.192 drivers/misc/habanalabs/goya/goya_hwmgr.c"


class Ioctls(Resets):
    document = MISC

    # ------------------------------------------------------------------ the entry

    def entered(self, p: Process, n: Fd) -> FilePrivate:
        """hl_ioctl, hl_ioctl_control."""
        require(p.running)
        f = self.file_of(p, n)
        h = self.behind(f)
        if h.orphan:
            raise ENODEV("device_gone", read("hl_ioctl", "hdev is NULL: removal has given up on this process"))
        return h

    def compute(self, p: Process, n: Fd) -> FilePrivate:
        """A number that only the compute node knows."""
        h = self.entered(p, n)
        if h.control:
            raise ENOTTY("control_node", read("hl_ioctl_control"))
        return h

    def working(self, h: FilePrivate) -> Context:
        """What CB, MEMORY and DEBUG ask first.  There is a context: open has made it."""
        if not self.operational(h.device):
            raise EBUSY("not_operational", read("hl_device_operational"))
        return self.context_of(h)

    def context_of(self, h: FilePrivate) -> Context:
        """The context that an ioctl works with, and the laws about who may."""
        assert any(x.hpriv is h for x in Context), "habanalabs.I04"
        x = any_of(x for x in Context if x.hpriv is h)
        assert x.granted, "habanalabs.I02"
        assert not x.survivor, "habanalabs.I13"
        assert not h.device.gone, "habanalabs.I29"
        return x

    # ------------------------------------------------------------------ INFO

    def answered_always(self, op: InfoOp) -> bool:
        """Even by a device that is disabled or in reset."""
        return op in (InfoOp.ALWAYS, InfoOp.EVENTS)

    @operation
    def info(self, p: Process, n: Fd, op: InfoOp) -> Result:
        h = self.entered(p, n)
        if not self.answered_always(op) and not self.operational(h.device):
            return EBUSY("not_operational", read("_hl_info_ioctl", "an unknown opcode too"))
        if op is InfoOp.UNKNOWN:
            return EINVAL("unknown", read("_hl_info_ioctl"))
        if fails("return_size or return_pointer"):
            return EINVAL("no_room", read("_hl_info_ioctl"))
        e = choose(e for e in Eventfd if e.hpriv is h)
        if op is InfoOp.REGISTER and e is not None:
            return EINVAL("registered", read("eventfd_register"))
        if op is InfoOp.UNREGISTER and e is None:
            return EINVAL("not_registered", read("eventfd_unregister"))
        if op is InfoOp.REGISTER:
            assert not h.control, "habanalabs.I19"
            Eventfd(hpriv=h)
            return OK("registers", read("eventfd_register"))
        if op is InfoOp.UNREGISTER and e is not None:
            free(e)
            return OK("unregisters", read("eventfd_unregister"))
        if fails("copy_to_user"):
            return EFAULT("copy", read("_hl_info_ioctl"))
        return OK("ok", read("_hl_info_ioctl", "what belongs to a context is 0 on a control node"))

    # ------------------------------------------------------------------ CB

    @operation
    def cb_create(self, p: Process, n: Fd, large: bool) -> Result:
        h = self.compute(p, n)
        x = self.working(h)
        if large:
            return EINVAL("too_large", read("hl_cb_ioctl", "more than 2 MiB - 32"))
        if fails("allocation"):
            return ENOMEM("no_memory", read("hl_cb_create", "a mapping that fails, too"))
        CommandBuffer(hpriv=x.hpriv)
        return OK("ok", read("hl_cb_create"))

    @operation
    def cb_destroy(self, p: Process, n: Fd) -> Result:
        """A handle leads to the buffer as long as there is one: destroyed or not."""
        h = self.compute(p, n)
        x = self.working(h)
        b = choose(b for b in CommandBuffer if b.hpriv is x.hpriv)
        if b is None:
            return EINVAL("unknown", read("hl_mmap_mem_buf_put_handle"))
        again = not b.handle
        assert not (again and any(c.cb is b for c in Submission)), "habanalabs.I08"  # it is freed in use, now or later
        b.handle = False
        b.refs -= 1
        if when(b.refs == 0):
            free(b)
        if again:
            return OK("again", read("hl_cb_destroy", "it drops a reference of somebody else's (B15)"))
        return OK("ok", read("hl_cb_destroy"))

    @operation
    def cb_op(self, p: Process, n: Fd) -> Result:
        """An opcode that CB does not know."""
        h = self.compute(p, n)
        self.working(h)
        return EINVAL("unknown", read("hl_cb_ioctl", "-ENOTTY before 2022"))

    # ------------------------------------------------------------------ MEMORY

    @operation
    def alloc(self, p: Process, n: Fd, nothing: bool) -> Result:
        h = self.compute(p, n)
        x = self.working(h)
        if nothing:
            return EINVAL("size_zero", read("hl_mem_ioctl"))
        if not any(k.device is h.device for k in Chip):
            return OK("accounted", read("hl_mem_ioctl", "Gaudi's memory has no addresses of its own: handle 0"))
        if fails("gen_pool_alloc"):
            return ENOMEM("pool_empty", read("alloc_device_memory"))
        if fails("idr_alloc"):
            return EFAULT("no_handle", read("alloc_device_memory"))
        Memory(asid=x.asid)
        return OK("ok", read("alloc_device_memory"))

    @operation
    def free(self, p: Process, n: Fd) -> Result:
        """Any handle of the device: nobody asks whose it is."""
        h = self.compute(p, n)
        x = self.working(h)
        if not any(k.device is h.device for k in Chip):
            return OK("accounted", read("hl_mem_ioctl", "believes whatever size it is told"))
        m = choose(m for m in Memory if m.asid.device is x.asid.device)
        if m is None:
            return EINVAL("unknown", read("free_device_memory"))
        if m.mapped is not None:
            return EINVAL("mapped", read("free_device_memory"))
        assert m.asid is x.asid or m.shared, "habanalabs.I31"
        free(m)
        return OK("ok", read("free_device_memory"))

    @operation
    def map(self, p: Process, n: Fd) -> Result:
        h = self.compute(p, n)
        x = self.working(h)
        m = choose(m for m in Memory if m.asid.device is x.asid.device and m.mapped is None)
        if m is None:
            return EINVAL("unknown", read("map_device_va"))
        if fails("virtual addresses"):
            return ENOMEM("no_address", read("map_device_va"))
        assert not any(k.soiled for k in Chip if k.device is h.device), "habanalabs.I18"
        assert m.asid is x.asid, "habanalabs.I26"
        m.mapped = x
        x.wrote = True
        return OK("ok", read("map_device_va"))

    @operation
    def unmap(self, p: Process, n: Fd) -> Result:
        h = self.compute(p, n)
        x = self.working(h)
        m = choose(m for m in Memory if m.mapped is x)
        if m is None:
            return EINVAL("unknown", read("unmap_device_va"))
        m.mapped = None
        return OK("ok", read("unmap_device_va"))

    @operation
    def memory_op(self, p: Process, n: Fd) -> Result:
        """An opcode that MEMORY does not know."""
        h = self.compute(p, n)
        self.working(h)
        return EINVAL("unknown", read("hl_mem_ioctl", "-ENOTTY before 2022"))

    # ------------------------------------------------------------------ dma-buf

    @operation
    def export(self, p: Process, n: Fd) -> Result:
        """A range of device memory by its address."""
        h = self.compute(p, n)
        x = self.working(h)
        if any(k.device is h.device for k in Chip):
            return EOPNOTSUPP("has_addresses", read("export_dmabuf_from_addr", "Gaudi alone can"))
        if fails("address and size"):
            return EINVAL("bad_range", read("validate_export_params"))
        if fails("dma_buf_export"):
            return ENOMEM("no_memory", read("export_dmabuf"))
        Dmabuf(ctx=x)
        return OK("ok", read("export_dmabuf", "it holds the context"))

    @event
    def importer_releases(self, e: Dmabuf) -> Result:
        """The last importer and the last descriptor let go."""
        free(e)
        return DONE("ok", read("hl_release_dmabuf"))

    # ------------------------------------------------------------------ DEBUG

    @operation
    def debug_on(self, p: Process, n: Fd) -> Result:
        h = self.compute(p, n)
        t = any_of(t for t in Coresight if t.device is h.device)
        self.working(h)
        if t.on:
            return EFAULT("already_on", read("hl_device_set_debug_mode"))
        t.on = True
        return OK("ok", read("hl_device_set_debug_mode"))

    @operation
    def debug_off(self, p: Process, n: Fd) -> Result:
        h = self.compute(p, n)
        t = any_of(t for t in Coresight if t.device is h.device)
        self.working(h)
        if not t.on:
            return EFAULT("not_on", read("hl_device_set_debug_mode"))
        t.on = False
        return OK("ok", read("hl_device_set_debug_mode"))

    @operation
    def debug_configure(self, p: Process, n: Fd, known: bool) -> Result:
        """ETR, ETF, STM and the like; or an opcode that nobody knows."""
        h = self.compute(p, n)
        t = any_of(t for t in Coresight if t.device is h.device)
        self.working(h)
        if not known:
            return EINVAL("unknown", read("hl_debug_ioctl"))
        if not t.on:
            return EFAULT("not_in_debug", read("hl_debug_ioctl"))
        return OK("ok", read("debug_coresight"))

    # ------------------------------------------------------------------ clocks, Goya

    @event
    def frequency_tick(self, k: Chip) -> Result:
        """set_freq_to_low_job, every 5 s."""
        require(k.asic is GOYA and not k.device.gone)
        return DONE("nothing", read("goya_set_freq_to_low_job", "they are LOW: nothing sets them HIGH any more"))

    @operation
    def pm_write(self, k: Chip, manual: bool) -> Result:
        """The attribute pm_mng_profile: "auto" or "manual"."""
        d = k.device
        require(k.asic is GOYA and not d.gone)
        if not self.operational(d):
            return ENODEV("not_operational", read("pm_mng_profile_store", document=CLOCKS))
        if d.active:
            return EPERM("in_use", read("pm_mng_profile_store", document=CLOCKS))
        if fails("neither auto nor manual"):
            return EINVAL("bad_text", read("pm_mng_profile_store", document=CLOCKS))
        k.manual = manual
        return OK("ok", read("pm_mng_profile_store", document=CLOCKS))
