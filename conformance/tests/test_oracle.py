# SPDX-License-Identifier: Apache-2.0
"""The oracle: what it accepts, what it refuses to call, and what it says when it finds a contradiction."""

from __future__ import annotations

from dataclasses import replace

import pytest

from accelspec.conformance.disagreement import Disagreement, Nature
from accelspec.conformance.oracle import LostTrack, Oracle
from accelspec.conformance.targets import Call, Observation, TargetError
from accelspec.conformance.tests.toy import interpreter, specification
from accelspec.model.evaluate import Interpreter
from accelspec.spec.language import Errno

CELLS = {"device0.sva": "True", "hw0.device": "device0", "hw1.device": "device0"}
OPEN = Call("open", ("process0", "fd0", "device0"))
START = Call("start", ("process0", "fd0"))
MMAP = Call("mmap", ("process0", "fd0"))
REMOVE = Call("remove", ("device0",))


def oracle(*seen: tuple[Call, Observation | str], scope: dict[str, int] | None = None) -> Oracle:
    """An oracle after a few calls, all of them explained."""
    made = Oracle(interpreter() if scope is None else Interpreter(specification(), scope))
    made.begin(CELLS)
    for call, what in seen:
        done = made.step(call, Observation(what) if isinstance(what, str) else what)
        assert not isinstance(done, Disagreement), done.text()
    return made


def disagreement(made: Oracle, call: Call, seen: Observation | str) -> Disagreement:
    done = made.step(call, Observation(seen) if isinstance(seen, str) else seen)
    assert isinstance(done, Disagreement)
    return done


def test_an_explained_call_names_its_row_and_source() -> None:
    made = oracle((OPEN, "OK"))
    assert [(p.row, p.source) for p in made.history] == [("open.ok", "[read] toy_open in the toy driver")]
    assert made.took == {"open.ok"}


def test_what_the_environment_chose_stays_open_until_it_is_seen() -> None:
    made = oracle((OPEN, "OK"))
    assert len(made.candidates) == 2  # either hardware queue
    seen = oracle((OPEN, Observation("OK", chosen={"h": "hw1"})))
    (candidate,) = seen.candidates
    assert seen.layout.spec.name == "toy@1"
    assert candidate in made.candidates


def test_a_row_that_hands_on_an_errno_answers_the_injected_one() -> None:
    failing = replace_fails(START, {"start_queue": "EIO"})
    assert oracle((OPEN, "OK"), (failing, "EIO")).history[-1].row == "start.start_fails"
    wrong = disagreement(oracle((OPEN, "OK")), failing, "EINVAL")
    assert [a.outcome for a in wrong.doubts[0].allowed] == ["EIO"]
    assert disagreement(oracle((OPEN, "OK")), failing, "OK").signature == "start.start_fails -> OK"


def replace_fails(call: Call, fails: dict[str, str]) -> Call:
    return Call(call.operation, call.args, fails)


def test_an_injected_failure_that_no_row_meets_changes_nothing() -> None:
    made = oracle((OPEN, "OK"), (replace_fails(MMAP, {"bind": "EIO"}), Observation("OK", created=("vma0",))))
    assert made.history[-1].row == "mmap.ok"


def test_a_wrong_answer_is_reported_with_what_is_allowed_and_what_is_false() -> None:
    made = oracle((OPEN, "OK"), (REMOVE, "DONE"))
    wrong = disagreement(made, START, "EINVAL")
    assert wrong.signature == "start.dead -> EINVAL"
    assert wrong.nature is Nature.ANSWER
    assert [p.row for p in wrong.prefix] == ["open.ok", "remove.removed"]
    (doubt,) = wrong.doubts  # whichever hardware queue it was is no longer to be told apart
    assert [(a.outcome, a.row) for a in doubt.allowed] == [("ENXIO", "start.dead")]
    assert [(r.row, r.false) for r in doubt.refused] == [("start.started", "not p.fd[n].state is ZOMBIE")]
    text = wrong.text()
    assert "start(process0, fd0) -> EINVAL    <- not explained" in text
    assert "ENXIO  by start.dead, if q.state is ZOMBIE: [read] toy_start in the toy driver" in text


def test_after_a_disagreement_the_candidates_are_those_before() -> None:
    made = oracle((OPEN, "OK"))
    before = made.candidates
    disagreement(made, START, "EPERM")
    assert made.candidates == before
    assert len(made.history) == 1


# ------------------------------------------------------------------ created objects


def test_a_created_object_is_called_as_the_target_calls_it() -> None:
    made = oracle((OPEN, "OK"), (MMAP, Observation("OK", created=("vma7",))))
    assert made.refuses(Call("munmap", ("vma0",))) == "there is no vma0"
    assert made.refuses(Call("munmap", ("vma7",))) == ""
    made.step(Call("munmap", ("vma7",)), Observation("OK"))
    assert made.refuses(Call("munmap", ("vma7",))) == "there is no vma7"


def test_two_objects_created_by_one_target_are_told_apart_by_what_they_do() -> None:
    made = oracle((OPEN, "OK"), (MMAP, Observation("OK", created=("vma0",))))
    made.step(Call("split", ("vma0",)), Observation("OK", created=("vma1",)))
    made.step(Call("munmap", ("vma0",)), Observation("OK"))
    assert isinstance(made.step(Call("split", ("vma1",)), Observation("OK", created=("vma2",))), Disagreement)


def test_a_target_must_name_what_later_calls_speak_about() -> None:
    wrong = disagreement(oracle((OPEN, "OK")), MMAP, "OK")
    assert "it creates Vma, and the target named nothing" in wrong.summary


