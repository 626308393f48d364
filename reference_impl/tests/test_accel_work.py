# SPDX-License-Identifier: Apache-2.0
"""The operation tables of facts/habanalabs.md, 2.4: command buffers, submissions, waits, memory, debug mode."""

import numpy as np
import pytest

from accelspec.reference_impl.accel.arguments import (
    CbArgs,
    Chunk,
    CsArgs,
    CsFlag,
    Ioctl,
    MemoryArgs,
    MemoryFlag,
    MemoryOp,
    WaitArgs,
    WaitStatus,
)
from accelspec.reference_impl.accel.device import Status
from accelspec.reference_impl.accel.info import Info
from accelspec.reference_impl.accel.ioctl import number
from accelspec.reference_impl.accel.packets import Op, Packet
from accelspec.reference_impl.accel.system import AccelSystem
from accelspec.reference_impl.accel.user_calls import COMPLETED_LONG_AGO
from accelspec.reference_impl.kernel import Errno, Outcome
from accelspec.reference_impl.tests.accel_scenes import ALL, NEW, OLD, Row, Table, in_light_reset, opened, owner_opened

E = Errno
EXTERNAL, INTERNAL, KERNEL, BINNED = 4, 5, 6, 7
row = Table()

# ---------------------------------------------------------------- 2.4 CB

row("2.4 CB: not operational", NEW, E.EBUSY)(lambda s: (opened(s), in_light_reset(s).cb_create(0, 0))[1])
row("2.4 CB CREATE: too large", ALL, E.EINVAL)(lambda s: opened(s).cb_create(0, 0, 0x1FFFE1))
row("2.4 CB CREATE: raised to a page", ALL, 4096)(lambda s: _size_of(s))
row("2.4 CB CREATE: no memory", ALL, E.ENOMEM)(lambda s: (opened(s).inject("alloc:cb"), s.cb_create(0, 0))[1])
row("2.4 CB CREATE: mapping fails, cause masked", ALL, E.ENOMEM)(
    lambda s: (opened(s).inject("cb_map", E.EINVAL), s.cb_create(0, 0, map=True))[1]
)
row("2.4 CB DESTROY: unknown", ALL, E.EINVAL)(lambda s: opened(s).cb_destroy(0, 0, 99 << 12))
row("2.4 CB DESTROY: second, still referenced", ("c2",), [0, E.EINVAL])(lambda s: _destroyed_twice(s))
row("2.4 CB DESTROY: second drops another's reference", ("c1",), [0, 0])(lambda s: _destroyed_twice(s))
row("2.4 CB INFO: unknown", ALL, E.EINVAL)(lambda s: opened(s).cb_info(0, 0, 99 << 12))
row("2.4 CB INFO: GET_DEVICE_VA of one that is not mapped", ALL, E.EINVAL)(
    lambda s: opened(s).cb_info(0, 0, s.cb_create(0, 0), va=True)
)
row("2.4 CB unknown op", NEW, E.EINVAL)(lambda s: opened(s).ioctl(0, 0, number(s.behaviour, Ioctl.CB), CbArgs(9)))
row("2.4 CB unknown op, before 2022", OLD, E.ENOTTY)(
    lambda s: opened(s).ioctl(0, 0, number(s.behaviour, Ioctl.CB), CbArgs(9))
)
row("2.4 CB mmap: wrong length", ALL, E.EINVAL)(lambda s: opened(s).mmap(0, 0, s.cb_create(0, 0), 2))
row("2.4 CB mmap: mapped already", ALL, E.EINVAL)(
    lambda s: (h := opened(s).cb_create(0, 0), s.mmap(0, 0, h, 1), s.mmap(0, 0, h, 1))[2]
)
row("2.4 CB mmap: mapped again after the last page went", ALL, [True, 0, E.EINVAL, 0, True])(lambda s: _pieces(s))


def _size_of(s: AccelSystem) -> object:
    handle = opened(s).cb_create(0, 0, 8)
    fd = s.fd(0, 0)
    assert fd is not None
    buffer = fd.buffers.find(handle)
    assert buffer is not None
    return buffer.size


def _destroyed_twice(s: AccelSystem) -> object:
    handle = opened(s).cb_create(0, 0)
    s.submit(0, 0, Chunk(EXTERNAL, handle))
    return [s.cb_destroy(0, 0, handle), s.cb_destroy(0, 0, handle)]


