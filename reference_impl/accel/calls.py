# SPDX-License-Identifier: Apache-2.0
"""Running calls on accelerators: those of users, what the driver defers, and the worker of a hard reset, in steps."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Literal

from ..kernel import Call, Errno, Kernel, Outcome, Step, Task, UsageError
from ..kernel.chardev import Cdev, DeviceObject
from ..kernel.files import Inode, OpenFile
from ..kernel.process import Process
from ..running import Running
from .arguments import Ioctl
from .behaviour import REVISIONS, Behaviour
from .device import AccelDevice
from .faults import with_faults
from .fd import AccelFd
from .fops import AccelFops
from .hardware import Hardware
from .ioctl import number
from .removal import probe
from .reset import STAGE
from .rules import INJECTABLE as MEMORY_INJECTABLE

INJECTABLE = (
    *MEMORY_INJECTABLE, "alloc:fd", "alloc:context", "alloc:submission", "alloc:kernel context", "context_handle",
    "page_tables", "context_switch", "copy_from_user", "copy_to_user", "export_fd", "hw_init", "idle_after_reset",
    "test_queues", "late_init", "queue_full", "resume",
)  # fmt: skip

Actor = Literal["process", "driver"]

STEPPED: dict[str, Actor] = {  # calls that can be run in steps, and who makes them
    **dict.fromkeys(
        ("open", "open_control", "close", "dup", "fork", "exit", "info", "cb_create", "cb_destroy"), "process"
    ),
    **dict.fromkeys(
        ("submit", "wait", "multi_wait", "alloc", "free", "map", "unmap", "debug_on", "debug_off"), "process"
    ),
    **dict.fromkeys(("debug_configure", "export", "ioctl_of", "ioctl_raw", "mmap"), "process"),
    **dict.fromkeys(
        ("pm_write", "compute_reset", "hard_reset", "timeout", "watchdog", "heartbeat", "remove"), "driver"
    ),
    **dict.fromkeys(("suspend", "resume", "release_export"), "driver"),
}


class AccelCalls(Running):
    """A kernel with accelerators in it, and the calls that are on their way."""

    def __init__(
        self,
        behaviour: str | Behaviour = "c2",
        *,
        faults: Iterable[str] = (),
        devices: int = 1,
        hardware: Hardware = Hardware(),  # noqa: B008, it is frozen
        **changes: Any,
    ) -> None:
        if isinstance(behaviour, str):
            if behaviour not in REVISIONS:
                raise UsageError(f"no behaviour is called {behaviour!r}; there are: {', '.join(REVISIONS)}")
            behaviour = REVISIONS[behaviour]
        self.behaviour = with_faults(behaviour, faults)
        super().__init__(Kernel(INJECTABLE))
        self.hardware = replace(hardware, **changes)
        self.devices: dict[int, AccelDevice] = {}
        self.retired: list[AccelDevice] = []  # removed, and another one has their number
        self.stubborn: set[int] = set()  # processes that do not die of a signal
        self.killed: dict[int, None] = {}  # processes that were sent one and live
        self.messages: dict[int, OpenFile] = {}
        self._nodes: dict[tuple[int, bool], Inode] = {}
        self._cdevs: dict[int, list[tuple[Cdev, DeviceObject]]] = {}
        self._workers: dict[int, Call] = {}
        self._ended: dict[int, Call] = {}  # workers, the last of each device
        for d in range(devices):
            self.probe(d)

    # Devices.

    def probe(self, d: int, **changes: Any) -> int:
        """Let the driver find device `d`: 0 also where its hardware does not start, then it is there, but broken."""
        old = self.devices.get(d)
        if old is not None and not old.removed:
            raise UsageError(f"device {d} is there; remove it first")
        device = AccelDevice(self.kernel, self.behaviour, replace(self.hardware, **changes), d)
        device.kill = self._kill
        result = probe(device)
        if result:
            return result
        if old is not None:
            self.retired.append(old)
        self.devices[d] = device
        self._cdevs[d] = []
        for control in (False, True) if self.behaviour.control_node else (False,):
            self._publish(device, control)
        return 0

    def _publish(self, device: AccelDevice, control: bool) -> None:
        d = device.number
        devices = self.kernel.char_devices
        drm = self.behaviour.drm_core
        name = (f"accel_controlD{d}" if drm else f"hl_controlD{d}") if control else (f"accel{d}" if drm else f"hl{d}")
        cdev = devices.allocate(AccelFops(device, control=control))
        if cdev is None:
            return
        node = DeviceObject(name, lambda: None, self.kernel.findings.report)
        self.kernel.sysfs.describe(name, [])
        if devices.add_device(cdev, node, 2 * d + control) == 0:
            self._cdevs[d].append((cdev, node))
            self._nodes[d, control] = devices.nodes[name]

    def _withdraw(self, d: int) -> None:
        for cdev, node in self._cdevs.pop(d, []):
            self.kernel.char_devices.remove_device(cdev, node)
            node.put()

    def device(self, d: int = 0) -> AccelDevice:
        """Return device `d`."""
        device = self.devices.get(d)
        if device is None:
            raise UsageError(f"there is no device {d}; there are: {', '.join(map(str, self.devices))}")
        return device

    # Calls.

    def call(self, name: str, *args: Any, **kwargs: Any) -> Call:
        """Prepare the call that the method `name` makes, for a Scheduler; nothing runs yet. Names are in `STEPPED`.

        >>> Scheduler([system.call("close", 0, 3), system.call("open", 1, 0)]).run(choose)
        """
        actor = STEPPED.get(name)
        if actor is None:
            raise UsageError(f"no call is named {name!r}; there are: {', '.join(STEPPED)}")
        task = Task(f"{name}({args[0] if args else 0})") if actor == "driver" else self._process(args[0]).task(name)
        return self._enter(task, getattr(self, f"_{name}")(task, *args, **kwargs))

    def _run(self, name: str, *args: Any, **kwargs: Any) -> int:
        who = args[0] if args and isinstance(args[0], int) else 0
        what = args[1] if len(args) > 1 and isinstance(args[1], int) else 0
        return self._finish(self.call(name, *args, **kwargs), who, what)

    def _finish(self, call: Call, who: int, what: int = 0) -> int:
        """As in `Running`; whoever waits for a lock that a sleeper or a worker has waits with it."""
        call.run()
        if call.done:
            self.settle()
            return call.result
        if call.at is not None and call.at.kind == "lock" and (self._asleep or self._workers):
            self._asleep.append((who, what, call))
            self.settle()
            return call.result if call.done else Outcome.WOULD_BLOCK
        result = super()._finish(call, who, what)
        if result == Outcome.DEADLOCK:
            self.kernel.findings.report("habanalabs.P04", f"{call.name} waits for {call.blocked_on} for ever")
        self.settle()
        return call.result if call.done else result

    def settle(self) -> None:
        """Do what the driver deferred, and let every sleeping call that was woken go on."""
        if self._asleep:
            super().settle()
        for device in self.devices.values():
            while device.deferred:
                task = Task("deferred work")
                call = self._enter(task, device.deferred.popleft()(task))
                call.run()
                if not call.done:
                    self._asleep.append((-1, -1, call))
                if self._asleep:
                    super().settle()

    def _ioctl(self, task: Task, p: int, n: int, kind: Ioctl, args: Any) -> Step[int]:
        return self.kernel.ioctl(task, self._process(p), n, number(self.behaviour, kind), args)

    # Ends that are put off.

    def part_ends(self, d: int = 0) -> int:
        """From now on, let what is left of closed fds of device `d` wait for `ending`. 0."""
        self.device(d).parted_ends = {}
        return 0

    def parted(self) -> list[AccelFd]:
        """Return the closed fds whose end was put off, and has not begun."""
        return [fd for device in self.devices.values() for fd in device.parted_ends or ()]

    def ending(self, fd: AccelFd) -> Call:
        """Prepare the end of an fd of `parted`, in the thread that had the last reference; nothing runs yet."""
        assert fd.home.parted_ends is not None
        end = fd.home.parted_ends.pop(fd)
        task = Task(f"end of {fd}")

        def body() -> Step[int]:
            yield from end(task)
            return 0

        return self._enter(task, body())

    # Processes and signals.

    def _kill(self, process: Process) -> None:
        self.killed[process.pid] = None
        process.interrupt(Outcome.SIGKILL)

    def reap(self) -> int:
        """Let everybody who was killed, and does not refuse, die; how many did."""
        dying = [p for p in self.killed if p not in self.stubborn and self.kernel.processes[p].alive]
        for p in dying:
            self._run("exit", p)
        return len(dying)

    @property
    def busy(self) -> bool:
        """Tell whether any call is on its way."""
        return bool(self._asleep)

    # The worker.

    def worker(self, d: int = 0) -> Call | None:
        """Return the worker of a hard reset that is on its way or begins now, None where none was asked for."""
        device = self.device(d)
        worker = self._workers.get(d)
        if worker is None and device.queued_work is not None:
            work, device.queued_work = device.queued_work, None
            task = Task(f"reset worker {d}")
            worker = self._workers[d] = self._enter(task, work(task))
            device.working = True
        return worker

    def worker_ended(self, d: int = 0) -> None:
        """Note that the worker is done."""
        self._ended[d] = self._workers.pop(d)
        self.device(d).working = False

    def reset_step(self, d: int = 0) -> int:
        """Let the worker of a hard reset come to its next stage: 1, 0 at its end, WOULD_BLOCK where it sleeps.

        -EINVAL where none is on its way.
        """
        worker = self.worker(d)
        if worker is None:
            return Errno.EINVAL
        moved = False
        while worker.ready:
            worker.step()
            moved = True
            if worker.at is not None and worker.at.label.startswith(STAGE):
                break
        if worker.done:
            self.worker_ended(d)
        self.settle()
        return 0 if worker.done else int(moved) if worker.ready or moved else int(Outcome.WOULD_BLOCK)

    def broke(self, d: int = 0) -> bool:
        """Tell whether the last worker of device `d` ended in an oops."""
        return d in self._ended and self._ended[d].result == Outcome.OOPS

    def finish_reset(self, d: int = 0) -> int:
        """Let the hard reset that was asked for go to its end, whoever must die dying, time passing; 0, or -EINVAL."""
        steps = 0
        while (result := self.reset_step(d)) in (1, Outcome.WOULD_BLOCK):
            steps += 1
            if self.reap() == 0 and result == Outcome.WOULD_BLOCK:
                self.advance(1)
            if steps > 100_000:
                raise UsageError(f"the reset of device {d} does not end")
        return 0 if steps or result == 0 else result

    def advance(self, seconds: int) -> int:
        """Let time pass for whoever sleeps, and nothing else; see `tick`. 0."""
        self.kernel.now += seconds
        self.settle()
        return 0
