# SPDX-License-Identifier: Apache-2.0
"""Two calls at once: which may be made, what explains them, and that a race is found, shrunk and replayed."""

from __future__ import annotations

from accelspec.conformance.calls import Calls, Request
from accelspec.conformance.campaign import fuzz, replay
from accelspec.conformance.disagreement import Disagreement
from accelspec.conformance.meetings import joints
from accelspec.conformance.oracle import Oracle
from accelspec.conformance.recording import Met, decode
from accelspec.conformance.shrinking import shorter
from accelspec.conformance.targets import Call, Concurrent, Observation
from accelspec.conformance.tests.toy import RacyDriver, ToyDriver, interpreter, specification

CELLS = {"device0.sva": "False", "hw0.device": "device0", "hw1.device": "device0"}
OPEN = Call("open", ("process0", "fd0", "device0"))
OTHER = Call("open", ("process1", "fd0", "device0"))
REMOVE = Call("remove", ("device0",))


def oracle(*calls: Call) -> Oracle:
    made = Oracle(interpreter())
    made.begin(CELLS)
    for call in calls:
        assert not isinstance(made.step(call, Observation("DONE" if call is REMOVE else "OK")), Disagreement)
    return made


def met(made: Oracle, call: Call, result: str, other: Call, then: str, state: dict[str, str] | None = None) -> str:
    """The row of what two calls answered, or the signature of the disagreement."""
    done = made.step(call, Observation(result), Met(other, (1, 1), Observation(then, state=state or {})))
    return done.signature if isinstance(done, Disagreement) else done.row


# ------------------------------------------------------------------ what explains two calls


def test_two_calls_are_explained_by_either_order() -> None:
    assert met(oracle(), OPEN, "OK", REMOVE, "DONE") == "open.ok and remove.removed"
    assert met(oracle(), OPEN, "ENXIO", REMOVE, "DONE") == "open.gone and remove.removed"


def test_no_order_explains_this() -> None:
    assert met(oracle(), OPEN, "EBUSY", REMOVE, "DONE") == "open with remove -> EBUSY and DONE"
    start = Call("start", ("process0", "fd0"))
    again = Call("start", ("process1", "fd0"))
    made = oracle(OPEN, OTHER)
    assert met(made, start, "OK", again, "OK") == "start.ok and start.ok"


def test_the_state_after_both_is_compared() -> None:
    made = oracle()
    signature = met(made, OPEN, "OK", REMOVE, "DONE", {"device0.registered": "True"})
    assert signature == "open with remove -> OK and DONE (device#.registered is then False, not True)"
    assert len(made.history) == 0


def test_the_steps_of_one_call_may_lie_between_those_of_the_other() -> None:
    state = next(s for s in interpreter().initial())
    calls = Calls(interpreter())
    two = joints(calls, state, (Request("open", (0, 0, 0)), Request("remove", (0,))))
    assert not isinstance(two, str)
    rows = {tuple(way.rows for way in joint.ways) for joint in two}
    # after remove has begun the device is gone, but what was opened before is put in its second step
    assert (("open.ok",), ("remove.putting", "remove.removed")) in rows
    assert (("open.gone",), ("remove.removed",)) in rows


# ------------------------------------------------------------------ which two calls may be made


def test_calls_of_one_process_are_not_raced() -> None:
    made = oracle()
    assert made.refuses_meeting(OPEN, Call("open", ("process0", "fd1", "device0"))) == "they are calls of one process"
    assert made.refuses_meeting(OPEN, OTHER) == ""


def test_a_call_that_the_other_makes_impossible_or_unsafe_is_not_raced() -> None:
    made = oracle(OPEN, Call("start", ("process0", "fd0")))
    assert "is not offered" in made.refuses_meeting(REMOVE, REMOVE)
    assert made.refuses_meeting(REMOVE, Call("poke", ("process0", "fd0"))) == "poke.wild ends in OOPS"


def test_only_calls_whose_order_matters_are_worth_it() -> None:
    made = oracle(OPEN)
    close = Call("close", ("process1", "fd1"))
    assert made.commute(Call("start", ("process0", "fd0")), close)
    assert not made.commute(OTHER, REMOVE)


# ------------------------------------------------------------------ campaigns


def test_a_target_that_makes_one_call_at_a_time_is_never_raced() -> None:
    assert not isinstance(ToyDriver(), Concurrent)
    assert isinstance(RacyDriver(), Concurrent)


def test_a_race_is_found_shrunk_and_replayed() -> None:
    assert fuzz(specification(), RacyDriver("1"), seed=1, max_steps=1500).passed
    racy = RacyDriver("1", {"bugs": "late"})
    found = fuzz(specification(), racy, seed=1, max_steps=10_000)
    assert found.disagreement is not None
    assert found.recording is not None
    (race,) = [step for step in found.recording.calls if step.met]
    assert {call.operation for call in race.calls} == {"open", "remove"}
    assert len(found.recording.calls) == 2
    assert "meanwhile" in found.disagreement.text()
    assert replay(specification(), racy, decode(found.replay)).replay == found.replay
    assert replay(specification(), RacyDriver("1"), decode(found.replay)).passed


def test_schedules_shrink_to_fewer_and_earlier_turns() -> None:
    assert set(shorter((4, 1))) == {(1,), (4,), (0, 1), (2, 1), (3, 1), (4, 0)}
    assert list(shorter(())) == []
