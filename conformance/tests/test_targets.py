# SPDX-License-Identifier: Apache-2.0
"""Targets: how they are opened, what a broken one is told, and that the worked examples work."""

from __future__ import annotations

import errno
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import jsonschema
import msgspec
import pytest

from accelspec.conformance.campaign import CampaignResult, fuzz
from accelspec.conformance.targets import Call, Driver, Observation, System, Target, TargetError, open_target, protocol
from accelspec.conformance.targets.process import Process
from accelspec.spec.language import compile_machine
from accelspec.spec.language.specification import Specification
from accelspec.spec.uacce.revisions import Uacce

EXAMPLES = Path(protocol.__file__).parent / "examples"
SYSTEM = System("uacce", "6.12.117", {"Process": 1}, {"device0.sva": "True"})


@cache
def uacce() -> Specification:
    return compile_machine(Uacce)


def opened(text: str, options: Mapping[str, str] | None = None) -> Target:
    return open_target(text, "uacce", "6.12.117", options)


# ------------------------------------------------------------------ opening


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "refrence",
            "there is no target 'refrence': write reference, kernel, python:MODULE:FACTORY or process:",
        ),
        ("reference:fast", "there is no target 'reference:fast'"),
        ("python:my_driver", "names no factory: write python:MODULE:FACTORY"),
        ("python:no_such_module:Driver", "cannot be imported: ModuleNotFoundError: No module named 'no_such_module'"),
        ("python:json:Driver", "the module json has no factory Driver; it has"),
        ("python:json:dumps", "json:dumps failed while it made the target: TypeError"),
        ("python:collections:OrderedDict", "collections:OrderedDict failed while it made the target"),
        ("process:", "names no command"),
        ("process:'", "is no command line: No closing quotation"),
        ("process:./no_such_program", "cannot be started: No such file or directory"),
        ("process:true", "asked hello, it exited with status 0"),
        ("process:cat", "answered a line that is no message of accelspec.target/1"),
    ],
)
def test_a_target_that_cannot_be_used_is_one_clear_line(text: str, message: str) -> None:
    with pytest.raises(TargetError) as error:
        opened(text)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"faults": "B-99"}, "no fault is called 'B-99'"),
        ({"behaviour": "7.0"}, "does not behave as 7.0; its option behaviour takes 6.12.117, intended"),
        ({"fault": "B-07"}, "the reference has no option 'fault'; it has faults, behaviour, without"),
        ({"without": "dance"}, "the reference has no operation 'dance' that could be left out"),
    ],
)
def test_a_wrong_option_of_the_reference_is_named(options: Mapping[str, str], message: str) -> None:
    with pytest.raises(TargetError, match=message):
        opened("reference", options)


def test_the_reference_knows_some_machines_only() -> None:
    with pytest.raises(TargetError, match="no machine 'locks', only uacce"):
        open_target("reference", "locks", "adopted")


def test_a_factory_may_lie_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder_driver.py").write_text("def make(revision, options):\n    return 7\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(TargetError, match="made a int, which is no target: it has no name, operations"):
        opened("python:folder_driver:make")


# ------------------------------------------------------------------ drivers in Python


class Small(Driver):
    """Answers in every way in which a method may."""

    def begin(self, system: System) -> None:
        self.answers: dict[str, object] = {
            "nothing": None, "number": 0, "errno": -errno.EBUSY, "name": "READY", "raise": OSError(errno.EIO, "no"),
            "all": Observation("OK", created=("vma1",), state={"a.b": "1"}), "wrong": 7, "bug": ZeroDivisionError("x"),
        }  # fmt: skip

    def do_ask(self, how: str) -> object:
        answer = self.answers[how]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def do_fail(self, fails: Mapping[str, str]) -> str:
        return fails["f"]

    def state(self) -> Mapping[str, str]:
        return {"c.d": "2"}


def small() -> Small:
    made = Small()
    made.reset(SYSTEM)
    return made


@pytest.mark.parametrize(
    ("how", "result"), [("nothing", "OK"), ("number", "OK"), ("errno", "EBUSY"), ("name", "READY"), ("raise", "EIO")]
)
def test_a_method_may_answer_in_many_ways(how: str, result: str) -> None:
    assert small().perform(Call("ask", (how,))) == Observation(result, state={"c.d": "2"})


def test_an_observation_is_completed_with_the_state() -> None:
    seen = small().perform(Call("ask", ("all",)))
    assert seen == Observation("OK", created=("vma1",), state={"a.b": "1", "c.d": "2"})


@pytest.mark.parametrize(("how", "alarm"), [("wrong", "answered 7"), ("bug", "ZeroDivisionError: x at test_targets")])
def test_a_driver_that_breaks_is_a_finding_and_no_traceback(how: str, alarm: str) -> None:
    seen = small().perform(Call("ask", (how,)))
    assert seen.result == "OOPS"
    assert alarm in seen.alarms[0]


