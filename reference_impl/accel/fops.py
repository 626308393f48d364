# SPDX-License-Identifier: Apache-2.0
"""The file operations of the compute and the control node: who gets in, and what stands before every ioctl."""

from typing import Any

from ..kernel import PAGE, Errno, Oops, RamPage, Step, Task, UsageError, Vma, VmOps, point
from ..kernel.files import FileOperations, Inode, OpenFile
from .arguments import CbArgs, CsArgs, DebugArgs, InfoArgs, Ioctl, MemoryArgs, WaitArgs
from .buffers import CommandBuffer
from .context import Context, create
from .debug import debug
from .device import AccelDevice, Status
from .fd import AccelFd
from .info import Info, info
from .ioctl import ioctl_of
from .lazy import asked, prepared, valid
from .memory_calls import command_buffer, memory, operational
from .submit import submit
from .waiting import wait

O_EXCL = 0x80

_ARGUMENTS: dict[Ioctl, type[Any]] = {
    Ioctl.INFO: InfoArgs,
    Ioctl.CB: CbArgs,
    Ioctl.CS: CsArgs,
    Ioctl.WAIT_CS: WaitArgs,
    Ioctl.MEMORY: MemoryArgs,
    Ioctl.DEBUG: DebugArgs,
}


class AccelFops(FileOperations):
    """What a user can do with one node of one device."""

    def __init__(self, device: AccelDevice, *, control: bool) -> None:
        self.device = device
        self.control = control
        self.behaviour = device.behaviour
        self.kernel = device.kernel

    # open

    def open(self, task: Task, inode: Inode, file: OpenFile) -> Step[int]:
        """Get an fd, and by the revision a context and the slot with it.

        Compute node: -EBUSY (O_EXCL at the drm core; the slot is taken), -EPERM (broken, in debug mode; early: in
        reset), -EAGAIN (in reset, scrubbing, the owner is leaving), -ENOMEM, ``context_handle``. Control node: -EPERM.
        """
        device = self.device
        if device.removed:
            return self._no_minor
        yield point("open: device found")
        fd = None
        if self.behaviour.allocates == "before the checks":
            fd = self._allocate(file)
            if fd is None:
                return Errno.ENOMEM
        lock = device.control_lock if self._own_list else device.files_lock
        yield from lock.acquire(task)
        result = self._refuse()
        if result == 0 and fd is None:
            device.open_count = 1
            lock.release(task)
            return (yield from self._open_counted(task, file))
        if result == 0 and fd is not None:
            result = yield from self._enter(task, fd)
        lock.release(task)
        if fd is not None:
            yield from self._entered(task, fd, result)
        return result

    @property
    def _no_minor(self) -> Errno:
        """What an open of a node says whose device has gone; the control node is never the drm core's."""
        return Errno.ENODEV if self.behaviour.drm_core and not self.control else Errno.ENXIO

    @property
    def _own_list(self) -> bool:
        return self.control and self.behaviour.lists == "one each"

    def _allocate(self, file: OpenFile) -> AccelFd | None:
        memory = self.kernel.allocator.allocate("fd")
        return None if memory is None else AccelFd(self.device, file, memory, control=self.control)

    def _refuse(self) -> int:
        """Return why nobody gets in now, 0 if somebody may."""
        device, behaviour = self.device, self.behaviour
        if device.removed:  # meanwhile
            return self._no_minor
        if self.control:
            if behaviour.control_opens == "unless broken":
                return Errno.EPERM if device.status is Status.MALFUNCTION else 0
            return 0 if device.operational else Errno.EPERM
        if behaviour.open_checks == "usable":
            if not device.operational:
                return Errno.EPERM
            if behaviour.open_refuses_debug and device.in_debug:
                return Errno.EPERM
        else:
            if device.status in (Status.IN_RESET, Status.IN_RESET_AFTER_DEVICE_RELEASE):
                return Errno.EAGAIN
            if not device.operational:
                return Errno.EPERM
            if device.scrubbing or (device.in_release and behaviour.open_refuses_taken):
                return Errno.EAGAIN
        return Errno.EBUSY if device.taken and behaviour.open_refuses_taken else 0

    def _enter(self, task: Task, fd: AccelFd) -> Step[int]:
        """Let an fd in, with the list's lock held."""
        device, behaviour = self.device, self.behaviour
        files = device.control_files if self._own_list else device.files
        if behaviour.listed == "before it is complete":
            files[fd] = None
            return 0
        fd.opener = task.process
        if not self.control and behaviour.context == "at open":
            made = yield from create(task, fd)
            if isinstance(made, int):
                return made
            device.raise_frequency()
        files[fd] = None
        return 0

    def _entered(self, task: Task, fd: AccelFd, result: int) -> Step[None]:
        device, behaviour = self.device, self.behaviour
        if result:
            self.kernel.allocator.free(fd.memory)
            return
        if behaviour.listed == "before it is complete":
            yield point("open: listed, not complete")
            fd.opener = task.process
            if not self.control and behaviour.context == "at open":
                yield from create(task, fd)
        fd.file.private_data = fd
        if not self.control:
            device.counters["open"] += 1
            device.forget_captured(wipe=behaviour.open_wipes_captured)

    def _open_counted(self, task: Task, file: OpenFile) -> Step[int]:
        """The only open there is: whoever counted himself in makes fd and context without a lock."""
        device = self.device
        fd = self._allocate(file)
        if fd is None:
            device.open_count = 0
            return Errno.ENOMEM
        made = yield from create(task, fd)
        if isinstance(made, int):
            self.kernel.allocator.free(fd.memory)
            device.open_count = 0
            return made
        fd.opener = task.process
        device.raise_frequency()
        device.files[fd] = None
        file.private_data = fd
        device.counters["open"] += 1
        return 0

    # release

    def release(self, task: Task, file: OpenFile) -> Step[None]:
        """Give up the fd: the last reference to the open file is gone."""
        fd: AccelFd = file.private_data
        device = fd.device
        if not self.control:
            yield from fd.close(task)
            return
        fd.released = True
        if device is None:  # it needs none to be freed
            self.device.lost.remove(fd)
            self.kernel.allocator.free(fd.memory)
            return
        lock, files = (
            (device.control_lock, device.control_files) if self._own_list else (device.files_lock, device.files)
        )
        yield from lock.acquire(task)
        files.pop(fd, None)
        lock.release(task)
        yield from fd.settle(task)
        self.kernel.allocator.free(fd.memory)

    # ioctl

    def ioctl(self, task: Task, file: OpenFile, cmd: int, arg: Any) -> Step[int]:
        """Answer an ioctl: what stands before every one of them, then the one itself.

        -ENODEV (removed, or early: a hard reset is pending), -ENOTTY (another driver's, or not for the control node),
        the revision's errno for an unknown number, -EBUSY (not operational), and what the ioctl answers.
        """
        fd: AccelFd = file.private_data
        device = fd.device
        behaviour = self.behaviour
        if device is None and behaviour.drm_core and not self.control:
            self.kernel.findings.report("habanalabs.I29", f"a call follows the device of {fd}, which removal took away")
            raise Oops("the pointer to the device is NULL: removal has given up on this process")
        if device is None or (device.removed and not device.gone):
            return Errno.ENODEV
        kind = ioctl_of(behaviour, cmd, control=self.control)
        if self.control and isinstance(kind, Errno):
            return kind  # the number is all that was looked at
        device.check_there()
        if behaviour.ioctls_check_pending and device.hard_reset_pending:
            return Errno.ENODEV
        if isinstance(kind, Errno):
            return kind
        if not isinstance(arg, _ARGUMENTS[kind]):
            raise UsageError(f"{kind.name} takes {_ARGUMENTS[kind].__name__}, not {type(arg).__name__}")
        if kind is Ioctl.INFO:
            return (yield from self._info(task, device, fd, arg))
        return (yield from self._work(task, device, fd, kind, arg))

    def _info(self, task: Task, device: AccelDevice, fd: AccelFd, args: InfoArgs) -> Step[int]:
        lazily = self.behaviour.context == "at first use" and not self.control and args.op != Info.DEVICE_STATUS
        if lazily:
            if not device.operational:
                return Errno.EBUSY
            if self.behaviour.info_takes == "none that work needs":
                return (yield from asked(task, fd, lambda: info(device, fd, args, usable=True)))
            result = yield from valid(task, fd, compute=False)
            if result:
                return result
        return info(device, fd, args, usable=lazily)

    def _work(self, task: Task, device: AccelDevice, fd: AccelFd, kind: Ioctl, args: Any) -> Step[int]:
        behaviour = self.behaviour
        early = fd.context
        busy = operational(device)
        if kind is Ioctl.WAIT_CS and behaviour.wait_checks == "nothing":
            busy = 0
        lazily = behaviour.context == "at first use"
        if busy and (lazily or kind is not Ioctl.CS):
            return busy
        if lazily:
            result = yield from self._provide(task, fd, kind)
            if result:
                return result
        context = fd.context
        if context is None:
            return Errno.EINVAL
        if kind in (Ioctl.CS, Ioctl.MEMORY) and behaviour.context_copied == "before the check" and early is None:
            device.kernel.findings.report("habanalabs.I04", f"{kind.name} runs without the context that it needs")
            raise Oops(f"{kind.name} copied the context before the check made it: NULL dereference")
        if kind is Ioctl.WAIT_CS:
            return (yield from wait(task, context, args)) if context.usable else Errno.EIO
        if kind is Ioctl.CS and lazily and behaviour.submit_takes == "last":
            return (yield from self._submit(task, fd, context, args))
        self._own(device, context, kind)
        return (yield from self._do(task, device, context, kind, args))

    def _submit(self, task: Task, fd: AccelFd, context: Context, args: CsArgs) -> Step[int]:
        """Submit, which takes the slot last; a context that was made for submissions goes with the last that fails."""
        context.get()
        result = yield from submit(task, context, args)
        if result == 0:
            self._own(self.device, context, Ioctl.CS)
        elif context.provisional and context.refs == 2:  # the manager's, and that of this call
            fd.context = None
            yield from fd.drop_context(task)
        yield from context.put(task)
        return result

    def _provide(self, task: Task, fd: AccelFd, kind: Ioctl) -> Step[int]:
        """Let an fd have what an ioctl needs, with contexts at first use."""
        behaviour = self.behaviour
        if kind is Ioctl.WAIT_CS and not behaviour.wait_takes_slot:
            return 0  # who has no context has submitted nothing
        if kind is Ioctl.CS and behaviour.submit_takes == "last":
            return (yield from prepared(task, fd))
        return (yield from valid(task, fd, compute=True))

    def _own(self, device: AccelDevice, context: Context, kind: Ioctl) -> None:
        """Note who works without the right to."""
        report = device.kernel.findings.report
        if device.behaviour.slot == "context" and not context.computes and context.epoch == device.epoch:
            report("habanalabs.I02", f"{kind.name} of {context}, which does not compute")
        if context.epoch != device.epoch:
            report("habanalabs.I13", f"{kind.name} of {context}, which is older than the last hard reset")
        if context.refs <= 0:
            report("habanalabs.I05", f"{kind.name} of {context}, which was freed")

    def _do(self, task: Task, device: AccelDevice, context: Context, kind: Ioctl, args: Any) -> Step[int]:
        match kind:
            case Ioctl.CB:
                return command_buffer(task, context, args)
            case Ioctl.CS:
                return submit(task, context, args)
            case Ioctl.MEMORY:
                return memory(task, context, args)
            case _:
                return debug(task, device, args)

    # mmap

    def mmap(self, task: Task, file: OpenFile, vma: Vma) -> Step[int]:
        """Map a command buffer, whose handle is the page offset: 0, -ENODEV (removed), -EINVAL."""
        fd: AccelFd = file.private_data
        device = fd.device
        if device is None or self.control or (device.removed and not device.gone):
            return Errno.ENODEV
        device.check_there()
        handle = vma.pgoff << 12
        result = fd.buffers.mmap(handle, vma.pages * PAGE)
        buffer = fd.buffers.find(handle)
        if result == 0 and buffer is not None:
            vma.dont_copy = vma.dont_expand = True
            vma.private_data = (fd, buffer)
            vma.ptes = [RamPage(buffer.data, i, buffer) for i in range(vma.pages)]
            vma.ops = VmOps(close=_unmapped)
        yield from ()
        return result


def _unmapped(task: Task, vma: Vma) -> Step[None]:
    fd: AccelFd
    buffer: CommandBuffer
    fd, buffer = vma.private_data
    fd.buffers.munmap(buffer, vma.pages * PAGE)
    yield from fd.settle(task)
