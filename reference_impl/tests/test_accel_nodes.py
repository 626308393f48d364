# SPDX-License-Identifier: Apache-2.0
"""The operation tables of facts/habanalabs.md, 2.1 to 2.3 and the ways in of 2.4: nodes, contexts, questions."""

from collections.abc import Callable, Iterable

import numpy as np
import pytest

from accelspec.reference_impl.accel.arguments import (
    Chunk,
    CsArgs,
    DebugOp,
    Ioctl,
)
from accelspec.reference_impl.accel.device import Status
from accelspec.reference_impl.accel.info import CLASSES, Info
from accelspec.reference_impl.accel.ioctl import DRM, MISC, number
from accelspec.reference_impl.accel.packets import Op, Packet
from accelspec.reference_impl.accel.system import AccelSystem
from accelspec.reference_impl.kernel import PAGE, Errno, Outcome
from accelspec.reference_impl.tests.accel_scenes import (
    ALL,
    NEW,
    OLD,
    Row,
    Scene,
    Table,
    broken,
    in_light_reset,
    opened,
    owner,
    pending,
)

E = Errno
EXTERNAL, INTERNAL, KERNEL, BINNED = 4, 5, 6, 7
row = Table()

# ---------------------------------------------------------------- 2.1 (a), 2.2 (b), 2.3 (c0): open

row("2.1 open: no such minor", OLD, E.ENXIO)(lambda s: s.open(0, 7))
row("2.4 open: minor unknown", ("c1",), E.ENXIO)(lambda s: s.open(0, 7))
row("2.4 open: minor unknown, drm core", ("c2",), E.ENODEV)(lambda s: s.open(0, 7))
row("2.1 open: disabled", OLD, E.EPERM)(lambda s: broken(s).open(0, 0))
row("2.1 open: in reset", OLD, E.EPERM)(lambda s: pending(s).open(0, 0))
row("2.1 open: in debug mode", ("a",), E.EPERM)(lambda s: (opened(s).debug_on(0, 0), s.open(1, 0))[1])
row("2.2 open: in debug mode", ("b", "c0"), E.EPERM)(lambda s: (opened(s).debug_on(0, 0), s.open(1, 0))[1])
row("2.1 open: open already", ("a",), E.EBUSY)(lambda s: (s.open(0, 0), s.open(1, 0))[1])
row("2.3 open: slot taken", ("c0",), E.EBUSY)(lambda s: (s.open(0, 0), s.open(1, 0))[1])
row("2.2 open: never busy", ("b",), 0)(lambda s: (owner(opened_first(s)), s.open(1, 0))[1])
row("2.1 open: no memory", ("a",), E.ENOMEM)(lambda s: (s.inject("alloc:fd"), s.open(0, 0))[1])
row("2.1 open: no ASID", ("a", "c0"), E.ENOMEM, asids=1)(lambda s: s.open(0, 0))
row("2.2 open: no memory", ("b", "c0"), E.ENOMEM)(lambda s: (s.inject("alloc:fd"), s.open(0, 0))[1])
row("2.2 open: needs no ASID", ("b",), 0, asids=1)(lambda s: s.open(0, 0))
row("2.3 open: memory is asked for before the checks", ("b", "c0"), E.ENOMEM)(
    lambda s: (pending(s).inject("alloc:fd"), s.open(0, 0))[1]
)
row("2.1 open: memory is asked for after the checks", ("a",), E.EPERM)(
    lambda s: (pending(s).inject("alloc:fd"), s.open(0, 0))[1]
)
row("2.1 open: ok", ("a", "c0"), (0, True, "HIGH", 1))(
    lambda s: (s.open(0, 0), s.device().taken, s.device().frequency, len(s.device().contexts))
)
row("2.2 open: ok", ("b",), (0, False, "LOW", 0))(
    lambda s: (s.open(0, 0), s.device().taken, s.device().frequency, len(s.device().contexts))
)


def opened_first(s: AccelSystem) -> AccelSystem:
    """Let the posted scheme make a context before the first submission, as a legacy program happens to."""
    return s


@row("2.3 open: context creation fails with its errno", ("c0", "c1", "c2"), E.EAGAIN)
def _(s: AccelSystem) -> object:
    s.inject("context_handle", E.EAGAIN)
    return s.open(0, 0)


# ---------------------------------------------------------------- every ioctl

