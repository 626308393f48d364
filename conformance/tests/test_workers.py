# SPDX-License-Identifier: Apache-2.0
"""The pool of workers: order, several at a time, shares of the budget, and what happens to a worker that goes wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from accelspec.conformance import workers
from accelspec.conformance.judging import Said
from accelspec.conformance.tasks import Engine, Failed, Refused, Task, Told
from accelspec.conformance.workers import Ended, Pool, Started

PRINTER = str(Path(__file__).parent / "files" / "printer.py")


def task(revision: str = "2", engine: Engine = Engine.EXPLORE, target: str = "reference") -> Task:
    return Task(f"{PRINTER}@{revision}", f"printer@{revision}", engine, max_steps=10, target=target)


def test_tasks_start_in_their_order_and_their_messages_come_between_start_and_end() -> None:
    tasks = [task("2"), task("1")]
    seen = list(Pool(tasks, jobs=1).events())
    for t in tasks:
        own = [event for of, event in seen if of == t]
        assert isinstance(own[0], Started)
        assert isinstance(own[-1], Ended)
        assert any(isinstance(event, Said) for event in own)
    starts = [of.name for of, event in seen if isinstance(event, Started)]
    assert starts == ["printer@2", "printer@1"]
    assert [type(event) for of, event in seen].index(Ended) < [e is tasks[1] for e, _ in seen].index(True)


def test_several_work_at_a_time() -> None:
    events = Pool([task("2"), task("1")], jobs=2).events()
    assert [type(next(events)[1]) for _ in range(2)] == [Started, Started]
    assert sum(isinstance(event, Ended) for _, event in events) == 2


def test_a_mistake_of_the_user_is_refused_and_no_internal_error() -> None:
    (_, (_, refused)) = Pool([task(engine=Engine.FUZZ, target="referense")], jobs=1).events()
    assert isinstance(refused, Refused)
    assert "there is no target 'referense'" in refused.what


def test_an_error_of_an_engine_is_one_line_with_the_traceback_beside_it() -> None:
    (_, (_, failed)) = Pool([Task(PRINTER, "printer@2", Engine.EXPLORE, scope=(("Job", -1),))], jobs=1).events()
    assert isinstance(failed, Failed)
    assert "ValueError" in failed.what
    assert "Traceback" in failed.details


def test_each_task_is_asked_for_its_share_when_it_starts() -> None:
    asked: list[int] = []

    def share(waiting: object) -> float:
        assert isinstance(waiting, list)
        asked.append(len(waiting))
        return 30.0

    list(Pool([task("2"), task("1")], 1, share).events())
    assert asked == [2, 1]


def test_a_worker_that_does_not_heed_its_budget_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "PATIENCE", 0.0)
    monkeypatch.setattr(workers, "SLACK", -1.0)
    events = [event for _, event in Pool([task()], 1, lambda _: 1.0).events()]
    (ended,) = [event for event in events if isinstance(event, Ended)]
    assert ended.overran


def test_stopping_starts_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "GRACE", 60.0)
    pool = Pool([task("2"), task("1")], jobs=1)
    events = pool.events()
    next(events)
    pool.stop()
    assert {of.name for of, _ in events} <= {"printer@2"}


def test_what_was_found_until_it_was_to_stop_is_handed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "GRACE", 60.0)
    endless = Task(f"{PRINTER}@2", "printer@2", Engine.EXPLORE, scope=(("Process", 9), ("Job", 9), ("Tray", 9)))
    pool = Pool([endless], jobs=1)
    said = []
    for _, event in pool.events():
        if isinstance(event, Told) and "depth" in event.text:
            pool.stop()
        if isinstance(event, Said):
            said.append(event)
    assert "holds_to" in {s.word.verdict.value for s in said}
