# SPDX-License-Identifier: Apache-2.0
"""Every row of the 6.12 tables of the facts (2.2 with 2.3), errno by errno, in both behaviours."""

import pytest

from accelspec.reference_impl import BEHAVIOURS, CALLBACKS, SET_QP_CTX, SET_QP_INFO, Errno, Outcome, System, UsageError

MMIO, DUS = 0, 1
READABLE, BROKEN = 0x41, 0x18
BOTH = pytest.mark.parametrize("behaviour", list(BEHAVIOURS))


def without(*names: str) -> list[str]:
    return [name for name in CALLBACKS if name not in names]


def ready(behaviour: str = "6.12.117", **hardware: object) -> System:
    system = System(behaviour, hardware=hardware)
    assert system.alloc(0) == 0
    assert system.register(0) == 0
    return system


def opened(behaviour: str = "6.12.117", state: str = "INIT", **hardware: object) -> System:
    system = ready(behaviour, **hardware)
    assert system.open(0, 0, 3) == 3
    if state == "STARTED":
        assert system.start(0, 3) == 0
    if state == "ZOMBIE":
        assert system.remove(0) == 0
    assert state_of(system) == state
    return system


def state_of(system: System, serial: int = 1) -> str:
    return str(system.observe()["queues"][serial]["state"])


def counts(system: System, serial: int = 1) -> dict[str, int]:
    result: dict[str, int] = system.observe()["queues"][serial]["counts"]
    return result


# alloc, register, remove


@BOTH
def test_alloc_without_memory(behaviour: str) -> None:
    system = System(behaviour)
    system.inject("alloc:uacce", -12)
    assert system.alloc(0) is Errno.ENOMEM
    assert system.alloc(0) == 0


@BOTH
@pytest.mark.parametrize("feature", ["enable_iopf", "enable_sva"])
def test_refused_sva_is_no_error(behaviour: str, feature: str) -> None:
    system = System(behaviour)
    system.inject(feature, Errno.ENODEV)
    assert system.alloc(0) == 0
    assert system.register(0) == 0
    assert system.read_sysfs(0, "flags") == "0\n"
    assert system.kernel.iommu.features.get(system.providers[0], set()) == set()
    system.open(0, 0, 3)
    assert system.observe()["bonds"] == []


@BOTH
def test_alloc_without_number_undoes_the_feature(behaviour: str) -> None:
    system = System(behaviour)
    system.inject("id_alloc", Errno.EBUSY)
    assert system.alloc(0) is Errno.EBUSY
    assert system.observe()["live"] == {}
    assert all(not features for features in system.kernel.iommu.features.values())


@BOTH
def test_allocated_device_is_not_visible(behaviour: str) -> None:
    system = System(behaviour)
    system.alloc(0)
    assert system.open(0, 0, 3) is Errno.ENXIO
    assert system.read_sysfs(0, "api") is Errno.ENOENT


@BOTH
def test_register_answers(behaviour: str) -> None:
    system = System(behaviour)
    assert system.register(0) is Errno.ENODEV
    system.alloc(0)
    system.inject("alloc:cdev", -12)
    assert system.register(0) is Errno.ENOMEM
    system.inject("cdev_device_add", Errno.EEXIST)
    assert system.register(0) is Errno.EEXIST
    assert system.observe()["devices"][0]["state"] == "ALLOCATED"
    assert system.open(0, 0, 3) is Errno.ENXIO
    assert system.register(0) == 0


@BOTH
def test_remove_after_failed_register(behaviour: str) -> None:
    system = System(behaviour)
    system.alloc(0)
    system.inject("cdev_device_add", Errno.EEXIST)
    system.register(0)
    assert system.remove(0) == 0
    assert system.findings == []
    assert system.observe()["live"] == {}


@BOTH
def test_remove_of_nothing_returns(behaviour: str) -> None:
    system = System(behaviour)
    assert system.remove(0) == 0
    system.alloc(0)
    assert system.remove(0) == 0
    assert system.remove(0) == 0


