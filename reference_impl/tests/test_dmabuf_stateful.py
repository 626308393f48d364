# SPDX-License-Identifier: Apache-2.0
"""Random calls on every design: after each, every law holds that it does not break; at the end, nothing is left."""

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from accelspec.reference_impl import Errno, Outcome
from accelspec.reference_impl.compute import Op, Request
from accelspec.reference_impl.dmabuf import DESIGNS, INJECTABLE, Direction, Kind, System, Usage, checks
from accelspec.reference_impl.dmabuf.design import Era
from accelspec.reference_impl.kernel import PAGE

PROCESS = st.integers(0, 2)
DEVICE = st.integers(0, 1)
KIND = st.sampled_from(Kind)
OFTEN = st.integers(0, 3)


class Driver(RuleBasedStateMachine):
    """Calls by number on one system. `design` and `options` are set by a subclass."""

    design = ""
    options: dict[str, Any] = {}
    steps = 0
    succeeded = 0

    def __init__(self) -> None:
        super().__init__()
        self.system = System(self.design, pages=12, reset_tries=3, **self.options)
        self.known = checks.KNOWN[self.design]
        self.before = self.system.observe()
        self.addresses: list[tuple[int, int, int]] = []  # process, device descriptor, device address
        self.handles: list[tuple[int, int, int]] = []
        self.open_and_export(0, 0)
        self.open_and_export(1, 1)

    def open_and_export(self, p: int, d: int) -> None:
        n = self.system.open(p, d)
        if n >= 0:
            self.alloc_on(p, n, 2)
            self.export_from(p, n, len(self.addresses) - 1)

    def note(self, result: int) -> int:
        assert result != Outcome.OOPS, self.system.findings
        assert result != Outcome.DEADLOCK, self.system.findings
        type(self).steps += 1
        type(self).succeeded += result >= 0
        if result < 0 and result > Outcome.WOULD_BLOCK and not self.system.sleeping_at_all():
            self.nothing_left()
        return result

    def nothing_left(self) -> None:
        """A call that failed changed nothing; of other calls one might say so too, but for what they meet."""
        if self.strict:
            left = checks.residue(self.before, self.system.observe())
            assert left == [], left

    strict = False

    def fds(self, p: int, what: str = "") -> list[int]:
        process = self.system.observe()["processes"].get(p)
        return [n for n, behind in process["fds"].items() if behind.startswith(what)] if process else []

    def some(self, data: st.DataObject, p: int, what: str = "") -> int:
        found = self.fds(p, what)
        return data.draw(st.sampled_from(found)) if found else 77

    def revive(self, p: int) -> None:
        if not self.system.alive(p):
            self.system.spawn(p)

    # Devices and their memory.

    @rule(p=PROCESS, d=DEVICE, cloexec=st.booleans())
    def open(self, p: int, d: int, cloexec: bool) -> None:
        self.revive(p)
        self.note(self.system.open(p, d, cloexec=cloexec))

    def alloc_on(self, p: int, n: int, pages: int) -> None:
        handle = self.note(self.system.mem_alloc(p, n, pages * PAGE))
        if handle < 0:
            return
        if not self.system.devices[0].mmu:
            device = self.system.devices[0]
            into_bar = self.system.design.region_guards
            self.addresses.append((p, n, PAGE if into_bar else device.user_base))
        elif self.system.design.addressing == "handle":
            self.addresses.append((p, n, handle))
        else:
            self.addresses.append((p, n, self.note(self.system.mem_map(p, n, handle))))
        self.handles.append((p, n, handle))

    @rule(p=PROCESS, pages=st.integers(1, 3), data=st.data())
    def alloc(self, p: int, pages: int, data: st.DataObject) -> None:
        self.revive(p)
        self.alloc_on(p, self.some(data, p, "device"), pages)

    def export_from(self, p: int, n: int, which: int, pages: int = 1, offset: int = 0) -> None:
        address = self.addresses[which][2]
        self.note(self.system.export(p, n, address, pages * PAGE, offset * PAGE))

    @precondition(lambda self: self.addresses)
    @rule(p=PROCESS, pages=st.integers(1, 2), offset=st.sampled_from([0, 0, 1, (1 << 64) // PAGE - 1]), data=st.data())
    def export(self, p: int, pages: int, offset: int, data: st.DataObject) -> None:
        self.revive(p)
        which = data.draw(st.integers(0, len(self.addresses) - 1))
        self.export_from(p, self.some(data, p, "device"), which, pages, offset)

    @precondition(lambda self: self.handles)
    @rule(data=st.data(), what=st.sampled_from(["mem_free", "mem_unmap", "move"]))
    def memory(self, data: st.DataObject, what: str) -> None:
        if what == "mem_unmap":
            p, n, address = data.draw(st.sampled_from(self.addresses))
        else:
            p, n, address = data.draw(st.sampled_from(self.handles))
        if self.system.alive(p) and n in self.fds(p):
            self.note(getattr(self.system, what)(p, n, address))

    @rule(d=DEVICE, what=st.sampled_from(["revoke", "restore", "suspend", "resume"]))
    def trouble(self, d: int, what: str) -> None:
        self.note(getattr(self.system, what)(d))

    @rule(d=DEVICE, what=st.sampled_from(["reset", "remove"]), rarely=st.integers(0, 5))
    def end_of_device(self, d: int, what: str, rarely: int) -> None:
        if not rarely:
            self.note(getattr(self.system, what)(d))

    @rule(p=PROCESS, data=st.data())
    def request(self, p: int, data: st.DataObject) -> None:
        self.revive(p)
        n, m = self.some(data, p, "device"), self.some(data, p, "buffer")
        self.note(self.system.revoke_buffer(p, n, m))

    # Descriptors.

    @rule(p=PROCESS, data=st.data(), what=st.sampled_from(["close", "dup", "query", "send"]), often=OFTEN)
    def descriptor(self, p: int, data: st.DataObject, what: str, often: int) -> None:
        self.revive(p)
        n = self.some(data, p, "buffer" if often else "")
        self.note(getattr(self.system, what)(p, n))

    @precondition(lambda self: self.system.messages)
    @rule(p=PROCESS, data=st.data(), take=OFTEN)
    def receive(self, p: int, data: st.DataObject, take: int) -> None:
        self.revive(p)
        message = data.draw(st.sampled_from(sorted(self.system.messages)))
        self.note(self.system.receive(p, message) if take else self.system.drop(p, message))

    @rule(p=PROCESS, c=PROCESS)
    def fork(self, p: int, c: int) -> None:
        self.revive(p)
        if not self.system.alive(c):
            self.note(self.system.fork(p, c))

    @rule(p=PROCESS, what=st.sampled_from(["exec", "exit", "signal_process"]))
    def process(self, p: int, what: str) -> None:
        if p in self.system.kernel.processes and self.system.alive(p):
            self.note(getattr(self.system, what)(p))

    @rule(p=PROCESS, size=st.integers(0, 2))
    def heap(self, p: int, size: int) -> None:
        self.revive(p)
        self.note(self.system.heap(p, size * PAGE))

    # Importers.

    @rule(p=PROCESS, kind=KIND, i=st.integers(0, 1), data=st.data())
    def attach(self, p: int, kind: Kind, i: int, data: st.DataObject) -> None:
        self.revive(p)
        t = self.note(self.system.attach(p, self.some(data, p, "buffer"), kind, i))
        self.before = self.system.observe()
        if t > 0 and kind in (Kind.PINNED, Kind.PINNED_REVOCABLE):
            self.note(self.system.pin(t))

    def attachment(self, data: st.DataObject) -> int:
        alive = [t for t, (p, _) in self.system.importers.items() if self.system.alive(p)]
        return data.draw(st.sampled_from(sorted(alive))) if alive else 0

    @precondition(lambda self: self.system.importers)
    @rule(
        data=st.data(),
        what=st.sampled_from(["map", "map", "map", "unmap", "unmap", "pin", "unpin", "detach"]),
        direction=st.sampled_from(Direction),
    )
    def importer(self, data: st.DataObject, what: str, direction: Direction) -> None:
        if t := self.attachment(data):
            self.note(self.system.map(t, direction) if what == "map" else getattr(self.system, what)(t))

    @precondition(lambda self: self.system.importers)
    @rule(data=st.data())
    def reach(self, data: st.DataObject) -> None:
        if (t := self.attachment(data)) and not self.known:
            importer = self.system.importers[t][1]
            expected = importer.mapping is not None
            assert isinstance(self.system.dma_read(t, 0, 16), bytes) is expected

    @rule(p=PROCESS, data=st.data(), pages=st.integers(0, 2), revocable=st.booleans())
    def register(self, p: int, data: st.DataObject, pages: int, revocable: bool) -> None:
        self.revive(p)
        self.note(self.system.register(p, self.some(data, p, "buffer"), 0, pages * PAGE, revocable=revocable))

    @precondition(lambda self: self.system.regions)
    @rule(data=st.data())
    def deregister(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.system.regions)))
        p = self.system.regions[key][0]
        if self.system.alive(p):
            self.note(self.system.deregister(p, key))

    @rule(p=PROCESS, data=st.data())
    def import_and_submit(self, p: int, data: st.DataObject) -> None:
        self.revive(p)
        n = self.some(data, p, "device")
        address = self.note(self.system.import_buffer(p, n, self.some(data, p, "buffer")))
        if address > 0:
            self.before = self.system.observe()
            self.note(self.system.submit(p, n, Request(Op.COPY, 4, n=8, src0=address, dst=address + 8, room=8)))

    @rule(d=DEVICE)
    def run(self, d: int) -> None:
        self.system.run(d)

    # What the descriptor of a buffer does.

    @rule(p=PROCESS, data=st.data(), flags=st.integers(0, 4), what=st.sampled_from(["begin_cpu_access", "sync"]))
    def access(self, p: int, data: st.DataObject, flags: int, what: str) -> None:
        self.revive(p)
        self.note(getattr(self.system, what)(p, self.some(data, p), flags))

    @rule(p=PROCESS, data=st.data(), events=st.sampled_from([1, 4, 5]), block=st.booleans())
    def poll(self, p: int, data: st.DataObject, events: int, block: bool) -> None:
        self.revive(p)
        self.note(self.system.poll(p, self.some(data, p, "buffer"), events, block=block))

    @rule(p=PROCESS, data=st.data(), usage=st.sampled_from(Usage))
    def fence(self, p: int, data: st.DataObject, usage: Usage) -> None:
        self.revive(p)
        self.note(self.system.fence(p, self.some(data, p, "buffer"), usage))

    @precondition(lambda self: self.system.user_fences)
    @rule(data=st.data())
    def signal(self, data: st.DataObject) -> None:
        self.revive(0)
        self.note(self.system.signal(0, data.draw(st.sampled_from(sorted(self.system.user_fences)))))

    @rule(seconds=st.sampled_from([1, 10, 600]))
    def advance(self, seconds: int) -> None:
        self.system.advance(seconds)

    @rule(p=PROCESS, data=st.data(), flags=st.integers(0, 2))
    def sync_files(self, p: int, data: st.DataObject, flags: int) -> None:
        self.revive(p)
        self.note(self.system.export_sync_file(p, self.some(data, p, "buffer"), flags))
        self.before = self.system.observe()
        self.note(self.system.import_sync_file(p, self.some(data, p, "buffer"), flags, self.some(data, p, "sync")))

    @rule(p=PROCESS, data=st.data(), pages=st.integers(0, 2))
    def mmap(self, p: int, data: st.DataObject, pages: int) -> None:
        self.revive(p)
        m = self.note(self.system.mmap(p, self.some(data, p, "buffer"), pages))
        if m > 0:
            self.system.touch(m)

    @rule()
    def listing(self) -> None:
        if not self.system.sleeping_at_all():
            assert len(self.system.debug_listing()) == len(self.system.core.buffers)

    @rule(name=st.sampled_from(INJECTABLE))
    def inject(self, name: str) -> None:
        if not self.system.kernel.injector.pending():
            self.system.inject(name, Errno.ENOMEM)

    @invariant()
    def laws_hold(self) -> None:
        found = [finding for finding in checks.check(self.system) if finding.rule not in self.known]
        assert found == [], found
        self.before = self.system.observe()

    def teardown(self) -> None:
        self.system.kernel.injector.clear()
        left = [finding for finding in checks.end(self.system) if finding.rule not in self.known]
        assert left == [], left


def driver(name: str, design: str, **options: Any) -> type[Driver]:
    return type(name, (Driver,), {"design": design, "options": options, "strict": name == "intended"})


DRIVERS = [
    *(driver(name, name) for name in DESIGNS),
    driver("D2c without an MMU", "D2c", mmu=False),
    driver("D3b without an MMU", "D3b", mmu=False),
    driver("D3b without move notify", "D3b", move_notify=False),
    driver("intended on an older core", "intended", era=Era.C612),
]


@pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.__name__)
def test_random_calls(driver: type[Driver]) -> None:
    driver.steps = driver.succeeded = 0
    run_state_machine_as_test(driver, settings=settings(max_examples=15, stateful_step_count=40))
    assert driver.steps > 200
    assert driver.succeeded > driver.steps // 4
