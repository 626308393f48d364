# SPDX-License-Identifier: Apache-2.0
"""uacce v4: its rows, and the sequences of the fact sheet (S-01 and on) row by row.

A walk names rows, and takes every move of every state that answers with the next of them.
"""

from __future__ import annotations

import pytest

from accelspec.model.evaluate import Interpreter
from accelspec.model.explore import explore
from accelspec.model.trace import Move, State, Trace
from accelspec.spec.language import Errno, Mark, compile_machine
from accelspec.spec.uacce.v4 import V4

SPEC = compile_machine(V4)
REGISTRATION = ("register", "fill")
OPEN = "open.found open.got_queue open.ok"
MMAP = "mmap.waits for m.uacce_mutex"


class Walk:
    """What a run of the given rows can end with: (state before, move) pairs."""

    def __init__(self, scope: str) -> None:
        self.machine = Interpreter(SPEC, SPEC.scopes[scope])
        self.states = set(self.machine.initial())
        self.last: list[tuple[State, Move]] = []
        self.calls = 0

    def take(self, *rows: str) -> Walk:
        for row in rows:
            self.last = [(s, m) for s in self.states for m in self.machine.moves(s) if m.case.id == row]
            assert self.last, f"no state takes {row}"
            self.states = {m.after for _, m in self.last if not m.failed and not m.case.crashes}
            self.calls += not self.last[0][1].case.step and not row.startswith(REGISTRATION)
        return self

    def fails(self, id: str) -> bool:
        """Does a move of the last row fail an assert, or break a law?"""
        law = next(p for p in SPEC.properties if p.id == id)
        return any(id in m.failed or not (m.failed or self.machine.holds(law, s, m.after, m)) for s, m in self.last)

    def outcomes(self) -> set[Errno | None]:
        return {m.case.outcome for _, m in self.last}


def walk(scope: str, text: str) -> Walk:
    """`register.ok open.found mmap`: rows, separated by blanks; `mmap` stands for the step that ends waiting."""
    return Walk(scope).take(*(MMAP if row == "mmap" else row for row in text.split()))


def rows_of(operation: str) -> str:
    return " ".join(dict.fromkeys(c.row for c in SPEC.cases if c.operation == operation and c.outcome is not None))


def test_rows_in_the_order_of_the_code() -> None:
    assert rows_of("open") == (
        "no_node no_id device_freed driver_gone module_going exclusive bind_fails no_memory all_in_use"
        " get_queue_fails ok"
    )
    assert rows_of("share") == (
        "bad_fd no_queue device_freed target_not_started bad_source_fd other_file source_without_queue sva_target"
        " nothing_to_share no_domain map_fails ok"
    )
    assert rows_of("mmap") == (
        "bad_fd no_queue device_freed no_next_region wrong_size data_limit occupied ss_not_started ss_on_sva"
        " dko_on_sva no_memory no_callback driver_refuses mapped_by_driver state_overwritten mapped_nowhere no_domain"
        " iommu_map_fails remap_fails mapped_to_share mapped_pages"
    )


def test_no_row_is_taken_from_newer_drivers() -> None:
    """What is inherited is the kernel's, or what a provider does on a completion."""
    newer = {c.id for c in SPEC.cases if c.source.mark is Mark.READ and "6.12" in c.source.document}
    assert newer <= {"complete.ok"}


@pytest.mark.parametrize(
    ("sequence", "law"),
    [
        ("register.ok", "uacce.I23"),  # S-36
        ("register.no_group", "uacce.I28"),  # S-34
        ("register.ok open.found open.bind_fails", "uacce.I05"),  # S-01
        ("register.ok open.found open.bind_fails", "uacce.I24"),
        ("register.ok open.found open.get_queue_fails", "uacce.I06"),  # S-02
        ("register.ok open.found open.get_queue_fails", "uacce.I07"),
        ("register.ok open.found open.no_memory", "uacce.L04"),  # S-03
        (f"register.ok {OPEN} fill.ok put_q.ok mmap mmap.mapped_by_driver", "uacce.I03"),  # S-05
        (f"register.ok {OPEN} put_q.ok driver_ioctl.ok", "uacce.I03"),  # S-29
        (f"register.ok {OPEN} put_q.ok poll.nothing", "uacce.I03"),
        (f"register.ok {OPEN} fill.ok mmap mmap.mapped_by_driver put_q.ok", "uacce.I19"),  # S-06
        (f"register.ok {OPEN} mmap mmap.state_overwritten", "uacce.I10"),  # S-07
        (f"register.ok {OPEN} mmap mmap.state_overwritten", "uacce.I11"),
        (f"register.ok {OPEN} mmap mmap.state_overwritten", "uacce.I12"),
        (f"register.ok {OPEN} fill.ok mmap mmap.mapped_by_driver munmap.ok", "uacce.I09"),  # S-14
        (f"register.ok {OPEN} fill.ok mmap mmap.mapped_pages mremap_move.ok", "uacce.I18"),  # S-15
        (f"register.ok {OPEN} start.ok remove.ok driver_ioctl.ok", "uacce.I04"),  # S-16
        (f"register.ok {OPEN} remove.ok", "uacce.I21"),
        (f"register.ok {OPEN} remove.ok", "uacce.L01"),
        (f"register.ok {OPEN} fill.ok mmap mmap.mapped_pages remove.ok", "uacce.I14"),
        (f"register.ok {OPEN} fill.ok mmap mmap.mapped_pages remove.ok", "uacce.I15"),
        (f"register.ok {OPEN} fill.ok mmap mmap.mapped_by_driver remove.ok touch.ok", "uacce.L06"),
        ("register.ok open.found remove.ok open.got_queue", "uacce.I04"),  # S-18
        ("register.ok open.found open.got_queue complete.ok", "uacce.I23"),  # S-39
    ],
)
def test_sequences(sequence: str, law: str) -> None:
    found = walk("one of each", sequence)
    assert found.fails(law)
    assert found.calls <= 6
    assert law in SPEC.known


