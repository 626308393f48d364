# SPDX-License-Identifier: Apache-2.0
"""The command line: what each command prints, its exit codes, and one clear line for every kind of bad input."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import jsonschema
import pytest

from accelspec.conformance.command_line import COMMANDS, run
from accelspec.conformance.results import ResultFile, decode, encode, json_schema

PRINTER = str(Path(__file__).parent / "files" / "printer.py")


@dataclass
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def accelspec(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)

    def call(*args: str) -> Ran:
        code = run(args)
        said = capfd.readouterr()
        return Ran(code, said.out, said.err)

    return call


def machine(body: str, tmp_path: Path, name: str = "mine.py") -> str:
    path = tmp_path / name
    path.write_text("from __future__ import annotations\nfrom accelspec.spec.language import *\n" + body)
    return str(path)


GOOD = """
class Thing(Object, always=True):
    on: bool = False

class Things(Machine):
    machine = "thing"
    revision = "1"
    document = "thing.c"
    @operation
    def turn(self, t: Thing) -> Result:
        t.on = True
        return OK("ok", read("turn"))
"""


# ---------------------------------------------------------------------- looking


def test_every_command_has_a_help_text(accelspec: Run) -> None:
    listed = accelspec("--help")
    assert listed.code == 0
    for name in COMMANDS:
        assert f"\n  {name} " in listed.out
        helped = accelspec(name, "--help")
        assert helped.code == 0
        assert "Usage: accelspec" in helped.out


def test_list_counts_and_describes(accelspec: Run) -> None:
    told = accelspec("list", PRINTER)
    assert told.code == 0
    assert "operations: open, start, put, close" in told.out
    assert "events: jam" in told.out
    assert "printer.P01  check      nothing_starts_without_a_tray  violated" in told.out
    data = json.loads(accelspec("list", PRINTER, "--format", "json").out)
    assert [d["revision"] for d in data] == ["2", "1"]


def test_list_names_options_beside_the_revision_that_offers_them(accelspec: Run) -> None:
    told = accelspec("list", "uacce@intended")
    assert "uacce@intended-strict, an option of uacce@intended, only by its full name: Two policies" in told.out
    assert "an option of" not in accelspec("list", "uacce@legacy").out
    (data,) = json.loads(accelspec("list", "uacce@intended", "--format", "json").out)
    assert data["options"] == ["uacce@intended-strict"]


def test_show_gives_a_table_a_diagram_or_all(accelspec: Run) -> None:
    assert "EINVAL  not_init" in accelspec("show", PRINTER, "start").out
    assert "-> STARTED  start.ok" in accelspec("show", PRINTER, "Job.state").out
    everything = accelspec("show", PRINTER).out
    assert "open(p: Process, t: Tray)" in everything
    assert "Job.state" in everything
    assert accelspec("show", PRINTER, "Job.state", "--format", "mermaid").out.startswith("stateDiagram-v2\n")
    tables = json.loads(accelspec("show", f"{PRINTER}@1", "start", "--format", "json").out)["tables"]
    assert [row["outcome"] for row in tables[0]["rows"]] == ["EBADF", "EINVAL", "OK"]


def test_compare_finds_the_shortest_difference(accelspec: Run) -> None:
    told = accelspec("compare", f"{PRINTER}@2", f"{PRINTER}@1")
    assert told.code == 0
    assert "answer this differently" in told.out
    assert " 3. start(process0)        EINVAL start.not_init  fails printer.P01 start.ok" in told.out
    same = accelspec("compare", f"{PRINTER}@2", f"{PRINTER}@2", "--format", "json")
    assert json.loads(same.out)["difference"] is None


# ---------------------------------------------------------------------- running engines


def test_explore_finds_what_the_revision_lists_and_nothing_else(accelspec: Run) -> None:
    told = accelspec("explore", PRINTER)
    assert told.code == 0
    assert "printer.P01  3 calls  nothing_starts_without_a_tray ends at start.ok" in told.out
    assert "explored 'two': 23 states" in told.out
    assert "explore printer@1 ..." in told.err
    assert "explored" not in told.err


def test_verify_is_as_expected_and_writes_every_file(accelspec: Run, tmp_path: Path) -> None:
    told = accelspec("verify", PRINTER, "-o", "r.json", "-o", "r.html", "-o", "r.xml", "-o", "r.md")
    assert told.code == 0, told.out
    assert "all as expected" in told.out
    jsonschema.validate(json.loads(Path("r.json").read_text()), json_schema())
    assert {p.name for p in tmp_path.iterdir()} == {"r.json", "r.html", "r.xml", "r.md"}
    file = decode(Path("r.json").read_bytes())
    assert [r.name_of_revision for r in file.revisions] == ["printer@2", "printer@1"]
    said = {(r.revision, r.property): r for r in file.results}
    assert said["2", "printer.P01"].verdict.holds
    assert said["2", "printer.P02"].verdict.value == "proved"
    assert said["2", "printer.P02"].scope is None
    assert said["1", "printer.P01"].verdict.value == "violated"


def test_a_violation_that_is_not_listed_is_exit_code_1(accelspec: Run, tmp_path: Path) -> None:
    text = Path(PRINTER).read_text()
    cut = text.index("    known = (")
    path = tmp_path / "unlisted.py"
    path.write_text(text[:cut] + text[text.index("    @replaces") :])
    told = accelspec("explore", f"{path}@1", "--quiet")
    assert told.code == 1
    assert "VIOLATED, and not listed as known: printer.P01" in told.out
    assert " 3. start(process0) -> OK" in told.out
    assert told.err == ""


def test_a_known_violation_that_is_gone_is_exit_code_1(accelspec: Run, tmp_path: Path) -> None:
    text = Path(PRINTER).read_text().replace('    @replaces("start.not_init")', '    @replaces("put.dead")')
    text = text.replace("if j.state is STARTED:", "if j.state is ZOMBIE:").replace(
        'raise EINVAL("not_init"', 'raise EINVAL("dead"'
    )
    path = tmp_path / "fixed.py"
    path.write_text(text)
    told = accelspec("explore", f"{path}@1", "--quiet")
    assert told.code == 1
    assert "LISTED AS KNOWN, but not violated: printer.P01" in told.out


def test_a_baseline_accepts_what_it_has(accelspec: Run, tmp_path: Path) -> None:
    text = Path(PRINTER).read_text()
    path = tmp_path / "unlisted.py"
    path.write_text(text[: text.index("    known = (")] + text[text.index("    @replaces") :])
    assert accelspec("verify", f"{path}@1", "--quiet", "-o", "base.json").code == 1
    assert accelspec("verify", f"{path}@1", "--quiet", "--baseline", "base.json").code == 0
    path.write_text(text)
    listed = accelspec("verify", f"{path}@1", "--quiet", "--baseline", "base.json")
    assert listed.code == 0  # it is still there, and by now listed
    assert "1 violated as known" in listed.out
    assert (
        accelspec("verify", f"{path}@2", "--quiet", "--baseline", "base.json").code == 0
    )  # says nothing about this one
    path.write_text(
        text.replace('    @replaces("start.not_init")', '    @replaces("put.dead")').replace("STARTED:", "ZOMBIE:")
    )
    gone = accelspec("verify", f"{path}@1", "--quiet", "--baseline", "base.json")
    assert gone.code == 1
    assert "in the baseline, and not found any more: printer@1: printer.P01 violated" in gone.out


def test_json_on_standard_output_is_nothing_but_json(accelspec: Run) -> None:
    told = accelspec("explore", PRINTER, "--format", "json")
    assert decode(told.out.encode()).complete


def test_scope_is_what_is_explored(accelspec: Run) -> None:
    told = accelspec("explore", f"{PRINTER}@2", "--quiet", "--scope", "Process=1,Job=1")
    assert "explored one of each: " in told.out


def test_explain_names_the_law_the_violator_and_the_sources(accelspec: Run) -> None:
    told = accelspec("explain", "printer.P01", PRINTER, "--quiet")
    assert told.code == 0
    for said in (
        "A job that starts holds a tray.",
        "[deduced] section 1",
        "violated in 3 calls, as the revision lists",
        "start.ok  [read]",
    ):
        assert said in told.out
    assert "printer.P02" not in told.out


def test_an_earlier_result_is_looked_at_again_without_running_anything(accelspec: Run) -> None:
    accelspec("explore", PRINTER, "--quiet", "-o", "r.json")
    told = accelspec("explain", "printer.P01", "--from", "r.json", "printer@1")
    assert "violated in 3 calls, as the revision lists" in told.out
    assert "exhausted" not in told.out
    lines = accelspec("matrix", "--from", "r.json").out.splitlines()
    assert lines[0] == "printer: what stands side by side"
    assert ["printer", "2", "1"] in [line.split() for line in lines]
    assert accelspec("explain", "printer.P77", "--from", "r.json").code == 2


def test_report_renders_an_earlier_result(accelspec: Run) -> None:
    accelspec("explore", PRINTER, "--quiet", "-o", "r.json")
    told = accelspec("report", "r.json")
    assert told.code == 0
    assert Path("accelspec-report.html").read_text().startswith("<!DOCTYPE html>")
    assert "printer.P01" in accelspec("report", "r.json", "--format", "text").out


# ---------------------------------------------------------------------- driving a target

DRIVER = """
from accelspec.conformance.targets import Driver