@BOTH
@pytest.mark.parametrize("state", ["INIT", "STARTED"])
def test_remove_stops_puts_unbinds_and_unmaps(behaviour: str, state: str) -> None:
    system = opened(behaviour, state)
    m = system.mmap(0, 3, DUS, 2)
    assert system.touch(m) == 0
    assert system.remove(0) == 0
    assert counts(system) == {"get": 1, "put": 1, "start": int(state == "STARTED"), "stop": int(state == "STARTED")}
    seen = system.observe()
    assert seen["bonds"] == []
    assert seen["queues"][1]["state"] == "ZOMBIE"
    assert seen["devices"][0]["used"] == 0
    assert [piece["present"] for piece in seen["maps"]] == [False]
    assert system.touch(m) is Outcome.SIGBUS
    assert system.munmap(m) == 0
    assert system.touch(m) is Outcome.SIGSEGV


# open


@BOTH
def test_open_finds_nothing(behaviour: str) -> None:
    assert System(behaviour).open(0, 0, 3) is Errno.ENXIO


@BOTH
def test_open_after_remove(behaviour: str) -> None:
    system = opened(behaviour, "ZOMBIE")
    assert system.open(0, 0, 4) is Errno.ENODEV  # the node still knows its cdev, the number is gone
    system.close(0, 3)
    assert system.open(0, 0, 4) is Errno.ENXIO


@BOTH
@pytest.mark.parametrize(
    ("name", "given", "answer"),
    [
        ("alloc:queue", -12, Errno.ENOMEM),
        ("sva_bind", Errno.EBUSY, Errno.EBUSY),
        ("pasid_invalid", -1, Errno.ENODEV),
        ("get_queue", Errno.EIO, Errno.EIO),
        ("pm_get", Errno.EACCES, Errno.EACCES),
    ],
)
def test_failed_open_leaves_nothing(behaviour: str, name: str, given: int, answer: Errno) -> None:
    system = ready(behaviour)
    before = system.observe()
    system.inject(name, given)
    assert system.open(0, 0, 3) is answer
    after = system.observe()
    after["processes"] = before["processes"]  # the process came to be with its first call
    assert after == before
    assert system.open(0, 0, 3) == 3


@BOTH
def test_open_of_a_full_or_stopped_device(behaviour: str) -> None:
    system = ready(behaviour, capacity=1)
    assert system.open(0, 0, 3) == 3
    assert system.open(1, 0, 3) is Errno.EBUSY
    system.close(0, 3)
    system.begin_reset(0)
    assert system.open(1, 0, 3) is Errno.EPERM
    system.end_reset(0)
    assert system.open(1, 0, 3) == 3


@BOTH
def test_positive_get_queue_is_success(behaviour: str) -> None:
    system = ready(behaviour)
    system.inject("get_queue", 7)
    assert system.open(0, 0, 3) == 3
    assert state_of(system) == "INIT"


# ioctl


@BOTH
@pytest.mark.parametrize(
    ("state", "answer", "then"), [("INIT", 0, "STARTED"), ("STARTED", -22, "STARTED"), ("ZOMBIE", -6, "ZOMBIE")]
)
def test_start(behaviour: str, state: str, answer: int, then: str) -> None:
    system = opened(behaviour, state)
    assert system.start(0, 3) == answer
    assert state_of(system) == then


@BOTH
def test_start_that_the_driver_refuses(behaviour: str) -> None:
    system = opened(behaviour)
    system.inject("start_queue", Errno.EIO)
    assert system.start(0, 3) is Errno.EIO
    assert state_of(system) == "INIT"
    system.begin_reset(0)
    assert system.start(0, 3) is Errno.EPERM
    system.end_reset(0)
    system.inject("start_queue", 5)
    assert system.start(0, 3) == 0
    assert state_of(system) == "STARTED"