row("2.1 ioctl: hard reset pending", OLD, E.ENODEV)(lambda s: (s.open(0, 0), pending(s).info(0, 0))[1])
row("2.1 INFO(DEVICE_STATUS): broken", ("a", "b", "c0"), (0, Status.MALFUNCTION))(
    lambda s: (s.open(0, 0), s.refuse_to_die(0), broken(s).info(0, 0), s.ask(0, 0)["status"])[2:]
)


@row("2.1 INFO(other), CB, MEMORY, DEBUG: disabled or in reset", OLD, [E.EBUSY] * 4)
def _(s: AccelSystem) -> object:
    s.open(0, 0)
    s.refuse_to_die(0)
    broken(s)
    return [s.info(0, 0, Info.HW_IDLE), s.cb_create(0, 0), s.alloc(0, 0), s.debug_on(0, 0)]


@row("2.1 CS: disabled or in reset", ALL, (E.EBUSY, True))
def _(s: AccelSystem) -> object:
    opened(s)
    in_light_reset(s)
    args = CsArgs()
    result = s.ioctl(0, 0, number(s.behaviour, Ioctl.CS), args)
    return result, s.behaviour.context == "at first use" or args.seq == (1 << 64) - 1


@row("2.1 final close", ("a",), (True, 0, False, 0))
def _(s: AccelSystem) -> object:
    s.open(0, 0)
    held = s.device().taken
    return held, s.close(0, 0), s.device().taken, len(s.device().contexts)


@row(
    "2.1 hard reset, fd open: the lock is held, the user killed, then the reset goes on",
    ("a",),
    (Outcome.WOULD_BLOCK, 0),
)
def _(s: AccelSystem) -> object:
    s.open(0, 0)
    s.refuse_to_die(0)
    s.hard_reset()
    s.reset_step()
    s.reset_step()
    return s.open(1, 0), s.finish_reset()


row("2.1 PM profile: fd open", ("a",), E.EPERM)(lambda s: (s.open(0, 0), s.pm_write("manual"))[1])

# ---------------------------------------------------------------- 2.2 (b): the validity check


def posted(s: AccelSystem) -> AccelSystem:
    """Let descriptors 0 and 1 of process 0 be open."""
    s.open(0, 0)
    s.open(0, 0)
    return s


row("2.2 V 1: exists, any, no", ("b",), 0)(lambda s: (posted(s).info(0, 0, 0), s.info(0, 0, 0))[1])
row("2.2 V 2: exists, = f, yes", ("b",), 1)(lambda s: (posted(s).cb_create(0, 0), s.submit(0, 0))[1])


@row("2.2 V 3: exists, other, yes", ("b", "intended"), E.EACCES)
def _(s: AccelSystem) -> object:
    posted(s).cb_create(0, 0)
    s.info(0, 1, 0)
    return s.submit(0, 1)


@row("2.2 V 4: exists, none, yes: upgrade", ("b", "intended"), (1, True, "HIGH", True))
def _(s: AccelSystem) -> object:
    posted(s).info(0, 0, 0)
    fd = s.fd(0, 0)
    assert fd is not None
    before = fd.context
    return s.submit(0, 0), s.device().taken, s.device().frequency, fd.context is before


@row("2.2 V 4: upgrade leaves the frequency of a manual profile", ("b",), "LOW")
def _(s: AccelSystem) -> object:
    posted(s).pm_write("manual")
    s.cb_create(0, 0)
    return s.device().frequency


@row("2.2 V 5: none, set, yes: nothing is created", ("b", "intended"), (E.EACCES, 1))
def _(s: AccelSystem) -> object:
    posted(s).cb_create(0, 0)
    return s.cb_create(0, 1), len(s.device().contexts)


@row("2.2 V 6: none, any, no: create", ("b", "intended"), (0, 2, False))
def _(s: AccelSystem) -> object:
    posted(s).cb_create(0, 0)
    answer = s.info(0, 1, 0)
    fd = s.fd(0, 1)
    assert fd is not None
    assert fd.context is not None
    return answer, len(s.device().contexts), fd.context.computes


row("2.2 V 6: no ASID", ("b",), E.EACCES, asids=1)(lambda s: posted(s).info(0, 0, 0))
row("2.2 V 7: none, none, yes: create, slot, frequency", ("b", "intended"), (True, "HIGH"))(
    lambda s: (posted(s).cb_create(0, 0), s.device().taken, s.device().frequency)[1:]
)
row("2.2 V 7: creation fails", ("b",), (E.EACCES, False))(
    lambda s: (posted(s).inject("alloc:context"), s.cb_create(0, 0), s.device().taken)[1:]
)

