# SPDX-License-Identifier: Apache-2.0
"""The exclusive owner as proposed in September 2021, and repaired: only exports outlive ownership, and they pin.

The mail is four sentences: all commands fail for whoever is not the owner; a drop or the last close revokes what can be
revoked; what cannot be keeps a reference to the owner, so that the next open gets no ownership; an administrator ends
processes until that is over. What it leaves open is DRM's way.
"""

from ..kernel import Errno, Step, Task
from ..kernel.files import OpenFile
from .drm_auth import DrmAuth
from .objects import Client, Command, Node, Token


class Proposal(DrmAuth):
    """Everything but SET and DROP is the owner's. A device whose former owner exported something is pinned."""

    name = "proposal"

    def opens(self, task: Task, file: OpenFile, node: Node, excl: bool) -> Step[int]:
        """0 (owner, or guest of one), EBUSY (O_EXCL, or pinned), ENOMEM. There is one kind of node."""
        return (yield from super().opens(task, file, Node.PRIMARY, excl))

    def enter(self, client: Client) -> int:
        """The owner, if there is none; EBUSY while pinned; else a guest, with nothing."""
        if self.owner is not None:
            return 0
        return Errno.EBUSY if self.pinned() else self.new_owner(client)

    def pinned(self) -> bool:
        """Tell whether exports of a former owner are left."""
        return self.pins > 0 and "O-03" not in self.faults

    def permits(self, task: Task, client: Client, command: Command) -> int:
        """EACCES for everybody but the owner, except to become it or to drop."""
        if command in (Command.SET_MASTER, Command.DROP_MASTER):
            return 0
        if command in (Command.GET_MAGIC, Command.AUTH_MAGIC, Command.FLINK, Command.CREATE_LEASE):
            return Errno.EINVAL  # there are no groups
        return 0 if self.owns(client) or "O-04" in self.faults else Errno.EACCES

    def may_map(self, client: Client) -> bool:
        """A map is looked at where it takes effect."""
        return self.owns(client) or "O-04" in self.faults

    def set_master(self, task: Task, client: Client, arg: int) -> Step[int]:
        """0 (also for the owner), EACCES (not permitted), EBUSY (another one, or pinned), ENOMEM.

        Who was an owner before is it with the same token.
        """
        yield from self.mutex.acquire(task)
        try:
            if not self.may_acquire(task, client):
                return Errno.EACCES
            if self.owns(client):
                return 0
            if self.owner is not None or self.pinned():
                return Errno.EBUSY
            if not client.founder or client.token is None:
                return self.new_owner(client)
            self.become_owner(client.token)
            return 0
        finally:
            self.mutex.release(task)

    def may_acquire(self, task: Task, client: Client) -> bool:
        """As DRM has it."""
        return self.may_change(task, client)

    def drop_master(self, task: Task, client: Client, arg: int) -> Step[int]:
        """0, EACCES (not permitted), EINVAL (not the owner). The device is free, or pinned, afterwards."""
        yield from self.mutex.acquire(task)
        try:
            if not self.may_change(task, client):
                return Errno.EACCES
            if not self.owns(client):
                return Errno.EINVAL
            self.revoke(client)
            return 0
        finally:
            self.mutex.release(task)

    def revoke(self, client: Client) -> None:
        """End the ownership of a client and everything that came with it, but for exports."""
        self.take_back(client)
        self.end_ownership()

    def pinned_by_export(self, client: Client) -> Token | None:
        """The owner's token."""
        return client.token

    def release(self, task: Task, file: OpenFile) -> Step[None]:
        """The last close of the owner is a drop."""
        client: Client = file.private_data
        yield from self.mutex.acquire(task)
        if self.owns(client) or (self.owner is not None and "O-05" in self.faults):
            self.revoke(client)
        self.take_back(client)
        token, client.token = client.token, None
        if token is not None:
            self.put_token(token)
        self.mutex.release(task)
        self.free_client(client)


class Intended(Proposal):
    """The proposal without its race, with a way to look and to evict.

    A command is permitted or not where it takes effect, under the lock that a drop takes. An open of a pinned device
    is a guest's. Whoever has a free device open may acquire it: an open would give it, too.
    """

    name = "intended"

    def enter(self, client: Client) -> int:
        """The owner, if the device is free; else a guest."""
        return 0 if self.standing != "free" else self.new_owner(client)

    def still_permitted(self, client: Client) -> bool:
        """The owner, now."""
        return self.owns(client)

    def may_acquire(self, task: Task, client: Client) -> bool:
        """Everybody."""
        return True

    def evict(self, task: Task) -> Step[int]:
        """End whoever's ownership, as if it had dropped: 0, also where there is no owner; EACCES (no administrator)."""
        yield from self.mutex.acquire(task)
        try:
            if not self.admin(task):
                return Errno.EACCES
            for client in [client for client in self.clients if self.owns(client)]:
                self.revoke(client)
            return 0
        finally:
            self.mutex.release(task)