def _pieces(s: AccelSystem) -> object:
    handle = opened(s).cb_create(0, 0, 8192)
    start = s.mmap(0, 0, handle, 2)
    answers: list[object] = [start > 0, s.munmap(0, start, 1), s.mmap(0, 0, handle, 2), s.munmap(0, start + 1, 1)]
    return [*answers, s.mmap(0, 0, handle, 2) > 0]


# ---------------------------------------------------------------- 2.4 CS

CS = "2.4 CS"
row(f"{CS} 1: pad", ("c2",), E.EINVAL)(lambda s: (s.open(0, 0), s.submit(0, 0, pad=1))[1])
row(f"{CS} 2: not operational", NEW, E.EBUSY)(lambda s: (s.open(0, 0), in_light_reset(s).submit(0, 0))[1])
row(f"{CS} 3: staged unsupported", NEW, E.EPERM, staged=False)(
    lambda s: (s.open(0, 0), s.submit(0, 0, flags=CsFlag.STAGED | CsFlag.STAGED_FIRST))[1]
)
row(f"{CS} 4: two type flags", NEW, E.EINVAL)(
    lambda s: (s.open(0, 0), s.submit(0, 0, flags=CsFlag.SIGNAL | CsFlag.WAIT))[1]
)
row(f"{CS} 5: sync streams unsupported", NEW, E.EINVAL, sync_streams=False)(
    lambda s: (s.open(0, 0), s.submit(0, 0, flags=CsFlag.SIGNAL))[1]
)
row(f"{CS} 6: no chunk", ALL, E.EINVAL)(
    lambda s: opened(s).ioctl(0, 0, number(s.behaviour, Ioctl.CS), CsArgs(execute=()))
)
row(f"{CS} 6: sync type with two chunks", NEW, E.EINVAL)(
    lambda s: (s.open(0, 0), s.submit(0, 0, Chunk(), Chunk(), flags=CsFlag.SIGNAL))[1]
)
row(f"{CS} 6: sync type with one chunk", NEW, 1)(lambda s: (s.open(0, 0), s.submit(0, 0, flags=CsFlag.SIGNAL))[1])
row(f"{CS} 7: restore fails with its errno", ALL, E.EINVAL)(lambda s: opened(s).submit(0, 0, restore=(Chunk(99),)))


@row(f"{CS} 7: restore does not complete", ALL, (Outcome.WOULD_BLOCK, [(0, 0, E.ENOEXEC)]))
def _(s: AccelSystem) -> object:
    opened(s)
    s.hang()
    asleep = s.submit(0, 0, restore=(Chunk(),))
    s.advance(30)
    return asleep, s.woken()


@row(f"{CS} 7: restore completes", ALL, (Outcome.WOULD_BLOCK, [(0, 0, 2)]))
def _(s: AccelSystem) -> object:
    asleep = opened(s).submit(0, 0, restore=(Chunk(),))
    s.complete()
    return asleep, s.woken()


@row(f"{CS} 7: another thread's switch takes too long", ALL, (Outcome.WOULD_BLOCK, E.ETIMEDOUT))
def _(s: AccelSystem) -> object:
    opened(s)
    s.hang()
    s.submit(0, 0, restore=(Chunk(),))
    s.advance(1)
    asleep = s.submit(0, 0)
    s.advance(30)
    return asleep, s.woken()[-1][2]


@row(f"{CS} 7: the switch itself fails, and the device is reset after it", ALL, (E.ETIMEDOUT, 1, E.EBUSY, 2))
def _(s: AccelSystem) -> object:
    opened(s)
    seen: list[object] = []
    for errno in (E.ETIMEDOUT, E.EBUSY):
        s.inject("context_switch", errno)
        seen += [s.submit(0, 0), s.device().counters["compute_reset"]]
    return tuple(seen)


row(f"{CS} 8: more than 512 chunks", ALL, E.EINVAL)(lambda s: opened(s).submit(0, 0, *[Chunk()] * 513))
row(f"{CS} 8: copy", ALL, E.EFAULT)(lambda s: (opened(s).inject("copy_from_user"), s.submit(0, 0))[1])
row(f"{CS} 8: memory", ALL, E.ENOMEM)(lambda s: (opened(s).inject("alloc:submission"), s.submit(0, 0))[1])


@row(f"{CS} 9: ring slot not signalled; the input stays, the sequence is not consumed", ALL, (E.EAGAIN, 7, 3), ring=2)
def _(s: AccelSystem) -> object:
    opened(s)
    s.submit(0, 0)
    s.submit(0, 0)
    args = CsArgs(seq=7)
    full = s.ioctl(0, 0, number(s.behaviour, Ioctl.CS), args)
    s.complete()
    return full, args.seq, s.submit(0, 0)


