# SPDX-License-Identifier: Apache-2.0
"""The accelerator as exporter: what may be exported, in which order that is checked, and what a buffer keeps alive."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from ..kernel import PAGE, Errno, Outcome, Step, Task, UserFault, Vma, VmOps, point
from ..kernel.files import OpenFile
from ..kernel.memory import Allocation
from ..kernel.memory_maps import Page, RamPage
from ..kernel.process import Process
from .addresses import address_list
from .buffer import Attachment, Direction, DmaBuf, Mapping, Status
from .context import Context, DeviceMapping, Extent
from .core import Core
from .device import Device, DeviceState
from .importer import Kind

WORD: Final = 1 << 64


@dataclass(slots=True, eq=False)
class Exported:
    """What a buffer stands for: bytes [offset, offset + size) of the concatenation of `pages`.

    `home` is the device that has the memory; `device` the one that still knows the buffer, None once it is an orphan.
    """

    home: Device
    device: Device | None
    context: Context
    own_pages: list[int]
    offset: int
    size: int
    extent: Extent | None = None
    mapping: DeviceMapping | None = None
    file: OpenFile | None = None  # the exporter's, where the buffer keeps it
    keeps_context: bool = False
    counted: bool = False  # among the exports of allocation and mapping
    memory: Allocation | None = None  # of this wrapper
    session: int = 0

    @property
    def pages(self) -> list[int]:
        """Where the memory is at present."""
        return self.extent.pages if self.extent is not None else self.own_pages

    @property
    def generation(self) -> int:
        """How often it was moved."""
        return self.extent.generation if self.extent is not None else 0


class Exporter:
    """The exporter operations of the accelerator, and the export itself."""

    name = "accelerator"

    def __init__(self, core: Core) -> None:
        self.core = core
        self.design = core.design
        self.dynamic = core.design.dynamic
        self.irrevocable_left: Callable[[Task, DmaBuf], Step[None]] | None = None
        self._vm_ops = VmOps(fault=self._fault)

    @property
    def can_mmap(self) -> bool:
        """Tell whether there is an mmap operation."""
        return self.design.cpu_mmap

    # Export.

    def export(
        self, task: Task, process: Process, file: OpenFile, context: Context, address: int, size: int, offset: int,
        n: int | None, flags: int, cloexec: bool, ranges: Sequence[tuple[int, int]] | None,
    ) -> Step[int]:  # fmt: skip
        """Export memory of `context`: a descriptor of `process`, or an errno.

        `address` is a handle, a device address or a physical one, as the design has it. See `_checked` for what is
        refused; -EMFILE, -ENOMEM, -EFAULT (the answer cannot be copied out).
        """
        design = self.design
        checked = self._checked(context, address, size, offset, ranges)
        if isinstance(checked, int):
            return checked
        checked.memory = self.core.kernel.allocator.allocate("export")
        if checked.memory is None:
            return Errno.ENOMEM
        number: int | None = None
        if design.reserves_first:
            number = process.files.reserve(n)
            if number < 0:
                self._free(checked)
                return number
        result = yield from self._publish(task, process, file, checked, n, number, flags, cloexec)
        if result < 0 and number is not None:
            process.files.unreserve(number)
        return result

    def _free(self, what: Exported) -> None:
        """Free the wrapper: nothing refers to it."""
        if what.memory is not None:
            self.core.kernel.allocator.free(what.memory)

    def _publish(
        self, task: Task, process: Process, file: OpenFile, what: Exported, n: int | None, number: int | None,
        flags: int, cloexec: bool,
    ) -> Step[int]:  # fmt: skip
        design, files = self.design, process.files
        buffer = yield from self.core.export(task, self, what, what.size, flags)
        if isinstance(buffer, int):
            self._free(what)
            return buffer
        if design.publishes_last:
            yield from self._keep_alive(task, buffer, file)
        if number is None:
            number = files.reserve(n)
            if number < 0:
                return (yield from self._undo(task, buffer, number))
        if design.copies_out_first and self.core.kernel.injector.take("copy_to_user") is not None:
            files.unreserve(number)
            self.core.put(task, buffer)
            return Errno.EFAULT
        process.publish(task, number, buffer.file, cloexec)
        if not design.publishes_last:
            yield point("export: descriptor visible")
            yield from self._keep_alive(task, buffer, file)
        if not design.copies_out_first and self.core.kernel.injector.take("copy_to_user") is not None:
            return Errno.EFAULT
        return number

    def _undo(self, task: Task, buffer: DmaBuf, result: int) -> Step[int]:
        """Give the buffer up: there is no descriptor for it. Its release undoes the rest."""
        if self.design.undo_puts_buffer:
            self.core.put(task, buffer)
        if not self.design.undo_puts_buffer or not self.design.undo_once:
            yield from self._drop(task, buffer.priv)
        return result

    def _keep_alive(self, task: Task, buffer: DmaBuf, file: OpenFile) -> Step[None]:
        """Take the references that the design says, and put the buffer on its device's list."""
        buffer.use("export")
        what: Exported = buffer.priv
        device = what.home
        if self.design.revoke != "none":
            yield from device.memory_lock.acquire(task)
        device.buffers[buffer] = None
        if self.design.revoke != "none":
            if not device.decodes:
                buffer.status = Status.TEMPORARILY_REVOKED  # born so
                buffer.drain.put()
                yield from buffer.drain.wait()
            device.memory_lock.release(task)
        if self.design.holds in ("context", "file"):
            what.keeps_context = True
            what.context.get()
        if self.design.holds == "file":
            what.file = file.get()
        if what.extent is not None:
            what.extent.exports += 1
            what.extent.exported = (what.offset, what.size)
        if what.mapping is not None:
            yield from device.table_lock.acquire(task)
            what.mapping.exports += 1
            device.table_lock.release(task)
        what.counted = True

    # What may be exported. Guards stand in the order in which they answer.

    def _checked(
        self, context: Context, address: int, size: int, offset: int, ranges: Sequence[tuple[int, int]] | None
    ) -> Exported | int:
        device = context.device
        if device.mmu:
            match self.design.addressing:
                case "none":
                    return Errno.EOPNOTSUPP
                case "handle":
                    return self._by_handle(context, address)
                case _:
                    return self._by_virtual_address(context, address, size, offset)
        if self.design.region_guards:
            return self._by_ranges(context, ranges if ranges is not None else [(address, size)])
        return self._by_physical_address(context, address, size, offset)

    def _by_handle(self, context: Context, handle: int) -> Exported | int:
        extent = context.extents.get(handle) if handle >> 32 == 0 else None
        if extent is None or extent.deferred:
            return Errno.EINVAL
        return self._within_bar(context, extent.pages, 0, extent.size, extent, None)

    def _by_virtual_address(self, context: Context, address: int, size: int, offset: int) -> Exported | int:
        mapping = context.mappings.get(address)
        if mapping is None or offset < 0 or offset >= WORD:
            return Errno.EINVAL
        if address % PAGE or size < PAGE:
            return Errno.EINVAL
        if self.design.size_is_pages and size % PAGE:
            return Errno.EINVAL
        if (offset if self.design.size_is_pages else address + offset) % PAGE:
            return Errno.EINVAL
        extent = mapping.extent
        end = offset + size
        if not self.design.wide_sums:
            end &= 0xFFFFFFFF
        elif not self.design.sum_is_checked:
            end %= WORD
        if end > extent.size:
            return Errno.EINVAL
        if offset + size > extent.size:
            self.core.kernel.findings.report("dmabuf.I07", f"{size} bytes at {offset} pass for {extent.size} bytes")
        return self._within_bar(context, extent.pages, offset, size, extent, mapping)

    def _by_physical_address(self, context: Context, address: int, size: int, offset: int) -> Exported | int:
        device = context.device
        if offset:
            return Errno.EINVAL
        if address % PAGE or size < PAGE or (self.design.size_is_pages and size % PAGE):
            return Errno.EINVAL
        end = address + size
        if address < device.user_base or end > device.dram_end or end > WORD:
            return Errno.EINVAL
        return self._within_bar(context, list(range(address, end, PAGE)), 0, size, None, None)

    def _by_ranges(self, context: Context, ranges: Sequence[tuple[int, int]]) -> Exported | int:
        """As vfio does: ranges of the BAR."""
        device = context.device
        if not ranges:
            return Errno.EINVAL
        if any(size <= 0 or size % PAGE or start % PAGE for start, size in ranges):
            return Errno.EINVAL
        if sum(size for _, size in ranges) >= WORD:
            return Errno.EINVAL
        if any(start + size >= WORD for start, size in ranges):
            return Errno.EOVERFLOW
        if any(start < 0 or start + size > device.bar_size for start, size in ranges):
            return Errno.EINVAL
        pages = [device.dram_base + page for start, size in ranges for page in range(start, start + size, PAGE)]
        return self._range(context, pages, 0, len(pages) * PAGE, None, None)

    def _within_bar(
        self, context: Context, pages: list[int], offset: int, size: int, extent: Extent | None,
        mapping: DeviceMapping | None,
    ) -> Exported | int:  # fmt: skip
        device = context.device
        for page in pages:
            if page + PAGE > device.dram_base + device.bar_size:
                return Errno.EINVAL
        return self._range(context, pages, offset, size, extent, mapping)

    def _range(
        self, context: Context, pages: list[int], offset: int, size: int, extent: Extent | None,
        mapping: DeviceMapping | None,
    ) -> Exported:  # fmt: skip
        device = context.device
        return Exported(device, device, context, pages, offset, size, extent, mapping, session=context.session.serial)

    # What the core asks.

    def attach(self, task: Task, attachment: Attachment) -> Step[int]:
        """Accept an importer.

        Designs without revoke: 0, and no peer addresses where there is no path. The others: -EOPNOTSUPP (it takes no
        peer addresses, or cannot be revoked where that is demanded), -ENODEV (revoked).
        """
        design, buffer = self.design, attachment.buffer
        importer, what = attachment.importer, self._what(buffer)
        if design.attach == "clears p2p":
            attachment.p2p = attachment.p2p and importer.device.path
            yield from ()
            return 0
        if not attachment.p2p or not importer.device.path:
            return Errno.EOPNOTSUPP
        if design.attach_checks_status and buffer.status is not Status.OK:
            return Errno.ENODEV
        if design.requires_revocable and not importer.kind.revocable:
            return Errno.EOPNOTSUPP
        if design.attach_looks_ahead and self._is_about_to_go(what):
            return Errno.ENODEV
        if design.holds == "context of the irrevocable" and not importer.kind.revocable:
            what.context.get()
        if design.power == "attachments" and design.peer_holds_power:
            what.home.power_users += 1
            what.home.powered = True
            attachment.powers = True
        return 0

    @staticmethod
    def _is_about_to_go(what: Exported) -> bool:
        """Tell whether the owner, the memory or the device goes: a revoke is due, or waits for the irrevocable."""
        freed = what.extent is not None and what.extent.deferred
        return what.context.session.closing or freed or what.home.state is not DeviceState.OPERATIONAL

    def detach(self, task: Task, attachment: Attachment) -> Step[None]:
        """Undo `attach`."""
        what = self._what(attachment.buffer)
        if attachment.powers:
            what.home.power_users -= 1
            attachment.powers = False
        if self.design.holds == "context of the irrevocable" and not attachment.importer.kind.revocable:
            if self.irrevocable_left is not None:
                yield from self.irrevocable_left(task, attachment.buffer)
            yield from what.context.put(task)

    def pin(self, attachment: Attachment) -> int:
        """Promise to stay: 0, or -EOPNOTSUPP where a buffer that can be revoked promises nothing."""
        return 0 if self.design.pin == "granted" else Errno.EOPNOTSUPP

    def unpin(self, attachment: Attachment) -> None:
        """Undo `pin`."""

    def map(self, task: Task, attachment: Attachment, direction: Direction) -> Mapping | int:
        """Return the address list.

        -EPERM (a peer without a path), -ENODEV (revoked), -EOPNOTSUPP (physical ranges are not given, or there are
        several), -EINVAL (segments shorter than a page), -ENOMEM.
        """
        design, buffer = self.design, attachment.buffer
        what, device = self._what(buffer), attachment.importer.device
        if design.checks_status and design.map_checks_status and buffer.status is not Status.OK:
            return Errno.ENODEV
        if not attachment.p2p:
            return Errno.EPERM
        pages, offset, size = what.pages, what.offset, what.size
        if not design.range_is_the_buffers and what.extent is not None and what.extent.exported is not None:
            offset, size = 0, what.extent.exported[1]
        physical = attachment.importer.kind is Kind.PHYSICAL
        if offset >= len(pages) * PAGE:
            return Errno.ENOMEM  # a range that an overflow let pass: there are no pages
        longest = WORD if physical else device.max_segment
        segments = address_list(pages, PAGE, offset, size, what.home.bus_base, longest)
        if isinstance(segments, int):
            return segments
        if not design.wide_lengths:
            segments = [(address, length % (2 * PAGE)) for address, length in segments]
        if physical and (not design.physical or len(segments) != 1):
            return Errno.EOPNOTSUPP
        memory = self.core.kernel.allocator.allocate("mapping")
        if memory is None:
            return Errno.ENOMEM
        first, end = offset // PAGE, -(-(offset + size) // PAGE)
        mapping = Mapping(
            attachment, segments, direction, memory, cover=pages[first:end], generation=what.generation,
            physical=physical,
        )  # fmt: skip
        if design.revoke == "drain" and not physical:
            buffer.drain.get()
        if buffer.status is not Status.OK:
            self.core.kernel.findings.report("dmabuf.I14", f"{buffer} is {buffer.status.value}, and was mapped")
        return mapping

    def unmap(self, task: Task, mapping: Mapping) -> None:
        """Take an address list back."""
        mapping.end()
        self.core.kernel.allocator.free(mapping.memory)
        if self.design.revoke == "drain" and not mapping.physical:
            mapping.attachment.buffer.drain.put()

    def cpu_access(self, task: Task, buffer: DmaBuf, flags: int, begin: bool) -> int:
        """Nothing to do: the memory is coherent."""
        return 0

    def mmap(self, task: Task, buffer: DmaBuf, vma: Vma) -> Step[int]:
        """Let a process map the buffer, page by page as it is touched: -EINVAL (private), -ENODEV (revoked)."""
        if vma.private:
            return Errno.EINVAL
        yield from buffer.resv.lock(task)
        revoked = buffer.status is not Status.OK
        buffer.resv.unlock(task)
        if revoked:
            return Errno.ENODEV
        vma.ops = self._vm_ops
        vma.private_data = buffer
        vma.dont_expand = self.design.fault_is_bounded
        return 0

    def _fault(self, vma: Vma, index: int) -> Page:
        buffer: DmaBuf = vma.private_data
        what = self._what(buffer)
        if buffer.status is not Status.OK:
            raise UserFault(Outcome.SIGBUS, (vma.start + index) * PAGE)
        page = vma.pgoff + index
        inside = page * PAGE < buffer.size
        if not inside and self.design.fault_is_bounded:
            raise UserFault(Outcome.SIGBUS, (vma.start + index) * PAGE)
        if not inside:
            self.core.kernel.findings.report("dmabuf.I19", f"page {page} of {buffer} is mapped, beyond its end")
        at = what.offset // PAGE + page
        pages = what.pages
        address = pages[at] if at < len(pages) else pages[-1] + (at - len(pages) + 1) * PAGE
        vma.ptes[index] = frame = RamPage(what.home.memory, (address - what.home.dram_base) // PAGE, buffer)
        return frame

    def release(self, task: Task, buffer: DmaBuf) -> Step[None]:
        """Let go of everything that the buffer kept: its place in the lists, the allocation, context and file."""
        device = self._what(buffer).device
        if self.design.revoke != "none" and device is not None:
            yield from device.memory_lock.acquire(task)
            device.buffers.pop(buffer, None)
            device.memory_lock.release(task)
        elif device is not None:
            device.buffers.pop(buffer, None)
        yield from self._drop(task, buffer.priv)

    def _drop(self, task: Task, what: Exported) -> Step[None]:
        extent, mapping = what.extent, what.mapping
        if mapping is not None and what.counted:
            yield from what.home.table_lock.acquire(task)
            mapping.exports -= 1
            what.home.table_lock.release(task)
        if extent is not None and what.counted:
            extent.exports -= 1
            if extent.exports == 0 and extent.deferred and what.home.later is None:
                extent.context.extents.pop(extent.handle, None)
                what.home.give_back(extent)
        if what.keeps_context:
            yield from what.context.put(task)
        if what.file is not None:
            what.file.put(task)
        self._free(what)

    @staticmethod
    def _what(buffer: DmaBuf) -> Exported:
        what: Exported = buffer.priv
        return what
