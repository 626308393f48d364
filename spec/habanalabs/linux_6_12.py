# SPDX-License-Identifier: Apache-2.0
"""habanalabs revision `c2`: Linux 6.12.117, an accel driver: the DRM core in front, a watchdog behind."""

from __future__ import annotations

from accelspec.spec.kernel import Fd, File, Process
from accelspec.spec.language import (
    DONE,
    EBUSY,
    EINTR,
    EINVAL,
    ENODEV,
    ENOMEM,
    EOPNOTSUPP,
    OK,
    OOPS,
    STATE,
    Result,
    always,
    any_of,
    choose,
    deduced,
    event,
    eventually,
    fails,
    free,
    implies,
    inserts,
    operation,
    read,
    replaces,
    require,
    violates,
    when,
)

from .laws import SHEET
from .linux_6_1 import NEVER_CLOSED
from .mainline import NO_WORK, NOT_HERE, SCOPES
from .objects import (
    ABORTED,
    DONE_WELL,
    GAUDI2,
    PENDING,
    TIMED_OUT,
    Chip,
    CommandBuffer,
    Context,
    Device,
    Dmabuf,
    Eventfd,
    Fence,
    FilePrivate,
    InfoOp,
    Memory,
    Submission,
    Watchdog,
)
from .page_faults import ACCEL, PageFaults
from .revision_a import UNMAPPED
from .submission_laws import DRAINING

NO_FAULT = {"PageFault": 0, "Snapshot": 0}
CORE = "linux 6.12.117 drivers/gpu/drm/drm_file.c, drivers/accel/drm_accel.c"