row("2.2 INFO: DEVICE_STATUS makes no context", ("b",), (0, 0))(
    lambda s: (posted(s).info(0, 0), len(s.device().contexts))
)
row("2.2 INFO: no context", ("b",), E.EACCES)(lambda s: (posted(s).inject("page_tables"), s.info(0, 0, 0))[1])
row("2.2 INFO: unknown op", OLD, E.ENOTTY)(lambda s: (s.open(0, 0), s.info(0, 0, 99))[1])
row("2.2 INFO: zero size", ALL, E.EINVAL)(lambda s: (s.open(0, 0), s.info(0, 0, 0, size=0))[1])
row("2.2 INFO: bad copy", ALL, E.EFAULT)(lambda s: (s.open(0, 0), s.inject("copy_to_user"), s.info(0, 0, 0))[2])


@row("2.2 INFO: DRAM_USAGE is the caller's own", ("b",), (8192, 0))
def _(s: AccelSystem) -> object:
    posted(s).info(0, 0, 0)
    s.alloc(0, 0, 8192)
    return s.ask(0, 0, Info.DRAM_USAGE)["ctx_used"], s.ask(0, 1, Info.DRAM_USAGE)["ctx_used"]


row("2.2 CB: hard pending", ("b",), E.ENODEV)(lambda s: (posted(s), pending(s).cb_create(0, 0))[1])
row("2.2 CB: in reset", ("b",), E.EBUSY)(lambda s: (posted(s), in_light_reset(s).cb_create(0, 0))[1])
row("2.2 CS: EACCES does not fill the output", ("b",), (E.EACCES, 5))(lambda s: _unfilled(s))
row("2.2 WAIT_CS: acquires the slot, then EINVAL", ("b",), (E.EINVAL, True))(
    lambda s: (posted(s).wait(0, 0, 1), s.device().taken)
)
row("2.2 WAIT_CS: somebody computes", ("b",), E.EACCES)(lambda s: (posted(s).cb_create(0, 0), s.wait(0, 1, 1))[1])
row("2.2 MEMORY: somebody computes", ("b",), E.EACCES)(lambda s: (posted(s).cb_create(0, 0), s.alloc(0, 1))[1])
row("2.2 MEMORY: in reset", ("b",), E.EBUSY)(lambda s: (posted(s), in_light_reset(s).alloc(0, 0))[1])
row("2.2 MEMORY: first ioctl of all", ("b",), Outcome.OOPS)(lambda s: posted(s).alloc(0, 0))
row("2.2 CS: first ioctl of all", ("b",), Outcome.OOPS)(lambda s: posted(s).submit(0, 0))
row("2.2 DEBUG: somebody computes", ("b",), E.EACCES)(lambda s: (posted(s).cb_create(0, 0), s.debug_on(0, 1))[1])
row("2.2 DEBUG: more than one fd open", ("b",), E.EPERM)(lambda s: posted(s).debug_on(0, 0))
row("2.2 DEBUG: off when off", ALL, E.EFAULT)(lambda s: opened(s).debug_off(0, 0))
row("2.2 DEBUG: on when on", ALL, E.EFAULT)(lambda s: (opened(s).debug_on(0, 0), s.debug_on(0, 0))[1])
row("2.2 DEBUG: other op while not in debug mode", ALL, E.EFAULT)(lambda s: opened(s).debug(0, 0, DebugOp.ETR))
row("2.2 DEBUG: other op in debug mode", ALL, 0)(lambda s: (opened(s).debug_on(0, 0), s.debug(0, 0, DebugOp.ETR))[1])
row("2.2 mmap: unknown handle", ALL, E.EINVAL)(lambda s: opened(s).mmap(0, 0, 99 << 12, 1))
row("2.2 dup: none", ALL, (3, 1, 0))(lambda s: (owner_or_open(s).dup(0, 0, 3), s.info(0, 3) + 1, s.close(0, 0)))
row("2.2 close of a non-last duplicate: none", ALL, (0, True))(
    lambda s: (opened(s).dup(0, 0, 3), s.close(0, 0), s.device().taken)[1:]
)


def owner_or_open(s: AccelSystem) -> AccelSystem:
    """Let descriptor 0 be open."""
    s.open(0, 0)
    return s