def test_injected_failures_reach_the_method_that_wants_them() -> None:
    assert small().perform(Call("fail", (), {"f": "ENOSPC"})).result == "ENOSPC"


def test_a_driver_that_does_not_fit_is_told_how() -> None:
    with pytest.raises(TargetError, match="has no method do_jump"):
        small().perform(Call("jump"))
    with pytest.raises(TargetError, match=r"do_ask takes 1 arguments; the specification's ask\(\) has 0"):
        small().perform(Call("ask"))
    with pytest.raises(TargetError, match=r"has no method begin\(system\)"):
        Driver().reset(SYSTEM)
    assert small().operations == frozenset({"ask", "fail"})


# ------------------------------------------------------------------ child processes


@pytest.fixture
def child(request: pytest.FixtureRequest) -> Iterator[Process]:
    made = Process(f"{sys.executable} {EXAMPLES / 'queue_child.py'} {getattr(request, 'param', '')}", "uacce", "1")
    yield made
    made.close()


def ready(target: Target) -> Target:
    cells = {"hwQueue0.device": "device0"}
    assert target.reset(System("uacce", "1", {"Device": 1}, cells)) == cells
    for call in ("alloc", "register"):
        assert target.perform(Call(call, ("device0",))).result == "OK"
    return target


def test_a_child_is_asked_in_json(child: Process) -> None:
    ready(child)
    assert child.name == "queue_child.py"
    assert child.failures == frozenset({"get_queue"})
    opening = Call("open", ("process0", "fd0", "device0", "False"), {"get_queue": "ENOSPC"})
    assert child.perform(opening) == Observation("ENOSPC")
    assert child.perform(Call("open", opening.args)) == Observation("OK")
    assert child.leftovers() == {"Queue": 1}


@pytest.mark.parametrize("child", ["crash"], indirect=True)
def test_a_crash_is_observed_and_the_child_begins_again(child: Process) -> None:
    ready(child)
    child.perform(Call("open", ("process0", "fd0", "device0", "False")))
    start = Call("start", ("process0", "fd0"))
    assert child.perform(start).result == "OK"
    crashed = child.perform(start)
    assert crashed.result == "OOPS"
    assert crashed.alarms == ("it exited with status 1: started twice: cannot go on",)
    with pytest.raises(TargetError, match="is not running: reset it first"):
        child.perform(start)
    ready(child)
    assert child.perform(start).result == "EBADF"


def write_child(folder: Path, body: str) -> str:
    """A child that welcomes, is ready, and then does `body` for a call."""
    (folder / "child.py").write_text(
        "import json, os, signal, sys, time\n"
        "def say(x): print(x if isinstance(x, str) else json.dumps(x), flush=True)\n"
        "for line in sys.stdin:\n"
        "    kind = json.loads(line)['type']\n"
        "    if kind == 'hello': say({'type': 'welcome', 'protocol': 'accelspec.target/1', 'name': 'odd'})\n"
        "    elif kind == 'reset': say({'type': 'ready'})\n"
        f"    else: {body}\n"
    )
    return f"{sys.executable} {folder / 'child.py'}"


@pytest.mark.parametrize(
    ("body", "result", "alarm"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "OOPS", "it was killed by signal 11"),
        ("time.sleep(60)", "HANG", "no answer within 0.5 s"),
        ("os.close(1); time.sleep(60)", "OOPS", "it closed its standard output"),
        ("sys.exit('bad\\nend')", "OOPS", "it exited with status 1: bad | end"),
    ],
)
def test_death_and_silence_are_findings(tmp_path: Path, body: str, result: str, alarm: str) -> None:
    made = Process(write_child(tmp_path, body), "uacce", "1", {"timeout": "0.5"})
    made.reset(SYSTEM)
    assert made.perform(Call("open")) == Observation(result, alarms=(alarm,))
    made.reset(SYSTEM)
    made.close()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("say('hello')", "answered a line that is no message of accelspec.target/1"),
        ("say({'type': 'observed'})", "missing required field `observation`"),
        ("say({'type': 'observed', 'observation': {'reslut': 'OK'}})", "reslut"),
        ("say({'type': 'ready'})", "answered perform with ready; observed is the answer to it"),
        ("say({'type': 'problem', 'text': 'no such device'})", "no such device"),
        ("say('x' * 3000000)", "a line of more than 1048576 bytes"),
    ],
)
def test_a_child_that_breaks_the_protocol_is_told_how(tmp_path: Path, body: str, message: str) -> None:
    made = Process(write_child(tmp_path, body), "uacce", "1")
    made.reset(SYSTEM)
    with pytest.raises(TargetError) as error:
        made.perform(Call("open"))
    assert message in str(error.value)
    made.close()


def test_a_child_of_another_protocol_is_refused(tmp_path: Path) -> None:
    command = write_child(tmp_path, "pass")
    path = tmp_path / "child.py"
    path.write_text(path.read_text().replace("accelspec.target/1", "accelspec.target/2"))
    with pytest.raises(TargetError, match=r"speaks accelspec\.target/2; this accelspec speaks accelspec\.target/1"):
        Process(command, "uacce", "1")