class Right(Driver):
    failures = frozenset({"alloc"})
    def begin(self, system):
        self.job, self.holder = {}, None
    def do_open(self, process, tray, fails):
        if self.holder is not None:
            return "EBUSY"
        if "alloc" in fails:
            return "ENOMEM"
        self.job[process], self.holder = "INIT", process
    def do_start(self, process):
        if process not in self.job:
            return "EBADF"
        if self.job[process] != "INIT":
            return "EINVAL"
        self.job[process] = "STARTED"
    def do_put(self, process):
        if process not in self.job:
            return "EBADF"
        if self.job[process] == "ZOMBIE":
            return "EINVAL"
        self.job[process], self.holder = "ZOMBIE", None
    def do_close(self, process):
        if process not in self.job:
            return "EBADF"
        if self.job.pop(process) != "ZOMBIE":
            self.holder = None

class Wrong(Right):
    def do_start(self, process):
        if self.job.get(process) == "ZOMBIE":
            self.job[process] = "STARTED"
            return 0
        return super().do_start(process)
"""


@pytest.fixture
def drivers(accelspec: Run, tmp_path: Path) -> Iterator[None]:
    (tmp_path / "printer_driver.py").write_text(DRIVER)
    yield
    sys.modules.pop("printer_driver", None)
    sys.path[:] = [p for p in sys.path if p != str(tmp_path)]


RIGHT, WRONG_ONE = "python:printer_driver:Right", "python:printer_driver:Wrong"


@pytest.mark.usefixtures("drivers")
def test_a_driver_that_does_it_right_passes(accelspec: Run) -> None:
    told = accelspec("fuzz", f"{PRINTER}@2", "--target", RIGHT, "--seed", "5", "--max-steps", "300", "-o", "r.json")
    assert told.code == 0, told
    assert "seed 5" in told.out
    (campaign,) = decode(Path("r.json").read_bytes()).campaigns
    assert campaign.steps >= 300
    assert campaign.succeeded > 50
    assert campaign.rows["start.ok"] > 0


@pytest.mark.usefixtures("drivers")
def test_a_wrong_driver_is_found_saved_replayed_and_accepted(accelspec: Run) -> None:
    asked = ["fuzz", f"{PRINTER}@2", "--seed", "5", "--max-steps", "500", "--quiet"]
    told = accelspec(*asked, "--target", WRONG_ONE, "-o", "base.json")
    assert told.code == 1
    assert "start(process0) -> OK" in told.out
    saved = "printer-2-seed5.replay.jsonl"
    assert f"accelspec replay {saved}" in told.out
    again = accelspec("replay", saved, f"{PRINTER}@2", "--target", WRONG_ONE)
    assert again.code == 1
    assert "start(process0) -> OK" in again.out
    assert accelspec("replay", saved, f"{PRINTER}@2", "--target", RIGHT).code == 0
    accepted = accelspec(*asked, "--target", WRONG_ONE, "--baseline", "base.json")
    assert accepted.code == 0, accepted
    gone = accelspec(*asked, "--target", RIGHT, "--baseline", "base.json")
    assert gone.code == 1
    assert "in the baseline, and not found any more: printer@2: start.not_init -> OK" in gone.out


@pytest.mark.usefixtures("drivers")
def test_the_seed_makes_the_run(accelspec: Run) -> None:
    def rows(seed: str) -> dict[str, int]:
        accelspec("fuzz", f"{PRINTER}@2", "--target", RIGHT, "--seed", seed, "--max-steps", "200", "-o", "r.json")
        (campaign,) = decode(Path("r.json").read_bytes()).campaigns
        return campaign.rows

    assert rows("1") == rows("1")
    assert rows("1") != rows("2")


# ---------------------------------------------------------------------- bad input

WRONG = {
    "an unknown command": (["verfy"], "there is no command 'verfy'. Did you mean verify?"),
    "an unknown machine": (["verify", "uace"], "no machine is called 'uace'"),
    "an unknown revision": (["list", PRINTER + "@3"], "has no revision '3'"),
    "an unknown file": (["verify", "nowhere.py"], "there is no file nowhere.py"),
    "an unknown option": (["verify", "--colour"], "No such option"),
    "a scope that is not a number": (["explore", PRINTER, "--scope", "Job=two"], "'two' is not a number"),
    "a negative scope": (["explore", PRINTER, "--scope", "Job=-1"], "'-1' is not a number"),
    "a scope without a kind": (["explore", PRINTER, "--scope", "3"], "'3' is not KIND=NUMBER"),
    "a scope of an unknown kind": (["explore", PRINTER, "--scope", "Jobs=2"], "has no kind 'Jobs'"),
    "a folder that is not there": (["explore", PRINTER, "-o", "no/such/r.json"], "no/such/r.json cannot be written"),
    "one of two files": (["explore", PRINTER, "-o", "r.json", "-o", "no/r.json"], "no/r.json cannot be written"),
    "a file named twice": (
        ["explore", PRINTER, "-o", "r.json", "-o", "./r.json"],
        "the same output file is named twice",
    ),
    "a folder as a file": (["explore", PRINTER, "-o", "."], ". is a folder"),
    "an unknown property": (["explain", "printer.P99", PRINTER], "no property is called 'printer.P99'"),
    "an unknown operation": (["show", PRINTER, "strat"], "has no operation or enum field 'strat'"),
    "a diagram of an operation": (["show", PRINTER, "start", "--format", "dot"], "start is an operation"),
    "a result that is not there": (["report", "r.json"], "r.json cannot be read"),
    "a baseline that is not there": (["verify", PRINTER, "--baseline", "b.json"], "b.json cannot be read"),
    "a replay file that is not there": (["replay", "x.replay.jsonl"], "x.replay.jsonl cannot be read"),
    "a target that is none": (
        ["fuzz", PRINTER, "--target", "referense", "-o", "r.json"],
        "there is no target 'referense'",
    ),
    "a target option that is none": (["fuzz", PRINTER, "--target-option", "x"], "'x' is not NAME=VALUE"),
    "a budget that is not a number": (["prove", PRINTER, "--time-budget", "long"], "'long' is not a valid float"),
    "machines that cannot be compared": (["compare", PRINTER, "MINE"], "are not revisions of one machine"),
}


@pytest.mark.parametrize("case", WRONG)
def test_bad_input_is_answered_with_one_line_and_exit_code_2(accelspec: Run, tmp_path: Path, case: str) -> None:
    args, says = WRONG[case]
    mine = machine(GOOD, tmp_path)
    told = accelspec(*(mine if a == "MINE" else a for a in args))
    assert told.code == 2
    first, *rest = [line for line in told.err.splitlines() if not line.endswith("...")]
    assert first.startswith("accelspec: ")
    assert says in first
    assert len(rest) <= 1
    assert "Traceback" not in told.err
    assert told.out == ""
    assert {p.name for p in tmp_path.iterdir()} - {"__pycache__"} == {"mine.py"}


BROKEN = {
    "a syntax error": (GOOD.replace("t.on = True", "t.on = = True"), ":13: invalid syntax"),
    "an unknown name in the file": (GOOD + "\nnonsense\n", ":16: NameError: name 'nonsense' is not defined"),
    "an unknown name in a method": (GOOD.replace("t.on = True", "t.on = on"), ":13: "),
    "an unknown field": (GOOD.replace("t.on = True", "t.off = True"), ":13: "),
    "a wrong kind": (GOOD.replace("t.on = True", "t.on = t"), ":13: "),
    "a missing source": (GOOD.replace(', read("turn")', ""), ":14: "),
    "an empty source": (GOOD.replace('read("turn")', 'read("")'), ":14: "),
    "no revision": (GOOD.replace('    revision = "1"\n', ""), "there is no revision in this file"),
    "no machine": (GOOD.replace('    machine = "thing"\n', ""), "class Things belongs to no machine"),
    "a missing module": ("import nowhere_at_all\n", "No module named 'nowhere_at_all'"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_specification_is_named_with_file_and_line(accelspec: Run, tmp_path: Path, case: str) -> None:
    body, says = BROKEN[case]
    path = machine(body, tmp_path)
    told = accelspec("verify", path)
    assert told.code == 2, told
    assert told.err.startswith(f"accelspec: {path}")
    assert says in told.err
    assert "Traceback" not in told.err
    assert len(told.err.splitlines()) <= 5


def test_an_old_output_file_stays_when_the_work_fails(accelspec: Run, tmp_path: Path) -> None:
    Path("r.json").write_text("old")
    broken = machine(GOOD.replace("t.on = True", "t.on = on"), tmp_path)
    assert accelspec("verify", broken, "-o", "r.json").code == 2
    assert Path("r.json").read_text() == "old"


@pytest.mark.parametrize("cut", [0, 1, 40, 400])
def test_a_truncated_result_file_is_refused(accelspec: Run, cut: int) -> None:
    whole = encode(ResultFile(version="0", command="x" * 500))
    Path("r.json").write_bytes(whole[:cut])
    told = accelspec("report", "r.json")
    assert told.code == 2
    assert "r.json is no result file of accelspec" in told.err


def test_a_truncated_replay_file_is_refused(accelspec: Run) -> None:
    Path("x.replay.jsonl").write_text('{"line": "run", "schema": "accelspec.rep')
    told = accelspec("replay", "x.replay.jsonl")
    assert told.code == 2
    assert "x.replay.jsonl" in told.err


def test_an_internal_error_is_one_line_and_a_traceback_only_with_debug(
    accelspec: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr("accelspec.conformance.commands.looking.decision_table", broken)
    told = accelspec("show", PRINTER)
    assert told.code == 3
    assert told.err.startswith("accelspec: internal error: RuntimeError: boom\n")
    assert "Traceback" not in told.err
    assert "Traceback" in accelspec("--debug", "show", PRINTER).err
    assert "Traceback" in accelspec("show", PRINTER, "--debug").err


def test_nothing_to_run_is_exit_code_5(accelspec: Run, tmp_path: Path) -> None:
    assert accelspec("prove", machine(GOOD, tmp_path), "--quiet").code == 5


# ---------------------------------------------------------------------- interrupts, in a process of its own

SLOW = """
class Bit(Object, always=True):
    on: bool = False

