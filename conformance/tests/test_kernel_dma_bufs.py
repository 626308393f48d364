# SPDX-License-Identifier: Apache-2.0
"""The target `kernel` and what is about dma-bufs: short runs on a real Linux, and what was found there, again."""

from collections.abc import Callable, Iterator

import pytest

from accelspec.conformance.campaign import fuzz
from accelspec.conformance.machine import Missing
from accelspec.conformance.machine.system_calls import Buffer, Number, SystemCall
from accelspec.conformance.machine.wire import Step
from accelspec.conformance.targets import Call, Observation, System
from accelspec.conformance.targets.kernel import Kernel
from accelspec.conformance.targets.kernel_dma_bufs import SYNC, descriptor
from accelspec.spec.catalogue import MACHINES
from accelspec.spec.language import compile_machine

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(900)]

REVISION = "6.12.117"
STEPS = 400
SCOPE = {"Process": 2, "Mm": 2, "Fd": 3, "Page": 2, "Address": 2, "File": 4, "DmaBuf": 3, "Message": 2}

FENCES = {"Process": 1, "Mm": 1, "Fd": 5, "File": 5, "Timeline": 2, "Fence": 2, "SyncFile": 3}


Opened = Callable[[str], Kernel]


@pytest.fixture(scope="module")
def opened() -> Iterator[Opened]:
    """A guest for each machine, opened when it is first asked for."""
    kernels: dict[str, Kernel] = {}

    def find(machine: str) -> Kernel:
        try:
            return kernels.get(machine) or kernels.setdefault(machine, Kernel(machine, REVISION))
        except Missing as lack:
            pytest.skip(f"no kernel target here: {lack}".replace("\n", ": "))

    yield find
    for kernel in kernels.values():
        kernel.close()


@pytest.mark.parametrize("machine", ["dma_heap", "udmabuf", "sync_file"])
def test_a_real_kernel_does_what_the_specification_says(machine: str, opened: Opened) -> None:
    spec = compile_machine(MACHINES[machine][REVISION])
    kernel = opened(machine)
    done = fuzz(spec, kernel, seed=7, max_steps=STEPS)
    assert done.disagreement is None, done.disagreement.text()
    assert done.steps >= STEPS
    assert done.steps / done.examples >= 20
    assert sum(map(bool, done.rows.values())) >= 0.5 * len(done.rows)


def run(kernel: Kernel, *lines: str, machine: str = "dma_heap") -> list[Observation]:
    """Calls as in a trace, on a fresh system."""
    kernel.reset(System(machine, REVISION, FENCES if machine == "sync_file" else SCOPE))
    seen = []
    for line in lines:
        operation, _, rest = line.partition("(")
        seen.append(kernel.perform(Call(operation, tuple(rest.rstrip(")").split(", ")))))
    return seen


BUFFER = ("open(process0, fd0)", "alloc(process0, fd0, fd1, RDWR)")


def test_a_process_with_a_private_copy_of_a_heaps_page_cannot_fork(opened: Opened) -> None:
    """H01."""
    lines = ("exit(process1)", *BUFFER, "mmap(process0, fd1, address0, page0, True, True)")
    kernel = opened("dma_heap")
    seen = run(kernel, *lines, "fork(process0, process1, mm1)", "exit(process1)")
    assert [s.result for s in seen] == ["OK"] * 6
    seen = run(
        kernel, *lines, "store(process0, address0)", "fork(process0, process1, mm1)", "munmap(process0, address0)"
    )
    assert [s.result for s in seen[4:]] == ["OK", "ENOMEM", "OK"]


def test_the_command_that_begins_access_to_a_buffer_allocates_on_a_heap(opened: Opened) -> None:
    """H02: the descriptor of the new buffer is told to nobody; it goes with the process."""
    flags = Buffer((3).to_bytes(8, "little"))  # READ | WRITE; the heap takes it for a length of 3 bytes
    step = Step.system_call(0, SystemCall(Number.IOCTL, (descriptor("fd0"), SYNC, flags), out=True))
    kernel = opened("dma_heap")
    run(kernel, "open(process0, fd0)")
    made, _ = kernel.guest.steps([step])
    assert (made[0].result, made[0].data) == (0, flags.data)
    assert kernel.leftovers()["dma-buf"] == 1
    assert kernel.perform(Call("exit", ("process0",))).result == "OK"
    assert kernel.leftovers()["dma-buf"] == 0


def test_memory_that_is_sealed_against_future_writes_gets_a_writer(opened: Opened) -> None:
    """H03, which breaks udmabuf.I05: sealed after the buffer was made, mapped and written after that."""
    memory = ("memfd_create(process0, True)", "seal(process0, SHRINK)")
    made = (*memory, "open(process0, fd0)", "create(process0, fd0, fd1, False)")
    sealed = ("seal(process0, FUTURE_WRITE)", "write_memory(process0, page0)", "create(process0, fd0, fd2, False)")
    mapped = "mmap(process0, fd1, address0, page0, True, False)"
    written = (mapped, "store(process0, address0)", "read_memory(process0, page0)")
    kernel = opened("udmabuf")
    seen = run(kernel, *made, *sealed, *written, machine="udmabuf")
    assert [s.result for s in seen[4:]] == ["OK", "EPERM", "EINVAL", "OK", "OK", "WRITTEN"]


def test_a_fence_that_failed_is_merged_away(opened: Opened) -> None:
    """H04, which breaks sync_file.I03."""
    made = ("open(process0, fd0)", "create_fence(process0, fd0, fd1, 1)")
    failed = (*made, "close(process0, fd0)", "info(process0, fd1)")
    kernel = opened("sync_file")
    seen = run(kernel, *failed, "merge(process0, fd1, fd1, fd2)", "info(process0, fd2)", machine="sync_file")
    assert [s.result for s in seen[3:]] == ["ENOENT", "OK", "READY"]


def test_of_several_fences_one_has_failed_and_whoever_did_not_poll_is_told_that_all_went_well(opened: Opened) -> None:
    """H05: the same calls but for a poll in between."""
    one, other = ((f"open(process0, fd{n})", f"create_fence(process0, fd{n}, fd{n + 1}, 1)") for n in (0, 2))
    over = ("close(process0, fd0)", "advance(process0, fd2)", "info(process0, fd4)")
    kernel = opened("sync_file")
    for asked, told in (((), "READY"), (("poll(process0, fd4)",), "ENOENT")):
        seen = run(kernel, *one, *other, "merge(process0, fd1, fd3, fd4)", *asked, *over, machine="sync_file")
        assert [s.result for s in seen] == ["OK"] * (7 + len(asked)) + [told]
