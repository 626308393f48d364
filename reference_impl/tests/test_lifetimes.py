# SPDX-License-Identifier: Apache-2.0
"""Who keeps a queue alive: descriptors, maps and running calls, over dup, fork, exec, exit and passing."""

import pytest

from accelspec.reference_impl import BEHAVIOURS, Outcome, System, checks

BOTH = pytest.mark.parametrize("behaviour", list(BEHAVIOURS))


def opened(behaviour: str, **hardware: object) -> System:
    system = System(behaviour, hardware=hardware)
    system.alloc(0)
    system.register(0)
    assert system.open(0, 0, 3) == 3
    return system


def alive(system: System) -> bool:
    return bool(system.observe()["queues"])


@BOTH
def test_dup_shares_one_description(behaviour: str) -> None:
    system = opened(behaviour)
    assert system.dup(0, 3, 5) == 5
    assert system.start(0, 5) == 0
    system.close(0, 3)
    assert alive(system)
    assert system.put_q(0, 5) == 0
    system.close(0, 5)
    assert not alive(system)


@BOTH
def test_dup_closes_what_it_replaces(behaviour: str) -> None:
    system = opened(behaviour)
    system.open(0, 0, 4)
    assert len(system.observe()["queues"]) == 2
    assert system.dup(0, 3, 4) == 4
    assert list(system.observe()["queues"]) == [1]
    assert system.dup(0, 3, 3) == 3
    assert alive(system)


@BOTH
def test_map_keeps_the_queue(behaviour: str) -> None:
    system = opened(behaviour)
    m = system.mmap(0, 3, 1, 2)
    system.close(0, 3)
    assert alive(system)
    assert system.touch(m, write=True) == 0
    system.munmap(m, 0, 1)
    assert alive(system)
    system.munmap(m, 1, 1)
    assert not alive(system)


@BOTH
def test_fork_shares_descriptors_and_copies_no_device_memory(behaviour: str) -> None:
    system = opened(behaviour)
    m = system.mmap(0, 3, 1, 2)
    own = system.allocate(0, 1)
    system.store(own, 0, b"before")
    assert system.fork(0, 1) == 0
    seen = system.observe()
    assert len(seen["maps"]) == 1
    assert seen["processes"][1]["fds"] == {3: 1}
    assert system.start(1, 3) == 0  # nobody checks who opened it
    system.store(own, 0, b"after!")
    child = system.kernel.processes[1].mm
    assert child.load(system.address(own), 6) == b"before"
    system.exit(0)
    assert alive(system)
    assert system.observe()["queues"][1]["state"] == "STARTED"
    assert system.observe()["bonds"]  # the opener's address space stays bound while the queue lives
    system.exit(1)
    assert not alive(system)
    assert m


@BOTH
def test_failed_fork_leaves_nothing(behaviour: str) -> None:
    system = opened(behaviour)
    system.allocate(0, 1)
    before = system.observe()
    system.inject("alloc:vma", -12)
    assert system.fork(0, 1) == -12
    assert system.observe() == before


@BOTH
@pytest.mark.parametrize("cloexec", [True, False])
def test_exec(behaviour: str, cloexec: bool) -> None:
    system = System(behaviour)
    system.alloc(0)
    system.register(0)
    system.open(0, 0, 3, cloexec=cloexec)
    m = system.mmap(0, 3, 1, 2)
    assert system.exec(0) == 0
    assert system.observe()["maps"] == []
    assert alive(system) == (not cloexec)
    assert system.touch(m) is Outcome.SIGSEGV
    assert system.munmap(m) == 0


@BOTH
def test_exit_unmaps_first(behaviour: str) -> None:
    system = opened(behaviour)
    system.mmap(0, 3, 0, 2)
    system.start(0, 3)
    assert system.exit(0) == 0
    assert not alive(system)
    assert not system.findings  # nothing was mapped any more when the hardware was given back


@BOTH
def test_passed_descriptor(behaviour: str) -> None:
    system = opened(behaviour)
    assert system.pass_fd(0, 3, 1, 7) == 7
    system.exit(0)
    assert system.start(1, 7) == 0
    system.close(1, 7)
    assert not alive(system)


