# SPDX-License-Identifier: Apache-2.0
"""The kernel that looks at itself: it finds nothing in what is right, what is wrong is found, and no failing allocation
leaves anything behind.  All of it is slow; where the kernel cannot be compiled it is skipped with the reason.

What is expected of a failing allocation, before the first run: a call answers ENOMEM, or does without the memory and
succeeds.  The functions in front of the drivers (getname, alloc_empty_file, the memory maps) have no other way, and in
uacce kzalloc, xa_alloc, cdev_alloc and the bond are checked, and each error is handed on.  Where a copy to or from user
space fails instead, the answer is EFAULT; the agent passes over it to what fails next, and it must leave nothing, too.
"""

import functools
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from accelspec.conformance.campaign import fuzz, roomy_scope
from accelspec.conformance.machine import Missing
from accelspec.conformance.machine.base import UACCE
from accelspec.conformance.machine.system_calls import (
    FIRST_FD,
    PAGE,
    Buffer,
    Direction,
    Number,
    SystemCall,
    ioctl_number,
    mapping_at,
)
from accelspec.conformance.machine.wire import Step
from accelspec.conformance.targets import Call, System
from accelspec.conformance.targets.kernel import ADAPTERS, DEBUG, Kernel, Swept
from accelspec.conformance.targets.kernel_uacce import PUT, START
from accelspec.model.verdict import Budget
from accelspec.spec.catalogue import MACHINES
from accelspec.spec.language import Specification, compile_machine

pytestmark = [pytest.mark.conformance, pytest.mark.slow, pytest.mark.timeout(7200)]

REVISION = "6.12.117"
MACHINE_STEPS = {"uacce": 5_000}
OTHER_STEPS, SELDOM_STEPS = 1_500, 8_000
KMEMLEAK = "/sys/kernel/debug/kmemleak"

Opened = Callable[[str], Kernel]


@functools.cache
def specification(machine: str) -> Specification:
    return compile_machine(MACHINES[machine][REVISION])


@pytest.fixture(scope="module")
def opened() -> Iterator[Opened]:
    """The guest of a machine; one at a time, since this kernel is never quite idle."""
    kernels: dict[str, Kernel] = {}

    def find(machine: str) -> Kernel:
        if machine not in kernels:
            while kernels:
                kernels.popitem()[1].close()
            try:
                kernels[machine] = Kernel(machine, REVISION, {DEBUG: "yes"})
            except Missing as lack:
                pytest.skip(f"no debug kernel here: {lack}".replace("\n", ": "))
        return kernels[machine]

    yield find
    for kernel in kernels.values():
        kernel.close()


def fresh(machine: str) -> System:
    cells = {f"hwQueue{n}.device": "device0" for n in range(2)} if machine == "uacce" else {}
    scope = {**roomy_scope(specification(machine)), **({"HwQueue": 2, "Device": 1, "Qm": 1} if cells else {})}
    return System(machine, REVISION, scope, cells)


def call(line: str) -> Call:
    operation, _, rest = line.partition("(")
    return Call(operation, tuple(rest.rstrip(")").split(", ")))


def write(kernel: Kernel, path: str, text: str) -> None:
    """To a file of the guest, by its first process."""
    slot, data = 31, text.encode()
    calls = (
        SystemCall(Number.OPEN, (Buffer(path.encode() + b"\0"), 1), slot=slot),
        SystemCall(Number.WRITE, (FIRST_FD + slot, Buffer(data), len(data))),
        SystemCall(Number.CLOSE, (FIRST_FD + slot,)),
    )
    for made, expected in zip(calls, (0, len(data), 0), strict=True):
        (answer,), _ = kernel.guest.steps([Step.system_call(0, made, expected)])
        assert answer.result == expected


# ------------------------------------------------------------------ what is right, and what is not


@pytest.mark.parametrize("machine", ADAPTERS)
def test_it_finds_nothing_in_what_is_right(machine: str, opened: Opened) -> None:
    most = MACHINE_STEPS.get(machine, OTHER_STEPS)
    done = fuzz(specification(machine), opened(machine), seed=13, max_steps=most, budget=Budget(900))
    assert done.disagreement is None, done.disagreement.text()
    assert done.steps >= 500