@pytest.mark.parametrize("name", ["page0", "process7"])
def test_a_target_that_creates_what_the_specification_does_not_is_no_finding(name: str) -> None:
    with pytest.raises(TargetError, match=f"the target created '{name}'"):
        oracle((OPEN, "OK")).step(MMAP, Observation("OK", created=(name,)))


# ------------------------------------------------------------------ observed cells


def test_observed_cells_are_compared() -> None:
    seen = Observation("OK", state={"process0.fd[fd0]": "queue9", "queue9.state": "INIT", "device0.registered": "True"})
    assert oracle((OPEN, seen)).history[-1].row == "open.ok"
    wrong = Observation("OK", state={"process0.fd[fd0]": "queue9", "queue9.state": "STARTED"})
    found = disagreement(oracle(), OPEN, wrong)
    assert found.signature == "open.ok -> OK (queue#.state is then INIT, not STARTED)"


def test_a_name_keeps_its_object() -> None:
    made = oracle((OPEN, Observation("OK", state={"process0.fd[fd0]": "queue9"})))
    dup = Call("dup", ("process0", "fd0", "fd1"))
    same = Observation("OK", state={"process0.fd[fd1]": "queue9"})
    assert not isinstance(made.step(dup, same), Disagreement)
    assert isinstance(
        made.step(Call("close", ("process0", "fd0")), Observation("OK", state={"process0.fd[fd1]": "queue8"})),
        Disagreement,
    )


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("device0.registred", "which toy@1 does not have; its fields are"),
        ("queue3.state", "of an object that it has not named before"),
        ("device0", "which toy@1 does not have"),
    ],
)
def test_a_cell_that_does_not_exist_is_no_finding(cell: str, message: str) -> None:
    with pytest.raises(TargetError, match=message):
        oracle().step(OPEN, Observation("OK", state={cell: "True"}))


# ------------------------------------------------------------------ calls that are not made


def test_calls_that_would_crash_break_an_assert_or_were_forbidden_are_refused() -> None:
    made = oracle((OPEN, "OK"))
    poke = Call("poke", ("process0", "fd0"))
    assert made.refuses(poke) == "poke.ok breaks toy.I01"
    assert "is not offered" in made.refuses(OPEN)  # its require: the descriptor is free
    assert "no operation 'ioctl'" in made.refuses(Call("ioctl"))
    assert made.refuses(Call("poke", ("process0",))) == "poke takes 2 arguments"
    made.step(REMOVE, Observation("DONE"))
    assert made.refuses(poke) == "poke.wild ends in OOPS"


def test_a_call_must_be_safe_in_every_state_that_is_still_possible() -> None:
    made = Oracle(interpreter())
    made.begin({cell: value for cell, value in CELLS.items() if cell != "device0.sva"})
    assert len(made.candidates) == 2
    failing = replace_fails(OPEN, {"bind": "EIO"})
    assert made.refuses(failing) == ""
    made.step(failing, Observation("EIO"))
    assert len(made.candidates) == 1  # only with sva does the bind matter


def test_the_steps_of_a_stepped_operation_are_taken_silently() -> None:
    other = Call("open", ("process1", "fd0", "device0"))
    made = oracle((OPEN, "OK"), (other, "OK"), (REMOVE, "DONE"))
    assert made.took == {"remove.putting", "remove.removed"}
    assert len(made.candidates) == 1


# ------------------------------------------------------------------ leftovers, alarms, limits


def test_what_is_left_over_is_compared_by_kind() -> None:
    made = oracle((OPEN, "OK"), (MMAP, Observation("OK", created=("vma0",))))
    assert made.leftovers({"Queue": 1, "Vma": 1, "Page": 0}) is None
    leak = made.leftovers({"Queue": 1, "Vma": 2, "Page": 3})
    assert leak is not None
    assert leak.signature == "leftover Page, Vma"
    assert "2 of Vma exist, not 1" in leak.summary
    assert "3 of Page exist, not 0" in leak.summary


def test_an_alarm_of_the_target_is_a_finding_though_the_answer_is_right() -> None:
    wrong = disagreement(oracle(), OPEN, Observation("OK", alarms=("use after free at 0x7f3a",)))
    assert wrong.nature is Nature.ALARM
    assert wrong.signature == "open !! use after free at #"
    assert wrong.prefix == ()


def test_a_run_that_the_scope_has_no_room_for_is_given_up_and_not_blamed() -> None:
    made = oracle((OPEN, "OK"), scope={"Process": 1, "Fd": 2, "Device": 1, "Hw": 2, "Queue": 1, "Vma": 1})
    with pytest.raises(LostTrack, match="no room for one more Queue"):
        made.step(Call("open", ("process0", "fd1", "device0")), Observation("OK"))


def test_initial_cells_are_checked() -> None:
    made = Oracle(interpreter())
    with pytest.raises(TargetError, match=r"no initial cell 'device0\.fast'"):
        made.begin({"device0.fast": "True"})
    with pytest.raises(TargetError, match=r"cannot be 'perhaps' at the start; it can be False, True"):
        made.begin({"device0.sva": "perhaps"})


def test_a_row_whose_errno_is_changed_contradicts_the_same_run() -> None:
    spec = specification()
    cases = [replace(c, outcome=Errno.ENODEV) if c.id == "start.dead" else c for c in spec.cases]
    made = Oracle(Interpreter(replace(spec, cases=cases)))
    made.begin(CELLS)
    made.step(OPEN, Observation("OK"))
    made.step(REMOVE, Observation("DONE"))
    assert disagreement(made, START, "ENXIO").signature == "start.dead -> ENXIO"
