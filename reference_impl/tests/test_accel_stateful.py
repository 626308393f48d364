# SPDX-License-Identifier: Apache-2.0
"""Random calls on accelerators: after each, every law holds; at the end, no object, byte or ASID is left."""

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from accelspec.reference_impl.accel import checks
from accelspec.reference_impl.accel.arguments import Chunk, CsFlag, MemoryFlag
from accelspec.reference_impl.accel.info import Info
from accelspec.reference_impl.accel.packets import Op, Packet
from accelspec.reference_impl.accel.system import AccelSystem
from accelspec.reference_impl.kernel import Errno, Outcome

PROCESS = st.integers(0, 2)
FD = st.integers(0, 3)
QUESTIONS = [Info.DEVICE_STATUS, Info.HW_IDLE, Info.DRAM_USAGE, Info.CS_COUNTERS, Info.REGISTER_EVENTFD]
STAGED = (CsFlag.STAGED | CsFlag.STAGED_FIRST, CsFlag.STAGED | CsFlag.STAGED_LAST)
FAILURES = ["alloc:context", "context_handle", "page_tables", "mem_idr", "scrub", "test_queues", "context_switch"]


class Driver(RuleBasedStateMachine):
    """Calls by number on one device. `behaviour` is set by a subclass."""

    behaviour = ""
    steps = 0
    succeeded = 0

    def __init__(self) -> None:
        super().__init__()
        self.system = AccelSystem(self.behaviour, ring=4, kill_trials=2)
        self.handles: list[int] = [1]
        self.buffers: list[int] = [1 << 12]
        self.vas: list[int] = [0]
        self.system.open(0, 0)

    def note(self, result: int) -> int:
        known = checks.KNOWN[self.behaviour]
        assert result != Outcome.OOPS or "oops" in known, self.system.findings
        assert result != Outcome.DEADLOCK, self.system.findings
        type(self).steps += 1
        type(self).succeeded += result >= 0
        return result

    def user(self, p: int, n: int) -> tuple[int, int]:
        """Return a process and a descriptor: mostly some that are open, on a device that works; (3, 3) as they are."""
        if n == 3:
            return p, n
        if n and self.there and (self.system.device().queued_work or self.system.device().working):
            self.system.finish_reset()
        there = [(q, m) for q, process in self.system.kernel.processes.items() if process.alive for m in self.fds(q)]
        if not there and self.ready(0):
            self.note(self.system.open(0, 0))
            return 0, 0
        return there[(3 * p + n) % len(there)] if there else (p, n)

    def ready(self, p: int) -> bool:
        """Tell whether `p` can make a call: alive, and not asleep in one."""
        if not self.system.alive(p):
            self.system.spawn(p)
        return all(who != p for who, _ in self.system.sleeping())

    def fds(self, p: int) -> dict[int, Any]:
        return self.system.kernel.processes[p].files.files if p in self.system.kernel.processes else {}

    @property
    def there(self) -> bool:
        return not self.system.device().removed and not self.system.device().removal_pending

    @rule(p=PROCESS, n=FD, control=st.booleans())
    def open(self, p: int, n: int, control: bool) -> None:
        if self.ready(p) and n not in self.fds(p):
            self.note(self.system.open_control(p, 0, n) if control else self.system.open(p, 0, n))

    @rule(p=PROCESS, n=FD, rarely=st.integers(0, 1))
    def close(self, p: int, n: int, rarely: int) -> None:
        if not rarely and self.ready(p):
            self.note(self.system.close(p, n))

    @rule(p=PROCESS, n=FD, op=st.sampled_from(QUESTIONS))
    def info(self, p: int, n: int, op: Info) -> None:
        p, n = self.user(p, n)
        if self.ready(p):
            self.note(self.system.info(p, n, op))

    @rule(p=PROCESS, n=FD, times=st.integers(1, 3), bad=st.integers(0, 5), staged=st.integers(0, 8))
    def submit(self, p: int, n: int, times: int, bad: int, staged: int) -> None:
        p, n = self.user(p, n)
        if self.ready(p):
            chunk = Chunk(99) if bad == 0 else Chunk(data=Packet(Op.FILL, n=1, dst=8).encode()) if bad == 1 else Chunk()
            flags = STAGED[staged] if staged < 2 else 0
            if n and not staged:
                self.system.run()
            while times and self.note(self.system.submit(p, n, chunk, flags=flags, seq=1)) > 0:
                times -= 1

    @rule(p=PROCESS, n=FD, data=st.data())
    def submit_buffer(self, p: int, n: int, data: st.DataObject) -> None:
        p, n = self.user(p, n)
        if self.ready(p):
            self.note(self.system.submit(p, n, Chunk(4, data.draw(st.sampled_from(self.buffers)))))

    @rule(p=PROCESS, n=FD, seq=st.integers(1, 6), timeout=st.sampled_from([0, 0, 3]))
    def wait(self, p: int, n: int, seq: int, timeout: int) -> None:
        p, n = self.user(p, n)
        if self.ready(p):
            self.note(self.system.wait(p, n, seq, timeout))

    @rule(p=PROCESS, n=FD, several=st.lists(st.integers(1, 6), min_size=1, max_size=3), timeout=st.sampled_from([0, 3]))
    def multi_wait(self, p: int, n: int, several: list[int], timeout: int) -> None:
        p, n = self.user(p, n)
        if self.ready(p):
            self.note(self.system.multi_wait(p, n, several, timeout))

    @rule(p=PROCESS, n=FD, what=st.sampled_from(["create", "mapped", "destroy"]), data=st.data())
    def buffer(self, p: int, n: int, what: str, data: st.DataObject) -> None:
        p, n = self.user(p, n)
        if not self.ready(p):
            return
        if what == "destroy":
            self.note(self.system.cb_destroy(p, n, data.draw(st.sampled_from(self.buffers))))
        else:
            handle = self.note(self.system.cb_create(p, n, map=what == "mapped"))
            if handle > 0:
                self.buffers.append(handle)

    @rule(p=PROCESS, n=FD, what=st.sampled_from(["alloc", "shared", "free", "map", "unmap", "export"]), data=st.data())
    def memory(self, p: int, n: int, what: str, data: st.DataObject) -> None:
        p, n = self.user(p, n)
        if not self.ready(p):
            return
        if what in ("alloc", "shared"):
            flags = MemoryFlag.SHARED if what == "shared" else 0
            self.handles.append(max(self.note(self.system.alloc(p, n, 8192, flags=flags)), 1))
        elif what == "free":
            self.note(self.system.free(p, n, data.draw(st.sampled_from(self.handles))))
        elif what == "map":
            self.vas.append(max(self.note(self.system.map(p, n, data.draw(st.sampled_from(self.handles)))), 0))
        elif what == "unmap":
            self.note(self.system.unmap(p, n, data.draw(st.sampled_from(self.vas))))
        else:
            self.note(self.system.export(p, n, data.draw(st.sampled_from(self.vas))))

    @rule(data=st.data())
    def let_go(self, data: st.DataObject) -> None:
        if self.system.device().exports:
            self.note(self.system.release_export(data.draw(st.sampled_from(sorted(self.system.device().exports)))))

    @rule(p=PROCESS, n=FD, on=st.booleans())
    def debug(self, p: int, n: int, on: bool) -> None:
        p, n = self.user(p, n)
        if self.ready(p):
            self.note(self.system.debug_on(p, n) if on else self.system.debug_off(p, n))

    @rule(p=PROCESS, n=FD, m=FD, c=PROCESS)
    def share(self, p: int, n: int, m: int, c: int) -> None:
        if self.ready(p) and self.ready(c):
            if p == c:
                self.note(self.system.dup(p, n, m))
            elif m not in self.fds(c) and (message := self.note(self.system.send(p, n))) > 0:
                self.note(self.system.receive(c, message, m))

    @rule(p=PROCESS, what=st.sampled_from(["exit", "signal", "refuse"]), rarely=st.integers(0, 2))
    def process(self, p: int, what: str, rarely: int) -> None:
        if rarely or not self.system.alive(p) or p not in self.system.kernel.processes:
            return
        if what == "signal":
            self.system.signal(p)
        elif what == "refuse":
            self.system.refuse_to_die(p)
        elif self.ready(p):
            self.note(self.system.exit(p))

    @rule(what=st.sampled_from(["complete", "complete", "run", "hang", "busy", "tick", "timeout", "frequency"]))
    def hardware(self, what: str) -> None:
        if what == "tick":
            self.system.tick(4)
        elif what == "frequency":
            self.system.frequency_tick()
        elif what == "busy":
            self.system.keep_busy()
        else:
            getattr(self.system, what)()

    @rule(
        what=st.sampled_from(["compute_reset", "hard_reset", "heartbeat", "heartbeat_fails", "watchdog"]),
        rarely=st.integers(0, 2),
    )
    def trouble(self, what: str, rarely: int) -> None:
        if self.there and not rarely:
            self.note(getattr(self.system, what)())

    @rule(whole=st.booleans())
    def reset_on(self, whole: bool) -> None:
        if self.there:
            (self.system.finish_reset if whole else self.system.reset_step)()

    @precondition(lambda self: self.there)
    @rule(rarely=st.integers(0, 3))
    def sleep_and_wake(self, rarely: int) -> None:
        if not rarely and self.note(self.system.suspend()) == 0:
            self.note(self.system.resume())

    @rule(rarely=st.integers(0, 9))
    def remove(self, rarely: int) -> None:
        if not rarely and self.there:
            self.system.stubborn.clear()
            self.note(self.system.finish_removal())
            self.system.probe(0)

    @rule(text=st.sampled_from(["auto", "manual"]))
    def profile(self, text: str) -> None:
        self.note(self.system.pm_write(text))

    @rule(name=st.sampled_from(FAILURES), result=st.sampled_from([Errno.EIO, Errno.ENOMEM, Errno.EBUSY]))
    def inject(self, name: str, result: Errno) -> None:
        if not self.system.kernel.injector.pending():
            self.system.inject(name, result)

    @invariant()
    def laws_hold(self) -> None:
        assert checks.unexpected(self.system) == []

    def teardown(self) -> None:
        known = checks.KNOWN[self.behaviour]
        left = [str(finding) for finding in checks.end(self.system) if finding.rule not in known]
        assert left == [], left


REVISIONS = ("a", "b", "c0", "c1", "c2", "intended")


@pytest.mark.slow
@pytest.mark.parametrize("revision", REVISIONS)
def test_random_calls(revision: str) -> None:
    driver: type[Driver] = type(f"Driver_{revision}", (Driver,), {"behaviour": revision})
    run_state_machine_as_test(driver, settings=settings(max_examples=30, stateful_step_count=40))
    assert driver.steps > 250
    assert driver.succeeded > driver.steps // 5


@pytest.mark.slow
@pytest.mark.parametrize("revision", ["c2", "intended"])
def test_nothing_is_known_to_be_left(revision: str) -> None:
    assert not {"habanalabs.I06", "habanalabs.I27"} & set(checks.KNOWN[revision])
