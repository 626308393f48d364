# SPDX-License-Identifier: Apache-2.0
"""The operation tables of facts/habanalabs.md, 2.4: the last close, resets, power, removal; and what has no test."""

from collections.abc import Callable

import pytest

from accelspec.reference_impl.accel.device import Status
from accelspec.reference_impl.accel.info import Info
from accelspec.reference_impl.accel.system import AccelSystem
from accelspec.reference_impl.kernel import Errno, Outcome
from accelspec.reference_impl.kernel.process import Process
from accelspec.reference_impl.tests.accel_scenes import (
    ALL,
    NEW,
    OLD,
    Row,
    Table,
    broken,
    in_light_reset,
    opened,
    owner_opened,
    pending,
)

E = Errno
EXTERNAL, INTERNAL, KERNEL, BINNED = 4, 5, 6, 7
row = Table()

# ---------------------------------------------------------------- 2.4 final release

row("2.4 release: still in use, 6.1 logs and opens get EAGAIN", ("c1",), (E.EAGAIN, 0))(
    lambda s: (owner_opened(s).close(0, 0), s.open(1, 0), s.complete(), s.open(1, 0))[1::2]
)
row("2.4 release: still in use, 6.12 resets at once", ("c2",), (True, E.EAGAIN))(
    lambda s: (owner_opened(s).close(0, 0), s.device().hard_reset_pending, s.open(1, 0))[1:]
)
row("2.4 release: not idle", NEW, (1, False))(
    lambda s: (s.open(0, 0), s.keep_busy(), s.close(0, 0), s.device().counters["compute_reset"], s.device().taken)[3:]
)
row("2.4 release: reset upon device release", NEW, 1, reset_on_release=True)(
    lambda s: (s.open(0, 0), s.close(0, 0), s.device().counters["compute_reset"])[2]
)
row(
    "2.4 release: a chip that is reset by nothing else",
    NEW,
    (False, False, True),
    reset_on_release=True,
    reset_on_demand=False,
)(lambda s: _only_on_release(s))
row("2.4 release: idle, memory is scrubbed", NEW, (0, False))(lambda s: _scrubbed(s))
row("2.4 release: scrub fails, 6.12 resets", ("c2",), True)(lambda s: _failed_scrub(s))
row("2.4 release: scrub fails, 6.1 goes on", ("c1",), False)(lambda s: _failed_scrub(s))
row("2.4 release: watchdog pending after a heartbeat, hard reset on release", ("c2",), (True, False))(
    lambda s: _watched_release(s, s.heartbeat_fails)
)
row("2.4 release: watchdog pending after a timeout, the reset that the chip can", ("c2",), (False, True))(
    lambda s: _watched_release(s, s.timeout)
)
row(
    "2.4 release: watchdog pending after a timeout, Gaudi",
    ("c2",),
    (True, False),
    compute_reset=False,
)(lambda s: _watched_release(s, s.timeout))


def _only_on_release(s: AccelSystem) -> object:
    s.open(0, 0)
    s.compute_reset()
    asked = s.device().in_reset
    s.close(0, 0)
    released = s.device().counters["compute_reset"] == 1
    owner_opened(s)
    s.timeout()  # a light one is asked for, in 6.1
    return asked, s.device().in_compute_reset, released and s.device().hard_reset_pending


def _scrubbed(s: AccelSystem) -> object:
    s.open(0, 0)
    s.map(0, 0, s.alloc(0, 0))
    s.close(0, 0)
    return s.device().memory.unscrubbed, s.device().taken


def _failed_scrub(s: AccelSystem) -> object:
    s.open(0, 0)
    s.map(0, 0, s.alloc(0, 0))
    s.inject("scrub", E.EIO)
    s.close(0, 0)
    return s.device().hard_reset_pending


def _watched_release(s: AccelSystem, error: Callable[[], int]) -> object:
    owner_opened(s).info(0, 0, Info.REGISTER_EVENTFD)
    error()
    assert not s.device().in_reset
    s.complete()
    s.close(0, 0)
    return s.device().hard_reset_pending, s.device().counters["compute_reset"] == 1


# ---------------------------------------------------------------- 2.4 reset

RESET = "2.4 reset"


@row(f"{RESET}: init not done", ALL, (0, False))
def _(s: AccelSystem) -> object:
    s.device().init_done = False
    return s.hard_reset(), s.device().in_reset