row(f"{CS} 11: bad, kernel-only, binned queue", ALL, [E.EINVAL] * 3)(
    lambda s: (opened(s), [s.submit(0, 0, Chunk(q)) for q in (99, KERNEL, BINNED)])[1]
)
row(f"{CS} 11: unknown buffer, too small, too large a part of one", ALL, [E.EINVAL] * 3)(
    lambda s: (
        h := opened(s).cb_create(0, 0),
        [s.submit(0, 0, Chunk(EXTERNAL, x, size)) for x, size in ((99 << 12, 8), (h, 7), (h, 8192))],
    )[1]
)
row(f"{CS} 11: the parser refuses", ALL, [E.EINVAL, E.EPERM])(
    lambda s: (opened(s), [s.submit(0, 0, Chunk(data=d)) for d in (bytes(7), Packet(Op.STOP).encode())])[1]
)
row(f"{CS} 11: only internal queues", ALL, E.EINVAL)(lambda s: opened(s).submit(0, 0, Chunk(INTERNAL)))
row(f"{CS} 11: internal and another queue", ALL, 1)(lambda s: opened(s).submit(0, 0, Chunk(INTERNAL), Chunk(0)))


@row(f"{CS} 12: became not operational", ALL, E.EPERM)
def _(s: AccelSystem) -> object:
    opened(s)
    call = s.call("submit", 0, 0)
    while call.at is None or call.at.label != "submit: sequence consumed":
        call.step()
    reset = s.call("hard_reset", 0)
    reset.run()
    return call.run()


row(f"{CS} 12: queue full", ALL, E.EAGAIN, queue_depth=1)(lambda s: (opened(s).submit(0, 0), s.submit(0, 0))[1])
FIRST = CsFlag.STAGED | CsFlag.STAGED_FIRST
LAST = CsFlag.STAGED | CsFlag.STAGED_LAST
row(f"{CS} 12: staged parent missing", NEW, E.EINVAL)(lambda s: (s.open(0, 0), s.submit(0, 0, flags=LAST, seq=1))[1])
row(f"{CS} 12: staged parent closed", NEW, [1, 2, E.EINVAL])(
    lambda s: (s.open(0, 0), [s.submit(0, 0, flags=f, seq=1) for f in (FIRST, LAST, LAST)])[1]
)
row(f"{CS} 13: on the list, the first entry's timer runs", ALL, [30, None])(
    lambda s: (opened(s).submit(0, 0), s.submit(0, 0), [x.deadline for x in s.device().mirror])[2]
)


@row(f"{CS}: failure after 10 gives all-ones, and the fence says EBUSY", ALL, ((1 << 64) - 1, E.EBUSY, 2))
def _(s: AccelSystem) -> object:
    opened(s)
    args = CsArgs(execute=(Chunk(99),))
    s.ioctl(0, 0, number(s.behaviour, Ioctl.CS), args)
    fence = next(iter(s.device().contexts.values())).ring[1]
    assert fence is not None
    return args.seq, fence.error, s.submit(0, 0)


# ---------------------------------------------------------------- 2.4 the CS state machine


def ended(s: AccelSystem, how: str) -> AccelSystem:
    """Bring sequence 1 to an end."""
    opened(s)
    if how == "rejected":
        s.submit(0, 0, Chunk(99))
        return s
    s.submit(0, 0)
    if how == "done":
        s.complete()
    else:
        if how == "timed out":
            next(iter(s.device().mirror)).timed_out = True
        s.compute_reset()
    return s


row("2.4 CS: timeout with reset_on_lockup", ("a", "b", "c0", "c1"), (1, 0))(
    lambda s: (owner_opened(s).timeout(), s.device().counters["compute_reset"], len(s.device().mirror))[1:]
)
row("2.4 CS: timeout, conditional reset", ("c2",), True)(
    lambda s: (owner_opened(s).timeout(), s.device().hard_reset_pending)[1]
)


row("2.4 CS: timeout without reset_on_lockup", NEW, (Status.NEEDS_RESET, E.EBUSY), reset_on_lockup=False)(
    lambda s: (owner_opened(s).timeout(), s.device().status, s.cb_create(0, 0))[1:]
)
row("2.4 CS: timeout, SKIP_RESET_ON_TIMEOUT", NEW, (Status.OPERATIONAL, 1))(
    lambda s: (
        s.open(0, 0),
        s.submit(0, 0, flags=CsFlag.SKIP_RESET_ON_TIMEOUT),
        s.timeout(),
        s.device().status,
        len(s.device().mirror),
    )[3:]
)
row("2.4 CS: timed out goes before rolled back", ALL, E.ETIMEDOUT)(lambda s: ended(s, "timed out").wait(0, 0, 1))