def _unfilled(s: AccelSystem) -> object:
    posted(s).cb_create(0, 0)
    args = CsArgs(seq=5)
    return s.ioctl(0, 1, number(s.behaviour, Ioctl.CS), args), args.seq


@row("2.2 final release: draining, the slot empties at the end", ("b", "intended"), (True, E.EACCES, False, 1))
def _(s: AccelSystem) -> object:
    posted(s).cb_create(0, 0)
    s.info(0, 1, 0)
    s.submit(0, 0)
    s.close(0, 0)
    held = s.device().taken
    refused = s.submit(0, 1)
    s.complete()
    return held, refused, s.device().taken, s.submit(0, 1)


row("2.2 LOW-frequency job: slot none", ("b",), "LOW")(
    lambda s: (posted(s).cb_create(0, 0), s.close(0, 0), s.frequency_tick(), s.device().frequency)[3]
)
row("2.2 LOW-frequency job: slot set", ("b",), "HIGH")(
    lambda s: (posted(s).cb_create(0, 0), s.frequency_tick(), s.device().frequency)[2]
)
row("2.2 pm_mng_profile: slot set", ("b", "c0", "c1", "c2"), E.EPERM)(lambda s: opened(s).pm_write("manual"))
row("2.2 pm_mng_profile: bad text", ALL, E.EINVAL)(lambda s: s.pm_write("maybe"))
row("2.2 pm_mng_profile: not usable", ALL, E.ENODEV)(lambda s: pending(s).pm_write("manual"))
row("2.2 pm_mng_profile: ok", ALL, 0)(lambda s: s.pm_write("manual"))


@row("2.2 hard reset: every fd is killed, the reset goes on, the slot is empty", ("b",), (0, False, True, False))
def _(s: AccelSystem) -> object:
    s.open(0, 0)
    s.open(1, 0)
    s.cb_create(1, 0)
    s.refuse_to_die(1)
    s.hard_reset()
    return s.finish_reset(), s.alive(0), s.alive(1), s.device().taken


@row("2.2 hard reset: submissions are rolled back before the kill", ("b", "c0", "c1", "c2"), ("rolled back", E.EIO))
def _(s: AccelSystem) -> object:
    opened(s)
    s.submit(0, 0)
    s.hard_reset()
    fence = next(iter(s.device().contexts.values())).ring[1]
    while not s.killed:
        if s.reset_step() == Outcome.WOULD_BLOCK:
            s.advance(1)
        if fence is not None and fence.signalled and not s.killed:
            return "rolled back", fence.error
    return "killed first"


@row("2.2 soft reset: fds and contexts survive, the switch runs again", ALL, (0, 1, True, 0))
def _(s: AccelSystem) -> object:
    opened(s)
    s.submit(0, 0)
    context = next(iter(s.device().contexts.values()))
    return s.compute_reset(), len(s.device().contexts), context.must_switch, len(s.device().mirror)


@row("2.2 soft reset: failure escalates to hard", ALL, (True, 0))
def _(s: AccelSystem) -> object:
    s.inject("test_queues", E.EIO)
    s.compute_reset()
    return s.device().hard_reset_pending, s.finish_reset()


@row("2.2 removal", ("b", "c0", "c1", "c2"), (0, False, True))
def _(s: AccelSystem) -> object:
    opened(s)
    return s.finish_removal(), s.alive(0), s.device().removed


# ---------------------------------------------------------------- 2.3: the control node

CONTROL = ("c0", "c1", "c2")
row("2.3 open(control): no such minor", CONTROL, E.ENXIO)(lambda s: s.open_control(0, 7))
row("2.3 open(control): no memory", CONTROL, E.ENOMEM)(lambda s: (s.inject("alloc:fd"), s.open_control(0))[1])
row("2.3 open(control): in reset", ("c0", "c1"), E.EPERM)(lambda s: pending(s).open_control(0))
row("2.4 open(control): opens during reset", ("c2",), 0)(lambda s: pending(s).open_control(0))
row("2.4 open(control): broken", CONTROL, E.EPERM)(lambda s: broken(s).open_control(0))
row("2.3 open(control): unlimited", CONTROL, (0, 1, 2))(
    lambda s: (s.open_control(0), s.open_control(0), s.open_control(0))
)
row("2.3 control: any ioctl but INFO", CONTROL, [E.ENOTTY] * 5)(
    lambda s: [s.open_control(0), *(s.ioctl(0, 0, number(s.behaviour, kind)) for kind in list(Ioctl)[1:])][1:]
)
row("2.3 control: hard resets kill monitors", ("c0",), False)(
    lambda s: (s.open_control(0), s.hard_reset(), s.finish_reset(), s.alive(0))[3]
)
row("2.4 control: hard resets spare monitors", NEW, True)(
    lambda s: (s.open_control(0), s.hard_reset(), s.finish_reset(), s.alive(0))[3]
)
row("2.3 debug mode: others may have it open", ("c0",), 0)(
    lambda s: (s.open(0, 0), s.open_control(1), s.debug_on(0, 0))[2]
)

