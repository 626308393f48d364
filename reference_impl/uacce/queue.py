# SPDX-License-Identifier: Apache-2.0
"""A queue: what one successful open has, a hardware queue, a bond, and a state word that both locks guard."""

from typing import TYPE_CHECKING, Any

from ..kernel import Errno, Mm, Step, Task, point
from ..kernel.files import AddressSpace, OpenFile
from ..kernel.iommu import Bond
from ..kernel.locks import Mutex
from ..kernel.memory import Allocation
from ..kernel.poll import WaitQueue
from ..lifecycle import QUEUE, QueueState
from .region import MAX_REGIONS, Region

if TYPE_CHECKING:
    from .device import UacceDevice


class UacceQueue:
    """The queue of one open file description.

    `priv` is the hardware driver's. `counts` are ghosts: how often each callback was made. `wait` and `mutex` belong
    to it only once the open got that far.
    """

    def __init__(self, device: "UacceDevice", file: OpenFile, opener: Mm) -> None:
        self.device = device
        self.file = file
        self.opener = opener
        self.memory: Allocation | None = None
        self.serial = next(device.framework.serials)
        self.state = QUEUE.initial
        self.wait: WaitQueue | None = None
        self.priv: Any = None
        self.pasid: int | None = None
        self.bond: Bond | None = None
        self.slots: list[Region | None] = [None] * MAX_REGIONS
        self.mutex: Mutex = device.framework.kernel.mutex("q->mutex")
        self.mapping: AddressSpace = file.inode.mapping
        self.revoked = False  # users lost their pages and get no new ones
        self.counts = {"get": 0, "put": 0, "start": 0, "stop": 0}

    def __repr__(self) -> str:
        return f"<queue {self.serial} {self.state.name}>"

    @property
    def dead(self) -> bool:
        """Tell whether the queue has lost its hardware for good."""
        return self.state is QueueState.ZOMBIE

    @property
    def owns_hardware(self) -> bool:
        """Tell whether the hardware queue was got and not given back."""
        return self.counts["get"] > self.counts["put"]

    def mapped(self) -> bool:
        """Tell whether any user reaches pages through this queue."""
        return any(vma.file is self.file and vma.present for vma in self.mapping.vmas)

    def initialise(self) -> None:
        """Make the queue ready for those who wait on it."""
        self.wait = WaitQueue()

    def bind(self, task: Task) -> Step[int]:
        """Bind the opener's address space to the device, where it shares addresses; 0 or a negative errno."""
        device = self.device
        if not device.sva:
            return 0
        iommu = device.framework.kernel.iommu
        bond = yield from iommu.bind(task, device.parent, self.opener)
        if isinstance(bond, int):
            return bond
        pasid = iommu.pasid(bond)
        if pasid is None:
            yield from iommu.unbind(task, bond)
            return Errno.ENODEV
        self.bond, self.pasid = bond, pasid
        return 0

    def unbind(self, task: Task) -> Step[None]:
        """Return the bond, once."""
        if self.bond is None:
            return
        yield from self.device.framework.kernel.iommu.unbind(task, self.bond)
        if self.device.framework.behaviour.unbind_forgets_handle:
            self.bond = None

    def stop_hardware(self) -> Step[None]:
        """Stop the hardware queue if it runs."""
        if QUEUE.allows(self.state, "stop"):
            yield point("before stop_queue")
            self.device.call.stop_queue(self)
            self.state = QUEUE.after(self.state, "stop")

    def put_hardware(self) -> Step[None]:
        """Stop the hardware queue if it runs, and give it back if it is not given back yet."""
        yield from self.stop_hardware()
        if QUEUE.allows(self.state, "put"):
            yield point("before put_queue")
            self.device.call.put_queue(self)
            self.state = QUEUE.after(self.state, "put")
