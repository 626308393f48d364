# SPDX-License-Identifier: Apache-2.0
"""The target `kernel`: vkms and vgem of a real Linux; skipped with the reason where no virtual machine can be built."""

from __future__ import annotations

import re
import socket
import statistics
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from accelspec.conformance.campaign import CampaignResult, fuzz
from accelspec.conformance.machine import Missing
from accelspec.conformance.machine.archive import archive
from accelspec.conformance.machine.boot import KERNEL_ARGUMENTS, qemu
from accelspec.conformance.machine.wire import Step
from accelspec.conformance.targets import Call, Observation, System
from accelspec.conformance.targets.kernel import Kernel, TwoProcessors
from accelspec.conformance.targets.kernel_descriptors import Descriptors, lowest
from accelspec.conformance.targets.kernel_drm import MasterBook
from accelspec.conformance.targets.kernel_prime import PrimeBook
from accelspec.model.verdict import Budget
from accelspec.spec.catalogue import MACHINES
from accelspec.spec.drm_master import DrmMaster
from accelspec.spec.drm_master.objects import Client
from accelspec.spec.language import EINVAL, Specification, compile_machine, deduced, replaces

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(900)]

REVISION = "6.12.117"
OUT_OF_REACH = {  # docs/machines/*-kernel-rows.md
    "drm_master": {
        "open.no_memory",
        "set_master.no_memory",
        "create_lease.no_memory",
        "create_lease.ownerless",
        "auth_magic.stale_magic",
    },
    "prime": set[str](),
}


class Counting(Kernel):
    """Counts the calls of every run."""

    lengths: list[int]

    def reset(self, system: System) -> Mapping[str, str]:
        self.lengths = [*getattr(self, "lengths", []), 0]
        return super().reset(system)

    def _run(self, calls: Sequence[tuple[Call, Sequence[Step]]]) -> list[Observation]:
        seen = super()._run(calls)
        self.lengths[-1] += len(seen)
        return seen


@pytest.fixture
def kernel(machine: str) -> Iterator[Counting]:
    try:
        made = Counting(machine, REVISION)
    except Missing as lack:
        pytest.skip(f"no kernel target here: {lack}".replace("\n", ": "))
    yield made
    made.close()


def spec_of(machine: str) -> Specification:
    return compile_machine(MACHINES[machine][REVISION])


def missing(machine: str, done: CampaignResult) -> set[str]:
    """The rows that can be reached and were not taken."""
    return {row for row in spec_of(machine).rows() if not done.rows.get(row)} - OUT_OF_REACH[machine]


@pytest.mark.parametrize("machine", OUT_OF_REACH)
def test_a_real_kernel_does_what_the_specification_says(machine: str, kernel: Counting) -> None:
    done = fuzz(spec_of(machine), kernel, seed=7, max_steps=600, budget=Budget(60))
    assert done.disagreement is None, done.disagreement.text()
    assert done.steps >= 200
    assert len(missing(machine, done)) <= 0.3 * len(spec_of(machine).rows())


@pytest.mark.slow
@pytest.mark.parametrize("machine", OUT_OF_REACH)
def test_the_median_run_is_long_and_the_rows_are_covered(machine: str, kernel: Counting) -> None:
    done = fuzz(spec_of(machine), kernel, seed=11, max_steps=20_000, budget=Budget(120))
    assert done.disagreement is None, done.disagreement.text()
    assert len(missing(machine, done)) <= 0.05 * len(spec_of(machine).rows()), missing(machine, done)
    assert statistics.median(kernel.lengths) >= 30


class Wrong(DrmMaster):
    """A reading of drm_setmaster_ioctl that is wrong in one row."""

    revision = "wrong"
    document = "nowhere"
    unchanged = deduced("all the rest is kept")

    @replaces("set_master.busy")
    def busy(self, c: Client) -> None:
        if c.device.master is not None:
            raise EINVAL("busy", deduced("it is -EBUSY"))


@pytest.mark.parametrize("machine", ["drm_master"])
def test_a_row_that_is_wrong_is_found(machine: str, kernel: Counting) -> None:
    done = fuzz(compile_machine(Wrong), kernel, seed=7, max_steps=600, budget=Budget(60))
    assert done.disagreement is not None
    assert done.disagreement.signature == "set_master.busy -> EBUSY"


@pytest.mark.slow
@pytest.mark.parametrize("machine", OUT_OF_REACH)
def test_calls_that_meet_are_explained_by_an_order(machine: str) -> None:
    try:
        two = TwoProcessors(machine, REVISION)
    except Missing as lack:
        pytest.skip(f"no kernel target here: {lack}".replace("\n", ": "))
    try:
        done = fuzz(spec_of(machine), two, seed=5, max_steps=3000, budget=Budget(60))
    finally:
        two.close()
    assert done.disagreement is None, done.disagreement.text()
    assert done.steps >= 300


def performed(kernel: Kernel, machine: str, *lines: str) -> list[Observation]:
    """Calls as in a trace, on a fresh system, whether the specification offers them or not."""
    spec = spec_of(machine)
    sizes = {k.name: 1 for k in spec.kinds} | {"Process": 2, "Fd": 3, "Device": 2, "Mm": 2}
    kernel.reset(System(machine, REVISION, sizes))
    calls = (line.rstrip(")").partition("(") for line in lines)
    return [kernel.perform(Call(operation, tuple(rest.split(", ")))) for operation, _, rest in calls]