@BOTH
@pytest.mark.parametrize(
    ("state", "answer", "then", "stops"),
    [("INIT", 0, "INIT", 0), ("STARTED", 0, "INIT", 1), ("ZOMBIE", -6, "ZOMBIE", 0)],
)
def test_put_q(behaviour: str, state: str, answer: int, then: str, stops: int) -> None:
    system = opened(behaviour, state)
    assert system.put_q(0, 3) == answer
    assert state_of(system) == then
    assert counts(system)["stop"] == stops


@BOTH
def test_put_q_keeps_the_hardware_and_allows_a_restart(behaviour: str) -> None:
    system = opened(behaviour, "STARTED", capacity=1)
    assert system.put_q(0, 3) == 0
    assert system.read_sysfs(0, "available_instances") == "0\n"
    assert system.start(0, 3) == 0
    assert counts(system) == {"get": 1, "put": 0, "start": 2, "stop": 1}


@BOTH
@pytest.mark.parametrize("state", ["INIT", "STARTED"])
@pytest.mark.parametrize(
    ("cmd", "arg", "answer"), [(SET_QP_INFO, 0, 0), (SET_QP_CTX, 1, 0), (SET_QP_CTX, 2, -22), (0x1234, 0, -22)]
)
def test_driver_commands(behaviour: str, state: str, cmd: int, arg: int, answer: int) -> None:
    assert opened(behaviour, state).driver_ioctl(0, 3, cmd, arg) == answer


@BOTH
def test_driver_command_answers(behaviour: str) -> None:
    system = opened(behaviour)
    system.inject("copy_from_user", -14)
    assert system.driver_ioctl(0, 3) is Errno.EFAULT
    system.inject("ioctl", Errno.EIO)
    assert system.driver_ioctl(0, 3) is Errno.EIO
    system.inject("ioctl", 9)
    assert system.driver_ioctl(0, 3) == 9


@BOTH
@pytest.mark.parametrize("cmd", [SET_QP_INFO, 0x1234])
def test_dead_queue_refuses_every_command(behaviour: str, cmd: int) -> None:
    assert opened(behaviour, "ZOMBIE").driver_ioctl(0, 3, cmd) is Errno.ENXIO


# mmap


@BOTH
@pytest.mark.parametrize("state", ["INIT", "STARTED"])
@pytest.mark.parametrize(
    ("region", "pages", "answer"),
    [
        (MMIO, 1, 0),
        (MMIO, 2, 0),
        (MMIO, 3, -22),
        (DUS, 2, 0),
        (DUS, 1, -22),
        (DUS, 3, -22),
        (2, 1, -22),
        (MMIO, 0, -22),
    ],
)
def test_mmap(behaviour: str, state: str, region: int, pages: int, answer: int) -> None:
    system = opened(behaviour, state)
    result = system.mmap(0, 3, region, pages)
    assert (result > 0) == (answer == 0)
    if answer:
        assert result == answer
        assert system.observe()["live"].get("region", 0) == 0
        assert system.observe()["maps"] == []


@BOTH
def test_mmap_answers(behaviour: str) -> None:
    system = opened(behaviour)
    system.inject("alloc:region", -12)
    assert system.mmap(0, 3, MMIO, 1) is Errno.ENOMEM
    system.inject("mmap", Errno.EAGAIN)
    assert system.mmap(0, 3, MMIO, 1) is Errno.EAGAIN
    system.inject("mmap", 5)
    assert system.mmap(0, 3, MMIO, 1) == 5  # not 0: an error to the core, an address to nobody
    assert system.observe()["maps"] == []
    assert system.mmap(0, 3, MMIO, 1) > 5
    assert system.mmap(0, 3, MMIO, 1) is Errno.EEXIST
    system.inject("alloc:region", -12)
    assert system.mmap(0, 3, MMIO, 1) is Errno.ENOMEM  # memory is asked for before the slot is looked at
    assert system.mmap(0, 3, 2, 1) is Errno.EINVAL


@BOTH
@pytest.mark.parametrize(("region", "pages", "answer"), [(MMIO, 1, -6), (MMIO, 9, -6), (DUS, 2, -6), (2, 1, -22)])
def test_mmap_of_a_dead_queue(behaviour: str, region: int, pages: int, answer: int) -> None:
    assert opened(behaviour, "ZOMBIE").mmap(0, 3, region, pages) == answer