@row("2.4 CS: staged, the whole group ends with its last", NEW, [1, 1, 0, 0])
def _(s: AccelSystem) -> object:
    s.open(0, 0)
    s.submit(0, 0, flags=FIRST)
    s.run()
    before = [s.wait(0, 0, 1)]
    s.submit(0, 0, flags=LAST, seq=1)
    before.append(s.wait(0, 0, 2))
    s.run()
    return [*before, s.wait(0, 0, 1), s.wait(0, 0, 2)]


row("2.4 CS: the next timer starts as the first leaves", ALL, [None, 35])(lambda s: _second_timer(s))


def _second_timer(s: AccelSystem) -> object:
    opened(s).submit(0, 0)
    s.submit(0, 0)
    second = list(s.device().mirror)[1]
    before = second.deadline
    s.advance(5)
    s.complete()
    return [before, second.deadline]


# ---------------------------------------------------------------- 2.4 WAIT_CS

WAIT = "2.4 WAIT"
row(f"{WAIT}: not operational", NEW, E.EBUSY)(lambda s: (owner_opened(s), in_light_reset(s).wait(0, 0, 1))[1])
row(f"{WAIT}: 5.x does not look", OLD, E.EIO)(lambda s: (owner_opened(s), in_light_reset(s).wait(0, 0, 1))[1])


@row(f"{WAIT}: the watchdog is active", ("c2",), E.EBUSY)
def _(s: AccelSystem) -> object:
    owner_opened(s).info(0, 0, Info.REGISTER_EVENTFD)
    s.timeout()
    return s.wait(0, 0, 1)


row(f"{WAIT}: seq not given yet", ALL, E.EINVAL)(lambda s: opened(s).wait(0, 0, 1))
row(f"{WAIT}: gone", ALL, COMPLETED_LONG_AGO, ring=1)(lambda s: _gone(s, 0))
row(f"{WAIT}: gone, even if it had failed", ALL, COMPLETED_LONG_AGO, ring=1)(
    lambda s: (ended(s, "aborted"), [(s.submit(0, 0), s.complete()) for _ in range(2)], s.wait(0, 0, 1))[2]
)
row(f"{WAIT}: gone but in the outcome store, which forgets", NEW, [E.EIO, COMPLETED_LONG_AGO], ring=1)(
    lambda s: _stored(s)
)
row(f"{WAIT}: pending, timeout 0", ALL, WaitStatus.BUSY)(lambda s: owner_opened(s).wait(0, 0, 1))
row(f"{WAIT}: pending, timeout elapses", ALL, (Outcome.WOULD_BLOCK, [(0, 0, 1)]))(
    lambda s: (owner_opened(s).wait(0, 0, 1, 5), s.advance(5), s.woken())[::2]
)
row(f"{WAIT}: done", ALL, 0)(lambda s: ended(s, "done").wait(0, 0, 1))
row(f"{WAIT}: rejected", ALL, 0)(lambda s: ended(s, "rejected").wait(0, 0, 1))
row(f"{WAIT}: timed out", ALL, E.ETIMEDOUT)(lambda s: ended(s, "timed out").wait(0, 0, 1))
row(f"{WAIT}: rolled back", ALL, E.EIO)(lambda s: ended(s, "aborted").wait(0, 0, 1))
row(f"{WAIT}: status words", ALL, [WaitStatus.COMPLETED, WaitStatus.TIMEDOUT, WaitStatus.ABORTED])(
    lambda s: [_status(AccelSystem(s.behaviour), how) for how in ("done", "timed out", "aborted")]
)
row(f"{WAIT}: signal", ("a", "b", "c0", "c2"), [(0, 0, E.EINTR)])(
    lambda s: (owner_opened(s).wait(0, 0, 1, 5), s.signal(0), s.woken())[2]
)
row(f"{WAIT}: signal, by mistake", ("c1",), [(0, 0, 1)])(
    lambda s: (owner_opened(s).wait(0, 0, 1, 5), s.signal(0), s.woken())[2]
)
row(f"{WAIT}: seq 0 was never given", ALL, 0, ring=4)(lambda s: _zero(s))
row("2.4 multi-wait: unsupported", NEW, E.EPERM, multi_wait_entries=0)(
    lambda s: (s.open(0, 0), s.multi_wait(0, 0, [1]))[1]
)
row("2.4 multi-wait: more than 32", NEW, E.EINVAL)(lambda s: (s.open(0, 0), s.multi_wait(0, 0, [1] * 33))[1])
row("2.4 multi-wait: more than two waiters", NEW, E.ENOMEM)(
    lambda s: (owner_opened(s), [s.multi_wait(0, 0, [1], 9) for _ in range(3)])[1][2]
)
row("2.4 multi-wait: copy", NEW, E.EFAULT)(
    lambda s: (owner_opened(s), s.inject("copy_from_user"), s.multi_wait(0, 0, [1]))[2]
)
row("2.4 multi-wait: bitmap", NEW, 0b01)(
    lambda s: (owner_opened(s).submit(0, 0), s.complete(), s.multi_wait(0, 0, [1, 2]))[2]
)
row("2.4 interrupt wait: none available", NEW, E.EPERM)(lambda s: (s.open(0, 0), s.interrupt_wait(0, 0, 0))[1])
row("2.4 interrupt wait: bad id", NEW, E.EINVAL, interrupts=1)(lambda s: (s.open(0, 0), s.interrupt_wait(0, 0, 1))[1])
row("2.4 interrupt wait: it comes", NEW, [(0, 0, 0)], interrupts=1)(
    lambda s: (s.open(0, 0), s.interrupt_wait(0, 0, 0, 5), s.interrupt(0), s.woken())[3]
)


