# SPDX-License-Identifier: Apache-2.0
"""Leases of a display: CREATE_LEASE and REVOKE_LEASE."""

from __future__ import annotations

from accelspec.spec.kernel import Fd, File, Process
from accelspec.spec.language import (
    EACCES,
    EBUSY,
    EINVAL,
    ENOENT,
    ENOMEM,
    ENOSPC,
    EOPNOTSUPP,
    OK,
    Result,
    deduced,
    fails,
    operation,
    read,
    require,
    wait_until,
    when,
)

from .laws import Laws
from .objects import BAD_FLAGS, CRTC, DISPLAY, ENCODER, TWICE, UNKNOWN, Asked, Client, Lease, Master
from .permissions import IOCTL, LEASE


class Leases(Laws):
    document = LEASE

    @operation
    def create_lease(self, p: Process, n: Fd, m: Fd, asked: Asked) -> Result:
        """DRM_IOCTL_MODE_CREATE_LEASE: a second client with a part of the display."""
        require(p.running and n is not m)
        f = self.file_of(p, n)
        c = self.called(p, n)
        if not self.is_current(c):
            return EACCES("not_master", read("drm_ioctl_permit", document=IOCTL))
        if not c.device.modeset:
            return EOPNOTSUPP("no_display", read("drm_mode_create_lease_ioctl"))
        if asked is BAD_FLAGS:
            return EINVAL("bad_flags", read("drm_mode_create_lease_ioctl"))
        if c.lease is not None:
            return EINVAL("lessee", read("drm_mode_create_lease_ioctl", "no leases of leases"))
        if asked is UNKNOWN:
            return ENOENT("unknown", read("fill_object_idr"))
        if asked is ENCODER:
            return EINVAL("encoder", read("fill_object_idr", "drm_mode_object_lease_required"))
        if asked is CRTC:
            return EINVAL("crtc_alone", read("validate_lease", "a lease that is not empty has a CRTC and a connector"))
        if asked is TWICE:
            return ENOSPC("twice", read("fill_object_idr", "idr_alloc of a number that is taken"))
        require(self.unused(p, m))
        with p.busy:
            c.device.call[p] = f
            yield "permitted"  # neither the look at the flags nor the copy of the list holds a lock
            lessor = self.behind(f)
            d = lessor.device
            t = lessor.master
            if t is None or (asked is DISPLAY and any(s.lessor is t and s.display for s in Lease)):
                self.let_go(p, d, f)
                return EBUSY("lent", read("drm_lease_create", "_drm_has_leased"))
            if fails("allocation"):
                self.let_go(p, d, f)
                return ENOMEM("no_memory", read("drm_lease_create"))
            wait_until(p.fd[m] is None)
            g = File()
            p.fd[m] = g
            s = Lease(lessor=t, display=asked is DISPLAY)
            if d.master is None:
                u = Master()
                d.master = u
                Client(device=d, file=g, lease=s, is_master=True, was_master=True, authenticated=True, pid=p)
                self.let_go(p, d, f)
                return OK("ownerless", deduced("the clone opens as master, and then gives that master up"))
            Client(device=d, file=g, lease=s, is_master=True, authenticated=True, pid=p)
            self.let_go(p, d, f)
            return OK("ok", read("drm_mode_create_lease_ioctl"))

    @operation
    def revoke_lease(self, p: Process, n: Fd, s: Lease) -> Result:
        """DRM_IOCTL_MODE_REVOKE_LEASE of a lease from the caller's group, or from that of its lessor."""
        c = self.called(p, n)
        if not self.is_current(c):
            return EACCES("not_master", read("drm_ioctl_permit", document=IOCTL))
        require(c.device.master is s.lessor)  # each group counts its leases, so a number means one of them
        if c.lease is not None:
            return EACCES("lessee", read("drm_mode_revoke_lease_ioctl", "not even its own"))
        for x in Lease:
            if when(x is s):
                x.display = False
        return OK("ok", read("_drm_lease_revoke", "the lessee stays what it is, with nothing"))

    @operation
    def revoke_unknown(self, p: Process, n: Fd) -> Result:
        """DRM_IOCTL_MODE_REVOKE_LEASE of a number that no lease has."""
        c = self.called(p, n)
        if not self.is_current(c):
            return EACCES("not_master", read("drm_ioctl_permit", document=IOCTL))
        if not c.device.modeset:
            return EOPNOTSUPP("no_display", read("drm_mode_revoke_lease_ioctl"))
        return ENOENT("unknown", read("drm_mode_revoke_lease_ioctl"))
