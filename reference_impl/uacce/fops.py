# SPDX-License-Identifier: Apache-2.0
"""The file operations of a uacce node: open, ioctl, mmap, poll and release."""

from collections.abc import Callable
from typing import Final

from ..kernel import BROKEN, READABLE, Errno, Mm, Oops, Step, Task, Vma, point
from ..kernel.files import FileOperations, Inode, OpenFile
from ..kernel.poll import PollTable
from ..lifecycle import QUEUE
from .device import Framework
from .queue import UacceQueue
from .region import Mapped, Region, region_type, vm_operations

START_Q: Final = 0x5700  # ioctl numbers: type 'W', 0 and 1
PUT_Q: Final = 0x5701


class UacceFops(FileOperations):
    """What a user can do with an open uacce device."""

    def __init__(self, framework: Framework) -> None:
        self.framework = framework
        self.kernel = framework.kernel
        self.behaviour = framework.behaviour
        self.vm_ops = vm_operations(framework.kernel, framework.behaviour)

    @staticmethod
    def _queue(file: OpenFile) -> UacceQueue:
        q = file.private_data
        if not isinstance(q, UacceQueue):
            raise Oops("an open description without a queue: NULL dereference")
        return q

    def open(self, task: Task, inode: Inode, file: OpenFile) -> Step[int]:
        """Get a queue of the device.

        -ENODEV (no such device), -ENOMEM, `lost_to_remove` (removed meanwhile), what binding and the driver answer.
        """
        device = self.framework.ids.find(inode.number)
        yield point("open: device found")
        if device is not None and self.behaviour.open_knows_its_device and device.cdev is not inode.cdev:
            device = None  # the number was given again, to another device
        if device is None or task.process is None:
            return Errno.ENODEV
        q = UacceQueue(device, file, task.process.mm)
        if self.behaviour.allocation == "before bind" and not self._allocate(q):
            return Errno.ENOMEM
        locked = self.behaviour.open_holds_device_lock
        if locked:
            yield from device.mutex.acquire(task)
        result = yield from self._attach(task, q)
        if result == 0:
            if not locked:
                yield from device.mutex.acquire(task)
            device.queues[q] = None
            file.private_data = q
        if locked or result == 0:
            device.mutex.release(task)
        if result:
            self._free(q)
        if result == _NO_QUEUE:
            return 0
        return result

    def _attach(self, task: Task, q: UacceQueue) -> Step[int]:
        behaviour = self.behaviour
        if q.device.parent is None:
            return behaviour.lost_to_remove
        bound = yield from q.bind(task)
        if bound:
            return bound if behaviour.bind_failure_fails_open else _NO_QUEUE
        if behaviour.allocation == "after bind" and not self._allocate(q):
            return Errno.ENOMEM
        if behaviour.initialise == "before get_queue":
            q.initialise()
        got = q.device.call.get_queue(q)
        yield point("open: hardware queue published")
        if got < 0:
            if behaviour.unbind_when_get_fails:
                yield from q.unbind(task)
            return got
        if behaviour.initialise == "after get_queue":
            q.initialise()
        q.state = QUEUE.after(q.state, "get")
        return 0

    def _allocate(self, q: UacceQueue) -> bool:
        q.memory = self.kernel.allocator.allocate("queue")
        if q.memory is None:
            return False
        self.framework.queues[q.serial] = q
        return True

    def _free(self, q: UacceQueue) -> None:
        report = self.kernel.findings.report
        if q.counts["get"] != q.counts["put"]:
            report("uacce.L01", f"queue {q.serial} is freed, its hardware queue is not given back")
        if q.counts["start"] != q.counts["stop"]:
            report("uacce.I32", f"queue {q.serial} is freed while it runs")
        if q.memory is not None:
            self.kernel.allocator.free(q.memory)
            self.framework.queues.pop(q.serial, None)

    def release(self, task: Task, file: OpenFile) -> Step[None]:
        """Give back what the queue still has, and free it: nobody refers to the description any more."""
        q = self._queue(file)
        device = q.device
        yield from device.mutex.acquire(task)
        yield from q.put_hardware()
        if self.behaviour.release_accounts and task.process is not None:
            yield from task.process.mm.lock.acquire(task)
            task.process.mm.lock.release(task)
        yield from q.unbind(task)
        device.queues.pop(q, None)
        device.mutex.release(task)
        self._free(q)

    def ioctl(self, task: Task, file: OpenFile, cmd: int, arg: int) -> Step[int]:
        """Start or stop the queue, or pass a command on to the driver; every command is -ENXIO on a dead queue.

        START: 0, -EINVAL unless in INIT, what the driver answers. PUT_Q: 0. Others: what the driver answers,
        -EINVAL without its callback.
        """
        q = self._queue(file)
        own = cmd in (START_Q, PUT_Q)
        locked = own or self.behaviour.ioctl_holds_device_lock
        if locked:
            yield from q.device.mutex.acquire(task)
        result = yield from self._command(task, q, cmd, arg)
        if locked:
            q.device.mutex.release(task)
        return result

    def _command(self, task: Task, q: UacceQueue, cmd: int, arg: int) -> Step[int]:
        if cmd == START_Q:
            return Errno.ENXIO if q.dead else self._start(q)
        if cmd == PUT_Q:
            return Errno.ENXIO if q.dead else (yield from self._stop(q))
        if q.dead and self.behaviour.ioctl_refuses_dead:
            return Errno.ENXIO
        return (yield from q.device.call.ioctl(task, q, cmd, arg))

    def _start(self, q: UacceQueue) -> int:
        if not self.behaviour.restart and q.counts["stop"]:
            return Errno.ENXIO
        if not QUEUE.allows(q.state, "start"):
            return Errno.EINVAL
        result = q.device.call.start_queue(q)
        if result < 0:
            return result
        q.state = QUEUE.after(q.state, "start")
        return 0

    def _stop(self, q: UacceQueue) -> Step[int]:
        if self.behaviour.put_q == "release":
            yield from q.put_hardware()
        else:
            yield from q.stop_hardware()
        if self.behaviour.wakes == "completion, stop and remove" and q.wait is not None:
            q.wait.wake(release=True)
        return 0

    def mmap(self, task: Task, file: OpenFile, vma: Vma) -> Step[int]:
        """Map the region that the page offset names.

        -EINVAL (no such region, or no callback), -ENOMEM, -ENXIO (dead queue), -EEXIST (mapped already), what the
        driver answers.
        """
        q = self._queue(file)
        slot = region_type(vma.pgoff)
        if slot is None:
            return Errno.EINVAL
        memory = self.kernel.allocator.allocate("region")
        if memory is None:
            return Errno.ENOMEM
        region = Region(slot, vma.call, memory)
        vma.dont_copy = vma.dont_expand = True
        vma.ops = self.vm_ops
        vma.private_data = Mapped(q, region)
        checked_early = not self.behaviour.mmap_checks_under_lock
        refused = checked_early and self._refuses_map(q)
        lock = q.mutex if self.behaviour.mmap_lock == "queue" else q.device.mutex
        yield from lock.acquire(task)
        result = Errno.ENXIO if refused or (not checked_early and self._refuses_map(q)) else self._map(q, vma, region)
        lock.release(task)
        if result:
            region.free(self.kernel)
        return result

    def _refuses_map(self, q: UacceQueue) -> bool:
        return q.revoked or (q.dead and self.behaviour.mmap_refuses_dead)

    def _map(self, q: UacceQueue, vma: Vma, region: Region) -> int:
        if q.slots[region.type] is not None:
            return Errno.EEXIST
        result = q.device.call.mmap(q, vma, region.type)
        if result == 0:
            q.slots[region.type] = region
            if self.behaviour.entries == "at first touch":
                region.reserve(vma)
        return result

    def poll(self, task: Task, file: OpenFile, table: PollTable) -> Step[int]:
        """Tell whether something completed: IN and RDNORM, or nothing."""
        q = self._queue(file)
        yield from q.mutex.acquire(task)
        mask = 0
        if q.dead and self.behaviour.ioctl_refuses_dead:
            mask = int(BROKEN) if self.behaviour.dead_mask == "error and hang-up" else 0
        else:
            if q.wait is not None:
                q.wait.wait(table)
            if q.device.call.is_q_updated(q):
                mask = int(READABLE)
        q.mutex.release(task)
        return mask


_NO_QUEUE: Final = -0x7FFF  # open succeeds without a queue (a fault)


def exit_puts_queues(framework: Framework) -> Callable[[Task, Mm], Step[None]]:
    """Return what one early kernel did as an address space died: put its queues from inside the IOMMU's callback."""

    def leave(task: Task, mm: Mm) -> Step[None]:
        queues = [q for q in framework.queues.values() if q.opener is mm and q.bond is not None]
        if not queues or mm.users > 1:
            return
        yield from framework.kernel.iommu.lock.acquire(task)
        for q in queues:
            yield from q.device.mutex.acquire(task)
            yield from q.put_hardware()
            q.device.mutex.release(task)
        framework.kernel.iommu.lock.release(task)

    return leave
