# SPDX-License-Identifier: Apache-2.0
"""habanalabs 5.2: resets, the kill stage, removal, suspend and resume.

Waits that a clock ends are steps that may end at any time: what others do until then is what a window is for.
"""

from __future__ import annotations

from accelspec.spec.language import DONE, EIO, OOPS, Result, any_of, deduced, event, fails, read, require, when

from .contexts import Contexts
from .objects import ABORTED, PENDING, Context, Device, Submission


class Devices(Contexts):
    document = "linux 5.2 drivers/misc/habanalabs"

    # ------------------------------------------------------------------ what all of them do

    def block(self, d: Device) -> None:
        """Nobody else resets, and nothing new is accepted."""
        d.in_reset = True
        d.disabled = True
        d.resets += 1

    def queue_hard_reset(self, d: Device) -> None:
        d.hard_pending = True
        d.queued = True

    def abort(self, c: Submission) -> None:
        """cs_rollback: the fence is signalled with EIO, and the submission lets go of its context."""
        self.signal(c, ABORTED)

    def unfinished(self, d: Device) -> bool:
        return any(c.fence is PENDING and c.ctx.hpriv.device is d for c in Submission)

    def in_the_way(self, d: Device) -> bool:
        """Is there a user, for the next open and for the kill stage?"""
        return d.opened

    def victim_is_known(self, d: Device) -> bool:
        """Can the kill stage find out whom to kill?"""
        return any(d.slot is x for x in Context)

    def kill(self, d: Device) -> None:
        """SIGKILL; whether and when the process exits is its own business."""
        assert not any(
            c.fence is PENDING and c.ctx.hpriv.device is d and c.ctx.hpriv.file is not None for c in Submission
        ), "habanalabs.I11"

    def forget_users(self, d: Device) -> None:
        """The hardware is new, and the pointer to the user's context is cleared: whoever is still there survives."""
        d.slot = None
        for x in Context:
            if x.hpriv.device is d:
                x.granted = False
                x.survivor = True

    def new_kernel_context(self, d: Device) -> None:
        """A hard reset makes a new context for the driver itself, before the pointer to the user's is cleared."""
        if fails("kernel_ctx"):
            d.in_reset = False
            d.resets -= 1
            raise DONE("no_kernel_context", deduced("as in 6.1; B13 was mended here in December 2020"))

    # ------------------------------------------------------------------ resets

    @event
    def hard_reset(self, d: Device) -> Result:
        """Asked for: by the attribute, a fatal error, an interrupt of the firmware."""
        require(not d.gone)
        if d.in_reset:
            return DONE("dropped", read("hl_device_reset", "0, as if it had been done"))
        self.block(d)
        self.queue_hard_reset(d)
        return DONE("queued", read("hl_device_reset", "0: the worker does it"))

    @event
    def heartbeat_fails(self, d: Device) -> Result:
        require(not d.gone)
        if not self.operational(d):
            return DONE("skipped", read("hl_device_heartbeat"))
        self.block(d)
        self.queue_hard_reset(d)
        return DONE("queued", read("hl_device_heartbeat"))

    @event
    def reset_work(self, d: Device) -> Result:
        """hl_device_hard_reset_pending: first whoever uses the device is killed, then what they submitted is undone."""
        require(d.queued)
        with d.open_lock:
            d.queued = False
            d.killing = self.in_the_way(d)
            yield "grace"  # T seconds: they may close
            if self.in_the_way(d) and not self.victim_is_known(d):
                assert self.victim_is_known(d), "habanalabs.I04"
                return OOPS("no_user_context", read("device_kill_open_processes"))
            if when(self.in_the_way(d)):
                self.kill(d)
            yield "killed"  # T seconds more, then it goes on whoever is left
            d.killing = False
        while self.unfinished(d):
            c = any_of(c for c in Submission if c.fence is PENDING and c.ctx.hpriv.device is d)
            self.abort(c)
            yield "rolling_back"
        d.hard_pending = False
        self.new_kernel_context(d)
        self.forget_users(d)
        d.in_reset = False
        d.resets -= 1
        if fails("hw_init"):
            return DONE("failed", read("hl_device_reset", "stays disabled: malfunction for good"))
        d.disabled = False
        return DONE("ok", read("hl_device_reset"))

    @event
    def soft_reset(self, d: Device) -> Result:
        """Asked for by the attribute, or by a lockup: files and contexts survive."""
        require(not d.gone)
        if d.in_reset:
            return DONE("dropped", read("hl_device_reset", "0, as if it had been done"))
        self.block(d)
        yield "halted"
        while self.unfinished(d):
            c = any_of(c for c in Submission if c.fence is PENDING and c.ctx.hpriv.device is d)
            self.abort(c)
            yield "rolling_back"
        assert d.slot is None or any(d.slot is x for x in Context), "habanalabs.I05"  # its token is armed again
        if fails("hw_init"):
            self.queue_hard_reset(d)
            return DONE("escalates", read("hl_device_reset", "goes on as a hard reset"))
        d.in_reset = False
        d.disabled = False
        d.resets -= 1
        return DONE("ok", read("hl_device_reset"))

    # ------------------------------------------------------------------ removal

    @event
    def remove(self, d: Device) -> Result:
        """hl_device_fini."""
        require(not d.gone and not d.suspended)
        if d.in_reset:
            return DONE("gave_up", read("hl_device_fini", "waited too long for a reset, and tears nothing down"))
        self.block(d)
        d.hard_pending = True
        with d.open_lock:
            d.killing = self.in_the_way(d)
            yield "grace"
            if self.in_the_way(d) and not self.victim_is_known(d):
                assert self.victim_is_known(d), "habanalabs.I04"
                return OOPS("no_user_context", read("device_kill_open_processes"))
            if when(self.in_the_way(d)):
                self.kill(d)
            yield "killed"
            d.killing = False
        while self.unfinished(d):
            c = any_of(c for c in Submission if c.fence is PENDING and c.ctx.hpriv.device is d)
            self.abort(c)
            yield "rolling_back"
        self.forget_users(d)
        d.gone = True
        d.resets -= 1
        return DONE("ok", read("hl_device_fini", "whoever is left keeps a file of a device that is freed"))

    # ------------------------------------------------------------------ suspend and resume

    @event
    def suspend(self, d: Device) -> Result:
        require(not d.gone and not d.suspended)
        if d.in_reset:
            return EIO("in_reset", read("hl_device_suspend"))
        self.block(d)
        d.suspended = True
        return DONE("ok", read("hl_device_suspend", "nothing is rolled back, nobody is killed"))

    @event
    def resume(self, d: Device) -> Result:
        require(d.suspended)
        d.suspended = False
        self.queue_hard_reset(d)
        return DONE("ok", read("hl_device_resume", "in_reset is given back, and taken at once by a hard reset"))
