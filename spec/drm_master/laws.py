# SPDX-License-Identifier: Apache-2.0
"""DRM mastership: what must hold."""

from __future__ import annotations

from accelspec.spec.kernel import Fd, File, Message, Process
from accelspec.spec.language import (
    OK,
    STATE,
    STEP,
    Errno,
    after,
    always,
    check,
    deduced,
    eventually,
    implies,
    kernel,
    lemma,
    old,
    read,
    sometimes,
)

from .objects import RENDER, Client, Device, Lease, Master
from .permissions import FILE, IOCTL, LEASE, Permissions


class Laws(Permissions):
    @always("drm_master.I01", STATE, read("drm_set_master", "a founder never joins another group"))
    def one_master(self) -> bool:
        """At most one client of a device is master in its own right; whoever else passes for it has a lease."""
        return all(
            a is b
            for a in Client
            for b in Client
            if a.device is b.device
            and a.lease is None
            and b.lease is None
            and self.is_current(a)
            and self.is_current(b)
        )

    @always("drm_master.I02", STEP, read("drm_setmaster_ioctl", "-EBUSY"))
    def nobody_is_replaced(self) -> bool:
        """The master of a device changes from somebody to nobody, or from nobody to somebody."""
        return all(d.master is old(d).master or old(d).master is None or d.master is None for d in Device)

    @always("drm_master.I03", STATE, deduced("what nobody holds nobody can drop"))
    def a_master_has_a_client(self) -> bool:
        """A device that has a master has the client that founded it."""
        return all(any(c.is_master and c.master is d.master for c in Client) for d in Device if d.master is not None)

    @always("drm_master.I04", STEP, read("drm_ioctl_permit", "once authenticated, always so", document=IOCTL))
    def nobody_loses_its_authentication(self) -> bool:
        """A client that is authenticated stays so."""
        return all(implies(old(c).authenticated, c.authenticated) for c in Client)

    @always("drm_master.I05", STATE, read("drm_open_helper", document=FILE))
    def render_clients_have_no_master(self) -> bool:
        """A client of a render node is in no group, is no master, and has no magic number."""
        return all(c.master is None and not c.is_master and c.magic == 0 for c in Client if c.node is RENDER)

    @check("drm_master.I06", STATE, deduced("a group outlives the clients that were in it"))
    def no_map_names_a_client_that_is_gone(self) -> None:
        """A magic number leads to a client that exists."""

    @after("drop_master", "drm_master.I07", STEP, read("drm_master_check_perm"))
    def who_may_drop(self, p: Process, n: Fd, result: Errno) -> bool:
        """The master is dropped by its own client, in the process that made it master or in an administrator's."""
        return implies(
            result is OK,
            all(
                old(c).master is old(c.device).master and (c.pid is p or c.device.admin[p]) and c.device.master is None
                for c in Client
                if c.file is p.fd[n]
            ),
        )

    @always("drm_master.I08", STATE, read("drm_master_release"))
    def the_last_close_frees_the_device(self) -> bool:
        """A device without clients has no master, and nothing of one is left."""
        return all(any(c.device is d for c in Client) for d in Device if d.master is not None)

    @check("drm_master.I09", STATE, kernel("private_data is set before the description is installed"))
    def every_description_has_a_client(self) -> None:
        """An open description leads to a client."""

    @always("drm_master.I10", STEP, read("drm_file_update_pid", document=FILE))
    def who_became_master_is_remembered(self) -> bool:
        """The process that made a client master stays the one that may change it, whoever has the description."""
        return all(implies(old(c).was_master, c.was_master and (c.pid is old(c).pid or c.pid is None)) for c in Client)

    @always("drm_master.I11", STATE, read("_drm_has_leased", document=LEASE))
    def nothing_is_lent_twice(self) -> bool:
        """Of the leases of one group at most one has the display."""
        return all(a is b for a in Lease for b in Lease if a.lessor is b.lessor and a.display and b.display)

    @always("drm_master.I12", STATE, read("drm_master_put", "a reference count is the number of holders"))
    def no_master_is_leaked(self) -> bool:
        """A group that no device, client or lease holds is gone."""
        return all(self.held(t) for t in Master)

    # ------------------------------------------------------------------ progress

    @eventually(
        "drm_master.L01", deduced("a session that ends gives the display to the next one"), fair=("set_master",)
    )
    def somebody_can_become_master(self) -> bool:
        """A device that has a master has a client that may do what a master may."""
        return all(any(self.is_current(c) and c.device is d for c in Client) for d in Device if d.master is not None)

    # ------------------------------------------------------------------ what must be reachable

    @sometimes("drm_master.R01", deduced("or I04 says nothing"))
    def a_guest_is_authenticated(self) -> bool:
        """A client that was never master, opened without privilege, is authenticated."""
        return any(
            c.authenticated and c.magic >= 1 and not c.was_master and c.pid is not None and not c.device.admin[c.pid]
            for c in Client
        )

    @sometimes("drm_master.R02", deduced("or the laws on leases say nothing"))
    def two_pass_for_master(self) -> bool:
        """A lessee and its lessor are both permitted what a master is."""
        return any(a is not b and self.is_current(a) and self.is_current(b) for a in Client for b in Client)

    @sometimes("drm_master.R03", deduced("why a drop is not the end of a group"))
    def a_former_master_waits(self) -> bool:
        """A client has dropped, and another one is master."""
        return any(
            a.device is b.device and a.was_master and not self.is_current(a) and self.is_current(b)
            for a in Client
            for b in Client
        )

    @sometimes("drm_master.R04", deduced("why I07 asks for the process"))
    def master_in_other_hands(self) -> bool:
        """The current master's description is held by a message, or by a process that may not drop it."""
        return any(
            self.is_current(c)
            and (any(m.file is c.file for m in Message) or any(self.guarded(p, n, c) for p in Process for n in Fd))
            for c in Client
        )

    def guarded(self, p: Process, n: Fd, c: Client) -> bool:
        return p.fd[n] is c.file and not self.may_change(p, c)

    # ------------------------------------------------------------------ what the proofs need besides

    @lemma(kernel("private_data is set before the number is"))
    def a_description_has_its_client(self) -> bool:
        return all(any(c.file is f for c in Client) for f in File)