class Linux6_12(PageFaults):
    """6.12.117: errors wait for the owner to leave, a close that finds its context in use resets the device."""

    revision = "c2"
    document = ACCEL
    unchanged = read("drivers/accel/habanalabs/common", "compared with 6.1.192 function by function")
    drops = (*UNMAPPED, "remove.gave_up", "cb_destroy.again")

    scopes = {
        **{name: {**scope, **NO_FAULT} for name, scope in SCOPES.items()},
        "memory": {**SCOPES["memory"], **NO_FAULT, "Dmabuf": 1},
        "waits": {**SCOPES["waits"], **NO_FAULT, "Eventfd": 1},
        "page faults": {**NO_WORK, "remove()": 0},
    }
    not_applicable = {**NOT_HERE, "habanalabs.I41": "a signal has an answer of its own"}
    known = [
        violates(
            "habanalabs.I08",
            "close.ok",
            "what a submission uses and whose handle is destroyed is put once more by the close of its file (H124)",
            deduced("hl_mem_mgr_fini; not tried"),
        ),
        violates(
            "habanalabs.I10",
            "still_in_use.ok",
            "a close that found its context in use asks for a hard reset when another may have opened",
            deduced("hl_device_release holds no lock between hl_hpriv_put and hl_device_reset"),
        ),
        violates(
            "habanalabs.I17",
            "complete.ok",
            "a conditional reset writes -EIO into the fence of what has timed out, its rollback -ETIMEDOUT",
            deduced("force_complete_cs, then cs_do_release"),
        ),
        violates(
            "habanalabs.I23",
            "submit.restore_fails",
            "who fails to switch the chip keeps the token: every later submission times out (H75)",
            deduced("hl_cs_ctx_switch arms it nowhere"),
        ),
        violates("habanalabs.I25", "open.ok", "nothing sets the clocks HIGH (H71)", read("goya_set_frequency")),
        violates(
            "habanalabs.I29",
            "last_put.ok",
            "removal does not see who is inside hpriv_release; and whom it gave up on, follows a NULL hdev (H72)",
            deduced("hl_device_fini waits for the list of files, and unregisters from the DRM core last"),
        ),
        violates(
            "habanalabs.I42",
            "last_put.ok",
            "what is dropped while removal shows, or remembered, does not stop the watchdog: it hits the next owner",
            deduced("hl_device_reset returns before, and goes on at escalate_reset_flow behind, where it is stopped"),
        ),
        violates("habanalabs.P01", "timeout.only_told", NEVER_CLOSED, deduced("cs_timedout returns without a timer")),
    ]

    # ------------------------------------------------------------------ the status

    def in_reset(self, d: Device) -> bool:
        return not d.fini and d.in_reset

    def malfunction(self, d: Device) -> bool:
        return d.fini or super().malfunction(d)

    # ------------------------------------------------------------------ open and release

    @replaces("open.no_minor")
    def open_no_minor(self, d: Device) -> None:
        if d.gone:
            raise ENODEV("no_minor", read("drm_minor_acquire", document=CORE))

    @inserts(after="open.no_minor")
    def open_refused_by_core(self) -> None:
        if fails("an open without O_EXCL"):
            raise EBUSY("exclusive", read("drm_open_helper", document=CORE))
        if fails("FOP_UNSIGNED_OFFSET is set"):
            raise EINVAL("no_offset_flag", read("drm_open_helper", "hl_fops of 6.12.117 lacks it", document=CORE))

    def refuses_control(self, d: Device) -> bool:
        return self.malfunction(d)

    def referenced(self, f: File) -> bool:
        """An exported buffer holds the file of the compute node."""
        return super().referenced(f) or any(e.ctx.hpriv.file is f for e in Dmabuf)

    def leaks(self, h: FilePrivate) -> bool:
        """Release goes by the minor's device, not by hdev, and runs to its end."""
        return False

    def release(self, f: File) -> None:
        """A close that finds its context in use asks for a hard reset; but not before it has let go."""
        owner = any(h.file is f and not h.control for h in FilePrivate)
        super().release(f)
        for w in Watchdog:
            if owner and any(x.hpriv.device is w.device and x.hpriv.file is None and self.held(x) for x in Context):
                w.late = True

    @event
    def still_in_use(self, w: Watchdog) -> Result:
        """The rest of that close."""
        require(w.late and not w.device.gone)
        w.late = False
        assert not self.has_owner(w.device), "habanalabs.I10"
        self.ask(w.device, False)
        return DONE("ok", read("hl_device_release", "a hard reset, whoever may have opened meanwhile"))

    def resets_on_release(self, d: Device, idle: bool) -> bool:
        return self.is_a(d, GAUDI2) or self.watched(d) or (not idle and not d.in_reset)

    def scrub_failed(self, d: Device) -> None:
        self.ask(d, False)

    # ------------------------------------------------------------------ ioctls

    @replaces("entered.device_gone")
    def entered_device_gone(self, h: FilePrivate) -> None:
        if h.orphan and h.control:
            raise ENODEV("device_gone", read("hl_ioctl_control"))
        if self.without_device(h):
            assert not self.without_device(h), "habanalabs.I29"
            raise OOPS("no_device", read("hl_info_ioctl, hl_device_operational", "hdev is NULL, and is followed"))

    def answered_always(self, op: InfoOp) -> bool:
        return op in (InfoOp.ALWAYS, InfoOp.EVENTS, InfoOp.USAGE, InfoOp.UNREGISTER)

    @inserts(before="info.not_operational")
    def info_refused(self, h: FilePrivate, op: InfoOp) -> None:
        if h.control and op in (InfoOp.EVENTS, InfoOp.REGISTER, InfoOp.UNREGISTER):
            raise EOPNOTSUPP("control_node", read("hl_info_ioctl_control"))
        if fails("pad is 0"):
            raise EINVAL("padding", read("_hl_info_ioctl"))

    @inserts(after="cb_destroy.unknown")
    def cb_destroy_destroyed(self, b: CommandBuffer) -> None:
        if not b.handle:
            raise EINVAL("destroyed", read("hl_cb_destroy", "is_handle_destroyed is exchanged first"))

    @inserts(before="submit.not_operational")
    def submit_padding(self) -> None:
        if fails("pad is 0"):
            raise EINVAL("padding", read("hl_cs_sanity_checks"))

    def waits(self, h: FilePrivate) -> None:
        super().waits(h)
        if self.watched(h.device):
            raise EBUSY("to_be_released", read("hl_wait_ioctl", "an error has happened: the owner should leave"))

    @replaces("wait.interrupted")
    def wait_interrupted(self, fence: Fence) -> None:
        if fence is PENDING and fails("a signal"):
            raise EINTR("interrupted", read("hl_cs_wait_ioctl"))

    # ------------------------------------------------------------------ exported buffers

    @operation
    def unmap(self, p: Process, n: Fd) -> Result:
        h = self.compute(p, n)
        x = self.working(h)
        m = choose(m for m in Memory if m.mapped is x)
        if m is None:
            return EINVAL("unknown", read("unmap_device_va"))
        if any(e.memory is m for e in Dmabuf):
            return EINVAL("exported", read("unmap_device_va"))
        m.mapped = None
        return OK("ok", read("unmap_device_va"))

    @operation
    def export(self, p: Process, n: Fd) -> Result:
        """A mapping; of a Gaudi, a range of device memory by its address."""
        h = self.compute(p, n)
        x = self.working(h)
        m = choose(m for m in Memory if m.mapped is x)
        if fails("allocation"):
            return ENOMEM("no_memory", read("export_dmabuf_from_addr"))
        if m is None and any(k.device is h.device for k in Chip):
            return EINVAL("not_mapped", read("memhash_node_export_get"))
        if fails("address and size"):
            return EINVAL("bad_range", read("validate_export_params"))
        Dmabuf(ctx=x, memory=m)
        return OK("ok", read("export_dmabuf", "it holds the context, and the file"))

    @event
    def importer_releases(self, e: Dmabuf) -> Result:
        """The last importer and the last descriptor let go."""
        f = any_of(f for f in File if e.ctx.hpriv.file is f)
        free(e)
        self.fput(f)
        return DONE("ok", read("hl_release_dmabuf"))

    # ------------------------------------------------------------------ resets

    def ask(self, d: Device, light: bool) -> None:
        """No light reset of a broken device; and a hard one is what a watchdog waits for."""
        begins = not d.in_reset
        if when(not (light and self.malfunction(d))):
            super().ask(d, light)
        if when(begins and not light):
            self.stop_watchdog(d)

    def watched(self, d: Device) -> bool:
        return any(w.device is d and w.active for w in Watchdog)

    def stop_watchdog(self, d: Device) -> None:
        for w in Watchdog:
            if w.device is d:
                w.active = False
                w.hard = False

    def reset_for_release(self, d: Device) -> None:
        """The reset that the watchdog waits for, if it was to be a hard one; of a broken device, none."""
        hard = any(w.device is d and w.active and w.hard for w in Watchdog)
        begins = not d.in_reset
        dropped = self.malfunction(d)  # asked for without HL_DRV_RESET_HARD, whatever the chip can
        if when(not dropped):
            self.ask(d, any(k.device is d for k in Chip) and not hard)
        if when(not dropped and begins):
            self.stop_watchdog(d)

    def conditionally(self, d: Device, hard: bool) -> None:
        """hl_device_cond_reset: an owner who listens is told, and gets 30 s to leave; all its waits end at once."""
        told = not d.in_reset and any(
            x.hpriv.device is d
            and not self.owner_left(x.hpriv)  # hl_ctx_get_unless_zero
            and w.device is d
            and (w.active or any(e.hpriv is x.hpriv for e in Eventfd))
            for x in Context
            for w in Watchdog
        )
        for w in Watchdog:
            if told and w.device is d:
                w.active = True
                w.hard = w.hard or hard
        for c in Submission:
            if told and c.queued and c.ctx.hpriv.device is d:
                c.fence = ABORTED
        if when(not told):
            self.ask(d, False)

    def timeout_reset(self, d: Device) -> None:
        self.conditionally(d, False)

    def heartbeat_reset(self, d: Device) -> None:
        self.conditionally(d, True)

    @event
    def watchdog_fires(self, w: Watchdog) -> Result:
        """device_release_watchdog_func: 30 s are over."""
        require(w.active and not w.device.gone)
        self.ask(w.device, False)
        return DONE("ok", read("device_release_watchdog_func"))

    def outcome(self, c: Submission) -> Fence:
        """An error that a conditional reset has written stays, unless the submission has timed out."""
        return TIMED_OUT if c.fired and not c.patient else c.fence if c.fence is ABORTED else DONE_WELL

    @eventually("habanalabs.P03", SHEET, fair=(*DRAINING, "still_in_use"))
    def the_slot_becomes_empty(self) -> bool:
        """When the owner has left and its work is done, the slot becomes empty, unless an importer keeps it."""
        return super().the_slot_becomes_empty()

    @eventually("habanalabs.P08", SHEET, fair=(*DRAINING, "still_in_use", "importer_releases"))
    def an_exported_buffer_only_delays(self) -> bool:
        """When importers have let go, too, the slot becomes empty."""
        return super().an_exported_buffer_only_delays()

    @always("habanalabs.I42", STATE, deduced("section 2.4: it is for the owner who was told"))
    def the_watchdog_waits_for_an_owner(self) -> bool:
        """A reset that waits for an owner to leave is over when that owner has gone."""
        return all(implies(w.active, w.device.gone or w.device.active) for w in Watchdog)
