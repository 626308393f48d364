# SPDX-License-Identifier: Apache-2.0
"""Random calls on a whole system: after each, every law holds; at the end, nothing is left."""

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from accelspec.reference_impl import CALLBACKS, INJECTABLE, Errno, Outcome, System, checks

PROCESS = st.integers(0, 2)
DEVICE = st.integers(0, 1)
FD = st.integers(3, 6)
FAILURES = [name for name in INJECTABLE if name != "is_q_updated"] + ["sva_bind", "alloc:vma", "cdev_device_add"]
RESULTS = st.sampled_from([Errno.EIO, Errno.ENOMEM, Errno.EBUSY])


class Driver(RuleBasedStateMachine):
    """Calls by number on one system. `behaviour` is set by a subclass."""

    behaviour = ""
    steps = 0
    succeeded = 0

    def __init__(self) -> None:
        super().__init__()
        self.system = System(self.behaviour, hardware={"capacity": 2, "threshold": 2})
        for d in (0, 1):
            self.system.alloc(d)
        self.system.register(0)
        self.system.open(0, 0, 3)
        self.before = self.system.observe()
        self.partial = False

    def note(self, result: int) -> None:
        assert result != Outcome.OOPS, self.system.findings
        assert result != Outcome.DEADLOCK, self.system.findings
        if result < 0 and self.behaviour == "intended" and not self.partial:
            assert checks.residue(self.before, self.system.observe()) == []
        type(self).steps += 1
        type(self).succeeded += result >= 0

    def revive(self, p: int) -> None:
        if not self.system.alive(p):
            self.system.spawn(p)

    def state(self, d: int) -> str:
        provider = self.system.providers.get(d)
        return "ABSENT" if provider is None or provider.device is None else provider.device.state.name

    def fds(self, p: int) -> dict[int, Any]:
        return self.system.kernel.processes[p].files.files if p in self.system.kernel.processes else {}

    @rule(d=DEVICE, sva=st.booleans())
    def alloc(self, d: int, sva: bool) -> None:
        if self.state(d) in ("ABSENT", "REMOVED", "FREED"):
            self.note(self.system.alloc(d, sva=sva))

    @rule(d=DEVICE)
    def register(self, d: int) -> None:
        if self.state(d) in ("ABSENT", "ALLOCATED"):
            self.note(self.system.register(d))

    @rule(d=DEVICE, rarely=st.integers(0, 3))
    def remove(self, d: int, rarely: int) -> None:
        if not rarely:
            self.note(self.system.remove(d))

    @rule(p=PROCESS, d=DEVICE, n=FD, cloexec=st.booleans())
    def open(self, p: int, d: int, n: int, cloexec: bool) -> None:
        self.revive(p)
        if n not in self.fds(p):
            self.note(self.system.open(p, d, n, cloexec=cloexec))

    @rule(p=PROCESS, n=FD, what=st.sampled_from(["start", "put_q", "driver_ioctl", "poll", "close", "complete"]))
    def simple(self, p: int, n: int, what: str) -> None:
        self.revive(p)
        self.note(getattr(self.system, what)(p, n))

    @rule(p=PROCESS, n=FD)
    def sleep(self, p: int, n: int) -> None:
        self.revive(p)
        self.system.poll(p, n, block=True)

    @rule(p=PROCESS, n=FD, region=st.integers(0, 2), pages=st.integers(1, 2), private=st.booleans())
    def mmap(self, p: int, n: int, region: int, pages: int, private: bool) -> None:
        self.revive(p)
        self.note(self.system.mmap(p, n, region, pages, private=private))

    @precondition(lambda self: self.system.mappings)
    @rule(data=st.data(), what=st.sampled_from(["munmap", "mprotect", "touch", "shrink", "move"]), at=st.integers(0, 1))
    def change_map(self, data: st.DataObject, what: str, at: int) -> None:
        m = data.draw(st.sampled_from(sorted(self.system.mappings)))
        if not self.system.alive(self.system.mappings[m].process):
            return
        if what == "munmap":
            self.partial = "alloc:vma" in self.system.kernel.injector.pending()  # what was split stays so
            self.note(self.system.munmap(m, at, data.draw(st.integers(1, 2))))
        elif what == "mprotect":
            self.partial = "alloc:vma" in self.system.kernel.injector.pending()
            self.note(self.system.mprotect(m, at, 1, writable=data.draw(st.booleans())))
        elif what == "touch":
            self.note(self.system.touch(m, at, write=data.draw(st.booleans())))
        else:
            size = 2 - at if what == "move" else 1
            self.partial = "alloc:vma" in self.system.kernel.injector.pending()
            self.note(self.system.mremap(m, 2 - at, size, first=at, move=what == "move"))

    @rule(p=PROCESS, c=PROCESS)
    def fork(self, p: int, c: int) -> None:
        self.revive(p)
        if c in self.system.kernel.processes and not self.system.alive(c):
            self.note(self.system.fork(p, c))

    @rule(p=PROCESS, what=st.sampled_from(["exec", "exit", "signal"]))
    def process(self, p: int, what: str) -> None:
        if p in self.system.kernel.processes and self.system.alive(p):
            self.note(getattr(self.system, what)(p))

    @rule(p=PROCESS, n=FD, m=FD, c=PROCESS)
    def share(self, p: int, n: int, m: int, c: int) -> None:
        if self.system.alive(p) and self.system.alive(c):
            self.note(self.system.dup(p, n, m) if p == c or m in self.fds(c) else self.system.pass_fd(p, n, c, m))

    @rule(d=DEVICE, what=st.sampled_from(["hw_error", "reset", "failed"]), rarely=st.integers(0, 2))
    def trouble(self, d: int, what: str, rarely: int) -> None:
        if d in self.system.providers and not rarely:
            if what == "hw_error":
                self.system.hw_error(d)
            else:
                self.system.reset(d, ok=what == "reset")

    @rule(name=st.sampled_from(FAILURES), result=RESULTS)
    def inject(self, name: str, result: Errno) -> None:
        if not self.system.kernel.injector.pending():
            self.system.inject(name, result)

    @invariant()
    def laws_hold(self) -> None:
        assert checks.unexpected(self.system) == []
        self.before = self.system.observe()
        self.partial = False

    def teardown(self) -> None:
        self.system.kernel.injector.clear()
        known = checks.KNOWN[self.behaviour]
        assert [finding for finding in checks.end(self.system) if finding.rule not in known] == []


class Linux(Driver):
    behaviour = "6.12.117"


class Intended(Driver):
    behaviour = "intended"


@pytest.mark.parametrize("driver", [Linux, Intended])
def test_random_calls(driver: type[Driver]) -> None:
    driver.steps = driver.succeeded = 0
    run_state_machine_as_test(driver, settings=settings(max_examples=60, stateful_step_count=50))
    assert driver.steps > 500
    assert driver.succeeded > driver.steps // 4


def test_callbacks_can_all_be_injected() -> None:
    assert set(CALLBACKS) <= set(INJECTABLE)
