# SPDX-License-Identifier: Apache-2.0
"""Sync files of one fence and of several, and lists that grow, as linux 6.12.117 has them."""

from accelspec.reference_impl import Errno
from accelspec.reference_impl.dmabuf import System, Usage
from accelspec.reference_impl.dmabuf.buffer import DmaBuf
from accelspec.reference_impl.dmabuf.resv import Resv
from accelspec.reference_impl.kernel import PAGE, Task

E = Errno
READING, WRITING = 1, 2
IN = 1
TASK = Task("a test")


def shared() -> tuple[System, int]:
    """A system, and a buffer of ordinary memory."""
    system = System("D2c")
    return system, system.heap(0, PAGE)


def resv_of(system: System, n: int) -> Resv:
    buffer = system.kernel.processes[0].files.files[n].private_data
    assert isinstance(buffer, DmaBuf)
    return buffer.resv


def two(system: System, n: int) -> tuple[int, int]:
    """Two fences, of two timelines, that a writer has to wait for."""
    return system.fence(0, n, Usage.WRITE), system.fence(0, n, Usage.KERNEL)


def test_an_array_that_listens_tells_of_an_error_and_one_that_does_not_tells_of_none() -> None:
    for asks, status in ((True, E.ETIMEDOUT), (False, 1)):
        system, n = shared()
        two(system, n)
        sync = system.export_sync_file(0, n, READING)
        if asks:
            assert system.poll(0, sync, IN) == 0
        system.advance(10)  # both fences fail
        assert system.sync_status(0, sync) == status
        assert system.poll(0, sync, IN) == IN
        assert system.sync_status(0, sync) == status  # found signaled, it keeps what it said


def test_an_array_that_listens_outlives_its_file() -> None:
    system, n = shared()
    first, second = two(system, n)
    sync = system.export_sync_file(0, n, READING)
    assert system.poll(0, sync, IN) == 0
    system.close(0, n)
    system.close(0, sync)
    system.signal(0, first)
    assert system.leftovers().get("fence") == 2
    system.signal(0, second)
    assert system.leftovers().get("fence") is None
    assert system.findings == []


def test_merging_keeps_the_latest_of_each_timeline_and_leaves_out_what_is_over() -> None:
    system, n = shared()
    other = system.heap(0, PAGE)
    first = system.fence(0, n, Usage.WRITE, 1)
    early = system.export_sync_file(0, n, READING)
    system.fence(0, n, Usage.WRITE, 1)
    late = system.export_sync_file(0, n, READING)
    merged = system.merge(0, late, early)
    assert system.import_sync_file(0, other, WRITING, merged) == 0
    assert [entry.fence.seqno for entry in resv_of(system, other).entries] == [2]
    system.signal(0, first)
    assert system.sync_status(0, system.merge(0, early, early)) == 1


def test_exporting_does_not_wait_for_the_lock() -> None:
    system, n = shared()
    system.fence(0, n, Usage.WRITE)
    for _ in resv_of(system, n).lock(TASK):
        pass
    assert system.export_sync_file(0, n, READING) > 0


def test_a_list_that_grows_leaves_behind_what_is_signaled_and_no_other_does() -> None:
    system, n = shared()
    resv = resv_of(system, n)
    over = system.fence(0, n, Usage.BOOKKEEP)
    system.fence(0, n, Usage.BOOKKEEP)
    system.signal(0, over)
    assert resv.reserve(TASK, 2) == 0
    assert [entry.fence.signaled for entry in resv.entries] == [True, False]
    assert resv.reserve(TASK, 3) == 0
    assert [entry.fence.signaled for entry in resv.entries] == [False]
    resv.fill()
    system.inject("resv_reserve")
    assert resv.reserve(TASK, 1) == E.ENOMEM


def test_a_test_asks_the_first_fence_that_is_pending_to_tell() -> None:
    system, n = shared()
    system.fence(0, n, Usage.BOOKKEEP)
    (entry,) = resv_of(system, n).entries
    entry.fence.enabled = False  # the promise of a process listens by itself
    assert system.wait_fences(0, n, Usage.BOOKKEEP, 0) == 0
    assert entry.fence.enabled
