# SPDX-License-Identifier: Apache-2.0
"""Ownership: what must hold, in every revision.  Section 7 of docs/facts/habanalabs.md gives the first three."""

from __future__ import annotations

from accelspec.spec.kernel import Fd, File, Message, Process, Vma
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
    sometimes,
    stated,
)

from .core import Clients
from .objects import Client, Device, Export, Job, Token

SHEET = stated("section 7", document="docs/facts/habanalabs.md")
MAIL = stated("the mail of 2021-09-14", document="docs/sources.md")


class Laws(Clients):
    document = "docs/facts/habanalabs.md"

    # ------------------------------------------------------------------ who owns

    @always("ownership.I01", STATE, SHEET)
    def one_owner(self) -> bool:
        """At most one client of a device may work as its owner."""
        return all(a is b for a in Client for b in Client if a.device is b.device and self.owns(a) and self.owns(b))

    @always("ownership.I11", STEP, SHEET)
    def nobody_is_replaced(self) -> bool:
        """The owner of a device changes from somebody to nobody, or from nobody to somebody."""
        return all(d.owner is old(d).owner or old(d).owner is None or d.owner is None for d in Device)

    @always("ownership.I07", STATE, deduced("what nobody holds nobody can give back"))
    def ownership_has_a_holder(self) -> bool:
        """A device that is owned has a client that owns it, or an export that pins it."""
        return all(
            any(e.pins is d.owner for e in Export) or any(c.founder and c.token is d.owner for c in Client)
            for d in Device
            if d.owner is not None
        )

    @always("ownership.I15", STATE, MAIL)
    def the_dead_own_nothing(self) -> bool:
        """When all processes are gone, with their calls, mappings, messages, commands and exports, devices are free."""
        alive = any(p.running for p in Process) or any(p.fd[n] is not None for p in Process for n in Fd)
        calling = any(d.call[p] is not None for d in Device for p in Process)
        left = any(True for v in Vma) or any(True for m in Message)
        given = any(True for j in Job) or any(True for e in Export)
        return alive or calling or left or given or all(d.owner is None for d in Device)

    @check("ownership.I04", STATE, kernel("private_data is set before the description is installed"))
    def every_description_has_a_client(self) -> None:
        """An open description leads to a client."""

    # ------------------------------------------------------------------ what others can do

    @after("submit", "ownership.I02", STEP, SHEET)
    def guests_do_not_work(self, p: Process, n: Fd, result: Errno) -> bool:
        """A command that is accepted is the owner's, when it takes effect."""
        return implies(result is OK, all(self.owns(c) for c in Client if c.file is p.fd[n]))

    @after("export", "ownership.I16", STEP, SHEET)
    def guests_do_not_export(self, p: Process, n: Fd, result: Errno) -> bool:
        """An export that succeeds is the owner's, when it takes effect."""
        return implies(result is OK, all(self.owns(c) for c in Client if c.file is p.fd[n]))

    # ------------------------------------------------------------------ what stays behind

    @always("ownership.I03", STATE, SHEET)
    def nothing_of_a_former_owner_is_reachable(self) -> bool:
        """Commands in flight and mappings with entries are those of an owner."""
        return all(self.owns(j.client) for j in Job) and all(
            any(c.file is v.file and self.owns(c) for c in Client) for v in Vma if v.ptes
        )

    @always("ownership.I05", STATE, SHEET)
    def pinned_means_no_new_owner(self) -> bool:
        """While an export of one owner lives, the device has no other owner."""
        return all(e.made is None or e.device.owner is None or e.device.owner is e.made for e in Export)

    @always("ownership.I06", STATE, SHEET)
    def exports_are_counted(self) -> bool:
        """Every export holds a reference to the ownership under which it was made."""
        return all(e.pins is e.made for e in Export)

    @always("ownership.I17", STATE, deduced("a reference count is the number of holders"))
    def no_token_is_leaked(self) -> bool:
        """What nobody refers to is gone."""
        return all(self.held(t) for t in Token)

    # ------------------------------------------------------------------ progress

    def abandoned(self, d: Device) -> bool:
        """Is it owned, and no descriptor, mapping, message or call leads to a client that owns it?"""
        return d.owner is not None and not any(
            c.token is d.owner and self.owns(c) and any(f is c.file and self.in_use(f) for f in File) for c in Client
        )

    @eventually("ownership.L01", MAIL, fair=("unref", "complete", "submit", "export"))
    def what_is_abandoned_becomes_free(self) -> bool:
        """If importers let go and commands end, a device whose owner has gone becomes free."""
        return not any(self.abandoned(d) for d in Device)

    @lemma(kernel("private_data is set before the number is"))
    def a_description_has_its_client(self) -> bool:
        return all(any(c.file is f for c in Client) for f in File)

    # ------------------------------------------------------------------ what must be reachable

    @sometimes("ownership.R01", deduced("or the laws on pinning say nothing"))
    def a_device_is_pinned(self) -> bool:
        """The owner has gone, and an export holds the device."""
        return any(self.abandoned(d) and any(e.pins is d.owner for e in Export) for d in Device)

    @sometimes("ownership.R02", deduced("or the laws on guests say nothing"))
    def there_is_a_guest(self) -> bool:
        """A device has an owner, and another client."""
        return any(a.device is b.device and self.owns(a) and not self.owns(b) for a in Client for b in Client)

    @sometimes("ownership.R03", deduced("why a close alone cannot revoke mappings"))
    def an_owner_without_a_descriptor(self) -> bool:
        """Nobody has a descriptor of the owner any more, and a mapping keeps it the owner."""
        return any(
            self.owns(c) and v.file is c.file and not any(p.fd[n] is c.file for p in Process for n in Fd)
            for c in Client
            for v in Vma
        )


class CallLaws(Laws):
    """Where ownership is dropped and acquired by calls."""

    @after("drop", "ownership.I08", STEP, SHEET)
    def only_the_owner_drops(self, p: Process, n: Fd, result: Errno) -> bool:
        """A drop by a client that is not the owner is refused."""
        mine = all(old(c).founder and old(c).token is old(c.device).owner for c in Client if c.file is p.fd[n])
        return implies(result is OK, mine)

    @after("drop", "ownership.I09", STEP, SHEET)
    def only_its_process_or_an_administrator_drops(self, p: Process, n: Fd, result: Errno) -> bool:
        """A drop is asked for by the process that became owner, or by an administrator."""
        return implies(result is OK, all(c.opener is p or c.device.admin[p] for c in Client if c.file is p.fd[n]))

    @after("drop", "ownership.I10", STEP, SHEET)
    def dropped_means_gone(self, p: Process, n: Fd, result: Errno) -> bool:
        """After a drop the client owns nothing, has no command in flight, and no mapping that reaches the device."""
        mine = all(not self.owns(c) and not any(j.client is c for j in Job) for c in Client if c.file is p.fd[n])
        return implies(result is OK, mine and not any(v.ptes and v.file is p.fd[n] for v in Vma))

    @after("acquire", "ownership.I12", STEP, SHEET)
    def who_acquires_owns(self, p: Process, n: Fd, result: Errno) -> bool:
        """An acquire that succeeds makes the client an owner, or finds it one."""
        return implies(result is OK, all(self.owns(c) for c in Client if c.file is p.fd[n]))

    @check("ownership.I14", STATE, deduced("a group outlives the clients that were in it"))
    def no_group_names_a_client_that_is_gone(self) -> None:
        """A master authenticates clients that exist."""