@BOTH
def test_map_unmap_map(behaviour: str) -> None:
    system = opened(behaviour)
    for _ in range(3):
        m = system.mmap(0, 3, DUS, 2)
        assert m > 0
        assert system.munmap(m) == 0
    assert system.observe()["live"].get("region", 0) == 0


@BOTH
def test_mremap(behaviour: str) -> None:
    system = opened(behaviour)
    m = system.mmap(0, 3, DUS, 2)
    assert system.mremap(m, 2, 3) is Errno.EFAULT
    assert system.mremap(m, 2, 2) == 0
    assert system.mremap(m, 2, 2, move=True) is Errno.EPERM
    assert system.touch(m, 0) == system.touch(m, 1) == 0
    assert system.mremap(m, 2, 1) == 0
    assert system.touch(m, 0) == 0
    assert system.touch(m, 1) is Outcome.SIGSEGV
    assert system.mremap(m, 1, 2, first=1) is Errno.EFAULT


# poll


@BOTH
def test_poll(behaviour: str) -> None:
    system = opened(behaviour, "STARTED")
    assert system.poll(0, 3) == 0
    assert system.complete(0, 3) == 1
    assert system.poll(0, 3) == READABLE
    assert system.poll(0, 3) == 0  # asking consumed it


@BOTH
def test_poll_of_a_dead_queue(behaviour: str) -> None:
    assert opened(behaviour, "ZOMBIE").poll(0, 3) == (BROKEN if behaviour == "intended" else 0)


@BOTH
def test_sleeping_poll_wakes_on_completion(behaviour: str) -> None:
    system = opened(behaviour, "STARTED")
    assert system.poll(0, 3, block=True) is Outcome.WOULD_BLOCK
    assert system.sleeping() == [(0, 3)]
    system.complete(0, 3)
    assert system.woken() == [(0, 3, READABLE)]
    assert system.sleeping() == []


@BOTH
def test_sleeping_poll_and_remove(behaviour: str) -> None:
    system = opened(behaviour, "STARTED")
    system.poll(0, 3, block=True)
    system.remove(0)
    if behaviour == "intended":
        assert system.woken() == [(0, 3, BROKEN)]
    else:
        assert system.sleeping() == [(0, 3)]
        system.signal(0)
        assert system.woken() == [(0, 3, Errno.EINTR)]


@BOTH
def test_sleeping_poll_and_put_q(behaviour: str) -> None:
    system = opened(behaviour, "STARTED")
    system.poll(0, 3, block=True)
    system.put_q(0, 3)
    assert system.woken() == ([(0, 3, 0)] if behaviour == "intended" else [])


@BOTH
def test_poll_of_a_dead_queue_sleeps_only_in_linux(behaviour: str) -> None:
    system = opened(behaviour, "ZOMBIE")
    expected = BROKEN if behaviour == "intended" else Outcome.WOULD_BLOCK
    assert system.poll(0, 3, block=True) == expected


# release


@BOTH
@pytest.mark.parametrize("state", ["INIT", "STARTED", "ZOMBIE"])
def test_close_gives_everything_back(behaviour: str, state: str) -> None:
    system = opened(behaviour, state)
    assert system.close(0, 3) == 0
    seen = system.observe()
    assert seen["queues"] == {}
    assert seen["bonds"] == []
    assert seen["devices"][0]["used"] == 0
    assert system.close(0, 3) is Errno.EBADF
    assert "uacce.L01" not in {finding.rule for finding in system.findings}


@BOTH
def test_closed_descriptor(behaviour: str) -> None:
    system = ready(behaviour)
    assert system.start(0, 3) is Errno.EBADF
    assert system.put_q(0, 3) is Errno.EBADF
    assert system.driver_ioctl(0, 3) is Errno.EBADF
    assert system.mmap(0, 3, MMIO, 1) is Errno.EBADF
    assert system.poll(0, 3) is Errno.EBADF
    assert system.dup(0, 3, 4) is Errno.EBADF
    assert system.pass_fd(0, 3, 1, 3) is Errno.EBADF
    assert system.complete(0, 3) is Errno.EBADF


