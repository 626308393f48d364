# SPDX-License-Identifier: Apache-2.0
"""What processes do with accelerators: live and die, open and close, ask, submit, wait, allocate, map and export."""

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from ..kernel import PAGE, Errno, Finding, Step, Task, UsageError, point
from ..kernel.process import Process
from .arguments import (
    GONE,
    NOTHING_TO_DO,
    CbArgs,
    CbOp,
    Chunk,
    CsArgs,
    DebugArgs,
    DebugOp,
    InfoArgs,
    Ioctl,
    MemoryArgs,
    MemoryFlag,
    MemoryOp,
    WaitArgs,
)
from .calls import AccelCalls
from .fd import AccelFd
from .info import Info
from .waiting import WaitPause

COMPLETED_LONG_AGO = GONE << 8  # what WAIT answers for a sequence whose fate nobody knows any more


class AccelUserCalls(AccelCalls):
    """The calls of user code, by process, descriptor, sequence, handle and address."""

    # Processes and descriptors.

    def spawn(self, p: int) -> int:
        """Start process `p`; a number never used starts by itself at its first call. 0."""
        if self.alive(p) and p in self.kernel.processes:
            raise UsageError(f"process {p} is running")
        self.kernel.spawn(p)
        self.killed.pop(p, None)
        self.stubborn.discard(p)
        return 0

    def alive(self, p: int) -> bool:
        """Tell whether process `p` runs, or would start at its first call."""
        process = self.kernel.processes.get(p)
        return process is None or process.alive

    def open(self, p: int, d: int = 0, n: int | None = None, *, exclusive: bool = False) -> int:
        """Open the compute node of device `d` as descriptor `n`, by default the lowest free; it, or an errno.

        -ENXIO or -ENODEV (no device), -EBUSY, -EPERM, -EAGAIN, -ENOMEM: see `AccelFops.open`.
        """
        return self._run("open", p, d, n, exclusive)

    def _open(self, task: Task, p: int, d: int = 0, n: int | None = None, exclusive: bool = False) -> Step[int]:
        if self.behaviour.drm_core:
            device = self.devices.get(d)
            if device is None or device.removed:  # the core's own node looks the device up
                yield point("no minor")
                return Errno.ENODEV
            if exclusive:
                return Errno.EBUSY
        return (yield from self._open_node(task, p, d, n, control=False))

    def open_control(self, p: int, d: int = 0, n: int | None = None) -> int:
        """Open the control node of device `d`: the descriptor, -ENXIO (none), -EPERM, -ENOMEM."""
        return self._run("open_control", p, d, n)

    def _open_control(self, task: Task, p: int, d: int = 0, n: int | None = None) -> Step[int]:
        return self._open_node(task, p, d, n, control=True)

    def _open_node(self, task: Task, p: int, d: int, n: int | None, *, control: bool) -> Step[int]:
        process = self._process(p)
        if n is None:
            n = process.files.lowest_free()
        elif n in process.files.files:
            raise UsageError(f"descriptor {n} of process {p} is open")
        inode = self._nodes.get((d, control))
        if inode is None:
            yield point("no node")
            return Errno.ENXIO
        return (yield from self.kernel.open(task, process, inode, n, False))

    def close(self, p: int, n: int) -> int:
        """Close descriptor `n`: 0 or -EBADF. Only the last reference to the open file tells the driver."""
        return self._run("close", p, n)

    def _close(self, task: Task, p: int, n: int) -> Step[int]:
        return self.kernel.close(task, self._process(p), n)

    def dup(self, p: int, n: int, m: int) -> int:
        """Let `m` name what `n` names: `m` or -EBADF."""
        return self._run("dup", p, n, m)

    def _dup(self, task: Task, p: int, n: int, m: int) -> Step[int]:
        return self.kernel.dup(task, self._process(p), n, m, False)

    def fork(self, p: int, c: int) -> int:
        """Let process `p` fork; the child is process `c`, which must not be running. 0 or -ENOMEM."""
        if c in self.kernel.processes and self.kernel.processes[c].alive:
            raise UsageError(f"process {c} is running")
        return self._run("fork", p, c)

    def _fork(self, task: Task, p: int, c: int) -> Step[int]:
        return self.kernel.fork(task, self._process(p), c)

    def send(self, p: int, n: int) -> int:
        """Put descriptor `n` into a message (SCM_RIGHTS): the number of the message, or -EBADF."""
        file = self._process(p).files.files.get(n)
        if file is None:
            return Errno.EBADF
        message = 1
        while message in self.messages:
            message += 1
        self.messages[message] = file.get()
        return message

    def receive(self, p: int, message: int, n: int | None = None) -> int:
        """Take the descriptor out of a message, as `n`: the descriptor."""
        files = self._process(p).files
        if message not in self.messages:
            raise UsageError(f"there is no message {message}")
        n = files.lowest_free() if n is None else n
        if n in files.files:
            raise UsageError(f"descriptor {n} of process {p} is open")
        files.install(n, self.messages.pop(message), False)
        return n

    def discard(self, message: int) -> int:
        """Throw a message away with the descriptor in it. 0."""
        task = Task("discard")
        file = self.messages.pop(message)

        def drop() -> Step[int]:
            file.put(task)
            yield from ()
            return 0

        return self._finish(self._enter(task, drop()), -1)

    def exit(self, p: int) -> int:
        """End process `p`: its descriptors are closed. 0."""
        self.killed.pop(p, None)
        self.stubborn.discard(p)
        return self._run("exit", p)

    def _exit(self, task: Task, p: int) -> Step[int]:
        return self.kernel.exit(task, self._process(p))

    def signal(self, p: int) -> int:
        """Send process `p` a signal that interrupts what it sleeps in. 0."""
        self._process(p).interrupt()
        self.settle()
        return 0

    def refuse_to_die(self, p: int) -> int:
        """Let process `p` not die when a reset kills it; `exit` ends it all the same. 0."""
        self.stubborn.add(p)
        return 0

    # INFO and the other ioctls.

    def ioctl(self, p: int, n: int, cmd: int, args: Any = None) -> int:
        """Do any ioctl by its number (`ioctl.number`): what the driver answers, or -EBADF."""
        return self._run("ioctl_raw", p, n, cmd, args)

    def _ioctl_raw(self, task: Task, p: int, n: int, cmd: int, args: Any) -> Step[int]:
        return self.kernel.ioctl(task, self._process(p), n, cmd, args)

    def info(self, p: int, n: int, op: int = Info.DEVICE_STATUS, *, size: int = 64, pad: int = 0) -> int:
        """Ask: 0 or an errno; `ask` returns the answer too."""
        return self._run("info", p, n, InfoArgs(op, size, pad))

    def _info(self, task: Task, p: int, n: int, args: InfoArgs) -> Step[int]:
        return self._ioctl(task, p, n, Ioctl.INFO, args)

    def ask(self, p: int, n: int, op: int = Info.DEVICE_STATUS) -> dict[str, Any]:
        """Ask, and return the answer; {"errno": ...} where there is none."""
        args = InfoArgs(op)
        result = self._run("info", p, n, args)
        return args.out if result == 0 else {"errno": result}

    def cb_create(self, p: int, n: int, size: int = PAGE, *, map: bool = False) -> int:
        """Make a command buffer: its handle, -EINVAL (too large), -ENOMEM, and as every compute ioctl."""
        return self._run("cb_create", p, n, size, map)

    def _cb_create(self, task: Task, p: int, n: int, size: int = PAGE, map: bool = False) -> Step[int]:
        args = CbArgs(CbOp.CREATE, size=size, map=map)
        result = yield from self._ioctl(task, p, n, Ioctl.CB, args)
        return result or args.out

    def cb_destroy(self, p: int, n: int, handle: int) -> int:
        """Destroy a command buffer: 0 or -EINVAL."""
        return self._run("cb_destroy", p, n, handle)

    def _cb_destroy(self, task: Task, p: int, n: int, handle: int) -> Step[int]:
        return self._ioctl(task, p, n, Ioctl.CB, CbArgs(CbOp.DESTROY, handle))

    def cb_info(self, p: int, n: int, handle: int, *, va: bool = False) -> int:
        """Tell how many submissions use a command buffer, or its address on the device: or -EINVAL."""
        args = CbArgs(CbOp.INFO, handle, want_va=va)
        result = self._run("ioctl_of", p, n, Ioctl.CB, args)
        return result or args.out

    def write_buffer(self, p: int, n: int, handle: int, data: bytes) -> int:
        """Write commands to the beginning of a command buffer, as a program does through its map: 0, or -EINVAL."""
        fd = self.fd(p, n)
        buffer = fd.buffers.find(handle) if fd is not None else None
        if buffer is None or len(data) > buffer.size:
            return Errno.EINVAL
        buffer.data[: len(data)] = bytearray(data)
        return 0

    # Submissions and waits.

    def submit(self, p: int, n: int, *chunks: Chunk, **rest: Any) -> int:
        """Submit jobs, by default one that does nothing: the sequence, or an errno. `rest`: as in `CsArgs`.

        -EBUSY (not operational), -EPERM (became so meanwhile, or staged unsupported), -EINVAL, -EAGAIN (ring or queue
        full), -EACCES (somebody else computes), -EFAULT, -ENOMEM, -ENOEXEC, -ETIMEDOUT.
        """
        return self._run("submit", p, n, *chunks, **rest)

    def _submit(self, task: Task, p: int, n: int, *chunks: Chunk, empty: bool = False, **rest: Any) -> Step[int]:
        args = CsArgs(() if empty else chunks or NOTHING_TO_DO, **rest)
        result = yield from self._ioctl(task, p, n, Ioctl.CS, args)
        return result or args.seq

    def wait(self, p: int, n: int, seq: int, timeout: int = 0) -> int:
        """Wait for a submission: 0 (completed), 1 (busy), `COMPLETED_LONG_AGO`, or -EINVAL, -ETIMEDOUT, -EIO, -EINTR.

        With a timeout the answer may be WOULD_BLOCK, and the process sleeps; see `sleeping` and `woken`.
        """
        return self._run("wait", p, n, seq, timeout)

    def _wait(self, task: Task, p: int, n: int, seq: int, timeout: int = 0) -> Step[int]:
        return self._waiting(task, p, n, WaitArgs(seq, timeout))

    def multi_wait(self, p: int, n: int, sequences: Sequence[int], timeout: int = 0) -> int:
        """Wait until one of several submissions is over: one bit for each, 0 (none), or an errno as in `wait`."""
        return self._run("multi_wait", p, n, sequences, timeout)

    def _multi_wait(self, task: Task, p: int, n: int, sequences: Sequence[int], timeout: int = 0) -> Step[int]:
        args = WaitArgs(several=sequences, timeout=timeout)
        result = yield from self._ioctl(task, p, n, Ioctl.WAIT_CS, args)
        return result or args.done

    def interrupt_wait(self, p: int, n: int, interrupt: int, timeout: int = 0) -> int:
        """Wait for a user interrupt: 0, 1 (busy), -EPERM (there are none), -EINVAL, -EINTR."""
        return self._run("ioctl_of", p, n, Ioctl.WAIT_CS, WaitArgs(interrupt=interrupt, timeout=timeout))

    def _waiting(self, task: Task, p: int, n: int, args: WaitArgs) -> Step[int]:
        result = yield from self._ioctl(task, p, n, Ioctl.WAIT_CS, args)
        return result or (COMPLETED_LONG_AGO if args.flags & GONE else int(args.status))

    def _ioctl_of(self, task: Task, p: int, n: int, kind: Ioctl, args: Any) -> Step[int]:
        result = yield from self._ioctl(task, p, n, kind, args)
        return result or (int(args.status) if isinstance(args, WaitArgs) else 0)

    def expire_waits(self, p: int) -> int:
        """Let the time of every wait of process `p` be over; how many there were."""
        pauses = [call.at for who, _, call in self._asleep if who == p and isinstance(call.at, WaitPause)]
        for pause in pauses:
            pause.patience.expire()
        self.settle()
        return len(pauses)

    # Memory.

    def memory(self, p: int, n: int, args: MemoryArgs) -> int:
        """Do a MEMORY operation: 0 and `args.out`, or an errno."""
        return self._run("ioctl_of", p, n, Ioctl.MEMORY, args)

    def _memory(self, task: Task, p: int, n: int, args: MemoryArgs) -> Step[int]:
        result = yield from self._ioctl(task, p, n, Ioctl.MEMORY, args)
        return result or args.out

    def alloc(self, p: int, n: int, size: int = 4096, *, flags: int = 0) -> int:
        """Allocate device memory: its handle, -EINVAL (size 0), -ENOMEM, -EFAULT."""
        return self._run("alloc", p, n, size, flags)

    def _alloc(self, task: Task, p: int, n: int, size: int = 4096, flags: int = 0) -> Step[int]:
        return self._memory(task, p, n, MemoryArgs(MemoryOp.ALLOC, size, flags=flags))

    def free(self, p: int, n: int, handle: int) -> int:
        """Free device memory: 0 or -EINVAL (unknown, or mapped)."""
        return self._run("free", p, n, handle)

    def _free(self, task: Task, p: int, n: int, handle: int) -> Step[int]:
        return self._memory(task, p, n, MemoryArgs(MemoryOp.FREE, handle=handle))

    def map(self, p: int, n: int, handle: int, hint: int = 0, flags: int = 0) -> int:
        """Map device memory: its address, -EINVAL (unknown), -EPERM (another context's), -ENOMEM."""
        return self._run("map", p, n, handle, hint, flags)

    def _map(self, task: Task, p: int, n: int, handle: int, hint: int = 0, flags: int = 0) -> Step[int]:
        return self._memory(task, p, n, MemoryArgs(MemoryOp.MAP, handle=handle, hint=hint, flags=flags))

    def map_host(self, p: int, n: int, host: NDArray[Any]) -> int:
        """Pin and map host memory: its address, -EINVAL, -EFAULT, -ENOMEM."""
        args = MemoryArgs(MemoryOp.MAP, flags=MemoryFlag.USERPTR, host=host)
        return self.memory(p, n, args) or args.out

    def unmap(self, p: int, n: int, va: int) -> int:
        """Undo a mapping: 0 or -EINVAL."""
        return self._run("unmap", p, n, va)

    def _unmap(self, task: Task, p: int, n: int, va: int) -> Step[int]:
        return self._memory(task, p, n, MemoryArgs(MemoryOp.UNMAP, va=va))

    def export(self, p: int, n: int, va: int, size: int = 4096) -> int:
        """Export mapped device memory: the number of the buffer, -EOPNOTSUPP, -EINVAL, -ENOMEM."""
        return self._run("export", p, n, va, size)

    def _export(self, task: Task, p: int, n: int, va: int, size: int = 4096) -> Step[int]:
        return self._memory(task, p, n, MemoryArgs(MemoryOp.EXPORT_DMABUF_FD, size, va=va))

    def release_export(self, number: int, d: int = 0) -> int:
        """Let the last importer of an exported buffer let go. 0."""
        return self._run("release_export", number, d)

    def _release_export(self, task: Task, number: int, d: int = 0) -> Step[int]:
        exported = self.device(d).exports.get(number)
        if exported is None:
            raise UsageError(f"there is no exported buffer {number}")
        return (yield from exported.release(task))

    def release_exports(self) -> int:
        """Let every importer let go, those of devices that were removed, too; how many exported buffers there were."""
        exported = [one for device in (*self.retired, *self.devices.values()) for one in device.exports.values()]
        for one in exported:
            task = Task("importer")
            self._finish(self._enter(task, one.release(task)), -1)
        return len(exported)

    def mmap(self, p: int, n: int, handle: int, pages: int) -> int:
        """Map a command buffer in process `p`: the first page number, -EINVAL, -ENODEV, -ENOMEM."""
        return self._run("mmap", p, n, handle, pages)

    def _mmap(self, task: Task, p: int, n: int, handle: int, pages: int) -> Step[int]:
        return self.kernel.mmap(task, self._process(p), n, handle >> 12, pages, False)

    def munmap(self, p: int, start: int, pages: int) -> int:
        """Unmap pages of process `p`: 0."""
        process = self._process(p)
        task = process.task("munmap")
        return self._finish(self._enter(task, process.mm.munmap(task, start, pages)), p)

    # Debug mode and frequency.

    def debug(self, p: int, n: int, op: int = DebugOp.ETR, *, enable: bool = False) -> int:
        """Do a DEBUG operation: 0, -EFAULT, -EPERM, and as every compute ioctl."""
        return self._run("ioctl_of", p, n, Ioctl.DEBUG, DebugArgs(op, enable))

    def _debug_configure(self, task: Task, p: int, n: int, op: int = DebugOp.ETR) -> Step[int]:
        return self._ioctl(task, p, n, Ioctl.DEBUG, DebugArgs(op))

    def debug_on(self, p: int, n: int) -> int:
        """Enter debug mode: 0, -EFAULT (already), -EPERM (b: others have the device open)."""
        return self._run("debug_on", p, n)

    def _debug_on(self, task: Task, p: int, n: int) -> Step[int]:
        return self._ioctl(task, p, n, Ioctl.DEBUG, DebugArgs(DebugOp.SET_MODE, True))

    def debug_off(self, p: int, n: int) -> int:
        """Leave debug mode: 0 or -EFAULT (not in it)."""
        return self._run("debug_off", p, n)

    def _debug_off(self, task: Task, p: int, n: int) -> Step[int]:
        return self._ioctl(task, p, n, Ioctl.DEBUG, DebugArgs(DebugOp.SET_MODE, False))

    # Looking.

    def fd(self, p: int, n: int) -> AccelFd | None:
        """Return the driver's side of descriptor `n`, None where there is none."""
        process: Process | None = self.kernel.processes.get(p)
        file = process.files.files.get(n) if process is not None else None
        private = file.private_data if file is not None else None
        return private if isinstance(private, AccelFd) else None

    def inject(self, name: str, result: int = Errno.ENOMEM) -> int:
        """Let the next step called `name` answer `result`; names are in `INJECTABLE`. 0."""
        self.kernel.injector.add(name, result)
        return 0

    @property
    def findings(self) -> list[Finding]:
        """What the kernel noticed about itself."""
        return self.kernel.findings.all