def test_a_timeout_is_a_positive_number() -> None:
    with pytest.raises(TargetError, match="the option timeout is 'soon'; it is a positive number of seconds"):
        Process("cat", "uacce", "1", {"timeout": "soon"})


def test_closing_ends_the_child_and_may_be_done_twice(child: Process) -> None:
    child.close()
    child.close()
    with pytest.raises(TargetError, match="is not running"):
        child.perform(Call("open"))


# ------------------------------------------------------------------ the published schema


def test_the_published_schema_is_the_protocol() -> None:
    published = json.loads((EXAMPLES.parent / "accelspec.target-1.schema.json").read_text())
    assert published == json.loads(json.dumps(protocol.schema()))


MESSAGES = [
    protocol.Hello(protocol.PROTOCOL, "uacce", "v4", {"a": "b"}),
    protocol.Reset(SYSTEM),
    protocol.Perform(Call("open", ("process0",), {"get_queue": "EIO"})),
    protocol.Leftovers(),
    protocol.Close(),
    protocol.Welcome(protocol.PROTOCOL, "mine", ["open"], None),
    protocol.Ready({"device0.sva": "True"}),
    protocol.Observed(Observation("OK", ("vma0",), {"h": "hw1"}, {"vma0.ptes": "True"}, ("lock order",))),
    protocol.Left({"File": 0}),
    protocol.Problem("no"),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_every_message_follows_the_schema(message: msgspec.Struct) -> None:
    jsonschema.validate(json.loads(msgspec.json.encode(message)), protocol.schema())


def test_the_schema_refuses_what_is_no_message() -> None:
    for wrong in (
        {"type": "observed"},
        {"type": "perform", "call": {}},
        {"type": "jump"},
        {"type": "left", "count": {}},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, protocol.schema())


# ------------------------------------------------------------------ the worked examples


ONE_DEVICE = {"Device": 1, "Process": 2, "Mm": 2, "Fd": 2, "HwQueue": 2, "File": 4, "Queue": 4}


def campaign(target: Target, scope: Mapping[str, int] | None = None) -> CampaignResult:
    try:
        return fuzz(uacce(), target, seed=3, max_steps=400, scope=scope)
    finally:
        target.close()


DRIVER = "python:accelspec.conformance.targets.examples.queue_driver:QueueDriver"
CHILD = f"process:{sys.executable} {EXAMPLES / 'queue_child.py'}"


def test_the_example_driver_conforms() -> None:
    result = campaign(opened(DRIVER))
    assert result.passed, result.disagreement and result.disagreement.text()
    assert result.rows["start.ok"] > 5
    assert result.uncovered["mmap.ok"] == "the target does not offer mmap"
    assert result.uncovered["open.no_memory"] == "the target cannot make allocation fail"


def test_the_example_driver_with_a_flaw_does_not() -> None:
    found = campaign(opened(DRIVER, {"wrong": "dead"})).disagreement
    assert found is not None
    assert found.signature == "start.dead_queue -> EINVAL"
    assert [p.call.operation for p in found.prefix] == ["alloc", "register", "open", "remove"]


def test_the_example_child_conforms() -> None:
    result = campaign(opened(CHILD), ONE_DEVICE)
    assert result.passed, result.disagreement and result.disagreement.text()
    assert result.rows["open.all_in_use"] > 5


def test_a_child_may_say_what_it_cannot_do() -> None:
    with pytest.raises(TargetError, match=r"queue_child\.py: this model has one device: add --scope Device=1"):
        campaign(opened(CHILD))


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler: cc")
def test_the_example_in_c_conforms(tmp_path: Path) -> None:
    command = ["cc", "-Wall", "-Wextra", "-Werror", "-o", str(tmp_path / "child"), str(EXAMPLES / "queue_child.c")]
    subprocess.run(command, check=True)
    result = campaign(opened(f"process:{tmp_path / 'child'}"), ONE_DEVICE)
    assert result.passed, result.disagreement and result.disagreement.text()
    assert result.target == "queue_child.c"
    assert result.rows["start.dead_queue"] > 5


@pytest.mark.parametrize(
    ("flaw", "signature"), [("wrong", "start.dead_queue -> "), ("crash", "start.not_init -> OOPS")]
)
def test_the_example_child_with_a_flaw_does_not(flaw: str, signature: str) -> None:
    found = campaign(opened(f"{CHILD} {flaw}"), ONE_DEVICE).disagreement
    assert found is not None
    assert found.signature.startswith(signature)


def test_the_template_can_be_opened_as_it_is() -> None:
    made = opened("python:accelspec.conformance.targets.examples.template_driver:MyDriver")
    assert made.operations == frozenset({"open"})
    assert made.reset(SYSTEM) == SYSTEM.cells
    assert made.perform(Call("open", ("process0", "fd0", "device0", "False"), {"get_queue": "EIO"})).result == "EIO"
