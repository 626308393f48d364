# SPDX-License-Identifier: Apache-2.0
"""habanalabs: the two later orders of a hard reset and a removal, by patches 7/9 and 8/9 of the posted series."""

from __future__ import annotations

from accelspec.spec.language import DONE, OOPS, Result, any_of, event, fails, read, require, when

from .device import Devices
from .objects import PENDING, Device, Submission


class WaitsWithoutLock(Devices):
    """The kill stage holds the list's lock only while it looks at the list."""

    document = "v1 7/9 of the posted series"

    def closable(self, d: Device) -> bool:
        """Nobody keeps the list's lock over a step."""
        return True

    @event
    def reset_work(self, d: Device) -> Result:
        require(d.queued)
        d.queued = False
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
    def remove(self, d: Device) -> Result:
        require(not d.gone and not d.suspended)
        if d.in_reset:
            return DONE("gave_up", read("hl_device_fini", "waited too long for a reset, and tears nothing down"))
        self.block(d)
        d.hard_pending = True
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


class RollbackFirst(WaitsWithoutLock):
    """What was submitted is undone before anybody is killed, so that whoever is killed can finish dying."""

    document = "v1 8/9 of the posted series"

    @event
    def reset_work(self, d: Device) -> Result:
        require(d.queued)
        d.queued = False
        yield "halted"
        while self.unfinished(d):
            c = any_of(c for c in Submission if c.fence is PENDING and c.ctx.hpriv.device is d)
            self.abort(c)
            yield "rolling_back"
        d.killing = self.in_the_way(d)
        yield "grace"
        if self.in_the_way(d) and not self.victim_is_known(d):
            assert self.victim_is_known(d), "habanalabs.I04"
            return OOPS("no_user_context", read("device_kill_open_processes"))
        if when(self.in_the_way(d)):
            self.kill(d)
        yield "killed"
        d.killing = False
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
    def remove(self, d: Device) -> Result:
        require(not d.gone and not d.suspended)
        if d.in_reset:
            return DONE("gave_up", read("hl_device_fini", "waited too long for a reset, and tears nothing down"))
        self.block(d)
        d.hard_pending = True
        yield "halted"
        while self.unfinished(d):
            c = any_of(c for c in Submission if c.fence is PENDING and c.ctx.hpriv.device is d)
            self.abort(c)
            yield "rolling_back"
        d.killing = self.in_the_way(d)
        yield "grace"
        if self.in_the_way(d) and not self.victim_is_known(d):
            assert self.victim_is_known(d), "habanalabs.I04"
            return OOPS("no_user_context", read("device_kill_open_processes"))
        if when(self.in_the_way(d)):
            self.kill(d)
        yield "killed"
        d.killing = False
        self.forget_users(d)
        d.gone = True
        d.resets -= 1
        return DONE("ok", read("hl_device_fini", "whoever is left keeps a file of a device that is freed"))
