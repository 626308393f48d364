# SPDX-License-Identifier: Apache-2.0
"""The masters of DRM, as Linux 6.12 has them: one group of clients is current, commands are shared, nothing revoked."""

from ..kernel import Errno, Oops, Step, Task, point
from ..kernel.files import OpenFile
from .device import Ownership
from .objects import FLAGS, Client, Command, Flag, Node, Token


class DrmAuth(Ownership):
    """Whoever opens a primary node while there is no master becomes it; the others join its group.

    Accel and render nodes have no masters. Facts: section 7 of the sheet, and drm_auth.c, drm_ioctl.c, drm_lease.c.
    """

    name = "drm_auth"

    def opens(self, task: Task, file: OpenFile, node: Node, excl: bool) -> Step[int]:
        """0, EBUSY (O_EXCL), ENOMEM."""
        if excl:
            return Errno.EBUSY
        client = self.new_client(task, file, node)
        if client is None:
            return Errno.ENOMEM
        if node is Node.PRIMARY:
            yield from self.mutex.acquire(task)
            result = self.enter(client)
            self.mutex.release(task)
            if result:
                self.free_client(client)
                return result
        return 0

    def enter(self, client: Client) -> int:
        """Make a new client the owner, if there is none, or let it join: 0 or ENOMEM."""
        if self.owner is None:
            return self.new_owner(client)
        client.token = self.owner
        self.owner.refs += 1
        return 0

    def new_owner(self, client: Client) -> int:
        """Make a client the owner with a new token: 0 or ENOMEM."""
        token = self.new_token()
        if token is None:
            return Errno.ENOMEM
        before, client.token = client.token, token
        client.founder = client.was_owner = client.authenticated = True
        self.become_owner(token)
        if before is not None:
            self.put_token(before)
        return 0

    def become_owner(self, token: Token) -> None:
        """Let the device point to a token."""
        self.owner = token
        token.refs += 1

    def end_ownership(self) -> None:
        """Let the device point to none."""
        owner, self.owner = self.owner, None
        if owner is not None:
            self.put_token(owner)

    def owns(self, client: Client) -> bool:
        """As in `Ownership`; who has a lease from the owner passes for it."""
        token = client.token
        while token is not None and token.lessor is not None:
            token = token.lessor
        return client.founder and token is not None and token is self.owner

    def permits(self, task: Task, client: Client, command: Command) -> int:
        """As DRM's table of commands says."""
        flags = FLAGS[command]
        render = client.node is Node.RENDER
        if flags & Flag.AUTH and not render and not client.authenticated:
            return Errno.EACCES
        if flags & Flag.MASTER and not self.owns(client):
            return Errno.EACCES
        if render and not flags & Flag.RENDER_ALLOW:
            return Errno.EACCES
        return 0

    def may_change(self, task: Task, client: Client) -> bool:
        """Tell whether the caller may set or drop the owner: it was one, in the same process, or is administrator."""
        return (client.was_owner and client.opener is task.process) or self.admin(task)

    def set_master(self, task: Task, client: Client, arg: int) -> Step[int]:
        """0 (also for the owner), EACCES (not permitted), EBUSY (another one), EINVAL (no group, a lease), ENOMEM."""
        yield from self.mutex.acquire(task)
        try:
            if not self.may_change(task, client):
                return Errno.EACCES
            if self.owns(client):
                return 0
            if self.owner is not None:
                return Errno.EBUSY
            if client.token is None:
                return Errno.EINVAL
            if not client.founder:
                return self.new_owner(client)
            if client.token.lessor is not None:
                return Errno.EINVAL
            self.become_owner(client.token)
            return 0
        finally:
            self.mutex.release(task)

    def drop_master(self, task: Task, client: Client, arg: int) -> Step[int]:
        """0, EACCES (not permitted), EINVAL (not the owner, a lease). Everything the owner made stays."""
        yield from self.mutex.acquire(task)
        try:
            if not self.may_change(task, client):
                return Errno.EACCES
            if not self.owns(client) or (client.token is not None and client.token.lessor is not None):
                return Errno.EINVAL
            self.end_ownership()
            return 0
        finally:
            self.mutex.release(task)

    def release(self, task: Task, file: OpenFile) -> Step[None]:
        """End a client; the owner's ownership ends with it."""
        client: Client = file.private_data
        self.jobs = {serial: job for serial, job in self.jobs.items() if job.client is not client}
        if client.node is Node.PRIMARY:
            yield from self.mutex.acquire(task)
            token = client.token
            if client.magic and token is not None:
                token.magics.remove(client.magic)  # of the group it is in now
            if token is not None and token is self.owner and client.founder:
                self.end_ownership()
            if token is not None:
                client.token = None
                self.put_token(token)
            self.mutex.release(task)
        self.free_client(client)

    # Commands of a group.

    def mode_set(self, task: Task, client: Client, arg: int) -> Step[int]:
        """Change what only the owner may: 0."""
        yield from ()
        return 0

    def flink(self, task: Task, client: Client, arg: int) -> Step[int]:
        """Name a buffer for other clients: 0."""
        yield from ()
        return 0

    def get_magic(self, task: Task, client: Client, arg: int) -> Step[int]:
        """Return the number by which the owner can authenticate this client.

        Without a group, on an accel node, the driver follows a null pointer.
        """
        yield from self.mutex.acquire(task)
        if not client.magic:
            if client.token is None:
                raise Oops("GET_MAGIC follows the null pointer of a client that has no master")
            client.magic = client.token.magics.add(client) or 0
        self.mutex.release(task)
        return client.magic

    def auth_magic(self, task: Task, client: Client, arg: int) -> Step[int]:
        """Authenticate the client of a number: 0, or EINVAL for an unknown one. It must be of the owner's group."""
        yield from self.mutex.acquire(task)
        try:
            found = client.token.magics.find(arg) if client.token is not None else None
            if found is None or client.token is None:
                return Errno.EINVAL
            if found.freed:
                self.kernel.findings.report("ownership.I14", f"magic {arg} names a client that was freed")
            found.authenticated = True
            client.token.magics.replace(arg, None)
            return 0
        finally:
            self.mutex.release(task)

    def create_lease(self, task: Task, client: Client, arg: int) -> Step[int]:
        """Make a second client, descriptor `arg`, that passes for the owner while this one is: `arg`, EINVAL, ENOMEM.

        The new file is opened first as any other: if the owner has dropped meanwhile, that open makes it the owner,
        and the lease then replaces the token that the device keeps.
        """
        yield point("lease: permitted")
        token = client.token
        if token is None or token.lessor is not None:
            return Errno.EINVAL
        lease = self.new_token(token)
        file = self.kernel.new_file(client.file.inode) if lease is not None else None
        if lease is None or file is None:
            if lease is not None:
                self.put_token(lease)
            return Errno.ENOMEM
        file.fops = self
        result = yield from self.opens(task, file, client.node, False)
        if result:
            self.kernel.forget_file(file)
            self.put_token(lease)
            return result
        lessee: Client = file.private_data
        before, lessee.token = lessee.token, lease
        lessee.founder = lessee.authenticated = True
        if before is not None:
            self.put_token(before)
        assert task.process is not None
        task.process.files.install(arg, file, False)
        return arg
