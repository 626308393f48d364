# SPDX-License-Identifier: Apache-2.0
"""Historical bugs of dma-buf as mutations of the machine: each breaks its law, in as many calls as the page says.

The list was committed before any was run: docs/machines/dmabuf-historical-faults.md, which says where a run differed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from accelspec.model.explore import explore
from accelspec.model.progress import progress
from accelspec.model.verdict import Status, Verdict
from accelspec.spec.dmabuf import D2b, D2c, D3b, D3bV7, Fences, Intended
from accelspec.spec.dmabuf.fence_objects import Fence, Slot, Usage
from accelspec.spec.dmabuf.held import NO_REVOKE
from accelspec.spec.dmabuf.lock_scenarios import SCENARIOS
from accelspec.spec.dmabuf.objects import (
    GOOD,
    RESETTING,
    STATIC,
    Buffer,
    Device,
    Import,
    Memory,
    Session,
)
from accelspec.spec.kernel import Fd, File, Message, Process
from accelspec.spec.language import (
    DONE,
    EMFILE,
    ENOMEM,
    WOULD_BLOCK,
    Answer,
    Machine,
    Result,
    compile_machine,
    deduced,
    event,
    fails,
    free,
    inserts,
    replaces,
    require,
)

BUG = deduced("the bug")
SMALL = {"Fd": 2, "File": 2, "Message": 0, "kill()": 0, "reset()": 0, "remove()": 0, "revoke()": 0, "export()": 0}


class B03(D2c):
    revision = "B03"
    document = "a mutation"
    unchanged = deduced("D2c")
    not_applicable = NO_REVOKE

    @replaces("export.no_descriptor")
    def export_no_descriptor(self, m: Memory, s: Session, part: bool) -> None:
        if fails("descriptor"):
            b = Buffer(memory=m, session=s, part=part)
            free(b)
            self.undo(b)
            raise EMFILE("no_descriptor", BUG)


class B04(D2c):
    revision = "B04"
    document = "a mutation"
    unchanged = deduced("D2c")
    not_applicable = NO_REVOKE

    @replaces("export.no_descriptor")
    def export_no_descriptor(self, m: Memory, s: Session, part: bool) -> None:
        if fails("descriptor"):
            Buffer(memory=m, session=s, part=part)
            raise EMFILE("no_descriptor", BUG)


class B09(D3b):
    revision = "B09"
    document = "a mutation"
    unchanged = deduced("D3b")
    drops = ["attach.not_revocable"]


class B11(D3b):
    revision = "B11"
    document = "a mutation"
    unchanged = deduced("D3b")

    @replaces("map.no_memory")
    def map_no_memory(self, t: Import) -> None:
        if fails("allocation"):
            t.pins -= 1
            raise ENOMEM("no_memory", BUG)


class B14(Intended):
    """What is left attached is told from others by its kind, which nobody else has here."""

    revision = "B14"
    document = "a mutation"
    unchanged = deduced("intended")
    not_applicable = {"dmabuf.I12": "as in intended", "dmabuf.P07": "as in intended"}

    def referenced(self, f: File) -> bool:
        by_fd = any(p.fd[n] is f for p in Process for n in Fd) or any(m.file is f for m in Message)
        by_import = any(t.file is f and t.kind is not STATIC for t in Import)
        return by_fd or by_import or any(b.file is f and b.revoking for b in Buffer)

    @replaces("attach.no_memory")
    def attach_no_memory(self, b: Buffer, f: File, p: Process) -> None:
        if fails("allocation"):
            Import(buffer=b, file=f, process=p, kind=STATIC)
            raise ENOMEM("no_memory", BUG)


class B15(Intended):
    revision = "B15"
    document = "a mutation"
    unchanged = deduced("intended")
    not_applicable = {"dmabuf.I12": "as in intended", "dmabuf.P07": "as in intended"}

    @event
    def reset(self, d: Device) -> Result:
        require(d.health is GOOD)
        d.health = RESETTING
        d.decoding = False
        yield "in_reset"
        d.decoding = True
        d.health = GOOD
        return DONE("ok", BUG)


class B17(D2c):
    revision = "B17"
    document = "a mutation"
    unchanged = deduced("D2c")
    not_applicable = NO_REVOKE

    @inserts(before="export.no_descriptor")
    def note(self, m: Memory, part: bool) -> None:
        m.part = part

    def covered(self, b: Buffer) -> bool:
        return b.memory.part


class B20(D3b):
    revision = "B20"
    document = "a mutation"
    unchanged = deduced("D3b")

    def release(self, f: File) -> None:
        for m in Memory:
            if m.session is not None and m.session.file is f:
                m.session = None
        super().release(f)


class B29(Fences):
    revision = "B29"
    document = "a mutation"
    unchanged = deduced("6.12")

    @replaces("test.idle")
    def test_idle(self) -> Answer:
        return WOULD_BLOCK("idle", BUG)


class B31(Fences):
    revision = "B31"
    document = "a mutation"
    unchanged = deduced("6.12")

    def may_replace(self, s: Slot, f: Fence, usage: Usage) -> bool:
        g = s.fence
        return g is not None and (g.signaled or (g.timeline is f.timeline and s.usage >= usage))


class B37(D3b):
    revision = "B37"
    document = "a mutation"
    unchanged = deduced("D3b")
    drops = ["export.bad_range"]

    @inserts(before="export.ok")
    def unchecked(self, wraps: bool) -> None:
        assert not wraps, "dmabuf.I07"


class B41(D2c):
    revision = "B41"
    document = "a mutation"
    unchanged = deduced("D2c")
    not_applicable = NO_REVOKE

    def referenced(self, f: File) -> bool:
        by_fd = any(p.fd[n] is f for p in Process for n in Fd) or any(m.file is f for m in Message)
        return by_fd or any(b.session is s and s.file is f for b in Buffer for s in Session)


class B43(Intended):
    revision = "B43"
    document = "a mutation"
    unchanged = deduced("intended")
    not_applicable = {"dmabuf.I12": "as in intended", "dmabuf.P07": "as in intended"}

    def referenced(self, f: File) -> bool:
        by_fd = any(p.fd[n] is f for p in Process for n in Fd) or any(m.file is f for m in Message)
        return by_fd or any(t.file is f for t in Import)

    def release(self, f: File) -> None:
        """It does not wait for the memory lock either, which by itself would keep the buffer for the revoke."""
        for b in Buffer:
            if b.file is f:
                free(b)
        for s in Session:
            if s.file is f:
                s.file = None
        free(f)


class B45(Intended):
    revision = "B45"
    document = "a mutation"
    unchanged = deduced("intended")
    not_applicable = {"dmabuf.I12": "as in intended", "dmabuf.P07": "as in intended"}
    drops = ["map.mapped"]


class B50(Intended):
    revision = "B50"
    document = "a mutation"
    unchanged = deduced("intended")
    not_applicable = {"dmabuf.I12": "as in intended", "dmabuf.P07": "as in intended"}
    drops = ["map.revoked"]


@dataclass(frozen=True)
class Mutation:
    """A bug in a machine, the law that it breaks, in how many calls, and the calls in flight that it takes."""

    machine: type[Machine]
    law: str
    calls: int
    room: dict[str, int] = field(default_factory=dict)


MUTATIONS = {
    "B01": Mutation(D2b, "dmabuf.I02", 4, {"export()": 1}),
    "B03": Mutation(B03, "dmabuf.I03", 3),
    "B04": Mutation(B04, "dmabuf.I02", 3),
    "B08": Mutation(D3bV7, "dmabuf.I22", 7, {"reset()": 1, "revoke()": 1}),
    "B09": Mutation(B09, "dmabuf.I12", 4),
    "B11": Mutation(B11, "dmabuf.I11", 5),
    "B14": Mutation(B14, "dmabuf.I09", 5),
    "B15": Mutation(B15, "dmabuf.I15", 5, {"reset()": 1}),
    "B17": Mutation(B17, "dmabuf.I08", 5, {"Fd": 3, "File": 3, "Buffer": 2}),
    "B20": Mutation(B20, "dmabuf.I28", 4),
    "B37": Mutation(B37, "dmabuf.I07", 3),
    "B41": Mutation(B41, "dmabuf.I09", 5),
    "B43": Mutation(B43, "standing:revoke().1:dmabuf.A01", 6, {"revoke()": 1}),
    "B45": Mutation(B45, "dmabuf.I10", 5),
    "B50": Mutation(B50, "dmabuf.I14", 7, {"revoke()": 1}),
}
OF_FENCES = {"B29": Mutation(B29, "dmabuf.F05", 1), "B31": Mutation(B31, "dmabuf.F04", 4)}
OF_LOCKS = {"B12": ("inversion", 2), "B33": ("S5", 2)}


def calls(verdict: Verdict) -> int:
    """How many calls were begun in the trace."""
    assert verdict.status is Status.VIOLATED
    assert verdict.trace is not None
    return sum(not move.case.step for move in verdict.trace.moves)


def broken(mutation: Mutation, scope: dict[str, int]) -> Verdict:
    """The verdict on the law that the mutation breaks."""
    spec = compile_machine(mutation.machine)
    known = {k.name for k in spec.kinds}
    return explore(spec, {name: n for name, n in scope.items() if name in known}).verdict(mutation.law)


@pytest.mark.parametrize("bug", MUTATIONS)
def test_a_bug_of_sharing_breaks_its_law(bug: str) -> None:
    mutation = MUTATIONS[bug]
    assert calls(broken(mutation, SMALL | mutation.room)) == mutation.calls


@pytest.mark.parametrize("bug", OF_FENCES)
def test_a_bug_of_fences_breaks_its_law(bug: str) -> None:
    scope = compile_machine(Fences).scopes["replacing"]
    assert calls(broken(OF_FENCES[bug], dict(scope))) == OF_FENCES[bug].calls


@pytest.mark.parametrize("bug", OF_LOCKS)
def test_a_bug_of_lock_order_breaks_its_law(bug: str) -> None:
    name, most = OF_LOCKS[bug]
    spec = compile_machine(next(s for s in SCENARIOS if s.revision == name))
    (verdict,) = [v for v in progress(spec, spec.scopes["two threads"]) if v.property == "dmabuf.I33"]
    assert calls(verdict) <= most
