# SPDX-License-Identifier: Apache-2.0
"""Tests: smt process."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import accelspec
from accelspec.model.smt.process import Worker, WorkerFailed, listen, packed
from accelspec.model.tests.leases import Hasty, Leases
from accelspec.model.verdict import Budget, Status
from accelspec.spec.language import Machine, compile_machine
from accelspec.spec.language.specification import Specification

FOREVER = {"scope": {"Client": 2, "Engine": 2, "Lease": 2}, "depth": 10**9, "ids": ["leases.I01"]}


def messages(worker: Worker) -> list[tuple[str, object]]:
    out = []
    while (m := worker.receive()) is not None:
        out.append(m)
    return out


def gone(pid: int) -> bool:
    """Does the process end, if it is given some time?"""
    for _ in range(200):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.05)
    return False


def test_a_task_is_done_elsewhere() -> None:
    with Worker("induction", compile_machine(Hasty)) as worker:
        found = [data for kind, data in messages(worker) if kind == "verdict"]
    by_id = {v.property: v.status for v in found}  # type: ignore[attr-defined]
    assert by_id.pop("leases.I03") is Status.UNKNOWN
    assert set(by_id.values()) == {Status.PROVED}
    assert len(by_id) == 10


def test_a_machine_that_nobody_can_import(tmp_path: Path) -> None:
    """Its file is loaded by path, under a name of our own; its Enums travel by the names of their members."""
    text = Path(__file__).with_name("leases.py").read_text().replace("class Leases(", "class Other(")
    file = tmp_path / "own.py"
    file.write_text(text.replace("(Leases)", "(Other)"))
    found = importlib.util.spec_from_file_location("a_file_of_mine", file)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules["a_file_of_mine"] = module
    try:
        found.loader.exec_module(module)
        machine: type[Machine] = module.Other
        spec = compile_machine(machine)
    finally:
        del sys.modules["a_file_of_mine"]
    with Worker("induction", spec) as worker:
        verdicts = [data for kind, data in messages(worker) if kind == "verdict"]
    assert {v.status for v in verdicts} == {Status.PROVED}  # type: ignore[attr-defined]


def test_terms_find_each_other_again_in_another_process() -> None:
    """Hashes of texts differ between processes; a specification that took its own along would find nothing again."""
    spec = compile_machine(Leases)
    for case in spec.cases:
        hash(case.guard)
    code = (
        "import pickle, sys; from dataclasses import replace; s = pickle.load(sys.stdin.buffer); "
        "print(all(c.guard in {replace(c.guard)} for c in s.cases))"
    )
    root = str(Path(accelspec.__file__).parent.parent)
    for seed in ("1", "2"):
        env = {**os.environ, "PYTHONPATH": root, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", code], input=packed(spec), capture_output=True, env=env, check=True
        )
        assert done.stdout.strip() == b"True"


def test_a_worker_is_gone_with_its_block() -> None:
    with Worker("bounded", compile_machine(Leases), **FOREVER) as worker:
        assert worker.receive() is not None
        pid = worker.pid
        assert os.getsid(pid) != os.getsid(0), "the terminal's Ctrl-C is for us alone"
    assert gone(pid)


def test_a_silent_worker_does_not_survive_its_parent() -> None:
    code = (
        "import sys\n"
        "from accelspec.model.smt.process import Worker\n"
        "from accelspec.model.tests.rotating import rotating\n"
        "never = {'scope': {'Device': 2}, 'depth': 10**9, 'ids': ['turn.I01'], 'invariants': []}\n"
        "w = Worker('k-induction', rotating(), **never)\n"
        "print(w.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    root = str(Path(accelspec.__file__).parent.parent)
    parent = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": root},
    )
    with parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        time.sleep(1)  # long enough to be at work
        os.kill(pid, 0)
        parent.kill()
    assert gone(pid)


def test_errors_come_back() -> None:
    with Worker("no such task", compile_machine(Leases)) as worker, pytest.raises(WorkerFailed, match="KeyError"):
        worker.receive()


def test_a_worker_that_the_system_ends_has_given_up() -> None:
    with Worker("bounded", compile_machine(Leases), **FOREVER) as worker:
        worker.receive()
        os.kill(worker.pid, signal.SIGKILL)
        assert messages(worker)[-1] == ("gave up", "the process of bounded was ended by SIGKILL")


def test_listening_ends_with_the_budget() -> None:
    heard = 0
    budget = Budget(stop=lambda: heard >= 3)
    spec: Specification = compile_machine(Leases)
    with Worker("bounded", spec, **FOREVER) as one, Worker("induction", spec) as other:
        for worker, _ in listen([one, other], budget):
            heard += worker is one
    assert heard >= 3
