# SPDX-License-Identifier: Apache-2.0
"""What a process does with an accelerator that it has open, and what happens to the accelerator."""

from collections.abc import Sequence

from ..compute import Request
from ..kernel import Errno, Oops, Step, Task, UserFault, point
from ..kernel.files import FileOperations, Inode, OpenFile
from ..kernel.process import Process
from . import jobs
from .buffer import DmaBuf
from .calls import Calls, by_device, by_process
from .context import Context
from .device import Device, DeviceState

O_RDONLY, O_RDWR = 0, 2


class DeviceFops(FileOperations):
    """The file operations of an accelerator."""

    def __init__(self, system: "DeviceCalls", device: Device) -> None:
        self.system = system
        self.device = device

    def open(self, task: Task, inode: Inode, file: OpenFile) -> Step[int]:
        """Own the device; see `Device.open`."""
        assert task.process is not None
        return (yield from self.device.open(task, file, task.process))

    def release(self, task: Task, file: OpenFile) -> Step[None]:
        """Take back what can be taken back, and let go of the context."""
        context: Context = file.private_data
        context.session.closing = True
        yield point("device release")
        jobs.cancel(task, context)
        for address in list(context.imports):
            yield from jobs.release_import(task, context, address)
        if self.system.design.close_revokes and self.system.design.revoke != "none" and self.device.later is None:
            yield from self.system.revoker.cleanup(task, self.device, context)
        if not self.system.design.tables_outlive_file:
            context.empty()
        yield from context.put(task)