def _gone(s: AccelSystem, flags: int) -> object:
    opened(s)
    for _ in range(3):
        s.submit(0, 0, flags=flags)
        s.complete()
    return s.wait(0, 0, 1)


def _stored(s: AccelSystem) -> object:
    opened(s)
    s.submit(0, 0, flags=CsFlag.TIMESTAMP)
    s.compute_reset()
    for _ in range(2):
        s.submit(0, 0)
        s.complete()
    return [s.wait(0, 0, 1), s.wait(0, 0, 1)]


def _status(s: AccelSystem, how: str) -> object:
    args = WaitArgs(1)
    ended(s, how).ioctl(0, 0, number(s.behaviour, Ioctl.WAIT_CS), args)
    return args.status


def _zero(s: AccelSystem) -> object:
    opened(s)
    fence = next(iter(s.device().contexts.values())).fence_of(0)
    return 0 if fence is None else fence


# ---------------------------------------------------------------- 2.4 MEMORY

MEMORY = "2.4 MEMORY"
row(f"{MEMORY}: not operational", ALL, E.EBUSY)(lambda s: (opened(s), in_light_reset(s).alloc(0, 0))[1])
row(f"{MEMORY} ALLOC: size 0", ALL, E.EINVAL)(lambda s: opened(s).alloc(0, 0, 0))
row(f"{MEMORY} ALLOC: page size", ALL, E.EINVAL)(
    lambda s: opened(s).memory(0, 0, MemoryArgs(MemoryOp.ALLOC, 4096, page_size=3))
)
row(f"{MEMORY} ALLOC: pool empty", ALL, E.ENOMEM)(lambda s: opened(s).alloc(0, 0, 1 << 30))
row(f"{MEMORY} ALLOC: no handle", ALL, E.EFAULT)(lambda s: (opened(s).inject("mem_idr"), s.alloc(0, 0))[1])
row(f"{MEMORY} ALLOC: no MMU", NEW, 0, dram_mmu=False)(lambda s: (s.open(0, 0), s.alloc(0, 0))[1])
row(f"{MEMORY} ALLOC: no MMU, 5.1", ("a",), E.EINVAL, dram_mmu=False)(lambda s: (s.open(0, 0), s.alloc(0, 0))[1])
row(f"{MEMORY} FREE: unknown", ALL, E.EINVAL)(lambda s: opened(s).free(0, 0, 9))
row(f"{MEMORY} FREE: mapped", ALL, E.EINVAL)(lambda s: (h := opened(s).alloc(0, 0), s.map(0, 0, h), s.free(0, 0, h))[2])
row(f"{MEMORY} FREE: ok", ALL, 0)(lambda s: opened(s).free(0, 0, s.alloc(0, 0)))
row(f"{MEMORY} MAP device: unknown", ALL, E.EINVAL)(lambda s: opened(s).map(0, 0, 9))
row(f"{MEMORY} MAP device: another ASID", ALL, E.EPERM)(lambda s: _foreign(s, 0))
row(f"{MEMORY} MAP device: another ASID, SHARED", ALL, True)(lambda s: _foreign(s, MemoryFlag.SHARED))
row(f"{MEMORY} MAP device: no address", ALL, E.ENOMEM)(
    lambda s: opened(s).map(0, 0, s.alloc(0, 0), 3, MemoryFlag.FORCE_HINT)
)
row(f"{MEMORY} MAP host: pin errors", ALL, [E.EINVAL, E.EFAULT, E.ENOMEM])(
    lambda s: (opened(s), [_pinned(s, errno) for errno in (E.EINVAL, E.EFAULT, E.ENOMEM)])[1]
)
row(f"{MEMORY} UNMAP: no such address", ALL, E.EINVAL)(lambda s: opened(s).unmap(0, 0, 4096))
row(f"{MEMORY} UNMAP: ok", ALL, 0)(lambda s: opened(s).unmap(0, 0, s.map(0, 0, s.alloc(0, 0))))
row(f"{MEMORY} EXPORT: DRAM with MMU", ("c1",), E.EOPNOTSUPP)(lambda s: _exported(s, 4096))
row(f"{MEMORY} EXPORT: range", ("c2",), E.EINVAL)(lambda s: _exported(s, 1 << 20))
row(f"{MEMORY} EXPORT: range, no MMU", NEW, E.EINVAL, dram_mmu=False)(
    lambda s: (s.open(0, 0), s.export(0, 0, 1 << 30))[1]
)
row(f"{MEMORY} EXPORT: no fd", ("c2",), E.EMFILE)(lambda s: (s.inject("export_fd", E.EMFILE), _exported(s, 4096))[1])
row(f"{MEMORY} EXPORT: the context is pinned", ("c1",), (0, E.EAGAIN, 0), dram_mmu=False)(lambda s: _pinned_slot(s, 0))
row(f"{MEMORY} EXPORT: the file is pinned", ("c2",), (0, E.EBUSY, 0))(lambda s: _pinned_slot(s, 1))
row(f"{MEMORY} MAP_BLOCK, TS_ALLOC", NEW, [E.EINVAL] * 2)(
    lambda s: (s.open(0, 0), [s.memory(0, 0, MemoryArgs(op)) for op in (MemoryOp.MAP_BLOCK, MemoryOp.TS_ALLOC)])[1]
)
row(f"{MEMORY}: unknown", NEW, E.EINVAL)(lambda s: (s.open(0, 0), s.memory(0, 0, MemoryArgs(99)))[1])
row(f"{MEMORY}: unknown, before 2022", OLD, E.ENOTTY)(lambda s: opened(s).memory(0, 0, MemoryArgs(99)))