@row(f"{RESET}: hard during a compute reset is remembered", NEW, (0, True, True, 0))
def _(s: AccelSystem) -> object:
    call = s.call("compute_reset", 0)
    while call.at is None or not call.at.label.startswith("compute reset: stopped"):
        call.step()
    asked, remembered = s.hard_reset(), s.device().remembered is not None
    call.run()
    return asked, remembered, s.device().hard_reset_pending, s.finish_reset()


@row(f"{RESET}: hard during a compute reset is dropped, 5.x", OLD, (0, False))
def _(s: AccelSystem) -> object:
    call = s.call("compute_reset", 0)
    while call.at is None or not call.at.label.startswith("compute reset: stopped"):
        call.step()
    asked = s.hard_reset()
    call.run()
    return asked, s.device().in_reset


row(f"{RESET}: in reset otherwise, dropped", ALL, (0, None))(lambda s: (pending(s).hard_reset(), s.device().remembered))
row(f"{RESET}: soft of a broken device, dropped", ("c2",), (0, 0, False))(
    lambda s: (broken(s).compute_reset(), s.device().counters["compute_reset"], s.device().in_reset)
)
row(f"{RESET}: soft of a broken device, done", ("c1",), (0, 1))(
    lambda s: (broken(s).compute_reset(), s.device().counters["compute_reset"])
)
row(f"{RESET}: soft without support becomes hard", NEW, True, compute_reset=False)(
    lambda s: (s.open(0, 0), s.keep_busy(), s.close(0, 0), s.device().hard_reset_pending)[3]
)
row(f"{RESET}: release and hard exclude each other", NEW, False, compute_reset=False, reset_on_release=True)(
    lambda s: (s.open(0, 0), s.close(0, 0), s.device().in_reset)[2]
)
row(f"{RESET}: idle, compute", ALL, (0, 1, False))(
    lambda s: (s.compute_reset(), s.device().counters["compute_reset"], s.device().in_reset)
)
row(f"{RESET}: idle, hard is asynchronous", ALL, (0, True, 0, False))(
    lambda s: (s.hard_reset(), s.device().hard_reset_pending, s.finish_reset(), s.device().in_reset)
)


@row(f"{RESET}: kill stage in trials, without a second signal, then ETIME", NEW, (3, [0], True), kill_trials=2)
def _(s: AccelSystem) -> object:
    s.open(0, 0)
    s.refuse_to_die(0)
    signalled: list[int] = []
    kill = s.device().kill

    def killing(process: Process) -> None:
        signalled.append(process.pid)
        kill(process)

    s.device().kill = killing
    s.hard_reset()
    s.finish_reset()
    return s.device().kill_trials + 1, signalled, s.device().status is Status.MALFUNCTION


@row(f"{RESET}: removal pending, EBUSY is final", NEW, True)
def _(s: AccelSystem) -> object:
    s.open(0, 0)
    s.refuse_to_die(0)
    s.hard_reset()
    s.remove()
    while s.device().working or s.device().queued_work is not None:
        if s.reset_step() == Outcome.WOULD_BLOCK:
            s.advance(1)
    return s.device().kill_trials <= 1


row(f"{RESET}: a failed hard reset breaks the device", ALL, Status.MALFUNCTION)(lambda s: broken(s).device().status)
row(f"{RESET}: not idle after it", ALL, True)(
    lambda s: (s.inject("idle_after_reset"), s.hard_reset(), s.finish_reset(), s.device().disabled)[3]
)
row(f"{RESET}: no memory for the kernel context", ALL, True)(
    lambda s: (s.hard_reset(), s.inject("alloc:kernel context"), s.finish_reset(), s.device().disabled)[3]
)
row(f"{RESET}: two fatal firmware errors", NEW, [False, True])(lambda s: [_fatal(s), _fatal(s)])
row(f"{RESET}: a good heartbeat between two", NEW, [False, False])(lambda s: [_fatal(s), (s.heartbeat(), _fatal(s))[1]])
row(f"{RESET}: two heartbeats that fail", ("c2",), [False, True])(lambda s: [_silent(s), _silent(s)])
row(f"{RESET}: two heartbeats that fail, 6.1", ("c1",), [False, False])(lambda s: [_silent(s), _silent(s)])


def _fatal(s: AccelSystem) -> bool:
    s.firmware_fails()
    s.finish_reset()
    return s.device().disabled


def _silent(s: AccelSystem) -> bool:
    s.heartbeat_fails()
    s.finish_reset()
    return s.device().disabled