class DeviceCalls(Calls):
    """Calls on devices."""

    @by_process
    def open(self, task: Task, process: Process, d: int, fd: int | None = None, *, cloexec: bool = False) -> Step[int]:
        """Open device `d`: a descriptor, by default the lowest free.

        -EBUSY: owned, or kept by what the last owner shared. -EAGAIN: in reset, or (D2a) the same. -EPERM: broken.
        -ENODEV: removed. -EMFILE, -ENOMEM.
        """
        self._unused(process, fd)
        number = process.files.reserve(fd)
        if number < 0:
            return number
        file = self.kernel.new_file(Inode(f"accel{d}", d))
        if file is None:
            process.files.unreserve(number)
            return Errno.ENOMEM
        file.fops = DeviceFops(self, self._device(d))
        result = yield from file.fops.open(task, file.inode, file)
        if result:
            self.kernel.forget_file(file)
            process.files.unreserve(number)
            return result
        process.publish(task, number, file, cloexec)
        return number

    def _context(self, process: Process, n: int) -> tuple[OpenFile, Context] | int:
        """Return the file and the context behind a descriptor, or why a command on it is refused."""
        file = process.files.files.get(n)
        if file is None:
            return Errno.EBADF
        if not isinstance(file.private_data, Context):
            return Errno.ENOTTY
        context = file.private_data
        refused = context.device.refused
        if refused == Errno.ENODEV and not self.design.told_of_removal:
            raise Oops("a command on a device that was removed: NULL dereference")
        if refused != Errno.ENODEV and not context.master:
            return Errno.EACCES
        return refused or (file, context)

    # Memory.

    @by_process
    def mem_alloc(self, task: Task, process: Process, n: int, size: int) -> Step[int]:
        """MEM_ALLOC: a handle (0 on a device without an MMU, which only counts), -EINVAL, -ENOMEM.

        Every command on the device: -EBADF, -ENOTTY (not a device), -EBUSY (it is not operational), -ENODEV (removed),
        -EACCES (D1: not the owner any more).
        """
        found = self._context(process, n)
        if isinstance(found, int):
            return found
        yield point("mem_alloc")
        return found[1].allocate(size)

    @by_process
    def mem_free(self, task: Task, process: Process, n: int, handle: int) -> Step[int]:
        """MEM_FREE: see `Revoker.free`."""
        found = self._context(process, n)
        if isinstance(found, int):
            return found
        found[0].get()
        result = yield from self.revoker.free(task, found[1], handle)
        found[0].put(task)
        return result

    @by_process
    def mem_map(self, task: Task, process: Process, n: int, handle: int) -> Step[int]:
        """MEM_MAP: the device address, or -EINVAL."""
        found = self._context(process, n)
        if isinstance(found, int):
            return found
        return (yield from found[1].map(task, handle))

    @by_process
    def mem_unmap(self, task: Task, process: Process, n: int, address: int) -> Step[int]:
        """MEM_UNMAP: 0, or -EINVAL (unknown, or exported where that blocks it)."""
        found = self._context(process, n)
        if isinstance(found, int):
            return found
        return (yield from found[1].unmap(task, address))

    @by_process
    def export(
        self, task: Task, process: Process, n: int, address: int, size: int = 0, offset: int = 0, fd: int | None = None,
        *, flags: int = O_RDWR, cloexec: bool = False, ranges: Sequence[tuple[int, int]] | None = None,
    ) -> Step[int]:  # fmt: skip
        """EXPORT_DMABUF_FD: a descriptor of a new buffer, by default the lowest free.

        `address` is a handle (D0, D1, D3t), a device address (the others), or on a device without an MMU a physical
        address, for D3a and D3b an offset into the BAR (`ranges` for several). See `Exporter.export` for errors.
        """
        found = self._context(process, n)
        if isinstance(found, int):
            return found
        self._unused(process, fd)
        file, context = found
        file.get()
        result = yield from self.exporter.export(
            task, process, file, context, address, size, offset, fd, flags, cloexec, ranges
        )
        file.put(task)
        return result

    @by_process
    def move(self, task: Task, process: Process, n: int, handle: int) -> Step[int]:
        """Move an allocation: see `Revoker.move`."""
        found = self._context(process, n)
        if isinstance(found, int):
            return found
        found[0].get()
        result = yield from self.revoker.move(task, found[1], handle)
        found[0].put(task)
        return result

    @by_process
    def revoke_buffer(self, task: Task, process: Process, n: int, m: int) -> Step[int]:
        """Revoke the buffer behind descriptor `m` for good: see `Revoker.request`; -EBADF, -EINVAL (not a buffer)."""
        found = self._context(process, n)
        if isinstance(found, int):
            return found
        buffer = self.core.get(process, m)
        if isinstance(buffer, int):
            return buffer
        found[0].get()
        result = yield from self.revoker.request(task, found[1], buffer)
        self.core.put(task, buffer)
        found[0].put(task)
        return result

    @by_process
    def drop_master(self, task: Task, process: Process, n: int) -> Step[int]:
        """Give up the ownership, keeping the descriptor: 0, -EINVAL (is not the owner); as `set_master`."""
        context = self._owned(process, n)
        if isinstance(context, int):
            return context
        yield point("drop_master")
        if not context.master:
            return Errno.EINVAL
        context.master = False
        jobs.cancel(task, context)
        return 0

    @by_process
    def set_master(self, task: Task, process: Process, n: int) -> Step[int]:
        """Take the ownership again, which nobody else can have got: 0.

        -ENOTTY (not a device, or a design without this), -EBADF, -ENODEV (removed).
        """
        context = self._owned(process, n)
        if isinstance(context, int):
            return context
        yield point("set_master")
        context.master = True
        return 0

    def _owned(self, process: Process, n: int) -> Context | int:
        """Return the context behind a descriptor; the ownership is the core's, which does not ask the driver."""
        file = process.files.files.get(n)
        if file is None:
            return Errno.EBADF
        if not isinstance(file.private_data, Context) or not self.design.ownership:
            return Errno.ENOTTY
        removed = file.private_data.device.state is DeviceState.REMOVED
        return Errno.ENODEV if removed else file.private_data

    # Work.

    @by_process
    def import_buffer(self, task: Task, process: Process, n: int, m: int) -> Step[int]:
        """Import the buffer behind `m` into the context behind `n`: its device address, or what attach answers."""
        found = self._context(process, n)
        if isinstance(found, int):
            return found
        buffer = self.core.get(process, m)
        if isinstance(buffer, int):
            return buffer
        context = found[1]
        found[0].get()
        peer = self.peers[context.device.number]
        result = yield from jobs.import_buffer(self.core, task, context, peer, buffer, process.pid, self.schedule)
        if result < 0:
            self.core.put(task, buffer)
        elif not process.alive:  # killed meanwhile: its end cannot have found this import
            yield from jobs.release_import(task, context, result)
            result = Errno.EINTR
        found[0].put(task)
        return result

    @by_process
    def release_import(self, task: Task, process: Process, n: int, address: int) -> Step[int]:
        """Undo `import_buffer`, after the jobs that use it: 0, or -EINVAL."""
        found = self._context(process, n)
        if isinstance(found, int):
            return found
        found[0].get()
        result = yield from jobs.release_import(task, found[1], address)
        found[0].put(task)
        return result

    @by_process
    def submit(self, task: Task, process: Process, n: int, request: Request) -> Step[int]:
        """Give the device a request, addresses being device addresses: 0, -EAGAIN, -ENOMEM, or why it cannot map."""
        found = self._context(process, n)
        if isinstance(found, int):
            return found
        found[0].get()
        result = yield from jobs.submit(self.core, task, found[1], request, self.done)
        found[0].put(task)
        return result

    def run(self, d: int, count: int | None = None) -> list[str]:
        """Let device `d` run up to `count` jobs, by default all; how each ended (`OK`, `FAULT`, ...)."""
        device = self._device(d)
        ended: list[str] = []
        while device.jobs and (count is None or len(ended) < count):
            job = device.jobs.pop(0)

            def body(task: Task, job: jobs.Job = job) -> Step[int]:
                job.run(task)
                yield from ()
                return 0

            task = Task(f"run({d})")
            self._finish(self._enter(task, body(task)), d)
            ended.append(job.status.name if job.status is not None else "")
        return ended

    def store(self, p: int, n: int, address: int, data: bytes) -> int:
        """Write to memory of the context behind `n`, as the device does: 0, -EBADF, -ENOTTY, -EFAULT."""
        found = self._context(self._process(p), n)
        if isinstance(found, int):
            return found
        try:
            found[1].store(address, data)
        except UserFault:
            return Errno.EFAULT
        return 0

    def load(self, p: int, n: int, address: int, size: int) -> bytes | int:
        """Read memory of the context behind `n`, as the device does: bytes, or as `store`."""
        found = self._context(self._process(p), n)
        if isinstance(found, int):
            return found
        try:
            return found[1].load(address, size)
        except UserFault:
            return Errno.EFAULT

    # What happens to a device.

    @by_device
    def revoke(self, task: Task, device: Device) -> Step[int]:
        """Stop decoding: every buffer of device `d` is revoked until `restore`. See `Revoker.revoke`."""
        if device.state is DeviceState.REMOVED:
            return Errno.ENODEV
        return (yield from self.revoker.revoke(task, device))

    @by_device
    def restore(self, task: Task, device: Device) -> Step[int]:
        """Decode again: 0, -EOPNOTSUPP."""
        if device.state is DeviceState.REMOVED:
            return Errno.ENODEV
        return (yield from self.revoker.restore(task, device))

    @by_device
    def suspend(self, task: Task, device: Device) -> Step[int]:
        """Put device `d` to sleep: 0, -EOPNOTSUPP, -EBUSY (a peer needs it)."""
        if device.state is DeviceState.REMOVED:
            return Errno.ENODEV
        return (yield from self.revoker.suspend(task, device))

    @by_device
    def resume(self, task: Task, device: Device) -> Step[int]:
        """Wake device `d` up: 0, -EOPNOTSUPP."""
        if device.state is DeviceState.REMOVED:
            return Errno.ENODEV
        return (yield from self.revoker.resume(task, device))

    @by_device
    def reset(self, task: Task, device: Device, *, kills: bool = True) -> Step[int]:
        """Reset device `d`: see `Revoker.reset`. Where the design says so, the process that opened it is killed first.

        Jobs that wait are lost: their fences are signaled with an error. `kills`: or somebody else does it.
        """
        for job in list(device.jobs):
            device.jobs.remove(job)
            job.end(task, Errno.EIO)
        if kills and self.design.reset == "waits for openers" and device.state is not DeviceState.REMOVED:
            for session in list(device.open_list):
                opener = self.kernel.processes.get(session.pid)
                if opener is not None and opener.alive and not session.closing:
                    device.state = DeviceState.IN_RESET
                    yield from self._end_process(task, opener)
                    yield from self.kernel.task_work(task)  # what the killed process leaves
        return (yield from self.revoker.reset(task, device))

    def contexts(self) -> list[Context]:
        """Return every context that has a file."""
        found = (file.private_data for file in self.kernel.files.values())
        return [context for context in found if isinstance(context, Context)]

    def _end_process(self, task: Task, process: Process) -> Step[int]:
        raise NotImplementedError

    @by_device
    def remove(self, task: Task, device: Device) -> Step[int]:
        """Take device `d` away: see `Revoker.remove`."""
        for job in list(device.jobs):
            device.jobs.remove(job)
            job.end(task, Errno.ENODEV)
        return (yield from self.revoker.remove(task, device))

    def buffer_of(self, p: int, n: int) -> DmaBuf | None:
        """Return the buffer behind descriptor `n` of process `p`, None where there is none."""
        process = self.kernel.processes.get(p)
        file = process.files.files.get(n) if process is not None else None
        found = file.private_data if file is not None else None
        return found if isinstance(found, DmaBuf) else None
