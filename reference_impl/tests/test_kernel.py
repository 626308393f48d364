# SPDX-License-Identifier: Apache-2.0
"""The small kernel by itself: locks, memory, references, wait queues, steps."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelspec.reference_impl.kernel import (
    PAGE,
    Call,
    Errno,
    Findings,
    Kernel,
    Outcome,
    Scheduler,
    Step,
    Task,
    UserFault,
    answer,
    name_of,
    point,
    run_threads,
    schedules,
)
from accelspec.reference_impl.kernel.chardev import DeviceObject, IdTable
from accelspec.reference_impl.kernel.files import FileOperations
from accelspec.reference_impl.kernel.locks import LockGraph, Mutex
from accelspec.reference_impl.kernel.memory import Allocator, Injector
from accelspec.reference_impl.kernel.poll import PollTable, WaitQueue


def crossed(findings: Findings, first: tuple[str, str], second: tuple[str, str]) -> list[Call]:
    graph = LockGraph(findings.report)
    locks = {name: Mutex(name, graph) for name in "abc"}

    def body(task: Task, names: tuple[str, str]) -> Step[int]:
        for name in names:
            yield from locks[name].acquire(task)
        for name in names:
            locks[name].release(task)
        return 0

    tasks = [Task("first"), Task("second")]
    return [Call(task, body(task, names), findings.report) for task, names in zip(tasks, (first, second), strict=True)]


def test_lock_order_is_reported_without_a_deadlock() -> None:
    findings = Findings()
    for call in crossed(findings, ("a", "b"), ("b", "a")):
        assert call.run() == 0
    assert [str(finding) for finding in findings.all] == [
        "lock order: b -> a (second) closes a cycle with a -> b (first)"
    ]


def test_same_order_is_not_reported() -> None:
    findings = Findings()
    for call in crossed(findings, ("a", "b"), ("a", "b")):
        call.run()
    assert findings.all == []


def test_cycle_over_three_locks() -> None:
    findings = Findings()
    graph = LockGraph(findings.report)
    locks = {name: Mutex(name, graph) for name in "abc"}

    def body(task: Task, names: str) -> Step[int]:
        for name in names:
            yield from locks[name].acquire(task)
        for name in names:
            locks[name].release(task)
        return 0

    for names in ("ab", "bc", "ca"):
        task = Task(names)
        Call(task, body(task, names), findings.report).run()
    assert len(findings.all) == 1
    assert "a -> b (ab), b -> c (bc)" in findings.all[0].text


def test_some_order_deadlocks_and_says_so() -> None:
    results = [
        [call.result for call in done.calls]
        for done in schedules(lambda: crossed(Findings(), ("a", "b"), ("b", "a")), preemptions=1)
    ]
    assert [0, 0] in results
    assert [Outcome.DEADLOCK, Outcome.DEADLOCK] in results


def test_threads_that_deadlock_end() -> None:
    results = run_threads(crossed(Findings(), ("a", "b"), ("a", "b")))
    assert results == [0, 0]
    calls = crossed(Findings(), ("a", "b"), ("b", "a"))
    for call in calls:
        call.step()
        call.step()
    assert run_threads(calls, patience=0.05) == [Outcome.DEADLOCK, Outcome.DEADLOCK]


def test_misused_lock_breaks_the_kernel() -> None:
    findings = Findings()
    lock = Mutex("a", LockGraph(findings.report))

    def twice(task: Task) -> Step[int]:
        yield from lock.acquire(task)
        yield from lock.acquire(task)
        return 0

    def never(task: Task) -> Step[int]:
        yield point("before")
        Mutex("b", LockGraph(findings.report)).release(task)
        return 0

    for body in (twice, never):
        task = Task(body.__name__)
        assert Call(task, body(task), findings.report).run() is Outcome.OOPS
    assert "oops" in findings.rules


def test_scheduler_follows_its_caller() -> None:
    order: list[str] = []

    def body(name: str) -> Step[int]:
        for _ in range(2):
            order.append(name)
            yield point(name)
        return 0

    def calls() -> Iterator[Call]:
        for name in "xy":
            yield Call(Task(name), body(name), print)

    Scheduler(list(calls())).run(lambda ready: ready[-1])
    assert order == ["y", "y", "x", "x"]


def test_allocator() -> None:
    findings = Findings()
    injector = Injector(["alloc:queue"])
    allocator = Allocator(injector, findings.report)
    allocator.fail_at(2)
    first, second, third = (allocator.allocate("vma") for _ in range(3))
    assert first is not None
    assert second is None
    assert third is not None
    injector.add("alloc:queue", -12)
    assert injector.pending() == {"alloc:queue": [-12]}
    assert allocator.allocate("queue") is None
    assert allocator.allocate("queue") is not None
    assert (allocator.count("vma"), allocator.count("queue")) == (2, 1)
    allocator.free(first)
    assert findings.all == []
    allocator.free(first)
    assert findings.rules == {"double free"}


@given(st.lists(st.one_of(st.none(), st.integers(0, 5)), max_size=20))
def test_ids_are_the_lowest_free(operations: list[int | None]) -> None:
    table: IdTable[int] = IdTable()
    used: set[int] = set()
    for operation in operations:
        if operation is None:
            number = table.add(0)
            assert number == min(n for n in range(len(used) + 1) if n not in used)
            used.add(number)
        else:
            table.erase(operation)
            used.discard(operation)
    assert set(table.items) == used


def test_device_object_is_released_once() -> None:
    findings = Findings()
    released: list[int] = []
    device = DeviceObject("d", lambda: released.append(1), findings.report)
    device.get()
    device.put()
    assert released == []
    device.put()
    assert released == [1]
    device.put()
    assert released == [1]
    assert findings.rules == {"use after free"}


def test_wait_queue_forgets_who_left() -> None:
    queue = WaitQueue()
    table = PollTable(Task("t"))
    queue.wait(table)
    queue.wake()
    assert table.pause.ready()
    table.leave()
    queue.wake()
    assert not table.pause.ready()


def test_memory_of_a_process() -> None:
    kernel = Kernel()
    process = kernel.spawn(0)
    start = process.mm.anonymous(2)
    address = start * PAGE + PAGE - 2
    process.mm.store(address, b"abcd")
    assert process.mm.load(address, 4) == b"abcd"
    with pytest.raises(UserFault, match="SIGSEGV") as fault:
        process.mm.load((start + 2) * PAGE - 1, 2)
    assert fault.value.signal is Outcome.SIGSEGV
    assert Call(Task("t"), process.mm.mprotect(Task("t"), start, 2, False), kernel.findings.report).run() == 0
    with pytest.raises(UserFault):
        process.mm.store(address, b"x")
    assert Call(Task("t"), process.mm.mprotect(Task("t"), start, 3, True), kernel.findings.report).run() == -12
    assert Call(Task("t"), process.mm.munmap(Task("t"), start, 0), kernel.findings.report).run() == -22


def test_names_of_results() -> None:
    assert answer(-22) is Errno.EINVAL
    assert answer(-9999) == -9999
    assert [name_of(result) for result in (-22, Outcome.SIGBUS, 0, 65)] == ["EINVAL", "SIGBUS", "0", "65"]


def test_driver_without_operations_answers_as_the_kernel_does() -> None:
    kernel = Kernel(["alloc:cdev"])
    device = DeviceObject("plain", lambda: None, kernel.findings.report)
    cdev = kernel.char_devices.allocate(FileOperations())
    assert cdev is not None
    assert kernel.char_devices.add_device(cdev, device, 7) == 0
    process = kernel.spawn(0)

    def run(body: Step[int]) -> int:
        return Call(Task("t"), kernel.syscall(Task("t"), body), kernel.findings.report).run()

    task = process.task("t")
    assert run(kernel.open(task, process, kernel.char_devices.nodes["plain"], 3, False)) == 3
    assert run(kernel.ioctl(task, process, 3, 1, 0)) is Errno.ENOTTY
    assert run(kernel.mmap(task, process, 3, 0, 1, False)) is Errno.ENODEV
    assert run(kernel.poll(task, process, 3, False)) == 0
    kernel.injector.add("alloc:file", Errno.ENOMEM)
    assert run(kernel.open(task, process, kernel.char_devices.nodes["plain"], 4, False)) is Errno.ENOMEM


def test_successful_move_takes_the_pages_along() -> None:
    kernel = Kernel()
    process = kernel.spawn(0)
    task = process.task("t")

    def run(body: Step[int]) -> int:
        return Call(task, body, kernel.findings.report).run()

    start = process.mm.anonymous(3)
    process.mm.store(start * PAGE, b"a" * PAGE + b"b" * PAGE + b"c" * PAGE)
    moved = run(process.mm.mremap(task, start + 1, 1, 1, True))
    assert process.mm.load(moved * PAGE, 1) == b"b"
    assert [process.mm.at(start + i) is not None for i in range(3)] == [True, False, True]
    assert run(process.mm.mremap(task, start, 1, 2, False)) is Errno.ENOMEM
    assert run(process.mm.mremap(task, start + 1, 1, 1, True)) is Errno.EFAULT
    assert run(process.mm.mremap(task, start, 1, 0, False)) is Errno.EINVAL
    kernel.injector.add("alloc:vma", Errno.ENOMEM)
    assert run(process.mm.mremap(task, start, 1, 1, True)) is Errno.ENOMEM
    assert process.mm.load(start * PAGE, 1) == b"a"
