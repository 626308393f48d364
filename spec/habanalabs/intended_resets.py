# SPDX-License-Identifier: Apache-2.0
"""habanalabs as we would have it: resets and removal, which end what was there before and scrub what it leaves.

At each step a reset says what it counts on until it goes on: that it is alone, and that nothing is accepted meanwhile.
"""

from __future__ import annotations

from accelspec.spec.language import (
    DONE,
    STATE,
    Result,
    any_of,
    check,
    deduced,
    event,
    fails,
    free,
    lemma,
    require,
    when,
)

from .objects import PENDING, Context, Device, Memory, Submission
from .reset_order import RollbackFirst

OWN = "our own design: docs/machines/habanalabs-expectations.md"


class IntendedResets(RollbackFirst):
    document = OWN

    # ------------------------------------------------------------------ what an owner leaves

    def leave_memory(self, d: Device) -> None:
        """T8: it is scrubbed; if that fails, nobody works before a hard reset has done it."""
        if when(fails("scrub")):
            d.soiled = True
            if when(not d.in_reset):
                self.block(d)
                self.queue_hard_reset(d)

    def forget_users(self, d: Device) -> None:
        """T3: what was there before is dead, and leaves nothing on the device."""
        d.in_debug = False
        if when(any(x.wrote and x.hpriv.device is d for x in Context)):
            d.soiled = True
        for m in Memory:
            if m.asid.device is d:
                free(m)
        for x in Context:
            if x.hpriv.device is d:
                x.in_slot = False
                x.granted = False
                x.dead = True
                x.survivor = True
                x.wrote = False

    # ------------------------------------------------------------------ resets

    def halted(self, d: Device) -> bool:
        return d.in_reset and d.disabled and not d.queued and not d.suspended and not d.gone

    def hard(self, d: Device) -> bool:
        """Has the worker of a hard reset the device to itself?"""
        return self.halted(d) and d.hard_pending and not d.fini and d.resets == 1

    def light(self, d: Device) -> bool:
        """Has a soft reset the device to itself?"""
        return self.halted(d) and not d.hard_pending and d.resets == 1

    def leaving(self, d: Device) -> bool:
        """Has removal the device to itself?"""
        return self.halted(d) and d.fini and d.resets == 1

    @check("habanalabs.A02", STATE, deduced("who has taken in_reset keeps it to the end"))
    def a_reset_is_alone(self) -> None:
        """As long as a reset or a removal runs nobody else resets the device, and nothing new is accepted."""

    @event
    def reset_work(self, d: Device) -> Result:
        require(d.queued)
        with d.resetting:
            d.queued = False
            while self.unfinished(d):
                c = any_of(c for c in Submission if c.fence is PENDING and c.ctx.hpriv.device is d)
                self.abort(c)
                yield "rolling_back"
                assert self.hard(d), "habanalabs.A02"
            d.killing = self.in_the_way(d)
            yield "grace"
            assert self.hard(d) and not self.unfinished(d), "habanalabs.A02"
            if when(self.in_the_way(d)):
                self.kill(d)
            yield "killed"
            assert self.hard(d) and not self.unfinished(d), "habanalabs.A02"
            d.killing = False
            d.hard_pending = False
            self.new_kernel_context(d)
            self.forget_users(d)
            d.in_reset = False
            d.resets -= 1
            if fails("hw_init"):
                return DONE("failed", deduced("as 9/9: stays disabled"))
            d.soiled = False
            d.disabled = False
            return DONE("ok", deduced("T8: scrubbed before anybody works"))

    @event
    def soft_reset(self, d: Device) -> Result:
        require(not d.gone)
        if d.in_reset:
            return DONE("dropped", deduced("as 9/9"))
        with d.resetting:
            self.block(d)
            yield "halted"
            assert self.light(d), "habanalabs.A02"
            while self.unfinished(d):
                c = any_of(c for c in Submission if c.fence is PENDING and c.ctx.hpriv.device is d)
                self.abort(c)
                yield "rolling_back"
                assert self.light(d), "habanalabs.A02"
            if fails("hw_init"):
                self.queue_hard_reset(d)
                return DONE("escalates", deduced("as 9/9: goes on as a hard reset"))
            d.soiled = False
            d.in_reset = False
            d.disabled = False
            d.resets -= 1
            return DONE("ok", deduced("T8: scrubbed before anybody works"))

    @event
    def remove(self, d: Device) -> Result:
        require(not d.gone and not d.suspended)
        if d.in_reset:
            return DONE("gave_up", deduced("as 9/9: waited too long for a reset, and tears nothing down"))
        with d.resetting:
            self.block(d)
            d.hard_pending = True
            d.fini = True
            while self.unfinished(d):
                c = any_of(c for c in Submission if c.fence is PENDING and c.ctx.hpriv.device is d)
                self.abort(c)
                yield "rolling_back"
                assert self.leaving(d), "habanalabs.A02"
            d.killing = self.in_the_way(d)
            yield "grace"
            assert self.leaving(d) and not self.unfinished(d), "habanalabs.A02"
            if when(self.in_the_way(d)):
                self.kill(d)
            yield "killed"
            assert self.leaving(d) and not self.unfinished(d), "habanalabs.A02"
            d.killing = False
            self.forget_users(d)
            d.gone = True
            d.resets -= 1
            return DONE("ok", deduced("T7: whoever is left keeps a file that answers ENODEV"))

    # ------------------------------------------------------------------ what the proof needs besides

    @lemma(deduced("in_reset is taken first, and given back last"))
    def who_resets_has_the_device(self) -> bool:
        return all(
            (d.disabled or not d.in_reset)
            and (d.in_reset or not (d.hard_pending or d.queued or d.suspended or d.fini or d.gone))
            and not (d.queued and (d.fini or d.suspended or d.gone or not d.hard_pending))
            and not (d.suspended and (d.hard_pending or d.fini or d.gone))
            and (d.fini or not d.gone)
            and (d.hard_pending or not d.fini)
            for d in Device
        )

    @lemma(deduced("T8: whoever leaves memory that was not scrubbed has the device reset"))
    def nobody_works_on_soiled_memory(self) -> bool:
        return all(d.disabled for d in Device if d.soiled)
