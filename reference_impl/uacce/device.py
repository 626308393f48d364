# SPDX-License-Identifier: Apache-2.0
"""The uacce device: made and published by the hardware driver, removed under the feet of those who have it open."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from ..kernel import Errno, Kernel, Step, Task, Vma, point
from ..kernel.chardev import Cdev, DeviceObject, IdTable
from ..kernel.files import FileOperations
from ..kernel.memory import Allocation
from ..kernel.steps import Pause
from ..lifecycle import DEVICE
from .attributes import attributes
from .behaviour import Behaviour
from .callbacks import Callbacks
from .region import RegionType

if TYPE_CHECKING:
    from .queue import UacceQueue

DEV_SVA = 0x1  # flags: the device uses the addresses of the process


@dataclass(slots=True)
class UacceOps:
    """What the hardware driver can do, each optional; a missing one succeeds, except mmap and ioctl (-EINVAL).

    `get_queue` and `start_queue` fail with a negative result and succeed with any other; `is_q_updated` may consume
    what it reports; `ioctl` may sleep.
    """

    get_queue: "Callable[[UacceDevice, int | None, UacceQueue], int] | None" = None
    put_queue: "Callable[[UacceQueue], None] | None" = None
    start_queue: "Callable[[UacceQueue], int] | None" = None
    stop_queue: "Callable[[UacceQueue], None] | None" = None
    is_q_updated: "Callable[[UacceQueue], int] | None" = None
    mmap: "Callable[[UacceQueue, Vma, RegionType], int] | None" = None
    ioctl: "Callable[[Task, UacceQueue, int, int], Step[int]] | None" = None
    get_available_instances: "Callable[[UacceDevice], int] | None" = None
    get_isolate_state: "Callable[[UacceDevice], int] | None" = None
    isolate_err_threshold_write: "Callable[[UacceDevice, int], int] | None" = None
    isolate_err_threshold_read: "Callable[[UacceDevice], int] | None" = None


class UacceDevice:
    """One accelerator. Open descriptions keep the object alive; `parent` and `ops` are None once it is removed."""

    def __init__(self, framework: "Framework", parent: object, ops: UacceOps, flags: int, memory: Allocation) -> None:
        self.framework = framework
        self.parent: object | None = parent
        self.ops: UacceOps | None = ops
        self.flags = flags
        self.memory = memory
        self.state = DEVICE.initial
        self.dev_id = -1
        self.cdev: Cdev | None = None
        self.dev: DeviceObject | None = None
        self.queues: dict[UacceQueue, None] = {}
        self.mutex = framework.kernel.mutex("uacce->mutex")
        self.call = Callbacks(self, framework.kernel)
        self.page_counts = {RegionType.MMIO: 0, RegionType.DUS: 0}
        self.api = ""
        self.algorithms = ""
        self.is_vf = False

    @property
    def name(self) -> str:
        """The name of the node and of the sysfs directory."""
        return self.dev.name if self.dev is not None else ""

    @property
    def sva(self) -> bool:
        """Tell whether shared virtual addressing was wanted and granted."""
        return bool(self.flags & DEV_SVA)


class Framework:
    """The uacce core: the table of devices, and the three calls that a hardware driver makes about them."""

    def __init__(self, kernel: Kernel, behaviour: Behaviour, *, reuse_ids: bool = True) -> None:
        self.kernel = kernel
        self.behaviour = behaviour
        self.ids: IdTable[UacceDevice] = IdTable(reuse_ids)
        self.fops = FileOperations()
        self.queues: dict[int, UacceQueue] = {}  # every queue not freed yet
        self.freed_devices = 0
        self.serials = count(1)

    def alloc(self, parent: object, interface: str, ops: UacceOps, *, sva: bool) -> "UacceDevice | int":
        """Make a device that no user sees yet; return it, or -ENOMEM, or what the id table answers (``id_alloc``).

        A refused SVA feature is no error: the device goes on without it.
        """
        kernel = self.kernel
        memory = kernel.allocator.allocate("uacce")
        if memory is None:
            return Errno.ENOMEM
        device = UacceDevice(self, parent, ops, self._enable_sva(parent) if sva else 0, memory)
        failed = kernel.injector.take("id_alloc")
        if failed is not None and failed < 0:
            self._disable_sva(device)
            kernel.allocator.free(memory)
            return failed
        device.dev_id = self.ids.add(device)
        device.dev = DeviceObject(f"{interface}-{device.dev_id}", lambda: self._free(device), kernel.findings.report)
        device.state = DEVICE.after(device.state, "alloc")
        return device

    def register(self, device: UacceDevice | None) -> int:
        """Publish a device that is complete; 0, -ENODEV (no device), -ENOMEM (no cdev), or why it cannot be added."""
        if device is None or device.dev is None:
            return Errno.ENODEV
        devices = self.kernel.char_devices
        device.cdev = devices.allocate(self.fops)
        if device.cdev is None:
            return Errno.ENOMEM
        self.kernel.sysfs.describe(device.name, attributes(device, self.behaviour))
        failed = devices.add_device(device.cdev, device.dev, device.dev_id)
        if failed:
            if self.behaviour.failed_register_forgets_cdev:
                device.cdev = None
            return failed
        device.state = DEVICE.after(device.state, "register")
        return 0

    def remove(self, task: Task, device: UacceDevice | None) -> Step[int]:
        """Take a device away; open descriptions stay, with dead queues. No device: nothing happens. Returns 0.

        It waits for whoever is inside open, ioctl or release of this device.
        """
        if device is None or device.dev is None:
            return 0
        behaviour = self.behaviour
        yield from device.mutex.acquire(task)
        if behaviour.remove == "unmap then put":
            yield from self._revoke(task, device)
        for q in list(device.queues):
            yield from q.mutex.acquire(task)
            yield from q.put_hardware()
            q.mutex.release(task)
            yield from q.unbind(task)
            yield _WINDOW
            if behaviour.remove == "put then unmap":
                q.mapping.unmap()
            if behaviour.wakes == "completion, stop and remove" and q.wait is not None:
                q.wait.wake()
        self._disable_sva(device)
        if device.cdev is not None:
            self.kernel.char_devices.remove_device(device.cdev, device.dev)
        self.ids.erase(device.dev_id)
        if behaviour.remove_clears_ops:
            device.ops = None
        device.parent = None
        device.state = DEVICE.after(device.state, "remove")
        device.mutex.release(task)
        device.dev.put()
        return 0

    def _revoke(self, task: Task, device: UacceDevice) -> Step[None]:
        for q in device.queues:
            yield from q.mutex.acquire(task)
            q.revoked = True
            q.mutex.release(task)
        for q in device.queues:
            q.mapping.unmap()
        yield point("remove: users lost their pages")

    def _enable_sva(self, parent: object) -> int:
        iommu = self.kernel.iommu
        if iommu.enable(parent, "iopf"):
            return 0
        if iommu.enable(parent, "sva"):
            iommu.disable(parent, "iopf")
            return 0
        return DEV_SVA

    def _disable_sva(self, device: UacceDevice) -> None:
        if not device.sva or device.parent is None:
            return
        if self.kernel.iommu.disable(device.parent, "sva"):
            self.kernel.findings.report("uacce.I06", f"SVA of {device.name} cannot be turned off: a bond is left")
        self.kernel.iommu.disable(device.parent, "iopf")

    def _free(self, device: UacceDevice) -> None:
        for q in device.queues:
            self.kernel.findings.report("uacce.I22", f"{device.name} is freed while queue {q.serial} refers to it")
        device.state = DEVICE.after(device.state, "release")
        self.kernel.allocator.free(device.memory)
        self.freed_devices += 1


_WINDOW: Pause = point("remove: hardware given back, pages still mapped")
