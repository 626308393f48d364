# SPDX-License-Identifier: Apache-2.0
"""The CB and MEMORY ioctls: from their arguments to command buffers, device memory and address spaces."""

from typing import TYPE_CHECKING

from ..kernel import Errno, Oops, Step, Task
from .arguments import EMPTY, CbArgs, CbOp, MemoryArgs, MemoryFlag, MemoryOp
from .export import export

if TYPE_CHECKING:
    from .context import Context
    from .device import AccelDevice


def command_buffer(task: Task, context: "Context", args: CbArgs) -> Step[int]:
    """CREATE, DESTROY, INFO: 0 and `args.out`, -EINVAL, -ENOMEM, or the revision's errno for an unknown operation."""
    buffers = context.fd.buffers
    behaviour = context.device.behaviour
    result: int
    if args.op == CbOp.CREATE:
        holder = context if behaviour.buffers_hold_context else None
        result = buffers.create(args.size, holder, context.space if args.map else None)
        if result >= 0 and holder is not None:
            holder.get()
    elif args.op == CbOp.DESTROY:
        result = buffers.destroy(args.handle)
        yield from context.fd.settle(task)
    elif args.op == CbOp.INFO:
        result = buffers.device_va(args.handle) if args.want_va else buffers.info(args.handle)
    else:
        result = behaviour.unknown_operation
    args.out = max(result, 0)
    return min(result, 0)


def memory(task: Task, context: "Context", args: MemoryArgs) -> Step[int]:
    """ALLOC, FREE, MAP, UNMAP, EXPORT_DMABUF_FD: 0 and `args.out`, a negative errno, or unknown."""
    device = context.device
    space = context.space
    if space is None:
        raise Oops("device memory without an address space")
    result: int
    match args.op:
        case MemoryOp.ALLOC:
            result = _alloc(context, args)
        case MemoryOp.FREE:
            result = device.memory.free(args.handle, context.asid) if device.hardware.dram_mmu else 0
        case MemoryOp.MAP:
            force = bool(args.flags & MemoryFlag.FORCE_HINT)
            if args.flags & MemoryFlag.USERPTR:
                result = space.map_host(args.host if args.host is not None else EMPTY, args.hint or None, force)
            else:
                result = space.map_device(args.handle, args.hint or None, force)
                if result < 0 and device.behaviour.map_error_unlocks == "twice":
                    device.kernel.findings.report("habanalabs.P04", "an error path gives back a lock twice")
                    raise Oops("an error path releases the lock of the page tables, which it does not hold")
        case MemoryOp.UNMAP:
            result = space.unmap(args.va)
        case MemoryOp.EXPORT_DMABUF_FD if device.behaviour.export_holds != "nothing":
            result = export(context, args)
        case MemoryOp.MAP_BLOCK | MemoryOp.TS_ALLOC if device.behaviour.typed_submissions:
            result = Errno.EINVAL  # this device has neither blocks nor timestamps
        case _:
            result = device.behaviour.unknown_operation
    yield from ()
    args.out = max(result, 0)
    return min(result, 0)


def _alloc(context: "Context", args: MemoryArgs) -> int:
    device = context.device
    if args.size <= 0:
        return Errno.EINVAL
    if not device.hardware.dram_mmu:
        return 0 if device.behaviour.typed_submissions else Errno.EINVAL  # only what the user declares is counted
    return device.memory.alloc(
        args.size,
        context.asid,
        contiguous=bool(args.flags & MemoryFlag.CONTIGUOUS),
        shared=bool(args.flags & MemoryFlag.SHARED),
        page_size=args.page_size,
    )


def operational(device: "AccelDevice") -> int:
    """Answer for a device that may be worked with: 0, or -EBUSY."""
    return 0 if device.operational else Errno.EBUSY