ALLOCATING = {
    "drm_master": ("open.no_memory", "set_master.no_memory", "create_lease.no_memory"),
    "dma_heap": ("alloc.no_memory",),
    "udmabuf": ("create.no_memory",),
    "sync_file": ("merge.no_memory",),
}


@pytest.mark.parametrize("machine", ALLOCATING)
def test_the_rows_of_failing_allocations_are_taken(machine: str, opened: Opened) -> None:
    """No other kernel reaches them."""
    done = fuzz(specification(machine), opened(machine), seed=14, max_steps=SELDOM_STEPS, budget=Budget(900))
    assert done.disagreement is None, done.disagreement.text()
    assert all(done.rows[row] for row in ALLOCATING[machine])


def test_a_use_after_free_is_found(opened: Opened, tmp_path: Path) -> None:
    text = (opened("uacce").machine.image.folder.parent / "source" / UACCE).read_text()
    release = text.index("static int uacce_fops_release")
    broken = text[:release] + text[release:].replace(
        "	kfree(q);\n", "	kfree(q);\n	q->state = UACCE_Q_ZOMBIE;\n", 1
    )
    assert broken != text
    source = tmp_path / "uacce.c"
    source.write_text(broken)
    wrong = Kernel("uacce", REVISION, {DEBUG: "yes", "uacce-source": str(source)})
    try:
        wrong.reset(fresh("uacce"))
        seen = [wrong.perform(call(line)) for line in (*OPENED, "close(process0, fd0)")]
    finally:
        wrong.close()
    assert not any(one.alarms for one in seen[:-1])
    assert "KASAN: slab-use-after-free" in " ".join(seen[-1].alarms)


# ------------------------------------------------------------------ allocations that fail

HEAP = ("open(process0, fd0)", "alloc(process0, fd0, fd1, RDWR)")
MEMORY = ("memfd_create(process0, True)", "seal(process0, SHRINK)", "open(process0, fd0)")
FENCES = ("open(process0, fd0)", "create_fence(process0, fd0, fd1, 1)")
GUEST = ("open(process0, fd0, device0, PRIMARY, False)", "open(process0, fd1, device0, PRIMARY, False)")
# Calls of each machine; the last one of each line has allocations that fail.
SWEPT = {
    "dma_heap": (
        HEAP[:1],
        HEAP,
        (*HEAP, "mmap(process0, fd1, address0, page0, True, False)"),
        (*HEAP, "sync(process0, fd1, START)"),
        (*HEAP, "set_name(process0, fd1, GOOD)"),
        (*HEAP, "poll(process0, fd1, True)"),
    ),
    "udmabuf": (
        (*MEMORY, "create(process0, fd0, fd1, False)"),
        (*MEMORY, "create(process0, fd0, fd1, True)"),
        (*MEMORY, "create(process0, fd0, fd1, False)", "sync(process0, fd1, START)"),
        (*MEMORY, "create(process0, fd0, fd1, False)", "mmap(process0, fd1, address0, page0, True, False)"),
    ),
    "sync_file": (
        FENCES[:1],
        FENCES,
        (*FENCES, "merge(process0, fd1, fd1, fd2)"),
        (*FENCES, "create_fence(process0, fd0, fd2, 2)", "merge(process0, fd1, fd2, fd3)"),
        (*FENCES, "info(process0, fd1)"),
        (*FENCES, "poll(process0, fd1)"),
        (*FENCES, "advance(process0, fd0)"),
    ),
    "drm_master": (
        ("open(process0, fd0, device0, PRIMARY, False)",),
        ("open(process0, fd0, device0, PRIMARY, False)", "get_magic(process0, fd0)"),
        ("open(process0, fd0, device0, PRIMARY, False)", "create_lease(process0, fd0, fd1, DISPLAY)"),
        (*GUEST, "drop_master(process0, fd0)", "set_master(process0, fd1)"),
    ),
}
OPENED = ("alloc(device0)", "register(device0)", "open(process0, fd0, device0, False)")
CONTROL_FD = 901
DEVICE_0 = Buffer(struct.pack("<II", 0, 0))


def provider(number: int) -> SystemCall:
    """What alloc, register and remove ask of the provider (abi.h)."""
    command = ioctl_number(Direction.WRITE, "A", number, 8)
    return SystemCall(Number.IOCTL, (CONTROL_FD, command, DEVICE_0))


