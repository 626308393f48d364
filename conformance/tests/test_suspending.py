# SPDX-License-Identifier: Apache-2.0
"""Calls that wait: who may make them, what explains that one stands and goes on, and how a run with one ends."""

from __future__ import annotations

from functools import cache

from accelspec.conformance.campaign import fuzz, replay
from accelspec.conformance.coverage import Coverage
from accelspec.conformance.disagreement import Disagreement
from accelspec.conformance.oracle import Oracle
from accelspec.conformance.recording import decode
from accelspec.conformance.session import Session
from accelspec.conformance.targets import WAITS, Call, Observation, Suspending, System
from accelspec.conformance.tests.toy import STARTED, Device, Queue, Toy, ToyDriver
from accelspec.model.evaluate import Interpreter
from accelspec.spec.language import DONE, Result, compile_machine, event, read
from accelspec.spec.language.specification import Specification

CELLS = {"device0.sva": "False", "hw0.device": "device0", "hw1.device": "device0"}
OPEN = Call("open", ("process0", "fd0", "device0"))
START = Call("start", ("process0", "fd0"))
CLOSE = Call("close", ("process0", "fd0"))
FLUSH = Call("flush", ("device0",))
GO_ON = Call("flush", ("device0",), resumed=True)


class Flushing(Toy):
    """The toy, and a flush that waits until no queue is started."""

    revision = "2"
    unchanged = read("toy.c", "all other functions are the same")

    @event
    def flush(self, d: Device) -> Result:
        while any(q.device is d and q.state is STARTED for q in Queue):
            yield "flushing"
        return DONE("flushed", read("toy_flush"))


@cache
def specification() -> Specification:
    return compile_machine(Flushing)


@cache
def interpreter() -> Interpreter:
    return Interpreter(specification())


class FlushingDriver(ToyDriver):
    """The same by hand. Bugs: `hasty` does not wait, `deaf` is not told that the wait is over."""

    def do_flush(self, device: str) -> str:
        busy = any(q["device"] == device and q["state"] == "STARTED" for q in self.queues())
        return WAITS if busy and "hasty" not in self.bugs else "DONE"

    def resume(self, call: Call) -> Observation:
        assert call.resumed
        if "deaf" in self.bugs:
            return Observation(WAITS)
        return self.perform(call)


def driver(bugs: str = "") -> FlushingDriver:
    return FlushingDriver("2", {"bugs": bugs})


def oracle(*calls: tuple[Call, str], suspending: bool = True) -> Oracle:
    made = Oracle(interpreter(), suspending=suspending)
    made.begin(CELLS)
    for call, result in calls:
        assert not made.refuses(call)
        assert not isinstance(made.step(call, Observation(result)), Disagreement)
    return made


def judged(made: Oracle, call: Call, result: str) -> str:
    """The row of what a call answered, or the signature of the disagreement."""
    done = made.step(call, Observation(result))
    return done.signature if isinstance(done, Disagreement) else done.row


def test_only_a_suspending_target_is_asked_to_wait() -> None:
    started = ((OPEN, "OK"), (START, "OK"))
    assert "waits for another call" in oracle(*started, suspending=False).refuses(FLUSH)
    assert oracle(*started).refuses(FLUSH) == ""
    assert isinstance(driver(), Suspending)
    assert not isinstance(ToyDriver(), Suspending)


def test_a_call_stands_until_another_one_lets_it_go_on() -> None:
    made = oracle((OPEN, "OK"), (START, "OK"))
    assert judged(made, FLUSH, WAITS) == "flush.flushing"
    assert "waits" in made.refuses(GO_ON)
    assert "stands already" in made.refuses(FLUSH)
    assert judged(made, CLOSE, "OK") == "close.ok"
    assert made.refuses(GO_ON) == ""
    assert judged(made, GO_ON, "DONE") == "flush.flushed"
    assert "no such call stands" in made.refuses(GO_ON)
    assert made.refuses(FLUSH) == ""


def test_a_call_that_must_wait_does_not_end_and_one_that_need_not_does_not_stand() -> None:
    assert judged(oracle((OPEN, "OK"), (START, "OK")), FLUSH, "DONE") == "flush.flushing -> DONE"
    assert judged(oracle((OPEN, "OK")), FLUSH, WAITS) == "flush.flushed -> WAITS"
    stands = oracle((OPEN, "OK"), (START, "OK"), (FLUSH, WAITS), (CLOSE, "OK"))
    assert judged(stands, GO_ON, WAITS) == "flush.flushed -> WAITS"


def test_a_campaign_makes_calls_that_wait_and_ends_them() -> None:
    passed = fuzz(specification(), driver(), seed=1, max_steps=2000)
    assert passed.passed
    assert passed.rows["flush.flushing"] >= 20
    assert passed.rows["flush.flushed"] >= passed.rows["flush.flushing"]


def test_the_drain_lets_a_call_that_stands_end() -> None:
    session = Session(Oracle.of(interpreter(), driver()), driver(), Coverage.of(specification()))
    session.begin(System("toy", "2", dict(interpreter().scope), CELLS))
    for call in (OPEN, START, FLUSH):
        session.perform(call)
    session.drain()
    assert [str(done) for done in session.oracle.history[3:]] == [
        "close(process0, fd0) -> OK",
        "flush(device0) goes on -> DONE",
    ]


def test_wrong_waits_are_found_shrunk_and_replayed() -> None:
    for bugs, calls in (("hasty", 3), ("deaf", 5)):
        found = fuzz(specification(), driver(bugs), seed=1, max_steps=3000)
        assert found.disagreement is not None
        assert found.disagreement.operation == "flush"
        assert found.recording is not None
        assert len(found.recording.calls) == calls
        assert replay(specification(), driver(bugs), decode(found.replay)).replay == found.replay
        assert replay(specification(), driver(), decode(found.replay)).passed