def _foreign(s: AccelSystem, flags: int) -> object:
    opened(s)
    handle = s.device().memory.alloc(4096, 5, shared=bool(flags))
    answer = s.map(0, 0, handle)
    return answer > 0 if flags else answer


def _pinned(s: AccelSystem, errno: Errno) -> int:
    s.inject("pin", errno)
    return s.map_host(0, 0, np.zeros(8, np.uint8))


def _exported(s: AccelSystem, size: int) -> int:
    va = opened(s).map(0, 0, s.alloc(0, 0))
    return s.export(0, 0, va, size)


def _pinned_slot(s: AccelSystem, mmu: int) -> object:
    s.open(0, 0)
    number = s.export(0, 0, s.map(0, 0, s.alloc(0, 0)) if mmu else 0)
    assert number > 0
    closed = s.close(0, 0)
    refused = s.open(1, 0)
    s.release_export(number)
    return closed, refused, s.open(1, 0)


# ---------------------------------------------------------------- 2.4 DEBUG

row("2.4 DEBUG: not operational", ALL, E.EBUSY)(lambda s: (opened(s), in_light_reset(s).debug_on(0, 0))[1])
row("2.4 DEBUG: bad op", NEW, E.EINVAL)(lambda s: opened(s).debug(0, 0, 99))
row("2.4 DEBUG: cleared when the context ends", ALL, (True, False))(
    lambda s: (opened(s).debug_on(0, 0), s.device().in_debug, s.close(0, 0), s.device().in_debug)[1::2]
)


@pytest.mark.parametrize(("one", "revision"), row.cases)
def test_row(one: Row, revision: str) -> None:
    one.check(revision)


def test_the_rows_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\nhabanalabs, work: {row.count()}")
    assert len(row.rows) > 80
