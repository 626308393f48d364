# SPDX-License-Identifier: Apache-2.0
"""Shared virtual addressing: bonds between devices and address spaces, and the PASIDs that name the latter.

There is one bond for each pair (device, address space), counted: two queues of one process share it. A PASID belongs
to the address space, is given with the first bond and returned when neither a process nor a bond is left.
"""

from dataclasses import dataclass

from .errno import Errno, Oops
from .locks import LockGraph, Mutex
from .memory import Injector
from .memory_maps import Mm
from .steps import Step, Task


@dataclass(slots=True)
class Bond:
    """The right of a device to use the addresses of `mm`; `refs` counts who asked for it."""

    device: object
    mm: Mm
    refs: int = 1


class Iommu:
    """Features of devices and the bonds that they have."""

    def __init__(self, injector: Injector, locks: LockGraph) -> None:
        self.features: dict[object, set[str]] = {}
        self.bonds: dict[tuple[object, Mm], Bond] = {}
        self.pasids: dict[int, Mm] = {}
        self.lock = Mutex("iommu_sva_lock", locks)
        self._injector = injector

    def enable(self, device: object, feature: str) -> int:
        """Turn `feature` ("iopf" or "sva") on; an injected ``enable_FEATURE`` refuses."""
        refused = self._injector.take(f"enable_{feature}")
        if refused is not None and refused < 0:
            return refused
        self.features.setdefault(device, set()).add(feature)
        return 0

    def disable(self, device: object, feature: str) -> int:
        """Turn `feature` off; -EBUSY while bonds of the device exist."""
        if feature == "sva" and any(bond.device is device for bond in self.bonds.values()):
            return Errno.EBUSY
        self.features.get(device, set()).discard(feature)
        return 0

    def bind(self, task: Task, device: object, mm: Mm) -> Step[Bond | int]:
        """Return the bond of `device` with `mm`, once more or new; an injected ``sva_bind`` is an errno."""
        refused = self._injector.take("sva_bind")
        if refused is not None and refused < 0:
            return refused
        yield from self.lock.acquire(task)
        try:
            yield from mm.lock.acquire(task)
            try:
                bond = self.bonds.get((device, mm))
                if bond is not None:
                    bond.refs += 1
                    return bond
                if mm.pasid is None:
                    mm.pasid = min(n for n in range(1, len(self.pasids) + 2) if n not in self.pasids)
                    self.pasids[mm.pasid] = mm
                mm.pins += 1
                bond = self.bonds[device, mm] = Bond(device, mm)
                return bond
            finally:
                mm.lock.release(task)
        finally:
            self.lock.release(task)

    def pasid(self, bond: Bond) -> int | None:
        """Return the PASID of a bond; None where it is not valid (an injected ``pasid_invalid``)."""
        return None if self._injector.take("pasid_invalid") is not None else bond.mm.pasid

    def unbind(self, task: Task, bond: Bond) -> Step[None]:
        """Return a bond. One that is no longer there is an oops."""
        yield from self.lock.acquire(task)
        try:
            if bond.refs <= 0:
                raise Oops(f"the bond of {bond.mm} is returned more often than it was taken")
            bond.refs -= 1
            if bond.refs == 0:
                del self.bonds[bond.device, bond.mm]
                bond.mm.pins -= 1
                self.forget(bond.mm)
        finally:
            self.lock.release(task)

    def forget(self, mm: Mm) -> None:
        """Return the PASID of an address space that nobody uses or pins."""
        if mm.pasid is not None and not mm.alive and mm.pins == 0:
            del self.pasids[mm.pasid]
            mm.pasid = None
