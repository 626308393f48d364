# SPDX-License-Identifier: Apache-2.0
"""Taking shared memory back: the revoke of a buffer, and what happens to the device that makes it necessary.

When a revoke that drains returns, nobody reaches the buffer: no mapping of it is left, no process has a page of it, no
access is under way. It waits for importers without the reservation, which they need in order to let go.
"""

from ..kernel import Errno, Pause, Step, Task, point
from .buffer import DmaBuf, Status
from .context import Context, Extent
from .core import Core
from .design import FreePolicy
from .device import REMOVAL_PATIENCE, RESET_PATIENCE, Device, DeviceState
from .exporter import Exported
from .resv import Usage


class Revoker:
    """Revokes and restores buffers of a device, one transaction at a time."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.design = core.design

    # One buffer; the device's memory lock is held for writing.

    def _take(self, buffer: DmaBuf) -> bool:
        """Take a reference for the transaction; False if the buffer is on its way out."""
        if self.design.get_unless_zero:
            return buffer.file.get_unless_zero()
        if buffer.file.refs == 0:
            self.core.kernel.findings.report("dmabuf.I02", f"revoke takes a reference to {buffer}, which is dead")
        buffer.file.get()
        return True

    def _revoke(self, task: Task, buffer: DmaBuf, status: Status) -> Step[None]:
        if buffer.status is not Status.OK:
            if status is Status.REVOKED and not self.design.drains_once:
                buffer.drain.put()
                yield from buffer.drain.wait()
            buffer.status = status if buffer.status is not Status.REVOKED else buffer.status
            return
        yield from buffer.resv.lock(task)
        buffer.status = status
        yield point("revoke: flagged")
        yield from self.core.move_notify(task, buffer)
        drains = self.design.revoke == "drain"
        if drains:
            yield from buffer.resv.wait(task, Usage.BOOKKEEP, interruptible=False)
        buffer.resv.unlock(task)
        if drains:
            buffer.drain.put()
            yield from buffer.drain.wait()
        buffer.file.inode.mapping.unmap()
        self._check_done(buffer)

    def _check_done(self, buffer: DmaBuf) -> None:
        pages = any(vma.present for vma in buffer.file.inode.mapping.vmas)
        revocable = [m for m in buffer.mappings if m.attachment.importer.kind.revocable]
        if revocable or pages:
            self.core.kernel.findings.report("dmabuf.I16", f"{buffer} is revoked, and somebody still reaches it")

    def _restore(self, task: Task, buffer: DmaBuf) -> Step[None]:
        if buffer.status is not Status.TEMPORARILY_REVOKED:
            return
        yield from buffer.resv.lock(task)
        yield from self.core.move_notify(task, buffer)
        if self.design.revoke == "drain":
            buffer.drain.arm()
        buffer.status = Status.OK
        buffer.resv.unlock(task)

    # Many of them.

    def revoke_all(self, task: Task, device: Device, buffers: "list[DmaBuf]", status: Status) -> Step[None]:
        """Revoke `buffers`, each kept alive meanwhile."""
        for buffer in buffers:
            if buffer not in device.buffers or not self._take(buffer):
                continue
            yield from self._revoke(task, buffer, status)
            buffer.file.put(task)

    def cleanup(self, task: Task, device: Device, context: Context | None) -> Step[None]:
        """The owner goes, or the device: its buffers are revoked for good and become orphans.

        A buffer with an importer that cannot be revoked stays as it is; it keeps the context.
        """
        yield from device.memory_lock.acquire(task)
        for buffer in list(device.buffers):
            what: Exported = buffer.priv
            if (context is not None and what.context is not context) or self._irrevocable(buffer):
                continue
            yield from self._retire(task, device, buffer)
        device.memory_lock.release(task)

    def _irrevocable(self, buffer: DmaBuf) -> bool:
        return self.design.holds == "context of the irrevocable" and buffer.irrevocable

    def _retire(self, task: Task, device: Device, buffer: DmaBuf) -> Step[None]:
        yield from self.revoke_all(task, device, [buffer], Status.REVOKED)
        buffer.priv.device = None
        device.buffers.pop(buffer, None)

    def retire(self, task: Task, buffer: DmaBuf) -> Step[int]:
        """Revoke one buffer, for good or for the length of a reset: 0.

        For good if the device is gone or, where that revokes, its owner (an orphan then), or if its memory was freed.
        """
        what: Exported = buffer.priv
        device = what.home
        yield from device.memory_lock.acquire(task)
        owner_gone = self.design.close_revokes and what.context.session.closing
        freed = self.design.free is FreePolicy.REVOKE and what.extent is not None and what.extent.deferred
        if owner_gone or device.state is DeviceState.REMOVED:
            yield from self._retire(task, device, buffer)
        else:
            status = Status.REVOKED if freed else Status.TEMPORARILY_REVOKED
            yield from self.revoke_all(task, device, [buffer], status)
        device.memory_lock.release(task)
        return 0

    def last_irrevocable_left(self, task: Task, buffer: DmaBuf) -> Step[None]:
        """What waited for importers that cannot be revoked goes on: its owner has closed the device, or freed it."""
        what: Exported = buffer.priv
        if what.device is None or what.home.later is not None or self._irrevocable(buffer):
            return
        if what.context.session.closing:
            yield from self.retire(task, buffer)
        elif what.extent is not None and what.extent.deferred:
            yield from self.retire(task, buffer)
            if not any(map(self._irrevocable, self._of(what.home, what.extent))):
                self.reclaim(what.extent)

    # What user code and administrators ask for.

    def request(self, task: Task, context: Context, buffer: DmaBuf) -> Step[int]:
        """Revoke one buffer for good: 0, -ENOTTY (no such request), -ENODEV (another device's), -EBADFD (is already).

        -EBUSY: an importer has it that cannot be revoked.
        """
        if not self.design.revoke_by_request:
            return Errno.ENOTTY
        device = context.device
        yield from device.memory_lock.acquire(task)
        what: Exported | None = buffer.priv if isinstance(buffer.priv, Exported) else None
        if what is None or what.device is not device or what.context is not context:
            result = int(Errno.ENODEV)
        elif buffer.status is Status.REVOKED:
            result = int(Errno.EBADFD)
        elif self._irrevocable(buffer):
            result = int(Errno.EBUSY)
        else:
            yield from self.revoke_all(task, device, [buffer], Status.REVOKED)
            result = 0
        device.memory_lock.release(task)
        return result

    def revoke(self, task: Task, device: Device) -> Step[int]:
        """Stop decoding the device's memory: every buffer is revoked until `restore`.

        0, -EOPNOTSUPP (a design without revoke), -EBUSY (somebody cannot be revoked).
        """
        if self.design.revoke == "none":
            return Errno.EOPNOTSUPP
        yield from device.memory_lock.acquire(task)
        result = int(Errno.EBUSY) if device.irrevocable else 0
        if result == 0:
            yield from self.revoke_all(task, device, list(device.buffers), Status.TEMPORARILY_REVOKED)
            device.decoding = False
        device.memory_lock.release(task)
        return result

    def restore(self, task: Task, device: Device) -> Step[int]:
        """Decode again, and let the buffers be mapped again: 0, -EOPNOTSUPP."""
        if self.design.revoke == "none":
            return Errno.EOPNOTSUPP
        yield from device.memory_lock.acquire(task)
        device.decoding = True
        if device.powered:
            for buffer in list(device.buffers):
                yield from self._restore(task, buffer)
        device.memory_lock.release(task)
        return 0

    def free(self, task: Task, context: Context, handle: int) -> Step[int]:
        """Free an allocation: 0, -EINVAL (unknown, or at a device address), and while exported what the policy says.

        REFUSE answers -EINVAL, DEFER frees with the last export, REVOKE revokes first (and leaves to the last importer
        that cannot be revoked what it has), NONE frees.
        """
        device = context.device
        if not device.pool:
            return 0
        locked = self.design.revoke != "none" and device.later is None
        if locked:
            yield from device.memory_lock.acquire(task)
        result = yield from self._free(task, context, handle)
        if locked:
            device.memory_lock.release(task)
        return result

    def _free(self, task: Task, context: Context, handle: int) -> Step[int]:
        extent = context.extents.get(handle)
        if extent is None or extent.mapped or extent.deferred:
            return Errno.EINVAL
        device, policy = context.device, self.design.free
        if extent.exports and policy is FreePolicy.REFUSE:
            return Errno.EINVAL
        by_and_by = policy in (FreePolicy.DEFER, FreePolicy.REVOKE)
        if by_and_by and (device.later is not None or (extent.exports and policy is FreePolicy.DEFER)):
            device.defer(extent)
            return 0
        if extent.exports and policy is FreePolicy.REVOKE:
            buffers = self._of(device, extent)
            yield from self.revoke_all(task, device, [b for b in buffers if not self._irrevocable(b)], Status.REVOKED)
            if any(map(self._irrevocable, buffers)):
                device.defer(extent)
                return 0
        self.reclaim(extent)
        return 0

    @staticmethod
    def reclaim(extent: Extent) -> None:
        """Give memory that was freed, and that nobody reaches any more, back to the pool."""
        extent.context.extents.pop(extent.handle, None)
        extent.context.device.give_back(extent)

    def _of(self, device: Device, extent: Extent) -> list[DmaBuf]:
        return [buffer for buffer in device.buffers if buffer.priv.extent is extent]

    def move(self, task: Task, context: Context, handle: int) -> Step[int]:
        """Move an allocation to other pages; whoever has it mapped lets go first and finds it there afterwards.

        0, -EOPNOTSUPP (the exporter never moves), -EINVAL (unknown), -EBUSY (pinned, or revoked), -ENOMEM.
        """
        if not self.design.moves:
            return Errno.EOPNOTSUPP
        device = context.device
        extent = context.extents.get(handle)
        if extent is None:
            return Errno.EINVAL
        yield from device.memory_lock.acquire(task)
        result = yield from self._move(task, device, extent)
        device.memory_lock.release(task)
        return result

    def _move(self, task: Task, device: Device, extent: Extent) -> Step[int]:
        buffers = self._of(device, extent)
        pinned = any(attachment.pins for buffer in buffers for attachment in buffer.attachments)
        if pinned or any(self._irrevocable(b) or b.status is not Status.OK for b in buffers):
            return Errno.EBUSY
        pages = device.take(len(extent.pages), extent.context.session)
        if pages is None:
            return Errno.ENOMEM
        yield from self.revoke_all(task, device, buffers, Status.TEMPORARILY_REVOKED)
        for new, old in zip(pages, extent.pages, strict=True):
            (target,), (source,) = device.pieces([new], 0, 4096), device.pieces([old], 0, 4096)
            target[:] = source
            source[:] = 0
        old_pages, extent.pages = extent.pages, pages
        extent.generation += 1
        device.free_pages(old_pages)
        for buffer in buffers:
            if buffer.status is Status.TEMPORARILY_REVOKED:
                yield from self._restore(task, buffer)
        return 0

    def suspend(self, task: Task, device: Device) -> Step[int]:
        """Put the device to sleep: 0, -EOPNOTSUPP, -EBUSY (a peer needs it awake)."""
        match self.design.power:
            case "none":
                return Errno.EOPNOTSUPP
            case "attachments":
                yield point("suspend")
                if device.power_users:
                    return Errno.EBUSY
            case "revokes":
                yield from device.memory_lock.acquire(task)
                yield from self.revoke_all(task, device, list(device.buffers), Status.TEMPORARILY_REVOKED)
                device.memory_lock.release(task)
        device.powered = False
        return 0

    def resume(self, task: Task, device: Device) -> Step[int]:
        """Wake the device up: 0, -EOPNOTSUPP."""
        if self.design.power == "none":
            return Errno.EOPNOTSUPP
        device.powered = True
        if self.design.power == "revokes" and device.decoding:
            yield from self.restore(task, device)
        return 0

    # Reset and removal.

    def reset(self, task: Task, device: Device) -> Step[int]:
        """Reset the device, its memory is lost: 0, -ENODEV (removed).

        A design that waits for openers answers -EBUSY while a session is on the open list, each call one try (of ten
        seconds, where somebody else decides what happens meanwhile); after the last one -ETIME, and the device stays
        disabled. One that revokes does that first, and lets buffers be mapped again afterwards (-EBUSY where somebody
        cannot be revoked).
        """
        if device.state is DeviceState.REMOVED:
            return Errno.ENODEV
        if device.state is DeviceState.MALFUNCTION:
            return Errno.ETIME
        if self.design.reset == "revokes":
            return (yield from self._reset_revoking(task, device))
        device.state = DeviceState.IN_RESET
        if self.design.reset == "waits for openers":
            yield from self._openers_leave(device, RESET_PATIENCE if device.later is not None else 0)
            if device.open_list:
                device.tries += 1
                if device.tries >= device.reset_tries:
                    device.state = DeviceState.MALFUNCTION
                    return Errno.ETIME
                return Errno.EBUSY
        yield from self._pulse(device)
        return 0

    def _openers_leave(self, device: Device, seconds: int) -> Step[None]:
        kernel = self.core.kernel
        end = kernel.now + seconds
        while device.open_list and kernel.now < end:
            yield Pause("openers leave", "sleep", lambda: not device.open_list or kernel.now >= end)

    def _pulse(self, device: Device) -> Step[None]:
        decoding, device.decoding = device.decoding, False
        reached = device.reached()
        if reached:
            device.report("dmabuf.I15", f"a peer reaches {len(reached)} pages while the device is reset")
        yield point("reset")
        device.memory[:] = 0
        device.tries = 0
        device.decoding = decoding
        device.state = DeviceState.OPERATIONAL

    def _reset_revoking(self, task: Task, device: Device) -> Step[int]:
        if device.later is None:
            yield from device.memory_lock.acquire(task)
        if device.irrevocable:
            if device.later is None:
                device.memory_lock.release(task)
            return Errno.EBUSY
        was = {buffer: buffer.status for buffer in device.buffers}
        device.state = DeviceState.IN_RESET
        if device.later is None:
            yield from self.revoke_all(task, device, list(device.buffers), Status.TEMPORARILY_REVOKED)
        else:
            yield from self._others_revoke(task, device, (Status.TEMPORARILY_REVOKED, Status.REVOKED))
        yield from self._pulse(device)
        for buffer in list(device.buffers):
            if was.get(buffer) is Status.OK:
                yield from self._restore(task, buffer)
        device.memory_lock.release(task)
        return 0

    def _others_revoke(self, task: Task, device: Device, done: tuple[Status, ...]) -> Step[None]:
        """Wait until every buffer is revoked, by calls of their own; the memory lock is held then."""

        def ready() -> bool:
            return all(buffer.status in done for buffer in device.buffers)

        if not ready():
            yield Pause("its buffers are revoked", "sleep", ready)
        yield from device.memory_lock.acquire(task)

    def remove(self, task: Task, device: Device) -> Step[int]:
        """Take the device away: 0, -ENODEV (gone already).

        A design that waits for openers does so for ten minutes, then goes on without them. One that revokes does that.
        """
        if device.state is DeviceState.REMOVED:
            return Errno.ENODEV
        if self.design.remove == "waits for openers":
            device.state = DeviceState.LEAVING
            yield from self._openers_leave(device, REMOVAL_PATIENCE)
        elif self.design.remove == "revokes":
            device.state = DeviceState.REMOVED
            while device.irrevocable:
                yield Pause("the irrevocable leave", "sleep", lambda: not device.irrevocable)
            if device.later is not None:
                yield from self._others_revoke(task, device, (Status.REVOKED,))
                device.memory_lock.release(task)
            yield from self.cleanup(task, device, None)
        if reached := device.reached():
            device.report("dmabuf.I15", f"a peer reaches {len(reached)} pages, and the device is removed")
        device.state = DeviceState.REMOVED
        device.decoding = False
        return 0
