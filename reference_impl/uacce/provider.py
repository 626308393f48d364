# SPDX-License-Identifier: Apache-2.0
"""The hardware driver below uacce: a device with a few hardware queues, made after the HiSilicon queue manager.

Each hardware queue has a doorbell window (MMIO) and a buffer shared with the user (DUS). Both belong to the hardware
queue, not to who has it: whoever still has pages of it after it was given back reaches its next user.
"""

from collections.abc import Iterable
from itertools import count
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from ..kernel import PAGE, Errno, Page, Pause, RamPage, Step, Task, UsageError, Vma
from .callbacks import CALLBACKS
from .device import Framework, UacceDevice, UacceOps
from .isolation import ErrorHistory
from .region import RegionType

if TYPE_CHECKING:
    from .queue import UacceQueue

SET_QP_CTX: Final = 0x480A  # driver ioctls: type 'H', 10 and 11
SET_QP_INFO: Final = 0x480B

STOP_WORD: Final = 8  # bytes before the end of DUS: not zero once the device was reset


class HardwareQueue:
    """A queue of the hardware: its number, who has it, and its memory."""

    def __init__(self, provider: "Provider", number: int) -> None:
        self.provider = provider
        self.number = number
        self.owner: UacceQueue | None = None
        self.running = False
        self.algorithm = 0
        self.completions = 0  # finished, not seen by is_q_updated yet
        size = (provider.dus_pages + provider.behaviour.dus_extra_pages) * PAGE
        self.dus: NDArray[np.uint8] = np.zeros(size, np.uint8)
        self.dus_frames = [RamPage(self.dus, i, self) for i in range(size // PAGE)]
        self.mmio_frames = [self.doorbell(i) for i in range(provider.mmio_pages)]

    def __repr__(self) -> str:
        return f"<hardware queue {self.number}>"

    def doorbell(self, index: int) -> Page:
        """Return page `index` of the doorbell window."""
        return Page(self)

    def prepare(self, owner: "UacceQueue") -> None:
        """Become the queue of `owner`, with nothing of the last one left in its memory."""
        self.owner = owner
        self.running = False
        self.algorithm = 0
        self.completions = 0
        self.dus[:] = 0

    def start(self) -> None:
        """Begin to work on what is asked for."""
        self.running = True
        self._stop_word(0)

    def stop(self) -> None:
        """Finish what was accepted, then be quiet."""
        self.running = False

    def lose(self) -> None:
        """Lose everything that was accepted and not finished: the device is being reset. User code can read so."""
        self.running = False
        self._stop_word(1)

    def finish(self, jobs: int) -> int:
        """Complete up to `jobs` accepted requests and return how many; a bare queue completes what it is told to."""
        self.completions += jobs
        return jobs

    def _stop_word(self, value: int) -> None:
        end = self.provider.dus_pages * PAGE
        self.dus[end - STOP_WORD : end] = value


class Provider:
    """One accelerator and its driver. It is the parent device of what it registers with uacce.

    `capacity` hardware queues, `mmio_pages` of doorbell each (a smaller map is allowed), `dus_pages` of shared buffer
    (maps have exactly this size). `callbacks` names those that the driver has; default all.
    """

    def __init__(
        self,
        framework: Framework,
        *,
        capacity: int = 2,
        mmio_pages: int = 2,
        dus_pages: int = 2,
        callbacks: Iterable[str] = CALLBACKS,
        is_vf: bool = False,
        physical: "Provider | None" = None,
        threshold: int = 0,
        private_doorbell_loses_offset: bool = False,
    ) -> None:
        self.framework = framework
        self.kernel = framework.kernel
        self.behaviour = framework.behaviour
        self.capacity = capacity
        self.mmio_pages = mmio_pages
        self.dus_pages = dus_pages
        self.callbacks = frozenset(callbacks)
        if unknown := self.callbacks - set(CALLBACKS):
            raise UsageError(f"no such callback: {', '.join(sorted(unknown))}; there are: {', '.join(CALLBACKS)}")
        self.is_vf = is_vf
        self.private_doorbell_loses_offset = private_doorbell_loses_offset
        self.history: ErrorHistory = physical.history if physical is not None else ErrorHistory(threshold)
        self.stopped = False
        self.closing = False  # the driver is on its way out: no queue is given any more
        self.powered = 0  # runtime power references
        self.in_use = 0  # the driver's own count, by which it answers available_instances
        self.device: UacceDevice | None = None
        self._next = 0
        self.queues = [self.hardware_queue(number) for number in range(capacity)]
        self._frames = count(0x100000)

    def hardware_queue(self, number: int) -> HardwareQueue:
        """Return hardware queue `number` as it comes out of power-on."""
        return HardwareQueue(self, number)

    @property
    def used(self) -> int:
        """How many hardware queues somebody has, counted one by one."""
        return sum(queue.owner is not None for queue in self.queues)

    def ops(self) -> UacceOps:
        """Return the callbacks that this driver has."""
        return UacceOps(**{name: getattr(self, name) for name in self.callbacks})

    # Callbacks: called by the core, with its locks held.

    def get_queue(self, device: UacceDevice, pasid: int | None, q: "UacceQueue") -> int:
        """Give `q` a hardware queue, numbers in turn: 0, -EPERM (stopped), -EBUSY (all used), or ``pm_get``."""
        refused = self.kernel.injector.take("pm_get")
        if refused is not None and refused < 0:
            return refused
        if self.stopped:
            return Errno.EPERM
        free = [queue for queue in self.queues if queue.owner is None]
        if not free or self.closing:
            return Errno.EBUSY
        queue = min(free, key=lambda queue: (queue.number - self._next) % self.capacity)
        self._next = (queue.number + 1) % self.capacity
        self.powered += 1
        self.in_use += 1
        queue.prepare(q)
        q.priv = queue
        return 0

    def put_queue(self, q: "UacceQueue") -> None:
        """Take the hardware queue of `q` back."""
        queue: HardwareQueue = q.priv
        if self.behaviour.put_refused_when_stopped and self.stopped:
            return
        if queue.owner is not q:
            self.kernel.findings.report("uacce.I01", f"{queue} is given back by {q}, which does not have it")
            return
        queue.owner = None
        queue.running = False
        self.powered -= 1
        self.in_use -= 1

    def start_queue(self, q: "UacceQueue") -> int:
        """Let the hardware queue of `q` work: 0, or -EPERM while the device is stopped."""
        if self.stopped:
            return Errno.EPERM
        queue: HardwareQueue = q.priv
        queue.start()
        return 0

    def stop_queue(self, q: "UacceQueue") -> None:
        """Let the hardware queue of `q` finish what it accepted, then stop it."""
        queue: HardwareQueue = q.priv
        if queue.running:
            queue.stop()

    def is_q_updated(self, q: "UacceQueue") -> int:
        """Tell whether something completed since the last time, and forget it."""
        queue: HardwareQueue = q.priv
        seen, queue.completions = queue.completions, 0
        return int(seen > 0)

    def mmap(self, q: "UacceQueue", vma: Vma, region: RegionType) -> int:
        """Put the pages of a region into `vma`: 0, or -EINVAL where the size does not fit."""
        queue: HardwareQueue = q.priv
        if region is RegionType.MMIO:
            if vma.pages > self.mmio_pages:
                return Errno.EINVAL
            vma.ptes = list(queue.mmio_frames[: vma.pages])
            if vma.private and self.private_doorbell_loses_offset:
                vma.pgoff = next(self._frames)  # remap_pfn_range keeps the frame number of a private map there
            return 0
        if vma.pages != len(queue.dus_frames):
            return Errno.EINVAL
        vma.ptes = list(queue.dus_frames)
        return 0

    def ioctl(self, task: Task, q: "UacceQueue", cmd: int, arg: int) -> Step[int]:
        """Choose the algorithm type (0 or 1) or ask about the queue; both copy from and to user memory.

        -EINVAL (unknown command or type), -EFAULT (``copy_from_user``).
        """
        if cmd not in (SET_QP_CTX, SET_QP_INFO) or task.process is None:
            return Errno.EINVAL
        mm = task.process.mm
        yield from mm.lock.acquire(task)  # the copy may fault a page in
        mm.lock.release(task)
        if self.kernel.injector.take("copy_from_user") is not None:
            return Errno.EFAULT
        if cmd == SET_QP_CTX:
            if arg not in (0, 1):
                return Errno.EINVAL
            queue: HardwareQueue = q.priv
            queue.algorithm = arg
        return 0

    def get_available_instances(self, device: UacceDevice) -> int:
        """Return how many hardware queues nobody has."""
        return 0 if self.closing else self.capacity - self.in_use

    def get_isolate_state(self, device: UacceDevice) -> int:
        """Return 1 once the device is isolated."""
        return int(self.history.isolated)

    def isolate_err_threshold_write(self, device: UacceDevice, threshold: int) -> int:
        """Set how many errors an hour are borne; 0 or -EPERM."""
        return self.history.set_threshold(threshold, self.is_vf)

    def isolate_err_threshold_read(self, device: UacceDevice) -> int:
        """Return how many errors an hour are borne."""
        return self.history.threshold

    # Events: what the hardware does by itself, and what the driver does then.

    def complete(self, queue: HardwareQueue, jobs: int = 1) -> int:
        """Let the hardware finish up to `jobs` requests of `queue` and interrupt; return how many it finished."""
        done = queue.finish(jobs) if queue.running else 0
        if done:
            self.interrupt(queue)
        return done

    def interrupt(self, queue: HardwareQueue) -> None:
        """Wake whoever waits for completions of `queue`."""
        q = queue.owner
        if q is None:
            return
        if q.wait is None:
            self.kernel.findings.report("uacce.I23", f"an interrupt finds {q} before its wait queue is initialised")
            return
        q.wait.wake()

    def hardware_error(self) -> None:
        """The hardware reported an error: the physical function counts it, where users share addresses."""
        if not self.is_vf and self.device is not None and self.device.sva:
            self.history.record(self.kernel.now)

    def begin_reset(self) -> None:
        """Stop the device: what was accepted is lost, user code can read so, opens are refused."""
        self.stopped = True
        for queue in self.queues:
            if queue.owner is not None:
                queue.lose()  # wakes nobody: only a completion does

    def end_reset(self, ok: bool) -> None:
        """Go on after a reset, user queues staying stopped; or stay stopped, isolated, if it failed."""
        if ok:
            self.stopped = False
        else:
            self.history.reset_failed()

    # Coming and going.

    def probe(self, interface: str, *, sva: bool = True, api: str = "hisi_qm_v2", algorithms: str = "zlib") -> int:
        """Make the uacce device, complete but not published yet; 0 or a negative errno."""
        device = self.framework.alloc(self, interface, self.ops(), sva=sva)
        if isinstance(device, int):
            return device
        device.api = api
        device.algorithms = algorithms
        device.is_vf = self.is_vf
        device.page_counts = {RegionType.MMIO: self.mmio_pages, RegionType.DUS: self.dus_pages}
        self.device = device
        return 0

    def users_gone(self) -> Step[None]:
        """Wait until nobody has a hardware queue, then give none any more: how this driver begins its removal."""
        while self.used:
            yield Pause("driver removal waits for users", "sleep", lambda: self.used == 0)
        self.closing = True