@pytest.mark.parametrize("machine", ["prime"])
def test_what_is_left_over_is_counted_and_does_not_last(machine: str, kernel: Counting) -> None:
    seen = performed(
        kernel,
        machine,
        "open(process0, fd0, device0, PRIMARY)",
        "create(process0, fd0, False)",
        "handle_to_fd(process0, fd0, fd1, handle1, WRITE, True)",
        "open(process1, fd0, device1, RENDER)",
    )
    assert [s.result for s in seen] == ["OK"] * 4
    assert kernel.leftovers() == {"dma-buf": 1, "timeline": 0, "Client": 2}
    performed(kernel, machine, "open(process0, fd0, device0, PRIMARY)")
    assert kernel.leftovers()["dma-buf"] == 0


FINDINGS = Path(__file__).parent / "files" / "drm_findings.c"


def told(kernel: Kernel, folder: Path, what: str, *arguments: str) -> str:
    """What a guest writes whose first process is the reproducer, booted with these arguments besides."""
    image = kernel.machine.image
    subprocess.run(["gcc", "-static", "-O2", "-pthread", "-o", str(folder / "init"), str(FINDINGS)], check=True)
    initrd = folder / "initrd"  # of two archives the second one's init is taken
    initrd.write_bytes(image.initrd.read_bytes() + archive((), {"init": (folder / "init").read_bytes()}))
    places = (folder / name for name in ("agent", "console", "monitor"))
    command = qemu(replace(image, initrd=initrd), "tcg", 1, *places)
    command[command.index(KERNEL_ARGUMENTS)] = " ".join((KERNEL_ARGUMENTS, *arguments, "--", what))
    with socket.socket(socket.AF_UNIX) as agent:  # that nobody speaks to here
        agent.bind(str(folder / "agent"))
        agent.listen(1)
        subprocess.run(command, check=True, timeout=120)
    return (folder / "console").read_text(errors="replace")


@pytest.mark.slow
@pytest.mark.parametrize("machine", ["drm_master"])
def test_a_drop_during_a_lease_leaves_a_master_that_nobody_has(machine: str, kernel: Counting, tmp_path: Path) -> None:
    console = told(kernel, tmp_path, "lease")
    assert [line.partition("finding: ")[2] for line in console.splitlines() if "finding: " in line] == [
        "GETRESOURCES: done",
        "DROP_MASTER while CREATE_LEASE runs: done",
        "CREATE_LEASE: done",
        "SET_MASTER of the former master: Device or resource busy",
        "all are closed",
        "DROP_MASTER of a later client: Permission denied",
        "SET_MASTER of a later client: Permission denied",
        "SET_MASTER of an administrator: Device or resource busy",
        "DROP_MASTER of an administrator: Invalid argument",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("machine", ["drm_master"])
def test_the_same_happens_to_two_threads_without_any_privilege(machine: str, kernel: Counting, tmp_path: Path) -> None:
    console = told(kernel, tmp_path, "race")
    assert "finding: a master that nobody has: done" in console
    assert "finding: SET_MASTER of an administrator: Device or resource busy" in console


@pytest.mark.slow
@pytest.mark.parametrize("machine", ["drm_master"])
def test_a_stale_magic_number_is_written_to_freed_memory(machine: str, kernel: Counting, tmp_path: Path) -> None:
    console = told(kernel, tmp_path, "magic", "slub_debug=FPU")
    assert "finding: AUTH_MAGIC of a closed file: done" in console
    assert "First byte 0x1 instead of 0x6b" in console
    assert re.search(r"Allocated in drm_file_alloc\+.*\n.*Freed in drm_release\+", console)


def test_a_book_knows_which_description_a_descriptor_means() -> None:
    book = Descriptors()
    first = book.opened("process0", "fd0")
    book.did_dup("process0", "fd0", "fd1")
    book.did_fork("process0", "process1")
    book.did_close("process0", "fd0")
    message = book.did_send("process0", "fd1")
    second = book.opened("process0", "fd0")
    book.did_exec("process0", "True")
    assert book.alive(first)
    assert not book.alive(second)
    book.did_exit("process1")
    assert book.alive(first)
    book.did_receive("process0", "fd2", message)
    assert book.leads == {("process0", "fd2"): first}
    book.did_exec("process0", "False")
    ahead = book.copy()
    ahead.did_close("process0", "fd2")
    assert book.alive(first)
    assert not ahead.alive(first)


def test_only_calls_whose_numbers_are_certain_meet() -> None:
    book = PrimeBook()
    for process in ("process0", "process1"):
        book.did_open(process, "fd0", "device0", "PRIMARY")
    book.did_dup("process0", "fd0", "fd1")
    book.did_send("process0", "fd1")
    book.did_receive("process1", "fd1", "message1")
    make = Call("create", ("process0", "fd0", "False"))
    assert book.may_meet([make, Call("create", ("process1", "fd0", "False"))])
    assert not book.may_meet([make, Call("create", ("process1", "fd1", "False"))])
    assert book.may_meet([make, Call("close", ("process1", "fd1"))])
    lend = Call("create_lease", ("process0", "fd0", "fd2", "NOTHING"))
    assert MasterBook().may_meet([lend, Call("drop_master", ("process1", "fd0"))])
    assert not MasterBook().may_meet([lend, Call("close", ("process1", "fd0"))])


def test_a_call_that_will_fail_changes_no_step() -> None:
    book = PrimeBook()
    book.did_open("process0", "fd0", "device0", "PRIMARY")
    assert not book.depends(Call("sync", ("process0", "fd0")), Call("create", ("process1", "fd0", "False")))


def test_the_lowest_number_that_is_free_comes_next() -> None:
    assert [lowest(taken) for taken in ((), (1, 2), (2, 3), (1, 3))] == [1, 3, 1, 2]