class Bits(Machine):
    machine = "bits"
    revision = "1"
    document = "bits.c"
    scopes = {"many": {"Bit": 40}}
    @operation
    def flip(self, b: Bit) -> Result:
        if b.on:
            b.on = False
            return OK("off", read("flip"))
        b.on = True
        return OK("on", read("flip"))
    @always("bits.B01", STATE, deduced("never"))
    def not_all(self) -> bool:
        \"\"\"The first is not on.\"\"\"
        return any(not b.on for b in Bit)
"""


def start(*args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "accelspec.conformance.command_line", *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "NO_COLOR": "1"},
        start_new_session=True,
    )


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_it_with_what_was_found_so_far(tmp_path: Path, sent: signal.Signals) -> None:
    out = tmp_path / "r.json"
    with start("explore", machine(SLOW, tmp_path), "-o", str(out), "--time-budget", "100") as child:
        assert child.stderr is not None
        while not child.stderr.readline().rstrip().endswith("..."):
            assert child.poll() is None
        time.sleep(2)
        os.kill(child.pid, sent)
        text, errors = child.communicate(timeout=20)
    assert child.returncode == 130, errors
    assert "Interrupted: this is what was found so far." in text
    file = decode(out.read_bytes())
    assert not file.complete
    assert "Traceback" not in errors
    assert _nothing_goes_on(child.pid)


def test_workers_do_not_outlive_a_parent_that_is_killed(tmp_path: Path) -> None:
    with start("explore", machine(SLOW, tmp_path), "--time-budget", "100") as child:
        assert child.stderr is not None
        assert child.stdout is not None
        while not child.stderr.readline().rstrip().endswith("..."):
            assert child.poll() is None
        time.sleep(1)
        assert _members(child.pid) != [str(child.pid)]
        child.kill()
        child.wait(timeout=20)
        assert _nothing_goes_on(child.pid)


def _nothing_goes_on(session: int) -> bool:
    """Do all processes of the session end by themselves?"""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and _members(session):
        time.sleep(0.05)
    return not _members(session)


def _members(session: int) -> list[str]:
    """The processes of a session that still run."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(stat.parent.name)
    return found


def test_a_reader_that_goes_away_is_no_error() -> None:
    with start("show", PRINTER) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        assert child.stderr.read() == ""
    assert child.returncode == 0