def test_a_description_without_a_queue_crashes_every_call() -> None:
    opened = "register.ok open.found open.bind_fails"
    for row in ("start.no_queue", "put_q.no_queue", "poll.no_queue", "mmap.no_queue", "close.ok task_work.no_queue"):
        assert walk("one of each", f"{opened} {row}").outcomes() == {Errno.OOPS}


def test_a_driver_that_is_gone() -> None:
    assert walk("one of each", "register.ok open.found remove.ok unbind_done.ok open.driver_gone").outcomes() == {
        Errno.OOPS
    }  # S-19
    put = f"register.ok {OPEN} put_q.ok remove.ok unbind_done.ok close.ok"
    late = walk("one of each", put).take("task_work.waits for q.mm.mmap_lock", "task_work.driver_gone")
    assert late.outcomes() == {Errno.OOPS}


def test_a_corrupt_queue_is_never_put() -> None:
    lost = walk("one of each", f"register.ok {OPEN} mmap mmap.state_overwritten start.not_init munmap.ok close.ok")
    lost.take("task_work.waits for q.mm.mmap_lock", "task_work.ok")
    assert lost.fails("uacce.L01")


def test_put_of_what_is_put_or_corrupt_is_success() -> None:
    assert walk("one of each", f"register.ok {OPEN} put_q.ok put_q.already_put").outcomes() == {Errno.OK}
    corrupt = f"register.ok {OPEN} mmap mmap.state_overwritten put_q.not_put put_q.already_put"
    assert not walk("one of each", corrupt).fails("uacce.I01")


def test_a_slot_stays_occupied_after_munmap() -> None:
    again = f"register.ok {OPEN} fill.ok mmap mmap.mapped_pages munmap.ok mmap mmap.occupied"
    assert walk("one of each", again).outcomes() == {Errno.EBUSY}


def test_a_dead_address_space() -> None:
    """S-10: exec without close-on-exec; the descriptor survives, the opener's address space does not."""
    assert walk("a dead address space", f"register.ok {OPEN} fill.ok exec.ok mmap mmap.mapped_by_driver").fails(
        "uacce.I17"
    )


def test_two_opens_count_each_other() -> None:
    """S-21: the device is idle, and both may be told that it is busy."""
    both = walk("two openers", "register.ok open.found open.found open.exclusive")
    assert both.fails("uacce.L02")
    assert both.calls == 2


def test_hardware_is_given_away_under_a_mapping() -> None:
    """S-06: the next opener gets the hardware queue whose doorbell the last one still has mapped."""
    found = walk(
        "hardware given twice",
        f"register.ok {OPEN} fill.ok mmap mmap.mapped_by_driver put_q.ok open.found open.got_queue",
    )
    assert found.fails("uacce.I33")
    assert found.calls <= 6


def test_close_and_mmap_deadlock() -> None:
    """S-12: release waits for mmap_lock with uacce_mutex held, mmap the other way round; nobody will ever go on."""
    found = walk("close beside mmap", f"register.ok {OPEN} {OPEN} fill.ok close.ok")
    found.take("task_work.waits for q.mm.mmap_lock", MMAP)
    assert found.calls <= 6
    assert found.states
    for s in found.states:
        assert not any(m.case.operation in ("mmap", "task_work") and m.case.step for m in found.machine.moves(s))
    stuck = next(iter(found.states))
    seen, front = {stuck}, [stuck]
    while front:
        front = [m.after for s in front for m in found.machine.moves(s) if m.after not in seen]
        seen.update(front)
        assert all("waits" not in m.case.step for s in front for m in found.machine.moves(s))


def test_lock_order_has_a_cycle() -> None:
    edges = {(e.held, e.wanted) for e in SPEC.lock_order}
    assert {("Mm.mmap_lock", "Module.uacce_mutex"), ("Module.uacce_mutex", "Mm.mmap_lock")} <= edges


def test_a_shared_region_goes_with_the_last_of_its_queues() -> None:
    """SHARE from a device that was removed is accepted: nobody looks at the source but for its region."""
    shared = Walk("sharing")
    shared.take(*f"register.ok {OPEN} fill.ok start.ok".split(), MMAP, "mmap.mapped_to_share")
    shared.take(*f"remove.ok register.ok {OPEN} start.ok share.ok".split())
    assert shared.outcomes() == {Errno.OK}
    assert not shared.fails("uacce.I13")


def test_one_of_each_violates_what_is_known_and_nothing_else() -> None:
    e = explore(SPEC, SPEC.scopes["one of each"])
    assert e.complete
    laws = {i for i in e.violated if i.startswith("uacce.")}
    assert laws <= set(SPEC.known)
    assert {"uacce.I03", "uacce.I05", "uacce.I09", "uacce.I11", "uacce.I18", "uacce.I21"} <= laws
    calls = {i: calls_of(t) for i, t in e.violated.items()}
    assert calls["uacce.I05"] == 1
    assert calls["uacce.I03"] <= 3


def calls_of(t: Trace) -> int:
    return sum(not m.case.step and m.case.operation not in REGISTRATION for m in t.moves)
