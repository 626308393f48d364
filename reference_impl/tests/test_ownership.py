# SPDX-License-Identifier: Apache-2.0
"""Exclusive ownership: the fact sheet's tables, row by row; what the designs promise; and what each fault breaks."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelspec.reference_impl import Call, Errno, Outcome, Scheduler, UsageError, schedules
from accelspec.reference_impl.ownership import CHECKS, DESIGNS, FAULTS, Command, OwnershipSystem

EXCLUSIVE = ["proposal", "intended"]
HABANA = ["habanalabs 6.1", "habanalabs 6.12"]
BOTH = pytest.mark.parametrize("design", EXCLUSIVE)


def two(design: str) -> OwnershipSystem:
    """Process 0 owns the device, process 1 is a guest, both through descriptor 3."""
    system = OwnershipSystem(design)
    assert (system.open(0, 3), system.open(1, 3)) == (3, 3)
    return system


def rules(system: OwnershipSystem) -> set[str]:
    return {finding.rule for finding in system.findings}


# The table of the proposal: facts section 7.


@BOTH
def test_the_first_open_owns_and_the_second_is_a_guest(design: str) -> None:
    system = OwnershipSystem(design)
    assert system.standing == "free"
    assert system.open(0, 3, excl=True) == Errno.EBUSY
    assert (system.open(0, 3), system.standing) == (3, "owned")
    assert system.open(1, 3) == 3
    assert system.submit(0, 3) > 0
    for refused in (system.submit(1, 3), system.mmap(1, 3), system.export(1, 3), system.ioctl(1, 3, Command.MODE_SET)):
        assert refused == Errno.EACCES
    assert (list(system.device.exports), system.mappings) == ([], {})
    assert system.ioctl(0, 3, Command.GET_MAGIC) == Errno.EINVAL
    assert system.ioctl(0, 4, Command.SUBMIT) == Errno.EBADF


@BOTH
@pytest.mark.parametrize("how", ["drop", "close", "exit", "admin_kill"])
def test_the_end_of_ownership_revokes(design: str, how: str) -> None:
    system = two(design)
    system.submit(0, 3)
    m = system.mmap(0, 3)
    assert system.touch(m) == 0
    if how == "close":
        system.munmap(m)  # a map would keep the description
    getattr(system, how)(*((0, 3) if how in ("drop", "close") else (0,)))
    assert (system.standing, system.device.jobs) == ("free", {})
    assert system.open(2, 3) == 3
    assert system.submit(2, 3) > 0
    if how == "drop":
        assert system.touch(m) == Outcome.SIGBUS
        assert system.submit(0, 3) == Errno.EACCES
    assert rules(system) == set()


@BOTH
def test_a_map_keeps_the_owner_beyond_its_close(design: str) -> None:
    system = two(design)
    m = system.mmap(0, 3)
    system.close(0, 3)
    assert (system.standing, system.touch(m)) == ("owned", 0)
    system.munmap(m)
    assert (system.standing, system.touch(m)) == ("free", Outcome.SIGSEGV)


@BOTH
@pytest.mark.parametrize("how", ["drop", "close", "exit"])
def test_exports_pin(design: str, how: str) -> None:
    system = two(design)
    assert (system.export(0, 3), system.export(0, 3)) == (512, 513)
    assert system.pass_fd(0, 512, 7) == system.pass_fd(0, 513, 8) == 512
    for n in (512, 513):
        system.close(0, n)
    getattr(system, how)(*((0, 3) if how in ("drop", "close") else (0,)))
    assert (system.standing, system.device.pins) == ("pinned", 2)
    if design == "proposal":
        assert system.open(2, 3) == Errno.EBUSY
    else:
        assert (system.open(2, 3), system.acquire(2, 3)) == (3, Errno.EBUSY)
    system.release_export(7, 512)
    assert (system.standing, system.device.pins) == ("pinned", 1)
    system.admin_kill(8)
    assert system.standing == "free"
    assert system.open(3, 3) == 3
    assert system.submit(3, 3) > 0
    assert rules(system) == set()


@BOTH
def test_an_export_of_the_owner_does_not_pin_it(design: str) -> None:
    system = two(design)
    system.export(0, 3)
    assert (system.standing, system.device.pins) == ("owned", 0)
    assert system.submit(0, 3) > 0


def test_who_may_acquire_and_drop_in_the_proposal() -> None:
    system = two("proposal")
    assert (system.acquire(0, 3), system.drop(1, 3), system.acquire(1, 3)) == (0, Errno.EACCES, Errno.EACCES)
    system.make_admin(1)
    assert (system.drop(1, 3), system.acquire(1, 3)) == (Errno.EINVAL, Errno.EBUSY)
    assert system.drop(0, 3) == 0
    assert system.drop(0, 3) == Errno.EINVAL
    system.inject("alloc:token")
    assert system.acquire(1, 3) == Errno.ENOMEM
    assert system.acquire(1, 3) == 0
    assert system.acquire(0, 3) == Errno.EBUSY
    assert system.drop(1, 3) == 0
    assert system.set_master(0, 3) == 0  # it was one
    system.export(0, 3)
    system.drop(0, 3)
    assert system.acquire(0, 3) == Errno.EBUSY  # pinned by its own
    assert rules(system) == set()


def test_permission_is_the_openers() -> None:
    for design in ("proposal", "drm_auth"):
        system = OwnershipSystem(design)
        system.open(0, 3)
        system.fork(0, 1)
        assert (system.drop(1, 3), system.acquire(1, 3)) == (Errno.EACCES, Errno.EACCES)
        assert (system.submit(1, 3) > 0, system.drop(0, 3), system.acquire(0, 3)) == (True, 0, 0)
        system.make_admin(0)
        system.fork(0, 2)
        assert system.drop(2, 3) == 0


def test_in_ours_everybody_may_acquire_a_free_device() -> None:
    system = two("intended")
    assert system.acquire(1, 3) == Errno.EBUSY
    assert system.drop(1, 3) == Errno.EACCES
    system.drop(0, 3)
    assert system.acquire(1, 3) == 0
    assert system.submit(1, 3) > 0


def test_an_administrator_evicts() -> None:
    system = two("intended")
    m, _ = system.mmap(0, 3), system.export(0, 3)
    assert system.evict(1) == Errno.EACCES
    system.make_admin(1)
    assert (system.evict(1), system.standing, system.touch(m)) == (0, "pinned", Outcome.SIGBUS)
    assert system.evict(1) == 0
    assert system.submit(0, 3) == Errno.EACCES
    system.release_export(0, 512)
    assert (system.standing, system.acquire(0, 3)) == ("free", 0)
    with pytest.raises(UsageError, match="no call to evict"):
        two("proposal").evict(0)


@pytest.mark.parametrize("design", list(DESIGNS))
def test_memory_that_runs_out_leaves_nothing(design: str) -> None:
    system = OwnershipSystem(design)
    for name in ("alloc:file", "alloc:client", "alloc:token"):
        system.inject(name)
        assert system.open(0, 3) == Errno.ENOMEM
        assert (system.standing, system.device.clients, system.device.tokens) == ("free", {}, {})
        assert system.kernel.files == {}
    assert system.open(0, 3) == 3
    for name, call in (("alloc:job", system.submit), ("alloc:file", system.export), ("alloc:vma", system.mmap)):
        system.inject(name)
        assert call(0, 3) == Errno.ENOMEM
    system.exit(0)
    assert (system.standing, system.device.tokens, system.device.jobs) == ("free", {}, {})
    assert rules(system) == set()


# DRM.


def test_drm_shares_and_groups() -> None:
    system = two("drm_auth")
    assert system.open(2, 3, excl=True) == Errno.EBUSY
    assert (system.submit(0, 3) > 0, system.submit(1, 3)) == (True, Errno.EACCES)
    for p in (0, 1):
        assert system.mmap(p, 3) > 0
        assert system.export(p, 3) == 512
    assert (system.ioctl(0, 3, Command.MODE_SET), system.ioctl(1, 3, Command.MODE_SET)) == (0, Errno.EACCES)
    assert (system.ioctl(0, 3, Command.FLINK), system.ioctl(1, 3, Command.FLINK)) == (0, Errno.EACCES)
    assert system.ioctl(0, 3, Command.AUTH_MAGIC, 1) == Errno.EINVAL
    magic = system.ioctl(1, 3, Command.GET_MAGIC)
    assert magic == system.ioctl(1, 3, Command.GET_MAGIC) == 1
    assert system.ioctl(1, 3, Command.AUTH_MAGIC, magic) == Errno.EACCES
    assert system.ioctl(0, 3, Command.AUTH_MAGIC, magic) == 0
    assert system.ioctl(0, 3, Command.AUTH_MAGIC, magic) == Errno.EINVAL
    assert system.ioctl(1, 3, Command.FLINK) == 0
    assert system.submit(1, 3) > 0  # authenticated, and no master


def test_drm_masters_come_and_go() -> None:
    system = two("drm_auth")
    m = system.mmap(0, 3)
    assert (system.drop(1, 3), system.acquire(1, 3)) == (Errno.EACCES, Errno.EACCES)
    assert (system.acquire(0, 3), system.drop(0, 3), system.drop(0, 3)) == (0, 0, Errno.EINVAL)
    assert system.touch(m) == 0  # nothing is revoked
    assert system.standing == "free"
    assert system.open(2, 3) == 3  # and owns
    assert system.acquire(0, 3) == Errno.EBUSY
    system.make_admin(1)
    assert system.acquire(1, 3) == Errno.EBUSY
    system.close(2, 3)
    assert system.acquire(1, 3) == 0
    assert system.ioctl(1, 3, Command.MODE_SET) == 0
    for p in (0, 1):
        system.exit(p)
    assert (system.device.tokens, rules(system)) == ({}, set())


def test_what_a_guest_leaves_behind() -> None:
    for design in ("drm_auth", *EXCLUSIVE):
        system = two(design)
        m = system.mmap(0, 3)
        magic = system.ioctl(1, 3, Command.GET_MAGIC)
        system.close(1, 3)
        assert (system.standing, system.touch(m), system.acquire(0, 3)) == ("owned", 0, 0)
        assert system.submit(0, 3) > 0
        if design == "drm_auth":
            assert system.ioctl(0, 3, Command.AUTH_MAGIC, magic) == Errno.EINVAL
        assert rules(system) == set()


@pytest.mark.parametrize("design", list(DESIGNS))
def test_a_fork_shares_the_device_and_copies_no_map(design: str) -> None:
    system = OwnershipSystem(design)
    system.open(0, 3)
    m = system.mmap(0, 3)
    system.fork(0, 1)
    assert (list(system.kernel.processes[1].mm.vmas), system.submit(1, 3) > 0, system.touch(m)) == ([], True, 0)


def test_drm_nodes_without_masters() -> None:
    system = OwnershipSystem("drm_auth")
    assert (system.open(0, 3, "render"), system.open(0, 4, "accel")) == (3, 4)
    assert system.standing == "free"
    assert (system.acquire(0, 3), system.drop(0, 3)) == (Errno.EACCES, Errno.EACCES)
    assert (system.acquire(0, 4), system.ioctl(0, 4, Command.MODE_SET)) == (Errno.EACCES, Errno.EACCES)
    assert system.ioctl(0, 3, Command.FLINK) == system.ioctl(0, 4, Command.FLINK) == Errno.EACCES
    assert system.ioctl(0, 3, Command.GET_MAGIC) == Errno.EACCES
    system.make_admin(0)
    assert (system.acquire(0, 4), system.drop(0, 4)) == (Errno.EINVAL, Errno.EINVAL)
    assert system.open(0, 5, "accel") == 5
    assert system.ioctl(0, 5, Command.FLINK) == 0  # authenticated at its open
    assert [system.submit(0, n) > 0 for n in (3, 4, 5)] == [True, False, True]
    with pytest.raises(UsageError, match="no 'secondary' node"):
        system.open(0, 6, "secondary")


@pytest.mark.parametrize("design", ["drm_auth", "habanalabs 6.12"])
def test_get_magic_on_an_accel_node_breaks_the_kernel(design: str) -> None:
    """Our reading of drm_getmagic, not run on a kernel: the flags ask for nothing, and there is no master."""
    system = OwnershipSystem(design)
    system.open(0, 3, "accel")
    assert system.ioctl(0, 3, Command.GET_MAGIC) == Outcome.OOPS
    assert rules(system) == {"oops"}


def test_leases() -> None:
    system = two("drm_auth")
    assert system.create_lease(1, 3, 9) == Errno.EACCES
    for name in ("alloc:token", "alloc:file", "alloc:client"):
        system.inject(name)
        assert system.create_lease(0, 3, 9) == Errno.ENOMEM
    assert system.create_lease(0, 3, 9) == 9
    assert system.ioctl(0, 9, Command.MODE_SET) == 0  # passes for the owner
    assert (system.acquire(0, 9), system.create_lease(0, 9, 8)) == (Errno.EACCES, Errno.EINVAL)
    system.make_admin(0)
    assert (system.acquire(0, 9), system.drop(0, 9)) == (0, Errno.EINVAL)
    system.drop(0, 3)
    assert system.ioctl(0, 9, Command.MODE_SET) == Errno.EACCES
    assert system.acquire(0, 9) == Errno.EINVAL
    for p, n in ((0, 3), (0, 9), (1, 3)):
        system.close(p, n)
    assert (system.device.tokens, rules(system)) == ({}, set())


def test_a_lease_that_loses_its_lessor_leaves_an_owner_without_a_client() -> None:
    """CREATE_LEASE opens a file: between the test and that open the master drops. Read, not run on a kernel."""

    def start(system: OwnershipSystem) -> list[Call]:
        system.open(0, 3)
        return [system.call("ioctl", 0, 3, Command.CREATE_LEASE, 9), system.call("ioctl", 0, 3, Command.DROP_MASTER)]

    assert broken_in_some_order("drm_auth", start) == {"ownership.I07"}


def broken_in_some_order(design: str, start: Callable[[OwnershipSystem], list[Call]]) -> set[str]:
    """What some order of the calls, with at most two switches, breaks."""
    latest: list[OwnershipSystem] = []

    def fresh() -> list[Call]:
        latest[:] = [OwnershipSystem(design)]
        return start(latest[0])

    return {rule for _ in schedules(fresh, preemptions=2) for rule in rules(latest[0])}


def test_a_magic_that_outlives_its_client() -> None:
    system = two("drm_auth")
    magic = system.ioctl(1, 3, Command.GET_MAGIC)
    system.make_admin(1)
    system.drop(0, 3)
    system.acquire(1, 3)  # leaves its group, not the group's map
    system.close(1, 3)
    system.acquire(0, 3)
    system.ioctl(0, 3, Command.AUTH_MAGIC, magic)
    assert rules(system) == {"ownership.I14"}


# habanalabs.


@pytest.mark.parametrize("design", HABANA)
def test_habanalabs_has_one_open(design: str) -> None:
    system = OwnershipSystem(design)
    assert (system.open(0, 3), system.open(1, 3)) == (3, Errno.EBUSY)
    assert system.open(2, 3, excl=True) == Errno.EBUSY
    expected = Errno.ENOTTY if design == "habanalabs 6.1" else Errno.EACCES
    assert (system.acquire(0, 3), system.drop(0, 3), system.ioctl(0, 3, Command.MODE_SET)) == (expected,) * 3
    system.make_admin(0)
    assert system.acquire(0, 3) == (expected if design == "habanalabs 6.1" else Errno.EINVAL)
    system.close(0, 3)
    assert (system.standing, system.open(1, 3)) == ("free", 3)
    assert OwnershipSystem(design).open(0, 3, excl=True) == (3 if design == "habanalabs 6.1" else Errno.EBUSY)


@pytest.mark.parametrize(
    ("design", "errno"),
    [("habanalabs 6.1", Errno.EAGAIN), ("habanalabs", Errno.EBUSY), ("habanalabs 6.12", Errno.EBUSY)],
)
def test_habanalabs_exports_keep_the_slot(design: str, errno: Errno) -> None:
    system = OwnershipSystem(design)
    system.open(0, 3)
    system.export(0, 3)
    system.pass_fd(0, 512, 1)
    system.close(0, 512)
    system.close(0, 3)
    assert system.open(2, 3) == errno
    system.admin_kill(1)
    assert (system.standing, system.open(2, 3)) == ("free", 3)
    assert rules(system) == set()


@pytest.mark.parametrize("design", ["habanalabs 6.1", "habanalabs"])
def test_habanalabs_commands_after_the_close(design: str) -> None:
    system = OwnershipSystem(design)
    system.open(0, 3)
    jobs = [system.submit(0, 3), system.submit(0, 3)]
    system.close(0, 3)
    assert system.open(1, 3) == Errno.EAGAIN
    system.complete(jobs[1])
    assert system.open(1, 3) == Errno.EAGAIN
    system.complete(jobs[0])
    assert system.open(1, 3) == 3


def test_a_hard_reset_ends_what_the_last_close_left() -> None:
    system = OwnershipSystem("habanalabs 6.12")
    system.open(0, 3)
    system.submit(0, 3)
    system.close(0, 3)  # a hard reset
    assert (system.device.jobs, system.open(1, 3)) == ({}, 3)
    assert rules(system) == set()


# Laws.


OPERATIONS = ["open", "close", "acquire", "drop", "submit", "mmap", "export", "release_export", "munmap", "complete",
              "pass_fd", "fork", "exit", "evict"]  # fmt: skip


@pytest.mark.parametrize("design", list(DESIGNS))
@given(steps=st.lists(st.tuples(st.sampled_from(OPERATIONS), st.integers(0, 2), st.integers(3, 4)), max_size=30))
def test_no_law_is_broken_by_calls_one_after_the_other(design: str, steps: list[tuple[str, int, int]]) -> None:
    system = OwnershipSystem(design)
    system.make_admin(2)
    for name, p, n in steps:
        perform(system, name, p, n)
        assert rules(system) <= ({"ownership.I14"} if design == "drm_auth" else set())
    for p, process in list(system.kernel.processes.items()):
        if process.alive:
            system.exit(p)
    for job in list(system.device.jobs):
        system.complete(job)
    left = (system.standing, system.device.tokens, system.device.clients, system.kernel.files)
    assert left == ("free", {}, {}, {})


def perform(system: OwnershipSystem, name: str, p: int, n: int) -> None:
    """One call, where it has a meaning."""
    process = system.kernel.processes.get(p)
    if process is not None and not process.alive:
        system.kernel.spawn(p)
        return
    files = process.files.files if process is not None else {}
    match name:
        case "open":
            if n not in files:
                system.open(p, n)
        case "release_export":
            system.close(p, next((fd for fd in files if fd >= 512), 512))
        case "munmap":
            if maps := [m for m in system.mappings if system.mappings[m][0] is process]:
                system.munmap(maps.pop())
        case "complete":
            if system.device.jobs:
                system.complete(min(system.device.jobs))
        case "pass_fd":
            other = system.kernel.processes.get((p + 1) % 3)
            if other is None or other.alive:
                system.pass_fd(p, next((fd for fd in files if fd >= 512), n), (p + 1) % 3)
        case "fork":
            child = system.kernel.processes.get((p + 1) % 3)
            if process is not None and (child is None or not child.alive):
                system.fork(p, (p + 1) % 3)
        case "exit":
            system.exit(p)
        case "evict":
            if system.device.name == "intended":
                system.evict(p)
        case _:
            getattr(system, name)(p, n)


def racing(design: str, command: str) -> set[str]:
    """What any order of a command of the owner, its drop, and an open breaks."""

    def start(system: OwnershipSystem) -> list[Call]:
        system.open(0, 3)
        system.open(1, 3)
        system.make_admin(1)
        return [
            system.call("mmap", 0, 3) if command == "mmap" else system.call("ioctl", 0, 3, Command[command], 512),
            system.call("ioctl", 0, 3, Command.DROP_MASTER),
            system.call("ioctl", 1, 3, Command.SET_MASTER),
        ]

    return broken_in_some_order(design, start)


@pytest.mark.race
@pytest.mark.parametrize(
    ("command", "broken"), [("SUBMIT", {"ownership.I03"}), ("EXPORT", {"ownership.I05"}), ("mmap", set[str]())]
)
def test_the_proposal_races_with_a_drop_and_ours_does_not(command: str, broken: set[str]) -> None:
    assert racing("proposal", command) == broken
    assert racing("intended", command) == set()


# Faults and checks.


def dropped(system: OwnershipSystem) -> None:
    system.submit(0, 3)
    system.mmap(0, 3)
    system.drop(0, 3)
    system.acquire(1, 3)


def exported(system: OwnershipSystem) -> None:
    system.export(0, 3)
    system.drop(0, 3)
    system.make_admin(1)
    system.acquire(1, 3)


def guest_works(system: OwnershipSystem) -> None:
    system.submit(1, 3)


def guest_closes(system: OwnershipSystem) -> None:
    system.submit(0, 3)
    system.close(1, 3)


def context_ends(system: OwnershipSystem) -> None:
    system.close(0, 3)


CAUGHT: dict[str, tuple[str, Callable[[OwnershipSystem], None], str]] = {
    "O-01": ("proposal", dropped, "ownership.I03"),
    "O-02": ("proposal", dropped, "ownership.I03"),
    "O-03": ("proposal", exported, "ownership.I05"),
    "O-04": ("proposal", guest_works, "ownership.I03"),
    "O-05": ("proposal", guest_closes, "ownership.I03"),
    "O-06": ("habanalabs 6.1", context_ends, "ownership.I07"),
}


@pytest.mark.parametrize("fault", list(FAULTS))
def test_every_fault_is_caught(fault: str) -> None:
    design, story, law = CAUGHT[fault]
    for faults, caught in (([fault], True), ([], False)):
        system = OwnershipSystem(design, faults=faults)
        system.open(0, 3)
        system.open(1, 3)
        story(system)
        assert (law in rules(system)) == caught


def tampered(law: str) -> OwnershipSystem:
    system = two("proposal")
    client, guest = system.device.clients
    token = client.token
    assert token is not None
    match law:
        case "ownership.I01":
            guest.token, guest.founder = token, True
        case "ownership.I07":
            client.token = None
        case "ownership.I03":
            system.mmap(0, 3)
            client.founder = False
        case "ownership.I05":
            system.export(0, 3)
            next(iter(system.device.exports.values())).token = None
        case "ownership.I06":
            token.exports += 1
        case "ownership.I17":
            system.device.new_token()
    return system


@pytest.mark.parametrize("law", [check.id for check in CHECKS])
def test_every_law_can_be_broken(law: str) -> None:
    assert law in rules(tampered(law))


def test_names_that_mean_nothing() -> None:
    with pytest.raises(UsageError, match="no design is called 'none'; there are: drm_auth"):
        OwnershipSystem("none")
    with pytest.raises(UsageError, match="no fault is called 'O-99'"):
        OwnershipSystem(faults=["O-99"])
    system = two("proposal")
    with pytest.raises(UsageError, match=r"descriptor 3 of process 0 is open; dup\(\) replaces one"):
        system.open(0, 3)
    with pytest.raises(UsageError, match="command 5"):
        system.complete(5)
    with pytest.raises(UsageError, match="no mapping 1"):
        system.touch(1)
    with pytest.raises(UsageError, match="process 1 is running"):
        system.fork(0, 1)
    with pytest.raises(UsageError, match="no call is named 'think'"):
        system.call("think", 0)


def test_calls_can_meet() -> None:
    system = OwnershipSystem("proposal")
    calls = [system.call("open", p, 3) for p in (0, 1)]
    assert Scheduler(calls).run(lambda ready: ready[-1]) == [3, 3]
    assert (system.submit(0, 3), system.submit(1, 3) > 0) == (Errno.EACCES, True)