# callbacks that a driver does not have


@BOTH
def test_missing_callbacks(behaviour: str) -> None:
    system = opened(behaviour, callbacks=[])
    assert system.start(0, 3) == 0
    assert system.put_q(0, 3) == 0
    assert system.driver_ioctl(0, 3) is Errno.EINVAL
    assert system.mmap(0, 3, MMIO, 1) is Errno.EINVAL
    assert system.poll(0, 3) == 0
    assert system.read_sysfs(0, "available_instances") is Errno.ENODEV
    assert system.close(0, 3) == 0
    assert system.findings == []


# sysfs


@BOTH
def test_attributes(behaviour: str) -> None:
    system = opened(behaviour, threshold=3)
    assert system.read_sysfs(0, "api") == "hisi_qm_v2\n"
    assert system.read_sysfs(0, "flags") == "1\n"
    assert system.read_sysfs(0, "algorithms") == "zlib\n"
    assert system.read_sysfs(0, "available_instances") == "1\n"
    assert system.read_sysfs(0, "region_mmio_size") == "8192\n"
    assert system.read_sysfs(0, "region_dus_size") == "8192\n"
    assert system.read_sysfs(0, "isolate") == "0\n"
    assert system.read_sysfs(0, "isolate_strategy") == "3\n"
    assert system.read_sysfs(0, "nonsense") is Errno.ENOENT
    assert system.write_sysfs(0, "api", "x") is Errno.EACCES
    system.remove(0)
    assert system.read_sysfs(0, "api") is Errno.ENOENT
    assert system.write_sysfs(0, "isolate_strategy", "1") is Errno.ENOENT


@BOTH
@pytest.mark.parametrize(
    ("text", "answer", "value"),
    [
        ("7", 1, "7"), ("65535\n", 6, "65535"), ("0x10", 4, "16"), ("010", 3, "8"), ("0", 1, "0"), ("+4", 2, "4"),
        ("65536", -22, None), ("-1", -22, None), ("", -22, None), ("many", -22, None), ("1 ", -22, None),
        ("08", -22, None), ("1\n\n", -22, None),
    ],
)  # fmt: skip
def test_isolate_strategy(behaviour: str, text: str, answer: int, value: str | None) -> None:
    system = ready(behaviour, threshold=3)
    assert system.write_sysfs(0, "isolate_strategy", text) == answer
    assert system.read_sysfs(0, "isolate_strategy") == f"{value or 3}\n"


@BOTH
def test_isolation_attributes_follow_the_callbacks(behaviour: str) -> None:
    read, write = "isolate_err_threshold_read", "isolate_err_threshold_write"
    system = ready(behaviour, callbacks=without("get_isolate_state", read, write))
    assert system.read_sysfs(0, "isolate") is Errno.ENOENT
    assert system.write_sysfs(0, "isolate_strategy", "1") is Errno.ENOENT
    system = ready(behaviour, callbacks=without(read))
    assert system.read_sysfs(0, "isolate_strategy") is Errno.ENOENT
    assert system.write_sysfs(0, "isolate_strategy", "1") == 1
    system = ready(behaviour, callbacks=without(write))
    assert system.read_sysfs(0, "isolate_strategy") == "0\n"
    assert system.write_sysfs(0, "isolate_strategy", "nonsense") is Errno.ENOENT
    system = ready(behaviour)
    system.inject(write, Errno.EIO)
    assert system.write_sysfs(0, "isolate_strategy", "1") is Errno.EIO


@BOTH
def test_empty_regions_are_hidden(behaviour: str) -> None:
    system = ready(behaviour, mmio_pages=0)
    assert system.read_sysfs(0, "region_mmio_size") is Errno.ENOENT
    assert system.read_sysfs(0, "region_dus_size") == "8192\n"


