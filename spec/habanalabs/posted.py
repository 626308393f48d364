# SPDX-License-Identifier: Apache-2.0
"""The posted series, v1 of 28 July 2019, patch by patch: revisions `b1` to `b8`.  It was never merged.

Each patch is a subclass of the one before and changes what its mail changes.  Up to 8/9 a second open is still refused.
"""

from __future__ import annotations

from accelspec.spec.kernel import Fd, File, Process
from accelspec.spec.language import (
    EACCES,
    EBUSY,
    EFAULT,
    EINVAL,
    ENODEV,
    ENOMEM,
    ENOTTY,
    ENXIO,
    EPERM,
    OK,
    Result,
    any_of,
    choose,
    fails,
    inserts,
    operation,
    read,
    replaces,
    require,
    wait_until,
    when,
)

from .known import ALONE, KNOWN_B1, KNOWN_B3, KNOWN_B4, KNOWN_B5, KNOWN_B6, KNOWN_B7, KNOWN_B8
from .listed import Listed
from .objects import Asid, CommandBuffer, Context, Device, FilePrivate, Query
from .reset_order import RollbackFirst, WaitsWithoutLock
from .revision_a import PLAIN, QUIET, SCOPES, A

UNTOUCHED = read("the mails of the series", "no hunk changes it")


class B1(A):
    """1/9: a context has a handle, taken before the context is published."""

    revision = "b1"
    document = "v1 1/9 of the posted series"
    known = KNOWN_B1
    not_applicable = ALONE
    unchanged = UNTOUCHED

    @replaces("open.no_handle")
    def no_handle(self, d: Device) -> None:
        if fails("idr_alloc"):
            d.opened = False
            raise ENOMEM("no_handle", read("hl_ctx_create", "nobody was given the context yet"))


class B2(B1):
    """2/9: every ioctl asks for a context first."""

    revision = "b2"
    document = "v1 2/9 of the posted series"
    known = KNOWN_B1
    not_applicable = ALONE
    unchanged = UNTOUCHED

    def validate(self, h: FilePrivate, own: Context | None, compute: bool) -> None:
        """hl_ctx_is_valid."""
        if own is None:
            raise EACCES("no_context", read("hl_ctx_is_valid"))


class B3(B2):
    """3/9: open makes no context; the first ioctl does, under a mutex, and looks again under it."""

    revision = "b3"
    document = "v1 3/9 of the posted series"
    scopes = {
        **SCOPES,
        "first calls": {**PLAIN, **QUIET, "Process": 2, "Mm": 2, "info()": 1, "cb_create()": 1, "exit()": 0},
    }
    known = KNOWN_B3
    not_applicable = ALONE
    unchanged = UNTOUCHED

    @operation
    def open(self, p: Process, n: Fd, d: Device) -> Result:
        require(self.unused(p, n))
        if d.gone:
            return ENXIO("no_minor", read("hl_device_open"))
        with d.open_lock:
            if not self.operational(d):
                return EPERM("in_reset", read("hl_device_open"))
            if d.in_debug:
                return EPERM("in_debug", read("hl_device_open"))
            if self.in_the_way(d):
                return EBUSY("taken", read("hl_device_open"))
            if fails("allocation"):
                return ENOMEM("no_memory", read("hl_device_open"))
            f = File()
            h = FilePrivate(device=d, opener=p, file=f)
            p.fd[n] = f
            self.admit(h)
            return OK("ok", read("hl_device_open", "no context"))

    def admit(self, h: FilePrivate) -> None:
        """What an open that succeeds does to the device."""
        h.device.opened = True
        self.raise_clocks(h.device)

    # ------------------------------------------------------------------ the validity check

    def fast(self, h: FilePrivate, x: Context | None, compute: bool) -> bool:
        """The look without a lock: is everything there?"""
        return x is not None

    def validate(self, h: FilePrivate, own: Context | None, compute: bool) -> None:
        """In one piece; info() and cb_create() show it in two."""
        self.make_valid(h, own, compute, self.fast(h, own, compute))

    def make_valid(self, h: FilePrivate, own: Context | None, compute: bool, fast: bool) -> None:
        """hl_ctx_is_valid: if the look without the lock was not enough, again under lazy_ctx_creation_lock."""
        wait_until(fast or not h.device.lazy_lock)
        new = own is None
        if new and not any(a.device is h.device and not a.taken for a in Asid):
            assert not compute, "habanalabs.I20"
            raise EACCES("no_asid", read("hl_ctx_is_valid", "-ENOMEM is lost"))
        if new and fails("hl_ctx_create"):
            raise EACCES("creation_fails", read("hl_ctx_is_valid", "the errno is lost"))
        a = any_of(a for a in Asid if self.fits(a, h, own))
        if when(new):
            made = Context(hpriv=h, asid=a)
            a.taken = True
            h.contexts += 1
            self.publish(made, compute)

    def fits(self, a: Asid, h: FilePrivate, own: Context | None) -> bool:
        """Has the context this ASID, or may a new one have it?"""
        return own.asid is a if own is not None else a.device is h.device and not a.taken

    def publish(self, x: Context, compute: bool) -> None:
        """The device is given the new context."""
        x.hpriv.device.slot = x
        x.granted = True

    @operation
    def info(self, p: Process, n: Fd, query: Query) -> Result:
        h = self.entered(p, n, False)
        if query is Query.STATUS:
            return OK("status", read("hl_info_ioctl", "even in a reset, and without a context"))
        self.working(h)
        seen = choose(x for x in Context if x.hpriv is h)
        fast = self.fast(h, seen, False)
        h.inside += 1
        yield "looked"
        h.inside -= 1
        own = choose(x for x in Context if x.hpriv is h)
        self.make_valid(h, own, False, fast)
        if query is Query.UNKNOWN:
            return ENOTTY("unknown", read("hl_info_ioctl"))
        if fails("return_size or return_pointer"):
            return EINVAL("no_room", read("hl_info_ioctl"))
        if fails("copy_to_user"):
            return EFAULT("copy", read("hl_info_ioctl"))
        assert query is not Query.USAGE or self.own_usage(h), "habanalabs.I18"
        return OK("ok", read("hl_info_ioctl"))

    @operation
    def cb_create(self, p: Process, n: Fd, large: bool) -> Result:
        h = self.entered(p, n, True)
        self.working(h)
        seen = choose(x for x in Context if x.hpriv is h)
        fast = self.fast(h, seen, True)
        h.inside += 1
        yield "looked"
        h.inside -= 1
        own = choose(x for x in Context if x.hpriv is h)
        self.make_valid(h, own, True, fast)
        x = self.current(h)
        if large:
            return EINVAL("too_large", read("hl_cb_create"))
        if fails("allocation"):
            return ENOMEM("no_memory", read("hl_cb_create"))
        CommandBuffer(hpriv=x.hpriv)
        return OK("ok", read("hl_cb_create"))


