# SPDX-License-Identifier: Apache-2.0
"""WarpDrive's calls in both revisions: order, depth, exactly once or lost, waiting, and undoing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelspec.reference_impl import Errno, System, UsageError
from accelspec.reference_impl.compute import ComputeProvider, Op, Request, Status
from accelspec.reference_impl.lifecycle import JobState
from accelspec.reference_impl.userland import HW_EACCESS, Queue, Response, Revision, WarpDrive

NOP = Request(Op.NOP)
REVISIONS: list[Revision] = ["2019", "head"]
EACH = pytest.mark.parametrize("revision", REVISIONS)


def started(revision: Revision = "head", depth: int = 4, **hardware: object) -> tuple[System, WarpDrive, Queue]:
    system = System("intended", provider=ComputeProvider, hardware={"depth": depth, **hardware})
    system.alloc(0)
    system.register(0)
    wd = WarpDrive(system, 0, revision)
    q = wd.request_queue("zlib")
    assert isinstance(q, Queue)
    return system, wd, q


@EACH
def test_request_and_release(revision: Revision) -> None:
    system, wd, q = started(revision)
    queue = system.observe()["queues"][1]
    assert queue["state"] == "STARTED"
    assert queue["slots"] == {"MMIO": True, "DUS": True}
    assert system.observe()["processes"][0]["cloexec"] == [q.fd]
    wd.release_queue(q)
    assert system.observe()["queues"] == {}
    assert system.observe()["maps"] == []


@EACH
@pytest.mark.parametrize(
    ("name", "given", "answer"),
    [
        ("get_queue", Errno.EIO, Errno.ENODEV),  # whatever open answers
        ("mmap", Errno.EAGAIN, Errno.EAGAIN),
        ("ioctl", Errno.EIO, Errno.EIO),
        ("start_queue", Errno.EPERM, Errno.EPERM),
    ],
)
def test_failed_request_undoes_everything(revision: Revision, name: str, given: Errno, answer: Errno) -> None:
    system = System(provider=ComputeProvider)
    system.alloc(0)
    system.register(0)
    for _ in range(3 if name == "get_queue" and revision == "head" else 1):
        system.inject(name, given)
    assert WarpDrive(system, 0, revision).request_queue("zlib") is answer
    assert system.observe()["queues"] == {}
    assert system.observe()["maps"] == []
    assert system.observe()["processes"][0]["fds"] == {}


def test_head_tries_again() -> None:
    for revision, works in (("head", True), ("2019", False)):
        system = System(provider=ComputeProvider)
        system.alloc(0)
        system.register(0)
        system.inject("get_queue", Errno.EBUSY)
        assert isinstance(WarpDrive(system, 0, revision).request_queue("zlib"), Queue) == works  # type: ignore[arg-type]


def test_choice_of_device() -> None:
    system = System(provider=ComputeProvider)
    for d, capacity in ((0, 1), (1, 3)):
        system.alloc(d, capacity=capacity)
        system.register(d)
    wd = WarpDrive(system, 0)
    first = wd.request_queue("zlib")
    assert isinstance(first, Queue)
    assert first.device == 1
    assert wd.request_queue("rsa") is Errno.ENODEV
    system.reset(1, ok=False)
    second = wd.request_queue("zlib")
    assert isinstance(second, Queue)
    assert second.device == 0
    assert wd.request_queue("zlib") is Errno.ENODEV


def test_release_of_a_dead_queue_only_notes_it() -> None:
    system, wd, q = started()
    system.remove(0)
    wd.release_queue(q)
    assert q.log == ["PUT_Q answers -6"]
    assert system.observe()["live"] == {}


@EACH
def test_full_ring(revision: Revision) -> None:
    system, wd, q = started(revision, depth=2)
    assert [wd.send(q, NOP) for _ in range(3)] == [0, 0, Errno.EBUSY]
    system.complete(0, q.fd)
    assert wd.send(q, NOP) is Errno.EBUSY  # done, not taken yet
    wd.recv(q, [])
    assert wd.send(q, NOP) == 0


def test_empty_ring_answers() -> None:
    for revision, empty, one in (("2019", Errno.EAGAIN, 0), ("head", 0, 1)):
        system, wd, q = started(revision)  # type: ignore[arg-type]
        responses: list[Response] = []
        assert wd.recv(q, responses) == empty
        wd.send(q, NOP)
        assert wd.recv(q, responses) == empty
        system.complete(0, q.fd)
        assert wd.recv(q, responses) == one
        assert [response.tag for response in responses] == [0]


def test_reset_hands_back_what_is_outstanding() -> None:
    system, wd, q = started("head")
    for _ in range(3):
        wd.send(q, NOP)
    system.complete(0, q.fd)
    system.reset(0)
    responses: list[Response] = []
    assert wd.recv(q, responses) == HW_EACCESS
    assert [(response.tag, response.lost) for response in responses] == [(0, True), (1, True), (2, True)]
    assert wd.send(q, NOP) == HW_EACCESS
    assert wd.recv(q, []) == HW_EACCESS


def test_stale_ring_is_an_error() -> None:
    system, wd, q = started()
    system.store(q.dus, q.layout.completions, bytes([9, 0, 0, 0, 0, 0, 1, 0]))
    assert wd.recv(q, []) is Errno.EIO


def test_waiting() -> None:
    system, wd, q = started("head")
    wd.send(q, NOP)
    responses: list[Response] = []
    assert wd.recv_sync(q, responses, lambda: False) == 0
    assert wd.recv_sync(q, responses, lambda: system.complete(0, q.fd) > 0) == 1
    assert responses[0].status is Status.OK
    system.close(0, q.fd)
    assert wd.recv_sync(q, responses, lambda: False) is Errno.EBADF


def test_waiting_consumes_wakeups() -> None:
    """Polling takes note of all completions at once: a second wait finds none although a response is there."""
    system, wd, q = started("head")
    wd.send(q, NOP)
    wd.send(q, NOP)
    system.complete(0, q.fd, 2)
    assert wd.recv_sync(q, [], lambda: False) == 1
    assert wd.recv_sync(q, [], lambda: False) == 0
    assert wd.recv(q, []) == 1


def test_2019_never_waits_for_this_hardware() -> None:
    _, wd, q = started("2019")
    wd.send(q, NOP)
    assert wd.recv_sync(q, [], lambda: pytest.fail("waited")) is Errno.EAGAIN


def test_stopping_finishes_what_was_accepted() -> None:
    system, wd, q = started()
    wd.send(q, NOP)
    wd.send(q, NOP)
    system.put_q(0, q.fd)
    responses: list[Response] = []
    assert [wd.recv(q, responses) for _ in range(3)] == [1, 1, 0]


def test_calls_of_an_earlier_driver() -> None:
    _, wd, q = started("2019")
    assert wd.reserve_memory(q, 4096) is None
    assert wd.share_reserved_memory(q, q) is Errno.EINVAL
    wd.flush(q)
    _, wd, q = started("head")
    assert wd.reserve_memory(q, 4096) is None
    with pytest.raises(UsageError):
        wd.share_reserved_memory(q, q)
    with pytest.raises(UsageError):
        wd.flush(q)


def test_rings_wrap() -> None:
    system, wd, q = started(depth=2)
    for tag in range(7):
        assert wd.recv(q, []) == 0
        wd.send(q, NOP)
        assert wd.recv(q, []) == 0
        system.complete(0, q.fd)
        responses: list[Response] = []
        assert wd.recv(q, responses) == 1
        assert responses[0].tag == tag


def test_restart_begins_with_empty_rings() -> None:
    system, wd, q = started()
    wd.send(q, NOP)
    system.put_q(0, q.fd)
    system.store(q.mmio, 0, b"\x02\0\0\0")
    assert any(system.load(q.dus, 0, q.layout.data))
    system.start(0, q.fd)
    assert not any(system.load(q.dus, 0, q.layout.data))
    assert system.complete(0, q.fd, 9) == 0
    system.store(q.mmio, 0, b"\x01\0\0\0")
    assert system.complete(0, q.fd, 9) == 1


def test_doorbell_beyond_the_ring_is_ignored() -> None:
    system, _, q = started(depth=2)
    for tail in (3, 1 << 31):
        system.store(q.mmio, 0, tail.to_bytes(4, "little"))
        assert system.complete(0, q.fd, 9) == 0
    system.store(q.mmio, 4, b"\x01\0\0\0")
    assert system.complete(0, q.fd, 9) == 0


@EACH
@given(st.lists(st.sampled_from(["send", "recv", "complete", "complete 2", "reset"]), max_size=60))
def test_each_request_comes_back_once_in_order_or_is_lost(revision: Revision, operations: list[str]) -> None:
    system, wd, q = started(revision, depth=3)
    accepted = 0
    responses: list[Response] = []
    for operation in operations:
        if operation == "send":
            accepted += wd.send(q, NOP) == 0
        elif operation == "recv":
            assert wd.recv(q, responses) != Errno.EIO
        elif operation == "reset":
            system.reset(0)
        else:
            system.complete(0, q.fd, len(operation.split()))
        assert len(q.outstanding) <= 3
        assert len(responses) + len(q.outstanding) == accepted
    assert [response.tag for response in responses] == list(range(len(responses)))
    assert {job.state for job in q.finished} <= {JobState.RETURNED, JobState.LOST}
    lost = [response.lost for response in responses]
    assert lost == sorted(lost)
