# SPDX-License-Identifier: Apache-2.0
"""habanalabs 6.x: resets, the kill stage, heartbeat, suspend and resume, removal.

Whoever asks for a reset gets 0 at once.  A compute reset is carried out by the thread that asked, a hard reset by a
worker; here both are events of their own.  A wait that a clock ends is a step that may be taken at any time.
"""

from __future__ import annotations

from accelspec.spec.kernel import Process
from accelspec.spec.language import (
    DONE,
    EIO,
    OK,
    Result,
    any_of,
    event,
    fails,
    free,
    operation,
    read,
    require,
    wait_until,
    when,
)

from .mainline_owners import MISC, Owners
from .objects import (
    ABORTED,
    GOYA,
    NEEDED,
    TIMED_OUT,
    WHOLE,
    Chip,
    CommandBuffer,
    Context,
    Device,
    Fence,
    FilePrivate,
    Power,
    Submission,
)


class Resets(Owners):
    document = MISC

    # ------------------------------------------------------------------ what a reset does to submissions

    def finish(self, c: Submission, fence: Fence) -> None:
        """cs_do_release: buffers and context are let go of, and the fence is signalled."""
        b = c.cb
        c.fence = fence
        c.stage = WHOLE
        c.group = None
        c.patient = False
        c.fired = False
        c.alive = False
        c.queued = False
        c.cb = None
        for y in CommandBuffer:
            if y is b:
                y.refs -= 1
        for y in CommandBuffer:
            if y is b and y.refs == 0:
                free(y)

    def undone(self, c: Submission) -> Fence:
        """What the fence of a submission that is rolled back says: that it timed out, if it had."""
        return TIMED_OUT if c.fired and not c.patient else ABORTED

    def unfinished(self, d: Device) -> bool:
        return any(c.queued and c.ctx.hpriv.device is d for c in Submission)

    # ------------------------------------------------------------------ how a reset begins

    def ask(self, d: Device, light: bool) -> None:
        """hl_device_reset until somebody else goes on: at once if one runs already, remembered if that is lighter."""
        begins = not d.in_reset
        if when(not begins and d.compute_reset and not light):
            d.remembered = True
        if when(begins):
            d.in_reset = True
            d.disabled = True
            d.resets += 1
            d.compute_reset = light
            d.requested = light
        if when(begins and not light):
            self.queue(d)

    def queue(self, d: Device) -> None:
        """The worker will do it."""
        d.hard_pending = True
        d.trials = 0
        d.queued = True

    def reset_for_release(self, d: Device) -> None:
        """With HL_DRV_RESET_DEV_RELEASE: a compute reset where the chip can do one."""
        self.ask(d, any(k.device is d for k in Chip))

    @event
    def hard_reset(self, d: Device) -> Result:
        """Asked for: by the attribute, a fatal error, an interrupt of the firmware."""
        require(not d.gone and not self.asleep(d))
        if d.in_reset and d.compute_reset:
            d.remembered = True
            return DONE("remembered", read("hl_device_reset", "0; it follows the compute reset that runs"))
        if d.in_reset:
            return DONE("dropped", read("hl_device_reset", "0, as if it had been done"))
        self.ask(d, False)
        return DONE("queued", read("hl_device_reset", "0; the worker does it"))

    @event
    def compute_reset(self, d: Device) -> Result:
        """Asked for by the attribute soft_reset."""
        require(not d.gone and not self.asleep(d))
        if not self.is_a(d, GOYA):
            return DONE("unsupported", read("soft_reset_store", "the write succeeds"))
        if d.in_reset:
            return DONE("dropped", read("hl_device_reset", "0, as if it had been done"))
        self.ask(d, True)
        return DONE("begun", read("hl_device_reset"))

    # ------------------------------------------------------------------ the compute reset

    @event
    def carry_out(self, d: Device) -> Result:
        """A compute reset, in the thread that asked for it."""
        require(d.requested)
        d.requested = False
        with d.resetting:
            while self.unfinished(d):
                c = any_of(c for c in Submission if c.queued and c.ctx.hpriv.device is d)
                self.finish(c, self.undone(c))
                yield "rolling_back"
            for x in Context:
                if x.hpriv.device is d:
                    x.switch = NEEDED
            if fails("re-initialisation"):
                d.compute_reset = False
                self.queue(d)
                return DONE("escalates", read("hl_device_reset", "a hard reset, without leaving in_reset"))
            self.scrubbed_by_reset(d)
            if d.remembered:
                d.remembered = False
                d.needs_reset = False
                d.compute_reset = False
                self.queue(d)
                return DONE("goes_on_hard", read("hl_device_reset", "the one that was asked for meanwhile"))
            self.works_again(d)
            return DONE("ok", read("hl_device_reset"))

    def scrubbed_by_reset(self, d: Device) -> None:
        """The end of every reset."""
        self.scrub(d)

    def works_again(self, d: Device) -> None:
        d.disabled = False
        d.compute_reset = False
        d.in_reset = False
        d.needs_reset = False
        d.resets -= 1

    # ------------------------------------------------------------------ the hard reset

    def in_the_way(self, d: Device) -> bool:
        """Is there somebody on fpriv_list?"""
        return any(h.device is d and h.listed and not h.control for h in FilePrivate)

    def kill(self, d: Device, control: bool) -> None:
        """SIGKILL to whoever opened.  When, and whether, the process closes what it has is its own business."""
        assert control or not any(c.queued and c.ctx.hpriv.device is d for c in Submission), "habanalabs.I11"
        for p in Process:
            if any(h.device is d and h.listed and h.control == control and h.opener is p for h in FilePrivate):
                p.running = False

    def kill_monitors(self, d: Device) -> None:
        """At removal, after everybody else."""
        self.kill(d, True)

    def broken(self, d: Device) -> None:
        """A hard reset has failed: malfunction, until somebody asks for another."""
        d.disabled = True
        d.in_reset = False
        d.compute_reset = False
        d.resets -= 1

    @event
    def reset_work(self, d: Device) -> Result:
        """device_hard_reset_pending, the worker: rollback, kill, hardware."""
        require(d.queued)
        d.queued = False
        with d.resetting:
            while self.unfinished(d):
                c = any_of(c for c in Submission if c.queued and c.ctx.hpriv.device is d)
                self.finish(c, self.undone(c))
                yield "rolling_back"
            if when(d.trials == 0):
                self.kill(d, False)
            yield "killed"  # 10 s for them to leave; 1 s if they were killed in an earlier trial
            if self.in_the_way(d) and d.fini:
                self.broken(d)
                return DONE("stops_for_removal", read("hl_device_reset", "-EBUSY is final then"))
            if self.in_the_way(d) and d.trials == 1:
                self.broken(d)
                return DONE("gives_up", read("device_kill_open_processes", "-ETIME after 60 trials: malfunction"))
            if self.in_the_way(d):
                d.trials += 1
                d.queued = True
                return DONE("again", read("device_hard_reset_pending", "in 10 s, from the kill stage on"))
            d.hard_pending = False
            if fails("kernel_ctx"):
                self.broken(d)
                return DONE("no_kernel_context", read("hl_device_reset", "-ENOMEM, before the slot's flag is cleared"))
            d.active = False
            for x in Context:
                if x.hpriv.device is d:
                    x.survivor = True
            if fails("re-initialisation"):
                self.broken(d)
                return DONE("failed", read("hl_device_reset", "-EIO and others; two fatal errors in a row too"))
            self.scrubbed_by_reset(d)
            self.works_again(d)
            return DONE("ok", read("hl_device_reset"))

    # ------------------------------------------------------------------ heartbeat, power

    @event
    def heartbeat_fails(self, d: Device) -> Result:
        require(not d.gone)
        if not self.operational(d):
            return DONE("skipped", read("hl_device_heartbeat"))
        self.heartbeat_reset(d)
        return DONE("ok", read("hl_device_heartbeat"))

    def heartbeat_reset(self, d: Device) -> None:
        self.ask(d, False)

    @operation
    def suspend(self, power: Power) -> Result:
        d = power.device
        require(not d.gone and not power.suspended and not d.fini)  # the driver core lets neither into the other
        require(not any(h.device is d and self.owner_left(h) for h in FilePrivate))  # nobody is inside: all are frozen
        if d.in_reset:
            return EIO("in_reset", read("hl_device_suspend"))
        d.in_reset = True
        d.disabled = True
        d.resets += 1
        power.suspended = True
        return OK("ok", read("hl_device_suspend", "nothing is rolled back, nobody is killed"))

    @operation
    def resume(self, power: Power) -> Result:
        require(power.suspended)
        d = power.device
        power.suspended = False
        d.in_reset = False
        d.resets -= 1
        self.ask(d, False)
        return OK("ok", read("hl_device_resume", "by a hard reset, which kills the owner"))

    def asleep(self, d: Device) -> bool:
        return any(s.device is d and s.suspended for s in Power)

    # ------------------------------------------------------------------ removal

    def stuck(self, d: Device) -> bool:
        """Does in_reset stay set, though nobody resets any more?"""
        return d.in_reset

    @event
    def remove(self, d: Device) -> Result:
        """hl_device_fini."""
        require(not d.gone and not self.asleep(d) and not d.fini)
        d.fini = True
        yield "announced"
        wait_until(not d.queued and not d.requested and not d.resetting)  # up to 120 s
        if self.stuck(d):
            d.gone = True
            assert not self.stuck(d), "habanalabs.I29"
            return DONE("gave_up", read("hl_device_fini", "returns without tearing down; then the device is freed"))
        d.in_reset = True
        d.disabled = True
        d.hard_pending = True
        d.resets += 1
        while self.unfinished(d):
            c = any_of(c for c in Submission if c.queued and c.ctx.hpriv.device is d)
            self.finish(c, self.undone(c))
            yield "rolling_back"
        self.kill(d, False)
        yield "killed"  # 60 s, since 6.7 600 s
        self.kill_monitors(d)
        yield "killed_monitors"  # 10 s
        for h in FilePrivate:
            if h.device is d and h.listed:
                h.orphan = True
        d.active = False
        d.gone = True
        self.forget_errors(d)
        return DONE("ok", read("hl_device_fini", "whoever is left has no device any more"))