@BOTH
def test_pasid_belongs_to_the_address_space(behaviour: str) -> None:
    system = opened(behaviour, capacity=3)
    system.open(0, 0, 4)
    system.open(1, 0, 3)
    pasids = [queue["pasid"] for queue in system.observe()["queues"].values()]
    assert pasids[0] == pasids[1] != pasids[2]
    assert [bond["refs"] for bond in system.observe()["bonds"]] == [2, 1]
    system.exit(0)
    assert set(system.kernel.iommu.pasids) == {pasids[2]}


@BOTH
def test_pasid_outlives_its_process_while_a_queue_is_bound(behaviour: str) -> None:
    system = opened(behaviour)
    system.pass_fd(0, 3, 1, 3)
    system.exit(0)
    assert len(system.kernel.iommu.pasids) == 1
    system.open(2, 0, 3)
    assert len({queue["pasid"] for queue in system.observe()["queues"].values()}) == 2
    system.close(1, 3)
    assert len(system.kernel.iommu.pasids) == 1


@BOTH
def test_queue_memory_goes_with_the_last_close_after_remove(behaviour: str) -> None:
    system = opened(behaviour)
    m = system.mmap(0, 3, 0, 1)
    system.remove(0)
    system.close(0, 3)
    assert alive(system)
    assert system.framework.freed_devices == 0
    system.munmap(m)
    assert not alive(system)
    assert system.framework.freed_devices == 1
    assert system.observe()["live"] == {}


@BOTH
def test_sleeping_poll_holds_the_description(behaviour: str) -> None:
    system = opened(behaviour)
    system.poll(0, 3, block=True)
    system.close(0, 3)
    assert alive(system)
    system.signal(0)
    assert not alive(system)


@BOTH
def test_removal_that_waits_for_users(behaviour: str) -> None:
    system = opened(behaviour)
    assert system.remove(0, wait_for_users=True) is Outcome.WOULD_BLOCK
    assert system.start(0, 3) == 0
    system.close(0, 3)
    assert system.observe()["devices"][0]["state"] == "FREED"


@BOTH
def test_removal_that_begins_gives_no_more_queues(behaviour: str) -> None:
    system = System(behaviour)
    system.alloc(0)
    system.register(0)
    removal = system.call("remove", 0, True)
    removal.step()
    assert removal.at is not None
    assert removal.at.label == "before uacce->mutex"
    assert system.read_sysfs(0, "available_instances") == "0\n"
    assert system.open(0, 0, 3) == -16


@BOTH
def test_end_of_everything(behaviour: str) -> None:
    system = opened(behaviour, capacity=4)
    system.fork(0, 1)
    system.open(1, 0, 5)
    system.mmap(1, 5, 0, 2)
    system.mmap(0, 3, 1, 2)
    system.start(1, 5)
    assert checks.check(system) == []
    assert checks.end(system) == []


@BOTH
def test_new_device_after_an_old_one(behaviour: str) -> None:
    system = opened(behaviour)
    system.remove(0)
    assert system.alloc(0) == 0
    assert system.open(0, 0, 4) == -6
    assert system.register(0) == 0
    assert system.open(0, 0, 4) == 4
    assert system.start(0, 3) == -6
    assert system.start(0, 4) == 0


def test_lowest_free_number_is_reused_on_demand() -> None:
    for reuse, names in ((True, ["hisi-0", "hisi-1", "hisi-0"]), (False, ["hisi-0", "hisi-1", "hisi-2"])):
        system = System(reuse_ids=reuse)
        found = []
        for d in (0, 1, 2):
            system.alloc(d)
            system.register(d)
            found.append(system.observe()["devices"][d]["name"])
            if d == 1:
                system.remove(0)
        assert found == names


def test_old_node_leads_to_the_device_that_has_its_number_now() -> None:
    system = System(reuse_ids=True)
    system.alloc(0)
    system.register(0)
    system.remove(0)
    system.alloc(1)
    system.register(1)
    assert system.open(0, 0, 3) == 3
    assert system.observe()["queues"][1]["device"] == 1
