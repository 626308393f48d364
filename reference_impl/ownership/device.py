# SPDX-License-Identifier: Apache-2.0
"""What all designs share: one device, its clients, commands, maps and exported buffers, and references to tokens."""

from collections.abc import Iterator
from itertools import count

from ..kernel import Errno, Kernel, Page, Step, Task, Vma, point
from ..kernel.files import FileOperations, Inode, OpenFile
from ..kernel.process import Process
from .objects import Client, Command, Export, Job, Node, Token


class ExportedBuffer(FileOperations):
    """The file of an exported buffer."""

    def __init__(self, ownership: "Ownership") -> None:
        self.ownership = ownership

    def release(self, task: Task, file: OpenFile) -> Step[None]:
        """Give back what the buffer holds: nobody can reach it any more."""
        yield from self.ownership.end_export(task, file.private_data)


class Ownership(FileOperations):
    """A device that has one owner at a time, or should have; a subclass is a design, and says who owns it when.

    `owner` is the token of the current owner. A client *owns* the device if its token is the one, and its own.
    """

    name: str

    def __init__(self, kernel: Kernel, faults: frozenset[str] = frozenset()) -> None:
        self.kernel = kernel
        self.faults = faults
        self.mutex = kernel.mutex("master_mutex")
        self.owner: Token | None = None
        self.admins: set[Process] = set()  # who has CAP_SYS_ADMIN
        self.clients: dict[Client, None] = {}
        self.tokens: dict[int, Token] = {}
        self.jobs: dict[int, Job] = {}
        self.exports: dict[int, Export] = {}
        self.inodes = {node: Inode(node.value, i) for i, node in enumerate(Node)}
        self._serials = count(1)
        self._buffer_operations = ExportedBuffer(self)

    # What a design says.

    def opens(self, task: Task, file: OpenFile, node: Node, excl: bool) -> Step[int]:
        """Attach a client to a description: 0 or a negative errno."""
        yield from ()
        raise NotImplementedError

    def permits(self, task: Task, client: Client, command: Command) -> int:
        """Return 0 if the client may do a command, else the errno; tested before it, without a lock."""
        return 0

    def owns(self, client: Client) -> bool:
        """Tell whether a client is the owner."""
        return client.founder and client.token is not None and client.token is self.owner

    def still_permitted(self, client: Client) -> bool:
        """Tell, under the lock and where a command takes effect, whether it may."""
        return True

    # Tokens.

    def new_token(self, lessor: Token | None = None) -> Token | None:
        """Return a new token with one reference, or None without memory."""
        if self.kernel.injector.take("alloc:token") is not None:
            return None
        token = Token(next(self._serials), lessor=lessor)
        self.tokens[token.serial] = token
        if lessor is not None:
            lessor.refs += 1
        return token

    def put_token(self, token: Token) -> None:
        """Drop a reference; the last one frees the token."""
        token.refs -= 1
        if token.refs < 0:
            self.kernel.findings.report("double free", f"token {token.serial} is put more often than it was taken")
        if token.refs == 0:
            del self.tokens[token.serial]
            self.token_ends(token)
            if token.lessor is not None:
                self.put_token(token.lessor)

    def token_ends(self, token: Token) -> None:
        """Notice that nobody holds a token any more; the owner's is held by the device."""
        if token is self.owner:
            self.kernel.findings.report("use after free", f"token {token.serial} is freed while it owns the device")

    # Clients.

    def new_client(self, task: Task, file: OpenFile, node: Node) -> Client | None:
        """Return the client of a description, or None without memory."""
        if self.kernel.injector.take("alloc:client") is not None:
            return None
        process = task.process
        client = Client(file, node, process, authenticated=process in self.admins)
        self.clients[client] = None
        file.private_data = client
        return client

    def free_client(self, client: Client) -> None:
        """End a client, which has no token any more."""
        client.freed = True
        del self.clients[client]

    def admin(self, task: Task) -> bool:
        """Tell whether the caller has CAP_SYS_ADMIN."""
        return task.process in self.admins

    # What an owner does.

    def ioctl(self, task: Task, file: OpenFile, cmd: int, arg: int) -> Step[int]:
        """Do a command: 0, what it answers, or why it is refused; -EINVAL for an unknown one."""
        client: Client = file.private_data
        if cmd not in Command.__members__.values():
            return Errno.EINVAL
        command = Command(cmd)
        if not client.was_owner:  # once an owner, the opener stays who may be one again
            client.opener = task.process
        refused = self.permits(task, client, command)
        if refused:
            return refused
        yield point("permitted")
        method = getattr(self, command.name.lower())
        result: int = yield from method(task, client, arg)
        return result

    def submit(self, task: Task, client: Client, arg: int) -> Step[int]:
        """Put a command on its way: its number, EACCES (owner no more), ENOMEM."""
        yield from self.mutex.acquire(task)
        try:
            if not self.still_permitted(client):
                return Errno.EACCES
            if self.kernel.injector.take("alloc:job") is not None:
                return Errno.ENOMEM
            job = Job(next(self._serials), client)
            self.jobs[job.serial] = job
            return job.serial
        finally:
            self.mutex.release(task)

    def complete(self, serial: int) -> None:
        """Let the device finish a command."""
        del self.jobs[serial]

    def mmap(self, task: Task, file: OpenFile, vma: Vma) -> Step[int]:
        """Show device memory, if the client may: 0, EACCES, ENOMEM. A fork does not copy the map.

        That is so in habanalabs, and here in every design; maps of GEM buffers are copied.
        """
        client: Client = file.private_data
        yield from self.mutex.acquire(task)
        try:
            if not self.may_map(client):
                return Errno.EACCES
            vma.ptes = [Page(client) for _ in range(vma.pages)]
            vma.dont_copy = True
            return 0
        finally:
            self.mutex.release(task)

    def may_map(self, client: Client) -> bool:
        """Tell, under the lock, whether a client may map device memory; no flag of a command says so."""
        return True

    def export(self, task: Task, client: Client, arg: int) -> Step[int]:
        """Make a buffer that can be given away, as descriptor `arg` of the caller: `arg`, EACCES, ENOMEM."""
        yield from self.mutex.acquire(task)
        try:
            if not self.still_permitted(client):
                return Errno.EACCES
            file = self.kernel.new_file(Inode("dmabuf", -1))
            if file is None:
                return Errno.ENOMEM
            made = Export(next(self._serials), client, self.pinned_by_export(client), file)
            if made.token is not None:
                made.token.exports += 1
                made.token.refs += 1
            made.keeps = self.kept_by_export(client)
            file.fops = self._buffer_operations
            file.private_data = made
            self.exports[made.serial] = made
            assert task.process is not None
            task.process.files.install(arg, file, False)
            return arg
        finally:
            self.mutex.release(task)

    def pinned_by_export(self, client: Client) -> Token | None:
        """Return the token that an export of a client holds."""
        return None

    def kept_by_export(self, client: Client) -> OpenFile | None:
        """Return the description that an export of a client holds, with a reference."""
        return None

    def end_export(self, task: Task, export: Export) -> Step[None]:
        """Give back what an export holds."""
        yield from self.mutex.acquire(task)
        del self.exports[export.serial]
        if export.token is not None:
            export.token.exports -= 1
            self.put_token(export.token)
        self.mutex.release(task)
        if export.keeps is not None:
            export.keeps.put(task)

    def take_back(self, client: Client) -> None:
        """Cancel a client's commands and take its maps away; exports stay."""
        if "O-01" not in self.faults:
            self.jobs = {serial: job for serial, job in self.jobs.items() if job.client is not client}
        if "O-02" not in self.faults:
            for vma in self.maps():
                if vma.file is client.file:
                    vma.zap()

    # What can be seen.

    def maps(self) -> Iterator[Vma]:
        """Yield every map of device memory."""
        for process in self.kernel.processes.values():
            for vma in process.mm.vmas:
                if vma.file is not None and isinstance(vma.file.private_data, Client):
                    yield vma

    @property
    def pins(self) -> int:
        """How many exports keep the device from having another owner."""
        return sum(token.exports for token in self.tokens.values() if token is not self.owner)

    @property
    def standing(self) -> str:
        """Whether the device is ``free``, ``owned``, or ``pinned`` by exports of a former owner."""
        if self.owner is not None:
            return "owned"
        return "pinned" if self.pins else "free"