class B4(B3):
    """4/9: the clocks follow the context, not the file."""

    revision = "b4"
    document = "v1 4/9 of the posted series"
    scopes = SCOPES
    known = KNOWN_B4
    not_applicable = ALONE
    unchanged = UNTOUCHED

    def admit(self, h: FilePrivate) -> None:
        h.device.opened = True

    def publish(self, x: Context, compute: bool) -> None:
        super().publish(x, compute)
        self.raise_clocks(x.hpriv.device)

    def idle(self, d: Device) -> bool:
        return d.slot is None

    @operation
    def pm_write(self, d: Device, manual: bool) -> Result:
        require(not d.gone)
        if not self.operational(d):
            return ENODEV("in_reset", read("pm_mng_profile_store"))
        with d.lazy_lock:
            if not self.idle(d):
                return EPERM("in_use", read("pm_mng_profile_store", "a user's context exists"))
            if fails("neither auto nor manual"):
                return EINVAL("bad_text", read("pm_mng_profile_store"))
            if when(manual != d.manual):
                d.high = False
            d.manual = manual
            return OK("ok", read("pm_mng_profile_store"))


class B5(Listed, B4):
    """5/9: a list of the files instead of a count; debug mode needs that there is only one."""

    revision = "b5"
    document = "v1 5/9 of the posted series"
    known = KNOWN_B5
    not_applicable = ALONE
    unchanged = UNTOUCHED

    def admit(self, h: FilePrivate) -> None:
        h.listed = True

    @inserts(before="debug_on.ok")
    def not_alone(self, h: FilePrivate) -> None:
        if self.others(h):
            assert not self.others(h), "habanalabs.I20"
            raise EPERM("not_alone", read("hl_device_set_debug_mode", "any other file forbids it"))

    def others(self, h: FilePrivate) -> bool:
        return any(x.listed and x is not h and x.device is h.device for x in FilePrivate)


class B6(B5):
    """6/9: one context may compute; the others may ask."""

    revision = "b6"
    document = "v1 6/9 of the posted series"
    known = KNOWN_B6
    not_applicable = ALONE
    unchanged = UNTOUCHED

    def fast(self, h: FilePrivate, x: Context | None, compute: bool) -> bool:
        """By comparing pointers."""
        return x is not None and (not compute or h.device.slot is x)

    def make_valid(self, h: FilePrivate, own: Context | None, compute: bool, fast: bool) -> None:
        wait_until(fast or not h.device.lazy_lock)
        if not fast and compute and self.refused(h, own):
            raise EACCES("not_compute", read("hl_ctx_is_valid", "another context computes; nothing is created"))
        super().make_valid(h, own, compute, fast)

    def refused(self, h: FilePrivate, own: Context | None) -> bool:
        """May it not compute?  A context that is there and not in the slot never will."""
        return h.device.slot is not own

    def publish(self, x: Context, compute: bool) -> None:
        """The first context is the one that computes, whoever asked for it."""
        if when(x.hpriv.device.slot is None):
            x.hpriv.device.slot = x
            x.granted = True
            self.raise_clocks(x.hpriv.device)

    def ends_debug(self, h: FilePrivate, x: Context | None) -> bool:
        """Debug mode goes with the context that computes."""
        return h.device.slot is x


class B7(WaitsWithoutLock, B6):
    """7/9: the kill stage sleeps without the lock of the list."""

    revision = "b7"
    document = "v1 7/9 of the posted series"
    known = KNOWN_B7
    not_applicable = ALONE
    unchanged = UNTOUCHED


class B8(RollbackFirst, B7):
    """8/9: first everything is rolled back, then the user is killed."""

    revision = "b8"
    document = "v1 8/9 of the posted series"
    known = KNOWN_B8
    not_applicable = ALONE
    unchanged = UNTOUCHED