# errors, reset, isolation


@BOTH
def test_threshold_isolates_one_error_late(behaviour: str) -> None:
    system = ready(behaviour, threshold=2)
    for isolated in ("0\n", "0\n", "1\n"):
        system.hw_error(0)
        assert system.read_sysfs(0, "isolate") == isolated
    assert system.write_sysfs(0, "isolate_strategy", "9") is Errno.EPERM
    assert system.open(0, 0, 3) == 3  # isolation is advice


@BOTH
def test_errors_are_forgotten_after_an_hour(behaviour: str) -> None:
    system = ready(behaviour, threshold=1)
    system.hw_error(0)
    system.advance(3601)
    system.hw_error(0)
    assert system.read_sysfs(0, "isolate") == "0\n"
    system.advance(3600)
    system.hw_error(0)
    assert system.read_sysfs(0, "isolate") == "1\n"


@BOTH
def test_writing_the_threshold_forgets_errors(behaviour: str) -> None:
    system = ready(behaviour, threshold=1)
    system.hw_error(0)
    system.write_sysfs(0, "isolate_strategy", "1")
    system.hw_error(0)
    assert system.read_sysfs(0, "isolate") == "0\n"


@BOTH
def test_failed_reset_isolates_whatever_the_threshold(behaviour: str) -> None:
    system = ready(behaviour)
    for _ in range(5):
        system.hw_error(0)
    assert system.read_sysfs(0, "isolate") == "0\n"
    system.reset(0, ok=True)
    assert system.read_sysfs(0, "isolate") == "0\n"
    system.reset(0, ok=False)
    assert system.read_sysfs(0, "isolate") == "1\n"
    assert system.open(0, 0, 3) is Errno.EPERM


@BOTH
def test_virtual_function_reads_its_physical_one(behaviour: str) -> None:
    system = ready(behaviour, threshold=4)
    system.alloc(1, is_vf=True, physical=system.providers[0])
    system.register(1)
    assert system.read_sysfs(1, "isolate_strategy") == "4\n"
    assert system.write_sysfs(1, "isolate_strategy", "1") is Errno.EPERM
    system.hw_error(1)
    assert system.observe()["devices"][0]["errors"] == 0
    system.reset(0, ok=False)
    assert system.read_sysfs(1, "isolate") == "1\n"


@BOTH
def test_reset_leaves_the_queue_started_and_its_hardware_stopped(behaviour: str) -> None:
    system = opened(behaviour, "STARTED")
    m = system.mmap(0, 3, DUS, 2)
    assert not any(system.load(m, 8184, 8))
    system.reset(0)
    assert state_of(system) == "STARTED"
    assert any(system.load(m, 8184, 8))
    assert system.complete(0, 3) == 0
    assert system.put_q(0, 3) == 0
    assert system.start(0, 3) == 0
    assert system.complete(0, 3) == 1


# usage


def test_misuse_is_named() -> None:
    with pytest.raises(UsageError, match=r"intended"):
        System("6.13")
    system = opened()
    with pytest.raises(UsageError, match="did you mean 'get_queue'"):
        system.inject("get_que", -1)
    with pytest.raises(UsageError, match="descriptor 3 of process 0 is open"):
        system.open(0, 0, 3)
    with pytest.raises(UsageError, match="remove it first"):
        system.alloc(0)
    with pytest.raises(UsageError, match="only an allocated one"):
        system.register(0)
    with pytest.raises(UsageError, match="no mapping 7"):
        system.munmap(7)
    with pytest.raises(UsageError, match="no such callback: fly"):
        System(hardware={"callbacks": ["fly"]}).alloc(0)
    with pytest.raises(UsageError, match="never allocated"):
        system.hw_error(5)
    with pytest.raises(UsageError, match="count from 1"):
        system.fail_allocation(0)
    system.exit(0)
    with pytest.raises(UsageError, match="has exited"):
        system.start(0, 3)
    assert system.spawn(0) == 0
    assert system.start(0, 3) is Errno.EBADF