@row(f"{RESET}: conditional, an owner that listens", ("c2",), (False, True, E.EIO, True))
def _(s: AccelSystem) -> object:
    owner_opened(s).info(0, 0, Info.REGISTER_EVENTFD)
    s.timeout()
    fence = next(iter(s.device().contexts.values())).ring[1]
    assert fence is not None
    before = s.device().in_reset
    s.tick(30)
    return before, fence.signalled, fence.error, s.device().hard_reset_pending


row(f"{RESET}: conditional, an owner that does not listen", ("c2",), True)(
    lambda s: (owner_opened(s).timeout(), s.device().in_reset)[1]
)

row("2.4 status: fini pending comes first", ("c2",), Status.MALFUNCTION)(
    lambda s: (opened(s).remove(), s.device().status)[1]
)
row("2.4 status: 6.1 shows a removal as a reset", ("c1",), Status.IN_RESET)(
    lambda s: (opened(s).remove(), s.device().status)[1]
)
row("2.4 status: kinds of reset", NEW, (Status.IN_RESET, Status.IN_RESET_AFTER_DEVICE_RELEASE))(
    lambda s: (pending(AccelSystem(s.behaviour)).device().status, in_light_reset(s).device().status)
)
row("2.4 heartbeat: skipped when not operational", ALL, None)(
    lambda s: (pending(s).heartbeat_fails(), s.device().remembered)[1]
)
row("2.4 heartbeat: failure is a hard reset", ALL, True)(
    lambda s: (s.heartbeat_fails(), s.device().hard_reset_pending)[1]
)
row("2.4 suspend: in reset", ALL, E.EIO)(lambda s: pending(s).suspend())
row("2.4 suspend: submissions stay, nobody is killed", ALL, (0, 1, True))(
    lambda s: (owner_opened(s).suspend(), len(s.device().mirror), s.alive(0))
)
row("2.4 resume: whoever had it open is killed", ALL, (0, False))(
    lambda s: (owner_opened(s).suspend(), s.resume(), s.finish_reset(), s.alive(0))[2:]
)
row("2.4 removal: a reset that does not end in time", NEW, (0, False))(lambda s: _stuck_removal(s))


def _stuck_removal(s: AccelSystem) -> object:
    pending(s).remove()
    s.advance(121)
    return int(s.device().in_reset) - 1, s.device().removed


row("2.4 PM: HIGH on acquiring the slot", OLD, "HIGH")(lambda s: opened(s).device().frequency)
row("2.4 PM: acquiring the slot changes nothing", NEW, "LOW")(lambda s: opened(s).device().frequency)
row("2.4 PM: clock by hand, AUTO", ALL, E.EPERM)(lambda s: s.clock_write(True))
row("2.4 PM: clock by hand, MANUAL", ALL, (0, 0))(lambda s: (s.pm_write("manual"), s.clock_write(True)))
row("2.4 sysfs: a write returns success even if the reset is dropped", ALL, (0, 0))(
    lambda s: (pending(s).hard_reset(), s.compute_reset())
)
row("2.4 sysfs: a write returns success without support", NEW, (0, False), compute_reset=False)(
    lambda s: (s.compute_reset(), s.device().in_reset)
)


LEFT_OUT = {
    "2.4 open: file_operations lack the unsigned-offset flag": "a property of the build, not of a run",
    "2.4 CB mmap: vmalloc-backed coherent memory (B34)": "host memory is numpy arrays here",
    "2.4 MEMORY MAP_BLOCK, TS_ALLOC: success": "the device has neither blocks nor timestamp records",
    "2.4 MEMORY UNMAP: unknown kind -EFAULT": "there is no third kind of mapping to make",
    "2.4 MEMORY UNMAP: not mapped -EINVAL": "an address without a mapping is 'no such VA' here",
    "2.5 more than 257 minors": "the drm core's table of minors is not the driver's",
    "2.5 MASTER, AUTH, SET_MASTER": "belongs to the ownership machine",
    "2.5 ivpu, qaic": "other drivers",
}


def test_what_is_left_out_has_a_reason(capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\nhabanalabs: {len(LEFT_OUT)} rows have no test:")
        for name, why in LEFT_OUT.items():
            print(f"  {name}: {why}")
    assert all(LEFT_OUT.values())


@pytest.mark.parametrize(("one", "revision"), row.cases)
def test_row(one: Row, revision: str) -> None:
    one.check(revision)


def test_the_rows_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\nhabanalabs, resets: {row.count()}")
    assert len(row.rows) > 30
