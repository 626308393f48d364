# SPDX-License-Identifier: Apache-2.0
"""Ownership that mainline habanalabs adopted in effect: one open at a time, and exports that keep the slot taken."""

from ..kernel import Errno, Oops, Step, Task
from ..kernel.files import OpenFile
from .device import Ownership
from .objects import Client, Command, Node, Token


class Habanalabs61(Ownership):
    """Linux 6.1: whoever opens owns, nobody else can open. Commands and exports hold the context beyond the close.

    There is no call to acquire or drop, and nothing tells an administrator why the slot stays taken.
    """

    name = "habanalabs 6.1"

    def opens(self, task: Task, file: OpenFile, node: Node, excl: bool) -> Step[int]:
        """0, ENOMEM, EAGAIN (the last owner is closed, something still holds its context), EBUSY (an owner)."""
        client = self.new_client(task, file, Node.ACCEL)
        if client is None:
            return Errno.ENOMEM
        yield from self.mutex.acquire(task)
        result = self._enter(client)
        self.mutex.release(task)
        if result:
            self.free_client(client)
        return result

    def _enter(self, client: Client) -> int:
        if self.owner is not None:
            return Errno.EAGAIN if self.owner.dropped else Errno.EBUSY
        token = self.new_token()
        if token is None:
            return Errno.ENOMEM
        client.token, client.founder = token, True
        self.owner = token
        return 0

    def permits(self, task: Task, client: Client, command: Command) -> int:
        """Who has it open is the owner; there are no others."""
        return 0 if command in (Command.SUBMIT, Command.EXPORT) else self.no_such_command(task, command)

    def no_such_command(self, task: Task, command: Command) -> int:
        """The driver's numbers end before."""
        return Errno.ENOTTY

    def submit(self, task: Task, client: Client, arg: int) -> Step[int]:
        """As in `Ownership`; a command on its way holds the context."""
        result = yield from super().submit(task, client, arg)
        if result > 0 and client.token is not None:
            client.token.refs += 1
        return result

    def complete(self, serial: int) -> None:
        """Let the device finish a command; the last one after the close frees the slot."""
        client = self.jobs[serial].client
        super().complete(serial)
        assert client.token is not None
        self.put_token(client.token)

    def pinned_by_export(self, client: Client) -> Token | None:
        """The context."""
        return client.token

    def release(self, task: Task, file: OpenFile) -> Step[None]:
        """Let go of the context; the slot is free when nobody else holds it."""
        client: Client = file.private_data
        token = client.token
        yield from self.mutex.acquire(task)
        assert token is not None
        token.dropped = True
        self.on_release(client)
        self.put_token(token)
        self.mutex.release(task)
        self.free_client(client)

    def on_release(self, client: Client) -> None:
        """What is in use stays in use."""

    def token_ends(self, token: Token) -> None:
        """The slot empties with the context."""
        if token is self.owner and "O-06" not in self.faults:
            self.owner = None


class Habanalabs(Habanalabs61):
    """Linux 6.12 without resets, on an accel node: an export holds the owner's file, whose release has not begun."""

    name = "habanalabs"

    def opens(self, task: Task, file: OpenFile, node: Node, excl: bool) -> Step[int]:
        """0, EBUSY (O_EXCL, an owner, or an export of one), ENOMEM."""
        if excl:
            return Errno.EBUSY
        return (yield from super().opens(task, file, node, excl))

    def no_such_command(self, task: Task, command: Command) -> int:
        """DRM's own commands, on a node without masters."""
        if command in (Command.SET_MASTER, Command.DROP_MASTER):
            return Errno.EINVAL if self.admin(task) else Errno.EACCES
        if command is Command.GET_MAGIC:
            raise Oops("GET_MAGIC follows the null pointer of a client that has no master")
        return Errno.EACCES

    def kept_by_export(self, client: Client) -> OpenFile | None:
        """The owner's description."""
        return client.file.get()


class Habanalabs612(Habanalabs):
    """Linux 6.12: what is still in use at the release of the file is ended by a hard reset."""

    name = "habanalabs 6.12"

    def on_release(self, client: Client) -> None:
        """Reset the device: what is on its way ends."""
        for serial in [job.serial for job in self.jobs.values() if job.client is client]:
            self.complete(serial)