def mapped(offset: int) -> SystemCall:
    shared_at, read_write = 0x100001, 3
    arguments = (mapping_at(0), 2 * PAGE, read_write, shared_at, FIRST_FD, offset * PAGE)
    return SystemCall(Number.MMAP, arguments)


MAPPED = (*OPENED, "mmap(process0, fd0, MMIO, False)")
STARTED = (*OPENED, "start(process0, fd0)")
# uacce by what is called, with what comes before it.
UACCE_CALLS: dict[str, tuple[tuple[str, ...], SystemCall]] = {
    "alloc": ((), provider(4)),
    "register": (OPENED[:1], provider(5)),
    "remove": (MAPPED, provider(6)),
    "open": (OPENED[:2], SystemCall(Number.OPEN, (Buffer(b"/nodes/0\0"), 2), slot=0)),
    "start": (OPENED, SystemCall(Number.IOCTL, (FIRST_FD, START, 0))),
    "put_q": (STARTED, SystemCall(Number.IOCTL, (FIRST_FD, PUT, 0))),
    "mmap of MMIO": (OPENED, mapped(0)),
    "mmap of DUS": (OPENED, mapped(1)),
    "munmap": (MAPPED, SystemCall(Number.MUNMAP, (mapping_at(0), 2 * PAGE))),
    "munmap of a part": (MAPPED, SystemCall(Number.MUNMAP, (mapping_at(0), PAGE))),
    "close": (MAPPED, SystemCall(Number.CLOSE, (FIRST_FD,))),
}
PASSES = 3  # what fails moves by one where a slab needs a page: what one pass misses another finds
ENOMEM, EFAULT = -12, -14
# What the kernel's log may say: of register the kobject below it; H06 of whatever maps physical pages.
SAID = {"register": "kobject", "mmap": "get_pat_info"}
LINES = [(machine, lines) for machine, found in SWEPT.items() for lines in found]


def check(swept: list[Swept], said: str) -> None:
    """Each failure is ENOMEM or EFAULT, leaves nothing, and is said to nobody; without one the call succeeds."""
    assert swept[-1].result >= 0
    assert not swept[-1].failed
    for one in swept:
        assert one.result >= 0 or one.result in (ENOMEM, EFAULT), one
        assert not one.left, one
        assert not one.log or (said and said in one.log), one


@pytest.mark.parametrize(("machine", "lines"), LINES, ids=[f"{machine}: {lines[-1]}" for machine, lines in LINES])
def test_whatever_fails_in_a_call_is_survived(machine: str, lines: tuple[str, ...], opened: Opened) -> None:
    *before, last = map(call, lines)
    passes = [list(opened(machine).sweep(fresh(machine), before, last)) for _ in range(PASSES)]
    for swept in passes:
        check(swept, SAID.get(last.operation, ""))
    assert any(one.result < 0 for swept in passes for one in swept), "nothing was made to fail"


@pytest.mark.parametrize("name", UACCE_CALLS)
def test_whatever_fails_in_a_call_of_uacce_is_survived(name: str, opened: Opened) -> None:
    before, last = UACCE_CALLS[name]
    for _ in range(PASSES):
        check(list(opened("uacce").sweep(fresh("uacce"), list(map(call, before)), last)), SAID.get(name.split()[0], ""))


def test_nothing_is_lost_to_kmemleak(opened: Opened) -> None:
    """Memory is told of to which nobody points for five seconds: some runs, a while, two scans."""
    kernel = opened("uacce")
    assert fuzz(specification("uacce"), kernel, seed=17, max_steps=1_000, budget=Budget(300)).disagreement is None
    kernel.reset(fresh("uacce"))
    write(kernel, KMEMLEAK, "clear")
    for _ in range(20):
        kernel.reset(fresh("uacce"))
        for line in (*MAPPED, "start(process0, fd0)", "remove(device0)", "close(process0, fd0)"):
            assert kernel.perform(call(line)).result in ("OK", "DONE")
    kernel.reset(fresh("uacce"))
    for _ in range(2):
        kernel.guest.steps([Step.system_call(0, SystemCall(Number.POLL, (0, 0, 6000)))])  # a nap
        write(kernel, KMEMLEAK, "scan")
    assert kernel.read(KMEMLEAK) == ""