# ---------------------------------------------------------------- 2.4 open(compute)

row("2.4 open: O_EXCL ignored", ("c1",), 0)(lambda s: s.open(0, 0, exclusive=True))
row("2.4 open: O_EXCL", ("c2",), E.EBUSY)(lambda s: s.open(0, 0, exclusive=True))
row("2.4 open: in reset", NEW, E.EAGAIN)(lambda s: pending(s).open(0, 0))
row("2.4 open: in reset after release", NEW, E.EAGAIN)(lambda s: in_light_reset(s).open(0, 0))
row("2.4 open: malfunction", NEW, E.EPERM)(lambda s: broken(s).open(0, 0))


@row("2.4 open: needs reset", NEW, E.EPERM, reset_on_lockup=False)
def _(s: AccelSystem) -> object:
    owner(s)
    s.timeout()
    return s.open(1, 0)


@row("2.4 open: scrub of device memory running", NEW, E.EAGAIN)
def _(s: AccelSystem) -> object:
    s.device().scrubbing = True
    return s.open(0, 0)


@row("2.4 open: the owner is leaving", ("c1",), E.EAGAIN)
def _(s: AccelSystem) -> object:
    owner(s)
    s.close(0, 0)  # its submission holds the context
    return s.open(1, 0)


@row("2.4 open: removal runs", ("c2",), E.EPERM)
def _(s: AccelSystem) -> object:
    opened(s)
    assert s.remove() == Outcome.WOULD_BLOCK
    return s.open(1, 0)


row("2.4 open: slot active", NEW, E.EBUSY)(lambda s: (s.open(0, 0), s.open(1, 0))[1])
row("2.4 open: no ASID", NEW, E.ENOMEM, asids=1)(lambda s: s.open(0, 0))
row("2.4 open: ok", NEW, (0, True, 1))(lambda s: (s.open(0, 0), s.device().taken, s.device().counters["open"]))
row("2.4 open: in release is tested before active", NEW, (E.EBUSY, E.EAGAIN))(lambda s: _leaving(s))
row("2.4 status: in device creation counts as operational", NEW, Status.IN_DEVICE_CREATION)(lambda s: _in_creation(s))


def _leaving(s: AccelSystem) -> object:
    s.open(0, 0)
    busy = s.open(1, 0)
    call = s.call("close", 0, 0)
    while not s.device().in_release:
        call.step()
    return busy, s.open(1, 0)


def _in_creation(s: AccelSystem) -> object:
    s.device().init_done = False
    assert s.open(0, 0) == 0
    return s.device().status


# ---------------------------------------------------------------- 2.4 ioctl entry

row("2.4 ioctl entry: hdev NULL", ("c1",), E.ENODEV)(lambda s: _survivor(s, lambda: s.info(0, 0)))
row("2.4 ioctl entry: hdev NULL is followed (the source of 6.12, not the sheet)", ("c2",), Outcome.OOPS)(
    lambda s: _survivor(s, lambda: s.info(0, 0))
)
row("2.4 ioctl entry: number out of range", ("c1",), [E.ENOTTY, E.ENOTTY])(
    lambda s: (s.open(0, 0), [s.ioctl(0, 0, MISC), s.ioctl(0, 0, MISC + 7)])[1]
)
row("2.4 ioctl entry: wrong type", ("c2",), E.ENOTTY)(lambda s: (s.open(0, 0), s.ioctl(0, 0, MISC + 1))[1])
row("2.4 ioctl entry: unknown number", ("c2",), E.EINVAL)(lambda s: (s.open(0, 0), s.ioctl(0, 0, DRM + 7))[1])


def _survivor(s: AccelSystem, call: Callable[[], object]) -> object:
    s.open(0, 0)
    s.refuse_to_die(0)
    s.finish_removal()
    return call()


row("2.4 removal: mmap of a survivor", NEW, E.ENODEV)(lambda s: _survivor(s, lambda: s.mmap(0, 0, 1 << 12, 1)))
row("2.4 removal: close of a survivor", NEW, 0)(lambda s: _survivor(s, lambda: s.close(0, 0)))
row("2.2 removal: a survivor's ioctl", OLD, Outcome.OOPS)(lambda s: _survivor(s, lambda: s.info(0, 0)))

# ---------------------------------------------------------------- 2.4 INFO

EVENTS = (Info.GET_EVENTS, Info.REGISTER_EVENTFD, Info.UNREGISTER_EVENTFD)
ALWAYS_61, BUSY_61 = CLASSES["6.1"]
ALWAYS_612, BUSY_612 = CLASSES["6.12"]


def _asked(s: AccelSystem, questions: Iterable[Info], *, control: bool) -> set[int]:
    assert (s.open_control(0) if control else s.open(0, 0)) == 0
    s.refuse_to_die(0)
    broken(s)
    return {s.info(0, 0, question) for question in questions if question not in EVENTS}


def _asking(questions: Iterable[Info], *, control: bool) -> Scene:
    return lambda s: _asked(s, questions, control=control)


for control in (False, True):
    who = "control" if control else "compute"
    row(f"2.4 INFO always, {who}", ("c1",), {0})(_asking(ALWAYS_61, control=control))
    row(f"2.4 INFO always, {who}", ("c2",), {0})(_asking(ALWAYS_612, control=control))
    row(f"2.4 INFO if operational, {who}", ("c1",), {E.EBUSY})(_asking(BUSY_61, control=control))
    row(f"2.4 INFO if operational, {who}", ("c2",), {E.EBUSY})(_asking(BUSY_612, control=control))

row("2.4 INFO if operational: it is", NEW, {0})(
    lambda s: (s.open(0, 0), {s.info(0, 0, q) for q in BUSY_61 & BUSY_612 if q not in EVENTS})[1]
)
row("2.4 INFO events on a control fd", ("c2",), [E.EOPNOTSUPP] * 3)(
    lambda s: (s.open_control(0), [s.info(0, 0, q) for q in EVENTS])[1]
)
row("2.4 INFO unknown op", NEW, E.EINVAL)(lambda s: (s.open(0, 0), s.info(0, 0, 99))[1])
row("2.4 INFO unknown op: not operational", NEW, E.EBUSY)(
    lambda s: (s.open(0, 0), s.refuse_to_die(0), broken(s).info(0, 0, 99))[2]
)
row("2.4 INFO pad", ("c2",), E.EINVAL)(lambda s: (s.open(0, 0), s.info(0, 0, 0, pad=1))[1])
row("2.4 INFO eventfd registered twice", NEW, [0, E.EINVAL])(
    lambda s: (s.open(0, 0), [s.info(0, 0, Info.REGISTER_EVENTFD) for _ in range(2)])[1]
)
row("2.4 INFO eventfd not registered", NEW, E.EINVAL)(
    lambda s: (s.open(0, 0), s.info(0, 0, Info.UNREGISTER_EVENTFD))[1]
)


@row("2.4 INFO USER_MAPPINGS: buffer too small", ("c2",), E.ENOMEM)
def _(s: AccelSystem) -> object:
    opened(s)
    s.map_host(0, 0, np.zeros(PAGE, np.uint8))
    s.submit(0, 0, Chunk(data=Packet(Op.FILL, n=1, dst=64).encode()))
    s.run()
    return s.info(0, 0, Info.USER_MAPPINGS, size=8)


@row("2.4 INFO: a control fd has no context's counters", NEW, (8192, 0, True))
def _(s: AccelSystem) -> object:
    opened(s)
    s.alloc(0, 0, 8192)
    s.open_control(1)
    own, other = s.ask(0, 0, Info.DRAM_USAGE), s.ask(1, 0, Info.DRAM_USAGE)
    return own["ctx_used"], other["ctx_used"], own["free"] == other["free"]


@pytest.mark.parametrize(("one", "revision"), row.cases)
def test_row(one: Row, revision: str) -> None:
    one.check(revision)


def test_the_rows_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\nhabanalabs, nodes, contexts, INFO: {row.count()}")
    assert len(row.rows) > 80
